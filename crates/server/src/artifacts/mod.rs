//! Artifacts: MLflow's proxy, and the files of runs and logged models.

mod archive;
mod download;
mod media;
mod parts;
mod path;
mod range;
mod upload;

use axum::Router;
use axum::body::HttpBody as _;
use axum::extract::{OriginalUri, Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use entities::ArtifactEntry;
use serde::Serialize;
use tracking::TrackingError;

use crate::app::{App, By};
use crate::error::RequestError;
use crate::sign_on::Viewer;
use crate::wire::{FileView, Query, empty, json};
use archive::{Entry, send_archive};
use download::send;
pub(crate) use parts::url_calls;
pub(crate) use path::proxied_path;
pub(crate) use path::{check_path, path_of};
use upload::{receive, receive_small};

type Answer = Result<Response, RequestError>;

/// The proxy, below `/api/2.0/mlflow-artifacts`.
pub(crate) fn calls() -> Router<App> {
    let file = get(download).put(upload).delete(delete);
    Router::new()
        .route("/artifacts", get(list))
        .route("/artifacts/", get(list))
        .route("/artifacts/{*path}", file)
        .route("/artifacts.zip", get(get_archive))
        .merge(parts::calls())
}

/// The proxy where it is closed.
pub(crate) fn closed_calls() -> Router<App> {
    let parts = ["artifacts", "artifacts.zip", "mpu", "presigned"];
    parts.into_iter().fold(Router::new(), |table, part| {
        table
            .route(&format!("/{part}"), any(closed))
            .route(&format!("/{part}/"), any(closed))
            .route(&format!("/{part}/{{*path}}"), any(closed))
    })
}

async fn closed(uri: OriginalUri) -> Response {
    let path = uri.0.path();
    let said = format!(
        "Endpoint: {path} disabled due to the mlflow server running with `--no-serve-artifacts`. To enable artifacts server functionality, run `mlflow server` with `--serve-artifacts`"
    );
    (StatusCode::SERVICE_UNAVAILABLE, said).into_response()
}

async fn download(State(app): State<App>, headers: HeaderMap, uri: Uri) -> Answer {
    let path = path_of(&uri, "/artifacts/")?;
    send_path(&app, &app.access.real_path(&path), &path, &headers).await
}

async fn upload(
    State(app): State<App>,
    By(caller): By,
    uri: Uri,
    body: axum::body::Body,
) -> Answer {
    let path = path_of(&uri, "/artifacts/")?;
    let real = app.access.writable_path(&path, &app.tracking).await?;
    receive(&app, &caller, real, body).await?;
    Ok(empty())
}

async fn delete(State(app): State<App>, By(caller): By, uri: Uri) -> Answer {
    let path = path_of(&uri, "/artifacts/")?;
    let real = app.access.writable_path(&path, &app.tracking).await?;
    app.tracking.delete_artifact(&caller, &real).await?;
    Ok(empty())
}

#[derive(Serialize)]
struct Listing<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    root_uri: Option<std::borrow::Cow<'a, str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<FileView<'a>>,
}

async fn list(State(app): State<App>, viewer: Viewer, query: Query) -> Answer {
    let folder = folder_of(query.text("path"))?;
    let real = app.access.real_path(folder);
    let mut entries = app.tracking.list_artifacts(&real).await?;
    if folder.is_empty() {
        entries.retain(|entry| viewer.sees_folder(&entry.name));
    }
    // Above the artifacts of one run or model, names are ids.
    if !folder.split('/').any(|component| component == "artifacts") {
        entries.retain(|entry| !app.access.is_hidden(&entry.name));
        for entry in &mut entries {
            entry.name = app.access.shown_id(&entry.name).into_owned();
        }
    }
    json(&Listing {
        root_uri: None,
        files: views(None, &entries),
    })
}

/// `GET artifacts/list`: the files of a run, by paths below its artifacts.
pub(crate) async fn list_of_run(State(app): State<App>, query: Query) -> Answer {
    let run = app.access.run(query.run_id()?)?;
    let run = app.tracking.get_run(&run).await?.run;
    list_below(&app, &run.artifact_uri, query.text("path")).await
}

