//! Bodies: at once into their type, and only where that fails once more, slowly, to tell what is wrong.

use std::fmt::Write as _;

use entities::python;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use super::word::UNKNOWN;
use crate::error::RequestError;

/// Characters of a wrong value that a message repeats.
const LONGEST_SHOWN: usize = 200;

/// Decodes a body as MLflow does: unknown fields are ignored, what is no JSON is an empty object.
pub(super) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, RequestError> {
    // A list would be read as a struct, field by field.
    if body.trim_ascii_start().starts_with(b"{")
        && let Ok(decoded) = serde_json::from_slice(body)
    {
        return Ok(decoded);
    }
    let value = read_value(body);
    serde_path_to_error::deserialize(&value).map_err(|error| tell(&error, &value))
}

/// Reads all that a body names; none where it begins as an object and cannot be read whole.
///
/// A struct is decoded from more: what stands in fields that it does not have is passed over unread, such as numbers out
/// of range, deep lists and bytes that are no text.
pub(crate) fn read_whole(body: &[u8]) -> Option<Value> {
    let is_read = !body.trim_ascii_start().starts_with(b"{")
        || serde_json::from_slice::<Value>(body).is_ok()
        || serde_json::from_slice::<Value>(&quote_bare_numbers(body)).is_ok();
    is_read.then(|| read_value(body))
}

/// Reads what strict JSON refuses and MLflow's clients of all ages send: keys that come twice, the tokens `NaN` and
/// `Infinity`, and whole bodies in quotes.
pub(crate) fn read_value(body: &[u8]) -> Value {
    let read =
        serde_json::from_slice(body).or_else(|_| serde_json::from_slice(&quote_bare_numbers(body)));
    match read {
        Ok(Value::String(inner)) => serde_json::from_str(&inner)
            .ok()
            .filter(Value::is_object)
            .unwrap_or_else(empty),
        Ok(value) if value.is_object() => value,
        _ => empty(),
    }
}

fn empty() -> Value {
    Value::Object(serde_json::Map::new())
}

/// Puts `NaN`, `Infinity` and `-Infinity`, which Python writes and JSON does not have, into quotes.
fn quote_bare_numbers(body: &[u8]) -> Vec<u8> {
    const TOKENS: [&[u8]; 3] = [b"NaN", b"-Infinity", b"Infinity"];
    let mut quoted = Vec::with_capacity(body.len() + 16);
    let (mut rest, mut is_text) = (body, false);
    while let Some(&byte) = rest.first() {
        let token = TOKENS
            .iter()
            .find(|token| !is_text && rest.starts_with(token));
        let length = match (token, byte) {
            (Some(token), _) => {
                quoted.push(b'"');
                quoted.extend_from_slice(token);
                quoted.push(b'"');
                rest = &rest[token.len()..];
                continue;
            }
            (None, b'\\') => rest.len().min(2),
            (None, b'"') => {
                is_text = !is_text;
                1
            }
            (None, _) => 1,
        };
        quoted.extend_from_slice(&rest[..length]);
        rest = &rest[length..];
    }
    quoted
}

/// Says which value is wrong, in MLflow's words.
fn tell(error: &serde_path_to_error::Error<serde_json::Error>, value: &Value) -> RequestError {
    let said = error.inner().to_string();
    if let Some(field) = said.strip_prefix("duplicate field ") {
        return RequestError::BothSpellings {
            field: field.to_owned(),
        };
    }
    let field = show_path(error.path());
    let wrong = find(value, error.path()).unwrap_or(&Value::Null);
    let value = show(wrong);
    match said.strip_prefix(UNKNOWN) {
        Some(words) => RequestError::UnknownWord {
            field,
            value,
            words: words.to_owned(),
        },
        None => RequestError::WrongType {
            field,
            value,
            kind: python::type_of(wrong),
        },
    }
}

fn show_path(path: &Path) -> String {
    let mut shown = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => {
                // Writing to a string cannot fail.
                let _ = write!(shown, "[{index}]");
            }
            Segment::Map { key } | Segment::Enum { variant: key } => {
                if !shown.is_empty() {
                    shown.push('.');
                }
                shown.push_str(key);
            }
            Segment::Unknown => shown.push('?'),
        }
    }
    shown
}

