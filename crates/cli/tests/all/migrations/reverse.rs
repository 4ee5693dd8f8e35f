//! `reproof migrate mlflow --reverse`: an MLflow database written back.

use std::path::Path;

use rusqlite::Connection;
use serde_json::{Value, json};

use super::server::MlflowServer;
use super::{WEBHOOK_KEY, migrate, run_id, told, with_database};
use crate::support::{Answer, Project, files_below};

/// The way back of what came over from a database that the real client filled: the real server reads it the same.
pub(super) fn check_way_back(
    project: &Project,
    python: &str,
    original: &str,
    script: &dyn Fn(&str, &str) -> String,
) {
    let reverse = [
        "migrate",
        "mlflow",
        "--reverse",
        "sqlite:///back.db",
        "--artifacts",
        "back",
    ];
    // Without the key the webhook that signs cannot go back.
    let answer = project.reproof(
        &[
            &reverse[..3],
            &["sqlite:///without.db", "--artifacts", "without"],
        ]
        .concat(),
    );
    answer
        .assert_code(1)
        .assert_err_has("nothing seals its secret: MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY");
    assert!(
        answer.out().contains("all are the same"),
        "{}",
        answer.out()
    );
    let mut program = project.program();
    let answer = Answer::of(program.args(reverse).env(WEBHOOK_KEY.0, WEBHOOK_KEY.1));
    answer.assert_code(0);
    assert!(
        answer.out().contains("all are the same"),
        "{}",
        answer.out()
    );

    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/migrate");
    let schema = Answer::of(
        project
            .command(python)
            .arg(scripts.join("schema.py"))
            .arg(project.path("back.db"))
            .env("PYTHONDONTWRITEBYTECODE", "1"),
    );
    schema.assert_code(0);
    assert_eq!(schema.out().trim(), "[]");

    let mlflow = MlflowServer::start_on(project, python, "sqlite:///back.db", "./back");
    let went_back = script("read.py", &mlflow.url);
    drop(mlflow);
    let differing: Vec<_> = original
        .lines()
        .zip(went_back.lines())
        .filter(|(one, other)| one != other)
        .collect();
    assert!(
        differing.is_empty() && original.lines().count() == went_back.lines().count(),
        "{differing:#?}"
    );
}

fn reverse(project: &Project, database: &str, artifacts: &str) -> Answer {
    migrate(
        project,
        &["--reverse", database, "--artifacts", artifacts, "--json"],
    )
}

/// A project that took over a database of an older release.
fn with_runs() -> Project {
    let (project, database) = with_database();
    let long = "ä".repeat(9000);
    database
        .execute_batch(&format!(
            "INSERT INTO params VALUES ('long', '{long}', '{0}');
             INSERT INTO tags VALUES ('long', '{long}', '{0}');
             INSERT INTO metrics VALUES ('great', 9e999, 7, '{0}', 1, 0), ('great', -9e999, 7, '{0}', 2, 0);
             INSERT INTO registered_models VALUES ('net', 1000, 9000, 'd');
             INSERT INTO model_versions VALUES ('net', 2, 1000, 1000, NULL, NULL, 'Staging', 'mlruns/1/{0}/artifacts/model',
                 '{0}', 'READY', NULL, NULL),
                 ('net', 4, 1000, 1000, NULL, NULL, 'Deleted_Internal', '', NULL, 'READY', NULL, NULL);",
            run_id(1)
        ))
        .unwrap();
    migrate(&project, &["mlflow.db"]).assert_code(0);
    project
}

