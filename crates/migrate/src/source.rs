//! What a source holds, in our words.

use std::collections::BTreeMap;
use std::path::PathBuf;

use entities::{
    DatasetInput, Experiment, ExperimentId, LoggedModel, Metric, ModelId, ModelOutput,
    ModelVersion, RegisteredModel, Run, RunId, VersionNumber,
};

/// A run with everything that belongs to it. Its artifacts are still where the source has them.
#[derive(Clone, Debug)]
pub(crate) struct SourceRun {
    pub(crate) run: Run,
    pub(crate) params: BTreeMap<String, String>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) points: Vec<Metric>,
    pub(crate) datasets: Vec<DatasetInput>,
    pub(crate) model_inputs: Vec<ModelId>,
    pub(crate) model_outputs: Vec<ModelOutput>,
}

/// Which run, and where its artifacts are.
#[derive(Clone, Debug)]
pub(crate) struct RunPlace {
    pub(crate) id: RunId,
    pub(crate) experiment: ExperimentId,
    pub(crate) artifact_uri: String,
    /// Where its files are, where that is known better than by the location.
    pub(crate) folder: Option<PathBuf>,
}

/// A logged model.
#[derive(Clone, Debug)]
pub(crate) struct SourceModel {
    pub(crate) model: LoggedModel,
    /// As of a run.
    pub(crate) folder: Option<PathBuf>,
    pub(crate) is_deleted: bool,
}

/// A registered model with its versions, by number.
#[derive(Clone, Debug)]
pub(crate) struct SourceRegistered {
    pub(crate) model: RegisteredModel,
    pub(crate) versions: Vec<SourceVersion>,
    pub(crate) aliases: BTreeMap<String, VersionNumber>,
}

/// A version of a registered model.
#[derive(Clone, Debug)]
pub(crate) struct SourceVersion {
    pub(crate) version: ModelVersion,
    pub(crate) is_deleted: bool,
}

/// What a source holds, but for its runs, which are read a few at a time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outline {
    pub(crate) experiments: Vec<Experiment>,
    /// Oldest first.
    pub(crate) runs: Vec<RunPlace>,
    pub(crate) models: Vec<SourceModel>,
    pub(crate) registered: Vec<SourceRegistered>,
    /// Things for which there is no place here, and how many there are.
    pub(crate) left_behind: BTreeMap<String, u64>,
}

/// Stage of a version that was deleted.
pub(crate) const DELETED_STAGE: &str = "Deleted_Internal";

/// Takes from the tags of a run what older releases kept nowhere else.
pub(crate) fn complete_run(run: &mut Run, tags: &BTreeMap<String, String>) {
    let parent = tags.get("mlflow.parentRunId");
    run.parent = parent.and_then(|parent| parent.parse().ok());
    if run.name.is_empty() {
        let name = tags.get("mlflow.runName");
        run.name = name.cloned().unwrap_or_else(|| run.id.to_string());
    }
    if run.user.is_empty() {
        run.user = tags.get("mlflow.user").cloned().unwrap_or_default();
    }
}

/// The logged model that a source is.
pub(crate) fn model_in_source(source: &str) -> Option<ModelId> {
    let model = source.strip_prefix("models:/")?;
    let is_version = model.contains(['/', '@']);
    model.parse().ok().filter(|_| !is_version)
}

/// Tells the points of a run for which models they were logged.
///
/// MLflow writes such a point twice, among the run's and for the model, there with `nan` in place of NaN.
pub(crate) fn tell_points_of_models(points: &mut Vec<Metric>, of_models: Vec<Metric>, nan: f64) {
    let mut places: BTreeMap<(String, i64, i64), Vec<usize>> = BTreeMap::new();
    for (index, point) in points.iter().enumerate() {
        let place = (point.key.clone(), point.timestamp_ms, point.step);
        places.entry(place).or_default().push(index);
    }
    for of_model in of_models {
        let place = (of_model.key.clone(), of_model.timestamp_ms, of_model.step);
        let same = places.get(&place).and_then(|indexes| {
            indexes.iter().copied().find(|index| {
                let value = points[*index].value;
                let written = if value.is_nan() { nan } else { value };
                written.to_bits() == of_model.value.to_bits()
            })
        });
        match same {
            Some(index) if points[index].model.is_none() => {
                points[index].model = of_model.model;
                points[index].dataset = of_model.dataset;
            }
            // Another model has the point already.
            Some(index) => points.push(Metric {
                value: points[index].value,
                ..of_model
            }),
            None => points.push(of_model),
        }
    }
}
