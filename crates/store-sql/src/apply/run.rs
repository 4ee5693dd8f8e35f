//! Changes of runs, their params, tags, inputs, outputs and replays.

use std::collections::BTreeMap;

use crate::params;
use entities::{
    DatasetInput, Lifecycle, ModelId, ModelOutput, ObjectId, ReplayVerdict, Run, RunId, RunStatus,
    Timestamp,
};
use store::StoreError;

use super::{Applier, rows_of_pairs};
use crate::rows::{level_text, read_lifecycle};
use crate::sql::ToValue;

statements! {
    FIND_NUMBER = "SELECT number, lifecycle FROM run WHERE id = ?1";
    UPDATE = "UPDATE run
        SET status = coalesce(?2, status), ended_at = coalesce(?3, ended_at), name = coalesce(?4, name)
        WHERE number = ?1";
    INTERRUPT = "UPDATE run
        SET status = 'KILLED', ended_at = coalesce(ended_at, ?2), is_interrupted = 1
        WHERE number = ?1";
    SET_LIFECYCLE = "UPDATE run SET lifecycle = ?2 WHERE number = ?1";
    SET_MANIFEST = "UPDATE run SET recipe = ?2, record = ?3 WHERE number = ?1";
    FIND_PARAM = "SELECT value FROM param WHERE run = ?1 AND key = ?2";
    DELETE_TAG = "DELETE FROM tag WHERE run = ?1 AND key = ?2";
    SET_DATASET = "INSERT INTO dataset_input (run, name, digest, source_type, source, schema, profile)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
        ON CONFLICT (run, name, digest) DO UPDATE SET source_type = excluded.source_type, source = excluded.source,
            schema = excluded.schema, profile = excluded.profile";
    SET_DATASET_TAG = "INSERT INTO dataset_input_tag (run, name, digest, key, value) VALUES (?1, ?2, ?3, ?4, ?5)
        ON CONFLICT (run, name, digest, key) DO UPDATE SET value = excluded.value";
    ADD_MODEL_INPUT = "INSERT INTO model_input (run, model) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    SET_MODEL_OUTPUT = "INSERT INTO model_output (run, model, step) VALUES (?1, ?2, ?3)
        ON CONFLICT (run, model) DO UPDATE SET step = excluded.step";
    ADD_REPLAY = "INSERT INTO replay (origin, replay, level, is_identical, is_within_tolerance, host_kind, comparison,
            number)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
        RETURNING number";
}

row_statements! {
    ADD(18, key 0) = "INSERT INTO run (id, experiment, name, \"user\", status, started_at, ended_at, lifecycle, artifact_uri,
            parent, replay_of, process_id, process_start_ticks, process_boot, is_interrupted, recipe, record, number)
        :rows
        RETURNING number";
    ADD_PARAMS(3, key 0) = "INSERT INTO param (run, key, value) :rows ON CONFLICT (run, key) DO NOTHING";
    SET_TAGS(3, key 2) = "INSERT INTO tag (run, key, value) :rows
        ON CONFLICT (run, key) DO UPDATE SET value = excluded.value";
}

