//! Calls about traces that clients of MLflow 2 make.

use axum::extract::{Path, State};
use entities::{Timestamp, TraceDetail, TraceState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use traces::{EndedTrace, NewTrace, parse_trace_id};
use tracking::parse_experiment_id;

use super::traces::Searched;
use crate::app::{App, By};
use crate::wire::{
    Answer, Int64, Json, Page, Pair, Query, TraceInfoV2View, TraceStateWord, json, missing, pairs,
    required,
};

#[derive(Deserialize, JsonSchema)]
pub(super) struct Start {
    #[serde(alias = "experimentId")]
    #[schemars(required)]
    experiment_id: Option<String>,
    #[serde(alias = "timestampMs")]
    #[schemars(required)]
    timestamp_ms: Option<Int64>,
    #[serde(alias = "requestMetadata")]
    request_metadata: Option<Vec<Pair>>,
    tags: Option<Vec<Pair>>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Found<'a> {
    trace_info: TraceInfoV2View<'a>,
}

fn answer(app: &App, detail: &TraceDetail) -> Answer<Found<'static>> {
    json(&Found {
        trace_info: TraceInfoV2View::new(&detail.trace, &app.access),
    })
}

/// Metadata or tags as they are kept.
fn real<C: FromIterator<(String, String)>>(
    app: &App,
    list: &str,
    given: Option<Vec<Pair>>,
) -> Result<C, crate::error::RequestError> {
    let given = pairs(list, given)?.into_iter();
    given
        .map(|(key, value)| {
            let value = app.access.real_trace_note(&key, value)?;
            Ok((key, value))
        })
        .collect()
}

pub(super) async fn start(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<Start>,
) -> Answer<Found<'static>> {
    let experiment = required("experiment_id", request.experiment_id)?;
    let requested_ms = request
        .timestamp_ms
        .ok_or_else(|| missing("timestamp_ms"))?;
    let new = NewTrace {
        experiment: parse_experiment_id(&experiment)?,
        requested_at: Timestamp::from_millis(requested_ms.0),
        metadata: real(&app, "request_metadata", request.request_metadata)?,
        tags: real(&app, "tags", request.tags)?,
    };
    let detail = app.traces.begin_trace(&caller, new).await?;
    let ids = [detail.trace.id.clone()].into();
    app.access.note_traces(&caller, &ids, &app.traces).await?;
    answer(&app, &detail)
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct End {
    #[serde(alias = "timestampMs")]
    #[schemars(required)]
    timestamp_ms: Option<Int64>,
    status: Option<TraceStateWord>,
    #[serde(alias = "requestMetadata")]
    request_metadata: Option<Vec<Pair>>,
    tags: Option<Vec<Pair>>,
}

pub(super) async fn end(
    State(app): State<App>,
    By(caller): By,
    Path(id): Path<String>,
    Json(request): Json<End>,
) -> Answer<Found<'static>> {
    let ended_ms = request
        .timestamp_ms
        .ok_or_else(|| missing("timestamp_ms"))?;
    let id = app.access.writable_trace(&id)?;
    let ended = EndedTrace {
        ended_at: Timestamp::from_millis(ended_ms.0),
        state: request
            .status
            .map_or(TraceState::StateUnspecified, |status| status.0),
        metadata: real(&app, "request_metadata", request.request_metadata)?,
        tags: real(&app, "tags", request.tags)?,
    };
    answer(&app, &app.traces.end_trace(&caller, &id, ended).await?)
}

pub(super) async fn find(State(app): State<App>, Path(id): Path<String>) -> Answer<Found<'static>> {
    let id = parse_trace_id(&id)?;
    answer(&app, &app.traces.get_trace(&id).await?)
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Items<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    traces: Vec<TraceInfoV2View<'a>>,
}

pub(super) async fn search(State(app): State<App>, query: Query) -> Answer<Page<Items<'static>>> {
    let owned = |text: &str| text.to_owned();
    let experiments: Vec<String> = query.list("experiment_ids").map(owned).collect();
    if experiments.is_empty() {
        return Err(missing("experiment_ids"));
    }
    let searched = Searched {
        experiments,
        filter: query.text("filter").map(owned).unwrap_or_default(),
        order_by: query.list("order_by").map(owned).collect(),
        max_results: query.integer("max_results")?,
        page_token: query.text("page_token").map(owned),
    };
    let found = searched.search(&app).await?;
    let views = found.items.iter();
    json(&Page {
        items: Items {
            traces: views
                .map(|detail| TraceInfoV2View::new(&detail.trace, &app.access))
                .collect(),
        },
        next_page_token: found.next.clone(),
    })
}
