//! The shortest way through the store.

mod support;

use entities::{Change, Metric, SearchQuery};
use store::{LedgerStore as _, PageRequest, RunStore as _, Store as _, View};

#[tokio::test]
async fn a_run_with_points_is_found_and_verified_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("reproof.db");
    let store = support::open(&path);
    store.commit(support::initialisation()).await.unwrap();
    store.commit(support::creation("a1")).await.unwrap();
    let points = vec![
        Metric::new("loss", 0.5, 1, 1),
        Metric::new("loss", f64::NAN, 2, 2),
    ];
    let change = Change::metrics("a1".parse().unwrap(), points);
    store
        .commit(support::commit("metrics.logged", "run:a1", vec![change]))
        .await
        .unwrap();
    drop(store);

    let store = support::open(&path);
    let run = "a1".parse().unwrap();
    let detail = store.find_run_detail(&run).await.unwrap().unwrap();
    assert!(detail.metrics[0].value.is_nan());
    let page = PageRequest::first(10);
    let points = store.list_metric_points(&run, "loss", &page).await.unwrap();
    assert_eq!(points.items.len(), 2);
    let found = store
        .search_runs(&[], &SearchQuery::default(), View::Active, &page)
        .await
        .unwrap();
    assert_eq!(found.items.len(), 1);
    assert_eq!(store.sequence().await.unwrap(), 3);
    assert_eq!(store.list_events(0, 10).await.unwrap().len(), 3);
    assert_eq!(store.verify_projection().await.unwrap(), None);
}