impl Applier<'_> {
    pub(super) fn create_run(&self, run: &Run) -> Result<(), StoreError> {
        let Run {
            id,
            experiment,
            name,
            user,
            status,
            started_at,
            ended_at,
            lifecycle,
            artifact_uri,
            parent,
            replay_of,
            process,
            is_interrupted,
            recipe,
            record,
        } = run;
        self.check_experiment_is_active(experiment)?;
        if self.find_run_number(id)?.is_some() {
            return Err(StoreError::Exists {
                subject: format!("run `{id}`"),
            });
        }
        let row = params![
            id.as_str(),
            experiment.as_str(),
            name,
            user,
            status.as_str(),
            started_at.as_micros(),
            ended_at.map(Timestamp::as_micros),
            lifecycle.as_str(),
            artifact_uri,
            parent.as_ref().map(RunId::as_str),
            replay_of.as_ref().map(RunId::as_str),
            process.as_ref().map(|process| process.pid),
            process.as_ref().map(|process| process.start_ticks as i64),
            process.as_ref().map(|process| process.boot_id.as_str()),
            is_interrupted,
            recipe.as_ref().map(ObjectId::as_bytes),
            record.as_ref().map(ObjectId::as_bytes),
        ];
        let number = self.add_new(&ADD, row)?;
        self.known.note_run(id, number, *lifecycle);
        Ok(())
    }

    pub(super) fn update_run(
        &self,
        id: &RunId,
        status: Option<RunStatus>,
        ended_at: Option<Timestamp>,
        name: Option<&str>,
    ) -> Result<(), StoreError> {
        let run = self.get_active_run(id)?;
        let row = params![
            run,
            status.map(RunStatus::as_str),
            ended_at.map(Timestamp::as_micros),
            name
        ];
        self.send(UPDATE, row)
    }

    pub(super) fn interrupt_run(&self, id: &RunId, at: Timestamp) -> Result<(), StoreError> {
        let run = self.get_run(id)?;
        self.send(INTERRUPT, params![run, at.as_micros()])
    }

    pub(super) fn set_run_lifecycle(
        &self,
        id: &RunId,
        lifecycle: Lifecycle,
    ) -> Result<(), StoreError> {
        let run = self.get_run(id)?;
        self.send(SET_LIFECYCLE, params![run, lifecycle.as_str()])
    }

    pub(super) fn record_manifest(
        &self,
        id: &RunId,
        recipe: &ObjectId,
        record: &ObjectId,
    ) -> Result<(), StoreError> {
        let run = self.get_run(id)?;
        let row = params![run, recipe.as_bytes(), record.as_bytes()];
        self.send(SET_MANIFEST, row)
    }

    pub(super) fn log_params(
        &self,
        id: &RunId,
        params: &BTreeMap<String, String>,
    ) -> Result<(), StoreError> {
        let run = self.get_active_run(id)?;
        let conflicts = if let Some(there) = self.known.find_params(id, params.keys()) {
            self.add_missing_params(id, run, params, &there)?;
            conflicts_of(params, &there)
        } else {
            let added = self.add_rows(&ADD_PARAMS, &rows_of_pairs(&run, params))?;
            for (key, value) in params {
                self.known.note_param(id, key, value);
            }
            if added == params.len() {
                return Ok(());
            }
            // A difference is a refusal, after which nothing is known any more.
            conflicts_of(params, &self.list_params(run, params.keys())?)
        };
        if conflicts.is_empty() {
            Ok(())
        } else {
            Err(StoreError::ParamConflict {
                run: id.clone(),
                conflicts,
            })
        }
    }

    /// Adds the params that are not there.
    fn add_missing_params(
        &self,
        id: &RunId,
        run: i64,
        params: &BTreeMap<String, String>,
        there: &BTreeMap<String, String>,
    ) -> Result<(), StoreError> {
        let missing = params.iter().filter(|(key, _)| !there.contains_key(*key));
        let rows: Vec<[&dyn ToValue; 3]> = missing
            .clone()
            .map(|(key, value)| [&run as _, key as _, value as _])
            .collect();
        self.send_rows(&ADD_PARAMS, &rows)?;
        for (key, value) in missing {
            self.known.note_param(id, key, value);
        }
        Ok(())
    }

    /// The params that a run has of these keys.
    fn list_params<'k>(
        &self,
        run: i64,
        keys: impl Iterator<Item = &'k String>,
    ) -> Result<BTreeMap<String, String>, StoreError> {
        let mut found = BTreeMap::new();
        for key in keys {
            let value: Option<String> =
                self.find(FIND_PARAM, params![run, key], |row| row.get(0))?;
            found.extend(value.map(|value| (key.clone(), value)));
        }
        Ok(found)
    }

    pub(super) fn set_tags(
        &self,
        id: &RunId,
        tags: &BTreeMap<String, String>,
    ) -> Result<(), StoreError> {
        let run = self.get_active_run(id)?;
        self.send_rows(&SET_TAGS, &rows_of_pairs(&run, tags))
    }

    pub(super) fn delete_tag(&self, id: &RunId, key: &str) -> Result<(), StoreError> {
        let run = self.get_active_run(id)?;
        match self.execute(DELETE_TAG, params![run, key])? {
            0 => Err(StoreError::NoTag {
                key: key.to_owned(),
                subject: format!("run `{id}`"),
            }),
            _ => Ok(()),
        }
    }

    pub(super) fn log_inputs(
        &self,
        id: &RunId,
        datasets: &[DatasetInput],
        models: &[ModelId],
    ) -> Result<(), StoreError> {
        let run = self.get_active_run(id)?;
        for dataset in datasets {
            let DatasetInput {
                name,
                digest,
                source_type,
                source,
                schema,
                profile,
                tags,
            } = dataset;
            let row = params![run, name, digest, source_type, source, schema, profile];
            self.send(SET_DATASET, row)?;
            for (key, value) in tags {
                self.send(SET_DATASET_TAG, params![run, name, digest, key, value])?;
            }
        }
        for model in models {
            self.send(ADD_MODEL_INPUT, params![run, model.as_str()])?;
        }
        Ok(())
    }

    pub(super) fn log_outputs(&self, id: &RunId, models: &[ModelOutput]) -> Result<(), StoreError> {
        let run = self.get_active_run(id)?;
        for ModelOutput { model, step } in models {
            self.send(SET_MODEL_OUTPUT, params![run, model.as_str(), step])?;
        }
        Ok(())
    }

    pub(super) fn judge_replay(&self, verdict: &ReplayVerdict) -> Result<(), StoreError> {
        let ReplayVerdict {
            origin,
            replay,
            level,
            is_identical,
            is_within_tolerance,
            host_kind,
            comparison,
        } = verdict;
        self.get_run(origin)?;
        self.get_run(replay)?;
        let row = params![
            origin.as_str(),
            replay.as_str(),
            level.map(level_text),
            is_identical,
            is_within_tolerance,
            host_kind.as_bytes(),
            comparison.as_bytes(),
        ];
        self.insert_new(ADD_REPLAY, row).map(drop)
    }

    /// The number of a run that is there and not deleted.
    pub(super) fn get_active_run(&self, id: &RunId) -> Result<i64, StoreError> {
        match self.find_run_number(id)? {
            None => Err(StoreError::NoRun { id: id.clone() }),
            Some((_, Lifecycle::Deleted)) => Err(StoreError::RunDeleted { id: id.clone() }),
            Some((number, Lifecycle::Active)) => Ok(number),
        }
    }

    fn get_run(&self, id: &RunId) -> Result<i64, StoreError> {
        match self.find_run_number(id)? {
            None => Err(StoreError::NoRun { id: id.clone() }),
            Some((number, _)) => Ok(number),
        }
    }

    fn find_run_number(&self, id: &RunId) -> Result<Option<(i64, Lifecycle)>, StoreError> {
        self.known.find_run(id, || {
            self.find(FIND_NUMBER, [id.as_str()], |row| {
                Ok((row.get(0)?, read_lifecycle(row, 1)?))
            })
        })
    }
}

/// Params whose value is not the one that is there: key, value that is there, value that was logged.
fn conflicts_of(
    params: &BTreeMap<String, String>,
    there: &BTreeMap<String, String>,
) -> Vec<(String, String, String)> {
    let conflicts = params.iter().filter_map(|(key, value)| {
        let there = there.get(key).filter(|there| *there != value)?;
        Some((key.clone(), there.clone(), value.clone()))
    });
    conflicts.collect()
}
