//! Users, their tokens, roles, and what they may do.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::{ExperimentId, ObjectId, Timestamp, TokenId};

/// A pattern of a right that means every resource of its kind.
pub const ANY_RESOURCE: &str = "*";

/// How much may be done with something, in MLflow's words and from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Permission {
    /// Nothing, whatever else was given.
    Deny,
    /// Nothing.
    NoPermissions,
    /// To read.
    Read,
    /// To read, and to use.
    Use,
    /// To read, use and change.
    Edit,
    /// All, also to delete, and to say what others may do.
    Manage,
}

impl Permission {
    /// All of them, in the order in which MLflow lists them.
    pub const ALL: [Self; 6] = [
        Self::Read,
        Self::Use,
        Self::Edit,
        Self::Manage,
        Self::NoPermissions,
        Self::Deny,
    ];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "DENY",
            Self::NoPermissions => "NO_PERMISSIONS",
            Self::Read => "READ",
            Self::Use => "USE",
            Self::Edit => "EDIT",
            Self::Manage => "MANAGE",
        }
    }

    /// Reads what `as_str` wrote.
    pub fn find(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == word)
    }
}

/// What a right is about, in MLflow's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceKind {
    /// What is said of traces.
    Assessment,
    /// Experiments, by their ids.
    Experiment,
    /// Nothing that is here, but MLflow's clients may name it.
    GatewayEndpoint,
    /// Nothing that is here, but MLflow's clients may name it.
    GatewayModelDefinition,
    /// Nothing that is here, but MLflow's clients may name it.
    GatewaySecret,
    /// Logged models.
    LoggedModel,
    /// Nothing that is here, but MLflow's clients may name it.
    McpServer,
    /// Nothing that is here, but MLflow's clients may name it.
    McpServerVersion,
    /// Prompts, by their names.
    Prompt,
    /// Versions of prompts.
    PromptVersion,
    /// Registered models that are no prompts, by their names.
    RegisteredModel,
    /// Versions of them.
    RegisteredModelVersion,
    /// Nothing that is here, but MLflow's clients may name it.
    ReviewQueue,
    /// Runs.
    Run,
    /// Scorers, by `scorer_pattern`.
    Scorer,
    /// Versions of scorers.
    ScorerVersion,
    /// Traces.
    Trace,
    /// All that there is.
    Workspace,
}

impl ResourceKind {
    /// All of them, by their words.
    pub const ALL: [Self; 18] = [
        Self::Assessment,
        Self::Experiment,
        Self::GatewayEndpoint,
        Self::GatewayModelDefinition,
        Self::GatewaySecret,
        Self::LoggedModel,
        Self::McpServer,
        Self::McpServerVersion,
        Self::Prompt,
        Self::PromptVersion,
        Self::RegisteredModel,
        Self::RegisteredModelVersion,
        Self::ReviewQueue,
        Self::Run,
        Self::Scorer,
        Self::ScorerVersion,
        Self::Trace,
        Self::Workspace,
    ];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Assessment => "assessment",
            Self::Experiment => "experiment",
            Self::GatewayEndpoint => "gateway_endpoint",
            Self::GatewayModelDefinition => "gateway_model_definition",
            Self::GatewaySecret => "gateway_secret",
            Self::LoggedModel => "logged_model",
            Self::McpServer => "mcp_server",
            Self::McpServerVersion => "mcp_server_version",
            Self::Prompt => "prompt",
            Self::PromptVersion => "prompt_version",
            Self::RegisteredModel => "registered_model",
            Self::RegisteredModelVersion => "registered_model_version",
            Self::ReviewQueue => "review_queue",
            Self::Run => "run",
            Self::Scorer => "scorer",
            Self::ScorerVersion => "scorer_version",
            Self::Trace => "trace",
            Self::Workspace => "workspace",
        }
    }

    /// Reads what `as_str` wrote.
    pub fn find(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == word)
    }

    /// Whether a right may be about one of that kind; about the others it is about all of them.
    pub const fn has_single_rights(self) -> bool {
        matches!(
            self,
            Self::Experiment
                | Self::RegisteredModel
                | Self::Prompt
                | Self::Scorer
                | Self::GatewaySecret
                | Self::GatewayEndpoint
                | Self::GatewayModelDefinition
                | Self::McpServer
        )
    }
}

