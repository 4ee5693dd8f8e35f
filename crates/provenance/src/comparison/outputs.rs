//! The outputs of a replay beside those of its origin.

use std::collections::BTreeSet;

use entities::{NotKeptReason, RecordedPath};

use super::{ComparisonRules, Outcome, OutputComparison};
use crate::{
    EmbeddedDifference, EmbeddedRules, FileFact, FileMap, Place, RunFacts, TimeWindow,
    embedded_only,
};

pub(super) fn compare_outputs(
    origin: &RunFacts,
    replay: &RunFacts,
    rules: &ComparisonRules<'_>,
) -> Vec<OutputComparison> {
    let embedded_rules = embedded_rules(origin, replay, rules);
    let mut outputs = Vec::new();
    let places = [
        (
            Place::Project,
            &origin.outputs.project,
            &replay.outputs.project,
        ),
        (
            Place::Outside,
            &origin.outputs.outside,
            &replay.outputs.outside,
        ),
    ];
    for (place, old, new) in places {
        for path in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
            outputs.push(compare_output(
                place,
                path,
                (old, new),
                &embedded_rules,
                rules,
            ));
        }
    }
    add_unknown_outputs(origin, replay, &mut outputs);
    add_removals(origin, replay, &mut outputs);
    outputs.sort_by(|a, b| (a.place, &a.path).cmp(&(b.place, &b.path)));
    outputs
}

fn compare_output(
    place: Place,
    path: &RecordedPath,
    (old, new): (&FileMap, &FileMap),
    embedded_rules: &EmbeddedRules,
    rules: &ComparisonRules<'_>,
) -> OutputComparison {
    let (origin, replay) = (old.get(path), new.get(path));
    let mut embedded = Vec::new();
    let outcome = match (origin, replay) {
        (Some(old), Some(new)) if old.object == new.object && old.kind == new.kind => {
            Outcome::Identical
        }
        (Some(old), Some(new)) => {
            embedded = look_into(old, new, embedded_rules, rules).unwrap_or_default();
            if embedded.is_empty() {
                Outcome::Different
            } else {
                Outcome::EmbeddedOnly
            }
        }
        (Some(_), None) => Outcome::Missing,
        _ => Outcome::Extra,
    };
    OutputComparison {
        place,
        path: path.clone(),
        outcome,
        origin: origin.cloned(),
        replay: replay.cloned(),
        embedded,
        reason: None,
        is_removal: false,
    }
}

/// Adds what only one of the runs removed; what both did is no output, and the same.
fn add_removals(origin: &RunFacts, replay: &RunFacts, outputs: &mut Vec<OutputComparison>) {
    let removed = |facts: &RunFacts| -> BTreeSet<RecordedPath> {
        let record = facts.record.iter();
        record.flat_map(|record| record.deleted.clone()).collect()
    };
    let (old, new) = (removed(origin), removed(replay));
    for path in old.symmetric_difference(&new) {
        let (place, inside) = place_of(path);
        outputs.push(OutputComparison {
            place,
            path: inside,
            outcome: if old.contains(path) {
                Outcome::Missing
            } else {
                Outcome::Extra
            },
            origin: None,
            replay: None,
            embedded: Vec::new(),
            reason: None,
            is_removal: true,
        });
    }
}

/// Whether a run wrote a file, kept or not.
fn has_output(facts: &RunFacts, place: Place, path: &RecordedPath, listed: &RecordedPath) -> bool {
    let files = match place {
        Place::Project => &facts.outputs.project,
        Place::Outside => &facts.outputs.outside,
    };
    let record = facts.record.as_ref();
    let is_listed = record.is_some_and(|record| {
        record
            .outputs
            .not_kept
            .iter()
            .any(|file| file.path == *listed)
    });
    files.contains_key(path) || is_listed
}

fn look_into(
    old: &FileFact,
    new: &FileFact,
    embedded_rules: &EmbeddedRules,
    rules: &ComparisonRules<'_>,
) -> Option<Vec<EmbeddedDifference>> {
    let is_small =
        old.size_bytes.max(new.size_bytes) <= crate::LARGEST_EMBEDDED_ARCHIVE_BYTES as u64;
    if old.kind != new.kind || !is_small {
        return None;
    }
    embedded_only(
        &(rules.read_object)(&old.object)?,
        &(rules.read_object)(&new.object)?,
        embedded_rules,
    )
}

/// Adds the outputs of which no digest is known: nothing can be said of them, and that is said.
fn add_unknown_outputs(origin: &RunFacts, replay: &RunFacts, outputs: &mut Vec<OutputComparison>) {
    let not_kept = [origin, replay]
        .into_iter()
        .filter_map(|facts| facts.record.as_ref())
        .flat_map(|record| &record.outputs.not_kept);
    for file in
        not_kept.filter(|file| file.object.is_none() && file.reason != NotKeptReason::Special)
    {
        let (place, path) = place_of(&file.path);
        let is_written = |facts: &RunFacts| has_output(facts, place, &path, &file.path);
        // Of a secret only the path is known, but that is: a file that only one of the runs wrote is no equal one.
        let one_sided = match (is_written(origin), is_written(replay)) {
            (true, false) => Some(Outcome::Missing),
            (false, true) => Some(Outcome::Extra),
            _ => None,
        };
        if let Some(outcome) = one_sided {
            if !outputs
                .iter()
                .any(|output| output.place == place && output.path == path)
            {
                outputs.push(OutputComparison {
                    place,
                    path,
                    outcome,
                    origin: None,
                    replay: None,
                    embedded: Vec::new(),
                    reason: Some(file.reason),
                    is_removal: false,
                });
            }
            continue;
        }
        match outputs
            .iter_mut()
            .find(|output| output.place == place && output.path == path)
        {
            Some(output) => {
                (output.outcome, output.reason) = (Outcome::NotCompared, Some(file.reason));
            }
            None => outputs.push(OutputComparison {
                place,
                path,
                outcome: Outcome::NotCompared,
                origin: None,
                replay: None,
                embedded: Vec::new(),
                reason: Some(file.reason),
                is_removal: false,
            }),
        }
    }
}

/// Files that are not kept are listed by their path in the project, or their absolute one.
fn place_of(path: &RecordedPath) -> (Place, RecordedPath) {
    match path.to_path().strip_prefix("/") {
        Ok(inside) => (Place::Outside, RecordedPath::new(inside)),
        Err(_) => (Place::Project, path.clone()),
    }
}

fn embedded_rules(
    origin: &RunFacts,
    replay: &RunFacts,
    rules: &ComparisonRules<'_>,
) -> EmbeddedRules {
    let mut ids = rules.ids.clone();
    for facts in [origin, replay] {
        ids.push(facts.detail.run.id.to_string());
        ids.extend(
            facts
                .detail
                .model_outputs
                .iter()
                .map(|output| output.model.to_string()),
        );
    }
    EmbeddedRules {
        ids,
        old_window: window_of(origin),
        new_window: window_of(replay),
    }
}

fn window_of(facts: &RunFacts) -> TimeWindow {
    let run = &facts.detail.run;
    match &facts.record {
        Some(record) => TimeWindow {
            from: record.started_at,
            until: record.ended_at,
        },
        None => TimeWindow {
            from: run.started_at,
            until: run.ended_at.unwrap_or(run.started_at),
        },
    }
}
