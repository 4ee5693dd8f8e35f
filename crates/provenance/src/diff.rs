//! What differs between two runs, by kind.

use std::collections::{BTreeMap, BTreeSet};

use entities::{Exit, RecordedPath, StandardInput};
use serde::{Serialize, Serializer};

use crate::environment_diff::{EnvironmentDiff, diff_environments};
use crate::{FileFact, FileMap, FileSet, Place, RunFacts, is_blind_to_reads};

/// What differs between two runs. Every list is sorted and holds only what differs.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RunDiff {
    /// How the runs ended: their status, and the exit of their commands where both were captured.
    pub ending: Vec<TextChange>,
    /// The command, where it differs.
    pub command: Option<Change<Vec<RecordedPath>>>,
    /// What the commands were given on standard input, where that is on record and differs.
    pub standard_input: Option<Change<Option<StandardInput>>>,
    /// Params.
    pub params: Vec<TextChange>,
    /// Latest values of metrics.
    pub metrics: Vec<MetricChange>,
    /// The state of git, where it differs: commit, branch, remote, whether there are changes.
    pub git: Vec<TextChange>,
    /// Files of the code tree.
    pub code: Vec<FileChange>,
    /// Files that were read.
    pub data: Vec<FileChange>,
    /// Files that were written.
    pub outputs: Vec<FileChange>,
    /// What the commands ran in.
    pub environment: EnvironmentDiff,
    /// Kinds that could not be compared, because they are not known of one of the runs: it was logged, not captured,
    /// or observed in a way that does not see them.
    pub not_compared: Vec<&'static str>,
}

impl RunDiff {
    /// Takes a kind out of what was compared.
    fn leave_out(&mut self, kind: &'static str) {
        match kind {
            "data" => self.data.clear(),
            "interpreter" => self.environment.interpreter.clear(),
            "packages" => self.environment.packages.clear(),
            "libraries" => {
                self.environment.libraries.clear();
                self.environment.programs.clear();
                self.environment.files.clear();
            }
            "linear algebra" => self.environment.blas.clear(),
            _ => return,
        }
        self.not_compared.push(kind);
    }

    /// Whether nothing differs of what was compared; `not_compared` says what was not.
    pub fn is_empty(&self) -> bool {
        let Self {
            ending,
            command,
            standard_input,
            params,
            metrics,
            git,
            code,
            data,
            outputs,
            environment,
            not_compared: _,
        } = self;
        ending.is_empty()
            && command.is_none()
            && standard_input.is_none()
            && params.is_empty()
            && metrics.is_empty()
            && git.is_empty()
            && code.is_empty()
            && data.is_empty()
            && outputs.is_empty()
            && environment.is_empty()
    }
}

/// Something before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change<T> {
    /// In the first run.
    pub before: T,
    /// In the second.
    pub after: T,
}

/// A named text that was added, removed or changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TextChange {
    /// Its name.
    pub key: String,
    /// In the first run; none where it was not there.
    pub before: Option<String>,
    /// In the second.
    pub after: Option<String>,
}

/// A metric whose latest value differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MetricChange {
    /// Its key.
    pub key: String,
    /// In the first run; none where it was not there.
    #[serde(serialize_with = "serialize_number")]
    pub before: Option<f64>,
    /// In the second.
    #[serde(serialize_with = "serialize_number")]
    pub after: Option<f64>,
}

/// A file that was added, removed or changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// Where the path starts.
    pub place: Place,
    /// Its path from there.
    pub path: RecordedPath,
    /// In the first run; none where it was not there.
    pub before: Option<FileFact>,
    /// In the second.
    pub after: Option<FileFact>,
}