/// `GET logged-models/{id}/artifacts/directories`: likewise of a logged model.
pub(crate) async fn list_of_model(
    State(app): State<App>,
    Path(model): Path<String>,
    query: Query,
) -> Answer {
    let model = app.access.model(&model)?;
    let model = app.tracking.get_model(&model).await?.model;
    let folder = query.text("artifact_directory_path");
    list_below(&app, &model.artifact_uri, folder).await
}

async fn list_below(app: &App, uri: &str, folder: Option<&str>) -> Answer {
    let folder = folder_of(folder)?;
    let root = here(uri)?;
    let (whole, shown) = match folder {
        "" => (root.to_owned(), None),
        folder => (format!("{root}/{folder}"), Some(folder)),
    };
    let entries = app.tracking.list_artifacts(&whole).await?;
    json(&Listing {
        root_uri: Some(app.access.shown_uri(uri)),
        files: views(shown, &entries),
    })
}

fn views<'a>(folder: Option<&str>, entries: &'a [ArtifactEntry]) -> Vec<FileView<'a>> {
    let views = entries.iter();
    views.map(|entry| FileView::new(folder, entry)).collect()
}

/// `GET /get-artifact`: a file of a run.
pub(crate) async fn get_of_run(State(app): State<App>, query: Query, headers: HeaderMap) -> Answer {
    let path = query.required("path")?;
    check_path(path)?;
    let run = app.access.run(query.run_id()?)?;
    let run = app.tracking.get_run(&run).await?.run;
    let whole = format!("{}/{path}", here(&run.artifact_uri)?);
    send_path(&app, &whole, path, &headers).await
}

/// `GET /model-versions/get-artifact`: a file of a version in the registry.
pub(crate) async fn get_of_version(
    State(app): State<App>,
    query: Query,
    headers: HeaderMap,
) -> Answer {
    let path = query.required("path")?;
    let (name, version) = (query.required("name")?, query.required("version")?);
    let found = app.registry.get_version(name, version).await?.version;
    get_below(&app, found.download_uri(), path, &headers).await
}

/// MLflow's limit. A larger file is for the proxy.
const LARGEST_OF_PAGE_BYTES: u64 = 10 << 20;

/// `POST upload-artifact`: a small file of a run, as MLflow's page sends it.
pub(crate) async fn upload_of_run(
    State(app): State<App>,
    By(caller): By,
    query: Query,
    body: axum::body::Body,
) -> Answer {
    let given = |name| query.text(name).filter(|text| !text.is_empty());
    let run = given("run_uuid").ok_or(RequestError::Upload { lacks: "run_uuid" })?;
    let path = given("path").ok_or(RequestError::Upload { lacks: "path" })?;
    check_path(path)?;
    let size = body.size_hint();
    if size.exact() == Some(0) {
        return Err(RequestError::Upload { lacks: "data" });
    }
    if size.lower() > LARGEST_OF_PAGE_BYTES {
        return Err(RequestError::LargeUpload);
    }
    let run = app.access.writable_run(run)?;
    let run = app.tracking.get_run(&run).await?.run;
    let whole = format!("{}/{path}", here(&run.artifact_uri)?);
    receive_small(&app, &caller, whole, body, LARGEST_OF_PAGE_BYTES).await?;
    Ok(empty())
}

/// A file below a folder of artifacts, which is given as its URI.
pub(crate) async fn get_below(app: &App, uri: &str, path: &str, headers: &HeaderMap) -> Answer {
    check_path(path)?;
    let whole = format!("{}/{path}", here(uri)?);
    send_path(app, &whole, path, headers).await
}

/// `GET logged-models/{id}/artifacts/files`: a file of a logged model.
pub(crate) async fn get_of_model(
    State(app): State<App>,
    Path(model): Path<String>,
    query: Query,
    headers: HeaderMap,
) -> Answer {
    let path = query.required("artifact_file_path")?;
    check_path(path)?;
    let model = app.access.model(&model)?;
    let model = app.tracking.get_model(&model).await?.model;
    let whole = format!("{}/{path}", here(&model.artifact_uri)?);
    send_path(&app, &whole, path, &headers).await
}

