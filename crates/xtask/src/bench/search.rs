//! Searches over many runs, on both databases.

use serde::Deserialize;

use super::{Bench, Section, json_lines};
use crate::error::TaskError;
use crate::postgres::{Durability, PrivatePostgres};
use crate::process::{self, cargo};

const RUNS: &str = "100000";

#[derive(Debug, Deserialize)]
struct Figures {
    name: String,
    results: usize,
    ms_p50: f64,
    ms_p95: f64,
}

pub(super) fn measure(bench: &Bench<'_>) -> Result<Section, TaskError> {
    // Below the target directory: a temporary folder may be in memory.
    let folder = bench.context.target.to_string_lossy();
    let mut rows = table(&run(bench, &folder)?, "SQLite");
    let mut notes = vec![format!(
        "Experiment 0 of {RUNS} runs, each with five params, five metrics and three tags; another experiment has the rest. Each search is asked 40 times by one caller, without HTTP; its results come with all params, metrics and tags. Deep pages begin in the middle."
    )];
    if PrivatePostgres::find().is_some() {
        let server = PrivatePostgres::start(Durability::Real)?;
        rows.extend(table(&run(bench, &server.uri())?, "PostgreSQL"));
        notes.push(
            "PostgreSQL on the same machine, by its socket, with its settings as installed."
                .to_owned(),
        );
    } else {
        notes.push("PostgreSQL is not installed here, so nothing was measured on it.".to_owned());
    }
    Ok(Section {
        title: "Search",
        command: "cargo xtask bench search",
        head: vec!["search", "database", "results", "p50, ms", "p95, ms"],
        rows,
        notes,
        faults: Vec::new(),
    })
}

fn run(bench: &Bench<'_>, place: &str) -> Result<Vec<Figures>, TaskError> {
    let text = process::output_of(
        cargo()
            .args(["run", "-q", "--release", "--locked", "-p", "store-postgres"])
            .args(["--example", "search_bench", "--", place, RUNS])
            .current_dir(&bench.context.root),
    )?;
    json_lines(&text, "search_bench")
}

fn table(figures: &[Figures], database: &str) -> Vec<Vec<String>> {
    let rows = figures.iter().map(|figures| {
        vec![
            figures.name.clone(),
            database.to_owned(),
            figures.results.to_string(),
            format!("{:.1}", figures.ms_p50),
            format!("{:.1}", figures.ms_p95),
        ]
    });
    rows.collect()
}
