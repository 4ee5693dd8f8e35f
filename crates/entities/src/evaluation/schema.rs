//! Which fields the records of a dataset have.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::RecordMerge;
use crate::python;

/// Which fields the records of a dataset have, and what their first values were: MLflow's words for types.
///
/// *Source*: `_update_dataset_schema` in `mlflow/store/tracking/sqlalchemy_store.py`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatasetSchema {
    inputs: Map<String, Value>,
    /// Types of its fields, or one type where outputs have no fields.
    outputs: Value,
    expectations: Map<String, Value>,
    version: String,
}

/// What one merge adds to a schema, kept beside its event: names of fields may say something too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SchemaAddition {
    /// Random, as in `RecordMerge`.
    pub salt: String,
    /// The fields of the records that were merged.
    pub fields: DatasetSchema,
}

impl Default for DatasetSchema {
    fn default() -> Self {
        Self {
            inputs: Map::new(),
            outputs: Value::Object(Map::new()),
            expectations: Map::new(),
            version: "1.0".to_owned(),
        }
    }
}

impl DatasetSchema {
    /// The fields of some records.
    pub fn of<'r>(records: impl IntoIterator<Item = &'r RecordMerge>) -> Self {
        let mut schema = Self::default();
        for record in records {
            let none = Map::new();
            let expectations = record.expectations.as_ref().unwrap_or(&none);
            let outputs = match &record.outputs {
                Some(Value::Object(fields)) => Value::Object(types_of(fields)),
                None | Some(Value::Null) => Value::Object(Map::new()),
                Some(other) => Value::from(type_of(other)),
            };
            schema.take(Self {
                inputs: types_of(&record.inputs),
                outputs,
                expectations: types_of(expectations),
                version: String::new(),
            });
        }
        schema
    }

    /// Adds the fields that are not known yet.
    pub fn take(&mut self, later: Self) {
        add(&mut self.inputs, later.inputs);
        add(&mut self.expectations, later.expectations);
        match (&mut self.outputs, later.outputs) {
            (Value::Object(known), Value::Object(fields)) => add(known, fields),
            (Value::Object(known), one) if known.is_empty() => self.outputs = one,
            // MLflow's server fails where outputs with fields and without come together.
            _ => {}
        }
    }

    /// Reads what `encode` wrote.
    pub fn decode(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The form that MLflow's clients read.
    pub fn encode(&self) -> String {
        let value = serde_json::to_value(self).expect("a schema has text keys only");
        python::dumps(&value)
    }
}

fn add(known: &mut Map<String, Value>, fields: Map<String, Value>) {
    for (key, kind) in fields {
        known.entry(key).or_insert(kind);
    }
}

fn types_of(fields: &Map<String, Value>) -> Map<String, Value> {
    let types = fields.iter();
    types
        .map(|(key, value)| (key.clone(), Value::from(type_of(value))))
        .collect()
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "integer",
        Value::String(text) => match python::number_in(text) {
            Some(number) if number.ends_with(|last: char| last.is_ascii_digit()) => "integer",
            Some(_) => "float",
            None => "string",
        },
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(records: &[Value]) -> DatasetSchema {
        let merges: Vec<RecordMerge> = records
            .iter()
            .map(|record| {
                let mut record = record.clone();
                record["salt"] = json!("s");
                serde_json::from_value(record).unwrap()
            })
            .collect();
        DatasetSchema::of(&merges)
    }

    /// What MLflow 3.17.2 answered.
    #[test]
    fn fields_and_their_types_are_those_of_mlflow() {
        let inputs = python::loads(
            r#"{"i": 1, "f": 1.5, "t": "", "b": true, "z": null, "l": [1], "o": {"a": 1}, "n": NaN, "g": 12345678901234567890123}"#,
        );
        let schema = of(&[
            json!({"inputs": inputs.unwrap(), "outputs": [1, 2], "expectations": {"m": -0.0}}),
        ]);
        assert_eq!(
            schema.encode(),
            r#"{"inputs": {"i": "integer", "f": "float", "t": "string", "b": "boolean", "z": "null", "l": "array", "o": "object", "n": "float", "g": "integer"}, "outputs": "array", "expectations": {"m": "float"}, "version": "1.0"}"#
        );
    }

    #[test]
    fn the_first_type_of_a_field_stays() {
        let mut schema = of(&[
            json!({"inputs": {"a": 1}, "outputs": {"x": 1}}),
            json!({"inputs": {"a": "t", "b": "t"}, "outputs": "said"}),
        ]);
        schema.take(of(&[
            json!({"inputs": {"b": 1, "c": 1}, "outputs": {"y": null}}),
        ]));
        let text = schema.encode();
        assert_eq!(
            text,
            r#"{"inputs": {"a": "integer", "b": "string", "c": "integer"}, "outputs": {"x": "integer", "y": "null"}, "expectations": {}, "version": "1.0"}"#
        );
        assert_eq!(DatasetSchema::decode(&text).unwrap(), schema);
        let mut of_text = of(&[json!({"inputs": {}, "outputs": "said"})]);
        of_text.take(schema);
        assert!(of_text.encode().contains(r#""outputs": "string""#));
    }
}
