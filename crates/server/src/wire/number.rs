//! Numbers as protobuf's JSON has them.

use std::fmt;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A whole number of 64 bits: a JSON number, or a text that holds one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Int64(pub(crate) i64);

/// A floating-point number: a JSON number, or a text that holds one, `NaN`, `Infinity` or `-Infinity`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Double(pub(crate) f64);

impl<'de> Deserialize<'de> for Int64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;
        impl Visitor<'_> for Whole {
            type Value = Int64;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a whole number of 64 bits")
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Int64, E> {
                Ok(Int64(value))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Int64, E> {
                i64::try_from(value)
                    .map(Int64)
                    .map_err(|_| E::invalid_value(Unexpected::Unsigned(value), &self))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Int64, E> {
                // Up to 2^53 a number with a fraction of 0 is that whole number, and not merely near it.
                if value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0 {
                    return Ok(Int64(value as i64));
                }
                Err(E::invalid_value(Unexpected::Float(value), &self))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Int64, E> {
                text.parse()
                    .map(Int64)
                    .map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Whole)
    }
}

impl<'de> Deserialize<'de> for Double {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Floating;
        impl Visitor<'_> for Floating {
            type Value = Double;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a number")
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Double, E> {
                Ok(Double(value))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Double, E> {
                Ok(Double(value as f64))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Double, E> {
                Ok(Double(value as f64))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Double, E> {
                match text {
                    "NaN" => Ok(Double(f64::NAN)),
                    "Infinity" => Ok(Double(f64::INFINITY)),
                    "-Infinity" => Ok(Double(f64::NEG_INFINITY)),
                    // Rust's own words for these ("inf", "nan") are not JSON's.
                    text if text.contains(|letter: char| !"0123456789+-.eE".contains(letter)) => {
                        Err(E::invalid_value(Unexpected::Str(text), &self))
                    }
                    text => text
                        .parse()
                        .map(Double)
                        .map_err(|_| E::invalid_value(Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(Floating)
    }
}

impl Serialize for Double {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(value) = *self;
        if value.is_finite() {
            serializer.serialize_f64(value)
        } else if value.is_nan() {
            serializer.serialize_str("NaN")
        } else if value > 0.0 {
            serializer.serialize_str("Infinity")
        } else {
            serializer.serialize_str("-Infinity")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_may_be_texts_and_lose_nothing() {
        for (json, value) in [
            ("5", 5),
            ("\"5\"", 5),
            ("-1", -1),
            ("5.0", 5),
            ("9223372036854775807", i64::MAX),
            ("\"-9223372036854775808\"", i64::MIN),
        ] {
            assert_eq!(serde_json::from_str::<Int64>(json).unwrap(), Int64(value));
        }
        for json in [
            "5.5",
            "\"\"",
            "\"x\"",
            "9223372036854775808",
            "1e300",
            "true",
            "[]",
            "null",
        ] {
            assert!(
                serde_json::from_str::<Int64>(json).is_err(),
                "{json} was taken"
            );
        }
    }

    #[test]
    fn numbers_that_json_lacks_are_texts_both_ways() {
        for (json, value) in [
            ("\"NaN\"", f64::NAN),
            ("\"Infinity\"", f64::INFINITY),
            ("\"-Infinity\"", f64::NEG_INFINITY),
            ("0.5", 0.5),
            ("1.0", 1.0),
            ("-0.0", -0.0),
            ("5e-324", 5e-324),
        ] {
            let read = serde_json::from_str::<Double>(json).unwrap();
            assert_eq!(read.0.to_bits(), value.to_bits());
            assert_eq!(serde_json::to_string(&read).unwrap(), json);
        }
        assert_eq!(
            serde_json::from_str::<Double>("\"1.5\"").unwrap(),
            Double(1.5)
        );
        assert_eq!(serde_json::from_str::<Double>("3").unwrap(), Double(3.0));
        for json in [
            "\"\"", "\"inf\"", "\"nan\"", "\"0x1\"", "\"1 \"", "true", "null", "[1]",
        ] {
            assert!(
                serde_json::from_str::<Double>(json).is_err(),
                "{json} was taken"
            );
        }
    }
}
