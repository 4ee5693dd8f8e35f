//! `reproof migrate`: what another tool has on record, taken over.

mod dvc;
mod postgres;
mod reverse;
mod server;
mod tensorboard;
mod traces;
mod users;
mod wandb;

use std::fmt::Write as _;
use std::path::Path;

use rusqlite::Connection;

use crate::listening::Server;
use crate::python::python;
use crate::support::{Answer, Project};

/// The tables that every MLflow database has, as its releases 2.0 and later make them.
const TABLES: &str = "
    CREATE TABLE experiments (experiment_id INTEGER PRIMARY KEY, name TEXT, artifact_location TEXT,
        lifecycle_stage TEXT, creation_time BIGINT, last_update_time BIGINT);
    CREATE TABLE experiment_tags (key TEXT, value TEXT, experiment_id INTEGER);
    CREATE TABLE runs (run_uuid TEXT PRIMARY KEY, name TEXT, source_type TEXT, source_name TEXT, entry_point_name TEXT,
        user_id TEXT, status TEXT, start_time BIGINT, end_time BIGINT, deleted_time BIGINT, source_version TEXT,
        lifecycle_stage TEXT, artifact_uri TEXT, experiment_id INTEGER);
    CREATE TABLE params (key TEXT, value TEXT, run_uuid TEXT);
    CREATE TABLE tags (key TEXT, value TEXT, run_uuid TEXT);
    CREATE TABLE metrics (key TEXT, value FLOAT, timestamp BIGINT, run_uuid TEXT, step BIGINT, is_nan BOOLEAN);
    CREATE TABLE registered_models (name TEXT PRIMARY KEY, creation_time BIGINT, last_updated_time BIGINT,
        description TEXT);
    CREATE TABLE registered_model_tags (key TEXT, value TEXT, name TEXT);
    CREATE TABLE model_versions (name TEXT, version INTEGER, creation_time BIGINT, last_updated_time BIGINT,
        description TEXT, user_id TEXT, current_stage TEXT, source TEXT, run_id TEXT, status TEXT, status_message TEXT,
        run_link TEXT);
    CREATE TABLE model_version_tags (key TEXT, value TEXT, name TEXT, version INTEGER);
    CREATE TABLE users (id INTEGER PRIMARY KEY, username TEXT);
    INSERT INTO users VALUES (1, 'ann');
    INSERT INTO experiments VALUES (0, 'Default', '/nowhere/0', 'active', 1000, 1000);
    INSERT INTO experiments VALUES (1, 'old', 'mlruns/1', 'deleted', 1000, 2000);";

/// The key with which MLflow seals secrets of webhooks, and the variable that holds it.
const WEBHOOK_KEY: (&str, &str) = (
    "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY",
    "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=",
);

/// A project with a database of an older release, which has two runs, and the connection to it.
fn with_database() -> (Project, Connection) {
    let project = Project::empty();
    let database = Connection::open(project.path("mlflow.db")).unwrap();
    database.execute_batch(TABLES).unwrap();
    for (number, lifecycle) in [(1, "active"), (2, "deleted")] {
        let run = run_id(number);
        let row = format!(
            "INSERT INTO runs VALUES ('{run}', NULL, 'LOCAL', 't.py', '', 'ann', 'FINISHED', {number}000, {number}500, NULL,
                '', '{lifecycle}', 'mlruns/1/{run}/artifacts', 1);
             INSERT INTO tags VALUES ('mlflow.runName', 'run {number}', '{run}');
             INSERT INTO params VALUES ('p', '{number}', '{run}');
             INSERT INTO metrics VALUES ('m', {number}.5, 7, '{run}', 3, 0);
             INSERT INTO metrics VALUES ('m', 0, 7, '{run}', 4, 1);"
        );
        database.execute_batch(&row).unwrap();
        let file = format!("mlruns/1/{run}/artifacts/model/weights.txt");
        project.write(&file, format!("weights {number}"));
    }
    (project, database)
}

fn run_id(number: u32) -> String {
    format!("{number:032x}")
}

