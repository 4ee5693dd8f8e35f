//! What came of a replay: every output and metric beside that of its origin, and how far it came.

mod outputs;
mod series;

use std::collections::{BTreeMap, BTreeSet};

use entities::{
    Environment, Exit, NotKeptReason, ObjectId, Record, RecordedPath, ReplayLevel, ReplayVerdict,
    RunId, Sha256Digest,
};
use serde::Serialize;

use self::outputs::compare_outputs;
use self::series::compare_metrics;
use crate::diff::{FileChange, RunDiff, diff_runs, serialize_number};
use crate::environment_diff::libraries_by_place;
use crate::{
    Cause, EmbeddedDifference, EnvironmentDiff, FileFact, Place, ReplayFacts, RunFacts, Tolerance,
    Tolerances, likely_causes,
};

/// What came of a replay.
///
/// # Levels
///
/// Each level has evidence of its own, and `reached` holds every level whose evidence is there:
/// - R0: the Python environments, those of launchers too, have one content digest (where neither run has one: same interpreter and container);
/// - R1: interpreter, mapped libraries and further programs that both executed have the same bytes;
///   neither is reached where a run was observed in a way that does not tell, which `not_known` says;
/// - R2: both commands returned, with the same status;
/// - R3: no metric is different, missing or extra; where none was compared, every output is identical
///   or differs in an embedded time or id only;
/// - R4: there are outputs, and each is identical to the byte; embedded times and ids, and outputs of which no
///   digest is known, do not count as identical.
///
/// `level` is the highest for which all before it are reached too.
/// A replay in another environment can thus have R3 and R4 in `reached` and no `level`: its outputs are identical
/// though a package differs, and both is said.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The run that was replayed.
    pub origin: RunId,
    /// The run that did it.
    pub replay: RunId,
    /// The highest level for which it and all before it are reached.
    pub level: Option<ReplayLevel>,
    /// Every level whose own evidence is there.
    pub reached: BTreeSet<ReplayLevel>,
    /// Whether something was compared, and everything that was is identical.
    pub is_identical: bool,
    /// Whether something was compared, and everything that was is identical, within tolerance,
    /// or differs in an embedded time or id only.
    pub is_within_tolerance: bool,
    /// Inputs that the replay was not given as its origin was. Then nothing counts as identical: what comes out the
    /// same shows at most that they did not matter.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lost_inputs: Vec<RecordedPath>,
    /// Inputs that the replay read and that its origin did not, or not with this content. Then nothing counts as
    /// identical either.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other_inputs: Vec<RecordedPath>,
    /// Kinds of facts that either run does not know of itself, for the way in which it was observed: `packages`,
    /// `interpreter`, `libraries`, `data`. No level is reached on what is not known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_known: Vec<&'static str>,
    /// Outputs, by place and path.
    pub outputs: Vec<OutputComparison>,
    /// Metrics, by key.
    pub metrics: Vec<MetricComparison>,
    /// Whether standard output was the same, where both are kept. It counts for nothing: progress bars tell times.
    pub is_stdout_identical: Option<bool>,
    /// What differs between the environments.
    pub environment: EnvironmentDiff,
    /// Where something differs: likely reasons, the likeliest first.
    pub causes: Vec<Cause>,
}

/// How something of a replay compares with its origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Equal to the bit.
    Identical,
    /// A metric that is off by no more than its tolerance.
    WithinTolerance,
    /// A file that differs in embedded times or ids only.
    EmbeddedOnly,
    /// Different.
    Different,
    /// There in the origin, not in the replay.
    Missing,
    /// There in the replay, not in the origin.
    Extra,
    /// Left out: a resource metric, a timing, or a file of which no digest is known.
    NotCompared,
}

