//! Calls about scorers. Nothing here carries one out.

use axum::extract::State;
use entities::{ExperimentId, ScorerVersion};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracking::parse_experiment_id;

use super::runs::experiment_ids_of;
use crate::app::{App, By};
use crate::error::RequestError;
use crate::sign_on::Viewer;
use crate::wire::{
    Answer, Double, Int64, Json, OnlineScoringView, Query, ScorerView, empty, json, missing,
    required,
};

#[derive(Deserialize, JsonSchema)]
pub(super) struct Register {
    #[serde(alias = "experimentId")]
    #[schemars(required)]
    experiment_id: Option<String>,
    #[schemars(required)]
    name: Option<String>,
    #[serde(alias = "serializedScorer")]
    #[schemars(required)]
    serialized_scorer: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Registered<'a> {
    version: u32,
    scorer_id: &'a str,
    experiment_id: &'a str,
    name: &'a str,
    serialized_scorer: &'a str,
    creation_time: i64,
}

pub(super) async fn register(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<Register>,
) -> Answer<Registered<'static>> {
    let experiment = required("experiment_id", request.experiment_id)?;
    let name = required("name", request.name)?;
    let serialized = required("serialized_scorer", request.serialized_scorer)?;
    let experiment = parse_experiment_id(&experiment)?;
    let registering = app
        .datasets
        .register_scorer(&caller, &experiment, &name, &serialized);
    let version = registering.await?;
    app.access.note_scorer(&version);
    json(&Registered {
        version: version.version.get(),
        scorer_id: version.scorer.as_str(),
        experiment_id: version.experiment.as_str(),
        name: &version.name,
        serialized_scorer: &version.serialized,
        creation_time: version.created_at.as_millis(),
    })
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Items<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scorers: Vec<ScorerView<'a>>,
}

fn answer_list(versions: &[ScorerVersion]) -> Answer<Items<'static>> {
    json(&Items {
        scorers: versions.iter().map(ScorerView::new).collect(),
    })
}

pub(super) async fn list(
    State(app): State<App>,
    viewer: Viewer,
    query: Query,
) -> Answer<Items<'static>> {
    let one = query.text("experiment_id").filter(|id| !id.is_empty());
    let several: Vec<String> = query.list("experiment_ids").map(str::to_owned).collect();
    let mut versions = match (one, several.is_empty()) {
        (Some(_), false) => return Err(RequestError::OneAndSeveralExperiments),
        (Some(one), true) => {
            let experiment = parse_experiment_id(one)?;
            app.datasets.list_scorers(&experiment).await?
        }
        (None, false) => {
            let experiments = experiment_ids_of(Some(several))?;
            app.datasets.list_scorers_of(Some(&experiments)).await?
        }
        (None, true) => app.datasets.list_scorers_of(None).await?,
    };
    versions.retain(|version| viewer.sees_scorer(&version.experiment, &version.name));
    answer_list(&versions)
}

pub(super) async fn list_versions(State(app): State<App>, query: Query) -> Answer<Items<'static>> {
    let experiment = query.required("experiment_id")?;
    let name = query.required("name")?;
    let experiment = parse_experiment_id(experiment)?;
    let versions = app.datasets.list_scorer_versions(&experiment, name).await?;
    answer_list(&versions)
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Found<'a> {
    scorer: ScorerView<'a>,
}

pub(super) async fn find(State(app): State<App>, query: Query) -> Answer<Found<'static>> {
    let experiment = query.required("experiment_id")?;
    let name = query.required("name")?;
    let version = query.integer("version")?;
    let experiment = parse_experiment_id(experiment)?;
    let found = app.datasets.get_scorer(&experiment, name, version).await?;
    json(&Found {
        scorer: ScorerView::new(&found),
    })
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Delete {
    #[serde(alias = "experimentId")]
    #[schemars(required)]
    experiment_id: Option<String>,
    #[schemars(required)]
    name: Option<String>,
    version: Option<Int64>,
}

/// Refuses a captured run that changes what it did not register: a version, or without a number all that there are.
async fn check_writable(
    app: &App,
    experiment: &ExperimentId,
    name: &str,
    version: Option<i64>,
) -> Result<(), RequestError> {
    if app.access.captured().is_none() {
        return Ok(());
    }
    let mut versions = app.datasets.list_scorer_versions(experiment, name).await?;
    if let Some(number) = version {
        versions.retain(|found| i64::from(found.version.get()) == number);
    }
    app.access.check_scorer(&versions)
}

pub(super) async fn delete(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<Delete>,
) -> Answer {
    let experiment = required("experiment_id", request.experiment_id)?;
    let name = required("name", request.name)?;
    let version = request.version.map(|version| version.0);
    let experiment = parse_experiment_id(&experiment)?;
    check_writable(&app, &experiment, &name, version).await?;
    let deleting = app
        .datasets
        .delete_scorer(&caller, &experiment, &name, version);
    deleting.await?;
    Ok(empty())
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Online {
    #[schemars(required)]
    experiment_id: Option<String>,
    #[schemars(required)]
    name: Option<String>,
    #[schemars(required)]
    sample_rate: Option<Double>,
    /// Any type, for a message of its own.
    filter_string: Option<Value>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct OnlineSet<'a> {
    config: OnlineScoringView<'a>,
}

pub(super) async fn set_online(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<Online>,
) -> Answer<OnlineSet<'static>> {
    let experiment = required("experiment_id", request.experiment_id)?;
    let name = required("name", request.name)?;
    let rate = request.sample_rate.ok_or_else(|| missing("sample_rate"))?;
    let filter = match request.filter_string {
        None => None,
        Some(Value::String(filter)) => Some(filter),
        Some(other) => {
            return Err(RequestError::FilterType {
                kind: entities::python::type_of(&other),
                value: other.to_string(),
            });
        }
    };
    let experiment = parse_experiment_id(&experiment)?;
    check_writable(&app, &experiment, &name, None).await?;
    let setting = app
        .datasets
        .set_online_scoring(&caller, &experiment, &name, rate.0, filter);
    let scoring = setting.await?;
    json(&OnlineSet {
        config: OnlineScoringView::new(&scoring),
    })
}

#[derive(Serialize, JsonSchema)]
pub(super) struct OnlineItems<'a> {
    configs: Vec<OnlineScoringView<'a>>,
}

pub(super) async fn list_online(
    State(app): State<App>,
    query: Query,
) -> Answer<OnlineItems<'static>> {
    let ids: Vec<&str> = query.list("scorer_ids").collect();
    if ids.is_empty() {
        return Err(missing("scorer_ids"));
    }
    // What can be no id names no scorer.
    let ids: Vec<_> = ids
        .iter()
        .map(|id| id.parse())
        .filter_map(Result::ok)
        .collect();
    let scorings = app.datasets.list_online_scorings(&ids).await?;
    json(&OnlineItems {
        configs: scorings.iter().map(OnlineScoringView::new).collect(),
    })
}
