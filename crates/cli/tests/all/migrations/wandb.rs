//! Runs that W&B keeps on a machine, taken over.

use std::path::Path;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::told;
use crate::listening::Server;
use crate::python::{python, say};
use crate::support::{Answer, Project, files_below};

fn migrate(project: &Project, arguments: &[&str]) -> Answer {
    project.reproof(&[&["migrate", "wandb"], arguments].concat())
}

/// The points of a metric, by step, with their values as Python writes them.
fn points_of(server: &Server, run: &str, key: &str) -> Value {
    let key = utf8_percent_encode(key, NON_ALPHANUMERIC);
    let history = server.get(&format!(
        "api/2.0/mlflow/metrics/get-history?run_id={run}&metric_key={key}"
    ));
    let mut found: Vec<(i64, f64)> = history["metrics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|point| (point["step"].as_i64().unwrap(), number(&point["value"])))
        .collect();
    found.sort_by_key(|(step, _)| *step);
    let found = found
        .into_iter()
        .map(|(step, value)| json!([step, format!("{value:?}")]));
    found.collect()
}

fn number(value: &Value) -> f64 {
    match value.as_str() {
        Some("Infinity" | "inf") => f64::INFINITY,
        Some("NaN" | "nan") => f64::NAN,
        Some(text) => text.parse().unwrap(),
        None => value.as_f64().unwrap(),
    }
}

#[test]
fn offline_runs_of_the_real_client_come_over_with_all_that_was_logged() {
    let Some(python) = python() else { return };
    let project = Project::empty();
    let found = Answer::of(project.command(&python).args(["-c", "import wandb"]));
    if found.code != Some(0) {
        say("skipped: the Python of the tests has no wandb");
        return;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/migrate/offline_runs.py");
    let written = Answer::of(
        project
            .command(&python)
            .arg(script)
            .env("WANDB_SILENT", "true")
            .env("WANDB_MODE", "offline")
            .env("WANDB__DISABLE_STATS", "true")
            .env("WANDB_ERROR_REPORTING", "false"),
    );
    written.assert_code(0);
    let line = written.out().lines().last().unwrap().to_owned();
    let logged: Value = serde_json::from_str(&line).unwrap();
    let answer = migrate(&project, &["wandb", "--json"]);
    let report = told(&answer);
    assert_eq!(report["counts"]["experiments"]["new"], 2, "{report:#}");
    assert_eq!(report["counts"]["runs"]["new"], 2, "{report:#}");
    assert_eq!(report["unreadable"], json!([]), "{report:#}");
    assert_eq!(report["differences"], json!([]), "{report:#}");
    let left = &report["left_behind"];
    assert_eq!(
        left["values in histories that are no numbers"], 8,
        "{report:#}"
    );
    assert_eq!(
        left["media, tables and histograms in histories"], 2,
        "{report:#}"
    );

    let server = Server::start(&project);
    let found = server.post("runs/search", r#"{"experiment_ids": ["1", "2"]}"#);
    for (name, points) in logged.as_object().unwrap() {
        let runs = found["runs"].as_array().unwrap();
        let run = runs
            .iter()
            .find(|run| run["info"]["run_name"] == **name)
            .unwrap();
        let id = run["info"]["run_id"].as_str().unwrap();
        for (key, points) in points.as_object().unwrap() {
            let expected: Value = points
                .as_array()
                .unwrap()
                .iter()
                .map(|point| json!([point[0], format!("{:?}", number(&point[1]))]))
                .collect();
            assert_eq!(points_of(&server, id, key), expected, "{name} {key}");
        }
        assert_eq!(points_of(&server, id, "best")[0][1], "0.75");
        let pairs = |of: &str| -> Value {
            let list = run["data"][of].as_array().unwrap().iter();
            let pairs = list.map(|pair| {
                (
                    pair["key"].as_str().unwrap().to_owned(),
                    pair["value"].clone(),
                )
            });
            Value::Object(pairs.collect())
        };
        assert_eq!(
            pairs("params"),
            json!({ "lr": "0.1", "net.layers": "[1,2]", "net.act": "relu", "text": "x", "none": "null", "later": "true" })
        );
        let tags = pairs("tags");
        assert_eq!(tags["mlflow.note.content"], "some\nnotes ü");
        assert_eq!(tags["wandb.tag/b/c"], "true");
        assert_eq!(tags["wandb.summary/verdict"], "good");
        let status = if name == "run 0" {
            "FINISHED"
        } else {
            "FAILED"
        };
        assert_eq!(run["info"]["status"], status, "{name}");
        let path = format!("api/2.0/mlflow/artifacts/list?run_id={id}");
        let files = server.get(&path).to_string();
        assert!(files.contains("kept.txt"), "{files}");
    }
    server.end();
    project.assert_sound();
    let again = told(&migrate(&project, &["wandb", "--json"]));
    assert_eq!(
        again["counts"]["runs"],
        json!({ "new": 0, "there": 2 }),
        "{again:#}"
    );

    // What is cut short is read up to there, by another project into one experiment.
    let other = Project::empty();
    let files = files_below(&project.path("wandb")).into_iter();
    // `latest-run` is a link to a folder.
    for file in files.filter(|file| !file.is_symlink()) {
        let inside = file
            .strip_prefix(project.path(""))
            .unwrap()
            .display()
            .to_string();
        let bytes = std::fs::read(&file).unwrap();
        let is_record = file.extension().is_some_and(|end| end == "wandb");
        let length = if is_record {
            bytes.len() / 2
        } else {
            bytes.len()
        };
        other.write(&inside, &bytes[..length]);
    }
    let answer = migrate(&other, &[".", "-e", "both", "--json"]);
    answer.assert_code(1);
    let report = told(&answer);
    assert_eq!(report["counts"]["runs"]["new"], 2, "{report:#}");
    assert_eq!(report["counts"]["experiments"]["new"], 1, "{report:#}");
    assert_eq!(
        report["unreadable"].as_array().unwrap().len(),
        2,
        "{report:#}"
    );
    other.assert_sound();
}

#[test]
fn what_is_no_file_of_wandb_is_refused_or_named() {
    let project = Project::empty();
    project.write("empty/note.txt", "");
    migrate(&project, &["empty"])
        .assert_code(2)
        .assert_err_has("E0025")
        .assert_err_has("no folder of W&B");
    assert!(!project.store().exists());
    project.write("wandb/offline-run-1/run-a.wandb", "");
    project.write("wandb/offline-run-2/run-b.wandb", [0xff; 100]);
    project.write("wandb/offline-run-3/run-c.wandb", b":W&B\xe1\xbe\x01");
    project.write("wandb/offline-run-4/run-d.wandb", b":W&B\xe1\xbe\x00");
    let answer = migrate(&project, &["wandb", "--json"]);
    answer.assert_code(1);
    let report = told(&answer);
    assert_eq!(
        report["unreadable"].as_array().unwrap().len(),
        4,
        "{report:#}"
    );
    assert_eq!(report["counts"]["runs"]["new"], 0, "{report:#}");
    project.assert_sound();
}
