//! Runs and experiments that are removed for good: what policy allows, whatever happens meanwhile.

use std::process::Child;
use std::time::Duration;

use serde_json::Value;
use testkit::TestSchema;

use crate::listening::Server;
use crate::support::{Answer, Project, training_project};

/// Whatever is deleted may go at once.
const AT_ONCE: &str = "[retention]\ndeleted_for = \"0s\"\n";

fn create(server: &Server, experiment: &str, name: &str) -> String {
    let body = format!(r#"{{"experiment_id": "{experiment}", "run_name": "{name}"}}"#);
    let created = server.post("runs/create", &body);
    let run = created["run"]["info"]["run_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let logged = format!(
        r#"{{"run_id": "{run}", "params": [{{"key": "p", "value": "1"}}],
            "metrics": [{{"key": "m", "value": 1.5, "timestamp": 1, "step": 1}}]}}"#
    );
    server.post("runs/log-batch", &logged);
    run
}

fn create_experiment(server: &Server, name: &str) -> String {
    let created = server.post("experiments/create", &format!(r#"{{"name": "{name}"}}"#));
    created["experiment_id"].as_str().unwrap().to_owned()
}

fn delete_run(server: &Server, run: &str) {
    server.post("runs/delete", &format!(r#"{{"run_id": "{run}"}}"#));
}

fn delete_experiment(server: &Server, id: &str) {
    let body = format!(r#"{{"experiment_id": "{id}"}}"#);
    server.post("experiments/delete", &body);
}

fn ids(list: &Value, field: &str) -> Vec<String> {
    let mut ids: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item[field].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    ids
}

#[test]
fn deleted_runs_and_experiments_go_for_good_and_free_their_name() {
    let project = training_project(false);
    project.write("reproof.toml", AT_ONCE);
    let train = [
        "run", "-q", "-n", "captured", "python3", "train.py", "--lr", "0.1",
    ];
    project.reproof(&train).assert_code(0);
    let captured = project.run_ids().remove(0);
    let server = Server::start(&project);
    let experiment = create_experiment(&server, "second");
    let (one, other) = (
        create(&server, &experiment, "one"),
        create(&server, &experiment, "other"),
    );
    let kept = create(&server, "0", "kept");
    delete_experiment(&server, &experiment);
    delete_run(&server, &captured);
    let listed = project.json(&["gc", "--deleted-runs", "--dry-run"]);
    let mut expected = vec![one.clone(), other.clone(), captured.clone()];
    expected.sort();
    assert_eq!(ids(&listed["deleted"]["removed_runs"], "run_id"), expected);
    // The list is of what would go: nothing went, without `--yes` neither.
    project
        .reproof(&["gc", "--deleted-runs"])
        .assert_code(2)
        .assert_err_has("would remove run")
        .assert_err_has("removing 3 runs and 1 experiments cannot be undone")
        .assert_err_has("--yes");
    assert_eq!(project.run_ids().len(), 4);
    let done = project.json(&[
        "gc",
        "--deleted-runs",
        "--yes",
        "--reason",
        "no longer needed",
    ]);
    assert_eq!(ids(&done["deleted"]["removed_runs"], "run_id"), expected);
    let gone = ids(&done["deleted"]["removed_experiments"], "experiment_id");
    assert_eq!(gone, std::slice::from_ref(&experiment));
    assert_eq!(project.run_ids(), std::slice::from_ref(&kept));
    // The server, which ran all the time, knows them no more, and gives the name and another id.
    let call = format!("{}/api/2.0/mlflow/runs/get?run_id={one}", server.url);
    assert_eq!(server.agent.get(&call).call().unwrap().status(), 404);
    let again = create_experiment(&server, "second");
    assert!(again.parse::<u64>().unwrap() > experiment.parse().unwrap());
    server.end();
    let events = project
        .reproof(&["audit", "log", &format!("run:{one}")])
        .out();
    assert!(events.contains("runs.removed"), "{events}");
    assert!(events.contains("no longer needed"), "{events}");
    assert!(events.contains("tester"), "{events}");
    project.assert_sound();
    // Once they are old enough, the objects that nobody else names go too.
    let objects = || crate::support::files_below(&project.store().join("objects"));
    assert!(!objects().is_empty());
    let sizes = || {
        objects()
            .iter()
            .map(|file| file.metadata().unwrap().len())
            .sum::<u64>()
    };
    let before = sizes();
    for file in objects() {
        let old = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        std::fs::File::open(file)
            .unwrap()
            .set_modified(old)
            .unwrap();
    }
    project
        .reproof(&["gc", "--grace-hours", "0"])
        .assert_code(0);
    assert!(sizes() < before, "{} of {before} bytes are left", sizes());
    project.assert_sound();
}

#[test]
fn what_policy_keeps_stays_and_the_reason_is_told() {
    let project = Project::with_store();
    let server = Server::start(&project);
    let young = create(&server, "0", "young");
    let held = create(&server, "0", "held");
    let active = create(&server, "0", "active");
    let parent = create(&server, "0", "parent");
    let made = create(&server, "0", "made");
    let tag = |run: &str, key: &str, value: &str| {
        let body = format!(r#"{{"run_id": "{run}", "key": "{key}", "value": "{value}"}}"#);
        server.post("runs/set-tag", &body);
    };
    tag(&held, "team.keep", "");
    let child = format!(
        r#"{{"experiment_id": "0", "tags": [{{"key": "mlflow.parentRunId", "value": "{parent}"}}]}}"#
    );
    server.post("runs/create", &child);
    server.post("registered-models/create", r#"{"name": "net"}"#);
    let version =
        format!(r#"{{"name": "net", "source": "s3://bucket/model", "run_id": "{made}"}}"#);
    server.post("model-versions/create", &version);
    for run in [&young, &held, &parent, &made] {
        delete_run(&server, run);
    }
    // Where the settings say nothing, nothing goes within a month, whatever is asked for.
    let listed = project.json(&["gc", "--deleted-runs", "--dry-run", "--older-than", "0s"]);
    assert_eq!(listed["deleted"]["removed_runs"], serde_json::json!([]));
    let kept = listed["deleted"]["kept_runs"].to_string();
    assert!(kept.contains("it may go from 20"), "{kept}");
    let settings = format!("{AT_ONCE}hold_tags = [\"team.keep\"]\n");
    project.write("reproof.toml", &settings);
    let hour = project.json(&["gc", "--deleted-runs", "--dry-run", "--older-than", "1h"]);
    assert_eq!(hour["deleted"]["removed_runs"], serde_json::json!([]));
    for (run, reason) in [
        (&held, "the tag `team.keep` holds it"),
        (&active, "it is not deleted"),
        (&parent, "which stays, was started inside it"),
        (&made, "version 1 of model `net` was made from it"),
    ] {
        project
            .reproof(&[
                "gc",
                "--deleted-runs",
                "--yes",
                "--run-ids",
                &format!("{young},{run}"),
            ])
            .assert_code(2)
            .assert_err_has("error[E0031]")
            .assert_err_has(reason)
            .assert_err_has("nothing was removed");
    }
    for (ids, words) in [
        ("nobody", "nobody"),
        (&*"0".repeat(32), "not found"),
        ("'; --", "'; --"),
    ] {
        let refused = project.reproof(&["gc", "--deleted-runs", "--yes", "--run-ids", ids]);
        assert_eq!(refused.code, Some(2), "{ids}: {}", refused.err());
        refused.assert_err_has(words);
    }
    project
        .reproof(&["gc", "--deleted-runs", "--older-than", "soon"])
        .assert_code(2)
        .assert_err_has("30d");
    project
        .reproof(&["gc", "--yes"])
        .assert_code(2)
        .assert_err_has("--deleted-runs");
    delete_experiment(&server, "0");
    let done = project.json(&["gc", "--deleted-runs", "--yes"]);
    let removed = ids(&done["deleted"]["removed_runs"], "run_id");
    assert!(removed.contains(&young) && removed.contains(&parent) && removed.contains(&active));
    assert_eq!(removed.len(), 4, "the child too: {removed:?}");
    let mut left = [held, made];
    left.sort();
    assert_eq!(ids(&done["deleted"]["kept_runs"], "run_id"), left);
    let kept = done["deleted"]["kept_experiments"].to_string();
    assert!(
        kept.contains("2 of its runs stay") && kept.contains("default experiment"),
        "{kept}"
    );
    server.end();
    project.assert_sound();
}

/// Deletes experiments with many runs while clients write, and kills what removes them again and again.
fn kill_removals(project: &Project, options: &[&str]) {
    let server = Server::start_with(project, options);
    let kept = create(&server, "0", "kept");
    let mut deleted = 0;
    for number in 0..4 {
        let experiment = create_experiment(&server, &format!("experiment {number}"));
        for run in 0..60 {
            create(&server, &experiment, &format!("run {run}"));
            deleted += 1;
        }
        delete_experiment(&server, &experiment);
    }
    let mut seen = 0;
    for attempt in 0..12_u64 {
        let mut child: Child = project.start(&["gc", "--deleted-runs", "--yes"]);
        std::thread::sleep(Duration::from_millis(20 + attempt * 15));
        child.kill().unwrap();
        child.wait().unwrap();
        // Clients go on.
        let metric = format!(
            r#"{{"run_id": "{kept}", "key": "m", "value": {attempt}, "timestamp": {attempt}, "step": {attempt}}}"#
        );
        server.post("runs/log-metric", &metric);
        let left = project.json(&["gc", "--deleted-runs", "--dry-run"]);
        let left = left["deleted"]["removed_runs"].as_array().unwrap().len();
        assert!(left <= deleted);
        seen += usize::from(left > 0 && left < deleted);
        if attempt % 4 == 0 {
            project
                .reproof(&["audit", "verify", "--quick"])
                .assert_code(0);
        }
    }
    crate::python::say(&format!("{seen} removals were cut in their middle"));
    project
        .reproof(&["gc", "--deleted-runs", "--yes"])
        .assert_code(0);
    assert_eq!(project.run_ids(), [kept]);
    server.end();
    project.assert_sound();
}

#[test]
fn a_removal_that_is_killed_beside_a_server_leaves_a_sound_store() {
    let project = Project::with_store();
    project.write("reproof.toml", AT_ONCE);
    kill_removals(&project, &[]);
}

#[test]
fn a_removal_that_is_killed_beside_a_server_on_postgresql_leaves_a_sound_store() {
    let Some(schema) = TestSchema::make() else {
        return;
    };
    let address = crate::postgres::address(&schema);
    let project = Project::empty();
    project
        .reproof(&["init", "--postgresql", &address])
        .assert_code(0);
    project.write("reproof.toml", AT_ONCE);
    kill_removals(&project, &["--backend-store-uri", &address]);
}

#[test]
fn traces_of_a_run_go_with_it_and_those_of_others_stay() {
    let project = Project::with_store();
    project.write("reproof.toml", AT_ONCE);
    let server = Server::start(&project);
    let (gone, kept) = (create(&server, "0", "gone"), create(&server, "0", "kept"));
    let start = |id: &str, run: &str| {
        let url = format!("{}/api/3.0/mlflow/traces", server.url);
        let body = format!(
            r#"{{"trace": {{"trace_info": {{"trace_id": "{id}", "state": "OK", "request_time": "2026-01-01T00:00:00Z",
                "trace_location": {{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {{"experiment_id": "0"}}}},
                "trace_metadata": {{"mlflow.sourceRun": "{run}"}}}}}}}}"#
        );
        let answer = server
            .agent
            .post(&url)
            .content_type("application/json")
            .send(&body)
            .unwrap();
        assert_eq!(answer.status(), 200);
    };
    let (of_gone, of_kept) = (
        format!("tr-{}", "1".repeat(32)),
        format!("tr-{}", "2".repeat(32)),
    );
    start(&of_gone, &gone);
    start(&of_kept, &kept);
    delete_run(&server, &gone);
    project
        .reproof(&["gc", "--deleted-runs", "--yes"])
        .assert_code(0);
    for (trace, status) in [(&of_gone, 404), (&of_kept, 200)] {
        let url = format!("{}/api/3.0/mlflow/traces/{trace}", server.url);
        assert_eq!(
            server.agent.get(&url).call().unwrap().status(),
            status,
            "{trace}"
        );
    }
    server.end();
    let answer: Answer = project.reproof(&["audit", "log", &format!("trace:{of_gone}")]);
    assert!(answer.out().contains("runs.removed"), "{}", answer.out());
    project.assert_sound();
}
