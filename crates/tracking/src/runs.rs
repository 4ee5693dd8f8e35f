//! Runs, without what is logged to them.

use std::collections::BTreeMap;

use entities::{
    Caller, Change, ExperimentId, Lifecycle, ProcessIdentity, Run, RunDetail, RunId, RunStatus,
    SearchKind, Timestamp,
};
use store::{Page, PageRequest, View};

use crate::experiments::join_location;
use crate::names::draw_name;
use crate::tracking::{Writing, experiment_subject, parse_query, run_subject};
use crate::validation::{Place, check_first_tags, check_page, check_tag};
use crate::{Tracking, TrackingError};

/// The tag that MLflow keeps a run's name in.
pub const RUN_NAME_TAG: &str = "mlflow.runName";

/// The tag that MLflow keeps the user in.
pub const USER_TAG: &str = "mlflow.user";

/// The tag that MLflow keeps the parent of a run in.
pub const PARENT_TAG: &str = "mlflow.parentRunId";

/// A run to be created.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// Its id; a random one where none is given.
    pub id: Option<RunId>,
    /// The experiment that it belongs to.
    pub experiment: ExperimentId,
    /// Its name; a random one where neither this nor the tag `mlflow.runName` gives it.
    pub name: Option<String>,
    /// Who started it; the tag `mlflow.user` says it where this is empty.
    pub user: String,
    /// When it was started; now where none is given.
    pub started_at: Option<Timestamp>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// The run inside which it was started; the tag `mlflow.parentRunId` says it where this is none.
    pub parent: Option<RunId>,
    /// The run that it replays.
    pub replay_of: Option<RunId>,
    /// The process that has it open.
    pub process: Option<ProcessIdentity>,
}

/// What changes of a run; what is none stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunUpdate {
    /// The new status.
    pub status: Option<RunStatus>,
    /// When it ended; now where a run ends and nobody says when.
    pub ended_at: Option<Timestamp>,
    /// The new name; an empty one is none.
    pub name: Option<String>,
}

impl Tracking {
    /// Creates a run under way, with its tags, in one event.
    pub async fn create_run(
        &self,
        caller: &Caller,
        new: NewRun,
    ) -> Result<RunDetail, TrackingError> {
        check_first_tags(&new.tags)?;
        let experiment = self.get_active_experiment(&new.experiment).await?;
        let (run, tags) = self.make_run(new, &experiment.artifact_location).await?;
        let mut subjects = vec![run_subject(&run.id), experiment_subject(&run.experiment)];
        subjects.extend(run.replay_of.iter().map(run_subject));
        let writing = Writing {
            caller,
            at: self.now(),
            kind: "run.created",
            subjects,
        };
        let changes = vec![
            Change::RunCreated { run: run.clone() },
            Change::TagsSet {
                run: run.id.clone(),
                tags: tags.clone(),
            },
        ];
        self.commit(writing, changes).await?;
        Ok(RunDetail {
            run,
            params: BTreeMap::new(),
            tags,
            metrics: Vec::new(),
            datasets: Vec::new(),
            model_inputs: Vec::new(),
            model_outputs: Vec::new(),
        })
    }

    /// Gives a new run its name, user and parent, each of which may be told by a field or by a tag.
    async fn make_run(
        &self,
        new: NewRun,
        location: &str,
    ) -> Result<(Run, BTreeMap<String, String>), TrackingError> {
        let NewRun {
            id,
            experiment,
            name,
            user,
            started_at,
            mut tags,
            parent,
            replay_of,
            process,
        } = new;
        let id = id.unwrap_or_else(|| RunId::random(self.random()));
        let name = self.choose_name(name, &tags)?;
        check_tag(RUN_NAME_TAG, &name, Place::Whole)?;
        tags.insert(RUN_NAME_TAG.to_owned(), name.clone());
        let user = if user.is_empty() {
            tags.get(USER_TAG).cloned().unwrap_or_default()
        } else {
            tags.entry(USER_TAG.to_owned())
                .or_insert_with(|| user.clone());
            user
        };
        let parent = match parent {
            Some(parent) => {
                tags.insert(PARENT_TAG.to_owned(), parent.to_string());
                Some(parent)
            }
            None => self.find_tagged_parent(&tags).await?,
        };
        let run = Run {
            artifact_uri: join_location(location, &[id.as_str(), "artifacts"]),
            id,
            experiment,
            name,
            user,
            status: RunStatus::Running,
            started_at: started_at.unwrap_or_else(|| self.now()),
            ended_at: None,
            lifecycle: Lifecycle::Active,
            parent,
            replay_of,
            process,
            is_interrupted: false,
            recipe: None,
            record: None,
        };
        Ok((run, tags))
    }

