//! Times and durations as MLflow keeps them.

use entities::Timestamp;

/// The longest duration that is taken for one, either way: what a number of JSON holds exactly.
const LONGEST_MS: i64 = 1 << 53;

/// A time that can be told in microseconds, which those beyond some 290,000 years cannot.
pub(super) fn time_of_millis(millis: i64) -> Option<Timestamp> {
    let time = Timestamp::from_millis(millis);
    (time.as_millis() == millis).then_some(time)
}

/// Reads a time as protobuf writes it: RFC 3339 in UTC, with as many digits of a fraction as it needs.
pub(super) fn time_of_text(text: &str) -> Option<Timestamp> {
    let text = text.strip_suffix('Z')?;
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    // What is finer than a millisecond is not MLflow's.
    let millis = fraction.get(..3).unwrap_or(fraction);
    let time: Timestamp = format!("{seconds}.{millis:0<6}Z").parse().ok()?;
    Some(time)
}

/// A duration that sums of times can hold.
pub(super) fn duration_of_millis(millis: i64) -> Option<i64> {
    (-LONGEST_MS..=LONGEST_MS)
        .contains(&millis)
        .then_some(millis)
}

/// Reads a duration as protobuf writes it, such as `0.073s`.
pub(super) fn duration_of_text(text: &str) -> Option<i64> {
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    let millis = (seconds * 1000.0).round();
    let is_short = millis.abs() <= LONGEST_MS as f64;
    is_short.then_some(millis as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_to_the_millisecond() {
        let millis = |text: &str| time_of_text(text).map(Timestamp::as_millis);
        assert_eq!(millis("2026-11-27T17:02:57.919Z"), Some(1_795_798_977_919));
        assert_eq!(millis("2026-11-27T17:02:57Z"), Some(1_795_798_977_000));
        assert_eq!(millis("2026-11-27T17:02:57.9Z"), Some(1_795_798_977_900));
        assert_eq!(
            millis("2026-11-27T17:02:57.919123456Z"),
            Some(1_795_798_977_919)
        );
        for text in [
            "",
            "Z",
            "2026-11-27T17:02:57.919",
            "2026-11-27",
            "2026-11-27T17:02:57.é1Z",
            "2026-13-27T17:02:57Z",
            "x.yZ",
        ] {
            assert_eq!(millis(text), None, "{text}");
        }
    }

    #[test]
    fn times_and_durations_out_of_range_are_none() {
        assert_eq!(time_of_millis(0), Some(Timestamp::default()));
        assert!(time_of_millis(-1).is_some());
        // Of the year 10000.
        assert!(time_of_millis(253_402_300_800_000).is_some());
        for millis in [i64::MAX, i64::MIN, i64::MAX / 1000 + 1] {
            assert_eq!(time_of_millis(millis), None, "{millis}");
        }
        assert_eq!(duration_of_millis(i64::MAX), None);
        assert_eq!(duration_of_millis(-5), Some(-5));
        assert_eq!(duration_of_text("0.073s"), Some(73));
        assert_eq!(duration_of_text("2s"), Some(2000));
        for text in ["", "s", "2", "NaNs", "infs", "1e300s"] {
            assert_eq!(duration_of_text(text), None, "{text}");
        }
    }
}
