//! Evaluation datasets: named lists of examples that models and agents are judged on.

mod record;
mod schema;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use crate::{DatasetId, DatasetRecordId, SealedRecord, Timestamp};
pub use record::{DatasetRecord, RecordMerge, RecordSource, inputs_digest};
pub use schema::{DatasetSchema, SchemaAddition};

/// The tag that names who made something.
pub const USER_TAG: &str = "mlflow.user";

/// What is known of an evaluation dataset, without its records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvaluationDataset {
    /// Its id.
    pub id: DatasetId,
    /// Its name; several may share it.
    pub name: String,
    /// Notes that may change.
    pub tags: BTreeMap<String, String>,
    /// MLflow's digest, which is another after each merge of records.
    pub digest: String,
    /// Which fields its records have, in MLflow's form; none before the first record.
    pub schema: Option<String>,
    /// How many records it has, in MLflow's form; none before the first record.
    pub profile: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Who created it.
    pub created_by: Option<String>,
    /// Who changed it last.
    pub updated_by: Option<String>,
}

impl EvaluationDataset {
    /// MLflow's digest of a dataset: of its name and of the time of its last merge, not of its records.
    ///
    /// *Source*: `_compute_dataset_digest` in `mlflow/store/tracking/sqlalchemy_store.py`.
    pub fn digest_of(name: &str, at: Timestamp) -> String {
        let hashed = sha2::Sha256::digest(format!("{name}:{}", at.as_millis()));
        hex::encode(&hashed[..4])
    }

    /// MLflow's summary of so many records.
    pub fn profile_of(count: u64) -> String {
        match count {
            // What is left where the last record was deleted.
            0 => "null".to_owned(),
            count => format!("{{\"num_records\": {count}}}"),
        }
    }
}

/// What one request says of one record, as an event holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MergedRecord {
    /// Which record: a new one, or the one that has these inputs already.
    pub id: DatasetRecordId,
    /// The `RecordMerge`.
    pub said: SealedRecord,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What MLflow 3.17.2 answered.
    #[test]
    fn digests_and_profiles_are_those_of_mlflow() {
        let at = Timestamp::from_millis(1_795_799_334_936);
        assert_eq!(EvaluationDataset::digest_of("qa", at), "b929fe2e");
        assert_eq!(EvaluationDataset::profile_of(2), "{\"num_records\": 2}");
        assert_eq!(EvaluationDataset::profile_of(0), "null");
    }
}
