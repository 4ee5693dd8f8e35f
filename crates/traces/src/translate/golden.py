"""Asks MLflow itself what it makes of spans that follow other conventions, and prints spans and answers.

Run it with a Python that has MLflow 3.17.2, from the root of the repository:

    python crates/traces/src/translate/golden.py > crates/traces/src/translate/golden.jsonl

Each line is one span: the name of the case, its attributes and events as OTLP tells them, and the `mlflow.*`
attributes that MLflow fills in, or the fault with which it refuses the span. The test of `translate.rs` replays them.
Costs and the id of the trace are left out, since they are not translated.
"""

import json
from itertools import pairwise

from mlflow.entities.span import Span
from mlflow.tracing.otel import translation
from mlflow.tracing.otel.translation.base import OtelSchemaTranslator
from mlflow.tracing.utils.otlp import _set_otel_proto_anyvalue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as ProtoSpan

# MLflow asks the network for prices, which nobody needs here.
translation.calculate_cost_by_model_and_token_usage = lambda *_: None
LEFT_OUT = {"mlflow.traceRequestId", "mlflow.llm.cost"}
GEMINI = {"gen_ai.agent.name": "gemini-cli"}
CLAUDE_TOOL = {"span.type": "claude_code.tool"}
CLAUDE_REQUEST = {"span.type": "claude_code.llm_request"}
CHAT = {"ai.operationId": "ai.generateText.doGenerate"}
MESSAGES = [{"role": "user", "content": "hi"}]
CONTENTS = [{"role": "user", "parts": [{"text": "hi"}]}]


def put(attributes, values):
    for key, value in values.items():
        attribute = attributes.add()
        attribute.key = key
        _set_otel_proto_anyvalue(attribute.value, value)


def decode(value):
    """Reads an attribute as MLflow reads it when somebody asks for the span; NaN, which is no JSON, becomes a text."""
    try:
        return json.loads(value, parse_constant=str)
    except Exception:
        return value


def translate(attributes, events):
    proto = ProtoSpan(trace_id=b"t" * 16, span_id=b"s" * 8, name="s")
    proto.start_time_unix_nano = 1
    proto.end_time_unix_nano = 2
    put(proto.attributes, attributes)
    for name, values in events:
        put(proto.events.add(name=name, time_unix_nano=1).attributes, values)
    try:
        translated = translation.translate_span_when_storing(Span.from_otel_proto(proto))["attributes"]
    except Exception as fault:
        return {"fault": type(fault).__name__}
    return {
        "mlflow": {
            key: decode(value)
            for key, value in translated.items()
            if key.startswith("mlflow.") and key not in LEFT_OUT
        }
    }


def kinds():
    """Every name of a kind that MLflow knows."""
    for translator in translation._TRANSLATORS:
        keys = getattr(translator, "SPAN_KIND_ATTRIBUTE_KEYS", [translator.SPAN_KIND_ATTRIBUTE_KEY])
        for kind in translator.SPAN_KIND_TO_MLFLOW_TYPE or {}:
            for key in keys:
                of_gemini = GEMINI if "Gemini" in type(translator).__name__ else {}
                yield f"kind {key} {kind}", {key: kind, **of_gemini}


def key_names(translator, name):
    keys = getattr(translator, name) or []
    return [keys] if isinstance(keys, str) else keys


def single_keys():
    """Every key that MLflow reads without any condition, by itself."""
    for translator in translation._TRANSLATORS:
        title = type(translator).__name__.removesuffix("Translator")
        if title in ("GeminiCli", "ClaudeCode"):
            continue
        for place in ("INPUT_VALUE", "OUTPUT_VALUE", "MODEL_NAME", "TOOL_DEFINITION"):
            for key in key_names(translator, f"{place}_KEYS"):
                if isinstance(key, str):
                    yield f"{title} {key}", {key: "x"}
        for key in key_names(translator, "LLM_PROVIDER_KEY"):
            yield f"{title} provider {key}", {key: "x"}
        tokens = [name for name in dir(OtelSchemaTranslator) if name.endswith("_TOKEN_KEY")]
        counts = {}
        for name in tokens:
            for key in key_names(translator, name):
                counts[key] = len(counts) + 3
        if counts:
            yield f"{title} tokens", counts


