//! The cases that every store passes.

use store::conformance::{compare_pages_with_one_sort, fill_with_runs};
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
