//! Values in YAML whose type only the file tells.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use serde_saphyr::Spanned;

/// A value with where it stands, since PyYAML leaves texts without quotes that are numbers in YAML 1.2, such as `1e5`.
pub(super) struct Node(Spanned<Kind>);

enum Kind {
    Plain(Value),
    List(Vec<Node>),
    Members(Vec<(String, Node)>),
}

impl Node {
    /// The value that PyYAML reads in a document.
    pub(super) fn into_value(self, document: &str) -> Value {
        let span = self.0.defined.span();
        match self.0.value {
            Kind::Plain(Value::Number(number)) => {
                let source = span.byte_offset().zip(span.byte_len());
                let source = source.and_then(|(begin, length)| {
                    let begin = usize::try_from(begin).ok()?;
                    let end = begin.checked_add(usize::try_from(length).ok()?)?;
                    document.get(begin..end)
                });
                match source.map(str::trim) {
                    Some(text) if !is_number(text) => Value::from(text),
                    _ => Value::Number(number),
                }
            }
            Kind::Plain(value) => value,
            Kind::List(items) => {
                let items = items.into_iter();
                items.map(|item| item.into_value(document)).collect()
            }
            Kind::Members(members) => {
                let members = members.into_iter();
                let members = members.map(|(key, inner)| (key, inner.into_value(document)));
                Value::Object(members.collect::<Map<_, _>>())
            }
        }
    }
}

/// Whether PyYAML takes a text for a number: only with a point, or without an exponent.
///
/// *Source*: the resolvers in `yaml/resolver.py`, as far as its own writer goes.
fn is_number(text: &str) -> bool {
    let digits = text.trim_start_matches(['-', '+']);
    digits.contains('.')
        && (!digits.contains(['e', 'E']) || digits.contains("e+") || digits.contains("e-"))
        || digits.bytes().all(|byte| byte.is_ascii_digit())
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyKind)
    }
}

struct AnyKind;

impl<'de> Visitor<'de> for AnyKind {
    type Value = Kind;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Plain(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Kind, E> {
        Ok(Kind::Plain(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Kind, E> {
        Ok(Kind::Plain(Value::from(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Kind, E> {
        Ok(Kind::Plain(Value::from(value)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Kind, E> {
        Ok(Kind::Plain(Value::from(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Kind, E> {
        Ok(Kind::Plain(Value::from(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Kind, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Kind::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Kind, A::Error> {
        let mut list = Vec::new();
        while let Some(member) = members.next_entry()? {
            list.push(member);
        }
        Ok(Kind::Members(list))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_that_pyyaml_leaves_without_quotes_stay_texts() {
        let document = "é: [1e5, '1', 1, -2, 1.5, 1.0e-05, 1.0e+16, 0o17, yes1, true, null, 1.5e3, '0x1F']\nb: {c: 12e03}\nd: \"x\\ny\"\ne: 1e5\n";
        let node: Node = serde_saphyr::from_str(document).unwrap();
        assert_eq!(
            node.into_value(document),
            json!({
                "é": ["1e5", "1", 1, -2, 1.5, 1e-5, 1e16, "0o17", "yes1", true, null, "1.5e3", "0x1F"],
                "b": {"c": "12e03"}, "d": "x\ny", "e": "1e5",
            })
        );
    }
}
