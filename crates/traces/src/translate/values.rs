//! How values are read: what counts as said, what a text holds, what is a count.

use serde_json::Value;

/// The deepest nesting of JSON inside of a text that is opened.
///
/// serde_json reads 127 levels; a span is kept in JSON itself, whose own levels, and those that a convention wraps
/// around a value, must not make it unreadable.
const DEEPEST_JSON: usize = 100;

/// Whether a value says nothing: it is what Python takes for false.
pub(super) fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(is_true) => !is_true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}

/// Reads the JSON text, list or object that a text holds.
pub(super) fn parse_nested(text: &str) -> Option<Value> {
    // Most texts are none, and are told by how they begin.
    let may_be = text.trim_ascii_start().starts_with(['"', '[', '{']);
    may_be.then(|| parse_json(text)).flatten()
}

/// Looks into a text that holds JSON, and into the text that this holds, as often as told.
pub(super) fn open(value: &Value, layers: usize) -> Value {
    let mut opened = value.clone();
    for _ in 0..layers {
        match opened.as_str().and_then(parse_json) {
            Some(inner) => opened = inner,
            None => break,
        }
    }
    opened
}

/// Reads a count: a whole number, or one in a text.
pub(super) fn parse_count(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn parse_json(text: &str) -> Option<Value> {
    let value = serde_json::from_str(text).ok()?;
    (depth(&value) <= DEEPEST_JSON).then_some(value)
}

/// How many lists and objects stand inside of each other; serde_json has seen to it that they are few.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_python_takes_for_false_says_nothing() {
        for blank in [
            json!(null),
            json!(false),
            json!(0),
            json!(0.0),
            json!(""),
            json!([]),
            json!({}),
        ] {
            assert!(is_blank(&blank), "{blank}");
        }
        for told in [
            json!(true),
            json!(-1),
            json!(0.5),
            json!("0"),
            json!([null]),
            json!({"": null}),
        ] {
            assert!(!is_blank(&told), "{told}");
        }
    }

    #[test]
    fn a_text_is_opened_as_often_as_told() {
        let text = json!("{\"a\": 1}").to_string();
        let twice = Value::from(text.as_str());
        assert_eq!(open(&twice, 0), twice);
        assert_eq!(open(&twice, 1), json!("{\"a\": 1}"));
        assert_eq!(open(&twice, 2), json!({"a": 1}));
        assert_eq!(open(&twice, 9), json!({"a": 1}));
        assert_eq!(open(&json!("no JSON"), 9), json!("no JSON"));
    }

    #[test]
    fn numbers_in_texts_are_no_nested_json() {
        for text in ["1", "1.5", "true", "null", "", "a", "{", "{} {}"] {
            assert_eq!(parse_nested(text), None, "{text}");
        }
        assert_eq!(parse_nested(" [1]"), Some(json!([1])));
        assert_eq!(parse_nested("\"a\""), Some(json!("a")));
    }

    #[test]
    fn json_that_is_nested_too_deep_stays_a_text() {
        let nest = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(parse_nested(&nest(DEEPEST_JSON)).is_some());
        for levels in [DEEPEST_JSON + 1, 127, 128, 100_000] {
            assert_eq!(parse_nested(&nest(levels)), None);
        }
    }

    #[test]
    fn a_count_is_a_whole_number() {
        for (value, count) in [
            (json!(7), Some(7)),
            (json!("7"), Some(7)),
            (json!(" +7 "), Some(7)),
            (json!(7.0), None),
            (json!("7.0"), None),
            (json!(true), None),
            (json!(null), None),
            (json!(u64::MAX), None),
            (json!([7]), None),
        ] {
            assert_eq!(parse_count(&value), count, "{value}");
        }
    }
}
