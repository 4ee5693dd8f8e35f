//! Which column stands for which field: the only identifiers that a search can name.

use store::StoreError;

use super::{Subject, refuse};

/// A column that a field stands for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) sql: &'static str,
    pub(super) kind: ColumnKind,
    pub(super) is_nullable: bool,
}

/// How a column's values compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColumnKind {
    Text,
    /// The text of a decimal number, ordered as a number.
    Decimal,
    /// A whole number.
    Integer,
    /// Microseconds, asked for in milliseconds.
    Time,
    /// A status word, asked for with or without the words of MLflow's wire form before it.
    ModelStatus,
}

/// Rows of keys and values that belong to something.
pub(super) struct KeyedTable {
    pub(super) table: &'static str,
    /// The column of the thing.
    pub(super) owner: &'static str,
    /// The column of the table that names the thing.
    pub(super) owner_column: &'static str,
    /// The columns of what it says of a key.
    pub(super) values: &'static str,
}

impl KeyedTable {
    /// Whether an index of PostgreSQL tells by itself what has a short value.
    pub(super) fn has_short_values(&self) -> bool {
        matches!(self.table, "param" | "tag")
    }
}

const fn column(sql: &'static str, kind: ColumnKind) -> Column {
    Column {
        sql,
        kind,
        is_nullable: false,
    }
}

const fn nullable(sql: &'static str, kind: ColumnKind) -> Column {
    Column {
        sql,
        kind,
        is_nullable: true,
    }
}

const RUN_COLUMNS: &[(&str, Column)] = &[
    ("run_id", column("run.id", ColumnKind::Text)),
    ("run_name", column("run.name", ColumnKind::Text)),
    ("status", column("run.status", ColumnKind::Text)),
    ("artifact_uri", column("run.artifact_uri", ColumnKind::Text)),
    ("user_id", column("run.\"user\"", ColumnKind::Text)),
    ("lifecycle_stage", column("run.lifecycle", ColumnKind::Text)),
    (
        "experiment_id",
        column("run.experiment", ColumnKind::Decimal),
    ),
    ("start_time", column("run.started_at", ColumnKind::Time)),
    ("end_time", nullable("run.ended_at", ColumnKind::Time)),
];

const EXPERIMENT_COLUMNS: &[(&str, Column)] = &[
    ("name", column("experiment.name", ColumnKind::Text)),
    (
        "experiment_id",
        column("experiment.id", ColumnKind::Decimal),
    ),
    (
        "creation_time",
        column("experiment.created_at", ColumnKind::Time),
    ),
    (
        "last_update_time",
        column("experiment.updated_at", ColumnKind::Time),
    ),
];

const MODEL_COLUMNS: &[(&str, Column)] = &[
    ("name", column("model.name", ColumnKind::Text)),
    ("model_id", column("model.id", ColumnKind::Text)),
    ("model_type", nullable("model.model_type", ColumnKind::Text)),
    (
        "status",
        column(
            "replace(model.status, 'LOGGED_MODEL_', '')",
            ColumnKind::ModelStatus,
        ),
    ),
    (
        "source_run_id",
        nullable("model.source_run", ColumnKind::Text),
    ),
    (
        "experiment_id",
        column("model.experiment", ColumnKind::Decimal),
    ),
    (
        "creation_timestamp",
        column("model.created_at", ColumnKind::Time),
    ),
    (
        "last_updated_timestamp",
        column("model.updated_at", ColumnKind::Time),
    ),
];

const REGISTERED_MODEL_COLUMNS: &[(&str, Column)] = &[
    ("name", column("registered_model.name", ColumnKind::Text)),
    (
        "creation_timestamp",
        column("registered_model.created_at", ColumnKind::Time),
    ),
    (
        "last_updated_timestamp",
        column("registered_model.updated_at", ColumnKind::Time),
    ),
];

const MODEL_VERSION_COLUMNS: &[(&str, Column)] = &[
    ("name", column("registered_model.name", ColumnKind::Text)),
    (
        "version_number",
        column("model_version.version", ColumnKind::Integer),
    ),
    ("run_id", nullable("model_version.run", ColumnKind::Text)),
    (
        "source_path",
        column("model_version.source", ColumnKind::Text),
    ),
    ("stage", column("model_version.stage", ColumnKind::Text)),
    (
        "creation_timestamp",
        column("model_version.created_at", ColumnKind::Time),
    ),
    (
        "last_updated_timestamp",
        column("model_version.updated_at", ColumnKind::Time),
    ),
];

