//! Changes of experiments.

use std::collections::BTreeMap;

use crate::params;
use entities::{Experiment, ExperimentId, Lifecycle, RunId, Timestamp};
use store::StoreError;

use super::Applier;
use crate::rows::read_lifecycle;

statements! {
    FIND_BY_NAME = "SELECT id, lifecycle FROM experiment WHERE name = ?1";
    FIND_LIFECYCLE = "SELECT lifecycle FROM experiment WHERE id = ?1";
    ADD = "INSERT INTO experiment (id, name, artifact_location, lifecycle, created_at, updated_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    RENAME = "UPDATE experiment SET name = ?2, updated_at = ?3 WHERE id = ?1";
    SET_LIFECYCLE = "UPDATE experiment SET lifecycle = ?2, updated_at = ?3 WHERE id = ?1";
    TOUCH = "UPDATE experiment SET updated_at = ?2 WHERE id = ?1";
    SET_TAG = "INSERT INTO experiment_tag (experiment, key, value) VALUES (?1, ?2, ?3)
        ON CONFLICT (experiment, key) DO UPDATE SET value = excluded.value";
    DELETE_TAG = "DELETE FROM experiment_tag WHERE experiment = ?1 AND key = ?2";
}

impl Applier<'_> {
    pub(super) fn create_experiment(&self, experiment: &Experiment) -> Result<(), StoreError> {
        let Experiment {
            id,
            name,
            artifact_location,
            lifecycle,
            created_at,
            updated_at,
            tags,
        } = experiment;
        if self.find_experiment_lifecycle(id)?.is_some() {
            return Err(StoreError::Exists {
                subject: format!("experiment `{id}`"),
            });
        }
        self.check_name_is_free(id, name)?;
        let row = params![
            id.as_str(),
            name,
            artifact_location,
            lifecycle.as_str(),
            created_at.as_micros(),
            updated_at.as_micros(),
        ];
        self.send(ADD, row)?;
        self.known.note_experiment(id, *lifecycle);
        self.write_experiment_tags(id, tags)
    }

    pub(super) fn rename_experiment(
        &self,
        id: &ExperimentId,
        name: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.check_experiment_is_active(id)?;
        self.check_name_is_free(id, name)?;
        self.send(RENAME, params![id.as_str(), name, at.as_micros()])
    }

    pub(super) fn set_experiment_lifecycle(
        &self,
        id: &ExperimentId,
        lifecycle: Lifecycle,
        runs: &[RunId],
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let row = params![id.as_str(), lifecycle.as_str(), at.as_micros()];
        if self.execute(SET_LIFECYCLE, row)? == 0 {
            return Err(StoreError::NoExperiment { id: id.clone() });
        }
        runs.iter()
            .try_for_each(|run| self.set_run_lifecycle(run, lifecycle))
    }

    pub(super) fn set_experiment_tags(
        &self,
        id: &ExperimentId,
        tags: &BTreeMap<String, String>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.check_experiment_is_active(id)?;
        self.write_experiment_tags(id, tags)?;
        self.touch_experiment(id, at)
    }

    pub(super) fn delete_experiment_tag(
        &self,
        id: &ExperimentId,
        key: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.check_experiment_is_active(id)?;
        if self.execute(DELETE_TAG, params![id.as_str(), key])? == 0 {
            return Err(StoreError::NoTag {
                key: key.to_owned(),
                subject: format!("experiment `{id}`"),
            });
        }
        self.touch_experiment(id, at)
    }

    /// Refuses an experiment that is not there or deleted.
    pub(super) fn check_experiment_is_active(&self, id: &ExperimentId) -> Result<(), StoreError> {
        match self.find_experiment_lifecycle(id)? {
            None => Err(StoreError::NoExperiment { id: id.clone() }),
            Some(Lifecycle::Deleted) => Err(StoreError::ExperimentDeleted { id: id.clone() }),
            Some(Lifecycle::Active) => Ok(()),
        }
    }

    /// Refuses an experiment that is not there; a deleted one is.
    pub(super) fn check_experiment_exists(&self, id: &ExperimentId) -> Result<(), StoreError> {
        match self.find_experiment_lifecycle(id)? {
            None => Err(StoreError::NoExperiment { id: id.clone() }),
            Some(_) => Ok(()),
        }
    }

    fn find_experiment_lifecycle(
        &self,
        id: &ExperimentId,
    ) -> Result<Option<Lifecycle>, StoreError> {
        self.known.find_experiment(id, || {
            self.find(FIND_LIFECYCLE, [id.as_str()], |row| read_lifecycle(row, 0))
        })
    }

    fn check_name_is_free(&self, id: &ExperimentId, name: &str) -> Result<(), StoreError> {
        let read = |row: &crate::sql::Row<'_>| Ok((row.get::<String>(0)?, read_lifecycle(row, 1)?));
        match self.find(FIND_BY_NAME, [name], read)? {
            Some((owner, lifecycle)) if owner != id.as_str() => {
                Err(StoreError::ExperimentNameTaken {
                    name: name.to_owned(),
                    lifecycle,
                })
            }
            _ => Ok(()),
        }
    }

    fn write_experiment_tags(
        &self,
        id: &ExperimentId,
        tags: &BTreeMap<String, String>,
    ) -> Result<(), StoreError> {
        for (key, value) in tags {
            self.send(SET_TAG, params![id.as_str(), key, value])?;
        }
        Ok(())
    }

    fn touch_experiment(&self, id: &ExperimentId, at: Timestamp) -> Result<(), StoreError> {
        self.send(TOUCH, params![id.as_str(), at.as_micros()])
    }
}
