//! Event files of TensorBoard, taken over.

use std::path::Path;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::told;
use crate::listening::Server;
use crate::python::{python, say};
use crate::support::{Answer, Project};

fn migrate(project: &Project, arguments: &[&str]) -> Answer {
    project.reproof(&[&["migrate", "tensorboard"], arguments].concat())
}

/// All points of a run here, as the script prints those of TensorBoard.
fn points_of(server: &Server, run: &Value) -> Value {
    let id = run["info"]["run_id"].as_str().unwrap();
    let mut points = serde_json::Map::new();
    for metric in run["data"]["metrics"].as_array().into_iter().flatten() {
        let key = metric["key"].as_str().unwrap();
        let encoded = utf8_percent_encode(key, NON_ALPHANUMERIC);
        let history = server.get(&format!(
            "api/2.0/mlflow/metrics/get-history?run_id={id}&metric_key={encoded}"
        ));
        let mut found: Vec<_> = history["metrics"]
            .as_array()
            .unwrap()
            .iter()
            .map(|point| {
                (
                    point["step"].as_i64().unwrap(),
                    point["timestamp"].clone(),
                    number(&point["value"]),
                )
            })
            .collect();
        found.sort_by_key(|(step, at, value)| (*step, at.as_i64(), value.clone()));
        points.insert(key.to_owned(), json!(found));
    }
    Value::Object(points)
}

/// A number in one way, whoever writes it: Python and MLflow have words of their own.
fn number(value: &Value) -> String {
    let text = value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned);
    let text = match text.as_str() {
        "nan" | "NaN" => return "NaN".to_owned(),
        "inf" => "Infinity",
        "-inf" => "-Infinity",
        other => other,
    };
    match text {
        "Infinity" => "inf".to_owned(),
        "-Infinity" => "-inf".to_owned(),
        other => format!("{:?}", other.parse::<f64>().unwrap()),
    }
}

#[test]
fn event_files_of_all_forms_give_what_tensorboard_itself_reads() {
    let Some(python) = python() else { return };
    let project = Project::empty();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/migrate/event_files.py");
    let found = Answer::of(
        project
            .command(&python)
            .args(["-c", "import tensorboard, tensorboardX"]),
    );
    if found.code != Some(0) {
        say("skipped: the Python of the tests has no tensorboard and tensorboardX");
        return;
    }
    let written = Answer::of(project.command(&python).arg(script).arg("logs"));
    written.assert_code(0);
    let theirs: Value = serde_json::from_str(&written.out()).unwrap();
    let answer = migrate(&project, &["logs", "--experiment", "boards", "--json"]);
    answer.assert_code(0);
    let report = told(&answer);
    assert_eq!(report["counts"]["runs"]["new"], 3, "{report:#}");
    assert_eq!(report["files"], 3, "{report:#}");
    assert_eq!(report["differences"], json!([]), "{report:#}");
    assert_eq!(
        report["left_behind"],
        json!({
            "histograms in event files, which are kept as artifacts,": 2,
            "images in event files, which are kept as artifacts,": 1,
        })
    );

    let server = Server::start(&project);
    let found = server.post("runs/search", r#"{"experiment_ids": ["1"]}"#);
    let runs = found["runs"].as_array().unwrap();
    let run = |name: &str| {
        let is_it = |run: &&Value| run["info"]["run_name"] == name;
        runs.iter()
            .find(is_it)
            .unwrap_or_else(|| panic!("{name}: {found:#}"))
    };
    for (name, theirs) in theirs.as_object().unwrap() {
        let ours = points_of(&server, run(if name == "." { "logs" } else { name }));
        let mut expected = serde_json::Map::new();
        for (tag, points) in theirs.as_object().unwrap() {
            let key = tag.replace(['(', ')', '='], "_");
            let mut points: Vec<_> = points
                .as_array()
                .unwrap()
                .iter()
                .map(|point| {
                    (
                        point[0].as_i64().unwrap(),
                        point[1].clone(),
                        number(&point[2]),
                    )
                })
                .collect();
            points.sort_by_key(|(step, at, value)| (*step, at.as_i64(), value.clone()));
            expected.insert(key, json!(points));
        }
        assert_eq!(ours, Value::Object(expected), "{name}");
    }
    server.end();
    let pairs = |name: &str, of: &str| {
        let list = run(name)["data"][of].as_array().unwrap();
        let pairs = list.iter().map(|pair| {
            (
                pair["key"].as_str().unwrap().to_owned(),
                pair["value"].clone(),
            )
        });
        Value::Object(pairs.collect())
    };
    assert_eq!(
        pairs("first/run a/tried", "params"),
        json!({ "bs": "32", "flag": "True", "lr": "0.1", "opt": "adam" })
    );
    let text = &pairs("first/run a", "tags")["tensorboard.text/note/text_summary"];
    assert_eq!(text, "hello **world** ü");
    assert_eq!(pairs("logs", "tags")["tensorboard.text/said"], "last");
    project.assert_sound();

    // The same folder elsewhere, with a run that is new: only that comes.
    std::fs::rename(project.path("logs"), project.path("moved")).unwrap();
    let copied = std::fs::read(
        project
            .path("moved")
            .join("first/run a/tried")
            .read_dir()
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path(),
    );
    project.write("moved/second/events.out.tfevents.1.x", copied.unwrap());
    let again = told(&migrate(&project, &["moved", "-e", "boards", "--json"]));
    assert_eq!(
        again["counts"]["runs"],
        json!({ "new": 1, "there": 3 }),
        "{again:#}"
    );
}

/// The length of a record, and nothing more.
const CUT_SHORT: &[u8] = &[0x16, 0, 0, 0, 0, 0, 0, 0];

#[test]
fn what_is_no_event_file_is_refused_or_named() {
    let project = Project::empty();
    project.write("empty/note.txt", "");
    migrate(&project, &["empty"])
        .assert_code(2)
        .assert_err_has("E0025")
        .assert_err_has("no folder of TensorBoard");
    migrate(&project, &["nothing"]).assert_err_has("nothing");
    assert!(!project.store().exists());

    project.write("logs/a/events.out.tfevents.1.x", CUT_SHORT);
    project.write("logs/b/events.out.tfevents.1.x", [0xff; 200]);
    project.write("logs/c/events.out.tfevents.1.x", "");
    std::os::unix::fs::symlink("/etc", project.path("logs/link")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", project.path("logs/c/tfevents.link")).unwrap();
    let answer = migrate(&project, &["logs", "--json"]);
    answer.assert_code(1);
    let report = told(&answer);
    let unreadable = report["unreadable"].to_string();
    assert!(
        unreadable.contains("logs/a/events.out.tfevents.1.x`: its last record is cut short"),
        "{report:#}"
    );
    assert!(
        unreadable.contains("logs/b/events.out.tfevents.1.x`: the checksum"),
        "{report:#}"
    );
    assert_eq!(report["counts"]["runs"]["new"], 3, "{report:#}");
    let not_taken = report["not_taken"].to_string();
    assert!(not_taken.contains("it is a link"), "{report:#}");
    assert_eq!(report["files"], 3, "{report:#}");
    project.assert_sound();
}
