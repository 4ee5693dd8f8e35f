//! What a replay came to, told to people and to programs.

use std::fmt::Write as _;

use entities::{NotKeptReason, RecordedPath, ReplayLevel};
use executor::{Replayed, short_id};
use provenance::{
    Comparison, FileFact, LibraryChange, MetricComparison, Outcome, OutputComparison,
};
use serde_json::json;

use crate::commands::outcome::{ending_in_words, outcome_json};
use crate::output::{duration, metric_value, safe, size, table, table_text};

/// Whether all is identical or within tolerance, by the rule that the verdict in the ledger follows.
pub(super) fn is_verified(comparison: &Comparison, allows_embedded: bool) -> bool {
    comparison.is_within_tolerance && (allows_embedded || count_embedded(comparison) == 0)
}

fn count_embedded(comparison: &Comparison) -> usize {
    let outputs = comparison.outputs.iter();
    outputs
        .filter(|output| output.outcome == Outcome::EmbeddedOnly)
        .count()
}

/// How many outputs could not be compared, where there are such; secrets never are.
fn count_unknown(comparison: &Comparison) -> Option<usize> {
    let outputs = comparison.outputs.iter();
    let unknown = outputs.filter(|output| {
        output.outcome == Outcome::NotCompared && output.reason != Some(NotKeptReason::Secret)
    });
    Some(unknown.count()).filter(|count| *count > 0)
}

pub(super) fn verification(comparison: &Comparison, is_verified: bool) -> String {
    let embedded = count_embedded(comparison);
    if is_verified {
        "verified".to_owned()
    } else if !comparison.lost_inputs.is_empty() {
        format!(
            "NOT verified: {} of its inputs could not be given back, see above",
            comparison.lost_inputs.len()
        )
    } else if !comparison.other_inputs.is_empty() {
        let count = comparison.other_inputs.len();
        let files = if count == 1 { "file" } else { "files" };
        format!(
            "NOT verified: it read {count} input {files} that its origin did not, or not with this content, see above"
        )
    } else if comparison.is_within_tolerance && embedded > 0 {
        format!(
            "NOT verified: {embedded} of its outputs differ, in embedded times or ids only; `--allow-embedded` accepts that"
        )
    } else if let Some(unknown) = count_unknown(comparison) {
        format!("NOT verified: of {unknown} of its outputs no digest is on record")
    } else if compared(comparison).next().is_none() {
        "NOT verified: there is nothing to compare".to_owned()
    } else {
        "NOT verified: not all is identical or within tolerance".to_owned()
    }
}

pub(super) fn as_json(replayed: &Replayed, is_verified: bool) -> serde_json::Value {
    let Replayed {
        outcome,
        comparison,
        notes,
        directory,
        environment,
    } = replayed;
    json!({
        "run": outcome_json(outcome),
        "is_verified": is_verified,
        "comparison": comparison,
        "notes": notes,
        "directory": directory,
        "environment": environment,
    })
}

pub(super) fn in_words(replayed: &Replayed) -> String {
    let Replayed {
        outcome,
        comparison,
        notes,
        directory,
        environment,
    } = replayed;
    let mut lines = vec![
        format!(
            "run {} replayed run {}: it {} after {}",
            short_id(&comparison.replay),
            short_id(&comparison.origin),
            ending_in_words(outcome.run.status, outcome.record.exit),
            duration(outcome.record.usage.wall_ms)
        ),
        match directory {
            Some(directory) => format!("in {}, packages: {environment}", directory.display()),
            None => format!("in a temporary directory, packages: {environment}"),
        },
    ];
    lines.extend(notes.iter().map(|note| format!("note: {}", safe(note))));
    lines.extend(other_inputs(&comparison.other_inputs));
    lines.extend([String::new(), levels(comparison)]);
    lines.extend([String::new(), compared_table(comparison)]);
    if let Some(is_same) = comparison.is_stdout_identical {
        let word = if is_same { "identical" } else { "different" };
        lines.push(format!(
            "standard output is {word} (it does not count: progress bars tell times)"
        ));
    }
    lines.extend(causes(comparison));
    lines.join("\n")
}

/// Inputs that only the replay read, where there are some.
fn other_inputs(inputs: &[RecordedPath]) -> Option<String> {
    const SHOWN_MAX: usize = 5;
    let shown: Vec<_> = inputs
        .iter()
        .take(SHOWN_MAX)
        .map(|path| format!("`{}`", safe(path.as_str())))
        .collect();
    let more = match inputs.len().saturating_sub(SHOWN_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!inputs.is_empty()).then(|| {
        format!(
            "note: it read input files that its origin did not, or not with this content: {}{more}",
            shown.join(", ")
        )
    })
}

