//! OpenTelemetry's protocol over HTTP: spans, in protobuf or JSON.
//!
//! *Source*: <https://opentelemetry.io/docs/specs/otlp/#otlphttp>. Which request is refused how is MLflow's
//! (`mlflow/server/otel_api.py`).

mod convert;
mod json;
mod messages;

use std::io::Read;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use bytes::Bytes;
use entities::Caller;
use prost::Message as _;
use tracking::parse_experiment_id;

use crate::app::{App, By};
use crate::description::{self, Call};
use crate::error::RequestError;
use crate::sign_on::Viewer;
use crate::wire::{Protobuf, Sent, read_body};
use convert::received;
use messages::ExportRequest;

const EXPERIMENT_HEADER: &str = "x-mlflow-experiment-id";
const RUN_HEADER: &str = "x-mlflow-run-id";

/// Where spans are sent, at the root.
pub(crate) const PATH: &str = "/v1/traces";

/// The call, which stands at the root.
pub(crate) fn calls() -> Router<App> {
    Router::new().route(PATH, post(export))
}

/// What the document of the API says of it.
pub(crate) fn described() -> Call {
    description::post(PATH, "Take spans, as OpenTelemetry sends them", export)
        .header(EXPERIMENT_HEADER, true)
        .header(RUN_HEADER, false)
        .takes(&["application/x-protobuf", "application/json"])
        .answers_also(&[
            ("400", "The spans cannot be read"),
            ("413", "The spans are too large"),
            ("422", "A header is missing, or is none"),
        ])
        .tagged("Traces")
}

/// What is wrong with a request, in the form that MLflow's server has for this call alone.
struct Refusal {
    status: StatusCode,
    detail: String,
}

fn refuse<T>(status: StatusCode, detail: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal {
        status,
        detail: detail.into(),
    })
}

impl Refusal {
    fn into_response(self) -> Response {
        let body = serde_json::json!({ "detail": self.detail }).to_string();
        let json = [(header::CONTENT_TYPE, "application/json")];
        (self.status, json, body).into_response()
    }
}

async fn export(
    State(app): State<App>,
    By(caller): By,
    viewer: Viewer,
    headers: HeaderMap,
    body: Body,
) -> Sent<Protobuf> {
    let begun = Instant::now();
    let exported = take_spans(&app, &caller, &viewer, &headers, body).await;
    let response = exported.into_response();
    let is_fault = response.status().is_server_error();
    app.figures.spans.note_end(begun, is_fault);
    Sent::new(response)
}

async fn take_spans(
    app: &App,
    caller: &Caller,
    viewer: &Viewer,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, RequestError> {
    let Some(experiment) = text_of(headers, EXPERIMENT_HEADER) else {
        return Ok(no_experiment());
    };
    let body = read_body(body).await?;
    app.figures.spans.note_payload(&body);
    let spans = match decode(headers, &body).and_then(received) {
        Ok(spans) => spans,
        Err(refusal) => return Ok(refusal.into_response()),
    };
    let experiment = parse_experiment_id(experiment)?;
    let run = text_of(headers, RUN_HEADER).filter(|run| !run.is_empty());
    let run = run.map(|run| app.access.writable_run(run)).transpose()?;
    if let Some(run) = &run {
        // Before the spans are kept: a client that is refused sends them again.
        app.tracking.get_run(run).await?;
        viewer.check_run(app, run).await?;
    }
    if spans.is_empty() {
        return Ok(exported());
    }
    let ids: std::collections::BTreeSet<_> = spans
        .iter()
        .map(|received| received.trace.clone())
        .collect();
    viewer.check_traces(app, &ids).await?;
    for id in &ids {
        app.access.check_trace(id, &app.traces).await?;
    }
    let spans = spans.into_iter().map(|mut received| {
        app.access.mask_span(&mut received.span);
        app.access.mask_resource(&mut received.resource);
        received
    });
    let count = spans.len();
    let rooted = app
        .traces
        .log_spans(caller, &experiment, spans.collect())
        .await?;
    app.figures.spans.note_spans(count);
    app.access.note_traces(caller, &ids, &app.traces).await?;
    if let Some(run) = run
        && !rooted.is_empty()
    {
        app.traces.link_to_run(caller, &rooted, &run).await?;
    }
    Ok(exported())
}

fn text_of<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// An answer without fields: all was taken.
fn exported() -> Response {
    let mut response = Bytes::new().into_response();
    let protobuf = HeaderValue::from_static("application/x-protobuf");
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, protobuf);
    response
}

/// What the framework of MLflow's server answers where the header is missing.
fn no_experiment() -> Response {
    let body = serde_json::json!({
        "detail": [{
            "type": "missing",
            "loc": ["header", EXPERIMENT_HEADER],
            "msg": "Field required",
            "input": null,
        }],
    });
    let json = [(header::CONTENT_TYPE, "application/json")];
    (StatusCode::UNPROCESSABLE_ENTITY, json, body.to_string()).into_response()
}

