//! Spans, in the forms in which MLflow keeps them, and the words for how a trace is.
//!
//! *Source*: `Span.from_dict` and `from_dict_v2` in `mlflow/entities/span.py`, `mlflow/entities/trace_status.py`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use entities::{Span, SpanEvent, SpanId, SpanLink, SpanStatus, TraceId, TraceState, python};
use serde_json::{Map, Value, json};

use super::json::{bounded, decoded, read_json};

/// The attribute in which a span names its trace.
const TRACE_ID_ATTRIBUTE: &str = "mlflow.traceRequestId";

/// Reads a span, or says why it is none.
pub(super) fn span_of(content: &str, trace: &TraceId) -> Result<Span, String> {
    let told = match read_json(content) {
        Ok(Value::Object(told)) => Told(told),
        Ok(_) => return Err("it is no JSON object".to_owned()),
        Err(error) => return Err(format!("it is no JSON: {error}")),
    };
    let mut span = if told.0.contains_key("context") {
        of_second_schema(told)
    } else {
        of_third_schema(told)
    }?;
    let named = span.attributes.entry(TRACE_ID_ATTRIBUTE);
    named.or_insert_with(|| Value::from(trace.as_str()));
    Ok(span)
}

/// A span as MLflow 3 keeps it, in the form that `span_of` reads.
pub(crate) fn content_of(trace: &TraceId, span: &Span) -> Value {
    let encode = |id: &SpanId| STANDARD.encode(id.to_open_telemetry());
    let trace = trace.to_open_telemetry();
    let attributes = span.attributes.iter();
    let attributes: Map<_, _> = attributes
        .map(|(key, value)| (key.clone(), Value::from(python::dumps(value))))
        .collect();
    let events = span.events.iter().map(|event| {
        json!({
            "name": event.name,
            "time_unix_nano": event.time_ns,
            "attributes": event.attributes,
        })
    });
    let links = span.links.iter().map(|link| {
        json!({
            "trace_id": link.trace.as_str(),
            "span_id": link.span.as_str(),
            "attributes": link.attributes,
        })
    });
    json!({
        "trace_id": trace.map_or_else(String::new, |id| STANDARD.encode(id)),
        "span_id": encode(&span.id),
        "parent_span_id": span.parent.as_ref().map(encode),
        "name": span.name,
        "start_time_unix_nano": span.start_ns,
        "end_time_unix_nano": span.end_ns,
        "events": events.collect::<Vec<_>>(),
        "status": {
            "code": format!("STATUS_CODE_{}", span.status.as_str()),
            "message": span.status_message.as_deref().unwrap_or_default(),
        },
        "attributes": attributes,
        "links": links.collect::<Vec<_>>(),
    })
}

/// How a trace is, by the word of either version of MLflow's traces.
pub(super) fn state_of(word: &str) -> Result<TraceState, String> {
    match word {
        "TRACE_STATUS_UNSPECIFIED" => Ok(TraceState::StateUnspecified),
        _ => TraceState::find(word).ok_or_else(|| format!("its status `{word}` is none")),
    }
}

/// The form of MLflow 3: ids in Base64, or in hex as 3.5.0 wrote them.
fn of_third_schema(mut told: Told) -> Result<Span, String> {
    let mut status = Told(told.object("status")?);
    Ok(Span {
        id: told.id("span_id")?.ok_or("it has no `span_id`")?,
        parent: told.id("parent_span_id")?.filter(is_parent),
        name: told.text("name")?.unwrap_or_default(),
        start_ns: told
            .nanos("start_time_unix_nano")?
            .ok_or("it has no begin")?,
        end_ns: told
            .nanos("end_time_unix_nano")?
            .filter(|end_ns| *end_ns > 0),
        status: status_of(status.text("code")?)?,
        status_message: status.text("message")?.filter(|text| !text.is_empty()),
        attributes: attributes_of(told.object("attributes")?),
        events: events_of(told.list("events")?, "time_unix_nano")?,
        links: links_of(told.list("links")?)?,
    })
}

