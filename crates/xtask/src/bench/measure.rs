//! Taking times, and what to make of them.

use std::process::{Command, Stdio};
use std::time::Instant;

use crate::error::TaskError;
use crate::process;

/// How many seconds a command takes; what it prints is dropped, a failure is an error.
pub(super) fn time_s(command: &mut Command) -> Result<f64, TaskError> {
    command.stdout(Stdio::null());
    let start = Instant::now();
    process::output_of(command)?;
    Ok(start.elapsed().as_secs_f64())
}

/// Runs both in alternation, so that what else the machine does falls on both; returns the times of each.
pub(super) fn alternate(
    pairs: usize,
    mut first: impl FnMut() -> Result<f64, TaskError>,
    mut second: impl FnMut() -> Result<f64, TaskError>,
) -> Result<(Vec<f64>, Vec<f64>), TaskError> {
    let mut times = (Vec::new(), Vec::new());
    for pair in 0..pairs {
        // Whoever comes first finds colder caches: take turns.
        if pair % 2 == 0 {
            times.0.push(first()?);
            times.1.push(second()?);
        } else {
            times.1.push(second()?);
            times.0.push(first()?);
        }
    }
    Ok(times)
}

/// The middle value; of two, their mean. Zero of none.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        length if length % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// The median of the ratios of pairs, which a slow moment of the machine moves less than a ratio of medians.
pub(super) fn ratio(numerators: &[f64], denominators: &[f64]) -> f64 {
    let ratios: Vec<_> = numerators
        .iter()
        .zip(denominators)
        .map(|(a, b)| a / b)
        .collect();
    median(&ratios)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_near(value: f64, expected: f64) -> bool {
        (value - expected).abs() < 1e-12
    }

    #[test]
    fn the_median_is_the_middle_or_the_mean_of_the_middle_two() {
        assert!(is_near(median(&[3.0, 1.0, 2.0]), 2.0));
        assert!(is_near(median(&[4.0, 1.0, 2.0, 3.0]), 2.5));
        assert!(is_near(median(&[]), 0.0));
    }

    #[test]
    fn one_slow_pair_does_not_move_the_ratio() {
        assert!(is_near(ratio(&[2.0, 20.0, 2.0], &[1.0, 10.0, 2.0]), 2.0));
    }

    #[test]
    fn pairs_take_turns_in_going_first() {
        let order = std::cell::RefCell::new(String::new());
        let note = |name: char| {
            order.borrow_mut().push(name);
            Ok(1.0)
        };
        let (first, second) = alternate(3, || note('a'), || note('b')).unwrap();
        assert_eq!((first.len(), second.len()), (3, 3));
        assert_eq!(*order.borrow(), "abbaab");
    }
}
