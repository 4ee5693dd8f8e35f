//! What a request may say, by MLflow's rules and in MLflow's words.
//!
//! *Source*: `mlflow/utils/validation.py`; the order of the checks is that of MLflow, since it decides which message
//! is given.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use entities::{Artifact, DatasetInput, ExperimentId, Metric, ModelId, RunId, key_fault, python};
use store::PageRequest;

use crate::{
    LARGEST_BATCH, LARGEST_BATCH_DATASETS, LARGEST_BATCH_METRICS, LARGEST_BATCH_PARAMS,
    LARGEST_BATCH_TAGS, LARGEST_PAGE, LONGEST_ARTIFACT_LOCATION, LONGEST_DATASET_DIGEST,
    LONGEST_DATASET_NAME, LONGEST_DATASET_PROFILE, LONGEST_DATASET_SCHEMA, LONGEST_DATASET_SOURCE,
    LONGEST_EXPERIMENT_NAME, LONGEST_EXPERIMENT_TAG_VALUE, LONGEST_INPUT_TAG_KEY,
    LONGEST_INPUT_TAG_VALUE, LONGEST_KEY, LONGEST_VALUE, LogBatch, TrackingError,
};

/// Reads the id of an experiment as a client gives it.
pub fn parse_experiment_id(text: &str) -> Result<ExperimentId, TrackingError> {
    text.parse()
        .map_err(|_| TrackingError::InvalidExperimentId {
            text: text.to_owned(),
        })
}

/// Reads the id of a run as a client gives it.
pub fn parse_run_id(text: &str) -> Result<RunId, TrackingError> {
    text.parse()
        .map_err(|_| invalid("run_id", python::json(text), ""))
}

/// Reads the id of a logged model as a client gives it.
pub fn parse_model_id(text: &str) -> Result<ModelId, TrackingError> {
    text.parse()
        .map_err(|_| invalid("model_id", python::json(text), ""))
}

pub(crate) fn invalid(
    field: impl Into<String>,
    value: impl Into<String>,
    reason: impl Into<String>,
) -> TrackingError {
    TrackingError::InvalidValue {
        field: field.into(),
        value: value.into(),
        reason: reason.into(),
    }
}

/// Where in a request something stands.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// It is the request.
    Whole,
    /// In the list of this name.
    InList(&'static str, usize),
}

impl Place {
    /// The path of a field; it is put into words only where it is told.
    const fn field(self, name: &'static str) -> FieldPath {
        FieldPath { place: self, name }
    }
}

/// The path of a field, such as `metrics[3].name`.
struct FieldPath {
    place: Place,
    name: &'static str,
}

impl Display for FieldPath {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        if let Place::InList(list, index) = self.place {
            write!(formatter, "{list}[{index}].")?;
        }
        formatter.write_str(self.name)
    }
}

/// Checks one point.
pub(crate) fn check_metric(metric: &Metric, place: Place) -> Result<(), TrackingError> {
    check_name(&metric.key, place.field("name"))?;
    if metric.timestamp_ms < 0 {
        let reason = format!(
            "metric '{}' (value={}). Timestamp must be a nonnegative long (64-bit integer) ",
            metric.key,
            python::float(metric.value)
        );
        let value = metric.timestamp_ms.to_string();
        let field = place.field("timestamp").to_string();
        return Err(invalid(field, value, reason));
    }
    if let Some((name, digest)) = &metric.dataset {
        check_length("dataset_name", LONGEST_DATASET_NAME, name)?;
        check_length("dataset_digest", LONGEST_DATASET_DIGEST, digest)?;
    }
    check_length("Metric name", LONGEST_KEY, &metric.key)
}

pub(crate) fn check_param(key: &str, value: &str, place: Place) -> Result<(), TrackingError> {
    check_name(key, place.field("key"))?;
    check_length("Param key", LONGEST_KEY, key)?;
    check_length("Param value", LONGEST_VALUE, value)
}

pub(crate) fn check_tag(key: &str, value: &str, place: Place) -> Result<(), TrackingError> {
    check_name(key, place.field("key"))?;
    check_length(place.field("key"), LONGEST_KEY, key)?;
    check_length(place.field("value"), LONGEST_VALUE, value)
}

/// Tags of a new run: their keys may hold any letter, as in MLflow, which checks them only where a tag is set later.
pub(crate) fn check_first_tags(tags: &BTreeMap<String, String>) -> Result<(), TrackingError> {
    tags.iter().try_for_each(|(key, value)| {
        check_length("key", LONGEST_KEY, key)?;
        check_length("value", LONGEST_VALUE, value)
    })
}

pub(crate) fn check_experiment_tag(key: &str, value: &str) -> Result<(), TrackingError> {
    check_name(key, "key")?;
    check_length("key", LONGEST_KEY, key)?;
    check_length("value", LONGEST_EXPERIMENT_TAG_VALUE, value)
}

pub(crate) fn check_experiment_name(name: &str) -> Result<(), TrackingError> {
    if name.is_empty() {
        return Err(TrackingError::InvalidExperimentName {
            name: name.to_owned(),
        });
    }
    check_length("name", LONGEST_EXPERIMENT_NAME, name)
}

