//! Traces in MLflow's form.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use entities::{
    Assessment, AssessmentError, AssessmentValue, Span, SpanEvent, SpanLink, SpanStatus,
    TRACE_ARTIFACTS_TAG, TRACE_RUN_KEY, Trace, TraceDetail, TraceState, python,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::Word;
use super::moment::{Millis, Moment};
use super::views::PairView;
use crate::scope::Access;

/// What is known of a trace as a whole.
#[derive(Serialize, JsonSchema)]
pub(crate) struct TraceInfoView<'a> {
    trace_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_request_id: Option<&'a str>,
    trace_location: TraceLocationView<'a>,
    request_time: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_duration: Option<Millis>,
    state: Word<TraceState>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    trace_metadata: BTreeMap<&'a str, Cow<'a, str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    assessments: Vec<AssessmentView<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<&'a str, Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_preview: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_preview: Option<&'a str>,
}

/// Where a trace is.
#[derive(Serialize, JsonSchema)]
struct TraceLocationView<'a> {
    #[serde(rename = "type")]
    kind: TraceLocationKindView,
    mlflow_experiment: ExperimentLocationView<'a>,
}

/// Traces are nowhere else here.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum TraceLocationKindView {
    MlflowExperiment,
}

/// An experiment that a trace belongs to.
#[derive(Serialize, JsonSchema)]
struct ExperimentLocationView<'a> {
    experiment_id: &'a str,
}

impl<'a> TraceInfoView<'a> {
    pub(crate) fn new(detail: &'a TraceDetail, access: &Access) -> Self {
        let Trace {
            id,
            experiment,
            requested_at,
            duration_ms,
            state,
            client_request_id,
            request_preview,
            response_preview,
            tags,
            metadata,
        } = &detail.trace;
        let assessments = detail.assessments.iter();
        Self {
            trace_id: id.as_str(),
            client_request_id: client_request_id.as_deref(),
            trace_location: TraceLocationView {
                kind: TraceLocationKindView::MlflowExperiment,
                mlflow_experiment: ExperimentLocationView {
                    experiment_id: experiment.as_str(),
                },
            },
            request_time: Moment(*requested_at),
            execution_duration: duration_ms.map(Millis),
            state: Word(*state),
            trace_metadata: shown(metadata, access),
            assessments: assessments
                .map(|assessment| AssessmentView::new(id.as_str(), assessment))
                .collect(),
            tags: shown(tags, access),
            request_preview: request_preview.as_deref(),
            response_preview: response_preview.as_deref(),
        }
    }
}

/// Tags or metadata, with the run as it is shown.
fn shown<'a>(
    pairs: &'a BTreeMap<String, String>,
    access: &Access,
) -> BTreeMap<&'a str, Cow<'a, str>> {
    let shown = pairs.iter().map(|(key, value)| {
        let value = match key.as_str() {
            TRACE_RUN_KEY => access.shown_id(value),
            TRACE_ARTIFACTS_TAG => access.shown_uri(value),
            _ => Cow::Borrowed(value.as_str()),
        };
        (key.as_str(), value)
    });
    shown.collect()
}

/// A trace as clients of MLflow 2 know it.
#[derive(Serialize, JsonSchema)]
pub(crate) struct TraceInfoV2View<'a> {
    request_id: &'a str,
    experiment_id: &'a str,
    timestamp_ms: i64,
    execution_time_ms: i64,
    status: TraceStatusView,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    request_metadata: Vec<PairView<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<PairView<'a>>,
}

/// How a trace is, in the words of MLflow 2.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum TraceStatusView {
    TraceStatusUnspecified,
    Ok,
    Error,
    InProgress,
}

