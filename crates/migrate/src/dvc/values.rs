//! Values in files of params and metrics, and histories of metrics.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeOwned, Deserializer, Error as _, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Map, Value};
use serde_saphyr::options::NonFiniteFloatPolicy;

use crate::mlflow::read_json;

/// How deep values are looked into; what is nested deeper is JSON.
const DEEPEST: usize = 32;

/// Reads a file of values by the end of its name, as DVC does; what is neither JSON nor TOML is YAML.
///
/// Numbers that JSON does not have are texts: `NaN` and `Infinity`.
pub(super) fn read_values(path: &str, text: &str) -> Result<Value, String> {
    match path.rsplit_once('.').map(|(_, end)| end) {
        Some("json") => read_json(text).map_err(|error| error.to_string()),
        Some("toml") => toml::from_str::<toml::Table>(text)
            .map(|table| of_toml(toml::Value::Table(table)))
            .map_err(|error| error.message().to_owned()),
        _ => read_yaml(text),
    }
}

/// Reads YAML of version 1.2, as DVC does.
pub(super) fn read_yaml(text: &str) -> Result<Value, String> {
    parse_yaml(text).map(|Yaml(value)| value)
}

/// Reads YAML of version 1.2 as what is wanted: `yes` and `y` are texts there.
pub(super) fn parse_yaml<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        with_snippet: false,
    };
    let read = serde_saphyr::from_str_with_options(text, options);
    read.map_err(|error| error.to_string())
}

/// Whether only an interpreter of Python could read a file of params.
pub(super) fn is_python(path: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, end)| end == "py")
}

/// Values by their whole names: those inside of others, with dots between.
pub(super) fn flat(value: Value) -> BTreeMap<String, Value> {
    let mut flat = BTreeMap::new();
    let mut waiting = vec![(String::new(), value, 0)];
    while let Some((name, value, depth)) = waiting.pop() {
        match value {
            Value::Object(members) if depth < DEEPEST && !members.is_empty() => {
                for (key, inner) in members {
                    let name = if name.is_empty() {
                        key
                    } else {
                        format!("{name}.{key}")
                    };
                    waiting.push((name, inner, depth + 1));
                }
            }
            value if !name.is_empty() => drop(flat.insert(name, value)),
            _ => {}
        }
    }
    flat
}

/// A value of a param as a text.
pub(super) fn text_of(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// A value of a metric as a number; a truth is 1 or 0.
pub(super) fn number_of(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::Bool(truth) => Some(f64::from(u8::from(*truth))),
        Value::String(text) => number_in(text),
        _ => None,
    }
}

/// One point of a history.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) step: i64,
    pub(super) value: f64,
    /// In milliseconds since the epoch, where the history tells it.
    pub(super) timestamp_ms: Option<i64>,
}

/// What a history says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Told {
    pub(super) points: Vec<Point>,
    /// How many of its values are no numbers.
    pub(super) others: u64,
    /// The first line that is no point.
    pub(super) odd_line: Option<usize>,
}

/// Reads a history as DVCLive writes it: a line of names, and a line a step. None where it is a table of another kind.
///
/// *Source*: `dvclive/plots/metric.py`: the columns are `timestamp` where it is asked for, `step`, and the metric.
pub(super) fn read_history(text: &str) -> Option<Told> {
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next()?.split('\t').collect();
    let step = names.iter().position(|name| *name == "step")?;
    let time = names.iter().position(|name| *name == "timestamp");
    let value = (0..names.len()).rfind(|place| *place != step && Some(*place) != time)?;
    let mut told = Told::default();
    for (index, line) in lines.enumerate() {
        if line.is_empty() {
            continue;
        }
        let cells: Vec<&str> = line.split('\t').collect();
        let whole = |place: usize| cells.get(place)?.parse::<i64>().ok();
        let (Some(step), Some(cell)) = (whole(step), cells.get(value)) else {
            told.odd_line = told.odd_line.or(Some(index + 2));
            continue;
        };
        match number_in(cell) {
            Some(value) => told.points.push(Point {
                step,
                value,
                timestamp_ms: time.and_then(whole),
            }),
            None => told.others += 1,
        }
    }
    Some(told)
}

/// A number as Python writes it.
fn number_in(text: &str) -> Option<f64> {
    match text {
        "nan" | "NaN" => Some(f64::NAN),
        "inf" | "Infinity" => Some(f64::INFINITY),
        "-inf" | "-Infinity" => Some(f64::NEG_INFINITY),
        "True" => Some(1.0),
        "False" => Some(0.0),
        _ if text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first)) => {
            text.parse().ok().filter(|value: &f64| value.is_finite())
        }
        _ => None,
    }
}

fn of_number(value: f64) -> Value {
    let text = || match value {
        _ if value.is_nan() => "NaN",
        _ if value > 0.0 => "Infinity",
        _ => "-Infinity",
    };
    serde_json::Number::from_f64(value).map_or_else(|| Value::from(text()), Value::Number)
}

