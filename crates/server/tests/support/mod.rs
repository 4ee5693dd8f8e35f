//! The server in this process, over a store in a temporary folder, with a clock and a generator that are set.
#![allow(dead_code, reason = "each file of tests uses a part of it")]

pub(crate) mod described;

use std::sync::Arc;

use access::{Accounts, NewUser, Password};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use entities::{ModelId, Permission, RunId};
use serde_json::Value;
use server::{ArtifactOptions, OperationOptions, RunScope, Scope, ServerOptions, WebOptions};
use testkit::{MockClock, TestBench};
use tower::ServiceExt as _;

/// As MLflow's server was measured with.
pub(crate) const ADMIN_PASSWORD: &str = "adminpassword1234";

pub(crate) const TOKEN: &str = "0123456789abcdef";

/// The server, and what is below it.
pub(crate) struct TestApp {
    pub(crate) bench: TestBench,
    pub(crate) router: Router,
    /// Sent with every request.
    pub(crate) token: Option<&'static str>,
    /// Who may do what, where somebody has to sign on.
    pub(crate) accounts: Option<Accounts>,
}

/// What was answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl TestApp {
    pub(crate) async fn team() -> Self {
        Self::team_on(TestBench::new().await)
    }

    pub(crate) fn team_on(bench: TestBench) -> Self {
        let router = server::router(options(&bench, Scope::Team));
        Self {
            bench,
            router,
            token: None,
            accounts: None,
        }
    }

    /// A server that asks who somebody is, with an administrator `admin`.
    pub(crate) async fn signed_on(default: Permission) -> Self {
        Self::signed_on_with(default, |_, options| options).await
    }

    /// Likewise, with options that are changed.
    pub(crate) async fn signed_on_with(
        default: Permission,
        change: impl FnOnce(&TestBench, ServerOptions) -> ServerOptions,
    ) -> Self {
        let bench = TestBench::new().await;
        let accounts = bench.accounts_with(default);
        let admin = NewUser {
            name: "admin".to_owned(),
            password: Password::new(ADMIN_PASSWORD.to_owned()),
            is_admin: true,
        };
        accounts.create_user(&bench.caller, admin).await.unwrap();
        let options = ServerOptions {
            accounts: Some(accounts.clone()),
            ..options(&bench, Scope::Team)
        };
        let router = server::router(change(&bench, options));
        Self {
            bench,
            router,
            token: None,
            accounts: Some(accounts),
        }
    }

    /// The endpoint of a captured run in experiment 0; for a replay with the ids that it presents.
    pub(crate) async fn run(
        presented_runs: Vec<RunId>,
        presented_models: Vec<ModelId>,
    ) -> (Self, RunId) {
        Self::run_on(TestBench::new().await, presented_runs, presented_models).await
    }

    pub(crate) async fn run_on(
        bench: TestBench,
        presented_runs: Vec<RunId>,
        presented_models: Vec<ModelId>,
    ) -> (Self, RunId) {
        let run = create_run(&bench, "captured").await;
        let scope = RunScope {
            run: run.clone(),
            token: TOKEN.to_owned(),
            presented_runs,
            presented_models,
            mask: Some(Arc::new(mask_by_name)),
        };
        let router = server::router(options(&bench, Scope::Run(scope)));
        let app = Self {
            bench,
            router,
            token: Some(TOKEN),
            accounts: None,
        };
        (app, run)
    }

    /// Sends a request. Its answer must be one that the document of the API has for it.
    pub(crate) async fn send(&self, mut request: Request<Body>) -> Answer {
        let headers = request.headers_mut();
        if !headers.contains_key("host") {
            headers.insert("host", "127.0.0.1:5000".parse().unwrap());
        }
        if let Some(token) = self.token
            && !headers.contains_key("authorization")
        {
            headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let answer = Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.to_vec(),
        };
        described::check(method.as_str(), &path, &answer);
        answer
    }

    pub(crate) async fn request(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Body>,
    ) -> Answer {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("content-type", "application/json");
        self.send(request.body(body.into()).unwrap()).await
    }

    /// Sends JSON to a call of the API.
    pub(crate) async fn post(&self, call: &str, body: &Value) -> Answer {
        let path = format!("/api/2.0/mlflow/{call}");
        self.request(Method::POST, &path, body.to_string()).await
    }

    pub(crate) async fn patch(&self, call: &str, body: &Value) -> Answer {
        let path = format!("/api/2.0/mlflow/{call}");
        self.request(Method::PATCH, &path, body.to_string()).await
    }

    /// Asks a call of the API.
    pub(crate) async fn get(&self, call: &str) -> Answer {
        self.get_path(&format!("/api/2.0/mlflow/{call}")).await
    }

    pub(crate) async fn get_path(&self, path: &str) -> Answer {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        self.send(request).await
    }

    pub(crate) async fn put(&self, path: &str, content: impl Into<Body>) -> Answer {
        let path = format!("{PROXY}/{path}");
        self.request(Method::PUT, &path, content).await
    }

    pub(crate) async fn download(&self, path: &str) -> Answer {
        self.get_path(&format!("{PROXY}/{path}")).await
    }

    /// Creates a run and gives its id as it was told.
    pub(crate) async fn create_run(&self, body: &Value) -> String {
        let answer = self.post("runs/create", body).await.ok();
        answer["run"]["info"]["run_id"].as_str().unwrap().to_owned()
    }
}

