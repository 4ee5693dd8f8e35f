//! MLflow's database.
//!
//! *Source*: the tables of MLflow 2.0 to 3.18 (`mlflow/store/tracking/dbmodels/models.py`); what a release does not have
//! yet is empty.

mod evaluations;
mod rows;
mod sqlite;
mod traces;
mod webhooks;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use entities::{
    DatasetInput, Experiment, LoggedModel, Metric, ModelOutput, ModelVersion, RegisteredModel,
    RunId, Stage, VersionNumber,
};
use store_sql::params;
use store_sql::sql::{Connection, Dialect, Result as SqlResult, Row, SqlError, Values};

pub(crate) use self::evaluations::WRAPPED_OUTPUTS;
use self::rows::{
    experiment_of, lifecycle_of, metric_of, model_metric_of, model_status_of, parse, run_of,
    time_of,
};
pub(crate) use self::sqlite::SqliteFile;
pub(crate) use self::traces::{COST_COLUMNS, TOKEN_COLUMNS};
use crate::source::{
    DELETED_STAGE, Outline, RunPlace, SourceModel, SourceRegistered, SourceRun, SourceVersion,
    complete_run, model_in_source, tell_points_of_models,
};
use crate::{FernetKey, MigrateError};

/// Tables for whose rows there is no place here, each with what it holds.
const LEFT_BEHIND: &[(&str, &str)] = &[
    ("issues", "issues"),
    ("label_schemas", "label schemas"),
    ("review_queues", "review queues"),
    ("endpoints", "gateway endpoints"),
    ("mcp_servers", "MCP servers"),
    ("users", "users"),
];

/// The tables that every release has.
const FIRST_TABLES: [&str; 5] = ["experiments", "runs", "params", "tags", "metrics"];

/// An MLflow database, open for reading.
pub(crate) struct MlflowDatabase {
    connection: Box<dyn Connection>,
    dialect: Dialect,
    /// What it is called in messages: without a password.
    name: String,
    folder: PathBuf,
    tables: BTreeSet<String>,
    /// Columns of `trace_info` that not every release has.
    later_trace_columns: String,
}

impl MlflowDatabase {
    /// Opens a file.
    ///
    /// *Errors*: `Database` if it cannot be opened; `NotMlflow`.
    pub(crate) fn open(path: &Path) -> Result<Self, MigrateError> {
        let name = path.display().to_string();
        let file = SqliteFile::open(path).map_err(database_fault(&name, "opening it"))?;
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let folder = path.parent().unwrap_or(&path).to_owned();
        Self::of(Box::new(file), Dialect::Sqlite, name, folder)
    }

    /// Takes a connection to a database. Relative locations start from the folder.
    ///
    /// *Errors*: `Database` if it cannot be read; `NotMlflow`.
    pub(crate) fn of(
        connection: Box<dyn Connection>,
        dialect: Dialect,
        name: String,
        folder: PathBuf,
    ) -> Result<Self, MigrateError> {
        let tables = list_tables(connection.as_ref(), dialect, &name)?;
        let missing = FIRST_TABLES.iter().find(|table| !tables.contains(**table));
        if let Some(missing) = missing {
            return Err(MigrateError::NotMlflow {
                path: name,
                missing,
            });
        }
        let mut database = Self {
            connection,
            dialect,
            name,
            folder,
            tables,
            later_trace_columns: String::new(),
        };
        database.later_trace_columns = database.find_later_trace_columns()?;
        Ok(database)
    }

