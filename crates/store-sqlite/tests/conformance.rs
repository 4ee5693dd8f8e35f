//! The cases that every store passes, and some that look into the file.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use store::RunStore as _;
use store::conformance::{
    compare_pages_with_one_sort, fill_with_runs, log_before_many, log_until_one_is_long,
};
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
    assert_eq!(count_in_order(&store), logged);
}

/// Nobody but who asks for it waits for the rewriting of a long history.
#[tokio::test]
async fn what_belongs_before_very_many_points_is_left_to_readers() {
    let Some((store, _place)) = make_store().await else {
        return;
    };
    let (before, all) = log_before_many(&store).await;
    assert_eq!(count_in_order(&store), before);
    let run = "a".parse().unwrap();
    let sample = store.sample_metric_points(&run, "m", 0..=i64::MAX, 2).await;
    let steps: Vec<i64> = sample.unwrap().iter().map(|point| point.step).collect();
    assert_eq!(steps, [0, all as i64 - 1]);
    assert_eq!(count_in_order(&store), all);
}

fn count_in_order(store: &SqliteStore) -> u64 {
    let file = rusqlite::Connection::open(store.path()).unwrap();
    let sql = "SELECT points FROM metric_history";
    let points: i64 = file.query_row(sql, [], |row| row.get(0)).unwrap();
    points as u64
}
