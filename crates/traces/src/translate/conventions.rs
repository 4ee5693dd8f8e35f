//! The conventions that are known, with their keys.
//!
//! Keys that an earlier convention has too are left out where the earlier one always answers first: Spring AI and
//! Laminar count tokens under the keys of OpenTelemetry, for one.

use super::{
    claude_code,
    convention::{Content, Convention, Format, Kind, TokenKeys, Tokens},
    gemini_cli, live_kit, traceloop, vercel_ai,
};

/// All conventions, the one that wins first.
pub(super) static CONVENTIONS: [Convention; 11] = [
    OPEN_INFERENCE,
    gemini_cli::GEMINI_CLI,
    claude_code::CLAUDE_CODE,
    GEN_AI,
    traceloop::TRACELOOP,
    GOOGLE_ADK,
    vercel_ai::VERCEL_AI,
    VOLT_AGENT,
    live_kit::LIVE_KIT,
    LAMINAR,
    LANGFUSE,
];

/// *Source*: `python/openinference-semantic-conventions` of Arize-ai/openinference.
const OPEN_INFERENCE: Convention = Convention {
    kind: Kind::Named {
        keys: &["openinference.span.kind"],
        kinds: &[
            ("TOOL", "TOOL"),
            ("CHAIN", "CHAIN"),
            ("LLM", "LLM"),
            ("RETRIEVER", "RETRIEVER"),
            ("EMBEDDING", "EMBEDDING"),
            ("AGENT", "AGENT"),
            ("RERANKER", "RERANKER"),
            ("UNKNOWN", "UNKNOWN"),
            ("GUARDRAIL", "GUARDRAIL"),
            ("EVALUATOR", "EVALUATOR"),
        ],
    },
    inputs: Content::Keys(&["input.value"]),
    outputs: Content::Keys(&["output.value"]),
    tokens: Tokens::Keys(TokenKeys {
        input: &["llm.token_count.prompt"],
        output: &["llm.token_count.completion"],
        total: &["llm.token_count.total"],
        cache_read: &["llm.token_count.prompt_details.cache_read"],
        cache_creation: &["llm.token_count.prompt_details.cache_write"],
    }),
    // The model that answered says more than the alias that was asked for.
    models: &[
        "llm.response.model_name",
        "llm.model_name",
        "llm.request.model_name",
        "embedding.model_name",
    ],
    providers: &["llm.provider"],
    ..Convention::EMPTY
};

/// *Source*: <https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/>
pub(super) const GEN_AI: Convention = Convention {
    kind: Kind::Named {
        keys: &[GEN_AI_KIND],
        kinds: GEN_AI_KINDS,
    },
    inputs: Content::Keys(GEN_AI_INPUTS),
    outputs: Content::Keys(GEN_AI_OUTPUTS),
    tokens: Tokens::Keys(TokenKeys {
        input: &["gen_ai.usage.input_tokens"],
        output: &["gen_ai.usage.output_tokens"],
        cache_read: &["gen_ai.usage.cache_read.input_tokens"],
        // The second is the name that the first had in an earlier version of the convention.
        cache_creation: &[
            "gen_ai.usage.cache_write.input_tokens",
            "gen_ai.usage.cache_creation.input_tokens",
        ],
        ..TokenKeys::EMPTY
    }),
    models: &["gen_ai.response.model", "gen_ai.request.model"],
    providers: &["gen_ai.provider.name"],
    tools: &["gen_ai.tool.definitions"],
    ..Convention::EMPTY
};

/// The key of the kind of step in OpenTelemetry's convention, which others have taken over.
pub(super) const GEN_AI_KIND: &str = "gen_ai.operation.name";

/// The kinds of OpenTelemetry's convention.
pub(super) const GEN_AI_KINDS: &[(&str, &str)] = &[
    ("chat", "CHAT_MODEL"),
    ("create_agent", "AGENT"),
    ("embeddings", "EMBEDDING"),
    ("execute_tool", "TOOL"),
    ("generate_content", "LLM"),
    ("invoke_agent", "AGENT"),
    ("text_completion", "LLM"),
    ("response", "LLM"),
];

