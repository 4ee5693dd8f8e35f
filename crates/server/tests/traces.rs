//! Traces over HTTP, beyond what the measured pairs of MLflow hold: waiting, files, and the endpoint of a captured run.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

mod support;

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::{Value, json};
use support::{Answer, PROXY, TestApp, create_run};
use testkit::{TestBench, parsed};

const FIRST: &str = "tr-11111111111111111111111111111111";
const OTHER: &str = "tr-22222222222222222222222222222222";

/// A span of a trace that is named by a digit; `{{}}` are further fields.
fn span(trace: char, id: char, fields: &Value) -> Value {
    let mut span = json!({
        "traceId": trace.to_string().repeat(32),
        "spanId": id.to_string().repeat(16),
        "name": format!("step {id}"),
        "startTimeUnixNano": "1760000000000000000",
        "endTimeUnixNano": "1760000001000000000",
    });
    for (key, value) in fields.as_object().unwrap() {
        span[key] = value.clone();
    }
    span
}

async fn export(app: &TestApp, spans: &Value, headers: &[(&str, &str)]) -> Answer {
    let body = json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]});
    let mut request = Request::builder()
        .method(Method::POST)
        .uri("/v1/traces")
        .header("content-type", "application/json")
        .header("x-mlflow-experiment-id", "0");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_string())).unwrap();
    app.send(request).await
}

async fn call(app: &TestApp, method: Method, path: &str, body: &Value) -> Answer {
    let path = format!("/api/3.0/mlflow/{path}");
    app.request(method, &path, body.to_string()).await
}

async fn get(app: &TestApp, path: &str) -> Answer {
    app.get_path(&format!("/api/3.0/mlflow/{path}")).await
}

fn started(trace: &str, fields: &Value) -> Value {
    let mut info = json!({
        "trace_id": trace,
        "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}},
        "request_time": "2025-10-09T08:53:20Z",
        "state": "OK",
    });
    for (key, value) in fields.as_object().unwrap() {
        info[key] = value.clone();
    }
    json!({"trace": {"trace_info": info}})
}

async fn search(app: &TestApp, filter: &str) -> Vec<String> {
    let body =
        json!({"locations": [{"mlflow_experiment": {"experiment_id": "0"}}], "filter": filter});
    let found = call(app, Method::POST, "traces/search", &body).await.ok();
    let traces = found["traces"].as_array().cloned().unwrap_or_default();
    let ids = traces.iter().map(|trace| trace["trace_id"].as_str());
    ids.map(|id| id.unwrap().to_owned()).collect()
}

fn denied(answer: &Answer) {
    let (status, code, message) = answer.error();
    assert_eq!(
        (status, code.as_str()),
        (403, "PERMISSION_DENIED"),
        "{message}"
    );
}

#[tokio::test]
async fn an_answer_waits_for_spans_that_are_on_their_way() {
    let app = TestApp::team().await;
    let stats = json!({"trace_metadata": {"mlflow.trace.sizeStats": "{\"num_spans\": 2}"}});
    let start = started(FIRST, &stats);
    call(&app, Method::POST, "traces", &start).await.ok();
    let root = json!([span('1', 'a', &json!({}))]);
    assert_eq!(export(&app, &root, &[]).await.status, 200);
    let batch = format!("traces/batchGet?trace_ids={FIRST}");
    assert_eq!(get(&app, &batch).await.ok(), json!({}));
    let waiting = format!("traces/get?trace_id={FIRST}");
    let child = json!([span('1', 'b', &json!({"parentSpanId": "a".repeat(16)}))]);
    let (answer, _) = tokio::join!(get(&app, &waiting), async {
        tokio::time::sleep(Duration::from_millis(250)).await;
        export(&app, &child, &[]).await
    });
    assert_eq!(answer.ok()["trace"]["spans"].as_array().unwrap().len(), 2);
    let whole = get(&app, &batch).await.ok();
    assert_eq!(whole["traces"][0]["spans"][0]["name"], "step a");
    // One that never comes whole is not waited for without end.
    let lonely = started(OTHER, &stats);
    call(&app, Method::POST, "traces", &lonely).await.ok();
    let begun = Instant::now();
    let missing = get(&app, &format!("traces/get?trace_id={OTHER}")).await;
    assert_eq!(missing.error().0, 404);
    assert!(begun.elapsed() >= Duration::from_secs(3));
    let part = format!("traces/get?trace_id={OTHER}&allow_partial=true");
    assert_eq!(get(&app, &part).await.ok()["trace"].get("spans"), None);
}

