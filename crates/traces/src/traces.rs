//! The services, and the one way in which they write.

use std::sync::Arc;

use entities::{
    Caller, Change, Clock, Commit, Experiment, ExperimentId, Random, SealedRecord, Timestamp,
    Trace, TraceId, TraceRecord,
};
use store::Store;

use crate::TracesError;

/// All services over traces, their spans and assessments.
///
/// A cheap clone; all clones are the same.
#[derive(Clone)]
pub struct Traces {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

/// What a write is about, beside its changes.
pub(crate) struct Writing<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) kind: &'static str,
    pub(crate) subjects: Vec<String>,
}

impl Traces {
    /// Puts the services on a store, a clock and a generator.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self {
            inner: Arc::new(Inner {
                store,
                clock,
                random,
            }),
        }
    }

    pub(crate) fn store(&self) -> &dyn Store {
        self.inner.store.as_ref()
    }

    pub(crate) fn random(&self) -> &dyn Random {
        self.inner.random.as_ref()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// Where the files of a trace belong, whatever its tags say, which clients write.
    pub async fn artifact_uri(&self, trace: &Trace) -> Result<String, TracesError> {
        let experiment = self.get_experiment(&trace.experiment).await?;
        Ok(artifact_uri(&trace.id, &experiment))
    }

    pub(crate) async fn get_experiment(
        &self,
        id: &ExperimentId,
    ) -> Result<Experiment, TracesError> {
        self.store()
            .find_experiment(id)
            .await?
            .ok_or_else(|| TracesError::NoExperiment { id: id.clone() })
    }

    /// Commits changes with one event; without changes nothing happened and nothing is written.
    pub(crate) async fn commit(
        &self,
        writing: Writing<'_>,
        changes: Vec<Change>,
    ) -> Result<(), TracesError> {
        if changes.is_empty() {
            return Ok(());
        }
        let Writing {
            caller,
            kind,
            subjects,
        } = writing;
        let commit = Commit {
            actor: caller.actor.clone(),
            at: self.now(),
            kind,
            subjects,
            reason: None,
            request: caller.request.clone(),
            changes,
        };
        self.store().commit(commit).await?;
        Ok(())
    }

    /// Commits something that is said of a trace that is there.
    pub(crate) async fn note(
        &self,
        caller: &Caller,
        kind: &'static str,
        id: &TraceId,
        records: &[TraceRecord],
    ) -> Result<(), TracesError> {
        let writing = Writing {
            caller,
            kind,
            subjects: vec![trace_subject(id)],
        };
        let change = Change::TraceNoted {
            trace: id.clone(),
            records: records.iter().map(SealedRecord::seal).collect(),
        };
        self.commit(writing, vec![change]).await
    }
}

/// What an event about a trace names as its subject.
pub fn trace_subject(id: &TraceId) -> String {
    format!("trace:{id}")
}

pub(crate) fn experiment_subject(id: &ExperimentId) -> String {
    format!("experiment:{id}")
}

/// What makes a trace, or adds to it.
pub(crate) fn logged(trace: &TraceId, experiment: &Experiment, records: &[TraceRecord]) -> Change {
    Change::TraceLogged {
        trace: trace.clone(),
        experiment: experiment.id.clone(),
        artifact_uri: artifact_uri(trace, experiment),
        records: records.iter().map(SealedRecord::seal).collect(),
    }
}

fn artifact_uri(trace: &TraceId, experiment: &Experiment) -> String {
    let location = experiment.artifact_location.trim_end_matches('/');
    format!("{location}/traces/{trace}/artifacts")
}
