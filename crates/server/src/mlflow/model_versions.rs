//! Calls about versions of registered models.

use std::borrow::Cow;
use std::collections::BTreeSet;

use axum::extract::State;
use entities::{ModelVersion, ModelVersionDetail, Run, RunId};
use registry::NewModelVersion;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracking::ArtifactOwner;

use super::registered_models::page_of;
use super::runs::real_tags;
use crate::app::{App, By};
use crate::error::RequestError;
use crate::sign_on::{Filling, Viewer};
use crate::wire::{
    Answer, Json, ModelVersionView, Page, Pair, Query, empty, json, pairs, required,
};

/// Versions on a page where the request does not say.
const DEFAULT_PAGE: i64 = 10_000;

#[derive(Deserialize, JsonSchema)]
pub(super) struct Create {
    #[schemars(required)]
    name: Option<String>,
    #[schemars(required)]
    source: Option<String>,
    #[serde(alias = "runId")]
    run_id: Option<String>,
    tags: Option<Vec<Pair>>,
    #[serde(alias = "runLink")]
    run_link: Option<String>,
    description: Option<String>,
    #[serde(alias = "modelId")]
    model_id: Option<String>,
}

pub(super) async fn create(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<Create>,
) -> Answer<FoundVersion<'static>> {
    let Create {
        name,
        source,
        run_id,
        tags,
        run_link,
        description,
        model_id,
    } = request;
    let name = required("name", name)?;
    let source = required("source", source)?;
    let access = &app.access;
    let real = |id: Option<String>| id.map(|id| access.real_id(&id).into_owned());
    let mut new = NewModelVersion {
        source: access.real_source(&source).into_owned(),
        run: real(run_id),
        logged_model: real(model_id),
        run_link: run_link.filter(|link| !link.is_empty()),
        // MLflow keeps the empty text where none is given.
        description: Some(description.unwrap_or_default()),
        tags: real_tags(&app, pairs("tags", tags)?).collect(),
        name,
        lacks_files: false,
    };
    if let Some(origin) = access.replayed() {
        let name = &new.name;
        return version_answer(&app, &find_of_origin(&app, name, &origin).await?);
    }
    check_origin(&app, &new)?;
    new.lacks_files = !take_over_files(&app, &new).await?;
    let created = app.registry.create_version(&caller, new).await?;
    if let Some(captured) = access.captured() {
        captured.note_version(&created.version.name, created.version.version);
    }
    version_answer(&app, &created)
}

/// A captured run registers what is its own.
fn check_origin(app: &App, new: &NewModelVersion) -> Result<(), RequestError> {
    let given = |id: &Option<String>| id.clone().filter(|id| !id.is_empty());
    if let Some(run) = given(&new.run) {
        app.access.writable_run(&run)?;
    }
    if let Some(model) = given(&new.logged_model) {
        app.access.writable_model(&model)?;
    }
    Ok(())
}

/// What clients wrote by themselves is taken over first, so that the version is tied to the bytes of its files; false
/// where that is not done.
async fn take_over_files(app: &App, new: &NewModelVersion) -> Result<bool, RequestError> {
    let given = |id: &Option<String>| id.clone().filter(|id| !id.is_empty());
    // What names no run or model is refused afterwards.
    let model = given(&new.logged_model).and_then(|id| id.parse().ok());
    let run = given(&new.run).and_then(|id| id.parse().ok());
    match (model, run) {
        (Some(model), _) => app.take_over_artifacts(&ArtifactOwner::Model(model)).await,
        // What is a version already was taken over then.
        (None, Some(run)) if !new.source.starts_with("models:") => {
            app.take_over_artifacts(&ArtifactOwner::Run(run)).await
        }
        _ => Ok(true),
    }
}

/// The version that the origin of a replay registered when it came to this point.
async fn find_of_origin(
    app: &App,
    name: &str,
    origin: &RunId,
) -> Result<ModelVersionDetail, RequestError> {
    let run = app.tracking.get_run(origin).await?.run;
    // A prompt has no run, and what others registered under the name before and after is not the origin's.
    let is_of_then = |version: &ModelVersion| {
        let is_before_end = run.ended_at.is_none_or(|ended| version.created_at <= ended);
        version.created_at >= run.started_at && is_before_end
    };
    let mut of_origin = Vec::new();
    for found in app.registry.list_versions(name).await? {
        if is_of_then(&found.version)
            && is_made_inside(app, found.version.run.as_ref(), &run).await?
        {
            of_origin.push(found);
        }
    }
    let place = app
        .access
        .captured()
        .map_or(0, |captured| captured.next_version(name));
    let then = of_origin.into_iter().nth(place);
    then.ok_or_else(|| RequestError::NotRegisteredThen {
        name: name.to_owned(),
    })
}

/// Whether a version's run is that one, or a run inside it. One without a run may be of any.
async fn is_made_inside(app: &App, run: Option<&RunId>, outer: &Run) -> Result<bool, RequestError> {
    let Some(run) = run else { return Ok(true) };
    let mut run = Some(run.clone());
    let mut seen = BTreeSet::new();
    while let Some(inner) = run {
        if inner == outer.id {
            return Ok(true);
        }
        // Clients may have tied runs into a ring.
        if !seen.insert(inner.clone()) {
            break;
        }
        let found = app.tracking.store().find_run(&inner).await;
        let found = found.map_err(tracking::TrackingError::from)?;
        run = found.and_then(|run| run.parent);
    }
    Ok(false)
}

#[derive(Serialize, JsonSchema)]
pub(super) struct FoundVersion<'a> {
    model_version: ModelVersionView<'a>,
}

