//! Appending events through the store, and verifying a million of them.

use super::{Bench, Section};
use crate::error::TaskError;

const EVENTS: &str = "1000000";

pub(super) fn measure(bench: &Bench<'_>) -> Result<Section, TaskError> {
    // Below the target directory: a temporary folder may be in memory, where syncing costs nothing.
    let folder = bench.context.target.to_string_lossy();
    let mut rows = bench.run_example("store-sqlite", "store_bench", &[&folder, EVENTS])?;
    rows.extend(bench.run_example("ledger", "throughput", &[EVENTS, &folder])?);
    Ok(Section {
        title: "Ledger",
        command: "cargo xtask bench ledger",
        head: vec!["what", "figures"],
        rows,
        notes: vec![
            "The first lines go through the database with its rows, durable on the disk; `append` has 256 callers at once.".to_owned(),
            "`whole_verification` is what `reproof audit verify --quick` does: signature, tiles, leaves, bodies, and every row built again from the events.".to_owned(),
            "The lines that are no names are the tree and its files alone.".to_owned(),
        ],
        faults: Vec::new(),
    })
}
