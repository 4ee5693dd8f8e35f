//! What can go wrong, in the words that MLflow's clients know.

use cas::CasError;
use entities::{ErrorClass, ExperimentId, Lifecycle, ModelId, RunId, SearchParseError, python};
use ledger::LedgerError;
use store::StoreError;

/// What can go wrong.
///
/// Refusals carry the messages of MLflow's own server, which clients and their users know; they begin with a capital
/// where MLflow's do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrackingError {
    /// A value that may not stand where it stands.
    #[error("{}", invalid_value(.field, .value, .reason))]
    InvalidValue {
        /// Which field of the request, such as `metrics[3].name`.
        field: String,
        /// The value as JSON.
        value: String,
        /// Why not; empty where there is nothing to say.
        reason: String,
    },
    /// A text that is too long.
    #[error("'{field}' exceeds the maximum length of {limit} characters")]
    TooLong {
        /// Which.
        field: String,
        /// How many characters there may be.
        limit: usize,
    },
    /// A batch of too many things.
    #[error(
        "A batch logging request can contain at most {limit} {what}. Got {found} {what}. Please split up {what} across multiple requests and try again."
    )]
    BatchTooLarge {
        /// Too many of what.
        what: &'static str,
        /// How many there may be.
        limit: usize,
        /// How many there were.
        found: usize,
    },
    /// Keys that come twice in one batch.
    #[error(
        "Duplicate parameter keys have been submitted: {}. Please ensure the request contains only one param value per param key.",
        python::list(.keys)
    )]
    DuplicateParams {
        /// Which.
        keys: Vec<String>,
    },
    /// A param would change.
    #[error(
        "Changing param values is not allowed. Param with key='{key}' was already logged with value='{old}' for run ID='{run}'. Attempted logging new value '{new}'."
    )]
    ParamChanged {
        /// Of which run.
        run: RunId,
        /// Which param.
        key: String,
        /// Its value.
        old: String,
        /// The value that was given.
        new: String,
    },
    /// Params of a batch would change.
    #[error(
        "Changing param values is not allowed. Params were already logged='{}' for run ID='{run}'.",
        python::conflicts(.conflicts)
    )]
    ParamsChanged {
        /// Of which run.
        run: RunId,
        /// Key, value that is there, value that was given.
        conflicts: Vec<(String, String, String)>,
    },
    /// Params of a logged model would change.
    #[error(
        "Changing param values is not allowed. Params were already logged='{}' for model ID='{model}'.",
        python::conflicts(.conflicts)
    )]
    ModelParamsChanged {
        /// Of which model.
        model: ModelId,
        /// Key, value that is there, value that was given.
        conflicts: Vec<(String, String, String)>,
    },
    /// A run was given two names.
    #[error(
        "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values (run_name='{name}', mlflow.runName='{tag}')."
    )]
    RunNameConflict {
        /// The name.
        name: String,
        /// The name by its tag.
        tag: String,
    },
    /// A name that no experiment may have.
    #[error("Invalid experiment name: '{name}'")]
    InvalidExperimentName {
        /// The name.
        name: String,
    },
    /// A text that is no id of an experiment.
    #[error("Invalid experiment ID '{text}'. Experiment ID must be a valid integer.")]
    InvalidExperimentId {
        /// The text.
        text: String,
    },
    /// A name that no logged model may have.
    #[error(
        "Invalid model name ({}) provided. Model name must be a non-empty string and cannot contain the following characters: ('/', ':', '.', '%', '\"', \"'\")",
        python::repr(.name)
    )]
    InvalidModelName {
        /// The name.
        name: String,
    },
    /// A location that artifacts cannot have.
    #[error("Artifact location cannot be a runs:/ URI. Given: '{location}'")]
    InvalidArtifactLocation {
        /// The location.
        location: String,
    },
    /// A location with a fragment, which clients would lose when they add to it.
    #[error("'artifact_location' URL can't include fragments or params.")]
    ArtifactLocationFragment,
    /// A location that is too long.
    #[error(
        "Invalid artifact path length. The length of the artifact path cannot be greater than {limit} characters."
    )]
    ArtifactLocationTooLong {
        /// How many characters there may be.
        limit: usize,
    },
    /// A path that could lead out of the artifacts.
    #[error("Invalid path: {} may not name an artifact", python::repr(.path))]
    InvalidPath {
        /// The path.
        path: String,
    },
    /// A page token of another search, or of none.
    #[error("Invalid page token: '{token}' does not belong to this request")]
    InvalidPageToken {
        /// The token.
        token: String,
    },

    /// No such experiment.
    #[error("No Experiment with id={id} exists")]
    NoExperiment {
        /// What was asked for.
        id: ExperimentId,
    },
    /// No experiment of that name.
    #[error("Could not find experiment with name '{name}'")]
    NoExperimentNamed {
        /// What was asked for.
        name: String,
    },
    /// No such run.
    #[error("Run with id={id} not found")]
    NoRun {
        /// What was asked for.
        id: RunId,
    },
    /// Nothing that a reference to a run could mean.
    #[error("no run is called `{reference}`, by id, beginning of an id, or name")]
    UnknownRun {
        /// What was asked for.
        reference: String,
    },
    /// A reference that several runs fit.
    #[error("`{reference}` can mean several runs")]
    AmbiguousRun {
        /// What was asked for.
        reference: String,
        /// Runs that fit, the latest first; not necessarily all.
        candidates: Vec<RunId>,
    },
    /// No such logged model.
    #[error("Logged model with ID '{id}' not found.")]
    NoModel {
        /// What was asked for.
        id: ModelId,
    },
    /// No such tag.
    #[error("No tag with name: {key} in {subject}")]
    NoTag {
        /// The tag.
        key: String,
        /// What was to have it, such as `run with id <id>`.
        subject: String,
    },
    /// No such tag of a logged model.
    #[error("No tag with key {} found for model with ID '{model}'.", python::repr(.key))]
    NoModelTag {
        /// The tag.
        key: String,
        /// The model.
        model: ModelId,
    },
    /// No such artifact.
    #[error("No such artifact: '{path}'")]
    NoArtifact {
        /// The path below `mlflow-artifacts:/`.
        path: String,
    },

    /// The name of an experiment is taken.
    #[error("Experiment(name={name}) already exists.{}", deleted_hint(*.lifecycle))]
    ExperimentExists {
        /// The name.
        name: String,
        /// Whether the one that has it is deleted.
        lifecycle: Lifecycle,
    },
    /// An id is taken.
    #[error("{subject} already exists.")]
    Exists {
        /// What exists.
        subject: String,
    },
    /// The experiment is deleted.
    #[error("The experiment {id} must be in the 'active' state. Current state is deleted.")]
    ExperimentDeleted {
        /// Which.
        id: ExperimentId,
    },
    /// The experiment that has the name is deleted.
    #[error("experiment `{name}`, which has the id {id}, is deleted and keeps its name")]
    NamedExperimentDeleted {
        /// Which.
        id: ExperimentId,
        /// Its name.
        name: String,
    },
    /// A deleted experiment was to be renamed.
    #[error("Cannot rename a non-active experiment.")]
    RenamingDeleted {
        /// Which.
        id: ExperimentId,
    },
    /// The run is deleted.
    #[error("The run {id} must be in the 'active' state. Current state is deleted.")]
    RunDeleted {
        /// Which.
        id: RunId,
    },

    /// A filter or an order that cannot be read.
    #[error(transparent)]
    Search(#[from] SearchParseError),
    /// The store failed, or refused a query.
    #[error(transparent)]
    Store(StoreError),
    /// The objects failed.
    #[error(transparent)]
    Cas(#[from] CasError),
    /// A place where clients write artifacts failed.
    #[error(transparent)]
    Location(#[from] locations::LocationError),
    /// What is to be taken over cannot be noted.
    #[error("cannot note in `{path}` that artifacts are to be taken over")]
    Note {
        /// Which file.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The ledger failed, or its files are not what was signed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The signed checkpoint is gone, although events were signed.
    #[error("the ledger's `checkpoint` is missing, although {signed} events were signed")]
    CheckpointMissing {
        /// How many were signed.
        signed: u64,
    },
    /// The signed checkpoint is older than what was signed before.
    #[error("the ledger's `checkpoint` covers {found} events, although {signed} were signed")]
    CheckpointBehind {
        /// How many were signed.
        signed: u64,
        /// How many it covers.
        found: u64,
    },
    /// The signed checkpoint covers events that the database does not have.
    #[error(
        "the ledger's `checkpoint` covers {found} events, the database has {sequenced}: it is older than the ledger"
    )]
    CheckpointAhead {
        /// How many the database has put in order.
        sequenced: u64,
        /// How many the checkpoint covers.
        found: u64,
    },
    /// The ledger does not hold the history that was signed before.
    #[error("the ledger's first {size} events are not those that were signed with this key before")]
    HistoryDiffers {
        /// How many were signed.
        size: u64,
    },
    /// What was signed last cannot be read, or not be kept.
    #[error("cannot read or keep what was signed last")]
    Memory {
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// An event in the database is not the one that was signed.
    #[error("event {index} in the database is not the one that was signed")]
    EventDiffers {
        /// Its place in the ledger.
        index: u64,
    },
    /// The folder of the ledger cannot be locked.
    #[error("cannot lock the folder of the ledger `{path}`")]
    Lock {
        /// Which folder.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A task ended before its time, as at shutdown.
    #[error("{what} was broken off")]
    BrokenOff {
        /// What it did.
        what: &'static str,
    },
}

impl TrackingError {
    /// What kind of error it is.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::InvalidValue { .. }
            | Self::TooLong { .. }
            | Self::BatchTooLarge { .. }
            | Self::DuplicateParams { .. }
            | Self::ParamChanged { .. }
            | Self::ParamsChanged { .. }
            | Self::ModelParamsChanged { .. }
            | Self::RunNameConflict { .. }
            | Self::InvalidExperimentName { .. }
            | Self::InvalidExperimentId { .. }
            | Self::InvalidModelName { .. }
            | Self::InvalidArtifactLocation { .. }
            | Self::ArtifactLocationFragment
            | Self::ArtifactLocationTooLong { .. }
            | Self::InvalidPath { .. }
            | Self::InvalidPageToken { .. }
            | Self::AmbiguousRun { .. }
            | Self::ExperimentDeleted { .. }
            | Self::RenamingDeleted { .. }
            | Self::RunDeleted { .. }
            | Self::Search(_) => ErrorClass::Invalid,
            Self::NoExperiment { .. }
            | Self::NoExperimentNamed { .. }
            | Self::NoRun { .. }
            | Self::UnknownRun { .. }
            | Self::NoModel { .. }
            | Self::NoTag { .. }
            | Self::NoModelTag { .. }
            | Self::NoArtifact { .. } => ErrorClass::NotFound,
            Self::ExperimentExists { .. }
            | Self::NamedExperimentDeleted { .. }
            | Self::Exists { .. } => ErrorClass::Exists,
            Self::Store(error) => class_of_store(error),
            Self::Cas(_)
            | Self::Location(_)
            | Self::Note { .. }
            | Self::Ledger(_)
            | Self::CheckpointMissing { .. }
            | Self::CheckpointBehind { .. }
            | Self::CheckpointAhead { .. }
            | Self::HistoryDiffers { .. }
            | Self::Memory { .. }
            | Self::EventDiffers { .. }
            | Self::Lock { .. }
            | Self::BrokenOff { .. } => ErrorClass::Internal,
        }
    }
}

fn class_of_store(error: &StoreError) -> ErrorClass {
    match error {
        StoreError::Query { .. } => ErrorClass::Invalid,
        StoreError::Busy | StoreError::Closed | StoreError::Unreachable { .. } => {
            ErrorClass::Unavailable
        }
        _ => ErrorClass::Internal,
    }
}

impl From<StoreError> for TrackingError {
    /// Says a refusal in MLflow's words; a failure stays what it is.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NoExperiment { id } => Self::NoExperiment { id },
            StoreError::NoRun { id } => Self::NoRun { id },
            StoreError::NoModel { id } => Self::NoModel { id },
            StoreError::NoTag { key, subject } => Self::NoTag { key, subject },
            StoreError::NoArtifact { path } => Self::NoArtifact { path },
            StoreError::Exists { subject } => Self::Exists { subject },
            StoreError::ExperimentNameTaken { name, lifecycle } => {
                Self::ExperimentExists { name, lifecycle }
            }
            StoreError::ExperimentDeleted { id } => Self::ExperimentDeleted { id },
            StoreError::RunDeleted { id } => Self::RunDeleted { id },
            StoreError::ParamConflict { run, conflicts } => Self::ParamsChanged { run, conflicts },
            StoreError::PageToken { token } => Self::InvalidPageToken { token },
            failure => Self::Store(failure),
        }
    }
}

fn invalid_value(field: &str, value: &str, reason: &str) -> String {
    if reason.is_empty() {
        return format!("Invalid value {value} for parameter '{field}' supplied.");
    }
    format!("Invalid value {value} for parameter '{field}' supplied: {reason}")
}

const fn deleted_hint(lifecycle: Lifecycle) -> &'static str {
    match lifecycle {
        Lifecycle::Active => "",
        Lifecycle::Deleted => {
            " It is deleted and keeps its name; restore it, or choose another name."
        }
    }
}
