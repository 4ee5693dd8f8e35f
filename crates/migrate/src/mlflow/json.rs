//! JSON as Python's encoder writes it, which is more than JSON.

use serde_json::{Error, Value};

/// How deep a value may be nested that is kept as one; what is deeper stays a text.
///
/// A record of a trace is read by a decoder that goes 128 levels deep, and has four of its own.
const DEEPEST: usize = 100;

/// Digits that every number of 64 bits may have.
const SAFE_DIGITS: usize = 18;

/// Reads what Python's `json.dumps` writes.
///
/// JSON has no NaN and no infinity, and our numbers have 64 bits: such a number becomes a text, as where a span comes
/// over the wire. Half of a surrogate pair, as a text that was cut may end with, becomes U+FFFD.
pub(crate) fn read_json(text: &str) -> Result<Value, Error> {
    if !has_long_number(text)
        && let Ok(value) = serde_json::from_str(text)
    {
        return Ok(value);
    }
    serde_json::from_str(&repaired(text))
}

/// The value of an attribute, which MLflow keeps as JSON in a text, and other programs as it is.
pub(super) fn decoded(raw: Value) -> Value {
    let Value::String(text) = raw else {
        return bounded(raw);
    };
    match read_json(&text) {
        Ok(value) if depth(&value) <= DEEPEST => value,
        _ => Value::String(text),
    }
}

/// A value that is nested too deeply, as a text.
pub(super) fn bounded(value: Value) -> Value {
    if depth(&value) <= DEEPEST {
        value
    } else {
        Value::String(value.to_string())
    }
}

/// The decoder bounds it, and so this recursion.
fn depth(value: &Value) -> usize {
    let inner = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(members) => members.values().map(depth).max(),
        _ => return 0,
    };
    1 + inner.unwrap_or(0)
}

fn has_long_number(text: &str) -> bool {
    let mut digits = 0;
    text.bytes().any(|byte| {
        digits = if byte.is_ascii_digit() { digits + 1 } else { 0 };
        digits > SAFE_DIGITS
    })
}

/// The same as JSON.
fn repaired(text: &str) -> String {
    let mut written = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let token = match first {
            '"' => string_at(rest),
            '-' | '0'..='9' | 'N' | 'I' => word_at(rest),
            _ => &rest[..first.len_utf8()],
        };
        if first == '"' {
            write_string(&mut written, token);
        } else if is_beyond_json(token) {
            written.push('"');
            written.push_str(token);
            written.push('"');
        } else {
            written.push_str(token);
        }
        rest = &rest[token.len()..];
    }
    written
}

/// The string at the begin of a text, with its quotes; all of the text where it does not end.
fn string_at(text: &str) -> &str {
    let mut is_escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    });
    end.map_or(text, |end| &text[..end + 2])
}

/// A number or a name at the begin of a text.
fn word_at(text: &str) -> &str {
    let is_inside = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let end = text.bytes().position(|byte| !is_inside(byte));
    &text[..end.unwrap_or(text.len())]
}

/// Whether a word is a number of Python's that JSON, or a number of 64 bits, cannot be.
fn is_beyond_json(word: &str) -> bool {
    if matches!(word, "NaN" | "Infinity" | "-Infinity") {
        return true;
    }
    let digits = word.strip_prefix('-').unwrap_or(word);
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return false;
    }
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let is_small = word.parse::<i64>().is_ok() || word.parse::<u64>().is_ok();
        return !is_small && !digits.starts_with('0');
    }
    word.parse::<f64>().is_ok_and(f64::is_infinite)
}

/// Writes a string, where half a surrogate pair becomes U+FFFD.
fn write_string(written: &mut String, string: &str) {
    let mut rest = string;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        written.push_str(before);
        let length = match (unit_of(escape), escape.get(6..).and_then(unit_of)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
            (Some(0xD800..=0xDFFF), _) => {
                written.push('\u{FFFD}');
                rest = &escape[6..];
                continue;
            }
            // What follows a backslash is one character, and not the begin of another escape.
            _ => 1 + escape[1..].chars().next().map_or(0, char::len_utf8),
        };
        written.push_str(&escape[..length]);
        rest = &escape[length..];
    }
    written.push_str(rest);
}

