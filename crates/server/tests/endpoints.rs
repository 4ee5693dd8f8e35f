//! Every address that MLflow's server has is answered here, or stands in the table of `docs/mlflow.md` with the reason why
//! it is not.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

mod support;

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use entities::Permission;
use support::{ADMIN_PASSWORD, Answer, TestApp};

const TABLE: &str = include_str!("endpoints/mlflow-3.18.0.tsv");

const YEAR_OLD_CLIENT: &str = include_str!("endpoints/client-3.6.0.tsv");

const DOCS: &str = include_str!("../../../docs/mlflow.md");

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// An address of MLflow's server.
struct Row {
    /// `AUTH` where the table does not say which.
    method: &'static str,
    /// With the names of what is filled in.
    path: &'static str,
    has_page_prefix: bool,
}

fn rows() -> Vec<Row> {
    let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let [_, method, path, prefixes, _] = line.split('\t').collect::<Vec<_>>()[..] else {
                panic!("{line} is no row");
            };
            Row {
                method,
                path,
                has_page_prefix: prefixes == "ajax+api",
            }
        })
        .collect()
}

impl Row {
    /// The paths under which it stands.
    fn paths(&self) -> Vec<String> {
        let mut paths = vec![self.path.to_owned()];
        if self.has_page_prefix {
            paths.push(self.path.replacen("/api/", "/ajax-api/", 1));
        }
        paths
    }

    fn is_left_out(&self, left_out: &[&str]) -> bool {
        left_out.iter().any(|address| self.is_of(address))
    }

    /// Whether an address of the documentation is this one; one that ends with `…` is all that begin so.
    fn is_of(&self, address: &str) -> bool {
        let path = self.path.replacen("/ajax-api/", "/api/", 1);
        match address.strip_suffix('…') {
            Some(begin) => path.starts_with(begin),
            None => path == address,
        }
    }
}

/// The addresses in the table below "What is not answered", each of whose lines gives a reason.
fn left_out() -> Vec<&'static str> {
    let section = DOCS.split("\n## What is not answered\n").nth(1);
    let section = section.unwrap().split("\n## ").next().unwrap();
    let lines = section.lines().filter(|line| line.starts_with("| "));
    let mut addresses = Vec::new();
    for line in lines.skip(1) {
        let [_, listed, reason, _] = line.split('|').collect::<Vec<_>>()[..] else {
            panic!("{line} is no line of the table");
        };
        assert!(reason.trim().len() > 20, "{line} gives no reason");
        addresses.extend(listed.split('`').skip(1).step_by(2));
    }
    addresses
}

/// A path with something in place of what is filled in.
fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| match part.split_once('{') {
        Some((begin, rest)) => {
            let end = rest.split_once('}').map_or("", |(_, end)| end);
            format!("{begin}0123abcd{end}")
        }
        None => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("/")
}

/// Whether a path with names to be filled in is also that of a path that is filled.
fn covers(path: &str, filled: &str) -> bool {
    let (named, found): (Vec<_>, Vec<_>) = (path.split('/').collect(), filled.split('/').collect());
    named.len() == found.len()
        && named
            .iter()
            .zip(&found)
            .all(|(named, found)| named.contains('{') || named == found)
}

async fn ask(app: &TestApp, method: &str, path: &str) -> Answer {
    let mut request = Request::builder().method(method).uri(filled(path));
    request = request.header("content-type", "application/json");
    if app.accounts.is_some() {
        use base64::Engine as _;
        let pair = format!("admin:{ADMIN_PASSWORD}");
        let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
        request = request.header("authorization", format!("Basic {encoded}"));
    }
    app.send(request.body(Body::from("{}")).unwrap()).await
}

const UNKNOWN: &str = "<title>404 Not Found</title>";
const OTHER_METHOD: &str = "<title>405 Method Not Allowed</title>";

/// Whether an answer is MLflow's page for an address that is none, or that has no such method.
fn is_page_of_nothing(answer: &Answer) -> bool {
    let text = String::from_utf8_lossy(&answer.body);
    let is_html = answer.header("content-type") == "text/html; charset=utf-8";
    match answer.status {
        StatusCode::NOT_FOUND => is_html && text.contains(UNKNOWN),
        StatusCode::METHOD_NOT_ALLOWED => is_html && text.contains(OTHER_METHOD),
        _ => false,
    }
}

#[test]
fn the_table_is_whole_and_every_address_that_is_left_out_is_in_it() {
    let rows = rows();
    assert_eq!(rows.len(), 332);
    for address in left_out() {
        let is_there = rows.iter().any(|row| row.is_of(address));
        assert!(is_there, "{address} is no address of MLflow's");
    }
}

