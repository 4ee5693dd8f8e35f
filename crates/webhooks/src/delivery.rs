//! Delivers what is due, in the background of a server.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use entities::{Caller, Change, Notice, Timestamp, WebhookId};
use store::{DeliveryOutcome, DueDelivery};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::payload::{body, data_of};
use crate::retry::{TRIED_AGAIN, next_attempt};
use crate::trial::is_taken;
use crate::webhooks::webhook_subject;
use crate::{Webhooks, WebhooksError};

/// How often is looked for what is due: what a person does not notice, and one query that finds nothing.
const INTERVAL: Duration = Duration::from_millis(500);

/// Webhooks that are told at the same time.
const MOST_AT_ONCE: usize = 16;

/// How long a webhook belongs to one process: longer than an attempt takes, and as short as can be, since after a
/// process was killed the webhook waits for its end.
const LEASE_MS: u64 = 45_000;

/// How long attempts that are under way at the end may take.
const CLOSING_TIME: Duration = Duration::from_secs(5);

/// How long a webhook waits whose secret cannot be opened. That is no attempt: nothing was sent.
const LOCKED_DELAY_MS: i64 = 60_000;

/// How long a webhook is left alone after the store failed, so that the log is not filled.
const FAILED_DELAY: Duration = Duration::from_secs(30);

/// Delivers what is due. A cheap clone; all clones are the same.
#[derive(Clone)]
pub struct Deliverer {
    webhooks: Webhooks,
    /// On whose behalf deliveries are given up.
    caller: Caller,
    /// By which the store tells this process from others.
    holder: String,
    /// Webhooks that are being told.
    busy: Arc<Mutex<BTreeSet<WebhookId>>>,
}

/// What came of an attempt.
enum Attempt {
    Taken,
    Failed {
        why: String,
        is_final: bool,
        asked_for_ms: Option<u64>,
    },
    /// Nothing was sent: it could not have been signed.
    Locked,
}

impl Deliverer {
    /// One that delivers for a process.
    pub fn new(webhooks: Webhooks, caller: Caller) -> Self {
        let mut holder = [0; 8];
        webhooks.random().fill(&mut holder);
        Self {
            webhooks,
            caller,
            holder: hex::encode(holder),
            busy: Arc::default(),
        }
    }

