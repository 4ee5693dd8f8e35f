//! Calls about issues.

use std::borrow::Cow;

use axum::extract::{Path, State};
use entities::{CountedIssue, Issue, IssueSeverity, IssueStatus};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::PageRequest;
use traces::{IssueChange, NewIssue};
use tracking::parse_experiment_id;

use super::experiments::page_limit;
use crate::app::{App, By};
use crate::scope::Access;
use crate::wire::{Answer, Int64, Json, Word, json, required};

/// Issues on a page where the request does not say.
const DEFAULT_PAGE: i64 = 100;

#[derive(Deserialize, JsonSchema)]
pub(super) struct Create {
    #[serde(alias = "experimentId")]
    #[schemars(required)]
    experiment_id: Option<String>,
    #[schemars(required)]
    name: Option<String>,
    #[schemars(required)]
    description: Option<String>,
    status: Option<String>,
    severity: Option<String>,
    #[serde(alias = "rootCauses")]
    root_causes: Option<Vec<String>>,
    categories: Option<Vec<String>>,
    #[serde(alias = "sourceRunId")]
    source_run_id: Option<String>,
    #[serde(alias = "createdBy")]
    created_by: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Update {
    name: Option<String>,
    description: Option<String>,
    status: Option<String>,
    severity: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Search {
    #[serde(alias = "experimentId")]
    experiment_id: Option<String>,
    #[serde(alias = "filterString")]
    filter_string: Option<String>,
    #[serde(alias = "maxResults")]
    max_results: Option<Int64>,
    #[serde(alias = "pageToken")]
    page_token: Option<String>,
    #[serde(alias = "includeTraceCount")]
    include_trace_count: Option<bool>,
}

/// A known problem that traces show.
#[derive(Serialize, JsonSchema)]
struct IssueView<'a> {
    issue_id: &'a str,
    experiment_id: &'a str,
    name: &'a str,
    description: &'a str,
    status: Word<IssueStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    severity: Option<Word<IssueSeverity>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    root_causes: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    source_run_id: Option<Cow<'a, str>>,
    created_timestamp: i64,
    last_updated_timestamp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    categories: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_count: Option<u64>,
}

impl<'a> IssueView<'a> {
    fn new(access: &Access, issue: &'a Issue, traces: Option<u64>) -> Self {
        let Issue {
            id,
            experiment,
            name,
            description,
            status,
            severity,
            root_causes,
            categories,
            source_run,
            created_by,
            created_at,
            updated_at,
        } = issue;
        Self {
            issue_id: id.as_str(),
            experiment_id: experiment.as_str(),
            name,
            description,
            status: Word(*status),
            severity: severity.map(Word),
            root_causes,
            source_run_id: source_run.as_ref().map(|run| access.shown_id(run.as_str())),
            created_timestamp: created_at.as_millis(),
            last_updated_timestamp: updated_at.as_millis(),
            created_by: created_by.as_deref(),
            categories,
            trace_count: traces,
        }
    }
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Found<'a> {
    issue: IssueView<'a>,
}

fn answer(app: &App, issue: &Issue) -> Answer<Found<'static>> {
    json(&Found {
        issue: IssueView::new(&app.access, issue, None),
    })
}

/// An empty text is none, as in MLflow.
fn given(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

/// `POST issues`.
pub(super) async fn create(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<Create>,
) -> Answer<Found<'static>> {
    let Create {
        experiment_id,
        name,
        description,
        status,
        severity,
        root_causes,
        categories,
        source_run_id,
        created_by,
    } = request;
    let name = required("name", name)?;
    let description = required("description", description)?;
    let experiment = required("experiment_id", experiment_id)?;
    let source_run = given(source_run_id)
        .map(|run| app.access.run(&run))
        .transpose()?;
    let masked = |texts: Option<Vec<String>>| -> Vec<String> {
        let texts = texts.unwrap_or_default().into_iter();
        texts.map(|text| app.access.masked_text(text)).collect()
    };
    let new = NewIssue {
        experiment: parse_experiment_id(&experiment)?,
        name: app.access.masked_text(name),
        description: app.access.masked_text(description),
        status,
        severity,
        root_causes: masked(root_causes),
        categories: masked(categories),
        source_run,
        created_by: given(created_by),
    };
    let issue = app.traces.create_issue(&caller, new).await?;
    app.access.note_issue(&issue.id);
    answer(&app, &issue)
}

/// `GET issues/{issue}`.
pub(super) async fn find(
    State(app): State<App>,
    Path(issue): Path<String>,
) -> Answer<Found<'static>> {
    let id = traces::parse_issue_id(&issue)?;
    answer(&app, &app.traces.get_issue(&id).await?)
}

/// `PATCH issues/{issue}`.
pub(super) async fn update(
    State(app): State<App>,
    By(caller): By,
    Path(issue): Path<String>,
    Json(request): Json<Update>,
) -> Answer<Found<'static>> {
    let Update {
        name,
        description,
        status,
        severity,
    } = request;
    let id = app.access.writable_issue(&issue)?;
    let masked = |text: Option<String>| given(text).map(|text| app.access.masked_text(text));
    let change = IssueChange {
        name: masked(name),
        description: masked(description),
        status,
        severity,
    };
    let issue = app.traces.update_issue(&caller, &id, change).await?;
    answer(&app, &issue)
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Items<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    issues: Vec<IssueView<'a>>,
    next_page_token: String,
}

/// `POST issues/search`.
pub(super) async fn search(
    State(app): State<App>,
    Json(request): Json<Search>,
) -> Answer<Items<'static>> {
    let Search {
        experiment_id,
        filter_string,
        max_results,
        page_token,
        include_trace_count,
    } = request;
    let experiment = given(experiment_id);
    let experiment = experiment.as_deref().map(parse_experiment_id).transpose()?;
    let filter = filter_string.unwrap_or_default();
    let filter = app.access.real_filter(&filter);
    let page = PageRequest {
        token: given(page_token),
        limit: page_limit(max_results.map_or(DEFAULT_PAGE, |Int64(limit)| limit)),
    };
    let searching = app.traces.search_issues(
        experiment.as_ref(),
        &filter,
        include_trace_count.unwrap_or_default(),
        &page,
    );
    let found = searching.await?;
    let views = found.items.iter();
    let views =
        views.map(|CountedIssue { issue, traces }| IssueView::new(&app.access, issue, *traces));
    json(&Items {
        issues: views.collect(),
        next_page_token: found.next.unwrap_or_default(),
    })
}