const TRACE_COLUMNS: &[(&str, Column)] = &[
    ("request_id", column("trace.id", ColumnKind::Text)),
    (
        "experiment_id",
        column("trace.experiment", ColumnKind::Decimal),
    ),
    (
        "timestamp_ms",
        column("trace.requested_at", ColumnKind::Time),
    ),
    (
        "execution_time_ms",
        nullable("trace.duration_ms", ColumnKind::Integer),
    ),
    (
        "end_time_ms",
        column(
            "(trace.requested_at + coalesce(trace.duration_ms, 0) * 1000)",
            ColumnKind::Time,
        ),
    ),
    ("status", column("trace.state", ColumnKind::Text)),
    (
        "client_request_id",
        nullable("trace.client_request_id", ColumnKind::Text),
    ),
    // A condition on it finds traces that are linked to the run too.
    (
        "run_id",
        nullable(
            "(SELECT value FROM trace_metadata WHERE trace_metadata.trace = trace.number AND key = 'mlflow.sourceRun')",
            ColumnKind::Text,
        ),
    ),
];

const DATASET_COLUMNS: &[(&str, Column)] = &[
    ("name", column("evaluation_dataset.name", ColumnKind::Text)),
    (
        "created_time",
        column("evaluation_dataset.created_at", ColumnKind::Time),
    ),
    (
        "last_update_time",
        column("evaluation_dataset.updated_at", ColumnKind::Time),
    ),
    (
        "created_by",
        nullable("evaluation_dataset.created_by", ColumnKind::Text),
    ),
    (
        "last_updated_by",
        nullable("evaluation_dataset.updated_by", ColumnKind::Text),
    ),
];

pub(super) const fn columns_of(subject: Subject) -> &'static [(&'static str, Column)] {
    match subject {
        Subject::Runs => RUN_COLUMNS,
        Subject::Experiments => EXPERIMENT_COLUMNS,
        Subject::Models => MODEL_COLUMNS,
        Subject::RegisteredModels(_) => REGISTERED_MODEL_COLUMNS,
        Subject::ModelVersions(_) => MODEL_VERSION_COLUMNS,
        Subject::Traces => TRACE_COLUMNS,
        Subject::Datasets => DATASET_COLUMNS,
    }
}

pub(super) fn find_column(subject: Subject, name: &str) -> Result<Column, StoreError> {
    let columns = columns_of(subject);
    if let Some((_, column)) = columns.iter().find(|(known, _)| *known == name) {
        return Ok(*column);
    }
    let known: Vec<_> = columns.iter().map(|(known, _)| *known).collect();
    refuse(format!(
        "`{name}` is not an attribute to search by; there are {}",
        known.join(", ")
    ))
}

pub(super) fn metric_table(subject: Subject) -> Result<KeyedTable, StoreError> {
    match subject {
        Subject::Runs => Ok(KeyedTable {
            table: "latest_metric",
            owner: "run.number",
            owner_column: "run",
            values: "value, is_nan",
        }),
        Subject::Models => Ok(KeyedTable {
            table: "model_metric",
            owner: "model.id",
            owner_column: "model",
            values: "value, is_nan",
        }),
        _ => refuse("only runs and logged models have metrics to search by"),
    }
}

pub(super) fn param_table(subject: Subject) -> Result<KeyedTable, StoreError> {
    match subject {
        Subject::Runs => Ok(KeyedTable {
            table: "param",
            owner: "run.number",
            owner_column: "run",
            values: "value",
        }),
        Subject::Models => Ok(KeyedTable {
            table: "model_param",
            owner: "model.number",
            owner_column: "model",
            values: "value",
        }),
        _ => refuse("only runs and logged models have params to search by"),
    }
}

pub(super) fn tag_table(subject: Subject) -> KeyedTable {
    match subject {
        Subject::Runs => KeyedTable {
            table: "tag",
            owner: "run.number",
            owner_column: "run",
            values: "value",
        },
        Subject::Models => KeyedTable {
            table: "model_tag",
            owner: "model.number",
            owner_column: "model",
            values: "value",
        },
        Subject::Experiments => KeyedTable {
            table: "experiment_tag",
            owner: "experiment.id",
            owner_column: "experiment",
            values: "value",
        },
        Subject::RegisteredModels(_) => KeyedTable {
            table: "registered_model_tag",
            owner: "registered_model.number",
            owner_column: "model",
            values: "value",
        },
        Subject::ModelVersions(_) => KeyedTable {
            table: "model_version_tag",
            owner: "model_version.number",
            owner_column: "model_version",
            values: "value",
        },
        Subject::Traces => KeyedTable {
            table: "trace_tag",
            owner: "trace.number",
            owner_column: "trace",
            values: "value",
        },
        Subject::Datasets => KeyedTable {
            table: "evaluation_dataset_tag",
            owner: "evaluation_dataset.number",
            owner_column: "dataset",
            values: "value",
        },
    }
}

pub(super) fn metadata_table(subject: Subject) -> Result<KeyedTable, StoreError> {
    match subject {
        Subject::Traces => Ok(KeyedTable {
            table: "trace_metadata",
            owner: "trace.number",
            owner_column: "trace",
            values: "value",
        }),
        _ => refuse("only traces have metadata to search by"),
    }
}
