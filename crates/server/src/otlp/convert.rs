//! From OpenTelemetry's spans to ours.

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use entities::{Span, SpanEvent, SpanId, SpanLink, SpanStatus, TraceId};
use serde_json::{Map, Value};
use traces::ReceivedSpan;

use super::messages::{
    AnyOf, AnyValue, EventMessage, ExportRequest, KeyValue, LinkMessage, ResourceSpans,
    STATUS_ERROR, STATUS_OK, ScopeSpans, SpanMessage,
};
use super::{Refusal, refuse};

/// All spans of a request, or none.
pub(super) fn received(request: ExportRequest) -> Result<Vec<ReceivedSpan>, Refusal> {
    let mut spans = Vec::new();
    for ResourceSpans {
        resource,
        scope_spans,
    } in request.resource_spans
    {
        let resource = attributes_of(resource.unwrap_or_default().attributes);
        for ScopeSpans { spans: messages } in scope_spans {
            for message in messages {
                let Some((trace, span)) = span_of(message) else {
                    let detail = "Cannot convert OpenTelemetry span to MLflow span";
                    return refuse(StatusCode::UNPROCESSABLE_ENTITY, detail);
                };
                spans.push(ReceivedSpan {
                    trace,
                    span,
                    resource: resource.clone(),
                });
            }
        }
    }
    Ok(spans)
}

/// None where its ids are none.
fn span_of(message: SpanMessage) -> Option<(TraceId, Span)> {
    let SpanMessage {
        trace_id,
        span_id,
        parent_span_id,
        name,
        start_time_unix_nano,
        end_time_unix_nano,
        attributes,
        events,
        links,
        status,
    } = message;
    let status = status.unwrap_or_default();
    let parent = match parent_span_id.as_slice() {
        [] => None,
        id => Some(span_id_of(id)?),
    };
    let span = Span {
        id: span_id_of(&span_id)?,
        parent,
        name,
        start_ns: start_time_unix_nano,
        end_ns: Some(end_time_unix_nano).filter(|end| *end > 0),
        status: match status.code {
            STATUS_OK => SpanStatus::Ok,
            STATUS_ERROR => SpanStatus::Error,
            _ => SpanStatus::Unset,
        },
        status_message: Some(status.message).filter(|message| !message.is_empty()),
        attributes: attributes_of(attributes),
        events: events.into_iter().map(event_of).collect(),
        links: links.into_iter().map(link_of).collect::<Option<_>>()?,
    };
    Some((trace_id_of(&trace_id)?, span))
}

fn event_of(message: EventMessage) -> SpanEvent {
    SpanEvent {
        name: message.name,
        time_ns: message.time_unix_nano,
        attributes: attributes_of(message.attributes),
    }
}

fn link_of(message: LinkMessage) -> Option<SpanLink> {
    Some(SpanLink {
        trace: trace_id_of(&message.trace_id)?,
        span: span_id_of(&message.span_id)?,
        attributes: attributes_of(message.attributes),
    })
}

fn trace_id_of(bytes: &[u8]) -> Option<TraceId> {
    padded(bytes).map(TraceId::of_open_telemetry)
}

fn span_id_of(bytes: &[u8]) -> Option<SpanId> {
    padded(bytes).map(SpanId::of_open_telemetry)
}

/// A number in as many bytes as it should have; MLflow takes shorter ones too.
fn padded<const LENGTH: usize>(bytes: &[u8]) -> Option<[u8; LENGTH]> {
    let missing = LENGTH.checked_sub(bytes.len())?;
    if bytes.is_empty() {
        return None;
    }
    let mut padded = [0; LENGTH];
    padded[missing..].copy_from_slice(bytes);
    Some(padded)
}

/// Of a key that comes twice, the last counts.
fn attributes_of(pairs: Vec<KeyValue>) -> Map<String, Value> {
    let pairs = pairs.into_iter();
    pairs
        .map(|KeyValue { key, value }| (key, value.map_or(Value::Null, value_of)))
        .collect()
}

/// The depth is bounded by that of the decoder.
fn value_of(value: AnyValue) -> Value {
    match value.value {
        None => Value::Null,
        Some(AnyOf::Text(text)) => Value::String(text),
        Some(AnyOf::Truth(truth)) => Value::Bool(truth),
        Some(AnyOf::Integer(number)) => Value::from(number),
        Some(AnyOf::Number(number)) => match serde_json::Number::from_f64(number) {
            Some(number) => Value::Number(number),
            // JSON has none of these.
            None if number.is_nan() => Value::from("NaN"),
            None if number > 0.0 => Value::from("Infinity"),
            None => Value::from("-Infinity"),
        },
        Some(AnyOf::List(list)) => list.values.into_iter().map(value_of).collect(),
        Some(AnyOf::Map(map)) => Value::Object(attributes_of(map.values)),
        Some(AnyOf::Bytes(bytes)) => Value::String(STANDARD.encode(bytes)),
    }
}
