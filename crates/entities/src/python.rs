//! Values as Python and its JSON encoder write them, since MLflow's messages hold them so.

mod loads;

use std::fmt::Write as _;

pub use loads::{loads, number_in};

/// A text as `repr` writes it.
pub fn repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    let mut shown = String::with_capacity(text.len() + 2);
    shown.push(quote);
    for character in text.chars() {
        match character {
            '\\' => shown.push_str("\\\\"),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            _ if character == quote => {
                shown.push('\\');
                shown.push(character);
            }
            _ if character.is_control() && u32::from(character) < 0x100 => {
                // Writing to a string cannot fail.
                let _ = write!(shown, "\\x{:02x}", u32::from(character));
            }
            _ => shown.push(character),
        }
    }
    shown.push(quote);
    shown
}

/// A list of texts as `repr` writes it.
pub fn list(texts: &[String]) -> String {
    let shown: Vec<_> = texts.iter().map(|text| repr(text)).collect();
    format!("[{}]", shown.join(", "))
}

/// Params that would change, as MLflow lists them.
pub fn conflicts(conflicts: &[(String, String, String)]) -> String {
    let shown: Vec<_> = conflicts
        .iter()
        .map(|(key, old, new)| {
            format!(
                "{{'key': {}, 'old_value': {}, 'new_value': {}}}",
                repr(key),
                repr(old),
                repr(new)
            )
        })
        .collect();
    format!("[{}]", shown.join(", "))
}

/// A text as `json.dumps` writes it: in ASCII.
pub fn json(text: &str) -> String {
    let mut shown = String::with_capacity(text.len() + 2);
    shown.push('"');
    for character in text.chars() {
        match character {
            '"' => shown.push_str("\\\""),
            '\\' => shown.push_str("\\\\"),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            '\u{8}' => shown.push_str("\\b"),
            '\u{c}' => shown.push_str("\\f"),
            ' '..='\u{7e}' => shown.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    // Writing to a string cannot fail.
                    let _ = write!(shown, "\\u{unit:04x}");
                }
            }
        }
    }
    shown.push('"');
    shown
}

/// A number as `str` writes it.
pub fn float(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    let shown = format!("{value:?}");
    // Python writes an exponent with its sign and two digits.
    match shown.split_once('e') {
        Some((digits, exponent)) => {
            let (sign, exponent) = match exponent.strip_prefix('-') {
                Some(exponent) => ('-', exponent),
                None => ('+', exponent),
            };
            format!("{digits}e{sign}{exponent:0>2}")
        }
        None => shown,
    }
}

/// Any JSON as `json.dumps` writes it with `ensure_ascii=False`.
pub fn dumps(value: &serde_json::Value) -> String {
    let mut shown = String::new();
    write_value(&mut shown, value, false);
    shown
}

/// Likewise, with the numbers that `loads` marked.
pub fn dumps_loaded(value: &serde_json::Value) -> String {
    let mut shown = String::new();
    write_value(&mut shown, value, true);
    shown
}

fn write_value(shown: &mut String, value: &serde_json::Value, has_marks: bool) {
    use serde_json::Value;
    match value {
        Value::Array(items) => {
            shown.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    shown.push_str(", ");
                }
                write_value(shown, item, has_marks);
            }
            shown.push(']');
        }
        Value::Object(members) => {
            shown.push('{');
            for (index, (key, member)) in members.iter().enumerate() {
                if index > 0 {
                    shown.push_str(", ");
                }
                // A text in JSON is the same in both.
                let _ = write!(shown, "{}: ", Value::from(key.as_str()));
                write_value(shown, member, has_marks);
            }
            shown.push('}');
        }
        Value::String(text) if has_marks && number_in(text).is_some() => {
            shown.push_str(number_in(text).unwrap_or_default());
        }
        Value::Number(number) if number.is_f64() => {
            shown.push_str(&float(number.as_f64().unwrap_or_default()));
        }
        other => {
            let _ = write!(shown, "{other}");
        }
    }
}

