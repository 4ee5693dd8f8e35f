//! Captured runs, replays, artifacts and models, on a real store with real objects.

use std::collections::BTreeMap;

use entities::{
    Artifact, ErrorClass, Lifecycle, Metric, ModelStatus, ObjectId, ReplayLevel, ReplayVerdict,
    RunStatus, Timestamp,
};
use store::PageRequest;
use testkit::{TestBench, map, new_run, parsed, process, run_id, series};
use tracking::{FinishedRun, LogBatch, ModelSearch, NewModel, NewRun, RunUpdate, TrackingError};

fn new_model() -> NewModel {
    NewModel {
        id: None,
        experiment: parsed("0"),
        name: Some("forest".to_owned()),
        source_run: None,
        model_type: None,
        tags: BTreeMap::new(),
        params: BTreeMap::new(),
    }
}

#[tokio::test]
async fn a_captured_run_is_closed_in_one_event_and_what_was_logged_stays() {
    let bench = TestBench::new().await;
    let (tracking, caller) = (&bench.tracking, &bench.caller);
    let run = bench.run().await;
    let explicit = LogBatch {
        params: vec![("lr".to_owned(), "0.1".to_owned())],
        ..LogBatch::default()
    };
    tracking.log_batch(caller, &run.id, explicit).await.unwrap();
    let before = bench.store.ledger_progress().await.unwrap().committed;
    let finished = FinishedRun {
        run: run.id.clone(),
        status: RunStatus::Failed,
        ended_at: Timestamp::from_millis(7),
        recipe: ObjectId::of(b"recipe"),
        record: ObjectId::of(b"record"),
        params: map(&[("lr", "0.5"), ("--odd key&", "1")]),
        metrics: series("system/cpu", &[1.0, 2.0]),
        tags: map(&[("t", "1")]),
    };
    tracking
        .finish_captured(caller, finished.clone())
        .await
        .unwrap();
    assert_eq!(
        bench.store.ledger_progress().await.unwrap().committed,
        before + 1
    );
    let detail = tracking.get_run(&run.id).await.unwrap();
    assert_eq!(detail.params, map(&[("lr", "0.1"), ("--odd key&", "1")]));
    assert_eq!(detail.run.status, RunStatus::Failed);
    assert_eq!(detail.run.ended_at, Some(Timestamp::from_millis(7)));
    assert_eq!(detail.run.recipe, Some(ObjectId::of(b"recipe")));
    assert_eq!(detail.run.record, Some(ObjectId::of(b"record")));
    assert_eq!(detail.tags["t"], "1");
    assert_eq!(
        tracking.all_metric_points(&run.id).await.unwrap(),
        finished.metrics
    );
    let nobody = FinishedRun {
        run: run_id(9),
        ..finished
    };
    let error = tracking.finish_captured(caller, nobody).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::NotFound);
    assert_eq!(bench.store.verify_projection().await.unwrap(), None);
}

