//! Calls about registered models and their aliases.
//!
//! In a replay the registry stays as it is: what the origin registered is shown again, and what it changed is answered
//! as if it were changed.

use axum::extract::State;
use entities::{RegisteredModel, RegisteredModelDetail};
use registry::NewRegisteredModel;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::PageRequest;

use super::experiments::page_limit;
use super::model_versions::{FoundVersion, version_answer};
use super::runs::real_tags;
use crate::app::{App, By};
use crate::error::RequestError;
use crate::sign_on::{Filling, Viewer};
use crate::wire::{
    Answer, Json, ModelVersionView, Page, Pair, Query, RegisteredModelView, empty, json, pairs,
    required,
};

/// Registered models on a page where the request does not say.
const DEFAULT_PAGE: i64 = 100;

#[derive(Deserialize, JsonSchema)]
pub(super) struct Create {
    #[schemars(required)]
    name: Option<String>,
    tags: Option<Vec<Pair>>,
    description: Option<String>,
}

pub(super) async fn create(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<Create>,
) -> Answer<Found<'static>> {
    let new = NewRegisteredModel {
        name: required("name", request.name)?,
        description: request.description,
        tags: real_tags(&app, pairs("tags", request.tags)?).collect(),
    };
    if app.access.replayed().is_some() {
        return answer(&app, &as_created(&app, new).await?);
    }
    let created = app.registry.create_model(&caller, new).await?;
    if let Some(captured) = app.access.captured() {
        captured.note_registered(&created.model.name);
    }
    answer(&app, &created)
}

/// What a replay is told that it registered.
async fn as_created(
    app: &App,
    new: NewRegisteredModel,
) -> Result<RegisteredModelDetail, RequestError> {
    if let Ok(found) = app.registry.get_model(&new.name).await {
        return Ok(found);
    }
    let at = app.tracking.clock().now();
    Ok(RegisteredModelDetail {
        model: RegisteredModel {
            name: new.name,
            description: new.description,
            created_at: at,
            updated_at: at,
            tags: new.tags,
        },
        aliases: std::collections::BTreeMap::new(),
        latest: Vec::new(),
    })
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Found<'a> {
    registered_model: RegisteredModelView<'a>,
}

fn answer(app: &App, detail: &RegisteredModelDetail) -> Answer<Found<'static>> {
    json(&Found {
        registered_model: RegisteredModelView::new(detail, &app.access),
    })
}

pub(super) async fn find(State(app): State<App>, query: Query) -> Answer<Found<'static>> {
    let name = query.required("name")?;
    answer(&app, &app.registry.get_model(name).await?)
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Update {
    #[schemars(required)]
    name: Option<String>,
    description: Option<String>,
}

pub(super) async fn update(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<Update>,
) -> Answer<Found<'static>> {
    let name = required("name", request.name)?;
    if app.access.replayed().is_some() {
        return answer(&app, &app.registry.get_model(&name).await?);
    }
    app.access.check_registered(&name)?;
    let description = Some(request.description.unwrap_or_default());
    let describing = app.registry.describe_model(&caller, &name, description);
    answer(&app, &describing.await?)
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Rename {
    #[schemars(required)]
    name: Option<String>,
    #[serde(alias = "newName")]
    #[schemars(required)]
    new_name: Option<String>,
}

pub(super) async fn rename(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<Rename>,
) -> Answer<Found<'static>> {
    let name = required("name", request.name)?;
    let new_name = required("new_name", request.new_name)?;
    if app.access.replayed().is_some() {
        let found = match app.registry.get_model(&new_name).await {
            Ok(found) => found,
            Err(_) => app.registry.get_model(&name).await?,
        };
        return answer(&app, &found);
    }
    app.access.check_registered(&name)?;
    let renamed = app.registry.rename_model(&caller, &name, &new_name).await?;
    if let Some(captured) = app.access.captured() {
        captured.note_registered(&new_name);
    }
    answer(&app, &renamed)
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct One {
    #[schemars(required)]
    name: Option<String>,
}

pub(super) async fn delete(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<One>,
) -> Answer {
    let name = required("name", request.name)?;
    if app.access.replayed().is_none() {
        app.access.check_registered(&name)?;
        app.registry.delete_model(&caller, &name).await?;
    }
    Ok(empty())
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Items<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    registered_models: Vec<RegisteredModelView<'a>>,
}

