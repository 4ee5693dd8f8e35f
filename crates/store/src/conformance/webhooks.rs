//! Webhooks, and what they are to be told.

use std::collections::BTreeSet;

use entities::{
    Change, Notice, PROMPT_TAG, RegisteredModel, SealedSecret, SecretUpdate, VersionNumber,
    Webhook, WebhookEvent, WebhookId, WebhookStatus, WebhookUpdate,
};

use super::registry::{model_version, registered_model};
use super::{at, initialisation, make, map, refuse};
use crate::{DeliveryOutcome, PageRequest, Store, StoreError};

pub(super) fn webhook(id: &str, created_ms: i64, events: &[WebhookEvent]) -> Webhook {
    Webhook {
        id: webhook_id(id),
        name: format!("name of {id}"),
        description: Some("told".to_owned()),
        url: format!("https://example.org/{id}"),
        events: events.iter().copied().collect(),
        status: WebhookStatus::Active,
        created_at: at(created_ms),
        updated_at: at(created_ms),
    }
}

fn webhook_id(id: &str) -> WebhookId {
    id.parse().unwrap()
}

pub(super) async fn create_webhook(store: &dyn Store, webhook: Webhook, secret: Option<&[u8]>) {
    let secret = secret.map(|sealed| SealedSecret::of(sealed.to_vec()));
    let subject = format!("webhook:{}", webhook.id);
    let change = Change::WebhookCreated { webhook, secret };
    make(store, "webhook.created", &subject, change).await;
}

async fn update(store: &dyn Store, id: &str, update: WebhookUpdate) {
    let change = Change::WebhookUpdated {
        webhook: webhook_id(id),
        update,
        at: at(2_000),
    };
    make(store, "webhook.updated", &format!("webhook:{id}"), change).await;
}

async fn register(store: &dyn Store, name: &str, tags: &[(&str, &str)]) {
    let model = RegisteredModel {
        tags: map(tags),
        ..registered_model(name, 5)
    };
    let change = Change::RegisteredModelCreated { model };
    make(store, "registered_model.created", name, change).await;
}

/// All that is due to a webhook, each noted as done: what it is called, and about which model.
async fn drain(store: &dyn Store, id: &str) -> Vec<(&'static str, String)> {
    let mut told = Vec::new();
    while let Some(due) = store
        .find_due_delivery(&webhook_id(id), at(9_000))
        .await
        .unwrap()
    {
        let notices = Notice::list(&due.changes);
        told.push((due.event.as_str(), notices[due.place].model().to_owned()));
        store
            .note_delivery(&webhook_id(id), due.number, DeliveryOutcome::Done)
            .await
            .unwrap();
    }
    told
}

/// Webhooks come back as they were made and changed, and go; so do their secrets.
pub async fn webhooks_are_made_changed_and_deleted(store: &dyn Store) {
    store.commit(initialisation()).await.unwrap();
    let made = webhook("a", 10, &[WebhookEvent::PromptCreated]);
    create_webhook(store, made.clone(), Some(b"sealed")).await;
    let found = store.find_webhook(&made.id).await.unwrap();
    assert_eq!(found, Some(made.clone()));
    let secret = store.find_webhook_secret(&made.id).await.unwrap();
    assert_eq!(secret.as_deref(), Some(&b"sealed"[..]));
    let taken = Change::WebhookCreated {
        webhook: made.clone(),
        secret: None,
    };
    let refused = refuse(store, taken).await;
    assert!(matches!(refused, StoreError::Exists { .. }), "{refused}");

    update(store, "a", WebhookUpdate::default()).await;
    let untouched = store.find_webhook(&made.id).await.unwrap().unwrap();
    assert_eq!(untouched.updated_at, at(2_000));
    let changes = WebhookUpdate {
        name: Some("other".to_owned()),
        description: Some(String::new()),
        url: Some("https://example.org/other".to_owned()),
        events: Some(BTreeSet::from([WebhookEvent::PromptTagSet])),
        status: Some(WebhookStatus::Disabled),
        secret: SecretUpdate::Replaced(SealedSecret::of(b"another".to_vec())),
    };
    update(store, "a", changes).await;
    let changed = Webhook {
        name: "other".to_owned(),
        description: None,
        url: "https://example.org/other".to_owned(),
        events: BTreeSet::from([WebhookEvent::PromptTagSet]),
        status: WebhookStatus::Disabled,
        updated_at: at(2_000),
        ..made.clone()
    };
    let found = store.find_webhook(&made.id).await.unwrap();
    assert_eq!(found, Some(changed));
    let secret = store.find_webhook_secret(&made.id).await.unwrap();
    assert_eq!(secret.as_deref(), Some(&b"another"[..]));

    let deleted = Change::WebhookDeleted {
        webhook: made.id.clone(),
        at: at(3_000),
    };
    make(store, "webhook.deleted", "webhook:a", deleted.clone()).await;
    assert_eq!(store.find_webhook(&made.id).await.unwrap(), None);
    assert_eq!(store.find_webhook_secret(&made.id).await.unwrap(), None);
    for change in [
        deleted,
        Change::WebhookUpdated {
            webhook: made.id.clone(),
            update: WebhookUpdate::default(),
            at: at(4_000),
        },
    ] {
        let refused = refuse(store, change).await;
        assert!(matches!(refused, StoreError::NoWebhook { .. }), "{refused}");
    }
}