/// One output.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OutputComparison {
    /// Where the path starts.
    pub place: Place,
    /// Its path from there.
    pub path: RecordedPath,
    /// How it compares.
    pub outcome: Outcome,
    /// As the origin wrote it.
    pub origin: Option<FileFact>,
    /// As the replay wrote it.
    pub replay: Option<FileFact>,
    /// For `EmbeddedOnly`, the places in which it differs.
    pub embedded: Vec<EmbeddedDifference>,
    /// For a file of which no digest is known, why.
    pub reason: Option<NotKeptReason>,
    /// Whether it is a file that only one of the runs removed: `Missing` where the replay did not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_removal: bool,
}

/// One metric with all its points. Times are not compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MetricComparison {
    /// Its key.
    pub key: String,
    /// How all its points compare: as the worst of them does.
    pub outcome: Outcome,
    /// How the latest value compares.
    pub latest_outcome: Outcome,
    /// Its latest value in the origin.
    #[serde(serialize_with = "serialize_number")]
    pub origin: Option<f64>,
    /// Its latest value in the replay.
    #[serde(serialize_with = "serialize_number")]
    pub replay: Option<f64>,
    /// How many steps and values there are in either run.
    pub points: usize,
    /// How many of them are not equal to the bit, or only in one run.
    pub differing_points: usize,
    /// The largest distance between two finite values of one step.
    #[serde(serialize_with = "serialize_number")]
    pub largest_difference: Option<f64>,
    /// The same as a share of the origin's value; none where that is 0.
    #[serde(serialize_with = "serialize_number")]
    pub largest_relative_difference: Option<f64>,
    /// What was allowed.
    pub tolerance: Tolerance,
}

/// What a comparison goes by.
pub struct ComparisonRules<'a> {
    /// How far metrics may be off.
    pub tolerances: Tolerances,
    /// Patterns of metrics that measure time; `system/…` is never compared in any case.
    pub timings: Vec<String>,
    /// Inputs that the replay was not given as its origin was.
    pub lost_inputs: Vec<RecordedPath>,
    /// Further ids that belong to either run: of models, of child runs.
    pub ids: Vec<String>,
    /// Reads an object that is kept, for looking into files that differ.
    pub read_object: &'a dyn Fn(&ObjectId) -> Option<Vec<u8>>,
}

