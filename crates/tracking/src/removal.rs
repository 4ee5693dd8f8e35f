//! Removal of deleted runs and experiments for good: what a policy allows, and no more.

use std::collections::{BTreeMap, BTreeSet};

use entities::{
    Caller, Change, Commit, ExperimentId, ModelId, RunId, TRACE_ARTIFACTS_TAG, TRACE_RUN_KEY,
    Timestamp, Trace, TraceId, VersionNumber, proxied_path,
};
use store::{Bond, Deleted, DeletedExperiment, DeletedRun, StoreError};

use crate::initial::default_experiment_id;
use crate::tracking::{experiment_subject, run_subject};
use crate::{Tracking, TrackingError};

/// Runs that one event removes: whoever writes meanwhile waits for it where several servers share a database.
const LARGEST_REMOVAL: usize = 100;

/// Traces from which on runs that go together are divided.
const LARGEST_TRACE_REMOVAL: usize = 1000;

/// How often a removal is tried that others stood in the way of.
const ATTEMPTS_MAX: usize = 4;

/// What a project says of removing for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovalPolicy {
    /// How long something must have been deleted, in milliseconds.
    pub deleted_for_ms: u64,
    /// Tags of a run or its experiment that hold it.
    pub hold_tags: Vec<String>,
}

/// What is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemovalScope {
    /// These runs; they must be there.
    pub runs: Vec<RunId>,
    /// These experiments with all their runs; they must be there.
    pub experiments: Vec<ExperimentId>,
    /// Only what was deleted so long ago, in milliseconds.
    pub older_than_ms: Option<u64>,
}

impl RemovalScope {
    /// Whether all that is deleted is looked at.
    pub fn is_everything(&self) -> bool {
        self.runs.is_empty() && self.experiments.is_empty()
    }
}

/// Why something stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keeper {
    /// It is not deleted.
    NotDeleted,
    /// The policy lets it go only then.
    Policy {
        /// When.
        from: Timestamp,
    },
    /// A tag holds it.
    Tag {
        /// Which.
        key: String,
    },
    /// It made a version of a registered model.
    Version {
        /// The name.
        name: String,
        /// Which version.
        version: VersionNumber,
    },
    /// A run that stays needs it.
    Run {
        /// Which.
        run: RunId,
        /// What that run is to it.
        bond: Bond,
    },
    /// It measured a logged model that no run made, and that stays.
    Model {
        /// Which.
        model: ModelId,
    },
    /// The experiment has runs that stay.
    Runs {
        /// How many.
        count: usize,
    },
    /// It is the default experiment, which clients use without asking.
    Default,
    /// It was refused when it was to go.
    Refused {
        /// In words.
        reason: String,
    },
}

/// Something that stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptRun {
    /// Which.
    pub id: RunId,
    /// Why.
    pub keepers: Vec<Keeper>,
}

/// An experiment that stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptExperiment {
    /// Which.
    pub id: ExperimentId,
    /// Why.
    pub keepers: Vec<Keeper>,
}

/// What may go and what stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemovalPlan {
    /// Runs that may go, those first that follow from others.
    pub runs: Vec<DeletedRun>,
    /// Experiments that may go after them.
    pub experiments: Vec<DeletedExperiment>,
    /// Runs that stay.
    pub kept_runs: Vec<KeptRun>,
    /// Experiments that stay.
    pub kept_experiments: Vec<KeptExperiment>,
}

impl Tracking {
    /// Lists what of the deleted may be removed for good, and why the rest stays.
    ///
    /// *Errors*: `NoRun` and `NoExperiment` for those that the scope names.
    pub async fn plan_removal(
        &self,
        policy: &RemovalPolicy,
        scope: &RemovalScope,
    ) -> Result<RemovalPlan, TrackingError> {
        for run in &scope.runs {
            self.get_bare_run(run).await?;
        }
        for experiment in &scope.experiments {
            self.get_experiment(experiment).await?;
        }
        let deleted = self.store().list_deleted(&policy.hold_tags).await?;
        Ok(plan(deleted, policy, scope, self.now()))
    }