impl<'a> TraceInfoV2View<'a> {
    pub(crate) fn new(trace: &'a Trace, access: &Access) -> Self {
        let entries = |pairs| {
            let shown = shown(pairs, access).into_iter();
            shown.map(|(key, value)| PairView { key, value }).collect()
        };
        Self {
            request_id: trace.id.as_str(),
            experiment_id: trace.experiment.as_str(),
            timestamp_ms: trace.requested_at.as_millis(),
            execution_time_ms: trace.duration_ms.unwrap_or_default(),
            status: match trace.state {
                TraceState::StateUnspecified => TraceStatusView::TraceStatusUnspecified,
                TraceState::Ok => TraceStatusView::Ok,
                TraceState::Error => TraceStatusView::Error,
                TraceState::InProgress => TraceStatusView::InProgress,
            },
            request_metadata: entries(&trace.metadata),
            tags: entries(&trace.tags),
        }
    }
}

/// What somebody says of a trace.
#[derive(Serialize, JsonSchema)]
pub(crate) struct AssessmentView<'a> {
    assessment_id: &'a str,
    assessment_name: &'a str,
    trace_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<&'a str>,
    source: AssessmentSourceView<'a>,
    create_time: Moment,
    last_update_time: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    feedback: Option<FeedbackView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expectation: Option<ExpectationView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issue: Option<IssueReferenceView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rationale: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    overrides: Option<&'a str>,
    valid: bool,
}

/// Who assesses.
#[derive(Serialize, JsonSchema)]
struct AssessmentSourceView<'a> {
    source_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_id: Option<&'a str>,
}

/// How good something was.
#[derive(Serialize, JsonSchema)]
struct FeedbackView<'a> {
    value: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<AssessmentErrorView<'a>>,
}

/// Why there is no feedback.
#[derive(Serialize, JsonSchema)]
struct AssessmentErrorView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stack_trace: Option<&'a str>,
}

/// What should have come out: a plain value, or a structure in a text.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum ExpectationView<'a> {
    Value(&'a Value),
    SerializedValue(SerializedValueView),
}

/// A value of an expectation in a text.
#[derive(Serialize, JsonSchema)]
struct SerializedValueView {
    serialization_format: SerializationFormatView,
    value: String,
}

/// What the text is.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum SerializationFormatView {
    JsonFormat,
}

/// The issue that a trace shows.
#[derive(Serialize, JsonSchema)]
struct IssueReferenceView<'a> {
    issue_name: &'a str,
}

impl<'a> AssessmentView<'a> {
    pub(crate) fn new(trace: &'a str, assessment: &'a Assessment) -> Self {
        let Assessment {
            id,
            name,
            value,
            source,
            rationale,
            metadata,
            span,
            created_at,
            updated_at,
            overrides,
            is_valid,
        } = assessment;
        let (mut feedback, mut expectation, mut issue) = (None, None, None);
        match value {
            AssessmentValue::Feedback { value, error } => {
                feedback = Some(FeedbackView {
                    value,
                    error: error.as_ref().map(AssessmentErrorView::new),
                });
            }
            AssessmentValue::Expectation { value } => expectation = Some(expectation_of(value)),
            AssessmentValue::Issue { issue: name } => {
                issue = Some(IssueReferenceView { issue_name: name });
            }
        }
        Self {
            assessment_id: id,
            assessment_name: name,
            trace_id: trace,
            span_id: span.as_deref(),
            source: AssessmentSourceView {
                source_type: &source.kind,
                source_id: source.id.as_deref(),
            },
            create_time: Moment(*created_at),
            last_update_time: Moment(*updated_at),
            feedback,
            expectation,
            issue,
            rationale: rationale.as_deref(),
            metadata,
            overrides: overrides.as_deref(),
            valid: *is_valid,
        }
    }
}

/// Structures go as a text, as MLflow's clients expect.
fn expectation_of(value: &Value) -> ExpectationView<'_> {
    match value {
        Value::Null | Value::Array(_) | Value::Object(_) => {
            ExpectationView::SerializedValue(SerializedValueView {
                serialization_format: SerializationFormatView::JsonFormat,
                value: python::dumps(value),
            })
        }
        plain => ExpectationView::Value(plain),
    }
}

