//! What a source holds, in our words.

use std::collections::BTreeMap;

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
}

/// A logged model.
#[derive(Clone, Debug)]
pub(crate) struct SourceModel {
    pub(crate) model: LoggedModel,
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
