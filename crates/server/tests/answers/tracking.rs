//! Experiments, runs, metrics and artifacts.

use super::*;

/// Gives the experiment and the run that others are told of.
pub(super) async fn walk(walk: &mut Walk) -> (String, String) {
    server(walk).await;
    let experiment = experiments(walk).await;
    let run = runs(walk, &experiment).await;
    log(walk, &run).await;
    histories(walk, &run).await;
    long_history(walk, &run).await;
    datasets(walk, &experiment).await;
    artifacts(walk, &experiment, &run).await;
    let found = walk.get(&format!("{V2}/runs/get?run_id={run}")).await;
    assert!(found["run"]["data"]["metrics"].as_array().unwrap().len() >= 4);
    let asked = json!({ "experiment_ids": [experiment], "max_results": 1 });
    let found = walk.post(&format!("{V2}/runs/search"), asked).await;
    assert!(found["next_page_token"].is_string());
    (experiment, run)
}

async fn server(walk: &mut Walk) {
    for path in ["/health", "/version"] {
        walk.send("GET", path, "").await;
    }
    for path in [
        "/openapi.json",
        "/api/3.0/mlflow/server-info",
        "/ajax-api/3.0/mlflow/ui-telemetry",
    ] {
        walk.get(path).await;
    }
    walk.post("/ajax-api/3.0/mlflow/ui-telemetry", json!({}))
        .await;
}

async fn artifacts(walk: &mut Walk, experiment: &str, run: &str) {
    let proxy = "/api/2.0/mlflow-artifacts/artifacts";
    let folder = format!("{experiment}/{run}/artifacts");
    for name in ["a.txt", "sub/b.txt"] {
        let path = format!("{proxy}/{folder}/{name}");
        walk.send("PUT", &path, "text").await;
        walk.send("GET", &path, "").await;
    }
    let page = format!("/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path=c.txt");
    walk.send("POST", &page, "text").await;
    walk.ask("DELETE", &format!("{proxy}/{folder}/c.txt"), json!({}))
        .await;
    for path in [
        format!("{V2}/artifacts/list?run_id={run}"),
        format!("{proxy}?path={folder}"),
        format!("{proxy}/?path={folder}/sub"),
    ] {
        let listed = walk.get(&path).await;
        assert!(listed["files"].is_array(), "{listed}");
    }
    for path in [
        format!("{proxy}.zip?run_id={run}"),
        format!("/get-artifact?run_id={run}&path=a.txt"),
    ] {
        walk.send("GET", &path, "").await;
    }
}

async fn experiments(walk: &mut Walk) -> String {
    let tags = json!([{ "key": "a", "value": "b" }]);
    let made = json!({ "name": "walk", "tags": tags });
    let made = walk.post(&format!("{V2}/experiments/create"), made).await;
    let id = made["experiment_id"].as_str().unwrap().to_owned();
    let one = json!({ "experiment_id": id });
    for (call, body) in [
        (
            "update",
            json!({ "experiment_id": id, "new_name": "walked" }),
        ),
        ("delete", one.clone()),
        ("restore", one),
        (
            "set-experiment-tag",
            json!({ "experiment_id": id, "key": "k", "value": "v" }),
        ),
        (
            "delete-experiment-tag",
            json!({ "experiment_id": id, "key": "k" }),
        ),
        ("search", json!({ "max_results": 1 })),
    ] {
        walk.post(&format!("{V2}/experiments/{call}"), body).await;
    }
    walk.get(&format!("{V2}/experiments/get?experiment_id={id}"))
        .await;
    walk.get(&format!(
        "{V2}/experiments/get-by-name?experiment_name=walked"
    ))
    .await;
    let found = walk
        .get(&format!("{V2}/experiments/search?max_results=1"))
        .await;
    assert!(found["next_page_token"].is_string());
    id
}

