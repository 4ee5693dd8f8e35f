//! Spans as they come from OpenTelemetry.

use std::collections::BTreeMap;

use entities::{Caller, ExperimentId, Span, TraceId, TraceRecord, python};
use serde_json::{Map, Value};

use crate::traces::{Writing, experiment_subject, logged, trace_subject};
use crate::translate::translate;
use crate::validation::check_tag;
use crate::{Traces, TracesError};

/// A span, and what its sender says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct ReceivedSpan {
    /// The trace that it is part of.
    pub trace: TraceId,
    /// The span, with its attributes as they were sent.
    pub span: Span,
    /// Attributes of the program that sent it.
    pub resource: Map<String, Value>,
}

/// The attribute by which a span names its trace.
const TRACE_ID_ATTRIBUTE: &str = "mlflow.traceRequestId";

/// What attributes of a root that are meant as tags of the trace begin with.
const TAG_ATTRIBUTE_PREFIX: &str = "mlflow.traceTag.";

/// Attributes of a sender that are no tags: what the SDK says of itself, and what is MLflow's own.
const UNTAGGED_PREFIXES: [&str; 2] = ["telemetry.sdk.", "mlflow."];

/// Programs whose spans begin as they do, so that their root says which it was.
const KNOWN_PROGRAMS: [&str; 5] = [
    "claude-code",
    "codex_cli_rs",
    "codex_vscode",
    "gemini-cli",
    "qwen-code",
];

impl Traces {
    /// Takes spans, all or none; traces that are not there are made. Tells of which traces the root came.
    pub async fn log_spans(
        &self,
        caller: &Caller,
        experiment: &ExperimentId,
        spans: Vec<ReceivedSpan>,
    ) -> Result<Vec<TraceId>, TracesError> {
        let experiment = self.get_experiment(experiment).await?;
        let received = group(spans);
        let mut subjects = Vec::with_capacity(received.len() + 1);
        let mut changes = Vec::with_capacity(received.len());
        let mut rooted = Vec::new();
        for (id, spans) in received {
            if spans.iter().any(|received| received.span.parent.is_none()) {
                rooted.push(id.clone());
            }
            subjects.push(trace_subject(&id));
            let records = records_of(&id, spans);
            changes.push(logged(&id, &experiment, &records));
        }
        subjects.insert(subjects.len().min(1), experiment_subject(&experiment.id));
        let writing = Writing {
            caller,
            kind: "trace.spanned",
            subjects,
        };
        self.commit(writing, changes).await?;
        Ok(rooted)
    }
}

/// The spans of each trace, in the order in which they came.
fn group(spans: Vec<ReceivedSpan>) -> Vec<(TraceId, Vec<ReceivedSpan>)> {
    let mut places: BTreeMap<TraceId, usize> = BTreeMap::new();
    let mut grouped: Vec<(TraceId, Vec<ReceivedSpan>)> = Vec::new();
    for received in spans {
        let next = grouped.len();
        let place = *places.entry(received.trace.clone()).or_insert(next);
        if place == next {
            grouped.push((received.trace.clone(), Vec::new()));
        }
        grouped[place].1.push(received);
    }
    grouped
}

fn records_of(id: &TraceId, spans: Vec<ReceivedSpan>) -> Vec<TraceRecord> {
    let resource = spans.iter().find(|received| !received.resource.is_empty());
    let mut tags = resource.map_or_else(BTreeMap::new, |received| tags_of(&received.resource));
    let mut records = Vec::with_capacity(spans.len() + 1);
    for ReceivedSpan {
        trace: _,
        mut span,
        resource,
    } in spans
    {
        let program = resource.get("service.name").and_then(Value::as_str);
        if let (None, Some(program)) = (&span.parent, program)
            && KNOWN_PROGRAMS.contains(&program)
        {
            let name = "service.name".to_owned();
            span.attributes.insert(name, Value::from(program));
        }
        // Whatever a client sent: it names the trace that the span is kept with.
        let name = TRACE_ID_ATTRIBUTE.to_owned();
        span.attributes.insert(name, Value::from(id.as_str()));
        translate(&mut span.attributes, &span.events);
        if span.parent.is_none() {
            tags.extend(told_tags(&span.attributes));
        }
        records.push(TraceRecord::Spanned { span });
    }
    if !tags.is_empty() {
        records.push(TraceRecord::Tagged { tags });
    }
    records
}

/// What a sender says of itself, as tags; what can be no tag is passed over, since the spans matter more.
fn tags_of(resource: &Map<String, Value>) -> BTreeMap<String, String> {
    let tags = resource.iter().filter_map(|(key, value)| {
        let is_tag = !UNTAGGED_PREFIXES
            .iter()
            .any(|prefix| key.starts_with(prefix));
        let value = text_of(value);
        (is_tag && check_tag(key, &value).is_ok()).then(|| (key.clone(), value))
    });
    tags.collect()
}

/// Attributes of a root that are meant as tags of the trace.
fn told_tags(attributes: &Map<String, Value>) -> BTreeMap<String, String> {
    let tags = attributes.iter().filter_map(|(key, value)| {
        let key = key.strip_prefix(TAG_ATTRIBUTE_PREFIX)?;
        let value = text_of(value);
        check_tag(key, &value).ok()?;
        Some((key.to_owned(), value))
    });
    tags.collect()
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => python::dumps(other),
    }
}
