//! Measures the store; one JSON line for each figure.
//!
//! `cargo run --release -p store-sqlite --example store_bench [FOLDER [EVENTS]]`
#![expect(clippy::print_stdout, reason = "the figures are the output")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use entities::{Change, Metric, SearchKind, SearchQuery};
use ledger::{DirectoryTiles, Fault, Integrator, SigningKey, VerifierKey, WriterChecker};
use store::conformance::{commit, initialisation, run};
use store::{LedgerStore as _, PageRequest, RunStore as _, Store as _, StoreError, View};
use store_sqlite::SqliteStore;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args_os().skip(1);
    let folder = arguments
        .next()
        .map_or_else(|| PathBuf::from("."), PathBuf::from);
    let events: usize = match arguments.next() {
        Some(text) => text.to_string_lossy().parse()?,
        None => 100_000,
    };
    let folder = tempfile::tempdir_in(folder)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(measure(&folder.path().join("reproof.db"), events))
}

async fn measure(path: &Path, events: usize) -> Outcome<()> {
    let store = Arc::new(support::open(path));
    store.commit(initialisation()).await?;
    for name in ["a", "b"] {
        create_run(&store, name, 0).await?;
    }
    single_caller(&store).await?;
    eight_callers(&store).await?;
    blocks(&store).await?;
    history(&store).await?;
    append(&store, events).await?;
    search(&store).await?;
    let committed = store.ledger_progress().await?.committed as usize;
    whole_verification(&store, &path.with_file_name("ledger"), committed).await?;
    drop(store);
    let started = Instant::now();
    let store = support::open(path);
    tell("open", 1, "stores", started);
    drop(store);
    Ok(())
}

async fn create_run(store: &SqliteStore, name: &str, started_ms: i64) -> Result<(), StoreError> {
    let change = Change::RunCreated {
        run: run(name, started_ms),
    };
    store
        .commit(commit("run.created", &format!("run:{name}"), vec![change]))
        .await?;
    Ok(())
}

fn point(run: &str, step: usize) -> Result<entities::Commit, entities::IdParseError> {
    let value = step as f64 * 0.5;
    let change = Change::metrics(
        run.parse()?,
        vec![Metric::new("loss", value, step as i64, step as i64)],
    );
    Ok(commit(
        "metrics.logged",
        &format!("run:{run}"),
        vec![change],
    ))
}

async fn single_caller(store: &SqliteStore) -> Outcome<()> {
    let started = Instant::now();
    for step in 0..1000 {
        store.commit(point("a", step)?).await?;
    }
    tell("single_caller", 1000, "commits", started);
    Ok(())
}

async fn eight_callers(store: &Arc<SqliteStore>) -> Outcome<()> {
    let started = Instant::now();
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..8 {
        let store = Arc::clone(store);
        callers.spawn(async move {
            for step in 0..1000 {
                let commit = point("a", 10_000 + caller * 1000 + step).expect("the id is valid");
                store.commit(commit).await?;
            }
            Ok::<_, StoreError>(())
        });
    }
    while let Some(outcome) = callers.join_next().await {
        outcome??;
    }
    tell("eight_callers", 8000, "commits", started);
    Ok(())
}

async fn blocks(store: &SqliteStore) -> Outcome<()> {
    for keys in [1, 1000] {
        let started = Instant::now();
        for block in 0..200_i64 {
            let points = (0..1000).map(|number| {
                let key = if keys == 1 {
                    "acc".to_owned()
                } else {
                    format!("key {number}")
                };
                let step = block * 1000 + number;
                Metric::new(key, number as f64, step, step)
            });
            let change = Change::metrics("b".parse()?, points.collect());
            store
                .commit(commit("metrics.logged", "run:b", vec![change]))
                .await?;
        }
        let name = if keys == 1 {
            "blocks_of_1000_points_of_one_key"
        } else {
            "blocks_of_1000_keys"
        };
        tell(name, 200, "blocks", started);
    }
    Ok(())
}

async fn history(store: &SqliteStore) -> Outcome<()> {
    let started = Instant::now();
    let mut page = PageRequest::first(25_000);
    let mut count = 0;
    loop {
        let found = store
            .list_metric_points(&"b".parse()?, "acc", &page)
            .await?;
        count += found.items.len();
        page.token = found.next;
        if page.token.is_none() {
            break;
        }
    }
    tell("history_in_pages_of_25000", count, "points", started);
    Ok(())
}

/// Runs of five params, five metrics and three tags each, and small events, by many callers.
async fn append(store: &Arc<SqliteStore>, events: usize) -> Outcome<()> {
    let started = Instant::now();
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..256 {
        let store = Arc::clone(store);
        callers.spawn(async move {
            for number in (caller..events).step_by(256) {
                store.commit(event(number)).await?;
            }
            Ok::<_, StoreError>(())
        });
    }
    while let Some(outcome) = callers.join_next().await {
        outcome??;
    }
    tell("append", events, "events", started);
    Ok(())
}

