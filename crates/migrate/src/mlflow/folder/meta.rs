//! The `meta.yaml` of each thing.

use std::collections::BTreeMap;
use std::path::Path;

use entities::{
    DatasetInput, Experiment, ExperimentId, Lifecycle, LoggedModel, ModelId, ModelStatus,
    ModelVersion, RegisteredModel, Run, RunId, RunStatus, Stage, Timestamp, VersionNumber,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{file_fault, parse};
use crate::MigrateError;
use crate::source::{DELETED_STAGE, SourceVersion, model_in_source};

#[derive(Deserialize)]
pub(super) struct ExperimentMeta {
    name: String,
    artifact_location: Option<String>,
    lifecycle_stage: Option<String>,
    creation_time: Option<i64>,
    last_update_time: Option<i64>,
}

#[derive(Deserialize)]
pub(super) struct RunMeta {
    experiment_id: String,
    run_name: Option<String>,
    user_id: Option<String>,
    status: Option<i64>,
    start_time: Option<i64>,
    end_time: Option<i64>,
    lifecycle_stage: Option<String>,
    artifact_uri: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct ModelMeta {
    experiment_id: String,
    name: Option<String>,
    artifact_location: Option<String>,
    creation_timestamp: Option<i64>,
    last_updated_timestamp: Option<i64>,
    lifecycle_stage: Option<String>,
    model_type: Option<String>,
    source_run_id: Option<String>,
    status: Option<i64>,
}

#[derive(Deserialize)]
pub(super) struct InputMeta {
    pub(super) source_type: String,
    pub(super) source_id: String,
    pub(super) destination_id: String,
    #[serde(default)]
    pub(super) tags: BTreeMap<String, String>,
}

#[derive(Deserialize)]
pub(super) struct OutputMeta {
    pub(super) destination_id: String,
    #[serde(default)]
    pub(super) step: i64,
}

#[derive(Deserialize)]
pub(super) struct DatasetMeta {
    name: String,
    digest: String,
    source_type: Option<String>,
    source: Option<String>,
    schema: Option<String>,
    profile: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct RegisteredMeta {
    name: String,
    description: Option<String>,
    creation_timestamp: Option<i64>,
    last_updated_timestamp: Option<i64>,
}

#[derive(Deserialize)]
pub(super) struct VersionMeta {
    version: i64,
    description: Option<String>,
    current_stage: Option<String>,
    source: Option<String>,
    storage_location: Option<String>,
    run_id: Option<String>,
    model_id: Option<String>,
    run_link: Option<String>,
    creation_timestamp: Option<i64>,
    last_updated_timestamp: Option<i64>,
}

/// Reads the `meta.yaml` of a folder.
pub(super) fn read_meta<T: DeserializeOwned>(folder: &Path) -> Result<T, MigrateError> {
    let path = folder.join("meta.yaml");
    let text = std::fs::read_to_string(&path).map_err(file_fault(&path))?;
    serde_saphyr::from_str(&text).map_err(|error| MigrateError::Row {
        what: format!("`{}`", path.display()),
        why: error.to_string(),
    })
}

fn time_of(millis: Option<i64>) -> Timestamp {
    Timestamp::from_millis(millis.unwrap_or(0))
}

fn lifecycle_of(word: Option<&String>) -> Lifecycle {
    match word.map(String::as_str) {
        Some("deleted") => Lifecycle::Deleted,
        _ => Lifecycle::Active,
    }
}

fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

impl ExperimentMeta {
    pub(super) fn into_experiment(
        self,
        id: ExperimentId,
        tags: BTreeMap<String, String>,
    ) -> Experiment {
        Experiment {
            id,
            name: self.name,
            artifact_location: self.artifact_location.unwrap_or_default(),
            lifecycle: lifecycle_of(self.lifecycle_stage.as_ref()),
            created_at: time_of(self.creation_time),
            updated_at: time_of(self.last_update_time.or(self.creation_time)),
            tags,
        }
    }
}

impl RunMeta {
    pub(super) fn to_run(&self, id: &RunId) -> Result<Run, MigrateError> {
        let status = match self.status {
            Some(2) => RunStatus::Scheduled,
            Some(3) => RunStatus::Finished,
            Some(4) => RunStatus::Failed,
            Some(5) => RunStatus::Killed,
            _ => RunStatus::Running,
        };
        Ok(Run {
            id: id.clone(),
            experiment: parse(&self.experiment_id, Path::new(id.as_str()))?,
            name: self.run_name.clone().unwrap_or_default(),
            user: self.user_id.clone().unwrap_or_default(),
            status,
            started_at: time_of(self.start_time),
            ended_at: self.end_time.map(|ended| time_of(Some(ended))),
            lifecycle: lifecycle_of(self.lifecycle_stage.as_ref()),
            artifact_uri: self.artifact_uri.clone().unwrap_or_default(),
            parent: None,
            replay_of: None,
            process: None,
            is_interrupted: false,
            recipe: None,
            record: None,
        })
    }
}

impl ModelMeta {
    pub(super) fn is_deleted(&self) -> bool {
        lifecycle_of(self.lifecycle_stage.as_ref()) == Lifecycle::Deleted
    }

    pub(super) fn into_model(self, id: ModelId) -> Result<LoggedModel, MigrateError> {
        Ok(LoggedModel {
            experiment: parse(&self.experiment_id, Path::new(id.as_str()))?,
            name: self.name.unwrap_or_default(),
            source_run: self.source_run_id.and_then(|run| run.parse().ok()),
            artifact_uri: self.artifact_location.unwrap_or_default(),
            status: match self.status {
                Some(2) => ModelStatus::Ready,
                Some(3) => ModelStatus::UploadFailed,
                _ => ModelStatus::Pending,
            },
            model_type: filled(self.model_type),
            created_at: time_of(self.creation_timestamp),
            updated_at: time_of(self.last_updated_timestamp),
            tags: BTreeMap::new(),
            params: BTreeMap::new(),
            id,
        })
    }
}

impl DatasetMeta {
    pub(super) fn into_input(self, tags: BTreeMap<String, String>) -> DatasetInput {
        DatasetInput {
            name: self.name,
            digest: self.digest,
            source_type: self.source_type.unwrap_or_default(),
            source: self.source.unwrap_or_default(),
            schema: self.schema,
            profile: self.profile,
            tags,
        }
    }
}

impl RegisteredMeta {
    pub(super) fn into_model(self, tags: BTreeMap<String, String>) -> RegisteredModel {
        RegisteredModel {
            name: self.name,
            description: self.description,
            created_at: time_of(self.creation_timestamp),
            updated_at: time_of(self.last_updated_timestamp.or(self.creation_timestamp)),
            tags,
        }
    }
}

impl VersionMeta {
    /// None without a number that a version may have.
    pub(super) fn into_version(
        self,
        name: &str,
        tags: BTreeMap<String, String>,
    ) -> Option<SourceVersion> {
        let stage = self.current_stage.unwrap_or_default();
        let source = self.source.unwrap_or_default();
        let named = self.model_id.and_then(|model| model.parse().ok());
        Some(SourceVersion {
            is_deleted: stage == DELETED_STAGE,
            version: ModelVersion {
                name: name.to_owned(),
                version: VersionNumber::new(self.version)?,
                description: self.description,
                stage: Stage::find(&stage).unwrap_or(Stage::None),
                files_uri: filled(self.storage_location).filter(|uri| *uri != source),
                logged_model: named.or_else(|| model_in_source(&source)),
                source,
                run: self.run_id.and_then(|run| run.parse().ok()),
                run_link: filled(self.run_link),
                files: None,
                created_at: time_of(self.creation_timestamp),
                updated_at: time_of(self.last_updated_timestamp.or(self.creation_timestamp)),
                tags,
            },
        })
    }
}
