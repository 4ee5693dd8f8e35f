//! `reproof replay`

use std::fmt::Write as _;
use std::process::ExitCode;

use entities::ReplayLevel;
use executor::{ReplayEnvironment, ReplayRequest, Replayed, short_id};
use provenance::{
    Comparison, FileFact, MetricComparison, Outcome, OutputComparison, Tolerance, Tolerances,
};
use serde_json::json;

use crate::arguments::{EnvironmentChoice, ReplayArguments};
use crate::commands::diff::place_path;
use crate::commands::run::{ending_in_words, outcome_json};
use crate::context::Context;
use crate::error::CommandError;
use crate::faults::{executor_fault, tolerance_fault};
use crate::output::{Output, duration, metric_value, safe, size, table, table_text};
use crate::settings::Settings;
use crate::system::with_stdout_on_stderr;

pub(crate) async fn run(
    arguments: ReplayArguments,
    output: &Output,
) -> Result<ExitCode, CommandError> {
    let context = Context::open(output).await?;
    let tolerances = tolerances(&context.settings, &arguments.tolerance)?;
    let run = context.resolve_run(&arguments.run).await?;
    let request = ReplayRequest {
        run: run.clone(),
        into: arguments.into,
        environment: arguments.env.map(|choice| match choice {
            EnvironmentChoice::Rebuild => ReplayEnvironment::Rebuild,
            EnvironmentChoice::Current => ReplayEnvironment::Current,
        }),
        variables: arguments.variables.into_iter().collect(),
        tolerances,
    };
    let first_time = match arguments.env {
        Some(EnvironmentChoice::Rebuild) => {
            "; the first time its packages take a minute to install"
        }
        _ => "",
    };
    output.step(&format!(
        "replaying {} ({}){first_time}",
        short_id(&run.id),
        safe(&run.name)
    ));
    let publishing = context.publish_meanwhile();
    // Standard output is for the verdict; what the command prints goes beside it.
    let replayed =
        with_stdout_on_stderr(Box::pin(executor::replay(&context.bench, request))).await?;
    if let Some(publishing) = publishing {
        publishing.stop().await;
    }
    let replayed = replayed.map_err(executor_fault)?;
    context.publish_or_warn(output).await;
    let is_verified = is_verified(&replayed.comparison, arguments.allow_embedded);
    if output.is_json {
        output.json(&as_json(&replayed, is_verified));
    } else {
        output.line(&in_words(&replayed));
        if arguments.verify {
            output.line(&format!("\n{}", answer(&replayed.comparison, is_verified)));
        }
    }
    let is_no = arguments.verify && !is_verified;
    Ok(if is_no {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    })
}

/// Tolerances of the settings, with those of the command line before them.
fn tolerances(settings: &Settings, given: &[String]) -> Result<Tolerances, CommandError> {
    let mut tolerances = Tolerances::default();
    for (metric, text) in &settings.replay.tolerance {
        let tolerance = Tolerance::parse(text).map_err(|error| {
            CommandError::usage("E0004", format!("[replay.tolerance] {metric}: {error}"))
                .hint("such as: auc = \"0.001\" or loss = \"1%\" in reproof.toml")
        })?;
        tolerances.insert(metric.clone(), tolerance);
    }
    for text in given {
        let (metric, tolerance) =
            Tolerance::parse_assignment(text).map_err(|error| tolerance_fault(&error))?;
        tolerances.insert(metric, tolerance);
    }
    Ok(tolerances)
}

/// Whether the command ended as before, something was compared, and all of it is identical or within tolerance.
fn is_verified(comparison: &Comparison, allows_embedded: bool) -> bool {
    let is_good = |outcome| match outcome {
        Outcome::Identical | Outcome::WithinTolerance => true,
        Outcome::EmbeddedOnly => allows_embedded,
        Outcome::Different | Outcome::Missing | Outcome::Extra | Outcome::NotCompared => false,
    };
    comparison.reached.contains(&ReplayLevel::R2)
        && compared(comparison).next().is_some()
        && compared(comparison).all(is_good)
}

/// How everything that was compared came out.
fn compared(comparison: &Comparison) -> impl Iterator<Item = Outcome> {
    let outputs = comparison.outputs.iter().map(|output| output.outcome);
    let metrics = comparison.metrics.iter().map(|metric| metric.outcome);
    outputs
        .chain(metrics)
        .filter(|outcome| *outcome != Outcome::NotCompared)
}

/// The answer to `--verify`: where it is no, why, and what would let it pass.
fn answer(comparison: &Comparison, is_verified: bool) -> String {
    if is_verified {
        return "verified".to_owned();
    }
    let reason = if !comparison.reached.contains(&ReplayLevel::R2) {
        "it did not end with the same status".to_owned()
    } else if compared(comparison).next().is_none() {
        "there is nothing to compare".to_owned()
    } else {
        let is_embedded = |outcome: &Outcome| *outcome == Outcome::EmbeddedOnly;
        let is_bad = |outcome: &Outcome| {
            !matches!(
                outcome,
                Outcome::Identical | Outcome::WithinTolerance | Outcome::EmbeddedOnly
            )
        };
        let rest = "not all is identical or within tolerance";
        match (
            compared(comparison).filter(is_embedded).count(),
            compared(comparison).any(|outcome| is_bad(&outcome)),
        ) {
            (0, _) => rest.to_owned(),
            (files, false) => format!(
                "{} only in an embedded time or id; `--allow-embedded` accepts that",
                files_differ(files)
            ),
            (files, true) => format!(
                "{rest} ({} only in an embedded time or id, which `--allow-embedded` would accept; others differ more)",
                files_differ(files)
            ),
        }
    };
    format!("NOT verified: {reason}")
}

