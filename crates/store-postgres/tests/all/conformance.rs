//! The cases that every store passes.

use store::conformance::{compare_pages_with_one_sort, fill_with_runs, log_until_one_is_long};
use store_postgres::{PostgresStore, SearchReach};

use testkit::TestSchema;

async fn make_store() -> Option<(PostgresStore, TestSchema)> {
    let schema = TestSchema::make()?;
    let store = schema.open(7).await;
    Some((store, schema))
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
        // Everything is, at once.
        SearchReach {
            patience: 0,
            whole: 5_000,
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
    let Some((store, schema)) = make_store().await else {
        return;
    };
    let logged = log_until_one_is_long(&store).await;
    let count = format!(
        "SELECT 1 / COUNT(*) FROM {}.metric_history WHERE points = {logged}",
        schema.quoted()
    );
    // Divides by zero where there is none.
    let counted = tokio::task::spawn_blocking(move || {
        schema.run(&count);
        schema
    });
    drop(counted.await.unwrap());
}
