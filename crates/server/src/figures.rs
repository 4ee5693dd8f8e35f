//! What the server tells Prometheus of itself.
//!
//! Labels come from a closed list: the template of a path, never the path; a method that HTTP knows; a status. So there
//! are as many series as there are calls, whatever is asked.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::{Body, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use prometheus_client::encoding::{EncodeLabelSet, prometheus_text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use store::LedgerProgress;
use tracing::Instrument as _;

use crate::ProcessFigures;
use crate::app::App;
use crate::error::tell;
use crate::guard::REQUEST_ID;
use crate::mlflow::MLFLOW_VERSION;
use crate::spans;

/// Where they are told. As in MLflow, no prefix stands before it.
pub(crate) const PATH: &str = "/metrics";

/// What MLflow does not count, since load balancers ask it all the time.
const UNCOUNTED: [&str; 3] = ["/health", "/version", PATH];

/// Bounds of buckets in seconds: those of the Python library that MLflow counts with, so that the `le` of a dashboard
/// are there.
const SECONDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// Those that MLflow has for the size of a request of spans.
const PAYLOAD_BYTES: [f64; 9] = [
    1_024.0,
    5_120.0,
    20_480.0,
    102_400.0,
    524_288.0,
    1_048_576.0,
    5_242_880.0,
    10_485_760.0,
    33_554_432.0,
];

/// Those that MLflow has for the count of spans in a request.
const SPAN_COUNT: [f64; 9] = [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0];

/// All figures, which are counted whether or not somebody may ask for them.
pub(crate) struct Figures {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<DurationLabels, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
    /// Bytes of artifacts that came.
    pub(crate) received: Counter,
    /// Bytes of artifacts that went.
    pub(crate) sent: Counter,
    pub(crate) spans: SpanFigures,
    ledger: Family<StateLabel, Gauge<u64, AtomicU64>>,
    process: ProcessGauges,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    status: u16,
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DurationLabels {
    method: &'static str,
    mlflow_version: &'static str,
    status: u16,
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProtocolLabel {
    protocol: &'static str,
}

impl Figures {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::default();
        let requests = Family::default();
        let help = "Requests that were answered";
        registry.register("mlflow_http_request", help, Family::clone(&requests));
        let durations: Family<_, _, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(SECONDS));
        let help = "Time from the head of a request to the head of its answer";
        let name = "mlflow_http_request_duration_seconds";
        registry.register(name, help, durations.clone());
        let in_flight = Gauge::default();
        let help = "Requests that are not answered to their end";
        registry.register("reproof_http_requests_in_flight", help, in_flight.clone());
        let received = Counter::default();
        let help = "Bytes of artifacts that clients sent";
        registry.register("reproof_artifact_received_bytes", help, received.clone());
        let sent = Counter::default();
        let help = "Bytes of artifacts that clients were sent";
        registry.register("reproof_artifact_sent_bytes", help, sent.clone());
        let spans = SpanFigures::register(&mut registry);
        let ledger = Family::default();
        let help = "Events of the ledger that have come so far";
        registry.register("reproof_ledger_events", help, Family::clone(&ledger));
        let process = ProcessGauges::register(&mut registry);
        Self {
            registry,
            requests,
            durations,
            in_flight,
            received,
            sent,
            spans,
            ledger,
            process,
        }
    }

    fn note_answer(&self, method: &Method, route: &str, response: &Response, begun: Instant) {
        let method = method_label(method);
        let status = response.status().as_u16();
        let labels = RequestLabels {
            method,
            status,
            route: route.to_owned(),
        };
        self.requests.get_or_create(&labels).inc();
        let RequestLabels { route, .. } = labels;
        let labels = DurationLabels {
            method,
            mlflow_version: MLFLOW_VERSION,
            status,
            route,
        };
        let seconds = begun.elapsed().as_secs_f64();
        self.durations.get_or_create(&labels).observe(seconds);
    }

    fn note_ledger(&self, progress: LedgerProgress) {
        let LedgerProgress {
            committed,
            sequenced,
            integrated,
            signed,
        } = progress;
        for (state, count) in [
            ("committed", committed),
            ("sequenced", sequenced),
            ("integrated", integrated),
            ("signed", signed),
        ] {
            self.ledger.get_or_create(&StateLabel { state }).set(count);
        }
    }
}

/// What MLflow counts of spans, under its names.
pub(crate) struct SpanFigures {
    ingested: Family<ProtocolLabel, Counter>,
    errors: Family<ProtocolLabel, Counter>,
    durations: Histogram,
    payload_bytes: Histogram,
    per_request: Histogram,
}

impl SpanFigures {
    /// The one protocol that spans come by, as MLflow calls it.
    const PROTOCOL: ProtocolLabel = ProtocolLabel { protocol: "otlp" };

    fn register(registry: &mut Registry) -> Self {
        let ingested = Family::default();
        let help = "Spans that were taken";
        registry.register("mlflow_spans_ingested", help, Family::clone(&ingested));
        let errors = Family::default();
        let help = "Requests of spans that failed by the server's fault";
        let name = "mlflow_trace_ingestion_server_errors";
        registry.register(name, help, Family::clone(&errors));
        let durations = Histogram::new(SECONDS);
        let help = "Time that a request of spans took";
        let name = "mlflow_otlp_request_duration_seconds";
        registry.register(name, help, durations.clone());
        let payload_bytes = Histogram::new(PAYLOAD_BYTES);
        let help = "Size of a request of spans, as it came";
        let name = "mlflow_otlp_request_payload_bytes";
        registry.register(name, help, payload_bytes.clone());
        let per_request = Histogram::new(SPAN_COUNT);
        let help = "Spans of a request";
        registry.register("mlflow_otlp_spans_per_request", help, per_request.clone());
        Self {
            ingested,
            errors,
            durations,
            payload_bytes,
            per_request,
        }
    }

