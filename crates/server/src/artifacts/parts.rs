//! Transfers in parts, which are declined: clients then send a file in one piece, and read it in one.
//!
//! Clients send and read parts without their token, their user's name and their settings for TLS, since they take it
//! that the address of a part is signed by an object store; and they do not repeat a part that failed. None of that
//! holds here, where the file goes through this server in either case.

use axum::Router;
use axum::extract::State;
use axum::http::Uri;
use axum::routing::{get, post};
use entities::proxied_path;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::path::{check_path, path_of};
use crate::app::App;
use crate::description::{self as described, Call};
use crate::error::RequestError;
use crate::wire::{Int64, Json, missing, required};

/// The calls below `/api/2.0/mlflow-artifacts`.
pub(super) fn calls() -> Router<App> {
    Router::new()
        .route("/mpu/create/{*path}", post(create))
        .route("/mpu/complete/{*path}", post(complete))
        .route("/mpu/abort/{*path}", post(abort))
        .route("/presigned/{*path}", get(presigned))
}

/// Those about runs and models, below `/api/2.0/mlflow`. MLflow's own client does not make them.
pub(crate) fn url_calls() -> Router<App> {
    Router::new()
        .route("/artifacts/presigned-upload-url", post(upload_url))
        .route("/artifacts/presigned-download-url", post(download_url))
}

/// What the document of the API says of them.
pub(super) fn described() -> [Call; 4] {
    let calls = [
        described::post(
            "/mpu/create/{*path}",
            "Decline to take a file in parts",
            create,
        ),
        described::post(
            "/mpu/complete/{*path}",
            "Decline to put parts together",
            complete,
        ),
        described::post("/mpu/abort/{*path}", "Decline to give up parts", abort),
        described::get_call(
            "/presigned/{*path}",
            "Decline to send a file in parts",
            presigned,
        ),
    ];
    calls.map(|call| call.declined(501))
}

/// Clients look for these words at the begin of the message.
const NO_UPLOAD: RequestError = RequestError::NotSupported {
    what: "Multipart upload",
};

#[derive(Deserialize, JsonSchema)]
struct Create {
    #[schemars(required)]
    path: Option<String>,
    #[serde(alias = "numParts")]
    #[expect(dead_code, reason = "only its type is checked")]
    num_parts: Option<Int64>,
}

async fn create(uri: Uri, Json(request): Json<Create>) -> RequestError {
    let Create { path, num_parts: _ } = request;
    check(&uri, "/mpu/create/", path).err().unwrap_or(NO_UPLOAD)
}

#[derive(Deserialize, JsonSchema)]
struct Complete {
    #[schemars(required)]
    path: Option<String>,
    #[serde(alias = "uploadId")]
    #[expect(dead_code, reason = "only its type is checked")]
    upload_id: Option<String>,
    #[schemars(required)]
    parts: Option<Vec<Value>>,
}

async fn complete(uri: Uri, Json(request): Json<Complete>) -> RequestError {
    let Complete {
        path,
        upload_id: _,
        parts,
    } = request;
    match check(&uri, "/mpu/complete/", path) {
        Err(error) => error,
        Ok(()) if parts.is_none() => missing("parts"),
        Ok(()) => NO_UPLOAD,
    }
}

#[derive(Deserialize, JsonSchema)]
struct Abort {
    #[schemars(required)]
    path: Option<String>,
    #[serde(alias = "uploadId")]
    #[expect(dead_code, reason = "only its type is checked")]
    upload_id: Option<String>,
}

async fn abort(uri: Uri, Json(request): Json<Abort>) -> RequestError {
    let Abort { path, upload_id: _ } = request;
    check(&uri, "/mpu/abort/", path).err().unwrap_or(NO_UPLOAD)
}

fn check(uri: &Uri, prefix: &str, path: Option<String>) -> Result<(), RequestError> {
    path_of(uri, prefix)?;
    required("path", path)?;
    Ok(())
}

async fn presigned(uri: Uri) -> RequestError {
    let declined = RequestError::NotSupported {
        what: "Multipart download",
    };
    path_of(&uri, "/presigned/").err().unwrap_or(declined)
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct UploadUrl {
    #[serde(alias = "runId")]
    run_id: Option<String>,
    #[serde(alias = "modelId")]
    model_id: Option<String>,
    #[schemars(required)]
    path: Option<String>,
    #[expect(dead_code, reason = "only its type is checked")]
    expiration: Option<Int64>,
}

pub(super) async fn upload_url(
    State(app): State<App>,
    Json(request): Json<UploadUrl>,
) -> RequestError {
    let why_not = async {
        let UploadUrl {
            run_id,
            model_id,
            path,
            expiration: _,
        } = request;
        let path = required("path", path)?;
        let given = |id: Option<String>| id.filter(|id| !id.is_empty());
        let uri = match (given(run_id), given(model_id)) {
            (Some(run), None) => {
                check_path(&path)?;
                let run = app.access.run(&run)?;
                app.tracking.get_run(&run).await?.run.artifact_uri
            }
            (None, Some(model)) => {
                check_path(&path)?;
                let model = app.access.model(&model)?;
                app.tracking.get_model(&model).await?.model.artifact_uri
            }
            _ => return Err(RequestError::RunOrModel),
        };
        Ok::<_, RequestError>(declined(&uri, "Presigned upload"))
    };
    why_not.await.unwrap_or_else(|error| error)
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct DownloadUrl {
    #[serde(alias = "runId")]
    #[schemars(required)]
    run_id: Option<String>,
    #[schemars(required)]
    path: Option<String>,
    expiration: Option<Int64>,
}

/// What object stores take: a week.
const LONGEST_EXPIRATION: i64 = 604_800;

pub(super) async fn download_url(
    State(app): State<App>,
    Json(request): Json<DownloadUrl>,
) -> RequestError {
    let why_not = async {
        let run = required("run_id", request.run_id)?;
        check_path(&required("path", request.path)?)?;
        if let Some(Int64(found)) = request.expiration
            && !(1..=LONGEST_EXPIRATION).contains(&found)
        {
            return Err(RequestError::Expiration {
                limit: LONGEST_EXPIRATION,
                found,
            });
        }
        let run = app.access.run(&run)?;
        let uri = app.tracking.get_run(&run).await?.run.artifact_uri;
        Ok::<_, RequestError>(declined(&uri, "Presigned download"))
    };
    why_not.await.unwrap_or_else(|error| error)
}

/// Of what is kept here nobody needs such an address; for what is elsewhere this server has no keys.
fn declined(uri: &str, what: &'static str) -> RequestError {
    if proxied_path(uri).is_some() {
        RequestError::ThroughTheProxy { what }
    } else {
        RequestError::NotSupported { what }
    }
}
