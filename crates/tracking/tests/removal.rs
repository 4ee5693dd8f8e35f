//! Removal for good on a real store: what somebody restored meanwhile, and traces that tell lies.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

use entities::{
    Artifact, Change, ExperimentId, Lifecycle, ObjectId, Run, SealedRecord, TRACE_ARTIFACTS_TAG,
    TRACE_RUN_KEY, TRACE_TOLD_KEY, Timestamp, Trace, TraceId, TraceRecord, TraceState,
};
use testkit::{TestBench, commit, experiment, map, parsed};
use tracking::{Keeper, RemovalPolicy, RemovalScope};

const AT_ONCE: RemovalPolicy = RemovalPolicy {
    deleted_for_ms: 0,
    hold_tags: Vec::new(),
};

/// A trace that says that a run made it, with tags.
fn trace(id: &str, experiment: &str, run: &str, tags: &[(&str, &str)]) -> Change {
    let told = Trace {
        id: parsed(id),
        experiment: parsed(experiment),
        requested_at: Timestamp::from_millis(5),
        duration_ms: None,
        state: TraceState::Ok,
        client_request_id: None,
        request_preview: None,
        response_preview: None,
        tags: map(tags),
        metadata: map(&[(TRACE_RUN_KEY, run), (TRACE_TOLD_KEY, "true")]),
    };
    Change::TraceLogged {
        trace: told.id.clone(),
        experiment: told.experiment.clone(),
        artifact_uri: format!("mlflow-artifacts:/{experiment}/traces/{id}/artifacts"),
        records: vec![SealedRecord::seal(&TraceRecord::Started { trace: told })],
    }
}

fn artifacts(paths: &[&str]) -> Change {
    let artifacts = paths.iter().map(|path| Artifact {
        path: (*path).to_owned(),
        object: ObjectId::of(path.as_bytes()),
        size_bytes: 1,
    });
    Change::ArtifactsPut {
        artifacts: artifacts.collect(),
    }
}

async fn write(bench: &TestBench, changes: Vec<Change>) {
    let written = commit("test.written", &["test"], changes);
    bench.store.commit(written).await.unwrap();
}

async fn delete(bench: &TestBench, run: &Run) {
    let change = Change::RunLifecycleSet {
        run: run.id.clone(),
        lifecycle: Lifecycle::Deleted,
    };
    let subject = format!("run:{}", run.id);
    let deleted = commit("run.deleted", &[&subject], vec![change]);
    bench.store.commit(deleted).await.unwrap();
}

async fn count_traces(bench: &TestBench, experiment: &str) -> usize {
    let experiment: ExperimentId = parsed(experiment);
    let end = Timestamp::from_micros(i64::MAX);
    let listed = bench.store.list_traces_until(&experiment, end, 9999);
    listed.await.unwrap().len()
}

async fn is_there(bench: &TestBench, id: &str) -> bool {
    let id: TraceId = parsed(id);
    bench.store.find_trace(&id).await.unwrap().is_some()
}

/// Paths of all artifacts that are left.
async fn paths(bench: &TestBench) -> Vec<String> {
    let left = bench.store.list_artifacts_below("").await.unwrap();
    left.into_iter().map(|artifact| artifact.path).collect()
}

fn numbered(number: usize) -> String {
    format!("tr-{number:032x}")
}

#[tokio::test]
async fn an_experiment_that_was_restored_meanwhile_keeps_its_traces() {
    let bench = TestBench::new().await;
    let five = experiment("5", "five");
    let id = five.id.clone();
    write(
        &bench,
        vec![
            Change::ExperimentCreated { experiment: five },
            trace(&numbered(1), "5", "nobody", &[]),
            artifacts(&["5/traces/tr-00000000000000000000000000000001/artifacts/x"]),
        ],
    )
    .await;
    let (tracking, caller) = (&bench.tracking, &bench.caller);
    let kept = tracking
        .remove_experiment(caller, &id, "old")
        .await
        .unwrap();
    assert!(matches!(
        kept.unwrap().keepers[..],
        [Keeper::Refused { .. }]
    ));
    assert_eq!(count_traces(&bench, "5").await, 1);
    assert_eq!(paths(&bench).await.len(), 1);
    let deleted = Change::ExperimentLifecycleSet {
        experiment: id.clone(),
        lifecycle: Lifecycle::Deleted,
        runs: Vec::new(),
        at: Timestamp::from_millis(9),
    };
    write(&bench, vec![deleted]).await;
    let kept = tracking
        .remove_experiment(caller, &id, "old")
        .await
        .unwrap();
    assert_eq!(kept, None);
    assert!(!is_there(&bench, &numbered(1)).await);
    assert!(paths(&bench).await.is_empty());
    let subject = format!("trace:{}", numbered(1));
    let events = bench.store.list_events_of(&subject, 9).await.unwrap();
    assert_eq!(events.len(), 2);
}