/// The name of the type that Python reads a value as.
pub fn type_of(value: &serde_json::Value) -> &'static str {
    use serde_json::Value;
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

/// Any JSON as `str` writes what Python reads it as: a text as it is.
pub fn text_of(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => number_in(text).unwrap_or(text).to_owned(),
        other => repr_of(other),
    }
}

fn repr_of(value: &serde_json::Value) -> String {
    use serde_json::Value;
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) if number.is_f64() => float(number.as_f64().unwrap_or_default()),
        Value::Number(number) => number.to_string(),
        Value::String(text) => number_in(text).map_or_else(|| repr(text), str::to_owned),
        Value::Array(items) => {
            let shown: Vec<_> = items.iter().map(repr_of).collect();
            format!("[{}]", shown.join(", "))
        }
        Value::Object(members) => {
            let shown = members
                .iter()
                .map(|(key, member)| format!("{}: {}", repr(key), repr_of(member)));
            format!("{{{}}}", shown.collect::<Vec<_>>().join(", "))
        }
    }
}

/// A path as `posixpath.normpath` writes it.
pub fn normpath(path: &str) -> String {
    let root = match path.bytes().take_while(|&byte| byte == b'/').count() {
        0 => "",
        2 => "//",
        _ => "/",
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if !root.is_empty() => {}
            part => parts.push(part),
        }
    }
    let joined = format!("{root}{}", parts.join("/"));
    if joined.is_empty() {
        ".".to_owned()
    } else {
        joined
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Python 3.11 answers.
    #[test]
    fn json_is_written_with_spaces_and_in_unicode() {
        let value =
            serde_json::json!({"a\"é": [1, 1.0, 1e300, null, true, "x\n"], "b": {}, "c": []});
        assert_eq!(
            dumps(&value),
            r#"{"a\"é": [1, 1.0, 1e+300, null, true, "x\n"], "b": {}, "c": []}"#
        );
    }

    #[test]
    fn any_json_is_shown_as_python_shows_it() {
        let value = serde_json::json!({"a": [null, true, 1, 1.5, "x'y"], "b": {}});
        assert_eq!(
            text_of(&value),
            r#"{'a': [None, True, 1, 1.5, "x'y"], 'b': {}}"#
        );
        assert_eq!(text_of(&serde_json::json!("x'y")), "x'y");
        assert_eq!(type_of(&value), "dict");
    }

    #[test]
    fn texts_and_numbers_are_shown_as_python_shows_them() {
        for (text, shown) in [
            ("q", "'q'"),
            ("it's", "\"it's\""),
            ("\"it's\"", "'\"it\\'s\"'"),
            ("a\\b\n\t\u{1}", "'a\\\\b\\n\\t\\x01'"),
            ("ü", "'ü'"),
        ] {
            assert_eq!(repr(text), shown);
        }
        for (text, shown) in [
            ("a&b", "\"a&b\""),
            ("ü\"\\\n", "\"\\u00fc\\\"\\\\\\n\""),
            ("😀\u{7f}", "\"\\ud83d\\ude00\\u007f\""),
        ] {
            assert_eq!(json(text), shown);
        }
        for (value, shown) in [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e300, "1e+300"),
            (1e-7, "1e-07"),
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(float(value), shown);
        }
    }

    /// What Python 3.11 answers.
    #[test]
    fn paths_are_made_normal_as_python_makes_them() {
        for (path, normal) in [
            ("", "."),
            (".", "."),
            ("a/./b", "a/b"),
            ("a//b/", "a/b"),
            ("../a", "../a"),
            ("a/../..", ".."),
            ("/..", "/"),
            ("//a", "//a"),
            ("///a", "/a"),
            ("a/../b", "b"),
            ("a b:c", "a b:c"),
        ] {
            assert_eq!(normpath(path), normal, "{path:?}");
        }
    }
}
