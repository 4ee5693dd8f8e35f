//! Claude Code, and the agents that are built on it.
//!
//! *Source*: <https://code.claude.com/docs/en/monitoring-usage#traces-beta>

use entities::SpanEvent;
use serde_json::{Map, Value};

use super::{
    convention::{Attributes, Content, Convention, Kind, TokenCounts, Tokens},
    values::{is_blank, open, parse_count},
};

/// Its keys are short words that others may use for something else, so that all of them ask for the step first.
pub(super) const CLAUDE_CODE: Convention = Convention {
    kind: Kind::Found(kind_of),
    inputs: Content::Found(inputs_of),
    outputs: Content::Found(outputs_of),
    tokens: Tokens::Found(tokens_of),
    ..Convention::EMPTY
};

/// What stands for a content that the user did not allow to be sent.
const REDACTED: &str = "<REDACTED>";

/// What tells of the call of a tool where its whole input is not sent.
const TOOL_DETAILS: [&str; 4] = ["full_command", "file_path", "skill_name", "subagent_type"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Interaction,
    Request,
    Tool,
}

impl Step {
    fn of(attributes: &Attributes) -> Option<Self> {
        let name = attributes.get("span.type")?.as_str()?;
        // Some versions leave the prefix out.
        match name.strip_prefix("claude_code.").unwrap_or(name) {
            "interaction" => Some(Self::Interaction),
            "llm_request" => Some(Self::Request),
            "tool" => Some(Self::Tool),
            _ => None,
        }
    }
}

/// What a tool gave back, which is told in an event.
pub(super) fn outputs_of_events(events: &[SpanEvent], attributes: &Attributes) -> Option<Value> {
    if Step::of(attributes)? != Step::Tool {
        return None;
    }
    events
        .iter()
        .filter(|event| event.name == "tool.output")
        .flat_map(|event| ["output", "content", "diff"].map(|key| event.attributes.get(key)))
        .flatten()
        .map(|value| open(value, 1))
        .find(is_told)
}

fn kind_of(attributes: &Attributes) -> Option<&'static str> {
    Some(match Step::of(attributes)? {
        Step::Interaction => "AGENT",
        Step::Request => "LLM",
        Step::Tool => "TOOL",
    })
}

fn inputs_of(attributes: &Attributes) -> Option<Value> {
    let content = |key| find_content(attributes, key).cloned();
    match Step::of(attributes)? {
        Step::Interaction => content("user_prompt").or_else(|| content("new_context")),
        Step::Request => content("new_context"),
        Step::Tool => content("tool_input").or_else(|| tool_details(attributes)),
    }
}

fn tool_details(attributes: &Attributes) -> Option<Value> {
    let details: Map<String, Value> = TOOL_DETAILS
        .iter()
        .filter_map(|key| Some(((*key).to_owned(), find_content(attributes, key)?.clone())))
        .collect();
    (!details.is_empty()).then_some(Value::Object(details))
}

fn outputs_of(attributes: &Attributes) -> Option<Value> {
    let key = match Step::of(attributes)? {
        Step::Interaction => return None,
        Step::Request => "response.model_output",
        Step::Tool => "new_context",
    };
    find_content(attributes, key).cloned()
}

fn find_content<'a>(attributes: &'a Attributes, key: &str) -> Option<&'a Value> {
    attributes.get(key).filter(|value| is_told(value))
}

fn is_told(value: &Value) -> bool {
    !is_blank(value) && value != REDACTED
}

fn tokens_of(attributes: &Attributes) -> TokenCounts {
    if Step::of(attributes) != Some(Step::Request) {
        return TokenCounts::default();
    }
    let count = |key: &str| parse_rounded(attributes.get(key)?);
    let (cache_read, cache_creation) = (count("cache_read_tokens"), count("cache_creation_tokens"));
    // It leaves what went through caches out, while MLflow counts it in.
    let input = count("input_tokens").map(|fresh| {
        fresh
            .saturating_add(cache_read.unwrap_or(0))
            .saturating_add(cache_creation.unwrap_or(0))
    });
    TokenCounts {
        input,
        output: count("output_tokens"),
        total: None,
        cache_read,
        cache_creation,
    }
}

/// It sends numbers that JavaScript has, which are not told to be whole.
fn parse_rounded(value: &Value) -> Option<i64> {
    parse_count(value).or_else(|| value.as_f64().map(|count| count as i64))
}
