//! What is answered: experiments, runs, models and files in MLflow's form, written straight from the records.

use std::borrow::Cow;
use std::collections::BTreeMap;

use entities::{
    ArtifactEntry, DatasetInput, Experiment, Lifecycle, LoggedModelDetail, Metric, ModelStatus,
    ModelVersion, ModelVersionDetail, RegisteredModelDetail, Run, RunDetail, RunId, RunStatus,
    Stage,
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Double, Word};
use crate::scope::Access;

/// A page of a search.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Page<T> {
    /// The items, under the name that they have in this answer.
    #[serde(flatten)]
    pub(crate) items: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_page_token: Option<String>,
}

/// A key and its value.
#[derive(Serialize, JsonSchema)]
pub(crate) struct PairView<'a> {
    pub(super) key: &'a str,
    pub(super) value: Cow<'a, str>,
}

fn pair_views(pairs: &BTreeMap<String, String>) -> Vec<PairView<'_>> {
    let shown = pairs.iter().map(|(key, value)| PairView {
        key,
        value: Cow::Borrowed(value),
    });
    shown.collect()
}

/// An experiment.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ExperimentView<'a> {
    experiment_id: &'a str,
    name: &'a str,
    artifact_location: &'a str,
    lifecycle_stage: Word<Lifecycle>,
    last_update_time: i64,
    creation_time: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<PairView<'a>>,
}

impl<'a> ExperimentView<'a> {
    pub(crate) fn new(experiment: &'a Experiment) -> Self {
        let Experiment {
            id,
            name,
            artifact_location,
            lifecycle,
            created_at,
            updated_at,
            tags,
        } = experiment;
        Self {
            experiment_id: id.as_str(),
            name,
            artifact_location,
            lifecycle_stage: Word(*lifecycle),
            last_update_time: updated_at.as_millis(),
            creation_time: created_at.as_millis(),
            tags: pair_views(tags),
        }
    }
}

/// What is known of a run as a whole; `run_uuid` is its id, too.
#[derive(Serialize, JsonSchema)]
pub(crate) struct RunInfoView<'a> {
    run_uuid: Cow<'a, str>,
    experiment_id: &'a str,
    run_name: &'a str,
    user_id: &'a str,
    status: Word<RunStatus>,
    start_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<i64>,
    artifact_uri: Cow<'a, str>,
    lifecycle_stage: Word<Lifecycle>,
    run_id: Cow<'a, str>,
}

impl<'a> RunInfoView<'a> {
    pub(crate) fn new(run: &'a Run, access: &Access) -> Self {
        let id = access.shown_id(run.id.as_str());
        Self {
            run_uuid: id.clone(),
            experiment_id: run.experiment.as_str(),
            run_name: &run.name,
            user_id: &run.user,
            status: Word(run.status),
            start_time: run.started_at.as_millis(),
            end_time: run.ended_at.map(entities::Timestamp::as_millis),
            artifact_uri: access.shown_uri(&run.artifact_uri),
            lifecycle_stage: Word(run.lifecycle),
            run_id: id,
        }
    }
}

/// A run.
#[derive(Serialize, JsonSchema)]
pub(crate) struct RunView<'a> {
    info: RunInfoView<'a>,
    data: RunDataView<'a>,
    inputs: RunInputsView<'a>,
    /// Not there in the answer to the making of a run.
    #[serde(skip_serializing_if = "Option::is_none")]
    outputs: Option<RunOutputsView<'a>>,
}

/// What was logged to a run: of each metric the last value.
#[derive(Serialize, JsonSchema)]
struct RunDataView<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<MetricView<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    params: Vec<PairView<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<PairView<'a>>,
}

/// What a run read.
#[derive(Serialize, JsonSchema)]
struct RunInputsView<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dataset_inputs: Vec<DatasetInputView<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    model_inputs: Vec<ModelInputView<'a>>,
}

/// What a run made.
#[derive(Serialize, JsonSchema)]
struct RunOutputsView<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    model_outputs: Vec<ModelOutputView<'a>>,
}

/// A logged model that a run read.
#[derive(Serialize, JsonSchema)]
struct ModelInputView<'a> {
    model_id: Cow<'a, str>,
}

/// A logged model that a run made.
#[derive(Serialize, JsonSchema)]
struct ModelOutputView<'a> {
    model_id: Cow<'a, str>,
    step: i64,
}

