//! Cases of metric points.

use std::collections::BTreeMap;
use std::time::Duration;

use entities::{Change, Metric};

use super::removal::{delete, remove};
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

/// A history as it should come, out of all that was logged.
#[derive(Default)]
struct Oracle {
    /// By time, step and value; the first of equal ones stays.
    points: BTreeMap<(i64, i64, u64), Metric>,
}

impl Oracle {
    fn add(&mut self, points: &[Metric]) {
        for point in points {
            // These values are not negative, so that their bits are in their order.
            let place = (point.timestamp_ms, point.step, point.value.to_bits());
            self.points.entry(place).or_insert_with(|| point.clone());
        }
    }

    fn sample(&self, from: i64, to: i64, limit: usize) -> Vec<Metric> {
        let mut points: Vec<_> = self.points.values().cloned().collect();
        points.retain(|point| (from..=to).contains(&point.step));
        points.sort_by_key(|point| (point.step, point.timestamp_ms, point.value.to_bits()));
        if points.len() <= limit {
            return points;
        }
        // The first of each part of SQL's NTILE: parts differ by one point at most, the longer ones first.
        let mut begins = Vec::new();
        let mut begin = 0;
        for part in 0..limit {
            begins.push(begin);
            begin += points.len() / limit + usize::from(part < points.len() % limit);
        }
        begins[limit - 1] = points.len() - 1;
        begins.into_iter().map(|at| points[at].clone()).collect()
    }
}

/// Compares pages and samples with what they should be.
async fn compare(store: &dyn Store, oracle: &Oracle, page_length: usize) {
    let expected: Vec<_> = oracle.points.values().cloned().collect();
    let mut found = Vec::new();
    let mut page = PageRequest::first(page_length);
    loop {
        let read = store
            .list_metric_points(&id("a"), "m", &page)
            .await
            .unwrap();
        assert!(read.items.len() <= page_length);
        found.extend(read.items);
        page.token = read.next;
        if page.token.is_none() {
            break;
        }
    }
    assert_eq!(found, expected);
    let steps = [
        (i64::MIN, i64::MAX),
        (0, 0),
        (3, 700),
        (250, i64::MAX),
        (i64::MIN, 1000),
        (900_000, 1_000_000),
        (5, 4),
    ];
    for (from, to) in steps {
        for limit in [1, 2, 7, 320, 2500] {
            let found = store
                .sample_metric_points(&id("a"), "m", from..=to, limit)
                .await
                .unwrap();
            assert_eq!(
                found,
                oracle.sample(from, to, limit),
                "{limit} of {from} to {to}"
            );
        }
    }
}

/// Logs points to the run and to what is expected of it.
async fn note(store: &dyn Store, oracle: &mut Oracle, points: Vec<Metric>) {
    oracle.add(&points);
    // What is of other keys is left alone.
    let other = Metric::new("n", 1.0, 1, 1);
    log(store, "a", [points, vec![other]].concat()).await;
}

/// However a history came: point by point, in blocks, out of order, with repeats, and read in between.
pub async fn a_long_history_is_sampled_and_paged_as_a_short_one(store: &dyn Store) {
    with_runs(store, &["a", "b"]).await;
    let mut oracle = Oracle::default();
    let point = |step: i64| Metric::new("m", (step % 50) as f64, 1_000 + step * 10, step);
    log(store, "b", (0..300).map(point).collect()).await;
    for step in 0..150 {
        note(store, &mut oracle, vec![point(step)]).await;
    }
    compare(store, &oracle, 40).await;
    // In order, some at a time: appended.
    for block in 0..70 {
        let first = 150 + block * 7;
        note(store, &mut oracle, (first..first + 7).map(point).collect()).await;
    }
    compare(store, &oracle, 1000).await;
    // A repeat, and one that names what it was measured on.
    note(store, &mut oracle, (600..640).map(point).collect()).await;
    let mut of_model = point(900);
    of_model.model = Some("m-1".parse().unwrap());
    of_model.dataset = Some(("train".to_owned(), "d1".to_owned()));
    note(store, &mut oracle, vec![of_model, point(901)]).await;
    compare(store, &oracle, 99).await;
    // Steps in one order, times in the other; many points of one step.
    for block in 0..80 {
        let at = |step| Metric::new("m", 3.0, 900_000 - step, step);
        note(
            store,
            &mut oracle,
            (0..5).map(|place| at(block * 5 + place)).collect(),
        )
        .await;
    }
    note(
        store,
        &mut oracle,
        (0..250)
            .map(|place| Metric::new("m", f64::from(place), 7, 0))
            .collect(),
    )
    .await;
    note(
        store,
        &mut oracle,
        vec![
            Metric::new("m", f64::INFINITY, 7, i64::MAX),
            Metric::new("m", 0.0, 7, i64::MIN),
        ],
    )
    .await;
    compare(store, &oracle, 200).await;
    compare(store, &oracle, 10_000).await;
}

