//! When a delivery is tried again, and when it is given up.

use entities::{Random, Timestamp};

/// Answers after which MLflow tries again: the receiver is overloaded or out of order.
///
/// *Source*: `_create_webhook_session` of MLflow 3.17.2.
pub(crate) const TRIED_AGAIN: [u16; 5] = [429, 500, 502, 503, 504];

/// The first delay; each is twice the one before.
const FIRST_DELAY_MS: u64 = 1000;

/// The longest delay, also where a receiver asks for a longer one: an hour, so that one that is back is told soon.
const LONGEST_DELAY_MS: u64 = 3_600_000;

/// Most attempts: twelve in the first hour, then one an hour, is 84 in three days; a receiver that asks for shorter
/// delays gets no more than this.
const MOST_ATTEMPTS: u32 = 100;

/// How long after the change a delivery is tried: over a weekend. One that waited longer is tried once all the same.
const LONGEST_WAIT_MS: i64 = 3 * 24 * 3_600_000;

/// When a delivery that failed so often is tried next; none where it is given up.
pub(crate) fn next_attempt(
    attempts: u32,
    now: Timestamp,
    happened_at: Timestamp,
    asked_for_ms: Option<u64>,
    random: &dyn Random,
) -> Option<Timestamp> {
    let delay_ms = match asked_for_ms {
        Some(asked) => asked.clamp(FIRST_DELAY_MS, LONGEST_DELAY_MS),
        None => draw_delay(attempts, random),
    };
    let next = Timestamp::from_millis(now.as_millis().saturating_add(delay_ms as i64));
    let waited_ms = next.as_millis().saturating_sub(happened_at.as_millis());
    (attempts < MOST_ATTEMPTS && waited_ms <= LONGEST_WAIT_MS).then_some(next)
}

/// Between half of the delay and all of it, so that many that failed at once do not come back at once.
fn draw_delay(attempts: u32, random: &dyn Random) -> u64 {
    let doublings = attempts.saturating_sub(1).min(20);
    let whole = (FIRST_DELAY_MS << doublings).min(LONGEST_DELAY_MS);
    let mut bytes = [0; 8];
    random.fill(&mut bytes);
    let half = whole / 2;
    half + u64::from_le_bytes(bytes) % (whole - half + 1)
}

#[cfg(test)]
mod tests {
    use testkit::SeededRandom;

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn delays_double_to_an_hour_and_are_spread() {
        let random = SeededRandom::new(1);
        for (attempts, whole_ms) in [(1, 1000), (2, 2000), (5, 16_000), (13, 3_600_000)] {
            let delays: Vec<i64> = (0..200)
                .map(|_| next_attempt(attempts, at(0), at(0), None, &random).unwrap())
                .map(Timestamp::as_millis)
                .collect();
            let (least, most) = (delays.iter().min().unwrap(), delays.iter().max().unwrap());
            assert!(*least >= whole_ms / 2 && *most <= whole_ms);
            assert!(most - least > whole_ms / 4, "{least} to {most}");
        }
        for attempts in [14, 70, 99, u32::MAX] {
            let next = next_attempt(attempts, at(0), at(0), None, &random);
            assert!(next.is_none_or(|next| next.as_millis() <= 3_600_000));
        }
    }

    #[test]
    fn a_receiver_may_ask_for_its_own_delay_within_an_hour() {
        let random = SeededRandom::new(1);
        let next = |asked| next_attempt(1, at(0), at(0), Some(asked), &random).unwrap();
        assert_eq!(next(120_000), at(120_000));
        assert_eq!(next(0), at(1000));
        assert_eq!(next(u64::MAX), at(3_600_000));
    }

    #[test]
    fn a_delivery_is_given_up_after_three_days_or_a_hundred_attempts() {
        let random = SeededRandom::new(1);
        let day = 24 * 3_600_000;
        let next = |attempts, now| next_attempt(attempts, at(now), at(0), Some(1000), &random);
        assert!(next(99, 1).is_some());
        assert!(next(100, 1).is_none());
        assert!(next(1, 3 * day - 1000).is_some());
        assert!(next(1, 3 * day).is_none());
    }
}
