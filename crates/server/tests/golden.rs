//! Pairs of request and answer that were measured on stock MLflow 3.17.2 (its answers cut at 420 characters), sent here
//! in their order; ids are filled in and left out of the comparison.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

mod support;

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::Request;
use serde::Deserialize;
use serde_json::{Value, json};
use support::TestApp;

#[derive(Deserialize)]
struct Pair {
    name: String,
    method: String,
    path: String,
    body: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    status: u16,
    content_type: String,
    answer: String,
}

/// Where ours is another answer, and why. Each is checked to differ, so that this list stays true.
const DIFFERENT: &[(&str, Kind, &str)] = &[
    ("dup exp", Kind::Message, "it holds no SQL"),
    (
        "create same name as deleted",
        Kind::Message,
        "it holds no SQL, and says what to do",
    ),
    (
        "create run",
        Kind::Body,
        "the user is told by the field too, not by the tag alone",
    ),
    (
        "get run",
        Kind::Body,
        "the user is told by the field too, not by the tag alone",
    ),
    ("unknown field", Kind::Body, "the id that is free"),
    (
        "search exp no max_results",
        Kind::Message,
        "one form for every limit",
    ),
    (
        "search exp max 60000",
        Kind::Message,
        "one form for every limit",
    ),
    (
        "get-history page 0",
        Kind::Message,
        "one form for every limit",
    ),
    (
        "search bad filter",
        Kind::Message,
        "it says where, and what to write instead",
    ),
    (
        "search bad entity",
        Kind::Message,
        "it says where, and what to write instead",
    ),
    (
        "search OR",
        Kind::Message,
        "it says where, and what to write instead",
    ),
    (
        "search bad order",
        Kind::Message,
        "it says where, and what to write instead",
    ),
    (
        "search bad token",
        Kind::Message,
        "tokens have another form",
    ),
    (
        "update run bad status",
        Kind::Status,
        "an unknown status is refused, not ignored",
    ),
    (
        "rename deleted",
        Kind::Status,
        "a 500 would be sent again for minutes",
    ),
    (
        "batch >1MB",
        Kind::Status,
        "a value beyond a mebibyte is refused, not cut at 8000 characters",
    ),
    ("rm create", Kind::Body, "the time"),
    (
        "mpu local",
        Kind::Message,
        "its class is told as with other errors",
    ),
    (
        "presigned local",
        Kind::Message,
        "its class is told as with other errors",
    ),
    (
        "server-info",
        Kind::Body,
        "no gateway, no presigned uploads",
    ),
];

/// In what an answer differs.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// In the words alone: status and code are the same.
    Message,
    /// In what is told: the status is the same.
    Body,
    Status,
}