    pub(crate) fn note_payload(&self, body: &Bytes) {
        self.payload_bytes.observe(body.len() as f64);
    }

    pub(crate) fn note_spans(&self, count: usize) {
        self.ingested
            .get_or_create(&Self::PROTOCOL)
            .inc_by(count as u64);
        self.per_request.observe(count as f64);
    }

    pub(crate) fn note_end(&self, begun: Instant, is_fault: bool) {
        self.durations.observe(begun.elapsed().as_secs_f64());
        if is_fault {
            self.errors.get_or_create(&Self::PROTOCOL).inc();
        }
    }
}

/// What Prometheus' own libraries tell of a process, under their names.
struct ProcessGauges {
    resident_bytes: Gauge<u64, AtomicU64>,
    virtual_bytes: Gauge<u64, AtomicU64>,
    open_descriptors: Gauge<u64, AtomicU64>,
    cpu_seconds: Counter<f64, AtomicU64>,
    started_at_seconds: Gauge<f64, AtomicU64>,
}

impl ProcessGauges {
    fn register(registry: &mut Registry) -> Self {
        let gauges = Self {
            resident_bytes: Gauge::default(),
            virtual_bytes: Gauge::default(),
            open_descriptors: Gauge::default(),
            cpu_seconds: Counter::default(),
            started_at_seconds: Gauge::default(),
        };
        let help = "Memory that the server has";
        let name = "process_resident_memory_bytes";
        registry.register(name, help, gauges.resident_bytes.clone());
        let help = "Addresses that the server has";
        let name = "process_virtual_memory_bytes";
        registry.register(name, help, gauges.virtual_bytes.clone());
        let help = "Files and connections that the server has open";
        registry.register("process_open_fds", help, gauges.open_descriptors.clone());
        let help = "Time that the server spent on processors";
        registry.register("process_cpu_seconds", help, gauges.cpu_seconds.clone());
        let help = "When the server was started, in seconds since 1970";
        let name = "process_start_time_seconds";
        registry.register(name, help, gauges.started_at_seconds.clone());
        gauges
    }

    fn note(&self, found: ProcessFigures) {
        let ProcessFigures {
            resident_bytes,
            virtual_bytes,
            open_descriptors,
            cpu_seconds,
            started_at_seconds,
        } = found;
        self.resident_bytes.set(resident_bytes);
        self.virtual_bytes.set(virtual_bytes);
        self.open_descriptors.set(open_descriptors);
        self.started_at_seconds.set(started_at_seconds);
        // A counter of this kind keeps its bits there; adding what is new would count twice where two ask at once.
        let bits = cpu_seconds.to_bits();
        self.cpu_seconds.inner().store(bits, Ordering::Relaxed);
    }
}

/// A method that is none of HTTP's own is whatever a client calls it.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// Counts a request and its answer.
pub(crate) async fn count(State(app): State<App>, request: Request, next: Next) -> Response {
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or("", MatchedPath::as_str);
    let bare = route.strip_prefix(app.prefix.as_str()).unwrap_or(route);
    if UNCOUNTED.contains(&bare) {
        return next.run(request).await;
    }
    let begun = Instant::now();
    let method = request.method().clone();
    let in_flight = InFlight::begin(&app.figures.in_flight);
    let span = spans::begin(&app, method_label(&method), route, &request);
    let response = next.run(request).instrument(span.clone()).await;
    spans::note_answer(&span, &response);
    app.figures.note_answer(&method, route, &response, begun);
    log_answer(&method, route, &response, begun);
    response.map(|body| {
        Body::new(CountedBody {
            body,
            _in_flight: in_flight,
            _span: span,
        })
    })
}

/// Says in the log that a request was answered: by the template of its path, which holds no name of anybody's.
fn log_answer(method: &Method, route: &str, response: &Response, begun: Instant) {
    let id = response.headers().get(REQUEST_ID);
    let id = id.and_then(|id| id.to_str().ok()).unwrap_or_default();
    tracing::info!(
        request = id,
        method = method.as_str(),
        route,
        status = response.status().as_u16(),
        duration_ms = begun.elapsed().as_secs_f64() * 1000.0,
        "request answered"
    );
}

/// One request, from its head to the end of its answer or of its connection.
struct InFlight(Gauge);

impl InFlight {
    fn begin(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The body of an answer, whose request is under way until it was sent.
struct CountedBody {
    body: Body,
    _in_flight: InFlight,
    _span: tracing::Span,
}

impl HttpBody for CountedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// `GET /metrics`: all figures, in the text format of Prometheus.
pub(crate) async fn tell_all(State(app): State<App>) -> Response {
    match app.tracking.store().ledger_progress().await {
        Ok(progress) => app.figures.note_ledger(progress),
        // The other figures are the more wanted: that the store is in trouble is what they are looked at for.
        Err(error) => {
            tracing::error!(error = %tell(&error), "how far the ledger is cannot be told");
        }
    }
    if let Some(process) = &app.process {
        app.figures.process.note(process());
    }
    let mut told = String::new();
    prometheus_text::encode(&mut told, &app.figures.registry)
        .expect("writing to a string cannot fail");
    let mut response = told.into_response();
    let text = HeaderValue::from_static(prometheus_text::CONTENT_TYPE);
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    response
}
