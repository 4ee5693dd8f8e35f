//! What came of a run, in words and as JSON.

use std::collections::BTreeMap;

use entities::{Exit, FileTrees, NotKept, NotKeptReason, Recipe, Record, RunStatus};
use executor::{Outcome, short_id};
use provenance::{is_blind_to_reads, is_limit_of_method};
use serde_json::{Value, json};

use crate::output::{duration, metric_value, safe, size};

/// A number as JSON; what JSON has no number for as text.
pub(crate) fn number_json(value: f64) -> Value {
    if value.is_finite() {
        json!(value)
    } else if value.is_nan() {
        json!("NaN")
    } else {
        json!(if value > 0.0 { "Infinity" } else { "-Infinity" })
    }
}

/// What came of a run as JSON.
pub(crate) fn outcome_json(outcome: &Outcome) -> Value {
    let Outcome {
        run,
        recipe: _,
        record,
        metrics,
        params,
    } = outcome;
    let metrics: BTreeMap<_, _> = metrics
        .iter()
        .map(|(key, value)| (key, number_json(*value)))
        .collect();
    json!({
        "run_id": run.id,
        "name": run.name,
        "status": run.status.as_str(),
        "exit": record.exit,
        "wall_ms": record.usage.wall_ms,
        "params": params,
        "metrics": metrics,
        "fingerprint": run.recipe,
        "inputs": record_counts(&outcome.recipe.inputs),
        "outputs": record_counts(&record.outputs),
        "gaps": record.gaps,
    })
}

fn record_counts(trees: &FileTrees) -> Value {
    json!({ "files": trees.files, "size_bytes": trees.size_bytes, "not_kept": trees.not_kept })
}

/// What came of a run, in a few lines.
pub(crate) fn outcome_in_words(outcome: &Outcome) -> String {
    let Outcome {
        run,
        recipe,
        record,
        metrics,
        params,
    } = outcome;
    let mut lines = vec![format!(
        "reproof: run {} ({}) {} after {}",
        short_id(&run.id),
        safe(&run.name),
        ending_in_words(run.status, record.exit),
        duration(record.usage.wall_ms)
    )];
    let params: Vec<_> = params
        .iter()
        .map(|(key, value)| format!("{}={}", safe(key), safe(value)))
        .collect();
    let metrics: Vec<_> = metrics
        .iter()
        .map(|(key, value)| format!("{}={}", safe(key), metric_value(*value)))
        .collect();
    for (name, pairs) in [("params", params), ("metrics", metrics)] {
        if !pairs.is_empty() {
            lines.push(format!("  {name:<8} {}", shortened(&pairs)));
        }
    }
    let read = if is_blind_to_reads(record) {
        "reads not seen".to_owned()
    } else {
        format!(
            "read {}",
            count(recipe.inputs.files.0, recipe.inputs.size_bytes.0)
        )
    };
    lines.push(format!(
        "  files    code {}, {read}, written {}",
        count(recipe.code.files.0, recipe.code.size_bytes.0),
        count(record.outputs.files.0, record.outputs.size_bytes.0)
    ));
    // A secret that merely lies in the project is nothing that the run lacks.
    let is_lacking = |file: &&NotKept| {
        let is_same = |other: &NotKept| other.path == file.path;
        file.reason != NotKeptReason::Secret
            || recipe.inputs.not_kept.iter().any(is_same)
            || record.outputs.not_kept.iter().any(is_same)
    };
    let missing = not_kept(recipe, record)
        .iter()
        .filter(|file| is_lacking(file))
        .count();
    if missing > 0 {
        let files = if missing == 1 {
            "1 file is".to_owned()
        } else {
            format!("{missing} files are")
        };
        lines.push(format!(
            "  missing  {files} recorded without content; `reproof show` has the list"
        ));
    }
    // The limits of the method are on record; after every run they would only be noise.
    let gaps = record.gaps.iter().filter(|gap| !is_limit_of_method(gap));
    for gap in gaps {
        lines.push(format!("  gap      {}", safe(&gap.message)));
    }
    lines.join("\n")
}

/// The files of a run whose bytes are not kept, each once: one may be code, read and written.
pub(crate) fn not_kept<'r>(recipe: &'r Recipe, record: &'r Record) -> Vec<&'r NotKept> {
    let mut files = Vec::new();
    let parts = [
        &recipe.code.not_kept,
        &recipe.inputs.not_kept,
        &record.outputs.not_kept,
    ];
    for file in parts.into_iter().flatten() {
        let is_there = |there: &&NotKept| (&there.path, there.reason) == (&file.path, file.reason);
        if !files.iter().any(is_there) {
            files.push(file);
        }
    }
    files
}

fn count(files: u64, size_bytes: u64) -> String {
    if files == 0 {
        "0".to_owned()
    } else {
        format!("{files} ({})", size(size_bytes))
    }
}

/// Pairs in one line, the rest of a long list as a number.
fn shortened(pairs: &[String]) -> String {
    let shown = pairs
        .iter()
        .take(PAIRS_MAX)
        .cloned()
        .collect::<Vec<_>>()
        .join(" ");
    match pairs.len().saturating_sub(PAIRS_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

const PAIRS_MAX: usize = 8;

/// How a run ended: as the command did, or by Ctrl-C, whatever the command made of it.
pub(crate) fn ending_in_words(status: RunStatus, exit: Exit) -> String {
    if is_interruption(status, exit) {
        format!("was interrupted (status {})", executor::exit_status(exit))
    } else {
        exit_in_words(exit)
    }
}

/// Whether a run was ended by a signal to Reproof, or by the signal of Ctrl-C.
pub(crate) fn is_interruption(status: RunStatus, exit: Exit) -> bool {
    const CTRL_C: i32 = 2;
    status == RunStatus::Killed
        && match exit {
            Exit::Code(_) => true,
            Exit::Signal(signal) => signal == CTRL_C,
            Exit::Unknown => false,
        }
}

/// How a command ended.
fn exit_in_words(exit: Exit) -> String {
    match exit {
        Exit::Code(0) => "finished".to_owned(),
        Exit::Code(code) => format!("failed with status {code}"),
        Exit::Signal(signal) => format!("was killed by signal {signal}"),
        Exit::Unknown => "ended, nobody saw how,".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_was_interrupted_is_said_to_be_however_its_command_took_it() {
        let cases = [
            (
                RunStatus::Killed,
                Exit::Code(130),
                "was interrupted (status 130)",
            ),
            (
                RunStatus::Killed,
                Exit::Signal(2),
                "was interrupted (status 130)",
            ),
            (RunStatus::Killed, Exit::Signal(9), "was killed by signal 9"),
            (RunStatus::Failed, Exit::Code(130), "failed with status 130"),
            (RunStatus::Finished, Exit::Code(0), "finished"),
        ];
        for (status, exit, expected) in cases {
            assert_eq!(ending_in_words(status, exit), expected);
        }
    }
}
