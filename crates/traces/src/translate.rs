//! Fills in MLflow's attributes of spans that came over OTLP from tools that follow other conventions.
//!
//! Such spans say what kind of step they were, what went in and came out, and how many tokens it took, under the keys
//! of their own convention; what reads traces looks at MLflow's keys only.
//! The conventions are asked in turn, and the first that has an answer wins, for each of MLflow's attributes anew.
//! What a client said under MLflow's own keys stays (but for the form of the messages of a Vercel chat, which MLflow
//! writes over), and so do the attributes that were read.
//! Costs are not reckoned, since there is no list of prices.
//!
//! *Source*: the behaviour of `translate_span_when_storing` of MLflow 3.17.2, as measured: `translate/golden.py`.
//!
//! To add a convention, put a [`Convention`] with its keys into [`CONVENTIONS`], at the place of its precedence.

mod claude_code;
mod convention;
mod conventions;
mod events;
mod gemini_cli;
mod live_kit;
mod traceloop;
mod values;
mod vercel_ai;

use entities::{Span, SpanEvent};
use serde_json::{Map, Value};

use convention::{Attributes, Format, find_said};
use conventions::CONVENTIONS;
use values::{is_blank, parse_nested};

/// MLflow's attribute that says in which form the messages are.
const MESSAGE_FORMAT: &str = "mlflow.message.format";

/// MLflow's attribute that lists the tools that a model may call.
const TOOLS: &str = "mlflow.chat.tools";

/// MLflow's attribute that names the model.
const MODEL: &str = "mlflow.llm.model";

/// MLflow's attribute that names who runs the model.
const PROVIDER: &str = "mlflow.llm.provider";

/// The kind of step of which nobody knows the kind.
const UNKNOWN: &str = "UNKNOWN";

/// Fills in MLflow's attributes from those of other conventions.
///
/// A text that holds a JSON text, list or object is replaced by what it holds, under whatever key it stands: the SDKs
/// of OpenTelemetry have long had no attributes that are objects, so that tools put JSON into texts.
/// A text in a text is opened once, so that a span is to be translated once, when it comes.
///
/// *Cost*: linear in the size of the attributes and events.
pub(crate) fn translate(attributes: &mut Map<String, Value>, events: &[SpanEvent]) {
    open_texts(attributes);
    fill_kind(attributes);
    fill_inputs(attributes, events);
    fill(attributes, Span::OUTPUTS, |attributes| {
        find_outputs(attributes, events)
    });
    fill(attributes, Span::TOKENS, find_tokens);
    fill(attributes, MESSAGE_FORMAT, find_format);
    fill(attributes, TOOLS, find_tools);
    fill(attributes, MODEL, find_model);
    fill(attributes, PROVIDER, find_provider);
}

/// Numbers, truths and `null` in a text stay as they are: "1" may be a name.
fn open_texts(attributes: &mut Attributes) {
    for value in attributes.values_mut() {
        if let Some(opened) = value.as_str().and_then(parse_nested) {
            *value = opened;
        }
    }
}

fn fill(attributes: &mut Attributes, key: &str, find: impl FnOnce(&Attributes) -> Option<Value>) {
    if !attributes.contains_key(key)
        && let Some(value) = find(attributes)
    {
        attributes.insert(key.to_owned(), value);
    }
}

fn fill_kind(attributes: &mut Attributes) {
    let is_known = match attributes.get(Span::TYPE) {
        None | Some(Value::Null) => false,
        Some(kind) => kind != UNKNOWN,
    };
    let find = |attributes: &Attributes| {
        CONVENTIONS
            .iter()
            .find_map(|convention| convention.kind.find(attributes))
    };
    if !is_known && let Some(kind) = find(attributes) {
        attributes.insert(Span::TYPE.to_owned(), Value::from(kind));
    }
}

fn fill_inputs(attributes: &mut Attributes, events: &[SpanEvent]) {
    if attributes.contains_key(Span::INPUTS) {
        return;
    }
    for convention in &CONVENTIONS {
        if let Some(format) = find_meant(convention.format_with_inputs.as_ref(), attributes) {
            attributes.insert(MESSAGE_FORMAT.to_owned(), Value::from(format));
        }
        if let Some(inputs) = convention.inputs.find(attributes) {
            attributes.insert(Span::INPUTS.to_owned(), inputs);
            return;
        }
    }
    if let Some(inputs) = events::find_inputs(events) {
        attributes.insert(Span::INPUTS.to_owned(), inputs);
    }
}

fn find_outputs(attributes: &Attributes, events: &[SpanEvent]) -> Option<Value> {
    CONVENTIONS
        .iter()
        .find_map(|convention| convention.outputs.find(attributes))
        .or_else(|| events::find_outputs(events, attributes))
}

