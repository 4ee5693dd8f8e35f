//! The first commit of a store.

use std::collections::BTreeMap;

use entities::{Caller, Change, Commit, Experiment, ExperimentId, Lifecycle, Timestamp};
use ledger::VerifierKey;

use crate::experiments::join_location;

/// The name of the experiment that every store has.
pub const DEFAULT_EXPERIMENT: &str = "Default";

/// What every ledger begins with: its key, and experiment `0`, which MLflow's clients expect to be there.
///
/// `artifact_root` is where clients write artifacts by themselves, if they do.
pub fn first_commit(
    caller: &Caller,
    key: &VerifierKey,
    artifact_root: Option<&str>,
    at: Timestamp,
) -> Commit {
    let id = default_experiment_id();
    let experiment = Experiment {
        name: DEFAULT_EXPERIMENT.to_owned(),
        artifact_location: location_of(&id, artifact_root),
        id,
        lifecycle: Lifecycle::Active,
        created_at: at,
        updated_at: at,
        tags: BTreeMap::new(),
    };
    let identity = Change::StoreInitialised {
        origin: key.name().to_owned(),
        verifier_key: key.to_string(),
    };
    Commit {
        actor: caller.actor.clone(),
        at,
        kind: "store.initialised",
        subjects: vec![
            "store".to_owned(),
            crate::tracking::experiment_subject(&experiment.id),
        ],
        reason: None,
        request: caller.request.clone(),
        changes: vec![identity, Change::ExperimentCreated { experiment }],
    }
}

pub(crate) fn default_experiment_id() -> ExperimentId {
    "0".parse().expect("a digit is an id of an experiment")
}

/// Where an experiment keeps its artifacts that has no location of its own.
pub(crate) fn location_of(id: &ExperimentId, artifact_root: Option<&str>) -> String {
    match artifact_root {
        Some(root) => join_location(root, &[id.as_str()]),
        None => default_location(id),
    }
}

/// Where an experiment keeps its artifacts unless it was told otherwise.
pub(crate) fn default_location(id: &ExperimentId) -> String {
    format!("mlflow-artifacts:/{id}")
}
