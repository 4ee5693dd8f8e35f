//! The real MLflow client against a real listener.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

mod support;

use std::ffi::OsString;
use std::process::{Command, Output};
use std::sync::Arc;

use entities::{RunStatus, Timestamp};
use locations::{FolderRoot, Locations};
use serde_json::Value;
use server::{ArtifactOptions, OperationOptions, RunScope, Scope, ServerOptions};
use support::{TOKEN, create_run, options};
use testkit::{TestBench, parsed};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracking::TakingOver;
use webhooks::{Deliverer, Network};

/// A server on a free port of this machine.
struct Listening {
    url: String,
    closing: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Listening {
    async fn start(bench: &TestBench, scope: Scope) -> Self {
        Self::serve(options(bench, scope)).await
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the test waits for the task itself"
    )]
    async fn serve(options: ServerOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (closing, closes) = oneshot::channel();
        let shutdown = async move {
            let _ = closes.await;
        };
        let serving = tokio::spawn(server::serve(listener, options, shutdown));
        Self {
            url,
            closing,
            serving,
        }
    }

    async fn stop(self) {
        self.closing.send(()).unwrap();
        self.serving.await.unwrap().unwrap();
    }
}

/// Runs a script of the client; none where no interpreter is named.
async fn run_script(name: &'static str, url: &str, token: &'static str) -> Option<Output> {
    let script = Script {
        name,
        ..Script::default()
    };
    run_script_with(script, url, token).await
}

/// A script of the client, and what it is started with.
#[derive(Default)]
struct Script {
    name: &'static str,
    arguments: Vec<String>,
    /// A folder with another client, which comes before all others.
    client: Option<OsString>,
}

/// Where the client of a year ago is; says why nothing is tested where that is not told.
#[expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test is told by a variable where an older client is, and says why it starts none"
)]
fn old_client() -> Option<OsString> {
    let folder = std::env::var_os("REPROOF_TEST_OLD_CLIENT");
    if folder.is_none() {
        println!(
            "skipped: REPROOF_TEST_OLD_CLIENT names no older client; `cargo xtask test` lays one out"
        );
    }
    folder
}

/// As `run_script`, with more than a name.
#[expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test is told by a variable which Python to start, and says why it starts none"
)]
async fn run_script_with(script: Script, url: &str, token: &'static str) -> Option<Output> {
    let Script {
        name,
        arguments,
        client,
    } = script;
    let Some(python) = std::env::var_os("REPROOF_TEST_PYTHON") else {
        println!("skipped: REPROOF_TEST_PYTHON names no interpreter with mlflow and scikit-learn");
        return None;
    };
    let url = url.to_owned();
    let running = tokio::task::spawn_blocking(move || {
        let folder = tempfile::tempdir().unwrap();
        let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/client");
        let mut command = Command::new(python);
        if let Some(client) = client {
            command.env("PYTHONPATH", client);
        }
        command
            .arg(format!("{scripts}/{name}"))
            .args(arguments)
            .current_dir(folder.path())
            .env("MLFLOW_TRACKING_URI", url)
            .env("MLFLOW_TRACKING_TOKEN", token)
            // A fault is told at once, and not after minutes of trying again.
            .env("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
            .env("MLFLOW_DISABLE_TELEMETRY", "true")
            .env("GIT_PYTHON_REFRESH", "quiet")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("OMP_NUM_THREADS", "1")
            .output()
            .unwrap()
    });
    let output = running.await.unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} failed:\n{told}");
    Some(output)
}

