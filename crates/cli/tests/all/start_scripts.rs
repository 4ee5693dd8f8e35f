//! `reproof server` where a start script of `mlflow server` changed its first word.

use std::io::Read as _;
use std::net::TcpStream;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::Value;

use crate::listening::Server;
use crate::support::Project;

/// What MLflow's database is known by.
const MLFLOW_TABLES: &str = "
    CREATE TABLE experiments (experiment_id INTEGER PRIMARY KEY, name TEXT, artifact_location TEXT,
        lifecycle_stage TEXT, creation_time BIGINT, last_update_time BIGINT);
    CREATE TABLE runs (run_uuid TEXT PRIMARY KEY, name TEXT, source_type TEXT, source_name TEXT,
        entry_point_name TEXT, user_id TEXT, status TEXT, start_time BIGINT, end_time BIGINT, deleted_time BIGINT,
        source_version TEXT, lifecycle_stage TEXT, artifact_uri TEXT, experiment_id INTEGER);
    CREATE TABLE params (key TEXT, value TEXT, run_uuid TEXT);
    CREATE TABLE tags (key TEXT, value TEXT, run_uuid TEXT);
    CREATE TABLE metrics (key TEXT, value FLOAT, timestamp BIGINT, run_uuid TEXT, step BIGINT, is_nan BOOLEAN);";