/// The form of MLflow 2: ids in hex, below `context`.
fn of_second_schema(mut told: Told) -> Result<Span, String> {
    let mut context = Told(told.object("context")?);
    Ok(Span {
        id: context.id("span_id")?.ok_or("it has no `span_id`")?,
        parent: told.id("parent_id")?.filter(is_parent),
        name: told.text("name")?.unwrap_or_default(),
        start_ns: told.nanos("start_time")?.ok_or("it has no begin")?,
        end_ns: told.nanos("end_time")?.filter(|end_ns| *end_ns > 0),
        status: status_of(told.text("status_code")?)?,
        status_message: told.text("status_message")?.filter(|text| !text.is_empty()),
        attributes: attributes_of(told.object("attributes")?),
        events: events_of(told.list("events")?, "timestamp")?,
        links: links_of(told.list("links")?)?,
    })
}

/// In protobuf a root has a parent, which is empty.
fn is_parent(id: &SpanId) -> bool {
    id.to_open_telemetry() != [0; 8]
}

fn status_of(code: Option<String>) -> Result<SpanStatus, String> {
    let code = code.unwrap_or_default();
    match code.strip_prefix("STATUS_CODE_").unwrap_or(&code) {
        "" | "UNSET" => Ok(SpanStatus::Unset),
        "OK" => Ok(SpanStatus::Ok),
        "ERROR" => Ok(SpanStatus::Error),
        _ => Err(format!("its status `{code}` is none")),
    }
}

fn attributes_of(told: Map<String, Value>) -> Map<String, Value> {
    let told = told.into_iter();
    told.map(|(key, raw)| (key, decoded(raw))).collect()
}

/// Attributes of an event or a link are no JSON in texts.
fn plain_attributes_of(told: Map<String, Value>) -> Map<String, Value> {
    let told = told.into_iter();
    told.map(|(key, value)| (key, bounded(value))).collect()
}

fn events_of(told: Vec<Told>, time_key: &str) -> Result<Vec<SpanEvent>, String> {
    let events = told.into_iter().map(|mut event| {
        Ok(SpanEvent {
            name: event.text("name")?.unwrap_or_default(),
            time_ns: event.nanos(time_key)?.ok_or("it has no time")?,
            attributes: plain_attributes_of(event.object("attributes")?),
        })
    });
    let events: Result<_, String> = events.collect();
    events.map_err(|why| format!("of one of its events, {why}"))
}

fn links_of(told: Vec<Told>) -> Result<Vec<SpanLink>, String> {
    let links = told.into_iter().map(|mut link| {
        let trace = link.text("trace_id")?.unwrap_or_default();
        Ok(SpanLink {
            trace: linked_trace(&trace).ok_or_else(|| format!("`{trace}` is no id of a trace"))?,
            span: link.id("span_id")?.ok_or("it has no `span_id`")?,
            attributes: plain_attributes_of(link.object("attributes")?),
        })
    });
    let links: Result<_, String> = links.collect();
    links.map_err(|why| format!("of one of its links, {why}"))
}

/// The id of a trace as a link names it: `tr-` and hex, hex alone, or `trace:/LOCATION/` and hex.
fn linked_trace(text: &str) -> Option<TraceId> {
    let id = match text.strip_prefix("trace:/") {
        Some(rest) => rest.rsplit('/').next()?,
        None => text,
    };
    let id_in_hex = number_of(id.strip_prefix("tr-").unwrap_or(id));
    id_in_hex.map_or_else(
        || id.parse().ok(),
        |id| Some(TraceId::of_open_telemetry(id)),
    )
}

/// Reads an id in Base64 or hex. No text is both: 8 bytes are 12 characters of the one and end with `=`.
fn id_of<const LENGTH: usize>(text: &str) -> Option<[u8; LENGTH]> {
    let bytes = STANDARD.decode(text).ok();
    let id = bytes.and_then(|bytes| bytes.try_into().ok());
    id.or_else(|| number_of(text))
}