#[tokio::test]
async fn runs_that_were_restored_meanwhile_keep_their_traces_however_many() {
    let bench = TestBench::new().await;
    let (tracking, caller) = (&bench.tracking, &bench.caller);
    let (first, other) = (bench.run().await, bench.run().await);
    let made = |from: usize, run: &Run| {
        let run = run.id.to_string();
        let numbers = from..from + 1001;
        let traces = numbers.map(move |number| trace(&numbered(number), "0", &run, &[]));
        traces.collect::<Vec<_>>()
    };
    write(&bench, made(0, &first)).await;
    write(&bench, made(2000, &other)).await;
    for run in [&first, &other] {
        delete(&bench, run).await;
    }
    let plan = tracking
        .plan_removal(&AT_ONCE, &RemovalScope::default())
        .await
        .unwrap();
    assert_eq!(plan.runs.len(), 2);
    let restored = Change::RunLifecycleSet {
        run: first.id.clone(),
        lifecycle: Lifecycle::Active,
    };
    write(&bench, vec![restored]).await;
    let kept = tracking.remove_runs(caller, &plan.runs, "old").await;
    let kept: Vec<_> = kept.unwrap().into_iter().map(|kept| kept.id).collect();
    assert_eq!(kept, [first.id]);
    assert_eq!(count_traces(&bench, "0").await, 1001);
    assert!(is_there(&bench, &numbered(1000)).await);
    assert!(!is_there(&bench, &numbered(3000)).await);
}

#[tokio::test]
async fn a_trace_takes_nothing_along_but_its_own_folder() {
    let bench = TestBench::new().await;
    let (gone, other) = (bench.run().await, bench.run().await);
    let theirs = format!("0/{}/artifacts/model.pkl", other.id);
    let hostile = format!("mlflow-artifacts:/0/{}/artifacts", other.id);
    let honest = numbered(1);
    let own = format!("0/traces/{honest}/artifacts/traces.json");
    write(
        &bench,
        vec![
            trace(
                other.id.as_str(),
                "0",
                gone.id.as_str(),
                &[(TRACE_ARTIFACTS_TAG, &hostile)],
            ),
            trace(&honest, "0", gone.id.as_str(), &[]),
            artifacts(&[&theirs, &own]),
        ],
    )
    .await;
    let told: TraceId = parsed(other.id.as_str());
    let told = bench.store.find_trace(&told).await.unwrap().unwrap();
    assert_eq!(told.trace.tags[TRACE_ARTIFACTS_TAG], hostile);
    delete_and_remove(&bench, &gone).await;
    assert!(!is_there(&bench, other.id.as_str()).await);
    assert!(!is_there(&bench, &honest).await);
    assert_eq!(paths(&bench).await, [theirs]);
}

#[tokio::test]
async fn a_trace_of_another_experiment_stays_whatever_run_it_names() {
    let bench = TestBench::new().await;
    let gone = bench.run().await;
    write(
        &bench,
        vec![
            Change::ExperimentCreated {
                experiment: experiment("5", "five"),
            },
            trace(&numbered(1), "5", gone.id.as_str(), &[]),
            trace(&numbered(2), "0", gone.id.as_str(), &[]),
        ],
    )
    .await;
    delete_and_remove(&bench, &gone).await;
    assert!(is_there(&bench, &numbered(1)).await);
    assert!(!is_there(&bench, &numbered(2)).await);
}

/// Deletes a run and removes it for good.
async fn delete_and_remove(bench: &TestBench, run: &Run) {
    delete(bench, run).await;
    let (tracking, caller) = (&bench.tracking, &bench.caller);
    let scope = RemovalScope::default();
    let plan = tracking.plan_removal(&AT_ONCE, &scope).await.unwrap();
    let runs = plan.runs;
    assert_eq!(runs.len(), 1);
    let kept = tracking.remove_runs(caller, &runs, "old").await.unwrap();
    assert!(kept.is_empty());
}
