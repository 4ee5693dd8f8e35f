//! Gemini CLI: the keys of OpenTelemetry, with kinds and messages of its own.
//!
//! *Source*: `docs/cli/telemetry.md` of google-gemini/gemini-cli.

use serde_json::{Value, json};

use super::{
    convention::{Attributes, Content, Convention, Format, Kind, find_kind, find_said},
    conventions::{GEN_AI, GEN_AI_INPUTS, GEN_AI_KIND, GEN_AI_OUTPUTS},
};

/// It has OpenTelemetry's other keys too, which so win over those of Claude Code, as with MLflow.
pub(super) const GEMINI_CLI: Convention = Convention {
    kind: Kind::Found(kind_of),
    inputs: Content::Found(inputs_of),
    outputs: Content::Found(outputs_of),
    format: Some(Format {
        name: "gemini",
        is_meant: is_gemini_cli,
    }),
    ..GEN_AI
};

const KINDS: &[(&str, &str)] = &[
    ("llm_call", "LLM"),
    ("tool_call", "TOOL"),
    ("agent_call", "AGENT"),
];

fn is_gemini_cli(attributes: &Attributes) -> bool {
    attributes
        .get("gen_ai.agent.name")
        .is_some_and(|name| name == "gemini-cli")
}

fn kind_of(attributes: &Attributes) -> Option<&'static str> {
    let name = attributes.get(GEN_AI_KIND)?.as_str()?;
    find_kind(KINDS, name).filter(|_| is_gemini_cli(attributes))
}

/// MLflow's pages show a request of the Gemini API, of which these are the contents.
fn inputs_of(attributes: &Attributes) -> Option<Value> {
    let said = find_said(attributes, GEN_AI_INPUTS).filter(|_| is_gemini_cli(attributes))?;
    Some(match said {
        Value::Array(_) | Value::String(_) => json!({"contents": said}),
        _ => said.clone(),
    })
}

/// Likewise for the answer, which comes in pieces and is shown as one.
fn outputs_of(attributes: &Attributes) -> Option<Value> {
    let said = find_said(attributes, GEN_AI_OUTPUTS).filter(|_| is_gemini_cli(attributes))?;
    let pieces = said.as_array().map_or(&[][..], Vec::as_slice);
    let parts: Vec<&Value> = pieces
        .iter()
        .filter_map(|piece| piece.get("parts")?.as_array())
        .flatten()
        .collect();
    if parts.is_empty() {
        return Some(said.clone());
    }
    Some(json!({"candidates": [{"content": {"role": "model", "parts": parts}}]}))
}
