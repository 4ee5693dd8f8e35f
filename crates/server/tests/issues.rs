//! Issues and label schemas: what a user sees of them, what is left when their experiment goes, and the endpoint of a
//! captured run. What MLflow answers is compared in `golden.rs`.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

mod support;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use support::{Answer, TestApp};

async fn call(app: &TestApp, method: Method, call: &str, body: &Value) -> Answer {
    let path = format!("/api/3.0/mlflow/{call}");
    app.request(method, &path, body.to_string()).await
}

async fn create_issue(app: &TestApp, body: &Value) -> String {
    let mut whole = json!({"experiment_id": "0", "name": "slow", "description": "It takes long."});
    whole
        .as_object_mut()
        .unwrap()
        .extend(body.as_object().unwrap().clone());
    let made = call(app, Method::POST, "issues", &whole).await.ok();
    made["issue"]["issue_id"].as_str().unwrap().to_owned()
}

async fn create_schema(app: &TestApp, name: &str) -> String {
    let input = json!({"pass_fail": {"positive_label": "Yes", "negative_label": "No"}});
    let body = json!({"experiment_id": "0", "name": name, "type": "FEEDBACK", "input": input});
    let made = call(app, Method::POST, "label-schemas/create", &body).await;
    made.ok()["label_schema"]["schema_id"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn every_change_of_an_issue_is_an_event_about_it() {
    let app = TestApp::team().await;
    let id = create_issue(&app, &json!({"severity": "high"})).await;
    let change = json!({"issue_id": id, "status": "resolved"});
    call(&app, Method::PATCH, &format!("issues/{id}"), &change)
        .await
        .ok();
    let schema = create_schema(&app, "Is it right?").await;
    let body = json!({"schema_id": schema});
    call(&app, Method::DELETE, "label-schemas/delete", &body)
        .await
        .ok();
    let kinds = async |subject: String| {
        let events = app.bench.store.list_events_of(&subject, 10).await.unwrap();
        let kind = |leaf: &[u8]| entities::Leaf::decode(leaf).unwrap().kind;
        let mut kinds: Vec<_> = events.iter().map(|event| kind(&event.leaf)).collect();
        kinds.sort();
        kinds
    };
    assert_eq!(
        kinds(format!("issue:{id}")).await,
        ["issue.created", "issue.updated"]
    );
    assert_eq!(
        kinds(format!("label-schema:{schema}")).await,
        ["label_schema.created", "label_schema.deleted"]
    );
    assert_eq!(app.bench.store.verify_projection().await.unwrap(), None);
}

#[tokio::test]
async fn looking_at_the_questions_of_an_experiment_changes_nothing() {
    let app = TestApp::team().await;
    let before = app.bench.store.ledger_progress().await.unwrap();
    let list = "label-schemas/list?experiment_id=0";
    let listed = call(&app, Method::GET, list, &json!({})).await.ok();
    let asked = listed["label_schemas"].as_array().unwrap();
    assert_eq!(asked.len(), 1);
    assert_eq!(
        (&asked[0]["name"], &asked[0]["is_default"]),
        (&json!("Feedback"), &json!(true))
    );
    let id = asked[0]["schema_id"].as_str().unwrap();
    let path = format!("label-schemas/get?schema_id={id}");
    let found = call(&app, Method::GET, &path, &json!({})).await.ok();
    assert_eq!(found["label_schema"], asked[0]);
    for (method, call_name) in [
        (Method::PATCH, "label-schemas/update"),
        (Method::DELETE, "label-schemas/delete"),
    ] {
        let body = json!({"schema_id": id, "instruction": "x"});
        assert_eq!(call(&app, method, call_name, &body).await.error().0, 400);
    }
    let after = app.bench.store.ledger_progress().await.unwrap();
    assert_eq!(after.committed, before.committed);
}

#[tokio::test]
async fn pages_of_questions_go_on_where_they_ended() {
    let app = TestApp::team().await;
    for name in ["a", "b", "c"] {
        create_schema(&app, name).await;
    }
    let (mut names, mut token) = (Vec::new(), String::new());
    loop {
        let path = format!("label-schemas/list?experiment_id=0&max_results=3&page_token={token}");
        let page = call(&app, Method::GET, &path, &json!({})).await.ok();
        for schema in page["label_schemas"].as_array().unwrap() {
            names.push(schema["name"].as_str().unwrap().to_owned());
        }
        token = page["next_page_token"].as_str().unwrap().to_owned();
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(names, ["c", "b", "a", "Feedback"]);
    for token in ["-1", "x", "99999999999999999999"] {
        let path = format!("label-schemas/list?experiment_id=0&page_token={token}");
        assert_eq!(
            call(&app, Method::GET, &path, &json!({})).await.error().0,
            400,
            "{token}"
        );
    }
}

#[tokio::test]
async fn what_is_too_long_or_no_id_is_refused() {
    let app = TestApp::team().await;
    let long = |length: usize| "x".repeat(length);
    for (field, value) in [
        ("name", json!(long(251))),
        ("description", json!(long((1 << 20) + 1))),
        ("created_by", json!(long(256))),
        ("root_causes", json!(vec!["x"; 1001])),
        ("categories", json!([long((1 << 20) + 1)])),
    ] {
        let mut body = json!({"experiment_id": "0", "name": "n", "description": "d"});
        body[field] = value;
        let answer = call(&app, Method::POST, "issues", &body).await;
        let (status, code, message) = answer.error();
        assert_eq!(
            (status, code.as_str()),
            (400, "INVALID_PARAMETER_VALUE"),
            "{field}"
        );
        assert!(message.contains(field), "{message}");
    }
    for id in ["..%2F..%2Fx", "%27%20OR%201%3D1", "iss-", "%00"] {
        let path = format!("issues/{id}");
        assert_eq!(
            call(&app, Method::GET, &path, &json!({})).await.error().0,
            404,
            "{id}"
        );
        let path = format!("label-schemas/get?schema_id={id}");
        assert_eq!(
            call(&app, Method::GET, &path, &json!({})).await.error().0,
            404,
            "{id}"
        );
    }
    let filter = json!({"experiment_id": "0", "filter_string": "status = 'x' OR 1 = 1"});
    assert_eq!(
        call(&app, Method::POST, "issues/search", &filter)
            .await
            .error()
            .0,
        400
    );
}

#[tokio::test]
async fn a_captured_run_changes_what_it_made_and_nothing_else() {
    let bench = testkit::TestBench::new().await;
    let team = TestApp::team_on(bench);
    let theirs = create_issue(&team, &json!({})).await;
    let asked = create_schema(&team, "theirs").await;
    let (app, run) = TestApp::run_on(team.bench, Vec::new(), Vec::new()).await;
    let told = json!({"source_run_id": run, "description": "{\"db_password\": \"hunter2\"}"});
    let mine = create_issue(&app, &told).await;
    let own = create_schema(&app, "mine").await;
    let path = |id: &str| format!("issues/{id}");
    let found = call(&app, Method::GET, &path(&mine), &json!({})).await.ok();
    assert_eq!(found["issue"]["source_run_id"], run.as_str());
    let description = found["issue"]["description"].as_str().unwrap();
    assert!(!description.contains("hunter2"), "{description}");
    let change = json!({"status": "rejected"});
    call(&app, Method::PATCH, &path(&mine), &change).await.ok();
    call(&app, Method::GET, &path(&theirs), &json!({}))
        .await
        .ok();
    let refused = call(&app, Method::PATCH, &path(&theirs), &change).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    for (method, call_name) in [
        (Method::PATCH, "label-schemas/update"),
        (Method::DELETE, "label-schemas/delete"),
    ] {
        let body = |id: &str| json!({"schema_id": id, "instruction": "x"});
        let refused = call(&app, method.clone(), call_name, &body(&asked)).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        call(&app, method, call_name, &body(&own)).await.ok();
    }
}
