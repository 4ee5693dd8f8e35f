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
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use entities::python::loads;
use serde::Deserialize;
use serde_json::{Value, json};
use support::TestApp;

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

/// Where ours is another answer, and why. Each is checked to differ, so that this list stays true.
const DIFFERENT: &[Difference] = &[
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

/// Likewise of traces.
const DIFFERENT_TRACES: &[Difference] = &[
    ("run", Kind::Body, "an empty list of outputs is told"),
    (
        "start bare",
        Kind::Status,
        "the experiment is told, which is enough",
    ),
    (
        "get without spans",
        Kind::Status,
        "a part was asked for, and there is one: 500 would be sent again for minutes",
    ),
    (
        "batch without spans",
        Kind::Status,
        "what is not whole is left out, as where spans are on their way",
    ),
    (
        "artifact",
        Kind::Body,
        "JSON inside of a text is written with spaces",
    ),
    ("set tag none", Kind::Status, "it is not there; and no SQL"),
    (
        "get assessment no trace",
        Kind::Message,
        "one form for every trace that is not there",
    ),
    (
        "link no run",
        Kind::Status,
        "what is not there cannot be linked",
    ),
    ("search page", Kind::Body, "tokens have another form"),
    ("search zero", Kind::Message, "one form for every limit"),
    ("search too many", Kind::Message, "one form for every limit"),
    (
        "search bad token",
        Kind::Message,
        "tokens have another form",
    ),
    ("search prompt = 'p'", Kind::Message, WHERE_AND_WHAT),
    ("search prompt != 'p/3'", Kind::Message, WHERE_AND_WHAT),
    (
        "search span.type IN ('AGENT', 'CHAIN')",
        Kind::Body,
        "types that other conventions tell are found too",
    ),
    (
        "search text LIKE '%answer%'",
        Kind::Status,
        "`text` needs no `trace.` before it",
    ),
    (
        "search feedback.quality = 4.5",
        Kind::Status,
        "a number needs no quotes",
    ),
    (
        "search feedback.quality > '4'",
        Kind::Message,
        WHERE_AND_WHAT,
    ),
    (
        "search status = 'OK' OR status = 'ERROR'",
        Kind::Message,
        WHERE_AND_WHAT,
    ),
    ("search nothing = 'x'", Kind::Message, WHERE_AND_WHAT),
    ("search metrics.a > 1", Kind::Message, WHERE_AND_WHAT),
    ("search timestamp = 'x'", Kind::Message, WHERE_AND_WHAT),
    ("search status > 'OK'", Kind::Message, WHERE_AND_WHAT),
    ("search span.nothing = 'x'", Kind::Message, WHERE_AND_WHAT),
    ("search span.content = 'x'", Kind::Message, WHERE_AND_WHAT),
    ("search tags.team IN ('red')", Kind::Message, WHERE_AND_WHAT),
    ("search status = OK", Kind::Message, WHERE_AND_WHAT),
    ("order nothing", Kind::Message, WHERE_AND_WHAT),
    ("order span.name", Kind::Message, WHERE_AND_WHAT),
    (
        "order timestamp, timestamp DESC",
        Kind::Status,
        "the second says nothing more, which is no fault of the server's",
    ),
    (
        "order metadata.`mlflow.trace.tokenUsage`",
        Kind::Status,
        "it is a text like the others",
    ),
    (
        "start no id",
        Kind::Status,
        "a trace without an id could not be found again",
    ),
    (
        "start bad state",
        Kind::Status,
        "an unknown state is refused, not ignored",
    ),
    (
        "start bad time",
        Kind::Status,
        "a time that is none is refused, not taken for 1970",
    ),
    (
        "assess bad source",
        Kind::Status,
        "an unknown source is refused, not ignored",
    ),
    (
        "update rationale",
        Kind::Body,
        "the reason for an expectation is kept too",
    ),
];

/// Likewise of webhooks.
const DIFFERENT_WEBHOOKS: &[Difference] = &[
    (
        "budget",
        Kind::Status,
        "there is no gateway whose budget could be exceeded",
    ),
    (
        "event twice",
        Kind::Status,
        "what is named twice is told once; and no SQL",
    ),
    ("event of texts", Kind::Status, NO_FAULT),
    ("event lower case", Kind::Status, NO_FAULT),
    ("event without action", Kind::Status, NO_FAULT),
    ("event without entity", Kind::Status, NO_FAULT),
    ("event empty", Kind::Status, NO_FAULT),
    ("event unknown entity", Kind::Status, NO_FAULT),
    ("event unknown action", Kind::Status, NO_FAULT),
    ("test unknown event", Kind::Status, NO_FAULT),
    ("test event no object", Kind::Status, NO_FAULT),
    ("test empty event", Kind::Status, NO_FAULT),
    ("name kelvin", Kind::Status, "it looks like a K and is none"),
    (
        "url multicast",
        Kind::Status,
        "a group of hosts is no receiver",
    ),
    (
        "url v6 multicast",
        Kind::Status,
        "a group of hosts is no receiver",
    ),
    (
        "url protocols anycast",
        Kind::Status,
        "it is for protocols, not for receivers",
    ),
    (
        "url v6 mapped",
        Kind::Message,
        "the address is written as RFC 5952 says",
    ),
    ("url unknown host", Kind::Message, "the system's words"),
    (
        "url user",
        Kind::Status,
        "a password would be shown to everybody",
    ),
    ("url port", Kind::Status, "it could never be told"),
    ("url port word", Kind::Status, "it could never be told"),
    (
        "url long",
        Kind::Status,
        "MLflow's schema has room for 500 characters",
    ),
    ("url space inside", Kind::Status, "blanks must be encoded"),
    (
        "url new line",
        Kind::Status,
        "control characters must be encoded",
    ),
    (
        "description long",
        Kind::Status,
        "MLflow's schema has room for 1000 characters",
    ),
    ("secret number", Kind::Message, "a secret is not repeated"),
    (
        "status unknown",
        Kind::Status,
        "an unknown status is refused, not ignored",
    ),
    (
        "status lower case",
        Kind::Status,
        "an unknown status is refused, not ignored",
    ),
    (
        "status empty",
        Kind::Status,
        "an unknown status is refused, not ignored",
    ),
    (
        "update bad status",
        Kind::Status,
        "an unknown status is refused, not ignored",
    ),
    (
        "list two",
        Kind::Body,
        "tokens have another form, and fewer were made",
    ),
    ("list zero", Kind::Body, "fewer were made"),
    ("list bad token", Kind::Message, "tokens have another form"),
];

const NO_FAULT: &str =
    "a mistake of the client's is no fault of the server's: 500 would be sent again for minutes";

const WHERE_AND_WHAT: &str = "it says where, and what to write instead";

/// In what an answer differs.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// In the words alone: status and code are the same.
    Message,
    /// In what is told: the status is the same.
    Body,
    Status,
}