#[tokio::test]
async fn spans_that_come_in_any_order_and_twice_make_one_trace() {
    let app = TestApp::team().await;
    let tokens = |count: u64| {
        let value = json!({"kvlistValue": {"values": [{"key": "input_tokens", "value": {"intValue": count}}]}});
        json!([{"key": "mlflow.chat.tokenUsage", "value": value}])
    };
    let inner = json!([span(
        '1',
        'b',
        &json!({"parentSpanId": "a".repeat(16), "attributes": tokens(3)})
    )]);
    let other = json!([span(
        '1',
        'c',
        &json!({"parentSpanId": "a".repeat(16), "attributes": tokens(4)})
    )]);
    for spans in [&inner, &other, &inner] {
        assert_eq!(export(&app, spans, &[]).await.status, 200);
    }
    let root = json!([span('1', 'a', &json!({})), span('2', 'a', &json!({}))]);
    export(&app, &root, &[]).await;
    let info = get(&app, &format!("traces/{FIRST}")).await.ok();
    let info = &info["trace"]["trace_info"];
    assert_eq!(info["state"], "OK");
    let usage = info["trace_metadata"]["mlflow.trace.tokenUsage"]
        .as_str()
        .unwrap();
    assert!(usage.starts_with("{\"input_tokens\": 7,"), "{usage}");
    assert_eq!(search(&app, "").await.len(), 2);
    // Where one cannot be taken, none is.
    let mixed = json!([
        span('3', 'a', &json!({})),
        span('4', 'a', &json!({"spanId": ""}))
    ]);
    assert_eq!(export(&app, &mixed, &[]).await.status, 422);
    assert_eq!(search(&app, "").await.len(), 2);
    assert_eq!(app.bench.store.verify_projection().await.unwrap(), None);
}

#[tokio::test]
async fn traces_name_the_run_that_a_header_names() {
    let app = TestApp::team().await;
    let run = create_run(&app.bench, "r").await;
    let root = json!([span('1', 'a', &json!({}))]);
    export(&app, &root, &[("x-mlflow-run-id", run.as_str())]).await;
    assert_eq!(search(&app, &format!("run_id = '{run}'")).await, [FIRST]);
    let nobody = "0".repeat(32);
    let refused = export(&app, &root, &[("x-mlflow-run-id", &nobody)]).await;
    assert_eq!(refused.error().0, 404);
}

#[tokio::test]
async fn files_of_a_trace_are_given_and_no_others() {
    let app = TestApp::team().await;
    let start = started(FIRST, &json!({}));
    let info = call(&app, Method::POST, "traces", &start).await.ok();
    let uri = info["trace"]["trace_info"]["tags"]["mlflow.artifactLocation"]
        .as_str()
        .unwrap();
    let folder = uri.strip_prefix("mlflow-artifacts:/").unwrap();
    for (path, content) in [
        ("traces.json", "{\"spans\": []}"),
        ("attachments/a.png", "picture"),
    ] {
        let path = format!("{PROXY}/{folder}/{path}");
        app.request(Method::PUT, &path, content).await.ok();
    }
    let artifact =
        |query: &str| format!("/ajax-api/2.0/mlflow/get-trace-artifact?request_id={query}");
    let file = app.get_path(&artifact(FIRST)).await;
    assert_eq!(file.body, b"{\"spans\": []}");
    let attached = app
        .get_path(&artifact(&format!("{FIRST}&path=a.png")))
        .await;
    assert_eq!(attached.body, b"picture");
    assert_eq!(attached.header("x-content-type-options"), "nosniff");
    for path in [
        "../traces.json",
        "%2e%2e%2ftraces.json",
        "/etc/passwd",
        "..%5c..%5cx",
        "a.png/../../traces.json",
        "",
    ] {
        let answer = app
            .get_path(&artifact(&format!("{FIRST}&path={path}")))
            .await;
        let is_whole = path.is_empty();
        assert_eq!(answer.status == 200, is_whole, "{path}");
    }
    for id in ["..", "tr-1%2f..%2f..", "%00", ""] {
        let answer = app.get_path(&artifact(id)).await;
        assert!(answer.status.is_client_error(), "{id}");
    }
}

#[tokio::test]
async fn an_error_of_a_span_and_a_hostile_name_are_told_as_they_came() {
    let app = TestApp::team().await;
    let hostile = "</script><b>' OR 1=1 --\u{0}\u{202e}";
    let fields = json!({
        "name": hostile,
        "status": {"code": 2, "message": hostile},
        "attributes": [{"key": hostile, "value": {"stringValue": hostile}}],
        "events": [{"name": hostile, "timeUnixNano": "5", "attributes": []}],
    });
    let root = json!([span('1', 'a', &fields)]);
    assert_eq!(export(&app, &root, &[]).await.status, 200);
    let whole = get(&app, &format!("traces/get?trace_id={FIRST}"))
        .await
        .ok();
    let told = &whole["trace"]["spans"][0];
    assert_eq!(told["name"], hostile);
    assert_eq!(
        told["status"],
        json!({"message": hostile, "code": "STATUS_CODE_ERROR"})
    );
    assert_eq!(told["attributes"][0]["key"], hostile);
    assert_eq!(told["events"][0]["name"], hostile);
    let filter = "span.name = '</script><b>'' OR 1=1 --'";
    assert!(search(&app, filter).await.is_empty());
    assert_eq!(app.bench.store.verify_projection().await.unwrap(), None);
}

