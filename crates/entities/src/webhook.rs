//! Webhooks: addresses that are told when something in the registry changes.

mod notice;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{ObjectId, Timestamp, WebhookId};
pub use notice::*;

/// What a webhook can be told of, in MLflow's words and their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum WebhookEvent {
    /// A version was registered.
    #[serde(rename = "model_version.created")]
    ModelVersionCreated,
    /// An alias was made to point at a version.
    #[serde(rename = "model_version_alias.created")]
    ModelVersionAliasCreated,
    /// An alias was deleted.
    #[serde(rename = "model_version_alias.deleted")]
    ModelVersionAliasDeleted,
    /// A tag of a version was deleted.
    #[serde(rename = "model_version_tag.deleted")]
    ModelVersionTagDeleted,
    /// A tag of a version was set.
    #[serde(rename = "model_version_tag.set")]
    ModelVersionTagSet,
    /// A prompt was registered.
    #[serde(rename = "prompt.created")]
    PromptCreated,
    /// An alias was made to point at a version of a prompt.
    #[serde(rename = "prompt_alias.created")]
    PromptAliasCreated,
    /// An alias of a prompt was deleted.
    #[serde(rename = "prompt_alias.deleted")]
    PromptAliasDeleted,
    /// A tag of a prompt was deleted.
    #[serde(rename = "prompt_tag.deleted")]
    PromptTagDeleted,
    /// A tag of a prompt was set.
    #[serde(rename = "prompt_tag.set")]
    PromptTagSet,
    /// A version of a prompt was registered.
    #[serde(rename = "prompt_version.created")]
    PromptVersionCreated,
    /// A tag of a prompt's version was deleted.
    #[serde(rename = "prompt_version_tag.deleted")]
    PromptVersionTagDeleted,
    /// A tag of a prompt's version was set.
    #[serde(rename = "prompt_version_tag.set")]
    PromptVersionTagSet,
    /// A model was registered.
    #[serde(rename = "registered_model.created")]
    RegisteredModelCreated,
}

impl WebhookEvent {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::ModelVersionCreated,
        Self::ModelVersionAliasCreated,
        Self::ModelVersionAliasDeleted,
        Self::ModelVersionTagDeleted,
        Self::ModelVersionTagSet,
        Self::PromptCreated,
        Self::PromptAliasCreated,
        Self::PromptAliasDeleted,
        Self::PromptTagDeleted,
        Self::PromptTagSet,
        Self::PromptVersionCreated,
        Self::PromptVersionTagDeleted,
        Self::PromptVersionTagSet,
        Self::RegisteredModelCreated,
    ];

    /// What it is about and what happened, with a dot between.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ModelVersionCreated => "model_version.created",
            Self::ModelVersionAliasCreated => "model_version_alias.created",
            Self::ModelVersionAliasDeleted => "model_version_alias.deleted",
            Self::ModelVersionTagDeleted => "model_version_tag.deleted",
            Self::ModelVersionTagSet => "model_version_tag.set",
            Self::PromptCreated => "prompt.created",
            Self::PromptAliasCreated => "prompt_alias.created",
            Self::PromptAliasDeleted => "prompt_alias.deleted",
            Self::PromptTagDeleted => "prompt_tag.deleted",
            Self::PromptTagSet => "prompt_tag.set",
            Self::PromptVersionCreated => "prompt_version.created",
            Self::PromptVersionTagDeleted => "prompt_version_tag.deleted",
            Self::PromptVersionTagSet => "prompt_version_tag.set",
            Self::RegisteredModelCreated => "registered_model.created",
        }
    }

    /// Reads what `as_str` wrote.
    pub fn find(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.as_str() == text)
    }

    /// What it is about, such as `model_version`.
    pub fn entity(self) -> &'static str {
        self.parts().0
    }

    /// What happened, such as `created`.
    pub fn action(self) -> &'static str {
        self.parts().1
    }

    fn parts(self) -> (&'static str, &'static str) {
        self.as_str()
            .split_once('.')
            .expect("each of the words has a dot")
    }
}

/// Whether a webhook is told anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum WebhookStatus {
    /// It is told.
    Active,
    /// It is not; what happens meanwhile is not told later either.
    Disabled,
}

impl WebhookStatus {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Active, Self::Disabled];

    /// MLflow's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Disabled => "DISABLED",
        }
    }

    /// Reads MLflow's word.
    pub fn find(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

/// An address that is told of changes. Its secret is no part of it: that is kept sealed, beside the events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// What somebody calls it; several may be called the same.
    pub name: String,
    /// What somebody says of it.
    pub description: Option<String>,
    /// The address.
    pub url: String,
    /// What it is told of.
    pub events: BTreeSet<WebhookEvent>,
    /// Whether it is told.
    pub status: WebhookStatus,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// What changes of a webhook; what is none stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookUpdate {
    /// The new name.
    pub name: Option<String>,
    /// The new description; an empty one is none.
    pub description: Option<String>,
    /// The new address.
    pub url: Option<String>,
    /// What it is told of from now on.
    pub events: Option<BTreeSet<WebhookEvent>>,
    /// Whether it is told from now on.
    pub status: Option<WebhookStatus>,
    /// What becomes of the secret.
    pub secret: SecretUpdate,
}

/// What becomes of the secret of a webhook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretUpdate {
    /// It stays as it is, or missing.
    #[default]
    Kept,
    /// It is gone: deliveries are not signed any more.
    Removed,
    /// It is another one.
    Replaced(SealedSecret),
}

/// A secret that only its owner's key opens.
///
/// The event holds the digest of the sealed bytes, which tells nothing of the secret. The bytes stand beside the event,
/// so that they can be removed for good.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedSecret {
    /// Digest of the sealed bytes.
    pub digest: ObjectId,
    /// The sealed bytes; empty where they were removed.
    #[serde(skip)]
    pub sealed: Vec<u8>,
}

impl SealedSecret {
    /// Names sealed bytes.
    pub fn of(sealed: Vec<u8>) -> Self {
        Self {
            digest: ObjectId::of(&sealed),
            sealed,
        }
    }
}

impl std::fmt::Debug for SealedSecret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "SealedSecret({})", self.digest.short())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_in_the_order_of_their_words_and_have_one_word_each() {
        let words: Vec<_> = WebhookEvent::ALL
            .iter()
            .map(|event| (event.entity(), event.action()))
            .collect();
        assert!(words.is_sorted());
        assert!(WebhookEvent::ALL.is_sorted());
        for event in WebhookEvent::ALL {
            assert_eq!(WebhookEvent::find(event.as_str()), Some(event));
            assert_eq!(serde_json::to_value(event).unwrap(), event.as_str());
        }
        assert_eq!(WebhookEvent::find("budget_policy.exceeded"), None);
    }

    #[test]
    fn the_body_of_an_event_holds_nothing_of_a_secret_but_a_digest() {
        let secret = SealedSecret::of(b"sealed bytes".to_vec());
        let body = serde_json::to_string(&SecretUpdate::Replaced(secret.clone())).unwrap();
        assert_eq!(
            body,
            format!(r#"{{"replaced":{{"digest":"{}"}}}}"#, secret.digest)
        );
        assert!(!format!("{secret:?}").contains("sealed bytes"));
    }
}
