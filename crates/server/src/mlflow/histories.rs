//! Calls that read the points of metrics.

use axum::body::Body;
use axum::extract::State;
use bytes::Bytes;
use entities::{Metric, RunId};
use futures_util::stream;
use schemars::JsonSchema;
use serde::Serialize;
use store::PageRequest;
use tracking::TrackingError;

use super::experiments::page_limit;
use crate::app::App;
use crate::error::{RequestError, tell};
use crate::wire::{Answer, MetricView, Page, Query, Told, json};

/// Points that are read at once where a whole history is wanted.
const HISTORY_PAGE: usize = 25_000;

/// Points in one answer about several runs.
const BULK_POINTS_MAX: usize = 25_000;

/// Runs in one request.
const BULK_RUNS_MAX: usize = 100;

/// Points of one run in a sample.
const SAMPLE_MAX: usize = 2500;

#[derive(Serialize, JsonSchema)]
pub(super) struct Points<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<MetricView<'a>>,
}

/// `metrics/get-history`: a page of it, or all of it where no limit is given.
pub(super) async fn whole(State(app): State<App>, query: Query) -> Answer<Page<Points<'static>>> {
    let run = app.access.run(query.run_id()?)?;
    let key = query.required("metric_key")?;
    let token = query.text("page_token").filter(|token| !token.is_empty());
    let limit = query.integer("max_results")?;
    let page = PageRequest {
        limit: limit.map_or(HISTORY_PAGE, page_limit),
        token: token.map(str::to_owned),
    };
    let read = app.tracking.list_metric_points(&run, key, &page).await?;
    let Some(next) = read.next.clone().filter(|_| limit.is_none()) else {
        return answer_page(&app, &read.items, read.next);
    };
    Ok(send_all(app, run, key.to_owned(), read.items, next))
}

fn answer_page(
    app: &App,
    points: &[Metric],
    next: Option<String>,
) -> Answer<Page<Points<'static>>> {
    let views = points.iter();
    json(&Page {
        items: Points {
            metrics: views
                .map(|point| MetricView::new(point, &app.access))
                .collect(),
        },
        next_page_token: next,
    })
}

/// Sends a history of any length, page by page, so that only one is in memory.
fn send_all(
    app: App,
    run: RunId,
    key: String,
    first: Vec<Metric>,
    next: String,
) -> Told<Page<Points<'static>>> {
    struct Rest {
        app: App,
        run: RunId,
        key: String,
        points: Vec<Metric>,
        next: Option<String>,
        is_begun: bool,
    }
    let rest = Rest {
        app,
        run,
        key,
        points: first,
        next: Some(next),
        is_begun: false,
    };
    let pages = stream::try_unfold(Some(rest), async |rest| {
        let Some(mut rest) = rest else {
            return Ok::<_, std::io::Error>(None);
        };
        let before: &[u8] = if rest.is_begun {
            b","
        } else {
            b"{\"metrics\":["
        };
        let mut text = before.to_vec();
        rest.is_begun = true;
        write_points(&mut text, &rest.points, &rest.app)?;
        let Some(token) = rest.next.take() else {
            text.extend_from_slice(b"]}");
            return Ok(Some((Bytes::from(text), None)));
        };
        let page = PageRequest {
            limit: HISTORY_PAGE,
            token: Some(token),
        };
        let reading = rest
            .app
            .tracking
            .list_metric_points(&rest.run, &rest.key, &page);
        let read = reading.await.map_err(|error| {
            tracing::error!(error = %tell(&error), "sending a history broke off");
            std::io::Error::other("the history cannot be read")
        })?;
        rest.points = read.items;
        rest.next = read.next;
        Ok(Some((Bytes::from(text), Some(rest))))
    });
    Told::streamed(Body::from_stream(pages))
}

/// Writes points without the brackets around them.
fn write_points(text: &mut Vec<u8>, points: &[Metric], app: &App) -> std::io::Result<()> {
    for (index, point) in points.iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        serde_json::to_writer(&mut *text, &MetricView::new(point, &app.access))?;
    }
    Ok(())
}

