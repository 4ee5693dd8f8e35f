//! What a transaction knows of rows without asking again.
//!
//! Whoever writes asks for the same few rows with every commit: is the run there, is its experiment active, which event
//! was the last of each subject. Where an answer is a way to a server and back, a group of commits asks for all of it
//! at once.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use entities::{Change, Commit, ExperimentId, LARGEST_SUBJECT_COUNT, Lifecycle, RunId, TraceId};

use crate::rows::{read_id, read_lifecycle};
use crate::sql::{Asked, Result, SqlError};

/// Rows of one kind that are remembered at most; all are forgotten then. A commit may tell of any number of runs.
const LARGEST_COUNT: usize = 1024;

/// What is known of rows, while nobody else can change them: whether they are there, too.
#[derive(Debug, Default)]
pub struct Known {
    runs: Kept<RunId, (i64, Lifecycle)>,
    experiments: Kept<ExperimentId, Lifecycle>,
    traces: Kept<TraceId, i64>,
    params: Kept<(RunId, String), String>,
    last_events: Kept<String, String>,
}

/// What was found by each key; nothing, where there is no such row.
#[derive(Debug)]
struct Kept<K, V>(RefCell<BTreeMap<K, Option<V>>>);

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<K: Ord + Clone, V: Clone> Kept<K, V> {
    /// What is known, or else what `look` finds.
    fn find<E>(
        &self,
        key: &K,
        look: impl FnOnce() -> std::result::Result<Option<V>, E>,
    ) -> std::result::Result<Option<V>, E> {
        if let Some(known) = self.0.borrow().get(key) {
            return Ok(known.clone());
        }
        let found = look()?;
        self.note(key, found.clone());
        Ok(found)
    }

    fn note(&self, key: &K, found: Option<V>) {
        let mut kept = self.0.borrow_mut();
        if kept.len() >= LARGEST_COUNT {
            kept.clear();
        }
        kept.insert(key.clone(), found);
    }

    /// All that was asked for: those that no row tells of are not there.
    fn learn(&self, wanted: &BTreeSet<K>, found: Vec<(K, V)>) {
        let mut kept = self.0.borrow_mut();
        kept.extend(wanted.iter().map(|key| (key.clone(), None)));
        kept.extend(found.into_iter().map(|(key, value)| (key, Some(value))));
    }

    fn forget(&self) {
        self.0.borrow_mut().clear();
    }
}

impl Known {
    /// Takes in the rows that were asked for: `0`, `run.id`, `lifecycle`, `number` of runs that are there; `1`,
    /// `experiment.id`, `lifecycle` and a number of experiments; `2`, a subject, `writer` and `wseq` of its last event.
    pub fn learn_rows(&self, wanted: &Wanted, asked: Asked<'_>) -> Result<()> {
        let (mut runs, mut experiments, mut events) = (Vec::new(), Vec::new(), Vec::new());
        let read = asked.list::<(), ()>(|row| {
            let number: i64 = row.get(3)?;
            match row.get(0)? {
                0_i64 => runs.push((read_id(row, 1)?, (number, read_lifecycle(row, 2)?))),
                1 => experiments.push((read_id(row, 1)?, read_lifecycle(row, 2)?)),
                _ => events.push((row.get(1)?, format!("{}:{number}", row.text(2)?))),
            }
            Ok(())
        });
        if unless_damaged(read)?.is_some() {
            self.runs.learn(&wanted.runs, runs);
            self.experiments.learn(&wanted.experiments, experiments);
            self.last_events.learn(&wanted.subjects, events);
        }
        Ok(())
    }

    /// Takes in the traces that were asked for: `id`, `number` of those that are there.
    pub fn learn_traces(&self, wanted: &Wanted, asked: Asked<'_>) -> Result<()> {
        let found = asked.list(|row| Ok((read_id(row, 0)?, row.get(1)?)));
        if let Some(found) = unless_damaged(found)? {
            self.traces.learn(&wanted.traces, found);
        }
        Ok(())
    }

    /// Takes in the params that were asked for: `run.id`, `key`, `value` of those that are there.
    pub fn learn_params(&self, wanted: &Wanted, asked: Asked<'_>) -> Result<()> {
        let found = asked.list(|row| Ok(((read_id(row, 0)?, row.get(1)?), row.get(2)?)));
        if let Some(found) = unless_damaged(found)? {
            self.params.learn(&wanted.params, found);
        }
        Ok(())
    }

    /// The number of a run and whether it is deleted; where it is not known, `look` finds it.
    pub(crate) fn find_run<E>(
        &self,
        id: &RunId,
        look: impl FnOnce() -> std::result::Result<Option<(i64, Lifecycle)>, E>,
    ) -> std::result::Result<Option<(i64, Lifecycle)>, E> {
        self.runs.find(id, look)
    }

    /// Whether an experiment is deleted; where it is not known, `look` finds it.
    pub(crate) fn find_experiment<E>(
        &self,
        id: &ExperimentId,
        look: impl FnOnce() -> std::result::Result<Option<Lifecycle>, E>,
    ) -> std::result::Result<Option<Lifecycle>, E> {
        self.experiments.find(id, look)
    }

    /// The number of a trace; where it is not known, `look` finds it.
    pub(crate) fn find_trace<E>(
        &self,
        id: &TraceId,
        look: impl FnOnce() -> std::result::Result<Option<i64>, E>,
    ) -> std::result::Result<Option<i64>, E> {
        self.traces.find(id, look)
    }

