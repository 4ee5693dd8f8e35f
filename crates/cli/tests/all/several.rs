//! Several processes at one store: at once, one inside another, and as a server.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use crate::support::{Answer, Project, training_project};

#[test]
fn ten_runs_at_once_make_one_store_and_are_all_recorded() {
    let project = training_project(true);
    let rates: Vec<_> = (1..=10).map(|number| format!("0.{number:02}")).collect();
    let children: Vec<_> = rates
        .iter()
        .map(|rate| project.start(&["run", "-n", rate, "python3", "train.py", "--lr", rate]))
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let list = project.json(&["runs"]);
    let runs = list["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 10);
    for run in runs {
        assert_eq!(run["status"], "FINISHED");
        assert_eq!(run["params"]["lr"], run["name"], "each has its own params");
    }
    let keys = crate::support::files_below(&project.root.with_file_name("config").join("keys"));
    assert_eq!(keys.len(), 1, "one process made the store");
    assert!(!project.store().join("reproof.db.new").exists());
    project.assert_sound();
}

#[test]
fn a_run_inside_a_run_is_its_child_and_both_are_recorded() {
    let project = training_project(true);
    project.write(
        "inner.sh",
        "\"$TOOL\" run -n inner python3 train.py --lr 0.3\ncat data.csv > copy.csv\n",
    );
    let answer = Answer::of(
        project
            .program()
            .args(["run", "-n", "outer", "sh", "inner.sh"])
            .env("TOOL", env!("CARGO_BIN_EXE_reproof")),
    );
    answer.assert_code(0);
    let (outer, inner) = (
        project.json(&["show", "outer"]),
        project.json(&["show", "inner"]),
    );
    assert_eq!(inner["run"]["parent"], outer["run"]["run_id"]);
    assert_eq!(inner["run"]["params"]["lr"], "0.3");
    for (run, output) in [
        (&inner, "out/model.json"),
        (&outer, "copy.csv"),
        (&outer, "out/model.json"),
    ] {
        assert!(
            !run["outputs"]["project"][output].is_null(),
            "{output} is missing in {}",
            run["outputs"]
        );
    }
    assert!(
        outer["outputs"]["project"]
            .as_object()
            .unwrap()
            .keys()
            .all(|path| !path.starts_with(".reproof"))
    );
    project.assert_sound();
}

#[test]
fn the_server_answers_mlflow_calls_and_ends_in_order() {
    let project = training_project(false);
    project
        .reproof(&[
            "run", "-q", "-n", "first", "python3", "train.py", "--lr", "0.1",
        ])
        .assert_code(0);
    let mut server = project
        .program()
        .args(["server", "--port", "0", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut lines = BufReader::new(server.stdout.take().unwrap());
    while !said.trim_end().ends_with('}') {
        assert!(
            lines.read_line(&mut said).unwrap() > 0,
            "the server ended: {said}"
        );
    }
    let url = serde_json::from_str::<serde_json::Value>(&said).unwrap()["url"]
        .as_str()
        .unwrap()
        .to_owned();
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .build()
        .into();
    let call = format!("{url}/api/2.0/mlflow/experiments/get?experiment_id=0");
    let mut found = agent.get(&call).call().unwrap();
    assert_eq!(found.status(), 200);
    let body: serde_json::Value =
        serde_json::from_str(&found.body_mut().read_to_string().unwrap()).unwrap();
    assert_eq!(body["experiment"]["name"], "Default");
    let foreign = agent
        .get(&call)
        .header("Host", "evil.example")
        .call()
        .unwrap();
    assert_eq!(
        foreign.status(),
        403,
        "a page of another site must not reach it"
    );
    // A run recorded meanwhile by another process is seen at once.
    project
        .reproof(&[
            "run", "-q", "-n", "second", "python3", "train.py", "--lr", "0.2",
        ])
        .assert_code(0);
    let search = agent
        .post(&format!("{url}/api/2.0/mlflow/runs/search"))
        .header("Content-Type", "application/json");
    let text = search
        .send(r#"{"experiment_ids": ["0"]}"#)
        .unwrap()
        .body_mut()
        .read_to_string()
        .unwrap();
    assert!(text.contains("first") && text.contains("second"), "{text}");
    let pid = rustix::process::Pid::from_raw(server.id().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(server.wait().unwrap().code(), Some(0));
    project.assert_sound();
}

#[test]
fn init_at_once_makes_one_store() {
    let project = Project::empty();
    let children: Vec<_> = (0..8).map(|_| project.start(&["init"])).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(
        crate::support::files_below(&project.root.with_file_name("config").join("keys")).len(),
        1
    );
    project.assert_sound();
}
