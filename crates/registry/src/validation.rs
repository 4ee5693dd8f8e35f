//! What a request may say, by MLflow's rules.
//!
//! *Source*: `mlflow/utils/validation.py`; the order of the checks is that of MLflow, since it decides which message
//! is given.

use std::collections::BTreeMap;

use entities::{VersionNumber, key_fault, path_fault, python};
use store::PageRequest;

use crate::RegistryError;

/// Characters in the name of a registered model, for which MLflow's schema has room.
const LONGEST_NAME: usize = 256;

/// Characters in the key of a tag.
const LONGEST_TAG_KEY: usize = 250;

/// Characters in the value of a tag; a prompt's text is one.
const LONGEST_TAG_VALUE: usize = 100_000;

/// Characters in an alias.
const LONGEST_ALIAS: usize = 255;

pub(crate) fn check_name(name: &str, field: &'static str) -> Result<(), RegistryError> {
    if name.trim().is_empty() {
        return Err(RegistryError::MissingValue { field });
    }
    if name.contains(['/', ':']) {
        return Err(RegistryError::InvalidName {
            name: name.to_owned(),
        });
    }
    if let Some(reason) = path_fault(name) {
        return Err(RegistryError::InvalidValue {
            field: "name",
            value: python::json(name),
            reason,
        });
    }
    check_length("name", LONGEST_NAME, name)
}

/// Reads the number of a version; one that cannot be is of no version.
pub(crate) fn parse_version(name: &str, text: &str) -> Result<VersionNumber, RegistryError> {
    // Python's `int` takes white space and a sign.
    let number: i64 = text
        .trim()
        .parse()
        .map_err(|_| RegistryError::InvalidVersion {
            text: text.to_owned(),
        })?;
    VersionNumber::new(number).ok_or_else(|| RegistryError::NoVersion {
        name: name.to_owned(),
        version: number.to_string(),
    })
}

pub(crate) fn check_tag(key: &str, value: &str) -> Result<(), RegistryError> {
    check_tag_key(key)?;
    check_length("key", LONGEST_TAG_KEY, key)?;
    check_length("value", LONGEST_TAG_VALUE, value)
}

pub(crate) fn check_tag_key(key: &str) -> Result<(), RegistryError> {
    match key_fault(key) {
        Some(reason) => Err(RegistryError::InvalidValue {
            field: "key",
            value: python::json(key),
            reason,
        }),
        None => Ok(()),
    }
}

pub(crate) fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), RegistryError> {
    tags.iter()
        .try_for_each(|(key, value)| check_tag(key, value))
}

pub(crate) fn check_alias(alias: &str) -> Result<(), RegistryError> {
    if alias.is_empty() {
        return Err(RegistryError::EmptyAlias);
    }
    let is_allowed = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-');
    if !alias.chars().all(is_allowed) {
        return Err(RegistryError::InvalidAlias {
            alias: alias.to_owned(),
        });
    }
    check_length("Registered model alias name", LONGEST_ALIAS, alias)
}

pub(crate) fn is_latest(alias: &str) -> bool {
    alias.eq_ignore_ascii_case("latest")
}

/// Refuses aliases that mean something already.
pub(crate) fn check_alias_is_free(alias: &str) -> Result<(), RegistryError> {
    if is_latest(alias) {
        return Err(RegistryError::ReservedLatest);
    }
    let number = alias.strip_prefix(['v', 'V']);
    if number.is_some_and(|number| {
        !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
    }) {
        return Err(RegistryError::ReservedAlias {
            alias: alias.to_owned(),
        });
    }
    Ok(())
}

pub(crate) fn check_page(page: &PageRequest, largest: usize) -> Result<(), RegistryError> {
    let refuse = |reason| {
        Err(RegistryError::InvalidValue {
            field: "max_results",
            value: page.limit.to_string(),
            reason,
        })
    };
    match page.limit {
        0 => refuse("It must be a positive integer".to_owned()),
        limit if limit > largest => refuse(format!("It must be at most {largest}")),
        _ => Ok(()),
    }
}

fn check_length(field: &'static str, limit: usize, text: &str) -> Result<(), RegistryError> {
    // No text has more characters than bytes, so that most need not be counted.
    if text.len() > limit && text.chars().count() > limit {
        return Err(RegistryError::TooLong { field, limit });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said<T: std::fmt::Debug>(result: Result<T, RegistryError>) -> String {
        result.unwrap_err().to_string()
    }

    /// The messages of MLflow 3.17.2, as measured.
    #[test]
    fn refusals_are_said_in_the_words_of_mlflow() {
        assert_eq!(
            said(check_name("a/b", "name")),
            "Invalid model name 'a/b'. Names cannot contain '/' or ':'."
        );
        assert!(said(check_name(" ", "new_name")).contains("parameter 'new_name'"));
        assert!(said(check_name("..", "name")).contains("would resolve to '..'"));
        assert_eq!(
            said(parse_version("m", "abc")),
            "Parameter 'version' must be an integer, got 'abc'."
        );
        assert_eq!(
            said(parse_version("m", "0")),
            "Model Version (name=m, version=0) not found"
        );
        assert_eq!(
            said(check_alias_is_free("v1")),
            "Version alias name 'v1' is reserved."
        );
        assert_eq!(
            said(check_alias_is_free("LATEST")),
            "'latest' alias name (case insensitive) is reserved."
        );
        assert!(said(check_alias("a b")).starts_with("Invalid alias name: 'a b'."));
    }

    #[test]
    fn what_mlflow_takes_is_taken() {
        for name in ["m", "my model.v2", "ü", "a_b-c"] {
            check_name(name, "name").unwrap();
        }
        for alias in ["champion", "v", "vx1", "1", "a-b_c", "ü"] {
            check_alias(alias).unwrap();
            check_alias_is_free(alias).unwrap();
        }
        assert_eq!(parse_version("m", " 7 ").unwrap().get(), 7);
        check_tag("mlflow.prompt.text", &"x".repeat(100_000)).unwrap();
        assert!(check_tag("k", &"x".repeat(100_001)).is_err());
        assert!(check_name(&"x".repeat(257), "name").is_err());
    }
}
