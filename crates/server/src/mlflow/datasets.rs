//! Calls about evaluation datasets and their records.

use axum::extract::{Path, State};
use datasets::{NewDataset, parse_dataset_id, parse_records, parse_tags};
use entities::{EvaluationDataset, ExperimentId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::PageRequest;

use super::experiments::page_limit;
use super::runs::{experiment_ids_of, real_tags};
use crate::app::{App, By};
use crate::error::RequestError;
use crate::wire::{
    Answer, DatasetRecordView, EvaluationDatasetView, Int64, Json, Page, Query, empty, json,
    required,
};

/// Datasets on a page where the request does not say, and records likewise.
const DEFAULT_PAGE: i64 = 1000;

#[derive(Deserialize, JsonSchema)]
pub(super) struct Create {
    #[schemars(required)]
    name: Option<String>,
    #[serde(alias = "experimentIds")]
    experiment_ids: Option<Vec<String>>,
    tags: Option<String>,
}

pub(super) async fn create(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<Create>,
) -> Answer<Found<'static>> {
    let tags = request.tags.filter(|tags| !tags.is_empty());
    let tags = tags.as_deref().map(parse_tags).transpose()?;
    let new = NewDataset {
        name: required("name", request.name)?,
        tags: real_tags(&app, tags.unwrap_or_default()).collect(),
        experiments: experiment_ids_of(request.experiment_ids)?,
    };
    let experiments = new.experiments.clone();
    let created = app.datasets.create_dataset(&caller, new).await?;
    app.access.note_dataset(&created.id);
    answer(&created, &experiments)
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Found<'a> {
    dataset: EvaluationDatasetView<'a>,
}

fn answer(dataset: &EvaluationDataset, experiments: &[ExperimentId]) -> Answer<Found<'static>> {
    json(&Found {
        dataset: EvaluationDatasetView::new(dataset, experiments),
    })
}

pub(super) async fn find(State(app): State<App>, Path(id): Path<String>) -> Answer<Found<'static>> {
    let id = parse_dataset_id(&id)?;
    answer(&app.datasets.get_dataset(&id).await?, &[])
}

/// What is not there is deleted already.
pub(super) async fn delete(
    State(app): State<App>,
    By(caller): By,
    Path(id): Path<String>,
) -> Answer {
    let id = app.access.writable_dataset(&id)?;
    app.datasets.delete_dataset(&caller, &id).await?;
    Ok(empty())
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Search {
    #[serde(alias = "experimentIds")]
    experiment_ids: Option<Vec<String>>,
    #[serde(alias = "filterString")]
    filter_string: Option<String>,
    #[serde(alias = "maxResults")]
    max_results: Option<Int64>,
    #[serde(alias = "orderBy")]
    order_by: Option<Vec<String>>,
    #[serde(alias = "pageToken")]
    page_token: Option<String>,
}

pub(super) async fn search(
    State(app): State<App>,
    Json(request): Json<Search>,
) -> Answer<Page<Items<'static>>> {
    find_all(&app, request).await
}

pub(super) async fn search_by_query(
    State(app): State<App>,
    query: Query,
) -> Answer<Page<Items<'static>>> {
    let list = |name: &str| Some(query.list(name).map(str::to_owned).collect());
    let request = Search {
        experiment_ids: list("experiment_ids"),
        filter_string: query.text("filter_string").map(str::to_owned),
        max_results: query.integer("max_results")?.map(Int64),
        order_by: list("order_by"),
        page_token: query.text("page_token").map(str::to_owned),
    };
    find_all(&app, request).await
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Items<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    datasets: Vec<EvaluationDatasetView<'a>>,
}

async fn find_all(app: &App, request: Search) -> Answer<Page<Items<'static>>> {
    let Search {
        experiment_ids,
        filter_string,
        max_results,
        order_by,
        page_token,
    } = request;
    let experiments = experiment_ids_of(experiment_ids)?;
    let filter = filter_string.unwrap_or_default();
    let filter = app.access.real_filter(&filter);
    let order_by = order_by.unwrap_or_default();
    let order_by: Vec<&str> = order_by.iter().map(String::as_str).collect();
    let page = PageRequest {
        limit: page_limit(max_results.map_or(DEFAULT_PAGE, |limit| limit.0)),
        token: page_token.filter(|token| !token.is_empty()),
    };
    let searching = app
        .datasets
        .search_datasets(&experiments, &filter, &order_by, &page);
    let found = searching.await?;
    let views = found.items.iter();
    json(&Page {
        items: Items {
            datasets: views
                .map(|dataset| EvaluationDatasetView::new(dataset, &[]))
                .collect(),
        },
        next_page_token: found.next.clone(),
    })
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Tags {
    #[schemars(required)]
    tags: Option<String>,
}

