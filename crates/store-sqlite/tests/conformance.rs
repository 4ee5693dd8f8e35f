//! The cases that every store passes, and some that look into the file.

mod support;

use store::conformance::{compare_pages_with_one_sort, fill_with_runs, log_until_one_is_long};
use store_sqlite::{SearchReach, SqliteStore};

#[expect(clippy::unused_async, reason = "other stores connect first")]
async fn make_store() -> Option<(SqliteStore, tempfile::TempDir)> {
    let folder = tempfile::tempdir().expect("a test can make a folder");
    let store = support::open(&folder.path().join("reproof.db"));
    Some((store, folder))
}

store::conformance_tests!(make_store);

const RUNS: usize = 500;

#[tokio::test]
async fn pages_are_those_of_one_sort_however_far_a_search_looks() {
    let Some((mut store, _place)) = make_store().await else {
        return;
    };
    fill_with_runs(&store, RUNS).await;
    for reach in [
        SearchReach::SHORT,
        // Nothing is ever collected.
        SearchReach {
            large: 10,
            many: 10,
            ..SearchReach::SHORT
        },
        // Everything is, at once.
        SearchReach {
            patience: 0,
            whole: 5_000,
            ..SearchReach::SHORT
        },
        // Groups are put in order, however many rows they have.
        SearchReach {
            group: 100_000,
            patience: 100_000,
            ..SearchReach::SHORT
        },
    ] {
        store = store.with_search_reach(reach);
        compare_pages_with_one_sort(&store, RUNS, 41, 1).await;
    }
}

/// Whoever looks at its chart finds nothing left to do.
#[tokio::test]
async fn what_is_logged_point_by_point_stands_in_order() {
    let Some((store, _place)) = make_store().await else {
        return;
    };
    let logged = log_until_one_is_long(&store).await;
    let file = rusqlite::Connection::open(store.path()).unwrap();
    let in_order: i64 = file
        .query_row("SELECT points FROM metric_history", [], |row| row.get(0))
        .unwrap();
    assert_eq!(in_order as u64, logged);
}
