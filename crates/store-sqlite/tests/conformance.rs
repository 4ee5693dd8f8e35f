//! The cases that every store passes.

mod support;

use store::conformance::{compare_pages_with_one_sort, fill_with_runs};
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