    /// Removes runs for good. Tells those that were refused: since the plan was made they were restored, or something was
    /// made of them.
    pub async fn remove_runs(
        &self,
        caller: &Caller,
        runs: &[DeletedRun],
        reason: &str,
    ) -> Result<Vec<KeptRun>, TrackingError> {
        let mut kept = Vec::new();
        for group in runs.chunks(LARGEST_REMOVAL) {
            let ids: Vec<RunId> = group.iter().map(|run| run.id.clone()).collect();
            match self.remove_group(caller, &ids, reason).await {
                Ok(()) => continue,
                Err(
                    TrackingError::Store(StoreError::Kept { .. }) | TrackingError::NoRun { .. },
                ) => {}
                Err(error) => return Err(error),
            }
            // One of them stands in the way of the others.
            for id in ids {
                match self
                    .remove_group(caller, std::slice::from_ref(&id), reason)
                    .await
                {
                    // Somebody else removed it.
                    Ok(()) | Err(TrackingError::NoRun { .. }) => {}
                    Err(TrackingError::Store(StoreError::Kept { reason, .. })) => {
                        let reason = reason.to_owned();
                        kept.push(KeptRun {
                            id,
                            keepers: vec![Keeper::Refused { reason }],
                        });
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(kept)
    }

    /// Removes an experiment without runs for good; tells why where it was refused.
    pub async fn remove_experiment(
        &self,
        caller: &Caller,
        id: &ExperimentId,
        reason: &str,
    ) -> Result<Option<KeptExperiment>, TrackingError> {
        let mut attempt = 1;
        let removed = loop {
            let removed = self.remove_with_traces(caller, id, reason).await;
            match removed {
                Err(error) if is_overtaken(&error) && attempt < ATTEMPTS_MAX => attempt += 1,
                other => break other,
            }
        };
        match removed {
            Ok(()) | Err(TrackingError::NoExperiment { .. }) => Ok(None),
            Err(TrackingError::Store(StoreError::Kept { reason, .. })) => {
                Ok(Some(KeptExperiment {
                    id: id.clone(),
                    keepers: vec![Keeper::Refused {
                        reason: reason.to_owned(),
                    }],
                }))
            }
            Err(error) => Err(error),
        }
    }

    /// One event, however many traces there are: whoever restores or holds the experiment meanwhile keeps all of them.
    async fn remove_with_traces(
        &self,
        caller: &Caller,
        id: &ExperimentId,
        reason: &str,
    ) -> Result<(), TrackingError> {
        let end = Timestamp::from_micros(i64::MAX);
        let traces = self
            .store()
            .list_traces_until(id, end, i32::MAX as usize)
            .await?;
        let mut changes = self.list_trace_changes(traces).await?;
        changes.push(Change::ExperimentRemoved {
            experiment: id.clone(),
        });
        let subjects = vec![experiment_subject(id)];
        self.commit_removal(caller, "experiment.removed", subjects, reason, changes)
            .await
    }

    async fn remove_group(
        &self,
        caller: &Caller,
        runs: &[RunId],
        reason: &str,
    ) -> Result<(), TrackingError> {
        let mut attempt = 1;
        loop {
            let mut traces = Vec::new();
            for run in runs {
                traces.extend(self.list_traces_made_in(run).await?);
            }
            // Traces go with their run in one event, or neither does.
            if traces.len() > LARGEST_TRACE_REMOVAL && runs.len() > 1 {
                let (first, rest) = runs.split_at(runs.len() / 2);
                Box::pin(self.remove_group(caller, first, reason)).await?;
                return Box::pin(self.remove_group(caller, rest, reason)).await;
            }
            let mut changes = self.list_trace_changes(traces).await?;
            changes.push(Change::RunsRemoved {
                runs: runs.to_vec(),
            });
            let subjects = runs.iter().map(run_subject).collect();
            match self
                .commit_removal(caller, "runs.removed", subjects, reason, changes)
                .await
            {
                Err(error) if is_overtaken(&error) && attempt < ATTEMPTS_MAX => attempt += 1,
                other => return other,
            }
        }
    }

    /// Traces that were made in a run, not those that were only linked to it. Clients write which run made a trace: one of
    /// another experiment may be of people who do not know the run.
    async fn list_traces_made_in(&self, run: &RunId) -> Result<Vec<TraceId>, TrackingError> {
        let experiment = self.get_bare_run(run).await?.experiment;
        let mut made = Vec::new();
        for id in self
            .store()
            .list_traces_of_run(run, i32::MAX as usize)
            .await?
        {
            let found = self.store().find_trace(&id).await?;
            let is_made = found.is_some_and(|found| {
                let told = found.trace.metadata.get(TRACE_RUN_KEY);
                found.trace.experiment == experiment
                    && told.is_some_and(|told| told == run.as_str())
            });
            if is_made {
                made.push(id);
            }
        }
        Ok(made)
    }

    /// What removes traces with their files.
    async fn list_trace_changes(&self, traces: Vec<TraceId>) -> Result<Vec<Change>, TrackingError> {
        let mut changes = Vec::new();
        for id in &traces {
            let Some(found) = self.store().find_trace(id).await? else {
                continue;
            };
            if let Some(path) = self.own_folder(&found.trace).await?
                && !self.store().list_artifacts_below(&path).await?.is_empty()
            {
                changes.push(Change::ArtifactDeleted { path });
            }
        }
        if !traces.is_empty() {
            changes.push(Change::TracesDeleted { traces });
        }
        Ok(changes)
    }

    /// The folder that only this trace has. Where its files are is a tag, which clients may set to the folder of anything
    /// else: it counts only where it tells the folder that the trace was given when it began, or was taken over to.
    async fn own_folder(&self, trace: &Trace) -> Result<Option<String>, TrackingError> {
        let uri = trace.tags.get(TRACE_ARTIFACTS_TAG);
        let Some(folder) = uri.and_then(|uri| proxied_path(uri)) else {
            return Ok(None);
        };
        let Trace { id, experiment, .. } = trace;
        let location = self.get_experiment(experiment).await?.artifact_location;
        let is_own = [proxied_path(&location), Some(experiment.as_str())]
            .into_iter()
            .flatten()
            .any(|above| folder == format!("{above}/traces/{id}/artifacts"));
        Ok(is_own.then(|| folder.to_owned()))
    }

    async fn commit_removal(
        &self,
        caller: &Caller,
        kind: &'static str,
        subjects: Vec<String>,
        reason: &str,
        changes: Vec<Change>,
    ) -> Result<(), TrackingError> {
        let commit = Commit {
            actor: caller.actor.clone(),
            at: self.now(),
            kind,
            subjects,
            reason: Some(reason.to_owned()),
            request: caller.request.clone(),
            changes,
        };
        self.store().commit(commit).await?;
        Ok(())
    }
}

/// Whether somebody else removed a trace, or a file of one, in the same moment.
const fn is_overtaken(error: &TrackingError) -> bool {
    matches!(
        error,
        TrackingError::NoArtifact { .. } | TrackingError::Store(StoreError::NoTrace { .. })
    )
}

/// Divides what is deleted into what may go and what stays.
fn plan(
    deleted: Deleted,
    policy: &RemovalPolicy,
    scope: &RemovalScope,
    now: Timestamp,
) -> RemovalPlan {
    let Deleted { runs, experiments } = deleted;
    let mut plan = RemovalPlan::default();
    let older_than_ms = scope.older_than_ms.unwrap_or(0);
    let is_as_old = |deleted_at: Timestamp, wait_ms: u64| {
        let age_ms = now.as_millis().saturating_sub(deleted_at.as_millis());
        i128::from(age_ms) >= i128::from(wait_ms)
    };
    // What is named is told of, whatever its age; of the rest only what is as old as was asked for.
    let too_young = |deleted_at: Timestamp, is_named: bool| {
        let asked_ms = if is_named { older_than_ms } else { 0 };
        let wait_ms = policy.deleted_for_ms.max(asked_ms);
        (!is_as_old(deleted_at, wait_ms)).then(|| {
            let wait_ms = i64::try_from(wait_ms).unwrap_or(i64::MAX);
            Keeper::Policy {
                from: Timestamp::from_millis(deleted_at.as_millis().saturating_add(wait_ms)),
            }
        })
    };
    let mut candidates = BTreeMap::new();
    let mut order = Vec::new();
    for run in runs {
        let is_named = scope.runs.contains(&run.id) || scope.experiments.contains(&run.experiment);
        let is_asked_for = scope.is_everything() && is_as_old(run.deleted_at, older_than_ms);
        if !is_named && !is_asked_for {
            continue;
        }
        let mut keepers: Vec<Keeper> = too_young(run.deleted_at, is_named).into_iter().collect();
        keepers.extend(held(&run.holds));
        keepers.extend(registered(&run.versions));
        keepers.extend(run.models.iter().map(|model| Keeper::Model {
            model: model.clone(),
        }));
        if keepers.is_empty() {
            order.push(run.id.clone());
            candidates.insert(run.id.clone(), run);
        } else {
            plan.kept_runs.push(KeptRun {
                id: run.id,
                keepers,
            });
        }
    }
    keep_what_is_needed(&mut candidates, &order, &mut plan.kept_runs);
    // Those that began last first: what follows from a run began after it.
    plan.runs = order
        .iter()
        .filter_map(|id| candidates.remove(id))
        .collect();
    let going: BTreeSet<RunId> = plan.runs.iter().map(|run| run.id.clone()).collect();
    for experiment in experiments {
        let is_named = scope.experiments.contains(&experiment.id);
        let is_asked_for = scope.is_everything() && is_as_old(experiment.deleted_at, older_than_ms);
        if !is_named && !is_asked_for {
            continue;
        }
        let mut keepers: Vec<Keeper> = too_young(experiment.deleted_at, is_named)
            .into_iter()
            .collect();
        keepers.extend(held(&experiment.holds));
        keepers.extend(registered(&experiment.versions));
        if experiment.id == default_experiment_id() {
            keepers.push(Keeper::Default);
        }
        let staying = experiment.runs.iter().filter(|run| !going.contains(run));
        let count = staying.count();
        if count > 0 {
            keepers.push(Keeper::Runs { count });
        }
        if keepers.is_empty() {
            plan.experiments.push(experiment);
        } else {
            plan.kept_experiments.push(KeptExperiment {
                id: experiment.id,
                keepers,
            });
        }
    }
    add_undeleted(&mut plan, scope);
    plan
}

/// Keeps runs that something needs which stays, and those that these need, and so on.
fn keep_what_is_needed(
    candidates: &mut BTreeMap<RunId, DeletedRun>,
    order: &[RunId],
    kept: &mut Vec<KeptRun>,
) {
    loop {
        let mut needed = Vec::new();
        for id in order {
            let Some(run) = candidates.get(id) else {
                continue;
            };
            let keepers: Vec<Keeper> = run
                .bonds
                .iter()
                .filter(|(other, _)| !candidates.contains_key(other))
                .map(|(run, bond)| Keeper::Run {
                    run: run.clone(),
                    bond: *bond,
                })
                .collect();
            if !keepers.is_empty() {
                needed.push(KeptRun {
                    id: id.clone(),
                    keepers,
                });
            }
        }
        if needed.is_empty() {
            return;
        }
        for run in &needed {
            candidates.remove(&run.id);
        }
        kept.extend(needed);
    }
}

/// What the scope names and is not deleted.
fn add_undeleted(plan: &mut RemovalPlan, scope: &RemovalScope) {
    for id in &scope.runs {
        let is_told = plan.runs.iter().any(|run| run.id == *id)
            || plan.kept_runs.iter().any(|run| run.id == *id);
        if !is_told {
            plan.kept_runs.push(KeptRun {
                id: id.clone(),
                keepers: vec![Keeper::NotDeleted],
            });
        }
    }
    for id in &scope.experiments {
        let is_told = plan
            .experiments
            .iter()
            .any(|experiment| experiment.id == *id)
            || plan
                .kept_experiments
                .iter()
                .any(|experiment| experiment.id == *id);
        if !is_told {
            plan.kept_experiments.push(KeptExperiment {
                id: id.clone(),
                keepers: vec![Keeper::NotDeleted],
            });
        }
    }
}

fn held(tags: &[String]) -> impl Iterator<Item = Keeper> {
    tags.iter().map(|key| Keeper::Tag { key: key.clone() })
}

fn registered(versions: &[(String, VersionNumber)]) -> impl Iterator<Item = Keeper> {
    versions.iter().map(|(name, version)| Keeper::Version {
        name: name.clone(),
        version: *version,
    })
}
