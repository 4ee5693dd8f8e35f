//! The endpoint of a captured run: token, first run, children, what may be written, and what a replay presents.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

mod support;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use support::{PROXY, TestApp, create_run};
use testkit::{TestBench, parsed};

fn denied(answer: &support::Answer) {
    let (status, code, _) = answer.error();
    assert_eq!((status, code.as_str()), (403, "PERMISSION_DENIED"));
}

fn tag<'a>(run: &'a Value, key: &str) -> Option<&'a str> {
    let tags = run["data"]["tags"].as_array()?;
    tags.iter().find(|tag| tag["key"] == key)?["value"].as_str()
}

#[tokio::test]
async fn nothing_is_answered_without_the_token() {
    let (app, run) = TestApp::run(Vec::new(), Vec::new()).await;
    for path in [
        format!("/api/2.0/mlflow/runs/get?run_id={run}"),
        "/health".to_owned(),
        "/version".to_owned(),
        "/nope".to_owned(),
        format!("{PROXY}?path=0"),
    ] {
        for token in [
            "Bearer wrong",
            "",
            "0123456789abcdef",
            "Bearer 0123456789abcde",
        ] {
            let request = Request::builder().uri(&path).header("authorization", token);
            let answer = app.send(request.body(Body::empty()).unwrap()).await;
            assert_eq!(
                answer.status,
                StatusCode::UNAUTHORIZED,
                "{path} with {token:?}"
            );
            assert_eq!(answer.error().1, "UNAUTHENTICATED");
            assert_eq!(answer.header("www-authenticate"), "Bearer");
            assert!(
                !answer.error().2.contains("0123456789"),
                "the token was told"
            );
        }
    }
    app.get(&format!("runs/get?run_id={run}")).await.ok();
}

#[tokio::test]
async fn the_first_run_is_the_captured_one_and_later_ones_are_inside_it() {
    let (app, captured) = TestApp::run(Vec::new(), Vec::new()).await;
    let other = app
        .post("experiments/create", &json!({"name": "other"}))
        .await
        .ok();
    let other = other["experiment_id"].as_str().unwrap();
    let first = app
        .post(
            "runs/create",
            &json!({"experiment_id": other, "run_name": "mine", "start_time": 1, "tags": [{"key": "t", "value": "1"}]}),
        )
        .await
        .ok();
    let first = &first["run"];
    assert_eq!(first["info"]["run_id"], captured.as_str());
    assert_eq!(first["info"]["experiment_id"], "0");
    assert_eq!(first["info"]["run_name"], "mine");
    assert_eq!(tag(first, "t"), Some("1"));
    assert_eq!(tag(first, "mlflow.runName"), Some("mine"));

    let second = app
        .post("runs/create", &json!({"experiment_id": other}))
        .await
        .ok();
    let second = &second["run"];
    assert_eq!(second["info"]["experiment_id"], other);
    assert_eq!(second["info"]["user_id"], "ann");
    assert_eq!(tag(second, "mlflow.parentRunId"), Some(captured.as_str()));
    let second = second["info"]["run_id"].as_str().unwrap();
    let nested =
        json!({"experiment_id": "0", "tags": [{"key": "mlflow.parentRunId", "value": second}]});
    let third = app.post("runs/create", &nested).await.ok();
    assert_eq!(tag(&third["run"], "mlflow.parentRunId"), Some(second));
    let child = app.bench.tracking.get_run(&parsed(second)).await.unwrap();
    assert_eq!(child.run.parent, Some(captured));
}

#[tokio::test]
async fn a_create_that_fails_leaves_the_captured_run_to_the_next() {
    let (app, captured) = TestApp::run(Vec::new(), Vec::new()).await;
    let bad = json!({"experiment_id": "0", "tags": [{"key": "a&b", "value": ""}]});
    assert_eq!(
        app.post("runs/create", &bad).await.status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        app.create_run(&json!({"experiment_id": "0"})).await,
        captured.as_str()
    );
}

