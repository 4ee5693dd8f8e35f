//! The endpoint of one captured run: whose requests are its own, and what a replay presents.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use entities::{
    DatasetId, ExperimentId, IssueId, LabelSchemaId, ModelId, Run, RunId, RunStatus, ScorerId,
    Timestamp, TraceId, VersionNumber, proxied_path,
};
use tracking::{Tracking, TrackingError};

use super::masks::Masks;
use super::token::Token;
use crate::RunScope;

/// The endpoint of one captured run.
pub(crate) struct RunAccess {
    run: RunId,
    pub(super) token: Token,
    pub(super) ids: Presented,
    pub(super) masks: Masks,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Whether a `runs/create` was given the captured run.
    is_given: bool,
    runs: BTreeSet<RunId>,
    models: BTreeSet<ModelId>,
    /// Traces that came here first.
    traces: BTreeSet<TraceId>,
    experiments: BTreeSet<ExperimentId>,
    /// Evaluation datasets that were created here.
    datasets: BTreeSet<DatasetId>,
    /// Issues that were made here.
    issues: BTreeSet<IssueId>,
    /// Label schemas that were made here.
    label_schemas: BTreeSet<LabelSchemaId>,
    /// Versions of scorers that were registered here.
    scorers: BTreeSet<(ScorerId, VersionNumber)>,
    /// Names that were registered here.
    registered: BTreeSet<String>,
    /// Versions that were registered here.
    versions: BTreeSet<(String, VersionNumber)>,
    /// In a replay: how many versions of the origin were shown under each name.
    shown_versions: BTreeMap<String, usize>,
    /// Below which paths the artifacts of those runs and models are.
    roots: BTreeSet<String>,
    /// Whether the captured run's own is among them.
    has_own_root: bool,
    /// How the client ended the captured run, which stays open until its command has ended.
    end: Option<(RunStatus, Option<Timestamp>)>,
    /// In a replay: the name of the origin, shown until the client gives one.
    name: Option<String>,
}

/// What a `runs/create` is given.
pub(crate) enum Claim {
    /// The captured run.
    Captured,
    /// A new run inside it.
    Child,
}

impl RunAccess {
    pub(super) fn new(scope: RunScope) -> Self {
        let RunScope {
            run,
            token,
            presented_runs,
            presented_models,
            mask,
        } = scope;
        let state = State {
            runs: BTreeSet::from([run.clone()]),
            ..State::default()
        };
        Self {
            token: Token::new(&token),
            ids: Presented::new(&run, presented_runs, presented_models),
            run,
            masks: Masks::new(mask),
            state: Mutex::new(state),
        }
    }

    /// The captured run.
    pub(crate) fn id(&self) -> &RunId {
        &self.run
    }

    /// Decides what a `runs/create` is given; the first gets the captured run.
    pub(crate) fn claim(&self) -> Claim {
        let mut state = self.lock();
        if state.is_given {
            Claim::Child
        } else {
            state.is_given = true;
            Claim::Captured
        }
    }

    /// Gives the captured run back after a `runs/create` that failed.
    pub(crate) fn unclaim(&self) {
        self.lock().is_given = false;
    }

    /// Whether it is known which runs were made inside a run of the origin.
    pub(crate) fn knows_children(&self, origin: &RunId) -> bool {
        self.ids.lock().children.contains_key(origin)
    }

    /// Takes the id under which a new run inside a run of the origin is to be shown, in the order of that time.
    pub(crate) fn next_child(&self, origin: &RunId) -> Option<RunId> {
        self.ids.lock().children.get_mut(origin)?.pop_front()
    }

    /// Tells which runs were made inside a run of the origin.
    pub(crate) fn note_children(&self, origin: &RunId, children: Vec<RunId>) {
        let mut maps = self.ids.lock();
        let known = maps.children.entry(origin.clone());
        known.or_insert_with(|| children.into());
    }

