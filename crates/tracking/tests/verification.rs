//! What the verification finds, and that it names the place.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

use entities::{Clock as _, Metric};
use ledger::{CHECKPOINT_PATH, SigningKey};
use testkit::{SeededRandom, TestBench};
use tracking::verify_tiles;

/// 301 signed events: one tile is full.
async fn published() -> TestBench {
    let bench = TestBench::new().await;
    let run = bench.run().await;
    for step in 0..299 {
        let point = Metric::new("m", 1.0, 1, step);
        bench
            .tracking
            .log_metric(&bench.caller, &run.id, point)
            .await
            .unwrap();
    }
    bench.publisher().publish(bench.clock.now()).await.unwrap();
    assert_eq!(first_fault(&bench).await, None);
    bench
}

async fn first_fault(bench: &TestBench) -> Option<String> {
    let progress = bench.store.ledger_progress().await.unwrap();
    let keys = [bench.verifier()];
    verify_tiles(&bench.tiles(), &keys, bench.store.as_ref(), progress, None)
        .await
        .unwrap()
}

fn edit(bench: &TestBench, sql: &str) {
    let connection = rusqlite::Connection::open(bench.database()).unwrap();
    connection.execute_batch(sql).unwrap();
}

#[tokio::test]
async fn a_changed_file_is_named_with_the_place() {
    let bench = published().await;
    for (file, byte, named) in [
        ("tile/entries/000", 5000, "(`tile/entries/000` byte "),
        (
            "tile/entries/001.p/45",
            100,
            "entry 256 (`tile/entries/001.p/45` byte 0)",
        ),
        ("tile/0/000", 33, "entry 1 (`tile/entries/000` byte "),
        ("tile/0/001.p/45", 32 * 7, "entry 263 "),
        (
            "tile/1/000.p/1",
            3,
            "`tile/1/000.p/1` has a wrong hash at byte 0",
        ),
        (CHECKPOINT_PATH, 30, "`checkpoint` is refused: "),
    ] {
        let path = bench.ledger().join(file);
        let whole = std::fs::read(&path).unwrap();
        let mut changed = whole.clone();
        changed[byte] ^= 1;
        std::fs::write(&path, &changed).unwrap();
        let fault = first_fault(&bench).await.unwrap();
        assert!(fault.contains(named), "{file}: {fault}");
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(first_fault(&bench).await, None, "{file} put back");
    }
}

#[tokio::test]
async fn a_missing_or_additional_file_is_named() {
    let bench = published().await;
    for (file, named) in [
        ("tile/0/000", "`tile/0/000` is missing"),
        (CHECKPOINT_PATH, "the ledger has no `checkpoint`"),
    ] {
        let (path, aside) = (
            bench.ledger().join(file),
            bench.ledger().with_extension("aside"),
        );
        std::fs::rename(&path, &aside).unwrap();
        assert_eq!(first_fault(&bench).await.as_deref(), Some(named));
        std::fs::rename(&aside, &path).unwrap();
    }
    let stray = bench.ledger().join("tile/0/005");
    std::fs::write(&stray, b"x").unwrap();
    let fault = first_fault(&bench).await.unwrap();
    assert!(fault.contains("`tile/0/005` does not belong"), "{fault}");
    std::fs::remove_file(&stray).unwrap();
    std::fs::remove_file(bench.ledger().join(CHECKPOINT_PATH)).unwrap();
    std::fs::create_dir(bench.ledger().join(CHECKPOINT_PATH)).unwrap();
    let fault = first_fault(&bench).await.unwrap();
    assert!(fault.contains("`checkpoint`"), "{fault}");
}

