//! Datasets as clients declare them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A dataset that a client declared as an input of a run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DatasetInput {
    /// Its name.
    pub name: String,
    /// The digest that the client computed; not one of ours.
    pub digest: String,
    /// What kind of source it has (`local`, `http`, …).
    pub source_type: String,
    /// The source, in the client's own form.
    pub source: String,
    /// The schema, in the client's own form.
    pub schema: Option<String>,
    /// Summary statistics, in the client's own form.
    pub profile: Option<String>,
    /// Tags of this use of it, such as `mlflow.data.context`.
    pub tags: BTreeMap<String, String>,
}