pub(crate) fn check_artifact_location(location: &str) -> Result<(), TrackingError> {
    if location.starts_with("runs:") {
        return Err(TrackingError::InvalidArtifactLocation {
            location: location.to_owned(),
        });
    }
    if location.contains('#') {
        return Err(TrackingError::ArtifactLocationFragment);
    }
    if location.chars().count() > LONGEST_ARTIFACT_LOCATION {
        return Err(TrackingError::ArtifactLocationTooLong {
            limit: LONGEST_ARTIFACT_LOCATION,
        });
    }
    Ok(())
}

pub(crate) fn check_model_name(name: &str) -> Result<(), TrackingError> {
    if name.is_empty() || name.contains(['/', ':', '.', '%', '"', '\'']) {
        return Err(TrackingError::InvalidModelName {
            name: name.to_owned(),
        });
    }
    check_length("name", LONGEST_EXPERIMENT_NAME, name)
}

/// Checks keys and values of a logged model; MLflow lets any character stand in them.
pub(crate) fn check_model_texts(
    noun: &str,
    texts: &BTreeMap<String, String>,
) -> Result<(), TrackingError> {
    texts.iter().try_for_each(|(key, value)| {
        check_length(format_args!("{noun} key"), LONGEST_KEY, key)?;
        check_length(format_args!("{noun} value"), LONGEST_VALUE, value)
    })
}

pub(crate) fn check_datasets(datasets: &[DatasetInput]) -> Result<(), TrackingError> {
    check_count("datasets", LARGEST_BATCH_DATASETS, datasets.len())?;
    datasets.iter().try_for_each(check_dataset)
}

fn check_dataset(dataset: &DatasetInput) -> Result<(), TrackingError> {
    let DatasetInput {
        name,
        digest,
        source_type: _,
        source,
        schema,
        profile,
        tags,
    } = dataset;
    check_length("name", LONGEST_DATASET_NAME, name)?;
    check_length("digest", LONGEST_DATASET_DIGEST, digest)?;
    check_length("source", LONGEST_DATASET_SOURCE, source)?;
    let schema = schema.as_deref().unwrap_or_default();
    check_length("schema", LONGEST_DATASET_SCHEMA, schema)?;
    let profile = profile.as_deref().unwrap_or_default();
    check_length("profile", LONGEST_DATASET_PROFILE, profile)?;
    tags.iter().try_for_each(|(key, value)| {
        check_length("key", LONGEST_INPUT_TAG_KEY, key)?;
        check_length("value", LONGEST_INPUT_TAG_VALUE, value)
    })
}

pub(crate) fn check_batch(batch: &LogBatch) -> Result<(), TrackingError> {
    let LogBatch {
        metrics,
        params,
        tags,
    } = batch;
    for (index, metric) in metrics.iter().enumerate() {
        check_metric(metric, Place::InList("metrics", index))?;
    }
    for (index, (key, value)) in params.iter().enumerate() {
        check_param(key, value, Place::InList("params", index))?;
    }
    for (index, (key, value)) in tags.iter().enumerate() {
        check_tag(key, value, Place::InList("tags", index))?;
    }
    check_count("metrics", LARGEST_BATCH_METRICS, metrics.len())?;
    check_count("params", LARGEST_BATCH_PARAMS, params.len())?;
    check_count("tags", LARGEST_BATCH_TAGS, tags.len())?;
    let all = metrics.len() + params.len() + tags.len();
    check_count("metrics, params, and tags", LARGEST_BATCH, all)?;
    let mut seen = std::collections::BTreeSet::new();
    let doubled = params.iter().filter(|(key, _)| !seen.insert(key));
    let keys: Vec<_> = doubled.map(|(key, _)| key.clone()).collect();
    if keys.is_empty() {
        Ok(())
    } else {
        Err(TrackingError::DuplicateParams { keys })
    }
}

pub(crate) fn check_page(page: &PageRequest) -> Result<(), TrackingError> {
    let refuse = |reason| Err(invalid("max_results", page.limit.to_string(), reason));
    match page.limit {
        0 => refuse("It must be a positive integer".to_owned()),
        limit if limit > LARGEST_PAGE => refuse(format!("It must be at most {LARGEST_PAGE}")),
        _ => Ok(()),
    }
}

/// Checks a path that names an artifact.
pub(crate) fn check_artifact_path(path: &str) -> Result<(), TrackingError> {
    if Artifact::is_valid_path(path) {
        return Ok(());
    }
    Err(TrackingError::InvalidPath {
        path: path.to_owned(),
    })
}

fn check_count(what: &'static str, limit: usize, found: usize) -> Result<(), TrackingError> {
    if found > limit {
        return Err(TrackingError::BatchTooLarge { what, limit, found });
    }
    Ok(())
}

fn check_length(field: impl Display, limit: usize, text: &str) -> Result<(), TrackingError> {
    // No text has more characters than bytes, so that most need not be counted.
    if text.len() > limit && text.chars().count() > limit {
        return Err(TrackingError::TooLong {
            field: field.to_string(),
            limit,
        });
    }
    Ok(())
}