/// Tells what differs from `a` to `b`.
///
/// Metrics are equal when their bits are; NaN equals NaN.
pub fn diff_runs(a: &RunFacts, b: &RunFacts) -> RunDiff {
    let mut diff = RunDiff {
        ending: diff_endings(a, b),
        params: diff_texts(&a.detail.params, &b.detail.params),
        metrics: diff_metrics(a, b),
        ..RunDiff::default()
    };
    let (Some(recipe_a), Some(recipe_b)) = (&a.recipe, &b.recipe) else {
        diff.not_compared = vec!["command", "code", "data", "outputs", "environment"];
        return diff;
    };
    diff.command = (recipe_a.command != recipe_b.command).then(|| Change {
        before: recipe_a.command.clone(),
        after: recipe_b.command.clone(),
    });
    let content = |input: &Option<StandardInput>| input.as_ref().map(|input| input.object);
    let (given_a, given_b) = (&recipe_a.standard_input, &recipe_b.standard_input);
    diff.standard_input = (content(given_a) != content(given_b)).then(|| Change {
        before: given_a.clone(),
        after: given_b.clone(),
    });
    diff.git = diff_texts(&git_texts(recipe_a), &git_texts(recipe_b));
    let unknown = unknown_kinds(a, b);
    diff.code = diff_files(Place::Project, &a.code, &b.code);
    // A file of the code tree that a run reads or writes as data is told as data, once, and without a patch.
    let told: &[&FileSet] = if unknown.contains(&"data") {
        &[&a.outputs, &b.outputs]
    } else {
        &[&a.inputs, &b.inputs, &a.outputs, &b.outputs]
    };
    let is_data = |path: &RecordedPath| told.iter().any(|files| files.project.contains_key(path));
    diff.code.retain(|change| !is_data(&change.path));
    diff.data = diff_file_sets(&a.inputs, &b.inputs);
    diff.environment = diff_environments(recipe_a, recipe_b, (a, b));
    if a.record.is_some() && b.record.is_some() {
        diff.outputs = diff_file_sets(&a.outputs, &b.outputs);
    } else {
        diff.not_compared = vec!["outputs", "hardware"];
    }
    for kind in unknown {
        diff.leave_out(kind);
    }
    diff
}

fn diff_endings(a: &RunFacts, b: &RunFacts) -> Vec<TextChange> {
    let is_captured = a.record.is_some() && b.record.is_some();
    let texts = |facts: &RunFacts| {
        let status = facts.detail.run.status.as_str().to_owned();
        let exit = facts.record.as_ref().filter(|_| is_captured).map(|record| {
            let exit = match record.exit {
                Exit::Code(code) => code.to_string(),
                Exit::Signal(signal) => format!("signal {signal}"),
                Exit::Unknown => "unknown".to_owned(),
            };
            ("exit".to_owned(), exit)
        });
        let status = std::iter::once(("status".to_owned(), status));
        status.chain(exit).collect::<BTreeMap<_, _>>()
    };
    diff_texts(&texts(a), &texts(b))
}

/// Kinds of which one of two captured runs knows nothing, for the way in which it was observed.
///
/// Nothing on record is then not the same as nothing there: all that the other run has would be told as added.
fn unknown_kinds(a: &RunFacts, b: &RunFacts) -> Vec<&'static str> {
    [
        "data",
        "interpreter",
        "packages",
        "libraries",
        "linear algebra",
    ]
    .into_iter()
    .filter(|kind| [a, b].iter().any(|facts| is_unknown(kind, facts)))
    .collect()
}

fn is_unknown(kind: &str, facts: &RunFacts) -> bool {
    let (Some(recipe), Some(record)) = (&facts.recipe, &facts.record) else {
        return false;
    };
    let environment = &recipe.environment;
    let is_blind = is_blind_to_reads(record);
    let has_gap = |code: &str| record.gaps.iter().any(|gap| gap.code == code);
    let has_no_answer = is_blind || has_gap("interpreter_unknown");
    match kind {
        "data" => is_blind,
        "interpreter" => environment.interpreter.is_none() && has_no_answer,
        "packages" => {
            environment.python.is_none() && (has_no_answer || has_gap("packages_unknown"))
        }
        "libraries" => environment.libraries.is_empty() && is_blind,
        "linear algebra" => environment.blas.is_empty() && is_blind,
        _ => false,
    }
}

/// Lists what differs between two maps of texts.
pub(crate) fn diff_texts(
    a: &BTreeMap<String, String>,
    b: &BTreeMap<String, String>,
) -> Vec<TextChange> {
    diff_maps(a, b, |key, before, after| TextChange {
        key: key.clone(),
        before: before.cloned(),
        after: after.cloned(),
    })
}

/// Lists the files that differ between two runs.
pub(crate) fn diff_file_sets(a: &FileSet, b: &FileSet) -> Vec<FileChange> {
    let mut changes = diff_files(Place::Project, &a.project, &b.project);
    changes.extend(diff_files(Place::Outside, &a.outside, &b.outside));
    changes
}

fn diff_files(place: Place, a: &FileMap, b: &FileMap) -> Vec<FileChange> {
    diff_maps(a, b, |path, before, after| FileChange {
        place,
        path: path.clone(),
        before: before.cloned(),
        after: after.cloned(),
    })
}

