//! Pairs of request and answer that were measured on stock MLflow 3.17.2 (its answers cut at 420 characters), sent here
//! in their order; ids are filled in and left out of the comparison.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

#[path = "golden/differences.rs"]
mod differences;
mod support;

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::Request;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use differences::{
    DIFFERENT, DIFFERENT_ACCESS, DIFFERENT_DATASETS, DIFFERENT_FIGURES, DIFFERENT_ISSUES,
    DIFFERENT_TRACES, DIFFERENT_WEBHOOKS, Difference, Kind, Note,
};
use entities::python::loads;
use serde::Deserialize;
use serde_json::{Value, json};
use support::TestApp;
use testkit::TestBench;

#[derive(Deserialize)]
struct Pair {
    name: String,
    method: String,
    path: String,
    body: Option<String>,
    /// Of what is no text.
    body_base64: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    status: u16,
    content_type: String,
    answer: String,
}

#[tokio::test]
async fn answers_are_those_of_mlflow_but_for_what_is_listed() {
    let notes: &[Note] = &[
        ("{experiment}", "create exp", "/experiment_id"),
        ("{run}", "create run", "/run/info/run_id"),
    ];
    let golden = include_str!("golden/mlflow-3.17.2.jsonl");
    replay(golden, notes, DIFFERENT, 60, |_| {}).await;
}

#[tokio::test]
async fn answers_about_traces_are_those_of_mlflow_but_for_what_is_listed() {
    let notes: &[Note] = &[
        ("{experiment}", "experiment", "/experiment_id"),
        ("{run}", "run", "/run/info/run_id"),
        (
            "{given}",
            "start again",
            "/trace/trace_info/assessments/0/assessment_id",
        ),
        ("{quality}", "assess", ASSESSMENT),
        ("{expected}", "assess expectation", ASSESSMENT),
        ("{facts}", "assess structure", ASSESSMENT),
        ("{listed}", "assess list", ASSESSMENT),
        ("{broken}", "assess error", ASSESSMENT),
        ("{yes}", "assess yes", ASSESSMENT),
        ("{sourceless}", "assess no source", ASSESSMENT),
        ("{override}", "override", ASSESSMENT),
        ("{old}", "v2 start", "/trace_info/request_id"),
    ];
    let golden = include_str!("golden/mlflow-traces-3.17.2.jsonl");
    replay(golden, notes, DIFFERENT_TRACES, 100, |_| {}).await;
}

#[tokio::test]
async fn figures_over_traces_are_those_of_mlflow_but_for_what_is_listed() {
    let notes: &[Note] = &[
        ("{run}", "run", "/run/info/run_id"),
        ("{old}", "assess 1 old 10", ASSESSMENT),
    ];
    let golden = include_str!("golden/mlflow-figures-3.17.2.jsonl");
    replay(golden, notes, DIFFERENT_FIGURES, 110, keep_figures).await;
}

#[tokio::test]
async fn answers_about_issues_are_those_of_mlflow_but_for_what_is_listed() {
    let notes: &[Note] = &[
        ("{run}", "run", "/run/info/run_id"),
        ("{bare}", "create bare", ISSUE),
        ("{full}", "create full", ISSUE),
        ("{low}", "create low", ISSUE),
        ("{none}", "create none", ISSUE),
        ("{medium}", "create medium", ISSUE),
        ("{elsewhere}", "create elsewhere", ISSUE),
        ("{camel}", "create camel", ISSUE),
        ("{gone}", "create gone", ISSUE),
        ("{right}", "schema Is it right?", LABEL_SCHEMA),
        ("{which}", "schema Which?", LABEL_SCHEMA),
        ("{one}", "schema One of", LABEL_SCHEMA),
        ("{many}", "schema How many?", LABEL_SCHEMA),
        ("{any}", "schema Any number", LABEL_SCHEMA),
        ("{why}", "schema Why?", LABEL_SCHEMA),
        ("{free}", "schema Free", LABEL_SCHEMA),
        ("{other}", "schema Other", LABEL_SCHEMA),
        ("{empty}", "schema empty instruction", LABEL_SCHEMA),
        ("{goneschema}", "schema Gone?", LABEL_SCHEMA),
        ("{default}", "schemas", "/label_schemas/1/schema_id"),
    ];
    let golden = include_str!("golden/mlflow-issues-3.17.2.jsonl");
    replay(golden, notes, DIFFERENT_ISSUES, 100, leave_out_times).await;
}