#[tokio::test]
async fn what_was_captured_of_a_deleted_run_is_kept_and_an_open_one_is_marked() {
    let bench = TestBench::new().await;
    let (tracking, caller) = (&bench.tracking, &bench.caller);
    let run = bench.run().await;
    tracking.delete_run(caller, &run.id).await.unwrap();
    let finished = FinishedRun {
        run: run.id.clone(),
        status: RunStatus::Finished,
        ended_at: Timestamp::from_millis(7),
        recipe: ObjectId::of(b"recipe"),
        record: ObjectId::of(b"record"),
        params: map(&[("lr", "0.5")]),
        metrics: series("m", &[1.0]),
        tags: BTreeMap::new(),
    };
    tracking.finish_captured(caller, finished).await.unwrap();
    let detail = tracking.get_run(&run.id).await.unwrap();
    assert_eq!(detail.run.lifecycle, Lifecycle::Deleted);
    assert_eq!(detail.run.status, RunStatus::Finished);
    assert_eq!(detail.params, map(&[("lr", "0.5")]));
    let open = NewRun {
        process: Some(process(10)),
        ..new_run()
    };
    let open = tracking.create_run(caller, open).await.unwrap().run;
    tracking.delete_run(caller, &open.id).await.unwrap();
    let marked = tracking
        .mark_interrupted(caller, &|_, _| false, &|_| None)
        .await
        .unwrap();
    assert_eq!(marked, [open.id]);
    assert_eq!(bench.store.verify_projection().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_is_closed_while_its_clients_still_log_params() {
    let bench = TestBench::new().await;
    let (tracking, caller) = (&bench.tracking, &bench.caller);
    let run = bench.run().await;
    let mut tasks = tokio::task::JoinSet::new();
    for key in 0..8 {
        let (tracking, caller, id) = (tracking.clone(), caller.clone(), run.id.clone());
        tasks.spawn(async move {
            // Refused where the run was closed first.
            drop(
                tracking
                    .log_param(&caller, &id, &format!("p{key}"), "explicit")
                    .await,
            );
        });
    }
    let read: BTreeMap<_, _> = (0..8)
        .map(|key| (format!("p{key}"), "read".to_owned()))
        .collect();
    let finished = FinishedRun {
        run: run.id.clone(),
        status: RunStatus::Finished,
        ended_at: Timestamp::from_millis(7),
        recipe: ObjectId::of(b"recipe"),
        record: ObjectId::of(b"record"),
        params: read,
        metrics: Vec::new(),
        tags: BTreeMap::new(),
    };
    tracking.finish_captured(caller, finished).await.unwrap();
    tasks.join_all().await;
    let detail = tracking.get_run(&run.id).await.unwrap();
    assert_eq!(detail.params.len(), 8);
    assert_eq!(detail.run.status, RunStatus::Finished);
}

#[tokio::test]
async fn runs_of_dead_processes_are_marked_once_with_what_was_open_inside_them() {
    let bench = TestBench::new().await;
    let (tracking, caller) = (&bench.tracking, &bench.caller);
    let add = async |number: u64, pid: Option<u32>, parent: Option<u64>| {
        let new = NewRun {
            id: Some(run_id(number)),
            process: pid.map(process),
            parent: parent.map(run_id),
            ..new_run()
        };
        tracking.create_run(caller, new).await.unwrap();
    };
    add(1, Some(10), None).await;
    add(2, Some(20), None).await;
    add(3, None, None).await;
    add(4, None, Some(1)).await;
    add(5, None, Some(4)).await;
    add(6, Some(20), Some(1)).await;
    add(7, None, Some(2)).await;
    add(8, Some(10), None).await;
    let end = RunUpdate {
        status: Some(RunStatus::Finished),
        ..RunUpdate::default()
    };
    tracking
        .update_run(caller, &run_id(8), end.clone())
        .await
        .unwrap();
    add(9, None, Some(1)).await;
    tracking.update_run(caller, &run_id(9), end).await.unwrap();
    let is_alive = |_: &entities::RunId, process: &entities::ProcessIdentity| process.pid == 20;
    let marked = tracking
        .mark_interrupted(caller, &is_alive, &|_| None)
        .await
        .unwrap();
    assert_eq!(marked, [run_id(1), run_id(4), run_id(5)]);
    for number in 1..=9 {
        let run = tracking.get_run(&run_id(number)).await.unwrap().run;
        let expected = match number {
            1 | 4 | 5 => (RunStatus::Killed, true),
            8 | 9 => (RunStatus::Finished, false),
            _ => (RunStatus::Running, false),
        };
        assert_eq!((run.status, run.is_interrupted), expected, "run {number}");
    }
    let again = tracking
        .mark_interrupted(caller, &is_alive, &|_| None)
        .await
        .unwrap();
    assert!(again.is_empty());
    assert_eq!(bench.store.verify_projection().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_ends_while_it_is_looked_at_is_not_marked() {
    let bench = TestBench::new().await;
    let (tracking, caller) = (&bench.tracking, &bench.caller);
    let new = NewRun {
        process: Some(process(10)),
        ..new_run()
    };
    let run = tracking.create_run(caller, new).await.unwrap().run;
    // The process ends well, after the open runs were listed and before it is asked for.
    let ends = |_: &entities::RunId, _: &entities::ProcessIdentity| {
        let update = RunUpdate {
            status: Some(RunStatus::Finished),
            ..RunUpdate::default()
        };
        let handle = tokio::runtime::Handle::current();
        tokio::task::block_in_place(|| {
            handle.block_on(tracking.update_run(caller, &run.id, update))
        })
        .unwrap();
        false
    };
    assert!(
        tracking
            .mark_interrupted(caller, &ends, &|_| None)
            .await
            .unwrap()
            .is_empty()
    );
    let run = tracking.get_run(&run.id).await.unwrap().run;
    assert_eq!(
        (run.status, run.is_interrupted),
        (RunStatus::Finished, false)
    );
}

#[tokio::test]
async fn a_verdict_is_kept_with_its_origin() {
    let bench = TestBench::new().await;
    let (tracking, caller) = (&bench.tracking, &bench.caller);
    let origin = bench.run().await;
    let replay = NewRun {
        replay_of: Some(origin.id.clone()),
        ..new_run()
    };
    let replay = tracking.create_run(caller, replay).await.unwrap().run;
    let verdict = ReplayVerdict {
        origin: origin.id.clone(),
        replay: replay.id.clone(),
        level: Some(ReplayLevel::R2),
        is_identical: false,
        is_within_tolerance: true,
        host_kind: ObjectId::of(b"host"),
        comparison: ObjectId::of(b"comparison"),
    };
    tracking
        .judge_replay(caller, verdict.clone())
        .await
        .unwrap();
    assert_eq!(
        tracking.list_replays(&origin.id).await.unwrap(),
        std::slice::from_ref(&verdict)
    );
    assert!(tracking.list_replays(&replay.id).await.unwrap().is_empty());
    let stray = ReplayVerdict {
        replay: run_id(9),
        ..verdict
    };
    assert!(tracking.judge_replay(caller, stray).await.is_err());
}

#[tokio::test]
async fn an_artifact_is_stored_before_it_is_named() {
    let bench = TestBench::new().await;
    let (tracking, caller) = (&bench.tracking, &bench.caller);
    let run = bench.run().await;
    let path = format!("0/{}/artifacts/model/MLmodel", run.id);
    let content = bench.random.bytes(100_000);
    let put = tracking
        .put_artifact(caller, &path, &mut content.as_slice())
        .await
        .unwrap();
    assert_eq!(
        (put.object, put.size_bytes),
        (ObjectId::of(&content), 100_000)
    );
    assert_eq!(tracking.cas().read(&put.object).unwrap(), content);
    assert_eq!(tracking.find_artifact(&path).await.unwrap(), Some(put));
    let folder = format!("0/{}/artifacts", run.id);
    let empty = format!("{folder}/empty");
    tracking
        .put_artifact(caller, &empty, &mut [].as_slice())
        .await
        .unwrap();
    let listed = tracking.list_artifacts(&folder).await.unwrap();
    let names: Vec<_> = listed
        .iter()
        .map(|entry| (entry.name.as_str(), entry.file.is_some()))
        .collect();
    assert_eq!(names, [("empty", true), ("model", false)]);
    assert_eq!(
        tracking
            .list_artifacts(&format!("{folder}/"))
            .await
            .unwrap(),
        listed
    );
    assert_eq!(tracking.list_artifacts("").await.unwrap().len(), 1);
    let replaced = tracking
        .put_artifact(caller, &path, &mut b"new".as_slice())
        .await
        .unwrap();
    assert_eq!(tracking.find_artifact(&path).await.unwrap(), Some(replaced));
    tracking
        .delete_artifact(caller, &format!("{folder}/model"))
        .await
        .unwrap();
    assert_eq!(tracking.find_artifact(&path).await.unwrap(), None);
    let error = tracking.delete_artifact(caller, &path).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::NotFound);
    let events = bench
        .store
        .list_events_of(&format!("run:{}", run.id), 9)
        .await
        .unwrap();
    assert_eq!(events.len(), 5, "created, put three times, deleted");
    assert_eq!(bench.store.verify_projection().await.unwrap(), None);
}

#[tokio::test]
async fn a_path_that_leads_elsewhere_names_no_artifact() {
    let bench = TestBench::new().await;
    let (tracking, caller) = (&bench.tracking, &bench.caller);
    let before = bench.store.ledger_progress().await.unwrap().committed;
    for path in [
        "",
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a//b",
        "a\\..\\b",
        "a\0b",
        "./a",
        "a/.",
    ] {
        let put = tracking
            .put_artifact(caller, path, &mut b"x".as_slice())
            .await;
        assert!(
            matches!(put, Err(TrackingError::InvalidPath { .. })),
            "{path:?} was taken"
        );
        let artifact = Artifact {
            path: path.to_owned(),
            object: ObjectId::of(b"x"),
            size_bytes: 1,
        };
        assert!(
            tracking
                .put_artifacts(caller, vec![artifact])
                .await
                .is_err(),
            "{path:?}"
        );
        assert!(tracking.find_artifact(path).await.is_err(), "{path:?}");
        assert!(
            tracking.delete_artifact(caller, path).await.is_err(),
            "{path:?}"
        );
        if !path.is_empty() {
            assert!(tracking.list_artifacts(path).await.is_err(), "{path:?}");
        }
    }
    assert_eq!(
        bench.store.ledger_progress().await.unwrap().committed,
        before
    );
}

#[tokio::test]
async fn a_content_that_breaks_off_names_nothing() {
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the client went away"))
        }
    }
    let bench = TestBench::new().await;
    let put = bench
        .tracking
        .put_artifact(&bench.caller, "a/b", &mut Broken)
        .await;
    assert!(matches!(put, Err(TrackingError::Cas(_))), "{put:?}");
    assert!(
        bench
            .store
            .list_artifacts_below("")
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn artifacts_can_be_put_from_a_runtime_with_several_threads() {
    let bench = TestBench::new().await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..8_u8 {
        let (tracking, caller) = (bench.tracking.clone(), bench.caller.clone());
        tasks.spawn(async move {
            let content = vec![number; 1000];
            let path = format!("x/{number}");
            tracking
                .put_artifact(&caller, &path, &mut content.as_slice())
                .await
                .unwrap()
        });
    }
    for artifact in tasks.join_all().await {
        assert_eq!(
            bench.tracking.cas().read(&artifact.object).unwrap().len(),
            1000
        );
    }
    assert_eq!(bench.tracking.list_artifacts("x").await.unwrap().len(), 8);
}

#[tokio::test]
async fn a_logged_model_lives_and_dies() {
    let bench = TestBench::new().await;
    let (tracking, caller) = (&bench.tracking, &bench.caller);
    let run = bench.run().await;
    let new = NewModel {
        source_run: Some(run.id.clone()),
        tags: map(&[("t", "1")]),
        params: map(&[("depth", "3")]),
        ..new_model()
    };
    let model = tracking.create_model(caller, new).await.unwrap();
    assert!(model.id.as_str().starts_with("m-"));
    assert_eq!(model.status, ModelStatus::Pending);
    assert_eq!(
        model.artifact_uri,
        format!("mlflow-artifacts:/0/models/{}/artifacts", model.id)
    );
    let point = Metric {
        model: Some(model.id.clone()),
        ..Metric::new("acc", 0.9, 1, 0)
    };
    tracking
        .log_metric(caller, &run.id, point.clone())
        .await
        .unwrap();
    let ready = tracking
        .finalize_model(caller, &model.id, ModelStatus::Ready)
        .await
        .unwrap();
    assert_eq!(ready.model.status, ModelStatus::Ready);
    assert_eq!(ready.metrics, [(run.id.clone(), point)]);
    tracking
        .set_model_tags(caller, &model.id, map(&[("u", "2")]))
        .await
        .unwrap();
    tracking
        .delete_model_tag(caller, &model.id, "t")
        .await
        .unwrap();
    let error = tracking
        .delete_model_tag(caller, &model.id, "t")
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "No tag with key 't' found for model with ID '{}'.",
            model.id
        )
    );
    tracking
        .log_model_params(caller, &model.id, map(&[("depth", "3"), ("lr", "1")]))
        .await
        .unwrap();
    let error = tracking
        .log_model_params(caller, &model.id, map(&[("lr", "2")]))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("Changing param values is not allowed."),
        "{error}"
    );
    let found = tracking.get_model(&model.id).await.unwrap().model;
    assert_eq!(
        (found.tags, found.params),
        (map(&[("u", "2")]), map(&[("depth", "3"), ("lr", "1")]))
    );
    assert_eq!(
        tracking.list_models_of(&run.id).await.unwrap(),
        std::slice::from_ref(&model.id)
    );
    let page = PageRequest::first(9);
    let search = ModelSearch {
        filter: "params.depth = '3'".to_owned(),
        ..ModelSearch::default()
    };
    let found = tracking
        .search_models(&[parsed("0")], &search, &page)
        .await
        .unwrap();
    assert_eq!(found.items.len(), 1);
    tracking.delete_model(caller, &model.id).await.unwrap();
    let error = tracking.get_model(&model.id).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("Logged model with ID '{}' not found.", model.id)
    );
    assert_eq!(bench.store.verify_projection().await.unwrap(), None);
}

#[tokio::test]
async fn a_model_gets_a_name_and_a_bad_one_is_refused() {
    let bench = TestBench::new().await;
    let (tracking, caller) = (&bench.tracking, &bench.caller);
    let unnamed = NewModel {
        name: None,
        ..new_model()
    };
    let model = tracking.create_model(caller, unnamed).await.unwrap();
    assert_eq!(model.name.split('-').count(), 3);
    for name in ["", "a/b", "a:b", "a.b", "a%b", "a\"b", "a'b"] {
        let bad = NewModel {
            name: Some(name.to_owned()),
            ..new_model()
        };
        let error = tracking.create_model(caller, bad).await.unwrap_err();
        assert!(
            matches!(error, TrackingError::InvalidModelName { .. }),
            "{name:?}: {error}"
        );
    }
    let bad = NewModel {
        name: Some("a/b".to_owned()),
        ..new_model()
    };
    assert_eq!(
        tracking
            .create_model(caller, bad)
            .await
            .unwrap_err()
            .to_string(),
        "Invalid model name ('a/b') provided. Model name must be a non-empty string and cannot contain the following characters: ('/', ':', '.', '%', '\"', \"'\")"
    );
}