/// Makes a change of every key whose values are not equal.
pub(crate) fn diff_maps<K: Ord, V: PartialEq, C>(
    a: &BTreeMap<K, V>,
    b: &BTreeMap<K, V>,
    make: impl Fn(&K, Option<&V>, Option<&V>) -> C,
) -> Vec<C> {
    let keys: BTreeSet<_> = a.keys().chain(b.keys()).collect();
    keys.into_iter()
        .map(|key| (key, a.get(key), b.get(key)))
        .filter(|(_, before, after)| before != after)
        .map(|(key, before, after)| make(key, before, after))
        .collect()
}

/// Bits, but one NaN for all.
pub(crate) fn comparable_bits(value: f64) -> u64 {
    if value.is_nan() {
        f64::NAN.to_bits()
    } else {
        value.to_bits()
    }
}

fn diff_metrics(a: &RunFacts, b: &RunFacts) -> Vec<MetricChange> {
    let bits = |facts: &RunFacts| -> BTreeMap<String, u64> {
        facts
            .detail
            .metrics
            .iter()
            .map(|metric| (metric.key.clone(), comparable_bits(metric.value)))
            .collect()
    };
    diff_maps(&bits(a), &bits(b), |key, before, after| MetricChange {
        key: key.clone(),
        before: before.copied().map(f64::from_bits),
        after: after.copied().map(f64::from_bits),
    })
}

fn git_texts(recipe: &entities::Recipe) -> BTreeMap<String, String> {
    let Some(git) = &recipe.code.git else {
        return BTreeMap::new();
    };
    let entities::GitState {
        commit,
        branch,
        remote,
        is_dirty,
        patch: _,
        submodules,
    } = git;
    let mut texts = BTreeMap::from([("dirty".to_owned(), is_dirty.to_string())]);
    for (key, text) in [("commit", commit), ("branch", branch), ("remote", remote)] {
        texts.extend(text.clone().map(|text| (key.to_owned(), text)));
    }
    for submodule in submodules {
        let state = if submodule.is_dirty {
            " with changes"
        } else {
            ""
        };
        texts.insert(
            format!("submodule {}", submodule.path),
            format!("{}{state}", submodule.commit),
        );
    }
    texts
}