    /// Gives back the id that a run that could not be created would have had.
    pub(crate) fn give_back_child(&self, origin: &RunId, child: RunId) {
        let mut maps = self.ids.lock();
        maps.children
            .entry(origin.clone())
            .or_default()
            .push_front(child);
    }

    /// Notes a name that was registered for this client.
    pub(crate) fn note_registered(&self, name: &str) {
        self.lock().registered.insert(name.to_owned());
    }

    pub(super) fn has_registered(&self, name: &str) -> bool {
        self.lock().registered.contains(name)
    }

    /// Notes a version that was registered for this client.
    pub(crate) fn note_version(&self, name: &str, version: VersionNumber) {
        self.lock().versions.insert((name.to_owned(), version));
    }

    pub(super) fn has_version(&self, name: &str, version: VersionNumber) -> bool {
        self.lock().versions.contains(&(name.to_owned(), version))
    }

    /// In a replay: which of the origin's versions of a name is to be shown for a new one, in their order.
    pub(crate) fn next_version(&self, name: &str) -> usize {
        let mut state = self.lock();
        let shown = state.shown_versions.entry(name.to_owned()).or_default();
        *shown += 1;
        *shown - 1
    }

    /// The origin of a replay, by the id that is shown for the captured run.
    pub(crate) fn origin(&self) -> Option<RunId> {
        self.origin_of(&self.run)
    }

    /// Shows another name of the captured run than it has, or no longer.
    pub(crate) fn present_name(&self, name: Option<String>) {
        self.lock().name = name;
    }

    /// The run of the origin that one of this endpoint's stands for.
    pub(crate) fn origin_of(&self, run: &RunId) -> Option<RunId> {
        let shown = self.ids.shown(run.as_str());
        shown.parse().ok().filter(|origin| origin != run)
    }

    /// Takes the id under which a new logged model is to be shown: the next of those that the origin's run made.
    ///
    /// Where the store knows of none for the captured run itself, those that the endpoint was given are taken.
    pub(crate) fn next_model(&self, run: &RunId, made_then: &[ModelId]) -> Option<ModelId> {
        self.ids.next_model(made_then, *run == self.run)
    }

    /// Gives back the id that a model that could not be created would have had.
    pub(crate) fn give_back_model(&self, presented: Option<&ModelId>) {
        self.ids.give_back_model(presented);
    }

    /// From now on shows something under the id that it had in the origin.
    pub(crate) fn present(&self, shown: &str, real: &str) {
        self.ids.present(shown, real);
    }

    pub(super) fn has_run(&self, id: &RunId) -> bool {
        self.lock().runs.contains(id)
    }

    pub(super) fn has_model(&self, id: &ModelId) -> bool {
        self.lock().models.contains(id)
    }

    pub(super) fn has_dataset(&self, id: &DatasetId) -> bool {
        self.lock().datasets.contains(id)
    }

    pub(super) fn has_issue(&self, id: &IssueId) -> bool {
        self.lock().issues.contains(id)
    }

    pub(super) fn note_issue(&self, id: &IssueId) {
        self.lock().issues.insert(id.clone());
    }

    pub(super) fn has_label_schema(&self, id: &LabelSchemaId) -> bool {
        self.lock().label_schemas.contains(id)
    }

    pub(super) fn note_label_schema(&self, id: &LabelSchemaId) {
        self.lock().label_schemas.insert(id.clone());
    }

    pub(super) fn note_dataset(&self, id: &DatasetId) {
        self.lock().datasets.insert(id.clone());
    }

    pub(super) fn has_scorer(&self, scorer: &ScorerId, version: VersionNumber) -> bool {
        self.lock().scorers.contains(&(scorer.clone(), version))
    }

    pub(super) fn note_scorer(&self, scorer: &ScorerId, version: VersionNumber) {
        self.lock().scorers.insert((scorer.clone(), version));
    }

    pub(super) fn has_trace(&self, id: &TraceId) -> bool {
        self.lock().traces.contains(id)
    }

