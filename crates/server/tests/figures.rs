//! What Prometheus is told: under MLflow's names, by templates of paths, and only where somebody asked for it.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

mod support;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::json;
use server::{OperationOptions, ProcessFigures, RunScope, Scope, ServerOptions};
use std::sync::Arc;
use support::{Answer, PROXY, TOKEN, TestApp, create_run, options};
use testkit::TestBench;
use tower::ServiceExt as _;

fn exposed(bench: &TestBench, scope: Scope) -> ServerOptions {
    let process = || ProcessFigures {
        resident_bytes: 4096,
        virtual_bytes: 8192,
        open_descriptors: 7,
        cpu_seconds: 1.5,
        started_at_seconds: 1000.25,
    };
    ServerOptions {
        operation: OperationOptions {
            exposes_figures: true,
            process: Some(Arc::new(process)),
            ..OperationOptions::default()
        },
        ..options(bench, scope)
    }
}

async fn open_app() -> TestApp {
    let bench = TestBench::new().await;
    let router = server::router(exposed(&bench, Scope::Team));
    TestApp {
        bench,
        router,
        token: None,
        accounts: None,
    }
}

impl Told {
    async fn by(app: &TestApp) -> Self {
        let answer = app.get_path("/metrics").await;
        assert_eq!(answer.status, StatusCode::OK);
        let media_type = "text/plain; version=0.0.4; charset=utf-8";
        assert_eq!(answer.header("content-type"), media_type);
        Self(String::from_utf8(answer.body).unwrap())
    }

    /// The value of a series, which stands there once or not at all.
    fn value(&self, series: &str) -> Option<f64> {
        let mut found = self.0.lines().filter_map(|line| {
            let value = line.strip_prefix(series)?.strip_prefix(' ')?;
            Some(value.parse().unwrap())
        });
        let value = found.next();
        assert_eq!(found.next(), None, "{series} stands there twice");
        value
    }
}

struct Told(String);

#[tokio::test]
async fn answers_are_counted_under_mlflow_s_names_and_by_the_template_of_their_path() {
    let app = open_app().await;
    let asked = [("0", 200), ("77", 404), ("0", 200), ("78", 404)];
    for (experiment, status) in asked {
        let call = format!("experiments/get?experiment_id={experiment}");
        assert_eq!(app.get(&call).await.status, status);
    }
    // Load balancers and Prometheus itself are not counted, as in MLflow.
    for path in ["/health", "/version", "/metrics"] {
        app.get_path(path).await;
    }
    let told = Told::by(&app).await;
    let route = "route=\"/api/2.0/mlflow/experiments/get\"";
    for (status, count) in [(200, 2.0), (404, 2.0)] {
        let labels = format!("method=\"GET\",status=\"{status}\",{route}");
        let series = format!("mlflow_http_request_total{{{labels}}}");
        assert_eq!(told.value(&series), Some(count), "{}", told.0);
        let labels =
            format!("method=\"GET\",mlflow_version=\"3.17.2\",status=\"{status}\",{route}");
        let name = "mlflow_http_request_duration_seconds";
        assert_eq!(
            told.value(&format!("{name}_count{{{labels}}}")),
            Some(count)
        );
        assert!(told.value(&format!("{name}_sum{{{labels}}}")).unwrap() > 0.0);
        let all = format!("{name}_bucket{{{labels},le=\"+Inf\"}}");
        assert_eq!(told.value(&all), Some(count), "{}", told.0);
        let quickest = format!("{name}_bucket{{{labels},le=\"0.005\"}}");
        assert!(told.value(&quickest).is_some());
    }
    for path in ["health", "version", "metrics"] {
        assert!(
            !told.0.contains(&format!("\"/{path}\"")),
            "{path} is counted"
        );
    }
    assert!(
        told.0
            .contains("# TYPE mlflow_http_request_total counter\n")
    );
}

