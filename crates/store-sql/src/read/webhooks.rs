//! Webhooks and what they are to be told, as callers see them.

use std::collections::BTreeSet;

use crate::params;
use crate::sql::{self, Connection, Row};
use async_trait::async_trait;
use entities::{Change, DeliveryId, EventBody, Leaf, Timestamp, Webhook, WebhookEvent, WebhookId};
use store::{DeliveryOutcome, DueDelivery, Page, PageRequest, StoreError, WebhookStore};

use super::{find_row, list_rows};
use crate::fault::{damaged, database_fault};
use crate::rows::{read_id, read_time, read_webhook_event, read_webhook_status};
use crate::{Backend, SqlStore};

statements! {
    FIND = "SELECT number, id, name, description, url, status, created_at, updated_at
        FROM webhook WHERE id = ?1 AND deleted_at IS NULL";
    LIST = "SELECT number, id, name, description, url, status, created_at, updated_at
        FROM webhook
        WHERE deleted_at IS NULL AND (created_at, number) < (?1, ?2)
        ORDER BY created_at DESC, number DESC
        LIMIT ?3";
    FIND_PLACE = "SELECT created_at FROM webhook WHERE number = ?1";
    LIST_EVENTS = "SELECT event FROM webhook_event WHERE webhook = ?1";
    FIND_SECRET = "SELECT sealed
        FROM webhook_secret JOIN webhook ON webhook.number = webhook_secret.webhook
        WHERE webhook.id = ?1";
    LIST_DUE = "SELECT webhook.id
        FROM webhook LEFT JOIN webhook_progress ON webhook_progress.webhook = webhook.number
        WHERE webhook.status = 'ACTIVE' AND webhook.deleted_at IS NULL
            AND coalesce(webhook_progress.next_at, 0) <= ?1
            AND EXISTS (
                SELECT 1 FROM webhook_delivery
                WHERE webhook_delivery.webhook = webhook.number
                    AND webhook_delivery.number > coalesce(webhook_progress.done, 0)
            )
        ORDER BY coalesce(webhook_progress.next_at, 0), webhook.number";
    FIND_DUE = "SELECT webhook_delivery.number, place, webhook_delivery.event,
            CASE WHEN webhook_progress.done IS NULL THEN 0 ELSE webhook_progress.attempts END,
            given_up_at IS NOT NULL, leaf, body, writer, wseq
        FROM webhook
            JOIN webhook_delivery ON webhook_delivery.webhook = webhook.number
            JOIN event ON event.position = webhook_delivery.position
            LEFT JOIN webhook_progress ON webhook_progress.webhook = webhook.number
        WHERE webhook.id = ?1 AND webhook.status = 'ACTIVE' AND webhook.deleted_at IS NULL
            AND coalesce(webhook_progress.next_at, 0) <= ?2
            AND webhook_delivery.number > coalesce(webhook_progress.done, 0)
        ORDER BY webhook_delivery.number
        LIMIT 1";
    NOTE_DONE = "INSERT INTO webhook_progress (webhook, done, attempts, next_at)
        SELECT number, ?2, 0, 0 FROM webhook WHERE id = ?1
        ON CONFLICT (webhook) DO UPDATE SET done = excluded.done, attempts = 0, next_at = 0
        WHERE excluded.done > webhook_progress.done";
    NOTE_FAILED = "INSERT INTO webhook_progress (webhook, done, attempts, next_at)
        SELECT number, 0, ?3, ?4 FROM webhook WHERE id = ?1
        ON CONFLICT (webhook) DO UPDATE SET attempts = excluded.attempts, next_at = excluded.next_at
        WHERE webhook_progress.done < ?2";
}

#[async_trait]
impl<B: Backend> WebhookStore for SqlStore<B> {
    async fn find_webhook(&self, id: &WebhookId) -> Result<Option<Webhook>, StoreError> {
        let id = id.clone();
        self.read(move |connection| find_webhook(connection, &id))
            .await
    }

    async fn list_webhooks(&self, page: &PageRequest) -> Result<Page<Webhook>, StoreError> {
        let page = page.clone();
        self.read(move |connection| list_webhooks(connection, &page))
            .await
    }

    async fn find_webhook_secret(&self, id: &WebhookId) -> Result<Option<Vec<u8>>, StoreError> {
        let id = id.clone();
        self.read(move |connection| {
            find_row(connection, FIND_SECRET, [id.as_str()], |row| row.get(0))
        })
        .await
    }

    async fn list_due_webhooks(&self, now: Timestamp) -> Result<Vec<WebhookId>, StoreError> {
        self.read(move |connection| {
            list_rows(connection, LIST_DUE, [now.as_micros()], |row| {
                read_id(row, 0)
            })
        })
        .await
    }

    async fn find_due_delivery(
        &self,
        webhook: &WebhookId,
        now: Timestamp,
    ) -> Result<Option<DueDelivery>, StoreError> {
        let id = webhook.clone();
        self.read(move |connection| find_due(connection, &id, now))
            .await
    }