#[tokio::test]
async fn a_client_that_ends_the_captured_run_is_told_so_and_the_run_stays_open() {
    let (app, captured) = TestApp::run(Vec::new(), Vec::new()).await;
    let id = app.create_run(&json!({"experiment_id": "0"})).await;
    let end = json!({"run_id": id, "status": "FAILED", "end_time": 1_800_000_000_000_i64});
    let ended = app.post("runs/update", &end).await.ok();
    assert_eq!(ended["run_info"]["status"], "FAILED");
    assert_eq!(ended["run_info"]["end_time"], 1_800_000_000_000_i64);
    let found = app.get(&format!("runs/get?run_id={id}")).await.ok();
    assert_eq!(found["run"]["info"]["status"], "FAILED");
    assert_eq!(tag(&found["run"], "reproof.client_status"), Some("FAILED"));
    let kept = app.bench.tracking.get_run(&captured).await.unwrap().run;
    assert_eq!(
        (kept.status, kept.ended_at),
        (entities::RunStatus::Running, None)
    );
    // It may log on, and begin anew.
    let metric = json!({"run_id": id, "key": "m", "value": 1, "timestamp": 1});
    app.post("runs/log-metric", &metric).await.ok();
    let again = json!({"run_id": id, "status": "RUNNING"});
    let running = app.post("runs/update", &again).await.ok();
    assert_eq!(running["run_info"]["status"], "RUNNING");
    // A child is ended for good.
    let child = app.create_run(&json!({"experiment_id": "0"})).await;
    app.post(
        "runs/update",
        &json!({"run_id": child, "status": "FINISHED"}),
    )
    .await
    .ok();
    let kept = app
        .bench
        .tracking
        .get_run(&parsed(&child))
        .await
        .unwrap()
        .run;
    assert_eq!(kept.status, entities::RunStatus::Finished);
}

#[tokio::test]
async fn only_what_the_run_made_can_be_changed() {
    let bench = TestBench::new().await;
    let foreign = create_run(&bench, "foreign").await;
    let (app, captured) = TestApp::run_on(bench, Vec::new(), Vec::new()).await;
    let child = {
        app.create_run(&json!({"experiment_id": "0"})).await;
        app.create_run(&json!({"experiment_id": "0"})).await
    };
    for (call, body) in [
        (
            "runs/log-metric",
            json!({"run_id": foreign, "key": "m", "value": 1, "timestamp": 1}),
        ),
        (
            "runs/log-parameter",
            json!({"run_uuid": foreign, "key": "m", "value": "1"}),
        ),
        ("runs/log-batch", json!({"run_id": foreign})),
        (
            "runs/set-tag",
            json!({"run_id": foreign, "key": "m", "value": "1"}),
        ),
        (
            "runs/delete-tag",
            json!({"run_id": foreign, "key": "mlflow.user"}),
        ),
        (
            "runs/log-inputs",
            json!({"run_id": foreign, "datasets": []}),
        ),
        ("runs/outputs", json!({"run_id": foreign, "models": []})),
        (
            "runs/log-model",
            json!({"run_id": foreign, "model_json": "{}"}),
        ),
        (
            "runs/update",
            json!({"run_id": foreign, "status": "FINISHED"}),
        ),
        ("runs/delete", json!({"run_id": foreign})),
        ("runs/restore", json!({"run_id": foreign})),
        ("runs/delete", json!({"run_id": captured})),
        (
            "experiments/update",
            json!({"experiment_id": "0", "new_name": "x"}),
        ),
        ("experiments/delete", json!({"experiment_id": "0"})),
        ("experiments/restore", json!({"experiment_id": "0"})),
        (
            "logged-models",
            json!({"experiment_id": "0", "source_run_id": foreign}),
        ),
    ] {
        denied(&app.post(call, &body).await);
    }
    for path in [
        format!("0/{foreign}/artifacts/x"),
        format!("0/{foreign}/artifacts/{captured}/artifacts/x"),
        format!("1/{captured}/artifacts/x"),
        format!("0/{captured}/artifactsx/x"),
        format!("0/{captured}/artifacts"),
        format!("0/{captured}"),
        "x".to_owned(),
    ] {
        denied(&app.put(&path, "x").await);
        denied(
            &app.request(Method::DELETE, &format!("{PROXY}/{path}"), "")
                .await,
        );
    }
    // All of it can be read, and one's own can be changed.
    app.get(&format!("runs/get?run_id={foreign}")).await.ok();
    for run in [captured.as_str(), &child] {
        app.put(&format!("0/{run}/artifacts/a/b.txt"), "x")
            .await
            .ok();
        let metric = json!({"run_id": run, "key": "m", "value": 1, "timestamp": 1});
        app.post("runs/log-metric", &metric).await.ok();
    }
    app.post("runs/delete", &json!({"run_id": child}))
        .await
        .ok();
    let own = app
        .post("experiments/create", &json!({"name": "own"}))
        .await
        .ok();
    app.post(
        "experiments/delete",
        &json!({"experiment_id": own["experiment_id"]}),
    )
    .await
    .ok();
    let tag = json!({"experiment_id": "0", "key": "k", "value": "v"});
    app.post("experiments/set-experiment-tag", &tag).await.ok();
}

