//! Folders of artifacts as ZIP archives, and no way out of them.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

mod support;

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _};

use axum::http::{Method, StatusCode};
use entities::Artifact;
use serde_json::{Value, json};
use support::{Answer, TestApp};

const ARCHIVE: &str = "/api/2.0/mlflow-artifacts/artifacts.zip";

async fn archive(app: &TestApp, query: &str) -> Answer {
    app.get_path(&format!("{ARCHIVE}?{query}")).await
}

/// The files of an archive.
fn unpack(answer: &Answer) -> BTreeMap<String, Vec<u8>> {
    let text = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, StatusCode::OK, "{text}");
    assert_eq!(answer.header("content-type"), "application/zip");
    let mut archive = zip::ZipArchive::new(Cursor::new(&answer.body)).unwrap();
    let mut files = BTreeMap::new();
    for at in 0..archive.len() {
        let mut file = archive.by_index(at).unwrap();
        let name = file.name().unwrap().into_owned();
        let mut content = Vec::new();
        file.read_to_end(&mut content).unwrap();
        assert_eq!(files.insert(name, content), None);
    }
    files
}

fn names(answer: &Answer) -> Vec<String> {
    unpack(answer).into_keys().collect()
}

async fn run_with_files(app: &TestApp) -> String {
    let run = app.create_run(&json!({"experiment_id": "0"})).await;
    for (path, content) in [
        ("MLmodel", "flavors: {}"),
        ("model/MLmodel", "flavors: {a}"),
        ("model/a%20b/%C3%BC%F0%9F%8E%82.csv", "x,y"),
        ("model/empty", ""),
        ("models/other", "not of this folder"),
    ] {
        app.put(&format!("0/{run}/artifacts/{path}"), content)
            .await
            .ok();
    }
    run
}

#[tokio::test]
async fn a_folder_comes_as_an_archive_however_it_is_asked_for() {
    let app = TestApp::team().await;
    let run = run_with_files(&app).await;
    let content: Vec<u8> = (0..2_000_000_u32)
        .map(|at| (at.wrapping_mul(at) % 251) as u8)
        .collect();
    app.put(
        &format!("0/{run}/artifacts/model/data.bin"),
        content.clone(),
    )
    .await
    .ok();
    let root = format!("path=0/{run}/artifacts/model");
    let below_ajax = format!("/ajax-api/2.0/mlflow-artifacts/artifacts.zip?{root}");
    for answer in [
        archive(&app, &root).await,
        archive(&app, &format!("{root}/")).await,
        archive(&app, &format!("run_id={run}&path=model")).await,
        archive(&app, &format!("run_uuid={run}&path=model")).await,
        app.get_path(&below_ajax).await,
    ] {
        let disposition = "attachment; filename=\"model.zip\"";
        assert_eq!(answer.header("content-disposition"), disposition);
        assert!(answer.body.len() < content.len(), "nothing was compressed");
        let files = unpack(&answer);
        let expected: BTreeMap<String, Vec<u8>> = [
            ("model/MLmodel", b"flavors: {a}".to_vec()),
            ("model/a b/ü🎂.csv", b"x,y".to_vec()),
            ("model/data.bin", content.clone()),
            ("model/empty", Vec::new()),
        ]
        .map(|(name, content)| (name.to_owned(), content))
        .into();
        assert!(files == expected, "{:?}", files.keys());
    }
    // The same files are the same bytes.
    let (first, second) = (archive(&app, &root).await, archive(&app, &root).await);
    assert!(first.body == second.body);
    // All of a run is in a folder of its name.
    let whole = archive(&app, &format!("run_id={run}")).await;
    let disposition = format!("attachment; filename=\"{run}.zip\"");
    assert_eq!(whole.header("content-disposition"), disposition);
    let found = names(&whole);
    assert_eq!(found.len(), 6);
    assert!(found.contains(&format!("{run}/models/other")), "{found:?}");
    let deep = archive(&app, &format!("run_id={run}&path=model/a%20b")).await;
    assert_eq!(names(&deep), ["a b/ü🎂.csv"]);
    // Of an experiment, names above the artifacts are ids.
    let experiment = names(&archive(&app, "path=0").await);
    assert!(experiment.contains(&format!("0/{run}/artifacts/MLmodel")));
}

