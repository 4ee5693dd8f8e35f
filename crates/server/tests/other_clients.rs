//! Requests in the form in which MLflow's Java and R clients send them.
//!
//! Java writes its messages as protobuf's JSON: 64-bit numbers in quotes, enumerations by name, both names of a run's id,
//! and reads without a body. R writes every value as a text, numbers too, and sends what it reads by in the query.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

mod support;

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};
use support::{Answer, TestApp};

/// Sends as a client does: what it calls itself, what it takes, and the form of a body where there is one.
async fn send(
    app: &TestApp,
    client: &str,
    method: Method,
    call: &str,
    body: Option<Value>,
) -> Answer {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("/api/2.0/mlflow/{call}"))
        .header("user-agent", client)
        .header("accept", "application/json, text/xml, application/xml, */*");
    if body.is_some() {
        request = request.header("content-type", "application/json");
    }
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    app.send(request.body(Body::from(body)).unwrap()).await
}

#[tokio::test]
async fn the_java_client_s_requests_are_read() {
    let app = TestApp::team().await;
    let java = "mlflow-java-client/3.6.0";
    let post = async |call: &str, body: Value| {
        let answer = send(&app, java, Method::POST, call, Some(body)).await;
        answer.ok()
    };
    let get = async |call: &str| send(&app, java, Method::GET, call, None).await.ok();

    let made = post("experiments/create", json!({"name": "java é"})).await;
    let experiment = made["experiment_id"].as_str().unwrap();
    let found = get("experiments/get-by-name?experiment_name=java+%C3%A9").await;
    assert_eq!(found["experiment"]["experiment_id"], experiment);

    let new = json!({"experiment_id": experiment, "user_id": "ann", "start_time": "1700000000000"});
    let made = post("runs/create", new).await;
    let info = &made["run"]["info"];
    let run = info["run_id"].as_str().unwrap();
    // Its parser takes 64-bit numbers bare, and needs the old name of the id beside the new one.
    assert_eq!(info["start_time"], 1_700_000_000_000_i64);
    assert_eq!(info["run_uuid"], run);

    let both = |more: Value| {
        let mut body = json!({"run_id": run, "run_uuid": run});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        body
    };
    let point = json!({"key": "loss", "value": 0.5, "timestamp": "1700000000001", "step": "3"});
    post("runs/log-metric", both(point)).await;
    let odd = json!({"key": "odd", "value": "NaN", "timestamp": "1700000000001"});
    post("runs/log-metric", both(odd)).await;
    let param = json!({"key": "lr", "value": "0.1"});
    post("runs/log-parameter", both(param)).await;
    let batch = json!({
        "run_id": run,
        "metrics": [{"key": "loss", "value": 0.25, "timestamp": "1700000000002", "step": "-4"}],
        "tags": [{"key": "t", "value": "1"}]
    });
    post("runs/log-batch", batch).await;
    let end = json!({"status": "FINISHED", "end_time": "1700000000009"});
    let ended = post("runs/update", both(end)).await;
    assert_eq!(ended["run_info"]["end_time"], 1_700_000_000_009_i64);

    let found = get(&format!("runs/get?run_uuid={run}&run_id={run}")).await;
    assert_eq!(found["run"]["info"]["status"], "FINISHED");
    let history = get(&format!(
        "metrics/get-history?run_uuid={run}&run_id={run}&metric_key=loss"
    ))
    .await;
    let steps: Vec<_> = history["metrics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|point| point["step"].as_i64().unwrap())
        .collect();
    assert_eq!(steps, [3, -4]);
    let searched = post(
        "runs/search",
        json!({
            "experiment_ids": [experiment], "filter": "params.lr = '0.1'",
            "run_view_type": "ACTIVE_ONLY", "max_results": 1000, "order_by": []
        }),
    )
    .await;
    assert_eq!(searched["runs"][0]["info"]["run_id"], run);
    let listed = get(&format!("artifacts/list?run_uuid={run}&run_id={run}")).await;
    assert!(listed["root_uri"].is_string(), "{listed}");

    post("registered-models/create", json!({"name": "net"})).await;
    let version = json!({"name": "net", "source": "s3://bucket/net", "run_id": run});
    post("model-versions/create", version).await;
    let latest = get("registered-models/get-latest-versions?name=net").await;
    assert_eq!(latest["model_versions"][0]["version"], "1");
    let stages = "registered-models/get-latest-versions?name=net&stages=None&stages=Staging";
    assert_eq!(get(stages).await["model_versions"][0]["version"], "1");
    let source = get("model-versions/get-download-uri?name=net&version=1").await;
    assert_eq!(source["artifact_uri"], "s3://bucket/net");
}

#[tokio::test]
async fn the_r_client_s_requests_are_read() {
    let app = TestApp::team().await;
    let r = "mlflow-r-client/3.6.0";
    let post = async |call: &str, body: Value| {
        let answer = send(&app, r, Method::POST, call, Some(body)).await;
        answer.ok()
    };
    let get = async |call: &str| send(&app, r, Method::GET, call, None).await.ok();

    let made = post("experiments/create", json!({"name": "r", "tags": []})).await;
    let experiment = made["experiment_id"].as_str().unwrap();
    let new = json!({
        "experiment_id": experiment, "user_id": "ann", "start_time": "1700000000123",
        "tags": [{"key": "mlflow.source.name", "value": "train.R"}]
    });
    let made = post("runs/create", new).await;
    let run = made["run"]["info"]["run_id"].as_str().unwrap();
    for (key, value) in [("loss", "0.5"), ("count", "3"), ("small", "1e-04")] {
        let point = json!({
            "run_uuid": run, "run_id": run, "key": key, "value": value,
            "timestamp": "1700000000124", "step": "2"
        });
        post("runs/log-metric", point).await;
    }
    for value in ["NaN", "Infinity", "-Infinity"] {
        let point = json!({
            "run_uuid": run, "run_id": run, "key": format!("is {value}"), "value": value,
            "timestamp": "1700000000124", "step": "0"
        });
        post("runs/log-metric", point).await;
    }
    let batch = json!({
        "run_id": run,
        "metrics": [{"key": "loss", "value": "0.25", "timestamp": "1700000000125", "step": "3"}],
        "params": [{"key": "trees", "value": "500"}, {"key": "is_deep", "value": "TRUE"}],
        "tags": []
    });
    post("runs/log-batch", batch).await;
    let end = json!({
        "run_uuid": run, "run_id": run, "status": "FINISHED", "end_time": "1700000000999"
    });
    post("runs/update", end).await;

    let found = get(&format!("runs/get?run_uuid={run}&run_id={run}")).await;
    let metrics = found["run"]["data"]["metrics"].as_array().unwrap();
    let value_of = |key: &str| {
        let metric = metrics.iter().find(|metric| metric["key"] == key);
        metric.unwrap()["value"].clone()
    };
    assert_eq!(value_of("loss"), 0.25);
    assert_eq!(value_of("count"), 3.0);
    assert_eq!(value_of("small"), 1e-4);
    assert_eq!(value_of("is NaN"), "NaN");
    let searched = post(
        "runs/search",
        json!({
            "experiment_ids": [experiment], "filter": "metrics.loss < 0.3",
            "run_view_type": "ACTIVE_ONLY", "order_by": []
        }),
    )
    .await;
    assert_eq!(
        searched["runs"][0]["info"]["end_time"],
        1_700_000_000_999_i64
    );
    let paged = json!({"max_results": "10", "view_type": "ACTIVE_ONLY"});
    let experiments = post("experiments/search", paged).await;
    assert_eq!(experiments["experiments"].as_array().unwrap().len(), 2);
    let path = format!("artifacts/list?run_uuid={run}&run_id={run}&path=");
    assert!(get(&path).await["root_uri"].is_string());
}
