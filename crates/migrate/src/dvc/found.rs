//! The experiments that a repository names: those that refs point at, and those that wait or failed.

use std::collections::BTreeMap;

use capture::CaptureError;
use capture::code::{CommitDetail, History};
use entities::{ObjectId, RunId, RunStatus, Timestamp};

use crate::keys::{LONGEST_TEXT, time_of};

/// Where DVC names experiments.
const REFS: &str = "refs/exps/";

/// Where it notes those that wait, and those that failed: each as what a ref pointed at.
const QUEUES: [(&str, State); 3] = [
    ("refs/exps/stash", State::Waiting),
    ("refs/exps/celery/stash", State::Waiting),
    ("refs/exps/celery/failed", State::Failed),
];

/// An experiment of DVC.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) commit: String,
    /// The commit that it began at; empty where that is not told.
    pub(super) baseline: String,
    pub(super) state: State,
    pub(super) detail: CommitDetail,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Done,
    Waiting,
    Failed,
}

/// All experiments of a repository by the ids of their runs, and a sentence for each that cannot be read.
///
/// The id of a run is of its project, its commit, baseline and name.
pub(super) fn find_all(
    history: &History,
    project: &str,
) -> Result<(BTreeMap<RunId, Found>, Vec<String>), CaptureError> {
    let mut named: Vec<(Told, String, State)> = Vec::new();
    for reference in history.list_references(REFS)? {
        if let Some(told) = in_reference(&reference.name) {
            named.push((told, reference.object, State::Done));
        }
    }
    for (reference, state) in QUEUES {
        for noted in history.list_noted(reference)? {
            let told = in_message(&noted.message).unwrap_or_default();
            named.push((told, noted.object, state));
        }
    }
    let mut found = BTreeMap::new();
    let mut faults = Vec::new();
    for (Told { baseline, name }, commit, state) in named {
        let name = match name.as_str() {
            "" => commit.chars().take(7).collect(),
            _ => name,
        };
        match history.find_commit(&commit) {
            Ok(detail) => {
                let one = Found {
                    name,
                    commit,
                    baseline,
                    state,
                    detail,
                };
                found.insert(one.id(project), one);
            }
            Err(error) => faults.push(format!(
                "experiment `{name}`: its commit {commit} cannot be read: {error}"
            )),
        }
    }
    Ok((found, faults))
}

impl Found {
    /// When it was committed, which is the only time that DVC keeps.
    pub(super) fn time(&self) -> Timestamp {
        time_of(Some(self.detail.committed_at_s as f64))
    }

    pub(super) fn status(&self) -> RunStatus {
        match self.state {
            State::Done => RunStatus::Finished,
            State::Waiting => RunStatus::Scheduled,
            State::Failed => RunStatus::Failed,
        }
    }

    pub(super) fn tags(&self) -> impl Iterator<Item = (String, String)> {
        let state = match self.state {
            State::Done => "done",
            State::Waiting => "queued",
            State::Failed => "failed",
        };
        let message = &self.detail.message;
        // Of most, DVC says nothing but that it made them.
        let is_told = !message.is_empty()
            && !message.starts_with("dvc: commit experiment")
            && in_message(message).is_none();
        let note = is_told.then(|| message.chars().take(LONGEST_TEXT).collect());
        let baseline = Some(&self.baseline).filter(|id| !id.is_empty()).cloned();
        let tags = [
            ("mlflow.runName", Some(self.name.clone())),
            ("mlflow.note.content", note),
            ("mlflow.source.git.commit", Some(self.commit.clone())),
            ("dvc.name", Some(self.name.clone())),
            ("dvc.state", Some(state.to_owned())),
            ("dvc.baseline", baseline),
            ("dvc.tree", Some(self.detail.tree.clone())),
        ];
        let tags = tags.into_iter();
        tags.filter_map(|(key, value)| Some((key.to_owned(), value?)))
    }

    fn id(&self, project: &str) -> RunId {
        let Self {
            name,
            commit,
            baseline,
            ..
        } = self;
        let named = format!("reproof dvc experiment v1\n{project}\n{commit}\n{baseline}\n{name}");
        let digest = ObjectId::of(named.as_bytes());
        let id = hex::encode(&digest.as_bytes()[..16]);
        id.parse().expect("hex digits are an id")
    }
}

