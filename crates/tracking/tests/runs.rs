//! Runs, and how they are found, on a real store.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

use entities::{ErrorClass, Metric, RunId, RunStatus, Timestamp};
use store::{PageRequest, View};
use testkit::{TestBench, map, new_run, parsed, process, run_id};
use tracking::{LogBatch, NewRun, RunUpdate, TrackingError};

async fn committed(bench: &TestBench) -> u64 {
    bench.store.ledger_progress().await.unwrap().committed
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = pairs
        .iter()
        .map(|&(key, value)| (key.to_owned(), value.to_owned()));
    owned.collect()
}

#[tokio::test]
async fn a_run_gets_name_user_and_parent_from_fields_or_tags() {
    let bench = TestBench::new().await;
    let (tracking, caller) = (&bench.tracking, &bench.caller);
    let plain = tracking.create_run(caller, new_run()).await.unwrap();
    assert_eq!(plain.run.name.split('-').count(), 3, "{}", plain.run.name);
    assert_eq!(plain.tags["mlflow.runName"], plain.run.name);
    assert_eq!(plain.tags["mlflow.user"], "ann");
    assert_eq!(
        plain.run.artifact_uri,
        format!("mlflow-artifacts:/0/{}/artifacts", plain.run.id)
    );
    assert_eq!(tracking.get_run(&plain.run.id).await.unwrap(), plain);
    let told = NewRun {
        id: Some(run_id(7)),
        user: String::new(),
        started_at: Some(Timestamp::from_millis(5)),
        tags: map(&[
            ("mlflow.runName", "by tag"),
            ("mlflow.user", "bob"),
            ("mlflow.parentRunId", plain.run.id.as_str()),
        ]),
        process: Some(process(1)),
        ..new_run()
    };
    let told = tracking.create_run(caller, told).await.unwrap();
    assert_eq!(
        (told.run.name.as_str(), told.run.user.as_str()),
        ("by tag", "bob")
    );
    assert_eq!(told.run.parent, Some(plain.run.id.clone()));
    assert_eq!(told.run.started_at, Timestamp::from_millis(5));
    assert_eq!(tracking.get_run(&run_id(7)).await.unwrap(), told);
    let child = NewRun {
        name: Some("by field".to_owned()),
        parent: Some(told.run.id.clone()),
        replay_of: Some(plain.run.id.clone()),
        ..new_run()
    };
    let child = tracking.create_run(caller, child).await.unwrap();
    assert_eq!(child.tags["mlflow.parentRunId"], told.run.id.as_str());
    assert_eq!(child.tags["mlflow.runName"], "by field");
    let stray = NewRun {
        tags: map(&[("mlflow.parentRunId", "nobody")]),
        ..new_run()
    };
    assert_eq!(
        tracking.create_run(caller, stray).await.unwrap().run.parent,
        None
    );
    let about_origin = bench
        .store
        .list_events_of(&format!("run:{}", plain.run.id), 9)
        .await
        .unwrap();
    assert_eq!(about_origin.len(), 2, "its creation and that of its replay");
    assert_eq!(bench.store.verify_projection().await.unwrap(), None);
}

#[tokio::test]
async fn a_run_that_cannot_be_is_refused() {
    let bench = TestBench::new().await;
    let (tracking, caller) = (&bench.tracking, &bench.caller);
    let conflicting = NewRun {
        name: Some("a".to_owned()),
        tags: map(&[("mlflow.runName", "b")]),
        ..new_run()
    };
    let error = tracking.create_run(caller, conflicting).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values (run_name='a', mlflow.runName='b')."
    );
    let nowhere = NewRun {
        experiment: parsed("77"),
        ..new_run()
    };
    let error = tracking.create_run(caller, nowhere).await.unwrap_err();
    assert_eq!(error.to_string(), "No Experiment with id=77 exists");
    let twice = || NewRun {
        id: Some(run_id(1)),
        ..new_run()
    };
    tracking.create_run(caller, twice()).await.unwrap();
    let error = tracking.create_run(caller, twice()).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Exists);
    let long = "k".repeat(251);
    let tagged = NewRun {
        tags: map(&[(long.as_str(), "y")]),
        ..new_run()
    };
    assert!(tracking.create_run(caller, tagged).await.is_err());
    let error = tracking.get_run(&run_id(9)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("Run with id={} not found", run_id(9))
    );
}