impl<'a> RunView<'a> {
    pub(crate) fn new(detail: &'a RunDetail, access: &Access) -> Self {
        let RunDetail {
            run,
            params,
            tags,
            metrics,
            datasets,
            model_inputs,
            model_outputs,
        } = detail;
        let tags = tags.iter().map(|(key, value)| PairView {
            key,
            value: access.shown_tag(key, value),
        });
        let metrics = metrics.iter().map(|metric| MetricView::new(metric, access));
        let model_inputs = model_inputs.iter().map(|model| ModelInputView {
            model_id: access.shown_id(model.as_str()),
        });
        let model_outputs = model_outputs.iter().map(|output| ModelOutputView {
            model_id: access.shown_id(output.model.as_str()),
            step: output.step,
        });
        Self {
            info: RunInfoView::new(run, access),
            data: RunDataView {
                metrics: metrics.collect(),
                params: pair_views(params),
                tags: tags.collect(),
            },
            inputs: RunInputsView {
                dataset_inputs: datasets.iter().map(DatasetInputView::new).collect(),
                model_inputs: model_inputs.collect(),
            },
            outputs: Some(RunOutputsView {
                model_outputs: model_outputs.collect(),
            }),
        }
    }

    /// A run that was just made, of which MLflow tells no outputs.
    pub(crate) fn made(detail: &'a RunDetail, access: &Access) -> Self {
        let has_outputs = !detail.model_outputs.is_empty();
        let view = Self::new(detail, access);
        Self {
            outputs: view.outputs.filter(|_| has_outputs),
            ..view
        }
    }
}

/// A dataset that a run read, with what it was to it.
#[derive(Serialize, JsonSchema)]
struct DatasetInputView<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<PairView<'a>>,
    dataset: DatasetView<'a>,
}

/// A dataset, as clients declare it.
#[derive(Serialize, JsonSchema)]
struct DatasetView<'a> {
    name: &'a str,
    digest: &'a str,
    source_type: &'a str,
    source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'a str>,
}

impl<'a> DatasetInputView<'a> {
    fn new(input: &'a DatasetInput) -> Self {
        let DatasetInput {
            name,
            digest,
            source_type,
            source,
            schema,
            profile,
            tags,
        } = input;
        Self {
            tags: pair_views(tags),
            dataset: DatasetView {
                name,
                digest,
                source_type,
                source,
                schema: schema.as_deref(),
                profile: profile.as_deref(),
            },
        }
    }
}

/// A point; `run_id` is there where the answer is about several runs.
#[derive(Serialize, JsonSchema)]
pub(crate) struct MetricView<'a> {
    key: &'a str,
    value: Double,
    timestamp: i64,
    step: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_digest: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<Cow<'a, str>>,
}

impl<'a> MetricView<'a> {
    pub(crate) fn new(metric: &'a Metric, access: &Access) -> Self {
        let Metric {
            key,
            value,
            timestamp_ms,
            step,
            model,
            dataset,
        } = metric;
        Self {
            key,
            value: Double(*value),
            timestamp: *timestamp_ms,
            step: *step,
            model_id: model.as_ref().map(|model| access.shown_id(model.as_str())),
            dataset_name: dataset.as_ref().map(|(name, _)| name.as_str()),
            dataset_digest: dataset.as_ref().map(|(_, digest)| digest.as_str()),
            run_id: None,
        }
    }

    /// A point in an answer about several runs.
    pub(crate) fn of_run(run: &'a RunId, metric: &'a Metric, access: &Access) -> Self {
        Self {
            run_id: Some(access.shown_id(run.as_str())),
            ..Self::new(metric, access)
        }
    }
}

/// A logged model.
#[derive(Serialize, JsonSchema)]
pub(crate) struct LoggedModelView<'a> {
    info: LoggedModelInfoView<'a>,
    data: LoggedModelDataView<'a>,
}

/// What is known of a logged model as a whole.
#[derive(Serialize, JsonSchema)]
struct LoggedModelInfoView<'a> {
    model_id: Cow<'a, str>,
    experiment_id: &'a str,
    name: &'a str,
    creation_timestamp_ms: i64,
    last_updated_timestamp_ms: i64,
    artifact_uri: Cow<'a, str>,
    status: Word<ModelStatus>,
    // Empty where there is none, as MLflow tells both.
    model_type: &'a str,
    source_run_id: Cow<'a, str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<PairView<'a>>,
}

/// What was logged to a model.
#[derive(Serialize, JsonSchema)]
struct LoggedModelDataView<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    params: Vec<PairView<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<MetricView<'a>>,
}

