//! Deliveries against a receiver in this process; the clock is set, so that nobody waits.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use entities::WebhookStatus;
use ring::hmac;
use serde_json::Value;
use store::LedgerStore as _;
use support::{Site, new_webhook, open_network};
use testkit::{NamedHosts, Received, Receiver, Reply};
use webhooks::{Deliverer, Network, Secret, SystemResolver, WebhookPatch, WebhooksError};

const SECRET: &str = "a-s3cr3t-that-nobody-tells";

const GIVEN_UP: &str = "webhook.delivery_given_up";

fn json_of(request: &Received) -> Value {
    serde_json::from_str(&request.body).unwrap()
}

/// The names of the models that a receiver was told of, one for each request.
fn names(receiver: &Receiver) -> Vec<String> {
    let received = receiver.received();
    let names = received.iter().map(|request| {
        let body = json_of(request);
        body["data"]["name"].as_str().unwrap().to_owned()
    });
    names.collect()
}

/// What the ledger says of given up deliveries, newest first.
async fn given_up(site: &Site, webhook: &entities::WebhookId) -> Vec<String> {
    let subject = format!("webhook:{webhook}");
    let events = site
        .bench
        .store
        .list_events_of(&subject, 100)
        .await
        .unwrap();
    let given_up = events
        .iter()
        .filter(|event| entities::Leaf::decode(&event.leaf).unwrap().kind == GIVEN_UP);
    given_up
        .map(|event| {
            let body: serde_json::Value = serde_json::from_slice(&event.body).unwrap();
            body["changes"][0]["why"].as_str().unwrap().to_owned()
        })
        .collect()
}

