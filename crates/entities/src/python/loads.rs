//! JSON as Python reads it: with `NaN`, `Infinity` and whole numbers of any length.

use serde::de::Error as _;
use serde_json::Value;

/// How a text begins that stands for a number which `Value` cannot hold.
const MARK: &str = "\u{0}";

/// More digits than any number of 64 bits is sure to hold.
const LONGEST_EXACT: usize = 18;

/// The number that a text stands for, as Python writes it.
pub fn number_in(text: &str) -> Option<&str> {
    text.strip_prefix(MARK).filter(|number| is_beyond(number))
}

/// Reads what `json.dumps` writes. Numbers that `Value` cannot hold become texts that `dumps_loaded` writes as numbers again.
///
/// *Errors*: what is no JSON, and a text that begins with a null character, which marks such numbers.
pub fn loads(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(&mark_numbers(text)?)
}

fn mark_numbers(text: &str) -> Result<String, serde_json::Error> {
    let mut marked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => text_length(rest)?,
            'N' | 'I' | '-' | '0'..='9' => {
                let length = token_length(rest);
                if is_beyond(&rest[..length]) {
                    marked.push_str("\"\\u0000");
                    marked.push_str(&rest[..length]);
                    marked.push('"');
                    rest = &rest[length..];
                    continue;
                }
                length
            }
            other => other.len_utf8(),
        };
        marked.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    Ok(marked)
}

/// Length of a text with its quotes; one without an end is left to the decoder.
fn text_length(rest: &str) -> Result<usize, serde_json::Error> {
    if rest.starts_with("\"\\u0000") {
        return Err(serde_json::Error::custom(
            "a text begins with a null character",
        ));
    }
    let mut is_escaped = false;
    let end = rest.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    });
    Ok(end.map_or(rest.len(), |end| end + 2))
}

fn token_length(rest: &str) -> usize {
    let is_outside = |letter: char| !(letter.is_ascii_alphanumeric() || "+-.".contains(letter));
    rest.find(is_outside).unwrap_or(rest.len())
}

/// Whether a token is a number for Python, and beyond what `Value` holds exactly.
fn is_beyond(token: &str) -> bool {
    if matches!(token, "NaN" | "Infinity" | "-Infinity") {
        return true;
    }
    let digits = token.strip_prefix('-').unwrap_or(token);
    digits.len() > LONGEST_EXACT
        && !digits.starts_with('0')
        && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::super::{dumps, dumps_loaded};
    use super::*;

    #[test]
    fn every_number_of_python_survives() {
        for text in [
            r#"{"a": NaN, "b": [-Infinity, Infinity], "c": 12345678901234567890123}"#,
            "-9223372036854775809",
            "9223372036854775807",
            "[1, 1.0, -0.0, 1e+300, 0.1]",
            r#"{"NaN": "NaN", "a\"NaN": "\\", "b": NaN}"#,
        ] {
            assert_eq!(dumps_loaded(&loads(text).unwrap()), text);
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in [
            "",
            "nope",
            "NaNa",
            "[1,]",
            "\"",
            "\"\\",
            "0000000000000000000001",
            "\"\\u0000NaN\"",
            "1e400",
            "{\"a\": \"\\u0000\"}",
        ] {
            assert!(loads(text).is_err(), "{text}");
        }
        assert!(loads(&"[".repeat(100_000)).is_err());
        assert_eq!(loads("\"a\\u0000\"").unwrap(), "a\u{0}");
        // Nothing but such a number is written without its quotes.
        for (text, shown) in [
            ("\u{0}1}, {", "\"\\u00001}, {\""),
            ("\u{0}NaN", "\"\\u0000NaN\""),
        ] {
            assert_eq!(dumps(&Value::from(text)), shown);
        }
        assert_eq!(dumps_loaded(&Value::from("\u{0}1}, {")), "\"\\u00001}, {\"");
    }
}
