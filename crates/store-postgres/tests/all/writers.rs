//! Several writers, cut connections and `kill -9`: what was acknowledged is there, and all of it verifies.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use entities::{Change, Leaf, Lifecycle, Metric, Random as _, RunId, RunStatus, Timestamp};
use store::conformance::{commit, initialisation, registered_model, run, spans_logged, trace_id};
use store::{LedgerStore as _, RunStore as _, Store as _, StoreError};
use store_postgres::PostgresStore;

use testkit::{SeededRandom, TestSchema};

/// In the child of a test: the schema that it writes to, by the process id that names it.
const CHILD: &str = "STORE_POSTGRES_TEST_CHILD";

fn tag(name: &str, value: usize) -> entities::Commit {
    let change = Change::TagsSet {
        run: name.parse().unwrap(),
        tags: BTreeMap::from([(format!("tag {value}"), value.to_string())]),
    };
    commit("tags.set", &format!("run:{name}"), vec![change])
}

async fn prepare(store: &PostgresStore, runs: &[&str]) {
    store.commit(initialisation()).await.unwrap();
    for name in runs {
        let change = Change::RunCreated { run: run(name, 1) };
        let subject = format!("run:{name}");
        store
            .commit(commit("run.created", &subject, vec![change]))
            .await
            .unwrap();
    }
}