    /// The folder that relative locations start from.
    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.clone()
    }

    /// Reads all but the runs and the traces.
    pub(crate) fn outline(&self, key: Option<&FernetKey>) -> Result<Outline, MigrateError> {
        let (traces, mut unreadable) = self.trace_places()?;
        let datasets = self.datasets_for_evaluation(&mut unreadable)?;
        let scorers = self.scorers(&mut unreadable)?;
        let webhooks = self.webhooks(key, &mut unreadable)?;
        Ok(Outline {
            experiments: self.experiments()?,
            runs: self.run_places()?,
            models: self.models()?,
            registered: self.registered()?,
            traces,
            datasets,
            scorers,
            webhooks,
            unreadable,
            left_behind: self.left_behind()?,
        })
    }

    fn experiments(&self) -> Result<Vec<Experiment>, MigrateError> {
        let mut experiments = self.list(
            "experiments",
            "SELECT experiment_id, name, artifact_location, lifecycle_stage, creation_time, last_update_time
             FROM experiments ORDER BY experiment_id",
            params![],
            experiment_of,
        )?;
        for experiment in &mut experiments {
            experiment.tags = self.pairs(
                "experiment_tags",
                "SELECT key, value FROM experiment_tags WHERE experiment_id = ?1",
                experiment.id.as_str(),
            )?;
        }
        Ok(experiments)
    }

    fn run_places(&self) -> Result<Vec<RunPlace>, MigrateError> {
        self.list(
            "runs",
            "SELECT run_uuid, experiment_id, artifact_uri FROM runs ORDER BY start_time, run_uuid",
            params![],
            |row| {
                let artifact_uri: Option<String> = row.get(2)?;
                Ok(RunPlace {
                    id: parse(row, 0, "a run")?,
                    experiment: parse(row, 1, "an experiment")?,
                    artifact_uri: artifact_uri.unwrap_or_default(),
                    folder: None,
                    has_event_files: false,
                })
            },
        )
    }

    /// Reads a run with everything that belongs to it.
    pub(crate) fn run(&self, id: &RunId) -> Result<SourceRun, MigrateError> {
        let mut runs = self.list(
            "runs",
            "SELECT run_uuid, name, user_id, status, start_time, end_time, lifecycle_stage, artifact_uri, experiment_id
             FROM runs WHERE run_uuid = ?1",
            [id.as_str()],
            run_of,
        )?;
        let mut run = runs.pop().ok_or_else(|| MigrateError::Row {
            what: format!("run `{id}`"),
            why: "it was there a moment ago".to_owned(),
        })?;
        let tags = self.pairs(
            "tags",
            "SELECT key, value FROM tags WHERE run_uuid = ?1",
            id.as_str(),
        )?;
        complete_run(&mut run, &tags);
        Ok(SourceRun {
            params: self.pairs(
                "params",
                "SELECT key, value FROM params WHERE run_uuid = ?1",
                id.as_str(),
            )?,
            tags,
            points: self.points(id)?,
            datasets: self.datasets(id)?,
            model_inputs: self
                .linked_models(id, "RUN_INPUT", "MODEL_INPUT")?
                .into_iter()
                .map(|output| output.model)
                .collect(),
            model_outputs: self.linked_models(id, "RUN_OUTPUT", "MODEL_OUTPUT")?,
            run,
        })
    }

    /// The points of a run; those that were logged for a model name it.
    fn points(&self, id: &RunId) -> Result<Vec<Metric>, MigrateError> {
        let mut points = self.list(
            "metrics",
            "SELECT key, value, timestamp, step, is_nan FROM metrics WHERE run_uuid = ?1
             ORDER BY key, timestamp, step, value",
            [id.as_str()],
            metric_of,
        )?;
        let of_models = self.list(
            "logged_model_metrics",
            "SELECT metric_name, metric_value, metric_timestamp_ms, metric_step, model_id, dataset_name, dataset_digest
             FROM logged_model_metrics WHERE run_id = ?1 ORDER BY model_id",
            [id.as_str()],
            model_metric_of,
        )?;
        // MLflow writes 0 for NaN into this table.
        tell_points_of_models(&mut points, of_models, 0.0);
        Ok(points)
    }

    fn datasets(&self, id: &RunId) -> Result<Vec<DatasetInput>, MigrateError> {
        let found: Vec<(String, DatasetInput)> = self.list(
            "datasets",
            "SELECT inputs.input_uuid, datasets.name, digest, dataset_source_type, dataset_source, dataset_schema,
                 dataset_profile
             FROM inputs JOIN datasets ON datasets.dataset_uuid = inputs.source_id
             WHERE inputs.source_type = 'DATASET' AND inputs.destination_type = 'RUN' AND inputs.destination_id = ?1
             ORDER BY datasets.name, digest",
            [id.as_str()],
            |row| {
                let dataset = DatasetInput {
                    name: row.get(1)?,
                    digest: row.get(2)?,
                    source_type: row.get(3)?,
                    source: row.get(4)?,
                    schema: row.get(5)?,
                    profile: row.get(6)?,
                    tags: BTreeMap::new(),
                };
                Ok((row.get(0)?, dataset))
            },
        )?;
        found
            .into_iter()
            .map(|(input, mut dataset)| {
                dataset.tags = self.pairs(
                    "input_tags",
                    "SELECT name, value FROM input_tags WHERE input_uuid = ?1",
                    &input,
                )?;
                Ok(dataset)
            })
            .collect()
    }

    fn linked_models(
        &self,
        id: &RunId,
        source: &str,
        destination: &str,
    ) -> Result<Vec<ModelOutput>, MigrateError> {
        if !self.has_column("inputs", "step")? {
            return Ok(Vec::new());
        }
        self.list(
            "inputs",
            "SELECT destination_id, step FROM inputs
             WHERE source_type = ?1 AND source_id = ?2 AND destination_type = ?3
             ORDER BY destination_id",
            [source, id.as_str(), destination],
            |row| {
                Ok(ModelOutput {
                    model: parse(row, 0, "a logged model")?,
                    step: row.get(1)?,
                })
            },
        )
    }

    fn models(&self) -> Result<Vec<SourceModel>, MigrateError> {
        let mut models = self.list(
            "logged_models",
            "SELECT model_id, experiment_id, name, artifact_location, creation_timestamp_ms, last_updated_timestamp_ms,
                 status, lifecycle_stage, model_type, source_run_id
             FROM logged_models ORDER BY creation_timestamp_ms, model_id",
            params![],
            |row| {
                let run: Option<String> = row.get(9)?;
                let model_type: Option<String> = row.get(8)?;
                let lifecycle: Option<String> = row.get(7)?;
                Ok(SourceModel {
                    model: LoggedModel {
                        id: parse(row, 0, "a logged model")?,
                        experiment: parse(row, 1, "an experiment")?,
                        name: row.get(2)?,
                        source_run: run.and_then(|run| run.parse().ok()),
                        artifact_uri: row.get(3)?,
                        status: model_status_of(row.get(6)?),
                        model_type: model_type.filter(|word| !word.is_empty()),
                        created_at: time_of(row.get(4)?),
                        updated_at: time_of(row.get(5)?),
                        tags: BTreeMap::new(),
                        params: BTreeMap::new(),
                    },
                    folder: None,
                    is_deleted: lifecycle_of(lifecycle.as_deref()) == entities::Lifecycle::Deleted,
                })
            },
        )?;
        for SourceModel { model, .. } in &mut models {
            model.tags = self.pairs(
                "logged_model_tags",
                "SELECT tag_key, tag_value FROM logged_model_tags WHERE model_id = ?1",
                model.id.as_str(),
            )?;
            model.params = self.pairs(
                "logged_model_params",
                "SELECT param_key, param_value FROM logged_model_params WHERE model_id = ?1",
                model.id.as_str(),
            )?;
        }
        Ok(models)
    }

    fn registered(&self) -> Result<Vec<SourceRegistered>, MigrateError> {
        let models = self.list(
            "registered_models",
            "SELECT name, description, creation_time, last_updated_time FROM registered_models ORDER BY name",
            params![],
            |row| {
                let created_at = time_of(row.get(2)?);
                let updated: Option<i64> = row.get(3)?;
                Ok(RegisteredModel {
                    name: row.get(0)?,
                    description: row.get(1)?,
                    created_at,
                    updated_at: updated.map_or(created_at, |updated| time_of(Some(updated))),
                    tags: BTreeMap::new(),
                })
            },
        )?;
        models
            .into_iter()
            .map(|mut model| {
                model.tags = self.pairs(
                    "registered_model_tags",
                    "SELECT key, value FROM registered_model_tags WHERE name = ?1",
                    &model.name,
                )?;
                let aliases: Vec<(String, i64)> = self.list(
                    "registered_model_aliases",
                    "SELECT alias, version FROM registered_model_aliases WHERE name = ?1",
                    [model.name.as_str()],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )?;
                let number = |(alias, version)| Some((alias, VersionNumber::new(version)?));
                Ok(SourceRegistered {
                    versions: self.versions(&model.name)?,
                    aliases: aliases.into_iter().filter_map(number).collect(),
                    model,
                })
            })
            .collect()
    }

    fn versions(&self, name: &str) -> Result<Vec<SourceVersion>, MigrateError> {
        let storage = if self.has_column("model_versions", "storage_location")? {
            "storage_location"
        } else {
            "NULL"
        };
        let sql = format!(
            "SELECT version, description, current_stage, source, {storage}, run_id, run_link, creation_time,
                 last_updated_time
             FROM model_versions WHERE name = ?1 ORDER BY version"
        );
        let mut versions =
            self.list("model_versions", &sql, [name], |row| version_of(name, row))?;
        for SourceVersion { version, .. } in &mut versions {
            let sql = "SELECT key, value FROM model_version_tags WHERE name = ?1 AND version = ?2";
            let number = version.version.to_string();
            version.tags = self.pairs_of("model_version_tags", sql, [name, &number])?;
        }
        Ok(versions)
    }

    fn left_behind(&self) -> Result<BTreeMap<String, u64>, MigrateError> {
        let mut left = BTreeMap::new();
        for (table, what) in LEFT_BEHIND {
            let sql = format!("SELECT COUNT(*) FROM {table}");
            let count: Vec<i64> = self.list(table, &sql, params![], |row| row.get(0))?;
            let count = count.first().copied().unwrap_or(0);
            if count > 0 {
                left.insert((*what).to_owned(), count.unsigned_abs());
            }
        }
        Ok(left)
    }

    fn has_column(&self, table: &'static str, column: &str) -> Result<bool, MigrateError> {
        let sql = match self.dialect {
            Dialect::Sqlite => "SELECT name FROM pragma_table_info(?1)",
            Dialect::Postgres => {
                "SELECT attname FROM pg_attribute
                 WHERE attrelid = to_regclass(?1) AND attnum > 0 AND NOT attisdropped"
            }
        };
        let columns: Vec<String> = self.list(table, sql, [table], |row| row.get(0))?;
        Ok(columns.iter().any(|known| known == column))
    }

    fn pairs(
        &self,
        table: &'static str,
        sql: &str,
        owner: &str,
    ) -> Result<BTreeMap<String, String>, MigrateError> {
        self.pairs_of(table, sql, [owner])
    }

    fn pairs_of(
        &self,
        table: &'static str,
        sql: &str,
        values: impl Values,
    ) -> Result<BTreeMap<String, String>, MigrateError> {
        let pairs: Vec<(String, Option<String>)> =
            self.list(table, sql, values, |row| Ok((row.get(0)?, row.get(1)?)))?;
        let pairs = pairs.into_iter();
        Ok(pairs
            .map(|(key, value)| (key, value.unwrap_or_default()))
            .collect())
    }

    /// All rows of a statement; none where the release has no such table yet.
    fn list<T>(
        &self,
        table: &'static str,
        sql: &str,
        values: impl Values,
        read: impl FnMut(&Row<'_>) -> SqlResult<T>,
    ) -> Result<Vec<T>, MigrateError> {
        if !self.tables.contains(table) {
            return Ok(Vec::new());
        }
        self.connection
            .list(sql, values, read)
            .map_err(database_fault(&self.name, table))
    }
}