#[tokio::test]
async fn answers_are_those_of_mlflow_but_for_what_is_listed() {
    let app = TestApp::team().await;
    let golden = include_str!("golden/mlflow-3.17.2.jsonl");
    let mut filled = BTreeMap::from([("{experiment}", String::new()), ("{run}", String::new())]);
    let mut wrong = Vec::new();
    let mut unlisted = 0;
    for line in golden.lines() {
        let pair: Pair = serde_json::from_str(line).unwrap();
        let answer = send(&app, &pair, &filled).await;
        if let Ok(body) = serde_json::from_str::<Value>(&answer.2) {
            note(
                &mut filled,
                "{experiment}",
                &body["experiment_id"],
                &pair.name == "create exp",
            );
            note(
                &mut filled,
                "{run}",
                &body["run"]["info"]["run_id"],
                &pair.name == "create run",
            );
        }
        let difference = compare(&pair, &answer, &filled);
        let listed = DIFFERENT.iter().find(|(name, ..)| *name == pair.name);
        match (difference, listed) {
            (Some(difference), None) => wrong.push(format!("{}: {difference}", pair.name)),
            (None, Some(_)) => wrong.push(format!("{}: is listed and does not differ", pair.name)),
            (None, None) => unlisted += 1,
            (Some(difference), Some((_, kind, _))) => {
                if !keeps(*kind, &pair, &answer) {
                    wrong.push(format!("{}: differs in more: {difference}", pair.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        unlisted >= 60,
        "only {unlisted} answers are those of MLflow"
    );
}

fn note(filled: &mut BTreeMap<&str, String>, name: &'static str, value: &Value, is_it: bool) {
    if let (true, Some(text)) = (is_it, value.as_str()) {
        filled.insert(name, text.to_owned());
    }
}

type Sent = (u16, String, String);

async fn send(app: &TestApp, pair: &Pair, filled: &BTreeMap<&str, String>) -> Sent {
    let mut request = Request::builder().method(pair.method.as_str()).uri(fill(
        &pair.path.replace("%7B", "{").replace("%7D", "}"),
        filled,
    ));
    for (name, value) in &pair.headers {
        request = request.header(name, value);
    }
    let body = fill(pair.body.as_deref().unwrap_or_default(), filled);
    let answer = app.send(request.body(Body::from(body)).unwrap()).await;
    let text = String::from_utf8(answer.body.clone()).unwrap();
    (
        answer.status.as_u16(),
        answer.header("content-type").to_owned(),
        text,
    )
}

/// Fills in ids and what is too long to stand in a file.
fn fill(text: &str, filled: &BTreeMap<&str, String>) -> String {
    let mut text = text.to_owned();
    for (name, value) in filled {
        text = text.replace(name, value);
    }
    for (name, make) in [
        ("{x*", (|count| "x".repeat(count)) as fn(usize) -> String),
        ("{points*", points),
        ("{pairs*", pairs),
    ] {
        while let Some(start) = text.find(name) {
            let end = start + text[start..].find('}').unwrap();
            let count = text[start + name.len()..end].parse().unwrap();
            text.replace_range(start..=end, &make(count));
        }
    }
    text
}

fn points(count: usize) -> String {
    let point = |at| json!({"key": "b", "value": 1, "timestamp": at, "step": at});
    Value::from((0..count).map(point).collect::<Vec<_>>()).to_string()
}

fn pairs(count: usize) -> String {
    let pair = |at| json!({"key": format!("b{at}"), "value": "1"});
    Value::from((0..count).map(pair).collect::<Vec<_>>()).to_string()
}

/// Whether a listed difference leaves the rest as it is.
fn keeps(kind: Kind, pair: &Pair, (status, _, text): &Sent) -> bool {
    let code = |text: &str| {
        text.split("error_code")
            .nth(1)
            .and_then(|rest| rest.split('"').nth(2).map(str::to_owned))
    };
    match kind {
        Kind::Status => *status != pair.status,
        Kind::Body => *status == pair.status,
        Kind::Message => *status == pair.status && code(text) == code(&pair.answer),
    }
}

/// The first difference, if any.
fn compare(pair: &Pair, sent: &Sent, filled: &BTreeMap<&str, String>) -> Option<String> {
    let (status, media, text) = sent;
    let essence = |media: &str| media.split(';').next().unwrap_or_default().to_owned();
    let expected_text = fill(&pair.answer, filled);
    if *status != pair.status || essence(media) != essence(&pair.content_type) {
        return Some(format!(
            "{status} {media} {text}, not {} {expected_text}",
            pair.status
        ));
    }
    let is_same = match (
        serde_json::from_str::<Value>(text),
        serde_json::from_str(&expected_text),
    ) {
        (Ok(found), Ok::<Value, _>(expected)) => found == expected,
        // A text, a page, or JSON that was cut.
        (Err(_), _) => text.trim_end() == expected_text,
        (Ok(found), Err(_)) => {
            let shown = serde_json::to_string_pretty(&found).unwrap();
            let expected: String = expected_text.split_whitespace().collect();
            shown
                .split_whitespace()
                .collect::<String>()
                .starts_with(&expected)
        }
    };
    (!is_same).then(|| format!("{text}, not {expected_text}"))
}
