//! Calls about runs.

use std::collections::BTreeSet;

use axum::extract::State;
use entities::{Caller, ExperimentId, ResourceKind, RunDetail, RunId, RunStatus, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{PageRequest, View};
use tracking::{
    ArtifactOwner, LARGEST_BATCH_TAGS, LARGEST_PAGE, LogBatch, NewRun, PARENT_TAG, RUN_NAME_TAG,
    RunUpdate, parse_experiment_id,
};

use super::experiments::page_limit;
use crate::app::{App, By};
use crate::error::RequestError;
use crate::scope::{Claim, RunAccess};
use crate::sign_on::Viewer;
use crate::wire::{
    Answer, Int64, Json, Page, Pair, Query, RunInfoView, RunStatusWord, RunView, ViewWord, empty,
    json, pairs, required,
};

/// The tag that says how a client ended the captured run, which stays open until its command has ended.
const CLIENT_STATUS_TAG: &str = "reproof.client_status";

/// Runs on a page where the request does not say.
const DEFAULT_PAGE: i64 = 1000;

#[derive(Deserialize, JsonSchema)]
pub(super) struct Create {
    #[serde(alias = "experimentId")]
    experiment_id: Option<String>,
    #[serde(alias = "userId")]
    user_id: Option<String>,
    #[serde(alias = "runName")]
    run_name: Option<String>,
    #[serde(alias = "startTime")]
    start_time: Option<Int64>,
    tags: Option<Vec<Pair>>,
}

pub(super) async fn create(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<Create>,
) -> Answer<Found<'static>> {
    let Create {
        experiment_id,
        user_id,
        run_name,
        start_time,
        tags,
    } = request;
    let tags = real_tags(&app, pairs("tags", tags)?);
    // A request that names no experiment means the default one, as for MLflow's store.
    let experiment = experiment_id.filter(|id| !id.is_empty());
    let new = NewRun {
        id: None,
        experiment: parse_experiment_id(experiment.as_deref().unwrap_or("0"))?,
        name: run_name.filter(|name| !name.is_empty()),
        user: user_id.unwrap_or_default(),
        started_at: start_time.map(|time| Timestamp::from_millis(time.0)),
        tags: tags.collect(),
        parent: None,
        replay_of: None,
        process: None,
    };
    let mut detail = match app.access.captured() {
        None => app.tracking.create_run(&caller, new).await?,
        Some(captured) => match captured.claim() {
            Claim::Captured => match give_captured(&app, &caller, new).await {
                Ok(detail) => detail,
                Err(error) => {
                    captured.unclaim();
                    return Err(error);
                }
            },
            Claim::Child => create_child(&app, &caller, captured, new).await?,
        },
    };
    app.access.show_detail(&mut detail);
    json(&Found {
        run: RunView::made(&detail, &app.access),
    })
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Found<'a> {
    run: RunView<'a>,
}

fn answer(app: &App, detail: &mut RunDetail) -> Answer<Found<'static>> {
    app.access.show_detail(detail);
    json(&Found {
        run: RunView::new(detail, &app.access),
    })
}

/// Gives a client the captured run instead of a new one, with what it says of it.
///
/// The run stays in its own experiment, whichever the client names: somebody chose that one on the command line.
async fn give_captured(app: &App, caller: &Caller, new: NewRun) -> Result<RunDetail, RequestError> {
    let Some(captured) = app.access.captured() else {
        return Ok(app.tracking.create_run(caller, new).await?);
    };
    let NewRun { name, mut tags, .. } = new;
    // It cannot stand inside another run of this client: there is none yet.
    tags.remove(PARENT_TAG);
    let named = name.or_else(|| tags.remove(RUN_NAME_TAG));
    tags.remove(RUN_NAME_TAG);
    match captured.origin() {
        // A replay keeps its own name in the store and shows the name of its origin.
        Some(origin) => {
            let name = match named {
                Some(name) => Some(name),
                None => find_name(app, &origin).await?,
            };
            captured.present_name(name);
        }
        None => tags.extend(named.map(|name| (RUN_NAME_TAG.to_owned(), name))),
    }
    let tags: Vec<_> = tags.into_iter().collect();
    for some in tags.chunks(LARGEST_BATCH_TAGS) {
        let batch = LogBatch {
            tags: some.to_vec(),
            ..LogBatch::default()
        };
        app.tracking.log_batch(caller, captured.id(), batch).await?;
    }
    Ok(app.tracking.get_run(captured.id()).await?)
}

