//! Scorers: what judges the outputs of models and agents, as a description that clients carry out.

use serde::{Deserialize, Serialize};

use crate::{ExperimentId, ScorerId, Timestamp, VersionNumber};

/// One version of a scorer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScorerVersion {
    /// The scorer's id, the same for all its versions.
    pub scorer: ScorerId,
    /// The experiment that it belongs to.
    pub experiment: ExperimentId,
    /// Its name, unique within the experiment.
    pub name: String,
    /// Number of the version.
    pub version: VersionNumber,
    /// The scorer in the client's own form, which nobody carries out here.
    pub serialized: String,
    /// When it was registered.
    pub created_at: Timestamp,
}

/// How a scorer is to be applied to traces as they come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OnlineScoring {
    /// Its own id, drawn anew at each change.
    pub id: String,
    /// The scorer.
    pub scorer: ScorerId,
    /// The experiment that the scorer belongs to.
    pub experiment: ExperimentId,
    /// Which part of the traces, from 0 to 1.
    pub sample_rate: f64,
    /// Which traces at all.
    pub filter: Option<String>,
}
