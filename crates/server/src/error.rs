//! What can go wrong with a request, and the one table of what is answered then.

use access::AccessError;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cas::{CasError, DistantFault};
use datasets::DatasetsError;
use entities::ErrorClass;
use locations::LocationError;
use registry::RegistryError;
use schemars::JsonSchema;
use serde::Serialize;
use traces::TracesError;
use tracking::TrackingError;
use webhooks::WebhooksError;

/// What can go wrong with a request; its message is what a client reads, unless the fault is the server's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// The services refused it, or failed.
    #[error(transparent)]
    Tracking(TrackingError),
    /// The registry refused it, or failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The services over traces refused it, or failed.
    #[error(transparent)]
    Traces(#[from] TracesError),
    /// The services over evaluation datasets and scorers refused it, or failed.
    #[error(transparent)]
    Datasets(#[from] DatasetsError),
    /// The services over webhooks refused it, or failed.
    #[error(transparent)]
    Webhooks(#[from] WebhooksError),
    /// The services over users and rights refused it, or failed.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The objects failed.
    #[error(transparent)]
    Cas(#[from] CasError),
    /// A task ended before its time.
    #[error("{what} was broken off")]
    BrokenOff {
        /// What it did.
        what: &'static str,
    },
    /// An answer cannot be written.
    #[error("an answer cannot be encoded")]
    Encoding(#[source] serde_json::Error),

    /// A field that must be there is not.
    #[error(
        "Missing value for required parameter '{field}'. See the API docs for more information about request parameters."
    )]
    MissingValue {
        /// Which, such as `metrics[3].key`.
        field: String,
    },
    /// A value of another type.
    #[error(
        "Invalid value {value} for parameter '{field}' supplied:  Hint: Value was of type '{kind}'. See the API docs for more information about request parameters."
    )]
    WrongType {
        /// Which field.
        field: String,
        /// The value as JSON.
        value: String,
        /// Its type, in Python's word.
        kind: &'static str,
    },
    /// A word that is not one of those that may stand there.
    #[error("Invalid value {value} for parameter '{field}' supplied: It must be one of {words}")]
    UnknownWord {
        /// Which field.
        field: String,
        /// The value as JSON.
        value: String,
        /// Those that may stand there.
        words: String,
    },
    /// A field that is given under both of its names.
    #[error("Request specifies both spellings of {field}; provide only one of them.")]
    BothSpellings {
        /// Which, in backticks.
        field: String,
    },
    /// A body without its type.
    #[error("Bad Request. Content-Type header is missing.")]
    NoContentType,
    /// A body of another type.
    #[error("Bad Request. Content-Type must be one of ['application/json'].")]
    OtherContentType,
    /// A body that is too long for anything but an artifact.
    #[error("the body of the request is longer than {limit_bytes} bytes")]
    BodyTooLarge {
        /// How long it may be.
        limit_bytes: usize,
    },
    /// A body that ended before its time.
    #[error("the body of the request ended before its time")]
    BrokenBody,

    /// A body that does not come on.
    #[error("nothing more of the request came for {limit_seconds} seconds")]
    SlowBody {
        /// How long it was waited for.
        limit_seconds: f64,
    },
    /// An answer that does not come.
    #[error(
        "the server found no answer within {limit_seconds} seconds and gave up; what was asked to be changed may be changed all the same"
    )]
    SlowAnswer {
        /// How long it was waited for.
        limit_seconds: f64,
    },

    /// A path that could lead out of the artifacts.
    #[error("Invalid path")]
    InvalidPath,
    /// A folder where a file was asked for.
    #[error("Artifact path refers to a directory, not a file: '{path}'")]
    IsFolder {
        /// The path.
        path: String,
    },
    /// A file of a run that a page sends, without all that it needs.
    #[error("Request must specify {lacks}.")]
    Upload {
        /// What it lacks.
        lacks: &'static str,
    },
    /// One that is too large for that.
    #[error("Artifact size is too large. Max size is 10MB.")]
    LargeUpload,
    /// A file where a folder was asked for.
    #[error("Artifact path refers to a file, not a directory: '{path}'")]
    IsFile {
        /// The path.
        path: String,
    },
    /// An archive of two roots.
    #[error("Specify 'run_id' or 'model_id', or neither, but not both.")]
    RunAndModel,
    /// The address of a run and of a logged model, or of neither.
    #[error("Exactly one of run_id and model_id must be provided.")]
    RunOrModel,
    /// A time that no address is good for.
    #[error("expiration must be between 1 and {limit} seconds (got {found}).")]
    Expiration {
        /// How many there may be.
        limit: i64,
        /// How many there were to be.
        found: i64,
    },
    /// An address for what goes through this server.
    #[error(
        "{what} is not for artifacts that this server keeps: send and read them at /api/2.0/mlflow-artifacts/artifacts"
    )]
    ThroughTheProxy {
        /// What was asked for.
        what: &'static str,
    },
    /// A folder that is too large for one archive.
    #[error(
        "the folder holds {found} files, and an archive at most {limit}: ask for a folder inside of it"
    )]
    LargeFolder {
        /// How many there may be.
        limit: usize,
        /// How many there are.
        found: usize,
    },
    /// Artifacts of a run or model whose location is not on this server.
    #[error("artifacts at '{uri}' are kept outside of this server")]
    KeptElsewhere {
        /// Where.
        uri: String,
    },
    /// A link among artifacts that clients wrote leads out of them.
    #[error("Invalid path: resolved path is outside the artifact directory")]
    LeadsOut,
    /// A file is to be written where a folder is, or the other way round.
    #[error("Invalid path: '{path}' cannot be written, since a folder or a file is in its way")]
    InTheWay {
        /// Which.
        path: String,
    },
    /// There are more files in a folder than in an archive may be.
    #[error("the folder holds more than {limit} files; ask for a folder in it")]
    TooManyFiles {
        /// How many may be.
        limit: usize,
    },
    /// A history of no runs was asked for.
    #[error("{request} request must specify at least one run_id.")]
    NoRuns {
        /// The name of the request.
        request: &'static str,
    },
    /// A history of no metric was asked for.
    #[error("{request} request must specify a metric_key.")]
    NoMetricKey {
        /// The name of the request.
        request: &'static str,
    },
    /// A history of too many runs was asked for.
    #[error(
        "{request} request cannot specify more than {limit} run_ids. Received {found} run_ids."
    )]
    TooManyRuns {
        /// The name of the request.
        request: &'static str,
        /// How many there may be.
        limit: usize,
        /// How many there were.
        found: usize,
    },
    /// A range of steps that holds none.
    #[error(
        "end_step must be greater than start_step. Found start_step={start} and end_step={end}."
    )]
    BackwardSteps {
        /// Its begin.
        start: i64,
        /// Its end.
        end: i64,
    },
    /// Half a range of steps.
    #[error("If either start step or end step are specified, both must be specified.")]
    HalfStepRange,
    /// More or fewer points than may be asked for.
    #[error(
        "max_results must be between 1 and {limit}. See the API docs for more information about request parameters."
    )]
    SampleSize {
        /// How many there may be.
        limit: usize,
    },
    /// A metric of a dataset that is named by half.
    #[error("Both dataset_name and dataset_digest must be provided if one is provided")]
    HalfDataset,
    /// The description of a model that is not one.
    #[error("Malformed model info: it is not a JSON object with a run_id and an artifact_path.")]
    ModelInfo,

    /// A trace that was to be had with its spans is not there.
    #[error("Trace with ID {id} is not found.")]
    NoWholeTrace {
        /// What was asked for.
        id: String,
    },
    /// An id that no trace may have.
    #[error("Invalid trace ID '{id}'. It has at most 256 letters, digits, '_' and '-'.")]
    InvalidTraceId {
        /// What was given.
        id: String,
    },
    /// A file of a trace without the trace.
    #[error("Request must include the \"request_id\" query parameter.")]
    NoRequestId,
    /// An assessment that says nothing.
    #[error("Unknown assessment type: None")]
    NoAssessmentValue,
    /// A structure in another form than JSON.
    #[error("Unknown serialization format: {format}. Only JSON_FORMAT is supported.")]
    SerializationFormat {
        /// The form.
        format: String,
    },
    /// A structure that is no JSON.
    #[error("the serialized value of the expectation is not JSON")]
    SerializedValue,

    /// Fewer records than none.
    #[error(
        "Invalid value {limit} for parameter 'max_results' supplied. It must be a positive integer"
    )]
    NegativeLimit {
        /// What was asked for.
        limit: i64,
    },
    /// Scorers of one experiment and of several were asked for.
    #[error(
        "Cannot specify both 'experiment_id' and 'experiment_ids'. Use 'experiment_ids' to scope the query to multiple experiments, or 'experiment_id' to scope it to a single experiment."
    )]
    OneAndSeveralExperiments,
    /// A filter of another type.
    #[error(
        "Invalid value {value} for parameter 'filter_string' supplied: Value was of type '{kind}'. Expected type 'str' or None."
    )]
    FilterType {
        /// The value.
        value: String,
        /// Its type, in Python's word.
        kind: &'static str,
    },

    /// Nobody signed on.
    #[error(
        "You are not authenticated. Please see https://www.mlflow.org/docs/latest/auth/index.html#authenticating-to-mlflow on how to authenticate."
    )]
    NotSignedOn,
    /// A name was guessed at too often.
    #[error("Too many wrong passwords. Try again in {seconds} seconds.")]
    TooManyGuesses {
        /// When the next is looked at.
        seconds: u64,
    },
    /// Who signed on may not do that.
    #[error("Permission denied")]
    NotAllowed,
    /// A request about a user in another form than JSON.
    #[error("Invalid content type. Must be application/json")]
    NoJsonOfUser,
    /// A user without a name or a password.
    #[error("Username and password cannot be empty.")]
    EmptyUser,
    /// A number that is none.
    #[error("Parameter '{field}' must be an integer. Got: {value}")]
    NotANumber {
        /// Which field.
        field: String,
        /// The value, as Python writes it.
        value: String,
    },
    /// Something in a request that stands in another form than it is known by.
    #[error(
        "Invalid value for parameter '{field}' supplied: it must be an object, or a list of objects."
    )]
    OddForm {
        /// Which field.
        field: String,
    },
    /// A role that is changed in nothing.
    #[error("At least one of 'name' or 'description' must be provided to update a role.")]
    NoRoleChange,
    /// A description that is no text.
    #[error("Role description must be a string or null.")]
    RoleDescription,
    /// A blank workspace.
    #[error("{said}")]
    BlankWorkspace {
        /// What MLflow says there.
        said: &'static str,
    },

    /// No token, or another one.
    #[error("this is the endpoint of a captured run; it answers those who bring its token")]
    Unauthenticated,
    /// Something outside of the captured run was to be changed.
    #[error(
        "{what} is not part of the captured run that this process belongs to: it can be read here, not changed"
    )]
    NotOfThisRun {
        /// What.
        what: String,
    },
    /// A replay was to register what its origin did not.
    #[error(
        "the run that is replayed registered no further version of '{name}', and a replay registers nothing of its own"
    )]
    NotRegisteredThen {
        /// Name of the registered model.
        name: String,
    },
    /// The captured run itself was to be deleted by its own command.
    #[error("run {run} is being captured: it can be deleted when it has ended")]
    StillCaptured {
        /// Which.
        run: String,
    },
    /// Webhooks were asked for where there are none.
    #[error("webhooks are not for the process of a captured run: ask the team's server for them")]
    WebhooksOfATeam,
    /// Something that this server does not do.
    #[error("{what} is not supported for the current artifact repository")]
    NotSupported {
        /// What.
        what: &'static str,
    },
    /// A dataset to search by without its name.
    #[error("`dataset_name` in the `datasets` clause must be specified.")]
    UnnamedDataset,
    /// Datasets of no experiments, or of too many, were asked for.
    #[error("SearchDatasets request {fault}")]
    DatasetsOf {
        /// What is wrong.
        fault: String,
    },
}

