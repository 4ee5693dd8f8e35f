//! The services, and the one way in which they write.

use std::sync::Arc;

use cas::Cas;
use entities::{
    Caller, Change, Clock, Commit, SearchKind, SearchQuery, VersionNumber, parse_filter,
    parse_order_by,
};
use store::{Prompts, Store};

use crate::RegistryError;

/// All services over registered models and their versions.
///
/// A cheap clone; all clones are the same.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    cas: Cas,
    clock: Arc<dyn Clock>,
    /// Held while a version is registered, so that callers of one process do not take each other's next number.
    creating_version: tokio::sync::Mutex<()>,
}

/// What a write is about, beside its changes.
pub(crate) struct Writing<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) kind: &'static str,
    pub(crate) subjects: Vec<String>,
    /// Why, where somebody said so.
    pub(crate) reason: Option<String>,
}

impl Registry {
    /// Puts the services on a store, its objects and a clock.
    pub fn new(store: Arc<dyn Store>, cas: Cas, clock: Arc<dyn Clock>) -> Self {
        Self {
            inner: Arc::new(Inner {
                store,
                cas,
                clock,
                creating_version: tokio::sync::Mutex::new(()),
            }),
        }
    }

    pub(crate) fn store(&self) -> &dyn Store {
        self.inner.store.as_ref()
    }

    pub(crate) fn cas(&self) -> &Cas {
        &self.inner.cas
    }

    pub(crate) fn now(&self) -> entities::Timestamp {
        self.inner.clock.now()
    }

    pub(crate) async fn lock_creating_version(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.inner.creating_version.lock().await
    }

    /// Commits changes with one event.
    pub(crate) async fn commit(
        &self,
        writing: Writing<'_>,
        changes: Vec<Change>,
    ) -> Result<(), RegistryError> {
        let Writing {
            caller,
            kind,
            subjects,
            reason,
        } = writing;
        let commit = Commit {
            actor: caller.actor.clone(),
            at: self.now(),
            kind,
            subjects,
            reason,
            request: caller.request.clone(),
            changes,
        };
        self.store().commit(commit).await?;
        Ok(())
    }
}

/// What an event about a registered model names as its subject.
pub fn model_subject(name: &str) -> String {
    format!("registered-model:{name}")
}

/// What an event about a version names as its subject.
pub fn version_subject(name: &str, version: VersionNumber) -> String {
    format!("model-version:{name}/{version}")
}

/// Reads a filter and an order, and whether they ask for prompts.
///
/// Prompts are asked for by their tag alone. What is not one has no such tag, so that a condition on it would find
/// nothing: it is taken off, as MLflow does.
pub(crate) fn parse_query(
    filter: &str,
    order_by: &[&str],
    kind: SearchKind,
) -> Result<(SearchQuery, Prompts), RegistryError> {
    let mut conditions = parse_filter(filter, kind)?;
    let asks_for_prompts = conditions.iter().any(asks_for_prompts);
    if !asks_for_prompts {
        conditions.retain(|condition| !is_about_prompts(condition));
    }
    let query = SearchQuery {
        conditions,
        order_by: parse_order_by(order_by, kind)?,
    };
    let prompts = if asks_for_prompts {
        Prompts::Included
    } else {
        Prompts::LeftOut
    };
    Ok((query, prompts))
}

fn is_about_prompts(condition: &entities::Condition) -> bool {
    condition.field == entities::Field::Tag(entities::PROMPT_TAG.to_owned())
}

fn asks_for_prompts(condition: &entities::Condition) -> bool {
    use entities::{Comparison, Operator};
    is_about_prompts(condition)
        && match &condition.comparison {
            Comparison::Text(Operator::Equal, value) => value.eq_ignore_ascii_case("true"),
            Comparison::Text(Operator::NotEqual, value) => value.eq_ignore_ascii_case("false"),
            _ => false,
        }
}