#[tokio::test]
async fn the_files_of_a_logged_model_come_as_an_archive() {
    let app = TestApp::team().await;
    let model = app
        .post("logged-models", &json!({"experiment_id": "0"}))
        .await
        .ok();
    let id = model["model"]["info"]["model_id"].as_str().unwrap();
    for path in ["MLmodel", "code/a.py"] {
        app.put(&format!("0/models/{id}/artifacts/{path}"), "x")
            .await
            .ok();
    }
    let whole = archive(&app, &format!("model_id={id}")).await;
    let expected = [format!("{id}/MLmodel"), format!("{id}/code/a.py")];
    assert_eq!(names(&whole), expected);
    let part = archive(&app, &format!("model_id={id}&path=code")).await;
    assert_eq!(names(&part), ["code/a.py"]);
}

#[tokio::test]
async fn a_run_without_files_is_an_archive_without_files() {
    let app = TestApp::team().await;
    let run = app.create_run(&json!({"experiment_id": "0"})).await;
    let answer = archive(&app, &format!("run_id={run}")).await;
    assert_eq!(unpack(&answer), BTreeMap::new());
}

#[tokio::test]
async fn what_is_no_folder_is_said_to_be_so() {
    let app = TestApp::team().await;
    let run = run_with_files(&app).await;
    let model = app
        .post("logged-models", &json!({"experiment_id": "0"}))
        .await
        .ok();
    let model = model["model"]["info"]["model_id"].as_str().unwrap();
    let elsewhere = json!({"name": "elsewhere", "artifact_location": "s3://bucket/x"});
    let elsewhere = app.post("experiments/create", &elsewhere).await.ok();
    let far = json!({"experiment_id": elsewhere["experiment_id"]});
    let far = app.create_run(&far).await;
    for (query, status, words) in [
        (String::new(), 400, "'path'"),
        ("path=".to_owned(), 400, "'path'"),
        (format!("run_id={run}&model_id={model}"), 400, "not both"),
        (format!("run_id={run}&path=MLmodel"), 400, "not a directory"),
        (format!("run_id={run}&path=mode"), 404, "'mode'"),
        (format!("model_id={model}&path=nope"), 404, "'nope'"),
        ("path=77".to_owned(), 404, "'77'"),
        ("run_id=nope".to_owned(), 404, "nope"),
        (format!("run_id={}", "7".repeat(32)), 404, "not found"),
        ("model_id=m-7".to_owned(), 404, "m-7"),
        (format!("run_id={far}"), 400, "s3://bucket/x"),
    ] {
        let answer = archive(&app, &query).await;
        let (found, code, message) = answer.error();
        assert_eq!(found, status, "{query}: {message}");
        assert!(!code.is_empty());
        assert!(message.contains(words), "{query}: {message}");
        assert_eq!(answer.header("content-disposition"), "");
    }
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let answer = app.request(method, ARCHIVE, "{}").await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    }
}

#[tokio::test]
async fn no_path_leads_out_of_the_artifacts() {
    let app = TestApp::team().await;
    let run = run_with_files(&app).await;
    let attacks = [
        "..",
        "../../etc",
        "..%2F..%2Fetc",
        "%2e%2e/%2e%2e/etc",
        "%252e%252e%252fetc",
        "%25252e%25252e",
        "/etc",
        "%2Fetc",
        "model/../../../0",
        "model/..%2F..",
        "model%5C..%5C..",
        "model%00",
        "C:/windows",
        "model//a",
        "model/./a",
    ];
    for path in attacks {
        for query in [
            format!("path={path}"),
            format!("run_id={run}&path={path}"),
            format!("model_id=m-7&path={path}"),
        ] {
            let (status, code, message) = archive(&app, &query).await.error();
            let expected = (400, "INVALID_PARAMETER_VALUE", "Invalid path");
            assert_eq!(
                (status, code.as_str(), message.as_str()),
                expected,
                "{query}"
            );
        }
    }
    // A folder whose name begins as a drive of Windows does.
    let path = format!("0/{run}/artifacts/C:/x");
    app.put(&path, "x").await.ok();
    let stored = archive(&app, &format!("run_id={run}&path=C:")).await;
    assert_eq!(names(&stored), ["C_/x"]);
}