#[tokio::test]
async fn whoever_makes_up_paths_and_methods_makes_no_series() {
    let app = open_app().await;
    app.get_path("/nowhere").await;
    app.download("nowhere").await;
    let method = Method::from_bytes(b"FIRST").unwrap();
    app.request(method, "/nowhere", "").await;
    let before = Told::by(&app).await.0.lines().count();
    for number in 0..50 {
        let hostile = format!("%22,evil=%22{number}%22%7D%201%0Aevil_total%2099%0A");
        for path in [
            format!("/{hostile}"),
            format!("/evil{number}"),
            format!("{PROXY}/{hostile}"),
            format!("{PROXY}/evil{number}"),
        ] {
            assert_eq!(app.get_path(&path).await.status, StatusCode::NOT_FOUND);
        }
        let method = Method::from_bytes(format!("EVIL{number}").as_bytes()).unwrap();
        app.request(method, "/nowhere", "").await;
    }
    let told = Told::by(&app).await;
    assert!(!told.0.to_lowercase().contains("evil"), "{}", told.0);
    assert_eq!(told.0.lines().count(), before, "{}", told.0);
    let labels = "method=\"GET\",status=\"404\",route=\"\"";
    let unknown = format!("mlflow_http_request_total{{{labels}}}");
    assert_eq!(told.value(&unknown), Some(101.0));
    let labels = "method=\"other\",status=\"404\",route=\"\"";
    let unknown = format!("mlflow_http_request_total{{{labels}}}");
    assert_eq!(told.value(&unknown), Some(51.0));
}

#[tokio::test]
async fn what_the_guard_refuses_is_counted_too() {
    let app = open_app().await;
    let ask = |path: &str| {
        let request = Request::builder().uri(path).header("host", "evil.example");
        app.send(request.body(Body::empty()).unwrap())
    };
    let path = "/api/2.0/mlflow/experiments/get?experiment_id=0";
    assert_eq!(ask(path).await.status, StatusCode::FORBIDDEN);
    // Figures are no more for pages that make their name lead here than anything else.
    assert_eq!(ask("/metrics").await.status, StatusCode::FORBIDDEN);
    let labels = "method=\"GET\",status=\"403\",route=\"/api/2.0/mlflow/experiments/get\"";
    let series = format!("mlflow_http_request_total{{{labels}}}");
    assert_eq!(Told::by(&app).await.value(&series), Some(1.0));
}

#[tokio::test]
async fn bytes_of_artifacts_events_and_the_process_are_told() {
    let app = open_app().await;
    let run = app.create_run(&json!({"experiment_id": "0"})).await;
    let path = format!("0/{run}/artifacts/x.bin");
    app.put(&path, vec![7; 600_000]).await.ok();
    app.download(&path).await;
    let part = Request::builder().uri(format!("{PROXY}/{path}"));
    let part = part.header("range", "bytes=10-19");
    app.send(part.body(Body::empty()).unwrap()).await;
    let told = Told::by(&app).await;
    let value = |series: &str| told.value(series);
    assert_eq!(value("reproof_artifact_received_bytes_total"), Some(6e5));
    assert_eq!(value("reproof_artifact_sent_bytes_total"), Some(600_010.0));
    let store: &dyn store::Store = app.bench.store.as_ref();
    let progress = store.ledger_progress().await.unwrap();
    assert!(progress.committed > 1);
    for (state, count) in [
        ("committed", progress.committed),
        ("sequenced", progress.sequenced),
        ("integrated", progress.integrated),
        ("signed", progress.signed),
    ] {
        let series = format!("reproof_ledger_events{{state=\"{state}\"}}");
        assert_eq!(value(&series), Some(count as f64), "{state}");
    }
    assert_eq!(value("process_resident_memory_bytes"), Some(4096.0));
    assert_eq!(value("process_virtual_memory_bytes"), Some(8192.0));
    assert_eq!(value("process_open_fds"), Some(7.0));
    assert_eq!(value("process_cpu_seconds_total"), Some(1.5));
    assert_eq!(value("process_start_time_seconds"), Some(1000.25));
    // A second look counts nothing twice.
    let told = Told::by(&app).await;
    assert_eq!(told.value("process_cpu_seconds_total"), Some(1.5));
}

