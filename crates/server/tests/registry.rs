//! The model registry over HTTP: hostile requests, captured runs and replays.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

mod support;

use axum::http::Method;
use entities::{Change, Clock as _, RunId, RunStatus};
use serde_json::{Value, json};
use support::{PROXY, TestApp};
use testkit::parsed;

const INVALID: &str = "INVALID_PARAMETER_VALUE";

async fn register(app: &TestApp, name: &str) {
    app.post("registered-models/create", &json!({ "name": name }))
        .await
        .ok();
}

/// Uploads a file of a run and gives the URI of its folder.
async fn upload(app: &TestApp, run: &str) -> String {
    let found = app.get(&format!("runs/get?run_id={run}")).await.ok();
    let uri = found["run"]["info"]["artifact_uri"].as_str().unwrap();
    let path = uri.strip_prefix("mlflow-artifacts:/").unwrap();
    let put = app.put(&format!("{path}/net/model.pkl"), "weights").await;
    assert!(put.status.is_success(), "{PROXY}/{path}");
    format!("{uri}/net")
}

async fn create_version(app: &TestApp, name: &str, run: &str, source: &str) -> support::Answer {
    let body = json!({ "name": name, "source": source, "run_id": run });
    app.post("model-versions/create", &body).await
}

#[tokio::test]
async fn a_version_keeps_the_bytes_that_were_registered() {
    let app = TestApp::team().await;
    register(&app, "net").await;
    let run = app.create_run(&json!({ "experiment_id": "0" })).await;
    let source = upload(&app, &run).await;
    let created = create_version(&app, "net", &run, &source).await.ok();
    assert_eq!(created["model_version"]["version"], "1");
    assert_eq!(created["model_version"]["status"], "READY");
    let registry = &app.bench.registry;
    let version = registry.get_version("net", "1").await.unwrap().version;
    assert_eq!(version.run, Some(parsed::<RunId>(&run)));
    let tree = app.bench.tracking.cas().read_tree(&version.files.unwrap());
    assert_eq!(tree.unwrap().entries()[0].name, "model.pkl");
    let state = registry.compare_files(&version).await.unwrap();
    assert_eq!(state, registry::FilesState::Unchanged);
    let path = source.strip_prefix("mlflow-artifacts:/").unwrap();
    app.put(&format!("{path}/model.pkl"), "others").await;
    let state = registry.compare_files(&version).await.unwrap();
    assert_eq!(state, registry::FilesState::Changed);
}

#[tokio::test]
async fn a_source_leads_nowhere_else() {
    let app = TestApp::team().await;
    register(&app, "net").await;
    let run = app.create_run(&json!({ "experiment_id": "0" })).await;
    let other = app.create_run(&json!({ "experiment_id": "0" })).await;
    let source = upload(&app, &run).await;
    for source in [
        "/etc/passwd".to_owned(),
        "file:///etc/passwd".to_owned(),
        "etc".to_owned(),
        format!("{source}/../../../../etc"),
        format!("{source}/%2e%2e/%252e%252e/x"),
        format!("{source}%00"),
        source.replace(&run, &other),
        format!("mlflow-artifacts://elsewhere/0/{run}/artifacts/net"),
        format!("http://127.0.0.1/api/2.0/mlflow-artifacts/artifacts/0/{run}"),
        format!("runs:/{other}/net"),
        format!("runs://host/{run}/net"),
        "models:/m-00000000000000000000000000000000".to_owned(),
        "models://host/net/1".to_owned(),
        "s3://bucket/a/../b".to_owned(),
    ] {
        let refused = create_version(&app, "net", &run, &source).await;
        let (status, code, _) = refused.error();
        assert_eq!(
            (status, code.as_str()),
            (400, INVALID),
            "{source} was taken"
        );
    }
    for (source, status) in [
        (source, 200),
        (format!("runs:/{run}/net"), 200),
        ("s3://bucket/a".to_owned(), 200),
        ("models:/net/1".to_owned(), 200),
        ("models:/net/99".to_owned(), 404),
        ("models:/nope/1".to_owned(), 404),
    ] {
        let answer = create_version(&app, "net", &run, &source).await;
        assert_eq!(answer.status.as_u16(), status, "{source}");
    }
}

