//! Appending events through the store, and verifying a million of them.

use super::{Bench, Section};
use crate::error::TaskError;

pub(super) fn measure(bench: &Bench<'_>) -> Result<Section, TaskError> {
    let mut rows = bench.run_example("store-sqlite", "store_bench", &[])?;
    rows.extend(bench.run_example("ledger", "throughput", &["1000000"])?);
    Ok(Section {
        title: "Ledger",
        command: "cargo xtask bench ledger",
        head: vec!["what", "figures"],
        rows,
        notes: vec![
            "The first lines go through the database with its rows; the later ones are the tree and its files alone.".to_owned(),
        ],
        faults: Vec::new(),
    })
}
