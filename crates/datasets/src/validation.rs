//! What a request may say.
//!
//! MLflow's server sets no limits of its own here: what is too long for a column is left to the database.

use std::collections::BTreeMap;

use entities::DatasetId;
use store::PageRequest;

use crate::DatasetsError;

/// Characters in the name of a dataset or scorer.
const LONGEST_NAME: usize = 1000;

/// Characters in the key of a tag.
const LONGEST_KEY: usize = 250;

/// Characters in the value of a tag, and in a scorer.
pub(crate) const LONGEST_VALUE: usize = 1 << 20;

/// Datasets on one page of a search.
const LARGEST_PAGE: usize = 50_000;

/// Reads the id of a dataset as a client gives it. What can be no id names no dataset.
pub fn parse_dataset_id(text: &str) -> Result<DatasetId, DatasetsError> {
    text.parse().map_err(|_| DatasetsError::NoDataset {
        id: text.to_owned(),
    })
}

pub(crate) fn check_name(name: &str) -> Result<(), DatasetsError> {
    check_length("name", LONGEST_NAME, name)
}

pub(crate) fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), DatasetsError> {
    tags.iter().try_for_each(|(key, value)| {
        check_length("key", LONGEST_KEY, key)?;
        check_length("value", LONGEST_VALUE, value)
    })
}

pub(crate) fn check_length(
    field: &'static str,
    limit: usize,
    text: &str,
) -> Result<(), DatasetsError> {
    if text.len() > limit && text.chars().count() > limit {
        return Err(DatasetsError::TooLong { field, limit });
    }
    Ok(())
}

pub(crate) fn check_page(page: &PageRequest) -> Result<(), DatasetsError> {
    if (1..=LARGEST_PAGE).contains(&page.limit) {
        return Ok(());
    }
    Err(DatasetsError::InvalidValue {
        field: "max_results",
        value: page.limit.to_string(),
        reason: format!("It must be at least 1 and at most {LARGEST_PAGE}."),
    })
}