/// Writes a number; what JSON has no number for as the text that Python reads and writes.
#[expect(clippy::ref_option, reason = "the form that serde asks for")]
pub(crate) fn serialize_number<S: Serializer>(
    value: &Option<f64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        None => serializer.serialize_none(),
        Some(value) if value.is_finite() => serializer.serialize_f64(*value),
        Some(value) if value.is_nan() => serializer.serialize_str("NaN"),
        Some(value) if *value > 0.0 => serializer.serialize_str("Infinity"),
        Some(_) => serializer.serialize_str("-Infinity"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use entities::{Metric, ObjectId};

    fn paths(changes: &[FileChange]) -> Vec<(&str, bool, bool)> {
        changes
            .iter()
            .map(|change| {
                (
                    change.path.as_str(),
                    change.before.is_some(),
                    change.after.is_some(),
                )
            })
            .collect()
    }

    #[test]
    fn a_run_does_not_differ_from_itself() {
        let run = samples::run();
        assert!(diff_runs(&run, &run).is_empty());
        assert!(diff_runs(&run, &run).not_compared.is_empty());
    }

    #[test]
    fn what_a_way_of_observing_did_not_see_is_not_told_as_added() {
        let (mut a, b) = (samples::run(), samples::run());
        let environment = &mut a.recipe.as_mut().unwrap().environment;
        environment.interpreter = None;
        environment.python = None;
        environment.libraries.clear();
        environment.blas.clear();
        a.inputs = FileSet::default();
        let diff = diff_runs(&a, &b);
        assert!(
            !diff.environment.packages.is_empty() && diff.not_compared.is_empty(),
            "a command that was seen and is not Python has no packages"
        );
        a.record.as_mut().unwrap().gaps = vec![entities::Gap {
            code: "reads_not_seen".to_owned(),
            message: "m".to_owned(),
        }];
        for diff in [diff_runs(&a, &b), diff_runs(&b, &a)] {
            assert!(diff.data.is_empty() && diff.environment.is_empty());
            assert_eq!(
                diff.not_compared,
                [
                    "data",
                    "interpreter",
                    "packages",
                    "libraries",
                    "linear algebra"
                ]
            );
        }
    }

    #[test]
    fn a_run_that_failed_differs_from_one_that_did_not() {
        let (a, mut b) = (samples::run(), samples::run());
        assert!(diff_runs(&a, &b).is_empty());
        b.detail.run.status = entities::RunStatus::Failed;
        b.record.as_mut().unwrap().exit = Exit::Code(2);
        let diff = diff_runs(&a, &b);
        assert!(!diff.is_empty());
        let keys: Vec<_> = diff
            .ending
            .iter()
            .map(|change| change.key.as_str())
            .collect();
        assert_eq!(keys, ["exit", "status"]);
        assert_eq!(diff.ending[0].after.as_deref(), Some("2"));
        b.record = None;
        assert_eq!(
            diff_runs(&a, &b).ending.len(),
            1,
            "the status alone is known"
        );
    }

    #[test]
    fn params_and_metrics_are_compared_by_value() {
        let (a, mut b) = (samples::run(), samples::run());
        b.detail.params.insert("lr".to_owned(), "0.2".to_owned());
        b.detail.params.remove("depth");
        b.detail.metrics = vec![
            Metric::new("auc", f64::NEG_INFINITY, 5, 5),
            Metric::new("nan", -f64::NAN, 0, 0),
            Metric::new("new", 1.0, 0, 0),
        ];
        let diff = diff_runs(&a, &b);
        let value = serde_json::to_value(&diff).unwrap();
        let expected = serde_json::json!([{"key": "depth", "before": "3", "after": null}, {"key": "lr", "before": "0.1", "after": "0.2"}]);
        assert_eq!(value["params"], expected);
        let expected = serde_json::json!([{"key": "auc", "before": 0.75, "after": "-Infinity"}, {"key": "new", "before": null, "after": 1.0}]);
        assert_eq!(
            value["metrics"], expected,
            "NaN equals NaN, whatever its bits"
        );
        assert!(!diff.is_empty());
    }

    #[test]
    fn zero_differs_from_minus_zero() {
        let with = |value| RunFacts {
            detail: entities::RunDetail {
                metrics: vec![Metric::new("k", value, 0, 0)],
                ..samples::run().detail
            },
            ..samples::run()
        };
        assert_eq!(diff_runs(&with(0.0), &with(-0.0)).metrics.len(), 1);
    }

    #[test]
    fn files_are_compared_by_their_path_in_the_project() {
        let (a, mut b) = (samples::run(), samples::run());
        b.recipe.as_mut().unwrap().project_root = RecordedPath::new("/elsewhere");
        assert!(
            diff_runs(&a, &b).is_empty(),
            "another checkout is no difference"
        );
        b.code
            .insert(RecordedPath::new("new.py"), samples::file(b"new"));
        b.code
            .insert(RecordedPath::new("train.py"), samples::file(b"changed"));
        b.code
            .insert(RecordedPath::new("data.csv"), samples::file(b"tracked"));
        b.inputs.project.remove(&RecordedPath::new("data.csv"));
        b.inputs
            .outside
            .insert(RecordedPath::new("mnt/data.csv"), samples::file(b"1"));
        b.outputs
            .project
            .insert(RecordedPath::new("model.pkl"), samples::file(b"other"));
        let diff = diff_runs(&a, &b);
        assert_eq!(
            paths(&diff.code),
            [("new.py", false, true), ("train.py", true, true)]
        );
        assert_eq!(
            paths(&diff.data),
            [("data.csv", true, false), ("mnt/data.csv", false, true)]
        );
        assert_eq!(diff.data[1].place, Place::Outside);
        assert_eq!(paths(&diff.outputs), [("model.pkl", true, true)]);
        assert_eq!(
            diff.outputs[0].after.as_ref().unwrap().object,
            ObjectId::of(b"other")
        );
    }

    #[test]
    fn command_and_git_are_compared() {
        let (a, mut b) = (samples::run(), samples::run());
        let recipe = b.recipe.as_mut().unwrap();
        recipe.command.push(RecordedPath::new("--x"));
        recipe.code.git.as_mut().unwrap().commit = None;
        recipe.code.git.as_mut().unwrap().is_dirty = true;
        let diff = diff_runs(&a, &b);
        assert_eq!(diff.command.unwrap().after.len(), 3);
        let keys: Vec<_> = diff
            .git
            .iter()
            .map(|change| (change.key.as_str(), change.after.as_deref()))
            .collect();
        assert_eq!(keys, [("commit", None), ("dirty", Some("true"))]);
    }

    #[test]
    fn what_was_not_captured_is_not_said_to_be_equal() {
        let (a, mut b) = (samples::run(), samples::run());
        b.recipe = None;
        b.record = None;
        b.code.clear();
        let diff = diff_runs(&a, &b);
        assert!(diff.code.is_empty());
        assert_eq!(
            diff.not_compared,
            ["command", "code", "data", "outputs", "environment"]
        );
    }
}
