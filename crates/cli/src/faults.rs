//! Errors of the rooms below, each with whose fault it is, its code and what to try.
//!
//! Every variant is named, so that a new one does not compile until somebody has decided this.

#![expect(
    clippy::needless_pass_by_value,
    reason = "the form that `map_err` asks for"
)]

use access::AccessError;
use capture::CaptureError;
use capture::trace::{BindFault, TraceError};
use cas::CasError;
use entities::{ErrorClass, SearchParseError};
use executor::{ExecutorError, short_id};
use ledger::LedgerError;
use migrate::MigrateError;
use provenance::ProvenanceError;
use registry::RegistryError;
use store::StoreError;
use tracking::TrackingError;

use crate::destinations::distant_fault;
use crate::error::{CommandError, with_causes};
use crate::output::in_shell_words;

pub(crate) fn store_fault(error: StoreError) -> CommandError {
    let text = with_causes(&error);
    match error {
        StoreError::NoRun { .. } => {
            CommandError::usage("E0005", text).hint("`reproof runs --all` lists all runs")
        }
        StoreError::NoExperiment { .. }
        | StoreError::NoModel { .. }
        | StoreError::NoTag { .. }
        | StoreError::NoRegisteredModel { .. }
        | StoreError::NoModelVersion { .. }
        | StoreError::NoArtifact { .. }
        | StoreError::NoTrace { .. }
        | StoreError::NoAssessment { .. }
        | StoreError::NoDataset { .. }
        | StoreError::NoScorer { .. }
        | StoreError::NoIssue { .. }
        | StoreError::NoLabelSchema { .. }
        | StoreError::NoWebhook { .. }
        | StoreError::NoUser { .. }
        | StoreError::NoToken { .. }
        | StoreError::NoRole { .. }
        | StoreError::NoRoleMember { .. }
        | StoreError::NoRight { .. } => CommandError::usage("E0022", text),
        StoreError::Exists { .. }
        | StoreError::ExperimentNameTaken { .. }
        | StoreError::RegisteredModelNameTaken { .. }
        | StoreError::NotNextVersion { .. }
        | StoreError::DatasetRecordTaken { .. }
        | StoreError::NotNextScorerVersion { .. }
        | StoreError::LabelSchemaNameTaken { .. }
        | StoreError::ExperimentDeleted { .. }
        | StoreError::RunDeleted { .. }
        | StoreError::Kept { .. }
        | StoreError::UserNameTaken { .. }
        | StoreError::PasswordReplaced { .. }
        | StoreError::RoleNameTaken { .. }
        | StoreError::RoleMemberExists { .. }
        | StoreError::RightExists { .. }
        | StoreError::ParamConflict { .. } => CommandError::usage("E0019", text),
        StoreError::PageToken { .. } | StoreError::Query { .. } => {
            CommandError::usage("E0014", text)
        }
        StoreError::Newer { .. } => CommandError::usage("E0003", text)
            .hint("install the version of Reproof that made the store, or a later one"),
        StoreError::ReadOnly => {
            CommandError::system("E0018", text).hint("look at the permissions of `.reproof/`")
        }
        StoreError::LogUnreadable { .. } => CommandError::system("E0018", text)
            .hint("let somebody who may write to `.reproof/` call `reproof runs`, which puts the log into the database")
            .hint("copy the project with its `.reproof/` to a folder of yours and work there"),
        StoreError::Damaged { .. } => damaged(text),
        StoreError::Leaf(_) | StoreError::Closed => CommandError::system("E0023", text),
        StoreError::Busy => CommandError::system("E0013", text)
            .hint("look for a command that hangs, then try again"),
        StoreError::Unreachable { .. } => CommandError::system("E0027", text)
            .hint("see that the server runs, and that its address, user and password are right"),
        StoreError::DiskFull => disk_full(text),
        StoreError::Database { .. } => CommandError::system("E0018", text)
            .hint("look at the permissions and the free space of `.reproof/`"),
    }
}

