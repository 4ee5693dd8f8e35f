//! Whole numbers in canonical JSON, whose numbers are doubles: beyond 2^53 they would be rounded, so they are texts.
//!
//! For `#[serde(with = "crate::exact")]` on fields of type `i64` and `u64`.

use std::fmt::{Display, Formatter};
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

/// The largest whole number up to which a double holds every one.
const LARGEST_EXACT: i128 = 1 << 53;

pub(crate) fn serialize<T, S>(number: &T, serializer: S) -> Result<S::Ok, S::Error>
where
    T: Copy + Into<i128> + Display + Serialize,
    S: Serializer,
{
    let wide: i128 = (*number).into();
    if wide.abs() <= LARGEST_EXACT {
        number.serialize(serializer)
    } else {
        serializer.collect_str(number)
    }
}

pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: TryFrom<i64> + TryFrom<u64> + FromStr,
    D: Deserializer<'de>,
{
    deserializer.deserialize_any(ExactVisitor(PhantomData))
}

struct ExactVisitor<T>(PhantomData<T>);

impl<T: TryFrom<i64> + TryFrom<u64> + FromStr> Visitor<'_> for ExactVisitor<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a whole number, as a text where it is beyond 2^53")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        T::try_from(number).map_err(|_| E::custom(format!("{number} is out of range")))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        T::try_from(number).map_err(|_| E::custom(format!("{number} is out of range")))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse()
            .map_err(|_| E::custom(format!("`{text}` is not a whole number in range")))
    }
}

#[cfg(test)]
mod tests {
    use crate::{ModelOutput, canonical_json};

    #[test]
    fn every_step_survives_canonical_json() {
        for step in [0, -1, 1 << 53, (1 << 53) + 1, i64::MAX, i64::MIN] {
            let model = "m-1".parse().unwrap();
            let output = ModelOutput { model, step };
            let bytes = canonical_json(&output).unwrap();
            assert_eq!(
                serde_json::from_slice::<ModelOutput>(&bytes).unwrap(),
                output
            );
        }
        let small = canonical_json(&ModelOutput {
            model: "m-1".parse().unwrap(),
            step: 7,
        });
        assert_eq!(small.unwrap(), br#"{"model":"m-1","step":7}"#);
    }
}
