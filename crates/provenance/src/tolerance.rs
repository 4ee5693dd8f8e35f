//! How far a metric of a replay may be off.

use serde::Serialize;

use crate::diff::comparable_bits;
use crate::{ProvenanceError, matches_key};

/// How far one metric may be off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tolerance {
    /// Not at all: the bits must be equal, and NaN equals NaN.
    #[default]
    Exact,
    /// At most by this much.
    Absolute(f64),
    /// At most by this share of the origin's value, so that 0.01 is one per cent.
    Relative(f64),
}

impl Tolerance {
    /// Reads `0.01` (absolute), `1%` or `1e-6rel` (relative), `exact` or `0`.
    ///
    /// *Errors*: `Tolerance` with the reason.
    pub fn parse(text: &str) -> Result<Self, ProvenanceError> {
        let refuse = |reason| ProvenanceError::Tolerance {
            text: text.to_owned(),
            reason,
        };
        let trimmed = text.trim();
        if trimmed == "exact" {
            return Ok(Self::Exact);
        }
        let (digits, unit) = match (trimmed.strip_suffix('%'), trimmed.strip_suffix("rel")) {
            (Some(digits), _) => (digits, Some(0.01)),
            (_, Some(digits)) => (digits, Some(1.0)),
            _ => (trimmed, None),
        };
        if digits.trim().is_empty() {
            return Err(refuse("the number is missing"));
        }
        let number: f64 = digits
            .trim()
            .parse()
            .map_err(|_| refuse("what follows `=` is not a number"))?;
        if !number.is_finite() {
            return Err(refuse("the number is not finite"));
        }
        if number < 0.0 {
            return Err(refuse("the number is negative"));
        }
        Ok(match unit {
            _ if number == 0.0 => Self::Exact,
            Some(share) => Self::Relative(number * share),
            None => Self::Absolute(number),
        })
    }

    /// Reads `METRIC=…`; the metric may be a pattern, and may itself hold a `=`.
    ///
    /// *Errors*: `Tolerance` with the reason.
    pub fn parse_assignment(text: &str) -> Result<(String, Self), ProvenanceError> {
        let refuse = |reason| ProvenanceError::Tolerance {
            text: text.to_owned(),
            reason,
        };
        let (metric, tolerance) = text
            .rsplit_once('=')
            .ok_or_else(|| refuse("there is no `=`"))?;
        if metric.trim().is_empty() {
            return Err(refuse("the metric is missing"));
        }
        let tolerance = Self::parse(tolerance).map_err(|error| match error {
            ProvenanceError::Tolerance { reason, .. } => refuse(reason),
            error @ ProvenanceError::MetricsFile { .. } => error,
        })?;
        Ok((metric.trim().to_owned(), tolerance))
    }

    /// Tells whether a value is as near to the origin's as asked for.
    ///
    /// What is not finite is near to nothing but itself.
    pub fn covers(self, origin: f64, replay: f64) -> bool {
        if comparable_bits(origin) == comparable_bits(replay) {
            return true;
        }
        if !origin.is_finite() || !replay.is_finite() {
            return false;
        }
        let distance = (origin - replay).abs();
        match self {
            Self::Exact => false,
            Self::Absolute(limit) => distance <= limit,
            Self::Relative(share) => distance <= share * origin.abs(),
        }
    }
}

/// Tolerances by metric; what is not named is exact.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Tolerances {
    named: Vec<(String, Tolerance)>,
}

impl Tolerances {
    /// Adds the tolerance of a metric, or of all that a pattern covers; what is added later goes first.
    pub fn insert(&mut self, metric: impl Into<String>, tolerance: Tolerance) {
        self.named.insert(0, (metric.into(), tolerance));
    }

