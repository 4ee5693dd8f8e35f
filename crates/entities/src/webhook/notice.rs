//! What the changes of an event tell webhooks.

use std::collections::BTreeMap;

use crate::{Change, ModelVersion, RegisteredModel, VersionNumber, WebhookEvent, is_prompt};

/// One thing that a webhook may be told, as the body of an event holds it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Notice<'c> {
    /// A name was registered.
    ModelCreated(&'c RegisteredModel),
    /// A version was registered.
    VersionCreated(&'c ModelVersion),
    /// A tag of a registered model was set, which MLflow tells of prompts alone.
    ModelTagSet {
        /// Name of the registered model.
        name: &'c str,
        /// The tag.
        key: &'c str,
        /// Its value.
        value: &'c str,
    },
    /// A tag of a registered model was deleted, which MLflow tells of prompts alone.
    ModelTagDeleted {
        /// Name of the registered model.
        name: &'c str,
        /// The tag.
        key: &'c str,
    },
    /// A tag of a version was set.
    VersionTagSet {
        /// Name of the registered model.
        name: &'c str,
        /// The version.
        version: VersionNumber,
        /// The tag.
        key: &'c str,
        /// Its value.
        value: &'c str,
    },
    /// A tag of a version was deleted.
    VersionTagDeleted {
        /// Name of the registered model.
        name: &'c str,
        /// The version.
        version: VersionNumber,
        /// The tag.
        key: &'c str,
    },
    /// An alias was made to point at a version.
    AliasSet {
        /// Name of the registered model.
        name: &'c str,
        /// The alias.
        alias: &'c str,
        /// The version.
        version: VersionNumber,
    },
    /// An alias was deleted.
    AliasDeleted {
        /// Name of the registered model.
        name: &'c str,
        /// The alias.
        alias: &'c str,
    },
}

impl<'c> Notice<'c> {
    /// All that the changes of an event tell, in their order. A place in it names one of them for ever.
    pub fn list(changes: &'c [Change]) -> Vec<Self> {
        changes.iter().flat_map(notices_of).collect()
    }

    /// The registered model or prompt that it is about.
    pub fn model(&self) -> &'c str {
        match self {
            Self::ModelCreated(model) => &model.name,
            Self::VersionCreated(version) => &version.name,
            Self::ModelTagSet { name, .. }
            | Self::ModelTagDeleted { name, .. }
            | Self::VersionTagSet { name, .. }
            | Self::VersionTagDeleted { name, .. }
            | Self::AliasSet { name, .. }
            | Self::AliasDeleted { name, .. } => name,
        }
    }

    /// Whether it is about a prompt, where it says so itself: what is created does, by its tags.
    pub fn says_prompt(&self) -> Option<bool> {
        match self {
            Self::ModelCreated(model) => Some(is_prompt(&model.tags)),
            Self::VersionCreated(version) => Some(is_prompt(&version.tags)),
            _ => None,
        }
    }

    /// What it is called; none where nobody is told.
    pub fn event(&self, is_about_prompt: bool) -> Option<WebhookEvent> {
        use WebhookEvent as Event;
        let (of_model, of_prompt) = match self {
            Self::ModelCreated(_) => (Some(Event::RegisteredModelCreated), Event::PromptCreated),
            Self::VersionCreated(_) => (
                Some(Event::ModelVersionCreated),
                Event::PromptVersionCreated,
            ),
            Self::ModelTagSet { .. } => (None, Event::PromptTagSet),
            Self::ModelTagDeleted { .. } => (None, Event::PromptTagDeleted),
            Self::VersionTagSet { .. } => {
                (Some(Event::ModelVersionTagSet), Event::PromptVersionTagSet)
            }
            Self::VersionTagDeleted { .. } => (
                Some(Event::ModelVersionTagDeleted),
                Event::PromptVersionTagDeleted,
            ),
            Self::AliasSet { .. } => (
                Some(Event::ModelVersionAliasCreated),
                Event::PromptAliasCreated,
            ),
            Self::AliasDeleted { .. } => (
                Some(Event::ModelVersionAliasDeleted),
                Event::PromptAliasDeleted,
            ),
        };
        if is_about_prompt {
            Some(of_prompt)
        } else {
            of_model
        }
    }
}

fn notices_of(change: &Change) -> Vec<Notice<'_>> {
    match change {
        Change::RegisteredModelCreated { model } => vec![Notice::ModelCreated(model)],
        Change::ModelVersionCreated { version } => vec![Notice::VersionCreated(version)],
        Change::RegisteredModelTagsSet { name, tags } => each_tag(tags, |key, value| {
            let name = name.as_str();
            Notice::ModelTagSet { name, key, value }
        }),
        Change::RegisteredModelTagDeleted { name, key } => {
            vec![Notice::ModelTagDeleted { name, key }]
        }
        Change::ModelVersionTagsSet {
            name,
            version,
            tags,
        } => each_tag(tags, |key, value| Notice::VersionTagSet {
            name,
            version: *version,
            key,
            value,
        }),
        Change::ModelVersionTagDeleted { name, version, key } => vec![Notice::VersionTagDeleted {
            name,
            version: *version,
            key,
        }],
        Change::AliasSet {
            name,
            alias,
            version,
        } => vec![Notice::AliasSet {
            name,
            alias,
            version: *version,
        }],
        Change::AliasDeleted { name, alias } => vec![Notice::AliasDeleted { name, alias }],
        _ => Vec::new(),
    }
}

fn each_tag<'c>(
    tags: &'c BTreeMap<String, String>,
    make: impl Fn(&'c str, &'c str) -> Notice<'c>,
) -> Vec<Notice<'c>> {
    tags.iter()
        .map(|(key, value)| make(key.as_str(), value.as_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tag_is_told_by_itself_and_only_prompts_tell_their_own() {
        let tags = BTreeMap::from([
            ("a".to_owned(), "1".to_owned()),
            ("b".to_owned(), "2".to_owned()),
        ]);
        let changes = [
            Change::RegisteredModelTagsSet {
                name: "net".to_owned(),
                tags: tags.clone(),
            },
            Change::RegisteredModelDeleted {
                name: "old".to_owned(),
            },
            Change::ModelVersionTagsSet {
                name: "net".to_owned(),
                version: VersionNumber::FIRST,
                tags,
            },
        ];
        let notices = Notice::list(&changes);
        assert_eq!(notices.len(), 4);
        let events = |is_prompt| -> Vec<_> {
            let told = notices.iter().map(|notice| notice.event(is_prompt));
            told.map(|event| event.map(WebhookEvent::as_str)).collect()
        };
        let version = Some("model_version_tag.set");
        assert_eq!(events(false), [None, None, version, version]);
        assert_eq!(
            events(true),
            [
                Some("prompt_tag.set"),
                Some("prompt_tag.set"),
                Some("prompt_version_tag.set"),
                Some("prompt_version_tag.set")
            ]
        );
    }
}