/// The newest come first, in pages that nothing is missed between.
pub async fn webhooks_are_listed_in_pages(store: &dyn Store) {
    store.commit(initialisation()).await.unwrap();
    for (id, created_ms) in [("a", 10), ("b", 30), ("c", 20), ("d", 20)] {
        let made = webhook(id, created_ms, &[WebhookEvent::PromptCreated]);
        create_webhook(store, made, None).await;
    }
    let mut page = PageRequest::first(2);
    let mut names = Vec::new();
    loop {
        let found = store.list_webhooks(&page).await.unwrap();
        names.extend(found.items.iter().map(|found| found.id.to_string()));
        assert!(found.items.iter().all(|found| found.events.len() == 1));
        // One that is deleted meanwhile is no gap.
        if page.token.is_none() {
            let webhook = webhook_id("d");
            let change = Change::WebhookDeleted {
                webhook,
                at: at(40),
            };
            make(store, "webhook.deleted", "webhook:d", change).await;
        }
        match found.next {
            Some(next) => page.token = Some(next),
            None => break,
        }
    }
    assert_eq!(names, ["b", "d", "c", "a"]);
    for token in ["", "webhooks-99", "webhooks-x", "2-webhooks"] {
        page.token = Some(token.to_owned());
        let refused = store.list_webhooks(&page).await.unwrap_err();
        assert!(matches!(refused, StoreError::PageToken { .. }), "{token}");
    }
}

/// Each webhook that is active is told what it wants, of models and of prompts, in the order in which it happened.
pub async fn what_changes_is_due_to_the_webhooks_that_want_it(store: &dyn Store) {
    store.commit(initialisation()).await.unwrap();
    register(store, "before", &[]).await;
    create_webhook(store, webhook("all", 10, &WebhookEvent::ALL), None).await;
    let some = [
        WebhookEvent::PromptCreated,
        WebhookEvent::ModelVersionCreated,
    ];
    create_webhook(store, webhook("some", 11, &some), None).await;
    let disabled = Webhook {
        status: WebhookStatus::Disabled,
        ..webhook("disabled", 12, &WebhookEvent::ALL)
    };
    create_webhook(store, disabled, None).await;
    register(store, "net", &[]).await;
    register(store, "ask", &[(PROMPT_TAG, "True")]).await;
    let name = |name: &str| name.to_owned();
    for model in ["net", "ask"] {
        let version = entities::ModelVersion {
            tags: if model == "ask" {
                map(&[(PROMPT_TAG, "true")])
            } else {
                map(&[])
            },
            ..model_version(model, 1, 6)
        };
        for change in [
            Change::ModelVersionCreated { version },
            Change::RegisteredModelTagsSet {
                name: name(model),
                tags: map(&[("k", "v")]),
            },
            Change::RegisteredModelTagDeleted {
                name: name(model),
                key: name("k"),
            },
            Change::ModelVersionTagsSet {
                name: name(model),
                version: VersionNumber::FIRST,
                tags: map(&[("k", "v")]),
            },
            Change::ModelVersionTagDeleted {
                name: name(model),
                version: VersionNumber::FIRST,
                key: name("k"),
            },
            Change::AliasSet {
                name: name(model),
                alias: name("champion"),
                version: VersionNumber::FIRST,
            },
            Change::AliasDeleted {
                name: name(model),
                alias: name("champion"),
            },
        ] {
            make(store, "test.changed", model, change).await;
        }
    }
    // What is taken over from elsewhere, and what is refused, is not told.
    let imported = Change::RegisteredModelCreated {
        model: registered_model("old", 5),
    };
    make(store, "registered_model.imported", "old", imported).await;
    let taken = Change::RegisteredModelCreated {
        model: registered_model("net", 5),
    };
    refuse(store, taken).await;

    let told = drain(store, "all").await;
    let of = |model: &str| -> Vec<_> {
        let told = told.iter().filter(|(_, of)| of == model);
        told.map(|(event, _)| *event).collect()
    };
    assert_eq!(
        of("net"),
        [
            "registered_model.created",
            "model_version.created",
            "model_version_tag.set",
            "model_version_tag.deleted",
            "model_version_alias.created",
            "model_version_alias.deleted",
        ]
    );
    assert_eq!(
        of("ask"),
        [
            "prompt.created",
            "prompt_version.created",
            "prompt_tag.set",
            "prompt_tag.deleted",
            "prompt_version_tag.set",
            "prompt_version_tag.deleted",
            "prompt_alias.created",
            "prompt_alias.deleted",
        ]
    );
    assert_eq!(told.len(), 14);
    assert_eq!(
        drain(store, "some").await,
        [
            ("prompt.created", "ask".to_owned()),
            ("model_version.created", "net".to_owned())
        ]
    );
    assert_eq!(drain(store, "disabled").await, []);
    assert_eq!(store.list_due_webhooks(at(9_000)).await.unwrap(), []);
}