async fn create_child(
    app: &App,
    caller: &Caller,
    captured: &RunAccess,
    mut new: NewRun,
) -> Result<RunDetail, RequestError> {
    let named = new.tags.get(PARENT_TAG).and_then(|tag| tag.parse().ok());
    let parent = named.unwrap_or_else(|| captured.id().clone());
    if !new.tags.contains_key(PARENT_TAG) {
        new.parent = Some(parent.clone());
    }
    if new.user.is_empty() {
        new.user.clone_from(&app.user);
    }
    let origin = captured.origin_of(&parent);
    let presented = match &origin {
        Some(origin) => next_child(app, captured, origin).await?,
        None => None,
    };
    if let Some(presented) = &presented
        && new.name.is_none()
        && !new.tags.contains_key(RUN_NAME_TAG)
    {
        // The name that was drawn then, since the command may write it down.
        new.name = find_name(app, presented).await?;
    }
    match (
        app.tracking.create_run(caller, new).await,
        presented,
        origin,
    ) {
        (Ok(detail), presented, _) => {
            if let Some(presented) = presented {
                captured.present(presented.as_str(), detail.run.id.as_str());
            }
            app.access.note_run(&detail.run);
            Ok(detail)
        }
        (Err(error), Some(presented), Some(origin)) => {
            captured.give_back_child(&origin, presented);
            Err(error.into())
        }
        (Err(error), ..) => Err(error.into()),
    }
}

/// In a replay: the id under which the next run inside that one is shown.
async fn next_child(
    app: &App,
    captured: &RunAccess,
    origin: &RunId,
) -> Result<Option<RunId>, RequestError> {
    if captured.knows_children(origin) {
        return Ok(captured.next_child(origin));
    }
    let filter = format!("tags.`{PARENT_TAG}` = '{origin}'");
    let page = PageRequest::first(LARGEST_PAGE);
    let order = ["attributes.start_time ASC"];
    let searching = app
        .tracking
        .search_runs(&[], &filter, &order, View::All, &page);
    let children = searching.await?.items.into_iter().map(|detail| detail.run);
    // One that has a process is a captured run of its own, whose id no client was given here.
    let made_by_clients = children.filter(|run| run.process.is_none() && run.replay_of.is_none());
    captured.note_children(origin, made_by_clients.map(|run| run.id).collect());
    Ok(captured.next_child(origin))
}

/// The name of a run that may be gone.
async fn find_name(app: &App, id: &RunId) -> Result<Option<String>, RequestError> {
    let found = app.tracking.store().find_run(id).await;
    let found = found.map_err(tracking::TrackingError::from)?;
    Ok(found.map(|run| run.name))
}

pub(super) async fn find(State(app): State<App>, query: Query) -> Answer<Found<'static>> {
    let id = app.access.run(query.run_id()?)?;
    answer(&app, &mut app.tracking.get_run(&id).await?)
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Update {
    #[serde(alias = "runId")]
    run_id: Option<String>,
    #[serde(alias = "runUuid")]
    run_uuid: Option<String>,
    status: Option<RunStatusWord>,
    #[serde(alias = "endTime")]
    end_time: Option<Int64>,
    #[serde(alias = "runName")]
    run_name: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Updated<'a> {
    run_info: RunInfoView<'a>,
}

pub(super) async fn update(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<Update>,
) -> Answer<Updated<'static>> {
    let id = app
        .access
        .writable_run(&required("run_id", request.run_id.or(request.run_uuid))?)?;
    let mut update = RunUpdate {
        status: request.status.map(|word| word.0),
        ended_at: request.end_time.map(|time| Timestamp::from_millis(time.0)),
        name: request.run_name.filter(|name| !name.is_empty()),
    };
    let (status, ended_at) = (update.status, update.ended_at);
    if app.access.note_end(&id, status, ended_at) {
        // What the executor sees when the command has ended decides, and closes the run.
        update.status = None;
        update.ended_at = None;
        if let Some(status) = status {
            let tag = app
                .tracking
                .set_tag(&caller, &id, CLIENT_STATUS_TAG, status.as_str());
            tag.await?;
        }
    }
    if update.name.is_some() {
        app.access.note_name(&id);
    }
    if update.status.is_some_and(RunStatus::is_terminal) {
        app.note_artifacts(&ArtifactOwner::Run(id.clone())).await?;
    }
    let mut run = app.tracking.update_run(&caller, &id, update).await?;
    app.access.show_run(&mut run);
    json(&Updated {
        run_info: RunInfoView::new(&run, &app.access),
    })
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct One {
    #[serde(alias = "runId")]
    #[schemars(required)]
    run_id: Option<String>,
}

