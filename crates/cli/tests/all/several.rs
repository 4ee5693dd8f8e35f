//! Several processes at one store: at once, one inside another, and as a server.

use crate::listening::Server;
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
fn a_run_in_a_deleted_experiment_is_told_how_to_go_on() {
    let project = training_project(false);
    project.reproof(&["run", "-q", "true"]).assert_code(0);
    let server = Server::start(&project);
    server.post("experiments/delete", r#"{"experiment_id": "0"}"#);
    let refused = project.reproof(&["run", "true"]);
    refused
        .assert_code(125)
        .assert_err_has("error[E0019]: experiment `Default`, which has the id 0, is deleted")
        .assert_err_has("-e NAME")
        .assert_err_has("`reproof server`")
        .assert_err_has("mlflow experiments restore --experiment-id 0");
    project
        .reproof(&["run", "-q", "-e", "other", "true"])
        .assert_code(0);
    server.post("experiments/restore", r#"{"experiment_id": "0"}"#);
    project.reproof(&["run", "-q", "true"]).assert_code(0);
    server.end();
}

#[test]
fn the_server_answers_mlflow_calls_and_ends_in_order() {
    let project = training_project(false);
    let train = |name: &str, rate: &str| {
        project
            .reproof(&["run", "-q", "-n", name, "python3", "train.py", "--lr", rate])
            .assert_code(0);
    };
    train("first", "0.1");
    let server = Server::start(&project);
    let call = format!(
        "{}/api/2.0/mlflow/experiments/get?experiment_id=0",
        server.url
    );
    let mut found = server.agent.get(&call).call().unwrap();
    assert_eq!(found.status(), 200);
    let body: serde_json::Value =
        serde_json::from_str(&found.body_mut().read_to_string().unwrap()).unwrap();
    assert_eq!(body["experiment"]["name"], "Default");
    let foreign = server
        .agent
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
    train("second", "0.2");
    let found = server
        .post("runs/search", r#"{"experiment_ids": ["0"]}"#)
        .to_string();
    assert!(
        found.contains("first") && found.contains("second"),
        "{found}"
    );
    server.end();
    project.assert_sound();
}

#[test]
fn a_run_that_a_client_logged_is_shown_and_compared_and_not_restored() {
    let project = training_project(false);
    project
        .reproof(&[
            "run", "-q", "-n", "captured", "python3", "train.py", "--lr", "0.1",
        ])
        .assert_code(0);
    let server = Server::start(&project);
    let created = server.post(
        "runs/create",
        r#"{"experiment_id": "0", "run_name": "logged", "start_time": 1}"#,
    );
    let run = created["run"]["info"]["run_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let param = format!(r#"{{"run_id": "{run}", "key": "lr", "value": "0.2"}}"#);
    server.post("runs/log-parameter", &param);
    server.end();
    let page = project.reproof(&["show", "logged"]).out();
    assert!(page.contains("evidence    logged"), "{page}");
    let diff = project.reproof(&["diff", "captured", &run]).out();
    assert!(
        diff.contains("lr") && diff.contains("not compared"),
        "{diff}"
    );
    for command in [
        &["restore", &run, "../restored"][..],
        &["replay", &run],
        &["logs", &run],
    ] {
        project
            .reproof(command)
            .assert_code(2)
            .assert_err_has("error[E0016]");
    }
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

#[test]
fn a_list_of_no_runs_cannot_be_asked_for() {
    let project = Project::with_store();
    for words in [
        ["runs", "--limit", "0"].as_slice(),
        &["audit", "log", "--limit", "0"],
    ] {
        project
            .reproof(words)
            .assert_code(2)
            .assert_err_has("at least 1");
    }
}

#[test]
fn a_verdict_counts_many_identical_files() {
    let project = Project::with_store();
    project.write(".gitignore", "out/\n");
    let script = "mkdir -p out; for n in $(seq 25); do echo $n > out/$n.txt; done";
    project
        .reproof(&["run", "-q", "sh", "-c", script])
        .assert_code(0);
    let answer = project.reproof(&["replay", "latest", "--verify"]);
    answer.assert_code(0);
    assert!(
        answer.out().contains("and 15 more identical outputs"),
        "{}",
        answer.out()
    );
}

#[test]
fn what_others_wrote_to_the_files_of_a_run_is_told() {
    let project = Project::with_store();
    // The first writes and waits, the second writes to the same files meanwhile, in place and by renaming.
    let slow = "echo '{\"score\": 1}' > metrics.json; echo 1 > a.tmp; mv a.tmp model; touch written; while [ -z \"$QUICK\" ] && [ ! -e go ]; do sleep 0.02; done";
    let mut first = project.start(&["run", "-n", "first", "sh", "-c", slow]);
    while !project.path("written").exists() {
        assert_eq!(first.try_wait().unwrap(), None, "it ended too early");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let quick = "echo '{\"score\": 2}' > metrics.json; echo 2 > b.tmp; mv b.tmp model; touch go";
    project
        .reproof(&["run", "-q", "-n", "second", "sh", "-c", quick])
        .assert_code(0);
    first.wait().unwrap();
    let gaps = |run: &str| {
        let shown = project.json(&["show", run]);
        let gaps = shown["record"]["gaps"].as_array().unwrap().clone();
        let gaps = gaps.iter().filter(|gap| gap["code"] == "written_by_others");
        let told = gaps.map(|gap| gap["message"].as_str().unwrap().to_owned());
        told.collect::<Vec<_>>()
    };
    let told = gaps("first");
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].starts_with("`metrics.json` was written by another process"),
        "{told:?}"
    );
    assert!(
        told[1].starts_with("`model` was written by another process"),
        "{told:?}"
    );
    assert_eq!(
        gaps("second"),
        Vec::<String>::new(),
        "it was alone while it ran"
    );
    let verdict = project.reproof(&["replay", "first", "--variable", "QUICK=1"]);
    assert!(
        verdict.out().contains("was written by another process"),
        "{}",
        verdict.out()
    );
}

#[test]
fn a_run_that_writes_to_its_files_in_many_ways_is_alone_with_them() {
    let project = Project::with_store();
    let script = r#"
exec 3>>log; echo 1 >&3; echo 2 > /dev/fd/3; echo 3 > /proc/self/fd/3
exec > out.txt; echo 4 > /dev/stdout; echo 5 >> /dev/stdout; exec 3>&-
for i in 1 2 3 4 5 6 7 8 9; do echo $i > counter; done
(echo a >> shared & echo b >> shared & wait)
cp counter copy; ln copy hard; echo 6 >> hard; ln -s counter soft; echo 7 > soft
mkdir one; echo 8 > one/a; echo 8 > one/a; mv one two; echo 9 > two/a; mv two/a two/b
echo 10 > x; rm x; echo 11 > x; truncate -s 1 x; : > x
mkdir gone; echo 1 > gone/a; rm -r gone; mkdir gone; echo 2 > gone/a
python3 -c 'import mmap; f = open("counter", "r+b"); m = mmap.mmap(f.fileno(), 0); m[0] = 65; m.close(); f.close()'
"#;
    project
        .reproof(&["run", "-q", "sh", "-c", script])
        .assert_code(0);
    let gaps = project.json(&["show", "latest"])["record"]["gaps"].clone();
    let told = gaps.to_string();
    for code in ["written_by_others", "writers_unknown"] {
        assert!(!told.contains(code), "{told}");
    }
}
