//! Calls about experiments.

use axum::extract::State;
use entities::Experiment;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{PageRequest, View};
use tracking::{NewExperiment, parse_experiment_id};

use super::runs::real_tags;
use crate::app::{App, By};
use crate::error::RequestError;
use crate::sign_on::{Filling, Viewer};
use crate::wire::{
    Answer, ExperimentView, Int64, Json, Page, Pair, Query, ViewWord, empty, json, pairs, required,
};

#[derive(Deserialize, JsonSchema)]
pub(super) struct Create {
    #[schemars(required)]
    name: Option<String>,
    #[serde(alias = "artifactLocation")]
    artifact_location: Option<String>,
    tags: Option<Vec<Pair>>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Created<'a> {
    experiment_id: &'a str,
}

pub(super) async fn create(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<Create>,
) -> Answer<Created<'static>> {
    let new = NewExperiment {
        name: required("name", request.name)?,
        artifact_location: request.artifact_location,
        artifact_root: app.artifact_root.clone(),
        tags: real_tags(&app, pairs("tags", request.tags)?).collect(),
    };
    let experiment = app.tracking.create_experiment(&caller, new).await?;
    app.access.note_experiment(&experiment);
    json(&Created {
        experiment_id: experiment.id.as_str(),
    })
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Found<'a> {
    experiment: ExperimentView<'a>,
}

fn found(experiment: &Experiment) -> Answer<Found<'static>> {
    json(&Found {
        experiment: ExperimentView::new(experiment),
    })
}

pub(super) async fn find(State(app): State<App>, query: Query) -> Answer<Found<'static>> {
    let id = parse_experiment_id(query.required("experiment_id")?)?;
    found(&app.tracking.get_experiment(&id).await?)
}

pub(super) async fn find_by_name(State(app): State<App>, query: Query) -> Answer<Found<'static>> {
    let name = query.required("experiment_name")?;
    found(&app.tracking.get_experiment_by_name(name).await?)
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Rename {
    #[serde(alias = "experimentId")]
    #[schemars(required)]
    experiment_id: Option<String>,
    #[serde(alias = "newName")]
    #[schemars(required)]
    new_name: Option<String>,
}

