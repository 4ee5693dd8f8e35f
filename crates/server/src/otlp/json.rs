//! The same messages in JSON: ids in hex, large numbers as texts or numbers, names in either spelling.
//!
//! *Source*: <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::messages::{
    AnyOf, AnyValue, EventMessage, ExportRequest, KeyValue, LinkMessage, ListMessage, MapMessage,
    Resource, ResourceSpans, STATUS_ERROR, STATUS_OK, ScopeSpans, SpanMessage, StatusMessage,
};

/// None for what is no such request. Unknown fields are passed over; fields of another type are not.
pub(super) fn decode(body: &[u8]) -> Option<ExportRequest> {
    // Its own limit of depth holds for all that follows.
    let request: Value = serde_json::from_slice(body).ok()?;
    let request = Object(request.as_object()?);
    Some(ExportRequest {
        resource_spans: request.list("resourceSpans", "resource_spans", resource_spans)?,
    })
}

/// A message. Each reader gives none for a value of another type, and what protobuf takes for a missing one otherwise.
#[derive(Clone, Copy)]
struct Object<'v>(&'v Map<String, Value>);

/// A value of another type, where a missing one is none.
struct OtherType;

impl<'v> Object<'v> {
    fn find(self, camel: &str, snake: &str) -> Option<&'v Value> {
        let value = self.0.get(camel).or_else(|| self.0.get(snake))?;
        (!value.is_null()).then_some(value)
    }

    fn list<T>(
        self,
        camel: &str,
        snake: &str,
        read: impl Fn(Object<'v>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Some(value) = self.find(camel, snake) else {
            return Some(Vec::new());
        };
        let items = value.as_array()?.iter();
        items.map(|item| read(Object(item.as_object()?))).collect()
    }

    fn message<T>(
        self,
        name: &str,
        read: impl Fn(Object<'v>) -> Option<T>,
    ) -> Result<Option<T>, OtherType> {
        let Some(value) = self.find(name, name) else {
            return Ok(None);
        };
        let message = value.as_object().and_then(|value| read(Object(value)));
        message.map(Some).ok_or(OtherType)
    }

    fn text(self, name: &str) -> Option<String> {
        match self.find(name, name) {
            None => Some(String::new()),
            Some(value) => value.as_str().map(str::to_owned),
        }
    }

    fn id(self, camel: &str, snake: &str) -> Option<Vec<u8>> {
        match self.find(camel, snake) {
            None => Some(Vec::new()),
            Some(value) => hex::decode(value.as_str()?).ok(),
        }
    }

    fn nanos(self, camel: &str, snake: &str) -> Option<u64> {
        match self.find(camel, snake) {
            None => Some(0),
            Some(Value::String(text)) => text.parse().ok(),
            Some(value) => value.as_u64(),
        }
    }

    fn attributes(self) -> Option<Vec<KeyValue>> {
        self.list("attributes", "attributes", key_value)
    }
}

fn resource_spans(object: Object<'_>) -> Option<ResourceSpans> {
    Some(ResourceSpans {
        resource: object
            .message("resource", |resource| {
                Some(Resource {
                    attributes: resource.attributes()?,
                })
            })
            .ok()?,
        scope_spans: object.list("scopeSpans", "scope_spans", |scope| {
            Some(ScopeSpans {
                spans: scope.list("spans", "spans", span)?,
            })
        })?,
    })
}

fn span(object: Object<'_>) -> Option<SpanMessage> {
    Some(SpanMessage {
        trace_id: object.id("traceId", "trace_id")?,
        span_id: object.id("spanId", "span_id")?,
        parent_span_id: object.id("parentSpanId", "parent_span_id")?,
        name: object.text("name")?,
        start_time_unix_nano: object.nanos("startTimeUnixNano", "start_time_unix_nano")?,
        end_time_unix_nano: object.nanos("endTimeUnixNano", "end_time_unix_nano")?,
        attributes: object.attributes()?,
        events: object.list("events", "events", |event| {
            Some(EventMessage {
                time_unix_nano: event.nanos("timeUnixNano", "time_unix_nano")?,
                name: event.text("name")?,
                attributes: event.attributes()?,
            })
        })?,
        links: object.list("links", "links", |link| {
            Some(LinkMessage {
                trace_id: link.id("traceId", "trace_id")?,
                span_id: link.id("spanId", "span_id")?,
                attributes: link.attributes()?,
            })
        })?,
        status: object
            .message("status", |status| {
                Some(StatusMessage {
                    message: status.text("message")?,
                    code: status_code(status.find("code", "code"))?,
                })
            })
            .ok()?,
    })
}

/// By number, as the specification has it, or by name, as protobuf's own JSON has it.
fn status_code(code: Option<&Value>) -> Option<i32> {
    match code {
        None => Some(0),
        Some(Value::String(name)) => match name.as_str() {
            "STATUS_CODE_UNSET" => Some(0),
            "STATUS_CODE_OK" => Some(STATUS_OK),
            "STATUS_CODE_ERROR" => Some(STATUS_ERROR),
            _ => None,
        },
        Some(number) => number.as_i64()?.try_into().ok(),
    }
}

