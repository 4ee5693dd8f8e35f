//! What a server says of itself.

use axum::Router;
use axum::extract::OriginalUri;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use schemars::JsonSchema;
use serde::Serialize;

use crate::app::App;
use crate::wire::{Answer, Html, Plain, Sent, json};

/// The version of MLflow whose answers these are. Clients choose by it what they ask for.
pub(crate) const MLFLOW_VERSION: &str = "3.17.2";

/// What the server can do.
#[derive(Serialize, JsonSchema)]
pub(super) struct ServerInfo {
    store_type: &'static str,
    workspaces_enabled: bool,
    trace_archival_enabled: bool,
    multipart_uploads_enabled: bool,
    multipart_downloads_enabled: bool,
    presigned_upload_run_id_supported: bool,
    presigned_upload_model_id_supported: bool,
    features_enabled: FeaturesView,
}

/// Parts of MLflow that a server may have.
#[derive(Serialize, JsonSchema)]
struct FeaturesView {
    gateway: bool,
}

/// Clients ask it before they send a large file in parts, which this server does not need: it takes a file of any size
/// in one piece.
const SERVER_INFO: ServerInfo = ServerInfo {
    store_type: "SqlStore",
    workspaces_enabled: false,
    trace_archival_enabled: false,
    multipart_uploads_enabled: false,
    multipart_downloads_enabled: false,
    presigned_upload_run_id_supported: false,
    presigned_upload_model_id_supported: false,
    features_enabled: FeaturesView { gateway: false },
};

/// Calls that stand at the root, or below another version of the API.
pub(crate) fn server_calls() -> Router<App> {
    Router::new()
        .route("/api/3.0/mlflow/server-info", get(tell_abilities))
        .route("/ajax-api/3.0/mlflow/server-info", get(tell_abilities))
        .route("/health", get(tell_health))
        .route("/version", get(tell_version))
        .route("/", get(at_root))
}

pub(super) async fn tell_abilities() -> Answer<ServerInfo> {
    json(&SERVER_INFO)
}

pub(super) async fn tell_health() -> Sent<Plain> {
    Sent::new(typed(PLAIN, "OK"))
}

pub(super) async fn tell_version() -> Sent<Html> {
    Sent::new(typed(HTML, MLFLOW_VERSION))
}

/// What is answered where a page would be.
pub(crate) async fn at_root() -> Response {
    typed(PLAIN, ROOT)
}

/// What MLflow's page asks before it tells MLflow's makers what was clicked; this is the answer of a server that has
/// telemetry off.
pub(super) async fn tell_page_telemetry() -> Answer<PageTelemetry> {
    json(&PageTelemetry {
        disable_ui_events: [],
        disable_ui_telemetry: true,
        ui_rollout_percentage: 0,
    })
}

#[derive(Serialize, JsonSchema)]
pub(super) struct PageTelemetry {
    disable_ui_events: [&'static str; 0],
    disable_ui_telemetry: bool,
    ui_rollout_percentage: u8,
}

/// What was clicked is kept nowhere.
pub(super) async fn take_page_telemetry() -> Answer<TelemetryTaken> {
    json(&TelemetryTaken { status: "disabled" })
}

#[derive(Serialize, JsonSchema)]
pub(super) struct TelemetryTaken {
    status: &'static str,
}

/// What MLflow answers where it was not started with workspaces.
pub(super) async fn refuse_workspaces(uri: OriginalUri) -> (StatusCode, String) {
    let path = uri.0.path();
    let said = format!(
        "Endpoint: {path} disabled because the server is running without workspaces support. To enable workspace, run `mlflow server` with `--enable-workspaces`"
    );
    // Plain text, unlike MLflow's, since it holds a path that somebody else may have made up.
    (StatusCode::SERVICE_UNAVAILABLE, said)
}

const PLAIN: &str = "text/plain; charset=utf-8";

/// What MLflow gives its version as.
const HTML: &str = "text/html; charset=utf-8";

/// For somebody who opens the address in a browser.
const ROOT: &str = "This is Reproof. It speaks the MLflow REST API: give this address to mlflow.set_tracking_uri().\n";

fn typed(media_type: &'static str, text: &'static str) -> Response {
    let mut response = text.into_response();
    let media_type = HeaderValue::from_static(media_type);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, media_type);
    response
}
