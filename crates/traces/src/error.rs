//! What can go wrong, in the words that MLflow's clients know.

use entities::{ErrorClass, ExperimentId, RunId, SearchParseError, TraceId};
use store::StoreError;

use crate::{FigureFault, LabelFault};

/// What can go wrong.
///
/// Refusals carry the messages of MLflow's own server, which clients and their users know.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TracesError {
    /// A value that may not stand where it stands.
    #[error("Invalid value {value} for parameter '{field}' supplied: {reason}")]
    InvalidValue {
        /// Which field of the request.
        field: &'static str,
        /// The value as JSON.
        value: String,
        /// Why not.
        reason: String,
    },
    /// A text that is too long.
    #[error("'{field}' exceeds the maximum length of {limit} characters")]
    TooLong {
        /// Which.
        field: &'static str,
        /// How many characters there may be.
        limit: usize,
    },
    /// A tag that only the server may change.
    #[error("Tag '{key}' is immutable and cannot be {operation} on a trace.")]
    ImmutableTag {
        /// Which.
        key: String,
        /// `set` or `deleted`.
        operation: &'static str,
    },
    /// Neither ids nor a time were given for what to delete.
    #[error("Either `max_timestamp_millis` or `trace_ids` must be specified.")]
    NothingToDelete,
    /// Both were given.
    #[error("Only one of `max_timestamp_millis` and `trace_ids` can be specified.")]
    BothToDelete,
    /// A number was given beside ids.
    #[error("`max_traces` can't be specified if `trace_ids` is specified.")]
    NumberWithIds,
    /// A number that is not positive.
    #[error("`max_traces` must be a positive integer, received {given}.")]
    NotPositive {
        /// The number.
        given: i64,
    },
    /// Too many traces in one request.
    #[error(
        "Cannot link more than {limit} traces to a run in a single request. Provided {given} traces."
    )]
    TooManyLinks {
        /// How many there may be.
        limit: usize,
        /// How many there were.
        given: usize,
    },
    /// Feedback for an expectation, or the other way round.
    #[error("Cannot update {given} value on {article} {kind} assessment.")]
    OtherKind {
        /// What was given.
        given: &'static str,
        /// `a` or `an`.
        article: &'static str,
        /// What the assessment is.
        kind: &'static str,
    },
    /// Both feedback and an expectation.
    #[error("Cannot specify both `expectation` and `feedback` parameters.")]
    BothKinds,
    /// A page token of another search, or of none.
    #[error("Invalid page token: '{token}' does not belong to this request")]
    InvalidPageToken {
        /// The token.
        token: String,
    },
    /// The experiment is deleted.
    #[error("The experiment {id} must be in the 'active' state. Current state is deleted.")]
    ExperimentDeleted {
        /// Which.
        id: ExperimentId,
    },

    /// No such experiment.
    #[error("No Experiment with id={id} exists")]
    NoExperiment {
        /// What was asked for.
        id: ExperimentId,
    },
    /// No such run.
    #[error("Run with id={id} not found")]
    NoRun {
        /// What was asked for.
        id: RunId,
    },
    /// No such trace.
    #[error("Trace with ID '{id}' not found.")]
    NoTrace {
        /// What was asked for.
        id: String,
    },
    /// No such issue.
    #[error("Issue with ID '{id}' not found")]
    NoIssue {
        /// What was asked for.
        id: String,
    },
    /// No such label schema.
    #[error("Label schema with id '{id}' not found.")]
    NoLabelSchema {
        /// What was asked for.
        id: String,
    },
    /// No label schema of that name.
    #[error("Label schema with name '{name}' not found for experiment '{experiment}'.")]
    NoLabelSchemaName {
        /// Of which experiment.
        experiment: ExperimentId,
        /// What was asked for.
        name: String,
    },
    /// No such assessment.
    #[error("Assessment with ID '{id}' not found for trace '{trace}'")]
    NoAssessment {
        /// Of which trace.
        trace: TraceId,
        /// What was asked for.
        id: String,
    },
    /// No such tag.
    #[error("No trace tag with key '{key}' for trace with ID '{trace}'")]
    NoTag {
        /// The tag.
        key: String,
        /// Of which trace.
        trace: TraceId,
    },
    /// The root of the trace is not here yet.
    #[error("Trace with ID {id} is not fully exported yet, please try again later.")]
    NotWhole {
        /// Which.
        id: TraceId,
    },

    /// The name of a label schema is taken.
    #[error("Label schema with name '{name}' already exists for experiment '{experiment}'.")]
    LabelSchemaTaken {
        /// Of which experiment.
        experiment: ExperimentId,
        /// The name.
        name: String,
    },
    /// The id is taken.
    #[error("an assessment with ID '{id}' exists already for trace '{trace}'")]
    AssessmentTaken {
        /// Of which trace.
        trace: TraceId,
        /// The id.
        id: String,
    },

    /// What cannot be asked of a figure.
    #[error(transparent)]
    Figure(#[from] FigureFault),
    /// What is wrong with a label schema.
    #[error(transparent)]
    Label(#[from] LabelFault),
    /// A filter or an order that cannot be read.
    #[error(transparent)]
    Search(#[from] SearchParseError),
    /// The store failed, or refused a query.
    #[error(transparent)]
    Store(StoreError),
}

impl TracesError {
    /// What kind of error it is.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::InvalidValue { .. }
            | Self::TooLong { .. }
            | Self::ImmutableTag { .. }
            | Self::NothingToDelete
            | Self::BothToDelete
            | Self::NumberWithIds
            | Self::NotPositive { .. }
            | Self::TooManyLinks { .. }
            | Self::OtherKind { .. }
            | Self::BothKinds
            | Self::InvalidPageToken { .. }
            | Self::ExperimentDeleted { .. }
            | Self::Figure(_)
            | Self::Label(_)
            | Self::Search(_) => ErrorClass::Invalid,
            Self::NoExperiment { .. }
            | Self::NoRun { .. }
            | Self::NoTrace { .. }
            | Self::NoAssessment { .. }
            | Self::NoIssue { .. }
            | Self::NoLabelSchema { .. }
            | Self::NoLabelSchemaName { .. }
            | Self::NoTag { .. }
            | Self::NotWhole { .. } => ErrorClass::NotFound,
            Self::AssessmentTaken { .. } | Self::LabelSchemaTaken { .. } => ErrorClass::Exists,
            Self::Store(error) => match error {
                StoreError::Query { .. } => ErrorClass::Invalid,
                StoreError::Busy | StoreError::Closed | StoreError::Unreachable { .. } => {
                    ErrorClass::Unavailable
                }
                _ => ErrorClass::Internal,
            },
        }
    }
}

impl From<StoreError> for TracesError {
    /// Says a refusal in MLflow's words; a failure stays what it is.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NoExperiment { id } => Self::NoExperiment { id },
            StoreError::ExperimentDeleted { id } => Self::ExperimentDeleted { id },
            StoreError::NoRun { id } => Self::NoRun { id },
            StoreError::NoTrace { id } => Self::NoTrace { id: id.into() },
            StoreError::NoAssessment { trace, id } => Self::NoAssessment { trace, id },
            StoreError::PageToken { token } => Self::InvalidPageToken { token },
            failure => Self::Store(failure),
        }
    }
}