    fn choose_name(
        &self,
        name: Option<String>,
        tags: &BTreeMap<String, String>,
    ) -> Result<String, TrackingError> {
        let tag = tags.get(RUN_NAME_TAG).filter(|tag| !tag.is_empty());
        match (name.filter(|name| !name.is_empty()), tag) {
            (Some(name), Some(tag)) if name != *tag => Err(TrackingError::RunNameConflict {
                name,
                tag: tag.clone(),
            }),
            (Some(name), _) => Ok(name),
            (None, Some(tag)) => Ok(tag.clone()),
            (None, None) => Ok(draw_name(self.random())),
        }
    }

    /// The parent that a client's tag names, where it is a run of this store.
    async fn find_tagged_parent(
        &self,
        tags: &BTreeMap<String, String>,
    ) -> Result<Option<RunId>, TrackingError> {
        let Some(Ok(parent)) = tags.get(PARENT_TAG).map(|tag| tag.parse::<RunId>()) else {
            return Ok(None);
        };
        Ok(self.store().find_run(&parent).await?.map(|run| run.id))
    }

    /// Gets a run with its details, deleted or not.
    pub async fn get_run(&self, id: &RunId) -> Result<RunDetail, TrackingError> {
        self.store()
            .find_run_detail(id)
            .await?
            .ok_or_else(|| TrackingError::NoRun { id: id.clone() })
    }

    /// Changes status, end or name of an active run; gives it as it is then.
    pub async fn update_run(
        &self,
        caller: &Caller,
        id: &RunId,
        update: RunUpdate,
    ) -> Result<Run, TrackingError> {
        let run = self.get_active_run(id).await?;
        let RunUpdate {
            status,
            ended_at,
            name,
        } = update;
        let name = name.filter(|name| !name.is_empty());
        let ends = status.is_some_and(RunStatus::is_terminal);
        let at = self.now();
        let ended_at = ended_at.or_else(|| (ends && run.ended_at.is_none()).then_some(at));
        if status.is_none() && ended_at.is_none() && name.is_none() {
            return Ok(run);
        }
        let mut changes = vec![Change::RunUpdated {
            run: id.clone(),
            status,
            ended_at,
            name: name.clone(),
        }];
        if let Some(name) = name {
            check_tag(RUN_NAME_TAG, &name, Place::Whole)?;
            changes.push(Change::TagsSet {
                run: id.clone(),
                tags: BTreeMap::from([(RUN_NAME_TAG.to_owned(), name)]),
            });
        }
        let writing = Writing {
            caller,
            at,
            kind: if ends { "run.finished" } else { "run.updated" },
            subjects: vec![run_subject(id)],
        };
        self.commit(writing, changes).await?;
        self.get_bare_run(id).await
    }

    /// Deletes a run; it can be restored. Deleting a deleted one does nothing.
    pub async fn delete_run(&self, caller: &Caller, id: &RunId) -> Result<(), TrackingError> {
        self.set_run_lifecycle(caller, id, Lifecycle::Deleted).await
    }

    /// Restores a deleted run. Restoring an active one does nothing.
    pub async fn restore_run(&self, caller: &Caller, id: &RunId) -> Result<(), TrackingError> {
        self.set_run_lifecycle(caller, id, Lifecycle::Active).await
    }

    async fn set_run_lifecycle(
        &self,
        caller: &Caller,
        id: &RunId,
        lifecycle: Lifecycle,
    ) -> Result<(), TrackingError> {
        let run = self.get_bare_run(id).await?;
        if run.lifecycle == lifecycle {
            return Ok(());
        }
        let kind = match lifecycle {
            Lifecycle::Active => {
                // An active run in a deleted experiment would be seen by nobody.
                self.get_active_experiment(&run.experiment).await?;
                "run.restored"
            }
            Lifecycle::Deleted => "run.deleted",
        };
        let writing = Writing {
            caller,
            at: self.now(),
            kind,
            subjects: vec![run_subject(id)],
        };
        let change = Change::RunLifecycleSet {
            run: id.clone(),
            lifecycle,
        };
        self.commit(writing, vec![change]).await
    }

    /// Searches by MLflow's grammar. Without an order: last started first. No experiments: all of them.
    pub async fn search_runs(
        &self,
        experiments: &[ExperimentId],
        filter: &str,
        order_by: &[&str],
        view: View,
        page: &PageRequest,
    ) -> Result<Page<RunDetail>, TrackingError> {
        check_page(page)?;
        let query = parse_query(filter, order_by, SearchKind::Runs)?;
        let found = self.store().search_runs(experiments, &query, view, page);
        Ok(found.await?)
    }

    /// Gets a run, deleted or not.
    pub(crate) async fn get_bare_run(&self, id: &RunId) -> Result<Run, TrackingError> {
        self.store()
            .find_run(id)
            .await?
            .ok_or_else(|| TrackingError::NoRun { id: id.clone() })
    }

    pub(crate) async fn get_active_run(&self, id: &RunId) -> Result<Run, TrackingError> {
        let run = self.get_bare_run(id).await?;
        match run.lifecycle {
            Lifecycle::Active => Ok(run),
            Lifecycle::Deleted => Err(TrackingError::RunDeleted { id: id.clone() }),
        }
    }
}
