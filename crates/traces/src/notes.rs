//! What may be said of a trace later: tags, its run, its prompts.

use std::collections::BTreeMap;

use entities::{Caller, Change, RunId, TraceId, TraceRecord};
use store::StoreError;

use crate::traces::{Writing, trace_subject};
use crate::validation::{check_tag, check_tag_is_free};
use crate::{Traces, TracesError};

/// Traces in one request that links them.
pub const LARGEST_LINK_COUNT: usize = 100;

impl Traces {
    /// Sets a tag.
    pub async fn set_tag(
        &self,
        caller: &Caller,
        id: &TraceId,
        key: &str,
        value: &str,
    ) -> Result<(), TracesError> {
        check_tag_is_free(key, "set")?;
        check_tag(key, value)?;
        let tags = BTreeMap::from([(key.to_owned(), value.to_owned())]);
        self.note(caller, "trace.tagged", id, &[TraceRecord::Tagged { tags }])
            .await
    }

    /// Deletes a tag.
    pub async fn delete_tag(
        &self,
        caller: &Caller,
        id: &TraceId,
        key: &str,
    ) -> Result<(), TracesError> {
        check_tag_is_free(key, "deleted")?;
        let writing = Writing {
            caller,
            kind: "trace.untagged",
            subjects: vec![trace_subject(id)],
        };
        let change = Change::TraceTagDeleted {
            trace: id.clone(),
            key: key.to_owned(),
        };
        match self.commit(writing, vec![change]).await {
            Err(TracesError::Store(StoreError::NoTag { key, .. })) => Err(TracesError::NoTag {
                key,
                trace: id.clone(),
            }),
            other => other,
        }
    }

    /// Links traces to a run; those that are not there, or linked already, are passed over.
    pub async fn link_to_run(
        &self,
        caller: &Caller,
        ids: &[TraceId],
        run: &RunId,
    ) -> Result<(), TracesError> {
        if ids.len() > LARGEST_LINK_COUNT {
            return Err(TracesError::TooManyLinks {
                limit: LARGEST_LINK_COUNT,
                given: ids.len(),
            });
        }
        if self.store().find_run(run).await?.is_none() {
            return Err(TracesError::NoRun { id: run.clone() });
        }
        let mut traces = Vec::with_capacity(ids.len());
        for id in ids {
            if self.store().find_trace(id).await?.is_some() && !traces.contains(id) {
                traces.push(id.clone());
            }
        }
        if traces.is_empty() {
            return Ok(());
        }
        let mut subjects = vec![format!("run:{run}")];
        subjects.extend(traces.iter().map(trace_subject));
        let writing = Writing {
            caller,
            kind: "trace.linked",
            subjects,
        };
        let change = Change::TracesLinked {
            traces,
            run: run.clone(),
        };
        self.commit(writing, vec![change]).await
    }

    /// Links versions of prompts to a trace.
    pub async fn link_prompts(
        &self,
        caller: &Caller,
        id: &TraceId,
        prompts: Vec<(String, String)>,
    ) -> Result<(), TracesError> {
        if prompts.is_empty() {
            return Ok(());
        }
        let mut subjects = vec![trace_subject(id)];
        let versions = prompts
            .iter()
            .map(|(name, version)| format!("model-version:{name}/{version}"));
        subjects.extend(versions);
        let writing = Writing {
            caller,
            kind: "trace.linked",
            subjects,
        };
        let change = Change::PromptsLinked {
            trace: id.clone(),
            prompts,
        };
        self.commit(writing, vec![change]).await
    }
}