fn migrate(project: &Project, arguments: &[&str]) -> Answer {
    project.reproof(&[&["migrate", "mlflow"], arguments].concat())
}

/// The answer as JSON, whatever the exit code.
fn told(answer: &Answer) -> serde_json::Value {
    serde_json::from_slice(&answer.stdout).unwrap()
}

#[test]
fn a_database_that_the_real_client_filled_is_read_the_same_from_here() {
    compare_by_client(&Project::empty(), "sqlite:///mlflow.db", "mlflow.db");
}

#[test]
fn a_folder_that_the_real_client_filled_is_read_the_same_from_here() {
    compare_by_client(&Project::empty(), "mlruns", "./mlruns");
}

/// Has the real client fill a source and read it, there and from here.
fn compare_by_client(project: &Project, uri: &str, path: &str) {
    let Some(python) = python() else { return };
    let script = |name: &str, uri: &str| {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/migrate");
        let answer = Answer::of(
            project
                .command(&python)
                .arg(scripts.join(name))
                .env("MLFLOW_TRACKING_URI", uri)
                .env("MLFLOW_ALLOW_FILE_STORE", "true")
                .env("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
                .env("GIT_PYTHON_REFRESH", "quiet")
                .env(WEBHOOK_KEY.0, WEBHOOK_KEY.1)
                // They are on this machine, and nobody listens.
                .env("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS", "true")
                .env("PYTHONDONTWRITEBYTECODE", "1")
                .env("OMP_NUM_THREADS", "1"),
        );
        answer.assert_code(0);
        answer.out()
    };
    script("fill.py", uri);
    script("fill_traces.py", uri);
    let is_database = uri.contains("://");
    if is_database {
        script("fill_evaluations.py", uri);
    }
    let original = script("read.py", uri);
    if is_database {
        // Without the key the webhook that signs stays behind, and comes with the next call.
        migrate(project, &[uri])
            .assert_code(1)
            .assert_err_has("its secret is sealed: MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY");
    }
    let with_key = |arguments: &[&str]| {
        let mut program = project.program();
        program.args(["migrate", "mlflow"]).args(arguments);
        Answer::of(program.env(WEBHOOK_KEY.0, WEBHOOK_KEY.1))
    };
    let answer = with_key(&[uri]);
    answer.assert_code(0);
    assert!(
        answer.out().ends_with("all are the same\n"),
        "{}",
        answer.out()
    );

    let server = Server::start(project);
    let taken_over = script("read.py", &server.url);
    server.end();
    let differing: Vec<_> = original
        .lines()
        .zip(taken_over.lines())
        .filter(|(one, other)| one != other)
        .collect();
    assert!(
        differing.is_empty() && original.lines().count() == taken_over.lines().count(),
        "{differing:#?}"
    );
    assert!(original.lines().count() > 2000, "{original}");
    if is_database {
        reverse::check_way_back(project, &python, &original, &script);
    }
    // Deleted versions keep their numbers, and deleted models stay deleted.
    let page = project.json(&["model", "show", "churn-net"]);
    assert_eq!(page["versions"].as_array().unwrap().len(), 2, "{page}");
    let version = project.json(&["model", "show", "churn-net@champion"]);
    assert_eq!(version["files"]["state"], "unchanged", "{version}");
    project.assert_sound();

    let again = told(&with_key(&[path, "--json"]));
    assert_eq!(again["counts"]["runs"]["new"], 0, "{again}");
    if is_database {
        for (noun, there) in [
            ("evaluation_datasets", 3),
            ("scorer_versions", 3),
            ("webhooks", 2),
        ] {
            let counts = serde_json::json!({ "new": 0, "there": there });
            assert_eq!(again["counts"][noun], counts, "{again}");
        }
    }
    let traces = serde_json::json!({ "new": 0, "there": 9 });
    assert_eq!(again["counts"]["traces"], traces, "{again}");
    assert_eq!(again["files"], 0, "{again}");
    assert_eq!(again["differences"], serde_json::json!([]), "{again}");
}

/// A folder of files with one experiment and one run.
fn with_folder() -> Project {
    let project = Project::empty();
    let run = run_id(1);
    project.write(
        "mlruns/7/meta.yaml",
        "artifact_location: file:///moved/mlruns/7\nexperiment_id: 7\nlifecycle_stage: active\nname: 1e5\n",
    );
    let meta = format!(
        "artifact_uri: file:///moved/mlruns/7/{run}/artifacts\nexperiment_id: '7'\nrun_name: 0o17\nstart_time: 5\nstatus: 4\n"
    );
    project.write(&format!("mlruns/7/{run}/meta.yaml"), meta);
    project.write(&format!("mlruns/7/{run}/params/a/b"), "1\n2");
    project.write(&format!("mlruns/7/{run}/metrics/m"), "5 0.5 7 my rows ab\n");
    project.write(&format!("mlruns/7/{run}/artifacts/note.txt"), "kept");
    project
}

#[test]
fn a_folder_that_was_moved_comes_over_with_its_files() {
    let project = with_folder();
    migrate(&project, &["mlruns"]).assert_code(0);
    let run = project.json(&["show", &run_id(1)]);
    assert_eq!(run["run"]["name"], "0o17", "{run}");
    assert_eq!(run["run"]["status"], "FAILED", "{run}");
    assert_eq!(run["run"]["params"]["a/b"], "1\n2", "{run}");
    assert_eq!(run["run"]["metrics"]["m"], 0.5, "{run}");
    let server = Server::start(&project);
    let of = |path: &str| {
        let answer = server.agent.get(format!("{}/{path}", server.url)).call();
        answer.unwrap().body_mut().read_to_string().unwrap()
    };
    let file = of(&format!(
        "api/2.0/mlflow-artifacts/artifacts/7/{}/artifacts/note.txt",
        run_id(1)
    ));
    let history = of(&format!(
        "api/2.0/mlflow/metrics/get-history?run_id={}&metric_key=m",
        run_id(1)
    ));
    server.end();
    assert_eq!(file, "kept");
    assert!(history.contains("\"step\":7"), "{history}");
    project.assert_sound();
}

#[test]
fn what_a_folder_holds_that_mlflow_does_not_write_is_named() {
    let run = run_id(1);
    // Nine to the ninth power of texts, if it were read whole.
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..10 {
        let list = vec![format!("*a{}", level - 1); 9].join(",");
        writeln!(bomb, "a{level}: &a{level} [{list}]").unwrap();
    }
    let inside = |path: &str| format!("mlruns/7/{run}/{path}");
    let dataset = "destination_id: x\nsource_id: ../../../secret\nsource_type: DATASET\ntags: {}\n";
    for (path, text, words) in [
        (inside("meta.yaml"), "[", "meta.yaml"),
        (inside("meta.yaml"), "experiment_id: ../7\n", "../7"),
        (
            "mlruns/7/meta.yaml".to_owned(),
            bomb.as_str(),
            "mlruns/7/meta.yaml",
        ),
        (inside("metrics/m"), "five 1 1\n", "`five 1 1` is no point"),
        (inside("inputs/x/meta.yaml"), dataset, "../../../secret"),
        (
            "mlruns/models/m/aliases/a".to_owned(),
            "one",
            "alias `a` of `m`",
        ),
        ("mlruns/7/models/x..y/meta.yaml".to_owned(), "", "x..y"),
    ] {
        let project = with_folder();
        project.write("mlruns/models/m/meta.yaml", "name: m\n");
        project.write(&path, text);
        migrate(&project, &["mlruns"])
            .assert_code(2)
            .assert_err_has("E0025")
            .assert_err_has(words);
    }
    let project = Project::empty();
    project.write("folder/file.txt", "");
    migrate(&project, &["folder"])
        .assert_code(2)
        .assert_err_has("no folder of MLflow");
}

#[test]
fn links_in_a_folder_are_counted_and_not_followed() {
    let project = with_folder();
    let link = |from: &str, to: &str| {
        std::os::unix::fs::symlink(project.path(from), project.path(to)).unwrap();
    };
    link("mlruns/7", "mlruns/8");
    link(
        &format!("mlruns/7/{}", run_id(1)),
        &format!("mlruns/7/{}", run_id(2)),
    );
    project.write("mlruns/9/other.txt", "");
    let report = project.json(&["migrate", "mlflow", "mlruns"]);
    assert_eq!(report["counts"]["runs"]["new"], 1, "{report}");
    let left = &report["left_behind"];
    assert_eq!(left["links in place of folders"], 2, "{report}");
    assert_eq!(left["folders without a `meta.yaml`"], 1, "{report}");
    project.assert_sound();
}

#[test]
fn a_database_of_an_older_release_comes_over_with_what_is_deleted() {
    let (project, _database) = with_database();
    let answer = migrate(&project, &["mlflow.db"]);
    answer.assert_code(0).assert_err_has("1 users stay behind");
    let server = Server::start(&project);
    let search = r#"{"experiment_ids": ["1"], "run_view_type": "ALL", "order_by": ["attributes.start_time"]}"#;
    let found = server.post("runs/search", search);
    let experiments = server.post(
        "experiments/search",
        r#"{"view_type": "ALL", "max_results": 9}"#,
    );
    let of_first = format!(
        "{}/api/2.0/mlflow-artifacts/artifacts/1/{}/artifacts/model/weights.txt",
        server.url,
        run_id(1)
    );
    let weights = server
        .agent
        .get(&of_first)
        .call()
        .unwrap()
        .body_mut()
        .read_to_string()
        .unwrap();
    server.end();
    assert_eq!(weights, "weights 1");
    let runs = found["runs"].as_array().unwrap();
    let lifecycles: Vec<_> = runs
        .iter()
        .map(|run| run["info"]["lifecycle_stage"].as_str().unwrap())
        .collect();
    assert_eq!(lifecycles, ["active", "deleted"], "{found}");
    assert_eq!(runs[0]["info"]["run_name"], "run 1");
    assert_eq!(runs[0]["info"]["user_id"], "ann");
    assert_eq!(runs[0]["info"]["end_time"], 1500);
    let uri = format!("mlflow-artifacts:/1/{}/artifacts", run_id(1));
    assert_eq!(runs[0]["info"]["artifact_uri"], uri);
    let old = &experiments["experiments"]
        .as_array()
        .unwrap()
        .iter()
        .find(|found| found["name"] == "old")
        .unwrap();
    assert_eq!(
        (&old["lifecycle_stage"], &old["last_update_time"]),
        (&"deleted".into(), &2000.into()),
        "{old}"
    );
    let events = project
        .reproof(&["audit", "log", &format!("run:{}", run_id(1))])
        .out();
    assert!(events.contains("run.imported"), "{events}");
    project.assert_sound();
}

#[test]
fn a_migration_that_was_cut_short_goes_on_where_it_was() {
    let (project, database) = with_database();
    let source = format!("mlflow-artifacts:/1/{}/artifacts/model", run_id(1));
    database
        .execute_batch(&format!(
            "INSERT INTO registered_models VALUES ('net', 1000, 9000, 'd');
             INSERT INTO model_versions VALUES ('net', 999999, 1000, 1000, NULL, NULL, 'None', '{source}', '{}', 'READY', NULL,
                NULL);",
            run_id(1)
        ))
        .unwrap();
    project.write("mlartifacts/.keep", "");
    migrate(&project, &["mlflow.db"])
        .assert_code(2)
        .assert_err_has("version 999999 of registered model `net`")
        .assert_err_has("E0025");
    project.assert_sound();
    database
        .execute_batch("UPDATE model_versions SET version = 3")
        .unwrap();
    let answer = migrate(&project, &["mlflow.db", "--json"]);
    answer.assert_code(0);
    let report = told(&answer);
    assert_eq!(
        report["counts"]["runs"],
        serde_json::json!({ "new": 0, "there": 2 })
    );
    assert_eq!(
        report["counts"]["versions"],
        serde_json::json!({ "new": 1, "there": 0 })
    );
    let model = project.json(&["model", "show", "net"]);
    assert_eq!(model["versions"][0]["version"]["version"], 3, "{model}");
    assert_eq!(model["versions"].as_array().unwrap().len(), 1, "{model}");
    project
        .reproof(&["model", "download", "net/3", "out"])
        .assert_code(0);
    assert_eq!(
        std::fs::read_to_string(project.path("out/weights.txt")).unwrap(),
        "weights 1"
    );
    project.assert_sound();
}

#[test]
fn a_migration_that_is_killed_leaves_whole_runs_and_the_next_one_brings_the_rest() {
    const RUNS: u64 = 2000;
    let (project, database) = with_database();
    let mut rows = "BEGIN;".to_owned();
    for number in 3..=RUNS as u32 {
        let run = run_id(number);
        write!(
            rows,
            "INSERT INTO runs VALUES ('{run}', 'r', 'LOCAL', 't.py', '', 'ann', 'FINISHED', {number}, 9000, NULL, '', 'active',
                's3://bucket/{run}', 0);
             INSERT INTO metrics VALUES ('m', {number}, 7, '{run}', 3, 0);"
        )
        .unwrap();
    }
    database.execute_batch(&(rows + "COMMIT;")).unwrap();
    let mut killed = project.start(&["migrate", "mlflow", "mlflow.db"]);
    let store = project.store().join("reproof.db");
    while !store.exists() && killed.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    std::thread::sleep(std::time::Duration::from_millis(150));
    killed.kill().unwrap();
    killed.wait().unwrap();
    project.assert_sound();
    let report = project.json(&["migrate", "mlflow", "mlflow.db"]);
    let count = |of: &str| report["counts"]["runs"][of].as_u64().unwrap();
    assert_eq!(count("new") + count("there"), RUNS, "{report}");
    assert_eq!(report["differences"], serde_json::json!([]), "{report}");
    assert_eq!(report["elsewhere"]["s3"], RUNS - 2, "{report}");
    project.assert_sound();
}