# Everything that a convention can say, the first of its keys first; each value names its place.
EVERYTHING = [
    {
        "openinference.span.kind": "RERANKER",
        "llm.token_count.prompt": 1,
        "input.value": "i.openinference",
        "output.value": "o.openinference",
        "llm.response.model_name": "m.openinference.1",
        "llm.model_name": "m.openinference.2",
        "llm.request.model_name": "m.openinference.3",
        "embedding.model_name": "m.openinference.4",
        "llm.provider": "p.openinference",
    },
    {
        "gen_ai.agent.name": "gemini-cli",
        "gen_ai.operation.name": "llm_call",
        "gen_ai.usage.input_tokens": 2,
        "gen_ai.input.messages": "i.gen_ai.1",
        "gen_ai.tool.call.arguments": "i.gen_ai.2",
        "gen_ai.output.messages": "o.gen_ai.1",
        "gen_ai.tool.call.result": "o.gen_ai.2",
        "gen_ai.response.model": "m.gen_ai.1",
        "gen_ai.request.model": "m.gen_ai.2",
        "gen_ai.provider.name": "p.gen_ai",
        "gen_ai.tool.definitions": "t.gen_ai",
    },
    {
        "span.type": "llm_request",
        "input_tokens": 3,
        "new_context": "i.claude",
        "response.model_output": "o.claude",
    },
    {
        "traceloop.span.kind": "task",
        "gen_ai.usage.prompt_tokens": 4,
        "traceloop.entity.input": "i.traceloop.1",
        "gen_ai.prompt.0.content": "i.traceloop.2",
        "gen_ai.completion.0.tool_calls.0.arguments": "i.traceloop.3",
        "traceloop.entity.output": "o.traceloop.1",
        "gen_ai.completion.0.content": "o.traceloop.2",
        "gen_ai.system": "p.traceloop",
    },
    {
        "gcp.vertex.agent.llm_request": "i.adk.1",
        "gcp.vertex.agent.tool_call_args": "i.adk.2",
        "gcp.vertex.agent.llm_response": "o.adk.1",
        "gcp.vertex.agent.tool_response": "o.adk.2",
    },
    {
        "ai.operationId": "ai.streamText.doStream",
        "ai.prompt.messages": "i.vercel",
        "ai.response.text": "o.vercel",
    },
    {
        "entity.type": "memory",
        "usage.prompt_tokens": 6,
        "llm.usage.prompt_tokens": 7,
        "agent.messages": "i.voltagent.1",
        "llm.messages": "i.voltagent.2",
        "input": "i.voltagent.3",
        "output": "o.voltagent",
        "voltagent.operation_id": "v",
    },
    {
        "lk.agent_name": "a",
        "lk.user_input": "i.livekit.1",
        "lk.user_transcript": "i.livekit.2",
        "lk.chat_ctx": "i.livekit.3",
        "lk.input_text": "i.livekit.4",
        "lk.response.text": "o.livekit.1",
        "lk.response.function_calls": "o.livekit.2",
    },
    {
        "lmnr.span.type": "EVALUATION",
        "lmnr.span.input": "i.laminar",
        "lmnr.span.output": "o.laminar",
    },
    {
        "langfuse.observation.type": "generation",
        "langfuse.observation.input": "i.langfuse",
        "langfuse.observation.output": "o.langfuse",
    },
]


def precedence():
    """A span that says all under all keys, and what is left when the keys that win are taken away one by one."""
    for first in range(len(EVERYTHING)):
        attributes = {}
        for said in reversed(EVERYTHING[first:]):
            attributes.update(reversed(said.items()))
        yield f"precedence from {first}", attributes

    def place(value):
        return str(value).rpartition(".")[0]

    for said in EVERYTHING:
        for (key, value), (next_key, next_value) in pairwise(said.items()):
            if place(value) and place(value) == place(next_value):
                yield f"{key} before {next_key}", {next_key: next_value, key: value}


