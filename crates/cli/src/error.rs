//! Errors at the edge: whose fault, which code, what to try.
//!
//! Libraries give facts; here each of their errors becomes a kind (which decides the exit code), a code
//! (which `reproof explain` knows) and hints.

use std::fmt::Display;

/// Whose fault an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Wrong usage or bad input.
    Usage,
    /// The machine: disk, network, database.
    System,
}

/// An error as a user sees it.
#[derive(Debug)]
pub(crate) struct CommandError {
    kind: Kind,
    code: &'static str,
    message: String,
    hints: Vec<String>,
    exit_code: Option<u8>,
}

impl CommandError {
    /// A fault of the input.
    pub(crate) fn usage(code: &'static str, message: impl Display) -> Self {
        Self {
            kind: Kind::Usage,
            code,
            message: message.to_string(),
            hints: Vec::new(),
            exit_code: None,
        }
    }

    /// A fault of the machine.
    pub(crate) fn system(code: &'static str, message: impl Display) -> Self {
        Self {
            kind: Kind::System,
            ..Self::usage(code, message)
        }
    }

    /// A fault of the machine, told with all its causes.
    pub(crate) fn caused(code: &'static str, error: &dyn std::error::Error) -> Self {
        Self::system(code, with_causes(error))
    }

    /// Adds what to try.
    pub(crate) fn hint(mut self, hint: impl Display) -> Self {
        self.hints.push(hint.to_string());
        self
    }

    /// Sets an exit code of its own, as `run` needs it.
    pub(crate) fn exits_with(mut self, exit_code: u8) -> Self {
        self.exit_code = Some(exit_code);
        self
    }

    pub(crate) fn exit_code(&self) -> u8 {
        self.exit_code.unwrap_or(match self.kind {
            Kind::Usage => 2,
            Kind::System => 4,
        })
    }

    pub(crate) const fn code(&self) -> &'static str {
        self.code
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn hints(&self) -> &[String] {
        &self.hints
    }
}

/// Says an error with everything that caused it.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}
