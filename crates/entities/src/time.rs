//! Points in time, and the seam through which they come in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A point in time: microseconds since 1970-01-01T00:00:00Z, leap seconds ignored as in Unix time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From microseconds since the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From milliseconds since the epoch, MLflow's unit; saturates at the ends of the range.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1000))
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole milliseconds since the epoch, rounded down.
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(1000)
    }
}

/// Tells the time.
pub trait Clock: Send + Sync {
    /// The current time.
    fn now(&self) -> Timestamp;
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with six digits of fraction, such as `2026-11-23T22:19:34.123456Z`; a year before 0 or after 9999,
    /// which RFC 3339 does not have, has a sign or more digits.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(self.0.div_euclid(MICROS_PER_DAY));
        let of_day = self.0.rem_euclid(MICROS_PER_DAY);
        let (seconds, micros) = (of_day / 1_000_000, of_day % 1_000_000);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(
            formatter,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z"
        )
    }
}

/// A text that should have been a point in time and is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a time like `2026-11-23T22:19:34.123456Z`")]
pub struct TimestampParseError {
    /// What was given.
    pub text: String,
}

impl FromStr for Timestamp {
    type Err = TimestampParseError;

    /// Reads exactly the form that `Display` writes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || TimestampParseError {
            text: text.to_owned(),
        };
        // Clients give times of any year: nanoseconds, say, where milliseconds are asked for.
        let bytes = text.as_bytes();
        let sign_and_year = bytes.len().checked_sub("-01-01T00:00:00.000000Z".len());
        let year_end = sign_and_year
            .filter(|length| (4..=7).contains(length))
            .ok_or_else(refuse)?;
        let separators_at = [
            (0, b'-'),
            (3, b'-'),
            (6, b'T'),
            (9, b':'),
            (12, b':'),
            (15, b'.'),
            (22, b'Z'),
        ];
        if separators_at
            .iter()
            .any(|&(at, separator)| bytes[year_end + at] != separator)
        {
            return Err(refuse());
        }
        let number = |from: usize, to: usize| -> Result<i64, TimestampParseError> {
            let digits = text.get(from..to).ok_or_else(refuse)?;
            if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(refuse());
            }
            digits.parse().map_err(|_| refuse())
        };
        let year = match bytes[0] {
            b'-' => -number(1, year_end)?,
            _ => number(0, year_end)?,
        };
        let at = |from: usize, to: usize| number(year_end + from, year_end + to);
        let days = days_from_civil(year, at(1, 3)?, at(4, 6)?);
        let seconds = at(7, 9)? * 3600 + at(10, 12)? * 60 + at(13, 15)?;
        let micros = i128::from(days) * i128::from(MICROS_PER_DAY)
            + i128::from(seconds * 1_000_000 + at(16, 22)?);
        let read = Self(i64::try_from(micros).map_err(|_| refuse())?);
        // A second text for the same time (month 13, hour 25) would break canonical encoding.
        if read.to_string() == text {
            Ok(read)
        } else {
            Err(refuse())
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar.
///
/// *Source*: the era arithmetic of Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse of `days_from_civil`.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times_are_written_as_rfc_3339() {
        let cases = [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_827_696_000_001, "2000-02-29T12:34:56.000001Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (1_795_559_974_123_456, "2026-11-24T22:39:34.123456Z"),
            (253_402_300_799_999_999, "9999-12-31T23:59:59.999999Z"),
            (253_402_300_800_000_000, "10000-01-01T00:00:00.000000Z"),
            (-62_167_219_200_000_001, "-001-12-31T23:59:59.999999Z"),
            (i64::MAX, "294247-01-10T04:00:54.775807Z"),
            (i64::MIN, "-290308-12-21T19:59:05.224192Z"),
        ];
        for (micros, text) in cases {
            assert_eq!(Timestamp::from_micros(micros).to_string(), text);
            assert_eq!(text.parse(), Ok(Timestamp::from_micros(micros)));
        }
    }

    #[test]
    fn a_time_has_one_text_form_only() {
        for text in [
            "",
            "2026-13-01T00:00:00.000000Z",
            "2026-02-30T00:00:00.000000Z",
            "2026-01-01T24:00:00.000000Z",
            "2026-01-01T00:00:00.000000+",
            "2026-01-01 00:00:00.000000Z",
            "2026-01-01T00:00:00.00000éZ",
            "02026-01-01T00:00:00.000000Z",
            "-2026-01-01T00:00:00.000000+",
            "+10000-01-01T00:00:00.000000Z",
            "-000-01-01T00:00:00.000000Z",
            "294247-01-10T04:00:54.775808Z",
            "9999999-01-01T00:00:00.000000Z",
            "é26-01-01T00:00:00.000000Z",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text} was taken");
        }
    }
}