def tokens():
    yield "total is summed", {"llm.token_count.prompt": 3, "llm.token_count.completion": 4}
    yield "total alone", {"llm.usage.total_tokens": 9}
    yield "total is believed", {
        "llm.token_count.prompt": 3,
        "llm.token_count.completion": 4,
        "llm.token_count.total": 99,
    }
    yield "output alone", {"gen_ai.usage.output_tokens": 4}
    yield "counts of caches alone", {"gen_ai.usage.cache_read.input_tokens": 4}
    yield "counts in texts", {
        "gen_ai.usage.input_tokens": "3",
        "gen_ai.usage.output_tokens": " +4 ",
        "gen_ai.usage.cache_read.input_tokens": "x",
    }
    yield "negative and zero counts", {
        "gen_ai.usage.input_tokens": -3,
        "gen_ai.usage.output_tokens": 0,
    }
    yield "counts with a fraction", {
        "gen_ai.usage.input_tokens": 3.0,
        "gen_ai.usage.output_tokens": "4.0",
        "usage.prompt_tokens": 5,
    }
    yield "counts of no known type", {
        "gen_ai.usage.input_tokens": None,
        "gen_ai.usage.output_tokens": [4],
        "usage.total_tokens": {"a": 1},
    }
    yield "cache creation by its old name", {
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.cache_creation.input_tokens": 4,
    }
    yield "cache creation by both names", {
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.cache_write.input_tokens": 3,
        "gen_ai.usage.cache_creation.input_tokens": 4,
    }
    yield "VoltAgent counts in both places", {
        "usage.prompt_tokens": 0,
        "llm.usage.prompt_tokens": 5,
        "usage.completion_tokens": "x",
        "llm.usage.completion_tokens": 6,
        "llm.usage.total_tokens": 7,
    }
    yield "VoltAgent counts", {
        "usage.prompt_tokens": 3,
        "usage.completion_tokens": "4",
        "usage.total_tokens": 8,
    }
    yield "VoltAgent counts in the second place", {
        "llm.usage.prompt_tokens": 3,
        "llm.usage.completion_tokens": 4,
    }
    yield "VoltAgent total that is Traceloop's", {
        "llm.usage.prompt_tokens": 3,
        "llm.usage.total_tokens": 8,
    }
    yield "Claude counts with caches", CLAUDE_REQUEST | {
        "input_tokens": 3,
        "output_tokens": "4",
        "cache_read_tokens": 5.9,
        "cache_creation_tokens": 6,
    }
    yield "Claude counts without input", CLAUDE_REQUEST | {
        "output_tokens": 4,
        "cache_read_tokens": [1],
    }
    yield "Claude counts of a tool", CLAUDE_TOOL | {"input_tokens": 3, "output_tokens": 4}
    yield "counts of nobody", {"input_tokens": 3, "output_tokens": 4}
    yield "OpenTelemetry counts before Claude", CLAUDE_REQUEST | {
        "input_tokens": 3,
        "gen_ai.usage.output_tokens": 4,
    }
    yield "count with an underscore", {"gen_ai.usage.input_tokens": "1_000"}
    yield "count is a truth", {"gen_ai.usage.input_tokens": True, "gen_ai.usage.output_tokens": 4}


