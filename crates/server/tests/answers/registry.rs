//! Logged models, registered models, their versions, and webhooks.

use testkit::{Receiver, Reply};

use super::*;

pub(super) async fn walk(walk: &mut Walk, experiment: &str, run: &str) {
    let model = logged_models(walk, experiment, run).await;
    for call in ["log-inputs", "outputs"] {
        let models = json!([{ "model_id": model, "step": 3 }]);
        let body = json!({ "run_id": run, "models": models });
        walk.post(&format!("{V2}/runs/{call}"), body).await;
    }
    let found = walk.get(&format!("{V2}/runs/get?run_id={run}")).await;
    assert_eq!(found["run"]["inputs"]["model_inputs"][0]["model_id"], model);
    assert_eq!(found["run"]["outputs"]["model_outputs"][0]["step"], 3);
    registered(walk).await;
    versions(walk, run, &model).await;
    webhooks(walk).await;
}

async fn logged_models(walk: &mut Walk, experiment: &str, run: &str) -> String {
    let all = format!("{V2}/logged-models");
    let pairs = json!([{ "key": "a", "value": "b" }]);
    let body = json!({
        "experiment_id": experiment, "name": "m", "model_type": "Agent",
        "source_run_id": run, "params": pairs, "tags": pairs,
    });
    let gone = walk.post(&all, body.clone()).await;
    let gone = text(&gone["model"]["info"]["model_id"]);
    walk.ask("DELETE", &format!("{all}/{gone}"), json!({}))
        .await;
    let made = walk.post(&all, body).await;
    let id = text(&made["model"]["info"]["model_id"]);
    let one = format!("{all}/{id}");
    walk.post(
        &format!("{one}/params"),
        json!({ "params": [{ "key": "c", "value": "d" }] }),
    )
    .await;
    walk.ask("PATCH", &format!("{one}/tags"), json!({ "tags": pairs }))
        .await;
    walk.ask("DELETE", &format!("{one}/tags/a"), json!({}))
        .await;
    let point = json!({
        "run_id": run, "key": "of", "value": "-Infinity", "timestamp": 1, "model_id": id,
        "dataset_name": "d", "dataset_digest": "1",
    });
    walk.post(&format!("{V2}/runs/log-metric"), point).await;
    let file = format!("/api/2.0/mlflow-artifacts/artifacts/{experiment}/models/{id}/artifacts");
    walk.send("PUT", &format!("{file}/sub/MLmodel"), "name: m")
        .await;
    walk.ask("PATCH", &one, json!({ "status": "LOGGED_MODEL_READY" }))
        .await;
    let found = walk.get(&one).await;
    assert!(found["model"]["data"]["metrics"][0]["run_id"].is_string());
    let listed = walk
        .get(&format!(
            "{one}/artifacts/directories?artifact_directory_path=sub"
        ))
        .await;
    assert_eq!(listed["files"][0]["file_size"], 7);
    let path = format!("{one}/artifacts/files?artifact_file_path=sub/MLmodel");
    walk.send("GET", &path, "").await;
    let asked = json!({ "experiment_ids": [experiment] });
    let found = walk.post(&format!("{all}/search"), asked).await;
    assert_eq!(found["models"].as_array().unwrap().len(), 1);
    id
}

async fn registered(walk: &mut Walk) {
    let tags = json!([{ "key": "a", "value": "b" }]);
    for name in ["gone", "old"] {
        let made = json!({ "name": name, "tags": tags, "description": "d" });
        walk.post(&format!("{V2}/registered-models/create"), made)
            .await;
    }
    for (method, call, body) in [
        ("DELETE", "delete", json!({ "name": "gone" })),
        (
            "POST",
            "rename",
            json!({ "name": "old", "new_name": "reg" }),
        ),
        (
            "PATCH",
            "update",
            json!({ "name": "reg", "description": "said" }),
        ),
        (
            "POST",
            "set-tag",
            json!({ "name": "reg", "key": "k", "value": "v" }),
        ),
        ("DELETE", "delete-tag", json!({ "name": "reg", "key": "a" })),
    ] {
        walk.ask(method, &format!("{V2}/registered-models/{call}"), body)
            .await;
    }
}

async fn versions(walk: &mut Walk, run: &str, model: &str) {
    let all = format!("{V2}/model-versions");
    let tags = json!([{ "key": "a", "value": "b" }]);
    let made = json!({
        "name": "reg", "source": format!("models:/{model}"), "run_id": run, "model_id": model,
        "tags": tags, "run_link": "l", "description": "d",
    });
    for number in ["1", "2"] {
        let made = walk.post(&format!("{all}/create"), made.clone()).await;
        assert_eq!(made["model_version"]["version"], number);
    }
    let one = json!({ "name": "reg", "version": "1" });
    let with = |more: Value| {
        let mut body = one.clone();
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        body
    };
    for (method, call, body) in [
        ("PATCH", "update", with(json!({ "description": "said" }))),
        (
            "POST",
            "transition-stage",
            with(json!({ "stage": "Production" })),
        ),
        ("POST", "set-tag", with(json!({ "key": "k", "value": "v" }))),
        ("DELETE", "delete-tag", with(json!({ "key": "k" }))),
        ("DELETE", "delete", json!({ "name": "reg", "version": "2" })),
    ] {
        walk.ask(method, &format!("{all}/{call}"), body).await;
    }
    let models = format!("{V2}/registered-models");
    for alias in ["champion", "gone"] {
        let alias = with(json!({ "alias": alias }));
        walk.post(&format!("{models}/alias"), alias).await;
    }
    let gone = json!({ "name": "reg", "alias": "gone" });
    walk.ask("DELETE", &format!("{models}/alias"), gone).await;
    let latest = json!({ "name": "reg" });
    walk.post(&format!("{models}/get-latest-versions"), latest)
        .await;
    for path in [
        format!("{models}/get-latest-versions?name=reg"),
        format!("{models}/alias?name=reg&alias=champion"),
        format!("{models}/get?name=reg"),
        format!("{models}/search?max_results=1"),
        format!("{all}/get?name=reg&version=1"),
        format!("{all}/get-download-uri?name=reg&version=1"),
        format!("{all}/search"),
    ] {
        walk.get(&path).await;
    }
    let file = "/model-versions/get-artifact?name=reg&version=1&path=sub/MLmodel";
    walk.send("GET", file, "").await;
}

async fn webhooks(walk: &mut Walk) {
    let receiver = Receiver::start(&[Reply::Status(200), Reply::Drop]);
    let all = format!("{V2}/webhooks");
    let event = json!({ "entity": "MODEL_VERSION_ALIAS", "action": "CREATED" });
    let made = json!({
        "name": "hook", "url": receiver.url("/a"), "events": [event],
        "description": "d", "secret": "s",
    });
    let made = walk.post(&all, made).await;
    let one = format!("{all}/{}", text(&made["webhook"]["webhook_id"]));
    walk.get(&all).await;
    walk.get(&one).await;
    walk.ask("PATCH", &one, json!({ "status": "DISABLED" }))
        .await;
    for success in [true, false] {
        let body = json!({ "event": event });
        let tried = walk.post(&format!("{one}/test"), body).await;
        assert_eq!(tried["result"]["success"], success);
    }
    walk.ask("DELETE", &one, json!({})).await;
}