    pub(super) fn note_trace(&self, id: &TraceId, artifact_uri: &str) {
        let mut state = self.lock();
        state.traces.insert(id.clone());
        state
            .roots
            .extend(proxied_path(artifact_uri).map(str::to_owned));
    }

    pub(super) fn has_experiment(&self, id: &ExperimentId) -> bool {
        self.lock().experiments.contains(id)
    }

    /// Whether a path stands below the artifacts of a run or model of this endpoint.
    pub(super) async fn has_path(
        &self,
        path: &str,
        tracking: &Tracking,
    ) -> Result<bool, TrackingError> {
        if !self.lock().has_own_root {
            let run = tracking.get_run(&self.run).await?.run;
            self.note_run(&run.id, &run.artifact_uri);
            self.lock().has_own_root = true;
        }
        let state = self.lock();
        // The root itself cannot be written: a file of its name would hide everything below.
        let is_below = |root: &String| {
            path.strip_prefix(root.as_str())
                .is_some_and(|rest| rest.starts_with('/'))
        };
        Ok(state.roots.iter().any(is_below))
    }

    pub(super) fn note_run(&self, id: &RunId, artifact_uri: &str) {
        let mut state = self.lock();
        state.runs.insert(id.clone());
        state
            .roots
            .extend(proxied_path(artifact_uri).map(str::to_owned));
    }

    pub(super) fn note_model(&self, id: &ModelId, artifact_uri: &str) {
        let mut state = self.lock();
        state.models.insert(id.clone());
        state
            .roots
            .extend(proxied_path(artifact_uri).map(str::to_owned));
    }

    pub(super) fn note_experiment(&self, id: &ExperimentId) {
        self.lock().experiments.insert(id.clone());
    }

    pub(super) fn note_end(&self, status: Option<RunStatus>, ended_at: Option<Timestamp>) {
        let mut state = self.lock();
        let status = status.or(state.end.map(|(status, _)| status));
        state.end = status
            .filter(|status| status.is_terminal())
            .map(|status| (status, ended_at));
    }

