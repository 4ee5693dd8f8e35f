//! What can go wrong in a task.

use std::path::PathBuf;

/// Why a task did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TaskError {
    /// A program could not be started.
    #[error("cannot start `{program}`: {source}")]
    Start {
        program: String,
        source: std::io::Error,
    },
    /// A program ended with another status than 0.
    #[error("`{command}` ended with {status}")]
    Failed { command: String, status: String },
    /// A file could not be read or written.
    #[error("cannot use `{path}`: {source}")]
    File {
        path: PathBuf,
        source: std::io::Error,
    },
    /// The workspace could not be read.
    #[error("cannot read the workspace: {0}")]
    Metadata(#[from] cargo_metadata::Error),
    /// The machine lacks something that cannot be installed from here.
    #[error("{what} is missing: {advice}")]
    Missing {
        what: &'static str,
        advice: &'static str,
    },
    /// A program printed something else than was expected of it.
    #[error("`{command}` printed what cannot be read: {reason}")]
    Output { command: String, reason: String },
    /// Steps of a task failed that let the later ones go on.
    #[error("failed: {}", steps.join(", "))]
    Steps { steps: Vec<String> },
    /// A server that was started did not answer.
    #[error("the server at port {port} did not answer within {timeout_s} s; it said: {log}")]
    NoAnswer {
        port: u16,
        timeout_s: u64,
        log: String,
    },
}

impl TaskError {
    /// For `map_err` on file operations.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}