impl<'a> LoggedModelView<'a> {
    pub(crate) fn new(detail: &'a LoggedModelDetail, access: &Access) -> Self {
        let LoggedModelDetail { model, metrics } = detail;
        let source_run = model.source_run.as_ref();
        let metrics = metrics.iter();
        Self {
            info: LoggedModelInfoView {
                model_id: access.shown_id(model.id.as_str()),
                experiment_id: model.experiment.as_str(),
                name: &model.name,
                creation_timestamp_ms: model.created_at.as_millis(),
                last_updated_timestamp_ms: model.updated_at.as_millis(),
                artifact_uri: access.shown_uri(&model.artifact_uri),
                status: Word(model.status),
                model_type: model.model_type.as_deref().unwrap_or_default(),
                source_run_id: access.shown_id(source_run.map_or("", RunId::as_str)),
                tags: pair_views(&model.tags),
            },
            data: LoggedModelDataView {
                params: pair_views(&model.params),
                metrics: metrics
                    .map(|(run, metric)| MetricView::of_run(run, metric, access))
                    .collect(),
            },
        }
    }
}

/// A registered model.
#[derive(Serialize, JsonSchema)]
pub(crate) struct RegisteredModelView<'a> {
    name: &'a str,
    creation_timestamp: i64,
    last_updated_timestamp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    latest_versions: Vec<ModelVersionView<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<PairView<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<AliasView<'a>>,
}

/// An alias, and the version that it points to.
#[derive(Serialize, JsonSchema)]
struct AliasView<'a> {
    alias: &'a str,
    version: String,
}

impl<'a> RegisteredModelView<'a> {
    pub(crate) fn new(detail: &'a RegisteredModelDetail, access: &Access) -> Self {
        let RegisteredModelDetail {
            model,
            aliases,
            latest,
        } = detail;
        let description = model.description.as_deref();
        let latest = latest.iter();
        let aliases = aliases.iter().map(|(alias, version)| AliasView {
            alias,
            version: version.to_string(),
        });
        Self {
            name: &model.name,
            creation_timestamp: model.created_at.as_millis(),
            last_updated_timestamp: model.updated_at.as_millis(),
            description: description.filter(|text| !text.is_empty()),
            latest_versions: latest
                .map(|version| ModelVersionView::new(version, &[], access))
                .collect(),
            tags: pair_views(&model.tags),
            aliases: aliases.collect(),
        }
    }
}

/// A version of a registered model.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ModelVersionView<'a> {
    name: &'a str,
    version: String,
    creation_timestamp: i64,
    last_updated_timestamp: i64,
    current_stage: Word<Stage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    source: Cow<'a, str>,
    run_id: Cow<'a, str>,
    status: VersionStatusView,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<PairView<'a>>,
    run_link: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    aliases: &'a [String],
}

/// Its files are where they are when it is registered: nothing is copied that could be waited for.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
enum VersionStatusView {
    Ready,
}

impl<'a> ModelVersionView<'a> {
    pub(crate) fn of(detail: &'a ModelVersionDetail, access: &Access) -> Self {
        Self::new(&detail.version, &detail.aliases, access)
    }

    fn new(version: &'a ModelVersion, aliases: &'a [String], access: &Access) -> Self {
        let run = version.run.as_ref().map(RunId::as_str);
        Self {
            name: &version.name,
            version: version.version.to_string(),
            creation_timestamp: version.created_at.as_millis(),
            last_updated_timestamp: version.updated_at.as_millis(),
            current_stage: Word(version.stage),
            description: version.description.as_deref(),
            source: access.shown_uri(&version.source),
            run_id: access.shown_id(run.unwrap_or_default()),
            status: VersionStatusView::Ready,
            tags: pair_views(&version.tags),
            run_link: version.run_link.as_deref().unwrap_or_default(),
            aliases,
        }
    }
}

/// A file or folder of a listing.
#[derive(Serialize, JsonSchema)]
pub(crate) struct FileView<'a> {
    path: Cow<'a, str>,
    is_dir: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_size: Option<u64>,
}

impl<'a> FileView<'a> {
    /// `folder` is what its path begins with in this answer.
    pub(crate) fn new(folder: Option<&str>, entry: &'a ArtifactEntry) -> Self {
        let size_bytes = entry.file.as_ref().map(|(size_bytes, _)| *size_bytes);
        Self::of(folder, &entry.name, size_bytes)
    }

    /// Likewise; without a size it is a folder.
    pub(crate) fn of(folder: Option<&str>, name: &'a str, size_bytes: Option<u64>) -> Self {
        Self {
            path: match folder {
                Some(folder) => Cow::Owned(format!("{folder}/{name}")),
                None => Cow::Borrowed(name),
            },
            is_dir: size_bytes.is_none(),
            file_size: size_bytes,
        }
    }
}