fn version_of(name: &str, row: &Row<'_>) -> SqlResult<SourceVersion> {
    let number: i64 = row.get(0)?;
    let version = VersionNumber::new(number).ok_or_else(|| SqlError::Column {
        column: 0,
        message: format!("{number} is no number of a version"),
    })?;
    let stage: Option<String> = row.get(2)?;
    let stage = stage.unwrap_or_default();
    let source: Option<String> = row.get(3)?;
    let source = source.unwrap_or_default();
    let storage: Option<String> = row.get(4)?;
    let run: Option<String> = row.get(5)?;
    let link: Option<String> = row.get(6)?;
    let created_at = time_of(row.get(7)?);
    let updated: Option<i64> = row.get(8)?;
    Ok(SourceVersion {
        is_deleted: stage == DELETED_STAGE,
        version: ModelVersion {
            name: name.to_owned(),
            version,
            description: row.get(1)?,
            stage: Stage::find(&stage).unwrap_or(Stage::None),
            files_uri: storage.filter(|uri| !uri.is_empty() && *uri != source),
            // The database keeps no model beside the source.
            logged_model: model_in_source(&source),
            source,
            run: run.and_then(|run| run.parse().ok()),
            run_link: link.filter(|link| !link.is_empty()),
            files: None,
            created_at,
            updated_at: updated.map_or(created_at, |updated| time_of(Some(updated))),
            tags: BTreeMap::new(),
        },
    })
}

/// The tables of a database that a name alone finds.
pub(super) fn list_tables(
    connection: &dyn Connection,
    dialect: Dialect,
    name: &str,
) -> Result<BTreeSet<String>, MigrateError> {
    let sql = match dialect {
        Dialect::Sqlite => "SELECT name FROM sqlite_schema WHERE type = 'table'",
        Dialect::Postgres => {
            "SELECT relname FROM pg_class
             WHERE relkind IN ('r', 'p') AND pg_table_is_visible(oid)"
        }
    };
    connection
        .list(sql, params![], |row| row.get(0))
        .map_err(database_fault(name, "its tables"))
}

pub(super) fn database_fault(
    name: &str,
    what: &'static str,
) -> impl Fn(SqlError) -> MigrateError + use<> {
    let path = name.to_owned();
    move |source| MigrateError::Database {
        path: path.clone(),
        what,
        source: Box::new(source),
    }
}
