//! What can go wrong, in the words that MLflow's clients know.

use entities::{ErrorClass, ExperimentId, SearchParseError};
use store::StoreError;

/// What can go wrong.
///
/// Refusals carry the messages of MLflow's own server where it has some; much of what it fails at is refused here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetsError {
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
    /// Tags that are no JSON object.
    #[error("Invalid value for parameter 'tags' supplied: it must be the JSON text of an object")]
    Tags,
    /// Records that are no JSON array of objects.
    #[error("Invalid value for parameter 'records' supplied: {reason}")]
    Records {
        /// Why.
        reason: String,
    },
    /// A record with a part of another type.
    #[error("Invalid value for parameter 'records[{index}].{part}' supplied: {reason}")]
    Record {
        /// Which record, from 0.
        index: usize,
        /// Which part.
        part: &'static str,
        /// Why not.
        reason: &'static str,
    },
    /// A kind of source that there is not.
    #[error("Invalid dataset record source type: {kind}. Valid source types: {kinds}")]
    SourceKind {
        /// What was given.
        kind: String,
        /// Those that there are, as Python shows them.
        kinds: String,
    },
    /// Too many records in one request.
    #[error(
        "Cannot merge more than {limit} records in a single request. Provided {given} records."
    )]
    TooManyRecords {
        /// How many there may be.
        limit: usize,
        /// How many there were.
        given: usize,
    },
    /// A page token of another request, or of none.
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

    /// A scorer without a name.
    #[error("Scorer name cannot be empty or contain only whitespace.")]
    BlankScorerName,
    /// A scorer that is no JSON.
    #[error("serialized_scorer must be valid JSON")]
    ScorerNotJson,
    /// A scorer that is another JSON value than an object.
    #[error("serialized_scorer must be a JSON object")]
    ScorerNotObject,
    /// A scorer that holds code.
    #[error(
        "Custom scorer registration (using @scorer decorator) is not supported: whoever loads such a scorer carries its code out. Keep it in a source code repository and import it, or use built-in scorers or make_judge() scorers instead."
    )]
    ScorerCode,
    /// Arguments of a scorer in another form.
    #[error("third_party_scorer_data.kwargs must be a JSON object, got {kind}.")]
    ScorerArguments {
        /// Their type, in Python's word.
        kind: &'static str,
    },
    /// Arguments of a scorer that choose where its requests go.
    #[error(
        "third_party_scorer_data.kwargs must not contain {keys}: these options choose where the scorer's LLM client sends requests."
    )]
    ScorerDestination {
        /// Which, as Python shows them.
        keys: String,
    },
    /// The model of a scorer is no text.
    #[error("Scorer model must be a string, got {kind}.")]
    ScorerModel {
        /// Its type, in Python's word.
        kind: &'static str,
    },
    /// The model of a scorer is an empty text.
    #[error("Scorer model cannot be empty or contain only whitespace.")]
    BlankScorerModel,
    /// A rate that is no part of a whole.
    #[error("sample_rate must be between 0.0 and 1.0, got {given}")]
    SampleRate {
        /// The rate, as Python shows it.
        given: String,
    },
    /// A scorer that cannot be applied by a server.
    #[error(
        "Scorer '{name}' does not use a gateway model. Automatic evaluation is only supported for scorers that use gateway models."
    )]
    NoGatewayModel {
        /// Its name.
        name: String,
    },

    /// No such experiment.
    #[error("No Experiment with id={id} exists")]
    NoExperiment {
        /// What was asked for.
        id: ExperimentId,
    },
    /// No such dataset.
    #[error("Evaluation dataset with id '{id}' not found")]
    NoDataset {
        /// What was asked for.
        id: String,
    },
    /// No such scorer.
    #[error("Scorer with name '{name}' not found for experiment {experiment}.")]
    NoScorer {
        /// Of which experiment.
        experiment: ExperimentId,
        /// What was asked for.
        name: String,
    },
    /// No such version of a scorer.
    #[error(
        "Scorer with name '{name}' and version {version} not found for experiment {experiment}."
    )]
    NoScorerVersion {
        /// Of which experiment.
        experiment: ExperimentId,
        /// Name of the scorer.
        name: String,
        /// What was asked for.
        version: i64,
    },
    /// No such gateway to a model: there are none here.
    #[error("GatewayEndpoint not found (name={name})")]
    NoGateway {
        /// Its name, as Python shows it.
        name: String,
    },

    /// Others wrote the same in the same moment, again and again.
    #[error("others are writing to {subject}; try again")]
    Crowded {
        /// What.
        subject: String,
    },
    /// A filter or an order that cannot be read.
    #[error(transparent)]
    Search(#[from] SearchParseError),
    /// The store failed, or refused a query.
    #[error(transparent)]
    Store(StoreError),
}

impl DatasetsError {
    /// What kind of error it is.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::InvalidValue { .. }
            | Self::TooLong { .. }
            | Self::Tags
            | Self::Records { .. }
            | Self::Record { .. }
            | Self::SourceKind { .. }
            | Self::TooManyRecords { .. }
            | Self::InvalidPageToken { .. }
            | Self::ExperimentDeleted { .. }
            | Self::BlankScorerName
            | Self::ScorerNotJson
            | Self::ScorerNotObject
            | Self::ScorerCode
            | Self::ScorerArguments { .. }
            | Self::ScorerDestination { .. }
            | Self::ScorerModel { .. }
            | Self::BlankScorerModel
            | Self::SampleRate { .. }
            | Self::NoGatewayModel { .. }
            | Self::Search(_) => ErrorClass::Invalid,
            Self::NoExperiment { .. }
            | Self::NoDataset { .. }
            | Self::NoScorer { .. }
            | Self::NoScorerVersion { .. }
            | Self::NoGateway { .. } => ErrorClass::NotFound,
            Self::Crowded { .. } => ErrorClass::Unavailable,
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

impl From<StoreError> for DatasetsError {
    /// Says a refusal in MLflow's words; a failure stays what it is.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NoExperiment { id } => Self::NoExperiment { id },
            StoreError::ExperimentDeleted { id } => Self::ExperimentDeleted { id },
            StoreError::NoDataset { id } => Self::NoDataset { id: id.into() },
            StoreError::NoScorer { experiment, name } => Self::NoScorer { experiment, name },
            StoreError::PageToken { token } => Self::InvalidPageToken { token },
            failure => Self::Store(failure),
        }
    }
}
