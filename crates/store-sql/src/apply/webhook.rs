//! Changes of webhooks.

use std::collections::BTreeSet;

use crate::params;
use entities::{
    Change, SealedSecret, SecretUpdate, Timestamp, Webhook, WebhookEvent, WebhookId, WebhookUpdate,
};
use store::StoreError;

use super::Applier;

statements! {
    FIND = "SELECT number FROM webhook WHERE id = ?1 AND deleted_at IS NULL";
    FIND_EVEN_DELETED = "SELECT number FROM webhook WHERE id = ?1";
    ADD = "INSERT INTO webhook (id, name, description, url, status, created_at, updated_at, number)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
        RETURNING number";
    UPDATE = "UPDATE webhook
        SET name = coalesce(?2, name),
            description = CASE WHEN CAST(?3 AS TEXT) IS NULL THEN description ELSE nullif(?3, '') END,
            url = coalesce(?4, url),
            status = coalesce(?5, status),
            updated_at = ?6
        WHERE number = ?1";
    DELETE = "UPDATE webhook SET deleted_at = ?2, updated_at = ?2 WHERE number = ?1";
    ADD_EVENT = "INSERT INTO webhook_event (webhook, event) VALUES (?1, ?2)";
    DELETE_EVENTS = "DELETE FROM webhook_event WHERE webhook = ?1";
    SET_SECRET = "INSERT INTO webhook_secret (webhook, digest, sealed) VALUES (?1, ?2, ?3)
        ON CONFLICT (webhook) DO UPDATE SET digest = excluded.digest, sealed = excluded.sealed";
    DELETE_SECRET = "DELETE FROM webhook_secret WHERE webhook = ?1";
    GIVE_UP = "UPDATE webhook_delivery SET given_up_at = ?3, attempts = ?4, failure = ?5
        WHERE number = ?1 AND webhook = ?2 AND given_up_at IS NULL";
}

impl Applier<'_> {
    pub(super) fn apply_to_webhook(&self, change: &Change) -> Result<(), StoreError> {
        match change {
            Change::WebhookCreated { webhook, secret } => {
                self.create_webhook(webhook, secret.as_ref())
            }
            Change::WebhookUpdated {
                webhook,
                update,
                at,
            } => self.update_webhook(webhook, update, *at),
            Change::WebhookDeleted { webhook, at } => {
                let number = self.get_webhook(webhook)?;
                self.send(DELETE_SECRET, [number])?;
                self.send(DELETE, params![number, at.as_micros()])
            }
            Change::DeliveryGivenUp {
                webhook,
                delivery,
                attempts,
                why,
                at,
            } => {
                // It may have been deleted while the delivery was on its way.
                let number: i64 = self
                    .find(FIND_EVEN_DELETED, [webhook.as_str()], |row| row.get(0))?
                    .ok_or_else(|| no_webhook(webhook))?;
                let row = params![*delivery as i64, number, at.as_micros(), attempts, why];
                self.send(GIVE_UP, row)
            }
            _ => unreachable!("`apply` hands over changes of webhooks only"),
        }
    }

    fn create_webhook(
        &self,
        webhook: &Webhook,
        secret: Option<&SealedSecret>,
    ) -> Result<(), StoreError> {
        let Webhook {
            id,
            name,
            description,
            url,
            events,
            status,
            created_at,
            updated_at,
        } = webhook;
        let taken: Option<i64> = self.find(FIND_EVEN_DELETED, [id.as_str()], |row| row.get(0))?;
        if taken.is_some() {
            return Err(StoreError::Exists {
                subject: format!("webhook `{id}`"),
            });
        }
        let row = params![
            id.as_str(),
            name,
            description,
            url,
            status.as_str(),
            created_at.as_micros(),
            updated_at.as_micros()
        ];
        let number = self.insert_new(ADD, row)?;
        self.add_webhook_events(number, events)?;
        match secret {
            Some(secret) => self.set_webhook_secret(number, secret),
            None => Ok(()),
        }
    }

    fn update_webhook(
        &self,
        id: &WebhookId,
        update: &WebhookUpdate,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let WebhookUpdate {
            name,
            description,
            url,
            events,
            status,
            secret,
        } = update;
        let number = self.get_webhook(id)?;
        let status = status.map(entities::WebhookStatus::as_str);
        let row = params![number, name, description, url, status, at.as_micros()];
        self.send(UPDATE, row)?;
        if let Some(events) = events {
            self.send(DELETE_EVENTS, [number])?;
            self.add_webhook_events(number, events)?;
        }
        match secret {
            SecretUpdate::Kept => Ok(()),
            SecretUpdate::Removed => self.send(DELETE_SECRET, [number]),
            SecretUpdate::Replaced(secret) => self.set_webhook_secret(number, secret),
        }
    }

    fn add_webhook_events(
        &self,
        number: i64,
        events: &BTreeSet<WebhookEvent>,
    ) -> Result<(), StoreError> {
        for event in events {
            self.send(ADD_EVENT, params![number, event.as_str()])?;
        }
        Ok(())
    }

    fn set_webhook_secret(&self, number: i64, secret: &SealedSecret) -> Result<(), StoreError> {
        let SealedSecret { digest, sealed } = secret;
        self.send(SET_SECRET, params![number, digest.as_bytes(), sealed])
    }

    fn get_webhook(&self, id: &WebhookId) -> Result<i64, StoreError> {
        self.find(FIND, [id.as_str()], |row| row.get(0))?
            .ok_or_else(|| no_webhook(id))
    }
}

fn no_webhook(id: &WebhookId) -> StoreError {
    StoreError::NoWebhook { id: id.clone() }
}
