//! What MLflow 3.17.2 takes itself. Its database in SQLite holds more, and its clients read it.
//!
//! *Source*: `mlflow/utils/validation.py`.

/// Characters of a key of a param, a tag or a metric.
const KEY: usize = 250;

/// Characters of the value of a param.
const PARAM: usize = 6000;

/// Characters of the value of a tag of a run.
const TAG: usize = 8000;

/// A sentence for each key and value of a run that is longer than MLflow takes.
pub(super) fn check_pairs(
    what: &str,
    noun: &str,
    pairs: &std::collections::BTreeMap<String, String>,
    found: &mut Vec<String>,
) {
    let longest = if noun == "param" { PARAM } else { TAG };
    for (key, value) in pairs {
        check_length(
            &format!("{what}: the key of {noun} `{}`", short(key)),
            key,
            KEY,
            found,
        );
        check_length(
            &format!("{what}: {noun} `{}`", short(key)),
            value,
            longest,
            found,
        );
    }
}

/// A sentence for a key of a metric that is longer than MLflow takes.
pub(super) fn check_key(what: &str, key: &str, found: &mut Vec<String>) {
    check_length(
        &format!("{what}: the key of metric `{}`", short(key)),
        key,
        KEY,
        found,
    );
}

fn check_length(what: &str, text: &str, longest: usize, found: &mut Vec<String>) {
    if text.len() > longest {
        let length = text.chars().count();
        if length > longest {
            found.push(format!(
                "{what} has {length} characters, and MLflow takes {longest}"
            ));
        }
    }
}

fn short(key: &str) -> String {
    key.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn what_is_longer_than_mlflow_takes_is_told_and_what_is_as_long_is_not() {
        let of = |noun: &str, key: usize, value: usize| {
            let pairs = BTreeMap::from([("ä".repeat(key), "ä".repeat(value))]);
            let mut found = Vec::new();
            check_pairs("run r", noun, &pairs, &mut found);
            found
        };
        assert!(of("param", 250, 6000).is_empty());
        assert!(of("tag", 250, 8000).is_empty());
        assert_eq!(
            of("param", 1, 6001),
            ["run r: param `ä` has 6001 characters, and MLflow takes 6000".to_owned()]
        );
        assert_eq!(of("tag", 251, 8001).len(), 2);
    }
}