/// Checks the key of a metric, param or tag.
fn check_name(name: &str, field: impl Display) -> Result<(), TrackingError> {
    match key_fault(name) {
        Some(reason) => Err(invalid(field.to_string(), python::json(name), reason)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(result: Result<(), TrackingError>) -> String {
        result.unwrap_err().to_string()
    }

    fn metric(key: &str) -> Metric {
        Metric::new(key, 1.0, 1, 0)
    }

    /// The messages of MLflow 3.17.2, as measured.
    #[test]
    fn a_bad_metric_is_refused_in_the_words_of_mlflow() {
        assert_eq!(
            said(check_metric(&metric("a&b"), Place::Whole)),
            "Invalid value \"a&b\" for parameter 'name' supplied: Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and slashes (/)."
        );
        assert_eq!(
            said(check_metric(&metric("../a"), Place::InList("metrics", 2))),
            "Invalid value \"../a\" for parameter 'metrics[2].name' supplied: Names may be treated as files in certain cases, and must not resolve to other names when treated as such. This name would resolve to '../a'"
        );
        assert_eq!(
            said(check_metric(&metric(&"a".repeat(251)), Place::Whole)),
            "'Metric name' exceeds the maximum length of 250 characters"
        );
        assert_eq!(
            said(check_metric(&Metric::new("a", 1.0, -1, 0), Place::Whole)),
            "Invalid value -1 for parameter 'timestamp' supplied: metric 'a' (value=1.0). Timestamp must be a nonnegative long (64-bit integer) "
        );
    }

    #[test]
    fn a_key_may_hold_what_mlflow_allows_and_nothing_that_leads_elsewhere() {
        for key in ["a", "system/cpu", "a b:c-d.e_f", ".a", "a..", "ü", "值"] {
            check_metric(&metric(key), Place::Whole).unwrap();
        }
        check_metric(&metric(&"ü".repeat(250)), Place::Whole).unwrap();
        for key in [
            "", ".", "..", "/a", "a/", "a//b", "a/./b", "a\n", "a\0", "a'b", "..a", "a\\b",
        ] {
            assert!(
                check_metric(&metric(key), Place::Whole).is_err(),
                "{key:?} was taken"
            );
            assert!(
                check_param(key, "", Place::Whole).is_err(),
                "{key:?} was taken"
            );
            assert!(
                check_tag(key, "", Place::Whole).is_err(),
                "{key:?} was taken"
            );
        }
    }

    #[test]
    fn a_batch_is_limited_as_by_mlflow() {
        let pairs = |count: usize| -> Vec<(String, String)> {
            (0..count)
                .map(|at| (format!("b{at}"), "1".to_owned()))
                .collect()
        };
        let batch = |metrics, params, tags| LogBatch {
            metrics: vec![metric("b"); metrics],
            params: pairs(params),
            tags: pairs(tags),
        };
        for (batch, what, limit, found) in [
            (batch(1001, 0, 0), "metrics", 1000, 1001),
            (batch(0, 101, 0), "params", 100, 101),
            (batch(0, 0, 101), "tags", 100, 101),
            (batch(950, 100, 0), "metrics, params, and tags", 1000, 1050),
        ] {
            assert_eq!(
                said(check_batch(&batch)),
                format!(
                    "A batch logging request can contain at most {limit} {what}. Got {found} {what}. Please split up {what} across multiple requests and try again."
                )
            );
        }
        check_batch(&batch(800, 100, 100)).unwrap();
        let doubled = LogBatch {
            params: vec![
                ("q".to_owned(), "3".to_owned()),
                ("q".to_owned(), "3".to_owned()),
            ],
            ..LogBatch::default()
        };
        assert_eq!(
            said(check_batch(&doubled)),
            "Duplicate parameter keys have been submitted: ['q']. Please ensure the request contains only one param value per param key."
        );
    }

    #[test]
    fn ids_that_are_none_are_refused() {
        assert_eq!(
            parse_experiment_id("abc").unwrap_err().to_string(),
            "Invalid experiment ID 'abc'. Experiment ID must be a valid integer."
        );
        assert_eq!(
            parse_run_id("../x").unwrap_err().to_string(),
            "Invalid value \"../x\" for parameter 'run_id' supplied."
        );
        assert!(parse_model_id("m/1").is_err());
    }

    #[test]
    fn long_values_are_kept_or_refused_and_never_cut() {
        check_param("p", &"x".repeat(6001), Place::Whole).unwrap();
        check_tag("t", &"x".repeat(8001), Place::Whole).unwrap();
        assert_eq!(
            said(check_param(
                "p",
                &"x".repeat(LONGEST_VALUE + 1),
                Place::Whole
            )),
            "'Param value' exceeds the maximum length of 1048576 characters"
        );
        assert_eq!(
            said(check_tag(
                "t",
                &"x".repeat(LONGEST_VALUE + 1),
                Place::InList("tags", 0)
            )),
            "'tags[0].value' exceeds the maximum length of 1048576 characters"
        );
    }
}
