//! Answers against the document of the API.
//!
//! What is looked at is the part of JSON Schema that the document uses; a word of a schema that is not known here is a
//! fault. It is stricter than JSON Schema: an object holds no member that its schema does not name.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value, json};

use super::Answer;

/// The document.
pub(crate) struct Described(Value);

static DESCRIBED: LazyLock<Described> =
    LazyLock::new(|| Described(serde_json::from_str(&server::document()).unwrap()));

/// Fails where an answer is none that the document has for the call.
pub(crate) fn check(method: &str, path: &str, answer: &Answer) {
    let Some((call, operation)) = DESCRIBED.find(method, path) else {
        return;
    };
    let status = answer.status.as_u16().to_string();
    let text = String::from_utf8_lossy(&answer.body);
    let described = &operation["responses"][&status];
    assert!(
        !described.is_null(),
        "{call}: {status} is not described: {text}"
    );
    let described = DESCRIBED.followed(described);
    let Some(content) = described["content"].as_object() else {
        return;
    };
    let kind = answer.header("content-type");
    let kind = kind.split(';').next().unwrap_or_default();
    let Some(form) = content.get(kind).or_else(|| content.get("*/*")) else {
        panic!("{call}: {status} is `{kind}`, which is not described: {text}");
    };
    if kind != "application/json" || form["schema"].is_null() {
        return;
    }
    let faults = DESCRIBED.faults(&form["schema"], &answer.json());
    assert!(
        faults.is_empty(),
        "{call}: {status} is not as it is described: {faults:#?}\n{text}"
    );
}

/// The call of the document that a request is, as `GET /path/{name}`.
pub(crate) fn call_of(method: &str, path: &str) -> Option<String> {
    Some(DESCRIBED.find(method, path)?.0)
}

/// What is wrong with a value by a schema, which may name words of `named`.
pub(crate) fn faults_by(schema: &Value, named: &Value, value: &Value) -> Vec<String> {
    Described(json!({ "components": { "schemas": named } })).faults(schema, value)
}

impl Described {
    fn find(&self, method: &str, path: &str) -> Option<(String, &Value)> {
        let path = path.split('?').next().unwrap_or_default();
        let plain = path.replacen("/ajax-api/", "/api/", 1);
        let paths = self.0["paths"].as_object().unwrap().iter();
        let fitting = paths.filter(|(template, item)| {
            let is_there = item.get(method.to_lowercase()).is_some();
            is_there && (fits(template, path) || fits(template, &plain))
        });
        // A path that is written out goes before one with names.
        let (template, item) = fitting.min_by_key(|(template, _)| template.matches('{').count())?;
        let call = format!("{method} {template}");
        Some((call, &item[method.to_lowercase()]))
    }

    fn followed<'v>(&'v self, value: &'v Value) -> &'v Value {
        match value["$ref"].as_str() {
            None => value,
            Some(reference) => {
                let found = self.0.pointer(reference.trim_start_matches('#'));
                found.unwrap_or_else(|| panic!("{reference} is not there"))
            }
        }
    }

    fn faults(&self, schema: &Value, value: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        self.look(schema, value, "", &mut faults);
        faults
    }

    fn look(&self, schema: &Value, value: &Value, place: &str, faults: &mut Vec<String>) {
        let words = match schema {
            Value::Bool(true) => return,
            Value::Object(words) => words,
            _ => return faults.push(format!("{place}: nothing may be here")),
        };
        for (word, said) in words {
            let is_good = match word.as_str() {
                "description" | "additionalProperties" | "properties" | "required" => true,
                "$ref" => {
                    self.look(self.followed(schema), value, place, faults);
                    true
                }
                "type" => is_of(said, value),
                "const" => said == value,
                "enum" => said.as_array().unwrap().contains(value),
                "format" => is_formatted(said.as_str().unwrap(), value),
                "pattern" => is_like(said.as_str().unwrap(), value),
                "minimum" => value.as_f64() >= said.as_f64(),
                "maximum" => value.as_f64() <= said.as_f64(),
                "minItems" => value.as_array().map(Vec::len) >= said.as_u64().map(|n| n as usize),
                "maxItems" => value.as_array().map(Vec::len) <= said.as_u64().map(|n| n as usize),
                "anyOf" => self.count(said, value) >= 1,
                "oneOf" => self.count(said, value) == 1,
                "items" => {
                    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.look(said, item, &format!("{place}/{index}"), faults);
                    }
                    true
                }
                _ => panic!("`{word}` of a schema is not known"),
            };
            if !is_good {
                faults.push(format!("{place}: {value} is against {word} {said}"));
            }
        }
        if let Value::Object(members) = value
            && words.contains_key("type")
        {
            self.look_at_members(words, members, place, faults);
        }
    }

    fn look_at_members(
        &self,
        words: &Map<String, Value>,
        members: &Map<String, Value>,
        place: &str,
        faults: &mut Vec<String>,
    ) {
        for name in words
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            if !members.contains_key(name.as_str().unwrap()) {
                faults.push(format!("{place}: {name} is missing"));
            }
        }
        for (name, value) in members {
            let known = words.get("properties").and_then(|known| known.get(name));
            match known.or_else(|| words.get("additionalProperties")) {
                Some(schema) => self.look(schema, value, &format!("{place}/{name}"), faults),
                None => faults.push(format!("{place}: {name} is not described")),
            }
        }
    }

    /// How many of some schemas a value is of.
    fn count(&self, schemas: &Value, value: &Value) -> usize {
        let schemas = schemas.as_array().unwrap().iter();
        schemas
            .filter(|schema| self.faults(schema, value).is_empty())
            .count()
    }
}

/// Whether a path is of that form; what is called `path` may hold slashes.
fn fits(template: &str, path: &str) -> bool {
    let mut parts = path.split('/');
    for known in template.split('/') {
        let Some(part) = parts.next() else {
            return false;
        };
        if known == "{path}" {
            return !part.is_empty();
        }
        if known != part && (part.is_empty() || !known.starts_with('{')) {
            return false;
        }
    }
    parts.next().is_none()
}

fn is_of(kinds: &Value, value: &Value) -> bool {
    let is_one = |kind: &Value| match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        kind => panic!("the type `{kind}` is not known"),
    };
    match kinds {
        Value::Array(kinds) => kinds.iter().any(is_one),
        kind => is_one(kind),
    }
}

fn is_formatted(format: &str, value: &Value) -> bool {
    let within = |most: u64| value.as_u64().is_some_and(|number| number <= most);
    // What may be left empty says so by its type.
    if value.is_null() {
        return true;
    }
    match format {
        "int64" => value.is_i64(),
        "uint64" | "uint" => value.is_u64(),
        "uint32" => within(u32::MAX.into()),
        "uint16" => within(u16::MAX.into()),
        "uint8" => within(u8::MAX.into()),
        "double" => value.is_number(),
        "date-time" => {
            let text = value.as_str().and_then(|text| text.strip_suffix('Z'));
            text.is_some_and(|text| text.parse::<jiff::civil::DateTime>().is_ok())
        }
        format => panic!("the format `{format}` is not known"),
    }
}

fn is_like(pattern: &str, value: &Value) -> bool {
    let pattern = Regex::new(pattern).unwrap();
    value.as_str().is_some_and(|text| pattern.is_match(text))
}