fn decode(headers: &HeaderMap, body: &[u8]) -> Result<ExportRequest, Refusal> {
    const INVALID: &str = "Invalid OpenTelemetry format";
    let content_type = text_of(headers, header::CONTENT_TYPE.as_str());
    let essence = content_type.and_then(|found| found.split(';').next());
    let is_json = match essence.map(str::trim) {
        Some("application/x-protobuf") => false,
        Some("application/json") => true,
        _ => {
            let shown = content_type.unwrap_or("None");
            let detail = format!(
                "Invalid Content-Type: {shown}. Expected: application/x-protobuf or application/json"
            );
            return refuse(StatusCode::BAD_REQUEST, detail);
        }
    };
    let inflated;
    let body = match text_of(headers, header::CONTENT_ENCODING.as_str()) {
        None | Some("" | "identity") => body,
        Some(encoding) => {
            inflated = inflate(&encoding.to_ascii_lowercase(), body)?;
            &inflated
        }
    };
    let request = if is_json {
        json::decode(body)
    } else {
        ExportRequest::decode(body).ok()
    };
    match request {
        None => refuse(StatusCode::BAD_REQUEST, INVALID),
        Some(request) if request.resource_spans.is_empty() => refuse(
            StatusCode::BAD_REQUEST,
            format!("{INVALID} - no spans found"),
        ),
        Some(request) => Ok(request),
    }
}

/// Bytes that a compressed body may hold, however small it came.
const LARGEST_INFLATED_BYTES: u64 = 64 << 20;

fn inflate(encoding: &str, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let read = |reader: &mut dyn Read| {
        let mut inflated = Vec::new();
        let count = reader
            .take(LARGEST_INFLATED_BYTES + 1)
            .read_to_end(&mut inflated);
        count.ok().map(|_| inflated)
    };
    let inflated = match encoding {
        "gzip" => read(&mut flate2::read::MultiGzDecoder::new(body)),
        // Some clients leave the frame around the stream away.
        "deflate" => read(&mut flate2::read::ZlibDecoder::new(body))
            .or_else(|| read(&mut flate2::read::DeflateDecoder::new(body))),
        _ => {
            let detail = format!("Unsupported Content-Encoding: {encoding}");
            return refuse(StatusCode::BAD_REQUEST, detail);
        }
    };
    match inflated {
        None => refuse(
            StatusCode::BAD_REQUEST,
            format!("Failed to decompress {encoding} payload"),
        ),
        Some(inflated) if inflated.len() as u64 > LARGEST_INFLATED_BYTES => refuse(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("The decompressed payload is longer than {LARGEST_INFLATED_BYTES} bytes"),
        ),
        Some(inflated) => Ok(inflated),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(content: &[u8]) -> Vec<u8> {
        let level = flate2::Compression::best();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn every_form_of_compression_is_read() {
        assert_eq!(inflate("gzip", &gzip(b"abc")).ok().unwrap(), b"abc");
        let level = flate2::Compression::fast();
        let mut framed = flate2::write::ZlibEncoder::new(Vec::new(), level);
        framed.write_all(b"abc").unwrap();
        assert_eq!(
            inflate("deflate", &framed.finish().unwrap()).ok().unwrap(),
            b"abc"
        );
        let mut bare = flate2::write::DeflateEncoder::new(Vec::new(), level);
        bare.write_all(b"abc").unwrap();
        assert_eq!(
            inflate("deflate", &bare.finish().unwrap()).ok().unwrap(),
            b"abc"
        );
    }

    #[test]
    fn a_small_body_cannot_fill_the_memory() {
        let bomb = gzip(&vec![0; LARGEST_INFLATED_BYTES as usize + 10]);
        assert!(bomb.len() < 100_000);
        let refused = inflate("gzip", &bomb).err().unwrap();
        assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[test]
    fn no_bytes_make_the_decoder_panic() {
        let mut number = 7_u64;
        for length in 0..2000 {
            let mut bytes = Vec::with_capacity(length % 200);
            for _ in 0..length % 200 {
                number = number
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                bytes.push((number >> 33) as u8);
            }
            if let Ok(request) = ExportRequest::decode(bytes.as_slice()) {
                let _ = received(request);
            }
            let _ = json::decode(&bytes);
        }
        // Lists within lists, deeper than any stack.
        let mut deep = Vec::new();
        for _ in 0..100_000 {
            deep.splice(0..0, [0x0a, 0x02]);
        }
        assert!(ExportRequest::decode(deep.as_slice()).is_err());
    }
}
