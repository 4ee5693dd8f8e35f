//! What can go wrong, in the words that MLflow's clients know.

use cas::CasError;
use entities::{ErrorClass, ModelId, RunId, SearchParseError, TreeError, VersionNumber, python};
use store::StoreError;

/// What can go wrong.
///
/// Refusals carry the messages of MLflow's own server, which clients and their users know.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
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
    /// A value that must be there.
    #[error(
        "Missing value for required parameter '{field}'. See the API docs for more information about request parameters."
    )]
    MissingValue {
        /// Which field of the request.
        field: &'static str,
    },
    /// A text that is too long.
    #[error("'{field}' exceeds the maximum length of {limit} characters")]
    TooLong {
        /// Which.
        field: &'static str,
        /// How many characters there may be.
        limit: usize,
    },
    /// A name that no registered model may have.
    #[error("Invalid model name '{name}'. Names cannot contain '/' or ':'.")]
    InvalidName {
        /// The name.
        name: String,
    },
    /// A version that is no number.
    #[error("Parameter 'version' must be an integer, got '{text}'.")]
    InvalidVersion {
        /// What was given.
        text: String,
    },
    /// An alias without a name.
    #[error("Registered model alias name cannot be empty.")]
    EmptyAlias,
    /// A name that no alias may have.
    #[error(
        "Invalid alias name: '{alias}'. Names may only contain alphanumerics, underscores (_), and dashes (-)."
    )]
    InvalidAlias {
        /// The name.
        alias: String,
    },
    /// A name that means the latest version.
    #[error("'latest' alias name (case insensitive) is reserved.")]
    ReservedLatest,
    /// A name that means a version.
    #[error("Version alias name '{alias}' is reserved.")]
    ReservedAlias {
        /// The name.
        alias: String,
    },
    /// A word that is no stage.
    #[error(
        "Invalid Model Version stage: {word}. Value must be one of None, Staging, Production, Archived."
    )]
    InvalidStage {
        /// The word.
        word: String,
    },
    /// Versions of a stage in which nothing is in use were to be archived.
    #[error(
        "Model version transition cannot archive existing model versions because '{word}' is not an Active stage. Valid stages are ['Staging', 'Production']"
    )]
    NotAnActiveStage {
        /// The stage as it was given.
        word: String,
    },
    /// A source that leads elsewhere than it says.
    #[error(
        "Invalid model version source: '{source_uri}'. If supplying a source as an http, https, local file path, ftp, objectstore, or mlflow-artifacts uri, an absolute path must be provided without relative path references present. Please provide an absolute path."
    )]
    RelativeSource {
        /// The source.
        source_uri: String,
    },
    /// A local path, which nobody but the server could read.
    #[error(
        "Invalid model version source: '{source_uri}'. To use a local path as a model version source, the {field} request parameter has to be specified and the local path has to be contained within the artifact directory of the run specified by the {field}."
    )]
    LocalSource {
        /// The source.
        source_uri: String,
        /// `run_id` or `model_id`.
        field: &'static str,
    },
    /// A source that is not below what it is said to come from.
    #[error(
        "Invalid model version source: '{source_uri}'. The {field} request parameter must identify the resource that contains the source."
    )]
    ForeignSource {
        /// The source.
        source_uri: String,
        /// `run_id` or `model_id`.
        field: &'static str,
    },
    /// A version as a source, with another run or model than it has.
    #[error(
        "Invalid model version source: '{source_uri}'. The run_id and model_id request parameters must match the referenced model version."
    )]
    OtherOrigin {
        /// The source.
        source_uri: String,
    },
    /// A prompt as the source of a model.
    #[error(
        "Invalid model version source: '{source_uri}'. Prompt versions cannot be used as model version sources."
    )]
    PromptSource {
        /// The source.
        source_uri: String,
    },
    /// A prompt with a source of its own.
    #[error(
        "Invalid prompt source: '{source_uri}'. Prompt sources must use an MLflow placeholder."
    )]
    InvalidPromptSource {
        /// The source.
        source_uri: String,
    },
    /// A page token of another search, or of none.
    #[error("Invalid page token: '{token}' does not belong to this request")]
    InvalidPageToken {
        /// The token.
        token: String,
    },
    /// An alias that is not there.
    #[error("Registered model alias {alias} not found.")]
    NoAlias {
        /// What was asked for.
        alias: String,
    },

    /// No such registered model.
    #[error("Registered Model with name={name} not found")]
    NoModel {
        /// What was asked for.
        name: String,
    },
    /// No such version.
    #[error("Model Version (name={name}, version={version}) not found")]
    NoVersion {
        /// Name of the registered model.
        name: String,
        /// What was asked for.
        version: String,
    },
    /// A registered model without any version.
    #[error("Latest version not found for model {name}.")]
    NoLatest {
        /// Its name.
        name: String,
    },
    /// A logged model that a source names is not there.
    #[error("Logged model with ID '{id}' not found.")]
    NoLoggedModel {
        /// What was asked for.
        id: ModelId,
    },
    /// The run of a version is not there.
    #[error("Run with id={id} not found")]
    NoRun {
        /// What was asked for.
        id: RunId,
    },
    /// A version has no files here.
    #[error(
        "the files of version {version} of `{name}` are kept at `{uri}`, outside of this store, or there are none"
    )]
    NoFiles {
        /// Name of the registered model.
        name: String,
        /// The version.
        version: VersionNumber,
        /// Where its files are said to be.
        uri: String,
    },

    /// The name is taken.
    #[error("{}", taken_in_words(name, *.is_new_prompt, *.is_old_prompt))]
    NameTaken {
        /// The name.
        name: String,
        /// Whether a prompt was to have it.
        is_new_prompt: bool,
        /// Whether a prompt has it.
        is_old_prompt: bool,
    },
    /// Many callers registered versions under one name at once.
    #[error(
        "Model Version creation error (name={name}). Others register versions too fast; try again."
    )]
    Crowded {
        /// Name of the registered model.
        name: String,
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
    /// Files that make no tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A task ended before its time, as at shutdown.
    #[error("{what} was broken off")]
    BrokenOff {
        /// What it did.
        what: &'static str,
    },
}

