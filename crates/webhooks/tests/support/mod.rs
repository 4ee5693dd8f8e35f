//! Webhooks that may be in this machine.
#![allow(dead_code, reason = "each file of tests uses a part of it")]

use std::sync::Arc;
use std::time::Duration;

use entities::{Caller, WebhookEvent, WebhookId};
use registry::NewRegisteredModel;
use testkit::{NamedHosts, TestBench};
use webhooks::{Deliverer, Network, NewWebhook, Secret, SystemResolver, Webhooks};

/// Where webhooks may be in this machine.
pub(crate) fn open_network() -> Network {
    Network {
        schemes: vec!["http".to_owned()],
        allows_private: true,
        time_limit: Duration::from_millis(400),
        resolver: Arc::new(NamedHosts::new(Arc::new(SystemResolver))),
    }
}

/// A bench, and webhooks over its store that may be in this machine.
pub(crate) struct Site {
    pub(crate) bench: TestBench,
    pub(crate) webhooks: Webhooks,
    pub(crate) deliverer: Deliverer,
}

impl Site {
    pub(crate) async fn new() -> Self {
        Self::on(open_network()).await
    }

    pub(crate) async fn on(network: Network) -> Self {
        let bench = TestBench::new().await;
        let webhooks = bench.webhooks_on(network);
        let deliverer = Deliverer::new(webhooks.clone(), bench.caller.clone());
        Self {
            bench,
            webhooks,
            deliverer,
        }
    }

    pub(crate) fn caller(&self) -> &Caller {
        &self.bench.caller
    }

    /// Makes a webhook that is told of everything.
    pub(crate) async fn webhook(&self, url: &str, secret: Option<&str>) -> WebhookId {
        let new = new_webhook(url, secret);
        let made = self.webhooks.create(self.caller(), new).await;
        made.unwrap().id
    }

    pub(crate) async fn register(&self, name: &str) {
        let new = NewRegisteredModel {
            name: name.to_owned(),
            ..NewRegisteredModel::default()
        };
        let made = self.bench.registry.create_model(self.caller(), new).await;
        made.unwrap();
    }

    /// Delivers what is due; tells how many attempts were made.
    pub(crate) async fn deliver(&self, webhook: &WebhookId) -> usize {
        self.deliverer.deliver_to(webhook).await.unwrap()
    }
}

pub(crate) fn new_webhook(url: &str, secret: Option<&str>) -> NewWebhook {
    let events = WebhookEvent::ALL.iter();
    NewWebhook {
        name: "hook".to_owned(),
        url: url.to_owned(),
        events: events
            .map(|event| (event.entity().to_owned(), event.action().to_owned()))
            .collect(),
        description: None,
        secret: secret.map(|text| Secret::new(text.to_owned())),
        status: None,
    }
}