/// How everything that was compared came out.
fn compared(comparison: &Comparison) -> impl Iterator<Item = Outcome> {
    let outputs = comparison.outputs.iter().map(|output| output.outcome);
    let metrics = comparison.metrics.iter().map(|metric| metric.outcome);
    outputs
        .chain(metrics)
        .filter(|outcome| *outcome != Outcome::NotCompared)
}

/// Why it may differ, where it does.
fn causes(comparison: &Comparison) -> Vec<String> {
    if comparison.is_identical || compared(comparison).next().is_none() {
        return Vec::new();
    }
    // Only that an input is not the same keeps it from being identical, and that is said already.
    let is_same = |outcome| outcome == Outcome::Identical;
    let has_same_inputs = comparison.lost_inputs.is_empty() && comparison.other_inputs.is_empty();
    if !has_same_inputs && compared(comparison).all(is_same) {
        return Vec::new();
    }
    let mut lines = vec![String::new()];
    if comparison.causes.is_empty() {
        // The kernel does not tell of clocks, nor of every source of random numbers.
        lines.push("nothing on record explains the difference: unseeded random numbers or the time of day are left".to_owned());
        return lines;
    }
    lines.push("likely causes, the likeliest first".to_owned());
    lines.extend(
        comparison
            .causes
            .iter()
            .map(|cause| format!("  {}", safe(&cause.message))),
    );
    lines
}

/// The levels, and which of them the replay has evidence for.
fn levels(comparison: &Comparison) -> String {
    const MEANINGS: [(ReplayLevel, &str); 5] = [
        (ReplayLevel::R0, "the packages have the same content"),
        (
            ReplayLevel::R1,
            "interpreter and native libraries are the same too",
        ),
        (ReplayLevel::R2, "it ran to its end with the same status"),
        (ReplayLevel::R3, "every metric is within its tolerance"),
        (ReplayLevel::R4, "every output is identical to the byte"),
    ];
    let mut lines = vec![match comparison.level {
        Some(level) => format!("level {level:?}"),
        None if comparison.reached.contains(&ReplayLevel::R0) => "no level".to_owned(),
        None if !comparison.unknown_for(ReplayLevel::R0).is_empty() => {
            "no level: whether the packages are the same is not known".to_owned()
        }
        None => "no level: already the packages differ".to_owned(),
    }];
    for (level, meaning) in MEANINGS {
        let has_metrics = comparison
            .metrics
            .iter()
            .any(|metric| metric.outcome != Outcome::NotCompared);
        let meaning = match level {
            ReplayLevel::R3 if !has_metrics => {
                "there are no metrics to compare, and no output differs but in embedded times or ids"
            }
            _ => meaning,
        };
        let (mark, meaning) = if comparison.reached.contains(&level) {
            ("yes", meaning.to_owned())
        } else if !comparison.unknown_for(level).is_empty() {
            let kinds = comparison.unknown_for(level).join(" and ");
            (
                "–",
                format!(
                    "not known: at least one of the runs was observed without seeing its {kinds}"
                ),
            )
        } else if has_nothing_for(level, comparison) {
            ("–", "there is nothing to compare".to_owned())
        } else {
            ("no", format!("{meaning}{}", obstacle(level, comparison)))
        };
        lines.push(format!("  {level:?} {mark:<3}  {meaning}"));
    }
    if comparison.not_known.contains(&"data") {
        lines.push("  which data was read is not known of at least one of the runs, so that it was not compared".to_owned());
    }
    lines.join("\n")
}

/// What of the environment kept a level from being reached, in brackets.
fn obstacle(level: ReplayLevel, comparison: &Comparison) -> String {
    let environment = &comparison.environment;
    let libraries = &environment.libraries;
    let count = |is_so: &dyn Fn(&LibraryChange) -> bool| {
        libraries.iter().filter(|library| is_so(library)).count()
    };
    let obstacles: Vec<(usize, &str)> = match level {
        ReplayLevel::R0 => vec![
            (environment.packages.len(), "packages that differ"),
            (
                environment
                    .files
                    .iter()
                    .filter(|file| file.is_of_packages)
                    .count(),
                "other files among the packages that differ",
            ),
        ],
        ReplayLevel::R1 => vec![
            (
                environment.interpreter.len(),
                "facts of the interpreter that differ",
            ),
            (environment.programs.len(), "programs that differ"),
            (
                count(&|library| library.before.is_some() && library.after.is_some()),
                "libraries that differ",
            ),
            (
                count(&|library| library.after.is_none()),
                "libraries that only the origin loaded",
            ),
            (
                count(&|library| library.before.is_none()),
                "libraries that only the replay loaded",
            ),
        ],
        ReplayLevel::R2 => Vec::new(),
        ReplayLevel::R3 | ReplayLevel::R4 => {
            let has_same_inputs =
                comparison.lost_inputs.is_empty() && comparison.other_inputs.is_empty();
            return if has_same_inputs {
                String::new()
            } else {
                " (not shown: its inputs were not the same)".to_owned()
            };
        }
    };
    let obstacles = obstacles.into_iter().filter(|(count, _)| *count > 0);
    let obstacles: Vec<_> = obstacles
        .map(|(count, what)| format!("{what}: {count}"))
        .collect();
    if obstacles.is_empty() {
        String::new()
    } else {
        format!(
            " ({}; `reproof diff {} {}` lists them)",
            obstacles.join(", "),
            short_id(&comparison.origin),
            short_id(&comparison.replay)
        )
    }
}

