//! The first commit of a store.

use std::collections::BTreeMap;

use entities::{Caller, Change, Commit, Experiment, ExperimentId, Lifecycle, Timestamp};
use ledger::VerifierKey;

/// The name of the experiment that every store has.
pub const DEFAULT_EXPERIMENT: &str = "Default";

/// What every ledger begins with: its key, and experiment `0`, which MLflow's clients expect to be there.
pub fn first_commit(caller: &Caller, key: &VerifierKey, at: Timestamp) -> Commit {
    let experiment = Experiment {
        id: default_experiment_id(),
        name: DEFAULT_EXPERIMENT.to_owned(),
        artifact_location: default_location(&default_experiment_id()),
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

/// Where an experiment keeps its artifacts unless it was told otherwise.
pub(crate) fn default_location(id: &ExperimentId) -> String {
    format!("mlflow-artifacts:/{id}")
}
