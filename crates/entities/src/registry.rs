//! The model registry: names under which versions of a model are kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{ModelId, ObjectId, RunId, Timestamp};

/// Tag that makes a registered model a prompt.
pub const PROMPT_TAG: &str = "mlflow.prompt.is_prompt";

/// Number of a version, from 1; one that was given is never given again under the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VersionNumber(u32);

impl VersionNumber {
    /// The first version of every model.
    pub const FIRST: Self = Self(1);

    /// A number; none for 0 and below, and beyond 32 bits.
    pub fn new(number: i64) -> Option<Self> {
        u32::try_from(number)
            .ok()
            .filter(|number| *number > 0)
            .map(Self)
    }

    /// As a number.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The number after it; none after the last.
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

impl std::fmt::Display for VersionNumber {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Where a version stands, in MLflow's older way; aliases are the newer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Stage {
    /// Nowhere yet.
    None,
    /// Being tried out.
    Staging,
    /// In use.
    Production,
    /// No longer in use.
    Archived,
}

impl Stage {
    /// All of them, in MLflow's order.
    pub const ALL: [Self; 4] = [Self::None, Self::Staging, Self::Production, Self::Archived];

    /// MLflow's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Staging => "Staging",
            Self::Production => "Production",
            Self::Archived => "Archived",
        }
    }

    /// Reads MLflow's word, in any case.
    pub fn find(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|stage| stage.as_str().eq_ignore_ascii_case(word))
    }

    /// Whether versions in it are looked for where nobody says which.
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Staging | Self::Production)
    }
}

/// A name under which versions of a model are kept. A prompt is one too, told by its tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisteredModel {
    /// Its name, which is its identity.
    pub name: String,
    /// What somebody says of it.
    pub description: Option<String>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

impl RegisteredModel {
    /// Whether it is a prompt.
    pub fn is_prompt(&self) -> bool {
        is_prompt(&self.tags)
    }
}

/// Whether something with these tags is a prompt.
pub fn is_prompt(tags: &BTreeMap<String, String>) -> bool {
    tags.get(PROMPT_TAG)
        .is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// One version of a registered model, tied to what it was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelVersion {
    /// Name of the registered model.
    pub name: String,
    /// Its number.
    pub version: VersionNumber,
    /// What somebody says of it.
    pub description: Option<String>,
    /// Where it stands.
    pub stage: Stage,
    /// The URI that it was registered from, as it was given.
    pub source: String,
    /// The URI of its files, where it is another.
    pub files_uri: Option<String>,
    /// The run that made it.
    pub run: Option<RunId>,
    /// The logged model that it is.
    pub logged_model: Option<ModelId>,
    /// A link of the client's to the run.
    pub run_link: Option<String>,
    /// Its files as they were when it was registered, as a tree; none where they are kept elsewhere, or there were none.
    pub files: Option<ObjectId>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

impl ModelVersion {
    /// The URI below which its files are.
    pub fn download_uri(&self) -> &str {
        self.files_uri.as_deref().unwrap_or(&self.source)
    }
}

/// A version with the aliases that point at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelVersionDetail {
    /// The version.
    pub version: ModelVersion,
    /// The aliases, sorted.
    pub aliases: Vec<String>,
}

/// A registered model with what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredModelDetail {
    /// The model.
    pub model: RegisteredModel,
    /// Aliases and the versions that they point at.
    pub aliases: BTreeMap<String, VersionNumber>,
    /// The latest version in each stage, by number; without their aliases, as MLflow gives them.
    pub latest: Vec<ModelVersion>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_read_in_any_case() {
        for stage in Stage::ALL {
            assert_eq!(Stage::find(&stage.as_str().to_uppercase()), Some(stage));
        }
        assert_eq!(Stage::find("Deleted_Internal"), None);
        assert_eq!(Stage::find(""), None);
    }

    #[test]
    fn versions_are_numbered_from_one() {
        assert_eq!(VersionNumber::new(1), Some(VersionNumber::FIRST));
        assert_eq!(VersionNumber::new(0), None);
        assert_eq!(VersionNumber::new(-1), None);
        assert_eq!(VersionNumber::new(1 << 32), None);
        let last = VersionNumber::new(i64::from(u32::MAX)).unwrap();
        assert_eq!(last.next(), None);
    }

    #[test]
    fn a_prompt_is_told_by_its_tag() {
        let tags = |value: &str| BTreeMap::from([(PROMPT_TAG.to_owned(), value.to_owned())]);
        assert!(is_prompt(&tags("True")));
        assert!(!is_prompt(&tags("false")));
        assert!(!is_prompt(&BTreeMap::new()));
    }
}