impl RegistryError {
    /// What kind of error it is.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::InvalidValue { .. }
            | Self::MissingValue { .. }
            | Self::TooLong { .. }
            | Self::InvalidName { .. }
            | Self::InvalidVersion { .. }
            | Self::EmptyAlias
            | Self::InvalidAlias { .. }
            | Self::ReservedLatest
            | Self::ReservedAlias { .. }
            | Self::InvalidStage { .. }
            | Self::NotAnActiveStage { .. }
            | Self::RelativeSource { .. }
            | Self::LocalSource { .. }
            | Self::ForeignSource { .. }
            | Self::OtherOrigin { .. }
            | Self::PromptSource { .. }
            | Self::InvalidPromptSource { .. }
            | Self::InvalidPageToken { .. }
            // MLflow's own choice, which its clients rely on.
            | Self::NoAlias { .. }
            | Self::Search(_) => ErrorClass::Invalid,
            Self::NoModel { .. }
            | Self::NoVersion { .. }
            | Self::NoLatest { .. }
            | Self::NoLoggedModel { .. }
            | Self::NoRun { .. }
            | Self::NoFiles { .. } => ErrorClass::NotFound,
            Self::NameTaken { .. } => ErrorClass::Exists,
            Self::Crowded { .. } => ErrorClass::Unavailable,
            Self::Store(error) => match error {
                StoreError::Query { .. } => ErrorClass::Invalid,
                StoreError::Busy | StoreError::Closed | StoreError::Unreachable { .. } => {
            ErrorClass::Unavailable
        },
                _ => ErrorClass::Internal,
            },
            Self::Cas(_) | Self::Tree(_) | Self::BrokenOff { .. } => ErrorClass::Internal,
        }
    }
}

impl RegistryError {
    /// Says of a version that it is not there where its model is not, as MLflow does of what names a version.
    pub(crate) fn about_version(self, version: entities::VersionNumber) -> Self {
        match self {
            Self::NoModel { name } => Self::NoVersion {
                name,
                version: version.to_string(),
            },
            other => other,
        }
    }
}

impl From<StoreError> for RegistryError {
    /// Says a refusal in MLflow's words; a failure stays what it is.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NoRegisteredModel { name } => Self::NoModel { name },
            StoreError::NoModelVersion { name, version } => Self::NoVersion {
                name,
                version: version.to_string(),
            },
            StoreError::NotNextVersion { name, .. } => Self::Crowded { name },
            StoreError::NoModel { id } => Self::NoLoggedModel { id },
            StoreError::PageToken { token } => Self::InvalidPageToken { token },
            failure => Self::Store(failure),
        }
    }
}

fn taken_in_words(name: &str, is_new_prompt: bool, is_old_prompt: bool) -> String {
    const fn noun(is_prompt: bool) -> &'static str {
        if is_prompt {
            "Prompt"
        } else {
            "Registered Model"
        }
    }
    if is_new_prompt == is_old_prompt {
        return format!("{} (name={name}) already exists.", noun(is_new_prompt));
    }
    format!(
        "Tried to create a {} with name {}, but the name is already taken by a {}. MLflow does not allow creating a model and a prompt with the same name.",
        noun(is_new_prompt).to_lowercase(),
        python::repr(name),
        noun(is_old_prompt).to_lowercase()
    )
}
