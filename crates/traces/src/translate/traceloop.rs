//! Traceloop (OpenLLMetry), which numbers its messages.
//!
//! *Source*: `opentelemetry-semantic-conventions-ai` of traceloop/openllmetry.

use serde_json::Value;

use super::{
    convention::{Attributes, Content, Convention, Kind, TokenKeys, Tokens, find_said},
    values::is_blank,
};

/// Its keys.
pub(super) const TRACELOOP: Convention = Convention {
    kind: Kind::Named {
        keys: &["traceloop.span.kind"],
        kinds: &[
            ("workflow", "WORKFLOW"),
            ("task", "TASK"),
            ("agent", "AGENT"),
            ("tool", "TOOL"),
            ("unknown", "UNKNOWN"),
        ],
    },
    inputs: Content::Found(inputs_of),
    outputs: Content::Found(outputs_of),
    tokens: Tokens::Keys(TokenKeys {
        input: &["gen_ai.usage.prompt_tokens"],
        output: &["gen_ai.usage.completion_tokens"],
        total: &["llm.usage.total_tokens"],
        ..TokenKeys::EMPTY
    }),
    providers: &["gen_ai.system"],
    ..Convention::EMPTY
};

fn inputs_of(attributes: &Attributes) -> Option<Value> {
    find_said(attributes, &["traceloop.entity.input"])
        .or_else(|| find_numbered(attributes, &["gen_ai.prompt.", ".content"]))
        .or_else(|| {
            let arguments = ["gen_ai.completion.", ".tool_calls.", ".arguments"];
            find_numbered(attributes, &arguments)
        })
        .cloned()
}

fn outputs_of(attributes: &Attributes) -> Option<Value> {
    find_said(attributes, &["traceloop.entity.output"])
        .or_else(|| find_numbered(attributes, &["gen_ai.completion.", ".content"]))
        .cloned()
}

/// The first attribute that says something under a key of these parts with numbers between them.
fn find_numbered<'a>(attributes: &'a Attributes, parts: &[&str]) -> Option<&'a Value> {
    attributes
        .iter()
        .filter(|(key, _)| begins_with(key, parts).is_some())
        .map(|(_, value)| value)
        .find(|value| !is_blank(value))
}

/// As with MLflow, the key may go on after the last part.
fn begins_with(key: &str, parts: &[&str]) -> Option<()> {
    let (first, others) = parts.split_first()?;
    let mut rest = key.strip_prefix(first)?;
    for part in others {
        let after = rest.trim_start_matches(|letter: char| letter.is_ascii_digit());
        if after.len() == rest.len() {
            return None;
        }
        rest = after.strip_prefix(part)?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_keys_are_told_from_others() {
        let calls = ["gen_ai.completion.", ".tool_calls.", ".arguments"];
        for (key, parts, is_one) in [
            (
                "gen_ai.prompt.0.content",
                &["gen_ai.prompt.", ".content"][..],
                true,
            ),
            (
                "gen_ai.prompt.12.contents",
                &["gen_ai.prompt.", ".content"],
                true,
            ),
            (
                "gen_ai.prompt..content",
                &["gen_ai.prompt.", ".content"],
                false,
            ),
            (
                "gen_ai.prompt.a.content",
                &["gen_ai.prompt.", ".content"],
                false,
            ),
            (
                "gen_ai.prompt.0.role",
                &["gen_ai.prompt.", ".content"],
                false,
            ),
            (
                "a.gen_ai.prompt.0.content",
                &["gen_ai.prompt.", ".content"],
                false,
            ),
            ("gen_ai.completion.0.tool_calls.1.arguments", &calls, true),
            ("gen_ai.completion.0.tool_calls.arguments", &calls, false),
            ("gen_ai.completion.0", &calls, false),
        ] {
            assert_eq!(begins_with(key, parts).is_some(), is_one, "{key}");
        }
    }
}
