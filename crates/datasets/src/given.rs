//! What clients send as JSON in a text.

use std::collections::BTreeMap;

use entities::{RecordMerge, RecordSource, python};
use serde_json::{Map, Value};

use crate::DatasetsError;

/// Reads tags. As with MLflow, what is no text becomes what Python's `str` makes of it, and null says nothing.
pub fn parse_tags(text: &str) -> Result<BTreeMap<String, String>, DatasetsError> {
    let Ok(Value::Object(tags)) = python::loads(text) else {
        return Err(DatasetsError::Tags);
    };
    let given = tags.into_iter().filter(|(_, value)| !value.is_null());
    Ok(given
        .map(|(key, value)| (key, python::text_of(&value)))
        .collect())
}

/// Reads records, without their salt.
pub fn parse_records(text: &str) -> Result<Vec<RecordMerge>, DatasetsError> {
    let refuse = |reason: String| DatasetsError::Records { reason };
    let records = match python::loads(text) {
        Ok(Value::Array(records)) => records,
        Ok(_) => return Err(refuse("it must be the JSON text of an array".to_owned())),
        Err(error) => return Err(refuse(format!("it is no JSON: {error}"))),
    };
    let numbered = records.into_iter().enumerate();
    numbered
        .map(|(index, record)| match record {
            Value::Object(parts) => read_record(parts).map_err(|fault| fault.at(index)),
            _ => Err(refuse(format!("record {index} is no JSON object"))),
        })
        .collect()
}

enum Fault {
    Part(&'static str, &'static str),
    Kind(String),
}

impl Fault {
    fn at(self, index: usize) -> DatasetsError {
        match self {
            Self::Part(part, reason) => DatasetsError::Record {
                index,
                part,
                reason,
            },
            Self::Kind(kind) => DatasetsError::SourceKind {
                kind,
                kinds: python::list(&RecordSource::KINDS.map(str::to_owned)),
            },
        }
    }
}

const NO_OBJECT: &str = "it must be a JSON object";

fn read_record(mut parts: Map<String, Value>) -> Result<RecordMerge, Fault> {
    let inputs = match parts.remove("inputs") {
        None => Map::new(),
        Some(Value::Object(inputs)) => inputs,
        Some(_) => return Err(Fault::Part("inputs", NO_OBJECT)),
    };
    let source = match object_in(&mut parts, "source")? {
        Some(source) if !source.is_empty() => Some(read_source(source)?),
        _ => None,
    };
    Ok(RecordMerge {
        salt: String::new(),
        inputs,
        outputs: parts.remove("outputs"),
        expectations: object_in(&mut parts, "expectations")?,
        tags: object_in(&mut parts, "tags")?,
        source,
    })
}

/// An object that may be missing: null is none, and so is `NaN`, which pandas writes for what is not there.
fn object_in(
    parts: &mut Map<String, Value>,
    name: &'static str,
) -> Result<Option<Map<String, Value>>, Fault> {
    match parts.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object)),
        Some(Value::String(text)) if python::number_in(&text) == Some("NaN") => Ok(None),
        Some(_) => Err(Fault::Part(name, NO_OBJECT)),
    }
}

fn read_source(mut source: Map<String, Value>) -> Result<RecordSource, Fault> {
    let kind = match source.remove("source_type") {
        Some(Value::String(kind)) => kind.to_uppercase(),
        _ => return Err(Fault::Part("source.source_type", "it must be a text")),
    };
    if !RecordSource::KINDS.contains(&kind.as_str()) {
        return Err(Fault::Kind(kind));
    }
    let data = match source.remove("source_data") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(data)) => data,
        Some(_) => return Err(Fault::Part("source.source_data", NO_OBJECT)),
    };
    if !source.is_empty() {
        let reason = "it has a source_type and source_data, and nothing else";
        return Err(Fault::Part("source", reason));
    }
    Ok(RecordSource { kind, data })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_missing_of_a_record_is_none_and_kinds_are_read_in_any_case() {
        let text = r#"[{}, {"inputs": {"a": NaN}, "outputs": null, "expectations": NaN, "tags": null,
            "source": {"source_type": "trace"}}, {"expectations": {}, "source": {}, "more": 1}]"#;
        let records = parse_records(text).unwrap();
        assert_eq!(records[0].outputs, None);
        assert_eq!(records[1].outputs, Some(Value::Null));
        assert_eq!(records[1].expectations, None);
        assert_eq!(records[1].tags, None);
        let source = records[1].source.as_ref().unwrap();
        assert_eq!((source.kind.as_str(), source.id()), ("TRACE", None));
        assert_eq!(records[2].expectations, Some(Map::new()));
        assert_eq!(records[2].source, None);
        // What is missing within inputs is a value like another.
        let inputs = python::dumps_loaded(&json!(records[1].inputs));
        assert_eq!(inputs, "{\"a\": NaN}");
    }

    #[test]
    fn tags_become_texts() {
        let tags = parse_tags(r#"{"t": "x", "n": 1.0, "z": null, "l": [true, null]}"#).unwrap();
        let shown: Vec<_> = tags.values().map(String::as_str).collect();
        assert_eq!(shown, ["[True, None]", "1.0", "x"]);
        assert!(parse_tags("[]").is_err() && parse_tags("").is_err());
    }
}
