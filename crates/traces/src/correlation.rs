//! Whether two conditions on traces go together.

use entities::{ExperimentId, SearchQuery};

use crate::wholes::parse_query;
use crate::{Traces, TracesError};

/// How many traces fit each of two conditions, and how far these go together.
///
/// *Units*: both measures are between -1 (never together), 0 (as if by chance) and 1 (always); NaN where one fits none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Correlation {
    /// Normalised pointwise mutual information.
    pub npmi: f64,
    /// The same with half a trace added to each cell (Jeffreys' prior), which a few traces sway less.
    pub npmi_smoothed: f64,
    /// How many fit the first.
    pub first: u64,
    /// How many fit the second.
    pub second: u64,
    /// How many fit both.
    pub both: u64,
    /// How many there are.
    pub total: u64,
}

impl Traces {
    /// Counts the traces that fit two filters, of those that fit a third.
    pub async fn correlate(
        &self,
        experiments: &[ExperimentId],
        (first, second): (&str, &str),
        base: Option<&str>,
    ) -> Result<Correlation, TracesError> {
        let base = parse_query(base.unwrap_or_default(), &[])?;
        let with_base = |filter: &str| {
            let mut query = parse_query(filter, &[])?;
            query.conditions.extend(base.conditions.clone());
            Ok::<_, TracesError>(query)
        };
        let (first, second) = (with_base(first)?, with_base(second)?);
        let count = async |queries: &[&SearchQuery]| {
            if experiments.is_empty() {
                return Ok(0);
            }
            self.store().count_traces(experiments, queries).await
        };
        let counts = Counts {
            first: count(&[&first]).await?,
            second: count(&[&second]).await?,
            both: count(&[&first, &second]).await?,
            total: count(&[&base]).await?,
        };
        Ok(counts.correlate())
    }
}

#[derive(Clone, Copy)]
struct Counts {
    first: u64,
    second: u64,
    both: u64,
    total: u64,
}

impl Counts {
    /// *Source*: G. Bouma, Normalized (pointwise) mutual information in collocation extraction (2009), and MLflow's rules
    /// for its edges: undefined where one fits none, -1 where they never meet.
    fn correlate(self) -> Correlation {
        let Self {
            first,
            second,
            both,
            total,
        } = self;
        let is_defined =
            first > 0 && second > 0 && first + second <= total + both && both <= first.min(second);
        let measure = |smoothing: f64| {
            if is_defined {
                self.npmi(smoothing)
            } else {
                f64::NAN
            }
        };
        Correlation {
            npmi: if is_defined && both == 0 {
                -1.0
            } else {
                measure(0.0)
            },
            npmi_smoothed: measure(0.5),
            first,
            second,
            both,
            total,
        }
    }

    fn npmi(self, smoothing: f64) -> f64 {
        if self.both == self.total {
            return 1.0;
        }
        let both = self.both as f64 + smoothing;
        // Each condition holds in two of the four cells.
        let first = self.first as f64 + 2.0 * smoothing;
        let second = self.second as f64 + 2.0 * smoothing;
        let total = self.total as f64 + 4.0 * smoothing;
        let information = (both.ln() + total.ln()) - (first.ln() + second.ln());
        let largest = total.ln() - both.ln();
        (information / largest).clamp(-1.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn correlate(both: u64, first: u64, second: u64, total: u64) -> (f64, f64) {
        let counts = Counts {
            first,
            second,
            both,
            total,
        };
        let found = counts.correlate();
        (found.npmi, found.npmi_smoothed)
    }

    /// What MLflow 3.17.2 gives for the same counts.
    #[test]
    fn measures_are_those_of_mlflow() {
        let near = |(npmi, smoothed): (f64, f64), expected: (f64, f64)| {
            assert!((npmi - expected.0).abs() < 1e-12, "{npmi}");
            assert!((smoothed - expected.1).abs() < 1e-12, "{smoothed}");
        };
        near(correlate(1, 1, 1, 3), (1.0, 0.522_112_008_812_616_9));
        near(
            correlate(10, 20, 15, 100),
            (0.522_878_745_280_337_8, 0.509_868_999_183_141_2),
        );
        near(correlate(0, 4, 3, 10), (-1.0, -0.378_839_651_118_848_5));
        near(correlate(5, 5, 5, 5), (1.0, 1.0));
    }

    #[test]
    fn what_fits_none_has_no_measure() {
        for (both, first, second, total) in [
            (0, 0, 1, 3),
            (0, 1, 0, 3),
            (0, 0, 0, 0),
            (3, 2, 2, 9),
            (0, 4, 4, 5),
        ] {
            let (npmi, smoothed) = correlate(both, first, second, total);
            assert!(
                npmi.is_nan() && smoothed.is_nan(),
                "{both} {first} {second} {total}"
            );
        }
    }
}