    async fn note_delivery(
        &self,
        webhook: &WebhookId,
        delivery: u64,
        outcome: DeliveryOutcome,
    ) -> Result<(), StoreError> {
        let id = webhook.clone();
        self.write(move |connection| {
            let delivery = delivery as i64;
            let noted = match outcome {
                DeliveryOutcome::Done => {
                    connection.change(NOTE_DONE, params![id.as_str(), delivery])
                }
                DeliveryOutcome::Again { attempts, next_at } => connection.change(
                    NOTE_FAILED,
                    params![id.as_str(), delivery, attempts, next_at.as_micros()],
                ),
            };
            noted
                .map(drop)
                .map_err(database_fault("noting how far a webhook was told"))
        })
        .await
    }
}

fn find_webhook(
    connection: &dyn Connection,
    id: &WebhookId,
) -> Result<Option<Webhook>, StoreError> {
    find_row(connection, FIND, [id.as_str()], read_webhook)?
        .map(|(number, webhook)| fill(connection, number, webhook))
        .transpose()
}

fn list_webhooks(
    connection: &dyn Connection,
    page: &PageRequest,
) -> Result<Page<Webhook>, StoreError> {
    let (created_at, number) = match &page.token {
        Some(token) => read_token(connection, token)?,
        None => (i64::MAX, i64::MAX),
    };
    // One more, to see whether there is another page.
    let limit = i64::try_from(page.limit).map_or(i64::MAX, |limit| limit.saturating_add(1));
    let values = params![created_at, number, limit];
    let mut rows: Vec<(i64, Webhook)> = list_rows(connection, LIST, values, read_webhook)?;
    let has_more = rows.len() > page.limit;
    rows.truncate(page.limit);
    let next = rows.last().filter(|_| has_more);
    let next = next.map(|(number, _)| format!("webhooks-{number}"));
    let items = rows
        .into_iter()
        .map(|(number, webhook)| fill(connection, number, webhook))
        .collect::<Result<_, _>>()?;
    Ok(Page { items, next })
}

/// The place of the last one of the page before, which may have been deleted meanwhile.
fn read_token(connection: &dyn Connection, token: &str) -> Result<(i64, i64), StoreError> {
    let number = token
        .strip_prefix("webhooks-")
        .and_then(|number| number.parse().ok());
    let refused = || StoreError::PageToken {
        token: token.to_owned(),
    };
    let number: i64 = number.ok_or_else(refused)?;
    let created_at = find_row(connection, FIND_PLACE, [number], |row| row.get(0))?;
    Ok((created_at.ok_or_else(refused)?, number))
}

fn read_webhook(row: &Row<'_>) -> sql::Result<(i64, Webhook)> {
    let webhook = Webhook {
        id: read_id(row, 1)?,
        name: row.get(2)?,
        description: row.get(3)?,
        url: row.get(4)?,
        events: BTreeSet::new(),
        status: read_webhook_status(row, 5)?,
        created_at: read_time(row, 6)?,
        updated_at: read_time(row, 7)?,
    };
    Ok((row.get(0)?, webhook))
}

fn fill(
    connection: &dyn Connection,
    number: i64,
    mut webhook: Webhook,
) -> Result<Webhook, StoreError> {
    webhook.events = list_rows(connection, LIST_EVENTS, [number], |row| {
        read_webhook_event(row, 0)
    })?;
    Ok(webhook)
}

/// A row of a delivery with its event.
struct DueRow {
    number: i64,
    place: u32,
    event: WebhookEvent,
    attempts: u32,
    is_given_up: bool,
    leaf: Vec<u8>,
    body: Vec<u8>,
    reference: String,
}

fn find_due(
    connection: &dyn Connection,
    id: &WebhookId,
    now: Timestamp,
) -> Result<Option<DueDelivery>, StoreError> {
    let key = params![id.as_str(), now.as_micros()];
    let Some(row) = find_row(connection, FIND_DUE, key, read_due)? else {
        return Ok(None);
    };
    let webhook = find_webhook(connection, id)?
        .ok_or_else(|| damaged("a webhook vanished within one read"))?;
    let DueRow {
        number,
        place,
        event,
        attempts,
        is_given_up,
        leaf,
        body,
        reference,
    } = row;
    let leaf = Leaf::decode(&leaf)?;
    let body: EventBody = serde_json::from_slice(&body)
        .map_err(|error| damaged(format!("the body of event {reference}: {error}")))?;
    let changes: Vec<Change> = body.changes;
    Ok(Some(DueDelivery {
        id: DeliveryId::of(id, &reference, place),
        number: number as u64,
        webhook,
        event,
        happened_at: leaf.ts,
        changes,
        place: place as usize,
        attempts,
        is_given_up,
    }))
}

fn read_due(row: &Row<'_>) -> sql::Result<DueRow> {
    let (writer, number): (String, i64) = (row.get(7)?, row.get(8)?);
    Ok(DueRow {
        number: row.get(0)?,
        place: row.get(1)?,
        event: read_webhook_event(row, 2)?,
        attempts: row.get(3)?,
        is_given_up: row.get(4)?,
        leaf: row.get(5)?,
        body: row.get(6)?,
        reference: format!("{writer}:{number}"),
    })
}