fn of_toml(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => Value::from(number),
        toml::Value::Float(number) => of_number(number),
        toml::Value::Boolean(truth) => Value::Bool(truth),
        toml::Value::Datetime(moment) => Value::String(moment.to_string()),
        toml::Value::Array(items) => items.into_iter().map(of_toml).collect(),
        toml::Value::Table(members) => {
            let members = members.into_iter();
            let members = members.map(|(key, inner)| (key, of_toml(inner)));
            Value::Object(members.collect())
        }
    }
}

/// A value of YAML, whose keys may be anything and whose numbers may be none of JSON's.
struct Yaml(Value);

impl<'de> Deserialize<'de> for Yaml {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyYaml).map(Self)
    }
}

struct AnyYaml;

impl<'de> Visitor<'de> for AnyYaml {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Value, E> {
        Ok(Value::from(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Value, E> {
        Ok(Value::from(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(of_number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Yaml(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((Yaml(key), Yaml(inner))) = members.next_entry()? {
            let key = match key {
                Value::Array(_) | Value::Object(_) => {
                    return Err(A::Error::custom("a key is a list or a map"));
                }
                plain => text_of(plain),
            };
            map.insert(key, inner);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_read_by_the_end_of_the_name() {
        let expected = json!({"a": {"b": 1}, "c": "x"});
        for (path, text) in [
            ("m.json", r#"{"a": {"b": 1}, "c": "x"}"#),
            ("m.yaml", "a: {b: 1}\nc: x\n"),
            ("m.yml", "a:\n  b: 1\nc: 'x'\n"),
            ("m", "a: {b: 1}\nc: x"),
            ("m.toml", "c = 'x'\n[a]\nb = 1\n"),
        ] {
            assert_eq!(read_values(path, text), Ok(expected.clone()), "{path}");
        }
        for (path, text) in [
            ("m.json", "{"),
            ("m.toml", "="),
            ("m.yaml", "["),
            ("m.yaml", "a: 1\na: 2\n"),
        ] {
            assert!(read_values(path, text).is_err(), "{path}");
        }
        assert_eq!(flat(expected)["a.b"], json!(1));
    }

    #[test]
    fn numbers_and_keys_that_json_lacks_are_kept() {
        let yaml = "a: .nan\nb: -.inf\nc: 1e-5\n1: {true: 2}\ne: 2024-01-02\nf: 0o17\ng: yes\nh:\n";
        let found = flat(read_values("p.yaml", yaml).unwrap());
        let told: Vec<_> = found
            .into_iter()
            .map(|(name, value)| format!("{name}={}", text_of(value)))
            .collect();
        assert_eq!(
            told,
            [
                "1.true=2",
                "a=NaN",
                "b=-Infinity",
                "c=0.00001",
                "e=2024-01-02",
                "f=15",
                "g=yes",
                "h=null"
            ]
        );
        let toml = "a = nan\nb = 1979-05-27\n";
        let found = read_values("p.toml", toml).unwrap();
        assert_eq!(found, json!({"a": "NaN", "b": "1979-05-27"}));
        let json = read_values("m.json", r#"{"n": NaN, "i": -Infinity, "t": true}"#).unwrap();
        assert!(number_of(&json["n"]).unwrap().is_nan());
        assert_eq!(number_of(&json["i"]), Some(f64::NEG_INFINITY));
        assert_eq!(number_of(&json["t"]), Some(1.0));
        assert_eq!(number_of(&json!("forest")), None);
    }

    #[test]
    fn a_history_is_read_with_and_without_times() {
        let told = read_history("step\tloss\n0\t1.0\n1\tnan\n").unwrap();
        let points = told.points;
        assert_eq!(
            (points[0].step, points[0].value, points[0].timestamp_ms),
            (0, 1.0, None)
        );
        assert!(points[1].value.is_nan());
        let told = read_history("timestamp\tstep\tacc\r\n1700\t3\t0.5\r\n").unwrap();
        let point = Point {
            step: 3,
            value: 0.5,
            timestamp_ms: Some(1700),
        };
        assert_eq!(told.points, [point]);
        let told = read_history("step\tword\n0\tred\nx\t1\n\n2\tTrue\n3\n").unwrap();
        assert_eq!((told.others, told.odd_line), (1, Some(3)));
        assert_eq!((told.points[0].step, told.points[0].value), (2, 1.0));
        for other in ["", "loss\n1", "step\n1", "a\tb\n1\t2\n"] {
            assert_eq!(read_history(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reading_fail(text in "(step\tv\n)?[0-9a-z\t\n.{}:\\[\\]&*<-]{0,80}") {
            drop(read_history(&text));
            for path in ["a.json", "a.yaml", "a.toml"] {
                if let Ok(value) = read_values(path, &text) {
                    flat(value);
                }
            }
        }
    }
}
