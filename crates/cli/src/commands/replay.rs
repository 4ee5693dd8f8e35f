//! `reproof replay`

use std::fmt::Write as _;
use std::process::ExitCode;

use entities::ReplayLevel;
use executor::{ReplayEnvironment, ReplayRequest, Replayed, short_id};
use provenance::{
    Comparison, FileFact, InputInstead, MetricComparison, Outcome, OutputComparison, Tolerance,
    Tolerances,
};
use serde_json::json;

use crate::arguments::{EnvironmentChoice, ReplayArguments};
use crate::commands::diff::place_path;
use crate::commands::run::{exit_in_words, outcome_json};
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
            let answer = if is_verified {
                "verified"
            } else {
                not_verified(&replayed.comparison)
            };
            output.line(&format!("\n{answer}"));
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

/// Whether the command was given its inputs and ended as before, something was compared, and all of it is identical or
/// within tolerance.
fn is_verified(comparison: &Comparison, allows_embedded: bool) -> bool {
    let outcomes = || {
        let outputs = comparison.outputs.iter().map(|output| output.outcome);
        let metrics = comparison.metrics.iter().map(|metric| metric.outcome);
        outputs
            .chain(metrics)
            .filter(|outcome| *outcome != Outcome::NotCompared)
    };
    let is_good = |outcome| match outcome {
        Outcome::Identical | Outcome::WithinTolerance => true,
        Outcome::EmbeddedOnly => allows_embedded,
        Outcome::Different | Outcome::Missing | Outcome::Extra | Outcome::NotCompared => false,
    };
    comparison.reached.contains(&ReplayLevel::R2)
        && comparison.inputs_not_given_back.is_empty()
        && outcomes().next().is_some()
        && outcomes().all(is_good)
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
            exit_in_words(outcome.record.exit),
            duration(outcome.record.usage.wall_ms)
        ),
        match directory {
            Some(directory) => format!("in {}, packages: {environment}", directory.display()),
            None => format!("in a temporary directory, packages: {environment}"),
        },
    ];
    lines.extend(notes.iter().map(|note| format!("note: {}", safe(note))));
    lines.extend(missing_inputs(comparison));
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

fn not_verified(comparison: &Comparison) -> &'static str {
    if comparison.inputs_not_given_back.is_empty() {
        "NOT verified: not all is identical or within tolerance"
    } else {
        "NOT verified: not every input could be given back"
    }
}

/// Inputs that could not be given back, and what the command found instead.
fn missing_inputs(comparison: &Comparison) -> impl Iterator<Item = String> {
    comparison.inputs_not_given_back.iter().map(|input| {
        let reason = input.reason.map_or(
            "it cannot be shown at its path here",
            super::restore::reason_in_words,
        );
        let instead = match input.instead {
            InputInstead::TodaysFile => "today's file was used",
            InputInstead::Nothing => "it was missing",
        };
        let path = safe(input.path.as_str());
        format!("input {path} could not be given back ({reason}): {instead}")
    })
}

/// Why it may differ, where it does.
fn causes(comparison: &Comparison) -> Vec<String> {
    if comparison.is_identical || (comparison.outputs.is_empty() && comparison.metrics.is_empty()) {
        return Vec::new();
    }
    let outputs = comparison.outputs.iter().map(|output| output.outcome);
    let metrics = comparison.metrics.iter().map(|metric| metric.outcome);
    let is_same = |outcome| matches!(outcome, Outcome::Identical | Outcome::NotCompared);
    // Only that an input is not the same keeps it from being identical, and that is said already.
    if !comparison.inputs_not_given_back.is_empty() && outputs.chain(metrics).all(is_same) {
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
        let mark = if comparison.reached.contains(&level) {
            "yes"
        } else {
            "no"
        };
        lines.push(format!("  {level:?} {mark:<3}  {meaning}"));
    }
    lines.join("\n")
}

fn compared_table(comparison: &Comparison) -> String {
    if comparison.outputs.is_empty() && comparison.metrics.is_empty() {
        return "nothing to compare: neither run wrote a file or logged a metric".to_owned();
    }
    let mut table = table(&["kind", "name", "result", "origin", "replay", "remark"]);
    for output in &comparison.outputs {
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
        remarks.push(format!("by at most {difference:e}"));
    }
    remarks.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

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