fn files_differ(count: usize) -> String {
    if count == 1 {
        "1 file differs".to_owned()
    } else {
        format!("{count} files differ")
    }
}

fn as_json(replayed: &Replayed, is_verified: bool) -> serde_json::Value {
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

fn in_words(replayed: &Replayed) -> String {
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

/// Why it may differ, where it does.
fn causes(comparison: &Comparison) -> Vec<String> {
    if comparison.is_identical || compared(comparison).next().is_none() {
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
        None => "no level: already the packages differ".to_owned(),
    }];
    for (level, meaning) in MEANINGS {
        let (mark, remark) = if comparison.reached.contains(&level) {
            ("yes", "")
        } else if has_nothing_to_compare(comparison, level) {
            ("–", " (nothing to compare)")
        } else {
            ("no", "")
        };
        lines.push(format!("  {level:?} {mark:<3}  {meaning}{remark}"));
    }
    lines.join("\n")
}

/// Whether a level that was not reached speaks of metrics or outputs of which neither run has any.
fn has_nothing_to_compare(comparison: &Comparison, level: ReplayLevel) -> bool {
    let has_metrics = || {
        comparison
            .metrics
            .iter()
            .any(|metric| metric.outcome != Outcome::NotCompared)
    };
    match level {
        ReplayLevel::R3 => !has_metrics(),
        ReplayLevel::R4 => comparison.outputs.is_empty(),
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
        let name = safe(&place_path(*place, path.as_str()));
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
    match (output.embedded.len(), output.reason) {
        (0, Some(reason)) => super::restore::reason_in_words(reason).to_owned(),
        (0, None) => String::new(),
        (1, _) => "differs at 1 place".to_owned(),
        (places, _) => format!("differs at {places} places"),
    }
}

fn metric_remark(metric: &MetricComparison) -> String {
    let mut remarks = Vec::new();
    if metric.points > 1 {
        remarks.push(format!(
            "{} of {} points differ",
            metric.differing_points, metric.points
        ));
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
        }
    }

    #[test]
    fn the_answer_says_why_it_is_no_and_which_option_would_accept_it() {
        use Outcome::{Different, EmbeddedOnly, Identical};
        let cases = [
            (vec![], "NOT verified: there is nothing to compare"),
            (
                vec![Identical, Different],
                "NOT verified: not all is identical or within tolerance",
            ),
            (
                vec![Identical, EmbeddedOnly],
                "NOT verified: 1 file differs only in an embedded time or id; `--allow-embedded` accepts that",
            ),
            (
                vec![EmbeddedOnly, EmbeddedOnly, Different],
                "NOT verified: not all is identical or within tolerance (2 files differ only in an embedded time or \
                 id, which `--allow-embedded` would accept; others differ more)",
            ),
        ];
        for (outcomes, expected) in cases {
            let comparison = comparison(&outcomes);
            assert!(!is_verified(&comparison, false));
            assert_eq!(answer(&comparison, false), expected);
        }
        let mut ended_otherwise = comparison(&[Identical]);
        ended_otherwise.reached.clear();
        assert_eq!(
            answer(&ended_otherwise, false),
            "NOT verified: it did not end with the same status"
        );
    }

    #[test]
    fn a_level_without_anything_to_compare_is_neither_yes_nor_no() {
        let words = levels(&comparison(&[]));
        assert!(
            words.contains("R3 –    every metric is within its tolerance (nothing to compare)")
                && words
                    .contains("R4 –    every output is identical to the byte (nothing to compare)"),
            "{words}"
        );
        let words = levels(&comparison(&[Outcome::Different]));
        assert!(
            words.contains("R3 –  ") && words.contains("R4 no   "),
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

    #[test]
    fn a_tolerance_of_the_command_line_goes_before_the_settings() {
        let mut settings = Settings::default();
        settings
            .replay
            .tolerance
            .insert("auc".to_owned(), "1%".to_owned());
        settings
            .replay
            .tolerance
            .insert("loss".to_owned(), "0.5".to_owned());
        let tolerances = tolerances(&settings, &["auc=0.25".to_owned()]).unwrap();
        assert_eq!(tolerances.of("auc"), Tolerance::Absolute(0.25));
        assert_eq!(tolerances.of("loss"), Tolerance::Absolute(0.5));
        assert_eq!(tolerances.of("other"), Tolerance::Exact);
    }

    #[test]
    fn a_tolerance_that_cannot_be_read_is_bad_input_wherever_it_stands() {
        let mut settings = Settings::default();
        assert_eq!(
            tolerances(&settings, &["auc=x".to_owned()])
                .unwrap_err()
                .code(),
            "E0022"
        );
        settings
            .replay
            .tolerance
            .insert("auc".to_owned(), "x".to_owned());
        assert_eq!(tolerances(&settings, &[]).unwrap_err().code(), "E0004");
    }
}