#[tokio::test]
async fn a_model_belongs_to_the_run_that_made_it() {
    let (app, captured) = TestApp::run(Vec::new(), Vec::new()).await;
    let model = app
        .post("logged-models", &json!({"experiment_id": "0"}))
        .await
        .ok();
    let info = &model["model"]["info"];
    assert_eq!(info["source_run_id"], captured.as_str());
    let id = info["model_id"].as_str().unwrap();
    app.put(&format!("0/models/{id}/artifacts/MLmodel"), "x")
        .await
        .ok();
    app.patch(&format!("logged-models/{id}"), &json!({"status": 2}))
        .await
        .ok();
    let new = tracking::NewModel {
        id: None,
        experiment: parsed("0"),
        name: None,
        source_run: None,
        model_type: None,
        tags: std::collections::BTreeMap::new(),
        params: std::collections::BTreeMap::new(),
    };
    let bench = &app.bench;
    let foreign = bench
        .tracking
        .create_model(&bench.caller, new)
        .await
        .unwrap()
        .id;
    denied(
        &app.patch(&format!("logged-models/{foreign}"), &json!({"status": 2}))
            .await,
    );
    denied(
        &app.put(&format!("0/models/{foreign}/artifacts/MLmodel"), "x")
            .await,
    );
    denied(
        &app.patch(&format!("logged-models/{foreign}/tags"), &json!({}))
            .await,
    );
    denied(
        &app.post(&format!("logged-models/{foreign}/params"), &json!({}))
            .await,
    );
    let path = format!("/api/2.0/mlflow/logged-models/{foreign}");
    denied(&app.request(Method::DELETE, &path, "").await);
    app.get(&format!("logged-models/{foreign}")).await.ok();
}

