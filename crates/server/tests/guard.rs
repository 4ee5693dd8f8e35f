//! Names, origins and bodies that are refused before any handler.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

mod support;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::json;
use server::{AllowedHosts, AllowedOrigins, Framing, Scope, ServerOptions};
use support::{Answer, TestApp, options};

async fn ask(app: &TestApp, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    app.send(request.body(Body::from("{}")).unwrap()).await
}

#[tokio::test]
async fn a_foreign_host_is_refused_but_for_the_pulse() {
    let app = TestApp::team().await;
    let path = "/api/2.0/mlflow/experiments/get?experiment_id=0";
    for host in [
        "evil.com",
        "evil.com:5000",
        "127.0.0.1.evil.com",
        "",
        "10.0.0.1",
    ] {
        let answer = ask(&app, Method::GET, path, &[("host", host)]).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{host}");
        assert_eq!(
            answer.body,
            b"Invalid Host header - possible DNS rebinding attack detected"
        );
    }
    ask(&app, Method::GET, path, &[("host", "localhost:5000")])
        .await
        .ok();
    for (path, said) in [("/health", "OK"), ("/version", "3.17.2")] {
        let answer = ask(&app, Method::GET, path, &[("host", "10.0.0.1")]).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.body, said.as_bytes());
    }
    let mut named = options(&app.bench, Scope::Team);
    named.web.hosts = AllowedHosts::new(vec!["ml.example.org".to_owned()]);
    let app = TestApp {
        router: server::router(named),
        ..app
    };
    ask(&app, Method::GET, path, &[("host", "ml.example.org")])
        .await
        .ok();
}

#[tokio::test]
async fn a_page_of_another_origin_can_change_nothing_and_read_nothing() {
    let app = TestApp::team().await;
    let path = "/api/2.0/mlflow/experiments/search";
    let json = ("content-type", "application/json");
    for origin in [
        "http://evil.com",
        "null",
        "http://localhost:1",
        "https://127.0.0.1:5000.evil.com",
    ] {
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let answer = ask(&app, method, path, &[("origin", origin), json]).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{origin}");
            assert_eq!(answer.body, b"Cross-origin request blocked");
        }
        let read = ask(&app, Method::GET, "/health", &[("origin", origin)]).await;
        let asked = ask(&app, Method::OPTIONS, path, &[("origin", origin)]).await;
        for answer in [read, asked] {
            let allows = answer
                .headers
                .keys()
                .any(|name| name.as_str().starts_with("access-control"));
            assert!(!allows, "{origin} is let in");
        }
    }
    let own = ask(
        &app,
        Method::POST,
        path,
        &[("origin", "http://127.0.0.1:5000"), json],
    )
    .await;
    assert_eq!(own.error().1, "INVALID_PARAMETER_VALUE");
}

#[tokio::test]
async fn a_body_must_say_that_it_is_json_and_not_be_endless() {
    let app = TestApp::team().await;
    let path = "/api/2.0/mlflow/experiments/create";
    let untyped = ask(&app, Method::POST, path, &[]).await;
    assert_eq!(
        untyped.error().2,
        "Bad Request. Content-Type header is missing."
    );
    // What a form of any page can send without asking.
    for media in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    ] {
        let other = ask(&app, Method::POST, path, &[("content-type", media)]).await;
        assert!(other.error().2.contains("must be one of"), "{media}");
    }
    let typed = ask(
        &app,
        Method::POST,
        path,
        &[("content-type", "application/json; charset=utf-8")],
    )
    .await;
    assert!(typed.error().2.contains("'name'"));
    let huge = json!({"name": "x".repeat(65 << 20)}).to_string();
    let refused = app.request(Method::POST, path, huge).await;
    assert_eq!(refused.error().0, 413);
}

/// A server for a team, with other options than by default.
async fn app_with(change: impl FnOnce(&mut ServerOptions)) -> TestApp {
    let app = TestApp::team().await;
    let mut options = options(&app.bench, Scope::Team);
    change(&mut options);
    TestApp {
        router: server::router(options),
        ..app
    }
}

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    let value = answer.headers.get(name)?;
    Some(value.to_str().unwrap())
}

