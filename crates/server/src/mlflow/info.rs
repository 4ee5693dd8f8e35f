//! What a server says of itself.

use axum::Router;
use axum::extract::OriginalUri;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use crate::app::App;

/// The version of MLflow whose answers these are. Clients choose by it what they ask for.
pub(crate) const MLFLOW_VERSION: &str = "3.17.2";

/// Clients ask it before they send a large file in parts, which this server does not need: it takes a file of any size
/// in one piece.
const SERVER_INFO: &str = r#"{"store_type":"SqlStore","workspaces_enabled":false,"trace_archival_enabled":false,"multipart_uploads_enabled":false,"multipart_downloads_enabled":false,"presigned_upload_run_id_supported":false,"presigned_upload_model_id_supported":false,"features_enabled":{"gateway":false}}"#;

/// Calls that stand at the root, or below another version of the API.
pub(crate) fn server_calls() -> Router<App> {
    let info = get(async || typed("application/json", SERVER_INFO));
    Router::new()
        .route("/api/3.0/mlflow/server-info", info.clone())
        .route("/ajax-api/3.0/mlflow/server-info", info)
        .route("/health", get(async || typed(PLAIN, "OK")))
        .route("/version", get(async || typed(HTML, MLFLOW_VERSION)))
        .route("/", get(at_root))
}

/// What is answered where a page would be.
pub(crate) async fn at_root() -> Response {
    typed(PLAIN, ROOT)
}

/// What MLflow's page asks before it tells MLflow's makers what was clicked; this is the answer of a server that has
/// telemetry off.
pub(super) async fn tell_page_telemetry() -> Response {
    typed("application/json", PAGE_TELEMETRY)
}

/// What was clicked is kept nowhere.
pub(super) async fn take_page_telemetry() -> Response {
    typed("application/json", r#"{"status":"disabled"}"#)
}

/// What MLflow answers where it was not started with workspaces.
pub(super) async fn refuse_workspaces(uri: OriginalUri) -> Response {
    let path = uri.0.path();
    let said = format!(
        "Endpoint: {path} disabled because the server is running without workspaces support. To enable workspace, run `mlflow server` with `--enable-workspaces`"
    );
    // Plain text, unlike MLflow's, since it holds a path that somebody else may have made up.
    (StatusCode::SERVICE_UNAVAILABLE, said).into_response()
}

const PAGE_TELEMETRY: &str =
    r#"{"disable_ui_events":[],"disable_ui_telemetry":true,"ui_rollout_percentage":0}"#;

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