#[tokio::test]
async fn wrong_requests_are_the_callers_error() {
    let app = TestApp::team().await;
    register(&app, "net").await;
    for (method, call, body, status) in [
        (Method::POST, "registered-models/create", json!({}), 400),
        (
            Method::POST,
            "registered-models/create",
            json!({ "name": 7 }),
            400,
        ),
        (
            Method::POST,
            "registered-models/create",
            json!({ "name": " " }),
            400,
        ),
        (
            Method::POST,
            "registered-models/create",
            json!({ "name": "x".repeat(300) }),
            400,
        ),
        (
            Method::POST,
            "registered-models/create",
            json!({ "name": "net" }),
            400,
        ),
        (
            Method::PATCH,
            "registered-models/update",
            json!({ "name": "nope" }),
            404,
        ),
        (
            Method::POST,
            "registered-models/rename",
            json!({ "name": "net", "new_name": "a:b" }),
            400,
        ),
        (
            Method::POST,
            "registered-models/rename",
            json!({ "name": "nope", "new_name": "b" }),
            404,
        ),
        (
            Method::DELETE,
            "registered-models/delete",
            json!({ "name": "nope" }),
            404,
        ),
        (
            Method::POST,
            "registered-models/set-tag",
            json!({ "name": "net", "key": "../a", "value": "" }),
            400,
        ),
        (
            Method::POST,
            "registered-models/set-tag",
            json!({ "name": "net", "key": "a", "value": "x".repeat(100_001) }),
            400,
        ),
        (
            Method::POST,
            "registered-models/alias",
            json!({ "name": "net", "alias": "a", "version": "x" }),
            400,
        ),
        (
            Method::POST,
            "registered-models/alias",
            json!({ "name": "net", "alias": "a", "version": "1" }),
            404,
        ),
        (
            Method::POST,
            "registered-models/alias",
            json!({ "name": "net", "alias": "a b", "version": "1" }),
            400,
        ),
        (
            Method::DELETE,
            "registered-models/alias",
            json!({ "name": "nope", "alias": "a" }),
            404,
        ),
        (
            Method::POST,
            "model-versions/create",
            json!({ "name": "net" }),
            400,
        ),
        (
            Method::POST,
            "model-versions/create",
            json!({ "name": "nope", "source": "s3://b/a" }),
            404,
        ),
        (
            Method::POST,
            "model-versions/transition-stage",
            json!({ "name": "net", "version": "1", "stage": "None", "archive_existing_versions": true }),
            400,
        ),
        (
            Method::PATCH,
            "model-versions/update",
            json!({ "name": "net", "version": "99999999999" }),
            404,
        ),
        (
            Method::DELETE,
            "model-versions/delete",
            json!({ "name": "net", "version": "-1" }),
            404,
        ),
    ] {
        let path = format!("/api/2.0/mlflow/{call}");
        let answer = app.request(method, &path, body.to_string()).await;
        let said = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.status.as_u16(), status, "{call} {body}: {said}");
        assert!(
            !said.contains("SELECT") && !said.contains("sqlite"),
            "{said}"
        );
    }
    for call in [
        "registered-models/search?max_results=0",
        "registered-models/search?max_results=1001",
        "registered-models/search?filter=metrics.a+%3E+1",
        "registered-models/search?filter=name+%3D+%27a%27+OR+1%3D1",
        "registered-models/search?page_token=abc",
        "model-versions/search?max_results=200001",
        "model-versions/search?filter=version_number+%3D+%27x%27",
        "model-versions/get-download-uri?name=net",
        "registered-models/get-latest-versions?name=net&stages=zzz",
    ] {
        assert_eq!(app.get(call).await.error().0, 400, "{call}");
    }
}

#[tokio::test]
async fn a_captured_run_changes_only_what_it_registered() {
    let (mut app, run) = TestApp::run(Vec::new(), Vec::new()).await;
    let source = upload(&app, run.as_str()).await;
    let registry = app.bench.registry.clone();
    let caller = app.bench.caller.clone();
    let theirs = registry::NewRegisteredModel {
        name: "theirs".to_owned(),
        ..registry::NewRegisteredModel::default()
    };
    registry.create_model(&caller, theirs).await.unwrap();
    register(&app, "ours").await;
    for name in ["ours", "theirs"] {
        let created = create_version(&app, name, run.as_str(), &source).await;
        assert_eq!(created.ok()["model_version"]["version"], "1");
        let alias = json!({ "name": name, "alias": "champion", "version": "1" });
        app.post("registered-models/alias", &alias).await.ok();
    }
    for (call, body) in [
        (
            "registered-models/rename",
            json!({ "name": "theirs", "new_name": "x" }),
        ),
        (
            "registered-models/set-tag",
            json!({ "name": "theirs", "key": "a", "value": "b" }),
        ),
    ] {
        assert_eq!(app.post(call, &body).await.error().0, 403, "{call}");
    }
    app.token = Some("another");
    let refused = create_version(&app, "ours", run.as_str(), &source).await;
    assert_eq!(refused.error().0, 401);
}

#[tokio::test]
async fn a_replay_is_shown_what_its_origin_registered_and_registers_nothing() {
    let (app, origin) = TestApp::run(Vec::new(), Vec::new()).await;
    let source = upload(&app, origin.as_str()).await;
    register(&app, "net").await;
    for _ in 0..2 {
        create_version(&app, "net", origin.as_str(), &source)
            .await
            .ok();
    }
    let events = app.bench.registry.get_model("net").await.unwrap();
    let (again, replay) = TestApp::run_on(app.bench, vec![origin.clone()], Vec::new()).await;
    assert_ne!(replay, origin);
    upload(&again, origin.as_str()).await;
    register(&again, "net").await;
    for number in ["1", "2"] {
        let shown = create_version(&again, "net", origin.as_str(), &source)
            .await
            .ok();
        let version = &shown["model_version"];
        assert_eq!(version["version"], number);
        assert_eq!(version["run_id"], origin.as_str());
        assert_eq!(version["source"], source.as_str());
        let alias = json!({ "name": "net", "alias": "champion", "version": number });
        again.post("registered-models/alias", &alias).await.ok();
    }
    let third = create_version(&again, "net", origin.as_str(), &source).await;
    assert_eq!(third.error().0, 403);
    let found = again.get("registered-models/get?name=net").await.ok();
    assert_eq!(found["registered_model"]["aliases"], Value::Null);
    assert_eq!(again.bench.registry.get_model("net").await.unwrap(), events);
}

