//! Calls about traces.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use entities::{Assessment, Trace, TraceDetail, TraceId, TraceState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::PageRequest;
use traces::{Correlation, Deletion, WholeTrace, parse_trace_id};
use tracking::parse_experiment_id;

use super::assessments::AssessmentBody;
use super::experiments::page_limit;
use super::runs::experiment_ids_of;
use crate::app::{App, By};
use crate::artifacts;
use crate::error::RequestError;
use crate::wire::{
    Answer, Double, Int64, Json, Millis, Moment, Page, Query, Sent, SpanFileView, SpanView,
    TraceInfoView, TraceStateWord, empty, json, missing, required,
};

/// Traces on a page where the request does not say.
const DEFAULT_PAGE: i64 = 100;

/// How long an answer waits for spans that are on their way, as MLflow's server does.
const WAIT_FOR_SPANS: Duration = Duration::from_secs(3);

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(Deserialize, JsonSchema)]
pub(super) struct Start {
    #[schemars(required)]
    trace: Option<Started>,
}

#[derive(Deserialize, JsonSchema)]
struct Started {
    #[serde(alias = "traceInfo")]
    trace_info: Option<InfoBody>,
}

#[derive(Deserialize, JsonSchema)]
struct InfoBody {
    #[serde(alias = "traceId")]
    trace_id: Option<String>,
    #[serde(alias = "clientRequestId")]
    client_request_id: Option<String>,
    #[serde(alias = "traceLocation")]
    trace_location: Option<LocationBody>,
    #[serde(alias = "requestPreview")]
    request_preview: Option<String>,
    #[serde(alias = "responsePreview")]
    response_preview: Option<String>,
    #[serde(alias = "requestTime")]
    request_time: Option<Moment>,
    #[serde(alias = "executionDuration")]
    execution_duration: Option<Millis>,
    state: Option<TraceStateWord>,
    #[serde(alias = "traceMetadata")]
    trace_metadata: Option<BTreeMap<String, String>>,
    tags: Option<BTreeMap<String, String>>,
    assessments: Option<Vec<AssessmentBody>>,
}

#[derive(Deserialize, JsonSchema)]
struct LocationBody {
    #[serde(alias = "mlflowExperiment")]
    mlflow_experiment: Option<ExperimentLocationBody>,
}

#[derive(Deserialize, JsonSchema)]
struct ExperimentLocationBody {
    #[serde(alias = "experimentId")]
    experiment_id: Option<String>,
}

impl InfoBody {
    fn read(self, app: &App) -> Result<(Trace, Vec<Assessment>), RequestError> {
        let Self {
            trace_id,
            client_request_id,
            trace_location,
            request_preview,
            response_preview,
            request_time,
            execution_duration,
            state,
            trace_metadata,
            tags,
            assessments,
        } = self;
        let field = |name: &str| format!("trace.trace_info.{name}");
        let id = required(&field("trace_id"), trace_id)?;
        let id: TraceId = id
            .parse()
            .map_err(|_| RequestError::InvalidTraceId { id })?;
        let location = trace_location.and_then(|location| location.mlflow_experiment);
        let experiment = location.and_then(|location| location.experiment_id);
        let experiment = required(&field("trace_location.mlflow_experiment"), experiment)?;
        let requested = request_time.ok_or_else(|| missing(field("request_time")))?;
        let real = |pairs: Option<BTreeMap<String, String>>| {
            let pairs = pairs.unwrap_or_default().into_iter();
            pairs
                .map(|(key, value)| {
                    let value = app.access.real_trace_note(&key, value)?;
                    Ok((key, value))
                })
                .collect::<Result<_, RequestError>>()
        };
        let preview = |text: Option<String>| text.map(|text| app.access.masked_text(text));
        let trace = Trace {
            id,
            experiment: parse_experiment_id(&experiment)?,
            requested_at: requested.0,
            duration_ms: execution_duration.map(|duration| duration.0),
            state: state.map_or(TraceState::StateUnspecified, |state| state.0),
            client_request_id,
            request_preview: preview(request_preview),
            response_preview: preview(response_preview),
            tags: real(tags)?,
            metadata: real(trace_metadata)?,
        };
        let now = app.tracking.clock().now();
        let assessments = assessments.unwrap_or_default().into_iter();
        let assessments = assessments.map(|assessment| {
            let mut assessment = assessment.read(now)?;
            app.access.mask_assessment(&mut assessment);
            Ok(assessment)
        });
        Ok((trace, assessments.collect::<Result<_, RequestError>>()?))
    }
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Found<'a> {
    trace: TraceView<'a>,
}

