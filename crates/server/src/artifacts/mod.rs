//! Artifacts: MLflow's proxy, and the files of runs and logged models.

mod archive;
mod described;
mod download;
mod media;
mod parts;
mod path;
mod place;
mod range;
mod upload;

use axum::Router;
use axum::body::HttpBody as _;
use axum::extract::{OriginalUri, Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use entities::ArtifactEntry;
use locations::{Entry, Found};
use schemars::JsonSchema;
use serde::Serialize;
use tracking::{ArtifactOwner, TrackingError};

use crate::app::{App, By};
use crate::error::RequestError;
use crate::sign_on::Viewer;
use crate::wire::{Answer, AnyFile, Archive, FileView, Query, Sent, empty, json, read_body_within};
use archive::{Archived, Source, send_archive};
pub(crate) use described::{described, described_urls};
use download::{send, send_located};
pub(crate) use parts::url_calls;
pub(crate) use path::{check_path, path_of};
pub(crate) use place::Place;
use place::{Files, Listed, Standing, Target, blocking};
use upload::{receive, receive_small};

/// A file, as it is or as it was.
pub(crate) type File = Result<Sent<AnyFile>, RequestError>;

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

async fn download(State(app): State<App>, headers: HeaderMap, uri: Uri) -> File {
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
    match app.tracking.delete_artifact(&caller, &real).await {
        // Deleting again what is gone is no fault, as in MLflow.
        Ok(()) | Err(TrackingError::NoArtifact { .. }) => Ok(empty()),
        Err(error) => Err(error.into()),
    }
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Listing<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    root_uri: Option<std::borrow::Cow<'a, str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<FileView<'a>>,
}

async fn list(State(app): State<App>, viewer: Viewer, query: Query) -> Answer<Listing<'static>> {
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
pub(crate) async fn list_of_run(State(app): State<App>, query: Query) -> Answer<Listing<'static>> {
    let run = app.access.run(query.run_id()?)?;
    let run = app.tracking.get_run(&run).await?.run;
    list_place(&app, &Place::of_run(&app, &run), query.text("path")).await
}

/// `GET logged-models/{id}/artifacts/directories`: likewise of a logged model.
pub(crate) async fn list_of_model(
    State(app): State<App>,
    Path(model): Path<String>,
    query: Query,
) -> Answer<Listing<'static>> {
    let model = app.access.model(&model)?;
    let model = app.tracking.get_model(&model).await?.model;
    let folder = query.text("artifact_directory_path");
    list_place(&app, &Place::of_model(&app, &model), folder).await
}

async fn list_place(app: &App, place: &Place, folder: Option<&str>) -> Answer<Listing<'static>> {
    let folder = folder_of(folder)?;
    let shown = Some(folder).filter(|folder| !folder.is_empty());
    let listed = place.list(app, folder).await?;
    json(&Listing {
        root_uri: Some(app.access.shown_uri(&place.uri)),
        files: match &listed {
            Listed::Kept(entries) => views(shown, entries),
            Listed::Located(entries) => located_views(shown, entries),
        },
    })
}

fn views<'a>(folder: Option<&str>, entries: &'a [ArtifactEntry]) -> Vec<FileView<'a>> {
    let views = entries.iter();
    views.map(|entry| FileView::new(folder, entry)).collect()
}

fn located_views<'a>(folder: Option<&str>, entries: &'a [Entry]) -> Vec<FileView<'a>> {
    let views = entries.iter();
    views
        .map(|entry| FileView::of(folder, &entry.name, entry.size_bytes))
        .collect()
}

/// `GET /get-artifact`: a file of a run.
pub(crate) async fn get_of_run(State(app): State<App>, query: Query, headers: HeaderMap) -> File {
    let path = query.required("path")?;
    check_path(path)?;
    let run = app.access.run(query.run_id()?)?;
    let run = app.tracking.get_run(&run).await?.run;
    send_from(&app, &Place::of_run(&app, &run), path, &headers).await
}

/// `GET /model-versions/get-artifact`: a file of a version.
pub(crate) async fn get_of_version(
    State(app): State<App>,
    query: Query,
    headers: HeaderMap,
) -> File {
    let path = query.required("path")?;
    check_path(path)?;
    let (name, version) = (query.required("name")?, query.required("version")?);
    let version = app.registry.get_version(name, version).await?.version;
    let place = Place::of_version(&app, &version).await?;
    send_from(&app, &place, path, &headers).await
}

/// `GET logged-models/{id}/artifacts/files`: a file of a logged model.
pub(crate) async fn get_of_model(
    State(app): State<App>,
    Path(model): Path<String>,
    query: Query,
    headers: HeaderMap,
) -> File {
    let path = query.required("artifact_file_path")?;
    check_path(path)?;
    let model = app.access.model(&model)?;
    let model = app.tracking.get_model(&model).await?.model;
    send_from(&app, &Place::of_model(&app, &model), path, &headers).await
}

