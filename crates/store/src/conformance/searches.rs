//! Cases of search and its pages.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use entities::{
    Change, Comparison, Condition, ExperimentId, Field, Lifecycle, Metric, Operator, RunId,
    RunStatus, SearchKind, SearchQuery, Timestamp,
};

use super::{
    all, commit, experiment, find, id, initialisation, log, make, map, run, with_runs, zero,
};
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

/// Around the lengths that indexes hold, with letters of several bytes, and with characters that a database keeps in
/// another way.
pub async fn values_are_found_whatever_their_length(store: &dyn Store) {
    with_runs(store, &["a", "b"]).await;
    for (place, letter) in ["x", "ü", "\0", "\u{1}"].into_iter().enumerate() {
        for length in [0, 1, 127, 128, 255, 256, 257, 6000] {
            let (key, value) = (format!("p{place}-{length}"), letter.repeat(length));
            let of_a = Change::ParamsLogged {
                run: id("a"),
                params: map(&[(&key, &value)]),
            };
            make(store, "run.logged", "run:a", of_a).await;
            let of_b = Change::ParamsLogged {
                run: id("b"),
                params: map(&[(&key, &format!("{value}{letter}"))]),
            };
            make(store, "run.logged", "run:b", of_b).await;
            let fits = |comparison| {
                let conditions = vec![Condition {
                    field: Field::Param(key.clone()),
                    comparison,
                }];
                find_all(store, conditions)
            };
            let text = |operator, text: &str| Comparison::Text(operator, text.to_owned());
            assert_eq!(fits(text(Operator::Equal, &value)).await, ["a"], "{key}");
            assert_eq!(fits(text(Operator::NotEqual, &value)).await, ["b"], "{key}");
            let like = |pattern: &str| Comparison::Like {
                pattern: pattern.to_owned(),
                ignores_case: false,
            };
            assert_eq!(fits(like(&format!("%{value}"))).await, ["b", "a"], "{key}");
            assert_eq!(fits(like(&format!("{value}%"))).await, ["b", "a"], "{key}");
            assert_eq!(fits(like(&value)).await, ["a"], "{key}");
            let anything = Comparison::Like {
                pattern: format!("%{}", value.to_uppercase()),
                ignores_case: true,
            };
            assert_eq!(fits(anything).await, ["b", "a"], "{key}");
            let matches = Comparison::Matches {
                pattern: "^(.|\n)*$".to_owned(),
            };
            assert_eq!(fits(matches).await, ["b", "a"], "{key}");
            let among = |is_negated| Comparison::In {
                values: vec![value.clone(), "other".to_owned()],
                is_negated,
            };
            assert_eq!(fits(among(false)).await, ["a"], "{key}");
            assert_eq!(fits(among(true)).await, ["b"], "{key}");
            // The last two are kept as two characters each by PostgreSQL, and count as two there.
            let is_plain = place < 2;
            for pattern in [format!("_{value}"), format!("{value}_")] {
                let found = fits(like(&pattern)).await;
                assert!(
                    found == ["b"] || !is_plain && found.is_empty(),
                    "{key}: {found:?}"
                );
            }
        }
    }
}

