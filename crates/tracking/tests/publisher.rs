//! Publishing the ledger: killed anywhere, held by others, and in front of files that were changed.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use entities::{Clock as _, Metric};
use ledger::{
    CHECKPOINT_PATH, Checkpoint, DirectoryTiles, Frontier, LedgerError, MemoryTiles, TileStorage,
};
use store::Store as _;
use testkit::{MockClock, SeededRandom, TestBench, VolatileMemory, commit};
use tracking::{LedgerPublisher, SignedMemory as _, TrackingError, find_departure, verify_tiles};

/// Fails at the call number `left`, and at all after it, as the files of a process that was killed change no more.
struct FailingTiles {
    tiles: DirectoryTiles,
    left: AtomicI64,
}

impl FailingTiles {
    fn call(&self) -> Result<&DirectoryTiles, LedgerError> {
        if self.left.fetch_sub(1, Ordering::SeqCst) > 0 {
            return Ok(&self.tiles);
        }
        Err(LedgerError::Storage {
            action: "go on with",
            path: "everything".to_owned(),
            source: std::io::Error::other("killed"),
        })
    }
}

impl TileStorage for FailingTiles {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, LedgerError> {
        self.call()?.read(path)
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), LedgerError> {
        self.call()?.write(path, bytes)
    }

    fn sync(&self) -> Result<(), LedgerError> {
        self.call()?.sync()
    }

    fn remove_partials(&self, full_path: &str) -> Result<(), LedgerError> {
        self.call()?.remove_partials(full_path)
    }

    fn list(&self) -> Result<Vec<String>, LedgerError> {
        self.call()?.list()
    }
}

async fn add_events(bench: &TestBench, count: usize) {
    let run = bench.run().await;
    for step in 1..count {
        let point = Metric::new("m", 1.0, 1, step as i64);
        bench
            .tracking
            .log_metric(&bench.caller, &run.id, point)
            .await
            .unwrap();
    }
}

async fn first_fault(bench: &TestBench) -> Option<String> {
    let progress = bench.store.ledger_progress().await.unwrap();
    let keys = [bench.verifier()];
    let remembered = bench.memory.last().unwrap().map(|last| last.head);
    verify_tiles(
        &bench.tiles(),
        &keys,
        bench.store.as_ref(),
        progress,
        remembered,
    )
    .await
    .unwrap()
}

fn signed_head(bench: &TestBench) -> ledger::TreeHead {
    let text = bench.tiles().read(CHECKPOINT_PATH).unwrap().unwrap();
    Checkpoint::open(&text, &[bench.verifier()]).unwrap().head
}

#[tokio::test]
async fn everything_committed_is_signed_and_verifies() {
    let bench = TestBench::new().await;
    let publisher = bench.publisher();
    assert_eq!(
        first_fault(&bench).await,
        None,
        "nothing signed, nothing claimed"
    );
    let mut size = 1;
    for count in [1, 2, 250, 3, 1, 600] {
        add_events(&bench, count).await;
        size += count as u64;
        let progress = publisher.publish(bench.clock.now()).await.unwrap();
        let numbers = (
            progress.committed,
            progress.sequenced,
            progress.integrated,
            progress.signed,
        );
        assert_eq!(numbers, (size, size, size, size));
        assert_eq!(signed_head(&bench).size, size);
        assert_eq!(first_fault(&bench).await, None);
    }
    let before = std::fs::metadata(bench.ledger().join(CHECKPOINT_PATH))
        .unwrap()
        .modified()
        .unwrap();
    publisher.publish(bench.clock.now()).await.unwrap();
    let after = std::fs::metadata(bench.ledger().join(CHECKPOINT_PATH))
        .unwrap()
        .modified()
        .unwrap();
    assert_eq!(before, after, "with nothing to do, nothing is written");
}

