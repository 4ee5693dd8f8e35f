//! Names, origins and bodies that are refused before any handler.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

mod support;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::json;
use server::{AllowedHosts, Scope};
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
    named.allowed_hosts = AllowedHosts::new(vec!["ml.example.org".to_owned()]);
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