def mlflow_keys():
    yield "nothing", {}
    yield "MLflow says all", {
        "mlflow.spanType": "TOOL",
        "mlflow.spanInputs": {"model": "inner"},
        "mlflow.spanOutputs": 0,
        "mlflow.chat.tokenUsage": {"input_tokens": 1},
        "mlflow.message.format": "mine",
        "mlflow.chat.tools": [],
        "mlflow.llm.model": "mine",
        "mlflow.llm.provider": None,
        **EVERYTHING[0],
        **EVERYTHING[1],
    }
    yield "MLflow values dumped once more", {
        "mlflow.spanType": '"UNKNOWN"',
        "mlflow.spanInputs": '{"model": "inner"}',
        "mlflow.spanOutputs": '"text"',
        "openinference.span.kind": '"LLM"',
        "llm.provider": '"open"',
        "mlflow.experimentId": "1",
    }
    yield "MLflow kind is null", {"mlflow.spanType": None, "openinference.span.kind": "LLM"}
    yield "MLflow kind is a list", {"mlflow.spanType": ["UNKNOWN"], "span.type": "llm"}
    yield "MLflow kind is empty", {"mlflow.spanType": "", "openinference.span.kind": "LLM"}
    yield "MLflow inputs are null", {"mlflow.spanInputs": None, "input.value": "x"}
    yield "kind is unknown", {"openinference.span.kind": "UNKNOWN", "span.type": "llm"}
    yield "kind has no name", {"openinference.span.kind": "llm", "traceloop.span.kind": "task"}
    yield "kind is a number", {"openinference.span.kind": 5, "traceloop.span.kind": "task"}
    yield "kind is a list", {"openinference.span.kind": ["LLM"], "traceloop.span.kind": "task"}
    yield "model in inputs", {"input.value": '{"model": "a"}', "output.value": '{"model": "b"}'}
    yield "model in outputs", {"input.value": "text", "output.value": {"model": "b"}}
    yield "model in inputs is empty", {"input.value": {"model": ""}, "output.value": {"model": "b"}}
    yield "model in inputs is an object", {
        "input.value": {"model": {"name": "a"}},
        "output.value": {"model": "b"},
    }
    yield "model is no text", {"llm.model_name": {"name": "a"}, "llm.provider": 5}
    yield "blank values are passed over", {
        "input.value": "",
        "gen_ai.input.messages": "{}",
        "traceloop.entity.input": [],
        "gcp.vertex.agent.llm_request": 0,
        "input": False,
        "lk.user_input": None,
        "lmnr.span.input": '""',
        "langfuse.observation.input": "0",
    }
    yield "values of all types", {"input.value": [1, 2.5, None, {"a": "[1]"}], "output.value": 7}
    yield "values in texts", {"input.value": ' {"a": "[1]", "b": 1e3}', "output.value": "7"}
    yield "text in a text in a text", {"input.value": json.dumps(json.dumps("[1]"))}
    yield "broken JSON", {"input.value": '{"a": ', "output.value": "[1] [2]"}
    yield "letters of many scripts", {"input.value": '["ü", "\\u65e5", "😀"]'}
    yield "keys twice in JSON", {"input.value": '{"a": 1, "b": 2, "a": 3}'}
    yield "NaN in JSON", {"input.value": '{"a": NaN, "model": "m"}'}
    yield "JSON of depth 90", {"input.value": "[" * 90 + "]" * 90}
    yield "JSON of depth 110", {"input.value": "[" * 110 + "]" * 110}


def gemini():
    def of(**values):
        return GEMINI | {f"gen_ai.{key.replace('_', '.')}": said for key, said in values.items()}

    yield "Gemini contents", of(input_messages=json.dumps(CONTENTS))
    yield "Gemini text", of(input_messages="hi", output_messages="ho")
    yield "Gemini contents are wrapped", of(
        input_messages={"contents": CONTENTS}, output_messages={"candidates": []}
    )
    yield "Gemini objects", of(tool_call_arguments='{"a": 1}', tool_call_result='{"b": 2}')
    yield "Gemini parts of many pieces", of(
        output_messages=[
            {"role": "model", "parts": [{"text": "a"}, {"text": "b"}]},
            "x",
            {"parts": {"text": "c"}},
            {"role": "other", "parts": [{"text": "d"}]},
        ]
    )
    yield "Gemini pieces without parts", of(output_messages=[{"parts": []}, 1])
    yield "Gemini system prompt", of(operation_name="system_prompt", input_messages=CONTENTS)
    yield "Gemini with a kind of OpenTelemetry", of(operation_name="chat")
    yield "Gemini kind of another agent", {
        "gen_ai.agent.name": "other",
        "gen_ai.operation.name": "llm_call",
        "gen_ai.input.messages": MESSAGES,
    }
    yield "Gemini name is a list", {"gen_ai.agent.name": ["gemini-cli"]}


