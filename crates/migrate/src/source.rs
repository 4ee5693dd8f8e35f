//! What a source holds, in our words.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use entities::{
    Assessment, DatasetInput, EvaluationDataset, Experiment, ExperimentId, LoggedModel, Metric,
    ModelId, ModelOutput, ModelVersion, OnlineScoring, RegisteredModel, Run, RunId, ScorerId,
    ScorerVersion, Span, Trace, TraceId, VersionNumber, Webhook,
};
use webhooks::Secret;

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
    /// Whether only the event files right in that folder are its own.
    pub(crate) has_event_files: bool,
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

/// Which trace, and where its spans are.
#[derive(Clone, Debug)]
pub(crate) struct TracePlace {
    pub(crate) id: TraceId,
    pub(crate) experiment: ExperimentId,
    /// The location of its files, where its spans are nowhere else.
    pub(crate) spans_at: Option<String>,
}

/// A trace with everything that belongs to it. Its files are still where the source has them.
#[derive(Clone, Debug)]
pub(crate) struct SourceTrace {
    pub(crate) trace: Trace,
    /// By their begin; none where they are files.
    pub(crate) spans: Vec<Span>,
    /// How many more MLflow moved into its archive.
    pub(crate) archived_spans: u64,
    /// Oldest first, but each after the one that it replaces.
    pub(crate) assessments: Vec<Assessment>,
    pub(crate) links: TraceLinks,
    /// As of a run.
    pub(crate) folder: Option<PathBuf>,
}

/// What a trace is linked to.
#[derive(Clone, Debug, Default)]
pub(crate) struct TraceLinks {
    pub(crate) runs: Vec<RunId>,
    /// Versions of prompts, by name and number.
    pub(crate) prompts: Vec<(String, String)>,
}

/// What was read of a trace.
#[derive(Clone, Debug)]
pub(crate) struct TraceReading {
    /// None where the trace itself cannot be read.
    pub(crate) trace: Option<SourceTrace>,
    /// What of it cannot be read and why, each as a sentence.
    pub(crate) faults: Vec<String>,
}

/// An evaluation dataset without its records.
#[derive(Clone, Debug)]
pub(crate) struct SourceDataset {
    pub(crate) dataset: EvaluationDataset,
    /// Those that it belongs to.
    pub(crate) experiments: Vec<ExperimentId>,
}

/// A scorer with its versions, by number.
#[derive(Clone, Debug)]
pub(crate) struct SourceScorer {
    pub(crate) id: ScorerId,
    pub(crate) experiment: ExperimentId,
    pub(crate) name: String,
    pub(crate) versions: Vec<ScorerVersion>,
    pub(crate) scoring: Option<OnlineScoring>,
}

/// A webhook with its secret.
#[derive(Clone, Debug)]
pub(crate) struct SourceWebhook {
    pub(crate) webhook: Webhook,
    pub(crate) secret: Option<Secret>,
}

/// What a source holds, but for its runs, traces and records of datasets, which are read a few at a time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outline {
    pub(crate) experiments: Vec<Experiment>,
    /// Oldest first.
    pub(crate) runs: Vec<RunPlace>,
    pub(crate) models: Vec<SourceModel>,
    pub(crate) registered: Vec<SourceRegistered>,
    pub(crate) traces: Vec<TracePlace>,
    pub(crate) datasets: Vec<SourceDataset>,
    pub(crate) scorers: Vec<SourceScorer>,
    pub(crate) webhooks: Vec<SourceWebhook>,
    /// Traces that have no id or no experiment, and what else cannot be read, each as a sentence that says why.
    pub(crate) unreadable: Vec<String>,
    /// Things for which there is no place here, and how many there are.
    pub(crate) left_behind: BTreeMap<String, u64>,
}

impl Outline {
    /// Leaves out traces and scorers whose experiment is not there, and takes datasets out of such experiments.
    pub(crate) fn leave_out_strays(&mut self) {
        let known = self.experiments.iter().map(|experiment| &experiment.id);
        let known: BTreeSet<_> = known.collect();
        self.traces.retain(|place| {
            let is_known = known.contains(&place.experiment);
            if !is_known {
                let TracePlace { id, experiment, .. } = place;
                let fault = format!("trace {id}: its experiment {experiment} is not there");
                self.unreadable.push(fault);
            }
            is_known
        });
        self.scorers.retain(|scorer| {
            let is_known = known.contains(&scorer.experiment);
            if !is_known {
                let SourceScorer {
                    name, experiment, ..
                } = scorer;
                let fault = format!("scorer `{name}`: its experiment {experiment} is not there");
                self.unreadable.push(fault);
            }
            is_known
        });
        for found in &mut self.datasets {
            found.experiments.retain(|id| known.contains(id));
        }
    }
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