pub(super) fn version_answer(
    app: &App,
    detail: &ModelVersionDetail,
) -> Answer<FoundVersion<'static>> {
    json(&FoundVersion {
        model_version: ModelVersionView::of(detail, &app.access),
    })
}

pub(super) async fn find(State(app): State<App>, query: Query) -> Answer<FoundVersion<'static>> {
    let (name, version) = (query.required("name")?, query.required("version")?);
    version_answer(&app, &app.registry.get_version(name, version).await?)
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Uri<'a> {
    artifact_uri: Cow<'a, str>,
}

pub(super) async fn find_download_uri(
    State(app): State<App>,
    query: Query,
) -> Answer<Uri<'static>> {
    let (name, version) = (query.required("name")?, query.required("version")?);
    let found = app.registry.get_version(name, version).await?.version;
    json(&Uri {
        artifact_uri: app.access.shown_uri(found.download_uri()),
    })
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Update {
    #[schemars(required)]
    name: Option<String>,
    #[schemars(required)]
    version: Option<String>,
    description: Option<String>,
}

pub(super) async fn update(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<Update>,
) -> Answer<FoundVersion<'static>> {
    let name = required("name", request.name)?;
    let version = required("version", request.version)?;
    if app.access.replayed().is_some() {
        return version_answer(&app, &app.registry.get_version(&name, &version).await?);
    }
    app.access.check_version(&name, &version)?;
    let describing = app
        .registry
        .describe_version(&caller, &name, &version, request.description);
    version_answer(&app, &describing.await?)
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Transition {
    #[schemars(required)]
    name: Option<String>,
    #[schemars(required)]
    version: Option<String>,
    #[schemars(required)]
    stage: Option<String>,
    #[serde(alias = "archiveExistingVersions")]
    archive_existing_versions: Option<bool>,
}

pub(super) async fn transition(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<Transition>,
) -> Answer<FoundVersion<'static>> {
    let name = required("name", request.name)?;
    let version = required("version", request.version)?;
    let stage = required("stage", request.stage)?;
    let archives_others = request.archive_existing_versions.unwrap_or(false);
    if app.access.replayed().is_some() {
        return version_answer(&app, &app.registry.get_version(&name, &version).await?);
    }
    app.access.check_version(&name, &version)?;
    let moving = app
        .registry
        .set_stage(&caller, &name, &version, &stage, archives_others);
    version_answer(&app, &moving.await?)
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct One {
    #[schemars(required)]
    name: Option<String>,
    #[schemars(required)]
    version: Option<String>,
}

pub(super) async fn delete(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<One>,
) -> Answer {
    let name = required("name", request.name)?;
    let version = required("version", request.version)?;
    if app.access.replayed().is_none() {
        app.access.check_version(&name, &version)?;
        let deleting = app.registry.delete_version(&caller, &name, &version);
        deleting.await?;
    }
    Ok(empty())
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Items<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    model_versions: Vec<ModelVersionView<'a>>,
}

pub(super) async fn search(
    State(app): State<App>,
    viewer: Viewer,
    query: Query,
) -> Answer<Page<Items<'static>>> {
    let page = page_of(&query, DEFAULT_PAGE)?;
    let order_by: Vec<&str> = query.list("order_by").collect();
    let filter = query.text("filter").unwrap_or_default();
    let filter = app.access.real_filter(filter);
    let mut filling = Filling::new(page);
    while let Some(page) = filling.wanted() {
        let searching = app.registry.search_versions(&filter, &order_by, &page);
        let found = searching.await?;
        let seen = seen_versions(&app, &viewer, &found.items).await?;
        filling.take(found, &seen);
    }
    let found = filling.filled();
    let views = found.items.iter();
    json(&Page {
        items: Items {
            model_versions: views
                .map(|detail| ModelVersionView::of(detail, &app.access))
                .collect(),
        },
        next_page_token: found.next,
    })
}

/// Which versions may be seen: those of registered models that may be.
async fn seen_versions(
    app: &App,
    viewer: &Viewer,
    found: &[ModelVersionDetail],
) -> Result<Vec<bool>, RequestError> {
    if viewer.sees_all() {
        return Ok(vec![true; found.len()]);
    }
    let names: Vec<_> = found
        .iter()
        .map(|detail| detail.version.name.as_str())
        .collect();
    let seen = viewer.seen_names(app, &names).await?;
    let each = names.into_iter();
    Ok(each.map(|name| seen.get(name) == Some(&true)).collect())
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Tag {
    #[schemars(required)]
    name: Option<String>,
    #[schemars(required)]
    version: Option<String>,
    #[schemars(required)]
    key: Option<String>,
    value: Option<String>,
}

pub(super) async fn set_tag(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<Tag>,
) -> Answer {
    let name = required("name", request.name)?;
    let version = required("version", request.version)?;
    let key = required("key", request.key)?;
    let value = request.value.unwrap_or_default();
    if app.access.replayed().is_none() {
        app.access.check_version(&name, &version)?;
        let value = app.access.real_tag(&key, value);
        let tag = (key.as_str(), value.as_str());
        let setting = app.registry.set_version_tag(&caller, &name, &version, tag);
        setting.await?;
    }
    Ok(empty())
}

pub(super) async fn delete_tag(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<Tag>,
) -> Answer {
    let name = required("name", request.name)?;
    let version = required("version", request.version)?;
    let key = required("key", request.key)?;
    if app.access.replayed().is_none() {
        app.access.check_version(&name, &version)?;
        let deleting = app
            .registry
            .delete_version_tag(&caller, &name, &version, &key);
        deleting.await?;
    }
    Ok(empty())
}
