//! What the tests of this room share.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use entities::{
    Actor, Change, Commit, Experiment, ExperimentId, Lifecycle, Random, Run, RunId, RunStatus,
    Timestamp,
};
use store_sqlite::{OpenOptions, SqliteStore};

/// A generator whose numbers follow from a seed: splitmix64.
pub struct SeededRandom(AtomicU64);

impl SeededRandom {
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Random for SeededRandom {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let state = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let bytes = (mixed ^ (mixed >> 31)).to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}

pub fn options(create: bool) -> OpenOptions {
    OpenOptions {
        random: Arc::new(SeededRandom::new(7)),
        create,
    }
}

pub fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(path, options(true)).unwrap()
}

pub fn commit(kind: &'static str, subject: &str, changes: Vec<Change>) -> Commit {
    Commit {
        actor: Actor {
            id: "u:ann".to_owned(),
            auth: "local".to_owned(),
        },
        at: Timestamp::from_millis(1_800_000_000_000),
        kind,
        subjects: vec![subject.to_owned()],
        reason: None,
        request: None,
        changes,
    }
}

/// The first commit of every store.
pub fn initialisation() -> Commit {
    let experiment = Experiment {
        id: "0".parse().unwrap(),
        name: "Default".to_owned(),
        artifact_location: "mlflow-artifacts:/0".to_owned(),
        lifecycle: Lifecycle::Active,
        created_at: Timestamp::from_millis(1_700_000_000_000),
        updated_at: Timestamp::from_millis(1_700_000_000_000),
        tags: std::collections::BTreeMap::new(),
    };
    let identity = Change::StoreInitialised {
        origin: "reproof.local/test".to_owned(),
        verifier_key: "reproof.local/test+00000000+AA".to_owned(),
    };
    commit(
        "store.initialised",
        "store",
        vec![identity, Change::ExperimentCreated { experiment }],
    )
}

pub fn run(name: &str) -> Run {
    let id: RunId = name.parse().unwrap();
    let experiment: ExperimentId = "0".parse().unwrap();
    Run {
        artifact_uri: format!("mlflow-artifacts:/0/{id}/artifacts"),
        id,
        experiment,
        name: name.to_owned(),
        user: "ann".to_owned(),
        status: RunStatus::Running,
        started_at: Timestamp::from_millis(1_800_000_000_000),
        ended_at: None,
        lifecycle: Lifecycle::Active,
        parent: None,
        replay_of: None,
        process: None,
        is_interrupted: false,
        recipe: None,
        record: None,
    }
}

pub fn creation(name: &str) -> Commit {
    let change = Change::RunCreated { run: run(name) };
    commit("run.created", &format!("run:{name}"), vec![change])
}
