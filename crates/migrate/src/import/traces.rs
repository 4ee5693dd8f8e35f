//! Writing traces.

use std::collections::BTreeMap;

use entities::{
    Artifact, Assessment, Change, Commit, Leaf, Lifecycle, SealedRecord, TRACE_ARTIFACTS_TAG,
    TraceId, TraceRecord,
};
use futures_util::future::try_join_all;
use store::StoreError;

use super::{Import, put};
use crate::MigrateError;
use crate::artifacts::store_files;
use crate::source::{SourceTrace, TraceLinks, TracePlace};

/// Traces that are committed at once, so that they share transactions.
const TRACES_AT_ONCE: usize = 256;

/// Bytes of records that are held at once, but for those of a single trace.
const BYTES_AT_ONCE: usize = 32 << 20;

impl Import<'_> {
    /// Which traces are not there, by their places in the list. Those that somebody removed for good are not missing.
    pub(super) async fn find_missing_traces(
        &mut self,
        traces: &[TracePlace],
    ) -> Result<Vec<usize>, MigrateError> {
        let mut missing = Vec::new();
        for (index, place) in traces.iter().enumerate() {
            let is_there = self.store().find_trace(&place.id).await?.is_some();
            if is_there || self.was_trace_removed(&place.id).await? {
                self.report.traces.there += 1;
            } else {
                missing.push(index);
            }
        }
        Ok(missing)
    }

    /// Whether a trace that is not there was once, and somebody removed it for good.
    async fn was_trace_removed(&self, id: &TraceId) -> Result<bool, MigrateError> {
        self.was_removed(&format!("trace:{id}"), "traces.deleted")
            .await
    }

    /// Whether the last event about something, which is not there, is that somebody removed it.
    pub(super) async fn was_removed(
        &self,
        subject: &str,
        removed: &str,
    ) -> Result<bool, MigrateError> {
        let events = self.store().list_events_of(subject, 1).await?;
        let Some(last) = events.first() else {
            return Ok(false);
        };
        let kind = Leaf::decode(&last.leaf).map_err(StoreError::from)?.kind;
        Ok(kind == removed)
    }

    /// Whether an experiment must be open for a trace that is not there: not for one that cannot be read.
    pub(super) async fn waits_for(&self, place: &TracePlace) -> Result<bool, MigrateError> {
        let there = self.store().find_experiment(&place.experiment).await?;
        let is_deleted = there.is_some_and(|there| there.lifecycle == Lifecycle::Deleted);
        Ok(!is_deleted || self.source.trace(&place.id)?.trace.is_some())
    }

    /// Imports the traces that are not there, each in one commit, many commits at a time.
    pub(super) async fn import_traces(
        &mut self,
        traces: &[TracePlace],
        missing: &[usize],
    ) -> Result<(), MigrateError> {
        let mut commits = Vec::new();
        let mut batch = self.target.cas.batch();
        let mut bytes = 0;
        for (index, place) in missing.iter().enumerate() {
            // What cannot be read is told when both sides are compared.
            if let Some(found) = self.source.trace(&traces[*place].id)?.trace {
                let files = self.places.files_of_trace(&found)?;
                let artifacts = store_files(&batch, &files.files, &mut self.stored)?;
                self.report.traces.new += 1;
                self.report.spans += found.spans.len() as u64;
                self.report.assessments += found.assessments.len() as u64;
                self.count_files(&artifacts);
                let commit = self.commit_of_trace(found, artifacts);
                bytes += commit.changes.iter().map(size_of_records).sum::<usize>();
                commits.push(commit);
            }
            let is_last = index + 1 == missing.len();
            if is_last || commits.len() == TRACES_AT_ONCE || bytes >= BYTES_AT_ONCE {
                // The bytes first, then the rows that name them.
                let full = std::mem::replace(&mut batch, self.target.cas.batch());
                full.commit()?;
                let committing = commits.drain(..).map(|commit| self.store().commit(commit));
                try_join_all(committing).await?;
                bytes = 0;
                self.tell("traces", index + 1, missing.len());
            }
        }
        Ok(())
    }

    fn commit_of_trace(&self, found: SourceTrace, artifacts: Vec<Artifact>) -> Commit {
        let trace = self.places.of_trace(&found);
        let SourceTrace {
            trace: _,
            spans,
            archived_spans: _,
            assessments,
            links: TraceLinks { runs, prompts },
            folder: _,
        } = found;
        let id = trace.id.clone();
        let experiment = trace.experiment.clone();
        let artifact_uri = trace.tags[TRACE_ARTIFACTS_TAG].clone();
        let mut subjects = vec![format!("trace:{id}"), format!("experiment:{experiment}")];
        subjects.extend(runs.iter().map(|run| format!("run:{run}")));
        let versions = prompts
            .iter()
            .map(|(name, version)| format!("model-version:{name}/{version}"));
        subjects.extend(versions);
        let mut told = vec![SealedRecord::seal(&TraceRecord::Started { trace })];
        told.extend(assessed(assessments));
        let spans: Vec<_> = spans
            .into_iter()
            .map(|span| SealedRecord::seal(&TraceRecord::Spanned { span }))
            .collect();
        let logged = |records| Change::TraceLogged {
            trace: id.clone(),
            experiment: experiment.clone(),
            artifact_uri,
            records,
        };
        let mut changes = if spans.is_empty() {
            vec![logged(told)]
        } else {
            // The trace comes after its spans, so that what MLflow had on record stands, and not what follows from them.
            let noted = Change::TraceNoted {
                trace: id.clone(),
                records: told,
            };
            vec![logged(spans), noted]
        };
        changes.extend(runs.into_iter().map(|run| Change::TracesLinked {
            traces: vec![id.clone()],
            run,
        }));
        if !prompts.is_empty() {
            changes.push(Change::PromptsLinked { trace: id, prompts });
        }
        changes.extend(put(artifacts));
        self.new_commit("trace.imported", subjects, changes)
    }
}

/// Records of assessments, in an order in which each is as valid afterwards as it was.
///
/// One that replaces another makes it invalid. Where the other is gone or still valid, it is told first without the one
/// that it replaces, and then with it, as when it is changed.
fn assessed(assessments: Vec<Assessment>) -> Vec<SealedRecord> {
    let mut made: BTreeMap<String, bool> = BTreeMap::new();
    let mut records = Vec::with_capacity(assessments.len());
    let mut tell = |assessment: Assessment| {
        records.push(SealedRecord::seal(&TraceRecord::Assessed { assessment }));
    };
    for assessment in assessments {
        made.insert(assessment.id.clone(), assessment.is_valid);
        let replaced = assessment.overrides.as_ref();
        if replaced.is_some_and(|id| *id == assessment.id || made.get(id) != Some(&false)) {
            tell(Assessment {
                overrides: None,
                ..assessment.clone()
            });
        }
        tell(assessment);
    }
    records
}

fn size_of_records(change: &Change) -> usize {
    let (Change::TraceLogged { records, .. } | Change::TraceNoted { records, .. }) = change else {
        return 0;
    };
    let encoded = records.iter().filter_map(|record| record.encoded.as_ref());
    encoded.map(String::len).sum()
}
