//! What clients ask of webhooks.

use entities::{
    Caller, Change, SealedSecret, SecretUpdate, Webhook, WebhookId, WebhookStatus, WebhookUpdate,
};
use store::{Page, PageRequest};

use crate::validation::{check_length, check_name, read_events};
use crate::{Webhooks, WebhooksError};

/// Webhooks on a page.
pub const LARGEST_WEBHOOK_PAGE: usize = 1000;

/// Longest description, in characters: what MLflow's schema has room for.
pub const LONGEST_DESCRIPTION: usize = 1000;

/// Longest secret, in characters.
pub const LONGEST_SECRET: usize = 1000;

/// What deliveries are signed with. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a text as secret.
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret itself, for what seals it anew.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// A webhook to be made.
#[derive(Clone, Debug)]
pub struct NewWebhook {
    /// What somebody calls it.
    pub name: String,
    /// The address.
    pub url: String,
    /// What it is told of: nouns, and what happens to them.
    pub events: Vec<(String, String)>,
    /// What somebody says of it; an empty one is none.
    pub description: Option<String>,
    /// What deliveries are signed with; an empty one is none.
    pub secret: Option<Secret>,
    /// Whether it is told; it is where nobody says.
    pub status: Option<WebhookStatus>,
}

/// What is to be changed of a webhook; what is none stays.
#[derive(Clone, Debug, Default)]
pub struct WebhookPatch {
    /// The new name.
    pub name: Option<String>,
    /// The new address.
    pub url: Option<String>,
    /// What it is told of from now on.
    pub events: Option<Vec<(String, String)>>,
    /// The new description; an empty one is none.
    pub description: Option<String>,
    /// The new secret; an empty one is none.
    pub secret: Option<Secret>,
    /// Whether it is told from now on.
    pub status: Option<WebhookStatus>,
}

impl Webhooks {
    /// Makes a webhook.
    pub async fn create(&self, caller: &Caller, new: NewWebhook) -> Result<Webhook, WebhooksError> {
        let NewWebhook {
            name,
            url,
            events,
            description,
            secret,
            status,
        } = new;
        let events = read_events(&events)?;
        check_name(&name)?;
        self.transport().network().check(&url).await?;
        if events.is_empty() {
            return Err(WebhooksError::NoEvents);
        }
        let description = description.filter(|text| !text.is_empty());
        check_description(description.as_deref())?;
        let id = WebhookId::random(self.random());
        let secret = match secret.filter(|secret| !secret.as_str().is_empty()) {
            Some(secret) => Some(self.seal(&id, &secret)?),
            None => None,
        };
        let at = self.now();
        let webhook = Webhook {
            id,
            name,
            description,
            url,
            events,
            status: status.unwrap_or(WebhookStatus::Active),
            created_at: at,
            updated_at: at,
        };
        let change = Change::WebhookCreated {
            webhook: webhook.clone(),
            secret,
        };
        self.commit(caller, "webhook.created", &webhook.id, change)
            .await?;
        Ok(webhook)
    }

    /// Gets a webhook; a deleted one is not found.
    pub async fn get(&self, id: &str) -> Result<Webhook, WebhooksError> {
        let missing = || WebhooksError::NoWebhook { id: id.to_owned() };
        let parsed: WebhookId = id.parse().map_err(|_| missing())?;
        let found = self.store().find_webhook(&parsed).await?;
        found.ok_or_else(missing)
    }

    /// Lists webhooks, the newest first.
    pub async fn list(&self, page: &PageRequest) -> Result<Page<Webhook>, WebhooksError> {
        if page.limit == 0 || page.limit > LARGEST_WEBHOOK_PAGE {
            return Err(WebhooksError::PageSize {
                limit: LARGEST_WEBHOOK_PAGE,
            });
        }
        Ok(self.store().list_webhooks(page).await?)
    }

    /// Changes a webhook.
    pub async fn update(
        &self,
        caller: &Caller,
        id: &str,
        patch: WebhookPatch,
    ) -> Result<Webhook, WebhooksError> {
        let WebhookPatch {
            name,
            url,
            events,
            description,
            secret,
            status,
        } = patch;
        let events = events.as_deref().map(read_events).transpose()?;
        let webhook = self.get(id).await?.id;
        if let Some(name) = &name {
            check_name(name)?;
        }
        if let Some(url) = &url {
            self.transport().network().check(url).await?;
        }
        check_description(description.as_deref())?;
        let secret = match secret {
            None => SecretUpdate::Kept,
            Some(secret) if secret.as_str().is_empty() => SecretUpdate::Removed,
            Some(secret) => SecretUpdate::Replaced(self.seal(&webhook, &secret)?),
        };
        let update = WebhookUpdate {
            name,
            description,
            url,
            events,
            status,
            secret,
        };
        let change = Change::WebhookUpdated {
            webhook: webhook.clone(),
            update,
            at: self.now(),
        };
        self.commit(caller, "webhook.updated", &webhook, change)
            .await?;
        self.get(id).await
    }

    /// Deletes a webhook with its secret. What it was to be told is not told any more.
    pub async fn delete(&self, caller: &Caller, id: &str) -> Result<(), WebhooksError> {
        let webhook = self.get(id).await?.id;
        let change = Change::WebhookDeleted {
            webhook: webhook.clone(),
            at: self.now(),
        };
        self.commit(caller, "webhook.deleted", &webhook, change)
            .await
    }

    /// Whether a webhook has this secret, or none where none is given.
    pub async fn has_secret(
        &self,
        webhook: &WebhookId,
        secret: Option<&Secret>,
    ) -> Result<bool, WebhooksError> {
        Ok(self.open_secret(webhook).await?.as_ref() == secret)
    }

    /// Seals a secret for one webhook, by a key that is made where it is missing.
    pub fn seal(
        &self,
        webhook: &WebhookId,
        secret: &Secret,
    ) -> Result<SealedSecret, WebhooksError> {
        check_length("secret", secret.as_str(), LONGEST_SECRET)?;
        let key = self.keys().get_or_make().map_err(WebhooksError::Key)?;
        Ok(SealedSecret::of(key.seal(webhook, secret, self.random())))
    }

    /// The secret of a webhook; none where it has none.
    pub async fn open_secret(&self, webhook: &WebhookId) -> Result<Option<Secret>, WebhooksError> {
        let Some(sealed) = self.store().find_webhook_secret(webhook).await? else {
            return Ok(None);
        };
        let key = self.keys().find().map_err(WebhooksError::Key)?;
        let key = key.ok_or_else(|| WebhooksError::Locked {
            webhook: webhook.clone(),
            why: "the key that seals secrets is not here",
        })?;
        key.open(webhook, &sealed).map(Some)
    }
}

fn check_description(description: Option<&str>) -> Result<(), WebhooksError> {
    check_length(
        "description",
        description.unwrap_or_default(),
        LONGEST_DESCRIPTION,
    )
}
