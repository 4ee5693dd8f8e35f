//! Cases of runs: what is said of them, and what came in and out.

use entities::{
    Change, DatasetInput, Lifecycle, Metric, ModelId, ModelOutput, ObjectId, ProcessIdentity,
    ReplayLevel, ReplayVerdict, Run, RunStatus,
};

use super::{at, commit, find, id, make, map, refuse, run, with_runs, zero};
use crate::{DatasetSummary, Store, StoreError};

/// All changes of a commit happen, or none, and no event tells of a refused one.
pub async fn a_refused_commit_leaves_nothing_behind(store: &dyn Store) {
    with_runs(store, &["a"]).await;
    let tag = Change::TagsSet {
        run: id("a"),
        tags: map(&[("k", "v")]),
    };
    let bad = Change::TagsSet {
        run: id("nobody"),
        tags: map(&[("k", "v")]),
    };
    let both = commit("tags.set", "run:a", vec![tag, bad]);
    let error = store.commit(both).await.unwrap_err();
    assert!(matches!(error, StoreError::NoRun { .. }), "{error}");
    let detail = store.find_run_detail(&id("a")).await.unwrap().unwrap();
    assert!(detail.tags.is_empty());
    assert_eq!(store.ledger_progress().await.unwrap().committed, 2);
}

/// A run keeps all its fields; a deleted one takes nothing more.
pub async fn a_run_is_created_updated_and_deleted(store: &dyn Store) {
    with_runs(store, &["other"]).await;
    let whole = Run {
        ended_at: Some(at(9)),
        parent: Some(id("other")),
        replay_of: Some(id("other")),
        process: Some(ProcessIdentity {
            pid: 7,
            start_ticks: u64::MAX,
            boot_id: "boot".to_owned(),
        }),
        recipe: Some(ObjectId::of(b"recipe")),
        record: Some(ObjectId::of(b"record")),
        ..run("a", 200)
    };
    let create = Change::RunCreated { run: whole.clone() };
    make(store, "run.created", "run:a", create.clone()).await;
    assert_eq!(store.find_run(&id("a")).await.unwrap(), Some(whole.clone()));
    assert!(matches!(
        refuse(store, create).await,
        StoreError::Exists { .. }
    ));
    let open = store.list_open_runs().await.unwrap();
    assert_eq!(open, std::slice::from_ref(&whole));
    let manifests = store.list_manifests().await.unwrap();
    assert_eq!(
        manifests,
        [(id("a"), ObjectId::of(b"recipe"), ObjectId::of(b"record"))]
    );
    let update = Change::RunUpdated {
        run: id("a"),
        status: Some(RunStatus::Finished),
        ended_at: None,
        name: Some("new".to_owned()),
    };
    make(store, "run.updated", "run:a", update.clone()).await;
    let updated = Run {
        status: RunStatus::Finished,
        name: "new".to_owned(),
        ..whole
    };
    assert_eq!(
        store.find_run(&id("a")).await.unwrap(),
        Some(updated.clone())
    );
    assert!(store.list_open_runs().await.unwrap().is_empty());
    let named = store.list_runs_by_name("new", 9).await.unwrap();
    assert_eq!(named, std::slice::from_ref(&updated));
    assert_eq!(store.list_runs_by_prefix("a", 9).await.unwrap(), [updated]);
    assert_eq!(store.list_runs_by_prefix("", 9).await.unwrap().len(), 2);
    let interrupt = Change::RunInterrupted {
        run: id("other"),
        at: at(300),
    };
    make(store, "run.interrupted", "run:other", interrupt).await;
    let other = store.find_run(&id("other")).await.unwrap().unwrap();
    assert_eq!(
        (other.status, other.ended_at),
        (RunStatus::Killed, Some(at(300)))
    );
    assert!(other.is_interrupted);
    let delete = Change::RunLifecycleSet {
        run: id("a"),
        lifecycle: Lifecycle::Deleted,
    };
    make(store, "run.deleted", "run:a", delete).await;
    let metric = Change::metrics(id("a"), vec![Metric::new("m", 1.0, 1, 1)]);
    for change in [update, metric] {
        let error = refuse(store, change).await;
        assert!(matches!(error, StoreError::RunDeleted { .. }), "{error}");
    }
    assert!(store.list_runs_by_name("new", 9).await.unwrap().is_empty());
}