/// Sends the artifact at `path`; messages name it as it was asked for.
async fn send_path(app: &App, path: &str, asked: &str, headers: &HeaderMap) -> Answer {
    if let Some(artifact) = app.tracking.find_artifact(path).await? {
        return send(app, artifact, headers).await;
    }
    let path_asked = asked.to_owned();
    if app.tracking.list_artifacts(path).await?.is_empty() {
        return Err(TrackingError::NoArtifact { path: path_asked }.into());
    }
    Err(RequestError::IsFolder { path: path_asked })
}

/// More files than this are no archive that somebody wants, and their names fill the memory.
const LARGEST_ARCHIVE: usize = 100_000;

/// `GET artifacts.zip`, which MLflow does not have: a folder of a run, of a logged model, or below the proxy, as an
/// archive whose files are in a folder of that name.
async fn get_archive(State(app): State<App>, query: Query) -> Answer {
    let path = folder_of(query.text("path"))?;
    let given = |name| query.text(name).filter(|text| !text.is_empty());
    let run = given("run_id").or(given("run_uuid"));
    let (root, id) = match (run, given("model_id")) {
        (Some(_), Some(_)) => return Err(RequestError::RunAndModel),
        (Some(id), None) => {
            let run = app.access.run(id)?;
            (app.tracking.get_run(&run).await?.run.artifact_uri, id)
        }
        (None, Some(id)) => {
            let model = app.access.model(id)?;
            (app.tracking.get_model(&model).await?.model.artifact_uri, id)
        }
        (None, None) if path.is_empty() => {
            return Err(RequestError::MissingValue {
                field: "path".to_owned(),
            });
        }
        (None, None) => (String::new(), ""),
    };
    let whole = match (root.as_str(), path) {
        ("", path) => app.access.real_path(path).into_owned(),
        (root, "") => here(root)?.to_owned(),
        (root, path) => format!("{}/{path}", here(root)?),
    };
    let files = app.tracking.list_artifacts_below(&whole).await?;
    if files.is_empty() && !path.is_empty() {
        let path = path.to_owned();
        return Err(match app.tracking.find_artifact(&whole).await? {
            Some(_) => RequestError::IsFile { path },
            None => TrackingError::NoArtifact { path }.into(),
        });
    }
    if files.len() > LARGEST_ARCHIVE {
        return Err(RequestError::LargeFolder {
            limit: LARGEST_ARCHIVE,
            found: files.len(),
        });
    }
    // Above the artifacts of one run or model, names are ids.
    let has_ids = root.is_empty() && !path.split('/').any(|component| component == "artifacts");
    let name = path.rsplit('/').next().filter(|name| !name.is_empty());
    let name = name.unwrap_or(id);
    let entries = files.into_iter().filter_map(|file| {
        let below = &file.path[whole.len() + 1..];
        let below = if has_ids {
            shown_below(&app, below)?
        } else {
            below.to_owned()
        };
        Some(Entry {
            name: format!("{name}/{below}"),
            object: file.object,
            size_bytes: file.size_bytes,
        })
    });
    send_archive(&app, name, entries.collect()).await
}

/// A path that begins above the artifacts of runs and models, with its ids as they are shown; none where it is hidden.
fn shown_below(app: &App, path: &str) -> Option<String> {
    let mut is_above = true;
    let shown = path.split('/').map(|component| {
        is_above &= component != "artifacts";
        match component {
            id if is_above && app.access.is_hidden(id) => None,
            id if is_above => Some(app.access.shown_id(id)),
            name => Some(name.into()),
        }
    });
    let shown: Option<Vec<_>> = shown.collect();
    Some(shown?.join("/"))
}

/// A folder of a query; the root where none is given.
fn folder_of(path: Option<&str>) -> Result<&str, RequestError> {
    let folder = path.unwrap_or_default();
    let folder = folder.strip_suffix('/').unwrap_or(folder);
    if !folder.is_empty() {
        check_path(folder)?;
    }
    Ok(folder)
}

/// Where artifacts of that URI are kept here.
fn here(uri: &str) -> Result<&str, RequestError> {
    proxied_path(uri).ok_or_else(|| RequestError::KeptElsewhere {
        uri: uri.to_owned(),
    })
}
