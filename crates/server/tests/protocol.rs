//! What is answered, whole, as snapshots.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

mod support;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use support::{TestApp, steady};

#[tokio::test]
async fn a_logged_run_is_answered_whole() {
    let app = TestApp::team().await;
    let created = app
        .post(
            "runs/create",
            &json!({
                "experiment_id": "0", "start_time": 5, "run_name": "first", "user_id": "u",
                "tags": [{"key": "mlflow.user", "value": "me"}]
            }),
        )
        .await;
    let id = created.ok()["run"]["info"]["run_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let model = app
        .post("logged-models", &json!({"experiment_id": "0"}))
        .await
        .ok()["model"]["info"]["model_id"]
        .clone();
    let batch = json!({
        "runId": id,
        "metrics": [
            {"key": "loss", "value": 0.5, "timestamp": 10, "step": 1},
            {"key": "loss", "value": "NaN", "timestamp": "11", "step": "2"},
            {"key": "huge", "value": "-Infinity", "timestamp": 1},
            {"key": "of_model", "value": 1, "timestamp": 1, "model_id": model, "dataset_name": "d", "dataset_digest": "x"}
        ],
        "params": [{"key": "lr", "value": "0.1"}, {"key": "none"}],
        "tags": [{"key": "t", "value": "ü"}],
        "unknown": [1, 2]
    });
    app.post("runs/log-batch", &batch).await.ok();
    app.post(
        "runs/log-inputs",
        &json!({
            "run_id": id,
            "datasets": [{
                "tags": [{"key": "mlflow.data.context", "value": "train"}],
                "dataset": {"name": "d", "digest": "x", "source_type": "local", "source": "{}", "schema": "s"}
            }]
        }),
    )
    .await
    .ok();
    let found = app.get(&format!("runs/get?run_id={id}")).await.ok();
    insta::assert_json_snapshot!("run", steady(found));
    app.post(
        "runs/update",
        &json!({"run_id": id, "status": "FINISHED", "end_time": 99}),
    )
    .await
    .ok();
    let search = json!({"experiment_ids": ["0"], "filter": "params.lr = '0.1'", "max_results": 5});
    let found = app.post("runs/search", &search).await.ok();
    insta::assert_json_snapshot!("found_run", steady(found));
    let history = app
        .get(&format!("metrics/get-history?run_id={id}&metric_key=loss"))
        .await;
    insta::assert_json_snapshot!("history", steady(history.ok()));
}

#[tokio::test]
async fn experiments_are_answered_whole() {
    let app = TestApp::team().await;
    let tags = json!([{"key": "team", "value": "a"}]);
    let create = json!({"name": "e", "tags": tags});
    let id = app.post("experiments/create", &create).await.ok()["experiment_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let tag = json!({"experiment_id": id, "key": "k", "value": "v"});
    app.post("experiments/set-experiment-tag", &tag).await.ok();
    let found = app
        .get("experiments/get-by-name?experiment_name=e")
        .await
        .ok();
    insta::assert_json_snapshot!("experiment", steady(found));
    app.post("experiments/delete-experiment-tag", &tag)
        .await
        .ok();
    app.post(
        "experiments/update",
        &json!({"experiment_id": id, "new_name": "f"}),
    )
    .await
    .ok();
    app.post("experiments/delete", &json!({"experiment_id": id}))
        .await
        .ok();
    let search = json!({"max_results": 10, "view_type": "ALL", "order_by": ["name ASC"]});
    let all = app.post("experiments/search", &search).await.ok();
    let by_query = app
        .get("experiments/search?max_results=10&view_type=3&order_by=name+ASC")
        .await;
    assert_eq!(all, by_query.ok());
    insta::assert_json_snapshot!("experiments", steady(all));
    app.post("experiments/restore", &json!({"experiment_id": id}))
        .await
        .ok();
    let one = app
        .post("experiments/search", &json!({"max_results": 1}))
        .await
        .ok();
    let token = one["next_page_token"].as_str().unwrap();
    let next = json!({"max_results": 1, "page_token": token});
    let other = app.post("experiments/search", &next).await.ok();
    assert_ne!(one["experiments"], other["experiments"]);
}

#[tokio::test]
async fn a_logged_model_is_answered_whole() {
    let app = TestApp::team().await;
    let run = app.create_run(&json!({"experiment_id": "0"})).await;
    let create = json!({
        "experiment_id": "0", "name": "model", "model_type": "", "source_run_id": run,
        "params": [{"key": "p", "value": "1"}], "tags": [{"key": "t", "value": "1"}]
    });
    let created = app.post("logged-models", &create).await.ok();
    insta::assert_json_snapshot!("created_model", steady(created.clone()));
    let id = created["model"]["info"]["model_id"].as_str().unwrap();
    app.post(
        "runs/outputs",
        &json!({"run_id": run, "models": [{"model_id": id, "step": 3}]}),
    )
    .await
    .ok();
    let metric = json!({"run_id": run, "key": "acc", "value": 0.5, "timestamp": 1, "model_id": id});
    app.post("runs/log-metric", &metric).await.ok();
    let one = format!("logged-models/{id}");
    app.post(
        &format!("{one}/params"),
        &json!({"params": [{"key": "q", "value": "2"}]}),
    )
    .await
    .ok();
    app.patch(
        &format!("{one}/tags"),
        &json!({"tags": [{"key": "a/b", "value": "x"}]}),
    )
    .await
    .ok();
    let gone = format!("/api/2.0/mlflow/{one}/tags/t");
    app.request(Method::DELETE, &gone, "").await.ok();
    let path = format!("0/models/{id}/artifacts/MLmodel");
    app.put(&path, "flavors: {}").await.ok();
    let ready = app
        .patch(
            &one,
            &json!({"model_id": id, "status": "LOGGED_MODEL_READY"}),
        )
        .await;
    insta::assert_json_snapshot!("ready_model", steady(ready.ok()));
    let search = json!({
        "experiment_ids": ["0"], "filter": format!("source_run_id = '{run}'"),
        "order_by": [{"field_name": "metrics.acc", "ascending": false}, {"field_name": "creation_timestamp"}]
    });
    let found = app.post("logged-models/search", &search).await.ok();
    assert_eq!(found["models"][0], app.get(&one).await.ok()["model"]);
    assert_eq!(
        found["models"][0]["data"]["metrics"][0]["run_id"],
        run.as_str()
    );
    let files = app.get(&format!("{one}/artifacts/directories")).await.ok();
    assert_eq!(
        files["files"],
        json!([{"path": "MLmodel", "is_dir": false, "file_size": 11}])
    );
    let file = app
        .get(&format!("{one}/artifacts/files?artifact_file_path=MLmodel"))
        .await;
    assert_eq!(file.body, b"flavors: {}");
    app.request(Method::DELETE, &format!("/api/2.0/mlflow/{one}"), "")
        .await
        .ok();
    assert_eq!(app.get(&one).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn both_prefixes_answer_and_what_is_unknown_is_a_page() {
    let app = TestApp::team().await;
    let api = app.get("experiments/get?experiment_id=0").await.ok();
    let ajax = app
        .get_path("/ajax-api/2.0/mlflow/experiments/get?experiment_id=0")
        .await;
    assert_eq!(api, ajax.ok());
    for path in [
        "/api/2.0/mlflow/nope",
        "/nope",
        "/api/1.0/mlflow/experiments/get",
        "/api/2.0/mlflow/gateway/endpoints/list",
    ] {
        let answer = app.get_path(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        assert!(answer.body.starts_with(b"<!doctype html>"), "{path}");
    }
    let wrong = app.get("experiments/create").await;
    assert_eq!(wrong.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(wrong.header("allow"), "POST");
    assert!(wrong.body.starts_with(b"<!doctype html>"));
}

#[tokio::test]
async fn histories_are_paged_sampled_and_sent_whole() {
    let app = TestApp::team().await;
    let id = app.create_run(&json!({"experiment_id": "0"})).await;
    let other = app.create_run(&json!({"experiment_id": "0"})).await;
    for start in (0..30_000).step_by(1000) {
        let points: Vec<_> = (start..start + 1000)
            .map(|step| json!({"key": "m", "value": step, "timestamp": step, "step": step}))
            .collect();
        app.post("runs/log-batch", &json!({"run_id": id, "metrics": points}))
            .await
            .ok();
    }
    let point = json!({"run_id": other, "key": "m", "value": "NaN", "timestamp": 1});
    app.post("runs/log-metric", &point).await.ok();

    let all = app
        .get(&format!("metrics/get-history?run_id={id}&metric_key=m"))
        .await
        .ok();
    let points = all["metrics"].as_array().unwrap();
    assert_eq!(points.len(), 30_000);
    assert!(
        points
            .iter()
            .zip(0..)
            .all(|(point, step)| point["step"] == step)
    );
    let first = app
        .get(&format!(
            "metrics/get-history?run_id={id}&metric_key=m&max_results=20000"
        ))
        .await
        .ok();
    let token = first["next_page_token"].as_str().unwrap();
    let second = app
        .get(&format!(
            "metrics/get-history?run_id={id}&metric_key=m&max_results=20000&page_token={token}"
        ))
        .await
        .ok();
    assert_eq!(second["metrics"].as_array().unwrap().len(), 10_000);
    assert!(second.get("next_page_token").is_none());

    let runs = format!("run_ids={id}&run_ids={other}");
    let sampled = app
        .get(&format!(
            "metrics/get-history-bulk-interval?{runs}&metric_key=m&max_results=3"
        ))
        .await
        .ok();
    insta::assert_json_snapshot!("sample", steady(sampled));
    let range = "&start_step=100&end_step=101";
    let some = app
        .get(&format!(
            "metrics/get-history-bulk-interval?{runs}&metric_key=m{range}"
        ))
        .await
        .ok();
    assert_eq!(some["metrics"].as_array().unwrap().len(), 2);
    let bulk = app
        .get_path(&format!(
            "/ajax-api/2.0/mlflow/metrics/get-history-bulk?run_id={other}&run_id={id}&run_id=unknown&metric_key=m&max_results=7"
        ))
        .await
        .ok();
    assert_eq!(bulk["metrics"].as_array().unwrap().len(), 7);
    for (query, said) in [
        ("metric_key=m", "required parameter 'run_ids'"),
        (
            "run_ids=a&metric_key=m&start_step=2",
            "both must be specified",
        ),
        (
            "run_ids=a&metric_key=m&start_step=2&end_step=1",
            "end_step must be greater",
        ),
        (
            "run_ids=a&metric_key=m&max_results=2501",
            "between 1 and 2500",
        ),
        ("run_ids=a&metric_key=m&max_results=0", "between 1 and 2500"),
        ("run_ids=a&metric_key=m", "Run with id=a not found"),
        (&"run_ids=a&".repeat(101), "Received 101 run_ids"),
    ] {
        let refused = app
            .get(&format!("metrics/get-history-bulk-interval?{query}"))
            .await;
        let (_, _, message) = refused.error();
        assert!(message.contains(said), "{message}");
    }
}

#[tokio::test]
async fn what_python_alone_writes_is_kept_as_it_was_meant() {
    let app = TestApp::team().await;
    let id = app.create_run(&json!({"experiment_id": "0"})).await;
    let body = format!(r#"{{"run_id":"{id}","key":"m","value":NaN,"timestamp":7}}"#);
    let path = "/api/2.0/mlflow/runs/log-metric";
    app.request(Method::POST, path, body).await.ok();
    let history = app
        .get(&format!("metrics/get-history?run_id={id}&metric_key=m"))
        .await;
    assert_eq!(
        history.ok()["metrics"],
        json!([{"key": "m", "value": "NaN", "timestamp": 7, "step": 0}])
    );
    let long = "x".repeat(100_000);
    let param = json!({"run_id": id, "key": "p", "value": long});
    app.post("runs/log-parameter", &param).await.ok();
    let run = app.get(&format!("runs/get?run_id={id}")).await.ok();
    assert_eq!(run["run"]["data"]["params"][0]["value"], long.as_str());
}

#[tokio::test]
async fn models_of_older_clients_are_listed_in_their_tag() {
    let app = TestApp::team().await;
    let id = app.create_run(&json!({"experiment_id": "0"})).await;
    for name in ["a", "b"] {
        let model = json!({"run_id": id, "artifact_path": name, "flavors": {}}).to_string();
        app.post(
            "runs/log-model",
            &json!({"run_id": id, "model_json": model}),
        )
        .await
        .ok();
    }
    let tags = app.get(&format!("runs/get?run_id={id}")).await.ok()["run"]["data"]["tags"].clone();
    let tags = tags.as_array().unwrap();
    let tag = tags
        .iter()
        .find(|tag| tag["key"] == "mlflow.log-model.history")
        .unwrap();
    let listed: Vec<serde_json::Value> =
        serde_json::from_str(tag["value"].as_str().unwrap()).unwrap();
    assert_eq!(
        listed
            .iter()
            .map(|model| &model["artifact_path"])
            .collect::<Vec<_>>(),
        ["a", "b"]
    );
    for model in ["x", "[]", "{}"] {
        let refused = app
            .post(
                "runs/log-model",
                &json!({"run_id": id, "model_json": model}),
            )
            .await;
        assert_eq!(refused.error().1, "INVALID_PARAMETER_VALUE");
    }
}

#[tokio::test]
async fn every_event_names_its_request() {
    let app = TestApp::team().await;
    let answer = app.post("experiments/create", &json!({"name": "e"})).await;
    let request = answer.header("x-request-id").to_owned();
    assert_eq!(request.len(), 16);
    let events = store::LedgerStore::list_events_of(app.bench.store.as_ref(), "experiment:1", 1)
        .await
        .unwrap();
    let leaf = entities::Leaf::decode(&events[0].leaf).unwrap();
    assert_eq!(leaf.req, Some(request));
    assert_eq!(
        (leaf.actor.id.as_str(), leaf.actor.auth.as_str()),
        ("u:ann", "none")
    );
}

#[tokio::test]
async fn models_are_found_and_ordered_by_what_was_measured_on_a_dataset() {
    let app = TestApp::team().await;
    let run = json!({"experiment_id": "0", "start_time": 1});
    let run = app.post("runs/create", &run).await.ok();
    let run = run["run"]["info"]["run_id"].clone();
    let mut models = Vec::new();
    // The first is better on the test set, the second on the other.
    for (name, on_test, on_other) in [("one", 0.9, 0.2), ("two", 0.5, 0.8)] {
        let model = json!({"experiment_id": "0", "name": name});
        let model = app.post("logged-models", &model).await.ok();
        let id = model["model"]["info"]["model_id"].clone();
        for (dataset, value) in [("test", on_test), ("other", on_other)] {
            let point = json!({
                "run_id": run, "key": "acc", "value": value, "timestamp": 1, "step": 0, "model_id": id,
                "dataset_name": dataset, "dataset_digest": format!("{dataset}-digest"),
            });
            app.post("runs/log-metric", &point).await.ok();
        }
        models.push(id);
    }
    let find = async |body: Value| {
        let mut body = body;
        body["experiment_ids"] = json!(["0"]);
        let found = app.post("logged-models/search", &body).await.ok();
        let found = found["models"].as_array().cloned().unwrap_or_default();
        let ids = found.iter().map(|model| model["info"]["model_id"].clone());
        ids.collect::<Vec<_>>()
    };
    let (one, two) = (&models[0], &models[1]);
    let on_test = json!([{"dataset_name": "test"}]);
    let good_on_test = json!({"filter": "metrics.acc > 0.7", "datasets": on_test});
    assert_eq!(find(good_on_test).await, std::slice::from_ref(one));
    let good = json!({"filter": "metrics.acc > 0.7"});
    assert_eq!(find(good).await.len(), 2);
    let other_digest = json!({"datasets": [{"dataset_name": "test", "dataset_digest": "x"}]});
    assert!(find(other_digest).await.is_empty());
    let either = json!({"datasets": [{"datasetName": "test", "datasetDigest": "test-digest"}, {"dataset_name": "none"}]});
    assert_eq!(find(either).await.len(), 2);
    for (dataset, expected) in [("test", [one, two]), ("other", [two, one])] {
        let order =
            json!([{"field_name": "metrics.acc", "ascending": false, "dataset_name": dataset}]);
        let found = find(json!({"order_by": order})).await;
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{dataset}");
    }
    let unnamed = json!({"experiment_ids": ["0"], "datasets": [{"dataset_digest": "x"}]});
    let refused = app.post("logged-models/search", &unnamed).await.error();
    assert_eq!(refused.0, 400);
    assert!(refused.2.contains("`dataset_name`"), "{}", refused.2);
}

#[tokio::test]
async fn datasets_of_experiments_are_summed_up() {
    let app = TestApp::team().await;
    let run = json!({"experiment_id": "0", "start_time": 1});
    let run = app.post("runs/create", &run).await.ok();
    let inputs = json!({
        "run_id": run["run"]["info"]["run_id"],
        "datasets": [{
            "tags": [{"key": "mlflow.data.context", "value": "train"}],
            "dataset": {"name": "d", "digest": "x", "source_type": "local", "source": "{}"},
        }],
    });
    app.post("runs/log-inputs", &inputs).await.ok();
    let expected = json!({"dataset_summaries": [
        {"experiment_id": "0", "name": "d", "digest": "x", "context": "train"},
    ]});
    let of_default = json!({"experiment_ids": ["0"]});
    // The first is MLflow's own address, which lacks a slash.
    for path in [
        "/api/2.0mlflow/experiments/search-datasets",
        "/ajax-api/2.0/mlflow/experiments/search-datasets",
    ] {
        let answer = app
            .request(Method::POST, path, of_default.to_string())
            .await;
        assert_eq!(answer.ok(), expected, "{path}");
    }
    let none = app.post("experiments/search-datasets", &json!({})).await;
    assert_eq!(
        none.error().2,
        "SearchDatasets request must specify at least one experiment_id."
    );
    let many: Vec<String> = (0..21).map(|id| id.to_string()).collect();
    let many = app
        .post(
            "experiments/search-datasets",
            &json!({"experiment_ids": many}),
        )
        .await;
    assert!(many.error().2.ends_with("Received 21 experiment_ids."));
}

/// Such as nanoseconds where milliseconds are asked for.
#[tokio::test]
async fn times_of_any_year_are_kept_and_read_again() {
    let app = TestApp::team().await;
    for time_ms in [i64::MAX, i64::MIN, 1_760_000_000_000_000_000] {
        let run = json!({ "experiment_id": "0", "start_time": time_ms });
        let run = app.create_run(&run).await;
        let ended = json!({ "run_id": run, "status": "FINISHED", "end_time": time_ms });
        app.post("runs/update", &ended).await.ok();
        app.get(&format!("runs/get?run_id={run}")).await.ok();
        let trace = json!({ "experiment_id": "0", "timestamp_ms": time_ms });
        let trace = app.post("traces", &trace).await.ok();
        let trace = trace["trace_info"]["request_id"].as_str().unwrap();
        for other_ms in [i64::MIN, i64::MAX, time_ms] {
            let ended = json!({ "timestamp_ms": other_ms, "status": "OK" });
            app.patch(&format!("traces/{trace}"), &ended).await.ok();
        }
        let path = format!("/api/3.0/mlflow/traces/{trace}");
        app.get_path(&path).await.ok();
    }
    assert_eq!(app.bench.store.verify_projection().await.unwrap(), None);
}