#[tokio::test]
async fn what_a_captured_run_traces_belongs_to_it() {
    let (app, run) = TestApp::run(Vec::new(), Vec::new()).await;
    let secret = json!({"attributes": [
        {"key": "password", "value": {"stringValue": "hunter2"}},
        {"key": "mlflow.spanInputs", "value": {"kvlistValue": {"values": [
            {"key": "db_password", "value": {"stringValue": "hunter2"}},
            {"key": "rows", "value": {"intValue": 3}},
        ]}}},
    ]});
    let root = json!([span('1', 'a', &secret)]);
    assert_eq!(export(&app, &root, &[]).await.status, 200);
    assert_eq!(search(&app, &format!("run_id = '{run}'")).await, [FIRST]);
    let whole = get(&app, &format!("traces/get?trace_id={FIRST}"))
        .await
        .ok()
        .to_string();
    assert!(
        !whole.contains("hunter2") && whole.contains("***"),
        "{whole}"
    );
    let note = |key: &str| json!({"key": key, "value": "hunter2"});
    let tags = format!("traces/{FIRST}/tags");
    call(&app, Method::PATCH, &tags, &note("password"))
        .await
        .ok();
    let info = get(&app, &format!("traces/{FIRST}")).await.ok();
    assert_eq!(info["trace"]["trace_info"]["tags"]["password"], "***");
    let assessment =
        json!({"assessment": {"assessment_name": "good", "feedback": {"value": true}}});
    let assessments = format!("traces/{FIRST}/assessments");
    call(&app, Method::POST, &assessments, &assessment)
        .await
        .ok();
    let folder = info["trace"]["trace_info"]["tags"]["mlflow.artifactLocation"]
        .as_str()
        .unwrap();
    let folder = folder.strip_prefix("mlflow-artifacts:/").unwrap();
    let path = format!("{PROXY}/{folder}/attachments/x");
    app.request(Method::PUT, &path, "x").await.ok();
    let ids = json!({"experiment_id": "0", "request_ids": [FIRST]});
    let deleted = call(&app, Method::POST, "traces/delete-traces", &ids)
        .await
        .ok();
    assert_eq!(deleted["traces_deleted"], 1);
}

#[tokio::test]
async fn secrets_in_what_is_noted_of_a_trace_are_not_kept() {
    let (app, _) = TestApp::run(Vec::new(), Vec::new()).await;
    let given = r#"{"q": "why", "password": "hunter2"}"#;
    let cut = r#"{"q": "why", "password": "hunt"#;
    let noted = json!({
        "request_preview": given,
        "response_preview": cut,
        "trace_metadata": {"mlflow.traceInputs": given, "mlflow.traceOutputs": cut},
        "assessments": [{
            "assessment_name": "first",
            "feedback": {"value": {"password": "hunter2"}},
            "metadata": {"password": "hunter2"},
        }],
    });
    call(&app, Method::POST, "traces", &started(FIRST, &noted))
        .await
        .ok();
    let assessments = format!("traces/{FIRST}/assessments");
    let second = json!({"assessment": {
        "assessment_name": "second",
        "expectation": {"value": {"password": "hunter2"}},
        "metadata": {"about": given},
    }});
    let made = call(&app, Method::POST, &assessments, &second).await.ok();
    let id = made["assessment"]["assessment_id"].as_str().unwrap();
    let revised = json!({
        "assessment": {"expectation": {"value": [given]}, "metadata": {"my_password": "hunter2"}},
        "update_mask": "expectation,metadata",
    });
    call(
        &app,
        Method::PATCH,
        &format!("{assessments}/{id}"),
        &revised,
    )
    .await
    .ok();
    let attribute = |value: &str| json!([{"key": "password", "value": {"stringValue": value}}]);
    let spans = json!([span(
        '1',
        'a',
        &json!({"attributes": [
            {"key": "password", "value": {"intValue": 24_681_357}},
            {"key": "mlflow.spanInputs", "value": {"stringValue": given}},
        ]})
    )]);
    let body = json!({"resourceSpans": [{
        "resource": {"attributes": attribute("hunter2")},
        "scopeSpans": [{"spans": spans}],
    }]});
    let request = Request::builder()
        .method(Method::POST)
        .uri("/v1/traces")
        .header("content-type", "application/json")
        .header("x-mlflow-experiment-id", "0")
        .body(Body::from(body.to_string()))
        .unwrap();
    assert_eq!(app.send(request).await.status, 200);
    let whole = get(&app, &format!("traces/get?trace_id={FIRST}"))
        .await
        .ok()
        .to_string();
    assert!(
        !whole.contains("hunt") && !whole.contains("24681357") && whole.contains("why"),
        "{whole}"
    );
    let kept = app.bench.store.verify_projection().await.unwrap();
    assert_eq!(kept, None);
}

