//! Webhooks over HTTP: what the answers hold, who may ask, and what a trial tells.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

mod support;

use axum::http::Method;
use serde_json::{Value, json};
use server::Scope;
use support::{TestApp, options};
use testkit::{Receiver, Reply, TestBench};
use webhooks::{Deliverer, Network};

const SECRET: &str = "a-s3cr3t-that-nobody-tells";

/// The server with webhooks that may be in this machine.
async fn open_app() -> (TestApp, Deliverer) {
    let bench = TestBench::new().await;
    let network = Network {
        schemes: vec!["http".to_owned()],
        allows_private: true,
        ..Network::default()
    };
    let webhooks = bench.webhooks_on(network);
    let deliverer = Deliverer::new(webhooks.clone(), bench.caller.clone());
    let options = server::ServerOptions {
        webhooks: Some(webhooks),
        ..options(&bench, Scope::Team)
    };
    let app = TestApp {
        router: server::router(options),
        bench,
        token: None,
        accounts: None,
    };
    (app, deliverer)
}

fn hook(url: &str) -> Value {
    json!({
        "name": "hook",
        "url": url,
        "events": [
            {"entity": "REGISTERED_MODEL", "action": "CREATED"},
            {"entity": "PROMPT", "action": "CREATED"},
        ],
        "secret": SECRET,
    })
}

