//! What can go wrong in looking at code and environment.

use std::path::PathBuf;

/// What can go wrong in looking at code and environment.
///
/// A single file that cannot be read is not among these: it is noted in the record and the rest goes on.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The operating system refused.
    #[error("cannot {action} `{path}`")]
    Io {
        /// What was tried, such as `read`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Objects could not be stored.
    #[error("cannot store an object")]
    Cas(#[from] cas::CasError),
    /// A helper process could not be started.
    #[error("cannot start `{program}`")]
    Start {
        /// Which program.
        program: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A helper process did not end in time and was ended.
    #[error("`{program}` did not answer within {limit_ms} ms")]
    Slow {
        /// Which program.
        program: PathBuf,
        /// How long it was waited for.
        limit_ms: u64,
    },
    /// A helper process ended with an error.
    #[error("`{program}` ended with status {status}: {words}")]
    Failed {
        /// Which program.
        program: PathBuf,
        /// Its exit status, or 128 and the signal that ended it.
        status: i32,
        /// The last lines of its standard error.
        words: String,
    },
    /// A helper process answered with something else than what was asked for.
    #[error("`{program}` gave an answer that cannot be read: {message}")]
    Answer {
        /// Which program.
        program: PathBuf,
        /// What is wrong with it.
        message: String,
    },
}

impl CaptureError {
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