/// A delivery stays due until it is done, waits as it was told to, and keeps its id; what comes later waits for it.
pub async fn a_delivery_is_due_until_it_is_done(store: &dyn Store) {
    store.commit(initialisation()).await.unwrap();
    let a = webhook_id("a");
    create_webhook(store, webhook("a", 10, &WebhookEvent::ALL), None).await;
    register(store, "first", &[]).await;
    register(store, "second", &[]).await;
    let find = async |now_ms| store.find_due_delivery(&a, at(now_ms)).await.unwrap();
    let first = find(100).await.unwrap();
    assert_eq!((first.attempts, first.is_given_up), (0, false));
    assert_eq!(first.happened_at, at(1_000));
    assert_eq!(first.webhook.id, a);
    let again = |attempts, next_ms| DeliveryOutcome::Again {
        attempts,
        next_at: at(next_ms),
    };
    store
        .note_delivery(&a, first.number, again(1, 200))
        .await
        .unwrap();
    assert_eq!(find(199).await, None);
    assert_eq!(store.list_due_webhooks(at(199)).await.unwrap(), []);
    assert_eq!(
        store.list_due_webhooks(at(200)).await.unwrap(),
        std::slice::from_ref(&a)
    );
    let tried = find(200).await.unwrap();
    assert_eq!((&tried.id, tried.attempts), (&first.id, 1));

    // Nothing is told to one that is disabled, and nothing is lost.
    let status = |status| WebhookUpdate {
        status: Some(status),
        ..WebhookUpdate::default()
    };
    update(store, "a", status(WebhookStatus::Disabled)).await;
    assert_eq!(find(300).await, None);
    assert_eq!(store.list_due_webhooks(at(300)).await.unwrap(), []);
    update(store, "a", status(WebhookStatus::Active)).await;
    assert_eq!(find(300).await.unwrap().id, first.id);

    let given_up = Change::DeliveryGivenUp {
        webhook: a.clone(),
        delivery: first.number,
        attempts: 2,
        why: "status 404".to_owned(),
        at: at(301),
    };
    make(store, "webhook.delivery_given_up", "webhook:a", given_up).await;
    assert!(find(300).await.unwrap().is_given_up);
    let note = async |number, outcome| {
        let noting = store.note_delivery(&a, number, outcome);
        noting.await.unwrap();
    };
    note(first.number, DeliveryOutcome::Done).await;
    let second = find(300).await.unwrap();
    assert_ne!(second.id, first.id);
    assert_eq!((second.attempts, second.is_given_up), (0, false));
    // One that was slow to tell what came of its attempt changes nothing any more.
    note(first.number, again(7, 5_000)).await;
    assert_eq!(find(300).await.unwrap(), second);
    note(second.number, DeliveryOutcome::Done).await;
    note(first.number, DeliveryOutcome::Done).await;
    assert_eq!(find(9_000).await, None);

    register(store, "third", &[]).await;
    let deleted = Change::WebhookDeleted {
        webhook: a.clone(),
        at: at(400),
    };
    make(store, "webhook.deleted", "webhook:a", deleted).await;
    assert_eq!(find(9_000).await, None);
    assert_eq!(store.list_due_webhooks(at(9_000)).await.unwrap(), []);
}

/// Fills the tables of webhooks.
pub(super) async fn with_webhooks(store: &dyn Store) {
    let events = [WebhookEvent::RegisteredModelCreated];
    create_webhook(store, webhook("hook", 10, &events), Some(b"sealed")).await;
    register(store, "told", &[]).await;
    register(store, "told too", &[]).await;
    let hook = webhook_id("hook");
    let due = store.find_due_delivery(&hook, at(9_000)).await.unwrap();
    let number = due.unwrap().number;
    let given_up = Change::DeliveryGivenUp {
        webhook: hook.clone(),
        delivery: number,
        attempts: 3,
        why: "status 410".to_owned(),
        at: at(50),
    };
    make(store, "webhook.delivery_given_up", "webhook:hook", given_up).await;
    store
        .note_delivery(&hook, number, DeliveryOutcome::Done)
        .await
        .unwrap();
}
