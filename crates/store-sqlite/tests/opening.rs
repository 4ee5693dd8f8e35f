//! Making, opening and replaying a store.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;

use entities::{Change, Lifecycle, Metric, Random as _, RunId, RunStatus, Timestamp};
use store::conformance::{commit, initialisation, run};
use store::{ExperimentStore as _, LedgerStore as _, Store as _, StoreError};
use store_sqlite::Sqlite;

#[tokio::test]
async fn a_store_is_made_whole_and_only_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("reproof.db");
    // What an interrupted attempt may have left.
    std::fs::write(folder.path().join("reproof.db.new"), b"half a database").unwrap();
    let make = || {
        let random = Arc::new(support::SeededRandom::new(1));
        Sqlite::initialise(&path, random, initialisation())
    };
    let store = make().await.unwrap();
    assert_eq!(store.origin().await.unwrap(), "reproof.local/test");
    assert!(
        store
            .verifier_key()
            .await
            .unwrap()
            .starts_with("reproof.local/test+")
    );
    assert!(matches!(make().await, Err(StoreError::Exists { .. })));
    let names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name.to_string_lossy().contains("new"))
        .collect();
    assert!(names.is_empty(), "{names:?} is left over");
}

#[tokio::test]
async fn the_log_of_a_database_that_is_gone_is_not_applied_to_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("reproof.db");
    let make = || {
        let random = Arc::new(support::SeededRandom::new(1));
        Sqlite::initialise(&path, random, initialisation())
    };
    let store = make().await.unwrap();
    let verified = Change::LedgerVerified {
        size: 1,
        fault: None,
    };
    store
        .commit(commit("test.verified", "ledger", vec![verified]))
        .await
        .unwrap();
    // As after a power cut, with the log still to be folded in.
    let log = folder.path().join("reproof.db-wal");
    let bytes = std::fs::read(&log).unwrap();
    assert!(!bytes.is_empty());
    drop(store);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&log, &bytes).unwrap();
    let error = make().await.unwrap_err();
    assert!(error.to_string().contains("reproof.db-wal"), "{error}");
    assert_eq!(std::fs::read(&log).unwrap(), bytes, "nothing is lost");
    assert!(!path.exists());
}

#[tokio::test]
async fn a_file_that_is_no_store_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("reproof.db");
    assert!(
        Sqlite::open(&path, support::options(false)).is_err(),
        "there is no file"
    );
    std::fs::write(&path, b"").unwrap();
    let error = Sqlite::open(&path, support::options(false)).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    std::fs::write(&path, vec![7; 4096]).unwrap();
    let error = Sqlite::open(&path, support::options(false)).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
}

#[tokio::test]
async fn a_newer_store_can_be_read_and_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("reproof.db");
    support::open(&path).commit(initialisation()).await.unwrap();
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection
        .pragma_update(None, "user_version", 1000)
        .unwrap();
    drop(connection);
    let store = Sqlite::open(&path, support::options(false)).unwrap();
    assert!(
        store
            .find_experiment(&"0".parse().unwrap())
            .await
            .unwrap()
            .is_some()
    );
    let error = store.commit(initialisation()).await.unwrap_err();
    assert!(
        matches!(error, StoreError::Newer { found: 1000, .. }),
        "{error}"
    );
    let error = store.verify_projection().await.unwrap_err();
    assert!(
        matches!(error, StoreError::Newer { found: 1000, .. }),
        "{error}"
    );
}

/// Whatever callers commit, refused or not, the events give the same rows again.
#[tokio::test]
async fn rows_follow_from_the_events_of_any_history() {
    let random = support::SeededRandom::new(3);
    let draw = |below: usize| {
        let mut bytes = [0; 8];
        random.fill(&mut bytes);
        u64::from_le_bytes(bytes) as usize % below
    };
    for _ in 0..5 {
        let folder = tempfile::tempdir().unwrap();
        let store = support::open(&folder.path().join("reproof.db"));
        store.commit(initialisation()).await.unwrap();
        let mut refused = 0;
        for _ in 0..150 {
            let name = format!("r{}", draw(4));
            let changes = (0..=draw(3)).map(|_| draw_change(&draw, &name)).collect();
            let commit = commit("test.drawn", &format!("run:{name}"), changes);
            refused += u32::from(store.commit(commit).await.is_err());
        }
        assert!(
            (10..140).contains(&refused),
            "{refused} of 150 were refused"
        );
        assert_eq!(store.verify_projection().await.unwrap(), None);
    }
}

