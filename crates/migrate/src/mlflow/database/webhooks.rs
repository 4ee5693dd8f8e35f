//! Webhooks in MLflow's database.
//!
//! *Source*: `SqlWebhook` and `SqlWebhookEvent` in `mlflow/store/model_registry/dbmodels/models.py`.

use std::collections::BTreeSet;

use entities::{Webhook, WebhookEvent, WebhookStatus};
use store_sql::params;
use webhooks::Secret;

use super::super::cells::Cells;
use super::MlflowDatabase;
use super::evaluations::{read_id, time_at};
use super::traces::kept;
use crate::source::SourceWebhook;
use crate::{FernetKey, MigrateError};

const COLUMNS: [&str; 8] = [
    "webhook_id",
    "name",
    "description",
    "url",
    "status",
    "secret",
    "creation_timestamp",
    "last_updated_timestamp",
];

impl MlflowDatabase {
    /// Webhooks that were not deleted, with their secrets opened, and a sentence for what cannot be read.
    pub(super) fn webhooks(
        &self,
        key: Option<&FernetKey>,
        faults: &mut Vec<String>,
    ) -> Result<Vec<SourceWebhook>, MigrateError> {
        let sql = format!(
            "SELECT {} FROM webhooks WHERE deleted_timestamp IS NULL ORDER BY creation_timestamp, webhook_id",
            COLUMNS.join(", ")
        );
        let rows = self.list("webhooks", &sql, params![], |row| {
            let cells = Cells {
                row,
                columns: &COLUMNS,
            };
            let name = cells.text("webhook_id").ok().flatten().unwrap_or_default();
            let fault = |why| format!("webhook `{name}`: {why}");
            Ok(webhook_of(cells, key).map_err(fault))
        })?;
        let mut webhooks = Vec::new();
        for row in rows {
            let Some(mut found) = kept(row, faults) else {
                continue;
            };
            let id = found.webhook.id.clone();
            let events: Vec<(String, String)> = self.list(
                "webhook_events",
                "SELECT entity, action FROM webhook_events WHERE webhook_id = ?1 ORDER BY entity, action",
                [id.as_str()],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            let mut known = BTreeSet::new();
            for (entity, action) in events {
                let event = format!("{entity}.{action}");
                let fault = || format!("webhook `{id}`: nothing here is `{event}`");
                known.extend(kept(WebhookEvent::find(&event).ok_or_else(fault), faults));
            }
            found.webhook.events = known;
            // One that would be told nothing cannot be made.
            if !found.webhook.events.is_empty() {
                webhooks.push(found);
            }
        }
        Ok(webhooks)
    }
}

fn webhook_of(row: Cells<'_>, key: Option<&FernetKey>) -> Result<SourceWebhook, String> {
    let status = row.some_text("status")?;
    let created_at = time_at(row, "creation_timestamp")?;
    let secret = row.text("secret")?.filter(|sealed| !sealed.is_empty());
    let secret = match (secret, key) {
        (None, _) => None,
        (Some(sealed), Some(key)) => {
            let opened = key.open(&sealed);
            Some(opened.map_err(|why| format!("its secret cannot be opened: {why}"))?)
        }
        (Some(_), None) => {
            return Err("its secret is sealed: MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY must hold the key of MLflow's server".to_owned());
        }
    };
    Ok(SourceWebhook {
        webhook: Webhook {
            id: read_id(&row.some_text("webhook_id")?)?,
            name: row.some_text("name")?,
            description: row.text("description")?.filter(|text| !text.is_empty()),
            url: row.some_text("url")?,
            events: BTreeSet::new(),
            status: WebhookStatus::find(&status)
                .ok_or_else(|| format!("`{status}` is no status of a webhook"))?,
            created_at,
            updated_at: match row.integer("last_updated_timestamp")? {
                Some(_) => time_at(row, "last_updated_timestamp")?,
                None => created_at,
            },
        },
        secret: secret.map(Secret::new),
    })
}
