//! Removal of runs and experiments for good.
//!
//! What keeps a run is looked at here again, in the transaction that removes it: a model may have been registered from it
//! since somebody made the list of what may go.

use std::collections::BTreeSet;

use crate::params;
use crate::sql::Row;
use entities::{ExperimentId, HOLD_TAG, Lifecycle, RunId, TraceId};
use store::StoreError;

use super::Applier;
use crate::history::remove_copies;
use crate::read::removal::names_in;
use crate::rows::{folder_range, read_id, read_lifecycle};

statements! {
    FIND_RUN = "SELECT number, lifecycle, experiment, artifact_uri FROM run WHERE id = ?1";
    FIND_EXPERIMENT = "SELECT lifecycle FROM experiment WHERE id = ?1";
    FIND_TAG = "SELECT 1 FROM tag WHERE run = ?1 AND key = ?2";
    FIND_EXPERIMENT_TAG = "SELECT 1 FROM experiment_tag WHERE experiment = ?1 AND key = ?2";
    LIST_PLACES_OF_VERSIONS = "SELECT run, logged_model, source, files_uri FROM model_version WHERE is_deleted = 0";
    FIND_MEASURED = "SELECT 1
        FROM model_metric
        JOIN model ON model.id = model_metric.model
        JOIN experiment ON experiment.id = model.experiment
        LEFT JOIN run AS source ON source.id = model.source_run
        WHERE model_metric.run = ?1 AND model.is_deleted = 0
            AND (source.lifecycle = 'active' OR (source.id IS NULL AND experiment.lifecycle = 'active'))
        LIMIT 1";
    FIND_RUN_OF_EXPERIMENT = "SELECT 1 FROM run WHERE experiment = ?1 LIMIT 1";
    LIST_MODELS_OF_RUN = "SELECT number, id, artifact_uri, experiment FROM model WHERE source_run = ?1 ORDER BY number";
    LIST_MODELS_OF_EXPERIMENT = "SELECT number, id, artifact_uri, experiment FROM model WHERE experiment = ?1 ORDER BY number";
    LIST_TRACES_OF_EXPERIMENT = "SELECT id FROM trace WHERE experiment = ?1 ORDER BY number";
    LIST_SCORERS_OF_EXPERIMENT = "SELECT name FROM scorer WHERE experiment = ?1 ORDER BY name";
    DELETE_PARAMS = "DELETE FROM param WHERE run = ?1";
    DELETE_TAGS = "DELETE FROM tag WHERE run = ?1";
    DELETE_SERIES = "DELETE FROM metric_series WHERE run = ?1";
    DELETE_BLOCKS = "DELETE FROM metric_block WHERE run = ?1";
    DELETE_LATEST = "DELETE FROM latest_metric WHERE run = ?1";
    DELETE_MODEL_POINTS = "DELETE FROM model_metric WHERE run = ?1";
    DELETE_DATASET_TAGS = "DELETE FROM dataset_input_tag WHERE run = ?1";
    DELETE_DATASETS = "DELETE FROM dataset_input WHERE run = ?1";
    DELETE_MODEL_INPUTS = "DELETE FROM model_input WHERE run = ?1";
    DELETE_MODEL_OUTPUTS = "DELETE FROM model_output WHERE run = ?1";
    DELETE_RUN = "DELETE FROM run WHERE number = ?1";
    DELETE_REPLAYS = "DELETE FROM replay WHERE origin = ?1 OR replay = ?1";
    DELETE_TRACE_LINKS = "DELETE FROM trace_run WHERE run = ?1";
    DELETE_ARTIFACT = "DELETE FROM artifact WHERE path = ?1";
    DELETE_ARTIFACTS = "DELETE FROM artifact WHERE path >= ?1 AND path < ?2";
    DELETE_MODEL_TAGS = "DELETE FROM model_tag WHERE model = ?1";
    DELETE_MODEL_PARAMS = "DELETE FROM model_param WHERE model = ?1";
    DELETE_MODEL = "DELETE FROM model WHERE number = ?1";
    DELETE_POINTS_OF_MODEL = "DELETE FROM model_metric WHERE model = ?1";
    DELETE_EXPERIMENT_TAGS = "DELETE FROM experiment_tag WHERE experiment = ?1";
    DELETE_DATASET_LINKS = "DELETE FROM evaluation_dataset_experiment WHERE experiment = ?1";
    DELETE_ISSUES = "DELETE FROM issue WHERE experiment = ?1";
    DELETE_LABEL_SCHEMAS = "DELETE FROM label_schema WHERE experiment = ?1";
    FORGET_SOURCE = "UPDATE issue SET source_run = NULL WHERE source_run = ?1";
    DELETE_EXPERIMENT = "DELETE FROM experiment WHERE id = ?1";
    ADD_REMOVED = "INSERT INTO removed_experiment (id) VALUES (?1) ON CONFLICT DO NOTHING";
}

