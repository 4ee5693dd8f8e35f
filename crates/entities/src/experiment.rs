//! Experiments: named groups of runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{ExperimentId, Timestamp};

/// A run, or an experiment, that has this tag is not removed for good.
pub const HOLD_TAG: &str = "reproof.hold";

/// Whether something is shown by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lifecycle {
    /// It is.
    #[default]
    Active,
    /// It was deleted and can be restored.
    Deleted,
}

impl Lifecycle {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Active, Self::Deleted];

    /// The word of MLflow's wire form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Deleted => "deleted",
        }
    }
}

/// A named group of runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Experiment {
    /// Its id; `0` is the experiment `Default`, which every store has.
    pub id: ExperimentId,
    /// Its name, unique among all experiments, deleted ones included.
    pub name: String,
    /// URI below which its runs keep their artifacts.
    pub artifact_location: String,
    /// Whether it is deleted.
    pub lifecycle: Lifecycle,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}