#[tokio::test]
async fn a_captured_run_reaches_no_other_by_way_of_a_trace() {
    let bench = TestBench::new().await;
    let foreign = create_run(&bench, "foreign").await;
    let (app, _) = TestApp::run_on(bench, Vec::new(), Vec::new()).await;
    let place = format!("0/{foreign}/artifacts");
    let tags = json!({"tags": {"mlflow.artifactLocation": format!("mlflow-artifacts:/{place}")}});
    call(&app, Method::POST, "traces", &started(FIRST, &tags))
        .await
        .ok();
    let all = json!({
        "experiment_id": "0", "timestamp_ms": 1,
        "tags": [{"key": "mlflow.artifactLocation", "value": "mlflow-artifacts:/0"}],
    });
    let older = "/api/2.0/mlflow/traces";
    app.request(Method::POST, older, all.to_string()).await.ok();
    let path = format!("{PROXY}/{place}/a.txt");
    denied(&app.request(Method::PUT, &path, "EVIL").await);
    denied(&app.request(Method::DELETE, &path, "").await);
    let own = format!("{PROXY}/0/traces/{FIRST}/artifacts/attachments/x");
    app.request(Method::PUT, &own, "x").await.ok();
    let linked = json!({"trace_metadata": {"mlflow.sourceRun": foreign.as_str()}});
    denied(&call(&app, Method::POST, "traces", &started(OTHER, &linked)).await);
    assert!(
        search(&app, &format!("run_id = '{foreign}'"))
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn what_others_traced_can_be_read_in_a_captured_run_and_not_changed() {
    let bench = TestBench::new().await;
    let team = TestApp {
        router: server::router(support::options(&bench, server::Scope::Team)),
        bench,
        token: None,
        accounts: None,
    };
    let theirs = started(OTHER, &json!({"tags": {"team": "blue"}}));
    call(&team, Method::POST, "traces", &theirs).await.ok();
    let (app, _) = TestApp::run_on(team.bench, Vec::new(), Vec::new()).await;
    assert_eq!(search(&app, "").await, [OTHER]);
    get(&app, &format!("traces/{OTHER}")).await.ok();
    denied(&call(&app, Method::POST, "traces", &theirs).await);
    let root = json!([span('2', 'a', &json!({}))]);
    denied(&export(&app, &root, &[]).await);
    let tag = json!({"key": "team", "value": "red"});
    let tags = format!("traces/{OTHER}/tags");
    denied(&call(&app, Method::PATCH, &tags, &tag).await);
    denied(&call(&app, Method::DELETE, &tags, &tag).await);
    let assessment = json!({"assessment": {"assessment_name": "x", "feedback": {"value": 1}}});
    let assessments = format!("traces/{OTHER}/assessments");
    denied(&call(&app, Method::POST, &assessments, &assessment).await);
    denied(
        &call(
            &app,
            Method::DELETE,
            &format!("{assessments}/a-1"),
            &json!({}),
        )
        .await,
    );
    let by_id = json!({"experiment_id": "0", "request_ids": [OTHER]});
    denied(&call(&app, Method::POST, "traces/delete-traces", &by_id).await);
    let by_time = json!({"experiment_id": "0", "max_timestamp_millis": 4_102_444_800_000_u64});
    denied(&call(&app, Method::POST, "traces/delete-traces", &by_time).await);
    let prompts = json!({"trace_id": OTHER, "prompt_versions": [{"name": "p", "version": "1"}]});
    denied(&call(&app, Method::POST, "traces/link-prompts", &prompts).await);
}

#[tokio::test]
async fn a_replay_is_shown_the_run_of_its_origin_in_traces() {
    let bench = TestBench::new().await;
    let origin = create_run(&bench, "origin").await;
    let (app, replay) = TestApp::run_on(bench, vec![origin.clone()], Vec::new()).await;
    let metadata = json!({"trace_metadata": {"mlflow.sourceRun": origin.as_str()}});
    let start = started(FIRST, &metadata);
    let told = call(&app, Method::POST, "traces", &start).await.ok();
    let shown = &told["trace"]["trace_info"]["trace_metadata"]["mlflow.sourceRun"];
    assert_eq!(shown, origin.as_str());
    assert_eq!(search(&app, &format!("run_id = '{origin}'")).await, [FIRST]);
    let kept = app.bench.traces.get_trace(&parsed(FIRST)).await.unwrap();
    assert_eq!(kept.trace.metadata["mlflow.sourceRun"], replay.as_str());
}