fn key_value(object: Object<'_>) -> Option<KeyValue> {
    Some(KeyValue {
        key: object.text("key")?,
        value: object.message("value", any_value).ok()?,
    })
}

fn any_value(object: Object<'_>) -> Option<AnyValue> {
    let found = object.0.iter().find(|(_, value)| !value.is_null());
    let Some((name, value)) = found else {
        return Some(AnyValue::default());
    };
    let read = match name.as_str() {
        "stringValue" | "string_value" => AnyOf::Text(value.as_str()?.to_owned()),
        "boolValue" | "bool_value" => AnyOf::Truth(value.as_bool()?),
        "intValue" | "int_value" => AnyOf::Integer(match value {
            Value::String(text) => text.parse().ok()?,
            number => number.as_i64()?,
        }),
        "doubleValue" | "double_value" => AnyOf::Number(match value {
            Value::String(text) => match text.as_str() {
                "NaN" => f64::NAN,
                "Infinity" => f64::INFINITY,
                "-Infinity" => f64::NEG_INFINITY,
                number => number.parse().ok()?,
            },
            number => number.as_f64()?,
        }),
        "arrayValue" | "array_value" => AnyOf::List(ListMessage {
            values: Object(value.as_object()?).list("values", "values", any_value)?,
        }),
        "kvlistValue" | "kvlist_value" => AnyOf::Map(MapMessage {
            values: Object(value.as_object()?).list("values", "values", key_value)?,
        }),
        "bytesValue" | "bytes_value" => AnyOf::Bytes(STANDARD.decode(value.as_str()?).ok()?),
        _ => return Some(AnyValue::default()),
    };
    Some(AnyValue { value: Some(read) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(span: &Value) -> Option<SpanMessage> {
        let request = json!({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]});
        let mut request = decode(request.to_string().as_bytes())?;
        Some(
            request
                .resource_spans
                .remove(0)
                .scope_spans
                .remove(0)
                .spans
                .remove(0),
        )
    }

    #[test]
    fn both_spellings_and_all_kinds_of_numbers_are_read() {
        let camel = json!({
            "traceId": "0aff", "spanId": "01", "name": "n", "startTimeUnixNano": "5", "endTimeUnixNano": 6,
            "status": {"code": "STATUS_CODE_ERROR", "message": "m"}, "unknown": [1],
            "attributes": [
                {"key": "i", "value": {"intValue": "9007199254740993"}},
                {"key": "d", "value": {"doubleValue": "NaN"}},
                {"key": "l", "value": {"arrayValue": {"values": [{"boolValue": true}, {}]}}},
                {"key": "m", "value": {"kvlistValue": {"values": [{"key": "k"}]}}},
                {"key": "b", "value": {"bytesValue": "AAE="}},
            ],
        });
        let span = read(&camel).unwrap();
        assert_eq!(span.trace_id, [0x0a, 0xff]);
        assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano), (5, 6));
        assert_eq!(span.status.unwrap().code, STATUS_ERROR);
        let values: Vec<_> = span
            .attributes
            .into_iter()
            .map(|pair| pair.value.unwrap().value)
            .collect();
        assert_eq!(values[0], Some(AnyOf::Integer(9_007_199_254_740_993)));
        assert!(matches!(values[1], Some(AnyOf::Number(number)) if number.is_nan()));
        assert!(matches!(&values[2], Some(AnyOf::List(list)) if list.values.len() == 2));
        assert!(matches!(&values[3], Some(AnyOf::Map(map)) if map.values[0].value.is_none()));
        assert_eq!(values[4], Some(AnyOf::Bytes(vec![0, 1])));
        let snake = json!({"trace_id": "0aff", "start_time_unix_nano": 5, "status": {"code": 1}});
        let span = read(&snake).unwrap();
        assert_eq!((span.trace_id.len(), span.start_time_unix_nano), (2, 5));
        assert_eq!(span.status.unwrap().code, STATUS_OK);
    }

    #[test]
    fn a_field_of_another_type_is_refused() {
        for wrong in [
            json!({"traceId": "xyz"}),
            json!({"traceId": 5}),
            json!({"startTimeUnixNano": -1}),
            json!({"startTimeUnixNano": "x"}),
            json!({"attributes": {}}),
            json!({"attributes": [{"key": 1}]}),
            json!({"attributes": [{"key": "k", "value": {"intValue": 1.5}}]}),
            json!({"status": {"code": "BAD"}}),
            json!({"events": [1]}),
        ] {
            assert!(read(&wrong).is_none(), "{wrong}");
        }
        assert!(decode(b"[]").is_none());
        let deep = format!("{{\"resourceSpans\": {}", "[".repeat(100_000));
        assert!(decode(deep.as_bytes()).is_none());
    }
}
