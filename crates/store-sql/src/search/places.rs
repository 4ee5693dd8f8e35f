//! Where a walk through the rows that are searched goes on, as a page token tells it.

use std::fmt::Write as _;

use crate::sql::{OwnedValue, Value};

use super::LARGEST_ORDER_COUNT;
use super::walks::Walk;

/// A part of a walk: they come one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stretch {
    /// Rows with a value, by it.
    Values,
    /// Rows whose value is no number.
    NotANumber,
    /// Rows without the key.
    Missing,
}

impl Stretch {
    const ALL: [Self; 3] = [Self::Values, Self::NotANumber, Self::Missing];

    const fn letter(self) -> char {
        match self {
            Self::Values => 'v',
            Self::NotANumber => 'n',
            Self::Missing => 'm',
        }
    }

    fn of(letter: char) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|stretch| stretch.letter() == letter)
    }
}

/// Where a walk goes on: in which stretch, from which value on, and where among the rows that have it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) stretch: Stretch,
    pub(super) value: Option<OwnedValue>,
    /// Past so many rows that have the value.
    pub(super) skipped: usize,
    /// The same, told by the walk through those rows.
    pub(super) inner: Option<Box<Self>>,
}

/// Between a place and the one inside of it, in a token.
const INSIDE: char = '.';

impl Place {
    pub(super) const fn start(stretch: Stretch) -> Self {
        Self {
            stretch,
            value: None,
            skipped: 0,
            inner: None,
        }
    }

    /// Goes past a row with this value.
    pub(super) fn pass(&mut self, value: Value<'_>) {
        let value = OwnedValue::of(value);
        if self.stretch != Stretch::Values || self.value.as_ref() == Some(&value) {
            self.skipped += 1;
        } else {
            self.value = Some(value);
            self.skipped = 1;
        }
    }

    /// Whether walks come by it: the first by the place, the next by what is inside of it.
    pub(super) fn is_of(&self, walks: &[Walk]) -> bool {
        let Some((walk, within)) = walks.split_first() else {
            return false;
        };
        let is_group = self.stretch != Stretch::Values || self.value.is_some();
        walk.has(self.stretch, self.value.as_ref())
            && (self.inner.as_ref()).is_none_or(|inner| is_group && inner.is_of(within))
    }

    /// As a part of a page token.
    pub(super) fn encode(&self) -> String {
        let value = match &self.value {
            None | Some(OwnedValue::Null | OwnedValue::Blob(_)) => String::new(),
            Some(OwnedValue::Integer(number)) => format!("i{number}"),
            Some(OwnedValue::Real(number)) => format!("r{:x}", number.to_bits()),
            Some(OwnedValue::Text(text)) => {
                let mut hex = String::from("t");
                for byte in text.bytes() {
                    write!(hex, "{byte:02x}").expect("writing to a text does not fail");
                }
                hex
            }
        };
        let mut told = format!("{}{}_{value}", self.stretch.letter(), self.skipped);
        if let Some(inner) = &self.inner {
            told.push(INSIDE);
            told += &inner.encode();
        }
        told
    }

    pub(super) fn decode(text: &str) -> Option<Self> {
        // An order has no more fields. A token may be of any length, and places inside of places take stack.
        if text.matches(INSIDE).count() > LARGEST_ORDER_COUNT {
            return None;
        }
        let mut place = None;
        for one in text.rsplit(INSIDE) {
            let outer = Self::decode_one(one)?;
            place = Some(Self {
                inner: place.map(Box::new),
                ..outer
            });
        }
        place
    }

    fn decode_one(text: &str) -> Option<Self> {
        let stretch = Stretch::of(text.chars().next()?)?;
        let (skipped, value) = text.get(1..)?.split_once('_')?;
        let value = match value.chars().next() {
            None => None,
            Some('i') => Some(OwnedValue::Integer(value.get(1..)?.parse().ok()?)),
            Some('r') => {
                let bits = u64::from_str_radix(value.get(1..)?, 16).ok()?;
                Some(OwnedValue::Real(f64::from_bits(bits)))
            }
            Some('t') => Some(OwnedValue::Text(from_hex(value.get(1..)?)?)),
            Some(_) => return None,
        };
        let skipped: usize = skipped.parse().ok()?;
        i64::try_from(skipped).ok()?;
        Some(Self {
            stretch,
            value,
            skipped,
            inner: None,
        })
    }
}

fn from_hex(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    if !bytes.len().is_multiple_of(2) {
        return None;
    }
    let bytes: Option<Vec<u8>> = bytes
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    String::from_utf8(bytes?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_written_into_a_token_and_read_again() {
        for value in [
            None,
            Some(OwnedValue::Integer(-5)),
            Some(OwnedValue::Real(f64::NEG_INFINITY)),
            Some(OwnedValue::Real(-0.0)),
            Some(OwnedValue::Text("ä-_.\0".to_owned())),
            Some(OwnedValue::Text(String::new())),
        ] {
            for stretch in Stretch::ALL {
                let place = Place {
                    stretch,
                    value: value.clone(),
                    skipped: 7,
                    inner: None,
                };
                assert_eq!(Place::decode(&place.encode()), Some(place.clone()));
                let outer = Place {
                    inner: Some(Box::new(place)),
                    ..Place::start(stretch)
                };
                assert_eq!(Place::decode(&outer.encode()), Some(outer));
            }
        }
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in [
            "",
            "v",
            "v1",
            "x1_",
            "v1_x",
            "v_",
            "v-1_",
            "v1_i",
            "v1_rg",
            "v1_t0",
            "v1_tzz",
            "v1_tff",
            "ä1_",
            "v99999999999999999999_",
            "v1_.",
            ".v1_",
            "v1_..v1_",
        ] {
            assert_eq!(Place::decode(text), None, "{text}");
        }
    }

    #[test]
    fn rows_without_a_value_are_no_group() {
        let key = Walk::Key {
            field: entities::Field::Tag("t".to_owned()),
            is_ascending: true,
            has_nan: false,
        };
        let time = Walk::Time {
            is_ascending: false,
        };
        let walks = [key, time];
        for (token, is_one) in [
            ("v0_t61.v1_i5", true),
            ("m0_.v1_i5", true),
            ("v0_.v1_i5", false),
            ("n0_.v1_i5", false),
            ("v0_t61.m1_", false),
        ] {
            assert_eq!(
                Place::decode(token).unwrap().is_of(&walks),
                is_one,
                "{token}"
            );
        }
    }

    #[test]
    fn a_place_is_no_deeper_than_an_order_is_long() {
        let place = |depth: usize| Place::decode(&vec!["v1_"; depth].join("."));
        let time = Walk::Time {
            is_ascending: false,
        };
        assert!(place(1).unwrap().is_of(std::slice::from_ref(&time)));
        assert!(!place(2).unwrap().is_of(&[time]));
        assert!(place(LARGEST_ORDER_COUNT + 1).is_some());
        assert_eq!(place(LARGEST_ORDER_COUNT + 2), None);
        assert_eq!(place(1_000_000), None);
    }
}
