//! A server with some users.

use access::{NewToken, NewUser, Password};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use entities::{Permission, Resource, ResourceKind};
use serde_json::{Value, json};

use crate::support::{ADMIN_PASSWORD, Answer, TestApp};

/// Every user's but the administrator's.
pub(crate) const PASSWORD: &str = "a long password";

pub(crate) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

pub(crate) fn as_user(user: &str) -> String {
    let password = if user == "admin" {
        ADMIN_PASSWORD
    } else {
        PASSWORD
    };
    basic(user, password)
}

/// A server with an administrator and two users, each with an experiment (1 is Ann's, 2 is Bob's).
pub(crate) async fn app_with_users(default: Permission) -> TestApp {
    let app = TestApp::signed_on(default).await;
    for name in ["ann", "bob"] {
        create_user(&app, name).await;
        let body = json!({ "name": format!("of {name}") });
        let created = app.by(name, "POST", "2.0/mlflow/experiments/create", &body);
        created.await.ok();
    }
    app
}

pub(crate) async fn create_user(app: &TestApp, name: &str) {
    let new = NewUser {
        name: name.to_owned(),
        password: Password::new(PASSWORD.to_owned()),
        is_admin: false,
    };
    let accounts = app.accounts.as_ref().unwrap();
    accounts.create_user(&app.bench.caller, new).await.unwrap();
}

pub(crate) async fn create_token(app: &TestApp, name: &str, days: Option<u32>) -> String {
    let new = NewToken {
        user: name.to_owned(),
        label: "a test".to_owned(),
        days,
    };
    let accounts = app.accounts.as_ref().unwrap();
    let made = accounts.create_token(&app.bench.caller, new).await.unwrap();
    made.text
}

/// Gives a user a right of their own.
pub(crate) async fn grant(
    app: &TestApp,
    user: &str,
    kind: ResourceKind,
    pattern: &str,
    permission: Permission,
) {
    let accounts = app.accounts.as_ref().unwrap();
    let resource = Resource::new(kind, pattern);
    let granting = accounts.grant_anything_to_user(&app.bench.caller, user, resource, permission);
    granting.await.unwrap();
}

impl TestApp {
    /// Sends a request with an `Authorization` header.
    pub(crate) async fn with(
        &self,
        authorization: &str,
        method: &str,
        path: &str,
        body: impl Into<Body>,
    ) -> Answer {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("content-type", "application/json");
        let request = request.header("authorization", authorization);
        self.send(request.body(body.into()).unwrap()).await
    }

    /// Sends JSON as a user to a call below `/api/`.
    pub(crate) async fn by(&self, user: &str, method: &str, call: &str, body: &Value) -> Answer {
        let text = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        self.with(&as_user(user), method, &format!("/api/{call}"), text)
            .await
    }

    pub(crate) async fn get_by(&self, user: &str, call: &str) -> Answer {
        self.by(user, "GET", call, &Value::Null).await
    }

    /// Makes a run in an experiment.
    pub(crate) async fn run_by(&self, user: &str, experiment: &str) -> String {
        let body = json!({ "experiment_id": experiment });
        let made = self.by(user, "POST", "2.0/mlflow/runs/create", &body).await;
        made.ok()["run"]["info"]["run_id"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

/// Sends a request of Ann that must be refused.
pub(crate) async fn refused(app: &TestApp, method: &str, call: &str, body: &Value) {
    let answer = app.by("ann", method, call, body).await;
    assert_eq!(
        answer.status,
        StatusCode::FORBIDDEN,
        "{method} {call} {body}: {}",
        String::from_utf8_lossy(&answer.body)
    );
}

/// Gives a user a role that manages everything but administrators.
pub(crate) async fn grant_everything(app: &TestApp, user: &str) {
    let accounts = app.accounts.as_ref().unwrap();
    let caller = &app.bench.caller;
    let role = accounts.create_role(caller, "default", "managers", None);
    let role = role.await.unwrap().number;
    let everything = Resource::any(ResourceKind::Workspace);
    let granting = accounts.grant_to_role(caller, role, everything, Permission::Manage);
    granting.await.unwrap();
    accounts.assign_role(caller, user, role).await.unwrap();
}