def claude():
    prompt = {"span.type": "interaction", "user_prompt": "<REDACTED>", "new_context": "context"}
    yield "Claude interaction", prompt | {"user_prompt": "prompt", "response.model_output": "x"}
    yield "Claude interaction with a hidden prompt", prompt
    yield "Claude request", CLAUDE_REQUEST | {
        "new_context": MESSAGES,
        "user_prompt": "x",
        "response.model_output": "answer",
    }
    yield "Claude request that is hidden", CLAUDE_REQUEST | {
        "new_context": "<REDACTED>",
        "response.model_output": '"<REDACTED>"',
    }
    details = {
        "full_command": "ls",
        "file_path": '["f"]',
        "skill_name": "<REDACTED>",
        "subagent_type": "7",
    }
    yield "Claude tool", CLAUDE_TOOL | {"tool_input": '{"a": 1}', "new_context": "out"} | details
    yield "Claude tool with details", CLAUDE_TOOL | {"tool_input": "<REDACTED>"} | details
    yield "Claude skill", CLAUDE_TOOL | {"skill_name": "s"}
    yield "Claude tool without anything", CLAUDE_TOOL | {"full_command": ""}
    yield "Claude kind that is not known", {"span.type": "claude_code.hook", "new_context": "x"}
    yield "Claude prefix twice", {"span.type": "claude_code.claude_code.tool"}
    yield "Claude kind without prefix", {"span.type": "tool", "tool_input": "x", "input": "y"}


def traceloop():
    yield "Traceloop messages", {
        "gen_ai.prompt.0.role": "user",
        "gen_ai.prompt.1.content": "",
        "gen_ai.prompt.0.content": "second",
        "gen_ai.completion.10.content": "[1]",
        "gen_ai.completion.0.content": "later",
    }
    yield "Traceloop arguments of a call", {
        "gen_ai.prompt.content": "x",
        "gen_ai.completion.0.tool_calls.12.arguments": '{"a": 1}',
        "gen_ai.completion.0.tool_calls.0.name": "n",
    }
    yield "Traceloop keys that go on", {
        "gen_ai.prompt.0.contents": "in",
        "gen_ai.completion.0.content.text": "out",
    }
    yield "Traceloop keys that are others", {
        "x.gen_ai.prompt.0.content": "x",
        "gen_ai.prompt.a.content": "x",
        "gen_ai.prompt..content": "x",
        "gen_ai.completion.-1.content": "x",
    }


def vercel():
    tool = json.dumps({"type": "function", "name": "f"})
    yield "Vercel chat", CHAT | {
        "ai.prompt.messages": json.dumps(MESSAGES),
        "ai.prompt.tools": [tool, json.dumps(json.dumps(tool)), 5],
        "ai.prompt.toolChoice": '{"type": "auto"}',
        "ai.response.text": "5",
        "ai.response.finishReason": "stop",
        "ai.response.object": json.dumps(json.dumps("7")),
        "gen_ai.request.model": "m",
    }
    yield "Vercel stream", {"ai.operationId": '"ai.streamText.doStream"', "ai.prompt.a": None}
    yield "Vercel chat without a prompt", CHAT | {"ai.prompt": "x", "ai.toolCall.args": "y"}
    yield "Vercel chat with inputs of another", CHAT | {"ai.prompt.a": "x", "input.value": "y"}
    yield "Vercel chat with inputs of MLflow", CHAT | {"ai.prompt.a": "x", "mlflow.spanInputs": 1}
    yield "Vercel chat with a format", CHAT | {"ai.prompt.a": "x", "mlflow.message.format": "mine"}
    yield "Vercel chat of Laminar", CHAT | {"lmnr.span.type": "LLM", "lmnr.span.input": "in"}
    yield "Vercel outer span", {
        "ai.operationId": "ai.generateText",
        "ai.prompt": '{"prompt": "p"}',
        "ai.prompt.messages": "x",
        "ai.response.text": "t",
        "ai.response.object": '{"o": 1}',
    }
    yield "Vercel tools are a number", CHAT | {"ai.prompt.tools": 5}
    yield "Vercel tools are a text", CHAT | {"ai.prompt.tools": "ab"}


def volt_agent():
    yield "VoltAgent own kind first", {"span.type": "llm", "entity.type": "agent"}
    yield "VoltAgent kind of its agent", {"span.type": "other", "entity.type": "agent"}
    yield "VoltAgent kind is an object", {"span.type": {"a": 1}, "entity.type": "agent"}
    yield "VoltAgent conversation", {"voltagent.conversation_id": "", "lk.x": 1}


