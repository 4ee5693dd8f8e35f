//! Files in and out: streamed, in parts, and no way out of the artifacts.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

mod support;

use std::io;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use bytes::Bytes;
use futures_util::stream;
use serde_json::json;
use support::{Answer, PROXY, TestApp};

async fn part(app: &TestApp, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().uri(format!("{PROXY}/{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    app.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_file_comes_back_as_it_went_and_is_listed() {
    let app = TestApp::team().await;
    let run = app.create_run(&json!({"experiment_id": "0"})).await;
    let root = format!("0/{run}/artifacts");
    let content: Vec<u8> = (0..2_000_000_u32)
        .map(|at| (at.wrapping_mul(at) % 251) as u8)
        .collect();
    app.put(&format!("{root}/a%20b/%C3%BC.bin"), content.clone())
        .await
        .ok();
    app.put(&format!("{root}/MLmodel"), "flavors: {}")
        .await
        .ok();
    app.put(&format!("{root}/empty"), "").await.ok();

    let file = app.download(&format!("{root}/a%20b/%C3%BC.bin")).await;
    assert_eq!(file.status, StatusCode::OK);
    assert!(file.body == content);
    assert_eq!(file.header("content-length"), "2000000");
    assert_eq!(file.header("content-type"), "application/octet-stream");
    assert_eq!(file.header("x-content-type-options"), "nosniff");
    assert!(
        file.header("content-disposition")
            .starts_with("attachment; ")
    );
    let text = app.download(&format!("{root}/MLmodel")).await;
    assert_eq!(text.header("content-type"), "text/plain");
    let empty = app.download(&format!("{root}/empty")).await;
    assert_eq!(
        (empty.status, empty.header("content-length")),
        (StatusCode::OK, "0")
    );

    let listed = app.get(&format!("artifacts/list?run_id={run}")).await.ok();
    assert_eq!(
        listed,
        json!({
            "root_uri": format!("mlflow-artifacts:/{root}"),
            "files": [
                {"path": "MLmodel", "is_dir": false, "file_size": 11},
                {"path": "a b", "is_dir": true},
                {"path": "empty", "is_dir": false, "file_size": 0}
            ]
        })
    );
    let below = json!({"files": [{"path": "ü.bin", "is_dir": false, "file_size": 2_000_000}]});
    let listed = app.get_path(&format!("{PROXY}?path={root}/a+b")).await.ok();
    assert_eq!(listed, below);
    let listed = app
        .get(&format!("artifacts/list?run_uuid={run}&path=a%20b/"))
        .await
        .ok();
    assert_eq!(listed["files"][0]["path"], "a b/ü.bin");
    let file = app
        .get_path(&format!(
            "/get-artifact?run_uuid={run}&path=a%20b/%C3%BC.bin"
        ))
        .await;
    assert!(file.body == content);
    assert_eq!(
        app.get_path(&format!("{PROXY}?path=nowhere")).await.ok(),
        json!({})
    );

    let gone = format!("{PROXY}/{root}/a%20b");
    app.request(Method::DELETE, &gone, "").await.ok();
    let missing = app.download(&format!("{root}/a%20b/%C3%BC.bin")).await;
    assert_eq!(missing.error().0, 404);
}

#[tokio::test]
async fn a_part_or_nothing_new_is_sent_where_that_is_asked() {
    let app = TestApp::team().await;
    let content: Vec<u8> = (0..1_000_000_u32).map(|at| (at % 253) as u8).collect();
    app.put("0/x.bin", content.clone()).await.ok();
    let tag = app.download("0/x.bin").await.header("etag").to_owned();
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=262143-262145", 262_143, 262_146),
        ("bytes=5-", 5, 1_000_000),
        ("bytes=-7", 999_993, 1_000_000),
    ] {
        let answer = part(&app, "0/x.bin", &[("range", range)]).await;
        assert_eq!(answer.status, StatusCode::PARTIAL_CONTENT, "{range}");
        assert!(answer.body == content[from..to], "{range}");
        let told = format!("bytes {from}-{}/1000000", to - 1);
        assert_eq!(answer.header("content-range"), told);
    }
    let outside = part(&app, "0/x.bin", &[("range", "bytes=1000000-")]).await;
    assert_eq!(outside.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(outside.header("content-range"), "bytes */1000000");
    let known = part(&app, "0/x.bin", &[("if-none-match", &tag)]).await;
    assert_eq!(
        (known.status, known.body.len()),
        (StatusCode::NOT_MODIFIED, 0)
    );
    let same = [("range", "bytes=0-9"), ("if-range", tag.as_str())];
    assert_eq!(part(&app, "0/x.bin", &same).await.body.len(), 10);
    let other = [("range", "bytes=0-9"), ("if-range", "\"other\"")];
    assert_eq!(part(&app, "0/x.bin", &other).await.body.len(), 1_000_000);
}

#[tokio::test]
async fn no_path_leads_out_of_the_artifacts() {
    let app = TestApp::team().await;
    let run = app.create_run(&json!({"experiment_id": "0"})).await;
    app.put(&format!("0/{run}/artifacts/a.txt"), "a").await.ok();
    let refused = |answer: &Answer, what: &str| {
        let (status, code, message) = answer.error();
        let expected = (400, "INVALID_PARAMETER_VALUE", "Invalid path");
        assert_eq!(
            (status, code.as_str(), message.as_str()),
            expected,
            "{what}"
        );
    };
    let attacks = [
        "..%2F..%2Fetc%2Fpasswd",
        "../../etc/passwd",
        "%2e%2e/%2e%2e/etc/passwd",
        "%252e%252e%252fetc",
        "/etc/passwd",
        "%2Fetc%2Fpasswd",
        "a/../../x",
        "a%5C..%5C..%5Cx",
        "..%5C..%5Cx",
        "a%00.txt",
        "C:/windows/x",
        "a//b",
        "a/./b",
    ];
    for path in attacks {
        refused(&app.download(path).await, path);
        refused(&app.put(path, "x").await, path);
        let delete = format!("{PROXY}/{path}");
        refused(&app.request(Method::DELETE, &delete, "").await, path);
        let body = json!({"path": "x", "upload_id": "x", "parts": []});
        for call in ["mpu/create", "mpu/complete", "mpu/abort"] {
            let call = format!("/api/2.0/mlflow-artifacts/{call}/{path}");
            let answer = app.request(Method::POST, &call, body.to_string()).await;
            refused(&answer, path);
        }
        let presigned = format!("/api/2.0/mlflow-artifacts/presigned/{path}");
        refused(&app.get_path(&presigned).await, path);
        let url = json!({"run_id": run, "path": path});
        for call in ["presigned-upload-url", "presigned-download-url"] {
            refused(&app.post(&format!("artifacts/{call}"), &url).await, path);
        }
        refused(&app.get_path(&format!("{PROXY}?path={path}")).await, path);
        refused(
            &app.get(&format!("artifacts/list?run_id={run}&path={path}"))
                .await,
            path,
        );
        refused(
            &app.get_path(&format!("/get-artifact?run_id={run}&path={path}"))
                .await,
            path,
        );
    }
    refused(&app.download("%FF").await, "%FF");
    let (_, _, said) = app.download("..%2F..%2Fetc%2Fpasswd").await.error();
    assert!(!said.contains("passwd"));
}

#[tokio::test]
async fn what_is_missing_or_a_folder_is_said_to_be_so() {
    let app = TestApp::team().await;
    let run = app.create_run(&json!({"experiment_id": "0"})).await;
    app.put(&format!("0/{run}/artifacts/d/a.txt"), "a")
        .await
        .ok();
    let missing = app.download("nope.txt").await;
    assert_eq!(
        missing.error(),
        (
            404,
            "RESOURCE_DOES_NOT_EXIST".to_owned(),
            "No such artifact: 'nope.txt'".to_owned()
        )
    );
    let folder = app
        .get_path(&format!("/get-artifact?run_id={run}&path=d"))
        .await;
    assert_eq!(folder.error().0, 400);
    assert!(folder.error().2.contains("directory"));
    let experiment = json!({"name": "elsewhere", "artifact_location": "s3://bucket/x"});
    let id = app.post("experiments/create", &experiment).await.ok()["experiment_id"].clone();
    let run = app.create_run(&json!({"experiment_id": id})).await;
    let elsewhere = app.get(&format!("artifacts/list?run_id={run}")).await;
    assert!(elsewhere.error().2.contains("s3://bucket/x"));
    // In the store of nobody whom this server knows: there are no keys for it.
    let url = json!({"run_id": run, "path": "a"});
    for call in ["presigned-upload-url", "presigned-download-url"] {
        let (status, code, _) = app.post(&format!("artifacts/{call}"), &url).await.error();
        assert_eq!((status, code.as_str()), (501, "NOT_IMPLEMENTED"));
    }
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let app = TestApp::team().await;
    app.put("0/x.txt", "before").await.ok();
    let broken = stream::iter([
        Ok(Bytes::from_static(b"half")),
        Err(io::Error::from(io::ErrorKind::ConnectionReset)),
    ]);
    let answer = app.put("0/x.txt", Body::from_stream(broken)).await;
    assert_eq!(answer.error().0, 400);
    assert_eq!(app.download("0/x.txt").await.body, b"before");
}

#[tokio::test]
async fn an_object_that_is_gone_is_the_server_s_fault_and_its_cause_hidden() {
    let app = TestApp::team().await;
    app.put("0/x.txt", "content").await.ok();
    let object = app
        .bench
        .tracking
        .find_artifact("0/x.txt")
        .await
        .unwrap()
        .unwrap()
        .object;
    app.bench.tracking.cas().forget(&object).unwrap();
    for headers in [&[][..], &[("range", "bytes=0-1")][..]] {
        let answer = part(&app, "0/x.txt", headers).await;
        let (status, code, message) = answer.error();
        assert_eq!((status, code.as_str()), (500, "INTERNAL_ERROR"));
        assert!(message.contains(answer.header("x-request-id")), "{message}");
        assert!(!message.contains(&object.to_string()), "{message}");
        assert!(!message.contains('/'), "{message}");
    }
}

const PAGE_UPLOAD: &str = "/ajax-api/2.0/mlflow/upload-artifact";

#[tokio::test]
async fn a_page_sends_a_small_file_of_a_run() {
    let app = TestApp::team().await;
    let run = app.create_run(&json!({"experiment_id": "0"})).await;
    let send = async |query: &str, body: Body| {
        let path = format!("{PAGE_UPLOAD}?{query}");
        app.request(Method::POST, &path, body).await
    };
    let query = format!("run_uuid={run}&path=a/eval.json");
    send(&query, Body::from("{\"x\": 1}")).await.ok();
    let file = app
        .get_path(&format!("/get-artifact?run_id={run}&path=a/eval.json"))
        .await;
    assert_eq!(file.body, b"{\"x\": 1}");

    let said = async |query: &str, body: Body| send(query, body).await.error();
    let invalid = |message: &str| {
        let code = "INVALID_PARAMETER_VALUE".to_owned();
        (400, code, message.to_owned())
    };
    assert_eq!(
        said("path=a", Body::from("x")).await,
        invalid("Request must specify run_uuid.")
    );
    assert_eq!(
        said(&format!("run_uuid={run}"), Body::from("x")).await,
        invalid("Request must specify path.")
    );
    assert_eq!(
        said(&query, Body::empty()).await,
        invalid("Request must specify data.")
    );
    let too_large = invalid("Artifact size is too large. Max size is 10MB.");
    let long = vec![b'x'; (10 << 20) + 1];
    assert_eq!(said(&query, Body::from(long.clone())).await, too_large);
    // One that does not say its length is cut off, and changes nothing.
    let frames = long
        .chunks(1 << 20)
        .map(|frame| Ok::<_, io::Error>(Bytes::copy_from_slice(frame)));
    let frames: Vec<_> = frames.collect();
    assert_eq!(
        said(&query, Body::from_stream(stream::iter(frames))).await,
        too_large
    );
    for path in [
        "../x",
        "/etc/passwd",
        "a/../../x",
        "%252e%252e/x",
        "..%5Cx",
        "C:%5Cx",
    ] {
        let query = format!("run_uuid={run}&path={path}");
        assert_eq!(
            said(&query, Body::from("x")).await,
            invalid("Invalid path"),
            "{path}"
        );
    }
    assert_eq!(
        said("run_uuid=0123abcd&path=a", Body::from("x")).await.0,
        404
    );
    let listed = app
        .get(&format!("artifacts/list?run_id={run}&path=a"))
        .await
        .ok();
    assert_eq!(listed["files"].as_array().unwrap().len(), 1);
    assert_eq!(listed["files"][0]["file_size"], 8);
}

#[tokio::test]
async fn the_command_of_a_captured_run_sends_no_file_to_another() {
    let (app, run) = TestApp::run(Vec::new(), Vec::new()).await;
    let other = support::create_run(&app.bench, "other").await;
    let send = async |run: &str| {
        let path = format!("{PAGE_UPLOAD}?run_uuid={run}&path=x");
        app.request(Method::POST, &path, "x").await
    };
    send(run.as_str()).await.ok();
    assert_eq!(send(other.as_str()).await.error().0, 403);
}

#[tokio::test]
async fn a_file_of_a_version_is_read_by_its_name_and_number() {
    let app = TestApp::team().await;
    let run = app.create_run(&json!({"experiment_id": "0"})).await;
    let root = format!("0/{run}/artifacts");
    app.put(&format!("{root}/net/weights"), "w").await.ok();
    app.put(&format!("{root}/secret"), "s").await.ok();
    app.post("registered-models/create", &json!({"name": "a net"}))
        .await
        .ok();
    let source = format!("mlflow-artifacts:/{root}/net");
    let version = json!({"name": "a net", "source": source, "run_id": run});
    app.post("model-versions/create", &version).await.ok();
    let get = async |query: &str| {
        app.get_path(&format!("/model-versions/get-artifact?{query}"))
            .await
    };
    let file = get("name=a+net&version=1&path=weights").await;
    assert_eq!(
        (file.status, file.body.as_slice()),
        (StatusCode::OK, &b"w"[..])
    );
    assert!(file.header("content-disposition").starts_with("attachment"));
    assert_eq!(
        get("name=a+net&version=2&path=weights").await.error().0,
        404
    );
    assert_eq!(get("name=a+net&version=1&path=none").await.error().0, 404);
    assert_eq!(get("name=a+net&version=1").await.error().0, 400);
    for path in ["../secret", "..%2Fsecret", "%252e%252e/secret", "/secret"] {
        let answer = get(&format!("name=a+net&version=1&path={path}")).await;
        assert_eq!(answer.error().2, "Invalid path", "{path}");
    }
}