/// Keeps no value whose name ends so.
fn mask_by_name(key: &str, value: &str) -> String {
    let is_secret = key.ends_with("password");
    (if is_secret { "***" } else { value }).to_owned()
}

pub(crate) const PROXY: &str = "/api/2.0/mlflow-artifacts/artifacts";

pub(crate) fn options(bench: &TestBench, scope: Scope) -> ServerOptions {
    ServerOptions {
        tracking: bench.tracking.clone(),
        registry: bench.registry.clone(),
        traces: bench.traces.clone(),
        datasets: bench.datasets.clone(),
        webhooks: Some(bench.webhooks.clone()),
        accounts: None,
        random: Arc::clone(&bench.random) as _,
        web: WebOptions::default(),
        artifacts: ArtifactOptions::default(),
        operation: OperationOptions::default(),
        scope,
        user: "ann".to_owned(),
    }
}

pub(crate) async fn create_run(bench: &TestBench, name: &str) -> RunId {
    let new = tracking::NewRun {
        id: None,
        experiment: testkit::parsed("0"),
        name: Some(name.to_owned()),
        user: "ann".to_owned(),
        started_at: None,
        tags: std::collections::BTreeMap::new(),
        parent: None,
        replay_of: None,
        process: None,
    };
    bench
        .tracking
        .create_run(&bench.caller, new)
        .await
        .unwrap()
        .run
        .id
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The JSON of an answer that must be good.
    pub(crate) fn ok(&self) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, StatusCode::OK, "{text}");
        self.json()
    }

    /// Status, code and message of an error.
    pub(crate) fn error(&self) -> (u16, String, String) {
        let body = self.json();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        (self.status.as_u16(), text("error_code"), text("message"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }
}

/// An answer for a snapshot: ids are numbered and the time of the clock is named, since both depend on how often the
/// rooms below draw and look.
pub(crate) fn steady(mut answer: Value) -> Value {
    fn clean(value: &mut Value, ids: &mut Vec<String>) {
        match value {
            Value::String(text) => {
                while let Some(id) = find_id(text) {
                    let known = ids.iter().position(|known| *known == id);
                    let number = known.unwrap_or_else(|| {
                        ids.push(id.clone());
                        ids.len() - 1
                    });
                    *text = text.replace(&id, &format!("<id {number}>"));
                }
            }
            Value::Number(number) if number.as_i64() >= Some(MockClock::START.as_millis()) => {
                *value = Value::from("<now>");
            }
            Value::Array(items) => items.iter_mut().for_each(|item| clean(item, ids)),
            Value::Object(fields) => fields.values_mut().for_each(|field| clean(field, ids)),
            _ => {}
        }
    }
    clean(&mut answer, &mut Vec::new());
    answer
}

/// The first 32 hex digits in a row.
fn find_id(text: &str) -> Option<String> {
    let is_hex =
        |text: &&str| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.split(|letter: char| !letter.is_ascii_alphanumeric())
        .find(is_hex)
        .map(str::to_owned)
}
