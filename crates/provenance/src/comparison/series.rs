//! The metrics of a replay beside those of its origin, point by point.

use std::collections::{BTreeMap, BTreeSet};

use entities::Metric;

use super::{ComparisonRules, MetricComparison, Outcome};
use crate::diff::comparable_bits;
use crate::{PlacedMetric, Tolerance, matches_key};

pub(super) fn compare_metrics(
    origin: &[PlacedMetric],
    replay: &[PlacedMetric],
    rules: &ComparisonRules<'_>,
) -> Vec<MetricComparison> {
    let (old, new) = (series_by_key(origin), series_by_key(replay));
    let keys: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let empty = Vec::new();
    keys.into_iter()
        .map(|placed| {
            // Rules are about the key, wherever it was logged.
            let (place, key) = placed;
            let compared = compare_series(
                old.get(placed).unwrap_or(&empty),
                new.get(placed).unwrap_or(&empty),
                rules.tolerances.of(key),
            );
            let is_left_out = key.starts_with("system/")
                || rules
                    .timings
                    .iter()
                    .any(|pattern| matches_key(pattern, key));
            let (outcome, latest_outcome) = if is_left_out {
                (Outcome::NotCompared, Outcome::NotCompared)
            } else {
                (compared.outcome, compared.latest_outcome)
            };
            MetricComparison {
                key: format!("{place}{key}"),
                outcome,
                latest_outcome,
                ..compared
            }
        })
        .collect()
}

fn series_by_key(points: &[PlacedMetric]) -> BTreeMap<(&str, &str), Vec<&Metric>> {
    let mut series: BTreeMap<(&str, &str), Vec<&Metric>> = BTreeMap::new();
    for PlacedMetric { place, metric } in points {
        series.entry((place, &metric.key)).or_default().push(metric);
    }
    for points in series.values_mut() {
        points.sort_by(|a, b| a.latest_order(b));
    }
    series
}

/// Compares point by point: the first of a step with the first of that step, and so on.
fn compare_series(
    origin: &[&Metric],
    replay: &[&Metric],
    tolerance: Tolerance,
) -> MetricComparison {
    let (old, new) = (values_by_place(origin), values_by_place(replay));
    let places: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let mut compared = MetricComparison {
        key: String::new(),
        outcome: Outcome::Identical,
        latest_outcome: outcome_of(latest(origin), latest(replay), tolerance),
        origin: latest(origin),
        replay: latest(replay),
        points: places.len(),
        differing_points: 0,
        largest_difference: None,
        largest_relative_difference: None,
        tolerance,
    };
    for place in places {
        let (before, after) = (old.get(place).copied(), new.get(place).copied());
        let outcome = outcome_of(before, after, tolerance);
        if outcome == Outcome::Identical {
            continue;
        }
        compared.differing_points += 1;
        // A point too many or too few makes a series different; a series without any is missing or extra.
        let is_part = matches!(outcome, Outcome::Missing | Outcome::Extra)
            && !origin.is_empty()
            && !replay.is_empty();
        compared.outcome = compared
            .outcome
            .max(if is_part { Outcome::Different } else { outcome });
        if let (Some(before), Some(after)) = (before, after)
            && before.is_finite()
            && after.is_finite()
        {
            let distance = (before - after).abs();
            let widest = |known: Option<f64>, found: f64| {
                Some(known.map_or(found, |known| known.max(found)))
            };
            compared.largest_difference = widest(compared.largest_difference, distance);
            if before != 0.0 {
                compared.largest_relative_difference = widest(
                    compared.largest_relative_difference,
                    distance / before.abs(),
                );
            }
        }
    }
    compared
}

fn latest(points: &[&Metric]) -> Option<f64> {
    points.last().map(|point| point.value)
}

/// Values by step and by their place among those of one step.
fn values_by_place(points: &[&Metric]) -> BTreeMap<(i64, usize), f64> {
    let mut places = BTreeMap::new();
    let mut values = BTreeMap::new();
    for point in points {
        let place = places.entry(point.step).or_insert(0);
        values.insert((point.step, *place), point.value);
        *place += 1;
    }
    values
}

fn outcome_of(origin: Option<f64>, replay: Option<f64>, tolerance: Tolerance) -> Outcome {
    match (origin, replay) {
        (Some(old), Some(new)) if comparable_bits(old) == comparable_bits(new) => {
            Outcome::Identical
        }
        (Some(old), Some(new)) if tolerance.covers(old, new) => Outcome::WithinTolerance,
        (Some(_), Some(_)) => Outcome::Different,
        (Some(_), None) => Outcome::Missing,
        (None, Some(_)) => Outcome::Extra,
        (None, None) => Outcome::NotCompared,
    }
}