    pub(super) fn show(&self, run: &mut Run) {
        if run.id != self.run {
            return;
        }
        let state = self.lock();
        if let Some((status, ended_at)) = state.end
            && !run.status.is_terminal()
        {
            run.status = status;
            run.ended_at = ended_at;
        }
        if let Some(name) = &state.name {
            run.name.clone_from(name);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the state is one assignment or insertion, so that a panic leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ids that a replay shows in place of the real ones, so that what its command writes down is what it wrote then.
pub(super) struct Presented {
    /// Whether anything is, or will be, presented: without it nothing is looked up.
    is_replay: bool,
    maps: Mutex<Maps>,
}

#[derive(Default)]
struct Maps {
    /// Of a run of the origin: the runs inside it that are not shown yet, oldest first.
    children: BTreeMap<RunId, VecDeque<RunId>>,
    models: Vec<ModelId>,
    taken_models: BTreeSet<ModelId>,
    real_by_shown: BTreeMap<String, String>,
    shown_by_real: BTreeMap<String, String>,
}

impl Presented {
    fn new(run: &RunId, runs: Vec<RunId>, models: Vec<ModelId>) -> Self {
        let is_replay = !runs.is_empty() || !models.is_empty();
        let mut maps = Maps {
            models,
            ..Maps::default()
        };
        let mut runs = VecDeque::from(runs);
        if let Some(origin) = runs.pop_front() {
            maps.present(origin.as_str(), run.as_str());
            if !runs.is_empty() {
                maps.children.insert(origin, runs);
            }
        }
        Self {
            is_replay,
            maps: Mutex::new(maps),
        }
    }

    fn next_model(&self, made_then: &[ModelId], is_captured: bool) -> Option<ModelId> {
        let mut maps = self.lock();
        let candidates = match made_then {
            [] if is_captured => &maps.models,
            made => made,
        };
        let is_free = |model: &&ModelId| !maps.taken_models.contains(*model);
        let next = candidates.iter().find(is_free).cloned()?;
        maps.taken_models.insert(next.clone());
        Some(next)
    }

    fn give_back_model(&self, id: Option<&ModelId>) {
        if let Some(id) = id {
            self.lock().taken_models.remove(id);
        }
    }

    fn present(&self, shown: &str, real: &str) {
        self.lock().present(shown, real);
    }

    pub(super) fn real<'a>(&self, shown: &'a str) -> Cow<'a, str> {
        self.translate(shown, |maps| &maps.real_by_shown)
    }

    pub(super) fn shown<'a>(&self, real: &'a str) -> Cow<'a, str> {
        self.translate(real, |maps| &maps.shown_by_real)
    }

    pub(super) fn is_hidden(&self, real: &str) -> bool {
        self.is_replay && self.lock().real_by_shown.contains_key(real)
    }

    pub(super) fn real_path<'a>(&self, path: &'a str) -> Cow<'a, str> {
        self.translate_path(path, |maps| &maps.real_by_shown)
    }

    pub(super) fn shown_path<'a>(&self, path: &'a str) -> Cow<'a, str> {
        self.translate_path(path, |maps| &maps.shown_by_real)
    }

    /// Ids made here are 32 random hex digits, so that one in a text can be nothing else; a shorter one, brought over from
    /// elsewhere, could, and is left.
    pub(super) fn real_in_text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if !self.is_replay {
            return Cow::Borrowed(text);
        }
        let maps = self.lock();
        let mut real = Cow::Borrowed(text);
        for (shown_id, real_id) in &maps.real_by_shown {
            if shown_id.len() >= ID_LENGTH && real.contains(shown_id.as_str()) {
                real = Cow::Owned(real.replace(shown_id.as_str(), real_id));
            }
        }
        real
    }

    fn translate<'a>(&self, id: &'a str, by: Direction) -> Cow<'a, str> {
        if !self.is_replay {
            return Cow::Borrowed(id);
        }
        match by(&self.lock()).get(id) {
            Some(other) => Cow::Owned(other.clone()),
            None => Cow::Borrowed(id),
        }
    }

    /// Only the first component that is an id is translated: it says whose artifacts these are, and what comes after it
    /// is a name that the client chose.
    fn translate_path<'a>(&self, path: &'a str, by: Direction) -> Cow<'a, str> {
        if !self.is_replay {
            return Cow::Borrowed(path);
        }
        let maps = self.lock();
        let ids = by(&maps);
        let mut start = 0;
        for component in path.split('/') {
            let end = start + component.len();
            if let Some(other) = ids.get(component) {
                return Cow::Owned(format!("{}{other}{}", &path[..start], &path[end..]));
            }
            start = end + 1;
        }
        Cow::Borrowed(path)
    }

    fn lock(&self) -> MutexGuard<'_, Maps> {
        self.maps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Length of the ids that are made here.
const ID_LENGTH: usize = 32;

type Direction = fn(&Maps) -> &BTreeMap<String, String>;

