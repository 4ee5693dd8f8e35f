//! What the differential runner (`tests/differential`) once found to be unlike MLflow's answers, each in short.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

mod support;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use support::{PROXY, TestApp};

#[tokio::test]
async fn a_new_run_tells_no_outputs_and_a_known_one_does() {
    let app = TestApp::team().await;
    let created = app
        .post("runs/create", &json!({"experiment_id": "0"}))
        .await
        .ok();
    assert_eq!(created["run"]["outputs"], Value::Null);
    let id = created["run"]["info"]["run_id"].as_str().unwrap();
    let found = app.get(&format!("runs/get?run_id={id}")).await.ok();
    assert_eq!(found["run"]["outputs"], json!({}));
}

#[tokio::test]
async fn keys_of_a_new_run_s_tags_may_hold_any_letter_and_later_ones_not() {
    let app = TestApp::team().await;
    let tags = json!([{"key": "what? {of} it*", "value": "1"}, {"key": "../x", "value": "2"}]);
    let created = json!({"experiment_id": "0", "tags": tags});
    let run = app.create_run(&created).await;
    let found = app.get(&format!("runs/get?run_id={run}")).await.ok();
    let kept = found["run"]["data"]["tags"].as_array().unwrap();
    for tag in tags.as_array().unwrap() {
        assert!(kept.contains(tag), "{tag} is not in {kept:?}");
    }
    let tag = json!({"run_id": run, "key": "what?", "value": "1"});
    assert_eq!(app.post("runs/set-tag", &tag).await.error().0, 400);
    let long = json!({"experiment_id": "0", "tags": [{"key": "k".repeat(251), "value": ""}]});
    let (status, _, message) = app.post("runs/create", &long).await.error();
    assert_eq!(status, 400, "{message}");
}

#[tokio::test]
async fn experiments_come_newest_first_whatever_was_changed_since() {
    let app = TestApp::team().await;
    for name in ["first", "second"] {
        app.bench.clock.advance_millis(5);
        app.post("experiments/create", &json!({"name": name}))
            .await
            .ok();
    }
    app.bench.clock.advance_millis(5);
    let renaming = json!({"experiment_id": "1", "new_name": "renamed"});
    app.post("experiments/update", &renaming).await.ok();
    let found = app
        .post("experiments/search", &json!({"max_results": 10}))
        .await
        .ok();
    let names: Vec<_> = found["experiments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|experiment| experiment["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["second", "renamed", "Default"]);
}

#[tokio::test]
async fn an_artifact_location_has_no_fragment() {
    let app = TestApp::team().await;
    let experiment = json!({"name": "x", "artifact_location": "s3://bucket/a#b"});
    let answer = app.post("experiments/create", &experiment).await;
    let (status, code, message) = answer.error();
    assert_eq!(
        (status, code.as_str(), message.as_str()),
        (
            400,
            "INVALID_PARAMETER_VALUE",
            "'artifact_location' URL can't include fragments or params."
        )
    );
}

#[tokio::test]
async fn a_metric_is_of_a_model_that_is_there_and_of_a_dataset_that_is_named_whole() {
    let app = TestApp::team().await;
    let run = app.create_run(&json!({"experiment_id": "0"})).await;
    let point = |more: Value| {
        let mut point = json!({"run_id": run, "key": "a", "value": 1, "timestamp": 1});
        point
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        point
    };
    for half in [
        json!({"dataset_name": "d"}),
        json!({"dataset_digest": "1"}),
        json!({"dataset_name": "d", "dataset_digest": ""}),
    ] {
        let answer = app.post("runs/log-metric", &point(half)).await;
        assert_eq!(
            answer.error().2,
            "Both dataset_name and dataset_digest must be provided if one is provided"
        );
    }
    let stray = json!({"model_id": "m-nowhere"});
    let answer = app.post("runs/log-metric", &point(stray.clone())).await;
    let (status, code, message) = answer.error();
    assert_eq!(
        (status, code.as_str()),
        (404, "RESOURCE_DOES_NOT_EXIST"),
        "{message}"
    );
    let mut batched = point(stray);
    batched.as_object_mut().unwrap().remove("run_id");
    let batch =
        json!({"run_id": run, "metrics": [batched], "params": [{"key": "p", "value": "1"}]});
    assert_eq!(app.post("runs/log-batch", &batch).await.error().0, 404);
    let found = app.get(&format!("runs/get?run_id={run}")).await.ok();
    assert_eq!(found["run"]["data"]["params"], Value::Null);
    assert_eq!(found["run"]["data"]["metrics"], Value::Null);
}

#[tokio::test]
async fn a_logged_model_without_a_type_and_a_run_tells_empty_ones() {
    let app = TestApp::team().await;
    let info = app
        .post("logged-models", &json!({"experiment_id": "0"}))
        .await
        .ok()["model"]["info"]
        .clone();
    assert_eq!(
        (info["model_type"].as_str(), info["source_run_id"].as_str()),
        (Some(""), Some(""))
    );
}