#[tokio::test]
async fn a_publisher_killed_at_any_step_leaves_what_the_next_one_goes_on_from() {
    // 254 events and then 4 more: a tile fills, so that every kind of call is made.
    let mut at = 0;
    loop {
        let bench = TestBench::new().await;
        add_events(&bench, 253).await;
        bench.publisher().publish(bench.clock.now()).await.unwrap();
        let old_head = signed_head(&bench);
        add_events(&bench, 4).await;
        let failing = FailingTiles {
            tiles: bench.tiles(),
            left: AtomicI64::new(at),
        };
        let killed = LedgerPublisher::with_storage(
            bench.store.clone(),
            Arc::new(failing),
            bench.key.clone(),
            bench.memory.clone(),
            bench.random.as_ref(),
        );
        let outcome = killed.publish(bench.clock.now()).await;
        drop(killed);
        let is_whole = outcome.is_ok();
        if !is_whole {
            assert!(
                matches!(outcome, Err(TrackingError::Ledger(_))),
                "{outcome:?}"
            );
        }
        assert_eq!(first_fault(&bench).await, None, "after a kill at call {at}");
        let head = signed_head(&bench);
        assert!(
            head.size == old_head.size || head.size == 258,
            "after a kill at call {at}"
        );
        // More happens before the next publisher comes.
        add_events(&bench, 3).await;
        let progress = bench.publisher().publish(bench.clock.now()).await.unwrap();
        assert_eq!(
            (progress.committed, progress.signed),
            (261, 261),
            "after a kill at call {at}"
        );
        assert_eq!(first_fault(&bench).await, None, "after a kill at call {at}");
        if is_whole {
            break;
        }
        at += 1;
    }
    assert!(at >= 10, "only {at} calls were made");
}

#[tokio::test]
async fn a_publisher_killed_at_its_first_work_leaves_an_empty_ledger_or_a_whole_one() {
    for at in 0..12 {
        let bench = TestBench::new().await;
        let failing = FailingTiles {
            tiles: bench.tiles(),
            left: AtomicI64::new(at),
        };
        let killed = LedgerPublisher::with_storage(
            bench.store.clone(),
            Arc::new(failing),
            bench.key.clone(),
            bench.memory.clone(),
            bench.random.as_ref(),
        );
        drop(killed.publish(bench.clock.now()).await);
        assert_eq!(first_fault(&bench).await, None, "after a kill at call {at}");
        bench.publisher().publish(bench.clock.now()).await.unwrap();
        assert_eq!(first_fault(&bench).await, None, "after a kill at call {at}");
        assert_eq!(signed_head(&bench).size, 1);
    }
}