fn find_tokens(attributes: &Attributes) -> Option<Value> {
    CONVENTIONS
        .iter()
        .find_map(|convention| convention.tokens.count(attributes).into_usage())
        .map(Value::Object)
}

fn find_format(attributes: &Attributes) -> Option<Value> {
    CONVENTIONS
        .iter()
        .find_map(|convention| find_meant(convention.format.as_ref(), attributes))
        .map(Value::from)
}

fn find_meant(format: Option<&Format>, attributes: &Attributes) -> Option<&'static str> {
    let format = format?;
    (format.is_meant)(attributes).then_some(format.name)
}

fn find_tools(attributes: &Attributes) -> Option<Value> {
    CONVENTIONS
        .iter()
        .find_map(|convention| find_said(attributes, convention.tools))
        .cloned()
}

/// Many tools name the model in the request or the answer only.
fn find_model(attributes: &Attributes) -> Option<Value> {
    let named = CONVENTIONS
        .iter()
        .find_map(|convention| find_said(attributes, convention.models));
    if let Some(model) = named {
        return Some(model.clone());
    }
    [Span::INPUTS, Span::OUTPUTS]
        .into_iter()
        .filter_map(|key| attributes.get(key)?.get("model"))
        .find(|model| !is_blank(model))
        .filter(|model| model.is_string())
        .cloned()
}

