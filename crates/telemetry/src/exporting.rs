//! Sends batches of spans.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

/// A collector says little; what is longer is no answer of one.
const LARGEST_ANSWER_BYTES: u64 = 1 << 20;

/// The client of HTTP that batches are sent by, from a thread that may block.
#[derive(Debug)]
pub(crate) struct Client(pub(crate) ureq::Agent);

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let answer = self.0.run(Request::from_parts(head, &body[..]))?;
        let (head, body) = answer.into_parts();
        let body = body
            .into_with_config()
            .limit(LARGEST_ANSWER_BYTES)
            .read_to_vec()?;
        Ok(Response::from_parts(head, Bytes::from(body)))
    }
}

/// Says that spans do not arrive, once, and that they do again.
#[derive(Debug)]
pub(crate) struct TellingExporter<E> {
    exporter: E,
    is_failing: AtomicBool,
}

impl<E> TellingExporter<E> {
    pub(crate) const fn new(exporter: E) -> Self {
        Self {
            exporter,
            is_failing: AtomicBool::new(false),
        }
    }
}

impl<E: SpanExporter> SpanExporter for TellingExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let done = self.exporter.export(batch).await;
        let was_failing = self.is_failing.swap(done.is_err(), Ordering::Relaxed);
        match &done {
            Err(error) if !was_failing => {
                tracing::warn!(%error, "spans could not be sent to the collector of OpenTelemetry; later ones are tried, and nothing more is said");
            }
            Ok(()) if was_failing => tracing::warn!("spans are sent again"),
            _ => {}
        }
        done
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