/// MLflow's name of an error, and what goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ErrorCode {
    /// HTTP status.
    pub(crate) status: StatusCode,
    /// `error_code`.
    pub(crate) name: &'static str,
    /// `sqlstate`.
    state: &'static str,
    /// `error_class`.
    class: &'static str,
}

impl ErrorCode {
    const fn new(
        status: StatusCode,
        name: &'static str,
        state: &'static str,
        class: &'static str,
    ) -> Self {
        Self {
            status,
            name,
            state,
            class,
        }
    }
}

// Which status goes with which name is MLflow's (`mlflow/exceptions.py`). Its clients repeat a request on 408, 429,
// 500, 502, 503 and 504 for four minutes, so that only what may succeed later has one of these.
const INVALID: ErrorCode = ErrorCode::new(
    StatusCode::BAD_REQUEST,
    "INVALID_PARAMETER_VALUE",
    "KAM00",
    "INVALID_PARAMETER_VALUE",
);
const BAD_REQUEST: ErrorCode = ErrorCode::new(
    StatusCode::BAD_REQUEST,
    "BAD_REQUEST",
    "KAM00",
    "INVALID_PARAMETER_VALUE",
);
const TOO_LARGE: ErrorCode = ErrorCode::new(
    StatusCode::PAYLOAD_TOO_LARGE,
    "INVALID_PARAMETER_VALUE",
    "KAM00",
    "INVALID_PARAMETER_VALUE",
);
const TOO_SLOW: ErrorCode = ErrorCode::new(
    StatusCode::REQUEST_TIMEOUT,
    "DEADLINE_EXCEEDED",
    "KAM00",
    "INVALID_PARAMETER_VALUE",
);
const NOT_FOUND: ErrorCode = ErrorCode::new(
    StatusCode::NOT_FOUND,
    "RESOURCE_DOES_NOT_EXIST",
    "KAM00",
    "RESOURCE_NOT_FOUND",
);
const EXISTS: ErrorCode = ErrorCode::new(
    StatusCode::BAD_REQUEST,
    "RESOURCE_ALREADY_EXISTS",
    "KAM00",
    "RESOURCE_ALREADY_EXISTS",
);
const UNAUTHENTICATED: ErrorCode = ErrorCode::new(
    StatusCode::UNAUTHORIZED,
    "UNAUTHENTICATED",
    "KAM00",
    "PERMISSION_DENIED",
);
const DENIED: ErrorCode = ErrorCode::new(
    StatusCode::FORBIDDEN,
    "PERMISSION_DENIED",
    "KAM00",
    "PERMISSION_DENIED",
);
const TOO_MANY: ErrorCode = ErrorCode::new(
    StatusCode::TOO_MANY_REQUESTS,
    "REQUEST_LIMIT_EXCEEDED",
    "KAM00",
    "RESOURCE_EXHAUSTED",
);
const NOT_IMPLEMENTED: ErrorCode = ErrorCode::new(
    StatusCode::NOT_IMPLEMENTED,
    "NOT_IMPLEMENTED",
    // As MLflow tells it.
    "",
    "",
);
const UNAVAILABLE: ErrorCode = ErrorCode::new(
    StatusCode::SERVICE_UNAVAILABLE,
    "TEMPORARILY_UNAVAILABLE",
    "XXM00",
    "CLIENT_INTERNAL_ERROR",
);
const INTERNAL: ErrorCode = ErrorCode::new(
    StatusCode::INTERNAL_SERVER_ERROR,
    "INTERNAL_ERROR",
    "XXM00",
    "CLIENT_INTERNAL_ERROR",
);

