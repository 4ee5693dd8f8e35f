//! The document, out of all calls.

use schemars::JsonSchema as _;
use serde_json::{Map, Value, json};

use super::answered::{Answered, Forms};
use super::call::{Call, Parameter};
use crate::error::ErrorView;
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
    let (mut paths, mut schemas, mut forms) = (Map::new(), Map::new(), Forms::new());
    let error = forms.schema(ErrorView::json_schema);
    schemas.insert("Error".to_owned(), error);
    let mut sorted: Vec<_> = calls.iter().collect();
    sorted.sort_by(|one, other| (&one.path, one.method).cmp(&(&other.path, other.method)));
    for call in sorted {
        let path = call.path.replace("{*", "{");
        let item = paths.entry(path).or_insert_with(|| json!({}));
        item[call.method] = operation(call, &mut schemas, &mut forms);
    }
    for (name, schema) in forms.named() {
        let before = schemas.insert(name.clone(), schema);
        assert!(before.is_none(), "two types are called {name}");
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
        // Below a prefix the document stands there, too.
        "servers": [{ "url": "/" }],
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

fn fault_answers() -> Value {
    let error = json!({ "schema": { "$ref": "#/components/schemas/Error" } });
    let answers = FAULTS.iter().map(|(_, name, said)| {
        let mut content = json!({ "application/json": error });
        // Some are told by what stands before the calls, which tells people, not programs.
        let kinds: &[&str] = match *name {
            "Unauthorized" | "Forbidden" => &["text/html", "text/plain"],
            "BadRequest" | "NotFound" | "TooMany" => &["text/html"],
            "TooSlow" | "Unavailable" => &["text/plain"],
            _ => &[],
        };
        for kind in kinds {
            content[*kind] = json!({ "schema": { "type": "string" } });
        }
        let answer = json!({ "description": said, "content": content });
        ((*name).to_owned(), answer)
    });
    answers.collect()
}

fn operation(call: &Call, schemas: &mut Map<String, Value>, forms: &mut Forms) -> Value {
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
    operation["responses"] = answers(call, forms);
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
    let properties = properties.map(|member| {
        let schema = if member.is_required {
            member.schema.clone()
        } else {
            // As good as nothing.
            json!({ "anyOf": [member.schema, { "type": "null" }] })
        };
        (member.name.to_owned(), schema)
    });
    let properties: Map<_, _> = properties.collect();
    let required = members.iter().filter(|member| member.is_required);
    let required: Vec<_> = required.map(|member| member.name).collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

fn answers(call: &Call, forms: &mut Forms) -> Value {
    let mut answers = Map::new();
    let (content, also) = match &call.answered {
        Answered::Nothing => (None, [].as_slice()),
        Answered::Json(form) => {
            let schema = json!({ "schema": forms.schema(*form) });
            (Some(json!({ "application/json": schema })), [].as_slice())
        }
        Answered::Media { kind, also } => {
            let schema = if kind.starts_with("text/") {
                json!({ "schema": { "type": "string" } })
            } else {
                json!({})
            };
            (Some(json!({ *kind: schema })), *also)
        }
    };
    if let Some(content) = content {
        for (status, said) in [("200", "Done")].iter().chain(also) {
            let mut answer = json!({ "description": said });
            if status.starts_with('2') {
                answer["content"] = content.clone();
            }
            answers.insert((*status).to_owned(), answer);
        }
    }
    for (status, name, _) in FAULTS {
        let answer = json!({ "$ref": format!("#/components/responses/{name}") });
        answers.insert(status.to_owned(), answer);
    }
    for (status, said) in call.also {
        let schema = json!({ "type": "object", "additionalProperties": true });
        let content = json!({ "application/json": { "schema": schema } });
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