/// What a right is about: one resource of a kind, or with `ANY_RESOURCE` every one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resource {
    /// Of which kind.
    pub kind: ResourceKind,
    /// Which one.
    pub pattern: String,
}

impl Resource {
    /// One resource of a kind.
    pub fn new(kind: ResourceKind, pattern: impl Into<String>) -> Self {
        let pattern = pattern.into();
        Self { kind, pattern }
    }

    /// Every resource of a kind.
    pub fn any(kind: ResourceKind) -> Self {
        Self::new(kind, ANY_RESOURCE)
    }
}

/// How a right names a scorer: the id of its experiment, and its name with all but plain letters encoded.
pub fn scorer_pattern(experiment: &ExperimentId, name: &str) -> String {
    let mut pattern = format!("{experiment}/");
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"_.-~".contains(&byte) {
            pattern.push(byte.into());
        } else {
            // Writing to a string cannot fail.
            let _ = write!(pattern, "%{byte:02X}");
        }
    }
    pattern
}

/// Who is given a right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holder {
    /// All who have the role of that name.
    Role(String),
    /// The user of that name alone.
    User(String),
}

/// What a password is checked against.
///
/// The event holds the digest of the hash alone. The hash has a salt, so nobody can check a guess against the digest;
/// it stands beside the event, so that it can be removed for good.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordHash {
    /// Digest of the hash.
    pub digest: ObjectId,
    /// The hash with its salt and what it was made with, as PHC string; empty where it was removed.
    #[serde(skip)]
    pub encoded: String,
}

impl PasswordHash {
    /// Names a hash.
    pub fn of(encoded: String) -> Self {
        Self {
            digest: ObjectId::of(encoded.as_bytes()),
            encoded,
        }
    }
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "PasswordHash({})", self.digest.short())
    }
}

/// What somebody brings in place of a password. The token itself is kept nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessToken {
    /// Its id, which is no secret.
    pub id: TokenId,
    /// Whom it stands for.
    pub user: String,
    /// What somebody calls it.
    pub label: String,
    /// Digest of the token, which has 256 random bits and so cannot be found by trying.
    pub digest: ObjectId,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it is taken; for good where none is given.
    pub expires_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        for permission in Permission::ALL {
            assert_eq!(Permission::find(permission.as_str()), Some(permission));
            let word = serde_json::to_value(permission).unwrap();
            assert_eq!(word, permission.as_str());
        }
        for kind in ResourceKind::ALL {
            assert_eq!(ResourceKind::find(kind.as_str()), Some(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        assert!(ResourceKind::ALL.is_sorted_by_key(|kind| kind.as_str()));
        assert_eq!(Permission::find("read"), None);
    }

    #[test]
    fn more_is_greater() {
        let rising = [
            Permission::Deny,
            Permission::NoPermissions,
            Permission::Read,
            Permission::Use,
            Permission::Edit,
            Permission::Manage,
        ];
        assert!(rising.is_sorted());
    }

    #[test]
    fn the_body_of_an_event_holds_nothing_of_a_password_but_a_digest() {
        let hash = PasswordHash::of("$argon2id$salt$hash".to_owned());
        let body = serde_json::to_string(&hash).unwrap();
        assert_eq!(body, format!(r#"{{"digest":"{}"}}"#, hash.digest));
        assert!(!format!("{hash:?}").contains("argon2id"));
    }

    /// What Python's `quote(name, safe="")` gives.
    #[test]
    fn the_name_of_a_scorer_cannot_be_taken_for_another() {
        let experiment: ExperimentId = "3".parse().unwrap();
        for (name, pattern) in [
            ("plain_1.2-a~", "3/plain_1.2-a~"),
            ("a/b", "3/a%2Fb"),
            ("a%2Fb", "3/a%252Fb"),
            ("*", "3/%2A"),
            ("ü ", "3/%C3%BC%20"),
        ] {
            assert_eq!(scorer_pattern(&experiment, name), pattern);
        }
    }
}
