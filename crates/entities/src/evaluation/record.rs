//! Records of a dataset, and how one follows from what was said of it.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use sha2::Digest as _;

use super::USER_TAG;
use crate::{DatasetRecordId, Sha256Digest, Timestamp, python};

/// Where a record came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordSource {
    /// `TRACE`, `HUMAN`, `DOCUMENT`, `CODE` or `UNSPECIFIED`.
    pub kind: String,
    /// Which trace, document and so on.
    pub data: Map<String, Value>,
}

impl RecordSource {
    /// The words that MLflow has for kinds of sources.
    pub const KINDS: [&str; 5] = ["UNSPECIFIED", "TRACE", "HUMAN", "DOCUMENT", "CODE"];

    /// The id by which its kind knows it.
    pub fn id(&self) -> Option<&str> {
        let key = match self.kind.as_str() {
            "TRACE" => "trace_id",
            _ => "source_id",
        };
        self.data.get(key)?.as_str()
    }
}

/// What one request says of a record.
///
/// It is kept beside the event, which holds its digest: so it can be removed for good.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordMerge {
    /// Random: whoever guesses what was removed cannot check the guess against the digest.
    pub salt: String,
    /// What goes into what is judged; the same inputs are the same record.
    pub inputs: Map<String, Value>,
    /// What came out; none where nothing was said, null where there is none any more.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "read_given"
    )]
    pub outputs: Option<Value>,
    /// What should come out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expectations: Option<Map<String, Value>>,
    /// Notes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Map<String, Value>>,
    /// Where it came from; only the first to say so is heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<RecordSource>,
}

/// A null that is there is not the same as nothing.
fn read_given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl RecordMerge {
    /// Who says it.
    pub fn user(&self) -> Option<&str> {
        self.tags.as_ref()?.get(USER_TAG)?.as_str()
    }
}

/// One example of a dataset.
#[derive(Clone, Debug, PartialEq)]
pub struct DatasetRecord {
    /// Its id.
    pub id: DatasetRecordId,
    /// What goes into what is judged.
    pub inputs: Map<String, Value>,
    /// What came out.
    pub outputs: Option<Value>,
    /// What should come out.
    pub expectations: Option<Map<String, Value>>,
    /// Notes.
    pub tags: Map<String, Value>,
    /// Where it came from.
    pub source: Option<RecordSource>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Who made it.
    pub created_by: Option<String>,
    /// Who changed it last.
    pub updated_by: Option<String>,
}

impl DatasetRecord {
    /// The record that the first request about it makes.
    ///
    /// *Source*: `upsert_dataset_records` in `mlflow/store/tracking/sqlalchemy_store.py`.
    pub fn new(id: DatasetRecordId, first: RecordMerge, created_at: Timestamp) -> Self {
        let user = first.user().map(str::to_owned);
        let RecordMerge {
            salt: _,
            inputs,
            outputs,
            expectations,
            tags,
            source,
        } = first;
        let outputs = outputs.unwrap_or_else(|| Value::Object(Map::new()));
        Self {
            id,
            inputs,
            outputs: Some(outputs).filter(|outputs| !outputs.is_null()),
            expectations,
            tags: tags.unwrap_or_default(),
            source,
            created_at,
            updated_at: created_at,
            created_by: user.clone(),
            updated_by: user,
        }
    }

    /// Takes what a later request says: outputs are replaced, expectations and tags added to.
    ///
    /// *Source*: `SqlEvaluationDatasetRecord.merge` in `mlflow/store/tracking/dbmodels/models.py`.
    pub fn take(&mut self, later: RecordMerge) {
        if let Some(user) = later.user() {
            self.updated_by = Some(user.to_owned());
        }
        let RecordMerge {
            salt: _,
            inputs: _,
            outputs,
            expectations,
            tags,
            source: _,
        } = later;
        if let Some(outputs) = outputs {
            self.outputs = Some(outputs).filter(|outputs| !outputs.is_null());
        }
        if let Some(expectations) = expectations.filter(|map| !map.is_empty()) {
            let known = self.expectations.get_or_insert_with(Map::new);
            known.extend(expectations);
        }
        self.tags.extend(tags.unwrap_or_default());
    }
}

/// By what records are told apart: the same inputs, whatever their order, are the same record.
pub fn inputs_digest(inputs: &Map<String, Value>) -> String {
    let sorted = sort_keys(&Value::Object(inputs.clone()));
    let hashed = sha2::Sha256::digest(python::dumps_loaded(&sorted));
    Sha256Digest::from_bytes(hashed.into()).to_string()
}

fn sort_keys(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(sort_keys).collect(),
        Value::Object(members) => {
            let mut pairs: Vec<_> = members.iter().collect();
            pairs.sort_by_key(|(key, _)| *key);
            let sorted = pairs
                .into_iter()
                .map(|(key, member)| (key.clone(), sort_keys(member)));
            Value::Object(sorted.collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merge(value: &Value) -> RecordMerge {
        let mut value = value.clone();
        value["salt"] = json!("s");
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_order_of_inputs_makes_no_other_record_and_their_types_do() {
        let digest = |value: Value| inputs_digest(value.as_object().unwrap());
        assert_eq!(
            digest(json!({"a": 1, "b": {"c": 2, "d": [{"e": 1, "f": 2}]}})),
            digest(json!({"b": {"d": [{"f": 2, "e": 1}], "c": 2}, "a": 1}))
        );
        assert_ne!(digest(json!({"a": 1})), digest(json!({"a": 1.0})));
        assert_ne!(digest(json!({"a": [1, 2]})), digest(json!({"a": [2, 1]})));
    }

    #[test]
    fn later_requests_replace_outputs_and_add_to_the_rest() {
        let first = merge(&json!({"inputs": {"q": 1}, "tags": {"mlflow.user": "ann"}}));
        let id = "dr-1".parse().unwrap();
        let mut record = DatasetRecord::new(id, first, Timestamp::from_millis(1));
        assert_eq!(record.outputs, Some(json!({})));
        assert_eq!(record.expectations, None);
        record.take(merge(
            &json!({"inputs": {}, "outputs": "o", "expectations": {}}),
        ));
        assert_eq!(record.outputs, Some(json!("o")));
        assert_eq!(record.expectations, None);
        record.take(merge(&json!({
            "inputs": {}, "expectations": {"a": 1}, "tags": {"mlflow.user": "bob", "t": "1"},
            "source": {"kind": "CODE", "data": {}},
        })));
        record.take(merge(
            &json!({"inputs": {}, "outputs": null, "expectations": {"b": 2}}),
        ));
        assert_eq!(record.outputs, None);
        assert_eq!(json!(record.expectations), json!({"a": 1, "b": 2}));
        assert_eq!(json!(record.tags), json!({"mlflow.user": "bob", "t": "1"}));
        assert_eq!(record.created_by.as_deref(), Some("ann"));
        assert_eq!(record.updated_by.as_deref(), Some("bob"));
        assert_eq!(record.source, None);
    }

    #[test]
    fn a_null_that_is_there_survives() {
        let said = merge(&json!({"inputs": {}, "outputs": null}));
        assert_eq!(said.outputs, Some(Value::Null));
        let text = serde_json::to_string(&said).unwrap();
        assert_eq!(serde_json::from_str::<RecordMerge>(&text).unwrap(), said);
        assert_eq!(merge(&json!({"inputs": {}})).outputs, None);
    }
}