pub(super) async fn set_tags(
    State(app): State<App>,
    By(caller): By,
    Path(id): Path<String>,
    Json(request): Json<Tags>,
) -> Answer {
    let tags = parse_tags(&required("tags", request.tags)?)?;
    let id = app.access.writable_dataset(&id)?;
    let tags = real_tags(&app, tags).collect();
    app.datasets.set_tags(&caller, &id, tags).await?;
    Ok(empty())
}

pub(super) async fn delete_tag(
    State(app): State<App>,
    By(caller): By,
    Path((id, key)): Path<(String, String)>,
) -> Answer {
    let id = app.access.writable_dataset(&id)?;
    app.datasets.delete_tag(&caller, &id, &key).await?;
    Ok(empty())
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Experiments {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    experiment_ids: Vec<String>,
}

pub(super) async fn list_experiments(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Answer<Experiments> {
    let experiments = match id.parse() {
        Ok(id) => app.datasets.list_experiments(&id).await?,
        Err(_) => Vec::new(),
    };
    json(&Experiments {
        experiment_ids: experiments.into_iter().map(String::from).collect(),
    })
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct OfExperiments {
    #[serde(alias = "experimentIds")]
    experiment_ids: Option<Vec<String>>,
}

pub(super) async fn add_to_experiments(
    State(app): State<App>,
    By(caller): By,
    Path(id): Path<String>,
    Json(request): Json<OfExperiments>,
) -> Answer<Found<'static>> {
    let experiments = experiment_ids_of(request.experiment_ids)?;
    let id = app.access.writable_dataset(&id)?;
    let adding = app.datasets.add_to_experiments(&caller, &id, experiments);
    answer(&adding.await?, &[])
}

pub(super) async fn remove_from_experiments(
    State(app): State<App>,
    By(caller): By,
    Path(id): Path<String>,
    Json(request): Json<OfExperiments>,
) -> Answer<Found<'static>> {
    // What can be no id names no experiment that it could belong to.
    let experiments = request.experiment_ids.unwrap_or_default();
    let experiments = experiments.iter().map(|id| id.parse());
    let experiments = experiments.filter_map(Result::ok).collect();
    let id = app.access.writable_dataset(&id)?;
    let removing = app
        .datasets
        .remove_from_experiments(&caller, &id, experiments);
    answer(&removing.await?, &[])
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Records {
    records: String,
}

pub(super) async fn list_records(
    State(app): State<App>,
    Path(id): Path<String>,
    query: Query,
) -> Answer<Page<Records>> {
    let limit = match query.integer("max_results")? {
        None | Some(0) => DEFAULT_PAGE,
        Some(limit) => limit,
    };
    let limit = usize::try_from(limit).map_err(|_| RequestError::NegativeLimit { limit })?;
    let token = query.text("page_token").filter(|token| !token.is_empty());
    let page = PageRequest {
        limit,
        token: token.map(str::to_owned),
    };
    let (records, next_page_token) = match id.parse() {
        Ok(id) => {
            let found = app.datasets.list_records(&id, &page).await?;
            let records = found.items.into_iter();
            let views = records.map(|record| DatasetRecordView::new(&id, record));
            (DatasetRecordView::encode(views), found.next)
        }
        Err(_) => ("[]".to_owned(), None),
    };
    json(&Page {
        items: Records { records },
        next_page_token,
    })
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Merge {
    #[schemars(required)]
    records: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Merged {
    inserted_count: u64,
    updated_count: u64,
}

pub(super) async fn merge_records(
    State(app): State<App>,
    By(caller): By,
    Path(id): Path<String>,
    Json(request): Json<Merge>,
) -> Answer<Merged> {
    let mut records = parse_records(&required("records", request.records)?)?;
    let id = app.access.writable_dataset(&id)?;
    for record in &mut records {
        app.access.mask_record(record);
    }
    let merged = app.datasets.merge_records(&caller, &id, records).await?;
    json(&Merged {
        inserted_count: merged.inserted,
        updated_count: merged.updated,
    })
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Delete {
    #[serde(alias = "datasetRecordIds")]
    dataset_record_ids: Option<Vec<String>>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Deleted {
    deleted_count: u64,
}

pub(super) async fn delete_records(
    State(app): State<App>,
    By(caller): By,
    Path(id): Path<String>,
    Json(request): Json<Delete>,
) -> Answer<Deleted> {
    let ids = request.dataset_record_ids.unwrap_or_default();
    // What can be no id names no record.
    let ids: Vec<_> = ids
        .iter()
        .map(|id| id.parse())
        .filter_map(Result::ok)
        .collect();
    let id = app.access.writable_dataset(&id)?;
    let deleted = app.datasets.delete_records(&caller, &id, &ids).await?;
    json(&Deleted {
        deleted_count: deleted,
    })
}
