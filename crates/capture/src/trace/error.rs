//! What can go wrong when a command is started under observation.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use super::Method;

/// Why a command could not be started or observed.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// There is no command.
    #[error("the command is empty")]
    NoCommand,
    /// The command is nowhere to be found.
    #[error("command `{}` was not found", command.display())]
    NotFound {
        /// The command as it was given.
        command: OsString,
    },
    /// The command is there and cannot be executed.
    #[error("command `{}` cannot be executed", command.display())]
    NotExecutable {
        /// The command as it was given.
        command: OsString,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The command cannot be started where it should be.
    #[error("working directory `{}` cannot be entered", path.display())]
    WorkingDirectory {
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// An argument or a variable cannot be handed to a process.
    #[error("`{}` holds a zero byte, which no process can be given", text.display())]
    ZeroByte {
        /// The argument, or the name of the variable.
        text: OsString,
    },
    /// The method that was asked for does not work here.
    #[error("method `{}` cannot be used here", method.as_str())]
    Unsupported {
        /// The method.
        method: Method,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A file or folder cannot be shown to the command at its path; without it the command would work on what is there.
    #[error("`{}` cannot be shown to the command", path.display())]
    NotShown {
        /// The path.
        path: PathBuf,
        /// Why not.
        #[source]
        source: BindFault,
    },
    /// A call of the kernel failed.
    #[error("cannot {action}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A file that takes a copy of the output cannot be made.
    #[error("cannot make `{}`, which is to hold the output", path.display())]
    Copy {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The file to give as standard input cannot be opened.
    #[error("cannot open `{}`, which is to be standard input", path.display())]
    StandardInput {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

/// Why something cannot be shown at a path.
#[derive(Debug, thiserror::Error)]
pub enum BindFault {
    /// Nothing is there, and what is around it is too much to be shown again.
    #[error("it is missing, and `{}`, in which it would be shown, has more than {limit} entries", folder.display())]
    Crowded {
        /// The nearest folder that is there.
        folder: PathBuf,
        /// How many may be in it.
        limit: usize,
    },
    /// Nothing is there, and what is around it cannot be listed.
    #[error("it is missing, and `{}`, in which it would be shown, cannot be listed", folder.display())]
    Unlisted {
        /// The nearest folder that is there.
        folder: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The kernel refuses.
    #[error("the system does not mount it")]
    Refused {
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

impl TraceError {
    /// Says what was tried when the kernel refused.
    pub(super) fn io(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, source }
    }
}
