//! LiveKit Agents, whose spans are told by which attributes they have.
//!
//! *Source*: <https://docs.livekit.io/agents/observability/>

use serde_json::Value;

use super::{
    UNKNOWN,
    convention::{Attributes, Content, Convention, Format, Kind, find_kind},
    conventions::{GEN_AI_KIND, GEN_AI_KINDS},
};

/// Its keys, beside those of OpenTelemetry.
pub(super) const LIVE_KIT: Convention = Convention {
    kind: Kind::Found(kind_of),
    inputs: Content::Keys(&[
        "lk.user_input",
        "lk.user_transcript",
        "lk.chat_ctx",
        "lk.input_text",
    ]),
    outputs: Content::Keys(&["lk.response.text", "lk.response.function_calls"]),
    format: Some(Format {
        name: "livekit",
        is_meant: |attributes| attributes.keys().any(|key| key.starts_with("lk.")),
    }),
    ..Convention::EMPTY
};

/// As with MLflow, a span of any tool that names the model it asked counts as a call of a model here.
fn kind_of(attributes: &Attributes) -> Option<&'static str> {
    if attributes.contains_key("gen_ai.request.model") {
        return Some("LLM");
    }
    let operation = attributes.get(GEN_AI_KIND).and_then(Value::as_str);
    operation
        .and_then(|name| find_kind(GEN_AI_KINDS, &name.to_lowercase()))
        .or_else(|| attributes.keys().find_map(|key| kind_of_key(key)))
}

/// The first attribute that gives the kind away decides.
fn kind_of_key(key: &str) -> Option<&'static str> {
    match key {
        "lk.retry_count" => Some("LLM"),
        "lk.agent_name" | "lk.instructions" | "lk.generation_id" => Some("AGENT"),
        "lk.input_text"
        | "lk.user_transcript"
        | "lk.transcript_confidence"
        | "lk.transcription_delay" => Some(UNKNOWN),
        _ if key.starts_with("lk.function_tool") => Some("TOOL"),
        _ if key.starts_with("lk.tts") => Some(UNKNOWN),
        _ => None,
    }
}
