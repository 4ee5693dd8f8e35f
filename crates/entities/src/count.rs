//! Counts that may exceed what a JSON number holds.

use serde::{Deserialize, Serialize};

/// A size in bytes or a count.
///
/// Written as a JSON number up to 2^53, beyond that as a string, since RFC 8785 reads numbers as doubles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Count(pub u64);

const LARGEST_EXACT: u64 = 1 << 53;

impl Serialize for Count {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 <= LARGEST_EXACT {
            serializer.serialize_u64(self.0)
        } else {
            serializer.collect_str(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(u64),
            Text(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Number(number) => Ok(Self(number)),
            Form::Text(text) => text.parse().map(Self).map_err(serde::de::Error::custom),
        }
    }
}

impl From<u64> for Count {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_beyond_a_double_is_kept_to_the_unit() {
        for number in [0, 1, LARGEST_EXACT, LARGEST_EXACT + 1, u64::MAX] {
            let text = serde_json::to_string(&Count(number)).unwrap();
            assert_eq!(serde_json::from_str::<Count>(&text).unwrap(), Count(number));
        }
        assert_eq!(
            serde_json::to_string(&Count(u64::MAX)).unwrap(),
            "\"18446744073709551615\""
        );
    }
}
