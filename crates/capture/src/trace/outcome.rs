//! What came of a traced command.

use std::path::PathBuf;

use entities::{Exit, Gap, Usage};

use super::Method;
use crate::sampling::Sample;

/// What came of a traced command.
#[derive(Clone, Debug)]
pub struct TraceOutcome {
    /// How the command ended.
    pub exit: Exit,
    /// Time and memory of the command with all its descendants.
    ///
    /// The peak is that of any one process; for commands smaller than Reproof itself it is Reproof's own size,
    /// since the kernel counts a process from before it was executed.
    pub usage: Usage,
    /// How it was observed.
    pub method: Method,
    /// How many processes were seen to do something; with `Method::Scan`, how many were waited for here.
    pub processes: u64,
    /// What may be missing.
    pub gaps: Vec<Gap>,
    /// Signs of nondeterminism.
    pub signs: Vec<Gap>,
    /// CPU and memory over time.
    pub samples: Vec<Sample>,
    /// Whether a signal that asks to end was received meanwhile, or typed on the command's terminal.
    pub was_interrupted: bool,
    /// What a scan found; none with other methods.
    pub scan: Option<ScanDifference>,
}

/// How the files differ from before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScanDifference {
    /// Files that are new, or whose size, times or mode changed; sorted.
    pub created_or_changed: Vec<PathBuf>,
    /// Files that are gone; sorted.
    pub deleted: Vec<PathBuf>,
}