pub(crate) fn objects_fault(error: CasError) -> CommandError {
    let text = with_causes(&error);
    match error {
        CasError::DiskFull => disk_full(text),
        CasError::Missing { .. } | CasError::Damaged { .. } => CommandError::system("E0010", text)
            .hint("`reproof audit verify` says what else is wrong"),
        CasError::Newer { .. } => CommandError::usage("E0003", text)
            .hint("install the version of Reproof that made the store, or a later one"),
        CasError::Distant(error) => distant_fault(error),
        CasError::Io { .. } => CommandError::system("E0018", text),
    }
}

pub(crate) fn tracking_fault(error: TrackingError) -> CommandError {
    let text = with_causes(&error);
    match error {
        TrackingError::Store(error) => store_fault(error),
        TrackingError::Cas(error) => objects_fault(error),
        TrackingError::Search(error) => search_fault(&error),
        TrackingError::Ledger(error) => ledger_fault(&error),
        TrackingError::CheckpointMissing { .. }
        | TrackingError::CheckpointBehind { .. }
        | TrackingError::HistoryDiffers { .. }
        | TrackingError::CheckpointAhead { .. }
        | TrackingError::EventDiffers { .. } => damaged(text),
        TrackingError::Memory { .. } | TrackingError::Lock { .. } => {
            CommandError::system("E0018", text)
        }
        TrackingError::InvalidPageToken { .. } => CommandError::usage("E0014", text),
        TrackingError::UnknownRun { .. } => CommandError::usage("E0005", text)
            .hint("`reproof runs` lists the runs")
            .hint("a run is named by its id, the beginning of one, its name, or `latest`"),
        TrackingError::AmbiguousRun { candidates, .. } => {
            let shown: Vec<_> = candidates.iter().take(5).map(short_id).collect();
            CommandError::usage("E0006", text).hint(format!("one of: {}", shown.join(", ")))
        }
        TrackingError::NoRun { .. } => {
            CommandError::usage("E0005", text).hint("`reproof runs` lists the runs")
        }
        TrackingError::NamedExperimentDeleted { id, .. } => CommandError::usage("E0019", text)
            .hint("`-e NAME` with `reproof run` files the run under another experiment")
            .hint(format!(
                "restore it: `reproof server`, and beside it `MLFLOW_TRACKING_URI=http://127.0.0.1:5000 mlflow experiments restore --experiment-id {id}`"
            )),
        TrackingError::BrokenOff { .. } => CommandError::system("E0023", text),
        TrackingError::ExperimentDeleted { .. } => CommandError::usage("E0019", text).hint(
            "file the run elsewhere with `-e NAME`, or start `reproof server` and restore it: `mlflow experiments restore --experiment-id ID`",
        ),
        // What is left are refusals, which MLflow's clients get from the same room in the same words.
        error => match error.class() {
            ErrorClass::Invalid | ErrorClass::Exists => CommandError::usage("E0019", text),
            ErrorClass::NotFound => CommandError::usage("E0022", text),
            ErrorClass::Unavailable => CommandError::system("E0013", text).hint("try again"),
            ErrorClass::Internal => CommandError::system("E0023", text),
        },
    }
}

pub(crate) fn registry_fault(error: RegistryError) -> CommandError {
    let text = with_causes(&error);
    match error {
        RegistryError::Store(error) => store_fault(error),
        RegistryError::Cas(error) => objects_fault(error),
        RegistryError::Search(error) => search_fault(&error),
        RegistryError::InvalidPageToken { .. } => CommandError::usage("E0014", text),
        RegistryError::NoModel { .. } => {
            CommandError::usage("E0022", text).hint("`reproof model list` lists the models")
        }
        RegistryError::NoVersion { .. }
        | RegistryError::NoAlias { .. }
        | RegistryError::NoLatest { .. } => CommandError::usage("E0022", text)
            .hint("`reproof model show NAME` lists versions and aliases"),
        error => match error.class() {
            ErrorClass::Invalid | ErrorClass::Exists => CommandError::usage("E0019", text),
            ErrorClass::NotFound => CommandError::usage("E0022", text),
            ErrorClass::Unavailable => CommandError::system("E0013", text).hint("try again"),
            ErrorClass::Internal => CommandError::system("E0023", text),
        },
    }
}