/// The same value again does nothing; other values are all named.
pub async fn params_never_change(store: &dyn Store) {
    with_runs(store, &["a"]).await;
    let params = |pairs| Change::ParamsLogged {
        run: id("a"),
        params: map(pairs),
    };
    make(
        store,
        "params.logged",
        "run:a",
        params(&[("x", "1"), ("y", "2")]),
    )
    .await;
    make(store, "params.logged", "run:a", params(&[("x", "1")])).await;
    let error = refuse(store, params(&[("w", "0"), ("x", "3"), ("y", "4")])).await;
    let StoreError::ParamConflict { conflicts, .. } = error else {
        panic!("{error}");
    };
    let owned = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
    assert_eq!(conflicts, [owned("x", "1", "3"), owned("y", "2", "4")]);
    let detail = store.find_run_detail(&id("a")).await.unwrap().unwrap();
    assert_eq!(detail.params, map(&[("x", "1"), ("y", "2")]));
}

/// Others stay; one that is not there cannot be deleted.
pub async fn tags_are_set_and_deleted(store: &dyn Store) {
    with_runs(store, &["a"]).await;
    let set = |pairs| Change::TagsSet {
        run: id("a"),
        tags: map(pairs),
    };
    make(store, "tags.set", "run:a", set(&[("x", "1"), ("y", "2")])).await;
    make(store, "tags.set", "run:a", set(&[("x", "3")])).await;
    let delete = Change::TagDeleted {
        run: id("a"),
        key: "y".to_owned(),
    };
    make(store, "tag.deleted", "run:a", delete.clone()).await;
    assert!(matches!(
        refuse(store, delete).await,
        StoreError::NoTag { .. }
    ));
    let detail = store.find_run_detail(&id("a")).await.unwrap().unwrap();
    assert_eq!(detail.tags, map(&[("x", "3")]));
}

/// What clients declare, and verdicts in their order.
pub async fn inputs_outputs_and_replays_are_kept(store: &dyn Store) {
    with_runs(store, &["a", "b"]).await;
    let model: ModelId = "m-1".parse().unwrap();
    let dataset = DatasetInput {
        name: "d".to_owned(),
        digest: "x".to_owned(),
        source_type: "local".to_owned(),
        source: "{}".to_owned(),
        schema: None,
        profile: Some("p".to_owned()),
        tags: map(&[("mlflow.data.context", "training")]),
    };
    let inputs = Change::InputsLogged {
        run: id("a"),
        datasets: vec![dataset.clone()],
        models: vec![model.clone()],
    };
    make(store, "inputs.logged", "run:a", inputs.clone()).await;
    make(store, "inputs.logged", "run:a", inputs).await;
    let output = ModelOutput {
        model: model.clone(),
        step: i64::MAX,
    };
    let outputs = Change::OutputsLogged {
        run: id("a"),
        models: vec![output.clone()],
    };
    make(store, "outputs.logged", "run:a", outputs).await;
    let detail = store.find_run_detail(&id("a")).await.unwrap().unwrap();
    assert_eq!(detail.datasets, std::slice::from_ref(&dataset));
    assert_eq!(
        (detail.model_inputs, detail.model_outputs),
        (vec![model], vec![output])
    );
    assert_eq!(
        find(store, "dataset.context = 'training'", &[]).await,
        ["a"]
    );
    assert_eq!(find(store, "dataset.name IN ('d', 'e')", &[]).await, ["a"]);
    let bare = DatasetInput {
        digest: "y".to_owned(),
        tags: map(&[]),
        ..dataset.clone()
    };
    let inputs = Change::InputsLogged {
        run: id("b"),
        datasets: vec![bare, dataset],
        models: Vec::new(),
    };
    make(store, "inputs.logged", "run:b", inputs).await;
    let summary = |digest: &str, context: Option<&str>| DatasetSummary {
        experiment: zero(),
        name: "d".to_owned(),
        digest: digest.to_owned(),
        context: context.map(str::to_owned),
    };
    let listed = store.list_datasets(&[zero()], 9).await.unwrap();
    assert_eq!(listed, [summary("x", Some("training")), summary("y", None)]);
    assert_eq!(store.list_datasets(&[zero()], 1).await.unwrap().len(), 1);
    let verdict = ReplayVerdict {
        origin: id("a"),
        replay: id("b"),
        level: Some(ReplayLevel::R4),
        is_identical: true,
        is_within_tolerance: true,
        host_kind: ObjectId::of(b"host"),
        comparison: ObjectId::of(b"comparison"),
    };
    let judge = Change::ReplayJudged {
        verdict: verdict.clone(),
    };
    make(store, "replay.judged", "run:a", judge).await;
    assert_eq!(store.list_replays(&id("a")).await.unwrap(), [verdict]);
}
