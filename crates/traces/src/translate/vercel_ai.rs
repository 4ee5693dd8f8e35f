//! The AI SDK of Vercel, which spreads a chat over several attributes.
//!
//! *Source*: <https://ai-sdk.dev/docs/ai-sdk-core/telemetry>

use serde_json::{Map, Value};

use super::{
    convention::{Attributes, Content, Convention, Format, Kind, find_said},
    values::open,
};

/// Its keys.
pub(super) const VERCEL_AI: Convention = Convention {
    kind: Kind::Named {
        keys: &[OPERATION],
        kinds: &[
            ("ai.generateText", "LLM"),
            ("ai.generateText.doGenerate", "LLM"),
            ("ai.toolCall", "TOOL"),
            ("ai.streamText", "LLM"),
            ("ai.streamText.doStream", "LLM"),
            ("ai.generateObject", "LLM"),
            ("ai.generateObject.doGenerate", "LLM"),
            ("ai.streamObject", "LLM"),
            ("ai.streamObject.doStream", "LLM"),
            ("ai.embed", "EMBEDDING"),
            ("ai.embed.doEmbed", "EMBEDDING"),
            ("ai.embedMany", "EMBEDDING"),
        ],
    },
    inputs: Content::Found(inputs_of),
    outputs: Content::Found(outputs_of),
    format_with_inputs: Some(Format {
        name: "vercel_ai",
        is_meant: is_chat,
    }),
    ..Convention::EMPTY
};

const OPERATION: &str = "ai.operationId";

/// The SDK writes JSON into texts, and some exporters do so again.
const LAYERS: usize = 2;

/// Whether it is the inner span of a chat, which holds messages; the outer one holds what the user called it with.
fn is_chat(attributes: &Attributes) -> bool {
    let operation = attributes.get(OPERATION).map(|name| open(name, LAYERS));
    operation.is_some_and(|name| {
        name == "ai.generateText.doGenerate" || name == "ai.streamText.doStream"
    })
}

fn inputs_of(attributes: &Attributes) -> Option<Value> {
    if !is_chat(attributes) {
        let keys = ["ai.prompt", "ai.toolCall.args", "ai.value", "ai.values"];
        return find_said(attributes, &keys).cloned();
    }
    let mut inputs = gather(attributes, "ai.prompt.");
    // Each tool is JSON in a text of its own, inside of the list.
    if let Some(tools) = inputs.get_mut("tools").and_then(Value::as_array_mut) {
        for tool in tools {
            *tool = open(tool, 1 + LAYERS);
        }
    }
    as_said(inputs)
}

fn outputs_of(attributes: &Attributes) -> Option<Value> {
    if is_chat(attributes) {
        return as_said(gather(attributes, "ai.response."));
    }
    let keys = [
        "ai.response.text",
        "ai.toolCall.result",
        "ai.response.object",
        "ai.embedding",
        "ai.embeddings",
    ];
    find_said(attributes, &keys).cloned()
}

/// All attributes whose keys begin alike, by the rest of their keys.
fn gather(attributes: &Attributes, prefix: &str) -> Map<String, Value> {
    attributes
        .iter()
        .filter_map(|(key, value)| {
            let rest = key.strip_prefix(prefix)?;
            Some((rest.to_owned(), open(value, LAYERS)))
        })
        .collect()
}

fn as_said(gathered: Map<String, Value>) -> Option<Value> {
    (!gathered.is_empty()).then_some(Value::Object(gathered))
}
