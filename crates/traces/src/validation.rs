//! What a request may say.
//!
//! *Source*: `mlflow/utils/validation.py`. MLflow cuts the values of tags and metadata at 250 to 8000 characters without
//! a word; a record must not, so they are kept whole up to a length that only a mistake exceeds.

use std::collections::BTreeMap;

use entities::{TraceId, key_fault, python};
use store::PageRequest;

use crate::TracesError;

/// Characters in the key of a tag or of metadata.
const LONGEST_KEY: usize = 250;

/// Characters in the value of a tag or of metadata, and in a preview.
pub(crate) const LONGEST_VALUE: usize = 1 << 20;

/// Results in one page of a search for traces.
pub(crate) const LARGEST_PAGE: usize = 500;

/// Tags that say what the server did.
const OWN_TAGS: [&str; 3] = [
    entities::SPANS_LOCATION_TAG,
    "mlflow.trace.archiveLocation",
    "mlflow.trace.archivalFailure",
];

/// Reads the id of a trace as a client gives it. What can be no id names no trace.
pub fn parse_trace_id(text: &str) -> Result<TraceId, TracesError> {
    text.parse().map_err(|_| TracesError::NoTrace {
        id: text.to_owned(),
    })
}

pub(crate) fn invalid(
    field: &'static str,
    value: impl Into<String>,
    reason: impl Into<String>,
) -> TracesError {
    TracesError::InvalidValue {
        field,
        value: value.into(),
        reason: reason.into(),
    }
}

pub(crate) fn check_tag(key: &str, value: &str) -> Result<(), TracesError> {
    if let Some(reason) = key_fault(key) {
        return Err(invalid("key", python::json(key), reason));
    }
    check_length("key", LONGEST_KEY, key)?;
    check_length("value", LONGEST_VALUE, value)
}

pub(crate) fn check_pairs(pairs: &BTreeMap<String, String>) -> Result<(), TracesError> {
    pairs
        .iter()
        .try_for_each(|(key, value)| check_tag(key, value))
}

pub(crate) fn check_preview(preview: Option<&str>) -> Result<(), TracesError> {
    preview.map_or(Ok(()), |preview| {
        check_length("preview", LONGEST_VALUE, preview)
    })
}

/// Refuses tags that only the server may change; `operation` is `set` or `deleted`.
pub(crate) fn check_tag_is_free(key: &str, operation: &'static str) -> Result<(), TracesError> {
    // Taking back that an archive failed is how MLflow's users have it tried again.
    let is_taken_back = operation == "deleted" && key == OWN_TAGS[2];
    if OWN_TAGS.contains(&key) && !is_taken_back {
        return Err(TracesError::ImmutableTag {
            key: key.to_owned(),
            operation,
        });
    }
    Ok(())
}

pub(crate) fn check_length(
    field: &'static str,
    limit: usize,
    text: &str,
) -> Result<(), TracesError> {
    if text.len() > limit && text.chars().count() > limit {
        return Err(TracesError::TooLong { field, limit });
    }
    Ok(())
}

pub(crate) fn check_page(page: &PageRequest) -> Result<(), TracesError> {
    if (1..=LARGEST_PAGE).contains(&page.limit) {
        return Ok(());
    }
    let reason = format!("It must be at least 1 and at most {LARGEST_PAGE}.");
    Err(invalid("max_results", page.limit.to_string(), reason))
}
