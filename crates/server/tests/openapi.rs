//! The document of the API against what the server does, and against the committed copy of it.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

mod support;

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine as _;
use entities::Permission;
use serde_json::{Value, json};
use support::{ADMIN_PASSWORD, Answer, TestApp};

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// Pages for people.
const UNDESCRIBED: [&str; 3] = [
    "GET /",
    "GET /signup",
    "POST /api/2.0/mlflow/users/create-ui",
];

fn document() -> Value {
    serde_json::from_str(&server::document()).unwrap()
}

/// Every operation, as `GET /path`.
fn operations(document: &Value) -> Vec<(String, Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let operations = paths.flat_map(|(path, item)| {
        let item = item.as_object().unwrap().iter();
        item.map(move |(method, operation)| {
            let call = format!("{} {path}", method.to_uppercase());
            (call, operation.clone())
        })
    });
    operations.collect()
}

async fn ask(app: &TestApp, method: &str, path: &str, body: &str) -> Answer {
    let pair = format!("admin:{ADMIN_PASSWORD}");
    let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
    let request = Request::builder().method(method).uri(path);
    let request = request
        .header("content-type", "application/json")
        .header("authorization", format!("Basic {encoded}"));
    app.send(request.body(Body::from(body.to_owned())).unwrap())
        .await
}

/// A path with something in place of what is captured.
fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| {
        if part.starts_with('{') {
            "0123abcd"
        } else {
            part
        }
    });
    parts.collect::<Vec<_>>().join("/")
}

/// The paths of the router, out of what it prints for debugging: there is no other way to list them.
fn paths_of(app: &TestApp) -> BTreeSet<String> {
    let printed = format!("{:?}", app.router);
    let quoted = printed.split('"').skip(1).step_by(2);
    let paths = quoted.filter(|text| text.starts_with('/'));
    let paths = paths.filter(|path| !path.contains("__private__"));
    paths.map(str::to_owned).collect()
}

/// With `REPROOF_UPDATE_OPENAPI=1` the copy is written anew.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "it compares with, or writes, a file of the sources"
)]
fn the_committed_document_is_that_of_the_code() {
    let document = server::document();
    if std::env::var("REPROOF_UPDATE_OPENAPI").is_ok() {
        std::fs::write(COMMITTED, &document).unwrap();
    }
    let committed = std::fs::read_to_string(COMMITTED).unwrap_or_default();
    assert!(
        committed == document,
        "docs/openapi.json is stale: run `REPROOF_UPDATE_OPENAPI=1 cargo nextest run -p server -E 'test(the_committed_document)'` and commit it"
    );
}

#[tokio::test]
async fn the_server_tells_the_document() {
    let app = TestApp::team().await;
    let told = app.get_path("/openapi.json").await;
    assert_eq!(told.status, StatusCode::OK);
    assert_eq!(told.header("content-type"), "application/json");
    assert_eq!(told.body, server::document().into_bytes());
}

#[tokio::test]
async fn every_operation_of_the_document_is_answered() {
    let app = TestApp::signed_on(Permission::Read).await;
    let mut ids = BTreeSet::new();
    for (call, operation) in operations(&document()) {
        let (method, path) = call.split_once(' ').unwrap();
        let answer = ask(&app, method, &filled(path), "{}").await;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let is_page = text.contains("<title>404 Not Found") || text.contains("<title>405");
        assert!(!is_page, "{call} is not answered");
        let status = answer.status.as_u16().to_string();
        assert!(
            operation["responses"].get(&status).is_some(),
            "{call}: {status} {text}"
        );
        let id = operation["operationId"].as_str().unwrap().to_owned();
        assert!(ids.insert(id.clone()), "{id} comes twice");
    }
    assert!(ids.len() > 150, "only {}", ids.len());
}

#[tokio::test]
async fn every_route_stands_in_the_document() {
    let app = TestApp::signed_on(Permission::Read).await;
    let described: BTreeSet<_> = operations(&document())
        .into_iter()
        .map(|(call, _)| call)
        .collect();
    let mut missing = Vec::new();
    for path in paths_of(&app) {
        let allowed = ask(&app, "OPTIONS", &filled(&path), "").await;
        let allowed = allowed.header("allow").to_owned();
        for method in METHODS
            .into_iter()
            .filter(|method| allowed.contains(method))
        {
            let path = path.replace("{*", "{");
            let twin = path.replacen("/ajax-api/", "/api/", 1);
            let calls = [format!("{method} {path}"), format!("{method} {twin}")];
            let is_told = calls
                .iter()
                .any(|call| described.contains(call) || UNDESCRIBED.contains(&call.as_str()));
            if !is_told {
                missing.push(calls[0].clone());
            }
        }
    }
    assert!(missing.is_empty(), "not in the document: {missing:#?}");
}

/// Walks through what a body lacks by the server's own words, and compares that with what the document requires.
#[tokio::test]
async fn what_a_body_lacks_is_required_in_the_document() {
    let app = TestApp::signed_on(Permission::Read).await;
    let document = document();
    let mut wrong = Vec::new();
    for (call, operation) in operations(&document) {
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        let besides = schema["allOf"][1]["required"].as_array();
        let schema = schema["allOf"].get(0).unwrap_or(schema);
        let schema = match schema["$ref"].as_str() {
            Some(named) => &document["components"]["schemas"][named.rsplit('/').next().unwrap()],
            None => schema,
        };
        let Some(properties) = schema["properties"].as_object() else {
            continue;
        };
        let (method, path) = call.split_once(' ').unwrap();
        let required = schema["required"].as_array().into_iter().chain(besides);
        let required: Vec<_> = required.flatten().collect();
        let mut body = json!({});
        while let Some(lacking) =
            lacking(&ask(&app, method, &filled(path), &body.to_string()).await)
        {
            let Some(known) = properties.get(&lacking) else {
                // A member of a member, or a run under either name.
                break;
            };
            if !required.contains(&&Value::from(lacking.as_str()))
                && !is_one_of_two(&lacking, &call)
            {
                wrong.push(format!("{call}: {lacking}"));
            }
            if body.get(&lacking).is_some() {
                break;
            }
            body[lacking.as_str()] = sample(known);
        }
    }
    assert!(wrong.is_empty(), "required, but not told: {wrong:#?}");
}

/// What is required under one of two names, or in one of two places.
fn is_one_of_two(field: &str, call: &str) -> bool {
    field == "run_id" || call.ends_with("users/delete")
}

fn lacking(answer: &Answer) -> Option<String> {
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let begin = "Missing value for required parameter '";
    let rest = text.split_once(begin)?.1;
    Some(rest.split_once('\'')?.0.to_owned())
}

fn sample(schema: &Value) -> Value {
    let first = schema["anyOf"].get(0).unwrap_or(schema);
    if let Some(word) = first["enum"].get(0) {
        return word.clone();
    }
    let kind = first["type"].get(0).unwrap_or(&first["type"]);
    match kind.as_str() {
        Some("integer" | "number") => json!(1),
        Some("boolean") => json!(true),
        Some("array") => json!([]),
        Some("object") => json!({}),
        _ => json!("0"),
    }
}