pub(crate) fn access_fault(error: AccessError) -> CommandError {
    let text = with_causes(&error);
    match error {
        AccessError::Store(error) => store_fault(error),
        AccessError::NoUser { .. } => {
            CommandError::usage("E0022", text).hint("`reproof user list` lists the users")
        }
        error => match error.class() {
            ErrorClass::Invalid | ErrorClass::Exists => CommandError::usage("E0019", text),
            ErrorClass::NotFound => CommandError::usage("E0022", text),
            ErrorClass::Unavailable => CommandError::system("E0013", text).hint("try again"),
            ErrorClass::Internal => CommandError::system("E0023", text),
        },
    }
}

pub(crate) fn migrate_fault(error: MigrateError) -> CommandError {
    let text = with_causes(&error);
    match error {
        MigrateError::Store(error) => store_fault(error),
        MigrateError::Registry(error) => registry_fault(error),
        MigrateError::Cas(error) => objects_fault(error),
        MigrateError::Access(error) => access_fault(error),
        MigrateError::File { .. } => CommandError::system("E0018", text)
            .hint("once it can be read, the same command goes on where it was"),
        MigrateError::NeedsArtifacts { .. } => CommandError::usage("E0025", text)
            .hint("`--artifacts DIR` with the folder of the server, which is `mlartifacts` where nobody chose another"),
        MigrateError::Server { .. } => CommandError::system("E0027", text)
            .hint("see that it runs, and that MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, are right")
            .hint("the same command goes on where it was"),
        MigrateError::Taken { .. } => CommandError::usage("E0025", text)
            .hint("migrate into a new store: call this in an empty directory"),
        MigrateError::NotEmpty { .. } => CommandError::usage("E0034", text)
            .hint("name a file and a folder that do not exist"),
        MigrateError::NotHeld { .. } => CommandError::usage("E0034", text),
        MigrateError::WriteDatabase { .. } | MigrateError::WriteFile { .. } => {
            CommandError::system("E0034", text)
                .hint("the same command begins anew, and takes away what this one left")
        }
        _ => CommandError::usage("E0025", text),
    }
}

/// What cannot be read of users.
pub(crate) fn users_fault(error: MigrateError) -> CommandError {
    match error {
        MigrateError::NotMlflow { .. } | MigrateError::Database { .. } => {
            CommandError::usage("E0035", with_causes(&error))
        }
        error => migrate_fault(error),
    }
}

fn ledger_fault(error: &LedgerError) -> CommandError {
    let text = with_causes(error);
    match error {
        LedgerError::Storage { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
            disk_full(text)
        }
        LedgerError::Storage { .. } => CommandError::system("E0018", text),
        // A tile, checkpoint, leaf or key that is not what it was: the store's own files are the only ones read here.
        _ => damaged(text),
    }
}

pub(crate) fn search_fault(error: &SearchParseError) -> CommandError {
    CommandError::usage("E0014", error)
        .hint("such as: metrics.auc > 0.9 AND params.model = 'forest'")
}

pub(crate) fn order_fault(error: &SearchParseError) -> CommandError {
    CommandError::usage("E0014", error)
        .hint("such as: --order-by 'metrics.auc DESC' --order-by start_time")
}

pub(crate) fn tolerance_fault(error: &ProvenanceError) -> CommandError {
    CommandError::usage("E0022", error).hint("such as: --tolerance auc=0.001 --tolerance loss=1%")
}