/// Whether a level speaks of something that neither run has.
fn has_nothing_for(level: ReplayLevel, comparison: &Comparison) -> bool {
    let has_outputs = !comparison.outputs.is_empty();
    let is_compared = |metric: &MetricComparison| metric.outcome != Outcome::NotCompared;
    match level {
        ReplayLevel::R4 => !has_outputs,
        ReplayLevel::R3 => !has_outputs && !comparison.metrics.iter().any(is_compared),
        ReplayLevel::R0 | ReplayLevel::R1 | ReplayLevel::R2 => false,
    }
}

/// Outputs that are identical are no news beyond these.
const LARGEST_IDENTICAL_COUNT: usize = 10;

/// The outputs to list: first all that are not identical, then some that are; and how many were left out.
fn listed_outputs(outputs: &[OutputComparison]) -> (Vec<&OutputComparison>, usize) {
    let (mut identical, mut listed): (Vec<_>, Vec<_>) = outputs
        .iter()
        .partition(|output| output.outcome == Outcome::Identical);
    let left_out = identical.len().saturating_sub(LARGEST_IDENTICAL_COUNT);
    identical.truncate(LARGEST_IDENTICAL_COUNT);
    listed.append(&mut identical);
    (listed, left_out)
}

fn compared_table(comparison: &Comparison) -> String {
    if comparison.outputs.is_empty() && compared(comparison).next().is_none() {
        return "nothing to compare: neither run wrote a file or logged a metric".to_owned();
    }
    let mut table = table(&["kind", "name", "result", "origin", "replay", "remark"]);
    let (outputs, more) = listed_outputs(&comparison.outputs);
    for output in outputs {
        let OutputComparison {
            place,
            path,
            outcome,
            origin,
            replay,
            ..
        } = output;
        let fact = |fact: &Option<FileFact>| {
            fact.as_ref()
                .map_or_else(|| "–".to_owned(), |fact| size(fact.size_bytes))
        };
        let name = safe(place.whole(path).as_str());
        table.add_row([
            "output".to_owned(),
            name,
            in_a_word(*outcome),
            fact(origin),
            fact(replay),
            output_remark(output),
        ]);
    }
    let mut left_out = 0_usize;
    for metric in &comparison.metrics {
        if metric.outcome == Outcome::NotCompared {
            left_out += 1;
            continue;
        }
        let MetricComparison {
            key,
            outcome,
            origin,
            replay,
            ..
        } = metric;
        let value = |value: &Option<f64>| value.map_or_else(|| "–".to_owned(), metric_value);
        let row = [
            "metric".to_owned(),
            safe(key),
            in_a_word(*outcome),
            value(origin),
            value(replay),
            metric_remark(metric),
        ];
        table.add_row(row);
    }
    let mut text = table_text(&table);
    if more > 0 {
        let outputs = if more == 1 { "output" } else { "outputs" };
        let _ = write!(
            text,
            "\nand {more} more identical {outputs} (`--json` lists all)"
        );
    }
    if left_out > 0 {
        let _ = write!(
            text,
            "\n{left_out} metrics of resources and times are not compared"
        );
    }
    text
}

fn in_a_word(outcome: Outcome) -> String {
    match outcome {
        Outcome::Identical => "identical",
        Outcome::WithinTolerance => "within tolerance",
        Outcome::EmbeddedOnly => "embedded time or id",
        Outcome::Different => "DIFFERENT",
        Outcome::Missing => "MISSING",
        Outcome::Extra => "EXTRA",
        Outcome::NotCompared => "not compared",
    }
    .to_owned()
}

fn output_remark(output: &OutputComparison) -> String {
    if output.is_removal {
        let who = match output.outcome {
            Outcome::Missing => "only the origin removed it",
            _ => "only the replay removed it",
        };
        return who.to_owned();
    }
    match (output.embedded.len(), output.reason) {
        (0, Some(reason)) => reason.in_words().to_owned(),
        (0, None) => String::new(),
        (1, _) => "differs at 1 place".to_owned(),
        (places, _) => format!("differs at {places} places"),
    }
}

