//! `reproof server` with artifacts in a real object store, and the commands that read them afterwards.

use std::process::Command;

use crate::listening::Server;
use crate::support::{Answer, Project};

#[path = "../../../buckets/tests/support/mod.rs"]
mod object_store;

use object_store::{Fault, Store};

const SECRET: &str = "hunter2hunter2";
const PROXY: &str = "api/2.0/mlflow-artifacts/artifacts";

/// `reproof` with the variables of an object store.
fn program(project: &Project, store: &Store) -> Command {
    let mut program = project.program();
    program
        .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .env("AWS_REGION", "us-east-1")
        .env("MLFLOW_S3_ENDPOINT_URL", &store.url);
    program
}

fn call(project: &Project, store: &Store, arguments: &[&str]) -> Answer {
    Answer::of(program(project, store).args(arguments))
}

fn put(server: &Server, path: &str, content: &[u8]) {
    let put = server.agent.put(format!("{}/{PROXY}/{path}", server.url));
    assert_eq!(put.send(content).unwrap().status(), 200);
}

fn content(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| (at.wrapping_mul(at + 7) % 251) as u8)
        .collect()
}

#[test]
fn artifacts_are_kept_read_and_verified_in_an_object_store() {
    let Some(store) = Store::start() else { return };
    let project = Project::with_store();
    let options = ["--artifacts-destination", "s3://box/ml"];
    let mut server = Server::start_program(program(&project, &store), &options);
    let made = server.post("runs/create", r#"{"experiment_id": "0"}"#);
    let run = made["run"]["info"]["run_id"].as_str().unwrap().to_owned();
    let large = content(6_000_000);
    put(&server, &format!("0/{run}/artifacts/a/small"), b"small");
    put(&server, &format!("0/{run}/artifacts/a/large"), &large);
    let read = |server: &Server, range: Option<&str>| {
        let uri = format!("{}/{PROXY}/0/{run}/artifacts/a/large", server.url);
        let mut request = server.agent.get(uri);
        if let Some(range) = range {
            request = request.header("Range", range);
        }
        let mut answer = request.call().unwrap();
        let status = answer.status().as_u16();
        let limit = answer.body_mut().with_config().limit(1 << 30);
        (status, limit.read_to_vec().unwrap())
    };
    assert!(read(&server, None) == (200, large.clone()));
    let part = read(&server, Some("bytes=3000000-3000009"));
    assert!(part == (206, large[3_000_000..3_000_010].to_vec()));
    // What is altered on the way is not told as if it were right.
    store.set(Fault::Altered, usize::MAX);
    let uri = format!("{}/{PROXY}/0/{run}/artifacts/a/small", server.url);
    assert_eq!(server.agent.get(uri).call().unwrap().status(), 500);
    store.set(Fault::None, 0);
    server.kill();
    let log = server.read_log();
    assert!(!log.contains(SECRET) && log.contains("damaged"), "{log}");

    let shown = call(&project, &store, &["show", &run]);
    shown.assert_code(0);
    assert!(shown.out().contains("a/large"), "{}", shown.out());
    call(&project, &store, &["audit", "verify"]).assert_code(0);
    let collected = call(&project, &store, &["gc", "--grace-hours", "0"]);
    collected.assert_code(0);
    assert!(
        collected.out().starts_with("removed 0 objects"),
        "{}",
        collected.out()
    );
    // A server without the option goes on reading what is there.
    let server = Server::start_program(program(&project, &store), &[]);
    assert!(read(&server, None) == (200, large));
    server.end();

    // The bytes are nowhere else.
    store.set(Fault::Denied, usize::MAX);
    let refused = call(&project, &store, &["audit", "verify"]);
    refused
        .assert_code(4)
        .assert_err_has("E0029")
        .assert_err_has("`AWS_SECRET_ACCESS_KEY`");
    assert!(!refused.err().contains(SECRET), "{}", refused.err());
    call(&project, &store, &["audit", "verify", "--quick"]).assert_code(0);
    store.set(Fault::None, 0);
    let name = entities::ObjectId::of(b"small").to_string();
    let name = name.strip_prefix("b3:").unwrap_or(&name);
    store.put(&format!("box/ml/objects/{}/{name}", &name[..2]), "smell");
    let damaged = call(&project, &store, &["audit", "verify"]);
    damaged.assert_code(1);
    let told = format!("{}{}", damaged.out(), damaged.err());
    assert!(told.contains("is damaged"), "{told}");
}

#[test]
fn a_bucket_that_is_not_there_is_told_before_anything_is_served() {
    let Some(store) = Store::start() else { return };
    let project = Project::with_store();
    let options = ["server", "--port", "0", "--artifacts-destination"];
    let missing = call(
        &project,
        &store,
        &[&options[..], &["s3://nowhere/x"]].concat(),
    );
    missing.assert_code(4).assert_err_has("make it first");
    store.set(Fault::Denied, usize::MAX);
    let denied = call(&project, &store, &[&options[..], &["s3://box/x"]].concat());
    denied.assert_code(4).assert_err_has("`AWS_ACCESS_KEY_ID`");
    assert!(!project.path(".reproof/objects/destinations").exists());
}

#[test]
fn what_nothing_names_is_collected_there_and_a_store_that_was_put_back_finds_the_rest() {
    let Some(store) = Store::start() else { return };
    let project = Project::with_store();
    project.write("reproof.toml", "[retention]\ndeleted_for = \"0s\"\n");
    let options = ["--artifacts-destination", "s3://box/ml"];
    let server = Server::start_program(program(&project, &store), &options);
    let mut runs = Vec::new();
    for name in ["kept", "deleted"] {
        let made = server.post("runs/create", r#"{"experiment_id": "0"}"#);
        let run = made["run"]["info"]["run_id"].as_str().unwrap().to_owned();
        put(&server, &format!("0/{run}/artifacts/own"), name.as_bytes());
        put(&server, &format!("0/{run}/artifacts/shared"), b"shared");
        runs.push(run);
    }
    let deleted = runs.pop().unwrap();
    server.post("runs/delete", &format!(r#"{{"run_id": "{deleted}"}}"#));
    server.end();
    let gone = [
        "gc",
        "--deleted-runs",
        "--yes",
        "--grace-hours",
        "0",
        "--json",
    ];
    call(&project, &store, &gone).assert_code(0);
    // What was stored a moment ago stays, whatever is asked; made old, it goes.
    let key = |content: &[u8]| {
        let name = entities::ObjectId::of(content).to_string();
        let name = name.strip_prefix("b3:").unwrap_or(&name).to_owned();
        format!("box/ml/objects/{}/{name}", &name[..2])
    };
    assert!(store.has(&key(b"deleted")), "too young to go");
    for day in std::fs::read_dir(project.store().join("objects/recent")).unwrap() {
        let day = std::fs::File::options()
            .append(true)
            .open(day.unwrap().path())
            .unwrap();
        let hours = std::time::Duration::from_secs(2 * 3600);
        day.set_modified(day.metadata().unwrap().modified().unwrap() - hours)
            .unwrap();
    }
    let collect = ["gc", "--grace-hours", "1", "--json"];
    let collected = call(&project, &store, &collect);
    collected.assert_code(0);
    let told: serde_json::Value = serde_json::from_str(&collected.out()).unwrap();
    assert_eq!(
        (&told["removed_objects"], &told["freed_bytes"]),
        (&1.into(), &7.into())
    );
    assert!(!store.has(&key(b"deleted")));
    assert!(store.has(&key(b"kept")) && store.has(&key(b"shared")));
    call(&project, &store, &["audit", "verify"]).assert_code(0);

    // Another store is not let in, and removes nothing.
    let other = Project::with_store();
    let refused = call(
        &other,
        &store,
        &[&["server", "--port", "0"], &options[..]].concat(),
    );
    refused.assert_code(4).assert_err_has("of another store");

    let (backups, back) = (project.path("../backups"), project.path("../back"));
    let (backups, back) = (backups.to_str().unwrap(), back.to_str().unwrap());
    call(&project, &store, &["backup", backups]).assert_code(0);
    call(&project, &store, &["restore-backup", backups, back]).assert_code(0);
    call(&project, &store, &["-C", back, "audit", "verify"]).assert_code(0);
    // The first store goes on, and the one that was put back takes nothing from it.
    let server = Server::start_program(program(&project, &store), &options);
    let made = server.post("runs/create", r#"{"experiment_id": "0"}"#);
    let later = made["run"]["info"]["run_id"].as_str().unwrap().to_owned();
    put(&server, &format!("0/{later}/artifacts/later"), b"later");
    server.end();
    let collected = call(&project, &store, &["-C", back, "gc", "--grace-hours", "0"]);
    collected
        .assert_code(0)
        .assert_err_has("objects at s3://box/ml are left");
    assert!(store.has(&key(b"later")) && store.has(&key(b"kept")));
    let kept = entities::ObjectId::of(b"kept").to_string();
    let forget = ["-C", back, "forget", &kept, "--reason", "test", "--yes"];
    call(&project, &store, &forget)
        .assert_code(4)
        .assert_err_has("is only read");
    // Nor does its ledger say so.
    let told = call(&project, &store, &["-C", back, "audit", "log"]).out();
    assert!(
        told.contains("runs.removed") && !told.contains("object.forgotten"),
        "{told}"
    );
    std::fs::remove_file(format!("{back}/.reproof/objects/destinations")).unwrap();
    let lost = call(&project, &store, &["-C", back, "audit", "verify"]);
    lost.assert_code(1);
}

/// The client's own script: logging, listing, downloading, logging and loading models.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a test is told by a variable which Python to start"
)]
fn the_real_client_logs_and_loads_through_a_server_whose_artifacts_are_in_an_object_store() {
    let Some(store) = Store::start() else { return };
    let project = Project::with_store();
    let options = ["--artifacts-destination", "s3://box/ml"];
    let server = Server::start_program(program(&project, &store), &options);
    let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/../server/tests/client");
    let python = std::env::var_os("REPROOF_TEST_PYTHON").unwrap();
    for script in ["plain.py", "registry.py"] {
        let mut client = project.command(&python);
        client
            .arg(format!("{scripts}/{script}"))
            .env("MLFLOW_TRACKING_URI", &server.url)
            .env("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
            .env("GIT_PYTHON_REFRESH", "quiet")
            .env("OMP_NUM_THREADS", "1");
        Answer::of(&mut client).assert_code(0);
    }
    server.end();
    call(&project, &store, &["audit", "verify"]).assert_code(0);
}
