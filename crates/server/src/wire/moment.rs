//! Times and durations as protobuf's JSON writes them.

use std::fmt;

use entities::Timestamp;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time: RFC 3339, written with as many digits as it needs. Protobuf has the years 1 to 9999; what is beyond
/// is written as the first or the last moment of them, which clients can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) Timestamp);

/// A duration in seconds, such as `1.500s`; milliseconds are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Millis(pub(crate) i64);

/// 0001-01-01T00:00:00Z.
const FIRST_MS: i64 = -62_135_596_800_000;

/// 9999-12-31T23:59:59.999Z.
const LAST_MS: i64 = 253_402_300_799_999;

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shown = self.0.as_millis().clamp(FIRST_MS, LAST_MS);
        let written = Timestamp::from_millis(shown).to_string();
        // Six digits of fraction, of which none or three are zeros that are left out.
        let begin = written.strip_suffix("000Z").unwrap_or(&written);
        serializer.collect_str(&format_args!(
            "{}Z",
            begin.strip_suffix(".000").unwrap_or(begin)
        ))
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(MomentVisitor)
    }
}

struct MomentVisitor;

impl Visitor<'_> for MomentVisitor {
    type Value = Moment;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a time such as 2026-11-27T16:00:00.5Z")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Moment, E> {
        let parsed: jiff::Timestamp = text.parse().map_err(E::custom)?;
        Ok(Moment(Timestamp::from_micros(parsed.as_microsecond())))
    }
}

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (seconds, millis) = (self.0.unsigned_abs() / 1000, self.0.unsigned_abs() % 1000);
        match millis {
            0 => serializer.collect_str(&format_args!("{sign}{seconds}s")),
            _ => serializer.collect_str(&format_args!("{sign}{seconds}.{millis:03}s")),
        }
    }
}

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(MillisVisitor)
    }
}

struct MillisVisitor;

impl Visitor<'_> for MillisVisitor {
    type Value = Millis;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a duration such as 1.5s")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Millis, E> {
        read_millis(text)
            .map(Millis)
            .ok_or_else(|| E::custom("a duration such as 1.5s"))
    }
}

/// What is smaller than a millisecond is cut off, as MLflow does.
fn read_millis(text: &str) -> Option<i64> {
    let number = text.strip_suffix('s')?;
    let (sign, number) = match number.strip_prefix('-') {
        Some(number) => (-1, number),
        None => (1, number),
    };
    let (seconds, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_number = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
    if seconds.is_empty() || fraction.len() > 9 || !is_number(seconds) || !is_number(fraction) {
        return None;
    }
    let seconds: i64 = seconds.parse().ok()?;
    let millis: i64 = format!("{fraction:0<3}")[..3].parse().ok()?;
    seconds
        .checked_mul(1000)?
        .checked_add(millis)?
        .checked_mul(sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_with_the_digits_that_they_need() {
        let written =
            |micros| serde_json::to_value(Moment(Timestamp::from_micros(micros))).unwrap();
        assert_eq!(written(1_760_000_000_123_456), "2025-10-09T08:53:20.123Z");
        assert_eq!(written(1_760_000_000_000_000), "2025-10-09T08:53:20Z");
        assert_eq!(written(1_760_000_000_100_000), "2025-10-09T08:53:20.100Z");
        assert_eq!(written(i64::MIN), "0001-01-01T00:00:00Z");
        assert_eq!(written(i64::MAX), "9999-12-31T23:59:59.999Z");
        let read = |text: &str| serde_json::from_value::<Moment>(text.into());
        assert_eq!(
            read("2025-10-09T10:53:20.5+02:00").unwrap().0.as_millis(),
            1_760_000_000_500
        );
        for wrong in ["yesterday", "", "2025-10-09", "99999-01-01T00:00:00Z"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_are_in_seconds() {
        let written = |millis| serde_json::to_value(Millis(millis)).unwrap();
        assert_eq!(written(1500), "1.500s");
        assert_eq!(written(2000), "2s");
        assert_eq!(written(-5), "-0.005s");
        for (text, millis) in [
            ("1.5s", 1500),
            ("0.0019s", 1),
            ("2s", 2000),
            ("-0.5s", -500),
        ] {
            assert_eq!(read_millis(text), Some(millis), "{text}");
        }
        for wrong in [
            "",
            "s",
            "1",
            "1.5",
            "1.s s",
            "1.-5s",
            "+1s",
            "1.1234567890s",
            "99999999999999999999s",
            "9223372036854775807s",
        ] {
            assert_eq!(read_millis(wrong), None, "{wrong}");
        }
    }
}