#[tokio::test]
async fn a_replay_is_shown_the_versions_of_runs_inside_and_of_its_time_only() {
    let (app, origin) = TestApp::run(Vec::new(), Vec::new()).await;
    let new_run = json!({ "experiment_id": "0" });
    assert_eq!(app.create_run(&new_run).await, origin.as_str());
    let inner = app.create_run(&new_run).await;
    register(&app, "net").await;
    let source = upload(&app, &inner).await;
    create_version(&app, "net", &inner, &source).await.ok();
    let prompt = [json!({ "key": "mlflow.prompt.is_prompt", "value": "true" })];
    let texts = json!({ "name": "hello", "source": "prompt-template", "tags": prompt });
    app.post(
        "registered-models/create",
        &json!({ "name": "hello", "tags": prompt }),
    )
    .await
    .ok();
    app.post("model-versions/create", &texts).await.ok();
    let bench = app.bench;
    let ended = Change::RunUpdated {
        run: origin.clone(),
        status: Some(RunStatus::Finished),
        ended_at: Some(bench.clock.now()),
        name: None,
    };
    let commit = testkit::commit("run.finished", &[], vec![ended]);
    bench.store.commit(commit).await.unwrap();
    // What is registered for the run later, as by `reproof model register`, is none of what its command did.
    let later = registry::NewModelVersion {
        name: "net".to_owned(),
        source: source.clone(),
        run: Some(inner.clone()),
        ..registry::NewModelVersion::default()
    };
    let creating = bench.registry.create_version(&bench.caller, later);
    assert_eq!(creating.await.unwrap().version.version.get(), 2);

    let presented = vec![origin.clone(), parsed(&inner)];
    let (again, _) = TestApp::run_on(bench, presented, Vec::new()).await;
    assert_eq!(again.create_run(&new_run).await, origin.as_str());
    assert_eq!(again.create_run(&new_run).await, inner);
    let shown = create_version(&again, "net", &inner, &source).await.ok();
    assert_eq!(shown["model_version"]["version"], "1");
    assert_eq!(shown["model_version"]["run_id"], inner.as_str());
    let shown = again.post("model-versions/create", &texts).await.ok();
    assert_eq!(shown["model_version"]["version"], "1");
    let second = create_version(&again, "net", &inner, &source).await;
    assert_eq!(second.error().0, 403);
}

#[tokio::test]
async fn a_tag_of_a_captured_run_that_holds_a_secret_has_no_value_wherever_it_is() {
    let (app, run) = TestApp::run(Vec::new(), Vec::new()).await;
    let tags = json!([{ "key": "db_password", "value": "hunter2" }]);
    let source = upload(&app, run.as_str()).await;
    let version = json!({ "name": "net", "source": source, "run_id": run.as_str(), "tags": tags });
    let dataset = json!({ "name": "d", "digest": "x", "source_type": "local", "source": "d.csv" });
    let input = json!([{ "dataset": dataset, "tags": tags }]);
    let tag =
        json!({ "name": "net", "experiment_id": "0", "key": "db_password", "value": "hunter2" });
    for (call, body) in [
        (
            "registered-models/create",
            json!({ "name": "net", "tags": tags }),
        ),
        ("registered-models/set-tag", tag.clone()),
        ("model-versions/create", version),
        ("experiments/create", json!({ "name": "e", "tags": tags })),
        ("experiments/set-experiment-tag", tag),
        (
            "runs/log-inputs",
            json!({ "run_id": run.as_str(), "datasets": input }),
        ),
    ] {
        app.post(call, &body).await.ok();
    }
    let store = &app.bench.store;
    store.sequence().await.unwrap();
    let events = store.list_events(0, 100).await.unwrap();
    assert!(events.len() > 6);
    for event in events {
        let body = String::from_utf8_lossy(&event.body).into_owned();
        assert!(!body.contains("hunter2"), "{body}");
    }
}

#[tokio::test]
async fn versions_that_are_registered_at_once_have_numbers_of_their_own() {
    let app = TestApp::team().await;
    register(&app, "net").await;
    let creating = (0..20).map(|_| {
        let body = json!({ "name": "net", "source": "s3://bucket/a" });
        let app = &app;
        async move { app.post("model-versions/create", &body).await.ok() }
    });
    let created = futures_util::future::join_all(creating).await;
    let mut numbers: Vec<u32> = created
        .iter()
        .map(|created| {
            created["model_version"]["version"]
                .as_str()
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
}