fn metric_remark(metric: &MetricComparison) -> String {
    let mut remarks = Vec::new();
    if metric.points > 1 {
        remarks.push(if metric.differing_points > 0 {
            format!(
                "{} of {} points differ",
                metric.differing_points, metric.points
            )
        } else {
            format!("{} points", metric.points)
        });
    }
    if let Some(difference) = metric
        .largest_difference
        .filter(|difference| *difference > 0.0)
    {
        remarks.push(format!("by at most {}", metric_value(difference)));
    }
    remarks.join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use provenance::Place;

    use super::*;

    fn comparison(outcomes: &[Outcome]) -> Comparison {
        let output = |(at, outcome): (usize, &Outcome)| OutputComparison {
            place: Place::Project,
            path: entities::RecordedPath::new(format!("out/{at}")),
            outcome: *outcome,
            origin: None,
            replay: None,
            embedded: Vec::new(),
            reason: None,
            is_removal: false,
        };
        Comparison {
            origin: "0123456789abcdef0123456789abcdef".parse().unwrap(),
            replay: "1123456789abcdef0123456789abcdef".parse().unwrap(),
            level: Some(ReplayLevel::R2),
            reached: BTreeSet::from([ReplayLevel::R0, ReplayLevel::R1, ReplayLevel::R2]),
            is_identical: false,
            is_within_tolerance: false,
            outputs: outcomes.iter().enumerate().map(output).collect(),
            metrics: Vec::new(),
            is_stdout_identical: None,
            environment: provenance::EnvironmentDiff::default(),
            causes: Vec::new(),
            lost_inputs: Vec::new(),
            other_inputs: Vec::new(),
            not_known: Vec::new(),
        }
    }

    #[test]
    fn a_level_that_the_environment_kept_from_being_reached_says_what_differs() {
        let mut comparison = comparison(&[Outcome::Identical]);
        comparison.reached.remove(&ReplayLevel::R1);
        let fact = provenance::LibraryFact {
            object: entities::ObjectId::of(b"x"),
            package: None,
        };
        let library = |before, after| LibraryChange {
            path: entities::RecordedPath::new("/lib/x.so"),
            before,
            after,
        };
        comparison.environment.libraries = vec![
            library(Some(fact.clone()), None),
            library(Some(fact.clone()), None),
            library(Some(fact.clone()), Some(fact)),
        ];
        let words = levels(&comparison);
        assert!(
            words.contains(
                "R1 no   interpreter and native libraries are the same too (libraries that differ: 1, \
                 libraries that only the origin loaded: 2; `reproof diff 01234567 11234567` lists them)"
            ),
            "{words}"
        );
    }

    #[test]
    fn what_differs_comes_first_and_identical_outputs_are_counted_beyond_ten() {
        let mut outcomes = vec![Outcome::Identical; 300];
        outcomes.push(Outcome::Different);
        outcomes.push(Outcome::NotCompared);
        let table = compared_table(&comparison(&outcomes));
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines.len(), 1 + 2 + 10 + 1, "{table}");
        assert!(
            lines[1].contains("out/300") && lines[2].contains("out/301"),
            "{table}"
        );
        assert_eq!(
            lines[13],
            "and 290 more identical outputs (`--json` lists all)"
        );
        let table = compared_table(&comparison(&[Outcome::Identical; 10]));
        assert_eq!(table.lines().count(), 11, "{table}");
    }

    fn comparison_of_one(outcome: Outcome, reason: Option<NotKeptReason>) -> Comparison {
        let is_good = outcome != Outcome::NotCompared || reason == Some(NotKeptReason::Secret);
        let mut comparison = comparison(&[outcome]);
        comparison.is_within_tolerance = is_good;
        comparison.outputs[0].reason = reason;
        comparison
    }

    #[test]
    fn what_the_ledger_does_not_count_as_the_same_is_not_verified_and_says_why() {
        let unknown = comparison_of_one(Outcome::NotCompared, Some(NotKeptReason::Unreadable));
        assert!(!is_verified(&unknown, true));
        assert!(verification(&unknown, false).contains("of 1 of its outputs no digest"));
        let embedded = comparison_of_one(Outcome::EmbeddedOnly, None);
        assert!(!is_verified(&embedded, false) && is_verified(&embedded, true));
        assert!(verification(&embedded, false).contains("--allow-embedded"));
        let secret = comparison_of_one(Outcome::NotCompared, Some(NotKeptReason::Secret));
        assert!(is_verified(&secret, false));
    }
}