const ISSUE: &str = "/issue/issue_id";

const LABEL_SCHEMA: &str = "/label_schema/schema_id";

/// Times of the two servers, and ids that were drawn and are asked for no more.
fn leave_out_times(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                let is_time = ["_timestamp", "_at"].iter().any(|end| key.ends_with(end));
                if is_time && member.is_number() || key == "assessment_id" {
                    *member = Value::from("a moment, or drawn");
                }
                leave_out_times(member);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(leave_out_times),
        _ => {}
    }
}

/// The requests that make what is measured are compared elsewhere.
fn keep_figures(value: &mut Value) {
    if value.get("data_points").is_none() && value.get("error_code").is_none() {
        *value = Value::Null;
    }
}

#[tokio::test]
async fn answers_about_datasets_are_those_of_mlflow_but_for_what_is_listed() {
    let notes: &[Note] = &[
        ("{experiment}", "experiment", "/experiment_id"),
        ("{qa}", "create qa", DATASET),
        ("{other}", "create other", DATASET),
        ("{again}", "create qa again", DATASET),
        ("{kinds}", "create kinds", DATASET),
        ("{source}", "create source", DATASET),
        ("{bare}", "create bare", DATASET),
        ("{nan}", "create nan", DATASET),
        ("{nothing}", "create nothing", DATASET),
        ("{first}", "records first", "/records/0/dataset_record_id"),
        ("{second}", "records second", "/records/0/dataset_record_id"),
        ("{scorer}", "register first", "/scorer_id"),
        ("{elsewhere}", "register elsewhere", "/scorer_id"),
        ("{online}", "online set", ONLINE),
        ("{online}", "online filter", ONLINE),
        ("{online}", "online text rate", ONLINE),
    ];
    let golden = include_str!("golden/mlflow-datasets-3.17.2.jsonl");
    replay(golden, notes, DIFFERENT_DATASETS, 180, leave_out_draws).await;
}

#[tokio::test]
async fn answers_about_webhooks_are_those_of_mlflow_but_for_what_is_listed() {
    let notes: &[Note] = &[
        ("{hook}", "create", WEBHOOK),
        ("{bare}", "create bare", WEBHOOK),
        ("{again}", "same name again", WEBHOOK),
        ("{disabled}", "disabled", WEBHOOK),
        ("{all}", "all events", WEBHOOK),
        ("{budget}", "budget", WEBHOOK),
        ("{number}", "event by number", WEBHOOK),
        ("{upper}", "url upper scheme", WEBHOOK),
    ];
    let golden = include_str!("golden/mlflow-webhooks-3.17.2.jsonl");
    replay(golden, notes, DIFFERENT_WEBHOOKS, 90, |_| {}).await;
}

#[tokio::test]
async fn answers_about_access_are_those_of_mlflow_but_for_what_is_listed() {
    let notes: &[Note] = &[
        ("{run}", "run in ann", "/run/info/run_id"),
        ("{second}", "run in bob by role", "/run/info/run_id"),
    ];
    let golden = include_str!("golden/mlflow-access-3.17.2.jsonl");
    let app = TestApp::signed_on(entities::Permission::Read).await;
    replay_on(&app, golden, notes, DIFFERENT_ACCESS, 150, leave_out_rest).await;
}

/// What clients of MLflow 3.17 do not look at, and times.
fn leave_out_rest(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|key, _| {
                let is_of_older_clients =
                    key.ends_with("_permissions") && key != "role_permissions";
                // There is one workspace, which answers do not name.
                !is_of_older_clients && key != "workspace"
            });
            for (key, member) in members {
                let is_moment = key.ends_with("_time") || key.ends_with("_timestamp");
                if is_moment && member.as_i64() > Some(1_000_000) {
                    *member = Value::from("a moment");
                }
                leave_out_rest(member);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(leave_out_rest),
        _ => {}
    }
}

const WEBHOOK: &str = "/webhook/webhook_id";

const DATASET: &str = "/dataset/dataset_id";

const ONLINE: &str = "/config/online_scoring_config_id";

const ASSESSMENT: &str = "/assessment/assessment_id";