/// What later pairs are filled with: the name in braces, the pair whose answer tells it, and where.
type Note = (&'static str, &'static str, &'static str);

type Difference = (&'static str, Kind, &'static str);

/// Likewise of evaluation datasets and scorers.
const DIFFERENT_DATASETS: &[Difference] = &[
    ("create bad tags", Kind::Status, OBJECT),
    ("create list tags", Kind::Status, OBJECT),
    ("tags bad", Kind::Status, OBJECT),
    ("tags list", Kind::Status, OBJECT),
    (
        "get slash",
        Kind::Body,
        "an id stands in one component, and is decoded then",
    ),
    ("tags none", Kind::Message, NO_DATASET),
    ("add none", Kind::Message, NO_DATASET),
    ("remove none", Kind::Message, NO_DATASET),
    ("records outputs", Kind::Body, TOKENS),
    ("records outputs null", Kind::Body, TOKENS),
    ("records page", Kind::Body, TOKENS),
    ("search page", Kind::Body, TOKENS),
    ("search bad token", Kind::Message, TOKENS),
    ("records bad token", Kind::Status, NO_FAULT),
    ("records negative", Kind::Status, NO_FAULT),
    ("records text limit", Kind::Status, NO_FAULT),
    ("merge not json", Kind::Status, NO_FAULT),
    ("merge not list", Kind::Status, NO_FAULT),
    ("merge null", Kind::Status, NO_FAULT),
    ("merge list of numbers", Kind::Status, NO_FAULT),
    ("merge list inputs", Kind::Status, NO_FAULT),
    ("merge null inputs", Kind::Status, NO_FAULT),
    ("merge text inputs", Kind::Status, NO_FAULT),
    ("merge text expectations", Kind::Status, NO_FAULT),
    ("merge text tags", Kind::Status, NO_FAULT),
    ("merge text source", Kind::Status, NO_FAULT),
    ("merge odd source", Kind::Status, NO_FAULT),
    ("merge no source type", Kind::Status, NO_FAULT),
    (
        "merge none",
        Kind::Status,
        "what is not there is told as such; and no SQL",
    ),
    (
        "delete numbers",
        Kind::Status,
        "a value of another type is refused whatever the field",
    ),
    (
        "add no such",
        Kind::Message,
        "one form for every experiment that is not there",
    ),
    ("add bad", Kind::Status, NO_EXPERIMENT_ID),
    ("search bad experiment", Kind::Status, NO_EXPERIMENT_ID),
    ("create bad experiment", Kind::Status, NO_EXPERIMENT_ID),
    (
        "create no such experiment",
        Kind::Status,
        "a dataset cannot belong to what is not there",
    ),
    (
        "search tags.`team` = 'green'",
        Kind::Body,
        "a key in quotes is that key",
    ),
    (
        "search tags.\"team\" = 'green'",
        Kind::Body,
        "a key in quotes is that key",
    ),
    (
        "search name > 'a'",
        Kind::Status,
        "texts have no size, as in all other searches",
    ),
    (
        "search created_time > 1.5",
        Kind::Status,
        "a time may have a fraction",
    ),
    (
        "search name NOT IN ('qa')",
        Kind::Status,
        "every text may be compared with a list",
    ),
    (
        "search order tags.team",
        Kind::Status,
        "an order may name a tag, as in all other searches",
    ),
    (
        "search order created_by",
        Kind::Status,
        "an order may name every attribute",
    ),
    (
        "search name = 'qa' OR name = 'other'",
        Kind::Message,
        WHERE_AND_WHAT,
    ),
    ("search created_time = 'x'", Kind::Message, WHERE_AND_WHAT),
    ("search nothing = 'x'", Kind::Message, WHERE_AND_WHAT),
    ("search metrics.a > 1", Kind::Message, WHERE_AND_WHAT),
    ("search name = qa", Kind::Message, WHERE_AND_WHAT),
    (
        "search tags.team IN ('blue')",
        Kind::Message,
        WHERE_AND_WHAT,
    ),
    (
        "search name = 'x'; DROP TABLE evaluation_datasets; --'",
        Kind::Message,
        WHERE_AND_WHAT,
    ),
    ("search digest = 'x'", Kind::Message, WHERE_AND_WHAT),
    ("search order digest", Kind::Message, WHERE_AND_WHAT),
    ("search order name sideways", Kind::Message, WHERE_AND_WHAT),
    ("search zero", Kind::Message, "one form for every limit"),
    ("search negative", Kind::Message, "one form for every limit"),
    ("search too many", Kind::Message, "one form for every limit"),
    ("register list", Kind::Status, NO_FAULT),
    ("register number", Kind::Status, NO_FAULT),
    ("online word", Kind::Status, NO_FAULT),
    ("online list rate", Kind::Status, NO_FAULT),
    (
        "register code",
        Kind::Message,
        "there is no setting that would allow it",
    ),
    (
        "register code inside",
        Kind::Message,
        "there is no setting that would allow it",
    ),
    (
        "register api base",
        Kind::Message,
        "there is no gateway to configure",
    ),
    (
        "register kwargs pairs",
        Kind::Message,
        "there is no gateway to configure",
    ),
    ("online bad filter", Kind::Message, WHERE_AND_WHAT),
    (
        "register after",
        Kind::Body,
        "the number of a deleted version is not given again",
    ),
];

const OBJECT: &str = "tags that are no object are refused, which is no fault of the server's";

const NO_DATASET: &str = "one form for every dataset that is not there";

const TOKENS: &str = "tokens have another form";

const NO_EXPERIMENT_ID: &str = "what can be no id is told as such, as in all other calls";

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

const WEBHOOK: &str = "/webhook/webhook_id";

const DATASET: &str = "/dataset/dataset_id";

const ONLINE: &str = "/config/online_scoring_config_id";

const ASSESSMENT: &str = "/assessment/assessment_id";

/// Sends all requests and compares the answers, of which `settle` leaves out what no two servers share.
async fn replay(
    golden: &str,
    notes: &[Note],
    different: &[Difference],
    least: usize,
    settle: fn(&mut Value),
) {
    let app = TestApp::team().await;
    let mut filled: BTreeMap<&str, String> = notes
        .iter()
        .map(|(name, ..)| (*name, String::new()))
        .collect();
    let mut wrong = Vec::new();
    let mut unlisted = 0;
    for line in golden.lines() {
        let pair: Pair = serde_json::from_str(line).unwrap();
        let answer = send(&app, &pair, &filled).await;
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
