//! What can be wrong with what this room is given to read.

/// A text that this room could not make sense of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProvenanceError {
    /// A metrics file that is neither JSON nor JSON lines.
    #[error("metrics are not JSON at line {line}, column {column}: expected {expected}")]
    MetricsFile {
        /// Line, from 1.
        line: usize,
        /// Column in bytes, from 1.
        column: usize,
        /// What should have stood there.
        expected: &'static str,
    },
    /// A tolerance that cannot be read.
    #[error(
        "tolerance `{text}` is not of the form METRIC=NUMBER, METRIC=NUMBER% or METRIC=NUMBERrel: {reason}"
    )]
    Tolerance {
        /// What was given.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}