#[tokio::test]
async fn a_run_is_renamed_ended_and_resumed() {
    let bench = TestBench::new().await;
    let (tracking, caller) = (&bench.tracking, &bench.caller);
    let run = bench.run().await;
    let rename = RunUpdate {
        name: Some("new".to_owned()),
        ..RunUpdate::default()
    };
    assert_eq!(
        tracking
            .update_run(caller, &run.id, rename)
            .await
            .unwrap()
            .name,
        "new"
    );
    assert_eq!(
        tracking.get_run(&run.id).await.unwrap().tags["mlflow.runName"],
        "new"
    );
    tracking
        .set_tag(caller, &run.id, "mlflow.runName", "newer")
        .await
        .unwrap();
    assert_eq!(tracking.get_run(&run.id).await.unwrap().run.name, "newer");
    let batch = LogBatch {
        tags: pairs(&[("mlflow.runName", "a"), ("mlflow.runName", "newest")]),
        ..LogBatch::default()
    };
    tracking.log_batch(caller, &run.id, batch).await.unwrap();
    assert_eq!(tracking.get_run(&run.id).await.unwrap().run.name, "newest");
    let before = committed(&bench).await;
    let nothing = RunUpdate {
        name: Some(String::new()),
        ..RunUpdate::default()
    };
    assert_eq!(
        tracking
            .update_run(caller, &run.id, nothing)
            .await
            .unwrap()
            .name,
        "newest"
    );
    assert_eq!(
        committed(&bench).await,
        before,
        "nothing changed, so nothing is told"
    );
    let end = RunUpdate {
        status: Some(RunStatus::Finished),
        ..RunUpdate::default()
    };
    let ended = tracking
        .update_run(caller, &run.id, end.clone())
        .await
        .unwrap();
    assert_eq!(ended.status, RunStatus::Finished);
    assert!(
        ended.ended_at.is_some(),
        "a run that ends without saying when has ended now"
    );
    let again = tracking.update_run(caller, &run.id, end).await.unwrap();
    assert_eq!(again.ended_at, ended.ended_at);
    let told = RunUpdate {
        status: Some(RunStatus::Failed),
        ended_at: Some(Timestamp::from_millis(99)),
        name: None,
    };
    let told = tracking.update_run(caller, &run.id, told).await.unwrap();
    assert_eq!(told.ended_at, Some(Timestamp::from_millis(99)));
}

#[tokio::test]
async fn a_deleted_run_takes_nothing_until_it_is_restored() {
    let bench = TestBench::new().await;
    let (tracking, caller) = (&bench.tracking, &bench.caller);
    let run = bench.run().await;
    tracking.delete_run(caller, &run.id).await.unwrap();
    tracking.delete_run(caller, &run.id).await.unwrap();
    let message = format!(
        "The run {} must be in the 'active' state. Current state is deleted.",
        run.id
    );
    let refused = [
        tracking
            .log_metric(caller, &run.id, Metric::new("a", 1.0, 1, 0))
            .await,
        tracking.log_param(caller, &run.id, "a", "1").await,
        tracking.set_tag(caller, &run.id, "a", "1").await,
        tracking.delete_tag(caller, &run.id, "mlflow.user").await,
        tracking
            .log_batch(caller, &run.id, LogBatch::default())
            .await,
        tracking
            .log_inputs(caller, &run.id, Vec::new(), Vec::new())
            .await,
        tracking.log_outputs(caller, &run.id, Vec::new()).await,
        tracking
            .update_run(caller, &run.id, RunUpdate::default())
            .await
            .map(drop),
    ];
    for result in refused {
        assert_eq!(result.unwrap_err().to_string(), message);
    }
    let page = PageRequest::first(9);
    let count = async |view| {
        let found = tracking
            .search_runs(&[], "", &[], view, &page)
            .await
            .unwrap();
        found.items.len()
    };
    assert_eq!(
        (count(View::Active).await, count(View::Deleted).await),
        (0, 1)
    );
    tracking.restore_run(caller, &run.id).await.unwrap();
    assert_eq!((count(View::Active).await, count(View::All).await), (1, 1));
    tracking
        .log_metric(caller, &run.id, Metric::new("a", 1.0, 1, 0))
        .await
        .unwrap();
    let nobody = tracking.delete_run(caller, &run_id(9)).await.unwrap_err();
    assert_eq!(nobody.class(), ErrorClass::NotFound);
}