/// What a command does that logs with MLflow, and all that it is told.
async fn log_as_a_command(app: &TestApp) -> Vec<Value> {
    let mut told = Vec::new();
    let mut run = app
        .post(
            "runs/create",
            &json!({"experiment_id": "0", "start_time": 1}),
        )
        .await
        .ok();
    let id = run["run"]["info"]["run_id"].as_str().unwrap().to_owned();
    let model = json!({"experiment_id": "0", "name": "model", "source_run_id": id});
    let model = app.post("logged-models", &model).await.ok();
    let model_id = model["model"]["info"]["model_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let output = json!({"run_id": id, "models": [{"model_id": model_id, "step": 0}]});
    app.post("runs/outputs", &output).await.ok();
    let metric =
        json!({"run_id": id, "key": "m", "value": 1, "timestamp": 1, "model_id": model_id});
    app.post("runs/log-metric", &metric).await.ok();
    let path = format!("0/models/{model_id}/artifacts/MLmodel");
    app.put(&path, format!("run_id: {id}\nmodel_id: {model_id}\n"))
        .await
        .ok();
    app.put(&format!("0/{id}/artifacts/{id}/note.txt"), id.clone())
        .await
        .ok();
    let child = app
        .post(
            "runs/create",
            &json!({"experiment_id": "0", "start_time": 2, "tags": [{"key": "mlflow.parentRunId", "value": id}]}),
        )
        .await
        .ok();
    let child_id = child["run"]["info"]["run_id"].as_str().unwrap().to_owned();
    app.post(
        "runs/log-parameter",
        &json!({"run_id": child_id, "key": "p", "value": "1"}),
    )
    .await
    .ok();
    let filter = format!("attributes.run_id = '{child_id}' AND tags.`mlflow.parentRunId` = '{id}'");
    let search = json!({"experiment_ids": ["0"], "filter": filter});
    told.push(app.post("runs/search", &search).await.ok());
    told.push(app.get(&format!("artifacts/list?run_id={id}")).await.ok());
    told.push(
        app.get_path(&format!("{PROXY}?path=0/models/{model_id}/artifacts"))
            .await
            .ok(),
    );
    let models = json!({"experiment_ids": ["0"], "filter": format!("source_run_id = '{id}'")});
    told.push(app.post("logged-models/search", &models).await.ok());
    told.push(app.get(&format!("runs/get?run_id={id}")).await.ok());
    let file = app.download(&path).await;
    told.push(json!(String::from_utf8(file.body).unwrap()));
    let file = app
        .get_path(&format!("/get-artifact?run_id={id}&path={id}/note.txt"))
        .await;
    told.push(json!(String::from_utf8(file.body).unwrap()));
    run["run"]["data"]["tags"] = Value::Null;
    told.extend([run, model, child]);
    told
}

/// Leaves out when things happened, which no replay repeats.
fn without_times(told: &[Value]) -> String {
    fn clean(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for (key, field) in fields.iter_mut() {
                    match key.as_str() {
                        "start_time" | "creation_timestamp_ms" | "last_updated_timestamp_ms" => {
                            *field = Value::Null;
                        }
                        _ => clean(field),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(clean),
            _ => {}
        }
    }
    let mut told = json!(told);
    clean(&mut told);
    serde_json::to_string_pretty(&told).unwrap()
}

#[tokio::test]
async fn a_replay_is_told_the_ids_and_names_of_its_origin() {
    let (app, origin) = TestApp::run(Vec::new(), Vec::new()).await;
    let told_then = log_as_a_command(&app).await;
    let models = app.bench.tracking.list_models_of(&origin).await.unwrap();
    // Of runs inside it, and of models, the store is asked.
    let presented = vec![origin.clone()];
    let (app, replay) = TestApp::run_on(app.bench, presented, Vec::new()).await;
    let told_now = log_as_a_command(&app).await;
    assert_eq!(without_times(&told_then), without_times(&told_now));

    // Behind it all is another run, with another model and child.
    assert_ne!(origin, replay);
    let kept = app.bench.tracking.get_run(&replay).await.unwrap();
    assert_eq!(kept.run.name, "captured");
    assert_ne!(kept.model_outputs[0].model, models[0]);
    let store: &dyn store::Store = app.bench.store.as_ref();
    let below = store
        .list_artifacts_below(&format!("0/{replay}"))
        .await
        .unwrap();
    assert_eq!(
        below[0].path,
        format!("0/{replay}/artifacts/{origin}/note.txt")
    );
    // What is stored is to the byte what was stored then.
    let then = store
        .list_artifacts_below(&format!("0/models/{}", models[0]))
        .await
        .unwrap();
    let now = store
        .list_artifacts_below(&format!("0/models/{}", kept.model_outputs[0].model))
        .await
        .unwrap();
    assert_eq!(then[0].object, now[0].object);
    // The real id, which `reproof log` knows, is the same run.
    let param = json!({"run_id": replay, "key": "by_real_id", "value": "1"});
    app.post("runs/log-parameter", &param).await.ok();
    let found = app.get(&format!("runs/get?run_id={origin}")).await.ok();
    let params = found["run"]["data"]["params"].as_array().unwrap();
    assert!(params.iter().any(|param| param["key"] == "by_real_id"));
}

#[tokio::test]
async fn a_replay_keeps_its_own_name_and_shows_that_of_its_origin() {
    let bench = TestBench::new().await;
    let origin = create_run(&bench, "origin's name").await;
    let (app, replay) = TestApp::run_on(bench, vec![origin.clone()], Vec::new()).await;
    let created = app
        .post("runs/create", &json!({"experiment_id": "0"}))
        .await
        .ok();
    assert_eq!(created["run"]["info"]["run_id"], origin.as_str());
    assert_eq!(created["run"]["info"]["run_name"], "origin's name");
    assert_eq!(
        tag(&created["run"], "mlflow.runName"),
        Some("origin's name")
    );
    let kept = app.bench.tracking.get_run(&replay).await.unwrap().run;
    assert_eq!(kept.name, "captured");
    let rename = json!({"run_id": origin, "key": "mlflow.runName", "value": "new"});
    app.post("runs/set-tag", &rename).await.ok();
    let found = app.get(&format!("runs/get?run_id={origin}")).await.ok();
    assert_eq!(found["run"]["info"]["run_name"], "new");
    // The origin itself, which has the same id, is in no list.
    let all = app
        .post("runs/search", &json!({"experiment_ids": ["0"]}))
        .await
        .ok();
    assert_eq!(all["runs"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_event_tells_that_the_run_s_command_wrote_it() {
    let (app, captured) = TestApp::run(Vec::new(), Vec::new()).await;
    let param = json!({"run_id": captured, "key": "p", "value": "1"});
    let answer = app.post("runs/log-parameter", &param).await;
    let subject = format!("run:{captured}");
    let events = store::LedgerStore::list_events_of(app.bench.store.as_ref(), &subject, 1).await;
    let leaf = entities::Leaf::decode(&events.unwrap()[0].leaf).unwrap();
    assert_eq!(leaf.actor.auth, "run-token");
    assert_eq!(leaf.req.as_deref(), Some(answer.header("x-request-id")));
}
