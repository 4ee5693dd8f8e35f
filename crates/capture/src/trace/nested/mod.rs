//! Runs inside of runs.
//!
//! The kernel allows one listener to a process, so a run inside a run cannot have its own.
//! It joins the supervisor of the outer one instead, which tells it what its own processes are about to do.
//! The outer supervisor never waits for it with a thread: the inner one itself makes calls that are asked about.

mod forwarder;
mod member;
mod wire;

pub(super) use forwarder::{Door, Forwarder};
pub(super) use member::{Invitation, Membership};

/// Variable that names the socket of the supervisor, `@` standing for its first, zero byte.
pub(super) const VARIABLE: &str = "REPROOF_SUPERVISOR";