fn find_provider(attributes: &Attributes) -> Option<Value> {
    CONVENTIONS
        .iter()
        .find_map(|convention| find_said(attributes, convention.providers))
        .cloned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    /// What MLflow 3.17.2 made of each span, as `golden.py` asked it.
    const GOLDEN: &str = include_str!("translate/golden.jsonl");

    /// The cases in which the answer is not MLflow's, each with its reason.
    const DIFFERENT: &[(&str, &str)] = &[
        (
            "count with an underscore",
            "Python reads it as a number, but no tool writes it so",
        ),
        ("count is a truth", "MLflow stores `true` as a count"),
        (
            "kind is a list",
            "MLflow fails, and refuses the whole request",
        ),
        ("VoltAgent kind is an object", "as above"),
        ("Vercel tools are a number", "as above"),
        (
            "Vercel tools are a text",
            "MLflow makes a list of its letters",
        ),
        ("NaN in JSON", "there is no NaN in JSON, and so in no span"),
        (
            "JSON of depth 110",
            "inside of a span it could not be read again",
        ),
    ];

    fn object(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn event(name: &str, attributes: &Value) -> SpanEvent {
        SpanEvent {
            name: name.to_owned(),
            time_ns: 1,
            attributes: object(attributes),
        }
    }

    fn translated(attributes: &Value, events: &[SpanEvent]) -> Map<String, Value> {
        let mut attributes = object(attributes);
        translate(&mut attributes, events);
        attributes
    }

    fn replay(case: &Value) -> Map<String, Value> {
        let events = case.get("events").and_then(Value::as_array);
        let events: Vec<SpanEvent> = events
            .into_iter()
            .flatten()
            .map(|told| event(told["name"].as_str().unwrap(), &told["attributes"]))
            .collect();
        translated(&case["attributes"], &events)
            .into_iter()
            .filter(|(key, _)| key.starts_with("mlflow."))
            .collect()
    }

    #[test]
    fn the_answer_is_that_of_mlflow() {
        let mut names = BTreeSet::new();
        let mut different = Vec::new();
        for line in GOLDEN.lines() {
            let case: Value = serde_json::from_str(line).unwrap();
            let name = case["case"].as_str().unwrap().to_owned();
            let ours = Value::Object(replay(&case)).to_string();
            // Where MLflow fails, there is no answer to be equal to; texts tell orders apart too.
            let theirs = case["mlflow"].to_string();
            if theirs != ours {
                let is_known = DIFFERENT.iter().any(|(known, _)| *known == name);
                assert!(is_known, "{line}\n{ours}");
                different.push(name.clone());
            }
            assert!(names.insert(name), "twice: {line}");
        }
        assert!(names.len() > 200, "{}", names.len());
        let known: BTreeSet<&str> = DIFFERENT.iter().map(|(name, _)| *name).collect();
        assert_eq!(
            different
                .iter()
                .map(String::as_str)
                .collect::<BTreeSet<_>>(),
            known
        );
    }

    #[test]
    fn a_span_of_opentelemetry_is_filled_in_and_keeps_what_it_said() {
        let said = json!({
            "gen_ai.operation.name": "chat",
            "gen_ai.input.messages": "[{\"role\": \"user\"}]",
            "gen_ai.usage.input_tokens": 3,
            "gen_ai.usage.output_tokens": 4,
            "gen_ai.request.model": "m",
        });
        let expected = json!({
            "gen_ai.operation.name": "chat",
            "gen_ai.input.messages": [{"role": "user"}],
            "gen_ai.usage.input_tokens": 3,
            "gen_ai.usage.output_tokens": 4,
            "gen_ai.request.model": "m",
            "mlflow.spanType": "CHAT_MODEL",
            "mlflow.spanInputs": [{"role": "user"}],
            "mlflow.chat.tokenUsage": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7},
            "mlflow.llm.model": "m",
        });
        assert_eq!(Value::Object(translated(&said, &[])), expected);
    }

    #[test]
    fn a_span_of_no_known_convention_stays_as_it_is() {
        let said =
            json!({"http.method": "GET", "retries": 3, "name": "1", "mlflow.spanType": "TOOL"});
        assert_eq!(translated(&said, &[]), object(&said));
    }

    #[test]
    fn what_a_client_said_under_the_keys_of_mlflow_stays() {
        let said = json!({
            "mlflow.spanInputs": null,
            "mlflow.spanType": "PARSER",
            "input.value": "x",
            "openinference.span.kind": "LLM",
        });
        assert_eq!(translated(&said, &[]), object(&said));
    }

    /// A span may be sent again as it was given out.
    #[test]
    fn what_was_translated_is_translated_to_itself() {
        for line in GOLDEN.lines() {
            let case: Value = serde_json::from_str(line).unwrap();
            let once = replay(&case);
            let again = Value::Object(translated(&Value::Object(once.clone()), &[]));
            // Each time, a text in a text is opened once more.
            let is_same = again == Value::Object(once);
            assert_eq!(
                is_same,
                case["case"] != "text in a text in a text",
                "{case}"
            );
        }
    }

    #[test]
    fn sums_that_are_too_large_stay_at_the_largest() {
        let said = json!({
            "span.type": "llm_request",
            "input_tokens": i64::MAX,
            "output_tokens": 1e300,
            "cache_read_tokens": i64::MAX,
        });
        let usage = &translated(&said, &[])[Span::TOKENS];
        assert_eq!(usage["total_tokens"], json!(i64::MAX));
    }

    #[test]
    fn what_was_opened_can_be_read_again_inside_of_a_record() {
        let nest = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        let parts = format!("[{{\"parts\": [{}]}}]", nest(97));
        let said = json!({
            "ai.operationId": "ai.generateText.doGenerate",
            "ai.prompt.tools": [nest(100)],
            "gen_ai.agent.name": "gemini-cli",
            "gen_ai.output.messages": parts,
        });
        let translated = translated(&said, &[]);
        assert!(translated[Span::INPUTS]["tools"][0].is_array());
        assert!(translated[Span::OUTPUTS]["candidates"].is_array());
        let record = json!({"record": {"span": {"attributes": translated}}});
        let again: Value = serde_json::from_str(&record.to_string()).unwrap();
        assert_eq!(again, record);
    }

    /// Values that nobody expects, under all keys that any case has.
    #[test]
    fn hostile_values_do_no_harm() {
        let cases: Vec<Value> = GOLDEN
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let keys: BTreeSet<&String> = cases
            .iter()
            .flat_map(|case| case["attributes"].as_object().unwrap().keys())
            .collect();
        let events = [
            "gen_ai.content.prompt",
            "gen_ai.choice",
            "gen_ai.user.message",
            "tool.output",
        ];
        for hostile in hostile_values() {
            let all: Map<String, Value> = keys
                .iter()
                .map(|key| ((*key).clone(), hostile.clone()))
                .collect();
            let of_events = json!({
                "gen_ai.prompt": hostile, "content": hostile, "role": hostile, "output": hostile,
            });
            let events = events.map(|name| event(name, &of_events));
            translated(&Value::Object(all), &events);
            // One convention must not shield the others from the value.
            for case in &cases {
                let said = object(&case["attributes"]);
                for key in said.keys() {
                    let mut attributes = said.clone();
                    attributes[key] = hostile.clone();
                    translate(&mut attributes, &events);
                }
            }
        }
    }

    fn hostile_values() -> Vec<Value> {
        let deep = (0..100).fold(json!([]), |inner, _| json!([inner]));
        vec![
            json!(null),
            json!(true),
            json!(i64::MIN),
            json!(u64::MAX),
            json!(1e308),
            json!(""),
            json!("\u{0}é"),
            json!("x".repeat(10_000)),
            json!("[".repeat(10_000)),
            json!("\"".repeat(10_000)),
            json!("99999999999999999999999"),
            json!([[[null]], {"parts": {"parts": []}}]),
            json!([{"parts": [null, 1]}, {"parts": "x"}]),
            json!({"contents": null, "candidates": 1, "model": []}),
            deep,
        ]
    }
}
