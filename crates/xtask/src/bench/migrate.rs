//! Taking over a folder of files of MLflow's, beside MLflow's own migration of it into a database.

use std::fs;

use super::measure::{alternate, median, ratio, time_s};
use super::{Bench, Section};
use crate::error::TaskError;
use crate::process;

const RUNS: &str = "200";
const POINTS: &str = "1000";

pub(super) fn measure(bench: &Bench<'_>) -> Result<Section, TaskError> {
    println!("measuring migrations");
    let project = bench.make_project()?;
    process::output_of(
        project
            .command(&bench.python)
            .args(["fill_mlruns.py", RUNS, POINTS]),
    )?;
    let store = project.root.join("store");
    let (ours, theirs) = alternate(
        bench.pairs,
        || {
            if store.exists() {
                fs::remove_dir_all(&store).map_err(TaskError::file(&store))?;
            }
            fs::create_dir(&store).map_err(TaskError::file(&store))?;
            let mut command = project.command(&bench.reproof);
            command
                .current_dir(&store)
                .args(["migrate", "mlflow", "../mlruns"]);
            time_s(&mut command)
        },
        || {
            let database = project.root.join("peer.db");
            if database.exists() {
                fs::remove_file(&database).map_err(TaskError::file(&database))?;
            }
            let mut command = project.command(&bench.python);
            command
                .args(["-m", "mlflow", "migrate-filestore", "--no-progress"])
                .args(["--source", ".", "--target", "sqlite:///peer.db"]);
            time_s(&mut command)
        },
    )?;
    let row = |program: &str, times: &[f64], ratio: String| {
        vec![
            program.to_owned(),
            format!("{:.2}", median(times)),
            ratio,
            times.len().to_string(),
        ]
    };
    let times = ratio(&theirs, &ours);
    Ok(Section {
        title: "Migration",
        command: "cargo xtask bench migrate",
        head: vec!["program", "seconds", "beside mlflow", "pairs"],
        rows: vec![
            row(
                "reproof migrate",
                &ours,
                format!("{times:.1} times as fast"),
            ),
            row("mlflow migrate-filestore", &theirs, "1".to_owned()),
        ],
        notes: vec![format!(
            "`tests/bench/fill_mlruns.py`: {RUNS} runs with {POINTS} points of metrics each, 10 params, 11 tags and an artifact. Ours copies the artifacts too, signs a ledger, and compares every row, point and file with the source again; MLflow's counts rows."
        )],
        faults: Vec::new(),
    })
}