fn location_of_new(server: &Server) -> (String, Value) {
    let made = server.post("experiments/create", r#"{"name": "new"}"#);
    let id = made["experiment_id"].as_str().unwrap().to_owned();
    let found = server.get(&format!(
        "api/2.0/mlflow/experiments/get?experiment_id={id}"
    ));
    (id, found["experiment"]["artifact_location"].clone())
}

#[test]
fn a_start_script_goes_on_with_its_options() {
    let project = Project::empty();
    let said = |server: &Server, root: &str| {
        let root = project.path(root).canonicalize().unwrap();
        assert_eq!(server.said["root"], root.to_str().unwrap());
    };
    let common = [
        "-h",
        "localhost",
        "--workers",
        "4",
        "--gunicorn-opts",
        "--timeout 60",
    ];
    let database = [
        common.as_slice(),
        &["--backend-store-uri", "sqlite:///data/mlflow.db"],
    ]
    .concat();
    let server = Server::start_with(&project, &database);
    said(&server, "data");
    let (id, location) = location_of_new(&server);
    assert_eq!(location, format!("mlflow-artifacts:/{id}"));
    server.end();
    // It is the same store the next time, also by its folder.
    for options in [
        database.clone(),
        vec!["--backend-store-uri", "./data"],
        vec!["--root", "data"],
        vec!["--backend-store-uri", "data/mlruns"],
    ] {
        let server = Server::start_with(&project, &options);
        said(&server, "data");
        let found = server.get("api/2.0/mlflow/experiments/get-by-name?experiment_name=new");
        assert_eq!(found["experiment"]["experiment_id"], *id);
        server.end();
    }
}

#[test]
fn the_folder_that_is_named_is_served_and_none_above_it() {
    let project = Project::with_store();
    project.git(&["init", "--quiet"]);
    for options in [
        ["--backend-store-uri", "sqlite:///a/mlflow.db"],
        ["--backend-store-uri", "./b"],
    ] {
        let server = Server::start_with(&project, &options);
        let found = server.get("api/2.0/mlflow/experiments/get-by-name?experiment_name=new");
        assert_eq!(found["error_code"], "RESOURCE_DOES_NOT_EXIST");
        server.post("experiments/create", r#"{"name": "new"}"#);
        server.end();
    }
    for folder in ["a", "b"] {
        assert!(project.path(folder).join(".reproof/reproof.db").is_file());
    }
}

#[test]
fn variables_of_mlflow_are_options_and_empty_ones_are_none() {
    let project = Project::with_store();
    let mut program = project.program();
    program
        .env("MLFLOW_DEFAULT_ARTIFACT_ROOT", "arts/")
        .env("MLFLOW_STATIC_PREFIX", "/ml")
        .env("MLFLOW_BACKEND_STORE_URI", "")
        .env("MLFLOW_HOST", "")
        .env("MLFLOW_SERVE_ARTIFACTS", "")
        .env("MLFLOW_ARTIFACTS_ONLY", "")
        .env("MLFLOW_SERVER_X_FRAME_OPTIONS", "")
        .env("MLFLOW_ARTIFACTS_DESTINATION", "");
    let server = Server::start_program(program, &[]);
    assert!(server.url.ends_with("/ml"), "{}", server.url);
    let (id, location) = location_of_new(&server);
    let root = project.path("arts");
    assert_eq!(location, format!("{}/{id}", root.display()));
    server.end();
}

#[test]
fn without_the_proxy_artifacts_are_where_mlflow_would_put_them() {
    let project = Project::empty();
    let server = Server::start_with(&project, &["--no-serve-artifacts"]);
    let found = server.get("api/2.0/mlflow/experiments/get?experiment_id=0");
    let default = format!("{}/0", project.path("mlruns").display());
    assert_eq!(found["experiment"]["artifact_location"], default);
    let (id, location) = location_of_new(&server);
    assert_eq!(
        location,
        format!("{}/{id}", project.path("mlruns").display())
    );
    let closed = server
        .agent
        .get(format!("{}/api/2.0/mlflow-artifacts/artifacts", server.url));
    assert_eq!(closed.call().unwrap().status(), 503);
    server.end();
}

#[test]
fn what_mlflow_recorded_is_not_served_but_migrated() {
    let project = Project::empty();
    let database = Connection::open(project.path("mlflow.db")).unwrap();
    database.execute_batch(MLFLOW_TABLES).unwrap();
    drop(database);
    project.write(
        "mlruns/1/meta.yaml",
        "artifact_location: x\nexperiment_id: '1'\nname: a\nlifecycle_stage: active\n",
    );
    for uri in [
        "sqlite:///mlflow.db",
        "sqlite:///mlflow.db?timeout=5",
        "mlflow.db",
        "./mlruns",
    ] {
        let answer = project.reproof(&["server", "--port", "0", "--backend-store-uri", uri]);
        answer.assert_code(2);
        answer.assert_err_has("E0026");
        // Settings of a driver are not for `migrate`.
        let source = uri.split('?').next().unwrap();
        answer.assert_err_has(&format!("`reproof migrate mlflow {source}`"));
    }
    assert!(!project.store().exists());
    let uri = "sqlite:///mlflow.db";
    project.reproof(&["migrate", "mlflow", uri]).assert_code(0);
    let server = Server::start_with(&project, &["--backend-store-uri", uri]);
    let root = project.path(".").canonicalize().unwrap();
    assert_eq!(server.said["root"], root.to_str().unwrap());
    server.end();
}

#[test]
fn a_database_that_stands_elsewhere_is_served_by_the_store_that_took_it_over() {
    let (project, elsewhere) = (Project::empty(), Project::empty());
    let path = elsewhere.path("mlflow.db");
    let database = Connection::open(&path).unwrap();
    database.execute_batch(MLFLOW_TABLES).unwrap();
    drop(database);
    let uri = format!("sqlite:///{}", path.display());
    let refused = project.reproof(&["server", "--port", "0", "--backend-store-uri", &uri]);
    refused.assert_code(2).assert_err_has("E0026");
    project.reproof(&["migrate", "mlflow", &uri]).assert_code(0);
    let server = Server::start_with(&project, &["--backend-store-uri", &uri]);
    let root = project.path(".").canonicalize().unwrap();
    assert_eq!(server.said["root"], root.to_str().unwrap());
    server.end();
}

#[test]
fn a_new_store_beside_what_mlflow_recorded_is_made_with_a_warning() {
    let project = Project::empty();
    let database = Connection::open(project.path("mlflow.db")).unwrap();
    database.execute_batch(MLFLOW_TABLES).unwrap();
    for is_new in [true, false] {
        let mut server = Server::start(&project);
        let warned = server
            .read_log()
            .contains("`reproof migrate mlflow sqlite:///mlflow.db`");
        assert_eq!(warned, is_new);
        server.end();
    }
}

#[test]
fn a_script_that_exposes_figures_gets_them_without_the_folder() {
    let project = Project::empty();
    let told = |server: &Server| {
        let answer = server.agent.get(format!("{}/metrics", server.url)).call();
        let mut answer = answer.unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        (answer.status().as_u16(), text)
    };
    for options in [
        &["--expose-prometheus", "figures"][..],
        &["--expose-prometheus"],
    ] {
        let server = Server::start_with(&project, options);
        server.get("api/2.0/mlflow/experiments/get?experiment_id=0");
        let (status, text) = told(&server);
        assert_eq!(status, 200, "{text}");
        assert!(text.contains("mlflow_http_request_total{method=\"GET\",status=\"200\""));
        let resident = text
            .lines()
            .find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
        assert!(resident.unwrap().parse::<u64>().unwrap() > 1 << 20);
        server.end();
        assert!(!project.path("figures").exists());
    }
    let mut program = project.program();
    program.env("MLFLOW_EXPOSE_PROMETHEUS", "");
    let server = Server::start_program(program, &[]);
    assert_eq!(told(&server).0, 404);
    server.end();
}

#[test]
fn a_connection_that_asks_nothing_is_left_after_the_time_that_was_given() {
    let project = Project::empty();
    let closes = |server: &Server| {
        let address = server.url.strip_prefix("http://").unwrap();
        let mut silent = TcpStream::connect(address).unwrap();
        let patience = Duration::from_secs(4);
        silent.set_read_timeout(Some(patience)).unwrap();
        matches!(silent.read(&mut [0]), Ok(0))
    };
    let server = Server::start_with(&project, &["--request-timeout", "1"]);
    assert!(closes(&server));
    server.end();
    let mut program = project.program();
    program.env("REPROOF_REQUEST_TIMEOUT", "1");
    let server = Server::start_program(program, &["--request-timeout", "0"]);
    assert!(!closes(&server));
    server.end();
    for seconds in ["-1", "1.5", "soon", "86401"] {
        let option = format!("--request-timeout={seconds}");
        let answer = project.reproof(&["server", "--port", "0", &option]);
        answer.assert_err_has("a whole number of seconds up to 86400");
    }
}

#[test]
fn what_would_be_missed_is_refused_by_name() {
    let project = Project::empty();
    for (options, words) in [
        (
            vec!["--app-name", "mine"],
            "`--app-name mine` is not supported",
        ),
        (
            vec!["--artifacts-destination", "hdfs://b/a"],
            "--default-artifact-root hdfs://b/a",
        ),
        (
            vec!["--registry-store-uri", "sqlite:///r.db"],
            "models are kept beside the runs",
        ),
        (vec!["--enable-workspaces"], "a store is one workspace"),
        (
            vec!["--default-artifact-root", "runs:/a"],
            "cannot hold artifacts",
        ),
        (vec!["--static-prefix", "mlflow"], "it begins with a slash"),
        (vec!["--static-prefix", "/{a}"], "letters, digits"),
        (vec!["--x-frame-options", "ALLOWALL"], "SAMEORIGIN"),
        (
            vec!["--host", "no-such-host.invalid"],
            "cannot listen on no-such-host.invalid",
        ),
    ] {
        let answer = project.reproof(&[&["server", "--port", "0"], options.as_slice()].concat());
        assert_ne!(answer.code, Some(0));
        answer.assert_err_has(words);
    }
    for uri in [
        "mysql+pymysql://ann:s3cret@db.example.org/mlflow?password=s3cret",
        "postgres:ann:s3cret@db.example.org",
        "sqlite:///:memory:",
    ] {
        let answer = project.reproof(&["server", "--port", "0", "--backend-store-uri", uri]);
        answer.assert_code(2).assert_err_has("E0026");
        assert!(!answer.err().contains("s3cret"), "{}", answer.err());
    }
    let uri = "mysql://ann:s3cret@db.example.org/mlflow";
    let answer = project.reproof(&["server", "--port", "0", "--backend-store-uri", uri]);
    answer
        .assert_code(2)
        .assert_err_has("mysql://***@db.example.org/mlflow");
    assert!(!answer.err().contains("s3cret"));
    // A database that is kept in, and not there.
    let uri = "postgresql+psycopg2://ann:s3cret@127.0.0.1:1/mlflow?password=s3cret";
    let answer = project.reproof(&["server", "--port", "0", "--backend-store-uri", uri]);
    answer.assert_code(4).assert_err_has("E0027");
    assert!(!answer.err().contains("s3cret"), "{}", answer.err());
    let mut help = project.program();
    help.args(["server", "--help"])
        .env("MLFLOW_BACKEND_STORE_URI", uri);
    let help = help.output().unwrap();
    assert!(help.status.success());
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("--backend-store-uri"), "{help}");
    assert!(!help.contains("s3cret"), "{help}");
}

#[test]
fn artifacts_in_an_object_store_that_cannot_be_used_are_told_before_anything_is_served() {
    let project = Project::with_store();
    let start = |destination: &str| {
        let mut program = project.program();
        program
            .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "hunter2hunter2")
            .env("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
            .args([
                "server",
                "--port",
                "0",
                "--artifacts-destination",
                destination,
            ]);
        crate::support::Answer::of(&mut program)
    };
    for (destination, words) in [
        (
            "s3://key:hunter2hunter2@bucket/x",
            "holds a user, a password or a query",
        ),
        (
            "s3://bucket/x?sig=hunter2hunter2",
            "holds a user, a password or a query",
        ),
        ("s3://bucket/../x", "its path holds"),
        ("hdfs://host/x", "is not supported"),
    ] {
        let answer = start(destination);
        answer.assert_code(2).assert_err_has(words);
        assert!(!answer.err().contains("hunter2"), "{}", answer.err());
    }
    assert!(!project.path(".reproof/objects/destinations").exists());
}

#[test]
fn what_clients_wrote_to_a_folder_is_on_record_also_after_a_kill() {
    let project = Project::empty();
    let options = ["--default-artifact-root", "arts"];
    let mut server = Server::start_with(&project, &options);
    let made = server.post("experiments/create", r#"{"name": "new"}"#);
    let made = server.post("runs/create", &made.to_string());
    let info = &made["run"]["info"];
    let run = info["run_id"].as_str().unwrap().to_owned();
    let folder = std::path::PathBuf::from(info["artifact_uri"].as_str().unwrap());
    assert!(folder.starts_with(project.path("arts")));
    std::fs::create_dir_all(folder.join("model")).unwrap();
    std::fs::write(folder.join("model/weights"), vec![5; 2_000_000]).unwrap();
    let listed = server.get(&format!(
        "api/2.0/mlflow/artifacts/list?run_id={run}&path=model"
    ));
    assert_eq!(listed["files"][0]["file_size"], 2_000_000);
    let ended = format!(r#"{{"run_id": "{run}", "status": "FINISHED"}}"#);
    server.post("runs/update", &ended);
    server.kill();
    // Whatever had been done until then, the next one does the rest.
    let server = Server::start_with(&project, &options);
    let started = std::time::Instant::now();
    let notes = project.path(".reproof/taking-over");
    while std::fs::read_dir(&notes).unwrap().next().is_some() {
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "it was not taken over"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    server.end();
    std::fs::remove_dir_all(project.path("arts")).unwrap();
    let shown = project.reproof(&["show", &run]).assert_code(0).out();
    assert!(shown.contains("model/weights"), "{shown}");
    project.assert_sound();
}