/// The unit of UTF-16 that `\u1234` at the begin of a text is.
fn unit_of(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u16::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_python_writes_beyond_json_is_read() {
        for (text, value) in [
            (
                r#"{"a": NaN, "b": [Infinity, -Infinity]}"#,
                json!({"a": "NaN", "b": ["Infinity", "-Infinity"]}),
            ),
            ("NaN", json!("NaN")),
            ("1180591620717411303424", json!("1180591620717411303424")),
            ("[-9223372036854775809]", json!(["-9223372036854775809"])),
            (
                "[18446744073709551615, -9223372036854775808]",
                json!([u64::MAX, i64::MIN]),
            ),
            ("1795798977992095227", json!(1_795_798_977_992_095_227_u64)),
            (
                "[1e400, 1.5e-05, 0.30000000000000004]",
                json!(["1e400", 1.5e-5, 0.1 + 0.2]),
            ),
            (
                r#""NaN 12345678901234567890123 \" \\""#,
                json!("NaN 12345678901234567890123 \" \\"),
            ),
            (
                r#"["\ud83d\ude00", "\ud83d", "\ude00x", "\ud83d\n", "\\ud83d"]"#,
                json!(["😀", "\u{FFFD}", "\u{FFFD}x", "\u{FFFD}\n", "\\ud83d"]),
            ),
            (r#"[NaN, "\\", "ü"]"#, json!(["NaN", "\\", "ü"])),
        ] {
            assert_eq!(read_json(text).unwrap(), value, "{text}");
        }
    }

    #[test]
    fn what_is_no_json_stays_none() {
        for text in [
            "",
            "{",
            "\"",
            "\"\\",
            "\"\\u",
            "\"\\ud8",
            "[NaN",
            "[1,]",
            "nan",
            "-",
            "--1",
            "1-2",
            "Nan",
            "{NaN: 1",
            "\"\\ud83d",
            "12345678901234567890x\"",
            "ü",
            "\\",
            "[1 2]",
        ] {
            // None of these may panic, and those that are repaired to JSON are texts.
            if let Ok(value) = read_json(text) {
                assert!(value.is_string(), "{text}");
            }
        }
        assert_eq!(read_json("[01]").ok(), None);
    }

    #[test]
    fn what_is_json_is_read_as_it_is_and_nothing_makes_the_repair_panic() {
        let words = [
            "\"", "\\", "\\ud83d", "\\ude00", "u", "é", "NaN", "-", "1", ".5e9", "[", "]", ",",
        ];
        let mut texts = vec![String::new()];
        for _ in 0..4 {
            let longer = texts
                .iter()
                .flat_map(|text| words.map(|word| format!("{text}{word}")));
            texts = longer.collect();
            for text in &texts {
                let read = read_json(text);
                if let Ok(value) = serde_json::from_str::<Value>(text) {
                    assert_eq!(read.unwrap(), value, "{text}");
                    assert_eq!(repaired(text), *text);
                }
            }
        }
    }

    #[test]
    fn attributes_are_decoded_unless_they_are_no_json_or_too_deep() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(decoded(json!("{\"a\": 1}")), json!({"a": 1}));
        assert_eq!(decoded(json!("plain")), json!("plain"));
        assert_eq!(decoded(json!("")), json!(""));
        assert_eq!(decoded(json!([1, "2"])), json!([1, "2"]));
        assert!(decoded(json!(nested(DEEPEST))).is_array());
        assert_eq!(
            decoded(json!(nested(DEEPEST + 1))),
            json!(nested(DEEPEST + 1))
        );
        assert_eq!(decoded(json!(nested(5000))), json!(nested(5000)));
        let deep: Value = serde_json::from_str(&nested(DEEPEST + 1)).unwrap();
        assert_eq!(bounded(deep), json!(nested(DEEPEST + 1)));
    }
}