impl From<TrackingError> for RequestError {
    /// What a client is to blame for where it writes artifacts is told in MLflow's words.
    fn from(error: TrackingError) -> Self {
        match error {
            TrackingError::Location(LocationError::Outside { .. }) => Self::LeadsOut,
            TrackingError::Location(LocationError::InTheWay { path }) => Self::InTheWay { path },
            TrackingError::Location(LocationError::TooMany { limit }) => {
                Self::TooManyFiles { limit }
            }
            error => Self::Tracking(error),
        }
    }
}

impl RequestError {
    /// The one table.
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Self::Tracking(error) => code_of_class(error.class()),
            Self::Registry(error) => code_of_class(error.class()),
            Self::Traces(error) => code_of_class(error.class()),
            Self::Datasets(error) => code_of_class(error.class()),
            Self::Webhooks(error) => code_of_class(error.class()),
            // What is kept in an object store may be had later.
            Self::Cas(CasError::Distant(error)) if error.kind == DistantFault::Unreachable => {
                UNAVAILABLE
            }
            Self::Cas(_) | Self::BrokenOff { .. } | Self::Encoding(_) => INTERNAL,
            Self::MissingValue { .. }
            | Self::WrongType { .. }
            | Self::UnknownWord { .. }
            | Self::BothSpellings { .. }
            | Self::NoContentType
            | Self::OtherContentType
            | Self::BrokenBody
            | Self::InvalidPath
            | Self::IsFolder { .. }
            | Self::IsFile { .. }
            | Self::Upload { .. }
            | Self::LargeUpload
            | Self::RunAndModel
            | Self::RunOrModel
            | Self::Expiration { .. }
            | Self::ThroughTheProxy { .. }
            | Self::LargeFolder { .. }
            | Self::KeptElsewhere { .. }
            | Self::LeadsOut
            | Self::InTheWay { .. }
            | Self::TooManyFiles { .. }
            | Self::NoRuns { .. }
            | Self::TooManyRuns { .. }
            | Self::BackwardSteps { .. }
            | Self::HalfStepRange
            | Self::HalfDataset
            | Self::NoMetricKey { .. }
            | Self::SampleSize { .. }
            | Self::ModelInfo
            | Self::UnnamedDataset
            | Self::DatasetsOf { .. }
            | Self::InvalidTraceId { .. }
            | Self::NoAssessmentValue
            | Self::SerializationFormat { .. }
            | Self::SerializedValue
            | Self::NegativeLimit { .. }
            | Self::OneAndSeveralExperiments
            | Self::FilterType { .. }
            | Self::NoJsonOfUser
            | Self::EmptyUser
            | Self::NotANumber { .. }
            | Self::OddForm { .. }
            | Self::NoRoleChange
            | Self::RoleDescription
            | Self::BlankWorkspace { .. } => INVALID,
            Self::TooManyGuesses { .. } => TOO_MANY,
            Self::NoRequestId | Self::Access(AccessError::OwnAccount) => BAD_REQUEST,
            Self::Access(error) => code_of_class(error.class()),
            Self::NoWholeTrace { .. } => NOT_FOUND,
            Self::BodyTooLarge { .. } => TOO_LARGE,
            Self::SlowBody { .. } => TOO_SLOW,
            Self::SlowAnswer { .. } => UNAVAILABLE,
            Self::Unauthenticated | Self::NotSignedOn => UNAUTHENTICATED,
            Self::NotAllowed
            | Self::NotOfThisRun { .. }
            | Self::NotRegisteredThen { .. }
            | Self::StillCaptured { .. }
            | Self::WebhooksOfATeam => DENIED,
            Self::NotSupported { .. } => NOT_IMPLEMENTED,
        }
    }
}