/// Which of the facts that a level needs are not known.
fn unknown_for(level: ReplayLevel, not_known: &[&'static str]) -> Vec<&'static str> {
    let needed: &[&str] = match level {
        ReplayLevel::R0 => &["packages", "interpreter"],
        ReplayLevel::R1 => &["interpreter", "libraries"],
        ReplayLevel::R2 | ReplayLevel::R3 | ReplayLevel::R4 => &[],
    };
    let unknown = not_known.iter().copied();
    unknown.filter(|kind| needed.contains(kind)).collect()
}

impl Comparison {
    /// Which of the facts that a level needs are not known of either run.
    pub fn unknown_for(&self, level: ReplayLevel) -> Vec<&'static str> {
        unknown_for(level, &self.not_known)
    }

    /// Sums up for the replay's event; the host's kind and the id of this comparison as an object come from the caller.
    pub fn verdict(&self, host_kind: ObjectId, comparison: ObjectId) -> ReplayVerdict {
        ReplayVerdict {
            origin: self.origin.clone(),
            replay: self.replay.clone(),
            level: self.level,
            is_identical: self.is_identical,
            is_within_tolerance: self.is_within_tolerance,
            host_kind,
            comparison,
        }
    }
}

/// Compares a replay with its origin.
pub fn compare_replay(
    origin: &ReplayFacts,
    replay: &ReplayFacts,
    rules: &ComparisonRules<'_>,
) -> Comparison {
    let outputs = compare_outputs(&origin.run, &replay.run, rules);
    let metrics = compare_metrics(&origin.points, &replay.points, rules);
    let compared: Vec<Outcome> = outputs
        .iter()
        .map(|output| output.outcome)
        .chain(metrics.iter().map(|metric| metric.outcome))
        .filter(|outcome| *outcome != Outcome::NotCompared)
        .collect();
    // A file of which one run has no digest may differ, and a command that ended otherwise did something else.
    let is_unknown = |output: &OutputComparison| {
        output.outcome == Outcome::NotCompared && output.reason != Some(NotKeptReason::Secret)
    };
    let diff = diff_runs(&origin.run, &replay.run);
    let other_inputs = other_inputs(&diff, &origin.run);
    let has_inputs = rules.lost_inputs.is_empty() && other_inputs.is_empty();
    let mut reached = reached_levels(
        &origin.run,
        &replay.run,
        &diff.environment,
        &outputs,
        &metrics,
    );
    let not_known = not_known(&diff);
    // Nothing on record twice is no equality.
    reached.retain(|level| unknown_for(*level, &not_known).is_empty());
    // That other data gave the same result does not show that the run can be reproduced.
    reached.retain(|level| has_inputs || *level <= ReplayLevel::R2);
    let is_judged = !compared.is_empty()
        && has_inputs
        && !outputs.iter().any(is_unknown)
        && reached.contains(&ReplayLevel::R2);
    let all = |accepted: &[Outcome]| {
        is_judged && compared.iter().all(|outcome| accepted.contains(outcome))
    };
    let is_identical = all(&[Outcome::Identical]);
    Comparison {
        origin: origin.run.detail.run.id.clone(),
        replay: replay.run.detail.run.id.clone(),
        level: chain_of(&reached),
        reached,
        is_identical,
        is_within_tolerance: all(&[
            Outcome::Identical,
            Outcome::WithinTolerance,
            Outcome::EmbeddedOnly,
        ]),
        causes: if is_identical {
            Vec::new()
        } else {
            let seen = likely_causes(&origin.run, &replay.run, &diff, &outputs, &metrics);
            with_inputs(&rules.lost_inputs, seen)
        },
        lost_inputs: rules.lost_inputs.clone(),
        other_inputs,
        not_known,
        outputs,
        metrics,
        is_stdout_identical: compare_stdout(&origin.run, &replay.run),
        environment: diff.environment,
    }
}

/// What of the environment and the inputs could not be compared.
fn not_known(diff: &RunDiff) -> Vec<&'static str> {
    let kinds = ["packages", "interpreter", "libraries", "data"];
    kinds
        .into_iter()
        .filter(|kind| diff.not_compared.contains(kind))
        .collect()
}

/// What the replay read and its origin did not. What only the origin read shows nothing: the replay did without.
fn other_inputs(diff: &RunDiff, origin: &RunFacts) -> Vec<RecordedPath> {
    let is_other = |change: &&FileChange| {
        let Some(read) = &change.after else {
            return false;
        };
        let known = match (&change.before, change.place) {
            (Some(before), _) => Some(before),
            // Code that is read as data too has the recorded content.
            (None, Place::Project) => origin.code.get(&change.path),
            (None, Place::Outside) => None,
        };
        known.is_none_or(|known| known.object != read.object)
    };
    let others = diff.data.iter().filter(is_other);
    others
        .map(|change| change.place.whole(&change.path))
        .collect()
}

/// Puts inputs that could not be given back before all other causes of a difference.
fn with_inputs(inputs: &[RecordedPath], causes: Vec<Cause>) -> Vec<Cause> {
    if causes.is_empty() {
        return causes;
    }
    let of_inputs = inputs.iter().map(|input| Cause {
        code: "lost_input",
        message: format!("the input `{input}` could not be given back"),
        weight: 100,
    });
    of_inputs.chain(causes).collect()
}

const LEVELS: [ReplayLevel; 5] = [
    ReplayLevel::R0,
    ReplayLevel::R1,
    ReplayLevel::R2,
    ReplayLevel::R3,
    ReplayLevel::R4,
];

fn chain_of(reached: &BTreeSet<ReplayLevel>) -> Option<ReplayLevel> {
    LEVELS
        .into_iter()
        .take_while(|level| reached.contains(level))
        .last()
}

