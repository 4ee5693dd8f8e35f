//! Takes the values of secrets out of what a captured run's command sends, by their names.

use entities::python::{dumps_loaded, loads};
use serde_json::{Map, Value};

use crate::Mask;

/// What no value is that is a secret by itself, to ask about a name alone.
const OPAQUE: &str = "an opaque value";

/// What is written down of values, by the names that they have.
pub(super) struct Masks(Option<Mask>);

impl Masks {
    pub(super) fn new(mask: Option<Mask>) -> Self {
        Self(mask)
    }

    /// A param as it may be written down: a secret has no value.
    pub(super) fn param(&self, key: &str, value: String) -> String {
        match &self.0 {
            Some(mask) => mask(key, &value),
            None => value,
        }
    }

    /// A tag likewise, by its name alone: clients keep whole documents in tags.
    pub(super) fn tag(&self, key: &str, value: String) -> String {
        match &self.0 {
            Some(mask) if is_secret(mask, key) => mask(key, &value),
            _ => value,
        }
    }

    /// What is noted of a trace likewise, and inside of it where it is JSON: clients note what calls were given.
    pub(super) fn note(&self, key: &str, value: String) -> String {
        self.text(self.tag(key, value))
    }

    /// What a span says likewise, however deep: an object's members are named too.
    pub(super) fn attributes(&self, attributes: &mut Map<String, Value>) {
        if self.0.is_none() {
            return;
        }
        for (key, value) in attributes {
            self.value(key, value);
        }
    }

    /// Depth is bounded by that of the decoder.
    pub(super) fn value(&self, key: &str, value: &mut Value) {
        let Some(mask) = &self.0 else { return };
        match value {
            Value::String(text) => *text = self.note(key, std::mem::take(text)),
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(key, item)),
            Value::Object(members) => self.attributes(members),
            Value::Number(number) if is_secret(mask, key) => {
                *value = Value::String(mask(key, &number.to_string()));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// A text likewise, where it is JSON. What was cut short, as previews are, ends before the first secret.
    pub(super) fn text(&self, text: String) -> String {
        let Some(mask) = &self.0 else { return text };
        if !text.trim_start().starts_with(['{', '[']) {
            return text;
        }
        let Ok(said) = loads(&text) else {
            return cut(mask, text);
        };
        let mut masked = said.clone();
        self.value("", &mut masked);
        if masked == said {
            text
        } else {
            dumps_loaded(&masked)
        }
    }
}

fn is_secret(mask: &Mask, key: &str) -> bool {
    mask(key, OPAQUE) != OPAQUE
}

/// The text up to the first value that has the name of a secret, in quotes and before a colon.
fn cut(mask: &Mask, text: String) -> String {
    for (at, _) in text.match_indices(':') {
        let before = text[..at].trim_end();
        let Some(quote) = before
            .chars()
            .next_back()
            .filter(|last| "\"'".contains(*last))
        else {
            continue;
        };
        let named = before[..before.len() - 1].trim_end_matches('\\');
        let Some(open) = named.rfind(quote) else {
            continue;
        };
        if is_secret(mask, &named[open + 1..]) {
            return format!("{} …", &text[..=at]);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    fn masks() -> Masks {
        Masks::new(Some(Arc::new(|key: &str, value: &str| {
            let is_secret = key.ends_with("password");
            (if is_secret { "***" } else { value }).to_owned()
        })))
    }

    #[test]
    fn a_secret_is_found_however_it_is_wrapped() {
        let inner = r#"{"user": "ann", "password": "s3cret"}"#;
        let mut said = json!({
            "db.password": 5_551_234,
            "password": ["s3cret", {"deep": "kept"}],
            "text": inner,
            "twice": json!({"text": inner}).to_string(),
            "list": format!("[{inner}]"),
            "nan": r#"{"score": NaN, "password": "s3cret"}"#,
            "plain": "my password: s3cret is not looked for in prose",
            "count": 7,
        });
        masks().attributes(said.as_object_mut().unwrap());
        assert_eq!(
            said,
            json!({
                "db.password": "***",
                "password": ["***", {"deep": "kept"}],
                "text": r#"{"user": "ann", "password": "***"}"#,
                "twice": r#"{"text": "{\"user\": \"ann\", \"password\": \"***\"}"}"#,
                "list": r#"[{"user": "ann", "password": "***"}]"#,
                "nan": r#"{"score": NaN, "password": "***"}"#,
                "plain": "my password: s3cret is not looked for in prose",
                "count": 7,
            })
        );
    }

    #[test]
    fn what_was_cut_short_ends_before_the_secret() {
        let masks = masks();
        for (text, kept) in [
            (
                r#"{"q": "why", "password": "s3cr..."#,
                r#"{"q": "why", "password": …"#,
            ),
            (r"{'q': 1, 'password' : 's3cr", r"{'q': 1, 'password' : …"),
            (
                r#"[{"in": "{\"password\": \"s3cr"#,
                r#"[{"in": "{\"password\": …"#,
            ),
            (
                r#"{"q": "why", "answer": "bec..."#,
                r#"{"q": "why", "answer": "bec..."#,
            ),
            (r#"{"a": ":":'é':"#, r#"{"a": ":":'é':"#),
            ("{", "{"),
            ("{\":", "{\":"),
        ] {
            assert_eq!(masks.text(text.to_owned()), kept);
        }
    }

    #[test]
    fn what_holds_no_secret_stays_as_it_was_written() {
        let masks = masks();
        for text in [r#"{"b":1,  "a":2}"#, "[1e400]", "{}", "[ ]", "é", ""] {
            assert_eq!(masks.text(text.to_owned()), text);
        }
        let open = Masks::new(None);
        assert_eq!(open.note("password", "x".to_owned()), "x");
    }
}