    /// The params that a run has of these keys; nothing where that is not known of all.
    pub(crate) fn find_params<'k>(
        &self,
        run: &RunId,
        keys: impl Iterator<Item = &'k String>,
    ) -> Option<BTreeMap<String, String>> {
        let params = self.params.0.borrow();
        let mut found = BTreeMap::new();
        for key in keys {
            let value = params.get(&(run.clone(), key.clone()))?;
            found.extend(value.clone().map(|value| (key.clone(), value)));
        }
        Some(found)
    }

    pub(crate) fn knows_last_event(&self, subject: &String) -> bool {
        self.last_events.0.borrow().contains_key(subject)
    }

    /// The last event of a subject, where it is known and there is one.
    pub(crate) fn last_event(&self, subject: &String) -> Option<String> {
        self.last_events.0.borrow().get(subject).cloned().flatten()
    }

    /// A run that was made.
    pub(crate) fn note_run(&self, id: &RunId, number: i64, lifecycle: Lifecycle) {
        self.runs.note(id, Some((number, lifecycle)));
    }

    /// An experiment that was made.
    pub(crate) fn note_experiment(&self, id: &ExperimentId, lifecycle: Lifecycle) {
        self.experiments.note(id, Some(lifecycle));
    }

    /// A trace that was made.
    pub(crate) fn note_trace(&self, id: &TraceId, number: i64) {
        self.traces.note(id, Some(number));
    }

    /// A param that was logged.
    pub(crate) fn note_param(&self, run: &RunId, key: &str, value: &str) {
        let key = (run.clone(), key.to_owned());
        self.params.note(&key, Some(value.to_owned()));
    }

    /// A trace that is not there any more.
    pub(crate) fn note_no_trace(&self, id: &TraceId) {
        self.traces.note(id, None);
    }

    /// An event that was written about a subject.
    pub(crate) fn note_last_event(&self, subject: &String, event: String) {
        self.last_events.note(subject, Some(event));
    }

    /// Forgets what a change of lifecycles may have made wrong.
    pub(crate) fn forget_rows(&self) {
        self.runs.forget();
        self.experiments.forget();
        self.traces.forget();
        self.params.forget();
    }

    /// Forgets everything: some of it was taken back, or others may write again.
    pub(crate) fn forget(&self) {
        self.forget_rows();
        self.last_events.forget();
    }
}

/// None where a row does not hold what it should. Nothing is known of any of them then, so that only the commit that has to
/// do with that row finds out, and the others of its group are written.
fn unless_damaged<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Err(SqlError::Column { .. }) => Ok(None),
        read => read.map(Some),
    }
}

/// What a group of commits will ask for.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Runs that they tell of.
    pub runs: BTreeSet<RunId>,
    /// Experiments of runs that they make.
    pub experiments: BTreeSet<ExperimentId>,
    /// Traces that they tell of.
    pub traces: BTreeSet<TraceId>,
    /// Params that they log, by their runs; none where they are too many.
    pub params: BTreeSet<(RunId, String)>,
    /// What their leaves are about.
    pub subjects: BTreeSet<String>,
}

impl Wanted {
    /// Of some commits, but no more of each kind than is remembered.
    pub fn of<'c>(commits: impl IntoIterator<Item = &'c Commit>) -> Self {
        let mut wanted = Self::default();
        for commit in commits {
            wanted.subjects.extend(first_distinct(&commit.subjects));
            commit.changes.iter().for_each(|change| wanted.add(change));
        }
        let Self {
            runs,
            experiments,
            traces,
            mut params,
            subjects,
        } = wanted;
        if params.len() > LARGEST_COUNT {
            params.clear();
        }
        Self {
            runs: runs.into_iter().take(LARGEST_COUNT).collect(),
            experiments: experiments.into_iter().take(LARGEST_COUNT).collect(),
            traces: traces.into_iter().take(LARGEST_COUNT).collect(),
            params,
            subjects: subjects.into_iter().take(LARGEST_COUNT).collect(),
        }
    }

    fn add(&mut self, change: &Change) {
        match change {
            Change::RunCreated { run } => {
                self.runs.insert(run.id.clone());
                self.experiments.insert(run.experiment.clone());
            }
            Change::ParamsLogged { run, params } => {
                self.runs.insert(run.clone());
                let keys = params.keys().map(|key| (run.clone(), key.clone()));
                self.params.extend(keys);
            }
            Change::RunUpdated { run, .. }
            | Change::RunInterrupted { run, .. }
            | Change::RunLifecycleSet { run, .. }
            | Change::ManifestRecorded { run, .. }
            | Change::TagsSet { run, .. }
            | Change::TagDeleted { run, .. }
            | Change::MetricsLogged { run, .. }
            | Change::InputsLogged { run, .. }
            | Change::OutputsLogged { run, .. } => {
                self.runs.insert(run.clone());
            }
            Change::TraceLogged {
                trace, experiment, ..
            } => {
                self.traces.insert(trace.clone());
                self.experiments.insert(experiment.clone());
            }
            Change::TraceNoted { trace, .. } | Change::PromptsLinked { trace, .. } => {
                self.traces.insert(trace.clone());
            }
            Change::TracesLinked { traces, .. } => self.traces.extend(traces.iter().cloned()),
            Change::ModelLogged { model } => {
                self.experiments.insert(model.experiment.clone());
            }
            _ => {}
        }
    }
}

/// The subjects that a leaf names.
pub(crate) fn first_distinct(subjects: &[String]) -> Vec<String> {
    let mut distinct: Vec<String> = Vec::with_capacity(subjects.len().min(LARGEST_SUBJECT_COUNT));
    for subject in subjects {
        if distinct.len() == LARGEST_SUBJECT_COUNT {
            break;
        }
        if !distinct.contains(subject) {
            distinct.push(subject.clone());
        }
    }
    distinct
}
