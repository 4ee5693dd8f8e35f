//! Spans of requests, for whoever listens: a collector of OpenTelemetry, or nobody.
//!
//! Their names and attributes are those of OpenTelemetry's semantic conventions for HTTP servers. Of a path there is the
//! template, as in the log and the figures: what a client put in it, such as the name of a file, stays here.

use axum::extract::Request;
use axum::response::Response;
use tokio::task::JoinHandle;
use tracing::Span;
use tracing::field::Empty;

use crate::app::App;
use crate::guard::REQUEST_ID;
use crate::otlp;

/// Begins the span of a request, below the one that its headers name; it ends when the answer was sent.
pub(crate) fn begin(app: &App, method: &'static str, route: &str, request: &Request) -> Span {
    // A server whose collector is itself would else never come to an end.
    if route.strip_prefix(app.prefix.as_str()) == Some(otlp::PATH) {
        return Span::none();
    }
    let span = tracing::info_span!(
        "request",
        otel.name = name_of(method, route),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = if method == "other" { "_OTHER" } else { method },
        http.route = (!route.is_empty()).then_some(route),
        http.response.status_code = Empty,
        "error.type" = Empty,
        url.scheme = "http",
        reproof.request.id = Empty,
    );
    if let Some(set_remote_parent) = app.remote_parent {
        set_remote_parent(&span, request.headers());
    }
    span
}

fn name_of(method: &'static str, route: &str) -> String {
    let method = if method == "other" { "HTTP" } else { method };
    format!("{method} {route}").trim_end().to_owned()
}

/// Notes how a request was answered. What a client did wrong is no fault of the server, so its status is none either.
pub(crate) fn note_answer(span: &Span, response: &Response) {
    if span.is_disabled() {
        return;
    }
    let status = response.status();
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
        span.record("error.type", status.as_str());
    }
    let id = response.headers().get(REQUEST_ID);
    if let Some(id) = id.and_then(|id| id.to_str().ok()) {
        span.record("reproof.request.id", id);
    }
}

/// Runs what may block on a thread of its own, in a span of its own below that of the request.
pub(crate) fn on_thread<T: Send + 'static>(
    name: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    let span = tracing::info_span!("work", otel.name = name);
    tokio::task::spawn_blocking(move || span.in_scope(work))
}