fn find<'v>(value: &'v Value, path: &Path) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, segment| match segment {
        Segment::Seq { index } => value.get(index),
        Segment::Map { key } => value.get(key),
        Segment::Enum { .. } | Segment::Unknown => None,
    })
}

pub(super) fn show(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(LONGEST_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::super::{Double, Int64, RunStatusWord};
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Request {
        #[serde(alias = "runId")]
        run_id: Option<String>,
        value: Option<Double>,
        step: Option<Int64>,
        #[expect(dead_code, reason = "read for its errors alone")]
        status: Option<RunStatusWord>,
        metrics: Option<Vec<Inner>>,
    }

    #[derive(Debug, Deserialize)]
    struct Inner {
        key: Option<String>,
    }

    fn read(body: &str) -> Request {
        decode(body.as_bytes()).unwrap()
    }

    fn refused(body: &str) -> String {
        decode::<Request>(body.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn unknown_fields_nulls_and_both_kinds_of_names_are_read() {
        let request = read(r#"{"runId": "a", "zzz": {"deep": [1]}, "step": "7", "value": null}"#);
        assert_eq!(request.run_id.as_deref(), Some("a"));
        assert_eq!(request.step, Some(Int64(7)));
        assert_eq!(request.value, None);
        assert_eq!(read(r#" {"run_id": "b"} "#).run_id.as_deref(), Some("b"));
        let inner = read(r#"{"metrics": [{"key": "k"}]}"#).metrics.unwrap();
        assert_eq!(inner[0].key.as_deref(), Some("k"));
    }

    #[test]
    fn what_is_no_object_is_an_empty_one() {
        for body in [
            "",
            "garbage",
            "[\"a\", 1]",
            "null",
            "5",
            "\"x\"",
            "{\"run_id\": ",
            "\u{0}",
        ] {
            assert_eq!(read(body).run_id, None, "{body:?}");
        }
    }

    #[test]
    fn what_only_python_writes_is_read_as_it_was_meant() {
        let request = read(r#"{"run_id": "NaN, \"NaN", "value": NaN}"#);
        assert_eq!(request.run_id.as_deref(), Some("NaN, \"NaN"));
        assert!(request.value.unwrap().0.is_nan());
        let request = read(r#"{"value":-Infinity}"#);
        assert_eq!(request.value, Some(Double(f64::NEG_INFINITY)));
        let twice_encoded = serde_json::to_string(r#"{"run_id": "a"}"#).unwrap();
        assert_eq!(read(&twice_encoded).run_id.as_deref(), Some("a"));
        let twice_named = read(r#"{"step": 1, "step": 2}"#);
        assert_eq!(twice_named.step, Some(Int64(2)));
    }

    #[test]
    fn a_value_of_another_type_is_named_with_its_place() {
        assert_eq!(
            refused(r#"{"run_id": 1}"#),
            "Invalid value 1 for parameter 'run_id' supplied:  Hint: Value was of type 'int'. See the API docs for more information about request parameters."
        );
        let said = refused(r#"{"metrics": [{}, {"key": [true]}]}"#);
        assert!(
            said.contains("[true] for parameter 'metrics[1].key'"),
            "{said}"
        );
        assert!(said.contains("'list'"), "{said}");
        let said = refused(r#"{"status": "BAD"}"#);
        assert!(
            said.starts_with("Invalid value \"BAD\" for parameter 'status'"),
            "{said}"
        );
        assert!(said.contains("FINISHED"), "{said}");
        let said = refused(r#"{"run_id": "a", "runId": "b"}"#);
        assert!(said.contains("both spellings of `run_id`"), "{said}");
    }

    #[test]
    fn a_long_or_deep_body_is_refused_with_a_short_message() {
        let long = format!("{{\"step\": \"{}\"}}", "é".repeat(100_000));
        assert!(refused(&long).len() < 1000);
        let deep = "[".repeat(100_000);
        assert_eq!(read(&deep).run_id, None);
    }
}