#[tokio::test]
async fn a_request_is_under_way_until_its_answer_was_sent_or_given_up() {
    let app = open_app().await;
    app.put("0/x.bin", vec![7; 3_000_000]).await.ok();
    let request = || {
        let request = Request::builder().uri(format!("{PROXY}/0/x.bin"));
        let request = request.header("host", "localhost");
        request.body(Body::empty()).unwrap()
    };
    let first = app.router.clone().oneshot(request()).await.unwrap();
    let second = app.router.clone().oneshot(request()).await.unwrap();
    let in_flight = async || {
        let told = Told::by(&app).await;
        told.value("reproof_http_requests_in_flight").unwrap()
    };
    assert!((in_flight().await - 2.0).abs() < 1e-9);
    let whole = first.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(whole.len(), 3_000_000);
    assert!((in_flight().await - 1.0).abs() < 1e-9);
    drop(second);
    assert!(in_flight().await.abs() < 1e-9);
}

#[tokio::test]
async fn spans_are_counted_as_mlflow_counts_them() {
    let app = open_app().await;
    let span = |id: &str| {
        json!({
            "traceId": "0af7651916cd43dd8448eb211c80319c",
            "spanId": id,
            "name": "work",
            "startTimeUnixNano": "1000000000",
            "endTimeUnixNano": "2000000000",
        })
    };
    let spans = [span("b7ad6b7169203331"), span("b7ad6b7169203332")];
    let body = json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).to_string();
    let send = |body: String| {
        let request = Request::builder().method(Method::POST).uri("/v1/traces");
        let request = request.header("content-type", "application/json");
        let request = request.header("x-mlflow-experiment-id", "0");
        app.send(request.body(Body::from(body)).unwrap())
    };
    let size = body.len() as f64;
    let answer: Answer = send(body).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(send("{".to_owned()).await.status, StatusCode::BAD_REQUEST);
    let told = Told::by(&app).await;
    for (series, value) in [
        ("mlflow_spans_ingested_total{protocol=\"otlp\"}", 2.0),
        ("mlflow_otlp_spans_per_request_count", 1.0),
        ("mlflow_otlp_spans_per_request_sum", 2.0),
        ("mlflow_otlp_spans_per_request_bucket{le=\"1\"}", 0.0),
        ("mlflow_otlp_spans_per_request_bucket{le=\"2\"}", 1.0),
        ("mlflow_otlp_request_payload_bytes_count", 2.0),
        ("mlflow_otlp_request_payload_bytes_sum", size + 1.0),
        ("mlflow_otlp_request_duration_seconds_count", 2.0),
    ] {
        assert_eq!(told.value(series), Some(value), "{series} in {}", told.0);
    }
}

#[tokio::test]
async fn nobody_is_told_where_nobody_asked_for_it_and_no_captured_run_is() {
    let app = TestApp::team().await;
    assert_eq!(app.get_path("/metrics").await.status, StatusCode::NOT_FOUND);
    let bench = TestBench::new().await;
    let run = create_run(&bench, "captured").await;
    let scope = Scope::Run(RunScope {
        run,
        token: TOKEN.to_owned(),
        presented_runs: Vec::new(),
        presented_models: Vec::new(),
        mask: None,
    });
    let router = server::router(exposed(&bench, scope));
    let mut app = TestApp {
        bench,
        router,
        token: Some(TOKEN),
        accounts: None,
    };
    assert_eq!(app.get_path("/metrics").await.status, StatusCode::NOT_FOUND);
    app.token = None;
    let refused = app.get_path("/metrics").await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_prefix_stands_before_calls_and_not_before_figures() {
    let bench = TestBench::new().await;
    let mut options = exposed(&bench, Scope::Team);
    "/mlflow".clone_into(&mut options.web.prefix);
    let app = TestApp {
        router: server::router(options),
        bench,
        token: None,
        accounts: None,
    };
    app.get_path("/mlflow/health").await;
    let document = app.get_path("/mlflow/openapi.json").await.ok();
    assert_eq!(document["servers"], json!([{ "url": "/mlflow/" }]));
    let path = "/mlflow/api/2.0/mlflow/experiments/get";
    app.get_path(&format!("{path}?experiment_id=0")).await.ok();
    let told = Told::by(&app).await;
    let labels = format!("method=\"GET\",status=\"200\",route=\"{path}\"");
    let series = format!("mlflow_http_request_total{{{labels}}}");
    assert_eq!(told.value(&series), Some(1.0), "{}", told.0);
    assert!(!told.0.contains("health"));
    let inside = app.get_path("/mlflow/metrics").await;
    assert_eq!(inside.status, StatusCode::NOT_FOUND);
}
