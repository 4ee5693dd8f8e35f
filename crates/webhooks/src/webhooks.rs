//! The services, and the one way in which they write.

use std::sync::Arc;

use entities::{Caller, Change, Clock, Commit, Random, Timestamp, WebhookId};
use store::Store;

use crate::transport::Transport;
use crate::{Network, SealingKeys, WebhooksError};

/// All services over webhooks.
///
/// A cheap clone; all clones are the same.
#[derive(Clone)]
pub struct Webhooks {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    keys: Arc<dyn SealingKeys>,
    transport: Transport,
}

/// What the services stand on.
pub struct WebhooksParts {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// What ids, nonces and delays are drawn with.
    pub random: Arc<dyn Random>,
    /// Where the key is that seals secrets.
    pub keys: Arc<dyn SealingKeys>,
    /// Where webhooks may be.
    pub network: Network,
}

impl Webhooks {
    /// Puts the services on their parts.
    pub fn new(parts: WebhooksParts) -> Self {
        let WebhooksParts {
            store,
            clock,
            random,
            keys,
            network,
        } = parts;
        Self {
            inner: Arc::new(Inner {
                store,
                clock,
                random,
                keys,
                transport: Transport::new(network),
            }),
        }
    }

    pub(crate) fn store(&self) -> &dyn Store {
        self.inner.store.as_ref()
    }

    pub(crate) fn random(&self) -> &dyn Random {
        self.inner.random.as_ref()
    }

    pub(crate) fn keys(&self) -> &dyn SealingKeys {
        self.inner.keys.as_ref()
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.inner.transport
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// Commits one change of a webhook.
    pub(crate) async fn commit(
        &self,
        caller: &Caller,
        kind: &'static str,
        webhook: &WebhookId,
        change: Change,
    ) -> Result<(), WebhooksError> {
        let reason = match &change {
            Change::DeliveryGivenUp { why, .. } => Some(why.clone()),
            _ => None,
        };
        let commit = Commit {
            actor: caller.actor.clone(),
            at: self.now(),
            kind,
            subjects: vec![webhook_subject(webhook)],
            reason,
            request: caller.request.clone(),
            changes: vec![change],
        };
        self.store().commit(commit).await?;
        Ok(())
    }
}

/// What an event about a webhook names as its subject.
pub fn webhook_subject(id: &WebhookId) -> String {
    format!("webhook:{id}")
}