/// A logged model that goes with what made it.
struct Model {
    number: i64,
    id: String,
    artifact_uri: String,
    experiment: String,
}

impl Applier<'_> {
    pub(super) fn remove_runs(&self, runs: &[RunId]) -> Result<(), StoreError> {
        let registered = self.list_registered()?;
        runs.iter()
            .try_for_each(|run| self.remove_run(run, &registered))
    }

    fn remove_run(&self, id: &RunId, registered: &BTreeSet<String>) -> Result<(), StoreError> {
        let read = |row: &Row<'_>| {
            let lifecycle = read_lifecycle(row, 1)?;
            let texts: (String, String) = (row.get(2)?, row.get(3)?);
            Ok((row.get::<i64>(0)?, lifecycle, texts))
        };
        let found = self.find(FIND_RUN, [id.as_str()], read)?;
        let (number, lifecycle, (experiment, artifact_uri)) =
            found.ok_or_else(|| StoreError::NoRun { id: id.clone() })?;
        let kept = |reason| kept(format!("run `{id}`"), reason);
        if lifecycle == Lifecycle::Active {
            return Err(kept("it is not deleted"));
        }
        if self.is_there(FIND_TAG, params![number, HOLD_TAG])?
            || self.is_there(FIND_EXPERIMENT_TAG, params![experiment, HOLD_TAG])?
        {
            return Err(kept("the tag `reproof.hold` holds it"));
        }
        let models = self.list_models(LIST_MODELS_OF_RUN, id.as_str())?;
        if registered.contains(id.as_str()) || has_any(registered, &models) {
            return Err(kept("a registered model has a version that it made"));
        }
        // Of a run that is deleted itself the plan says whether it stays: those that go together go in any order.
        if self.is_there(FIND_MEASURED, [number])? {
            return Err(kept("it measured a logged model that it did not make"));
        }
        for model in &models {
            self.remove_model(model)?;
        }
        remove_copies(self.connection, number)?;
        for sql in [
            DELETE_PARAMS,
            DELETE_TAGS,
            DELETE_SERIES,
            DELETE_BLOCKS,
            DELETE_LATEST,
            DELETE_MODEL_POINTS,
            DELETE_DATASET_TAGS,
            DELETE_DATASETS,
            DELETE_MODEL_INPUTS,
            DELETE_MODEL_OUTPUTS,
            DELETE_RUN,
        ] {
            self.send(sql, [number])?;
        }
        for sql in [DELETE_REPLAYS, DELETE_TRACE_LINKS, FORGET_SOURCE] {
            self.send(sql, [id.as_str()])?;
        }
        let taken_over = format!("{experiment}/{id}/artifacts");
        self.remove_artifacts(&artifact_uri, &taken_over, id.as_str())
    }

    pub(super) fn remove_experiment(&self, id: &ExperimentId) -> Result<(), StoreError> {
        let kept = |reason| kept(format!("experiment `{id}`"), reason);
        let lifecycle = self.find(FIND_EXPERIMENT, [id.as_str()], |row| read_lifecycle(row, 0))?;
        match lifecycle {
            None => return Err(StoreError::NoExperiment { id: id.clone() }),
            Some(Lifecycle::Active) => return Err(kept("it is not deleted")),
            Some(Lifecycle::Deleted) => {}
        }
        if self.is_there(FIND_EXPERIMENT_TAG, params![id.as_str(), HOLD_TAG])? {
            return Err(kept("the tag `reproof.hold` holds it"));
        }
        if self.is_there(FIND_RUN_OF_EXPERIMENT, [id.as_str()])? {
            return Err(kept("it has runs"));
        }
        let models = self.list_models(LIST_MODELS_OF_EXPERIMENT, id.as_str())?;
        if has_any(&self.list_registered()?, &models) {
            return Err(kept(
                "a registered model has a version that is one of its models",
            ));
        }
        for model in &models {
            self.remove_model(model)?;
        }
        let traces: Vec<TraceId> = self.list(LIST_TRACES_OF_EXPERIMENT, [id.as_str()], |row| {
            read_id(row, 0)
        })?;
        traces
            .iter()
            .try_for_each(|trace| self.delete_trace(trace))?;
        let scorers: Vec<String> =
            self.list(LIST_SCORERS_OF_EXPERIMENT, [id.as_str()], |row| row.get(0))?;
        for scorer in scorers {
            self.delete_scorer(id, &scorer)?;
        }
        self.forget_rights_to_experiment(id)?;
        for sql in [
            DELETE_EXPERIMENT_TAGS,
            DELETE_DATASET_LINKS,
            DELETE_ISSUES,
            DELETE_LABEL_SCHEMAS,
            DELETE_EXPERIMENT,
            ADD_REMOVED,
        ] {
            self.send(sql, [id.as_str()])?;
        }
        Ok(())
    }

    fn list_models(&self, sql: &str, owner: &str) -> Result<Vec<Model>, StoreError> {
        self.list(sql, [owner], |row| {
            Ok(Model {
                number: row.get(0)?,
                id: row.get(1)?,
                artifact_uri: row.get(2)?,
                experiment: row.get(3)?,
            })
        })
    }

    /// What versions of registered models name, be it as a part of a path: ids of runs and logged models among it.
    fn list_registered(&self) -> Result<BTreeSet<String>, StoreError> {
        let places: Vec<[Option<String>; 4]> =
            self.list(LIST_PLACES_OF_VERSIONS, params![], |row| {
                Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?])
            })?;
        let names = places.iter().flat_map(names_in);
        Ok(names.map(str::to_owned).collect())
    }

    fn remove_model(&self, model: &Model) -> Result<(), StoreError> {
        let Model {
            number,
            id,
            artifact_uri,
            experiment,
        } = model;
        for sql in [DELETE_MODEL_TAGS, DELETE_MODEL_PARAMS, DELETE_MODEL] {
            self.send(sql, [*number])?;
        }
        self.send(DELETE_POINTS_OF_MODEL, [id.as_str()])?;
        let taken_over = format!("{experiment}/models/{id}/artifacts");
        self.remove_artifacts(artifact_uri, &taken_over, id)
    }

    /// Removes what stands in the folder of a run or model, which has its id in its path: any other folder may be that of
    /// more than one. Of what clients wrote elsewhere by themselves, what was taken over.
    fn remove_artifacts(&self, uri: &str, taken_over: &str, id: &str) -> Result<(), StoreError> {
        let folder = uri.strip_prefix("mlflow-artifacts:/").unwrap_or(taken_over);
        if !folder.split('/').any(|component| component == id) {
            return Ok(());
        }
        let (from, to) = folder_range(folder);
        self.send(DELETE_ARTIFACT, [folder])?;
        self.send(DELETE_ARTIFACTS, [from, to])
    }

    fn is_there(&self, sql: &str, values: impl crate::sql::Values) -> Result<bool, StoreError> {
        let found: Option<i64> = self.find(sql, values, |row| row.get(0))?;
        Ok(found.is_some())
    }
}

fn has_any(registered: &BTreeSet<String>, models: &[Model]) -> bool {
    models.iter().any(|model| registered.contains(&model.id))
}

fn kept(subject: String, reason: &'static str) -> StoreError {
    StoreError::Kept { subject, reason }
}
