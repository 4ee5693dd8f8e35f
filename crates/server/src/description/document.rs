//! The document, out of all calls.

use serde_json::{Map, Value, json};

use super::call::{Call, Parameter};
use crate::mlflow::MLFLOW_VERSION;

const ABOUT: &str = "The REST API of MLflow, as `reproof server` answers it.\n\n\
    All that stands below `/api/` stands below `/ajax-api/` too, for pages. \
    With `--static-prefix` all paths stand below that prefix. \
    Fields of bodies may also be written in camel case (`runId`); unknown ones are passed over; \
    `null` is as good as nothing, also where a value is required. \
    A body that is no JSON is read as an empty object, as MLflow does. \
    Calls about users and roles are there where the server was started with `--app-name basic-auth`.";

/// What every call may be answered with beside success, and what is said there.
const FAULTS: [(&str, &str, &str); 9] = [
    (
        "400",
        "BadRequest",
        "The request is faulty, or contradicts what is on record",
    ),
    (
        "401",
        "Unauthorized",
        "Nobody signed on, where that is asked for",
    ),
    ("403", "Forbidden", "Whoever asks may not do this"),
    ("404", "NotFound", "What is named is not there"),
    ("408", "TooSlow", "The body did not come on"),
    ("413", "TooLarge", "The body is too large"),
    (
        "429",
        "TooMany",
        "Too much at once; the same may succeed later",
    ),
    (
        "500",
        "Fault",
        "A fault of the server; its log tells more under the request's id",
    ),
    ("503", "Unavailable", "Not now; the same may succeed later"),
];

pub(super) fn document(calls: &[Call]) -> Value {
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    schemas.insert("Error".to_owned(), error());
    let mut sorted: Vec<_> = calls.iter().collect();
    sorted.sort_by(|one, other| (&one.path, one.method).cmp(&(&other.path, other.method)));
    for call in sorted {
        let path = call.path.replace("{*", "{");
        let item = paths.entry(path).or_insert_with(|| json!({}));
        item[call.method] = operation(call, &mut schemas);
    }
    schemas.sort_keys();
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "Reproof",
            "description": ABOUT,
            "version": format!("MLflow {MLFLOW_VERSION}"),
            "license": { "name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE") },
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": fault_answers(),
            "securitySchemes": { "basic": { "type": "http", "scheme": "basic" } },
        },
        // Without signing on, nothing is needed.
        "security": [{}, { "basic": [] }],
    })
}

fn error() -> Value {
    json!({
        "type": "object",
        "description": "What is wrong: a word for programs, and a sentence for people.",
        "properties": { "error_code": { "type": "string" }, "message": { "type": "string" } },
        "required": ["error_code", "message"],
    })
}

fn fault_answers() -> Value {
    let error = json!({ "schema": { "$ref": "#/components/schemas/Error" } });
    let answers = FAULTS.iter().map(|(_, name, said)| {
        let mut content = json!({ "application/json": error });
        // Some are told by what stands before the calls, which tells people, not programs.
        if matches!(
            *name,
            "Unauthorized" | "Forbidden" | "TooSlow" | "Unavailable"
        ) {
            content["text/plain"] = json!({ "schema": { "type": "string" } });
        }
        let answer = json!({ "description": said, "content": content });
        ((*name).to_owned(), answer)
    });
    answers.collect()
}

fn operation(call: &Call, schemas: &mut Map<String, Value>) -> Value {
    let mut operation = json!({
        "operationId": operation_id(call),
        "summary": call.summary,
        "tags": [call.tag],
    });
    if let Some(note) = call.note {
        operation["description"] = note.into();
    }
    let parameters = parameters(call);
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(body) = body(call, schemas) {
        operation["requestBody"] = body;
    }
    operation["responses"] = answers(call);
    operation
}