/// Names and values are those that MLflow 3.17.2 answers with.
#[tokio::test]
async fn a_page_that_is_let_in_may_ask_and_read() {
    let origins = vec!["https://app.example.org".to_owned()];
    let app = app_with(|options| options.web.origins = AllowedOrigins::new(origins)).await;
    let path = "/api/2.0/mlflow/experiments/search";
    let json = ("content-type", "application/json");
    let asking = |origin| {
        [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "content-type,x-mine"),
        ]
    };
    for origin in ["http://localhost:8888", "https://app.example.org"] {
        let asked = ask(&app, Method::OPTIONS, path, &asking(origin)).await;
        assert_eq!(asked.status, StatusCode::OK);
        assert_eq!(asked.body, b"OK");
        assert_eq!(
            header(&asked, "access-control-allow-methods"),
            Some("GET, POST, PUT, DELETE, OPTIONS, PATCH")
        );
        assert_eq!(
            header(&asked, "access-control-allow-headers"),
            Some("content-type,x-mine")
        );
        assert_eq!(header(&asked, "access-control-max-age"), Some("600"));
        let posted = ask(&app, Method::POST, path, &[("origin", origin), json]).await;
        assert_eq!(posted.error().1, "INVALID_PARAMETER_VALUE");
        let read = ask(&app, Method::GET, "/version", &[("origin", origin)]).await;
        for answer in [asked, posted, read] {
            assert_eq!(header(&answer, "access-control-allow-origin"), Some(origin));
            assert_eq!(
                header(&answer, "access-control-allow-credentials"),
                Some("true")
            );
            assert_eq!(header(&answer, "access-control-expose-headers"), Some("*"));
            assert_eq!(header(&answer, "vary"), Some("Origin"));
        }
    }
    let foreign = ask(&app, Method::OPTIONS, path, &asking("http://evil.com")).await;
    assert_eq!(foreign.status, StatusCode::BAD_REQUEST);
    assert_eq!(foreign.body, b"Disallowed CORS origin");
    assert_eq!(header(&foreign, "access-control-allow-origin"), None);
    let posted = ask(
        &app,
        Method::POST,
        path,
        &[("origin", "http://evil.com"), json],
    )
    .await;
    assert_eq!(posted.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn pages_may_be_framed_as_was_chosen() {
    for (framing, said) in [
        (Framing::SameOrigin, Some("SAMEORIGIN")),
        (Framing::Deny, Some("DENY")),
        (Framing::Any, None),
    ] {
        let app = app_with(|options| options.web.framing = framing).await;
        let answer = ask(&app, Method::GET, "/version", &[]).await;
        assert_eq!(header(&answer, "x-frame-options"), said);
        assert_eq!(header(&answer, "x-content-type-options"), Some("nosniff"));
    }
}

#[tokio::test]
async fn a_prefix_stands_before_every_path_and_the_proxy_answers_without_it_too() {
    let app = app_with(|options| options.web.prefix = "/mlflow".to_owned()).await;
    let get = "/api/2.0/mlflow/experiments/get?experiment_id=0";
    let list = "/api/2.0/mlflow-artifacts/artifacts";
    for path in [get, list, "/version", "/", ""] {
        let answer = ask(&app, Method::GET, &format!("/mlflow{path}"), &[]).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
    }
    assert_eq!(
        ask(&app, Method::GET, list, &[]).await.status,
        StatusCode::OK
    );
    for path in [get, "/version", "/mlflow/mlflow/version"] {
        let answer = ask(&app, Method::GET, path, &[]).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
    let foreign = [("host", "evil.com")];
    for (path, status) in [
        ("/mlflow/health", StatusCode::OK),
        ("/health", StatusCode::FORBIDDEN),
        (
            "/mlflow/api/2.0/mlflow/experiments/get",
            StatusCode::FORBIDDEN,
        ),
    ] {
        let answer = ask(&app, Method::GET, path, &foreign).await;
        assert_eq!(answer.status, status, "{path}");
    }
}

#[tokio::test]
async fn where_the_proxy_is_closed_clients_are_told_and_new_experiments_are_elsewhere() {
    let app = app_with(|options| {
        options.artifacts.is_proxy_closed = true;
        options.artifacts.root = Some("s3://bucket/mlflow".to_owned());
    })
    .await;
    for (method, path) in [
        (Method::GET, "/api/2.0/mlflow-artifacts/artifacts"),
        (Method::PUT, "/api/2.0/mlflow-artifacts/artifacts/0/a"),
        (
            Method::DELETE,
            "/ajax-api/2.0/mlflow-artifacts/artifacts/0/a",
        ),
        (Method::POST, "/api/2.0/mlflow-artifacts/mpu/create/0/a"),
    ] {
        let answer = ask(&app, method, path, &[]).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        let said = String::from_utf8(answer.body).unwrap();
        let start = format!(
            "Endpoint: {path} disabled due to the mlflow server running with `--no-serve-artifacts`."
        );
        assert!(said.starts_with(&start), "{said}");
    }
    let create = "/api/2.0/mlflow/experiments/create";
    let made = |body: serde_json::Value| {
        let app = &app;
        async move {
            let made = app
                .request(Method::POST, create, body.to_string())
                .await
                .ok();
            let id = made["experiment_id"].as_str().unwrap().to_owned();
            let path = format!("/api/2.0/mlflow/experiments/get?experiment_id={id}");
            let found = ask(app, Method::GET, &path, &[]).await.ok();
            (id, found["experiment"]["artifact_location"].clone())
        }
    };
    let (id, location) = made(json!({"name": "a"})).await;
    assert_eq!(location, format!("s3://bucket/mlflow/{id}"));
    let (_, location) = made(json!({"name": "b", "artifact_location": "s3://own/b"})).await;
    assert_eq!(location, "s3://own/b");
}