    /// The tolerance of a metric: its own, else that of the pattern added last that covers it, else exact.
    pub fn of(&self, metric: &str) -> Tolerance {
        let own = self.named.iter().find(|(name, _)| name == metric);
        let named = own.or_else(|| {
            self.named
                .iter()
                .find(|(pattern, _)| matches_key(pattern, metric))
        });
        named.map_or(Tolerance::Exact, |(_, tolerance)| *tolerance)
    }
}

impl FromIterator<(String, Tolerance)> for Tolerances {
    fn from_iter<I: IntoIterator<Item = (String, Tolerance)>>(pairs: I) -> Self {
        let mut tolerances = Self::default();
        for (metric, tolerance) in pairs {
            tolerances.insert(metric, tolerance);
        }
        tolerances
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        let cases = [
            ("auc=0.01", "auc", Tolerance::Absolute(0.01)),
            ("loss = 1%", "loss", Tolerance::Relative(0.01)),
            ("a/b=1e-6rel", "a/b", Tolerance::Relative(1e-6)),
            ("a=b=2", "a=b", Tolerance::Absolute(2.0)),
            ("*=exact", "*", Tolerance::Exact),
            ("x=0%", "x", Tolerance::Exact),
        ];
        for (text, metric, tolerance) in cases {
            assert_eq!(
                Tolerance::parse_assignment(text),
                Ok((metric.to_owned(), tolerance)),
                "{text}"
            );
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_its_reason() {
        let cases = [
            ("auc", "there is no `=`"),
            ("=1", "the metric is missing"),
            ("auc=", "the number is missing"),
            ("auc=%", "the number is missing"),
            ("auc=abc", "what follows `=` is not a number"),
            ("auc=1%rel", "what follows `=` is not a number"),
            ("auc=-1", "the number is negative"),
            ("auc=inf", "the number is not finite"),
            ("auc=NaN%", "the number is not finite"),
        ];
        for (text, reason) in cases {
            let expected = ProvenanceError::Tolerance {
                text: text.to_owned(),
                reason,
            };
            assert_eq!(Tolerance::parse_assignment(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn a_tolerance_covers_what_is_near_enough() {
        let nan = f64::NAN;
        let cases = [
            (Tolerance::Exact, 0.1, 0.1, true),
            (Tolerance::Exact, 0.1, 0.1 + f64::EPSILON, false),
            (Tolerance::Exact, 0.0, -0.0, false),
            (Tolerance::Exact, nan, -nan, true),
            (Tolerance::Absolute(0.5), 1.0, 1.5, true),
            (Tolerance::Absolute(0.5), 1.0, 1.6, false),
            (Tolerance::Absolute(0.5), 1.0, nan, false),
            (Tolerance::Absolute(0.5), f64::INFINITY, f64::INFINITY, true),
            (
                Tolerance::Absolute(0.5),
                f64::INFINITY,
                f64::NEG_INFINITY,
                false,
            ),
            (Tolerance::Relative(0.1), -10.0, -11.0, true),
            (Tolerance::Relative(0.1), -10.0, -11.1, false),
            (Tolerance::Relative(0.1), 0.0, 1e-300, false),
            (Tolerance::Relative(2.0), 1e308, -1e308, true),
        ];
        for (tolerance, origin, replay, expected) in cases {
            assert_eq!(
                tolerance.covers(origin, replay),
                expected,
                "{tolerance:?} {origin} {replay}"
            );
        }
    }

    #[test]
    fn a_metrics_own_tolerance_goes_before_patterns() {
        let list = [("auc", "1"), ("*", "2"), ("loss/*", "3")];
        let tolerances: Tolerances = list
            .iter()
            .map(|(key, text)| ((*key).to_owned(), Tolerance::parse(text).unwrap()))
            .collect();
        assert_eq!(tolerances.of("auc"), Tolerance::Absolute(1.0));
        assert_eq!(tolerances.of("loss/a/b"), Tolerance::Absolute(3.0));
        assert_eq!(tolerances.of("other"), Tolerance::Absolute(2.0));
        assert_eq!(Tolerances::default().of("auc"), Tolerance::Exact);
    }
}
