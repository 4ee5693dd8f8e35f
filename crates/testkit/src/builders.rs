//! Values that a test need not spell out.

use std::collections::BTreeMap;

use entities::{
    Actor, Change, Commit, Experiment, ExperimentId, Lifecycle, Metric, ObjectId, ProcessIdentity,
    Run, RunId, RunStatus, Timestamp,
};

use crate::MockClock;

/// Reads an id, a time or the like that the test itself wrote.
///
/// *Panics* if the text is none.
pub fn parsed<T>(text: &str) -> T
where
    T: std::str::FromStr,
    T::Err: std::fmt::Debug,
{
    text.parse().expect("a test writes valid texts")
}

/// Keys and values.
pub fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    owned.collect()
}

/// An actor named Ann.
pub fn actor() -> Actor {
    Actor {
        id: "u:ann".to_owned(),
        auth: "local".to_owned(),
    }
}

/// An active experiment without tags.
pub fn experiment(id: &str, name: &str) -> Experiment {
    Experiment {
        id: parsed(id),
        name: name.to_owned(),
        artifact_location: format!("mlflow-artifacts:/{id}"),
        lifecycle: Lifecycle::Active,
        created_at: MockClock::START,
        updated_at: MockClock::START,
        tags: BTreeMap::new(),
    }
}

/// A run under way in experiment `0`, started by Ann.
pub fn run(id: &str) -> Run {
    let experiment: ExperimentId = parsed("0");
    Run {
        artifact_uri: format!("mlflow-artifacts:/{experiment}/{id}/artifacts"),
        id: parsed(id),
        experiment,
        name: format!("name of {id}"),
        user: "ann".to_owned(),
        status: RunStatus::Running,
        started_at: MockClock::START,
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

/// The same run, ended well a second after it was started, with a manifest.
pub fn finished(run: Run) -> Run {
    let ended_at = Timestamp::from_micros(run.started_at.as_micros() + 1_000_000);
    Run {
        status: RunStatus::Finished,
        ended_at: Some(ended_at),
        recipe: Some(ObjectId::of(b"recipe")),
        record: Some(ObjectId::of(b"record")),
        ..run
    }
}

/// A process that no machine has.
pub fn process(pid: u32) -> ProcessIdentity {
    ProcessIdentity {
        pid,
        start_ticks: 42,
        boot_id: "00000000-0000-0000-0000-000000000000".to_owned(),
    }
}

/// Points of a metric, one a step, a millisecond apart.
pub fn series(key: &str, values: &[f64]) -> Vec<Metric> {
    let start_ms = MockClock::START.as_millis();
    (0..)
        .zip(values)
        .map(|(step, &value)| Metric::new(key, value, start_ms + step, step))
        .collect()
}

/// A commit of some changes by Ann.
pub fn commit(kind: &'static str, subjects: &[&str], changes: Vec<Change>) -> Commit {
    Commit {
        actor: actor(),
        at: MockClock::START,
        kind,
        subjects: subjects.iter().map(|&subject| subject.to_owned()).collect(),
        reason: None,
        request: None,
        changes,
    }
}

/// A run's id that is no id of another.
pub fn run_id(number: u64) -> RunId {
    parsed(&format!("{number:032x}"))
}