fn reached_levels(
    origin: &RunFacts,
    replay: &RunFacts,
    environment: &EnvironmentDiff,
    outputs: &[OutputComparison],
    metrics: &[MetricComparison],
) -> BTreeSet<ReplayLevel> {
    let count = |wanted: &[Outcome]| {
        metrics
            .iter()
            .filter(|metric| wanted.contains(&metric.outcome))
            .count()
    };
    let are_metrics_near = count(&[Outcome::Different, Outcome::Missing, Outcome::Extra]) == 0;
    // Without any metric, only outputs that came out the same can say that the results are near.
    let is_same = |outcome| matches!(outcome, Outcome::Identical | Outcome::EmbeddedOnly);
    let has_evidence = count(&[Outcome::Identical, Outcome::WithinTolerance]) > 0
        || !outputs.is_empty() && outputs.iter().all(|output| is_same(output.outcome));
    let are_outputs_identical = !outputs.is_empty()
        && outputs
            .iter()
            .all(|output| output.outcome == Outcome::Identical);
    let evidence = [
        is_environment_equal(origin, replay)
            && !environment.files.iter().any(|file| file.is_of_packages),
        is_machinery_equal(origin, replay) && environment.programs.is_empty(),
        is_exit_equal(origin.record.as_ref(), replay.record.as_ref()),
        are_metrics_near && has_evidence,
        are_outputs_identical,
    ];
    LEVELS
        .into_iter()
        .zip(evidence)
        .filter(|(_, is_reached)| *is_reached)
        .map(|(level, _)| level)
        .collect()
}

fn is_environment_equal(origin: &RunFacts, replay: &RunFacts) -> bool {
    let (Some(old), Some(new)) = (&origin.recipe, &replay.recipe) else {
        return false;
    };
    let (old, new) = (&old.environment, &new.environment);
    let is_equal = match (&old.python, &new.python) {
        (Some(old), Some(new)) => old.content_digest == new.content_digest,
        (None, None) => binary(old) == binary(new) && old.container == new.container,
        _ => false,
    };
    is_equal && other_packages(old) == other_packages(new)
}

/// Content of the packages of further environments, by where they are.
fn other_packages(environment: &Environment) -> BTreeMap<&RecordedPath, Option<Sha256Digest>> {
    let others = environment.others.iter();
    others
        .map(|other| {
            let packages = other.python.as_ref().map(|python| python.content_digest);
            (&other.interpreter.prefix, packages)
        })
        .collect()
}

/// Digest of the interpreter's binary.
fn binary(environment: &Environment) -> Option<ObjectId> {
    environment
        .interpreter
        .as_ref()
        .map(|interpreter| interpreter.object)
}

fn is_machinery_equal(origin: &RunFacts, replay: &RunFacts) -> bool {
    let (Some(old), Some(new)) = (&origin.recipe, &replay.recipe) else {
        return false;
    };
    let (old, new) = (&old.environment, &new.environment);
    let others = |environment: &Environment| -> BTreeMap<RecordedPath, ObjectId> {
        let others = environment.others.iter().map(|other| &other.interpreter);
        others
            .map(|other| (other.prefix.clone(), other.object))
            .collect()
    };
    binary(old) == binary(new)
        && others(old) == others(new)
        && libraries_by_place(old) == libraries_by_place(new)
}

fn is_exit_equal(origin: Option<&Record>, replay: Option<&Record>) -> bool {
    match (
        origin.map(|record| record.exit),
        replay.map(|record| record.exit),
    ) {
        (Some(Exit::Code(old)), Some(Exit::Code(new))) => old == new,
        _ => false,
    }
}

fn compare_stdout(origin: &RunFacts, replay: &RunFacts) -> Option<bool> {
    let object = |facts: &RunFacts| facts.record.as_ref().and_then(|record| record.stdout);
    Some(object(origin)? == object(replay)?)
}

#[cfg(test)]
mod tests;