/// Sends a file of a place, wherever that is.
pub(crate) async fn send_from(app: &App, place: &Place, path: &str, headers: &HeaderMap) -> File {
    check_path(path)?;
    let asked = || path.to_owned();
    match place.find(app, path).await? {
        Standing::Kept(artifact) => send(app, artifact, headers).await,
        Standing::Located(file) => send_located(app, path, file, headers).await,
        Standing::Folder => Err(RequestError::IsFolder { path: asked() }),
        Standing::Nothing => Err(TrackingError::NoArtifact { path: asked() }.into()),
    }
}

/// MLflow's limit. A larger file is for the proxy.
const LARGEST_OF_PAGE_BYTES: u64 = 10 << 20;

/// `POST upload-artifact`: a small file of a run, as MLflow's page sends it, wherever the run's artifacts are.
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
    match Place::of_run(&app, &run).target(path)? {
        Target::Kept(path) => {
            let path = app.access.writable_path(&path, &app.tracking).await?;
            receive_small(&app, &caller, path, body, LARGEST_OF_PAGE_BYTES).await?;
        }
        Target::Located(location, path) => {
            let content = read_body_within(body, LARGEST_OF_PAGE_BYTES as usize).await?;
            let content = content.ok_or(RequestError::LargeUpload)?;
            app.figures.received.inc_by(content.len() as u64);
            let writing = blocking(&location, move |location| {
                location.write(&path, &mut content.as_ref())
            });
            writing.await?;
            app.note_artifacts(&ArtifactOwner::Run(run.id)).await?;
        }
    }
    Ok(empty())
}

/// Sends the artifact at `path`; messages name it as it was asked for.
async fn send_path(app: &App, path: &str, asked: &str, headers: &HeaderMap) -> File {
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
async fn get_archive(State(app): State<App>, query: Query) -> Result<Sent<Archive>, RequestError> {
    let path = folder_of(query.text("path"))?;
    let given = |name| query.text(name).filter(|text| !text.is_empty());
    let run = given("run_id").or(given("run_uuid"));
    let (place, id) = match (run, given("model_id")) {
        (Some(_), Some(_)) => return Err(RequestError::RunAndModel),
        (Some(id), None) => {
            let run = app.access.run(id)?;
            let run = app.tracking.get_run(&run).await?.run;
            (Some(Place::of_run(&app, &run)), id)
        }
        (None, Some(id)) => {
            let model = app.access.model(id)?;
            let model = app.tracking.get_model(&model).await?.model;
            (Some(Place::of_model(&app, &model)), id)
        }
        (None, None) if path.is_empty() => {
            return Err(RequestError::MissingValue {
                field: "path".to_owned(),
            });
        }
        (None, None) => (None, ""),
    };
    let name = path.rsplit('/').next().filter(|name| !name.is_empty());
    let name = name.unwrap_or(id);
    let files = if let Some(place) = &place {
        place.walk(&app, path).await?
    } else {
        let whole = app.access.real_path(path).into_owned();
        Files::Kept(app.tracking.list_artifacts_below(&whole).await?, whole)
    };
    match files {
        Files::Kept(files, whole) => {
            if files.is_empty() && !path.is_empty() {
                let path = path.to_owned();
                return Err(match app.tracking.find_artifact(&whole).await? {
                    Some(_) => RequestError::IsFile { path },
                    None => TrackingError::NoArtifact { path }.into(),
                });
            }
            check_count(files.len())?;
            // Above the artifacts of one run or model, names are ids.
            let has_ids =
                place.is_none() && !path.split('/').any(|component| component == "artifacts");
            let entries = files.into_iter().filter_map(|file| {
                let below = &file.path[whole.len() + 1..];
                let below = if has_ids {
                    shown_below(&app, below)?
                } else {
                    below.to_owned()
                };
                Some(Archived {
                    name: format!("{name}/{below}"),
                    source: Source::Kept(file.object),
                    size_bytes: file.size_bytes,
                })
            });
            send_archive(&app, name, entries.collect()).await
        }
        Files::Located(location, walk, prefix) => {
            if walk.files.is_empty() && !path.is_empty() {
                let asked = path.to_owned();
                let standing = blocking(&location, move |location| location.open(&prefix));
                return match standing.await? {
                    Found::File(_) => Err(RequestError::IsFile { path: asked }),
                    Found::Folder => send_archive(&app, name, Vec::new()).await,
                    Found::Nothing => Err(TrackingError::NoArtifact { path: asked }.into()),
                };
            }
            let entries = walk.files.into_iter().map(|file| {
                let below = file.path.strip_prefix(&prefix).unwrap_or(&file.path);
                Archived {
                    name: format!("{name}/{}", below.trim_start_matches('/')),
                    size_bytes: file.size_bytes,
                    source: Source::Located(std::sync::Arc::clone(&location), file.path),
                }
            });
            send_archive(&app, name, entries.collect()).await
        }
    }
}

fn check_count(found: usize) -> Result<(), RequestError> {
    if found > LARGEST_ARCHIVE {
        return Err(RequestError::LargeFolder {
            limit: LARGEST_ARCHIVE,
            found,
        });
    }
    Ok(())
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
