//! Long histories of metrics, kept in order a second time.
//!
//! Points come in blocks, as requests bring them. Where a history has many, its points stand once more in chunks of a
//! hundred, by step, time and value, each once, so that any of them is found by its rank. What came since is its tail,
//! which is read with them; a tail that is long, or that belongs before what stands there, is worked in: as it grows, by
//! the process that logs, or else by the next reader. The copy follows from the blocks, and the verification of the store
//! compares the two.

mod backlog;
mod chunks;
pub(crate) mod compaction;
mod points;
mod tail;

pub(crate) use backlog::Backlog;
pub(crate) use chunks::CHUNK_POINTS;
pub(crate) use compaction::{
    Effort, FEW_POINTS, Plan, plan_compaction, remove_copies, verify_copies, write_compaction,
};
pub(crate) use points::{Place, Points};
pub(crate) use tail::History;

/// Every statement of this module, by its name.
pub(crate) fn all_statements() -> Vec<(&'static str, &'static str)> {
    [chunks::ALL, compaction::ALL, tail::ALL].concat()
}
