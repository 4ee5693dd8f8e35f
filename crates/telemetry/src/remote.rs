//! The trace that somebody else began.

use http::HeaderMap;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Makes a span a part of the trace that headers of W3C's Trace Context name, below the span that they name.
///
/// It must not have been entered. Without such headers, or with wrong ones, it begins a trace of its own.
pub fn set_remote_parent(span: &Span, headers: &HeaderMap) {
    if span.is_disabled() {
        return;
    }
    let context = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
    if context.span().span_context().is_valid() {
        // Nobody listens, or it was entered: then it stays as it is.
        let _ = span.set_parent(context);
    }
}
