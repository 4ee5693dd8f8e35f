//! The begin of what went into a trace and came out of it.

use serde_json::{Map, Value};

/// Characters of a preview.
const LONGEST_PREVIEW: usize = 1000;

/// The begin of what went in or came out: of a conversation, what the role said last; else all of it as JSON.
pub(super) fn preview_of(value: &Value, role: &str) -> String {
    let said = find_messages(value)
        .and_then(|messages| last_said(&messages, role))
        .filter(|said| !said.is_empty());
    let said = said.unwrap_or_else(|| crate::python::dumps(value));
    if said.chars().count() <= LONGEST_PREVIEW {
        return said;
    }
    let begin: String = said.chars().take(LONGEST_PREVIEW - 3).collect();
    begin + "..."
}

/// The messages of the forms that model APIs have: `messages`, `choices`, `input`, `output`, and these in a `request`.
fn find_messages(value: &Value) -> Option<Vec<&Map<String, Value>>> {
    const DEEPEST: usize = 8;
    let mut value = value.as_object()?;
    for _ in 0..DEEPEST {
        let list = |key: &str| {
            Some(messages_in(
                value.get(key)?.as_array().filter(|list| !list.is_empty())?,
            ))
        };
        let chosen = value
            .get("choices")
            .and_then(|choices| choices.get(0)?.get("message"))
            .and_then(as_message);
        let found = list("messages")
            .or_else(|| chosen.map(|message| vec![message]))
            .or_else(|| list("input"))
            .or_else(|| list("output"));
        if found.is_some() {
            return found;
        }
        value = value.get("request")?.as_object()?;
    }
    None
}

fn messages_in(list: &[Value]) -> Vec<&Map<String, Value>> {
    list.iter().filter_map(as_message).collect()
}

fn as_message(value: &Value) -> Option<&Map<String, Value>> {
    let message = value.as_object()?;
    (message.contains_key("role") && message.contains_key("content")).then_some(message)
}

fn last_said(messages: &[&Map<String, Value>], role: &str) -> Option<String> {
    let of_role =
        |message: &&&Map<String, Value>| message.get("role").and_then(Value::as_str) == Some(role);
    let message = messages.iter().rev().find(of_role).or(messages.last())?;
    match message.get("content")? {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => parts.iter().find_map(|part| match part {
            Value::String(text) => Some(text.clone()),
            Value::Object(part) => {
                let kind = part.get("type")?.as_str()?;
                let text = part.get("text")?.as_str()?;
                matches!(kind, "text" | "output_text").then(|| text.to_owned())
            }
            _ => None,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_preview_is_what_was_said_last_or_the_begin_of_all() {
        let chat = json!({"messages": [
            {"role": "user", "content": "first"},
            {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "second"}]},
            {"role": "assistant", "content": "third"},
        ]});
        assert_eq!(preview_of(&chat, "user"), "second");
        assert_eq!(
            preview_of(
                &json!({"request": {"input": [{"role": "system", "content": "only"}]}}),
                "user"
            ),
            "only"
        );
        assert_eq!(
            preview_of(
                &json!({"choices": [{"message": {"role": "assistant", "content": "yes"}}]}),
                "assistant"
            ),
            "yes"
        );
        assert_eq!(
            preview_of(&json!({"choices": []}), "assistant"),
            "{\"choices\": []}"
        );
        assert_eq!(
            preview_of(&json!({"messages": ["no message"]}), "user"),
            "{\"messages\": [\"no message\"]}"
        );
        assert_eq!(preview_of(&json!("text"), "user"), "\"text\"");
        let long = preview_of(&json!("ä".repeat(2000)), "user");
        assert_eq!(long.chars().count(), LONGEST_PREVIEW);
        assert!(long.ends_with("ää..."));
    }
}
