//! What events of a span say of what went in and came out, for tools that put it there.
//!
//! An event's attributes are as they came: JSON in their texts has not been opened yet.

use entities::SpanEvent;
use serde_json::{Value, json};

use super::{
    claude_code,
    convention::Attributes,
    values::{is_blank, open},
};

/// What went in.
pub(super) fn find_inputs(events: &[SpanEvent]) -> Option<Value> {
    find_spring_ai(events, "gen_ai.content.prompt", "gen_ai.prompt").or_else(|| {
        gather_messages(events, |event| match event.name.as_str() {
            "gen_ai.system.message" => Some(Value::from("system")),
            "gen_ai.user.message" => Some(Value::from("user")),
            "gen_ai.assistant.message" => Some(Value::from("assistant")),
            _ => None,
        })
    })
}

/// What came out.
pub(super) fn find_outputs(events: &[SpanEvent], attributes: &Attributes) -> Option<Value> {
    find_spring_ai(events, "gen_ai.content.completion", "gen_ai.completion")
        .or_else(|| {
            gather_messages(events, |event| {
                if event.name != "gen_ai.choice" {
                    return None;
                }
                let role = event.attributes.get("role").map(|role| open(role, 1));
                Some(role.unwrap_or_else(|| Value::from("assistant")))
            })
        })
        .or_else(|| claude_code::outputs_of_events(events, attributes))
}

/// Spring AI has one event for all.
fn find_spring_ai(events: &[SpanEvent], name: &str, key: &str) -> Option<Value> {
    events
        .iter()
        .filter(|event| event.name == name)
        .filter_map(|event| event.attributes.get(key))
        .find(|value| !is_blank(value))
        .map(|value| open(value, 1))
}

/// OpenTelemetry's convention has an event for each message.
fn gather_messages(
    events: &[SpanEvent],
    role_of: impl Fn(&SpanEvent) -> Option<Value>,
) -> Option<Value> {
    let messages: Vec<Value> = events
        .iter()
        .filter_map(|event| {
            let role = role_of(event)?;
            let content = event.attributes.get("content")?;
            (!is_blank(content)).then(|| json!({"role": role, "content": open(content, 1)}))
        })
        .collect();
    (!messages.is_empty()).then_some(Value::Array(messages))
}