/// As `Points`; without any there is an empty list, which MLflow writes by hand here.
#[derive(Serialize, JsonSchema)]
pub(super) struct All<'a> {
    metrics: Vec<MetricView<'a>>,
}

/// `metrics/get-history-bulk`: one metric of several runs, run by run, as far as an answer may go.
pub(super) async fn of_runs(State(app): State<App>, query: Query) -> Answer<All<'static>> {
    let request = "GetMetricHistoryBulk";
    let mut runs = read_runs(&app, &query, "run_id", request)?;
    runs.sort();
    runs.dedup();
    let key = query.text("metric_key");
    let key = key.ok_or(RequestError::NoMetricKey { request })?;
    let limit = query.integer("max_results")?;
    let limit = limit
        .map_or(BULK_POINTS_MAX, page_limit)
        .min(BULK_POINTS_MAX);
    let mut found: Vec<(RunId, Vec<Metric>)> = Vec::new();
    let mut left = limit;
    for run in runs {
        if left == 0 {
            break;
        }
        let page = PageRequest::first(left);
        match app.tracking.list_metric_points(&run, key, &page).await {
            Ok(read) => {
                left -= read.items.len().min(left);
                found.push((run, read.items));
            }
            Err(TrackingError::NoRun { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    json(&All {
        metrics: views_of_runs(&app, &found),
    })
}

/// `metrics/get-history-bulk-interval`: an even sample of one metric of several runs.
pub(super) async fn samples(State(app): State<App>, query: Query) -> Answer<Points<'static>> {
    let request = "GetMetricHistoryBulkInterval";
    let runs = read_runs(&app, &query, "run_ids", request)?;
    let key = query.required("metric_key")?;
    let steps = match (query.integer("start_step")?, query.integer("end_step")?) {
        (Some(start), Some(end)) if start > end => {
            return Err(RequestError::BackwardSteps { start, end });
        }
        (Some(start), Some(end)) => start..=end,
        (None, None) => i64::MIN..=i64::MAX,
        _ => return Err(RequestError::HalfStepRange),
    };
    let limit = match query.integer("max_results")?.map(page_limit) {
        None => SAMPLE_MAX,
        Some(limit) if (1..=SAMPLE_MAX).contains(&limit) => limit,
        Some(_) => return Err(RequestError::SampleSize { limit: SAMPLE_MAX }),
    };
    let mut found = Vec::with_capacity(runs.len());
    for run in runs {
        let sampling = app
            .tracking
            .sample_metric_points(&run, key, steps.clone(), limit);
        let points = sampling.await?.into_iter();
        // As MLflow has it, samples do not say what was measured.
        let metrics =
            points.map(|point| Metric::new(key, point.value, point.timestamp_ms, point.step));
        found.push((run, metrics.collect()));
    }
    json(&Points {
        metrics: views_of_runs(&app, &found),
    })
}

fn read_runs(
    app: &App,
    query: &Query,
    field: &str,
    request: &'static str,
) -> Result<Vec<RunId>, RequestError> {
    let runs: Vec<_> = query.list(field).collect();
    match runs.len() {
        // The one by a check of its own, the other by that of its protobuf.
        0 if field == "run_ids" => Err(crate::wire::missing(field)),
        0 => Err(RequestError::NoRuns { request }),
        found if found > BULK_RUNS_MAX => Err(RequestError::TooManyRuns {
            request,
            limit: BULK_RUNS_MAX,
            found,
        }),
        _ => runs.into_iter().map(|run| app.access.run(run)).collect(),
    }
}

fn views_of_runs<'a>(app: &'a App, found: &'a [(RunId, Vec<Metric>)]) -> Vec<MetricView<'a>> {
    let views = found.iter().flat_map(|(run, points)| {
        points
            .iter()
            .map(|point| MetricView::of_run(run, point, &app.access))
    });
    views.collect()
}
