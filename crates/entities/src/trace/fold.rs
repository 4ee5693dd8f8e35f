//! How a trace follows from what was said of it.

use std::collections::BTreeMap;

use super::preview::preview_of;
use super::{
    SPANS_LOCATION_TAG, Span, SpanStatus, SpanUsage, TRACE_COST_KEY, TRACE_SESSION_KEY,
    TRACE_TOKENS_KEY, TRACE_TOLD_KEY, TRACE_USER_KEY, Trace, TraceState, sum_costs, sum_tokens,
};
use crate::{ExperimentId, Timestamp, TraceId};

impl Trace {
    /// A trace of which nothing is known but some of its spans.
    pub fn of_spans(id: TraceId, experiment: ExperimentId, spans: &[&Span]) -> Self {
        let (start_ms, end_ms) = extent_ms(spans);
        Self {
            id,
            experiment,
            requested_at: Timestamp::from_millis(start_ms),
            duration_ms: end_ms.map(|end_ms| end_ms - start_ms),
            state: TraceState::InProgress,
            client_request_id: None,
            request_preview: None,
            response_preview: None,
            tags: BTreeMap::new(),
            metadata: BTreeMap::new(),
        }
    }

    /// Whether a client told the trace as a whole.
    pub fn is_told(&self) -> bool {
        self.metadata.contains_key(TRACE_TOLD_KEY)
    }

    /// Takes what a client tells of the trace as a whole; what it does not tell stays.
    pub fn take_told(&mut self, told: &Self) {
        let Self {
            id: _,
            experiment,
            requested_at,
            duration_ms,
            state,
            client_request_id,
            request_preview,
            response_preview,
            tags,
            metadata,
        } = told;
        self.experiment.clone_from(experiment);
        self.requested_at = *requested_at;
        self.duration_ms = *duration_ms;
        self.state = *state;
        self.client_request_id.clone_from(client_request_id);
        if request_preview.is_some() {
            self.request_preview.clone_from(request_preview);
        }
        if response_preview.is_some() {
            self.response_preview.clone_from(response_preview);
        }
        self.tags.extend(tags.clone());
        self.metadata.extend(metadata.clone());
    }

    /// Takes what spans tell of their trace. `tokens` and `costs` are those of all its spans, these among them.
    ///
    /// What a client told of the trace as a whole stays.
    pub fn take_spans(&mut self, spans: &[&Span], tokens: &[SpanUsage], costs: &[SpanUsage]) {
        if !self.is_told() {
            let (start_ms, end_ms) = extent_ms(spans);
            let known_start_ms = self.requested_at.as_millis();
            let known_end_ms = self.duration_ms.map(|duration| known_start_ms + duration);
            let start_ms = start_ms.min(known_start_ms);
            self.requested_at = Timestamp::from_millis(start_ms);
            self.duration_ms = known_end_ms.max(end_ms).map(|end_ms| end_ms - start_ms);
        }
        let root = spans.iter().find(|span| span.parent.is_none());
        if let Some(root) = root {
            self.take_root(root);
        }
        let told = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let session = spans.iter().find_map(|span| {
            let session = span.text("session.id").and_then(told);
            session.or_else(|| span.text("gen_ai.conversation.id").and_then(told))
        });
        let user = spans.iter().find_map(|span| told(span.text("user.id")?));
        for (key, value) in [(TRACE_SESSION_KEY, session), (TRACE_USER_KEY, user)] {
            if let Some(value) = value {
                self.metadata.entry(key.to_owned()).or_insert(value);
            }
        }
        for (key, sum) in [
            (TRACE_TOKENS_KEY, sum_tokens(tokens)),
            (TRACE_COST_KEY, sum_costs(costs)),
        ] {
            let is_settled = self.is_told() && self.metadata.contains_key(key);
            if let Some(sum) = sum.filter(|_| !is_settled) {
                self.metadata.insert(key.to_owned(), sum);
            }
        }
        self.tags
            .insert(SPANS_LOCATION_TAG.to_owned(), "TRACKING_STORE".to_owned());
    }

    fn take_root(&mut self, root: &Span) {
        if !self.state.is_settled() {
            self.state = match root.status {
                SpanStatus::Error => TraceState::Error,
                SpanStatus::Ok | SpanStatus::Unset => TraceState::Ok,
            };
        }
        let preview = |key: &str, role: &str| Some(preview_of(root.attributes.get(key)?, role));
        if self.request_preview.is_none() {
            self.request_preview = preview(Span::INPUTS, "user");
        }
        if self.response_preview.is_none() {
            self.response_preview = preview(Span::OUTPUTS, "assistant");
        }
    }
}

/// The first begin and the last end, in milliseconds.
fn extent_ms(spans: &[&Span]) -> (i64, Option<i64>) {
    const NANOS_PER_MILLI: u64 = 1_000_000;
    let starts = spans.iter().map(|span| span.start_ns);
    let ends = spans.iter().filter_map(|span| span.end_ns);
    let millis = |nanos: u64| (nanos / NANOS_PER_MILLI) as i64;
    (
        millis(starts.min().unwrap_or_default()),
        ends.max().map(millis),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

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
    const B: &str = "00000000000000bb";

    #[test]
    fn a_trace_grows_with_its_spans_until_a_client_tells_it() {
        let inner = span(B, Some(A), &json!({"session.id": "s", "user.id": ""}));
        let id: TraceId = "tr-1".parse().unwrap();
        let mut trace = Trace::of_spans(id, "0".parse().unwrap(), &[&inner]);
        trace.take_spans(&[&inner], &[], &[]);
        assert_eq!(trace.state, TraceState::InProgress);
        assert_eq!(trace.duration_ms, Some(3000));
        assert_eq!(trace.metadata[TRACE_SESSION_KEY], "s");
        assert!(!trace.metadata.contains_key(TRACE_USER_KEY));
        let mut root = span(
            A,
            None,
            &json!({"mlflow.spanInputs": {"q": "é"}, "mlflow.spanOutputs": 4}),
        );
        root.start_ns = 1_000_000_000;
        root.end_ns = Some(6_000_000_000);
        root.status = SpanStatus::Error;
        trace.take_spans(&[&root], &[], &[]);
        assert_eq!(trace.state, TraceState::Error);
        assert_eq!(trace.requested_at.as_millis(), 1000);
        assert_eq!(trace.duration_ms, Some(5000));
        assert_eq!(trace.request_preview.as_deref(), Some("{\"q\": \"é\"}"));
        assert_eq!(trace.response_preview.as_deref(), Some("4"));
        let mut told = trace.clone();
        told.requested_at = Timestamp::from_millis(7);
        told.duration_ms = None;
        told.request_preview = None;
        told.metadata = BTreeMap::from([(TRACE_TOLD_KEY.to_owned(), "true".to_owned())]);
        trace.take_told(&told);
        trace.take_spans(&[&root], &[], &[]);
        assert_eq!(trace.requested_at.as_millis(), 7);
        assert_eq!(trace.duration_ms, None);
        assert!(trace.request_preview.is_some());
        assert_eq!(trace.metadata[TRACE_SESSION_KEY], "s");
    }
}
