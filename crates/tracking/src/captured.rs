//! Captured runs and replays: how they end and what came of them.

use std::collections::BTreeMap;

use entities::{
    Caller, Change, Lifecycle, Metric, ObjectId, ReplayVerdict, RunId, RunStatus, Timestamp,
};

use crate::tracking::{Writing, run_subject};
use crate::{Tracking, TrackingError};

/// How a captured run ended, and what was seen of it.
#[derive(Clone, Debug, PartialEq)]
pub struct FinishedRun {
    /// Which.
    pub run: RunId,
    /// How it ended.
    pub status: RunStatus,
    /// When it ended.
    pub ended_at: Timestamp,
    /// The recipe of its manifest.
    pub recipe: ObjectId,
    /// The record of its manifest.
    pub record: ObjectId,
    /// Params that were read from outside; those that were logged explicitly stay as they are.
    pub params: BTreeMap<String, String>,
    /// Points that were read or measured from outside.
    pub metrics: Vec<Metric>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// How often something may come between while the run is being closed before it is reported.
const ATTEMPTS_MAX: usize = 10;

impl Tracking {
    /// Closes a captured run: manifest, params, metrics, tags, status and end in one event.
    ///
    /// What was captured of a run that was deleted meanwhile is kept too; the run stays deleted.
    /// Keys and values are kept as they were found, whatever MLflow's rules for them, since they come from the files and
    /// the command line of the run.
    pub async fn finish_captured(
        &self,
        caller: &Caller,
        finished: FinishedRun,
    ) -> Result<(), TrackingError> {
        for _ in 1..ATTEMPTS_MAX {
            match self.try_finish(caller, &finished).await {
                // A client that still runs logged one of the params just now, and wins; or somebody deleted the run.
                Err(TrackingError::ParamsChanged { .. } | TrackingError::RunDeleted { .. }) => {}
                other => return other,
            }
        }
        self.try_finish(caller, &finished).await
    }

    async fn try_finish(
        &self,
        caller: &Caller,
        finished: &FinishedRun,
    ) -> Result<(), TrackingError> {
        let FinishedRun {
            run,
            status,
            ended_at,
            recipe,
            record,
            params,
            metrics,
            tags,
        } = finished;
        let there = self.get_run(run).await?;
        let missing: BTreeMap<_, _> = params
            .iter()
            .filter(|(key, _)| !there.params.contains_key(*key))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let set_lifecycle = |lifecycle| Change::RunLifecycleSet {
            run: run.clone(),
            lifecycle,
        };
        let is_deleted = there.run.lifecycle == Lifecycle::Deleted;
        let mut changes = Vec::new();
        if is_deleted {
            changes.push(set_lifecycle(Lifecycle::Active));
        }
        changes.push(Change::ManifestRecorded {
            run: run.clone(),
            recipe: *recipe,
            record: *record,
        });
        if !missing.is_empty() {
            changes.push(Change::ParamsLogged {
                run: run.clone(),
                params: missing,
            });
        }
        if !metrics.is_empty() {
            changes.push(Change::metrics(run.clone(), metrics.clone()));
        }
        if !tags.is_empty() {
            changes.push(Change::TagsSet {
                run: run.clone(),
                tags: tags.clone(),
            });
        }
        changes.push(Change::RunUpdated {
            run: run.clone(),
            status: Some(*status),
            ended_at: Some(*ended_at),
            name: None,
        });
        if is_deleted {
            changes.push(set_lifecycle(Lifecycle::Deleted));
        }
        let writing = Writing {
            caller,
            at: self.now(),
            kind: "run.finished",
            subjects: vec![run_subject(run)],
        };
        self.commit(writing, changes).await
    }

    /// Keeps what came of a replay, as an event about its origin.
    pub async fn judge_replay(
        &self,
        caller: &Caller,
        verdict: ReplayVerdict,
    ) -> Result<(), TrackingError> {
        let writing = Writing {
            caller,
            at: self.now(),
            kind: "replay.judged",
            subjects: vec![run_subject(&verdict.origin), run_subject(&verdict.replay)],
        };
        self.commit(writing, vec![Change::ReplayJudged { verdict }])
            .await
    }

    /// Replays of a run, oldest first.
    pub async fn list_replays(&self, origin: &RunId) -> Result<Vec<ReplayVerdict>, TrackingError> {
        Ok(self.store().list_replays(origin).await?)
    }
}
