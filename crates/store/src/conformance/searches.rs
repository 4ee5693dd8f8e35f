//! Cases of search and its pages.

use entities::{Change, ExperimentId, Lifecycle, Metric, RunStatus, SearchQuery, Timestamp};

use super::{all, find, id, log, make, map, with_runs, zero};
use crate::{PageRequest, Store, StoreError, View};

/// Every operator, on values that are there, missing, NaN and infinite.
pub async fn filters_find_what_fits(store: &dyn Store) {
    with_runs(store, &["a", "b", "c"]).await;
    log(store, "a", vec![Metric::new("m", 1.0, 0, 0)]).await;
    log(store, "b", vec![Metric::new("m", f64::NAN, 0, 0)]).await;
    let tags = Change::TagsSet {
        run: id("a"),
        tags: map(&[("t", "Abc"), ("only a", "1")]),
    };
    make(store, "tags.set", "run:a", tags).await;
    let tags = Change::TagsSet {
        run: id("b"),
        tags: map(&[("t", "abd")]),
    };
    make(store, "tags.set", "run:b", tags).await;
    let end = Change::RunUpdated {
        run: id("c"),
        status: Some(RunStatus::Finished),
        ended_at: Some(Timestamp::from_micros(500_999)),
        name: None,
    };
    make(store, "run.updated", "run:c", end).await;
    let cases: &[(&str, &[&str])] = &[
        ("", &["c", "b", "a"]),
        ("metrics.m = 1", &["a"]),
        ("metrics.m < 2", &["a"]),
        ("metrics.m > -1", &["a"]),
        ("metrics.m != 7", &["b", "a"]),
        ("tags.t = 'Abc'", &["a"]),
        ("tags.t != 'Abc'", &["b"]),
        ("tags.t LIKE 'ab%'", &["b"]),
        ("tags.t ILIKE 'ab_'", &["b", "a"]),
        ("tags.t IS NULL", &["c"]),
        ("tags.t IS NOT NULL", &["b", "a"]),
        ("tags.`only a` = '1'", &["a"]),
        ("run_id IN ('a', 'c', 'x')", &["c", "a"]),
        ("run_id NOT IN ('a', 'c')", &["b"]),
        ("status = 'FINISHED'", &["c"]),
        ("end_time IS NULL", &["b", "a"]),
        ("end_time = 500", &["c"]),
        ("end_time != 500", &[]),
        ("end_time > 500", &[]),
        ("end_time >= 500", &["c"]),
        ("end_time < 500.5", &["c"]),
        ("end_time <= 499", &[]),
        ("start_time >= 101 AND start_time < 102", &["b"]),
        ("run_name LIKE 'name of _'", &["c", "b", "a"]),
        ("metrics.m = 1 AND tags.t = 'abd'", &[]),
        ("params.p = 'x'", &[]),
        ("start_time < 1e300", &["c", "b", "a"]),
    ];
    for (filter, expected) in cases {
        assert_eq!(find(store, filter, &[]).await, *expected, "{filter}");
    }
    let other: ExperimentId = "5".parse().unwrap();
    let query = SearchQuery::default();
    let none = store
        .search_runs(&[other], &query, View::Active, &all())
        .await
        .unwrap();
    assert!(none.items.is_empty());
}

/// Numbers, then NaN, then nothing; ties by the start, latest first.
pub async fn what_is_missing_comes_last_in_both_directions(store: &dyn Store) {
    with_runs(store, &["a", "b", "c", "d", "e"]).await;
    log(store, "a", vec![Metric::new("m", 1.0, 0, 0)]).await;
    log(store, "b", vec![Metric::new("m", f64::NAN, 0, 0)]).await;
    log(store, "c", vec![Metric::new("m", f64::NEG_INFINITY, 0, 0)]).await;
    log(store, "e", vec![Metric::new("m", 1.0, 0, 0)]).await;
    assert_eq!(
        find(store, "", &["metrics.m"]).await,
        ["c", "e", "a", "b", "d"]
    );
    assert_eq!(
        find(store, "", &["metrics.m DESC"]).await,
        ["e", "a", "c", "b", "d"]
    );
    let params = Change::ParamsLogged {
        run: id("b"),
        params: map(&[("p", "1")]),
    };
    make(store, "params.logged", "run:b", params).await;
    let params = Change::ParamsLogged {
        run: id("c"),
        params: map(&[("p", "2")]),
    };
    make(store, "params.logged", "run:c", params).await;
    assert_eq!(
        find(store, "", &["params.p"]).await,
        ["b", "c", "e", "d", "a"]
    );
    assert_eq!(
        find(store, "", &["params.p DESC"]).await,
        ["c", "b", "e", "d", "a"]
    );
    let both = find(store, "", &["metrics.m DESC", "run_id ASC"]).await;
    assert_eq!(both, ["a", "e", "c", "b", "d"]);
}

/// Pages join to the whole; a token of another search, or of none, is refused.
pub async fn a_page_token_belongs_to_its_search(store: &dyn Store) {
    with_runs(store, &["a", "b", "c", "d", "e"]).await;
    let query = SearchQuery::default();
    let mut page = PageRequest::first(2);
    let mut joined = Vec::new();
    loop {
        let found = store
            .search_runs(&[], &query, View::Active, &page)
            .await
            .unwrap();
        joined.extend(
            found
                .items
                .into_iter()
                .map(|detail| detail.run.id.to_string()),
        );
        page.token = found.next;
        if page.token.is_none() {
            break;
        }
        let other = store
            .search_runs(&[zero()], &query, View::Active, &page)
            .await;
        assert!(matches!(other, Err(StoreError::PageToken { .. })));
    }
    assert_eq!(joined, ["e", "d", "c", "b", "a"]);
    for token in ["", "2", "-", "99999999999999999999-x", "' OR 1=1"] {
        let page = PageRequest {
            limit: 2,
            token: Some(token.to_owned()),
        };
        let found = store.search_runs(&[], &query, View::Active, &page).await;
        assert!(
            matches!(found, Err(StoreError::PageToken { .. })),
            "{token}"
        );
    }
}

/// For runs and for experiments.
pub async fn views_show_active_deleted_or_both(store: &dyn Store) {
    with_runs(store, &["a", "b"]).await;
    let delete = Change::RunLifecycleSet {
        run: id("a"),
        lifecycle: Lifecycle::Deleted,
    };
    make(store, "run.deleted", "run:a", delete).await;
    let query = SearchQuery::default();
    for (view, runs, experiments) in [
        (View::Active, 1, 1),
        (View::Deleted, 1, 0),
        (View::All, 2, 1),
    ] {
        let found = store
            .search_runs(&[zero()], &query, view, &all())
            .await
            .unwrap();
        assert_eq!(found.items.len(), runs, "{view:?}");
        assert!(
            found
                .items
                .iter()
                .all(|detail| view.shows(detail.run.lifecycle))
        );
        let found = store
            .search_experiments(&query, view, &all())
            .await
            .unwrap();
        assert_eq!(found.items.len(), experiments, "{view:?}");
    }
}
