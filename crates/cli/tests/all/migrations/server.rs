//! What a live server has on record, taken over through its REST API.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{WEBHOOK_KEY, migrate, run_id, told};
use crate::listening::Server;
use crate::python::python;
use crate::support::{Answer, Project};

/// MLflow's own server, with its children, ended when it goes.
pub(super) struct MlflowServer {
    process: Child,
    pub(super) url: String,
}

impl MlflowServer {
    fn start(project: &Project, python: &str) -> Self {
        Self::start_on(project, python, "sqlite:///theirs.db", "./kept")
    }

    /// Starts it on a database and a folder of artifacts.
    pub(super) fn start_on(
        project: &Project,
        python: &str,
        database: &str,
        artifacts: &str,
    ) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut program = project.command(python);
        program
            .args([
                "-m",
                "mlflow",
                "server",
                "--host",
                "127.0.0.1",
                "--workers",
                "1",
            ])
            .args(["--port", &port.to_string(), "--backend-store-uri", database])
            .args(["--artifacts-destination", artifacts])
            .env(WEBHOOK_KEY.0, WEBHOOK_KEY.1)
            .env("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        let process = program.spawn().unwrap();
        let server = Self {
            process,
            url: format!("http://127.0.0.1:{port}"),
        };
        let agent: ureq::Agent = ureq::Agent::config_builder().proxy(None).build().into();
        let begun = Instant::now();
        while agent.get(format!("{}/health", server.url)).call().is_err() {
            assert!(
                begun.elapsed() < Duration::from_secs(240),
                "MLflow's server does not come up"
            );
            std::thread::sleep(Duration::from_millis(200));
        }
        server
    }
}

impl Drop for MlflowServer {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_raw(self.process.id().try_into().unwrap()).unwrap();
        let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        let _ = self.process.wait();
    }
}

#[test]
fn a_live_server_that_the_real_client_filled_is_read_the_same_from_here() {
    let Some(python) = python() else { return };
    let theirs = Project::empty();
    let mlflow = MlflowServer::start(&theirs, &python);
    let script = |name: &str, uri: &str| {
        let scripts = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/migrate");
        let answer = Answer::of(
            theirs
                .command(&python)
                .arg(scripts.join(name))
                .env("MLFLOW_TRACKING_URI", uri)
                .env("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
                .env("GIT_PYTHON_REFRESH", "quiet")
                .env("PYTHONDONTWRITEBYTECODE", "1")
                .env("OMP_NUM_THREADS", "1"),
        );
        answer.assert_code(0);
        answer.out()
    };
    script("fill.py", &mlflow.url);
    script("fill_traces.py", &mlflow.url);
    let original = script("read.py", &mlflow.url);
    let project = Project::empty();
    let answer = migrate(&project, &[&mlflow.url]);
    answer.assert_code(0);
    assert!(
        answer.out().ends_with("all are the same\n"),
        "{}",
        answer.out()
    );
    let again = told(&migrate(&project, &[&mlflow.url, "--json"]));
    assert_eq!(again["counts"]["runs"]["new"], 0, "{again}");
    assert_eq!(again["files"], 0, "{again}");
    // Nothing is needed of it any more.
    drop(mlflow);
    let server = Server::start(&project);
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
    project.assert_sound();
}

/// A server that answers what a test wants, and notes what it was asked.
struct Scripted {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    fn start(answer: impl Fn(&str) -> (u16, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        // It goes with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                noted.lock().unwrap().extend(reply(stream, &answer));
            }
        });
        Self { url, asked }
    }
}

/// Answers one request; tells its head.
fn reply(mut stream: TcpStream, answer: &impl Fn(&str) -> (u16, String)) -> Option<String> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(told) = line.to_lowercase().strip_prefix("content-length:") {
            length = told.trim().parse().ok()?;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let path = head.split(' ').nth(1)?.to_owned();
    let (status, text) = answer(&path);
    write!(
        stream,
        "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nLocation: http://127.0.0.1:9/\r\nConnection: close\r\n\r\n{text}",
        text.len()
    )
    .ok()?;
    Some(head)
}