/// Reads a number in hex, with or without `0x` and with as many digits as it needs.
fn number_of<const LENGTH: usize>(text: &str) -> Option<[u8; LENGTH]> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    if digits.is_empty() || digits.len() > 2 * LENGTH {
        return None;
    }
    let padded = format!("{}{digits}", "0".repeat(2 * LENGTH - digits.len()));
    let mut number = [0; LENGTH];
    hex::decode_to_slice(padded, &mut number).ok()?;
    Some(number)
}

/// An object, whose members are taken out of it. One that is null is as good as missing.
struct Told(Map<String, Value>);

impl Told {
    fn take(&mut self, key: &str) -> Value {
        self.0.swap_remove(key).unwrap_or_default()
    }

    fn text(&mut self, key: &str) -> Result<Option<String>, String> {
        match self.take(key) {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text)),
            _ => Err(format!("its `{key}` is no text")),
        }
    }

    fn id(&mut self, key: &str) -> Result<Option<SpanId>, String> {
        let Some(text) = self.text(key)?.filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        match id_of(&text) {
            Some(id) => Ok(Some(SpanId::of_open_telemetry(id))),
            None => Err(format!("its `{key}` `{text}` is no id")),
        }
    }

    /// A time as a number, or as a text as protobuf writes it.
    fn nanos(&mut self, key: &str) -> Result<Option<u64>, String> {
        // The store keeps it as a signed number.
        const LATEST: u64 = i64::MAX as u64;
        let value = self.take(key);
        let nanos = match &value {
            Value::Null => return Ok(None),
            Value::String(text) => text.parse().ok(),
            Value::Number(number) if number.is_f64() => number
                .as_f64()
                .filter(|number| (0.0..LATEST as f64).contains(number))
                .map(|number| number as u64),
            other => other.as_u64(),
        };
        match nanos.filter(|nanos| *nanos <= LATEST) {
            Some(nanos) => Ok(Some(nanos)),
            None => Err(format!("its `{key}` is no time")),
        }
    }

    fn object(&mut self, key: &str) -> Result<Map<String, Value>, String> {
        match self.take(key) {
            Value::Null => Ok(Map::new()),
            Value::Object(members) => Ok(members),
            _ => Err(format!("its `{key}` is no object")),
        }
    }

    fn list(&mut self, key: &str) -> Result<Vec<Self>, String> {
        let items = match self.take(key) {
            Value::Null => Vec::new(),
            Value::Array(items) => items,
            _ => return Err(format!("its `{key}` is no list")),
        };
        let objects = items.into_iter().map(|item| match item {
            Value::Object(members) => Ok(Self(members)),
            _ => Err(format!("its `{key}` holds what is no object")),
        });
        objects.collect()
    }
}

#[cfg(test)]
mod tests {
    use entities::{SealedRecord, TraceRecord};
    use serde_json::json;

    use super::*;

    fn trace() -> TraceId {
        "tr-05d3672f111a9d79c008f55c050eec04".parse().unwrap()
    }

    fn read(content: &Value) -> Result<Span, String> {
        span_of(&content.to_string(), &trace())
    }

    /// As MLflow 3.17 writes it.
    fn of_today() -> Value {
        json!({
            "trace_id": "BdNnLxEanXnACPVcBQ7sBA==", "span_id": "e0SLLV1Tbv4=", "parent_span_id": "3Gkq9f8mdwU=",
            "name": "llm", "start_time_unix_nano": 1_795_798_977_992_095_227_u64,
            "end_time_unix_nano": 1_795_798_977_992_696_220_u64,
            "events": [{"name": "e", "time_unix_nano": 1_795_798_977_992_371_968_u64, "attributes": {"b": [1, "2"]}}],
            "status": {"code": "STATUS_CODE_ERROR", "message": "no"},
            "attributes": {
                "mlflow.traceRequestId": "\"tr-05d3672f111a9d79c008f55c050eec04\"", "mlflow.spanType": "\"LLM\"",
                "mlflow.spanInputs": "{\"q\": \"hé\"}", "plain": "x y", "number": 5, "nothing": null,
            },
            "links": [{"trace_id": "tr-00000000000000000000000000000001", "span_id": "00000000000000ff", "attributes": null}],
        })
    }

