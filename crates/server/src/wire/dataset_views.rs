//! Evaluation datasets and scorers in MLflow's form.

use entities::{
    DatasetId, DatasetRecord, EvaluationDataset, ExperimentId, OnlineScoring, ScorerVersion, python,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

/// An evaluation dataset, without its records.
#[derive(Serialize, JsonSchema)]
pub(crate) struct EvaluationDatasetView<'a> {
    dataset_id: &'a str,
    name: &'a str,
    /// JSON in a text, as all that has no fixed form.
    tags: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'a str>,
    digest: &'a str,
    created_time: i64,
    last_update_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_updated_by: Option<&'a str>,
    /// Told where a dataset is created; others ask for them.
    #[serde(skip_serializing_if = "<[ExperimentId]>::is_empty")]
    #[schemars(with = "Vec<String>")]
    experiment_ids: &'a [ExperimentId],
}

impl<'a> EvaluationDatasetView<'a> {
    pub(crate) fn new(dataset: &'a EvaluationDataset, experiment_ids: &'a [ExperimentId]) -> Self {
        let EvaluationDataset {
            id,
            name,
            tags,
            digest,
            schema,
            profile,
            created_at,
            updated_at,
            created_by,
            updated_by,
        } = dataset;
        let tags = tags.iter();
        let tags = tags.map(|(key, value)| (key.clone(), Value::from(value.as_str())));
        Self {
            dataset_id: id.as_str(),
            name,
            tags: python::dumps(&Value::Object(tags.collect())),
            schema: schema.as_deref(),
            profile: profile.as_deref(),
            digest,
            created_time: created_at.as_millis(),
            last_update_time: updated_at.as_millis(),
            created_by: created_by.as_deref(),
            last_updated_by: updated_by.as_deref(),
            experiment_ids,
        }
    }
}

/// A record, as the JSON that stands in a text: numbers that only Python has are written as it writes them.
pub(crate) struct DatasetRecordView(Value);

impl DatasetRecordView {
    pub(crate) fn new(dataset: &DatasetId, record: DatasetRecord) -> Self {
        let DatasetRecord {
            id,
            inputs,
            outputs,
            expectations,
            tags,
            source,
            created_at,
            updated_at,
            created_by,
            updated_by,
        } = record;
        let mut view = Map::new();
        let mut tell = |name: &str, value: Value| view.insert(name.to_owned(), value);
        tell("dataset_record_id", Value::from(id.as_str()));
        tell("dataset_id", Value::from(dataset.as_str()));
        tell("inputs", Value::Object(inputs));
        if let Some(expectations) = expectations {
            tell("expectations", Value::Object(expectations));
        }
        tell("tags", Value::Object(tags));
        if let Some(source) = source {
            if let Some(id) = source.id() {
                tell("source_id", Value::from(id));
            }
            tell("source_type", Value::from(source.kind.as_str()));
            let mut told = Map::new();
            told.insert("source_type".to_owned(), Value::from(source.kind));
            told.insert("source_data".to_owned(), Value::Object(source.data));
            tell("source", Value::Object(told));
        }
        tell("created_time", Value::from(created_at.as_millis()));
        tell("last_update_time", Value::from(updated_at.as_millis()));
        if let Some(user) = created_by {
            tell("created_by", Value::from(user));
        }
        if let Some(user) = updated_by {
            tell("last_updated_by", Value::from(user));
        }
        if let Some(outputs) = outputs {
            tell("outputs", outputs);
        }
        Self(Value::Object(view))
    }

    /// All of a page in one text.
    pub(crate) fn encode(records: impl IntoIterator<Item = Self>) -> String {
        let records = records.into_iter().map(|record| record.0);
        python::dumps_loaded(&Value::Array(records.collect()))
    }
}

/// A version of a scorer.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ScorerView<'a> {
    /// A number here, and a text in the answer to a registration.
    experiment_id: i64,
    scorer_name: &'a str,
    scorer_version: u32,
    serialized_scorer: &'a str,
    creation_time: i64,
    scorer_id: &'a str,
}

impl<'a> ScorerView<'a> {
    pub(crate) fn new(version: &'a ScorerVersion) -> Self {
        let ScorerVersion {
            scorer,
            experiment,
            name,
            version,
            serialized,
            created_at,
        } = version;
        Self {
            // Ids of experiments have at most 19 digits; one beyond 64 bits could not be made here.
            experiment_id: experiment.as_str().parse().unwrap_or(i64::MAX),
            scorer_name: name,
            scorer_version: version.get(),
            serialized_scorer: serialized,
            creation_time: created_at.as_millis(),
            scorer_id: scorer.as_str(),
        }
    }
}

/// How a scorer is to be applied to traces as they come.
#[derive(Serialize, JsonSchema)]
pub(crate) struct OnlineScoringView<'a> {
    online_scoring_config_id: &'a str,
    scorer_id: &'a str,
    sample_rate: f64,
    experiment_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter_string: Option<&'a str>,
}

impl<'a> OnlineScoringView<'a> {
    pub(crate) fn new(scoring: &'a OnlineScoring) -> Self {
        let OnlineScoring {
            id,
            scorer,
            experiment,
            sample_rate,
            filter,
        } = scoring;
        Self {
            online_scoring_config_id: id,
            scorer_id: scorer.as_str(),
            sample_rate: *sample_rate,
            experiment_id: experiment.as_str(),
            filter_string: filter.as_deref(),
        }
    }
}
