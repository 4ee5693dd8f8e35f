//! The wire form: JSON as MLflow's protobuf codec reads and writes it.

mod answer;
mod body;
mod dataset_views;
mod decode;
mod moment;
mod number;
mod query;
mod schema;
mod told_word;
mod trace_views;
mod views;
mod webhook_views;
mod word;

pub(crate) use answer::{
    Answer, AnyFile, Archive, Html, Media, Plain, Protobuf, Sent, Told, empty, json,
};
pub(crate) use body::{Json, read_body, read_body_within};
pub(crate) use dataset_views::{
    DatasetRecordView, EvaluationDatasetView, OnlineScoringView, ScorerView,
};
pub(crate) use decode::{read_value, read_whole};
pub(crate) use moment::{Millis, Moment};
pub(crate) use number::{Double, Int64};
pub(crate) use query::Query;
pub(crate) use told_word::Word;
pub(crate) use trace_views::{
    AssessmentView, SpanFileView, SpanView, TraceInfoV2View, TraceInfoView,
};
pub(crate) use views::{
    ExperimentView, FileView, LoggedModelView, MetricView, ModelVersionView, Page,
    RegisteredModelView, RunInfoView, RunView,
};
pub(crate) use webhook_views::{WebhookTrialView, WebhookView};
pub(crate) use word::{
    ActionWord, AggregationWord, EntityWord, FigureViewWord, LabelKindWord, ModelStatusWord,
    RunStatusWord, SourceWord, TraceStateWord, ViewWord, WebhookStatusWord,
};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::error::RequestError;

/// A key and its value, as params and tags are sent.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
pub(crate) struct Pair {
    pub(crate) key: Option<String>,
    pub(crate) value: Option<String>,
}

/// What must be there; an empty text is none, as in protobuf.
pub(crate) fn required(field: &str, value: Option<String>) -> Result<String, RequestError> {
    value
        .filter(|text| !text.is_empty())
        .ok_or_else(|| missing(field))
}

pub(crate) fn missing(field: impl Into<String>) -> RequestError {
    RequestError::MissingValue {
        field: field.into(),
    }
}

/// Reads a list of keys and values; `list` is its name, for messages.
pub(crate) fn pairs(
    list: &str,
    pairs: Option<Vec<Pair>>,
) -> Result<Vec<(String, String)>, RequestError> {
    let numbered = pairs.unwrap_or_default().into_iter().enumerate();
    numbered
        .map(|(index, Pair { key, value })| match key {
            Some(key) if !key.is_empty() => Ok((key, value.unwrap_or_default())),
            _ => Err(missing(format!("{list}[{index}].key"))),
        })
        .collect()
}