    #[test]
    fn a_span_of_today_is_read() {
        let span = read(&of_today()).unwrap();
        assert_eq!(span.id.as_str(), "7b448b2d5d536efe");
        assert_eq!(span.parent.as_ref().unwrap().as_str(), "dc692af5ff267705");
        assert_eq!(span.start_ns, 1_795_798_977_992_095_227);
        assert_eq!(span.status, SpanStatus::Error);
        assert_eq!(span.status_message.as_deref(), Some("no"));
        assert_eq!(span.kind(), Some("LLM"));
        let attributes = json!({
            "mlflow.traceRequestId": trace().as_str(), "mlflow.spanType": "LLM", "mlflow.spanInputs": {"q": "hé"},
            "plain": "x y", "number": 5, "nothing": null,
        });
        assert_eq!(Value::Object(span.attributes), attributes);
        assert_eq!(span.events[0].time_ns, 1_795_798_977_992_371_968);
        assert_eq!(span.events[0].attributes["b"], json!([1, "2"]));
        assert_eq!(span.links[0].span.as_str(), "00000000000000ff");
        assert!(span.links[0].attributes.is_empty());
    }

    #[test]
    fn a_span_of_3_5_0_has_ids_in_hex_and_another_status() {
        let span = read(&json!({
            "trace_id": "tr-05d3672f111a9d79c008f55c050eec04", "span_id": "7b448b2d5d536efe", "parent_span_id": "",
            "name": "n", "start_time_unix_nano": "5", "end_time_unix_nano": "0", "status": {"code": "OK"}, "attributes": {},
        }))
        .unwrap();
        assert_eq!(span.id.as_str(), "7b448b2d5d536efe");
        assert_eq!((span.parent, span.start_ns, span.end_ns), (None, 5, None));
        assert_eq!(span.status, SpanStatus::Ok);
        assert_eq!(span.attributes[TRACE_ID_ATTRIBUTE], trace().as_str());
    }

    #[test]
    fn a_span_of_mlflow_2_has_its_ids_below_context() {
        let span = read(&json!({
            "context": {"trace_id": "0x5d3672f111a9d79c008f55c050eec04", "span_id": "0xFF"}, "parent_id": "0x1",
            "name": "n", "start_time": 5, "end_time": 6, "status_code": "UNSET", "status_message": "",
            "attributes": {"mlflow.spanType": "\"TOOL\""},
            "events": [{"name": "exception", "timestamp": 7, "attributes": {"exception.type": "E"}}],
        }))
        .unwrap();
        assert_eq!(span.id.as_str(), "00000000000000ff");
        assert_eq!(span.parent.unwrap().as_str(), "0000000000000001");
        assert_eq!((span.start_ns, span.end_ns), (5, Some(6)));
        assert_eq!(span.status_message, None);
        assert_eq!(span.events[0].time_ns, 7);
    }

    #[test]
    fn a_parent_that_is_empty_or_zero_is_none() {
        for parent in [
            json!(null),
            json!(""),
            json!("AAAAAAAAAAA="),
            json!("0000000000000000"),
        ] {
            let mut content = of_today();
            content["parent_span_id"] = parent;
            assert_eq!(read(&content).unwrap().parent, None);
        }
        let mut content = of_today();
        content["links"][0]["span_id"] = json!("0");
        assert!(read(&content).is_ok());
    }

