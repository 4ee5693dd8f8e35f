//! The real scikit-learn and the unmodified MLflow client, where there is a Python that has them.

use crate::support::{Answer, Project};

/// The Python with the packages of `tests/requirements.txt`; says why nothing is tested where there is none.
pub(crate) fn python() -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the tests are told where their Python is"
    )]
    let python = std::env::var("REPROOF_TEST_PYTHON")
        .ok()
        .filter(|path| !path.is_empty());
    if python.is_none() {
        say(
            "skipped: REPROOF_TEST_PYTHON names no Python with scikit-learn and mlflow; `cargo xtask test` makes one",
        );
    }
    python
}

#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
pub(crate) fn say(words: &str) {
    eprintln!("{words}");
}

const TRACED: &str = r#"
import mlflow

@mlflow.trace(span_type="TOOL")
def half(number):
    if number % 2:
        raise ValueError("odd")
    return number // 2

@mlflow.trace
def halves(numbers):
    return [half(number) for number in numbers]

halves([2, 4])
try:
    half(3)
except ValueError:
    pass
with mlflow.start_run():
    halves([8])
"#;

#[test]
fn what_a_script_traces_is_of_its_captured_run() {
    let Some(python) = python() else { return };
    let project = Project::empty();
    project.write("traced.py", TRACED);
    let answer = project.reproof(&["run", &python, "traced.py"]);
    answer.assert_code(0);
    let shown = project.json(&["show"]);
    let traces = shown["traces"].as_array().unwrap();
    let told: Vec<_> = traces
        .iter()
        .map(|trace| {
            (
                trace["tags"]["mlflow.traceName"].as_str().unwrap(),
                trace["state"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [("halves", "OK"), ("half", "ERROR"), ("halves", "OK")]
    );
    let page = project.reproof(&["show"]).out();
    assert!(page.contains("traces") && page.contains("error"), "{page}");
    project.reproof(&["audit", "verify"]).assert_code(0);
}

const TRAIN: &str = r#"
import sys
import mlflow
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

seed = int(sys.argv[sys.argv.index("--seed") + 1])
features, labels = load_breast_cancer(return_X_y=True)
train_x, test_x, train_y, test_y = train_test_split(features, labels, random_state=seed)
with mlflow.start_run() as run:
    model = RandomForestClassifier(n_estimators=5, random_state=seed).fit(train_x, train_y)
    mlflow.log_param("trees", 5)
    mlflow.log_metric("accuracy", model.score(test_x, test_y))
    for step in range(3):
        mlflow.log_metric("series", step * 0.5, step=step)
    mlflow.set_tag("team", "a")
    with open("model.txt", "w") as file:
        file.write(repr(model.feature_importances_.tolist()))
    mlflow.log_artifact("model.txt", "files")
print(run.info.run_id)
"#;

#[test]
fn a_script_that_uses_mlflow_logs_into_the_captured_run_and_is_replayed() {
    let Some(python) = python() else { return };
    let project = Project::empty();
    project.write("train.py", TRAIN);
    let answer = project.reproof(&["run", &python, "train.py", "--seed", "7"]);
    answer.assert_code(0);
    let shown = project.json(&["show"]);
    let run = shown["run"]["run_id"].as_str().unwrap();
    assert!(
        answer.out().contains(run),
        "the client was given the captured run: {}",
        answer.out()
    );
    assert_eq!(shown["run"]["params"]["trees"], "5");
    assert_eq!(
        shown["run"]["params"]["seed"], "7",
        "read from the command line"
    );
    assert_eq!(shown["run"]["tags"]["team"], "a");
    assert_eq!(shown["run"]["metrics"]["series"], 1.0);
    assert!(shown["run"]["metrics"]["accuracy"].as_f64().unwrap() > 0.8);
    assert!(
        shown["artifacts"][0]["path"]
            .as_str()
            .unwrap()
            .ends_with("artifacts/files/model.txt")
    );
    assert_eq!(shown["run"]["status"], "FINISHED");
    assert_eq!(project.run_ids().len(), 1, "no second run was made");
    let imported: Vec<_> = shown["recipe"]["environment"]["python"]["distributions"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|distribution| distribution["is_imported"] == true)
        .map(|distribution| distribution["name"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        imported.iter().any(|name| name == "scikit-learn"),
        "{imported:?}"
    );
    let replayed = project.json(&["replay", run, "--env", "current", "--verify"]);
    assert_eq!(replayed["comparison"]["is_identical"], true, "{replayed}");
    assert!(
        replayed["comparison"]["level"] == "R4",
        "{}",
        replayed["comparison"]["level"]
    );
    project.assert_sound();
}

const AUTOLOG: &str = r"
import mlflow
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

mlflow.sklearn.autolog()
features, labels = load_iris(return_X_y=True)
with mlflow.start_run():
    LogisticRegression(max_iter=200).fit(features, labels)
";

#[test]
fn autolog_logs_params_metrics_and_a_model() {
    let Some(python) = python() else { return };
    let project = Project::empty();
    project.write("train.py", AUTOLOG);
    let answer = project.reproof(&["run", &python, "train.py"]);
    answer.assert_code(0);
    let shown = project.json(&["show"]);
    assert_eq!(
        shown["run"]["params"]["max_iter"],
        "200",
        "{}",
        answer.err()
    );
    assert!(
        shown["run"]["metrics"]["training_accuracy_score"]
            .as_f64()
            .unwrap()
            > 0.9
    );
    assert_eq!(
        shown["models"].as_array().unwrap().len(),
        1,
        "{}",
        answer.err()
    );
    let replayed = project.json(&["replay", "latest", "--env", "current"]);
    let outcomes = &replayed["comparison"]["outputs"];
    assert_eq!(
        replayed["comparison"]["is_within_tolerance"], true,
        "{outcomes}"
    );
    let model = shown["models"][0]["id"].as_str().unwrap();
    let file = format!("latest:{model}/MLmodel");
    project
        .reproof(&["forget", &file, "--reason", "r", "--yes"])
        .assert_code(0);
    project
        .reproof(&["forget", &file, "--reason", "r", "--yes"])
        .assert_code(2)
        .assert_err_has("nothing of");
    project.assert_sound();
}

const NESTED: &str = r#"
import random
import mlflow

with mlflow.start_run():
    for fold in range(2):
        with mlflow.start_run(nested=True):
            mlflow.log_metric("fold", fold)
            with mlflow.start_run(nested=True):
                mlflow.log_metric("loss", random.random() if fold == 1 else 0.5)
"#;

#[test]
fn metrics_of_runs_inside_runs_are_compared_too() {
    let Some(python) = python() else { return };
    let project = Project::empty();
    project.write("train.py", NESTED);
    project
        .reproof(&["run", "-q", &python, "train.py"])
        .assert_code(0);
    let listed = project.json(&["runs"]);
    // The newest first.
    let runs = listed["runs"].as_array().unwrap();
    let of_run = |index: usize, field: &str| runs[index][field].as_str().unwrap();
    assert_eq!(runs.len(), 5);
    let captured = of_run(4, "run_id");
    let replayed = project.json(&["replay", captured, "--env", "current"]);
    let outcome = |key: &str| {
        let metrics = replayed["comparison"]["metrics"].as_array().unwrap();
        let metric = metrics.iter().find(|metric| metric["key"] == key);
        metric.map(|metric| metric["outcome"].clone())
    };
    // A replay is told the names that were drawn then.
    let place = |index: usize| format!("child {}: ", of_run(index, "name"));
    let inside = |outer: usize, inner: usize| format!("{}{}loss", place(outer), place(inner));
    assert_eq!(outcome(&format!("{}fold", place(1))).unwrap(), "identical");
    assert_eq!(outcome(&inside(3, 2)).unwrap(), "identical");
    assert_eq!(outcome(&inside(1, 0)).unwrap(), "different");
}

#[test]
fn another_kernel_stands_in_for_a_second_machine() {
    let Some(python) = python() else { return };
    let project = Project::empty();
    // Integers only: no kernel changes them.
    project.write(
        "count.py",
        "import numpy\nnumpy.ones((4, 4)) @ numpy.ones((4, 4))\nopen('out.txt', 'w').write(str(numpy.arange(10).sum()))\n",
    );
    project
        .reproof(&["run", "-q", &python, "count.py"])
        .assert_code(0);
    let run = project.run_ids().remove(0);
    for kernel in ["Haswell", "Nehalem"] {
        let variable = format!("OPENBLAS_CORETYPE={kernel}");
        let answer: Answer = project.reproof(&[
            "replay",
            &run,
            "--env",
            "current",
            "--variable",
            &variable,
            "--verify",
        ]);
        answer.assert_code(0);
    }
    let page = project.reproof(&["show", &run]).out();
    assert!(
        page.contains("replayed 2 times, identical on 2 hosts"),
        "{page}"
    );
}

#[test]
fn the_demo_tells_its_story_to_the_end() {
    #[expect(
        clippy::disallowed_methods,
        reason = "the tests are told what they may reach"
    )]
    let may_install = std::env::var("REPROOF_TEST_DEMO").is_ok_and(|value| value == "1");
    if !may_install {
        say("skipped: the demo installs packages from an index; REPROOF_TEST_DEMO=1 lets it");
        return;
    }
    let project = Project::empty();
    let mut demo = project.program();
    // How this machine reaches its package index.
    let reaches = [
        "UV_",
        "PIP_",
        "SSL_",
        "REQUESTS_",
        "HTTP",
        "NO_PROXY",
        "http",
        "no_proxy",
    ];
    demo.args(["demo", "demo"])
        .envs(std::env::vars_os().filter(|(name, _)| {
            let name = name.to_string_lossy();
            reaches.iter().any(|beginning| name.starts_with(beginning))
        }));
    let answer = Answer::of(&mut demo);
    answer.assert_code(0);
    let told = answer.out();
    for words in [
        "level R4",
        "\nverified\n",
        "joblib  1.5.1  →  1.5.2  (imported)",
        "sound: ",
    ] {
        assert!(told.contains(words), "`{words}` is not in\n{told}");
    }
    let models: Vec<_> = told
        .lines()
        .filter(|line| line.ends_with("/out/model.joblib"))
        .filter_map(|line| line.split_once("  "))
        .map(|(digest, _)| digest)
        .collect();
    assert_eq!(models.len(), 2, "{told}");
    assert_eq!(
        models[0], models[1],
        "the model of the replay is that on record"
    );
}
