//! Requests that are far larger than any that is meant, and what is removed while more of it comes.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

mod support;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json};
use support::{PROXY, TestApp};

#[tokio::test]
async fn a_tag_of_ten_megabytes_is_refused_by_its_length_and_not_repeated() {
    let app = TestApp::team().await;
    let run = app.create_run(&json!({ "experiment_id": "0" })).await;
    let long = "ü".repeat(10 << 20);
    let tag = json!({ "run_id": run, "key": "long", "value": long });
    let (status, code, message) = app.post("runs/set-tag", &tag).await.error();
    assert_eq!((status, code.as_str()), (400, "INVALID_PARAMETER_VALUE"));
    assert!(
        message.len() < 10_000,
        "{} bytes were answered",
        message.len()
    );
    assert!(message.contains("1048576"), "{message}");
    let key = json!({ "run_id": run, "key": long, "value": "x" });
    let (status, code, message) = app.post("runs/set-tag", &key).await.error();
    assert_eq!((status, code.as_str()), (400, "INVALID_PARAMETER_VALUE"));
    assert!(
        message.len() < 10_000,
        "{} bytes were answered",
        message.len()
    );
    // The run is as whole as before.
    let found = app.get(&format!("runs/get?run_id={run}")).await.ok();
    assert_eq!(found["run"]["info"]["status"], "RUNNING");
    assert!(!found.to_string().contains("long"), "a tag was kept");
}

#[tokio::test]
async fn a_million_params_are_refused_and_none_is_kept() {
    let app = TestApp::team().await;
    let run = app.create_run(&json!({ "experiment_id": "0" })).await;
    let params: Vec<Value> = (0..1_000_000)
        .map(|number| json!({ "key": format!("p{number}"), "value": "1" }))
        .collect();
    let batch = json!({ "run_id": run, "params": params });
    let (status, code, message) = app.post("runs/log-batch", &batch).await.error();
    assert_eq!((status, code.as_str()), (400, "INVALID_PARAMETER_VALUE"));
    assert!(message.contains("100"), "{message}");
    let found = app.get(&format!("runs/get?run_id={run}")).await.ok();
    assert!(found["run"]["data"].get("params").is_none(), "{found}");
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_not_read_to_its_end() {
    let app = TestApp::team().await;
    let blanks = Bytes::from(vec![b' '; 1 << 16]);
    let endless = stream::repeat_with(move || Ok::<_, std::io::Error>(blanks.clone()));
    let answer = app
        .request(
            "POST".parse().unwrap(),
            "/api/2.0/mlflow/runs/log-batch",
            Body::from_stream(endless),
        )
        .await;
    assert_eq!(answer.error().0, 413);
}

/// Sends the first half of a file, does something, and sends the rest.
async fn upload_around(app: &TestApp, path: &str, between: impl AsyncFnOnce()) -> u16 {
    let (sender, receiver) = tokio::sync::mpsc::channel::<Bytes>(1);
    let body = stream::unfold(receiver, async |mut receiver| {
        let piece = receiver.recv().await?;
        Some((Ok::<_, std::io::Error>(piece), receiver))
    });
    let uploading = app.put(path, Body::from_stream(body));
    let feeding = async move {
        sender.send(Bytes::from_static(b"first ")).await.unwrap();
        // Once a second piece is taken, the first was read.
        sender.send(Bytes::from_static(b"half, ")).await.unwrap();
        between().await;
        sender.send(Bytes::from_static(b"rest")).await.unwrap();
    };
    let (answer, ()) = tokio::join!(uploading, feeding);
    answer.status.as_u16()
}

#[tokio::test]
async fn a_file_whose_run_or_folder_is_removed_while_it_comes_is_kept_whole() {
    let app = TestApp::team().await;
    let run = app.create_run(&json!({ "experiment_id": "0" })).await;
    let path = format!("0/{run}/artifacts/model/weights");
    app.put(&path, "before").await.ok();
    let status = upload_around(&app, &path, async || {
        let deleted = app.post("runs/delete", &json!({ "run_id": run })).await;
        deleted.ok();
    })
    .await;
    assert_eq!(status, 200);
    app.post("runs/restore", &json!({ "run_id": run }))
        .await
        .ok();
    assert_eq!(app.download(&path).await.body, b"first half, rest");

    let status = upload_around(&app, &path, async || {
        let folder = format!("{PROXY}/0/{run}/artifacts/model");
        let removed = app
            .request("DELETE".parse().unwrap(), &folder, Body::empty())
            .await;
        removed.ok();
        assert_eq!(app.download(&path).await.status.as_u16(), 404);
    })
    .await;
    // What came last counts, as if the upload had begun after the removal.
    assert_eq!(status, 200);
    assert_eq!(app.download(&path).await.body, b"first half, rest");
    let listed = app
        .get(&format!("artifacts/list?run_id={run}&path=model"))
        .await
        .ok();
    assert_eq!(listed["files"].as_array().unwrap().len(), 1);
}