impl<'a> AssessmentErrorView<'a> {
    fn new(error: &'a AssessmentError) -> Self {
        let AssessmentError {
            code,
            message,
            stack_trace,
        } = error;
        Self {
            error_code: code.as_deref(),
            error_message: message.as_deref(),
            stack_trace: stack_trace.as_deref(),
        }
    }
}

/// A span in the form of OpenTelemetry's protobuf, in JSON.
#[derive(Serialize, JsonSchema)]
pub(crate) struct SpanView<'a> {
    trace_id: String,
    span_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<String>,
    name: &'a str,
    start_time_unix_nano: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time_unix_nano: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attributes: Vec<AttributeView<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    events: Vec<SpanEventView<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<SpanLinkView<'a>>,
    status: SpanStatusView<'a>,
}

/// A value of a span, and its key.
#[derive(Serialize, JsonSchema)]
struct AttributeView<'a> {
    key: &'a str,
    value: AnyValueView<'a>,
}

/// A value, under the name of its kind; none is an empty object.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum AnyValueView<'a> {
    BoolValue(bool),
    IntValue(i64),
    DoubleValue(f64),
    StringValue(&'a str),
    ArrayValue(ValuesView<'a>),
    KvlistValue(AttributesView<'a>),
    #[serde(untagged)]
    None {},
}

/// What happened at a moment of a span.
#[derive(Serialize, JsonSchema)]
struct SpanEventView<'a> {
    time_unix_nano: u64,
    name: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attributes: Vec<AttributeView<'a>>,
}

/// Another span that has to do with one.
#[derive(Serialize, JsonSchema)]
struct SpanLinkView<'a> {
    trace_id: String,
    span_id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attributes: Vec<AttributeView<'a>>,
}

/// How a span ended.
#[derive(Serialize, JsonSchema)]
struct SpanStatusView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<SpanStatusCodeView>,
}

/// Values in a list.
#[derive(Serialize, JsonSchema)]
struct ValuesView<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    values: Vec<AnyValueView<'a>>,
}

/// Values by their keys.
#[derive(Serialize, JsonSchema)]
struct AttributesView<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    values: Vec<AttributeView<'a>>,
}

/// How a span ended, where somebody has said.
#[derive(Serialize, JsonSchema)]
enum SpanStatusCodeView {
    #[serde(rename = "STATUS_CODE_OK")]
    Ok,
    #[serde(rename = "STATUS_CODE_ERROR")]
    Error,
}

impl<'a> AnyValueView<'a> {
    fn new(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::None {},
            Value::Bool(truth) => Self::BoolValue(*truth),
            Value::Number(number) => match number.as_i64() {
                Some(integer) => Self::IntValue(integer),
                // One that is not whole is one of these.
                None => Self::DoubleValue(number.as_f64().unwrap_or_default()),
            },
            Value::String(text) => Self::StringValue(text),
            Value::Array(items) => Self::ArrayValue(ValuesView {
                values: items.iter().map(Self::new).collect(),
            }),
            Value::Object(members) => Self::KvlistValue(AttributesView {
                values: attribute_views(members),
            }),
        }
    }
}

fn attribute_views(attributes: &Map<String, Value>) -> Vec<AttributeView<'_>> {
    let views = attributes.iter().map(|(key, value)| AttributeView {
        key,
        value: AnyValueView::new(value),
    });
    views.collect()
}

fn encoded_id(trace: &entities::TraceId) -> String {
    let id = trace.to_open_telemetry();
    id.map_or_else(String::new, |id| STANDARD.encode(id))
}