#[tokio::test]
async fn calls_that_are_given_up_anywhere_harm_nothing() {
    let bench = TestBench::new().await;
    let random = SeededRandom::new(3);
    for _ in 0..25 {
        add_events(&bench, 2).await;
        let wait = std::time::Duration::from_micros(random.below(8000));
        // The thread of a call that was given up may still write while the next call begins.
        drop(tokio::time::timeout(wait, bench.publisher().publish(bench.clock.now())).await);
    }
    bench.publisher().publish(bench.clock.now()).await.unwrap();
    assert_eq!(signed_head(&bench).size, 51);
    assert_eq!(first_fault(&bench).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn publishers_at_once_sign_everything_in_one_line() {
    let bench = Arc::new(TestBench::new().await);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let bench = bench.clone();
        tasks.spawn(async move {
            let publisher = bench.publisher();
            for _ in 0..5 {
                add_events(&bench, 3).await;
                let wanted = bench.store.ledger_progress().await.unwrap().committed;
                let progress = publisher.publish(bench.clock.now()).await.unwrap();
                assert!(progress.signed >= wanted, "{progress:?}, wanted {wanted}");
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(signed_head(&bench).size, 91);
    assert_eq!(first_fault(&bench).await, None);
}

#[tokio::test]
async fn a_folder_that_another_publisher_has_locked_is_left_to_it() {
    let bench = TestBench::new().await;
    add_events(&bench, 2).await;
    std::fs::create_dir_all(bench.ledger()).unwrap();
    let lock = std::fs::File::open(bench.ledger()).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let progress = bench.publisher().publish(bench.clock.now()).await.unwrap();
    assert_eq!(
        (progress.signed, progress.committed),
        (0, 3),
        "it gives up without an error"
    );
    // As when its process is killed.
    drop(lock);
    let progress = bench.publisher().publish(bench.clock.now()).await.unwrap();
    assert_eq!(progress.signed, 3);
}

#[tokio::test]
async fn without_a_lock_a_lease_is_respected_until_it_runs_out() {
    let bench = TestBench::new().await;
    add_events(&bench, 2).await;
    let now = bench.clock.now();
    let publisher = LedgerPublisher::with_storage(
        bench.store.clone(),
        Arc::new(MemoryTiles::default()),
        bench.key.clone(),
        bench.memory.clone(),
        bench.random.as_ref(),
    );
    assert!(
        bench
            .store
            .take_lease("ledger", "elsewhere", now, 60_000)
            .await
            .unwrap()
    );
    assert_eq!(publisher.publish(now).await.unwrap().signed, 0);
    let later = entities::Timestamp::from_millis(now.as_millis() + 61_000);
    assert_eq!(publisher.publish(later).await.unwrap().signed, 3);
    let is_free = bench
        .store
        .take_lease("ledger", "elsewhere", later, 60_000)
        .await
        .unwrap();
    assert!(is_free, "the lease was given back");
}

#[tokio::test]
async fn a_storage_without_a_lock_is_published_to_under_the_lease() {
    let bench = TestBench::new().await;
    add_events(&bench, 300).await;
    let tiles = Arc::new(MemoryTiles::default());
    let publisher = LedgerPublisher::with_storage(
        bench.store.clone(),
        tiles.clone(),
        bench.key.clone(),
        bench.memory.clone(),
        bench.random.as_ref(),
    );
    let progress = publisher.publish(bench.clock.now()).await.unwrap();
    assert_eq!(progress.signed, 301);
    let checkpoint = ledger::verify(tiles.as_ref(), &[bench.verifier()], |_, _| Ok(())).unwrap();
    assert_eq!(checkpoint.head.size, 301);
}

#[tokio::test]
async fn nothing_is_signed_over_a_checkpoint_that_is_gone_older_or_not_ours() {
    let bench = TestBench::new().await;
    add_events(&bench, 3).await;
    bench.publisher().publish(bench.clock.now()).await.unwrap();
    let path = bench.ledger().join(CHECKPOINT_PATH);
    let old = std::fs::read(&path).unwrap();
    add_events(&bench, 3).await;
    bench.publisher().publish(bench.clock.now()).await.unwrap();
    let current = std::fs::read(&path).unwrap();
    add_events(&bench, 1).await;
    let publish = async || bench.publisher().publish(bench.clock.now()).await;

    std::fs::write(&path, &old).unwrap();
    let error = publish().await.unwrap_err();
    assert!(
        matches!(
            error,
            TrackingError::CheckpointBehind {
                signed: 7,
                found: 4
            }
        ),
        "{error}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), old, "nothing is written");

    std::fs::remove_file(&path).unwrap();
    let error = publish().await.unwrap_err();
    assert!(
        matches!(error, TrackingError::CheckpointMissing { signed: 7 }),
        "{error}"
    );

    let mut forged = current.clone();
    let last = forged.len() - 10;
    forged[last] ^= 1;
    std::fs::write(&path, &forged).unwrap();
    assert!(matches!(publish().await, Err(TrackingError::Ledger(_))));

    std::fs::write(&path, &current).unwrap();
    assert_eq!(publish().await.unwrap().signed, 8);
    assert_eq!(first_fault(&bench).await, None);
}

#[tokio::test]
async fn nothing_is_signed_over_tiles_that_were_changed() {
    let bench = TestBench::new().await;
    add_events(&bench, 5).await;
    bench.publisher().publish(bench.clock.now()).await.unwrap();
    add_events(&bench, 1).await;
    for file in ["tile/0/000.p/6", "tile/entries/000.p/6"] {
        let path = bench.ledger().join(file);
        let whole = std::fs::read(&path).unwrap();
        let mut changed = whole.clone();
        changed[40] ^= 1;
        std::fs::write(&path, &changed).unwrap();
        let error = bench
            .publisher()
            .publish(bench.clock.now())
            .await
            .unwrap_err();
        assert!(matches!(error, TrackingError::Ledger(_)), "{file}: {error}");
        assert_eq!(signed_head(&bench).size, 6);
        std::fs::write(&path, &whole).unwrap();
    }
    bench.publisher().publish(bench.clock.now()).await.unwrap();
}

#[tokio::test]
async fn a_database_that_was_put_back_does_not_fork_the_ledger() {
    let bench = TestBench::new().await;
    add_events(&bench, 2).await;
    bench.publisher().publish(bench.clock.now()).await.unwrap();
    let copy = bench.database().with_extension("copy");
    rusqlite::Connection::open(bench.database())
        .unwrap()
        .execute("VACUUM INTO ?1", [copy.to_str().unwrap()])
        .unwrap();
    add_events(&bench, 2).await;
    bench.publisher().publish(bench.clock.now()).await.unwrap();
    let restored = Arc::new(
        store_sqlite::Sqlite::open(
            &copy,
            store_sqlite::OpenOptions {
                random: bench.random.clone(),
                create: false,
            },
        )
        .unwrap(),
    );
    let publisher = LedgerPublisher::new(
        restored.clone(),
        bench.tiles(),
        bench.key.clone(),
        bench.memory.clone(),
        bench.random.as_ref(),
    );
    let add = async |name: &str| {
        let experiment = testkit::experiment(name, name);
        let change = entities::Change::ExperimentCreated { experiment };
        restored
            .commit(commit("experiment.created", &[], vec![change]))
            .await
            .unwrap();
    };
    add("1").await;
    let error = publisher.publish(MockClock::START).await.unwrap_err();
    assert!(
        matches!(
            error,
            TrackingError::CheckpointAhead {
                sequenced: 4,
                found: 5
            }
        ),
        "{error}"
    );
    add("2").await;
    add("3").await;
    let error = publisher.publish(MockClock::START).await.unwrap_err();
    assert!(
        matches!(error, TrackingError::EventDiffers { index: 4 }),
        "{error}"
    );
    assert_eq!(signed_head(&bench).size, 5);
}

#[tokio::test]
async fn a_ledger_that_forgot_its_history_is_not_signed_again() {
    let bench = TestBench::new().await;
    add_events(&bench, 5).await;
    bench.publisher().publish(bench.clock.now()).await.unwrap();
    // What whoever can write the store can do without the key: then nothing in it tells that anything was signed.
    std::fs::remove_dir_all(bench.ledger()).unwrap();
    rusqlite::Connection::open(bench.database())
        .unwrap()
        .execute_batch("UPDATE ledger_state SET sequenced = 0, integrated = 0, signed = 0")
        .unwrap();
    let error = bench
        .publisher()
        .publish(bench.clock.now())
        .await
        .unwrap_err();
    assert!(
        matches!(error, TrackingError::CheckpointMissing { signed: 6 }),
        "{error}"
    );
    assert!(bench.tiles().read(CHECKPOINT_PATH).unwrap().is_none());
    assert_eq!(
        first_fault(&bench).await.as_deref(),
        Some("the ledger's `checkpoint` is missing, although 6 events were signed")
    );
}

#[tokio::test]
async fn another_history_under_the_same_key_is_not_gone_on_with() {
    let bench = TestBench::new().await;
    add_events(&bench, 300).await;
    // The same key signed another history before: one that is shorter, one of the same size, one that is longer.
    for difference in [-250, 0, 100] {
        let memory = Arc::new(VolatileMemory::new(bench.verifier()));
        let publisher = LedgerPublisher::new(
            bench.store.clone(),
            bench.tiles(),
            bench.key.clone(),
            memory.clone(),
            bench.random.as_ref(),
        );
        publisher.publish(bench.clock.now()).await.unwrap();
        let before = signed_head(&bench);
        let size = before.size.strict_add_signed(difference);
        let mut other = Frontier::default();
        for event in 0..size {
            other.push(ledger::leaf_hash(&event.to_le_bytes()));
        }
        let signed = Checkpoint::sign(other.head(), &[&bench.key]).unwrap();
        memory.remember(&signed).unwrap();
        bench.run().await;

        let error = publisher.publish(bench.clock.now()).await.unwrap_err();
        assert_eq!(signed_head(&bench), before, "nothing is signed");
        let expected = if difference > 0 {
            format!(
                "the ledger's `checkpoint` covers {} events, although {size} were signed",
                before.size
            )
        } else {
            format!(
                "the ledger's first {size} events are not those that were signed with this key before"
            )
        };
        assert_eq!(error.to_string(), expected);
        let departure = find_departure(&bench.tiles(), &bench.verifier(), memory.as_ref())
            .unwrap()
            .unwrap();
        assert_eq!(
            (departure.remembered, departure.found),
            (other.head(), before)
        );

        departure.accept(&bench.key, memory.as_ref()).unwrap();
        publisher.publish(bench.clock.now()).await.unwrap();
        let last = memory.last().unwrap().map(|last| last.head);
        assert_eq!(last, Some(signed_head(&bench)));
        assert!(signed_head(&bench).size > before.size);
    }
}

#[tokio::test]
async fn a_memory_that_lags_behind_is_continued() {
    let bench = TestBench::new().await;
    for events in [1, 6, 255, 300] {
        add_events(&bench, events).await;
        let old = bench.memory.last().unwrap().map(|last| last.head);
        bench.publisher().publish(bench.clock.now()).await.unwrap();
        // As when the publisher was killed after the checkpoint was written.
        if let Some(old) = old {
            let old = Checkpoint::sign(old, &[&bench.key]).unwrap();
            bench.memory.remember(&old).unwrap();
        }
        assert_eq!(first_fault(&bench).await, None);
    }
}
