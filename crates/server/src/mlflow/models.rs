//! Calls about logged models.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use entities::{DatasetName, LoggedModelDetail, ModelId, ResourceKind, RunId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::PageRequest;
use tracking::{ArtifactOwner, ModelSearch, NewModel, parse_experiment_id};

use super::experiments::page_limit;
use super::runs::{experiment_ids_of, real_tags};
use crate::app::{App, By};
use crate::error::RequestError;
use crate::sign_on::Viewer;
use crate::wire::{
    Answer, Int64, Json, LoggedModelView, ModelStatusWord, Page, Pair, empty, json, missing, pairs,
    required,
};

/// Models on a page where the request does not say.
const DEFAULT_PAGE: i64 = 50;

#[derive(Deserialize, JsonSchema)]
pub(super) struct Create {
    #[serde(alias = "experimentId")]
    #[schemars(required)]
    experiment_id: Option<String>,
    name: Option<String>,
    #[serde(alias = "modelType")]
    model_type: Option<String>,
    #[serde(alias = "sourceRunId")]
    source_run_id: Option<String>,
    params: Option<Vec<Pair>>,
    tags: Option<Vec<Pair>>,
}

pub(super) async fn create(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<Create>,
) -> Answer<Found<'static>> {
    let Create {
        experiment_id,
        name,
        model_type,
        source_run_id,
        params,
        tags,
    } = request;
    let new = NewModel {
        id: None,
        experiment: parse_experiment_id(&required("experiment_id", experiment_id)?)?,
        name: name.filter(|name| !name.is_empty()),
        source_run: source_run(&app, source_run_id)?,
        model_type: model_type.filter(|word| !word.is_empty()),
        tags: real_tags(&app, pairs("tags", tags)?).collect(),
        params: real_params(&app, params)?,
    };
    let presented = presented_id(&app, new.source_run.as_ref()).await?;
    let model = match app.tracking.create_model(&caller, new).await {
        Ok(model) => model,
        Err(error) => {
            if let Some(captured) = app.access.captured() {
                captured.give_back_model(presented.as_ref());
            }
            return Err(error.into());
        }
    };
    app.access.note_model(&model.id, &model.artifact_uri);
    if let (Some(captured), Some(presented)) = (app.access.captured(), &presented) {
        captured.present(presented.as_str(), model.id.as_str());
    }
    let detail = LoggedModelDetail {
        model,
        metrics: Vec::new(),
    };
    answer(&app, &detail)
}

fn real_params(
    app: &App,
    params: Option<Vec<Pair>>,
) -> Result<BTreeMap<String, String>, RequestError> {
    let params = app.access.real_params(pairs("params", params)?);
    Ok(params.into_iter().collect())
}

/// The run that a model names as its source. At the endpoint of a captured run it is one of that endpoint's, and that
/// run itself where none is named.
fn source_run(app: &App, id: Option<String>) -> Result<Option<RunId>, RequestError> {
    match id.filter(|id| !id.is_empty()) {
        Some(id) => app.access.writable_run(&id).map(Some),
        None => Ok(app.access.captured().map(|captured| captured.id().clone())),
    }
}

/// In a replay: the id under which a new model of a run is shown.
async fn presented_id(app: &App, run: Option<&RunId>) -> Result<Option<ModelId>, RequestError> {
    let (Some(captured), Some(run)) = (app.access.captured(), run) else {
        return Ok(None);
    };
    let Some(origin) = captured.origin_of(run) else {
        return Ok(None);
    };
    let made_then = app.tracking.list_models_of(&origin).await?;
    Ok(captured.next_model(run, &made_then))
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Found<'a> {
    model: LoggedModelView<'a>,
}

fn answer(app: &App, detail: &LoggedModelDetail) -> Answer<Found<'static>> {
    json(&Found {
        model: LoggedModelView::new(detail, &app.access),
    })
}

pub(super) async fn find(State(app): State<App>, Path(id): Path<String>) -> Answer<Found<'static>> {
    let id = app.access.model(&id)?;
    answer(&app, &app.tracking.get_model(&id).await?)
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Finalize {
    #[schemars(required)]
    status: Option<ModelStatusWord>,
}

pub(super) async fn finalize(
    State(app): State<App>,
    By(caller): By,
    Path(id): Path<String>,
    Json(request): Json<Finalize>,
) -> Answer<Found<'static>> {
    let id = app.access.writable_model(&id)?;
    let status = request.status.ok_or_else(|| missing("status"))?.0;
    app.note_artifacts(&ArtifactOwner::Model(id.clone()))
        .await?;
    let finalizing = app.tracking.finalize_model(&caller, &id, status);
    answer(&app, &finalizing.await?)
}