/// Every tenth creates a run with its numbers, the others set a tag of a run.
fn event(number: usize) -> entities::Commit {
    if !number.is_multiple_of(10) {
        let tags = BTreeMap::from([(format!("t{}", number % 100), number.to_string())]);
        let run = "a".parse().expect("the id is valid");
        return commit("tags.set", "run:a", vec![Change::TagsSet { run, tags }]);
    }
    let run = run(&format!("r{number}"), number as i64);
    let id = run.id.clone();
    let params = (0..5).map(|place| (format!("p{place}"), (number / 10 % 10).to_string()));
    let tags = (0..3).map(|place| (format!("t{place}"), format!("value {}", number % 7)));
    let points =
        (0..5).map(|place| Metric::new(format!("m{place}"), (number % 1009) as f64 / 1009.0, 1, 1));
    let changes = vec![
        Change::RunCreated { run },
        Change::ParamsLogged {
            run: id.clone(),
            params: params.collect(),
        },
        Change::TagsSet {
            run: id.clone(),
            tags: tags.collect(),
        },
        Change::metrics(id.clone(), points.collect()),
    ];
    commit("run.created", &format!("run:{id}"), changes)
}

/// What `audit verify --quick` does: tiles against the signed head and the database's events, leaves, bodies and rows.
async fn whole_verification(store: &SqliteStore, folder: &Path, events: usize) -> Outcome<()> {
    let tiles = DirectoryTiles::new(folder);
    let key = SigningKey::from_seed("example.com/log", &[1; 32])?;
    let started = Instant::now();
    let sequenced = store.sequence().await?;
    let mut integrator = Integrator::new();
    while integrator.head().size < sequenced {
        let batch = store.list_events(integrator.head().size, BATCH).await?;
        let leaves: Vec<_> = batch.into_iter().map(|event| event.leaf).collect();
        integrator.append(&tiles, &leaves)?;
    }
    integrator.publish(&tiles, &[&key])?;
    store.note_published(sequenced, sequenced).await?;
    tell("sequence_integrate_and_sign", events, "events", started);

    let started = Instant::now();
    let keys = [key.verifier()];
    let size = tokio::task::block_in_place(|| verify_tiles(store, &tiles, &keys))?;
    assert_eq!(size, sequenced);
    tell("verify_tiles_and_leaves", events, "events", started);
    let rows_started = Instant::now();
    assert_eq!(store.verify_projection().await?, None);
    tell("verify_projection", events, "events", rows_started);
    tell("whole_verification", events, "events", started);
    Ok(())
}

const BATCH: usize = 10_000;

fn verify_tiles(store: &SqliteStore, tiles: &DirectoryTiles, keys: &[VerifierKey]) -> Outcome<u64> {
    let runtime = tokio::runtime::Handle::current();
    let mut checker = WriterChecker::new();
    let mut batch = Vec::new().into_iter();
    let checkpoint = ledger::verify(tiles, keys, |index, entry| {
        if batch.len() == 0 {
            let found = runtime.block_on(store.list_events(index, BATCH));
            batch = found.unwrap_or_default().into_iter();
        }
        let is_the_same = batch.next().is_some_and(|event| event.leaf == entry);
        if !is_the_same {
            return Err(Fault::EntryDiffers { index, byte: 0 });
        }
        checker.check_bytes(entry).map(drop)
    })?;
    Ok(checkpoint.head.size)
}

async fn search(store: &SqliteStore) -> Outcome<()> {
    for (name, filter, order) in [
        ("search_first_page", "", ""),
        (
            "search_filter_and_order",
            "metrics.m0 > 0.9 AND params.p0 = '3'",
            "metrics.m1 DESC",
        ),
        ("search_order_only", "", "metrics.m1 DESC"),
        ("search_tag_like", "tags.t1 LIKE '%3'", ""),
    ] {
        let orders: Vec<_> = [order]
            .into_iter()
            .filter(|order| !order.is_empty())
            .collect();
        let query = SearchQuery {
            conditions: entities::parse_filter(filter, SearchKind::Runs)?,
            order_by: entities::parse_order_by(&orders, SearchKind::Runs)?,
        };
        let page = PageRequest::first(100);
        let started = Instant::now();
        for _ in 0..10 {
            store
                .search_runs(&["0".parse()?], &query, View::Active, &page)
                .await?;
        }
        tell(name, 10, "pages", started);
    }
    Ok(())
}

fn tell(name: &str, count: usize, unit: &str, started: Instant) {
    let seconds = started.elapsed().as_secs_f64();
    let figures = serde_json::json!({
        "name": name,
        "count": count,
        "unit": unit,
        "seconds": seconds,
        "per_second": count as f64 / seconds,
    });
    println!("{figures}");
}
