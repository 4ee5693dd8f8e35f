//! Traces in MLflow's folder of files. Their spans are files among their artifacts.
//!
//! *Source*: what `mlflow/store/tracking/file_store.py` writes, 2.14 to 3.18.

use std::collections::BTreeMap;
use std::path::Path;

use entities::{Assessment, TRACE_ARTIFACTS_TAG, Timestamp, Trace, TraceId};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use walkdir::WalkDir;

use super::yaml::Node;
use super::{MlrunsFolder, own_artifacts, values_below};
use crate::MigrateError;
use crate::mlflow::assessment::{in_order, metadata_of, source_of, value_of};
use crate::mlflow::json::read_json;
use crate::mlflow::span::state_of;
use crate::mlflow::time::{duration_of_millis, duration_of_text, time_of_millis, time_of_text};
use crate::source::{SourceTrace, TraceLinks, TracePlace, TraceReading};

/// The file that makes a folder one of a trace.
pub(super) const TRACE_FILE: &str = "trace_info.yaml";

/// What is known of a trace, in the words of MLflow 3 or 2.
#[derive(Deserialize)]
struct TraceMeta {
    client_request_id: Option<String>,
    request_preview: Option<String>,
    response_preview: Option<String>,
    request_time: Option<String>,
    timestamp_ms: Option<i64>,
    execution_duration: Option<String>,
    execution_duration_ms: Option<i64>,
    execution_time_ms: Option<i64>,
    state: Option<String>,
    status: Option<String>,
}

#[derive(Deserialize)]
struct AssessmentMeta {
    assessment_id: String,
    assessment_name: String,
    source: SourceMeta,
    create_time: String,
    last_update_time: String,
    feedback: Option<FeedbackMeta>,
    expectation: Option<ExpectationMeta>,
    issue: Option<Node>,
    rationale: Option<String>,
    metadata: Option<BTreeMap<String, String>>,
    span_id: Option<String>,
    run_id: Option<String>,
    overrides: Option<String>,
    valid: Option<bool>,
}

#[derive(Deserialize)]
struct SourceMeta {
    source_type: String,
    source_id: Option<String>,
}

#[derive(Deserialize)]
struct FeedbackMeta {
    value: Option<Node>,
    error: Option<Node>,
}

#[derive(Deserialize)]
struct ExpectationMeta {
    value: Option<Node>,
    serialized_value: Option<SerializedMeta>,
}

#[derive(Deserialize)]
struct SerializedMeta {
    value: String,
}

impl MlrunsFolder {
    /// Which traces there are.
    pub(super) fn trace_places(&self) -> Vec<TracePlace> {
        let places = self.traces.iter().map(|(id, (experiment, path))| {
            let tag = path.join("tags").join(TRACE_ARTIFACTS_TAG);
            TracePlace {
                id: id.clone(),
                experiment: experiment.clone(),
                spans_at: std::fs::read_to_string(tag).ok(),
            }
        });
        places.collect()
    }

    /// Reads a trace with everything that belongs to it.
    pub(crate) fn trace(&self, id: &TraceId) -> Result<TraceReading, MigrateError> {
        let (experiment, path) = self.traces.get(id).ok_or_else(|| MigrateError::Row {
            what: format!("trace `{id}`"),
            why: "it was there a moment ago".to_owned(),
        })?;
        let mut faults = Vec::new();
        let read = || {
            let meta: TraceMeta = read_yaml(&path.join(TRACE_FILE))?;
            let pairs =
                |folder| values_below(&path.join(folder)).map_err(|error| error.to_string());
            Ok(Trace {
                experiment: experiment.clone(),
                tags: pairs("tags")?,
                metadata: pairs("request_metadata")?,
                ..meta.into_trace(id, experiment)?
            })
        };
        let fault = |why: String| format!("trace {id}: {why}");
        let trace = match read().map_err(fault) {
            Ok(trace) => trace,
            Err(fault) => {
                return Ok(TraceReading {
                    trace: None,
                    faults: vec![fault],
                });
            }
        };
        let location = trace.tags.get(TRACE_ARTIFACTS_TAG);
        let trace = SourceTrace {
            folder: own_artifacts(path, location.map_or("", String::as_str)),
            assessments: assessments_below(&path.join("assessments"), id, &mut faults),
            trace,
            spans: Vec::new(),
            archived_spans: 0,
            links: TraceLinks::default(),
        };
        Ok(TraceReading {
            trace: Some(trace),
            faults,
        })
    }
}

