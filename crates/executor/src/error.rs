//! What can go wrong while carrying out a command.

use std::path::PathBuf;

use entities::{ObjectId, RunId};

/// What can go wrong while carrying out a command.
#[derive(Debug, thiserror::Error)]
pub enum ExecutorError {
    /// The command could not be started or observed.
    #[error(transparent)]
    Trace(#[from] capture::trace::TraceError),
    /// Code, environment or host could not be captured.
    #[error(transparent)]
    Capture(#[from] capture::CaptureError),
    /// Objects.
    #[error(transparent)]
    Objects(#[from] cas::CasError),
    /// The run could not be written down.
    #[error(transparent)]
    Tracking(#[from] tracking::TrackingError),
    /// A tree that breaks the rules.
    #[error(transparent)]
    Tree(#[from] entities::TreeError),
    /// A manifest without a canonical form.
    #[error(transparent)]
    Canonical(#[from] entities::CanonicalError),
    /// A run without a manifest.
    #[error("run `{run}` has no manifest: {}", if *is_open { "it is still under way" } else { "a client logged it, or it was killed at its start" })]
    NotCaptured {
        /// Whether it is still under way.
        is_open: bool,
        /// Which.
        run: RunId,
    },
    /// A manifest that cannot be read.
    #[error("the manifest `{object}` of run `{run}` cannot be read: {message}")]
    Manifest {
        /// Whose.
        run: RunId,
        /// Which part.
        object: ObjectId,
        /// What is wrong.
        message: String,
    },
    /// A directory that is to be made is there already.
    #[error("{} is there and not empty", path.display())]
    NotEmpty {
        /// Which.
        path: PathBuf,
    },
    /// A file or directory could not be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A folder outside of the project in which the run changed files cannot be kept from being changed by its replay.
    #[error("the run changed files in `{}`, which a replay cannot protect: {why}", path.display())]
    Unprotected {
        /// The folder.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// The Python environment could not be rebuilt.
    #[error("the Python environment cannot be rebuilt: {message}")]
    Rebuild {
        /// Why not.
        message: String,
    },
    /// The endpoint could not be opened.
    #[error("the run's tracking endpoint could not be opened")]
    Endpoint {
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Work on another thread ended without an answer.
    #[error("{what} ended without an answer")]
    Lost {
        /// Which work.
        what: &'static str,
    },
}

impl ExecutorError {
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
        source: std::io::Error,
    ) -> Self {
        Self::Io {
            action,
            path: path.into(),
            source,
        }
    }
}