pub(super) async fn delete(
    State(app): State<App>,
    By(caller): By,
    Path(id): Path<String>,
) -> Answer {
    let id = app.access.writable_model(&id)?;
    app.tracking.delete_model(&caller, &id).await?;
    Ok(empty())
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Params {
    params: Option<Vec<Pair>>,
}

pub(super) async fn log_params(
    State(app): State<App>,
    By(caller): By,
    Path(id): Path<String>,
    Json(request): Json<Params>,
) -> Answer {
    let id = app.access.writable_model(&id)?;
    let params = real_params(&app, request.params)?;
    app.tracking.log_model_params(&caller, &id, params).await?;
    Ok(empty())
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Tags {
    tags: Option<Vec<Pair>>,
}

pub(super) async fn set_tags(
    State(app): State<App>,
    By(caller): By,
    Path(id): Path<String>,
    Json(request): Json<Tags>,
) -> Answer {
    let id = app.access.writable_model(&id)?;
    let tags = real_tags(&app, pairs("tags", request.tags)?).collect();
    app.tracking.set_model_tags(&caller, &id, tags).await?;
    Ok(empty())
}

pub(super) async fn delete_tag(
    State(app): State<App>,
    By(caller): By,
    Path((id, key)): Path<(String, String)>,
) -> Answer {
    let id = app.access.writable_model(&id)?;
    app.tracking.delete_model_tag(&caller, &id, &key).await?;
    Ok(empty())
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Search {
    #[serde(alias = "experimentIds")]
    #[schemars(required)]
    experiment_ids: Option<Vec<String>>,
    filter: Option<String>,
    datasets: Option<Vec<DatasetBody>>,
    #[serde(alias = "maxResults")]
    max_results: Option<Int64>,
    #[serde(alias = "orderBy")]
    order_by: Option<Vec<Order>>,
    #[serde(alias = "pageToken")]
    page_token: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct Order {
    #[serde(alias = "fieldName")]
    field_name: Option<String>,
    ascending: Option<bool>,
    #[serde(alias = "datasetName")]
    dataset_name: Option<String>,
    #[serde(alias = "datasetDigest")]
    dataset_digest: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct DatasetBody {
    #[serde(alias = "datasetName")]
    dataset_name: Option<String>,
    #[serde(alias = "datasetDigest")]
    dataset_digest: Option<String>,
}

impl DatasetBody {
    fn read(self) -> Result<DatasetName, RequestError> {
        dataset_of(self.dataset_name, self.dataset_digest).ok_or(RequestError::UnnamedDataset)
    }
}

/// None without a name; an empty text is none, as in protobuf.
fn dataset_of(name: Option<String>, digest: Option<String>) -> Option<DatasetName> {
    let told = |text: Option<String>| text.filter(|text| !text.is_empty());
    Some(DatasetName {
        name: told(name)?,
        digest: told(digest),
    })
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Items<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    models: Vec<LoggedModelView<'a>>,
}

pub(super) async fn search(
    State(app): State<App>,
    viewer: Viewer,
    Json(request): Json<Search>,
) -> Answer<Page<Items<'static>>> {
    let Search {
        experiment_ids,
        filter,
        datasets,
        max_results,
        order_by,
        page_token,
    } = request;
    let experiments = experiment_ids.ok_or_else(|| missing("experiment_ids"))?;
    let mut experiments = experiment_ids_of(Some(experiments))?;
    experiments.retain(|id| viewer.sees_inside(ResourceKind::LoggedModel, id));
    let datasets = datasets.unwrap_or_default().into_iter();
    let order_by = order_by.unwrap_or_default().into_iter();
    let filter = filter.unwrap_or_default();
    let search = ModelSearch {
        filter: app.access.real_filter(&filter).into_owned(),
        datasets: datasets.map(DatasetBody::read).collect::<Result<_, _>>()?,
        order_by: order_by.map(order_of).collect::<Result<_, _>>()?,
    };
    if experiments.is_empty() {
        return json(&Page {
            items: Items { models: Vec::new() },
            next_page_token: None,
        });
    }
    let limit = max_results.map(|limit| limit.0).filter(|limit| *limit != 0);
    let page = PageRequest {
        limit: page_limit(limit.unwrap_or(DEFAULT_PAGE)),
        token: page_token.filter(|token| !token.is_empty()),
    };
    let searching = app.tracking.search_models(&experiments, &search, &page);
    let mut found = searching.await?;
    found
        .items
        .retain(|detail| !app.access.is_hidden(detail.model.id.as_str()));
    let views = found.items.iter();
    json(&Page {
        items: Items {
            models: views
                .map(|detail| LoggedModelView::new(detail, &app.access))
                .collect(),
        },
        next_page_token: found.next,
    })
}

/// An order as the grammar has it, and the dataset that it speaks of. The field comes as it is, its key without quotes.
fn order_of(order: Order) -> Result<(String, Option<DatasetName>), RequestError> {
    let Order {
        field_name,
        ascending,
        dataset_name,
        dataset_digest,
    } = order;
    let dataset = dataset_of(dataset_name, dataset_digest);
    let field = required("order_by.field_name", field_name)?;
    let direction = match ascending {
        Some(false) => "DESC",
        _ => "ASC",
    };
    let clause = match field.split_once('.') {
        Some((entity, key)) if !key.contains('`') => format!("{entity}.`{key}` {direction}"),
        _ => format!("{field} {direction}"),
    };
    Ok((clause, dataset))
}