const fn code_of_class(class: ErrorClass) -> ErrorCode {
    match class {
        ErrorClass::Invalid => INVALID,
        ErrorClass::NotFound => NOT_FOUND,
        ErrorClass::Exists => EXISTS,
        ErrorClass::Unavailable => UNAVAILABLE,
        ErrorClass::Internal => INTERNAL,
    }
}

/// Marks an answer whose cause the client must not see; the guard logs it and writes the body.
#[derive(Clone, Debug)]
pub(crate) struct HiddenFault {
    /// The error and its causes.
    pub(crate) told: String,
    /// What is answered.
    pub(crate) code: ErrorCode,
}

impl RequestError {
    /// Whether MLflow tells it as a text and not as JSON.
    const fn is_told_as_text(&self) -> bool {
        matches!(
            self,
            Self::NotSignedOn
                | Self::TooManyGuesses { .. }
                | Self::NotAllowed
                | Self::NoJsonOfUser
                | Self::EmptyUser
        )
    }
}

impl IntoResponse for RequestError {
    fn into_response(self) -> Response {
        let code = self.code();
        if self.is_told_as_text() {
            return answer_text(code, &self);
        }
        let is_told = code == NOT_IMPLEMENTED || matches!(self, Self::SlowAnswer { .. });
        if !code.status.is_server_error() || is_told {
            return answer_error(code, &self.to_string());
        }
        let fault = HiddenFault {
            told: tell(&self),
            code,
        };
        let mut response = code.status.into_response();
        response.extensions_mut().insert(fault);
        response
    }
}

