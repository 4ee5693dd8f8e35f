//! Searches over many runs, on both databases.

use serde::Deserialize;

use super::{Bench, Section, json_lines};
use crate::error::TaskError;
use crate::postgres::{Durability, PrivatePostgres};
use crate::process::{self, cargo};

/// How many runs there are: a page in an order that has an index, and a filter of few, must not grow with them.
const SIZES: [(&str, &str); 4] = [
    ("1000", "1 k"),
    ("10000", "10 k"),
    ("100000", "100 k"),
    ("1000000", "1 M"),
];

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
    let mut rows = measure_sizes("SQLite", |size| run(bench, &folder, size))?;
    let mut notes = vec![
        "Experiment 0 has all runs but each thousandth, each with five params, five metrics and three tags. Each search is asked 40 times by one caller, without HTTP; its results come with all params, metrics and tags. A deep page begins in the middle. Columns are p50 / p95 in ms; results are those of the last.".to_owned(),
    ];
    if PrivatePostgres::find().is_some() {
        let measured = measure_sizes("PostgreSQL", |size| {
            // A server for each size, so that none is behind with cleaning up after another.
            let server = PrivatePostgres::start(Durability::Real)?;
            run(bench, &server.uri(), size)
        });
        rows.extend(measured?);
        notes.push(
            "PostgreSQL on the same machine, by its socket, with its settings as installed; it is asked 75 s after the runs were made, when it has vacuumed and counted by itself."
                .to_owned(),
        );
    } else {
        notes.push("PostgreSQL is not installed here, so nothing was measured on it.".to_owned());
    }
    let mut head = vec!["search", "database", "results"];
    head.extend(SIZES.map(|(_, told)| told));
    Ok(Section {
        title: "Search",
        command: "cargo xtask bench search",
        head,
        rows,
        notes,
        faults: Vec::new(),
    })
}

/// A row for each search, with a column for each size.
fn measure_sizes(
    database: &str,
    run: impl Fn(&str) -> Result<Vec<Figures>, TaskError>,
) -> Result<Vec<Vec<String>>, TaskError> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (place, (size, told)) in SIZES.into_iter().enumerate() {
        println!("measuring {told} runs on {database}");
        for (number, figures) in run(size)?.into_iter().enumerate() {
            if place == 0 {
                rows.push(vec![figures.name, database.to_owned(), String::new()]);
            }
            let row = rows.get_mut(number).ok_or_else(|| TaskError::Output {
                command: "search_bench".to_owned(),
                reason: format!("it tells more searches at {told} than before"),
            })?;
            row[2] = figures.results.to_string();
            row.push(format!("{:.1} / {:.1}", figures.ms_p50, figures.ms_p95));
        }
    }
    Ok(rows)
}

fn run(bench: &Bench<'_>, place: &str, runs: &str) -> Result<Vec<Figures>, TaskError> {
    let text = process::output_of(
        cargo()
            .args(["run", "-q", "--release", "--locked", "-p", "store-postgres"])
            .args(["--example", "search_bench", "--", place, runs])
            .current_dir(&bench.context.root),
    )?;
    json_lines(&text, "search_bench")
}
