//! Numbers of an experiment, and the names that they get.

use std::collections::{BTreeMap, BTreeSet};

use entities::Metric;

use super::values::Point;
use crate::keys::key_of;

/// Where DVCLive keeps histories, below its folder.
const HISTORIES: &str = "plots/metrics/";

/// One number, and where it stands.
pub(super) struct Number {
    /// The file; of a history, the folder of DVCLive.
    pub(super) place: String,
    /// The name that files of metrics have for it.
    pub(super) name: String,
    pub(super) said: Said,
}

/// Once, or at every step.
pub(super) enum Said {
    Once(f64),
    History { key: String, points: Vec<Point> },
}

impl Number {
    /// Whether it is a history whose last value is that.
    pub(super) fn ends_with(&self, number: f64) -> bool {
        let Said::History { points, .. } = &self.said else {
            return false;
        };
        points.last().is_some_and(|Point { value, .. }| {
            value.to_bits() == number.to_bits() || value.is_nan() && number.is_nan()
        })
    }
}

/// Points by their names; those of a name that several places have, with the place before.
pub(super) fn points_of(numbers: Vec<Number>, last_step: i64, at_ms: i64) -> Vec<Metric> {
    let mut places: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for Number { place, name, .. } in &numbers {
        places
            .entry(name.clone())
            .or_default()
            .insert(place.clone());
    }
    let mut all = Vec::new();
    for Number { place, name, said } in numbers {
        let is_alone = places[&name].len() == 1;
        match said {
            Said::Once(value) => {
                let told = if is_alone {
                    name
                } else {
                    format!("{place}:{name}")
                };
                all.push(Metric::new(key_of(&told), value, at_ms, last_step));
            }
            Said::History { key, points } => {
                let told = if is_alone || place.is_empty() {
                    key
                } else {
                    format!("{place}/{key}")
                };
                let key = key_of(&told);
                all.extend(points.into_iter().map(|point| {
                    let time_ms = point.timestamp_ms.unwrap_or(at_ms);
                    Metric::new(key.clone(), point.value, time_ms, point.step)
                }));
            }
        }
    }
    all
}

/// The folder of DVCLive and the key of a history, by where it is: `…/plots/metrics/KEY.tsv`.
pub(super) fn history_in(path: &str) -> Option<(&str, &str)> {
    let at = path.find(HISTORIES)?;
    let folder = match &path[..at] {
        "" => "",
        above => above.strip_suffix('/')?,
    };
    let key = path[at + HISTORIES.len()..].strip_suffix(".tsv")?;
    (!key.is_empty()).then_some((folder, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_is_known_by_its_place() {
        for (path, found) in [
            (
                "dvclive/plots/metrics/train/loss.tsv",
                Some(("dvclive", "train/loss")),
            ),
            ("plots/metrics/acc.tsv", Some(("", "acc"))),
            ("a/b/plots/metrics/x.tsv", Some(("a/b", "x"))),
            ("notplots/metrics/x.tsv", None),
            ("plots/metrics/.tsv", None),
            ("plots/metrics/x.json", None),
            ("plots/x.tsv", None),
        ] {
            assert_eq!(history_in(path), found, "{path}");
        }
    }

    fn number(place: &str, name: &str, said: Said) -> Number {
        Number {
            place: place.to_owned(),
            name: name.to_owned(),
            said,
        }
    }

    fn history(key: &str, value: f64) -> Said {
        let points = vec![Point {
            step: 2,
            value,
            timestamp_ms: None,
        }];
        Said::History {
            key: key.to_owned(),
            points,
        }
    }

    #[test]
    fn names_that_several_places_have_tell_the_place() {
        let numbers = vec![
            number("a", "t.loss", history("t/loss", 1.0)),
            number("b", "t.loss", history("t/loss", 2.0)),
            number("a", "acc", history("acc", 3.0)),
            number("m.json", "acc", Said::Once(4.0)),
            number("m.json", "only", Said::Once(5.0)),
        ];
        let points = points_of(numbers, 7, 100);
        let told: Vec<_> = points
            .iter()
            .map(|point| (point.key.as_str(), point.value, point.step))
            .collect();
        assert_eq!(
            told,
            [
                ("a/t/loss", 1.0, 2),
                ("b/t/loss", 2.0, 2),
                ("a/acc", 3.0, 2),
                ("m.json:acc", 4.0, 7),
                ("only", 5.0, 7)
            ]
        );
    }
}
