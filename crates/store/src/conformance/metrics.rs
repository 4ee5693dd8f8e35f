//! Cases of metric points.

use entities::{Change, Metric};

use super::{all, id, log, refuse, with_runs};
use crate::{PageRequest, Store, StoreError};

/// Within a block and across blocks; a block must have its digest and its number of points.
pub async fn latest_is_by_step_then_time_then_value(store: &dyn Store) {
    with_runs(store, &["a"]).await;
    log(
        store,
        "a",
        vec![Metric::new("m", 1.0, 5, 2), Metric::new("m", 9.0, 9, 1)],
    )
    .await;
    log(
        store,
        "a",
        vec![
            Metric::new("m", 2.0, 4, 2),
            Metric::new("n", f64::INFINITY, 0, 0),
        ],
    )
    .await;
    log(
        store,
        "a",
        vec![
            Metric::new("m", f64::NAN, 5, 2),
            Metric::new("m", 7.0, 5, 2),
        ],
    )
    .await;
    let detail = store.find_run_detail(&id("a")).await.unwrap().unwrap();
    assert_eq!(detail.metrics.len(), 2);
    assert!(
        detail.metrics[0].value.is_nan(),
        "NaN stands above all numbers"
    );
    assert_eq!(detail.metrics[1], Metric::new("n", f64::INFINITY, 0, 0));
    let mut forged = Change::metrics(id("a"), vec![Metric::new("m", 1.0, 1, 1)]);
    if let Change::MetricsLogged { encoded, .. } = &mut forged {
        encoded.push(0);
    }
    refuse(store, forged).await;
    let mut miscounted = Change::metrics(id("a"), vec![Metric::new("m", 1.0, 1, 1)]);
    if let Change::MetricsLogged { points, .. } = &mut miscounted {
        *points = 2;
    }
    refuse(store, miscounted).await;
}

/// By time, step and value, whatever the order of the blocks; repeats are dropped.
pub async fn a_history_is_in_order_and_holds_each_point_once(store: &dyn Store) {
    with_runs(store, &["a"]).await;
    let point = |value, time, step| Metric::new("m", value, time, step);
    log(
        store,
        "a",
        vec![
            point(3.0, 30, 3),
            point(1.0, 10, 1),
            Metric::new("n", 0.0, 0, 0),
        ],
    )
    .await;
    log(
        store,
        "a",
        vec![point(2.0, 20, 2), point(1.0, 10, 1), point(0.5, 10, 1)],
    )
    .await;
    log(
        store,
        "a",
        vec![point(f64::NAN, 10, 1), point(f64::NAN, 10, 1)],
    )
    .await;
    let found = store
        .list_metric_points(&id("a"), "m", &all())
        .await
        .unwrap();
    let values: Vec<_> = found.items.iter().map(|point| point.value).collect();
    assert_eq!(values.len(), 5);
    assert_eq!(
        (values[0], values[1], values[3], values[4]),
        (0.5, 1.0, 2.0, 3.0)
    );
    assert!(values[2].is_nan());
    assert!(found.items.iter().all(|point| point.key == "m"));
    assert_eq!(found.next, None);
    let none = store
        .list_metric_points(&id("a"), "x", &all())
        .await
        .unwrap();
    assert!(none.items.is_empty());
}

/// Pages join to the whole, and a token of another key is refused.
pub async fn a_history_comes_in_pages(store: &dyn Store) {
    with_runs(store, &["a"]).await;
    for block in 0..10_i64 {
        // Blocks overlap in time, and come in no order.
        let start = (block * 7) % 10 * 5;
        let points = (0..10).map(|step| Metric::new("m", step as f64, start + step, step));
        log(store, "a", points.collect()).await;
    }
    let whole = store
        .list_metric_points(&id("a"), "m", &all())
        .await
        .unwrap()
        .items;
    assert_eq!(whole.len(), 100);
    let mut joined = Vec::new();
    let mut page = PageRequest::first(7);
    loop {
        let found = store
            .list_metric_points(&id("a"), "m", &page)
            .await
            .unwrap();
        joined.extend(found.items);
        page.token = found.next;
        let Some(token) = &page.token else {
            break;
        };
        let other = PageRequest {
            limit: 7,
            token: Some(token.clone()),
        };
        let error = store
            .list_metric_points(&id("a"), "n", &other)
            .await
            .unwrap_err();
        assert!(matches!(error, StoreError::PageToken { .. }), "{error}");
    }
    assert_eq!(joined, whole);
}
