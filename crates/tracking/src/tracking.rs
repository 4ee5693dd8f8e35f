//! The services, and the one way in which they all write.

use std::sync::Arc;

use cas::Cas;
use entities::{
    Caller, Change, Clock, Commit, Random, SearchKind, SearchQuery, Timestamp, parse_filter,
    parse_order_by,
};
use store::Store;

use crate::TrackingError;

/// All services over experiments, runs, metrics, artifacts and models.
///
/// A cheap clone; all clones are the same.
#[derive(Clone)]
pub struct Tracking {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    cas: Cas,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// Held while an experiment is created, so that callers of one process do not take each other's next id.
    creating_experiment: tokio::sync::Mutex<()>,
}

/// What a write is about, beside its changes.
pub(crate) struct Writing<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) at: Timestamp,
    pub(crate) kind: &'static str,
    pub(crate) subjects: Vec<String>,
}

impl std::fmt::Debug for Tracking {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Tracking").finish_non_exhaustive()
    }
}

impl Tracking {
    /// Puts the services on a store, its objects, a clock and a generator.
    pub fn new(
        store: Arc<dyn Store>,
        cas: Cas,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                store,
                cas,
                clock,
                random,
                creating_experiment: tokio::sync::Mutex::new(()),
            }),
        }
    }

    /// The metadata database, for reading.
    pub fn store(&self) -> &dyn Store {
        self.inner.store.as_ref()
    }

    /// The objects.
    pub fn cas(&self) -> &Cas {
        &self.inner.cas
    }

    /// The clock.
    pub fn clock(&self) -> &dyn Clock {
        self.inner.clock.as_ref()
    }

    pub(crate) fn random(&self) -> &dyn Random {
        self.inner.random.as_ref()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    pub(crate) async fn lock_creating_experiment(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.inner.creating_experiment.lock().await
    }

    /// Commits changes with one event; without changes nothing happened and nothing is written.
    pub(crate) async fn commit(
        &self,
        writing: Writing<'_>,
        changes: Vec<Change>,
    ) -> Result<(), TrackingError> {
        if changes.is_empty() {
            return Ok(());
        }
        let Writing {
            caller,
            at,
            kind,
            subjects,
        } = writing;
        let commit = Commit {
            actor: caller.actor.clone(),
            at,
            kind,
            subjects,
            reason: None,
            request: caller.request.clone(),
            changes,
        };
        self.store().commit(commit).await?;
        Ok(())
    }
}

/// Reads a filter and an order.
pub(crate) fn parse_query(
    filter: &str,
    order_by: &[&str],
    kind: SearchKind,
) -> Result<SearchQuery, TrackingError> {
    Ok(SearchQuery {
        conditions: parse_filter(filter, kind)?,
        order_by: parse_order_by(order_by, kind)?,
    })
}

/// What an event about a run names.
pub(crate) fn run_subject(id: &entities::RunId) -> String {
    format!("run:{id}")
}

/// What an event about an experiment names.
pub(crate) fn experiment_subject(id: &entities::ExperimentId) -> String {
    format!("experiment:{id}")
}

/// What an event about a logged model names.
pub(crate) fn model_subject(id: &entities::ModelId) -> String {
    format!("model:{id}")
}
