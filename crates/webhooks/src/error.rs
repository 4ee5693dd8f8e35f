//! What can go wrong with webhooks, in MLflow's words.

use entities::{ErrorClass, WebhookId, python};
use store::StoreError;

/// What can go wrong with webhooks. Messages never hold a secret.
#[derive(Debug, thiserror::Error)]
pub enum WebhooksError {
    /// A name that is none.
    #[error(
        "Webhook name {} is invalid. It must start and end with a letter or digit, be less than 63 characters long, and contain only letters, digits, dots (.), underscores (_), and hyphens (-).",
        python::repr(name)
    )]
    InvalidName {
        /// What was given.
        name: String,
    },
    /// An address of blanks.
    #[error(
        "Webhook URL cannot be empty or just whitespace: {}",
        python::repr(url)
    )]
    BlankUrl {
        /// What was given.
        url: String,
    },
    /// An address that cannot be read.
    #[error("Invalid webhook URL {}: {why}", python::repr(url))]
    InvalidUrl {
        /// What was given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// An address of a scheme that is not allowed.
    #[error(
        "Invalid webhook URL scheme: {}. Allowed schemes are: {}.",
        python::repr(scheme),
        allowed.join(", ")
    )]
    Scheme {
        /// The scheme.
        scheme: String,
        /// Those that are allowed.
        allowed: Vec<String>,
    },
    /// An address without a host.
    #[error("Webhook URL must include a hostname: {}", python::repr(url))]
    NoHost {
        /// What was given.
        url: String,
    },
    /// A host that is not known.
    #[error("Cannot resolve Webhook URL hostname {}: {why}", python::repr(host))]
    UnknownHost {
        /// The host.
        host: String,
        /// What the system says.
        why: String,
    },
    /// A host that is not on the public internet.
    #[error(
        "Webhook URL must not resolve to a non-public IP address. {} resolves to {address}.",
        python::repr(host)
    )]
    NotPublic {
        /// The host.
        host: String,
        /// Its address.
        address: std::net::IpAddr,
    },
    /// Nothing to be told of.
    #[error("Webhook events must be a non-empty list of WebhookEvent objects: [].")]
    NoEvents,
    /// Something that does not happen to that noun.
    #[error(
        "Invalid action '{action}' for entity '{entity}'. Valid actions are: {}",
        python::list(valid)
    )]
    InvalidAction {
        /// The noun.
        entity: String,
        /// What does not happen to it.
        action: String,
        /// What does.
        valid: Vec<String>,
    },
    /// Something that never happens on this server.
    #[error("The event '{event}' never happens on this server: it has no gateway with budgets.")]
    NeverHappens {
        /// What was asked for.
        event: String,
    },
    /// A field that is too long.
    #[error("'{field}' of a webhook exceeds the maximum length of {limit} characters")]
    TooLong {
        /// Which field.
        field: &'static str,
        /// How long it may be.
        limit: usize,
    },
    /// More or fewer webhooks than may be asked for.
    #[error("max_results must be between 1 and {limit}.")]
    PageSize {
        /// How many there may be.
        limit: usize,
    },
    /// A page token that is none.
    #[error("Invalid page token {}", python::repr(token))]
    InvalidPageToken {
        /// What was given.
        token: String,
    },
    /// No such webhook.
    #[error("Webhook with ID {id} not found.")]
    NoWebhook {
        /// What was asked for.
        id: String,
    },

    /// The key that seals secrets cannot be read or made.
    #[error("the key that seals the secrets of webhooks cannot be used")]
    Key(#[source] std::io::Error),
    /// A secret cannot be opened: the key is not here, or it is another one.
    #[error(
        "the secret of webhook {webhook} cannot be opened: {why}; set it again, or put the key back"
    )]
    Locked {
        /// Which webhook.
        webhook: WebhookId,
        /// Why.
        why: &'static str,
    },
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
}

impl WebhooksError {
    /// What kind of error it is.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::InvalidName { .. }
            | Self::BlankUrl { .. }
            | Self::InvalidUrl { .. }
            | Self::Scheme { .. }
            | Self::NoHost { .. }
            | Self::UnknownHost { .. }
            | Self::NotPublic { .. }
            | Self::NoEvents
            | Self::InvalidAction { .. }
            | Self::NeverHappens { .. }
            | Self::TooLong { .. }
            | Self::PageSize { .. }
            | Self::InvalidPageToken { .. } => ErrorClass::Invalid,
            Self::NoWebhook { .. } => ErrorClass::NotFound,
            Self::Key(_) | Self::Locked { .. } => ErrorClass::Internal,
            Self::Store(error) => match error {
                StoreError::Busy | StoreError::Closed | StoreError::Unreachable { .. } => {
                    ErrorClass::Unavailable
                }
                _ => ErrorClass::Internal,
            },
        }
    }
}

impl From<StoreError> for WebhooksError {
    /// Says a refusal in MLflow's words; a failure stays what it is.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NoWebhook { id } => Self::NoWebhook { id: id.into() },
            StoreError::PageToken { token } => Self::InvalidPageToken { token },
            failure => Self::Store(failure),
        }
    }
}