    /// Delivers until it is stopped; then attempts under way may end, and those that do not are made again later.
    pub async fn run(self, stopping: CancellationToken) {
        let tasks = TaskTracker::new();
        let aborting = CancellationToken::new();
        loop {
            tokio::select! {
                () = stopping.cancelled() => break,
                () = tokio::time::sleep(INTERVAL) => {}
            }
            let due = self.webhooks.store().list_due_webhooks(self.webhooks.now());
            match due.await {
                Ok(due) => self.start_all(due, &tasks, &aborting),
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "what webhooks are to be told cannot be read"
                ),
            }
        }
        tasks.close();
        if tokio::time::timeout(CLOSING_TIME, tasks.wait())
            .await
            .is_err()
        {
            aborting.cancel();
            tasks.wait().await;
        }
    }

    fn start_all(&self, due: Vec<WebhookId>, tasks: &TaskTracker, aborting: &CancellationToken) {
        for webhook in due {
            if !self.begin(&webhook) {
                continue;
            }
            let (deliverer, aborting) = (self.clone(), aborting.clone());
            tasks.spawn(async move {
                tokio::select! {
                    () = aborting.cancelled() => deliverer.release(&webhook).await,
                    () = deliverer.deliver_or_log(&webhook) => {}
                }
                deliverer.lock_busy().remove(&webhook);
            });
        }
    }

    /// Whether a webhook may be begun with: it is not being told already, and there are not too many that are.
    fn begin(&self, webhook: &WebhookId) -> bool {
        let mut busy = self.lock_busy();
        busy.len() < MOST_AT_ONCE && busy.insert(webhook.clone())
    }

    fn lock_busy(&self) -> std::sync::MutexGuard<'_, BTreeSet<WebhookId>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn deliver_or_log(&self, webhook: &WebhookId) {
        if let Err(error) = self.deliver_to(webhook).await {
            tracing::warn!(
                %webhook,
                error = &error as &dyn std::error::Error,
                "a webhook could not be told"
            );
            tokio::time::sleep(FAILED_DELAY).await;
        }
    }

    /// Delivers all that is due to one webhook now, in order, unless another process does; tells how much was done.
    pub async fn deliver_to(&self, webhook: &WebhookId) -> Result<usize, WebhooksError> {
        let mut done = 0;
        let delivered = loop {
            match self.deliver_next(webhook).await {
                Ok(true) => done += 1,
                Ok(false) => break Ok(done),
                Err(error) => break Err(error),
            }
        };
        self.release(webhook).await;
        delivered
    }

    /// Makes the next attempt; false where nothing is due, or another process delivers.
    async fn deliver_next(&self, webhook: &WebhookId) -> Result<bool, WebhooksError> {
        let store = self.webhooks.store();
        let name = webhook_subject(webhook);
        let now = self.webhooks.now();
        if !store.take_lease(&name, &self.holder, now, LEASE_MS).await? {
            return Ok(false);
        }
        // Looked up under the lease, or another process may just have done it.
        let Some(due) = store.find_due_delivery(webhook, now).await? else {
            return Ok(false);
        };
        let outcome = if due.is_given_up {
            DeliveryOutcome::Done
        } else {
            let span = tracing::info_span!("webhook.deliver", reproof.delivery.id = %due.id);
            let attempt = self.attempt(&due).instrument(span).await?;
            self.judge(&due, attempt).await?
        };
        store.note_delivery(webhook, due.number, outcome).await?;
        Ok(true)
    }

    async fn release(&self, webhook: &WebhookId) {
        let name = webhook_subject(webhook);
        let released = self.webhooks.store().release_lease(&name, &self.holder);
        if let Err(error) = released.await {
            // It ends by itself.
            tracing::debug!(%error, "a lease could not be given back");
        }
    }

    async fn attempt(&self, due: &DueDelivery) -> Result<Attempt, WebhooksError> {
        let notices = Notice::list(&due.changes);
        let Some(notice) = notices.get(due.place) else {
            return Ok(Attempt::Failed {
                why: "its event does not tell it".to_owned(),
                is_final: true,
                asked_for_ms: None,
            });
        };
        let secret = match self.webhooks.open_secret(&due.webhook.id).await {
            Ok(secret) => secret,
            Err(error @ (WebhooksError::Locked { .. } | WebhooksError::Key(_))) => {
                tracing::error!(
                    webhook = %due.webhook.id,
                    error = &error as &dyn std::error::Error,
                    "a webhook is not told, since nothing can be signed"
                );
                return Ok(Attempt::Locked);
            }
            Err(error) => return Err(error),
        };
        let body = body(due.event, due.happened_at, &data_of(notice, due.event));
        let url = &due.webhook.url;
        let id = due.id.as_str();
        let sent = self.webhooks.send(url, id, secret.as_ref(), &body).await;
        Ok(match sent {
            Ok(answer) if is_taken(answer.status) => Attempt::Taken,
            Ok(answer) => Attempt::Failed {
                why: format!("it answered with status {}", answer.status),
                is_final: !TRIED_AGAIN.contains(&answer.status),
                asked_for_ms: answer.retry_after_ms,
            },
            Err(error) => Attempt::Failed {
                why: error.to_string(),
                is_final: error.is_final(),
                asked_for_ms: None,
            },
        })
    }

    /// Decides what follows from an attempt. One that is the last is told in the ledger first.
    async fn judge(
        &self,
        due: &DueDelivery,
        attempt: Attempt,
    ) -> Result<DeliveryOutcome, WebhooksError> {
        let now = self.webhooks.now();
        let (why, is_final, asked_for_ms) = match attempt {
            Attempt::Taken => return Ok(DeliveryOutcome::Done),
            Attempt::Locked => {
                return Ok(DeliveryOutcome::Again {
                    attempts: due.attempts,
                    next_at: Timestamp::from_millis(now.as_millis() + LOCKED_DELAY_MS),
                });
            }
            Attempt::Failed {
                why,
                is_final,
                asked_for_ms,
            } => (why, is_final, asked_for_ms),
        };
        let attempts = due.attempts.saturating_add(1);
        let random = self.webhooks.random();
        let next = next_attempt(attempts, now, due.happened_at, asked_for_ms, random);
        let webhook = &due.webhook.id;
        if let Some(next_at) = next.filter(|_| !is_final) {
            tracing::info!(%webhook, delivery = %due.id, attempts, why, "a webhook is told again later");
            return Ok(DeliveryOutcome::Again { attempts, next_at });
        }
        tracing::error!(%webhook, delivery = %due.id, attempts, why, "a delivery to a webhook is given up");
        let change = Change::DeliveryGivenUp {
            webhook: webhook.clone(),
            delivery: due.number,
            attempts,
            why,
            at: now,
        };
        self.webhooks
            .commit(&self.caller, "webhook.delivery_given_up", webhook, change)
            .await?;
        Ok(DeliveryOutcome::Done)
    }
}
