//! Starting a command under observation.
//!
//! The command runs as a child with a filter that reports the system calls of interest: opening, renaming, removing,
//! linking, truncating, executing, connecting. Every descendant has the same filter.
//! Reading and writing are never stopped.
//!
//! This observes and is no security boundary: after an answer the kernel reads the call's memory again,
//! which another thread of the command may have changed meanwhile.
//!
//! Three processes take part. The *supervisor* is this one: it answers the kernel and tells the observer.
//! The *keeper* is forked from it: it waits for the command and adopts its orphans.
//! The *command* is the keeper's child.

mod access;
mod attempt;
mod calls;
mod child;
mod crowd;
mod decode;
mod error;
mod failure;
mod filter;
mod findings;
mod keeper;
mod launch;
mod life;
mod listener;
mod memory;
mod message;
mod method;
mod mounts;
mod nested;
mod notify;
mod observe;
mod options;
mod outcome;
mod peer;
mod plan;
mod program;
mod ptrace;
mod run;
mod scan;
mod signals;
mod stdio;
mod sys;
mod tree;
mod view;
mod walk;

pub use access::{Access, AccessKind, Observer};
pub use error::{BindFault, TraceError};
pub use method::{Method, MethodChoice};
pub use mounts::{can_bind, check_binds};
pub use options::{Bind, ScanScope, TraceOptions};
pub use outcome::{ScanDifference, TraceOutcome};
pub use run::trace;

pub(crate) use sys::{clock_ticks_per_second, page_size};
pub(crate) use tree::{list_descendants, read_stat};