pub(super) async fn search(
    State(app): State<App>,
    viewer: Viewer,
    query: Query,
) -> Answer<Page<Items<'static>>> {
    let page = page_of(&query, DEFAULT_PAGE)?;
    let order_by: Vec<&str> = query.list("order_by").collect();
    let filter = query.text("filter").unwrap_or_default();
    let mut filling = Filling::new(page);
    while let Some(page) = filling.wanted() {
        let found = app.registry.search_models(filter, &order_by, &page).await?;
        let seen = found.items.iter();
        let seen = seen.map(|detail| viewer.sees_registered(&detail.model));
        let seen: Vec<_> = seen.collect();
        filling.take(found, &seen);
    }
    let found = filling.filled();
    let views = found.items.iter();
    json(&Page {
        items: Items {
            registered_models: views
                .map(|detail| RegisteredModelView::new(detail, &app.access))
                .collect(),
        },
        next_page_token: found.next,
    })
}

/// The page that a query asks for.
pub(super) fn page_of(query: &Query, default: i64) -> Result<PageRequest, RequestError> {
    let token = query.text("page_token").filter(|token| !token.is_empty());
    Ok(PageRequest {
        limit: page_limit(query.integer("max_results")?.unwrap_or(default)),
        token: token.map(str::to_owned),
    })
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Latest {
    #[schemars(required)]
    name: Option<String>,
    stages: Option<Vec<String>>,
}

pub(super) async fn latest_versions(
    State(app): State<App>,
    Json(request): Json<Latest>,
) -> Answer<Versions<'static>> {
    let name = required("name", request.name)?;
    let stages = request.stages.unwrap_or_default();
    find_latest(&app, &name, &stages).await
}

pub(super) async fn latest_versions_by_query(
    State(app): State<App>,
    query: Query,
) -> Answer<Versions<'static>> {
    let name = query.required("name")?;
    let stages: Vec<_> = query.list("stages").map(str::to_owned).collect();
    find_latest(&app, name, &stages).await
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Versions<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    model_versions: Vec<ModelVersionView<'a>>,
}

async fn find_latest(app: &App, name: &str, stages: &[String]) -> Answer<Versions<'static>> {
    let stages: Vec<&str> = stages.iter().map(String::as_str).collect();
    let found = app.registry.latest_versions(name, &stages).await?;
    let views = found.iter();
    json(&Versions {
        model_versions: views
            .map(|detail| ModelVersionView::of(detail, &app.access))
            .collect(),
    })
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Tag {
    #[schemars(required)]
    name: Option<String>,
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
    let key = required("key", request.key)?;
    let value = request.value.unwrap_or_default();
    if app.access.replayed().is_none() {
        app.access.check_registered(&name)?;
        let value = app.access.real_tag(&key, value);
        let set = app.registry.set_model_tag(&caller, &name, &key, &value);
        set.await?;
    }
    Ok(empty())
}

pub(super) async fn delete_tag(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<Tag>,
) -> Answer {
    let name = required("name", request.name)?;
    let key = required("key", request.key)?;
    if app.access.replayed().is_none() {
        app.access.check_registered(&name)?;
        app.registry.delete_model_tag(&caller, &name, &key).await?;
    }
    Ok(empty())
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct AliasOf {
    #[schemars(required)]
    name: Option<String>,
    #[schemars(required)]
    alias: Option<String>,
    version: Option<String>,
}

pub(super) async fn set_alias(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<AliasOf>,
) -> Answer {
    let name = required("name", request.name)?;
    let alias = required("alias", request.alias)?;
    let version = required("version", request.version)?;
    if app.access.replayed().is_none() {
        // It is the version that is put forward; the alias may have pointed elsewhere before.
        app.access.check_version(&name, &version)?;
        let setting = app.registry.set_alias(&caller, &name, &alias, &version);
        setting.await?;
    }
    Ok(empty())
}

pub(super) async fn delete_alias(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<AliasOf>,
) -> Answer {
    let name = required("name", request.name)?;
    let alias = required("alias", request.alias)?;
    if app.access.replayed().is_none() {
        app.access.check_registered(&name)?;
        app.registry.delete_alias(&caller, &name, &alias).await?;
    }
    Ok(empty())
}

pub(super) async fn find_by_alias(
    State(app): State<App>,
    query: Query,
) -> Answer<FoundVersion<'static>> {
    let (name, alias) = (query.required("name")?, query.required("alias")?);
    version_answer(&app, &app.registry.get_by_alias(name, alias).await?)
}