fn assessments_below(folder: &Path, id: &TraceId, faults: &mut Vec<String>) -> Vec<Assessment> {
    if !folder.is_dir() {
        return Vec::new();
    }
    let mut found: BTreeMap<String, Assessment> = BTreeMap::new();
    for entry in WalkDir::new(folder)
        .min_depth(1)
        .max_depth(1)
        .sort_by_file_name()
    {
        let read = entry.map_err(|error| error.to_string()).and_then(|entry| {
            let is_yaml = entry.path().extension().is_some_and(|end| end == "yaml");
            if !entry.file_type().is_file() || !is_yaml {
                return Err(format!("`{}` is no assessment", entry.path().display()));
            }
            let why = |why| format!("`{}`: {why}", entry.path().display());
            assessment_in(entry.path()).map_err(why)
        });
        match read {
            Ok(assessment) if found.contains_key(&assessment.id) => {
                faults.push(format!(
                    "assessment `{}` of trace {id}: it is there twice",
                    assessment.id
                ));
            }
            Ok(assessment) => {
                found.insert(assessment.id.clone(), assessment);
            }
            Err(why) => faults.push(format!("an assessment of trace {id}: {why}")),
        }
    }
    in_order(found.into_values().collect())
}

fn assessment_in(path: &Path) -> Result<Assessment, String> {
    let document = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let AssessmentMeta {
        assessment_id,
        assessment_name,
        source,
        create_time,
        last_update_time,
        feedback,
        expectation,
        issue,
        rationale,
        metadata,
        span_id,
        run_id,
        overrides,
        valid,
    } = serde_saphyr::from_str(&document).map_err(|error| error.to_string())?;
    let plain = |node: Option<Node>| node.map(|node| node.into_value(&document));
    let value = if let Some(FeedbackMeta { value, error }) = feedback {
        value_of("feedback", plain(value).unwrap_or_default(), plain(error))
    } else if let Some(ExpectationMeta {
        value,
        serialized_value,
    }) = expectation
    {
        let value = match serialized_value {
            Some(SerializedMeta { value }) => {
                read_json(&value).map_err(|error| error.to_string())?
            }
            None => plain(value).unwrap_or_default(),
        };
        value_of("expectation", value, None)
    } else if issue.is_some() {
        value_of("issue", plain(issue).unwrap_or_default(), None)
    } else {
        Err("it says nothing".to_owned())
    }?;
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    let metadata = metadata.map(|metadata| metadata.into_iter().collect());
    Ok(Assessment {
        id: assessment_id,
        name: assessment_name,
        value,
        source: source_of(&source.source_type, source.source_id)?,
        rationale,
        metadata: metadata_of(metadata, run_id)?,
        span: filled(span_id),
        created_at: some_time(&create_time)?,
        updated_at: some_time(&last_update_time)?,
        overrides: filled(overrides),
        is_valid: valid.unwrap_or(true),
    })
}

impl TraceMeta {
    fn into_trace(
        self,
        id: &TraceId,
        experiment: &entities::ExperimentId,
    ) -> Result<Trace, String> {
        let requested_at = match (&self.request_time, self.timestamp_ms) {
            (Some(text), _) => some_time(text)?,
            (None, Some(millis)) => {
                time_of_millis(millis).ok_or("its `timestamp_ms` is no time")?
            }
            (None, None) => return Err("it has no time".to_owned()),
        };
        let millis = self.execution_duration_ms.or(self.execution_time_ms);
        let duration_ms = match (millis, &self.execution_duration) {
            (Some(millis), _) => Some(duration_of_millis(millis).ok_or("its duration is none")?),
            (None, Some(text)) => Some(duration_of_text(text).ok_or("its duration is none")?),
            (None, None) => None,
        };
        let state = self.state.or(self.status).ok_or("it has no state")?;
        Ok(Trace {
            id: id.clone(),
            experiment: experiment.clone(),
            requested_at,
            duration_ms,
            state: state_of(&state)?,
            client_request_id: self.client_request_id,
            request_preview: self.request_preview,
            response_preview: self.response_preview,
            tags: BTreeMap::new(),
            metadata: BTreeMap::new(),
        })
    }
}

fn some_time(text: &str) -> Result<Timestamp, String> {
    time_of_text(text).ok_or_else(|| format!("`{text}` is no time"))
}

fn read_yaml<T: DeserializeOwned>(path: &Path) -> Result<T, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    serde_saphyr::from_str(&text).map_err(|error| error.to_string())
}
