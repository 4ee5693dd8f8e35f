//! What a server says of itself.

use axum::Router;
use axum::http::{HeaderValue, header};
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
