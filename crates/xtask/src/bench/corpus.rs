//! How many scripts of the corpus are recreated: bit for bit, within tolerance, or not and why.

use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

use serde::Deserialize;
use serde_json::Value;

use super::{Bench, Project, Section};
use crate::error::TaskError;
use crate::process::line_of;

/// What `expected.json` says of a script.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Script {
    expected: Outcome,
    why: String,
    /// Arguments of the script.
    #[serde(default)]
    arguments: Vec<String>,
    /// Options of its replay.
    #[serde(default)]
    options: Vec<String>,
}

/// How a replay compares with its origin, as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Identical,
    WithinTolerance,
    Embedded,
    Different,
}

impl Outcome {
    const ALL: [Self; 4] = [
        Self::Identical,
        Self::WithinTolerance,
        Self::Embedded,
        Self::Different,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Identical => "bit for bit",
            Self::WithinTolerance => "within tolerance",
            Self::Embedded => "but for embedded times or ids",
            Self::Different => "not",
        }
    }
}

/// What became of one script.
#[derive(Debug)]
struct Replayed {
    outcome: Outcome,
    level: String,
    differing: Vec<String>,
    causes: Vec<String>,
}

pub(super) fn measure(bench: &Bench<'_>) -> Result<Section, TaskError> {
    let scripts = read_scripts(bench)?;
    let project = bench.make_project()?;
    let mut rows = Vec::new();
    let mut faults = Vec::new();
    let mut counts = BTreeMap::new();
    for (name, script) in &scripts {
        let start = Instant::now();
        let replayed = match replay(bench, &project, name, script) {
            Ok(replayed) => replayed,
            Err(TaskError::Output { command, reason }) => {
                println!("{name}: {command}: {reason}");
                faults.push(format!("{name} could not be replayed"));
                rows.push(vec![
                    name.clone(),
                    "error".to_owned(),
                    String::new(),
                    reason,
                ]);
                continue;
            }
            Err(other) => return Err(other),
        };
        println!(
            "{name}: {} ({:.1} s)",
            replayed.outcome.name(),
            start.elapsed().as_secs_f64()
        );
        *counts.entry(replayed.outcome).or_insert(0_usize) += 1;
        if replayed.outcome != script.expected {
            faults.push(format!("{name} was expected otherwise ({})", script.why));
        }
        rows.push(vec![
            name.clone(),
            replayed.outcome.name().to_owned(),
            replayed.level.clone(),
            explain(&replayed, script),
        ]);
    }
    Ok(Section {
        title: "Recreation",
        command: "cargo xtask bench corpus",
        head: vec![
            "script",
            "recreated",
            "level",
            "what it does; what differed; likeliest causes",
        ],
        rows,
        notes: vec![summary(&counts, scripts.len())],
        faults,
    })
}

fn read_scripts(bench: &Bench<'_>) -> Result<BTreeMap<String, Script>, TaskError> {
    let path = bench.context.root.join("tests/corpus/expected.json");
    let text = fs::read_to_string(&path).map_err(TaskError::file(&path))?;
    let mut scripts: BTreeMap<String, Script> =
        serde_json::from_str(&text).map_err(|error| TaskError::Output {
            command: path.display().to_string(),
            reason: error.to_string(),
        })?;
    if let Some(part) = &bench.only {
        scripts.retain(|name, _| name.contains(part.as_str()));
    }
    Ok(scripts)
}

/// Runs the script captured, replays it and reads the verdict.
fn replay(
    bench: &Bench<'_>,
    project: &Project,
    name: &str,
    script: &Script,
) -> Result<Replayed, TaskError> {
    // What an earlier script left behind is no input of this one.
    let outputs = project.root.join("outputs");
    if outputs.exists() {
        fs::remove_dir_all(&outputs).map_err(TaskError::file(&outputs))?;
    }
    let mut run = project.command(&bench.reproof);
    run.args(["-q", "run", "-n", name, "--"])
        .arg(&bench.python)
        .arg(name);
    let ran = start(run.args(&script.arguments))?;
    if !ran.status.success() {
        return Err(output_fault(&mut run, &ran));
    }
    let mut replay = project.command(&bench.reproof);
    replay
        .args(["--json", "replay", "latest", "--env", "current"])
        .args(&script.options);
    let replayed = start(&mut replay)?;
    let value: Option<Value> = serde_json::from_slice(&replayed.stdout).ok();
    let comparison = value.as_ref().and_then(find_comparison);
    comparison
        .map(read_comparison)
        .ok_or_else(|| output_fault(&mut replay, &replayed))
}

fn start(command: &mut std::process::Command) -> Result<std::process::Output, TaskError> {
    command
        .output()
        .map_err(TaskError::file(command.get_program()))
}

fn output_fault(command: &mut std::process::Command, output: &std::process::Output) -> TaskError {
    let text = String::from_utf8_lossy(&output.stderr);
    TaskError::Output {
        command: line_of(command),
        reason: text.lines().last().unwrap_or("nothing").to_owned(),
    }
}

/// The comparison, wherever it stands in what was printed.
fn find_comparison(value: &Value) -> Option<&Value> {
    let is_it = value.get("is_identical").is_some() && value.get("outputs").is_some();
    if is_it {
        return Some(value);
    }
    value.as_object()?.values().find_map(find_comparison)
}