async fn datasets(walk: &mut Walk, experiment: &str) {
    for path in [V2, "/api/2.0mlflow"] {
        let asked = json!({ "experiment_ids": [experiment] });
        let path = format!("{path}/experiments/search-datasets");
        let found = walk.post(&path, asked).await;
        assert_eq!(found["dataset_summaries"][0]["context"], "training");
    }
}

async fn runs(walk: &mut Walk, experiment: &str) -> String {
    let made = json!({ "experiment_id": experiment, "user_id": "ann", "start_time": "5" });
    walk.post(&format!("{V2}/runs/create"), made.clone()).await;
    let made = walk.post(&format!("{V2}/runs/create"), made).await;
    let id = made["run"]["info"]["run_id"].as_str().unwrap().to_owned();
    for call in ["delete", "restore"] {
        walk.post(&format!("{V2}/runs/{call}"), json!({ "run_id": id }))
            .await;
    }
    let ended = json!({ "run_id": id, "status": "FINISHED", "end_time": 7, "run_name": "n" });
    walk.post(&format!("{V2}/runs/update"), ended).await;
    id
}

async fn log(walk: &mut Walk, run: &str) {
    for (key, value) in [
        ("loss", json!(0.5)),
        ("nan", json!("NaN")),
        ("most", json!("Infinity")),
        ("least", json!("-Infinity")),
    ] {
        let point = json!({ "run_id": run, "key": key, "value": value, "timestamp": 1, "step": 2 });
        walk.post(&format!("{V2}/runs/log-metric"), point).await;
    }
    let key = json!({ "run_id": run, "key": "k", "value": "v" });
    for call in ["log-parameter", "set-tag", "delete-tag"] {
        walk.post(&format!("{V2}/runs/{call}"), key.clone()).await;
    }
    let point = json!({
        "key": "of", "value": 1, "timestamp": 1,
        "dataset_name": "d", "dataset_digest": "1",
    });
    let batch = json!({ "run_id": run, "metrics": [point], "tags": [{ "key": "t" }] });
    walk.post(&format!("{V2}/runs/log-batch"), batch).await;
    let dataset = json!({
        "name": "d", "digest": "1", "source_type": "local", "source": "{}",
        "schema": "{}", "profile": "{}",
    });
    let tags = json!([{ "key": "mlflow.data.context", "value": "training" }]);
    let inputs = json!({ "run_id": run, "datasets": [{ "tags": tags, "dataset": dataset }] });
    walk.post(&format!("{V2}/runs/log-inputs"), inputs).await;
    let model = json!({ "run_id": run, "artifact_path": "m" }).to_string();
    let logged = json!({ "run_id": run, "model_json": model });
    walk.post(&format!("{V2}/runs/log-model"), logged).await;
    let outputs = json!({ "run_id": run, "models": [] });
    walk.post(&format!("{V2}/runs/outputs"), outputs).await;
}

async fn histories(walk: &mut Walk, run: &str) {
    let history = format!("{V2}/metrics/get-history");
    for path in [
        format!("{history}?run_id={run}&metric_key=nan"),
        format!("{history}-bulk?run_id={run}&metric_key=most"),
        format!("{history}-bulk?run_id={run}&metric_key=none"),
        format!("{history}-bulk-interval?run_ids={run}&metric_key=least"),
    ] {
        walk.get(&path).await;
    }
    walk.get(&format!("{V2}/artifacts/list?run_id={run}")).await;
}

/// It is sent piece by piece, without a type that says what it is.
async fn long_history(walk: &mut Walk, run: &str) {
    for batch in 0..26 {
        let points = (0..1000).map(|step| {
            json!({ "key": "long", "value": step, "timestamp": 1, "step": 1000 * batch + step })
        });
        let batch = json!({ "run_id": run, "metrics": points.collect::<Vec<_>>() });
        walk.post(&format!("{V2}/runs/log-batch"), batch).await;
    }
    let history = format!("{V2}/metrics/get-history?run_id={run}&metric_key=long");
    let points = walk.get(&history).await;
    assert_eq!(points["metrics"].as_array().unwrap().len(), 26_000);
}