fn id_of(answer: &Value) -> String {
    answer["webhook"]["webhook_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn no_answer_tells_the_secret() {
    let (app, _) = open_app().await;
    let path = "/api/2.0/mlflow/webhooks";
    let made = app.post("webhooks", &hook("http://127.0.0.1:1/")).await;
    let id = id_of(&made.ok());
    let mut answers = vec![made];
    let one = format!("{path}/{id}");
    for (method, path, body) in [
        (Method::GET, path, Value::Null),
        (Method::GET, &one, Value::Null),
        (Method::PATCH, &one, json!({"secret": SECRET})),
        (Method::PATCH, &one, json!({"secret": [SECRET]})),
        (Method::PATCH, &one, json!({"secret": {"is": SECRET}})),
        (Method::PATCH, &one, json!({"secret": SECRET.repeat(100)})),
        (Method::POST, &format!("{one}/test"), json!({})),
        (Method::DELETE, &one, Value::Null),
    ] {
        answers.push(app.request(method, path, body.to_string()).await);
    }
    let statuses: Vec<_> = answers
        .iter()
        .map(|answer| answer.status.as_u16())
        .collect();
    assert_eq!(statuses, [200, 200, 200, 200, 400, 400, 400, 200, 200]);
    for answer in answers {
        let told = String::from_utf8(answer.body).unwrap();
        assert!(
            !told.contains(SECRET) && !told.contains("secret\":"),
            "{told}"
        );
    }
    let subject = format!("webhook:{id}");
    let events = app.bench.store.list_events_of(&subject, 9).await.unwrap();
    assert_eq!(events.len(), 3);
    for event in events {
        assert!(!String::from_utf8(event.body).unwrap().contains(SECRET));
    }
}

#[tokio::test]
async fn the_command_of_a_captured_run_is_told_nothing_of_webhooks() {
    let bench = TestBench::new().await;
    let new = hook("https://93.184.216.34/");
    let team = TestApp {
        router: server::router(options(&bench, Scope::Team)),
        bench,
        token: None,
        accounts: None,
    };
    let id = id_of(&team.post("webhooks", &new).await.ok());
    let (app, _) = TestApp::run_on(team.bench, Vec::new(), Vec::new()).await;
    let one = format!("webhooks/{id}");
    for prefix in ["/api/2.0/mlflow", "/ajax-api/2.0/mlflow"] {
        for (method, call) in [
            (Method::POST, "webhooks"),
            (Method::GET, "webhooks"),
            (Method::GET, &one),
            (Method::PATCH, &one),
            (Method::DELETE, &one),
            (Method::POST, &format!("{one}/test")),
        ] {
            let path = format!("{prefix}/{call}");
            let answer = app.request(method.clone(), &path, new.to_string()).await;
            let (status, code, told) = answer.error();
            assert_eq!(
                (status, code.as_str()),
                (403, "PERMISSION_DENIED"),
                "{method} {path}"
            );
            assert!(!told.contains("93.184"), "{told}");
        }
    }
    assert_eq!(app.bench.webhooks.get(&id).await.unwrap().name, "hook");
}

#[tokio::test]
async fn what_a_captured_run_registers_is_told_too() {
    let receiver = Receiver::start(&[]);
    let (team, deliverer) = open_app().await;
    let made = team.post("webhooks", &hook(&receiver.url("/"))).await;
    let id = id_of(&made.ok()).parse().unwrap();
    let (app, _) = TestApp::run_on(team.bench, Vec::new(), Vec::new()).await;
    let prompt = json!({
        "name": "ask",
        "tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}, {"key": "t", "value": "1"}],
    });
    app.post("registered-models/create", &prompt).await.ok();
    app.post("registered-models/create", &json!({"name": "net"}))
        .await
        .ok();
    assert_eq!(deliverer.deliver_to(&id).await.unwrap(), 2);
    let told: Vec<Value> = receiver
        .received()
        .iter()
        .map(|request| serde_json::from_str(&request.body).unwrap())
        .collect();
    assert_eq!(told[0]["entity"], "prompt");
    assert_eq!(told[0]["data"]["tags"], json!({"t": "1"}));
    assert_eq!(told[1]["entity"], "registered_model");
}

#[tokio::test]
async fn a_trial_is_answered_as_mlflow_answers_it() {
    let replies = [Reply::Status(200), Reply::Status(404), Reply::Drop];
    let receiver = Receiver::start(&replies);
    let (app, _) = open_app().await;
    let made = app.post("webhooks", &hook(&receiver.url("/a"))).await;
    let call = format!("webhooks/{}/test", id_of(&made.ok()));
    let tried = app.post(&call, &json!({})).await.ok();
    assert_eq!(
        tried,
        json!({"result": {"success": true, "response_status": 200, "response_body": "xx"}})
    );
    let event = json!({"event": {"entity": "MODEL_VERSION_TAG", "action": "SET"}});
    let tried = app.post(&call, &event).await.ok();
    assert_eq!(
        tried,
        json!({"result": {"success": false, "response_status": 404, "response_body": "xx"}})
    );
    let tried = app.post(&call, &json!({})).await.ok();
    let failure = tried["result"]["error_message"].as_str().unwrap();
    assert!(failure.starts_with("Failed to test webhook: "), "{failure}");
    assert!(tried["result"]["response_status"].is_null());
    let entities: Vec<_> = receiver
        .received()
        .iter()
        .map(|request| {
            let body: Value = serde_json::from_str(&request.body).unwrap();
            body["entity"].as_str().unwrap().to_owned()
        })
        .collect();
    // The first in the order in which events are listed, where none is named.
    assert_eq!(entities, ["prompt", "model_version_tag", "prompt"]);
}

#[tokio::test]
async fn pages_of_webhooks_follow_each_other() {
    let (app, _) = open_app().await;
    for number in 0..5 {
        let mut new = hook("http://127.0.0.1:1/");
        new["name"] = json!(format!("hook-{number}"));
        app.post("webhooks", &new).await.ok();
    }
    let mut names = Vec::new();
    let mut token = String::new();
    loop {
        let call = format!("webhooks?max_results=2&page_token={token}");
        let page = app.get(&call).await.ok();
        let found = page["webhooks"].as_array().unwrap();
        names.extend(
            found
                .iter()
                .map(|webhook| webhook["name"].as_str().unwrap().to_owned()),
        );
        match page["next_page_token"].as_str() {
            Some(next) => token = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(names, ["hook-4", "hook-3", "hook-2", "hook-1", "hook-0"]);
}