/// A trace, where it is told whole with its spans.
#[derive(Serialize, JsonSchema)]
struct TraceView<'a> {
    trace_info: TraceInfoView<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    spans: Vec<SpanView<'a>>,
}

fn answer(app: &App, detail: &TraceDetail) -> Answer<Found<'static>> {
    json(&Found {
        trace: TraceView {
            trace_info: TraceInfoView::new(detail, &app.access),
            spans: Vec::new(),
        },
    })
}

fn told<'a>(app: &App, whole: &'a WholeTrace) -> TraceView<'a> {
    let spans = whole.spans.iter();
    TraceView {
        trace_info: TraceInfoView::new(&whole.detail, &app.access),
        spans: spans
            .map(|span| SpanView::new(&whole.detail.trace, span))
            .collect(),
    }
}

pub(super) async fn start(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<Start>,
) -> Answer<Found<'static>> {
    let started = request.trace.ok_or_else(|| missing("trace"))?;
    let info = started
        .trace_info
        .ok_or_else(|| missing("trace.trace_info"))?;
    let (trace, assessments) = info.read(&app)?;
    let ids = [trace.id.clone()].into();
    app.access.check_trace(&trace.id, &app.traces).await?;
    let starting = app.traces.start_trace(&caller, trace, assessments);
    let detail = starting.await?;
    app.access.note_traces(&caller, &ids, &app.traces).await?;
    answer(&app, &detail)
}

pub(super) async fn find_info(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Answer<Found<'static>> {
    let id = parse_trace_id(&id)?;
    answer(&app, &app.traces.get_trace(&id).await?)
}