/// Where OpenTelemetry's convention has what went in.
pub(super) const GEN_AI_INPUTS: &[&str] = &["gen_ai.input.messages", "gen_ai.tool.call.arguments"];

/// And what came out.
pub(super) const GEN_AI_OUTPUTS: &[&str] = &["gen_ai.output.messages", "gen_ai.tool.call.result"];

/// *Source*: `src/google/adk/telemetry/tracing.py` of google/adk-python.
const GOOGLE_ADK: Convention = Convention {
    inputs: Content::Keys(&[
        "gcp.vertex.agent.llm_request",
        "gcp.vertex.agent.tool_call_args",
    ]),
    outputs: Content::Keys(&[
        "gcp.vertex.agent.llm_response",
        "gcp.vertex.agent.tool_response",
    ]),
    ..Convention::EMPTY
};

/// *Source*: `voltagent.py` of MLflow, which says how the spans of VoltAgent look.
const VOLT_AGENT: Convention = Convention {
    kind: Kind::Named {
        // A span inside of an agent has the agent's `entity.type`, so that its own type comes first.
        keys: &["span.type", "entity.type"],
        kinds: &[
            ("agent", "AGENT"),
            ("llm", "LLM"),
            ("tool", "TOOL"),
            ("memory", "MEMORY"),
        ],
    },
    inputs: Content::Keys(&["agent.messages", "llm.messages", "input"]),
    outputs: Content::Keys(&["output"]),
    tokens: Tokens::Keys(TokenKeys {
        input: &["usage.prompt_tokens", "llm.usage.prompt_tokens"],
        output: &["usage.completion_tokens", "llm.usage.completion_tokens"],
        total: &["usage.total_tokens"],
        ..TokenKeys::EMPTY
    }),
    format: Some(Format {
        name: "voltagent",
        is_meant: |attributes| {
            ["voltagent.operation_id", "voltagent.conversation_id"]
                .iter()
                .any(|key| attributes.contains_key(*key))
        },
    }),
    ..Convention::EMPTY
};

/// *Source*: `laminar.py` of MLflow.
const LAMINAR: Convention = Convention {
    kind: Kind::Named {
        keys: &[LAMINAR_KIND],
        kinds: &[
            ("LLM", "LLM"),
            ("TOOL", "TOOL"),
            ("DEFAULT", "CHAIN"),
            ("PIPELINE", "CHAIN"),
            ("EXECUTOR", "AGENT"),
            ("EVALUATOR", "EVALUATOR"),
            ("HUMAN_EVALUATOR", "EVALUATOR"),
            ("EVALUATION", "EVALUATOR"),
            ("CACHED", "LLM"),
        ],
    },
    inputs: Content::Keys(&["lmnr.span.input"]),
    outputs: Content::Keys(&["lmnr.span.output"]),
    format: Some(Format {
        name: "openai",
        is_meant: |attributes| attributes.contains_key(LAMINAR_KIND),
    }),
    ..Convention::EMPTY
};

const LAMINAR_KIND: &str = "lmnr.span.type";

/// *Source*: `langfuse.py` of MLflow.
const LANGFUSE: Convention = Convention {
    kind: Kind::Named {
        keys: &["langfuse.observation.type"],
        kinds: &[
            ("generation", "LLM"),
            ("embedding", "EMBEDDING"),
            ("tool", "TOOL"),
            ("retriever", "RETRIEVER"),
            ("agent", "AGENT"),
            ("chain", "CHAIN"),
            ("evaluator", "EVALUATOR"),
            ("guardrail", "GUARDRAIL"),
            ("span", "UNKNOWN"),
        ],
    },
    inputs: Content::Keys(&["langfuse.observation.input"]),
    outputs: Content::Keys(&["langfuse.observation.output"]),
    ..Convention::EMPTY
};