pub(super) async fn delete(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<One>,
) -> Answer {
    let id = app
        .access
        .deletable_run(&required("run_id", request.run_id)?)?;
    app.tracking.delete_run(&caller, &id).await?;
    Ok(empty())
}

pub(super) async fn restore(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<One>,
) -> Answer {
    let id = app
        .access
        .writable_run(&required("run_id", request.run_id)?)?;
    app.tracking.restore_run(&caller, &id).await?;
    Ok(empty())
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Search {
    #[serde(alias = "experimentIds")]
    experiment_ids: Option<Vec<String>>,
    filter: Option<String>,
    #[serde(alias = "runViewType")]
    run_view_type: Option<ViewWord>,
    #[serde(alias = "maxResults")]
    max_results: Option<Int64>,
    #[serde(alias = "orderBy")]
    order_by: Option<Vec<String>>,
    #[serde(alias = "pageToken")]
    page_token: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Items<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    runs: Vec<RunView<'a>>,
}

pub(super) async fn search(
    State(app): State<App>,
    viewer: Viewer,
    Json(request): Json<Search>,
) -> Answer<Page<Items<'static>>> {
    let Search {
        experiment_ids,
        filter,
        run_view_type,
        max_results,
        order_by,
        page_token,
    } = request;
    let limit = max_results.map_or(DEFAULT_PAGE, |limit| limit.0);
    if page_limit(limit) > LARGEST_PAGE {
        return Err(RequestError::WrongType {
            field: "max_results".to_owned(),
            value: limit.to_string(),
            kind: "int",
        });
    }
    let page = PageRequest {
        limit: page_limit(limit),
        token: page_token.filter(|token| !token.is_empty()),
    };
    let mut experiments = experiment_ids_of(experiment_ids)?;
    experiments.retain(|id| viewer.sees_inside(ResourceKind::Run, id));
    let filter = filter.unwrap_or_default();
    let filter = app.access.real_filter(&filter);
    let order_by = order_by.unwrap_or_default();
    let order_by: Vec<&str> = order_by.iter().map(String::as_str).collect();
    if experiments.is_empty() {
        // No experiments are none; for the services they would be all.
        return json(&Page {
            items: Items { runs: Vec::new() },
            next_page_token: None,
        });
    }
    let view = run_view_type.map_or(View::Active, |word| word.0);
    let searching = app
        .tracking
        .search_runs(&experiments, &filter, &order_by, view, &page);
    let mut found = searching.await?;
    found
        .items
        .retain(|detail| !app.access.is_hidden(detail.run.id.as_str()));
    for detail in &mut found.items {
        app.access.show_detail(detail);
    }
    let views = found.items.iter();
    json(&Page {
        items: Items {
            runs: views
                .map(|detail| RunView::new(detail, &app.access))
                .collect(),
        },
        next_page_token: found.next,
    })
}

/// Reads ids of experiments, each once, in their order; one that cannot be any names none.
pub(super) fn experiment_ids_of(
    ids: Option<Vec<String>>,
) -> Result<Vec<ExperimentId>, RequestError> {
    let ids = ids.unwrap_or_default();
    let mut read = ids
        .iter()
        .map(|id| Ok(parse_experiment_id(id)?))
        .collect::<Result<Vec<_>, RequestError>>()?;
    let mut seen = BTreeSet::new();
    read.retain(|id| seen.insert(id.clone()));
    Ok(read)
}

/// Reads the tags of a request as they are kept.
pub(super) fn real_tags(
    app: &App,
    tags: impl IntoIterator<Item = (String, String)>,
) -> impl Iterator<Item = (String, String)> {
    tags.into_iter().map(|(key, value)| {
        let value = app.access.real_tag(&key, value);
        (key, value)
    })
}

/// Notes a name that tags give to a run.
pub(super) fn note_name_in(app: &App, id: &RunId, tags: &[(String, String)]) {
    if tags.iter().any(|(key, _)| key == RUN_NAME_TAG) {
        app.access.note_name(id);
    }
}