impl Maps {
    fn present(&mut self, shown: &str, real: &str) {
        if shown != real {
            self.real_by_shown.insert(shown.to_owned(), real.to_owned());
            self.shown_by_real.insert(real.to_owned(), shown.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use testkit::{parsed, run, run_id};

    use super::*;

    fn access(presented_runs: Vec<RunId>, presented_models: Vec<ModelId>) -> RunAccess {
        RunAccess::new(RunScope {
            run: run_id(1),
            token: "token".to_owned(),
            presented_runs,
            presented_models,
            mask: None,
        })
    }

    #[test]
    fn the_first_claim_gets_the_captured_run_and_a_failed_one_gives_it_back() {
        let access = access(Vec::new(), Vec::new());
        let claim = access.claim();
        assert!(matches!(claim, Claim::Captured));
        assert!(matches!(access.claim(), Claim::Child));
        access.unclaim();
        assert!(matches!(access.claim(), Claim::Captured));
        assert_eq!(access.origin(), None);
    }

    #[test]
    fn a_replay_shows_the_ids_of_its_origin_in_their_order() {
        let access = access(
            vec![run_id(11), run_id(12), run_id(13)],
            vec![parsed("m-11")],
        );
        assert_eq!(access.origin(), Some(run_id(11)));
        assert_eq!(access.ids.real(run_id(11).as_str()), run_id(1).as_str());
        assert_eq!(access.ids.shown(run_id(1).as_str()), run_id(11).as_str());
        let origin = run_id(11);
        assert_eq!(access.next_child(&origin), Some(run_id(12)));
        access.give_back_child(&origin, run_id(12));
        access.note_children(&origin, vec![run_id(99)]);
        assert_eq!(access.next_child(&origin), Some(run_id(12)));
        access.present(run_id(12).as_str(), run_id(2).as_str());
        assert_eq!(access.origin_of(&run_id(2)), Some(run_id(12)));
        assert!(access.knows_children(&origin) && !access.knows_children(&run_id(12)));
        access.note_children(&run_id(12), vec![run_id(14)]);
        assert_eq!(access.next_child(&run_id(12)), Some(run_id(14)));
        assert_eq!(access.next_child(&run_id(12)), None);
        assert_eq!(access.ids.real(run_id(12).as_str()), run_id(2).as_str());
        assert!(access.ids.is_hidden(run_id(12).as_str()));
        assert!(!access.ids.is_hidden(run_id(13).as_str()));
        let (one, other): (ModelId, ModelId) = (parsed("m-11"), parsed("m-12"));
        let then = [other.clone()];
        assert_eq!(access.next_model(&run_id(2), &then), Some(other));
        assert_eq!(access.next_model(&run_id(2), &then), None);
        assert_eq!(access.next_model(&run_id(3), &[]), None);
        assert_eq!(access.next_model(&run_id(1), &[]).as_ref(), Some(&one));
        assert_eq!(access.next_model(&run_id(1), &[]), None);
        access.give_back_model(Some(&one));
        assert_eq!(access.next_model(&run_id(1), &[]), Some(one));
    }

    #[test]
    fn in_a_path_only_the_id_that_owns_it_is_translated() {
        let access = access(vec![run_id(11)], Vec::new());
        let (shown, real) = (run_id(11), run_id(1));
        let path = format!("0/{shown}/artifacts/{shown}/x");
        assert_eq!(
            access.ids.real_path(&path),
            format!("0/{real}/artifacts/{shown}/x")
        );
        let uri = format!("mlflow-artifacts:/0/{real}/artifacts");
        assert_eq!(
            access.ids.shown_path(&uri),
            format!("mlflow-artifacts:/0/{shown}/artifacts")
        );
        assert_eq!(
            access.ids.real_path("0/other/artifacts"),
            "0/other/artifacts"
        );
        let filter = format!("attributes.run_id = '{shown}' AND metrics.a > 1");
        assert_eq!(
            access.ids.real_in_text(&filter),
            filter.replace(shown.as_str(), real.as_str())
        );
    }

    #[test]
    fn an_end_that_the_client_tells_is_shown_until_it_takes_the_run_up_again() {
        let access = access(Vec::new(), Vec::new());
        let shown = |access: &RunAccess, id| {
            let mut run = Run { id, ..run("x") };
            access.show(&mut run);
            (run.status, run.ended_at)
        };
        let ended_at = Some(Timestamp::from_millis(5));
        access.note_end(Some(RunStatus::Finished), ended_at);
        assert_eq!(shown(&access, run_id(1)), (RunStatus::Finished, ended_at));
        assert_eq!(shown(&access, run_id(2)), (RunStatus::Running, None));
        access.note_end(Some(RunStatus::Running), None);
        assert_eq!(shown(&access, run_id(1)), (RunStatus::Running, None));
    }
}
