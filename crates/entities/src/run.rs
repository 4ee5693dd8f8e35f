//! Runs: recorded executions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    DatasetInput, ExperimentId, Lifecycle, Metric, ModelId, ObjectId, RunId, Timestamp,
    proxied_path,
};

/// The status of a run, in MLflow's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RunStatus {
    /// Under way.
    Running,
    /// Waiting to be started.
    Scheduled,
    /// Ended well.
    Finished,
    /// Ended badly.
    Failed,
    /// Ended by a signal, or left open by a process that was.
    Killed,
}

impl RunStatus {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Running,
        Self::Scheduled,
        Self::Finished,
        Self::Failed,
        Self::Killed,
    ];

    /// The word of MLflow's wire form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Scheduled => "SCHEDULED",
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Killed => "KILLED",
        }
    }

    /// Reads MLflow's word.
    pub fn find(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether a run with this status has ended.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Finished | Self::Failed | Self::Killed)
    }
}

/// The process that has a run open, so that a later command can tell whether it still lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// Process id.
    pub pid: u32,
    /// Start time of the process in clock ticks after boot (`/proc/PID/stat`, field 22).
    #[serde(with = "crate::exact")]
    pub start_ticks: u64,
    /// The boot in which that pid means something.
    pub boot_id: String,
}

/// One recorded execution, without its params, metrics and tags.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// The experiment that it belongs to.
    pub experiment: ExperimentId,
    /// Its name, not unique.
    pub name: String,
    /// Who started it.
    pub user: String,
    /// How far it is.
    pub status: RunStatus,
    /// When it was started.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Whether it is deleted.
    pub lifecycle: Lifecycle,
    /// URI below which its artifacts are kept.
    pub artifact_uri: String,
    /// The run inside which this one was started.
    pub parent: Option<RunId>,
    /// The run that this one replays.
    pub replay_of: Option<RunId>,
    /// The process that has it open; none for runs that only clients log to.
    pub process: Option<ProcessIdentity>,
    /// Whether its process ended without closing it.
    pub is_interrupted: bool,
    /// The recipe of its manifest, which is its fingerprint; none until it has been captured.
    pub recipe: Option<ObjectId>,
    /// The record of its manifest; none until it has been captured.
    pub record: Option<ObjectId>,
}

impl Run {
    /// The folder of artifacts in which its own are on record. Those that clients write elsewhere by themselves are
    /// taken over under its id.
    pub fn artifact_folder(&self) -> String {
        proxied_path(&self.artifact_uri).map_or_else(
            || format!("{}/{}/artifacts", self.experiment, self.id),
            str::to_owned,
        )
    }
}

/// A run with everything that a table or a page shows of it.
#[derive(Clone, Debug, PartialEq)]
pub struct RunDetail {
    /// The run.
    pub run: Run,
    /// Its params.
    pub params: BTreeMap<String, String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// The latest point of each metric, by key.
    pub metrics: Vec<Metric>,
    /// Datasets that clients declared.
    pub datasets: Vec<DatasetInput>,
    /// Logged models that it used.
    pub model_inputs: Vec<ModelId>,
    /// Logged models that it made, each with the step.
    pub model_outputs: Vec<ModelOutput>,
}

/// A logged model that a run made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ModelOutput {
    /// The model.
    pub model: ModelId,
    /// The step at which it was made.
    #[serde(with = "crate::exact")]
    pub step: i64,
}
