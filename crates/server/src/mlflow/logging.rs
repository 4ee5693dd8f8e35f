//! Calls that log to a run.

use axum::extract::State;
use entities::{DatasetInput, Metric, ModelId, ModelOutput, RunId};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use tracking::LogBatch;

use super::runs::{note_name_in, real_tags};
use crate::app::{App, By};
use crate::error::RequestError;
use crate::wire::{Answer, Double, Int64, Json, Pair, empty, missing, pairs, required};

/// The tag in which MLflow 2 keeps what models a run has.
const LOGGED_MODELS_TAG: &str = "mlflow.log-model.history";

/// The run of a request, under the new or the old name of the field.
fn run_of(
    app: &App,
    run_id: Option<String>,
    run_uuid: Option<String>,
) -> Result<RunId, RequestError> {
    let id = required("run_id", run_id.filter(|id| !id.is_empty()).or(run_uuid))?;
    app.access.writable_run(&id)
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct LogMetric {
    #[serde(alias = "runId")]
    run_id: Option<String>,
    #[serde(alias = "runUuid")]
    run_uuid: Option<String>,
    #[schemars(required)]
    key: Option<String>,
    #[schemars(required)]
    value: Option<Double>,
    #[schemars(required)]
    timestamp: Option<Int64>,
    step: Option<Int64>,
    #[serde(alias = "modelId")]
    model_id: Option<String>,
    #[serde(alias = "datasetName")]
    dataset_name: Option<String>,
    #[serde(alias = "datasetDigest")]
    dataset_digest: Option<String>,
}

pub(super) async fn log_metric(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<LogMetric>,
) -> Answer {
    let LogMetric {
        run_id,
        run_uuid,
        key,
        value,
        timestamp,
        step,
        model_id,
        dataset_name,
        dataset_digest,
    } = request;
    let run = run_of(&app, run_id, run_uuid)?;
    let point = Point {
        key,
        value,
        timestamp,
        step,
        model_id,
        dataset_name,
        dataset_digest,
    };
    let metric = point.read(&app, None)?;
    app.tracking.log_metric(&caller, &run, metric).await?;
    Ok(empty())
}

/// A point of a metric.
#[derive(Deserialize, JsonSchema)]
struct Point {
    key: Option<String>,
    value: Option<Double>,
    timestamp: Option<Int64>,
    step: Option<Int64>,
    #[serde(alias = "modelId")]
    model_id: Option<String>,
    #[serde(alias = "datasetName")]
    dataset_name: Option<String>,
    #[serde(alias = "datasetDigest")]
    dataset_digest: Option<String>,
}

impl Point {
    /// Reads it; `index` is its place in a batch, for messages.
    fn read(self, app: &App, index: Option<usize>) -> Result<Metric, RequestError> {
        let Self {
            key,
            value,
            timestamp,
            step,
            model_id,
            dataset_name,
            dataset_digest,
        } = self;
        let lacks = |field: &str| match index {
            Some(index) => missing(format!("metrics[{index}].{field}")),
            None => missing(field),
        };
        let key = key.filter(|key| !key.is_empty());
        let model = model_id.filter(|model| !model.is_empty());
        let dataset = match (
            dataset_name.filter(|name| !name.is_empty()),
            dataset_digest.filter(|digest| !digest.is_empty()),
        ) {
            (None, None) => None,
            (Some(name), Some(digest)) => Some((name, digest)),
            _ => return Err(RequestError::HalfDataset),
        };
        Ok(Metric {
            key: key.ok_or_else(|| lacks("key"))?,
            value: value.ok_or_else(|| lacks("value"))?.0,
            timestamp_ms: timestamp.ok_or_else(|| lacks("timestamp"))?.0,
            step: step.map_or(0, |step| step.0),
            model: model.map(|model| app.access.model(&model)).transpose()?,
            dataset,
        })
    }
}

/// A param or a tag of a run.
#[derive(Deserialize, JsonSchema)]
pub(super) struct KeyOfRun {
    #[serde(alias = "runId")]
    run_id: Option<String>,
    #[serde(alias = "runUuid")]
    run_uuid: Option<String>,
    #[schemars(required)]
    key: Option<String>,
    value: Option<String>,
}

pub(super) async fn log_param(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<KeyOfRun>,
) -> Answer {
    let run = run_of(&app, request.run_id, request.run_uuid)?;
    let key = required("key", request.key)?;
    let value = app
        .access
        .real_param(&key, request.value.unwrap_or_default());
    app.tracking.log_param(&caller, &run, &key, &value).await?;
    Ok(empty())
}

pub(super) async fn set_tag(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<KeyOfRun>,
) -> Answer {
    let run = run_of(&app, request.run_id, request.run_uuid)?;
    let key = required("key", request.key)?;
    let value = request.value.unwrap_or_default();
    let value = app.access.real_tag(&key, value);
    app.tracking.set_tag(&caller, &run, &key, &value).await?;
    note_name_in(&app, &run, &[(key, value)]);
    Ok(empty())
}

pub(super) async fn delete_tag(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<KeyOfRun>,
) -> Answer {
    let run = run_of(&app, request.run_id, request.run_uuid)?;
    let key = required("key", request.key)?;
    app.tracking.delete_tag(&caller, &run, &key).await?;
    Ok(empty())
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Batch {
    #[serde(alias = "runId")]
    #[schemars(required)]
    run_id: Option<String>,
    metrics: Option<Vec<Point>>,
    params: Option<Vec<Pair>>,
    tags: Option<Vec<Pair>>,
}

pub(super) async fn log_batch(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<Batch>,
) -> Answer {
    let Batch {
        run_id,
        metrics,
        params,
        tags,
    } = request;
    let run = run_of(&app, run_id, None)?;
    let points = metrics.unwrap_or_default().into_iter().enumerate();
    let metrics = points.map(|(index, point)| point.read(&app, Some(index)));
    let batch = LogBatch {
        metrics: metrics.collect::<Result<_, _>>()?,
        params: app.access.real_params(pairs("params", params)?),
        tags: real_tags(&app, pairs("tags", tags)?).collect(),
    };
    note_name_in(&app, &run, &batch.tags);
    app.tracking.log_batch(&caller, &run, batch).await?;
    Ok(empty())
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Inputs {
    #[serde(alias = "runId")]
    #[schemars(required)]
    run_id: Option<String>,
    datasets: Option<Vec<Input>>,
    models: Option<Vec<ModelOf>>,
}

#[derive(Deserialize, JsonSchema)]
struct Input {
    tags: Option<Vec<Pair>>,
    dataset: Option<Dataset>,
}

#[derive(Default, Deserialize, JsonSchema)]
struct Dataset {
    name: Option<String>,
    digest: Option<String>,
    #[serde(alias = "sourceType")]
    source_type: Option<String>,
    source: Option<String>,
    schema: Option<String>,
    profile: Option<String>,
}

/// A logged model that a run used or made.
#[derive(Deserialize, JsonSchema)]
struct ModelOf {
    #[serde(alias = "modelId")]
    model_id: Option<String>,
    step: Option<Int64>,
}

impl Input {
    fn read(self, index: usize) -> Result<DatasetInput, RequestError> {
        let Self { tags, dataset } = self;
        let Dataset {
            name,
            digest,
            source_type,
            source,
            schema,
            profile,
        } = dataset.unwrap_or_default();
        let field = |field: &str| format!("datasets[{index}].{field}");
        Ok(DatasetInput {
            name: required(&field("dataset.name"), name)?,
            digest: required(&field("dataset.digest"), digest)?,
            source_type: source_type.unwrap_or_default(),
            source: source.unwrap_or_default(),
            schema,
            profile,
            tags: pairs(&field("tags"), tags)?.into_iter().collect(),
        })
    }
}

impl ModelOf {
    fn read(&self, app: &App, index: usize) -> Result<ModelId, RequestError> {
        let lacks = || missing(format!("models[{index}].model_id"));
        let id = self.model_id.as_deref().filter(|id| !id.is_empty());
        app.access.model(id.ok_or_else(lacks)?)
    }
}

pub(super) async fn log_inputs(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<Inputs>,
) -> Answer {
    let Inputs {
        run_id,
        datasets,
        models,
    } = request;
    let run = run_of(&app, run_id, None)?;
    let datasets = datasets.unwrap_or_default().into_iter().enumerate();
    let datasets: Vec<_> = datasets
        .map(|(index, input)| {
            let input = input.read(index)?;
            Ok(DatasetInput {
                tags: real_tags(&app, input.tags).collect(),
                ..input
            })
        })
        .collect::<Result<_, RequestError>>()?;
    let models = models.unwrap_or_default();
    let models: Vec<_> = (0..)
        .zip(&models)
        .map(|(index, model)| model.read(&app, index))
        .collect::<Result<_, _>>()?;
    let logging = app.tracking.log_inputs(&caller, &run, datasets, models);
    logging.await?;
    Ok(empty())
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Outputs {
    #[serde(alias = "runId")]
    #[schemars(required)]
    run_id: Option<String>,
    #[schemars(required)]
    models: Option<Vec<ModelOf>>,
}

pub(super) async fn log_outputs(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<Outputs>,
) -> Answer {
    let run = run_of(&app, request.run_id, None)?;
    let models = request.models.ok_or_else(|| missing("models"))?;
    let outputs = (0..).zip(&models).map(|(index, model)| {
        Ok(ModelOutput {
            model: model.read(&app, index)?,
            step: model.step.map_or(0, |step| step.0),
        })
    });
    let outputs = outputs.collect::<Result<Vec<_>, RequestError>>()?;
    app.tracking.log_outputs(&caller, &run, outputs).await?;
    Ok(empty())
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct LogModel {
    #[serde(alias = "runId")]
    #[schemars(required)]
    run_id: Option<String>,
    #[serde(alias = "modelJson")]
    #[schemars(required)]
    model_json: Option<String>,
}

/// What clients before MLflow 3 do with a model: its description is added to a list in a tag.
pub(super) async fn log_model(
    State(app): State<App>,
    By(caller): By,
    Json(request): Json<LogModel>,
) -> Answer {
    let run = run_of(&app, request.run_id, None)?;
    let text = required("model_json", request.model_json)?;
    let model: Value = serde_json::from_str(&text).map_err(|_| RequestError::ModelInfo)?;
    if !["run_id", "artifact_path"]
        .iter()
        .all(|field| model.get(field).is_some())
    {
        return Err(RequestError::ModelInfo);
    }
    let tags = app.tracking.get_run(&run).await?.tags;
    let listed = tags.get(LOGGED_MODELS_TAG);
    let listed = listed.and_then(|list| serde_json::from_str::<Vec<Value>>(list).ok());
    let mut list = listed.unwrap_or_default();
    list.push(model);
    let list = Value::Array(list).to_string();
    let logging = app
        .tracking
        .set_tag(&caller, &run, LOGGED_MODELS_TAG, &list);
    logging.await?;
    Ok(empty())
}
