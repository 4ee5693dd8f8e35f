//! A run for people: sections of lines, the most important first.

use entities::{RecordedPath, ReplayVerdict, RunDetail, TRACE_NAME_TAG};
use executor::short_id;
use provenance::{Evidence, EvidenceLevel};

use super::files::files;
use super::page::Page;
use super::surroundings::{environment, machine, observation};
use super::{Known, LARGEST_TRACE_LIST};
use crate::commands::outcome::ending_in_words;
use crate::output::{duration, in_shell_words, local_time, metric_value, safe, size};

pub(super) fn in_words(known: &Known, is_full: bool) -> String {
    let mut page = Page {
        text: String::new(),
        is_full,
    };
    head(&mut page, known);
    let detail = known.detail();
    page.all_rows(
        "params",
        detail
            .params
            .iter()
            .map(|(key, value)| [safe(key), safe(value)]),
    );
    metrics(&mut page, detail);
    let tags = detail
        .tags
        .iter()
        .filter(|(key, _)| is_full || !(key.starts_with("mlflow.") || key.starts_with("reproof.")));
    page.rows("tags", tags.map(|(key, value)| [safe(key), safe(value)]));
    if let (Some(recipe), Some(record)) = (&known.facts.recipe, &known.facts.record) {
        files(&mut page, known, recipe, record);
        environment(&mut page, recipe, record);
        machine(&mut page, record);
        observation(&mut page, known, record);
    }
    logged(&mut page, known);
    replays(&mut page, &known.replays);
    page.text.trim_end().to_owned()
}

/// What the command was given on standard input, where that is on record.
fn standard_input(known: &Known) -> String {
    let recipe = known.facts.recipe.as_ref();
    let Some(input) = recipe.and_then(|recipe| recipe.standard_input.as_ref()) else {
        return String::new();
    };
    let name = input.path.as_ref().map_or_else(
        || "a file without a name".to_owned(),
        |path| safe(path.as_str()),
    );
    format!("{name}, {}", size(input.size_bytes.0))
}

fn head(page: &mut Page, known: &Known) {
    let detail = known.detail();
    let run = &detail.run;
    let record = known.facts.record.as_ref();
    let status = match (run.is_interrupted, record) {
        (true, _) => "interrupted: its process was killed before it could close the run".to_owned(),
        (false, Some(record)) => ending_in_words(run.status, record.exit),
        (false, None) => run.status.as_str().to_lowercase(),
    };
    let lasted = run.ended_at.map_or_else(String::new, |ended| {
        let milliseconds = ended.as_millis().saturating_sub(run.started_at.as_millis());
        format!(
            ", took {}",
            duration(u64::try_from(milliseconds).unwrap_or(0))
        )
    });
    let command = known
        .facts
        .recipe
        .as_ref()
        .map_or_else(String::new, |recipe| {
            in_shell_words(recipe.command.iter().map(RecordedPath::as_str))
        });
    let directory = known
        .facts
        .recipe
        .as_ref()
        .map_or_else(String::new, |recipe| {
            safe(recipe.working_directory.as_str())
        });
    page.facts(&[
        ("run", run.id.to_string()),
        ("name", safe(&run.name)),
        ("status", status),
        (
            "started",
            format!(
                "{} by {}{lasted}",
                local_time(run.started_at),
                safe(&run.user)
            ),
        ),
        ("experiment", safe(&known.experiment)),
        ("command", command),
        ("input", standard_input(known)),
        ("directory", directory),
        (
            "parent",
            run.parent
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
        ),
        (
            "replay of",
            run.replay_of
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
        ),
        (
            "fingerprint",
            run.recipe
                .map(|recipe| recipe.to_string())
                .unwrap_or_default(),
        ),
        ("evidence", evidence(&known.evidence)),
    ]);
}

/// The level, what it rests on, and what is missing for the next.
fn evidence(evidence: &Evidence) -> String {
    let level = match evidence.level {
        EvidenceLevel::Logged => "logged",
        EvidenceLevel::Captured => "captured",
        EvidenceLevel::Reproducible => "reproducible",
    };
    let mut lines = vec![match replays_in_words(evidence) {
        words if words.is_empty() => level.to_owned(),
        words => format!("{level}: {words}"),
    }];
    lines.extend(
        evidence
            .missing_for_next
            .iter()
            .map(|missing| format!("missing: {}", safe(missing))),
    );
    lines.join("\n")
}