async fn find_all(store: &dyn Store, conditions: Vec<Condition>) -> Vec<String> {
    let query = SearchQuery {
        conditions,
        order_by: Vec::new(),
    };
    let found = store.search_runs(&[], &query, View::Active, &all()).await;
    let runs = found.unwrap().items.into_iter();
    runs.map(|detail| detail.run.id.to_string()).collect()
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

/// More runs than are put in order at once: pages are found by walking indexes, and together are what one sort gives.
pub async fn pages_of_many_runs_are_those_of_one_sort(store: &dyn Store) {
    const MANY: usize = 2_800;
    fill_with_runs(store, MANY).await;
    compare_pages_with_one_sort(store, MANY, 560, 3).await;
}

/// Makes the runs that `compare_pages_with_one_sort` looks for.
pub async fn fill_with_runs(store: &dyn Store, count: usize) {
    store.commit(initialisation()).await.unwrap();
    let other = Change::ExperimentCreated {
        experiment: experiment("1", "other"),
    };
    make(store, "experiment.created", "experiment:1", other).await;
    let all: Vec<Drawn> = (0..count).map(Drawn::of).collect();
    for some in all.chunks(50) {
        let changes = some.iter().flat_map(Drawn::changes).collect();
        let subject = format!("run:{}", some[0].id);
        store
            .commit(commit("test", &subject, changes))
            .await
            .unwrap();
    }
}

/// Searches them in some order, with filters that leave many, few and none, in pages of so many; each so many-th of all
/// pairs of a filter and an order.
pub async fn compare_pages_with_one_sort(
    store: &dyn Store,
    count: usize,
    limit: usize,
    each: usize,
) {
    let all: Vec<Drawn> = (0..count).map(Drawn::of).collect();
    type Order = fn(&Drawn, &Drawn) -> Ordering;
    let by_tag_then_metric: Order = |one, other| {
        by_tag(one, other)
            .then(class(one).cmp(&class(other)))
            .then(by_value(one, other))
    };
    type Fits = fn(&Drawn) -> bool;
    let filters: [(&str, Fits); 8] = [
        ("", |_| true),
        ("metrics.m > 3", |run| {
            run.metric.is_some_and(|value| value > 3.0)
        }),
        ("params.p = 'p1' AND tags.t LIKE 't%'", |run| {
            run.param == "p1" && run.tag.is_some()
        }),
        ("tags.t LIKE 't1_'", |run| {
            let tag = run.tag.as_ref();
            tag.is_some_and(|tag| tag.starts_with("t1") && tag.len() == 3)
        }),
        // Each fits too many, both together do not.
        ("params.p != 'p0' AND metrics.m > -5", |run| {
            run.param != "p0" && run.metric.is_some_and(|value| value > -5.0)
        }),
        ("tags.rare = 'yes'", |run| run.number % 700 == 3),
        // What fits comes last in some orders.
        ("attributes.run_name LIKE '%late'", |run| run.is_late()),
        ("params.p = 'p4' AND params.p = 'p3'", |_| false),
    ];
    let orders: [(&[&str], Order); 10] = [
        (&[], |_, _| Ordering::Equal),
        (&["attributes.start_time ASC"], |one, other| {
            one.started_ms.cmp(&other.started_ms)
        }),
        (&["metrics.m DESC"], |one, other| {
            class(one).cmp(&class(other)).then(by_value(other, one))
        }),
        (&["params.p DESC"], |one, other| other.param.cmp(&one.param)),
        (&["tags.t ASC"], by_tag),
        (&["tags.t ASC", "metrics.m ASC"], by_tag_then_metric),
        (
            &["params.p ASC", "tags.t ASC", "metrics.m ASC"],
            |one, other| {
                let by_param = one.param.cmp(&other.param);
                by_param
                    .then(by_tag(one, other))
                    .then(class(one).cmp(&class(other)))
                    .then(by_value(one, other))
            },
        ),
        (
            &["params.p ASC", "attributes.start_time ASC"],
            |one, other| {
                let by_param = one.param.cmp(&other.param);
                by_param.then(one.started_ms.cmp(&other.started_ms))
            },
        ),
        (&["params.p ASC", "attributes.run_id DESC"], |one, other| {
            one.param.cmp(&other.param).then(other.id.cmp(&one.id))
        }),
        (&["metrics.m ASC", "params.p DESC"], |one, other| {
            let by_metric = class(one).cmp(&class(other)).then(by_value(one, other));
            by_metric.then(other.param.cmp(&one.param))
        }),
    ];
    for (filter_place, (filter, fits)) in filters.into_iter().enumerate() {
        for (order_place, (order, compare)) in orders.into_iter().enumerate() {
            if !(filter_place + order_place).is_multiple_of(each) {
                continue;
            }
            let scopes = [&["0"] as &[&str], &["0", "1"]];
            let experiments = scopes[order_place % 2];
            let mut expected: Vec<&Drawn> = all
                .iter()
                .filter(|run| fits(run) && experiments.contains(&run.experiment()))
                .collect();
            expected.sort_by(|one, other| {
                compare(one, other)
                    .then(other.started_ms.cmp(&one.started_ms))
                    .then(one.id.cmp(&other.id))
            });
            let expected: Vec<&str> = expected.iter().map(|run| run.id.as_str()).collect();
            let found = all_pages(store, limit, experiments, filter, order).await;
            let same = found
                .iter()
                .zip(&expected)
                .take_while(|(one, other)| one == other);
            let place = same.count();
            assert_eq!(
                (found.get(place).map(String::as_str), found.len()),
                (expected.get(place).copied(), expected.len()),
                "{filter:?} by {order:?} in {experiments:?}: run {place} and how many there are"
            );
        }
    }
}

fn by_tag(one: &Drawn, other: &Drawn) -> Ordering {
    let key = |run: &Drawn| (run.tag.is_none(), run.tag.clone());
    key(one).cmp(&key(other))
}

/// Numbers come first, then NaN, then what has no metric.
fn class(run: &Drawn) -> u8 {
    match run.metric {
        Some(value) if value.is_nan() => 1,
        Some(_) => 0,
        None => 2,
    }
}

fn by_value(one: &Drawn, other: &Drawn) -> Ordering {
    let value = |run: &Drawn| run.metric.filter(|value| !value.is_nan());
    value(one)
        .partial_cmp(&value(other))
        .unwrap_or(Ordering::Equal)
}

/// All runs that a search finds, page by page; no page but the last is short.
async fn all_pages(
    store: &dyn Store,
    limit: usize,
    experiments: &[&str],
    filter: &str,
    order: &[&str],
) -> Vec<String> {
    let query = SearchQuery {
        conditions: entities::parse_filter(filter, SearchKind::Runs).unwrap(),
        order_by: entities::parse_order_by(order, SearchKind::Runs).unwrap(),
    };
    let experiments: Vec<_> = experiments.iter().map(|id| id.parse().unwrap()).collect();
    let mut page = PageRequest::first(limit);
    let mut found = Vec::new();
    loop {
        let one = store
            .search_runs(&experiments, &query, View::Active, &page)
            .await
            .unwrap();
        let length = one.items.len();
        found.extend(
            one.items
                .into_iter()
                .map(|detail| detail.run.id.to_string()),
        );
        let Some(next) = one.next else { return found };
        assert_eq!(length, limit, "a page is short and says that there is more");
        page.token = Some(next);
    }
}

/// A run with values that follow from its number, many of them equal or missing.
struct Drawn {
    number: usize,
    id: String,
    started_ms: i64,
    metric: Option<f64>,
    param: String,
    tag: Option<String>,
}

impl Drawn {
    fn of(number: usize) -> Self {
        let spread = |factor: usize, modulus: usize| number * factor % modulus;
        Self {
            number,
            id: format!("r{:05}", spread(7919, 99_991)),
            started_ms: spread(31, 400) as i64,
            metric: match spread(13, 10) {
                0 => None,
                1 => Some(f64::NAN),
                2 if number.is_multiple_of(4) => Some(f64::NEG_INFINITY),
                _ => Some(spread(17, 61) as f64 / 4.0 - 2.0),
            },
            param: format!("p{}", spread(3, 5)),
            tag: (spread(7, 4) > 0).then(|| format!("t{}", spread(11, 23))),
        }
    }

    const fn experiment(&self) -> &'static str {
        if self.number % 9 == 4 { "1" } else { "0" }
    }

    /// The newest come first, so that these come late.
    const fn is_late(&self) -> bool {
        self.started_ms < 20
    }

    fn changes(&self) -> Vec<Change> {
        let mut made = run(&self.id, self.started_ms);
        made.experiment = self.experiment().parse().unwrap();
        if self.is_late() {
            made.name = format!("{} late", self.id);
        }
        let id: RunId = self.id.parse().unwrap();
        let mut tags: BTreeMap<_, _> = self
            .tag
            .iter()
            .map(|tag| ("t".to_owned(), tag.clone()))
            .collect();
        if self.number % 700 == 3 {
            tags.insert("rare".to_owned(), "yes".to_owned());
        }
        let points = self
            .metric
            .iter()
            .map(|value| Metric::new("m", *value, 1, 1));
        vec![
            Change::RunCreated { run: made },
            Change::ParamsLogged {
                run: id.clone(),
                params: [("p".to_owned(), self.param.clone())].into(),
            },
            Change::TagsSet {
                run: id.clone(),
                tags,
            },
            Change::metrics(id, points.collect()),
        ]
    }
}
