//! Several writers, full disks and `kill -9`: what was acknowledged is there, and all of it verifies.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::disallowed_methods,
    reason = "the tests start themselves again as the process that is killed"
)]

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use entities::{Change, Leaf};
use store::conformance::{commit, initialisation, run};
use store::{LedgerStore as _, RunStore as _, Store as _, StoreError};
use store_sqlite::SqliteStore;

const CHILD_DATABASE: &str = "STORE_SQLITE_TEST_DATABASE";

fn tag(name: &str, value: usize) -> entities::Commit {
    let change = Change::TagsSet {
        run: name.parse().unwrap(),
        tags: BTreeMap::from([(format!("tag {value}"), value.to_string())]),
    };
    commit("tags.set", &format!("run:{name}"), vec![change])
}

async fn prepare(path: &Path, runs: &[&str]) -> SqliteStore {
    let store = support::open(path);
    store.commit(initialisation()).await.unwrap();
    for name in runs {
        let change = Change::RunCreated { run: run(name, 1) };
        let subject = format!("run:{name}");
        store
            .commit(commit("run.created", &subject, vec![change]))
            .await
            .unwrap();
    }
    store
}

async fn check_numbers(store: &SqliteStore) -> u64 {
    let count = store.sequence().await.unwrap();
    let events = store.list_events(0, usize::MAX >> 1).await.unwrap();
    assert_eq!(events.len() as u64, count);
    for (event, expected) in events.iter().zip(0..) {
        assert_eq!(Leaf::decode(&event.leaf).unwrap().wseq, expected);
    }
    assert_eq!(store.verify_projection().await.unwrap(), None);
    count
}

#[tokio::test]
async fn commits_of_many_callers_and_two_handles_are_all_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("reproof.db");
    let first = Arc::new(prepare(&path, &["a", "b"]).await);
    let second = Arc::new(support::open(&path));
    assert_eq!(first.writer_id(), second.writer_id());
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..8_usize {
        let store = Arc::clone(if caller % 2 == 0 { &first } else { &second });
        let name = if caller % 2 == 0 { "a" } else { "b" };
        callers.spawn(async move {
            for number in 0..25 {
                store
                    .commit(tag(name, caller * 100 + number))
                    .await
                    .unwrap();
            }
        });
    }
    callers.join_all().await;
    assert_eq!(check_numbers(&first).await, 3 + 200);
    for name in ["a", "b"] {
        let detail = second
            .find_run_detail(&name.parse().unwrap())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(detail.tags.len(), 100);
    }
}

#[tokio::test]
async fn a_refused_commit_does_not_touch_those_that_share_its_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(prepare(&folder.path().join("reproof.db"), &["a"]).await);
    // All are handed over before the writing thread answers, so that they come as groups.
    let commits = (0..100).map(|number| {
        let mut commit = tag("a", number);
        if number % 3 == 0 {
            // Something was written already when it is refused.
            commit.changes.extend(tag("nobody", number).changes);
        }
        let store = Arc::clone(&store);
        async move { (number, store.commit(commit).await) }
    });
    let mut outcomes: tokio::task::JoinSet<_> = commits.collect();
    while let Some(outcome) = outcomes.join_next().await {
        match outcome.unwrap() {
            (number, Err(error)) => {
                assert!(
                    number % 3 == 0 && matches!(error, StoreError::NoRun { .. }),
                    "{error}"
                );
            }
            (number, Ok(_)) => assert_ne!(number % 3, 0),
        }
    }
    assert_eq!(check_numbers(&store).await, 2 + 66);
    let detail = store.find_run_detail(&"a".parse().unwrap()).await;
    assert_eq!(detail.unwrap().unwrap().tags.len(), 66);
}

#[tokio::test]
async fn a_database_that_another_holds_is_busy_and_then_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("reproof.db");
    let store = prepare(&path, &["a"]).await;
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = store.commit(tag("a", 1)).await.unwrap_err();
    assert!(matches!(error, StoreError::Busy), "{error}");
    other.execute_batch("ROLLBACK").unwrap();
    store.commit(tag("a", 1)).await.unwrap();
    assert_eq!(check_numbers(&store).await, 3);
}

#[test]
fn whatever_was_acknowledged_survives_a_kill() {
    if let Ok(path) = std::env::var(CHILD_DATABASE) {
        write_until_killed(Path::new(&path));
        return;
    }
    for round in 0..4_u32 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reproof.db");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        drop(runtime.block_on(prepare(&path, &["a"])));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "whatever_was_acknowledged_survives_a_kill",
                "--exact",
                "--nocapture",
            ])
            .env(CHILD_DATABASE, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged = Vec::new();
        let wanted = 10 + 37 * round as usize;
        while acknowledged.len() < wanted {
            let line = lines.next().unwrap().unwrap();
            if let Some(number) = line.strip_prefix("done ") {
                acknowledged.push(number.parse::<usize>().unwrap());
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged.extend(lines.map_while(Result::ok).filter_map(|line| {
            line.strip_prefix("done ")
                .and_then(|number| number.parse::<usize>().ok())
        }));
        let store = support::open(&path);
        runtime.block_on(async {
            let detail = store
                .find_run_detail(&"a".parse().unwrap())
                .await
                .unwrap()
                .unwrap();
            for number in &acknowledged {
                assert!(
                    detail.tags.contains_key(&format!("tag {number}")),
                    "{number} is lost"
                );
            }
            let count = check_numbers(&store).await;
            assert_eq!(count, 2 + detail.tags.len() as u64);
        });
    }
}

fn write_until_killed(path: &Path) {
    let store = Arc::new(support::open(path));
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    runtime.block_on(async {
        let mut callers = tokio::task::JoinSet::new();
        for caller in 0..4_usize {
            let store = Arc::clone(&store);
            callers.spawn(async move {
                for number in (caller..1_000_000).step_by(4) {
                    store.commit(tag("a", number)).await.unwrap();
                    let line = format!("done {number}\n");
                    std::io::stdout().write_all(line.as_bytes()).unwrap();
                }
            });
        }
        callers.join_all().await;
    });
}

#[tokio::test]
async fn a_full_disk_is_told_and_the_store_goes_on_once_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let mount = |arguments: &[&str]| {
        let status = Command::new(arguments[0])
            .args(&arguments[1..])
            .stderr(Stdio::null())
            .status();
        status.is_ok_and(|status| status.success())
    };
    let target = folder.path().to_str().unwrap();
    if !mount(&["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", target]) {
        println!("skipped: a small file system cannot be mounted here");
        return;
    }
    let path = folder.path().join("reproof.db");
    let ballast = folder.path().join("ballast");
    let outcome = tokio::spawn(async move {
        let store = prepare(&path, &["a"]).await;
        std::fs::write(&ballast, vec![0_u8; 300_000]).unwrap();
        let mut number = 0;
        let error = loop {
            let mut big = tag("a", number);
            big.reason = Some("r".repeat(10_000));
            if let Err(error) = store.commit(big).await {
                break error;
            }
            number += 1;
            assert!(number < 1000, "the disk never filled");
        };
        assert!(matches!(error, StoreError::DiskFull), "{error:?}");
        std::fs::remove_file(&ballast).unwrap();
        store.commit(tag("a", number)).await.unwrap();
        assert_eq!(check_numbers(&store).await, 2 + number as u64 + 1);
    })
    .await;
    assert!(mount(&["umount", target]));
    outcome.unwrap();
}