#[test]
fn what_goes_back_and_comes_over_again_is_the_same() {
    let project = with_runs();
    let answer = reverse(&project, "sqlite:///back.db", "back");
    let report = told(&answer);
    answer.assert_code(0);
    assert_eq!(report["differences"], json!([]), "{report}");
    assert_eq!(report["counts"]["runs"], 2, "{report}");
    let beyond = report["beyond_limits"].as_array().unwrap();
    let lengths = [
        format!(
            "run {}: param `long` has 9000 characters, and MLflow takes 6000",
            run_id(1)
        ),
        format!(
            "run {}: tag `long` has 9000 characters, and MLflow takes 8000",
            run_id(1)
        ),
    ];
    assert_eq!(*beyond, lengths.map(Value::from));
    let again = Project::empty();
    let database = project.path("back.db").display().to_string();
    let artifacts = project.path("back").display().to_string();
    migrate(&again, &[&database, "--artifacts", &artifacts]).assert_code(0);
    for number in [1, 2] {
        let show = |project: &Project| {
            let mut run = project.json(&["show", &run_id(number)]);
            run["root"] = Value::Null;
            run
        };
        assert_eq!(show(&project), show(&again));
    }
    let points = |path: &str| -> Vec<(String, f64, i64)> {
        let database = Connection::open(path).unwrap();
        let mut rows = database
            .prepare("SELECT key, value, step FROM metrics ORDER BY run_uuid, key, step")
            .unwrap();
        let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        rows.unwrap().map(Result::unwrap).collect()
    };
    assert_eq!(
        points(&database)[..2],
        [
            ("great".to_owned(), f64::INFINITY, 1),
            ("great".to_owned(), f64::NEG_INFINITY, 2)
        ]
    );
    assert_eq!(
        points(&database),
        points(&project.path("mlflow.db").display().to_string())
    );
    // The number of a last version that was deleted is not given again, there and here.
    let last: i64 = Connection::open(&database)
        .unwrap()
        .query_row("SELECT MAX(version) FROM model_versions", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(last, 4);
    let model = again.json(&["model", "show", "net"]);
    assert_eq!(model["versions"].as_array().unwrap().len(), 1, "{model}");
    let files: Vec<_> = files_below(&project.path("back"))
        .into_iter()
        .map(|path| {
            path.strip_prefix(project.path("back"))
                .unwrap()
                .display()
                .to_string()
        })
        .collect();
    let expected = [1, 2].map(|number| format!("1/{}/artifacts/model/weights.txt", run_id(number)));
    assert_eq!(files, expected);
    project.assert_sound();
}

#[test]
fn nothing_is_written_over() {
    let project = with_runs();
    project.write("taken.db", "somebody's");
    project.write("full/note.txt", "somebody's");
    std::os::unix::fs::symlink("nowhere", project.path("link.db")).unwrap();
    for (database, artifacts) in [
        ("sqlite:///taken.db", "new"),
        ("taken.db", "new"),
        ("link.db", "new"),
        ("mlflow.db", "new"),
        ("new.db", "full"),
        ("full", "new"),
        ("sqlite:///", "new"),
        ("postgresql://ann:secret@127.0.0.1/mlflow", "new"),
    ] {
        let answer = reverse(&project, database, artifacts);
        answer.assert_code(2);
        let error = answer.out() + &answer.err();
        assert!(
            error.contains("E0034") && !error.contains("secret"),
            "{error}"
        );
    }
    assert_eq!(
        std::fs::read_to_string(project.path("taken.db")).unwrap(),
        "somebody's"
    );
    assert_eq!(
        std::fs::read_to_string(project.path("full/note.txt")).unwrap(),
        "somebody's"
    );
    assert!(!project.path("new.db").exists());
    migrate(&project, &["mlflow.db", "--reverse", "new.db"]).assert_code(2);
    migrate(&project, &[]).assert_code(2);
    let outside = Project::empty();
    reverse(&outside, "new.db", "new").assert_code(2);
    assert!(!outside.path("new.db").exists() && !outside.path("new").exists());
}

/// Makes an issue and a label schema from inside a captured run.
const ASK: &str = r#"
import json, os, urllib.request

def post(call, **body):
    body = {"experiment_id": "0", "name": "slow?", **body}
    headers = {"Content-Type": "application/json", "Authorization": "Bearer " + os.environ["MLFLOW_TRACKING_TOKEN"]}
    url = os.environ["MLFLOW_TRACKING_URI"] + "/api/3.0/mlflow/" + call
    urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)).read()

post("issues", description="It takes long.")
post("label-schemas/create", type="FEEDBACK", input={"text": {}})
"#;

#[test]
fn a_way_back_that_is_killed_leaves_no_database_and_the_next_call_writes_it_whole() {
    let project = with_runs();
    for number in 0..400 {
        let file = format!("mlruns/7/{}/artifacts/{number}.bin", run_id(3));
        project.write(&file, vec![number as u8; 20_000]);
    }
    project.write(
        "mlruns/7/meta.yaml",
        "experiment_id: 7\nlifecycle_stage: active\nname: many\n",
    );
    let meta = "experiment_id: '7'\nrun_name: n\nstart_time: 5\nstatus: 3\n";
    project.write(&format!("mlruns/7/{}/meta.yaml", run_id(3)), meta);
    migrate(&project, &["mlruns"]).assert_code(0);
    project.write("ask.py", ASK);
    let ran = project.reproof(&["run", "--", "python3", "ask.py"]);
    ran.assert_code(0);
    for wait_ms in [20, 60, 120, 250] {
        let mut killed = project.start(&[
            "migrate",
            "mlflow",
            "--reverse",
            "back.db",
            "--artifacts",
            "back",
        ]);
        std::thread::sleep(std::time::Duration::from_millis(wait_ms));
        killed.kill().unwrap();
        killed.wait().unwrap();
        if project.path("back.db").exists() {
            // It was faster, and is whole.
            std::fs::remove_file(project.path("back.db")).unwrap();
            std::fs::remove_dir_all(project.path("back")).unwrap();
        }
    }
    let answer = reverse(&project, "back.db", "back");
    let report = told(&answer);
    answer.assert_code(0);
    assert_eq!(report["differences"], json!([]), "{report}");
    assert_eq!(report["counts"]["runs"], 4, "{report}");
    assert_eq!(report["counts"]["files"], 402, "{report}");
    let hidden = |path: &std::path::PathBuf| path.to_string_lossy().contains("reproof-partial");
    assert!(!files_below(&project.root).iter().any(hidden));
    // The captured run is there as a run; what was captured of it stays here.
    assert_eq!(report["left_behind"]["manifests"], 1, "{report}");
    assert_eq!(report["left_behind"]["issues"], 1, "{report}");
    assert_eq!(report["left_behind"]["label schemas"], 1, "{report}");
    let count: i64 = Connection::open(project.path("back.db"))
        .unwrap()
        .query_row("SELECT COUNT(*) FROM runs", [], |row| row.get(0))
        .unwrap();
    assert_eq!(count, 4);
    project.assert_sound();
}