fn draw_change(draw: &dyn Fn(usize) -> usize, name: &str) -> Change {
    let id: RunId = name.parse().unwrap();
    let text = |below| draw(below).to_string();
    let texts = || [(text(3), text(2))].into();
    match draw(8) {
        0 => Change::RunCreated {
            run: run(name, draw(9) as i64),
        },
        1 => Change::ParamsLogged {
            run: id,
            params: texts(),
        },
        2 => Change::TagsSet {
            run: id,
            tags: texts(),
        },
        3 => Change::TagDeleted {
            run: id,
            key: text(3),
        },
        4 => Change::RunLifecycleSet {
            run: id,
            lifecycle: if draw(4) == 0 {
                Lifecycle::Deleted
            } else {
                Lifecycle::Active
            },
        },
        5 => Change::RunUpdated {
            run: id,
            status: Some(RunStatus::Finished),
            ended_at: Some(Timestamp::from_millis(draw(9) as i64)),
            name: None,
        },
        _ => {
            let values = [0.0, -0.0, f64::NAN, f64::INFINITY, 1.5];
            let point = |_| {
                let mut point =
                    Metric::new(text(3), values[draw(5)], draw(3) as i64, draw(3) as i64);
                point.model = (draw(2) == 0).then(|| "m-1".parse().unwrap());
                point.dataset = (draw(2) == 0).then(|| (text(2), text(2)));
                point
            };
            Change::metrics(id, (0..draw(6)).map(point).collect())
        }
    }
}

#[tokio::test]
async fn a_store_opened_for_reading_only_sees_all_that_was_written_and_makes_no_file() {
    use std::os::unix::ffi::OsStrExt as _;
    let folder = tempfile::tempdir().unwrap();
    let inner = folder
        .path()
        .join(std::ffi::OsStr::from_bytes(b"odd ?#%\n\xff"));
    std::fs::create_dir(&inner).unwrap();
    let path = inner.join("reproof.db");
    let list = || {
        let entries = std::fs::read_dir(&inner).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let default = "0".parse().unwrap();
    let writing = support::open(&path);
    writing.commit(initialisation()).await.unwrap();
    // While somebody writes, what was written last stands in the log.
    let files = list();
    assert_eq!(files.len(), 3, "{files:?}");
    let reading = Sqlite::open_read_only(&path).unwrap();
    assert!(reading.find_experiment(&default).await.unwrap().is_some());
    let error = reading.commit(initialisation()).await.unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly), "{error}");
    assert_eq!(list(), files);
    let copy = inner.join("copy.db");
    for ending in ["", "-wal"] {
        let with = |name: &str| inner.join(format!("{name}{ending}"));
        std::fs::copy(with("reproof.db"), with("copy.db")).unwrap();
    }
    let error = Sqlite::open_read_only(&copy).unwrap_err();
    assert!(matches!(error, StoreError::LogUnreadable { .. }), "{error}");
    std::fs::remove_file(inner.join("copy.db-wal")).unwrap();
    std::fs::remove_file(&copy).unwrap();
    drop(writing);
    assert_eq!(list(), ["reproof.db"]);
    // The same store goes on in the other way.
    assert!(reading.find_experiment(&default).await.unwrap().is_some());
    let error = reading.commit(initialisation()).await.unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly), "{error}");
    assert_eq!(list(), ["reproof.db"]);
}

#[tokio::test]
async fn what_a_deleted_trace_said_is_not_in_the_file() {
    const SAID: &str = "my number is 0815-4711";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("reproof.db");
    let store = support::open(&path);
    store.commit(initialisation()).await.unwrap();
    let trace: entities::TraceId = "tr-1".parse().unwrap();
    let tagged = entities::TraceRecord::Tagged {
        tags: [("said".to_owned(), SAID.to_owned())].into(),
    };
    let logged = Change::TraceLogged {
        trace: trace.clone(),
        experiment: "0".parse().unwrap(),
        artifact_uri: "mlflow-artifacts:/0/traces/tr-1/artifacts".to_owned(),
        records: vec![entities::SealedRecord::seal(&tagged)],
    };
    let subject = format!("trace:{trace}");
    store
        .commit(commit("trace.logged", &subject, vec![logged]))
        .await
        .unwrap();
    drop(store);
    let is_there = || {
        let bytes = std::fs::read(&path).unwrap();
        bytes
            .windows(SAID.len())
            .any(|window| window == SAID.as_bytes())
    };
    assert!(is_there());
    let store = support::open(&path);
    let deleted = Change::TracesDeleted {
        traces: vec![trace],
    };
    store
        .commit(commit("traces.deleted", &subject, vec![deleted]))
        .await
        .unwrap();
    assert_eq!(store.verify_projection().await.unwrap(), None);
    drop(store);
    assert!(!is_there());
}
