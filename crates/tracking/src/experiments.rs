//! Experiments.

use std::collections::BTreeMap;

use entities::{Caller, Change, Experiment, ExperimentId, Lifecycle, ResourceKind, SearchKind};
use store::{Page, PageRequest, StoreError, View};

use crate::initial::{DEFAULT_EXPERIMENT, default_experiment_id, location_of};
use crate::tracking::{Writing, experiment_subject, parse_query, run_subject};
use crate::validation::{
    check_artifact_location, check_experiment_name, check_experiment_tag, check_page,
};
use crate::{Tracking, TrackingError};

/// An experiment to be created.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewExperiment {
    /// Its name.
    pub name: String,
    /// URI below which its runs keep their artifacts; one below `mlflow-artifacts:/` where none is given.
    pub artifact_location: Option<String>,
    /// Where none is given: URI of the folder in which its own is to be, under its id.
    pub artifact_root: Option<String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// How often an id may be taken by another process before this one gives up.
const ATTEMPTS_MAX: usize = 100;

impl Tracking {
    /// Creates an experiment under the next free id.
    ///
    /// *Errors*: `ExperimentExists` if the name is taken, also by a deleted one.
    pub async fn create_experiment(
        &self,
        caller: &Caller,
        new: NewExperiment,
    ) -> Result<Experiment, TrackingError> {
        let NewExperiment {
            name,
            artifact_location,
            artifact_root,
            tags,
        } = new;
        check_experiment_name(&name)?;
        let location = artifact_location.filter(|location| !location.is_empty());
        if let Some(location) = &location {
            check_artifact_location(location)?;
        }
        for (key, value) in &tags {
            check_experiment_tag(key, value)?;
        }
        let _creating = self.lock_creating_experiment().await;
        for _ in 0..ATTEMPTS_MAX {
            let id = self.free_id(&name).await?;
            let at = self.now();
            let experiment = Experiment {
                artifact_location: match &location {
                    Some(location) => location.clone(),
                    None => location_of(&id, artifact_root.as_deref()),
                },
                id,
                name: name.clone(),
                lifecycle: Lifecycle::Active,
                created_at: at,
                updated_at: at,
                tags: tags.clone(),
            };
            let writing = Writing {
                caller,
                at,
                kind: "experiment.created",
                subjects: vec![experiment_subject(&experiment.id)],
            };
            let change = Change::ExperimentCreated {
                experiment: experiment.clone(),
            };
            let owning = caller.owning(ResourceKind::Experiment, experiment.id.as_str());
            let changes = [change].into_iter().chain(owning).collect();
            match self.commit(writing, changes).await {
                Ok(()) => return Ok(experiment),
                // Another process took the id.
                Err(TrackingError::Exists { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(TrackingError::Store(StoreError::Busy))
    }

    /// The next id; `0` is that of the default experiment, also in a store without its usual first commit.
    async fn free_id(&self, name: &str) -> Result<ExperimentId, TrackingError> {
        let zero = default_experiment_id();
        if name == DEFAULT_EXPERIMENT && self.store().find_experiment(&zero).await?.is_none() {
            return Ok(zero);
        }
        let free = self.store().free_experiment_id().await?;
        Ok(if free == zero {
            "1".parse().expect("a digit is an id of an experiment")
        } else {
            free
        })
    }

    /// Gets an experiment, deleted or not.
    pub async fn get_experiment(&self, id: &ExperimentId) -> Result<Experiment, TrackingError> {
        self.store()
            .find_experiment(id)
            .await?
            .ok_or_else(|| TrackingError::NoExperiment { id: id.clone() })
    }

    /// Gets an experiment by name, deleted or not.
    pub async fn get_experiment_by_name(&self, name: &str) -> Result<Experiment, TrackingError> {
        self.store()
            .find_experiment_by_name(name)
            .await?
            .ok_or_else(|| TrackingError::NoExperimentNamed {
                name: name.to_owned(),
            })
    }

    /// Gets the active experiment of a name, and creates it where there is none. Callers that do so at once get the same.
    ///
    /// *Errors*: `NamedExperimentDeleted` if the one that has the name is deleted.
    pub async fn get_or_create_experiment(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<Experiment, TrackingError> {
        if let Some(experiment) = self.find_active_named(name).await? {
            return Ok(experiment);
        }
        let new = NewExperiment {
            name: name.to_owned(),
            ..NewExperiment::default()
        };
        match self.create_experiment(caller, new).await {
            Err(TrackingError::ExperimentExists { name, lifecycle }) => self
                .find_active_named(&name)
                .await?
                .ok_or(TrackingError::ExperimentExists { name, lifecycle }),
            other => other,
        }
    }

    async fn find_active_named(&self, name: &str) -> Result<Option<Experiment>, TrackingError> {
        match self.store().find_experiment_by_name(name).await? {
            Some(found) if found.lifecycle == Lifecycle::Deleted => {
                Err(TrackingError::NamedExperimentDeleted {
                    id: found.id,
                    name: found.name,
                })
            }
            found => Ok(found),
        }
    }

    /// Gives an active experiment another name.
    pub async fn rename_experiment(
        &self,
        caller: &Caller,
        id: &ExperimentId,
        name: &str,
    ) -> Result<(), TrackingError> {
        check_experiment_name(name)?;
        let writing = self.experiment_writing(caller, id, "experiment.renamed");
        let change = Change::ExperimentRenamed {
            experiment: id.clone(),
            name: name.to_owned(),
            at: writing.at,
        };
        match self.commit(writing, vec![change]).await {
            Err(TrackingError::ExperimentDeleted { id }) => {
                Err(TrackingError::RenamingDeleted { id })
            }
            other => other,
        }
    }

    /// Deletes an active experiment with its runs; all of it can be restored.
    ///
    /// *Errors*: `NoExperiment` also if it is deleted already.
    pub async fn delete_experiment(
        &self,
        caller: &Caller,
        id: &ExperimentId,
    ) -> Result<(), TrackingError> {
        self.set_experiment_lifecycle(caller, id, Lifecycle::Deleted)
            .await?;
        // A run that was created between listing the runs and deleting the experiment; none can come after that.
        let left = self.store().list_run_ids(id, Lifecycle::Active).await?;
        for run in left {
            let writing = Writing {
                caller,
                at: self.now(),
                kind: "run.deleted",
                subjects: vec![run_subject(&run), experiment_subject(id)],
            };
            let change = Change::RunLifecycleSet {
                run,
                lifecycle: Lifecycle::Deleted,
            };
            self.commit(writing, vec![change]).await?;
        }
        Ok(())
    }

    /// Restores a deleted experiment with all its runs.
    ///
    /// *Errors*: `NoExperiment` also if it is active.
    pub async fn restore_experiment(
        &self,
        caller: &Caller,
        id: &ExperimentId,
    ) -> Result<(), TrackingError> {
        self.set_experiment_lifecycle(caller, id, Lifecycle::Active)
            .await
    }

    async fn set_experiment_lifecycle(
        &self,
        caller: &Caller,
        id: &ExperimentId,
        lifecycle: Lifecycle,
    ) -> Result<(), TrackingError> {
        let (before, kind) = match lifecycle {
            Lifecycle::Active => (Lifecycle::Deleted, "experiment.restored"),
            Lifecycle::Deleted => (Lifecycle::Active, "experiment.deleted"),
        };
        if self.get_experiment(id).await?.lifecycle != before {
            return Err(TrackingError::NoExperiment { id: id.clone() });
        }
        let writing = self.experiment_writing(caller, id, kind);
        let change = Change::ExperimentLifecycleSet {
            experiment: id.clone(),
            lifecycle,
            runs: self.store().list_run_ids(id, before).await?,
            at: writing.at,
        };
        self.commit(writing, vec![change]).await
    }

    /// Sets a tag of an active experiment.
    pub async fn set_experiment_tag(
        &self,
        caller: &Caller,
        id: &ExperimentId,
        key: &str,
        value: &str,
    ) -> Result<(), TrackingError> {
        check_experiment_tag(key, value)?;
        let writing = self.experiment_writing(caller, id, "experiment.tagged");
        let change = Change::ExperimentTagsSet {
            experiment: id.clone(),
            tags: BTreeMap::from([(key.to_owned(), value.to_owned())]),
            at: writing.at,
        };
        self.commit(writing, vec![change]).await
    }

    /// Deletes a tag of an active experiment.
    pub async fn delete_experiment_tag(
        &self,
        caller: &Caller,
        id: &ExperimentId,
        key: &str,
    ) -> Result<(), TrackingError> {
        let writing = self.experiment_writing(caller, id, "experiment.untagged");
        let change = Change::ExperimentTagDeleted {
            experiment: id.clone(),
            key: key.to_owned(),
            at: writing.at,
        };
        match self.commit(writing, vec![change]).await {
            Err(TrackingError::NoTag { key, .. }) => Err(TrackingError::NoTag {
                key,
                subject: format!("experiment with id {id}"),
            }),
            other => other,
        }
    }

    /// Searches by MLflow's grammar. Without an order: last updated first.
    pub async fn search_experiments(
        &self,
        filter: &str,
        order_by: &[&str],
        view: View,
        page: &PageRequest,
    ) -> Result<Page<Experiment>, TrackingError> {
        check_page(page)?;
        let query = parse_query(filter, order_by, SearchKind::Experiments)?;
        Ok(self.store().search_experiments(&query, view, page).await?)
    }

    fn experiment_writing<'a>(
        &self,
        caller: &'a Caller,
        id: &ExperimentId,
        kind: &'static str,
    ) -> Writing<'a> {
        Writing {
            caller,
            at: self.now(),
            kind,
            subjects: vec![experiment_subject(id)],
        }
    }

    /// Gets an experiment that takes runs and models.
    pub(crate) async fn get_active_experiment(
        &self,
        id: &ExperimentId,
    ) -> Result<Experiment, TrackingError> {
        let experiment = self.get_experiment(id).await?;
        match experiment.lifecycle {
            Lifecycle::Active => Ok(experiment),
            Lifecycle::Deleted => Err(TrackingError::ExperimentDeleted { id: id.clone() }),
        }
    }
}

/// Appends components to the URI of a location.
pub(crate) fn join_location(location: &str, components: &[&str]) -> String {
    let mut joined = location.trim_end_matches('/').to_owned();
    for component in components {
        joined.push('/');
        joined.push_str(component);
    }
    joined
}
