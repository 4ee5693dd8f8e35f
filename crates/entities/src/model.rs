//! Logged models: what MLflow 3 calls a model that a run made.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{ExperimentId, Metric, ModelId, RunId, Timestamp, proxied_path};

/// How far a logged model is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ModelStatus {
    /// Its files are being written.
    Pending,
    /// Complete.
    Ready,
    /// Its upload failed.
    UploadFailed,
}

impl ModelStatus {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Ready, Self::UploadFailed];

    /// The word of MLflow's wire form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "LOGGED_MODEL_PENDING",
            Self::Ready => "LOGGED_MODEL_READY",
            Self::UploadFailed => "LOGGED_MODEL_UPLOAD_FAILED",
        }
    }

    /// Reads MLflow's word.
    pub fn find(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

/// A model that a run made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedModel {
    /// Its id.
    pub id: ModelId,
    /// The experiment that it belongs to.
    pub experiment: ExperimentId,
    /// Its name.
    pub name: String,
    /// The run that made it.
    pub source_run: Option<RunId>,
    /// URI below which its files are kept.
    pub artifact_uri: String,
    /// How far it is.
    pub status: ModelStatus,
    /// A word of the client for what it is, such as `Agent`.
    pub model_type: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Params.
    pub params: BTreeMap<String, String>,
}

impl LoggedModel {
    /// The folder of artifacts in which its files are on record. Those that clients write elsewhere by themselves are
    /// taken over under its id.
    pub fn artifact_folder(&self) -> String {
        proxied_path(&self.artifact_uri).map_or_else(
            || format!("{}/models/{}/artifacts", self.experiment, self.id),
            str::to_owned,
        )
    }
}

/// A logged model with its metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct LoggedModelDetail {
    /// The model.
    pub model: LoggedModel,
    /// The points of metrics that name it, with the run that logged each; by metric, time and step.
    pub metrics: Vec<(RunId, Metric)>,
}