    #[test]
    fn links_name_their_trace_in_several_ways() {
        let of = |text: &str| linked_trace(text).map(String::from);
        let hex = "00000000000000000000000000000001";
        let id = Some(format!("tr-{hex}"));
        assert_eq!(of(&format!("tr-{hex}")), id);
        assert_eq!(of(hex), id);
        assert_eq!(of(&format!("trace:/catalog.schema/{hex}")), id);
        assert_eq!(of("tr-words"), Some("tr-words".to_owned()));
        for wrong in ["", "a/b", "trace:/x/", "é"] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }

    /// Puts each wrong value in place of each member, at every depth, and takes each member away.
    fn spoil(content: &Value, wrong: &[Value], check: &mut dyn FnMut(&Value)) {
        fn places(value: &Value, at: &str, found: &mut Vec<String>) {
            let mut visit = |key: &str, inner: &Value| {
                let at = format!("{at}/{key}");
                found.push(at.clone());
                places(inner, &at, found);
            };
            match value {
                Value::Object(members) => members.iter().for_each(|(key, inner)| visit(key, inner)),
                Value::Array(items) => {
                    (0..items.len()).for_each(|index| visit(&index.to_string(), &items[index]));
                }
                _ => {}
            }
        }
        let mut found = Vec::new();
        places(content, "", &mut found);
        assert!(found.len() > 10);
        for at in found {
            for wrong in wrong {
                let mut spoilt = content.clone();
                *spoilt.pointer_mut(&at).unwrap() = wrong.clone();
                check(&spoilt);
            }
            let (parent, key) = at.rsplit_once('/').unwrap();
            let mut spoilt = content.clone();
            if let Some(Value::Object(members)) = spoilt.pointer_mut(parent) {
                members.remove(key);
            }
            check(&spoilt);
        }
    }

    #[test]
    fn whatever_stands_where_is_read_or_refused_and_what_is_read_can_be_kept() {
        let deep = |depth: usize| -> Value {
            serde_json::from_str(&format!("{}{}", "[".repeat(depth), "]".repeat(depth))).unwrap()
        };
        let wrong = [
            json!(null),
            json!(true),
            json!(-1),
            json!(0),
            json!(u64::MAX),
            json!(i64::MAX),
            json!(1.5),
            json!(-1e300),
            json!(1e300),
            json!(""),
            json!("x"),
            json!("AAAA"),
            json!("NaN"),
            json!("0x"),
            json!("é"),
            json!("\u{0}"),
            json!("="),
            json!("0xé"),
            json!("1e99999"),
            json!("9".repeat(40)),
            json!([]),
            json!([1]),
            json!([{}]),
            json!([[]]),
            json!({}),
            json!({"a": {}}),
            deep(99),
            deep(110),
            Value::String(deep(120).to_string()),
            Value::String("[".repeat(10_000)),
        ];
        let second = json!({
            "context": {"trace_id": "0x1", "span_id": "0x2"}, "parent_id": null, "name": "n", "start_time": 5, "end_time": 6,
            "status_code": "OK", "status_message": "m", "attributes": {"a": "1"},
            "events": [{"name": "e", "timestamp": 7, "attributes": {"b": 1}}],
            "links": [{"trace_id": "tr-1", "span_id": "ff", "attributes": {"c": 1}}],
        });
        let (mut read_count, mut refused_count) = (0, 0);
        for content in [of_today(), second] {
            spoil(&content, &wrong, &mut |spoilt| match read(spoilt) {
                Ok(span) => {
                    read_count += 1;
                    let record = TraceRecord::Spanned { span };
                    let encoded = SealedRecord::seal(&record).encoded.unwrap();
                    assert_eq!(
                        serde_json::from_str::<TraceRecord>(&encoded).unwrap(),
                        record
                    );
                }
                Err(why) => {
                    refused_count += 1;
                    assert!(!why.is_empty());
                }
            });
        }
        assert!(
            read_count > 100 && refused_count > 100,
            "{read_count} {refused_count}"
        );
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for content in ["", "null", "[]", "5", "{", "\"{}\"", "{}", "\u{FEFF}{}"] {
            assert!(span_of(content, &trace()).is_err(), "{content}");
        }
    }
}