/// Every event has a place, and each writer's are numbered without a gap.
async fn check_ledger(store: &PostgresStore) -> u64 {
    let count = store.sequence().await.unwrap();
    let events = store.list_events(0, usize::MAX >> 1).await.unwrap();
    assert_eq!(events.len() as u64, count);
    let mut next: BTreeMap<String, u64> = BTreeMap::new();
    for event in events {
        let leaf = Leaf::decode(&event.leaf).unwrap();
        let expected = next.entry(leaf.writer.to_string()).or_default();
        assert_eq!(leaf.wseq, *expected);
        *expected += 1;
    }
    assert_eq!(store.ledger_progress().await.unwrap().committed, count);
    assert_eq!(store.verify_projection().await.unwrap(), None);
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_several_stores_write_at_once_follows_from_the_events() {
    let Some(schema) = TestSchema::make() else {
        return;
    };
    let stores = [
        Arc::new(schema.open(1).await),
        Arc::new(schema.open(2).await),
        Arc::new(schema.open(3).await),
    ];
    prepare(&stores[0], &["r0"]).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let sequencing = tokio::spawn({
        let (store, is_over) = (Arc::clone(&stores[0]), Arc::clone(&is_over));
        async move {
            let mut rounds = 0;
            while !is_over.load(Ordering::Relaxed) {
                store.sequence().await.unwrap();
                rounds += 1;
            }
            rounds
        }
    });
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..12_u64 {
        let store = Arc::clone(&stores[caller as usize % stores.len()]);
        callers.spawn(async move {
            let random = SeededRandom::new(100 + caller);
            let draw = |below: usize| {
                let mut bytes = [0; 8];
                random.fill(&mut bytes);
                u64::from_le_bytes(bytes) as usize % below
            };
            let mut done = 0_u64;
            for _ in 0..60 {
                let name = format!("r{}", draw(4));
                let changes = (0..=draw(3)).map(|_| draw_change(&draw, &name)).collect();
                let commit = commit("test.drawn", &format!("run:{name}"), changes);
                match store.commit(commit).await {
                    Ok(_) => done += 1,
                    Err(StoreError::Database { source, .. }) => panic!("{source:?}"),
                    Err(StoreError::Busy) => panic!("busy"),
                    Err(_) => {}
                }
            }
            done
        });
    }
    let done: u64 = callers.join_all().await.into_iter().sum();
    is_over.store(true, Ordering::Relaxed);
    assert!(sequencing.await.unwrap() > 3);
    assert!((100..700).contains(&done), "{done} of 720 were not refused");
    assert_eq!(check_ledger(&stores[1]).await, 2 + done);
}

fn draw_change(draw: &dyn Fn(usize) -> usize, name: &str) -> Change {
    let id: RunId = name.parse().unwrap();
    let text = |below| draw(below).to_string();
    match draw(13) {
        0 => Change::RunCreated {
            run: run(name, draw(9) as i64),
        },
        1 => Change::ParamsLogged {
            run: id,
            params: [(text(9), text(2))].into(),
        },
        2 | 3 => Change::TagsSet {
            run: id,
            tags: [(text(3), text(99))].into(),
        },
        4 => Change::RunLifecycleSet {
            run: id,
            lifecycle: if draw(4) == 0 {
                Lifecycle::Deleted
            } else {
                Lifecycle::Active
            },
        },
        5 => Change::RunUpdated {
            run: id,
            status: Some(RunStatus::Finished),
            ended_at: Some(Timestamp::from_millis(draw(9) as i64)),
            name: Some(text(9)),
        },
        6 => Change::RegisteredModelCreated {
            model: registered_model(&text(3), 1),
        },
        7 => Change::RegisteredModelRenamed {
            name: text(3),
            new_name: text(3),
            at: Timestamp::from_millis(draw(9) as i64),
        },
        8 => Change::RegisteredModelDeleted { name: text(3) },
        9 => Change::ExperimentLifecycleSet {
            experiment: "0".parse().unwrap(),
            lifecycle: if draw(4) == 0 {
                Lifecycle::Deleted
            } else {
                Lifecycle::Active
            },
            runs: Vec::new(),
            at: Timestamp::from_millis(draw(9) as i64),
        },
        10 => {
            let spans: Vec<_> = (0..=draw(4))
                .map(|_| (['a', 'b', 'c'][draw(3)], draw(2) as u64))
                .collect();
            spans_logged(['1', '2', '3'][draw(3)], &spans)
        }
        11 => Change::TracesDeleted {
            traces: vec![trace_id(['1', '2', '3'][draw(3)])],
        },
        _ => {
            let point = |_| Metric::new(text(3), draw(9) as f64, draw(9) as i64, draw(3) as i64);
            Change::metrics(id, (0..draw(6)).map(point).collect())
        }
    }
}

#[tokio::test]
async fn a_refused_commit_does_not_touch_those_that_share_its_transaction() {
    let Some(schema) = TestSchema::make() else {
        return;
    };
    let store = Arc::new(schema.open(1).await);
    prepare(&store, &["a"]).await;
    // All are handed over before the writing thread answers, so that they come as groups.
    let commits = (0..100).map(|number| {
        let mut commit = tag("a", number);
        if number % 3 == 0 {
            // Something was written already when it is refused.
            commit.changes.extend(tag("nobody", number).changes);
        }
        let store = Arc::clone(&store);
        async move { (number, store.commit(commit).await) }
    });
    let mut outcomes: tokio::task::JoinSet<_> = commits.collect();
    while let Some(outcome) = outcomes.join_next().await {
        match outcome.unwrap() {
            (number, Err(error)) => {
                assert!(
                    number % 3 == 0 && matches!(error, StoreError::NoRun { .. }),
                    "{error}"
                );
            }
            (number, Ok(_)) => assert_ne!(number % 3, 0),
        }
    }
    assert_eq!(check_ledger(&store).await, 2 + 66);
    let detail = store.find_run_detail(&"a".parse().unwrap()).await;
    assert_eq!(detail.unwrap().unwrap().tags.len(), 66);
}

#[tokio::test]
async fn a_damaged_row_stands_in_the_way_of_its_own_commits_alone() {
    let Some(schema) = TestSchema::make() else {
        return;
    };
    let store = Arc::new(schema.open(1).await);
    prepare(&store, &["a", "b"]).await;
    let damage = format!(
        "UPDATE {}.run SET lifecycle = 'nonsense' WHERE id = 'a'",
        schema.quoted()
    );
    let schema = tokio::task::spawn_blocking(move || {
        schema.run(&damage);
        schema
    });
    let _schema = schema.await.unwrap();
    let commits = (0..20).map(|number| {
        let name = if number % 2 == 0 { "a" } else { "b" };
        let store = Arc::clone(&store);
        async move { (name, store.commit(tag(name, number)).await) }
    });
    let outcomes: tokio::task::JoinSet<_> = commits.collect();
    for (name, outcome) in outcomes.join_all().await {
        assert_eq!(outcome.is_ok(), name == "b", "{name}: {outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_goes_on_after_its_connections_were_cut() {
    let Some(schema) = TestSchema::make() else {
        return;
    };
    let store = Arc::new(schema.open(1).await);
    prepare(&store, &["a"]).await;
    let cutting = tokio::spawn({
        let quoted = schema.quoted().replace('\'', "''");
        let schema = Arc::new(schema);
        let held = Arc::clone(&schema);
        async move {
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_millis(60)).await;
                // Those of this store alone: other tests share the server.
                let sql = format!(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE relation IN
                        (SELECT oid FROM pg_class WHERE relnamespace = '{quoted}'::regnamespace)
                        AND pid <> pg_backend_pid()"
                );
                let schema = Arc::clone(&schema);
                tokio::task::spawn_blocking(move || schema.run(&sql))
                    .await
                    .unwrap();
            }
            held
        }
    });
    let mut acknowledged = Vec::new();
    for number in 0..400 {
        if store.commit(tag("a", number)).await.is_ok() {
            acknowledged.push(number);
        }
    }
    let _schema = cutting.await.unwrap();
    assert!(
        acknowledged.len() > 100,
        "only {} were written",
        acknowledged.len()
    );
    let detail = store.find_run_detail(&"a".parse().unwrap()).await;
    // A connection that was cut while nobody used it is noticed by the first that does.
    let detail = match detail {
        Ok(detail) => detail,
        Err(_) => store.find_run_detail(&"a".parse().unwrap()).await.unwrap(),
    };
    let tags = detail.unwrap().tags;
    for number in &acknowledged {
        assert!(
            tags.contains_key(&format!("tag {number}")),
            "{number} is lost"
        );
    }
    assert_eq!(check_ledger(&store).await, 2 + tags.len() as u64);
}

#[test]
fn whatever_was_acknowledged_survives_a_kill() {
    if let Ok(name) = std::env::var(CHILD) {
        return write_until_killed(&name);
    }
    let Some(schema) = TestSchema::make() else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let store = runtime.block_on(async {
        let store = schema.open(1).await;
        prepare(&store, &["a"]).await;
        store
    });
    let mut all = Vec::new();
    for round in 0..3_usize {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "writers::whatever_was_acknowledged_survives_a_kill",
                "--exact",
                "--nocapture",
            ])
            .env(CHILD, format!("{}/{round}", schema.name()))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let wanted = all.len() + 10 + 37 * round;
        while all.len() < wanted {
            let line = lines.next().unwrap().unwrap();
            all.extend(line.strip_prefix("done ").map(str::to_owned));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        all.extend(
            lines
                .map_while(Result::ok)
                .filter_map(|line| line.strip_prefix("done ").map(str::to_owned)),
        );
    }
    runtime.block_on(async {
        let id = "a".parse().unwrap();
        let mut detail = store.find_run_detail(&id).await.unwrap().unwrap();
        // The server may still be writing what the last child had sent.
        for _ in 0..50 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let again = store.find_run_detail(&id).await.unwrap().unwrap();
            if again == detail {
                break;
            }
            detail = again;
        }
        for number in &all {
            assert!(
                detail.tags.contains_key(&format!("tag {number}")),
                "{number} is lost"
            );
        }
        assert_eq!(check_ledger(&store).await, 2 + detail.tags.len() as u64);
    });
}

fn write_until_killed(name: &str) {
    let (schema, round) = name.rsplit_once('/').unwrap();
    let round: usize = round.parse().unwrap();
    let schema = TestSchema::of_another(schema);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = Arc::new(schema.open(20 + round as u64).await);
        let mut callers = tokio::task::JoinSet::new();
        for caller in 0..4_usize {
            let store = Arc::clone(&store);
            callers.spawn(async move {
                for number in (caller..1_000_000).step_by(4) {
                    let number = round * 1_000_000 + number;
                    store.commit(tag("a", number)).await.unwrap();
                    let line = format!("done {number}\n");
                    std::io::stdout().write_all(line.as_bytes()).unwrap();
                }
            });
        }
        callers.join_all().await;
    });
}