/// What MLflow says of who asks, which is a text and no JSON.
fn answer_text(code: ErrorCode, error: &RequestError) -> Response {
    let mut response = (code.status, error.to_string()).into_response();
    let headers = response.headers_mut();
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, html);
    if code == UNAUTHENTICATED {
        let basic = HeaderValue::from_static("Basic realm=\"mlflow\"");
        headers.insert(header::WWW_AUTHENTICATE, basic);
    }
    if let RequestError::TooManyGuesses { seconds } = error {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
    }
    response
}

/// What is wrong: a word for programs, and a sentence for people.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ErrorView<'a> {
    error_code: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    sqlstate: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    error_class: &'static str,
}

/// MLflow's form of an error.
pub(crate) fn answer_error(code: ErrorCode, message: &str) -> Response {
    let ErrorCode {
        status,
        name,
        state,
        class,
    } = code;
    let body = ErrorView {
        error_code: name,
        message,
        sqlstate: state,
        error_class: class,
    };
    let text = serde_json::to_string(&body).expect("four texts can be written");
    let mut response = (status, text).into_response();
    let headers = response.headers_mut();
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    if code == UNAUTHENTICATED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if code == UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// An error with its causes in one line, for the log.
pub(crate) fn tell(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told.push_str(": ");
        told.push_str(&error.to_string());
        cause = error.source();
    }
    told
}
