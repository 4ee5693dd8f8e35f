//! Every call of the document, asked over a store with one of everything.
//!
//! That the answers are as the document says is looked at where they are received (`support/described.rs`). Here it is
//! seen to it that each call is answered with success once.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

#[path = "answers/access.rs"]
mod access;
#[path = "answers/registry.rs"]
mod registry;
mod support;
#[path = "answers/traces.rs"]
mod traces;
#[path = "answers/tracking.rs"]
mod tracking;

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine as _;
use entities::Permission;
use serde_json::{Value, json};
use server::ServerOptions;
use support::{ADMIN_PASSWORD, Answer, TestApp, described};
use testkit::TestBench;
use webhooks::Network;

const V2: &str = "/api/2.0/mlflow";

const V3: &str = "/api/3.0/mlflow";

/// Calls that never succeed, and why.
const NEVER: [(&str, &str); 11] = [
    ("POST /api/2.0/mlflow-artifacts/mpu/create/{path}", PARTS),
    ("POST /api/2.0/mlflow-artifacts/mpu/complete/{path}", PARTS),
    ("POST /api/2.0/mlflow-artifacts/mpu/abort/{path}", PARTS),
    ("GET /api/2.0/mlflow-artifacts/presigned/{path}", PARTS),
    (
        "POST /api/2.0/mlflow/artifacts/presigned-upload-url",
        ADDRESSES,
    ),
    (
        "POST /api/2.0/mlflow/artifacts/presigned-download-url",
        ADDRESSES,
    ),
    ("GET /api/3.0/mlflow/workspaces", WORKSPACES),
    ("POST /api/3.0/mlflow/workspaces", WORKSPACES),
    ("GET /api/3.0/mlflow/workspaces/{workspace}", WORKSPACES),
    ("PATCH /api/3.0/mlflow/workspaces/{workspace}", WORKSPACES),
    ("DELETE /api/3.0/mlflow/workspaces/{workspace}", WORKSPACES),
];

const PARTS: &str = "a file comes and goes in one piece";
const ADDRESSES: &str = "files go through this server, which has no keys for other places";
const WORKSPACES: &str = "there are none";

/// What asks calls, and notes which it asked.
struct Walk {
    app: TestApp,
    reached: BTreeSet<String>,
}

impl Walk {
    async fn new() -> Self {
        Self {
            app: TestApp::signed_on_with(Permission::Read, with_open_network).await,
            reached: BTreeSet::new(),
        }
    }

    async fn send(&mut self, method: &str, path: &str, body: impl Into<Body>) -> Answer {
        self.send_with(method, path, &[], body).await
    }

    async fn send_with(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let pair = format!("admin:{ADMIN_PASSWORD}");
        let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .header("authorization", format!("Basic {encoded}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = self.app.send(request.body(body.into()).unwrap()).await;
        let text = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.status, StatusCode::OK, "{method} {path}: {text}");
        let call = described::call_of(method, path);
        self.reached
            .insert(call.unwrap_or_else(|| panic!("{method} {path} is not described")));
        answer
    }

    async fn ask(&mut self, method: &str, path: &str, body: Value) -> Value {
        self.send(method, path, body.to_string()).await.json()
    }

    async fn get(&mut self, path: &str) -> Value {
        self.send("GET", path, "").await.json()
    }

    async fn post(&mut self, path: &str, body: Value) -> Value {
        self.ask("POST", path, body).await
    }
}

/// So that webhooks may be on this machine.
fn with_open_network(bench: &TestBench, options: ServerOptions) -> ServerOptions {
    let network = Network {
        schemes: vec!["http".to_owned()],
        allows_private: true,
        ..Network::default()
    };
    ServerOptions {
        webhooks: Some(bench.webhooks_on(network)),
        ..options
    }
}

#[tokio::test]
async fn every_call_is_answered_as_it_is_described() {
    let mut walk = Walk::new().await;
    let (experiment, run) = tracking::walk(&mut walk).await;
    registry::walk(&mut walk, &experiment, &run).await;
    traces::walk(&mut walk, &experiment, &run).await;
    access::walk(&mut walk, &experiment).await;
    let document: Value = serde_json::from_str(&server::document()).unwrap();
    let calls = document["paths"].as_object().unwrap().iter();
    let calls = calls.flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().keys();
        methods.map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    let calls: BTreeSet<_> = calls.collect();
    let never: BTreeSet<_> = NEVER.iter().map(|(call, _)| (*call).to_owned()).collect();
    let missed: Vec<_> = calls.difference(&walk.reached).collect();
    assert_eq!(
        missed,
        never.iter().collect::<Vec<_>>(),
        "not answered with success"
    );
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[test]
fn what_is_not_described_is_a_fault() {
    let named = json!({ "Word": { "enum": ["a"] } });
    let schema = json!({
        "type": "object",
        "properties": {
            "word": { "$ref": "#/components/schemas/Word" },
            "count": { "type": "integer", "format": "int64", "minimum": 0 },
            "notes": { "type": "object", "additionalProperties": { "type": "string" } },
        },
        "required": ["word"],
    });
    let good = json!({ "word": "a", "count": 1, "notes": { "x": "y" } });
    assert!(described::faults_by(&schema, &named, &good).is_empty());
    for wrong in [
        json!({}),
        json!([]),
        json!({ "word": "b" }),
        json!({ "word": "a", "count": "1" }),
        json!({ "word": "a", "count": -1 }),
        json!({ "word": "a", "count": null }),
        json!({ "word": "a", "notes": { "x": 1 } }),
        json!({ "word": "a", "besides": 1 }),
    ] {
        assert!(
            !described::faults_by(&schema, &named, &wrong).is_empty(),
            "{wrong}"
        );
    }
}