def live_kit():
    for key in (
        "lk.retry_count",
        "lk.function_tool.name",
        "lk.agent_name",
        "lk.instructions",
        "lk.generation_id",
        "lk.tts.streaming",
        "lk.input_text",
        "lk.user_transcript",
        "lk.transcript_confidence",
        "lk.transcription_delay",
        "lk.other",
    ):
        yield f"LiveKit {key} tells the kind", {"lk.other": 1, key: 0}
    yield "LiveKit first key decides", {"lk.function_tools": 1, "lk.agent_name": "a"}
    yield "LiveKit operation in capitals", {"lk.agent_name": "a", "gen_ai.operation.name": "Chat"}
    yield "LiveKit model tells the kind", {
        "gen_ai.request.model": "m",
        "langfuse.observation.type": "embedding",
    }
    yield "LiveKit before Laminar", {"lk.room_name": "r", "lmnr.span.type": "TOOL"}


def of_events():
    spring = [
        ("other", {"gen_ai.prompt": "no"}),
        ("gen_ai.content.prompt", {"gen_ai.prompt": ""}),
        ("gen_ai.content.prompt", {"gen_ai.prompt": '["hi"]'}),
        ("gen_ai.content.completion", {"gen_ai.completion": "ho"}),
    ]
    messages = [
        ("gen_ai.system.message", {"content": "be brief"}),
        ("gen_ai.user.message", {"content": '[{"type": "text"}]', "role": "x"}),
        ("gen_ai.user.message", {"content": ""}),
        ("gen_ai.assistant.message", {"content": "5"}),
        ("gen_ai.tool.message", {"content": "x"}),
        ("gen_ai.choice", {"content": "ho"}),
        ("gen_ai.choice", {"content": ["a"], "role": '"tool"'}),
        ("gen_ai.choice", {"role": "x"}),
    ]
    outputs = [
        ("tool.output", {"output": "<REDACTED>", "diff": ""}),
        ("tool.output", {"content": "0", "diff": '{"a": 1}'}),
        ("tool.output", {"output": "late"}),
    ]
    yield "Spring AI", {"gen_ai.operation.name": "chat"}, spring
    yield "Spring AI before messages", {}, messages + spring
    yield "Spring AI with numbers and lists", {}, [
        ("gen_ai.content.prompt", {"gen_ai.prompt": "5"}),
        ("gen_ai.content.completion", {"gen_ai.completion": ["a", "b"]}),
    ]
    yield "Spring AI model in its prompt", {}, [
        ("gen_ai.content.prompt", {"gen_ai.prompt": '{"model": "m"}'})
    ]
    yield "messages in events", {}, messages
    yield "attributes before events", {"langfuse.observation.input": "in"}, spring
    yield "Claude output in an event", CLAUDE_TOOL, outputs
    content = {"diff": "d", "content": "c"}
    yield "Claude content of a tool", CLAUDE_TOOL, [("tool.output", content)]
    yield "Claude output of a tool", CLAUDE_TOOL, [("tool.output", content | {"output": "o"})]
    yield "Claude output in an attribute", CLAUDE_TOOL | {"new_context": "out"}, outputs
    yield "Claude output of no tool", CLAUDE_REQUEST, outputs
    yield "Claude outputs after messages", CLAUDE_TOOL, outputs + messages


def main():
    without_events = (kinds, single_keys, precedence, tokens, mlflow_keys)
    by_convention = (gemini, claude, traceloop, vercel, volt_agent, live_kit)
    cases = [(*case, []) for group in without_events + by_convention for case in group()]
    seen = []
    for name, attributes, events in cases + list(of_events()):
        # Conventions share keys.
        if (attributes, events) in seen:
            continue
        seen.append((attributes, events))
        line = {"case": name, "attributes": attributes}
        if events:
            line["events"] = [{"name": event, "attributes": said} for event, said in events]
        line |= translate(attributes, events)
        print(json.dumps(line, ensure_ascii=False, separators=(",", ":")))


if __name__ == "__main__":
    main()