/// Whether they are answered is seen with the others.
#[test]
fn all_that_a_client_of_a_year_ago_asks_is_among_them() {
    let (rows, left_out) = (rows(), left_out());
    let asked = YEAR_OLD_CLIENT
        .lines()
        .filter(|line| !line.starts_with('#'));
    let mut count = 0;
    for line in asked {
        let (method, path) = line.split_once('\t').unwrap();
        let row = rows
            .iter()
            .find(|row| row.method == method && row.path == path);
        let row = row.unwrap_or_else(|| panic!("{method} {path} is none"));
        assert!(!row.is_left_out(&left_out), "{method} {path} is left out");
        count += 1;
    }
    assert!(count > 100, "only {count}");
}

#[tokio::test]
async fn every_address_is_answered_or_left_out_with_a_reason() {
    let app = TestApp::team().await;
    let left_out = left_out();
    let mut wrong = Vec::new();
    let mut answered = 0;
    for row in rows().iter().filter(|row| row.method != "AUTH") {
        for path in row.paths() {
            let answer = ask(&app, row.method, &path).await;
            let said = format!("{} {path}: {}", row.method, answer.status);
            match (is_page_of_nothing(&answer), row.is_left_out(&left_out)) {
                (true, false) => wrong.push(format!("{said}, and the documentation lists it not")),
                (false, true) => wrong.push(format!("{said}, and is documented as left out")),
                (false, false) if answer.status.is_server_error() && !is_declined(&path) => {
                    wrong.push(said);
                }
                (false, false) => answered += 1,
                (true, true) => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(answered > 250, "only {answered} are answered");
}

/// What MLflow declines with a status that is the server's fault, where it is switched off.
fn is_declined(path: &str) -> bool {
    path.contains("/workspaces") || path.contains("/presigned/")
}

#[tokio::test]
async fn addresses_about_users_are_there_where_users_sign_on() {
    let open = TestApp::team().await;
    let closed = TestApp::signed_on(Permission::Read).await;
    let left_out = left_out();
    let mut found = 0;
    for row in rows().iter().filter(|row| row.method == "AUTH") {
        for path in row.paths() {
            let mut methods = Vec::new();
            for method in METHODS {
                let answer = ask(&open, method, &path).await;
                assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {path}");
                if !is_page_of_nothing(&ask(&closed, method, &path).await) {
                    methods.push(method);
                }
            }
            let is_there = !methods.is_empty();
            assert_ne!(is_there, row.is_left_out(&left_out), "{path}: {methods:?}");
            found += usize::from(is_there);
        }
    }
    assert!(found >= 50, "only {found}");
}

#[tokio::test]
async fn another_method_gets_the_page_of_mlflow() {
    let app = TestApp::team().await;
    let (rows, left_out) = (rows(), left_out());
    let known: BTreeSet<(&str, String)> = rows
        .iter()
        .flat_map(|row| row.paths().into_iter().map(|path| (row.method, path)))
        .collect();
    let mut tried = 0;
    for row in &rows {
        if row.method == "AUTH" || row.is_left_out(&left_out) {
            continue;
        }
        for path in row.paths() {
            let is_known = |method: &str| {
                let mut same = known.iter().filter(|(found, _)| *found == method);
                same.any(|(_, other)| covers(other, &filled(&path)))
            };
            for method in METHODS.into_iter().filter(|method| !is_known(method)) {
                let answer = ask(&app, method, &path).await;
                assert_eq!(
                    answer.status,
                    StatusCode::METHOD_NOT_ALLOWED,
                    "{method} {path}"
                );
                assert!(is_page_of_nothing(&answer), "{method} {path}");
                let allowed = answer.header("allow");
                assert!(allowed.contains(row.method), "{path} allows {allowed}");
                tried += 1;
            }
        }
    }
    assert!(tried > 800, "only {tried}");
}

#[tokio::test]
async fn what_is_switched_off_is_told_as_mlflow_tells_it() {
    let app = TestApp::team().await;
    let told = app.get_path("/ajax-api/3.0/mlflow/ui-telemetry").await.ok();
    assert_eq!(told["disable_ui_telemetry"], true);
    let clicked = app.request(
        axum::http::Method::POST,
        "/ajax-api/3.0/mlflow/ui-telemetry",
        "{}",
    );
    assert_eq!(clicked.await.ok()["status"], "disabled");
    let info = app.get_path("/api/3.0/mlflow/server-info").await.ok();
    assert_eq!(info["workspaces_enabled"], false);
    let path = "/api/3.0/mlflow/workspaces/%3Cscript%3E";
    let refused = app.get_path(path).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.header("content-type").starts_with("text/plain"));
    let said = String::from_utf8(refused.body).unwrap();
    let expected = format!(
        "Endpoint: {path} disabled because the server is running without workspaces support."
    );
    assert!(said.starts_with(&expected), "{said}");
}