/// Says how often a run was replayed and how often that came out the same.
fn replays_in_words(evidence: &Evidence) -> String {
    let times = |count: usize| {
        if count == 1 {
            "once".to_owned()
        } else {
            format!("{count} times")
        }
    };
    let Evidence {
        replays,
        identical_replays,
        identical_hosts,
        successful_replays,
        ..
    } = *evidence;
    if replays == 0 {
        return String::new();
    }
    let hosts = if identical_hosts == 1 {
        "1 host".to_owned()
    } else {
        format!("{identical_hosts} hosts")
    };
    let near = successful_replays.saturating_sub(identical_replays);
    let outcome = match (identical_replays, near) {
        (0, 0) => "never the same".to_owned(),
        (0, near) if near == replays => "within tolerance".to_owned(),
        (0, near) => format!("within tolerance {}", times(near)),
        (identical, _) if identical == replays => format!("identical on {hosts}"),
        (identical, 0) => format!("identical {} on {hosts}", times(identical)),
        (identical, near) => format!(
            "identical {} on {hosts}, within tolerance {}",
            times(identical),
            times(near)
        ),
    };
    format!("replayed {}, {outcome}", times(replays))
}

fn metrics(page: &mut Page, detail: &RunDetail) {
    let (resources, own): (Vec<_>, Vec<_>) = detail
        .metrics
        .iter()
        .partition(|metric| metric.key.starts_with("system/"));
    let row = |metric: &&entities::Metric| {
        let step = if metric.step == 0 {
            String::new()
        } else {
            format!("at step {}", metric.step)
        };
        [safe(&metric.key), metric_value(metric.value), step]
    };
    page.all_rows("metrics", own.iter().map(row));
    if page.is_full {
        page.rows("resource metrics, latest", resources.iter().map(row));
    }
}

fn logged(page: &mut Page, known: &Known) {
    let folder = known.detail().run.artifact_folder();
    let artifacts = known.artifacts.iter().map(|artifact| {
        let name = artifact
            .path
            .strip_prefix(&folder)
            .unwrap_or(&artifact.path)
            .trim_start_matches('/');
        [
            safe(name),
            size(artifact.size_bytes),
            format!("b3:{}", artifact.object.short()),
        ]
    });
    page.rows("artifacts", artifacts);
    let models = known.models.iter().map(|detail| {
        [
            detail.model.id.to_string(),
            safe(&detail.model.name),
            detail.model.status.as_str().to_lowercase(),
        ]
    });
    page.rows("models", models);
    let traces = known.traces.iter().map(|detail| {
        let trace = &detail.trace;
        let name = trace.tags.get(TRACE_NAME_TAG).map(String::as_str);
        [
            trace.id.to_string(),
            safe(name.unwrap_or_default()),
            trace.state.as_str().to_lowercase().replace('_', " "),
            trace
                .duration_ms
                .map_or_else(String::new, |duration| format!("{duration} ms")),
        ]
    });
    let heading = if known.traces.len() < LARGEST_TRACE_LIST {
        "traces".to_owned()
    } else {
        format!("traces, the first {LARGEST_TRACE_LIST}")
    };
    page.rows(&heading, traces);
}

fn replays(page: &mut Page, replays: &[ReplayVerdict]) {
    let rows = replays.iter().map(|verdict| {
        let level = verdict
            .level
            .map_or_else(|| "no level".to_owned(), |level| format!("{level:?}"));
        let outcome = match (verdict.is_identical, verdict.is_within_tolerance) {
            (true, _) => "identical",
            (false, true) => "within tolerance",
            (false, false) => "different",
        };
        let host = format!("kind of host {}", &verdict.host_kind.to_hex()[..8]);
        [
            short_id(&verdict.replay).to_owned(),
            level,
            outcome.to_owned(),
            host,
        ]
    });
    page.rows("replays", rows);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence_of(replays: usize, identical: usize, hosts: usize, successful: usize) -> Evidence {
        Evidence {
            level: EvidenceLevel::Reproducible,
            missing_for_next: Vec::new(),
            replays,
            identical_replays: identical,
            identical_hosts: hosts,
            successful_replays: successful,
        }
    }

    #[test]
    fn replays_are_counted_in_words() {
        let cases = [
            (evidence_of(0, 0, 0, 0), ""),
            (
                evidence_of(1, 1, 1, 1),
                "replayed once, identical on 1 host",
            ),
            (
                evidence_of(2, 2, 2, 2),
                "replayed 2 times, identical on 2 hosts",
            ),
            (
                evidence_of(3, 1, 1, 1),
                "replayed 3 times, identical once on 1 host",
            ),
            (
                evidence_of(3, 1, 1, 2),
                "replayed 3 times, identical once on 1 host, within tolerance once",
            ),
            (
                evidence_of(2, 0, 0, 2),
                "replayed 2 times, within tolerance",
            ),
            (evidence_of(2, 0, 0, 0), "replayed 2 times, never the same"),
        ];
        for (evidence, expected) in cases {
            assert_eq!(replays_in_words(&evidence), expected);
        }
    }
}