/// `GET traces/get`: a trace with its spans; those that are on their way are waited for.
pub(super) async fn find_whole(State(app): State<App>, query: Query) -> Answer<Found<'static>> {
    let id = query.required("trace_id")?;
    let takes_part = query.flag("allow_partial")?.unwrap_or(false);
    let no_trace = || RequestError::NoWholeTrace { id: id.to_owned() };
    let parsed: TraceId = id.parse().map_err(|_| no_trace())?;
    let begun = Instant::now();
    loop {
        let whole = app.traces.find_whole(&parsed).await?.ok_or_else(no_trace)?;
        if takes_part || is_whole(&whole) {
            let trace = told(&app, &whole);
            return json(&Found { trace });
        }
        if begun.elapsed() >= WAIT_FOR_SPANS {
            return Err(traces::TracesError::NotWhole { id: parsed }.into());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Whether all spans are there that the client said there are.
fn is_whole(whole: &WholeTrace) -> bool {
    #[derive(Deserialize)]
    struct SizeStats {
        num_spans: Option<u64>,
    }
    let stats = whole.detail.trace.metadata.get("mlflow.trace.sizeStats");
    let stats = stats.and_then(|stats| serde_json::from_str::<SizeStats>(stats).ok());
    let wanted = stats.and_then(|stats| stats.num_spans).unwrap_or(0);
    !whole.spans.is_empty() && whole.spans.len() as u64 >= wanted
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Wholes<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    traces: Vec<TraceView<'a>>,
}

/// `GET traces/batchGet`: those of which all spans are there.
pub(super) async fn find_wholes(State(app): State<App>, query: Query) -> Answer<Wholes<'static>> {
    let ids: Vec<&str> = query.list("trace_ids").collect();
    if ids.is_empty() {
        return Err(missing("trace_ids"));
    }
    let experiments: Vec<&str> = query.list("experiment_ids").collect();
    let mut wholes = Vec::with_capacity(ids.len());
    for id in distinct(ids) {
        let Ok(id) = id.parse() else { continue };
        if let Some(whole) = app.traces.find_whole(&id).await?
            && is_in(&whole.detail, &experiments)
            && is_whole(&whole)
        {
            wholes.push(whole);
        }
    }
    json(&Wholes {
        traces: wholes.iter().map(|whole| told(&app, whole)).collect(),
    })
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct BatchOfInfos {
    #[serde(alias = "traceIds")]
    #[schemars(required)]
    trace_ids: Option<Vec<String>>,
    #[serde(alias = "experimentIds")]
    experiment_ids: Option<Vec<String>>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Infos<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    trace_infos: Vec<TraceInfoView<'a>>,
}

/// `POST traces/batchGetInfos`: those that are there, without their spans.
pub(super) async fn find_infos(
    State(app): State<App>,
    Json(request): Json<BatchOfInfos>,
) -> Answer<Infos<'static>> {
    let ids = request.trace_ids.filter(|ids| !ids.is_empty());
    let ids = ids.ok_or_else(|| missing("trace_ids"))?;
    let experiments = request.experiment_ids.unwrap_or_default();
    let experiments: Vec<&str> = experiments.iter().map(String::as_str).collect();
    let mut found = Vec::with_capacity(ids.len());
    for id in distinct(ids.iter().map(String::as_str).collect()) {
        let Ok(id) = id.parse() else { continue };
        let detail = app.traces.find_trace(&id).await?;
        found.extend(detail.filter(|detail| is_in(detail, &experiments)));
    }
    let views = found.iter();
    json(&Infos {
        trace_infos: views
            .map(|detail| TraceInfoView::new(detail, &app.access))
            .collect(),
    })
}

fn distinct(ids: Vec<&str>) -> Vec<&str> {
    let mut seen = std::collections::BTreeSet::new();
    ids.into_iter().filter(|id| seen.insert(*id)).collect()
}

fn is_in(detail: &TraceDetail, experiments: &[&str]) -> bool {
    experiments.is_empty() || experiments.contains(&detail.trace.experiment.as_str())
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Search {
    #[schemars(required)]
    locations: Option<Vec<LocationBody>>,
    filter: Option<String>,
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
    traces: Vec<TraceInfoView<'a>>,
}

pub(super) async fn search(
    State(app): State<App>,
    Json(request): Json<Search>,
) -> Answer<Page<Items<'static>>> {
    let Search {
        locations,
        filter,
        max_results,
        order_by,
        page_token,
    } = request;
    let locations = locations.filter(|locations| !locations.is_empty());
    let locations = locations.ok_or_else(|| missing("locations"))?.into_iter();
    let experiments = locations
        .filter_map(|location| location.mlflow_experiment?.experiment_id)
        .collect();
    let searched = Searched {
        experiments,
        filter: filter.unwrap_or_default(),
        order_by: order_by.unwrap_or_default(),
        max_results: max_results.map(|limit| limit.0),
        page_token,
    };
    let found = searched.search(&app).await?;
    let views = found.items.iter();
    json(&Page {
        items: Items {
            traces: views
                .map(|detail| TraceInfoView::new(detail, &app.access))
                .collect(),
        },
        next_page_token: found.next.clone(),
    })
}

/// A search, however it came.
pub(super) struct Searched {
    pub(super) experiments: Vec<String>,
    pub(super) filter: String,
    pub(super) order_by: Vec<String>,
    pub(super) max_results: Option<i64>,
    pub(super) page_token: Option<String>,
}

impl Searched {
    pub(super) async fn search(self, app: &App) -> Result<store::Page<TraceDetail>, RequestError> {
        let Self {
            experiments,
            filter,
            order_by,
            max_results,
            page_token,
        } = self;
        let experiments = experiment_ids_of(Some(experiments))?;
        let filter = app.access.real_filter(&filter);
        let order_by: Vec<&str> = order_by.iter().map(String::as_str).collect();
        let page = PageRequest {
            limit: page_limit(max_results.unwrap_or(DEFAULT_PAGE)),
            token: page_token.filter(|token| !token.is_empty()),
        };
        let searching = app
            .traces
            .search_traces(&experiments, &filter, &order_by, &page);
        Ok(searching.await?)
    }
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Tag {
    #[schemars(required)]
    key: Option<String>,
    value: Option<String>,
}

pub(super) async fn set_tag(
    State(app): State<App>,
    By(caller): By,
    Path(id): Path<String>,
    Json(request): Json<Tag>,
) -> Answer {
    let key = required("key", request.key)?;
    let id = app.access.writable_trace(&id)?;
    let value = request.value.unwrap_or_default();
    let value = app.access.real_trace_note(&key, value)?;
    app.traces.set_tag(&caller, &id, &key, &value).await?;
    Ok(empty())
}

pub(super) async fn delete_tag(
    State(app): State<App>,
    By(caller): By,
    Path(id): Path<String>,
    Json(request): Json<Tag>,
) -> Answer {
    let key = required("key", request.key)?;
    let id = app.access.writable_trace(&id)?;
    app.traces.delete_tag(&caller, &id, &key).await?;
    Ok(empty())
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct LinkToRun {
    #[serde(alias = "traceIds")]
    #[schemars(required)]
    trace_ids: Option<Vec<String>>,
    #[serde(alias = "runId")]
    #[schemars(required)]
    run_id: Option<String>,
}

pub(super) async fn link_to_run(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<LinkToRun>,
) -> Answer {
    let ids = request.trace_ids.filter(|ids| !ids.is_empty());
    let ids = ids.ok_or_else(|| missing("trace_ids"))?;
    let run = required("run_id", request.run_id)?;
    let run = app.access.writable_run(&run)?;
    // What can be no id names no trace, and is passed over as one that is not there.
    let ids: Vec<TraceId> = ids
        .iter()
        .map(|id| id.parse())
        .filter_map(Result::ok)
        .collect();
    app.traces.link_to_run(&caller, &ids, &run).await?;
    Ok(empty())
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct LinkPrompts {
    #[serde(alias = "traceId")]
    #[schemars(required)]
    trace_id: Option<String>,
    #[serde(alias = "promptVersions")]
    #[schemars(required)]
    prompt_versions: Option<Vec<PromptVersionBody>>,
}

#[derive(Deserialize, JsonSchema)]
struct PromptVersionBody {
    name: Option<String>,
    version: Option<String>,
}

pub(super) async fn link_prompts(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<LinkPrompts>,
) -> Answer {
    let id = required("trace_id", request.trace_id)?;
    let prompts = request.prompt_versions.filter(|list| !list.is_empty());
    let prompts = prompts.ok_or_else(|| missing("prompt_versions"))?;
    let prompts = prompts.into_iter().enumerate().map(|(index, prompt)| {
        let field = |name: &str| format!("prompt_versions[{index}].{name}");
        let name = required(&field("name"), prompt.name)?;
        Ok((name, required(&field("version"), prompt.version)?))
    });
    let prompts: Result<_, RequestError> = prompts.collect();
    let id = app.access.writable_trace(&id)?;
    app.traces.link_prompts(&caller, &id, prompts?).await?;
    Ok(empty())
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Delete {
    #[serde(alias = "experimentId")]
    #[schemars(required)]
    experiment_id: Option<String>,
    #[serde(alias = "maxTimestampMillis")]
    max_timestamp_millis: Option<Int64>,
    #[serde(alias = "maxTraces")]
    max_traces: Option<Int64>,
    #[serde(alias = "requestIds")]
    request_ids: Option<Vec<String>>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Deleted {
    traces_deleted: u64,
}

pub(super) async fn delete(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<Delete>,
) -> Answer<Deleted> {
    let experiment = parse_experiment_id(&required("experiment_id", request.experiment_id)?)?;
    let ids = request.request_ids.unwrap_or_default();
    let is_by_id = !ids.is_empty();
    let ids: Vec<TraceId> = ids
        .iter()
        .map(|id| id.parse())
        .filter_map(Result::ok)
        .collect();
    app.access.check_deletion(&ids, is_by_id)?;
    let until = request.max_timestamp_millis;
    let deletion = Deletion {
        // All of that millisecond.
        until: until.map(|until| {
            entities::Timestamp::from_micros(until.0.saturating_mul(1000).saturating_add(999))
        }),
        limit: request.max_traces.map(|limit| limit.0),
        ids,
    };
    if is_by_id && deletion.ids.is_empty() {
        return json(&Deleted { traces_deleted: 0 });
    }
    let deleting = app.traces.delete_traces(&caller, &experiment, deletion);
    json(&Deleted {
        traces_deleted: deleting.await?,
    })
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Correlate {
    #[serde(alias = "experimentIds")]
    #[schemars(required)]
    experiment_ids: Option<Vec<String>>,
    #[serde(alias = "filterString1")]
    #[schemars(required)]
    filter_string1: Option<String>,
    #[serde(alias = "filterString2")]
    #[schemars(required)]
    filter_string2: Option<String>,
    #[serde(alias = "baseFilter")]
    base_filter: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Correlated {
    #[serde(skip_serializing_if = "Option::is_none")]
    npmi: Option<Double>,
    #[serde(skip_serializing_if = "Option::is_none")]
    npmi_smoothed: Option<Double>,
    filter1_count: u64,
    filter2_count: u64,
    joint_count: u64,
    total_count: u64,
}

pub(super) async fn correlate(
    State(app): State<App>,
    Json(request): Json<Correlate>,
) -> Answer<Correlated> {
    let experiments = request.experiment_ids.filter(|ids| !ids.is_empty());
    let experiments = experiments.ok_or_else(|| missing("experiment_ids"))?;
    let first = required("filter_string1", request.filter_string1)?;
    let second = required("filter_string2", request.filter_string2)?;
    let (first, second) = (
        app.access.real_filter(&first),
        app.access.real_filter(&second),
    );
    let base = request.base_filter;
    let base = base.as_deref().map(|base| app.access.real_filter(base));
    let experiments = experiment_ids_of(Some(experiments))?;
    let correlating = app
        .traces
        .correlate(&experiments, (&first, &second), base.as_deref());
    let Correlation {
        npmi,
        npmi_smoothed,
        first,
        second,
        both,
        total,
    } = correlating.await?;
    let defined = |measure: f64| (!measure.is_nan()).then_some(Double(measure));
    json(&Correlated {
        npmi: defined(npmi),
        npmi_smoothed: defined(npmi_smoothed),
        filter1_count: first,
        filter2_count: second,
        joint_count: both,
        total_count: total,
    })
}

/// `GET get-trace-artifact`: the spans as the file that clients without OTLP upload, or a file attached to them.
pub(crate) async fn get_artifact(
    State(app): State<App>,
    query: Query,
    headers: HeaderMap,
) -> artifacts::File {
    let Some(id) = query.text("request_id").filter(|id| !id.is_empty()) else {
        return Err(RequestError::NoRequestId);
    };
    let no_trace = || RequestError::NoWholeTrace { id: id.to_owned() };
    let parsed: TraceId = id.parse().map_err(|_| no_trace())?;
    let whole = app.traces.find_whole(&parsed).await?.ok_or_else(no_trace)?;
    let path = query.text("path").filter(|path| !path.is_empty());
    let path = path.map(|path| format!("attachments/{path}"));
    let file = match (&path, whole.spans.is_empty()) {
        (Some(path), _) => Some(path.as_str()),
        (None, true) => Some("traces.json"),
        (None, false) => None,
    };
    if let Some(file) = file {
        let folder = whole.detail.trace.tags.get(entities::TRACE_ARTIFACTS_TAG);
        let folder = folder.ok_or_else(no_trace)?;
        let place = artifacts::Place::of_trace(&app, &whole.detail.trace, folder).await?;
        return artifacts::send_from(&app, &place, file, &headers).await;
    }
    Ok(Sent::new(trace_file(&whole)))
}

fn trace_file(whole: &WholeTrace) -> Response {
    #[derive(Serialize)]
    struct File<'a> {
        spans: Vec<SpanFileView<'a>>,
    }
    let spans = whole.spans.iter();
    let file = File {
        spans: spans
            .map(|span| SpanFileView::new(&whole.detail.trace, span))
            .collect(),
    };
    let text = serde_json::to_vec(&file).expect("spans have text keys only");
    let mut response = text.into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/plain"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=traces.json",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