fn read_comparison(comparison: &Value) -> Replayed {
    let items = |list: &str, name: &str| -> Vec<(String, String)> {
        let entries = comparison[list]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let text = |entry: &Value, key: &str| match &entry[key] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        entries
            .iter()
            .map(|entry| (text(entry, name), text(entry, "outcome")))
            .collect()
    };
    let compared: Vec<_> = items("outputs", "path")
        .into_iter()
        .chain(items("metrics", "key"))
        .collect();
    let is_equal = |outcome: &str| matches!(outcome, "identical" | "not_compared");
    let all_are = |accepted: &[&str]| {
        compared
            .iter()
            .all(|(_, outcome)| is_equal(outcome) || accepted.contains(&outcome.as_str()))
    };
    let is_true = |key: &str| comparison[key] == Value::Bool(true);
    // Equal metrics of runs that wrote nothing are no outputs that are equal to the bit.
    let has_outputs = items("outputs", "path")
        .iter()
        .any(|(_, outcome)| outcome == "identical");
    let outcome = if is_true("is_identical") && has_outputs {
        Outcome::Identical
    } else if is_true("is_within_tolerance") && all_are(&["within_tolerance"]) {
        Outcome::WithinTolerance
    } else if !compared.is_empty() && all_are(&["within_tolerance", "embedded_only"]) {
        Outcome::Embedded
    } else {
        Outcome::Different
    };
    let causes = comparison["causes"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let messages = causes.iter().filter_map(|cause| cause["message"].as_str());
    Replayed {
        outcome,
        level: comparison["level"]
            .as_str()
            .unwrap_or("none")
            .to_uppercase(),
        differing: compared
            .into_iter()
            .filter(|(_, outcome)| !is_equal(outcome))
            .map(|(name, outcome)| format!("`{name}` {}", outcome.replace('_', " ")))
            .collect(),
        causes: messages.map(str::to_owned).collect(),
    }
}

fn explain(replayed: &Replayed, script: &Script) -> String {
    let mut parts = vec![script.why.clone()];
    if !replayed.differing.is_empty() {
        parts.push(replayed.differing.join(", "));
    }
    // One that is likely; the second often is the reason where the first is only a suspicion.
    parts.extend(replayed.causes.iter().take(2).cloned());
    parts.join("; ").replace('|', "\\|")
}

fn summary(counts: &BTreeMap<Outcome, usize>, all: usize) -> String {
    let parts = Outcome::ALL.map(|outcome| {
        let count = counts.get(&outcome).copied().unwrap_or_default();
        format!("{count} {}", outcome.name())
    });
    format!("Of {all} scripts recreated: {}.", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn comparison(identical: bool, within: bool, output: &str, metric: &str) -> Value {
        json!({ "comparison": {
            "is_identical": identical,
            "is_within_tolerance": within,
            "level": "r3",
            "outputs": [{ "path": "model.pkl", "outcome": output }],
            "metrics": [{ "key": "auc", "outcome": metric }],
            "causes": [{ "message": "no seed" }],
        }})
    }

    fn outcome(value: &Value) -> Outcome {
        read_comparison(find_comparison(value).unwrap()).outcome
    }

    #[test]
    fn the_whole_is_as_good_as_its_worst_part() {
        assert_eq!(
            outcome(&comparison(true, true, "identical", "identical")),
            Outcome::Identical
        );
        let near = comparison(false, true, "identical", "within_tolerance");
        assert_eq!(outcome(&near), Outcome::WithinTolerance);
        let embedded = comparison(false, true, "embedded_only", "identical");
        assert_eq!(outcome(&embedded), Outcome::Embedded);
        let mut only_metrics = comparison(true, true, "identical", "identical");
        only_metrics["comparison"]["outputs"] = json!([]);
        assert_eq!(outcome(&only_metrics), Outcome::WithinTolerance);
        let different = comparison(false, false, "different", "identical");
        assert_eq!(outcome(&different), Outcome::Different);
        let missing = comparison(false, false, "missing", "within_tolerance");
        assert_eq!(outcome(&missing), Outcome::Different);
    }

    #[test]
    fn what_differed_and_the_first_cause_are_told() {
        let value = comparison(false, false, "different", "identical");
        let replayed = read_comparison(find_comparison(&value).unwrap());
        let script = Script {
            expected: Outcome::Different,
            why: "unseeded".to_owned(),
            arguments: Vec::new(),
            options: Vec::new(),
        };
        assert_eq!(
            explain(&replayed, &script),
            "unseeded; `model.pkl` different; no seed"
        );
        assert_eq!(replayed.level, "R3");
    }

    #[test]
    fn text_that_holds_no_comparison_is_not_taken_for_one() {
        assert_eq!(find_comparison(&json!({"error": {"code": "E0001"}})), None);
    }

    #[test]
    fn every_script_of_the_corpus_has_an_expectation_and_the_other_way_round() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/corpus");
        let mut found: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| {
                name.strip_suffix(".py")
                    .is_some_and(|name| name != "prepare")
            })
            .collect();
        found.sort();
        let text = fs::read_to_string(format!("{folder}/expected.json")).unwrap();
        let scripts: BTreeMap<String, Script> = serde_json::from_str(&text).unwrap();
        assert_eq!(scripts.into_keys().collect::<Vec<_>>(), found);
        assert!(found.len() >= 25, "{} scripts", found.len());
    }
}