/// What names an experiment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Told {
    baseline: String,
    name: String,
}

/// What a ref of an experiment tells: `refs/exps/AB/CDEF…/NAME`. Others are of DVC's own.
fn in_reference(reference: &str) -> Option<Told> {
    let rest = reference.strip_prefix(REFS)?;
    let mut parts = rest.splitn(3, '/');
    let (first, second, name) = (parts.next()?, parts.next()?, parts.next()?);
    let baseline = format!("{first}{second}");
    let is_it = first.len() == 2 && is_commit(&baseline) && !name.is_empty();
    is_it.then(|| Told {
        baseline,
        name: name.to_owned(),
    })
}

/// What was noted of one that waits: `dvc-exp:REV:BASELINE:NAME`, and a branch where it has one.
///
/// *Source*: `ExpStash` in `dvc/repo/experiments/stash.py` of DVC 3.67.
fn in_message(message: &str) -> Option<Told> {
    let rest = message.strip_prefix("commit: ").unwrap_or(message);
    let mut parts = rest.strip_prefix("dvc-exp:")?.split(':');
    let (_, baseline, name) = (parts.next()?, parts.next()?, parts.next()?);
    is_commit(baseline).then(|| Told {
        baseline: baseline.to_owned(),
        name: name.trim().to_owned(),
    })
}

fn is_commit(id: &str) -> bool {
    matches!(id.len(), 40 | 64) && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(baseline: &str, name: &str) -> Told {
        Told {
            baseline: baseline.to_owned(),
            name: name.to_owned(),
        }
    }

    #[test]
    fn a_ref_names_baseline_and_experiment_or_is_none() {
        let id = "a".repeat(38);
        let found = in_reference(&format!("refs/exps/bb/{id}/odd/näme"));
        assert_eq!(found, Some(told(&format!("bb{id}"), "odd/näme")));
        for other in [
            "refs/exps/stash",
            "refs/exps/exec/EXEC_HEAD",
            "refs/exps/celery/failed",
            "refs/exps/bb/aa/x",
            "refs/exps/zz/zz/x",
            "refs/heads/main",
            &format!("refs/exps/bb/{id}"),
            &format!("refs/exps/bb/{id}/"),
            &format!("refs/exps/b/{id}b/x"),
        ] {
            assert_eq!(in_reference(other), None, "{other}");
        }
    }

    #[test]
    fn what_was_noted_of_a_queue_names_baseline_and_experiment() {
        let id = "b".repeat(40);
        let of = |rest: &str| in_message(&format!("commit: dvc-exp:aa:{rest}"));
        assert_eq!(of(&format!("{id}:name")), Some(told(&id, "name")));
        assert_eq!(of(&format!("{id}:name:a-branch")), Some(told(&id, "name")));
        assert_eq!(of(&format!("{id}:")), Some(told(&id, "")));
        assert_eq!(
            in_message(&format!("dvc-exp:aa:{id}:n")),
            Some(told(&id, "n"))
        );
        for other in [&id, "--output=x:name", "../x:name", ""] {
            assert_eq!(of(other), None, "{other}");
        }
        assert_eq!(in_message("other"), None);
    }

    #[test]
    fn experiments_have_ids_of_their_own() {
        let one = Found {
            name: "n".to_owned(),
            commit: "c".to_owned(),
            baseline: "b".to_owned(),
            state: State::Waiting,
            detail: CommitDetail::default(),
        };
        let id = one.id("");
        let change = |change: fn(&mut Found)| {
            let mut other = one.clone();
            change(&mut other);
            other.id("")
        };
        assert_ne!(id, one.id("inner"));
        assert_ne!(id, change(|other| other.name = "m".to_owned()));
        assert_ne!(id, change(|other| other.commit = "d".to_owned()));
        assert_ne!(id, change(|other| other.baseline = "d".to_owned()));
        // What waited and has failed since is the same.
        assert_eq!(id, change(|other| other.state = State::Failed));
    }
}