#[tokio::test]
async fn a_search_of_runs_filters_by_what_was_logged() {
    let bench = TestBench::new().await;
    let (tracking, caller) = (&bench.tracking, &bench.caller);
    for depth in 1..=3 {
        let run = bench.run().await;
        let batch = LogBatch {
            metrics: vec![Metric::new("acc", f64::from(depth) / 10.0, 1, 0)],
            params: pairs(&[("depth", &depth.to_string())]),
            tags: Vec::new(),
        };
        tracking.log_batch(caller, &run.id, batch).await.unwrap();
    }
    let page = PageRequest::first(10);
    let found = tracking
        .search_runs(
            &[parsed("0")],
            "metrics.acc > 0.15",
            &["metrics.acc ASC"],
            View::Active,
            &page,
        )
        .await
        .unwrap();
    let depths: Vec<_> = found
        .items
        .iter()
        .map(|run| run.params["depth"].as_str())
        .collect();
    assert_eq!(depths, ["2", "3"]);
    let none = tracking
        .search_runs(&[parsed("5")], "", &[], View::Active, &page)
        .await
        .unwrap();
    assert!(none.items.is_empty());
    let error = tracking
        .search_runs(&[], "metrics.acc > 'a'", &[], View::Active, &page)
        .await
        .unwrap_err();
    assert!(matches!(error, TrackingError::Search(_)), "{error}");
}

#[tokio::test]
async fn a_reference_is_an_id_its_beginning_a_name_or_latest() {
    let bench = TestBench::new().await;
    let (tracking, caller) = (&bench.tracking, &bench.caller);
    let add = async |id: &str, name: &str, parent: Option<RunId>| {
        let new = NewRun {
            id: Some(parsed(id)),
            name: Some(name.to_owned()),
            parent,
            ..new_run()
        };
        tracking.create_run(caller, new).await.unwrap().run
    };
    let resolve = async |reference: &str| {
        let run = tracking.resolve_run(reference).await?;
        Ok::<_, TrackingError>(run.id.to_string())
    };
    let unknown = resolve("latest").await.unwrap_err();
    assert!(
        matches!(unknown, TrackingError::UnknownRun { .. }),
        "{unknown}"
    );
    let first = add("abc1", "first", None).await;
    add("abd2", "twice", None).await;
    add("ffff", "twice", None).await;
    assert_eq!(resolve("abc1").await.unwrap(), "abc1");
    assert_eq!(resolve("abc").await.unwrap(), "abc1");
    assert_eq!(resolve("first").await.unwrap(), "abc1");
    assert_eq!(resolve("f").await.unwrap(), "ffff");
    assert_eq!(resolve("latest").await.unwrap(), "ffff");
    for (reference, expected) in [("ab", ["abd2", "abc1"]), ("twice", ["ffff", "abd2"])] {
        match resolve(reference).await.unwrap_err() {
            TrackingError::AmbiguousRun { candidates, .. } => {
                let found: Vec<_> = candidates.iter().map(RunId::as_str).collect();
                assert_eq!(found, expected, "{reference}");
            }
            other => panic!("{other}"),
        }
    }
    for reference in ["", "zzz", "ABC", "a%", "abc1 ", "../abc1"] {
        let error = resolve(reference).await.unwrap_err();
        assert!(
            matches!(error, TrackingError::UnknownRun { .. }),
            "{reference:?}: {error}"
        );
    }
    add("eeee", "child", Some(first.id.clone())).await;
    assert_eq!(
        resolve("latest").await.unwrap(),
        "ffff",
        "a child is not what the user started last"
    );
    for number in 0..25 {
        let replay = NewRun {
            id: Some(parsed(&format!("dddd{number:02}"))),
            replay_of: Some(first.id.clone()),
            ..new_run()
        };
        tracking.create_run(caller, replay).await.unwrap();
    }
    assert_eq!(
        resolve("latest").await.unwrap(),
        "ffff",
        "a replay is no run that the user started, however many there are"
    );
    tracking.delete_run(caller, &parsed("abd2")).await.unwrap();
    assert_eq!(
        resolve("ab").await.unwrap(),
        "abc1",
        "a deleted run gives way"
    );
    assert_eq!(resolve("twice").await.unwrap(), "ffff");
    assert_eq!(
        resolve("abd").await.unwrap(),
        "abd2",
        "and is found where nothing else fits"
    );
    // A run whose name is the beginning of the id of another.
    add("1234", "ffff", None).await;
    assert_eq!(
        resolve("ffff").await.unwrap(),
        "ffff",
        "a whole id is never ambiguous"
    );
    add("1235", "fff", None).await;
    assert!(matches!(
        resolve("fff").await,
        Err(TrackingError::AmbiguousRun { .. })
    ));
}