pub(crate) fn executor_fault(error: ExecutorError) -> CommandError {
    let text = with_causes(&error);
    match error {
        ExecutorError::Trace(error) => trace_fault(error),
        ExecutorError::Capture(error) => capture_fault(error),
        ExecutorError::Objects(error) => objects_fault(error),
        ExecutorError::Tracking(error) => tracking_fault(error),
        ExecutorError::Tree(_) | ExecutorError::Manifest { .. } => CommandError::system("E0010", text),
        ExecutorError::Canonical(_) | ExecutorError::Lost { .. } => CommandError::system("E0023", text),
        ExecutorError::NotCaptured { .. } => {
            CommandError::usage("E0016", text).hint("`reproof run COMMAND` records a run so that it can be done again")
        }
        ExecutorError::NotEmpty { .. } => {
            CommandError::usage("E0009", text).hint("name a directory that does not exist")
        }
        ExecutorError::Unprotected { .. } => CommandError::usage("E0024", text)
            .hint("the replay was not started: try it in a container or on another machine, or move what is not needed out of that folder")
            .hint("`reproof restore RUN DIR` gives code and inputs back, to run the command by hand"),
        ExecutorError::Io { .. } | ExecutorError::Endpoint { .. } => CommandError::system("E0018", text),
        ExecutorError::Rebuild { .. } => CommandError::system("E0017", text)
            .hint("`--env current` takes the packages that are installed now; the verdict says what differs"),
    }
}

fn has_spaces(command: &std::ffi::OsStr) -> bool {
    command.to_string_lossy().contains(char::is_whitespace)
}

fn trace_fault(error: TraceError) -> CommandError {
    let text = with_causes(&error);
    match error {
        TraceError::NotFound { command } if has_spaces(&command) => {
            let line = in_shell_words([&*command.to_string_lossy()]);
            CommandError::usage("E0007", text).hint(format!(
                "a command line in one word is for a shell: `reproof run sh -c {line}`"
            ))
        }
        TraceError::NotFound { .. } => CommandError::usage("E0007", text)
            .hint("check the spelling, and that the virtual environment is active"),
        TraceError::NotExecutable { .. } => CommandError::usage("E0008", text)
            .hint("`chmod +x FILE`, or name the interpreter: `reproof run python FILE`"),
        TraceError::Unsupported { .. } => CommandError::usage("E0022", text)
            .hint("`--trace auto` takes the best way that this machine allows"),
        TraceError::NoCommand
        | TraceError::WorkingDirectory { .. }
        | TraceError::ZeroByte { .. } => CommandError::usage("E0022", text),
        TraceError::NotShown { source, .. } => {
            let fault = CommandError::usage("E0024", text);
            let fault = match source {
                BindFault::Crowded { .. } | BindFault::Unlisted { .. } => fault.hint(
                    "make the missing folder, empty, or name it with `--into` if it is the project's",
                ),
                BindFault::Refused { .. } => fault,
            };
            fault.hint(
                "`reproof restore RUN DIR` gives code and inputs back, to run the command by hand",
            )
        }
        TraceError::Io { .. } | TraceError::Copy { .. } | TraceError::StandardInput { .. } => {
            CommandError::system("E0018", text)
        }
    }
}

fn capture_fault(error: CaptureError) -> CommandError {
    let text = with_causes(&error);
    match error {
        CaptureError::Cas(error) => objects_fault(error),
        CaptureError::Io { .. }
        | CaptureError::Start { .. }
        | CaptureError::Slow { .. }
        | CaptureError::Failed { .. }
        | CaptureError::Answer { .. } => CommandError::system("E0018", text),
    }
}

fn disk_full(text: String) -> CommandError {
    CommandError::system("E0012", text)
        .hint("free some space; `reproof gc` removes what no run refers to")
}

/// Something on record is not what was written.
fn damaged(text: String) -> CommandError {
    CommandError::system("E0011", text)
        .hint("`reproof audit verify` names the first thing that is wrong")
}
