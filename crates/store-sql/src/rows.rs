//! How values stand in columns.

use std::str::FromStr;

use crate::sql::{Result, Row, SqlError, Value};
use entities::{
    IssueSeverity, IssueStatus, LabelKind, Lifecycle, ModelStatus, ObjectId, Permission,
    ReplayLevel, ResourceKind, RunStatus, Stage, Timestamp, TraceState, VersionNumber,
    WebhookEvent, WebhookStatus,
};
use serde::de::DeserializeOwned;

/// Reads an id from a column.
pub(crate) fn read_id<T>(row: &Row<'_>, column: usize) -> Result<T>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text = row.text(column)?;
    text.parse().map_err(|error: T::Err| SqlError::Column {
        column,
        message: error.to_string(),
    })
}

/// Reads an id that may be missing.
pub(crate) fn read_id_if_any<T>(row: &Row<'_>, column: usize) -> Result<Option<T>>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    match row.get_ref(column)? {
        Value::Null => Ok(None),
        _ => read_id(row, column).map(Some),
    }
}

pub(crate) fn read_time(row: &Row<'_>, column: usize) -> Result<Timestamp> {
    row.get(column).map(Timestamp::from_micros)
}

pub(crate) fn read_time_if_any(row: &Row<'_>, column: usize) -> Result<Option<Timestamp>> {
    let micros: Option<i64> = row.get(column)?;
    Ok(micros.map(Timestamp::from_micros))
}

pub(crate) fn read_object(row: &Row<'_>, column: usize) -> Result<ObjectId> {
    row.get(column).map(ObjectId::from_bytes)
}

pub(crate) fn read_object_if_any(row: &Row<'_>, column: usize) -> Result<Option<ObjectId>> {
    let bytes: Option<[u8; 32]> = row.get(column)?;
    Ok(bytes.map(ObjectId::from_bytes))
}

pub(crate) fn read_lifecycle(row: &Row<'_>, column: usize) -> Result<Lifecycle> {
    read_word(row, column, |word| {
        [Lifecycle::Active, Lifecycle::Deleted]
            .into_iter()
            .find(|lifecycle| lifecycle.as_str() == word)
    })
}

pub(crate) fn read_run_status(row: &Row<'_>, column: usize) -> Result<RunStatus> {
    read_word(row, column, RunStatus::find)
}

pub(crate) fn read_model_status(row: &Row<'_>, column: usize) -> Result<ModelStatus> {
    read_word(row, column, ModelStatus::find)
}

pub(crate) fn read_trace_state(row: &Row<'_>, column: usize) -> Result<TraceState> {
    read_word(row, column, TraceState::find)
}

pub(crate) fn read_issue_status(row: &Row<'_>, column: usize) -> Result<IssueStatus> {
    read_word(row, column, IssueStatus::find)
}

pub(crate) fn read_severity_if_any(row: &Row<'_>, column: usize) -> Result<Option<IssueSeverity>> {
    match row.get_ref(column)? {
        Value::Null => Ok(None),
        _ => read_word(row, column, IssueSeverity::find).map(Some),
    }
}

pub(crate) fn read_label_kind(row: &Row<'_>, column: usize) -> Result<LabelKind> {
    read_word(row, column, LabelKind::find)
}

/// Reads what stands as JSON in a column.
pub(crate) fn read_json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> Result<T> {
    serde_json::from_str(row.text(column)?).map_err(|error| SqlError::Column {
        column,
        message: error.to_string(),
    })
}

pub(crate) fn read_webhook_status(row: &Row<'_>, column: usize) -> Result<WebhookStatus> {
    read_word(row, column, WebhookStatus::find)
}

pub(crate) fn read_webhook_event(row: &Row<'_>, column: usize) -> Result<WebhookEvent> {
    read_word(row, column, WebhookEvent::find)
}

pub(crate) fn read_permission(row: &Row<'_>, column: usize) -> Result<Permission> {
    read_word(row, column, Permission::find)
}

pub(crate) fn read_resource_kind(row: &Row<'_>, column: usize) -> Result<ResourceKind> {
    read_word(row, column, ResourceKind::find)
}

pub(crate) fn read_stage(row: &Row<'_>, column: usize) -> Result<Stage> {
    read_word(row, column, |word| {
        Stage::ALL.into_iter().find(|stage| stage.as_str() == word)
    })
}

pub(crate) fn read_version(row: &Row<'_>, column: usize) -> Result<VersionNumber> {
    let number: i64 = row.get(column)?;
    VersionNumber::new(number).ok_or(SqlError::Column {
        column,
        message: format!("{number} is not a version"),
    })
}

pub(crate) fn read_level_if_any(row: &Row<'_>, column: usize) -> Result<Option<ReplayLevel>> {
    match row.get_ref(column)? {
        Value::Null => Ok(None),
        _ => read_word(row, column, |word| {
            LEVELS.into_iter().find(|level| level_text(*level) == word)
        })
        .map(Some),
    }
}

const LEVELS: [ReplayLevel; 5] = [
    ReplayLevel::R0,
    ReplayLevel::R1,
    ReplayLevel::R2,
    ReplayLevel::R3,
    ReplayLevel::R4,
];

pub(crate) const fn level_text(level: ReplayLevel) -> &'static str {
    match level {
        ReplayLevel::R0 => "R0",
        ReplayLevel::R1 => "R1",
        ReplayLevel::R2 => "R2",
        ReplayLevel::R3 => "R3",
        ReplayLevel::R4 => "R4",
    }
}

fn read_word<T>(row: &Row<'_>, column: usize, find: impl Fn(&str) -> Option<T>) -> Result<T> {
    let word = row.text(column)?;
    find(word).ok_or_else(|| {
        let message = format!("`{word}` is none of the words of this column");
        SqlError::Column { column, message }
    })
}

/// The paths below a folder: from the first to before the second. An empty folder holds all.
pub(crate) fn folder_range(folder: &str) -> (String, String) {
    if folder.is_empty() {
        // No UTF-8 text is above this one, the largest character.
        return (String::new(), char::MAX.to_string());
    }
    // `0` is the character after `/`.
    (format!("{folder}/"), format!("{folder}0"))
}
