//! From spans of `tracing` to a collector.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{FilterFn, LevelFilter};
use tracing_subscriber::registry::LookupSpan;

use crate::exporting::{Client, TellingExporter};

/// What is waited for at the end, so that a collector that does not answer keeps nobody from ending.
const CLOSING_TIME: Duration = Duration::from_secs(5);

/// The service's name where `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` give no other.
const SERVICE: &str = "reproof";

/// The way to a collector.
#[derive(Debug)]
pub struct Telemetry {
    provider: SdkTracerProvider,
}

/// Why there is no way to it.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The environment names no address that one can be, or headers that are none.
    #[error("what the environment says of the collector cannot be used")]
    Address {
        /// What the library says.
        #[source]
        source: ExporterBuildError,
    },
}

impl Telemetry {
    /// Begins to send what ends, by a client that gives an answer up after the time of the settings.
    ///
    /// Nothing is asked of the collector yet: one that is away is told of when there is something to send.
    pub fn open(agent: ureq::Agent, version: &'static str) -> Result<Self, TelemetryError> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client(agent))
            .build()
            .map_err(|source| TelemetryError::Address { source })?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(TellingExporter::new(exporter))
            .with_resource(describe(version))
            .build();
        Ok(Self { provider })
    }

    /// Turns the spans of some targets into spans of OpenTelemetry: those that tell a user something.
    pub fn layer<S>(&self, is_ours: fn(&str) -> bool) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'s> LookupSpan<'s>,
    {
        let wanted = move |metadata: &Metadata<'_>| {
            metadata.is_span() && *metadata.level() <= Level::INFO && is_ours(metadata.target())
        };
        let filter = FilterFn::new(wanted).with_max_level_hint(LevelFilter::INFO);
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer(SERVICE))
            // Where in the code a span begins, and on which thread, is for those who develop Reproof.
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_target(false)
            .with_filter(filter)
    }

    /// Sends what waits, for a few seconds at most.
    pub fn close(self) {
        if let Err(error) = self.provider.shutdown_with_timeout(CLOSING_TIME) {
            tracing::debug!(%error, "the last spans could not be sent");
        }
    }
}

fn describe(version: &'static str) -> Resource {
    let plain = Resource::builder().build();
    let is_named = plain
        .get(&"service.name".into())
        .is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    let mut described =
        Resource::builder().with_attribute(KeyValue::new("service.version", version));
    if !is_named {
        described = described.with_service_name(SERVICE);
    }
    described.build()
}