/// Readers that come at once, to a history that nobody has read yet, see the same.
pub async fn a_long_history_is_read_by_several_at_once(store: &dyn Store) {
    with_runs(store, &["a"]).await;
    let mut oracle = Oracle::default();
    for step in (0..100).rev() {
        note(
            store,
            &mut oracle,
            vec![Metric::new("m", 1.0, 5 + step, step)],
        )
        .await;
    }
    let run = id("a");
    let read = || store.sample_metric_points(&run, "m", 0..=1000, 10);
    let found = futures_util::future::join_all([read(), read(), read(), read()]).await;
    let expected = oracle.sample(0, 1000, 10);
    for found in found {
        assert_eq!(found.unwrap(), expected);
    }
}

/// More points than are worked in at once, of which the last belong before the first.
pub async fn a_very_long_history_is_worked_in_in_parts(store: &dyn Store) {
    with_runs(store, &["a"]).await;
    let mut oracle = Oracle::default();
    let block = |steps: std::ops::Range<i64>| {
        let points = steps.map(|step| Metric::new("m", (step % 50) as f64, 1_000 + step, step));
        points.collect::<Vec<_>>()
    };
    // Parts of 32,768 points: one that ends with the third block, and one that all others are in.
    for first in [25_000, 37_500, 50_000, 62_500, 0, 12_500] {
        note(store, &mut oracle, block(first..first + 12_500)).await;
    }
    let found = store
        .sample_metric_points(&id("a"), "m", i64::MIN..=i64::MAX, 320)
        .await
        .unwrap();
    assert_eq!(found, oracle.sample(i64::MIN, i64::MAX, 320));
    assert_eq!(store.verify_projection().await.unwrap(), None);
}

/// Puts the history in order that has become long.
async fn order_next(store: &dyn Store) {
    let ordering = tokio::time::timeout(Duration::from_secs(60), store.order_next_history());
    ordering.await.expect("a history is long").unwrap();
}

async fn check_none_is_long(store: &dyn Store) {
    let ordering = tokio::time::timeout(Duration::from_millis(200), store.order_next_history());
    assert!(ordering.await.is_err(), "no history is long");
}

/// What is logged is put in order as it grows, whatever order it comes in, and whatever happens to its run.
pub async fn a_history_is_put_in_order_before_anybody_reads_it(store: &dyn Store) {
    with_runs(store, &["a", "b"]).await;
    let mut oracle = Oracle::default();
    let block = |from: i64| {
        let points = (from..from + 5_000).map(|step| {
            let value = (step % 50) as f64;
            Metric::new("m", value, 1_000 + step, step)
        });
        points.collect::<Vec<_>>()
    };
    note(store, &mut oracle, block(5_000)).await;
    check_none_is_long(store).await;
    note(store, &mut oracle, block(10_000)).await;
    order_next(store).await;
    check_none_is_long(store).await;
    // Before what is there.
    note(store, &mut oracle, block(0)).await;
    note(store, &mut oracle, block(15_000)).await;
    order_next(store).await;
    compare(store, &oracle, 7_000).await;
    assert_eq!(store.verify_projection().await.unwrap(), None);

    log(store, "b", block(0)).await;
    log(store, "b", block(5_000)).await;
    delete(store, "b", 1_000).await;
    remove(store, &["b"]).await;
    order_next(store).await;
    assert_eq!(store.verify_projection().await.unwrap(), None);
}

/// Clients that say no step say 0 with each point: their times tell the order.
pub async fn a_history_without_steps_is_put_in_order(store: &dyn Store) {
    with_runs(store, &["a"]).await;
    let mut oracle = Oracle::default();
    for first in (0..50_000).step_by(5_000) {
        let points = (first..first + 5_000).map(|time_ms| Metric::new("m", 0.5, time_ms, 0));
        note(store, &mut oracle, points.collect()).await;
        if first % 10_000 > 0 {
            // Nothing is written again, so that it is not left alone for longer each time.
            order_next(store).await;
        }
    }
    compare(store, &oracle, 7_000).await;
    assert_eq!(store.verify_projection().await.unwrap(), None);
}

/// Logs points of the metric `m` one by one, and puts its history in order, as a process does that logs for days.
pub async fn log_until_one_is_long(store: &dyn Store) -> u64 {
    with_runs(store, &["a"]).await;
    let count = 1024;
    for step in 0..count {
        log(store, "a", vec![Metric::new("m", 0.5, step, step)]).await;
    }
    order_next(store).await;
    count as u64
}

/// Logs a history that is put in order as it grows, then points that belong before all of it; tells how many points it had
/// before that, and has then.
pub async fn log_before_many(store: &dyn Store) -> (u64, u64) {
    with_runs(store, &["a"]).await;
    let (size, blocks) = (10_000, 15);
    for block in (1..blocks).chain([0]) {
        let steps = block * size..(block + 1) * size;
        let points = steps.map(|step| Metric::new("m", 0.5, step, step));
        log(store, "a", points.collect()).await;
        order_next(store).await;
    }
    (((blocks - 1) * size) as u64, (blocks * size) as u64)
}