/// What a server with one run says.
fn with_one_run(path: &str) -> (u16, String) {
    let run = run_id(1);
    let info = format!(
        r#"{{"run_id": "{run}", "experiment_id": "0", "run_name": "r", "status": "FINISHED", "start_time": "5",
            "end_time": 7, "lifecycle_stage": "active", "artifact_uri": "mlflow-artifacts:/0/{run}/artifacts"}}"#
    );
    let metrics = r#"[{"key": "m", "value": "NaN", "timestamp": "5", "step": 1}]"#;
    let whole = format!(
        r#"{{"info": {info}, "data": {{"metrics": {metrics}, "params": [{{"key": "p", "value": "1"}}]}}}}"#
    );
    let text = match path.split('?').next().unwrap() {
        "/api/2.0/mlflow/experiments/search" => {
            r#"{"experiments": [{"experiment_id": "0", "name": "Default", "lifecycle_stage": "active"}]}"#.to_owned()
        }
        "/api/2.0/mlflow/runs/search" => format!(r#"{{"runs": [{whole}]}}"#),
        "/api/2.0/mlflow/runs/get" => format!(r#"{{"run": {whole}}}"#),
        "/api/2.0/mlflow/metrics/get-history" => format!(r#"{{"metrics": {metrics}}}"#),
        "/api/2.0/mlflow-artifacts/artifacts" if path.ends_with("artifacts") => {
            r#"{"files": [{"path": "a b.txt"}, {"path": "../../up"}, {"path": "x/y"}, {"path": "sub", "is_dir": true}]}"#
                .to_owned()
        }
        "/api/2.0/mlflow-artifacts/artifacts" if path.contains("sub%2Fsub%2Fsub") => "{}".to_owned(),
        "/api/2.0/mlflow-artifacts/artifacts" => {
            r#"{"files": [{"path": "sub", "is_dir": true}]}"#.to_owned()
        }
        file if file.starts_with("/api/2.0/mlflow-artifacts/artifacts/") => "kept".to_owned(),
        _ => return (404, "{}".to_owned()),
    };
    (200, text)
}

#[test]
fn a_servers_files_are_taken_by_names_that_are_artifacts_and_by_no_others() {
    let scripted = Scripted::start(with_one_run);
    let project = Project::empty();
    let mut program = project.program();
    program
        .args(["migrate", "mlflow", "--json", &scripted.url])
        .env("MLFLOW_TRACKING_TOKEN", "t0ken");
    let answer = Answer::of(&mut program);
    answer.assert_code(1);
    let report = told(&answer);
    assert_eq!(report["files"], 1, "{report:#}");
    assert_eq!(
        report["not_taken"].as_array().unwrap().len(),
        2,
        "{report:#}"
    );
    assert_eq!(report["differences"], serde_json::json!([]), "{report:#}");
    let asked = scripted.asked.lock().unwrap().join("\n");
    assert!(asked.contains("Bearer t0ken"), "{asked}");
    assert!(asked.contains("/artifacts/a%20b.txt"), "{asked}");
    assert!(!asked.contains(".."), "{asked}");
    assert!(!answer.out().contains("t0ken") && !answer.err().contains("t0ken"));
    let run = project.json(&["show", &run_id(1)]);
    assert_eq!(run["run"]["params"]["p"], "1", "{run}");
    project.assert_sound();
}

#[test]
fn a_server_that_does_not_answer_as_mlflow_does_is_refused_before_a_store_is_made() {
    let project = Project::empty();
    let refused = |answer: fn(&str) -> (u16, String), words: &str| {
        let scripted = Scripted::start(answer);
        let address = scripted.url.replace("http://", "http://ann:s3cret@");
        let answer = migrate(&project, &[&address]);
        answer.assert_err_has(words);
        assert_ne!(answer.code, Some(0));
        assert!(!answer.err().contains("s3cret"), "{}", answer.err());
        assert!(!project.store().exists(), "{words}");
        let asked = scripted.asked.lock().unwrap().join("\n");
        // ann:s3cret
        assert!(asked.contains("Basic YW5uOnMzY3JldA=="), "{asked}");
    };
    refused(|_| (401, "who are you?".to_owned()), "401");
    refused(|_| (302, String::new()), "302");
    refused(|_| (404, String::new()), "it knows no such call");
    refused(|_| (500, "x".repeat(100_000)), "500");
    refused(|_| (200, "<html>".to_owned()), "its answer cannot be read");
    refused(|_| (200, "[".repeat(100_000)), "its answer cannot be read");
    refused(
        |_| {
            (
                200,
                r#"{"experiments": [{"experiment_id": "../0", "name": "x"}]}"#.to_owned(),
            )
        },
        "one of the experiments",
    );
    refused(
        |_| {
            (
                200,
                r#"{"experiments": [], "next_page_token": "same"}"#.to_owned(),
            )
        },
        "its pages go in circles",
    );
    refused(
        |path| {
            if path.contains("runs/search") {
                return (200, r#"{"runs": [{"info": {"run_id": "x y"}}]}"#.to_owned());
            }
            with_one_run(path)
        },
        "one of the runs",
    );
    let answer = migrate(&project, &["http://127.0.0.1:9"]);
    answer.assert_err_has("E0027");
    assert!(!project.store().exists());
}