impl<'a> SpanView<'a> {
    pub(crate) fn new(trace: &Trace, span: &'a Span) -> Self {
        let Span {
            id,
            parent,
            name,
            start_ns,
            end_ns,
            status,
            status_message,
            attributes,
            events,
            links,
        } = span;
        let encode = |id: &entities::SpanId| STANDARD.encode(id.to_open_telemetry());
        Self {
            trace_id: encoded_id(&trace.id),
            span_id: encode(id),
            parent_span_id: parent.as_ref().map(encode),
            name,
            start_time_unix_nano: *start_ns,
            end_time_unix_nano: *end_ns,
            attributes: attribute_views(attributes),
            events: events.iter().map(SpanEventView::new).collect(),
            links: links.iter().map(SpanLinkView::new).collect(),
            status: SpanStatusView {
                message: status_message.as_deref(),
                code: match status {
                    SpanStatus::Unset => None,
                    SpanStatus::Ok => Some(SpanStatusCodeView::Ok),
                    SpanStatus::Error => Some(SpanStatusCodeView::Error),
                },
            },
        }
    }
}

impl<'a> SpanEventView<'a> {
    fn new(event: &'a SpanEvent) -> Self {
        let SpanEvent {
            name,
            time_ns,
            attributes,
        } = event;
        Self {
            time_unix_nano: *time_ns,
            name,
            attributes: attribute_views(attributes),
        }
    }
}

impl<'a> SpanLinkView<'a> {
    fn new(link: &'a SpanLink) -> Self {
        let SpanLink {
            trace,
            span,
            attributes,
        } = link;
        Self {
            trace_id: encoded_id(trace),
            span_id: STANDARD.encode(span.to_open_telemetry()),
            attributes: attribute_views(attributes),
        }
    }
}

/// A span in the form of the files that MLflow's clients write, in which each attribute is JSON in a text.
#[derive(Serialize)]
pub(crate) struct SpanFileView<'a> {
    trace_id: String,
    span_id: String,
    parent_span_id: Option<String>,
    name: &'a str,
    start_time_unix_nano: u64,
    end_time_unix_nano: Option<u64>,
    events: Vec<EventFileView<'a>>,
    status: StatusFileView<'a>,
    attributes: Map<String, Value>,
    links: Vec<LinkFileView<'a>>,
}

#[derive(Serialize)]
struct EventFileView<'a> {
    name: &'a str,
    time_unix_nano: u64,
    attributes: &'a Map<String, Value>,
}

#[derive(Serialize)]
struct StatusFileView<'a> {
    code: &'static str,
    message: &'a str,
}

#[derive(Serialize)]
struct LinkFileView<'a> {
    trace_id: &'a str,
    span_id: &'a str,
    attributes: &'a Map<String, Value>,
}

impl<'a> SpanFileView<'a> {
    pub(crate) fn new(trace: &Trace, span: &'a Span) -> Self {
        let encode = |id: &entities::SpanId| STANDARD.encode(id.to_open_telemetry());
        let attributes = span.attributes.iter();
        let events = span.events.iter().map(|event| EventFileView {
            name: &event.name,
            time_unix_nano: event.time_ns,
            attributes: &event.attributes,
        });
        let links = span.links.iter().map(|link| LinkFileView {
            trace_id: link.trace.as_str(),
            span_id: link.span.as_str(),
            attributes: &link.attributes,
        });
        Self {
            trace_id: encoded_id(&trace.id),
            span_id: encode(&span.id),
            parent_span_id: span.parent.as_ref().map(encode),
            name: &span.name,
            start_time_unix_nano: span.start_ns,
            end_time_unix_nano: span.end_ns,
            events: events.collect(),
            status: StatusFileView {
                code: match span.status {
                    SpanStatus::Unset => "STATUS_CODE_UNSET",
                    SpanStatus::Ok => "STATUS_CODE_OK",
                    SpanStatus::Error => "STATUS_CODE_ERROR",
                },
                message: span.status_message.as_deref().unwrap_or_default(),
            },
            attributes: attributes
                .map(|(key, value)| (key.clone(), Value::String(python::dumps(value))))
                .collect(),
            links: links.collect(),
        }
    }
}