#[tokio::test]
async fn a_changed_event_in_the_database_is_named() {
    for (sql, named) in [
        (
            "UPDATE event SET leaf = CAST(replace(CAST(leaf AS TEXT), 'u:ann', 'u:eve') AS BLOB) WHERE position = 8",
            "event 7 in the database is not the one that was signed, from byte ",
        ),
        (
            "UPDATE event SET body = CAST(replace(CAST(body AS TEXT), '\"points\":1', '\"points\":2') AS BLOB) WHERE position = 300",
            "event 299 in the database: the body is not the one that the event committed to",
        ),
        (
            "UPDATE event SET salt = zeroblob(32) WHERE position = 3",
            "event 2 in the database: the body",
        ),
        (
            "PRAGMA foreign_keys = OFF; DELETE FROM event WHERE position = 9",
            "the database is damaged: event 8 is missing",
        ),
        (
            "PRAGMA foreign_keys = OFF; DELETE FROM event WHERE position = 301",
            "event 300 is missing in the database",
        ),
    ] {
        let bench = published().await;
        edit(&bench, sql);
        let fault = first_fault(&bench).await.unwrap_or_default();
        assert!(fault.contains(named), "{sql}: {fault:?}");
    }
}

#[tokio::test]
async fn a_fault_of_the_files_is_told_before_one_of_the_database() {
    let bench = published().await;
    edit(
        &bench,
        "UPDATE event SET salt = zeroblob(32) WHERE position = 3",
    );
    let path = bench.ledger().join("tile/0/001.p/45");
    let mut changed = std::fs::read(&path).unwrap();
    changed[0] ^= 1;
    std::fs::write(&path, &changed).unwrap();
    let fault = first_fault(&bench).await.unwrap();
    assert!(fault.contains("tile/0/001.p/45"), "{fault}");
}

#[tokio::test]
async fn a_ledger_that_was_put_back_or_signed_by_another_is_found() {
    let bench = TestBench::new().await;
    bench.publisher().publish(bench.clock.now()).await.unwrap();
    let path = bench.ledger().join(CHECKPOINT_PATH);
    let old = std::fs::read(&path).unwrap();
    bench
        .tracking
        .get_or_create_experiment(&bench.caller, "more")
        .await
        .unwrap();
    assert_eq!(
        first_fault(&bench).await,
        None,
        "events that are not signed yet are no fault"
    );
    bench.publisher().publish(bench.clock.now()).await.unwrap();
    let tiles_of_old = ["tile/0/000.p/2", "tile/entries/000.p/2"];
    for tile in tiles_of_old {
        std::fs::remove_file(bench.ledger().join(tile)).unwrap();
    }
    std::fs::write(&path, &old).unwrap();
    assert_eq!(
        first_fault(&bench).await.as_deref(),
        Some("the ledger's `checkpoint` covers 1 events, although 2 were signed")
    );
    let other = SigningKey::generate(testkit::ORIGIN, &SeededRandom::new(99)).unwrap();
    let progress = bench.store.ledger_progress().await.unwrap();
    let fault = verify_tiles(
        &bench.tiles(),
        &[other.verifier()],
        bench.store.as_ref(),
        progress,
        None,
    )
    .await
    .unwrap()
    .unwrap();
    assert!(fault.starts_with("`checkpoint` is refused: "), "{fault}");
}

#[tokio::test]
async fn a_changed_row_is_found_by_the_projection() {
    let bench = published().await;
    edit(&bench, "UPDATE latest_metric SET value = 2.0");
    assert_eq!(
        first_fault(&bench).await,
        None,
        "rows are not the tiles' business"
    );
    let fault = bench.store.verify_projection().await.unwrap().unwrap();
    assert_eq!(fault.table, "latest_metric");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_grows_meanwhile_is_no_fault() {
    let bench = std::sync::Arc::new(published().await);
    let growing = bench.clone();
    let grow = tokio::task::spawn_blocking(move || {
        tokio::runtime::Handle::current().block_on(async {
            for number in 0..40 {
                let name = format!("experiment {number}");
                let made = growing
                    .tracking
                    .get_or_create_experiment(&growing.caller, &name);
                made.await.unwrap();
                growing
                    .publisher()
                    .publish(growing.clock.now())
                    .await
                    .unwrap();
            }
        });
    });
    let mut rounds = 0;
    while !grow.is_finished() {
        assert_eq!(first_fault(&bench).await, None);
        rounds += 1;
        // Lets a publisher that waits have its turn.
        tokio::time::sleep(std::time::Duration::from_millis(15)).await;
    }
    grow.await.unwrap();
    assert!(rounds > 0);
    assert_eq!(first_fault(&bench).await, None);
}