pub(super) async fn rename(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<Rename>,
) -> Answer {
    let id = parse_experiment_id(&required("experiment_id", request.experiment_id)?)?;
    let name = required("new_name", request.new_name)?;
    app.access.check_experiment(&id)?;
    app.tracking.rename_experiment(&caller, &id, &name).await?;
    Ok(empty())
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct One {
    #[serde(alias = "experimentId")]
    #[schemars(required)]
    experiment_id: Option<String>,
}

pub(super) async fn delete(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<One>,
) -> Answer {
    let id = parse_experiment_id(&required("experiment_id", request.experiment_id)?)?;
    app.access.check_experiment(&id)?;
    app.tracking.delete_experiment(&caller, &id).await?;
    Ok(empty())
}

pub(super) async fn restore(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<One>,
) -> Answer {
    let id = parse_experiment_id(&required("experiment_id", request.experiment_id)?)?;
    app.access.check_experiment(&id)?;
    app.tracking.restore_experiment(&caller, &id).await?;
    Ok(empty())
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Tag {
    #[serde(alias = "experimentId")]
    #[schemars(required)]
    experiment_id: Option<String>,
    #[schemars(required)]
    key: Option<String>,
    value: Option<String>,
}

pub(super) async fn set_tag(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<Tag>,
) -> Answer {
    let id = parse_experiment_id(&required("experiment_id", request.experiment_id)?)?;
    let key = required("key", request.key)?;
    let value = app.access.real_tag(&key, request.value.unwrap_or_default());
    let set = app.tracking.set_experiment_tag(&caller, &id, &key, &value);
    set.await?;
    Ok(empty())
}

pub(super) async fn delete_tag(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<Tag>,
) -> Answer {
    let id = parse_experiment_id(&required("experiment_id", request.experiment_id)?)?;
    let key = required("key", request.key)?;
    app.tracking
        .delete_experiment_tag(&caller, &id, &key)
        .await?;
    Ok(empty())
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Search {
    #[serde(alias = "maxResults")]
    #[schemars(required)]
    max_results: Option<Int64>,
    #[serde(alias = "pageToken")]
    page_token: Option<String>,
    filter: Option<String>,
    #[serde(alias = "orderBy")]
    order_by: Option<Vec<String>>,
    #[serde(alias = "viewType")]
    view_type: Option<ViewWord>,
}

pub(super) async fn search(
    State(app): State<App>,
    viewer: Viewer,
    Json(request): Json<Search>,
) -> Answer<Page<Items<'static>>> {
    find_all(&app, &viewer, request).await
}

pub(super) async fn search_by_query(
    State(app): State<App>,
    viewer: Viewer,
    query: Query,
) -> Answer<Page<Items<'static>>> {
    let view_type = match query.text("view_type") {
        Some(word) => Some(
            ViewWord::find(word).ok_or_else(|| RequestError::UnknownWord {
                field: "view_type".to_owned(),
                value: format!("{word:?}"),
                words: "ACTIVE_ONLY, DELETED_ONLY, ALL".to_owned(),
            })?,
        ),
        None => None,
    };
    let request = Search {
        max_results: query.integer("max_results")?.map(Int64),
        page_token: query.text("page_token").map(str::to_owned),
        filter: query.text("filter").map(str::to_owned),
        order_by: Some(query.list("order_by").map(str::to_owned).collect()),
        view_type,
    };
    find_all(&app, &viewer, request).await
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Items<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    experiments: Vec<ExperimentView<'a>>,
}

async fn find_all(app: &App, viewer: &Viewer, request: Search) -> Answer<Page<Items<'static>>> {
    let Search {
        max_results,
        page_token,
        filter,
        order_by,
        view_type,
    } = request;
    let page = PageRequest {
        // A search without a limit is refused, as by MLflow, whose clients always give one.
        limit: page_limit(max_results.map_or(0, |limit| limit.0)),
        token: page_token.filter(|token| !token.is_empty()),
    };
    let filter = filter.unwrap_or_default();
    let order_by = order_by.unwrap_or_default();
    let order_by: Vec<&str> = order_by.iter().map(String::as_str).collect();
    let view = view_type.map_or(View::Active, |word| word.0);
    let mut filling = Filling::new(page);
    while let Some(page) = filling.wanted() {
        let searching = app
            .tracking
            .search_experiments(&filter, &order_by, view, &page);
        let found = searching.await?;
        let seen = found.items.iter();
        let seen = seen.map(|experiment| viewer.sees_experiment(&experiment.id));
        let seen: Vec<_> = seen.collect();
        filling.take(found, &seen);
    }
    let found = filling.filled();
    let views = found.items.iter().map(ExperimentView::new);
    json(&Page {
        items: Items {
            experiments: views.collect(),
        },
        next_page_token: found.next,
    })
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct SearchDatasets {
    #[serde(alias = "experimentIds")]
    #[schemars(required)]
    experiment_ids: Option<Vec<String>>,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Datasets {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dataset_summaries: Vec<DatasetSummaryView>,
}

/// A dataset that runs of an experiment read.
#[derive(Serialize, JsonSchema)]
struct DatasetSummaryView {
    experiment_id: String,
    name: String,
    digest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<String>,
}

/// Experiments in one request for datasets.
const LARGEST_DATASET_SEARCH: usize = 20;

/// `POST experiments/search-datasets`: what runs of some experiments declared.
pub(crate) async fn search_datasets(
    State(app): State<App>,
    Json(request): Json<SearchDatasets>,
) -> Answer<Datasets> {
    let ids = request.experiment_ids.unwrap_or_default();
    if ids.is_empty() {
        let fault = "must specify at least one experiment_id.".to_owned();
        return Err(RequestError::DatasetsOf { fault });
    }
    if ids.len() > LARGEST_DATASET_SEARCH {
        let fault = format!(
            "cannot specify more than {LARGEST_DATASET_SEARCH} experiment_ids. Received {} experiment_ids.",
            ids.len()
        );
        return Err(RequestError::DatasetsOf { fault });
    }
    let experiments = super::runs::experiment_ids_of(Some(ids))?;
    let found = app.tracking.list_datasets(&experiments).await?;
    let summaries = found.into_iter().map(|summary| DatasetSummaryView {
        experiment_id: summary.experiment.into(),
        name: summary.name,
        digest: summary.digest,
        context: summary.context,
    });
    json(&Datasets {
        dataset_summaries: summaries.collect(),
    })
}

/// A limit as the services take it: what is below 0 is refused as 0 is.
pub(super) fn page_limit(limit: i64) -> usize {
    usize::try_from(limit).unwrap_or(0)
}
