//! How MLflow writes what stands in a column.

use std::collections::BTreeMap;
use std::str::FromStr;

use entities::{Experiment, Lifecycle, Metric, ModelStatus, Run, RunStatus, Timestamp};
use store_sql::sql::{Result, Row, SqlError, Value};

/// Reads an id. MLflow's columns of ids hold numbers in some tables and texts in others.
pub(super) fn parse<T>(row: &Row<'_>, column: usize, what: &str) -> Result<T>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    let text = match row.get_ref(column)? {
        Value::Integer(number) => number.to_string(),
        _ => row.text(column)?.to_owned(),
    };
    text.parse().map_err(|error: T::Err| SqlError::Column {
        column,
        message: format!("`{text}` is no id of {what}: {error}"),
    })
}

pub(super) fn time_of(millis: Option<i64>) -> Timestamp {
    Timestamp::from_millis(millis.unwrap_or(0))
}

pub(super) fn lifecycle_of(word: Option<&str>) -> Lifecycle {
    match word {
        Some("deleted") => Lifecycle::Deleted,
        _ => Lifecycle::Active,
    }
}

pub(super) const fn model_status_of(number: i64) -> ModelStatus {
    match number {
        2 => ModelStatus::Ready,
        3 => ModelStatus::UploadFailed,
        _ => ModelStatus::Pending,
    }
}

pub(super) fn experiment_of(row: &Row<'_>) -> Result<Experiment> {
    let location: Option<String> = row.get(2)?;
    let lifecycle: Option<String> = row.get(3)?;
    let created_at = time_of(row.get(4)?);
    let updated: Option<i64> = row.get(5)?;
    Ok(Experiment {
        id: parse(row, 0, "an experiment")?,
        name: row.get(1)?,
        artifact_location: location.unwrap_or_default(),
        lifecycle: lifecycle_of(lifecycle.as_deref()),
        created_at,
        updated_at: updated.map_or(created_at, |updated| time_of(Some(updated))),
        tags: BTreeMap::new(),
    })
}

pub(super) fn run_of(row: &Row<'_>) -> Result<Run> {
    let text = |column| -> Result<String> {
        let text: Option<String> = row.get(column)?;
        Ok(text.unwrap_or_default())
    };
    let ended: Option<i64> = row.get(5)?;
    let lifecycle: Option<String> = row.get(6)?;
    Ok(Run {
        id: parse(row, 0, "a run")?,
        experiment: parse(row, 8, "an experiment")?,
        name: text(1)?,
        user: text(2)?,
        status: RunStatus::find(&text(3)?).unwrap_or(RunStatus::Running),
        started_at: time_of(row.get(4)?),
        ended_at: ended.map(|ended| time_of(Some(ended))),
        lifecycle: lifecycle_of(lifecycle.as_deref()),
        artifact_uri: text(7)?,
        parent: None,
        replay_of: None,
        process: None,
        is_interrupted: false,
        recipe: None,
        record: None,
    })
}

pub(super) fn metric_of(row: &Row<'_>) -> Result<Metric> {
    let is_nan: bool = row.get(4)?;
    let value: f64 = row.get(1)?;
    let value = if is_nan { f64::NAN } else { value };
    Ok(Metric::new(
        row.get::<String>(0)?,
        value,
        row.get(2)?,
        row.get(3)?,
    ))
}

pub(super) fn model_metric_of(row: &Row<'_>) -> Result<Metric> {
    let value: Option<f64> = row.get(1)?;
    Ok(Metric {
        key: row.get(0)?,
        value: value.unwrap_or(f64::NAN),
        timestamp_ms: row.get(2)?,
        step: row.get(3)?,
        model: Some(parse(row, 4, "a logged model")?),
        dataset: row.get::<Option<String>>(5)?.zip(row.get(6)?),
    })
}