#[tokio::test]
async fn a_file_that_is_gone_is_the_server_s_fault_and_no_archive() {
    let app = TestApp::team().await;
    app.put("0/a/x.txt", "content").await.ok();
    let found = app.bench.tracking.find_artifact("0/a/x.txt").await;
    let object = found.unwrap().unwrap().object;
    app.bench.tracking.cas().forget(&object).unwrap();
    let answer = archive(&app, "path=0/a").await;
    let (status, code, message) = answer.error();
    assert_eq!((status, code.as_str()), (500, "INTERNAL_ERROR"));
    assert!(message.contains(answer.header("x-request-id")), "{message}");
    assert!(!message.contains(&object.to_string()), "{message}");
}

#[tokio::test]
async fn a_folder_of_too_many_files_is_refused_and_one_inside_of_it_is_not() {
    let app = TestApp::team().await;
    app.put("0/d/first/x", "").await.ok();
    let tracking = &app.bench.tracking;
    let empty = tracking
        .find_artifact("0/d/first/x")
        .await
        .unwrap()
        .unwrap();
    let more = (0..100_000).map(|number| Artifact {
        path: format!("0/d/more/{number}"),
        ..empty.clone()
    });
    let caller = &app.bench.caller;
    tracking
        .put_artifacts(caller, more.collect())
        .await
        .unwrap();
    let (status, code, message) = archive(&app, "path=0/d").await.error();
    assert_eq!((status, code.as_str()), (400, "INVALID_PARAMETER_VALUE"));
    assert!(message.contains("holds 100001 files"), "{message}");
    assert_eq!(names(&archive(&app, "path=0/d/first").await), ["first/x"]);
    assert_eq!(names(&archive(&app, "path=0/d/more").await).len(), 100_000);
}

#[tokio::test]
async fn a_captured_run_may_read_archives_with_its_token() {
    let (mut app, run) = TestApp::run(Vec::new(), Vec::new()).await;
    app.put(&format!("0/{run}/artifacts/a.txt"), "x").await.ok();
    let answer = archive(&app, &format!("run_id={run}")).await;
    assert_eq!(names(&answer), [format!("{run}/a.txt")]);
    app.token = None;
    let refused = archive(&app, &format!("run_id={run}")).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_archive_of_a_replay_has_the_ids_of_its_origin() {
    let (app, origin) = TestApp::run(Vec::new(), Vec::new()).await;
    let path = format!("0/{origin}/artifacts/{origin}.txt");
    app.put(&path, "then").await.ok();
    let (app, replay) = TestApp::run_on(app.bench, vec![origin.clone()], Vec::new()).await;
    app.put(&path, "now").await.ok();
    for query in [
        format!("run_id={origin}"),
        format!("path=0/{origin}/artifacts"),
        "path=0".to_owned(),
    ] {
        let files = unpack(&archive(&app, &query).await);
        assert_eq!(files.len(), 1, "{query}: {:?}", files.keys());
        let (name, content) = files.into_iter().next().unwrap();
        assert!(name.ends_with(&format!("/{origin}.txt")), "{name}");
        assert!(!name.contains(replay.as_str()), "{name}");
        assert_eq!(content, b"now");
    }
}

#[tokio::test]
async fn where_the_proxy_is_closed_there_are_no_archives() {
    let bench = testkit::TestBench::new().await;
    let mut options = support::options(&bench, server::Scope::Team);
    options.artifacts.is_proxy_closed = true;
    let app = TestApp {
        router: server::router(options),
        bench,
        token: None,
        accounts: None,
    };
    let answer = archive(&app, "path=0").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let value = Value::from(String::from_utf8(answer.body).unwrap());
    assert!(value.as_str().unwrap().contains("--serve-artifacts"));
}
