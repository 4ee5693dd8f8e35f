//! Every route of the router has a rule: one that has none is refused to all but administrators.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use entities::{Permission, ResourceKind};

use crate::helpers::{app_with_users, as_user, create_user, grant};
use crate::support::TestApp;

/// What anybody may ask for, and what everybody who signed on may.
const OPEN: [&str; 4] = [
    "GET /health",
    "GET /api/3.0/mlflow/server-info",
    "GET /ajax-api/3.0/mlflow/server-info",
    "HEAD /health",
];

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// The paths of a router as it has them, out of what it prints for debugging: there is no other way to list them.
fn paths(app: &TestApp) -> BTreeSet<String> {
    let printed = format!("{:?}", app.router);
    let quoted = printed.split('"').skip(1).step_by(2);
    let paths = quoted.filter(|text| text.starts_with('/'));
    paths
        .filter(|path| !path.contains("__private__"))
        .map(str::to_owned)
        .collect()
}

/// A path with something in place of what is captured.
fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| match part {
        "{*path}" => "1/x",
        part if part.starts_with('{') => "0123456789abcdef0123456789abcdef",
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn the_router_lists_its_routes() {
    let app = TestApp::signed_on(Permission::Read).await;
    let paths = paths(&app);
    for known in [
        "/health",
        "/v1/traces",
        "/api/2.0/mlflow/runs/create",
        "/ajax-api/2.0/mlflow/users/create",
        "/api/2.0/mlflow/logged-models/{model}/tags/{key}",
        "/api/2.0/mlflow-artifacts/artifacts/{*path}",
        "/api/3.0/mlflow/roles/create",
    ] {
        assert!(paths.contains(known), "{known} is not in {paths:?}");
    }
    assert!(paths.len() > 250, "only {}", paths.len());
}

/// Nobody is answered but by what is open.
#[tokio::test]
async fn nobody_gets_anything() {
    let app = TestApp::signed_on(Permission::Manage).await;
    for path in paths(&app) {
        for method in METHODS {
            if OPEN.contains(&format!("{method} {path}").as_str()) {
                continue;
            }
            let answer = app.with("", method, &filled(&path), "{}").await;
            let is_refused = answer.status == StatusCode::UNAUTHORIZED;
            let is_open_path = OPEN.iter().any(|open| open.ends_with(&format!(" {path}")));
            let is_no_call = is_open_path && answer.status == StatusCode::METHOD_NOT_ALLOWED;
            assert!(
                is_refused || is_no_call,
                "{method} {path}: {}",
                answer.status
            );
        }
    }
}

/// A user who manages everything gets through every rule but those for administrators; so each call that is refused
/// has no rule, or is for administrators.
#[tokio::test]
async fn every_call_has_a_rule() {
    let app = TestApp::signed_on(Permission::Manage).await;
    create_user(&app, "ann").await;
    make_manager(&app, "ann").await;
    let for_admins: BTreeSet<&str> = [
        "GET webhooks",
        "POST webhooks",
        "GET webhooks/{webhook}",
        "PATCH webhooks/{webhook}",
        "DELETE webhooks/{webhook}",
        "POST webhooks/{webhook}/test",
        "PATCH users/update-admin",
        "DELETE users/delete",
    ]
    .into();
    let mut refused = BTreeSet::new();
    let mut calls = 0;
    for path in paths(&app) {
        for method in METHODS {
            let allowed = app
                .with(&as_user("admin"), "OPTIONS", &filled(&path), "")
                .await;
            assert_eq!(allowed.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
            if !allowed.header("allow").contains(method) {
                continue;
            }
            calls += 1;
            let uri = format!("{}?username=ann&path=", filled(&path));
            let body = r#"{"username": "ann"}"#;
            let answer = app.with(&as_user("ann"), method, &uri, body).await;
            if answer.status == StatusCode::FORBIDDEN {
                let call = path.split("/mlflow/").last().unwrap();
                refused.insert(format!("{method} {call}"));
            }
        }
    }
    let for_admins = for_admins.into_iter().map(str::to_owned).collect();
    assert_eq!(refused, for_admins);
    assert!(calls > 300, "only {calls} calls");
}

/// What a user with no rights at all is answered: nothing but what is about themselves, and listings of nothing.
#[tokio::test]
async fn without_rights_nothing_of_others_is_told_or_changed() {
    let app = app_with_users(Permission::NoPermissions).await;
    let run = app.run_by("bob", "2").await;
    create_user(&app, "eve").await;
    let before = event_count(&app).await;
    let mut allowed = BTreeSet::new();
    for path in paths(&app) {
        for method in METHODS {
            let filled = filled(&path).replace("0123456789abcdef0123456789abcdef", &run);
            let uri = format!(
                "{filled}?run_id={run}&run_ids={run}&experiment_id=2&experiment_ids=2&experiment_name=of+bob&name=x&scorer_ids=x&trace_ids=x&request_id=x&trace_id=x&alias=x&version=1&path=2/{run}&username=bob&role_id=1&resource_type=experiment&resource_id=2&metric_key=a"
            );
            let body = format!(
                r#"{{"run_id": "{run}", "experiment_id": "2", "experiment_ids": ["2"], "name": "by eve", "new_name": "y", "username": "bob", "password": "{run}", "key": "k", "value": "1", "timestamp": 1, "role_id": 1, "resource_type": "experiment", "resource_id": "2", "resource_pattern": "2", "permission": "MANAGE", "max_results": 10, "scorer_name": "s", "serialized_scorer": "{{}}", "locations": [{{"mlflow_experiment": {{"experiment_id": "2"}}}}], "trace_ids": ["x"], "source": "runs:/{run}/m", "is_admin": true}}"#
            );
            let answer = app.with(&as_user("eve"), method, &uri, body).await;
            let text = String::from_utf8_lossy(&answer.body);
            let tells = text.contains(&run) || text.contains("of bob");
            // What is switched off names its own path.
            let is_their_own = text.contains("registered_model")
                || answer.status == StatusCode::SERVICE_UNAVAILABLE;
            assert!(!tells || is_their_own, "{method} {path} told {text}");
            if answer.status == StatusCode::OK {
                let call = path.split("/mlflow/").last().unwrap();
                allowed.insert(format!("{method} {call}"));
            }
        }
    }
    let expected: BTreeSet<String> = [
        "GET /",
        "GET /health",
        "GET /version",
        "GET /openapi.json",
        "GET server-info",
        "GET ui-telemetry",
        "POST ui-telemetry",
        "GET users/current",
        "GET users/current/permissions",
        "GET users/list",
        "GET experiments/search",
        "POST experiments/search",
        "POST runs/search",
        "POST logged-models/search",
        "GET registered-models/search",
        "GET model-versions/search",
        // Whoever may sign on may make something of their own.
        "POST registered-models/create",
        "POST experiments/create",
        "GET roles/list",
        "GET scorers/online-configs",
    ]
    .into_iter()
    .map(str::to_owned)
    .collect();
    let unexpected: Vec<_> = allowed.difference(&expected).collect();
    assert!(unexpected.is_empty(), "{unexpected:?} were allowed");
    // What was made is Eve's own.
    assert!(event_count(&app).await <= before + 4);
}

async fn event_count(app: &TestApp) -> u64 {
    app.bench.store.ledger_progress().await.unwrap().committed
}

async fn make_manager(app: &TestApp, user: &str) {
    let body = serde_json::json!({"workspace": "default", "name": "managers"});
    let role = app
        .by("admin", "POST", "3.0/mlflow/roles/create", &body)
        .await
        .ok();
    let id = &role["role"]["id"];
    let body = serde_json::json!({"role_id": id, "resource_type": "workspace", "resource_pattern": "*", "permission": "MANAGE"});
    let added = app.by("admin", "POST", "3.0/mlflow/roles/permissions/add", &body);
    added.await.ok();
    let body = serde_json::json!({"role_id": id, "username": user});
    app.by("admin", "POST", "3.0/mlflow/roles/assign", &body)
        .await
        .ok();
}

#[tokio::test]
async fn a_prefix_changes_nothing() {
    let bench = testkit::TestBench::new().await;
    let plain = TestApp::signed_on(Permission::Read).await;
    let accounts = plain.accounts.clone().unwrap();
    let options = server::ServerOptions {
        accounts: Some(accounts),
        web: server::WebOptions {
            prefix: "/mlflow".to_owned(),
            ..server::WebOptions::default()
        },
        ..crate::support::options(&bench, server::Scope::Team)
    };
    let app = TestApp {
        bench,
        router: server::router(options),
        token: None,
        accounts: plain.accounts.clone(),
    };
    create_user(&app, "eve").await;
    grant(&app, "eve", ResourceKind::Experiment, "0", Permission::Deny).await;
    let read = "/mlflow/api/2.0/mlflow/experiments/get?experiment_id=0";
    let get = async |user: &str, path: &str| app.with(&as_user(user), "GET", path, "").await.status;
    assert_eq!(
        app.with("", "GET", read, "").await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(get("eve", read).await, StatusCode::FORBIDDEN);
    assert_eq!(get("admin", read).await, StatusCode::OK);
    assert_eq!(app.get_path("/mlflow/health").await.status, StatusCode::OK);
    assert_eq!(get("eve", "/mlflow/").await, StatusCode::OK);
    // The proxy stands in both places.
    for path in ["/mlflow", ""] {
        let file = format!("{path}/api/2.0/mlflow-artifacts/artifacts/0/x");
        assert_eq!(get("eve", &file).await, StatusCode::FORBIDDEN, "{path}");
        assert_eq!(get("admin", &file).await, StatusCode::NOT_FOUND, "{path}");
    }
}