fn is_signed(request: &Received, secret: &str) -> bool {
    let signed = format!(
        "{}.{}.{}",
        request.header("X-MLflow-Delivery-Id"),
        request.header("X-MLflow-Timestamp"),
        request.body
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let Some(signature) = request.header("X-MLflow-Signature").strip_prefix("v1,") else {
        return false;
    };
    hmac::verify(
        &key,
        signed.as_bytes(),
        &STANDARD.decode(signature).unwrap(),
    )
    .is_ok()
}

#[tokio::test]
async fn a_change_is_told_once_and_signed() {
    let receiver = Receiver::start(&[]);
    let site = Site::new().await;
    let signed = site
        .webhook(&receiver.url("/signed?a=1"), Some(SECRET))
        .await;
    let unsigned = site.webhook(&receiver.url("/unsigned"), None).await;
    site.register("net").await;
    for webhook in [&signed, &unsigned, &signed] {
        site.deliver(webhook).await;
    }
    let received = receiver.received();
    assert_eq!(received.len(), 2);
    let [first, second] = [&received[0], &received[1]];
    assert_eq!(first.path, "/signed?a=1");
    assert_eq!(first.header("content-type"), "application/json");
    assert_eq!(first.header("host"), receiver.address.to_string());
    assert!(first.header("user-agent").starts_with("reproof/"));
    assert_eq!(first.header("X-MLflow-Delivery-Id").len(), 36);
    assert!(is_signed(first, SECRET));
    assert!(!is_signed(first, "another"));
    assert_eq!(second.header("X-MLflow-Signature"), "");
    assert_eq!(first.body, second.body);
    assert_ne!(
        first.header("X-MLflow-Delivery-Id"),
        second.header("X-MLflow-Delivery-Id")
    );
    let body = json_of(first);
    assert_eq!(body["entity"], "registered_model");
    assert_eq!(body["action"], "created");
    assert_eq!(
        body["data"],
        serde_json::json!({"name": "net", "tags": {}, "description": ""})
    );
}

#[tokio::test]
async fn a_receiver_that_fails_is_told_again_until_it_recovers() {
    let replies = [
        Reply::Status(503),
        Reply::Drop,
        Reply::Hang,
        Reply::Headed(429, "Retry-After: 120".to_owned()),
    ];
    let receiver = Receiver::start(&replies);
    let site = Site::new().await;
    let webhook = site.webhook(&receiver.url("/"), Some(SECRET)).await;
    site.register("first").await;
    site.register("second").await;
    for delay_ms in [1000, 2000, 4000, 119_000, 2000] {
        assert_eq!(site.deliver(&webhook).await, 1, "before {delay_ms}");
        assert_eq!(site.deliver(&webhook).await, 0, "it is not left alone");
        site.bench.clock.advance_millis(delay_ms);
        if delay_ms == 119_000 {
            assert_eq!(site.deliver(&webhook).await, 0, "it asked for more");
            site.bench.clock.advance_millis(2000);
            break;
        }
    }
    assert_eq!(site.deliver(&webhook).await, 2);
    assert_eq!(
        names(&receiver),
        ["first", "first", "first", "first", "first", "second"]
    );
    let received = receiver.received();
    let ids: Vec<_> = received
        .iter()
        .map(|request| request.header("X-MLflow-Delivery-Id"))
        .collect();
    assert!(ids[..5].iter().all(|id| *id == ids[0]));
    assert_ne!(ids[5], ids[0]);
    assert!(
        received[..5]
            .iter()
            .all(|request| request.body == received[0].body)
    );
    // A receiver that refuses old requests takes one that was tried again.
    assert_ne!(
        received[0].header("X-MLflow-Timestamp"),
        received[4].header("X-MLflow-Timestamp")
    );
    assert!(received.iter().all(|request| is_signed(request, SECRET)));
    assert_eq!(given_up(&site, &webhook).await, [] as [String; 0]);
}

#[tokio::test]
async fn one_that_hangs_holds_back_nobody_else() {
    let slow = Receiver::start(&[Reply::Hang, Reply::Hang]);
    let quick = Receiver::start(&[]);
    let site = Site::new().await;
    site.webhook(&slow.url("/"), None).await;
    site.webhook(&quick.url("/"), None).await;
    site.register("net").await;
    let stopping = tokio_util::sync::CancellationToken::new();
    let delivering = site.deliverer.clone().run(stopping.clone());
    let waiting = async {
        while quick.received().is_empty() || slow.received().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // Another change, while the slow one still hangs.
        site.register("second").await;
        while quick.received().len() < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        stopping.cancel();
    };
    let both = async { tokio::join!(delivering, waiting) };
    tokio::time::timeout(Duration::from_secs(20), both)
        .await
        .unwrap();
    assert_eq!(names(&quick), ["net", "second"]);
}

#[tokio::test]
async fn a_receiver_that_says_no_is_not_asked_again() {
    let receiver = Receiver::start(&[Reply::Status(404), Reply::Status(501)]);
    let site = Site::new().await;
    let webhook = site.webhook(&receiver.url("/"), None).await;
    for name in ["first", "second", "third"] {
        site.register(name).await;
    }
    assert_eq!(site.deliver(&webhook).await, 3);
    assert_eq!(names(&receiver), ["first", "second", "third"]);
    assert_eq!(
        given_up(&site, &webhook).await,
        ["it answered with status 501", "it answered with status 404"]
    );
    assert_eq!(site.bench.store.verify_projection().await.unwrap(), None);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let inner = Receiver::start(&[]);
    let location = format!("Location: {}", inner.url("/metadata"));
    let replies = [307, 302, 301].map(|status| Reply::Headed(status, location.clone()));
    let receiver = Receiver::start(&replies);
    let site = Site::new().await;
    let webhook = site.webhook(&receiver.url("/"), Some(SECRET)).await;
    site.register("net").await;
    site.register("second").await;
    site.deliver(&webhook).await;
    let tried = site.webhooks.try_out(webhook.as_str(), None).await.unwrap();
    assert_eq!((tried.is_success, tried.status), (false, Some(301)));
    assert_eq!(receiver.received().len(), 3);
    assert!(inner.received().is_empty());
    assert_eq!(
        given_up(&site, &webhook).await,
        ["it answered with status 302", "it answered with status 307"]
    );
}

#[tokio::test]
async fn a_host_that_moves_into_this_machine_is_not_called() {
    let receiver = Receiver::start(&[]);
    let hosts = Arc::new(NamedHosts::new(Arc::new(SystemResolver)));
    let address = |text: &str| text.parse().unwrap();
    let network = Network {
        allows_private: false,
        resolver: Arc::clone(&hosts) as _,
        ..open_network()
    };
    let site = Site::on(network).await;
    let port = receiver.address.port();
    hosts.set(
        "hooks.example",
        vec![vec![address("93.184.216.34")], vec![address("127.0.0.1")]],
    );
    let webhook = site
        .webhook(&format!("http://hooks.example:{port}/"), None)
        .await;
    site.register("net").await;
    assert_eq!(site.deliver(&webhook).await, 1);
    let tried = site.webhooks.try_out(webhook.as_str(), None).await.unwrap();
    assert!(tried.failure.unwrap().contains("127.0.0.1"));
    assert!(receiver.received().is_empty());
    // It may move back: the delivery waits.
    assert_eq!(given_up(&site, &webhook).await, [] as [String; 0]);
    // One address that may not be called is enough.
    hosts.set(
        "mixed.example",
        vec![vec![address("93.184.216.34"), address("10.0.0.1")]],
    );
    let new = new_webhook("http://mixed.example/", None);
    let refused = site.webhooks.create(site.caller(), new).await.unwrap_err();
    assert!(matches!(refused, WebhooksError::NotPublic { .. }));
    // One that cannot be looked up now may be later, too.
    hosts.set("hooks.example", vec![Vec::new()]);
    site.bench.clock.advance_millis(60_000);
    assert_eq!(site.deliver(&webhook).await, 1);
    assert_eq!(given_up(&site, &webhook).await, [] as [String; 0]);
    let due = site
        .bench
        .store
        .list_due_webhooks(testkit::MockClock::START);
    assert_eq!(due.await.unwrap(), []);
}

#[tokio::test]
async fn what_a_killed_process_did_not_tell_the_next_one_tells_under_the_same_id() {
    let receiver = Receiver::start(&[Reply::Hang]);
    let site = Site::new().await;
    let webhook = site.webhook(&receiver.url("/"), Some(SECRET)).await;
    site.register("net").await;
    // It is killed after the request went out and before the answer came.
    tokio::select! {
        _ = site.deliverer.deliver_to(&webhook) => panic!("the receiver hangs"),
        () = async {
            while receiver.received().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        } => {}
    }
    let store = Arc::new(site.bench.reopen());
    let next = Deliverer::new(site.webhooks.clone(), site.caller().clone());
    // The first may be alive and waiting: its lease holds.
    assert_eq!(next.deliver_to(&webhook).await.unwrap(), 0);
    site.bench.clock.advance_millis(46_000);
    assert_eq!(next.deliver_to(&webhook).await.unwrap(), 1);
    let received = receiver.received();
    assert_eq!(received.len(), 2);
    let id = |request: &Received| request.header("X-MLflow-Delivery-Id").to_owned();
    assert_eq!(id(&received[0]), id(&received[1]));
    assert_eq!(received[0].body, received[1].body);
    assert_eq!(store.verify_projection().await.unwrap(), None);
}

#[tokio::test]
async fn two_processes_do_not_tell_the_same_at_once() {
    let receiver = Receiver::start(&[]);
    let site = Site::new().await;
    let webhook = site.webhook(&receiver.url("/"), None).await;
    for number in 0..20 {
        site.register(&format!("net-{number:02}")).await;
    }
    let other = Deliverer::new(site.webhooks.clone(), site.caller().clone());
    for _ in 0..4 {
        let (one, two) = tokio::join!(
            site.deliverer.deliver_to(&webhook),
            other.deliver_to(&webhook)
        );
        one.unwrap();
        two.unwrap();
    }
    let told = names(&receiver);
    assert_eq!(told.len(), 20);
    assert!(told.is_sorted(), "{told:?}");
}

#[tokio::test]
async fn without_its_key_a_webhook_that_is_signed_is_not_told() {
    let receiver = Receiver::start(&[]);
    let site = Site::new().await;
    let webhook = site.webhook(&receiver.url("/"), Some(SECRET)).await;
    site.register("net").await;
    site.bench.sealing_keys.lose();
    for _ in 0..10 {
        site.deliver(&webhook).await;
        site.bench.clock.advance_millis(61_000);
    }
    let tried = site.webhooks.try_out(webhook.as_str(), None).await.unwrap();
    let failure = tried.failure.unwrap();
    assert!(failure.contains("set it again"), "{failure}");
    assert!(receiver.received().is_empty());
    assert_eq!(given_up(&site, &webhook).await, [] as [String; 0]);
    let patch = WebhookPatch {
        secret: Some(Secret::new("another".to_owned())),
        ..WebhookPatch::default()
    };
    let updating = site.webhooks.update(site.caller(), webhook.as_str(), patch);
    updating.await.unwrap();
    assert_eq!(site.deliver(&webhook).await, 1);
    assert!(is_signed(&receiver.received()[0], "another"));
}

#[tokio::test]
async fn one_that_is_disabled_waits_and_one_that_is_deleted_is_told_nothing_more() {
    let receiver = Receiver::start(&[]);
    let site = Site::new().await;
    let webhook = site.webhook(&receiver.url("/"), None).await;
    let set = async |status| {
        let patch = WebhookPatch {
            status: Some(status),
            ..WebhookPatch::default()
        };
        let updating = site.webhooks.update(site.caller(), webhook.as_str(), patch);
        updating.await.unwrap();
    };
    site.register("before").await;
    set(WebhookStatus::Disabled).await;
    site.register("meanwhile").await;
    assert_eq!(site.deliver(&webhook).await, 0);
    set(WebhookStatus::Active).await;
    site.register("after").await;
    assert_eq!(site.deliver(&webhook).await, 2);
    assert_eq!(names(&receiver), ["before", "after"]);
    site.register("late").await;
    let deleting = site.webhooks.delete(site.caller(), webhook.as_str());
    deleting.await.unwrap();
    assert_eq!(site.deliver(&webhook).await, 0);
    assert_eq!(receiver.received().len(), 2);
}

#[tokio::test]
async fn after_three_days_a_delivery_is_given_up_and_what_came_after_it_is_told() {
    let receiver = Receiver::start(&[Reply::Status(500), Reply::Status(500)]);
    let site = Site::new().await;
    let webhook = site.webhook(&receiver.url("/"), None).await;
    site.register("old").await;
    assert_eq!(site.deliver(&webhook).await, 1);
    site.bench.clock.advance_millis(4 * 24 * 3_600_000);
    site.register("new").await;
    assert_eq!(site.deliver(&webhook).await, 2);
    assert_eq!(names(&receiver), ["old", "old", "new"]);
    assert_eq!(
        given_up(&site, &webhook).await,
        ["it answered with status 500"]
    );
}

#[tokio::test]
async fn a_trial_tells_what_the_receiver_said_up_to_a_limit() {
    let receiver = Receiver::start(&[Reply::Status(404), Reply::Long(3_000_000), Reply::Hang]);
    let site = Site::new().await;
    let webhook = site.webhook(&receiver.url("/"), Some(SECRET)).await;
    let id = webhook.as_str();
    let refused = site.webhooks.try_out(id, None).await.unwrap();
    assert_eq!((refused.is_success, refused.status), (false, Some(404)));
    assert_eq!(refused.body.as_deref(), Some("xx"));
    let event = Some(("prompt_alias", "deleted"));
    let taken = site.webhooks.try_out(id, event).await.unwrap();
    assert_eq!((taken.is_success, taken.status), (true, Some(200)));
    assert_eq!(taken.body.unwrap().len(), 64 * 1024);
    let slow = site.webhooks.try_out(id, None).await.unwrap();
    assert_eq!((slow.is_success, slow.status), (false, None));
    assert!(
        slow.failure
            .unwrap()
            .starts_with("Failed to test webhook: ")
    );
    let received = receiver.received();
    assert!(received.iter().all(|request| is_signed(request, SECRET)));
    assert_eq!(
        json_of(&received[1])["data"],
        serde_json::json!({"name": "example_prompt", "alias": "example_alias"})
    );
    // A trial is no delivery.
    assert_eq!(site.deliver(&webhook).await, 0);
}

#[tokio::test]
async fn a_secret_is_nowhere_in_the_store_and_goes_for_good() {
    let site = Site::new().await;
    let webhook = site.webhook("http://127.0.0.1:1/", Some(SECRET)).await;
    let sealed = site
        .bench
        .store
        .find_webhook_secret(&webhook)
        .await
        .unwrap();
    let sealed = sealed.unwrap();
    assert!(
        is_in_files(&site, &sealed),
        "it is looked for in the wrong place"
    );
    assert!(!is_in_files(&site, SECRET.as_bytes()));
    let subject = format!("webhook:{webhook}");
    let events = site.bench.store.list_events_of(&subject, 9).await.unwrap();
    for event in &events {
        let told = String::from_utf8_lossy(&event.body).into_owned();
        assert!(told.contains("secret") && !told.contains(SECRET), "{told}");
        assert!(!told.contains(&hex::encode(&sealed)));
    }
    let deleting = site.webhooks.delete(site.caller(), webhook.as_str());
    deleting.await.unwrap();
    assert_eq!(site.bench.store.verify_projection().await.unwrap(), None);
    let database = site.bench.database();
    let Site {
        bench,
        webhooks,
        deliverer,
    } = site;
    drop((webhooks, deliverer));
    assert!(!contains(&read_closed(bench, &database), &sealed));
}

/// The file of the database, once the last connection has moved all into it.
fn read_closed(bench: testkit::TestBench, database: &std::path::Path) -> Vec<u8> {
    let testkit::TestBench {
        tracking,
        registry,
        traces,
        webhooks,
        store,
        ..
    } = bench;
    drop((tracking, registry, traces, webhooks, store));
    std::fs::read(database).unwrap()
}

fn is_in_files(site: &Site, searched: &[u8]) -> bool {
    let database = site.bench.database();
    ["", "-wal"].iter().any(|ending| {
        let path = format!("{}{ending}", database.display());
        std::fs::read(path).is_ok_and(|content| contains(&content, searched))
    })
}

fn contains(content: &[u8], searched: &[u8]) -> bool {
    content
        .windows(searched.len())
        .any(|window| window == searched)
}
