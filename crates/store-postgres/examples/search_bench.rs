//! Measures searches and histories over many runs; one JSON line for each figure.
//!
//! `cargo run --release -p store-postgres --example search_bench -- PLACE [RUNS]`, where PLACE is a folder for a SQLite
//! file, or the address of a PostgreSQL database, of which the schema `search_bench` is filled if it is not there.
#![expect(clippy::print_stdout, reason = "the figures are the output")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use entities::{Change, ExperimentId, Metric, SearchKind, SearchQuery};
use store::conformance::{commit, experiment, initialisation, run};
use store::{PageRequest, Store, StoreError, View};
use store_postgres::{Access, Postgres, PostgresAddress};
use store_sqlite::Sqlite;
use testkit::SeededRandom;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Runs that one event creates, so that making them does not take most of the time.
const RUNS_AT_ONCE: usize = 50;

/// How long after the runs were made searches begin: PostgreSQL looks for what to vacuum each minute, and until it has, it
/// looks into each row that an index leads to.
const UNTIL_VACUUMED: Duration = Duration::from_secs(75);

/// How often each search is asked.
const ROUNDS: usize = 40;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let place = arguments.next().unwrap_or_else(|| ".".to_owned());
    let runs: usize = match arguments.next() {
        Some(text) => text.parse()?,
        None => 100_000,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let random = Arc::new(SeededRandom::new(1));
        if PostgresAddress::is_meant(&place) {
            let address = PostgresAddress::parse(&format!("{place}?schema=search_bench"), None)?;
            let options = store_postgres::OpenOptions {
                random,
                access: Access::Create,
            };
            let store = Postgres::open(address, options).await?;
            return measure(Arc::new(store), runs, UNTIL_VACUUMED).await;
        }
        let folder = tempfile::tempdir_in(place)?;
        let options = store_sqlite::OpenOptions {
            random,
            create: true,
        };
        let store = Sqlite::open(&Path::new(folder.path()).join("reproof.db"), options)?;
        measure(Arc::new(store), runs, Duration::ZERO).await
    })
}

async fn measure(store: Arc<dyn Store>, runs: usize, rest: Duration) -> Outcome<()> {
    if store.find_experiment(&"1".parse()?).await?.is_none() {
        let started = Instant::now();
        fill(&store, runs).await?;
        tell("runs made", runs, &[started.elapsed().as_secs_f64()]);
        tokio::time::sleep(rest).await;
    }
    searches(&store, runs).await?;
    Ok(())
}

/// Two experiments, one of a hundred runs; five params, five metrics and three tags a run.
async fn fill(store: &Arc<dyn Store>, runs: usize) -> Outcome<()> {
    store.commit(initialisation()).await?;
    let other = Change::ExperimentCreated {
        experiment: experiment("1", "small"),
    };
    store
        .commit(commit("test", "experiment:1", vec![other]))
        .await?;
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..8 {
        let store = Arc::clone(store);
        callers.spawn(async move {
            for first in (caller * RUNS_AT_ONCE..runs).step_by(8 * RUNS_AT_ONCE) {
                let changes = (first..(first + RUNS_AT_ONCE).min(runs)).flat_map(changes_of_run);
                let subject = format!("run:r{first}");
                store
                    .commit(commit("test", &subject, changes.collect()))
                    .await?;
            }
            Ok::<_, StoreError>(())
        });
    }
    while let Some(outcome) = callers.join_next().await {
        outcome??;
    }
    Ok(())
}

fn changes_of_run(number: usize) -> Vec<Change> {
    let mut made = run(&format!("r{number}"), number as i64 * 1000);
    if number.is_multiple_of(1000) {
        made.experiment = "1".parse().expect("the id is valid");
    }
    let id = made.id.clone();
    // Spread without a generator: the multiplier has no factor in common with the modulus.
    let spread = |place: usize, modulus: usize| (number * 7919 + place * 104_729) % modulus;
    let params = (0..5).map(|place| (format!("p{place}"), spread(place, 10).to_string()));
    let tags = BTreeMap::from([
        ("mlflow.runName".to_owned(), format!("run-{number}")),
        ("mlflow.user".to_owned(), "u".to_owned()),
        ("t0".to_owned(), format!("tag{}", spread(9, 10_007))),
    ]);
    let points = (0..5).map(|place| {
        let value = spread(place, 1_000_003) as f64 / 1_000_003.0;
        Metric::new(format!("m{place}"), value, 1, 0)
    });
    vec![
        Change::RunCreated { run: made },
        Change::ParamsLogged {
            run: id.clone(),
            params: params.collect(),
        },
        Change::TagsSet {
            run: id.clone(),
            tags,
        },
        Change::metrics(id, points.collect()),
    ]
}

async fn searches(store: &Arc<dyn Store>, runs: usize) -> Outcome<()> {
    let deep = runs / 2;
    for (name, filter, order, limit, skipped) in [
        ("first page of 100", "", "", 100, 0),
        ("1000 results", "", "", 1000, 0),
        (
            "filter and order",
            "metrics.m0 > 0.9 AND params.p0 = '3'",
            "metrics.m1 DESC",
            100,
            0,
        ),
        ("filter of few", "tags.t0 = 'tag77'", "", 100, 0),
        ("filter of most", "metrics.m0 > 0.01", "", 100, 0),
        (
            "two rare ones",
            "tags.t0 = 'tag77' AND metrics.m0 < 0.001",
            "metrics.m1",
            100,
            0,
        ),
        ("order by a metric", "", "metrics.m1 DESC", 100, 0),
        ("order by a param", "", "params.p1 ASC", 100, 0),
        ("order by a tag", "", "tags.t0 DESC", 100, 0),
        ("tag LIKE, common", "tags.t0 LIKE '%7'", "", 100, 0),
        ("tag LIKE, rare", "tags.t0 LIKE '%g77'", "", 100, 0),
        ("deep page", "", "", 100, deep),
        ("deep page by a metric", "", "metrics.m1 DESC", 100, deep),
    ] {
        let orders: Vec<_> = [order]
            .into_iter()
            .filter(|order| !order.is_empty())
            .collect();
        let query = SearchQuery {
            conditions: entities::parse_filter(filter, SearchKind::Runs)?,
            order_by: entities::parse_order_by(&orders, SearchKind::Runs)?,
        };
        let experiment: ExperimentId = "0".parse()?;
        let mut page = PageRequest::first(limit);
        let mut left = skipped;
        while left > 0 {
            let mut step = page.clone();
            step.limit = left.min(1000);
            let found = store
                .search_runs(
                    std::slice::from_ref(&experiment),
                    &query,
                    View::Active,
                    &step,
                )
                .await?;
            left -= found.items.len();
            page.token = found.next;
        }
        let mut seconds = Vec::with_capacity(ROUNDS);
        let mut count = 0;
        for _ in 0..ROUNDS {
            let started = Instant::now();
            let found = store
                .search_runs(
                    std::slice::from_ref(&experiment),
                    &query,
                    View::Active,
                    &page,
                )
                .await?;
            seconds.push(started.elapsed().as_secs_f64());
            count = found.items.len();
        }
        tell(name, count, &seconds);
    }
    Ok(())
}

fn tell(name: &str, count: usize, seconds: &[f64]) {
    let mut sorted = seconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |part: f64| sorted[((sorted.len() - 1) as f64 * part).round() as usize] * 1000.0;
    println!(
        "{}",
        serde_json::json!({
            "name": name,
            "results": count,
            "ms_p50": at(0.5),
            "ms_p95": at(0.95),
        })
    );
}