/// The JSON among what a script printed; the client prints lines of its own.
fn told_by(output: &Output) -> Value {
    let printed = String::from_utf8_lossy(&output.stdout);
    let line = printed.lines().find(|line| line.starts_with('{'));
    serde_json::from_str(line.unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_client_logs_searches_and_loads() {
    let bench = TestBench::new().await;
    let server = Listening::start(&bench, Scope::Team).await;
    run_script("plain.py", &server.url, "").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_client_registers_loads_and_moves_models_and_prompts() {
    let bench = TestBench::new().await;
    let server = Listening::start(&bench, Scope::Team).await;
    run_script("registry.py", &server.url, "").await;
    server.stop().await;
    // Every call is an event, and the rows follow from the events.
    assert_eq!(bench.store.verify_projection().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_of_a_year_ago_logs_searches_registers_traces_and_loads() {
    let Some(client) = old_client() else { return };
    let bench = TestBench::new().await;
    let server = Listening::start(&bench, Scope::Team).await;
    for script in ["plain.py", "registry.py", "traces_of_old.py", "parts.py"] {
        let script = Script {
            name: script,
            client: Some(client.clone()),
            ..Script::default()
        };
        run_script_with(script, &server.url, "").await;
    }
    server.stop().await;
    assert_eq!(bench.store.verify_projection().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_flows_of_mlflow_s_tutorials_work() {
    let bench = TestBench::new().await;
    let server = Listening::start(&bench, Scope::Team).await;
    run_script("tutorials.py", &server.url, "").await;
    server.stop().await;
    assert_eq!(bench.store.verify_projection().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn xgboost_and_lightgbm_log_by_themselves() {
    let bench = TestBench::new().await;
    let server = Listening::start(&bench, Scope::Team).await;
    run_script("boosting.py", &server.url, "").await;
    server.stop().await;
    assert_eq!(bench.store.verify_projection().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_client_traces_searches_assesses_and_deletes() {
    let bench = TestBench::new().await;
    let server = Listening::start(&bench, Scope::Team).await;
    run_script("traces.py", &server.url, "").await;
    server.stop().await;
    assert_eq!(bench.store.verify_projection().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_client_merges_records_evaluates_and_registers_scorers() {
    let bench = TestBench::new().await;
    let server = Listening::start(&bench, Scope::Team).await;
    run_script("datasets.py", &server.url, "").await;
    server.stop().await;
    assert_eq!(bench.store.verify_projection().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_client_merges_records_in_a_captured_run() {
    let bench = TestBench::new().await;
    let run = create_run(&bench, "captured").await;
    let scope = Scope::Run(RunScope {
        run: run.clone(),
        token: TOKEN.to_owned(),
        presented_runs: Vec::new(),
        presented_models: Vec::new(),
        mask: None,
    });
    let server = Listening::start(&bench, scope).await;
    if run_script("datasets.py", &server.url, TOKEN)
        .await
        .is_some()
    {
        let detail = bench.tracking.get_run(&run).await.unwrap();
        assert_eq!(detail.datasets[0].name, "qa");
    }
    server.stop().await;
    assert_eq!(bench.store.verify_projection().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_client_makes_webhooks_and_is_told_by_them() {
    let bench = TestBench::new().await;
    // Signatures are of this time, which the script compares with its own clock.
    bench.clock.set(now());
    let webhooks = bench.webhooks_on(Network {
        schemes: vec!["http".to_owned()],
        allows_private: true,
        ..Network::default()
    });
    let server = Listening::serve(ServerOptions {
        webhooks: Some(webhooks.clone()),
        accounts: None,
        ..options(&bench, Scope::Team)
    });
    let server = server.await;
    let stopping = CancellationToken::new();
    let delivering = Deliverer::new(webhooks, bench.caller.clone()).run(stopping.clone());
    let scripted = async {
        run_script("webhooks.py", &server.url, "").await;
        stopping.cancel();
    };
    tokio::join!(delivering, scripted);
    server.stop().await;
    assert_eq!(bench.store.verify_projection().await.unwrap(), None);
}

#[expect(
    clippy::disallowed_methods,
    reason = "the script looks at the same clock"
)]
fn now() -> Timestamp {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::from_millis(since_epoch.unwrap().as_millis().try_into().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_client_sends_large_files_whole_where_it_was_to_send_parts() {
    let bench = TestBench::new().await;
    let server = Listening::serve(ServerOptions {
        operation: OperationOptions {
            exposes_figures: true,
            ..OperationOptions::default()
        },
        ..options(&bench, Scope::Team)
    });
    let server = server.await;
    run_script("parts.py", &server.url, "").await;
    server.stop().await;
    let run = create_run(&bench, "captured").await;
    let scope = Scope::Run(RunScope {
        run: run.clone(),
        token: TOKEN.to_owned(),
        presented_runs: Vec::new(),
        presented_models: Vec::new(),
        mask: None,
    });
    let server = Listening::start(&bench, scope).await;
    if run_script("parts.py", &server.url, TOKEN).await.is_some() {
        let path = format!("0/{run}/artifacts/large/forced.bin");
        let kept = bench.tracking.find_artifact(&path).await.unwrap();
        assert_eq!(kept.unwrap().size_bytes, (24 << 20) + 3);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_logs_into_its_captured_run_and_a_replay_is_told_the_same() {
    let bench = TestBench::new().await;
    let origin = create_run(&bench, "captured").await;
    let scope = |run, presented_runs, presented_models| {
        Scope::Run(RunScope {
            run,
            token: TOKEN.to_owned(),
            presented_runs,
            presented_models,
            mask: None,
        })
    };
    let server = Listening::start(&bench, scope(origin.clone(), Vec::new(), Vec::new())).await;
    let Some(output) = run_script("captured.py", &server.url, TOKEN).await else {
        return;
    };
    server.stop().await;
    let told = told_by(&output);
    assert_eq!(told["run"], origin.as_str());
    let detail = bench.tracking.get_run(&origin).await.unwrap();
    assert_eq!(detail.run.status, RunStatus::Running);
    assert_eq!(detail.params["mine"], "1");
    assert_eq!(detail.params["C"], "1.0");
    assert!(
        detail
            .metrics
            .iter()
            .any(|metric| metric.key == "training_accuracy_score")
    );
    let child = told["child"].as_str().unwrap();
    let inner = bench.tracking.get_run(&parsed(child)).await.unwrap().run;
    assert_eq!(
        (inner.parent, inner.status),
        (Some(origin.clone()), RunStatus::Finished)
    );

    let replay = create_run(&bench, "replay").await;
    let models = bench.tracking.list_models_of(&origin).await.unwrap();
    let presented = scope(replay.clone(), vec![origin.clone(), parsed(child)], models);
    let server = Listening::start(&bench, presented).await;
    let output = run_script("captured.py", &server.url, TOKEN).await.unwrap();
    server.stop().await;
    assert_eq!(told_by(&output), told);
    let again = bench.tracking.get_run(&replay).await.unwrap();
    assert_eq!(again.params, detail.params);
    assert_eq!(
        bench.tracking.list_models_of(&replay).await.unwrap().len(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_client_writes_to_a_folder_and_the_server_shows_and_keeps_it() {
    let bench = TestBench::new().await;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("arts").to_str().unwrap().to_owned();
    let locations = Locations::new(vec![Arc::new(FolderRoot::new(&root).unwrap())]);
    let taking_over = TakingOver::open(
        bench.tracking.clone(),
        locations.clone(),
        &folder.path().join("notes"),
        bench.caller.clone(),
    );
    let taking_over = Arc::new(taking_over.unwrap());
    let server = Listening::serve(ServerOptions {
        artifacts: ArtifactOptions {
            locations,
            taking_over: Some(Arc::clone(&taking_over)),
            ..ArtifactOptions::default()
        },
        ..options(&bench, Scope::Team)
    })
    .await;
    let script = Script {
        name: "folder.py",
        arguments: vec![root.clone()],
        ..Script::default()
    };
    let output = run_script_with(script, &server.url, "").await;
    server.stop().await;
    let Some(output) = output else { return };
    taking_over.carry_out_all().await;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = printed.lines().filter(|line| line.starts_with('{'));
    let told: Vec<Value> = told
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(told.len(), 2);
    for (number, told) in told.iter().enumerate() {
        let text = |name: &str| told[name].as_str().unwrap().to_owned();
        let (experiment, run, model) = (text("experiment"), text("run"), text("model"));
        // All that stands in the folder is on record, to the byte.
        let name = ["plain", "as uri"][number];
        for inside in [
            format!("{run}/artifacts"),
            format!("models/{model}/artifacts"),
        ] {
            let folder = std::path::Path::new(&root).join(name).join(&inside);
            let kept = format!("{experiment}/{inside}");
            let kept_files = bench.tracking.list_artifacts_below(&kept).await.unwrap();
            assert!(!kept_files.is_empty(), "{inside}");
            for file in kept_files {
                let below = file.path.strip_prefix(&format!("{kept}/")).unwrap();
                let content = std::fs::read(folder.join(below)).unwrap();
                assert_eq!(entities::ObjectId::of(&content), file.object, "{below}");
            }
        }
        let version = bench
            .registry
            .get_version(&format!("net-{number}"), "1")
            .await;
        assert!(version.unwrap().version.files.is_some());
    }
    assert_eq!(bench.store.verify_projection().await.unwrap(), None);
}