#[tokio::test]
async fn histories_of_several_runs_say_what_is_missing_and_that_there_is_none() {
    let app = TestApp::team().await;
    let run = app.create_run(&json!({"experiment_id": "0"})).await;
    let bulk = format!("metrics/get-history-bulk?run_id={run}");
    let found = app.get(&format!("{bulk}&metric_key=a")).await.ok();
    assert_eq!(found, json!({"metrics": []}));
    let point = json!({"run_id": run, "key": "b", "value": 1, "timestamp": 1});
    app.post("runs/log-metric", &point).await.ok();
    let twice = format!("{bulk}&run_id={run}&metric_key=b");
    let found = app.get(&twice).await.ok();
    assert_eq!(
        found["metrics"].as_array().unwrap().len(),
        1,
        "a run that is named twice counts once"
    );
    assert_eq!(
        app.get(&bulk).await.error().2,
        "GetMetricHistoryBulk request must specify a metric_key."
    );
    let interval = "metrics/get-history-bulk-interval?metric_key=a";
    let said = app.get(interval).await.error().2;
    assert!(said.contains("required parameter 'run_ids'"), "{said}");
    let (status, _, said) = app
        .get(&format!("{interval}&run_ids={run}&max_results=2501"))
        .await
        .error();
    assert_eq!(status, 400);
    assert!(
        said.starts_with("max_results must be between 1 and 2500. See"),
        "{said}"
    );
    let found = app.get(&format!("{interval}&run_ids={run}")).await.ok();
    assert_eq!(found, json!({}));
}

#[tokio::test]
async fn what_names_a_version_of_nothing_is_told_that_the_version_is_not_there() {
    let app = TestApp::team().await;
    let no_version = "Model Version (name=none, version=1) not found";
    let alias = json!({"name": "none", "alias": "best", "version": "1"});
    let answer = app.post("registered-models/alias", &alias).await;
    assert_eq!(answer.error().2, no_version);
    let tag = json!({"name": "none", "version": "1", "key": "a", "value": "b"});
    let answer = app.post("model-versions/set-tag", &tag).await;
    assert_eq!(answer.error().2, no_version);
    // What can be no alias is told before the model is looked for.
    let answer = app.get("registered-models/alias?name=none&alias=a%20b");
    assert_eq!(answer.await.error().0, 400);
}

#[tokio::test]
async fn experiments_that_are_named_twice_count_once() {
    let app = TestApp::team().await;
    let run = app.create_run(&json!({"experiment_id": "0"})).await;
    let input = json!({
        "run_id": run,
        "datasets": [{"dataset": {"name": "d", "digest": "1", "source_type": "s", "source": "s"}}]
    });
    app.post("runs/log-inputs", &input).await.ok();
    let twice = json!({"experiment_ids": ["0", "0"]});
    let found = app.post("experiments/search-datasets", &twice).await.ok();
    assert_eq!(found["dataset_summaries"].as_array().unwrap().len(), 1);

    let path = "/api/3.0/mlflow/datasets/create";
    let dataset = json!({"name": "qa", "experiment_ids": ["0", "0"]}).to_string();
    let made = app.request(Method::POST, path, dataset).await.ok();
    assert_eq!(made["dataset"]["experiment_ids"], json!(["0"]));
}

#[tokio::test]
async fn deleting_an_artifact_again_is_no_fault_and_records_nothing() {
    let app = TestApp::team().await;
    let run = app.create_run(&json!({"experiment_id": "0"})).await;
    let path = format!("0/{run}/artifacts/a.txt");
    app.put(&path, "hello").await.ok();
    let full = format!("{PROXY}/{path}");
    let deleted = || app.request(Method::DELETE, &full, "");
    assert_eq!(deleted().await.ok(), json!({}));
    let subject = format!("run:{run}");
    let events = async || {
        app.bench
            .store
            .list_events_of(&subject, 100)
            .await
            .unwrap()
            .len()
    };
    let before = events().await;
    assert_eq!(deleted().await.ok(), json!({}));
    assert_eq!(events().await, before);
    assert_eq!(app.download(&path).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_empty_name_changes_nothing() {
    let app = TestApp::team().await;
    let new = json!({"experiment_id": "0", "run_name": "first"});
    let run = app.create_run(&new).await;
    let tag = json!({"run_id": run, "key": "mlflow.runName", "value": ""});
    app.post("runs/set-tag", &tag).await.ok();
    let found = app.get(&format!("runs/get?run_id={run}")).await.ok();
    assert_eq!(found["run"]["info"]["run_name"], "first");
    let named = json!({"key": "mlflow.runName", "value": "first"});
    let tags = found["run"]["data"]["tags"].as_array().unwrap();
    assert!(tags.contains(&named), "{tags:?}");
}