#[test]
fn what_changed_since_is_named_and_nothing_is_overwritten() {
    let (project, database) = with_database();
    migrate(&project, &["mlflow.db"]).assert_code(0);
    let changes = format!(
        "UPDATE params SET value = 'other' WHERE run_uuid = '{one}';
         UPDATE metrics SET value = 9 WHERE run_uuid = '{one}' AND step = 3;
         UPDATE runs SET status = 'KILLED' WHERE run_uuid = '{one}';",
        one = run_id(1)
    );
    database.execute_batch(&changes).unwrap();
    project.write(
        &format!("mlruns/1/{}/artifacts/model/weights.txt", run_id(2)),
        "weights 3",
    );
    let answer = migrate(&project, &["mlflow.db", "--json"]);
    answer.assert_code(1);
    let report = told(&answer);
    let differences: Vec<_> = report["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|text| text.as_str().unwrap())
        .collect();
    let [row, params, points, file] = differences.as_slice() else {
        panic!("{differences:?}")
    };
    let one = format!("run {}", run_id(1));
    assert_eq!(*row, format!("{one}: its row differs"));
    assert_eq!(*params, format!("{one}: its params differ"));
    assert_eq!(*points, format!("{one}: its points of metrics differ"));
    assert!(file.contains("weights.txt"), "{file}");
    let run = project.json(&["show", &run_id(1)]);
    assert_eq!(run["run"]["params"]["p"], "1", "{run}");
}

#[test]
fn an_experiment_stays_deleted_or_restored_as_somebody_left_it() {
    let (project, database) = with_database();
    migrate(&project, &["mlflow.db"]).assert_code(0);
    let add_run = |number: u32, experiment: u32| {
        let row = format!(
            "INSERT INTO runs VALUES ('{}', 'r', 'LOCAL', 't.py', '', 'ann', 'FINISHED', 1, 9, NULL, '', 'active', 's3://b/x',
                {experiment});",
            run_id(number)
        );
        database.execute_batch(&row).unwrap();
    };
    let call = |name: &str, experiment: &str| {
        let server = Server::start(&project);
        let body = format!(r#"{{"experiment_id": "{experiment}"}}"#);
        server.post(&format!("experiments/{name}"), &body);
        server.end();
    };
    let lifecycle_of = |experiment: &str| {
        let server = Server::start(&project);
        let body = r#"{"view_type": "ALL", "max_results": 9}"#;
        let found = server.post("experiments/search", body);
        server.end();
        let found = found["experiments"].as_array().unwrap().clone();
        let found = found
            .into_iter()
            .find(|found| found["experiment_id"] == experiment);
        found.unwrap()["lifecycle_stage"].clone()
    };
    // Here deleted, there not: its new run comes, and it stays deleted.
    call("delete", "0");
    add_run(3, 0);
    let report = told(&migrate(&project, &["mlflow.db", "--json"]));
    assert_eq!(report["counts"]["runs"]["new"], 1, "{report}");
    assert_eq!(
        report["differences"][0],
        "experiment 0: its lifecycle differs"
    );
    assert_eq!(lifecycle_of("0"), "deleted");
    // There deleted, here restored.
    call("restore", "1");
    add_run(4, 1);
    migrate(&project, &["mlflow.db"]).assert_code(1);
    assert_eq!(lifecycle_of("1"), "active");
    project.assert_sound();
}

#[test]
fn files_that_cannot_be_artifacts_are_named_and_links_are_not_followed() {
    let (project, _database) = with_database();
    let folder = format!("mlruns/1/{}/artifacts", run_id(1));
    project.write("secret.txt", "outside");
    std::os::unix::fs::symlink(
        project.path("secret.txt"),
        project.path(&folder).join("link.txt"),
    )
    .unwrap();
    std::os::unix::fs::symlink(project.path("."), project.path(&folder).join("ring")).unwrap();
    project.write(&format!("{folder}/back\\slash.txt"), "x");
    let answer = migrate(&project, &["mlflow.db", "--json"]);
    answer.assert_code(1);
    let report = told(&answer);
    let not_taken = report["not_taken"].as_array().unwrap();
    let names: Vec<_> = not_taken
        .iter()
        .map(|file| file["path"].as_str().unwrap().rsplit('/').next().unwrap())
        .collect();
    assert_eq!(names, ["back\\slash.txt", "link.txt", "ring"], "{report}");
    assert_eq!(report["files"], 2, "{report}");
    assert_eq!(report["differences"], serde_json::json!([]));
    // They are named each time, not only when the run came over.
    let again = migrate(&project, &["mlflow.db", "--json"]);
    again.assert_code(1);
    assert_eq!(told(&again)["not_taken"], report["not_taken"]);
    assert_eq!(report["without_folder"], 0, "{report}");
    project.assert_sound();
}

#[test]
fn artifacts_that_are_not_where_they_were_are_told() {
    let (project, _database) = with_database();
    let folder = project.path("mlruns/1").join(run_id(1));
    std::fs::remove_dir_all(folder).unwrap();
    let answer = migrate(&project, &["mlflow.db"]);
    answer.assert_code(0);
    let told = format!(
        "1 runs, models and traces have no folder of artifacts, such as {}",
        project.path("mlruns/1").join(run_id(1)).display()
    );
    assert!(answer.out().contains(&told), "{}", answer.out());
}

#[test]
fn a_location_that_leads_out_of_the_servers_folder_is_not_followed() {
    let (project, database) = with_database();
    project.write("secret/key.txt", "outside");
    project.write("served/keep.txt", "");
    database
        .execute_batch("UPDATE runs SET artifact_uri = 'mlflow-artifacts:/../secret' WHERE lifecycle_stage = 'active'")
        .unwrap();
    let answer = migrate(&project, &["mlflow.db", "--artifacts", "served", "--json"]);
    answer.assert_code(0);
    assert_eq!(told(&answer)["files"], 1);
    project.assert_sound();
}

#[test]
fn what_cannot_be_migrated_is_refused_before_a_store_is_made() {
    let (project, database) = with_database();
    let refused = |arguments: &[&str], words: &str| {
        migrate(&project, arguments)
            .assert_code(2)
            .assert_err_has("E0025")
            .assert_err_has(words);
        assert!(!project.store().exists(), "{arguments:?} made a store");
    };
    refused(&["mysql://localhost/mlflow"], "cannot be read here");
    refused(&["sqlite:///"], "cannot be read here");
    refused(&["nothing.db"], "nothing.db");
    project.write(
        "text.db",
        "no database at all, only a text that is long enough to be taken for one",
    );
    refused(&["text.db"], "text.db");
    let other = Connection::open(project.path("other.db")).unwrap();
    // A view of that name may do what its author wants.
    other
        .execute_batch("CREATE TABLE experiments (x); CREATE VIEW runs AS SELECT 1")
        .unwrap();
    refused(&["other.db"], "no table `runs`");
    refused(
        &["mlflow.db", "--artifacts", "nothing"],
        "`nothing` is no folder",
    );
    database
        .execute_batch("UPDATE runs SET artifact_uri = 'mlflow-artifacts:/1/x'")
        .unwrap();
    refused(&["mlflow.db"], "--artifacts DIR");
    database.execute_batch("UPDATE runs SET artifact_uri = '', run_uuid = '../../etc' WHERE lifecycle_stage = 'active'").unwrap();
    refused(&["mlflow.db"], "../../etc");
}

#[test]
fn an_experiment_whose_place_is_taken_stops_the_migration_and_says_by_what() {
    let (project, _database) = with_database();
    project
        .reproof(&["run", "-q", "-e", "mine", "true"])
        .assert_code(0);
    migrate(&project, &["mlflow.db"])
        .assert_code(2)
        .assert_err_has("experiment 1 `old` is in this store already, as experiment 1 `mine`")
        .assert_err_has("empty directory");
    project.assert_sound();
}

#[test]
fn what_is_malformed_in_datasets_scorers_and_webhooks_is_named_and_the_rest_comes_over() {
    let (project, database) = with_database();
    database
        .execute_batch(
            r#"CREATE TABLE evaluation_datasets (dataset_id, name, schema, profile, digest, created_time, last_update_time,
                created_by, last_updated_by);
             CREATE TABLE evaluation_dataset_records (dataset_record_id, dataset_id, inputs, outputs, expectations, tags, source,
                created_time, last_update_time, created_by, last_updated_by);
             CREATE TABLE scorers (experiment_id, scorer_name, scorer_id);
             CREATE TABLE scorer_versions (scorer_id, scorer_version, serialized_scorer, creation_time);
             CREATE TABLE webhooks (webhook_id, name, description, url, status, secret, creation_timestamp,
                last_updated_timestamp, deleted_timestamp);
             CREATE TABLE webhook_events (webhook_id, entity, action);
             INSERT INTO evaluation_datasets VALUES ('d-good', 'qa', NULL, NULL, 'x', 5, 6, 'ann', 'bob');
             INSERT INTO evaluation_datasets VALUES ('../d', 'qa', NULL, NULL, 'x', 5, 6, NULL, NULL);
             INSERT INTO evaluation_datasets VALUES ('d-schema', 'qa', '[', NULL, 'x', 5, 6, NULL, NULL);
             INSERT INTO evaluation_datasets VALUES ('d-time', 'qa', NULL, NULL, 'x', 'soon', 6, NULL, NULL);
             INSERT INTO evaluation_dataset_records VALUES
                ('dr-1', 'd-good', '{"q": NaN}', '{"mlflow_wrapped": [1]}', 'null', '{"mlflow.user": "bob"}', NULL, 5, 6, 'ann', 'bob');
             INSERT INTO evaluation_dataset_records VALUES ('dr-2', 'd-good', '[1]', NULL, NULL, NULL, NULL, 5, 6, NULL, NULL);
             INSERT INTO evaluation_dataset_records VALUES ('dr-3', 'd-good', '{', NULL, NULL, NULL, NULL, 5, 6, NULL, NULL);
             INSERT INTO evaluation_dataset_records VALUES ('dr-4', 'd-good', NULL, NULL, NULL, NULL, NULL, 5, 6, NULL, NULL);
             INSERT INTO evaluation_dataset_records VALUES
                ('dr-5', 'd-good', '{"a": 1}', NULL, NULL, NULL, '{"source_data": 7}', 5, 6, NULL, NULL);
             INSERT INTO scorers VALUES (0, 'good', 's-1'), (99, 'stray', 's-2'), (0, 'bad', 's-3');
             INSERT INTO scorer_versions VALUES ('s-1', 3, '{}', 5), ('s-2', 1, '{}', 5), ('s-3', -1, '{}', 5);
             INSERT INTO webhooks VALUES ('w-good', 'g', '', 'https://127.0.0.1:9', 'ACTIVE', NULL, 5, NULL, NULL);
             INSERT INTO webhooks VALUES ('w-sealed', 'g', '', 'https://127.0.0.1:9', 'ACTIVE', 'gAAAAA', 5, NULL, NULL);
             INSERT INTO webhooks VALUES ('w-status', 'g', '', 'https://127.0.0.1:9', 'ODD', NULL, 5, NULL, NULL);
             INSERT INTO webhooks VALUES ('w-gone', 'g', '', 'https://127.0.0.1:9', 'ACTIVE', NULL, 5, NULL, 6);
             INSERT INTO webhook_events VALUES ('w-good', 'prompt', 'created'), ('w-good', 'budget_policy', 'exceeded');"#,
        )
        .unwrap();
    let mut program = project.program();
    program
        .args(["migrate", "mlflow", "mlflow.db", "--json"])
        .env(WEBHOOK_KEY.0, WEBHOOK_KEY.1);
    let answer = Answer::of(&mut program);
    answer.assert_code(1);
    let report = told(&answer);
    let unreadable: Vec<_> = report["unreadable"].as_array().unwrap().iter().collect();
    for words in [
        "evaluation dataset `../d`: ",
        "evaluation dataset `d-schema`: its `schema` cannot be read",
        "evaluation dataset `d-time`: its `created_time` is no whole number",
        "record `dr-2` of evaluation dataset `d-good`: its `inputs` is no map",
        "record `dr-3` of evaluation dataset `d-good`: its `inputs` is no JSON",
        "record `dr-4` of evaluation dataset `d-good`: its `inputs` are missing",
        "record `dr-5` of evaluation dataset `d-good`: its `source` has no type",
        "scorer `stray`: its experiment 99 is not there",
        "scorer `bad`: -1 is no number of a version",
        "webhook `w-sealed`: its secret cannot be opened: it is not sealed as MLflow does",
        "webhook `w-status`: `ODD` is no status",
        "webhook `w-good`: nothing here is `budget_policy.exceeded`",
    ] {
        let is_told = |told: &&&serde_json::Value| told.as_str().unwrap().starts_with(words);
        assert!(
            unreadable.iter().any(|told| is_told(&told)),
            "{words}: {report:#}"
        );
    }
    assert_eq!(unreadable.len(), 12, "{report:#}");
    assert_eq!(report["dataset_records"], 1, "{report:#}");
    for (noun, new) in [
        ("evaluation_datasets", 1),
        ("scorer_versions", 1),
        ("webhooks", 1),
    ] {
        assert_eq!(report["counts"][noun]["new"], new, "{report:#}");
    }
    // MLflow's digest is not what it writes.
    assert_eq!(
        report["differences"],
        serde_json::json!(["evaluation dataset d-good: its row differs"])
    );
    project.assert_sound();
    // What somebody removed here does not come back.
    let server = Server::start(&project);
    let agent = &server.agent;
    let call = |path: &str| format!("{}/api/{path}", server.url);
    agent
        .delete(call("3.0/mlflow/datasets/d-good"))
        .call()
        .unwrap();
    agent
        .delete(call("2.0/mlflow/webhooks/w-good"))
        .call()
        .unwrap();
    let scorer = call("3.0/mlflow/scorers/delete?experiment_id=0&name=good");
    agent.delete(scorer).call().unwrap();
    server.end();
    let again = told(&Answer::of(&mut program));
    for noun in ["evaluation_datasets", "scorer_versions", "webhooks"] {
        let counts = serde_json::json!({ "new": 0, "there": 1 });
        assert_eq!(again["counts"][noun], counts, "{again:#}");
    }
    project.assert_sound();
}