/// `post_runs_create_v2`: the method, the path, and the version of the API, where it has one.
fn operation_id(call: &Call) -> String {
    let (path, version) = match call.path.strip_prefix("/api/") {
        Some(below) => below
            .split_once("mlflow")
            .map_or((below, ""), |(version, path)| {
                (path, version.split('.').next().unwrap_or_default())
            }),
        None => (call.path.as_str(), ""),
    };
    let words = path.split(|letter: char| !letter.is_ascii_alphanumeric());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    let mut id = format!("{}_{}", call.method, words.join("_"));
    if !version.is_empty() {
        id += "_v";
        id += version;
    }
    // The path without its slash is a call of its own.
    if call.path.starts_with("/api/2.0mlflow") {
        id += "_slashless";
    }
    // A folder is written with a slash at its end, too.
    if call.path.ends_with('/') {
        id += "_folder";
    }
    id
}

fn parameters(call: &Call) -> Vec<Value> {
    let captured = call.path.split('{').skip(1);
    let captured = captured.filter_map(|rest| rest.split_once('}'));
    let captured = captured.map(|(name, _)| {
        let name = name.trim_start_matches('*');
        json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 } })
    });
    let told = call.parameters.iter().map(|parameter| {
        let Parameter {
            name,
            place,
            is_required,
            schema,
        } = parameter;
        json!({ "name": name, "in": place, "required": is_required, "schema": schema })
    });
    captured.chain(told).collect()
}

fn body(call: &Call, schemas: &mut Map<String, Value>) -> Option<Value> {
    if !call.raw_bodies.is_empty() {
        let kinds = call.raw_bodies.iter();
        let content: Map<_, _> = kinds.map(|kind| ((*kind).to_owned(), json!({}))).collect();
        return Some(json!({ "required": false, "content": content }));
    }
    let schema = if call.members.is_empty() {
        let typed = call.taken.body.as_ref()?;
        schemas.insert(typed.name.clone(), typed.schema.clone().to_value());
        let named = json!({ "$ref": format!("#/components/schemas/{}", typed.name) });
        match call.required {
            [] => named,
            members => json!({ "allOf": [named, { "required": members }] }),
        }
    } else {
        object_of(&call.members)
    };
    let is_required = call.method == "post" || asks_for_something(call);
    let content = json!({ "application/json": { "schema": schema } });
    Some(json!({ "required": is_required, "content": content }))
}

/// Whether an empty body lacks something.
fn asks_for_something(call: &Call) -> bool {
    let typed = call.taken.body.as_ref();
    let typed = typed.and_then(|typed| typed.schema.get("required"));
    typed.is_some() || call.members.iter().any(|member| member.is_required)
}

fn object_of(members: &[Parameter]) -> Value {
    let properties = members.iter();
    let properties: Map<_, _> = properties
        .map(|member| (member.name.to_owned(), member.schema.clone()))
        .collect();
    let required = members.iter().filter(|member| member.is_required);
    let required: Vec<_> = required.map(|member| member.name).collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

fn answers(call: &Call) -> Value {
    let mut answers = Map::new();
    if call.declined.is_none() {
        let schema = match call.sent {
            "application/json" => json!({ "schema": { "type": "object" } }),
            kind if kind.starts_with("text/") => json!({ "schema": { "type": "string" } }),
            _ => json!({}),
        };
        let mut content = Map::new();
        content.insert(call.sent.to_owned(), schema);
        let answer = json!({ "description": "Done", "content": content });
        answers.insert("200".to_owned(), answer);
    }
    for (status, name, _) in FAULTS {
        let answer = json!({ "$ref": format!("#/components/responses/{name}") });
        answers.insert(status.to_owned(), answer);
    }
    for (status, said) in call.also {
        let content = json!({ "application/json": { "schema": { "type": "object" } } });
        let answer = json!({ "description": said, "content": content });
        answers.insert((*status).to_owned(), answer);
    }
    if call.declined == Some(501) {
        let content =
            json!({ "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } });
        let answer = json!({ "description": "Never done here", "content": content });
        answers.insert("501".to_owned(), answer);
    }
    answers.into()
}
