//! What is said of traces, and the digests by which events hold it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Assessment, Span, Trace, TraceState};
use crate::ObjectId;

/// Something that was said of a trace.
///
/// These are kept beside the events, which hold their digests: so what a trace says can be removed for good, and the
/// ledger still proves that it was there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum TraceRecord {
    /// A client told the trace as a whole, before or after its spans.
    Started {
        /// The trace.
        trace: Trace,
    },
    /// A span ended, or was sent again.
    Spanned {
        /// The span.
        span: Span,
    },
    /// Notes were made; others stay.
    Tagged {
        /// The tags.
        tags: BTreeMap<String, String>,
    },
    /// Something was said of it that does not change; what was said before stays, the same key is said anew.
    Described {
        /// The metadata.
        metadata: BTreeMap<String, String>,
    },
    /// A client of MLflow 2 said how it ended.
    Ended {
        /// How.
        state: TraceState,
        /// How long it took, in milliseconds.
        duration_ms: i64,
    },
    /// Somebody assessed it, or changed an assessment.
    Assessed {
        /// The assessment as it is now.
        assessment: Assessment,
    },
}

impl TraceRecord {
    /// What a record says, without the words around it: what a search for a text looks at.
    pub fn content_of(encoded: &str) -> &str {
        let inner = encoded
            .strip_prefix("{\"record\":\"spanned\",\"span\":")
            .and_then(|rest| rest.strip_suffix('}'));
        inner.unwrap_or(encoded)
    }

    /// An attribute of the span that a record tells: a text as it is, anything else as JSON.
    ///
    /// *Errors*: where the record is no JSON.
    pub fn attribute_of(encoded: &str, key: &str) -> Result<Option<String>, serde_json::Error> {
        #[derive(Deserialize)]
        struct Told {
            span: Option<Attributes>,
        }
        #[derive(Deserialize)]
        struct Attributes {
            attributes: Map<String, Value>,
        }
        let told: Told = serde_json::from_str(encoded)?;
        let value = told.span.as_ref().and_then(|span| span.attributes.get(key));
        Ok(value.map(|value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }))
    }
}

/// A record with its digest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedRecord {
    /// Digest of the encoded record.
    pub digest: ObjectId,
    /// The record in JSON. It is kept beside the event, not in its body; none where it was removed for good.
    #[serde(skip)]
    pub encoded: Option<String>,
}

impl SealedRecord {
    /// Encodes a record.
    ///
    /// *Errors*: none that a record can cause; numbers that JSON does not have are not among them.
    pub fn seal(record: &impl Serialize) -> Self {
        let encoded = serde_json::to_string(record).expect("a record has text keys only");
        Self {
            digest: ObjectId::of(encoded.as_bytes()),
            encoded: Some(encoded),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::SpanStatus;
    use serde_json::json;

    use super::*;

    fn span(id: &str, parent: Option<&str>, attributes: &Value) -> Span {
        Span {
            id: id.parse().unwrap(),
            parent: parent.map(|parent| parent.parse().unwrap()),
            name: id.to_owned(),
            start_ns: 2_000_000_000,
            end_ns: Some(5_000_000_000),
            status: SpanStatus::Unset,
            status_message: None,
            attributes: attributes.as_object().unwrap().clone(),
            events: Vec::new(),
            links: Vec::new(),
        }
    }

    const A: &str = "00000000000000aa";

    #[test]
    fn a_record_is_sealed_by_what_it_says() {
        let record = TraceRecord::Spanned {
            span: span(A, None, &json!({"b": 1, "a": [1.0, null]})),
        };
        let sealed = SealedRecord::seal(&record);
        let encoded = sealed.encoded.clone().unwrap();
        assert_eq!(
            serde_json::from_str::<TraceRecord>(&encoded).unwrap(),
            record
        );
        assert_eq!(sealed.digest, ObjectId::of(encoded.as_bytes()));
        let content = TraceRecord::content_of(&encoded);
        assert!(
            content.starts_with("{\"id\":") && content.ends_with("}}"),
            "{content}"
        );
        let attribute = |key| TraceRecord::attribute_of(&encoded, key).unwrap();
        assert_eq!(attribute("a").as_deref(), Some("[1.0,null]"));
        assert_eq!(attribute("c"), None);
        let body = serde_json::to_string(&sealed).unwrap();
        assert!(!body.contains("record"), "{body}");
    }
}