/// Sends all requests to a store in SQLite, and to one in PostgreSQL where there is a server to test on.
async fn replay(
    golden: &str,
    notes: &[Note],
    different: &[Difference],
    least: usize,
    settle: fn(&mut Value),
) {
    let file = TestApp::team().await;
    replay_on(&file, golden, notes, different, least, settle).await;
    if let Some(bench) = TestBench::on_postgres().await {
        let app = TestApp::team_on(bench);
        replay_on(&app, golden, notes, different, least, settle).await;
    }
}

/// As `replay`, to a server that is there.
async fn replay_on(
    app: &TestApp,
    golden: &str,
    notes: &[Note],
    different: &[Difference],
    least: usize,
    settle: fn(&mut Value),
) {
    let mut filled: BTreeMap<&str, String> = notes
        .iter()
        .map(|(name, ..)| (*name, String::new()))
        .collect();
    let mut wrong = Vec::new();
    let mut unlisted = 0;
    for line in golden.lines() {
        let pair: Pair = serde_json::from_str(line).unwrap();
        let answer = send(app, &pair, &filled).await;
        if let Ok(mut body) = serde_json::from_str::<Value>(&answer.2) {
            open_texts(&mut body);
            for (name, _, place) in notes.iter().filter(|(_, told_by, _)| *told_by == pair.name) {
                let text = body.pointer(place).and_then(Value::as_str);
                filled.insert(name, text.unwrap_or_default().to_owned());
            }
        }
        let difference = compare(&pair, &answer, &filled, settle);
        let listed = different.iter().find(|(name, ..)| *name == pair.name);
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
        unlisted >= least,
        "only {unlisted} answers are those of MLflow"
    );
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
    let body = match &pair.body_base64 {
        Some(encoded) => STANDARD.decode(encoded).unwrap(),
        None => fill(pair.body.as_deref().unwrap_or_default(), filled).into_bytes(),
    };
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
fn compare(
    pair: &Pair,
    sent: &Sent,
    filled: &BTreeMap<&str, String>,
    settle: fn(&mut Value),
) -> Option<String> {
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
        (Ok(mut found), Ok::<Value, _>(mut expected)) => {
            leave_out_moments(&mut found);
            leave_out_moments(&mut expected);
            settle(&mut found);
            settle(&mut expected);
            found == expected
        }
        // A text, a page, or JSON that was cut.
        (Err(_), _) => text.trim_end() == expected_text.trim_end(),
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

/// What stands as JSON in a text of a dataset.
fn open_texts(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                if ["records", "schema", "profile", "tags"].contains(&key.as_str())
                    && let Some(opened) = member.as_str().and_then(|text| loads(text).ok())
                {
                    *member = opened;
                }
                open_texts(member);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(open_texts),
        _ => {}
    }
}

/// Ids that were drawn, times, and digests of times.
fn leave_out_draws(value: &mut Value) {
    fn leave_out(value: &mut Value) {
        match value {
            Value::Object(members) => {
                for (key, member) in members {
                    let is_drawn =
                        member.as_str().is_some_and(|id| id.len() >= 32) && (key.ends_with("_id"));
                    let is_moment = key.ends_with("_time") && member.is_number();
                    if is_drawn || is_moment || key == "digest" {
                        *member = Value::from("drawn");
                    }
                    leave_out(member);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(leave_out),
            _ => {}
        }
    }
    open_texts(value);
    leave_out(value);
}

/// Times at which something was changed are those of the two servers, but for those that the requests give.
fn leave_out_moments(value: &mut Value) {
    match value {
        Value::Object(members) => {
            leave_out_identity_of_webhooks(members);
            for (key, member) in members {
                let is_given = member
                    .as_str()
                    .is_some_and(|time| time.starts_with("2025-"));
                if key == "last_update_time" && !is_given {
                    *member = Value::from("when it was changed");
                }
                leave_out_moments(member);
            }
        }
        Value::Array(items) => {
            // Tags and metadata are sets; attributes, whose values are objects, have an order.
            if items.iter().all(|item| item["value"].is_string()) {
                items.sort_by_key(|item| item["key"].to_string());
            }
            items.iter_mut().for_each(leave_out_moments);
        }
        _ => {}
    }
}

/// Not every webhook's id is noted.
fn leave_out_identity_of_webhooks(members: &mut serde_json::Map<String, Value>) {
    if !members.contains_key("webhook_id") {
        return;
    }
    let drawn = ["webhook_id", "creation_timestamp", "last_updated_timestamp"];
    for key in drawn {
        if let Some(member) = members.get_mut(key) {
            *member = Value::from("drawn or told by the clock");
        }
    }
}
