//! Traces: what happened in one request to a model or an agent, span by span.

mod figures;
mod fold;
mod preview;
mod record;
mod usage;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{ExperimentId, SpanId, Timestamp, TraceId};
pub use figures::{
    Aggregation, CostKind, Figure, FigureField, FigurePoint, FigureQuery, FigureTally, FigureView,
    Grouping, Sample, TokenKind, assessed_number, assessed_text, finite, token_count,
};
pub use record::{SealedRecord, TraceRecord};
pub use usage::{SpanUsage, sum_costs, sum_tokens};

/// The tag that names a trace.
pub const TRACE_NAME_TAG: &str = "mlflow.traceName";

/// The tag that says where the files of a trace are.
pub const TRACE_ARTIFACTS_TAG: &str = "mlflow.artifactLocation";

/// The tag that says where the spans of a trace are.
pub const SPANS_LOCATION_TAG: &str = "mlflow.trace.spansLocation";

/// The metadata that names the run in which a trace was made.
pub const TRACE_RUN_KEY: &str = "mlflow.sourceRun";

/// The metadata that names the session that a trace is part of.
pub const TRACE_SESSION_KEY: &str = "mlflow.trace.session";

/// The metadata that names the user whose request it was.
pub const TRACE_USER_KEY: &str = "mlflow.trace.user";

/// The metadata that counts tokens.
pub const TRACE_TOKENS_KEY: &str = "mlflow.trace.tokenUsage";

/// The metadata that sums costs.
pub const TRACE_COST_KEY: &str = "mlflow.trace.cost";

/// The metadata that says that a client told the trace as a whole, so that its spans add nothing to what it told.
pub const TRACE_TOLD_KEY: &str = "mlflow.trace.infoFinalized";

/// How a trace is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TraceState {
    /// Nobody has said.
    StateUnspecified,
    /// It ended well.
    Ok,
    /// It failed.
    Error,
    /// Its root has not ended.
    InProgress,
}

impl TraceState {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::StateUnspecified,
        Self::Ok,
        Self::Error,
        Self::InProgress,
    ];

    /// The word of MLflow's wire form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StateUnspecified => "STATE_UNSPECIFIED",
            Self::Ok => "OK",
            Self::Error => "ERROR",
            Self::InProgress => "IN_PROGRESS",
        }
    }

    /// Reads MLflow's word.
    pub fn find(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether it says how the trace ended.
    pub const fn is_settled(self) -> bool {
        matches!(self, Self::Ok | Self::Error)
    }
}

/// What is known of a trace as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// Its id.
    pub id: TraceId,
    /// The experiment that it belongs to.
    pub experiment: ExperimentId,
    /// When the request came.
    pub requested_at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<i64>,
    /// How it is.
    pub state: TraceState,
    /// An id that the client knows the request by.
    pub client_request_id: Option<String>,
    /// The begin of the request.
    pub request_preview: Option<String>,
    /// The begin of the answer.
    pub response_preview: Option<String>,
    /// Notes that may change; its name is one.
    pub tags: BTreeMap<String, String>,
    /// What was said when it was made: run, session, user, tokens, costs.
    pub metadata: BTreeMap<String, String>,
}

/// A trace with what people and judges say of it.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceDetail {
    /// The trace.
    pub trace: Trace,
    /// Its assessments, oldest first.
    pub assessments: Vec<Assessment>,
}

/// How a span ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SpanStatus {
    /// Nobody has said.
    Unset,
    /// Well.
    Ok,
    /// With a fault.
    Error,
}

impl SpanStatus {
    /// MLflow's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unset => "UNSET",
            Self::Ok => "OK",
            Self::Error => "ERROR",
        }
    }
}

/// One step of a trace.
///
/// *Units*: nanoseconds since the epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// Its id, unique within its trace.
    pub id: SpanId,
    /// The span that it happened in; none for a root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<SpanId>,
    /// Its name.
    pub name: String,
    /// When it began.
    pub start_ns: u64,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_ns: Option<u64>,
    /// How it ended.
    pub status: SpanStatus,
    /// What is said of how it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_message: Option<String>,
    /// What is said of it, in the order in which it came: MLflow's own attributes begin with `mlflow.`.
    pub attributes: Map<String, Value>,
    /// What happened in it at one moment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<SpanEvent>,
    /// Spans of this or other traces that it has to do with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<SpanLink>,
}

impl Span {
    /// MLflow's attribute that says what kind of step it was.
    pub const TYPE: &str = "mlflow.spanType";
    /// MLflow's attribute that holds what went in.
    pub const INPUTS: &str = "mlflow.spanInputs";
    /// MLflow's attribute that holds what came out.
    pub const OUTPUTS: &str = "mlflow.spanOutputs";
    /// MLflow's attribute that counts tokens.
    pub const TOKENS: &str = "mlflow.chat.tokenUsage";
    /// MLflow's attribute that holds costs.
    pub const COST: &str = "mlflow.llm.cost";

    /// What kind of step it was, such as `LLM` or `TOOL`.
    pub fn kind(&self) -> Option<&str> {
        self.text(Self::TYPE)
    }

    /// An attribute that is a text.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.attributes.get(key)?.as_str()
    }
}

/// What happened in a span at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpanEvent {
    /// What.
    pub name: String,
    /// When, in nanoseconds since the epoch.
    pub time_ns: u64,
    /// What is said of it.
    pub attributes: Map<String, Value>,
}

/// A span that another has to do with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpanLink {
    /// Its trace.
    pub trace: TraceId,
    /// Its id.
    pub span: SpanId,
    /// What is said of the link.
    pub attributes: Map<String, Value>,
}

/// Who assessed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssessmentSource {
    /// `HUMAN`, `LLM_JUDGE`, `CODE` or another word of MLflow's.
    pub kind: String,
    /// Which person, model or program.
    pub id: Option<String>,
}

/// Why there is no feedback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssessmentError {
    /// A short name of the fault.
    pub code: Option<String>,
    /// What is said of it.
    pub message: Option<String>,
    /// Where it came from.
    pub stack_trace: Option<String>,
}

/// What an assessment says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum AssessmentValue {
    /// How good something was.
    Feedback {
        /// Any JSON.
        value: Value,
        /// Why there is none.
        error: Option<AssessmentError>,
    },
    /// What should have come out.
    Expectation {
        /// Any JSON.
        value: Value,
    },
    /// A known problem that the trace shows.
    Issue {
        /// What the issue is called.
        issue: String,
    },
}

impl AssessmentValue {
    /// The word that filters know it by.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Feedback { .. } => "feedback",
            Self::Expectation { .. } => "expectation",
            Self::Issue { .. } => "issue",
        }
    }

    /// What filters compare.
    pub fn value(&self) -> Value {
        match self {
            Self::Feedback { value, .. } | Self::Expectation { value } => value.clone(),
            Self::Issue { issue } => Value::from(issue.as_str()),
        }
    }
}

/// What a person, a model or a program says of a trace or of one of its spans.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assessment {
    /// Its id, unique within its trace.
    pub id: String,
    /// What was assessed, such as `correctness`.
    pub name: String,
    /// What it says.
    pub value: AssessmentValue,
    /// Who says so.
    pub source: AssessmentSource,
    /// Why.
    pub rationale: Option<String>,
    /// What else is said of it.
    pub metadata: BTreeMap<String, String>,
    /// The span that it is about, where it is not about the whole trace.
    pub span: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// An earlier assessment that it replaces.
    pub overrides: Option<String>,
    /// Whether none replaces it.
    pub is_valid: bool,
}
