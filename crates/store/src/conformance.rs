//! What every store must do: cases that each backend runs against an empty store of its own.
//!
//! A backend's test file says `store::conformance_tests!(make_store);`, where `make_store` is an async function that
//! gives an empty store and whatever must live as long as it.
#![expect(
    clippy::unwrap_used,
    reason = "a case fails by panicking, as a test does"
)]

use std::collections::BTreeMap;

use entities::{
    Actor, Artifact, Change, Commit, DatasetInput, Experiment, ExperimentId, Leaf, Lifecycle,
    LoggedModel, Metric, ModelId, ModelOutput, ModelStatus, ObjectId, ProcessIdentity, ReplayLevel,
    ReplayVerdict, Run, RunId, RunStatus, SearchKind, SearchQuery, Timestamp,
};

use crate::{PageRequest, Store, StoreError, View};

/// Makes one test of each case.
#[macro_export]
macro_rules! conformance_tests {
    ($make:path) => {
        $crate::conformance_tests! { $make;
            the_first_commit_makes_the_default_experiment
            experiments_are_created_renamed_tagged_and_deleted
            a_refused_commit_leaves_nothing_behind
            a_run_is_created_updated_and_deleted
            params_never_change
            tags_are_set_and_deleted
            latest_is_by_step_then_time_then_value
            a_history_is_in_order_and_holds_each_point_once
            a_history_comes_in_pages
            inputs_outputs_and_replays_are_kept
            artifacts_are_put_listed_replaced_and_deleted
            logged_models_live_and_die
            filters_find_what_fits
            what_is_missing_comes_last_in_both_directions
            a_page_token_belongs_to_its_search
            views_show_active_deleted_or_both
            events_are_numbered_chained_and_sequenced
            progress_never_overtakes_itself
            a_lease_is_held_by_one
            a_clean_store_verifies
            no_text_is_taken_for_sql
        }
    };
    ($make:path; $($case:ident)+) => {
        $(
            #[tokio::test]
            async fn $case() {
                let (store, _alive) = $make().await;
                $crate::conformance::$case(&store).await;
                assert_eq!($crate::LedgerStore::verify_projection(&store).await.unwrap(), None);
            }
        )+
    };
}

/// A commit of one change.
pub fn commit(kind: &'static str, subject: &str, changes: Vec<Change>) -> Commit {
    Commit {
        actor: Actor {
            id: "u:ann".to_owned(),
            auth: "local".to_owned(),
        },
        at: at(1_000),
        kind,
        subjects: vec![subject.to_owned()],
        reason: None,
        request: None,
        changes,
    }
}

/// The first commit of every store.
pub fn initialisation() -> Commit {
    let identity = Change::StoreInitialised {
        origin: "reproof.local/test".to_owned(),
        verifier_key: "reproof.local/test+00000000+AA".to_owned(),
    };
    let experiment = Change::ExperimentCreated {
        experiment: experiment("0", "Default"),
    };
    commit("store.initialised", "store", vec![identity, experiment])
}

/// An experiment without tags.
pub fn experiment(id: &str, name: &str) -> Experiment {
    Experiment {
        id: id.parse().unwrap(),
        name: name.to_owned(),
        artifact_location: format!("mlflow-artifacts:/{id}"),
        lifecycle: Lifecycle::Active,
        created_at: at(1),
        updated_at: at(1),
        tags: BTreeMap::new(),
    }
}

/// A run of experiment `0` that was started at a time in milliseconds.
pub fn run(id: &str, started_ms: i64) -> Run {
    Run {
        id: id.parse().unwrap(),
        experiment: zero(),
        name: format!("name of {id}"),
        user: "ann".to_owned(),
        status: RunStatus::Running,
        started_at: at(started_ms),
        ended_at: None,
        lifecycle: Lifecycle::Active,
        artifact_uri: format!("mlflow-artifacts:/0/{id}/artifacts"),
        parent: None,
        replay_of: None,
        process: None,
        is_interrupted: false,
        recipe: None,
        record: None,
    }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn zero() -> ExperimentId {
    "0".parse().unwrap()
}

fn id(text: &str) -> RunId {
    text.parse().unwrap()
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    owned.collect()
}

fn all() -> PageRequest {
    PageRequest::first(1000)
}

async fn make(store: &dyn Store, kind: &'static str, subject: &str, change: Change) -> Leaf {
    let commit = commit(kind, subject, vec![change]);
    store.commit(commit).await.unwrap().leaf
}

async fn refuse(store: &dyn Store, change: Change) -> StoreError {
    let commit = commit("test.refused", "test", vec![change]);
    store.commit(commit).await.unwrap_err()
}

/// A store with the default experiment and some runs, started one millisecond after the other.
async fn with_runs(store: &dyn Store, ids: &[&str]) {
    store.commit(initialisation()).await.unwrap();
    for (started_ms, id) in (100..).zip(ids) {
        let run = run(id, started_ms);
        make(
            store,
            "run.created",
            &format!("run:{id}"),
            Change::RunCreated { run },
        )
        .await;
    }
}

async fn log(store: &dyn Store, run: &str, points: Vec<Metric>) {
    let change = Change::metrics(id(run), points);
    make(store, "metrics.logged", &format!("run:{run}"), change).await;
}

async fn find(store: &dyn Store, filter: &str, order: &[&str]) -> Vec<String> {
    let query = SearchQuery {
        conditions: entities::parse_filter(filter, SearchKind::Runs).unwrap(),
        order_by: entities::parse_order_by(order, SearchKind::Runs).unwrap(),
    };
    let found = store.search_runs(&[], &query, View::Active, &all()).await;
    let items = found.unwrap().items;
    items
        .into_iter()
        .map(|detail| detail.run.id.to_string())
        .collect()
}

/// The default experiment is found by id and by name, and the next id is free.
pub async fn the_first_commit_makes_the_default_experiment(store: &dyn Store) {
    store.commit(initialisation()).await.unwrap();
    let default = experiment("0", "Default");
    assert_eq!(
        store.find_experiment(&zero()).await.unwrap(),
        Some(default.clone())
    );
    assert_eq!(
        store.find_experiment_by_name("Default").await.unwrap(),
        Some(default)
    );
    assert_eq!(
        store.find_experiment_by_name("default").await.unwrap(),
        None
    );
    assert_eq!(store.free_experiment_id().await.unwrap().as_str(), "1");
    let again = store.commit(initialisation()).await.unwrap_err();
    assert!(matches!(again, StoreError::Exists { .. }), "{again}");
}

/// Names are unique, those of deleted experiments too.
pub async fn experiments_are_created_renamed_tagged_and_deleted(store: &dyn Store) {
    with_runs(store, &["a"]).await;
    let one: ExperimentId = "1".parse().unwrap();
    let create = |id, name| Change::ExperimentCreated {
        experiment: experiment(id, name),
    };
    make(
        store,
        "experiment.created",
        "experiment:1",
        create("1", "one"),
    )
    .await;
    let error = refuse(store, create("1", "other")).await;
    assert!(matches!(error, StoreError::Exists { .. }), "{error}");
    let error = refuse(store, create("2", "one")).await;
    assert!(matches!(
        error,
        StoreError::ExperimentNameTaken {
            lifecycle: Lifecycle::Active,
            ..
        }
    ));
    let rename = |name: &str| Change::ExperimentRenamed {
        experiment: one.clone(),
        name: name.to_owned(),
        at: at(5),
    };
    make(store, "experiment.renamed", "experiment:1", rename("eins")).await;
    let error = refuse(store, rename("Default")).await;
    assert!(
        matches!(error, StoreError::ExperimentNameTaken { .. }),
        "{error}"
    );
    let tags = Change::ExperimentTagsSet {
        experiment: one.clone(),
        tags: map(&[("k", "v"), ("l", "w")]),
        at: at(6),
    };
    make(store, "experiment.tagged", "experiment:1", tags).await;
    let untag = |key: &str| Change::ExperimentTagDeleted {
        experiment: one.clone(),
        key: key.to_owned(),
        at: at(7),
    };
    make(store, "experiment.untagged", "experiment:1", untag("k")).await;
    let error = refuse(store, untag("k")).await;
    assert!(matches!(error, StoreError::NoTag { .. }), "{error}");
    let found = store.find_experiment(&one).await.unwrap().unwrap();
    assert_eq!((found.name.as_str(), found.updated_at), ("eins", at(7)));
    assert_eq!(found.tags, map(&[("l", "w")]));
    let delete = |experiment: &ExperimentId, runs| Change::ExperimentLifecycleSet {
        experiment: experiment.clone(),
        lifecycle: Lifecycle::Deleted,
        runs,
        at: at(8),
    };
    make(
        store,
        "experiment.deleted",
        "experiment:0",
        delete(&zero(), vec![id("a")]),
    )
    .await;
    let deleted = store
        .list_run_ids(&zero(), Lifecycle::Deleted)
        .await
        .unwrap();
    assert_eq!(deleted, [id("a")]);
    assert!(
        store
            .list_run_ids(&zero(), Lifecycle::Active)
            .await
            .unwrap()
            .is_empty()
    );
    let events = store.list_events_of("run:a", 10).await.unwrap();
    assert_eq!(
        events.len(),
        2,
        "the run's creation and its experiment's deletion"
    );
    let error = refuse(store, create("3", "Default")).await;
    assert!(matches!(
        error,
        StoreError::ExperimentNameTaken {
            lifecycle: Lifecycle::Deleted,
            ..
        }
    ));
    let error = refuse(store, Change::RunCreated { run: run("b", 1) }).await;
    assert!(
        matches!(error, StoreError::ExperimentDeleted { .. }),
        "{error}"
    );
    let nowhere: ExperimentId = "77".parse().unwrap();
    let error = refuse(store, delete(&nowhere, Vec::new())).await;
    assert!(matches!(error, StoreError::NoExperiment { .. }), "{error}");
}

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
    assert_eq!(detail.datasets, [dataset]);
    assert_eq!(
        (detail.model_inputs, detail.model_outputs),
        (vec![model], vec![output])
    );
    assert_eq!(
        find(store, "dataset.context = 'training'", &[]).await,
        ["a"]
    );
    assert_eq!(find(store, "dataset.name IN ('d', 'e')", &[]).await, ["a"]);
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

/// Folders follow from paths.
pub async fn artifacts_are_put_listed_replaced_and_deleted(store: &dyn Store) {
    store.commit(initialisation()).await.unwrap();
    let artifact = |path: &str, content: &[u8]| Artifact {
        path: path.to_owned(),
        object: ObjectId::of(content),
        size_bytes: content.len() as u64,
    };
    let put = |artifacts| Change::ArtifactsPut { artifacts };
    let first = vec![
        artifact("0/a/x", b"1"),
        artifact("0/a/b/y", b"2"),
        artifact("0/a.z", b"3"),
    ];
    make(store, "artifacts.put", "run:a", put(first)).await;
    make(
        store,
        "artifacts.put",
        "run:a",
        put(vec![artifact("0/a/x", b"new")]),
    )
    .await;
    let found = store.find_artifact("0/a/x").await.unwrap();
    assert_eq!(found, Some(artifact("0/a/x", b"new")));
    let names = |entries: Vec<entities::ArtifactEntry>| -> Vec<(String, bool)> {
        entries
            .into_iter()
            .map(|entry| (entry.name, entry.file.is_some()))
            .collect()
    };
    let listed = names(store.list_artifacts("0").await.unwrap());
    assert_eq!(listed, [("a".to_owned(), false), ("a.z".to_owned(), true)]);
    let listed = names(store.list_artifacts("0/a").await.unwrap());
    assert_eq!(listed, [("b".to_owned(), false), ("x".to_owned(), true)]);
    assert!(store.list_artifacts("0/none").await.unwrap().is_empty());
    assert_eq!(store.list_artifacts_below("").await.unwrap().len(), 3);
    let delete = |path: &str| Change::ArtifactDeleted {
        path: path.to_owned(),
    };
    make(store, "artifact.deleted", "run:a", delete("0/a")).await;
    assert_eq!(
        store.list_artifacts_below("").await.unwrap(),
        [artifact("0/a.z", b"3")]
    );
    assert!(matches!(
        refuse(store, delete("0/a")).await,
        StoreError::NoArtifact { .. }
    ));
    refuse(store, put(vec![artifact("../x", b"")])).await;
}

/// A model gathers tags, params and metrics; a deleted one is not found.
pub async fn logged_models_live_and_die(store: &dyn Store) {
    with_runs(store, &["a"]).await;
    let model = LoggedModel {
        id: "m-1".parse().unwrap(),
        experiment: zero(),
        name: "net".to_owned(),
        source_run: Some(id("a")),
        artifact_uri: "mlflow-artifacts:/0/models/m-1/artifacts".to_owned(),
        status: ModelStatus::Pending,
        model_type: None,
        created_at: at(5),
        updated_at: at(5),
        tags: map(&[("t", "1")]),
        params: map(&[("p", "1")]),
    };
    let m1 = model.id.clone();
    let log_it = Change::ModelLogged {
        model: model.clone(),
    };
    make(store, "model.logged", "model:m-1", log_it.clone()).await;
    assert!(matches!(
        refuse(store, log_it).await,
        StoreError::Exists { .. }
    ));
    let set = |status| Change::ModelStatusSet {
        model: m1.clone(),
        status,
        at: at(6),
    };
    make(store, "model.updated", "model:m-1", set(ModelStatus::Ready)).await;
    let tag = Change::ModelTagsSet {
        model: m1.clone(),
        tags: map(&[("u", "2")]),
        at: at(7),
    };
    make(store, "model.tagged", "model:m-1", tag).await;
    let untag = Change::ModelTagDeleted {
        model: m1.clone(),
        key: "t".to_owned(),
        at: at(8),
    };
    make(store, "model.untagged", "model:m-1", untag.clone()).await;
    assert!(matches!(
        refuse(store, untag).await,
        StoreError::NoTag { .. }
    ));
    let params = Change::ModelParamsLogged {
        model: m1.clone(),
        params: map(&[("q", "2")]),
        at: at(9),
    };
    make(store, "model.params", "model:m-1", params).await;
    let mut point = Metric::new("acc", 0.9, 1, 1);
    point.model = Some(m1.clone());
    point.dataset = Some(("d".to_owned(), "x".to_owned()));
    log(store, "a", vec![point.clone()]).await;
    let found = store.find_model(&m1).await.unwrap().unwrap();
    let expected = LoggedModel {
        status: ModelStatus::Ready,
        updated_at: at(9),
        tags: map(&[("u", "2")]),
        params: map(&[("p", "1"), ("q", "2")]),
        ..model
    };
    assert_eq!(found.model, expected);
    assert_eq!(found.metrics, [(id("a"), point)]);
    let models = store.list_models_of(&id("a")).await.unwrap();
    assert_eq!(models, std::slice::from_ref(&m1));
    for (filter, count) in [
        ("metrics.acc > 0.5 AND params.p = '1'", 1),
        ("status = 'READY'", 1),
        ("status = 'LOGGED_MODEL_READY'", 1),
        ("tags.t = '1'", 0),
    ] {
        let query = SearchQuery {
            conditions: entities::parse_filter(filter, SearchKind::Models).unwrap(),
            order_by: entities::parse_order_by(&["metrics.acc DESC"], SearchKind::Models).unwrap(),
        };
        let page = store
            .search_models(&[zero()], &query, &all())
            .await
            .unwrap();
        assert_eq!(page.items.len(), count, "{filter}");
    }
    let delete = Change::ModelDeleted {
        model: m1.clone(),
        at: at(10),
    };
    make(store, "model.deleted", "model:m-1", delete.clone()).await;
    assert_eq!(store.find_model(&m1).await.unwrap(), None);
    assert!(matches!(
        refuse(store, delete).await,
        StoreError::NoModel { .. }
    ));
}

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

/// Gapless numbers, `prev` of each subject, at most eight subjects, and bodies that fit their leaves.
pub async fn events_are_numbered_chained_and_sequenced(store: &dyn Store) {
    with_runs(store, &["a", "b"]).await;
    let tag = |run: &str| Change::TagsSet {
        run: id(run),
        tags: map(&[("k", "v")]),
    };
    let mut many = commit("tags.set", "run:a", vec![tag("a")]);
    many.subjects
        .extend((0..20).map(|number| format!("thing:{number}")));
    many.subjects.insert(1, "run:a".to_owned());
    let leaf = store.commit(many).await.unwrap().leaf;
    assert_eq!(leaf.subject.len(), 8);
    assert_eq!(leaf.subject[..2], ["run:a", "thing:0"]);
    assert_eq!((leaf.wseq, leaf.prev.len()), (3, 1));
    assert!(leaf.prev["run:a"].ends_with(":1"));
    let unsequenced = store.list_events_of("run:a", 10).await.unwrap();
    assert!(unsequenced.iter().all(|event| event.index.is_none()));
    assert!(store.list_events(0, 10).await.unwrap().is_empty());
    assert_eq!(store.sequence().await.unwrap(), 4);
    let events = store.list_events(1, 2).await.unwrap();
    assert_eq!(
        events.iter().map(|event| event.index).collect::<Vec<_>>(),
        [Some(1), Some(2)]
    );
    for event in store.list_events(0, 10).await.unwrap() {
        let leaf = Leaf::decode(&event.leaf).unwrap();
        assert_eq!(Some(leaf.wseq), event.index);
        assert!(leaf.commits_to(&event.salt, &event.body));
    }
    let of_run = store.list_events_of("run:a", 1).await.unwrap();
    assert_eq!(of_run[0].index, Some(3), "the newest comes first");
}

/// Signed, integrated and sequenced ascend.
pub async fn progress_never_overtakes_itself(store: &dyn Store) {
    with_runs(store, &["a"]).await;
    store.note_published(1, 0).await.unwrap_err();
    store.sequence().await.unwrap();
    store.note_published(2, 1).await.unwrap();
    store.note_published(1, 2).await.unwrap_err();
    store.note_published(3, 3).await.unwrap_err();
    let progress = store.ledger_progress().await.unwrap();
    assert_eq!((progress.committed, progress.sequenced), (2, 2));
    assert_eq!((progress.integrated, progress.signed), (2, 1));
}

/// Until its time is over, or its holder gives it back.
pub async fn a_lease_is_held_by_one(store: &dyn Store) {
    let take = |holder, millis| store.take_lease("signer", holder, at(millis), 100);
    assert!(take("x", 0).await.unwrap());
    assert!(!take("y", 99).await.unwrap());
    assert!(take("x", 99).await.unwrap(), "its holder prolongs it");
    assert!(!take("y", 198).await.unwrap());
    assert!(take("y", 199).await.unwrap(), "its time is over");
    store.release_lease("signer", "x").await.unwrap();
    assert!(
        !take("x", 200).await.unwrap(),
        "only the holder gives it back"
    );
    store.release_lease("signer", "y").await.unwrap();
    assert!(take("x", 200).await.unwrap());
}

/// With every kind of row there is.
pub async fn a_clean_store_verifies(store: &dyn Store) {
    populate(store).await;
    assert_eq!(store.verify_projection().await.unwrap(), None);
}

/// Fills every table.
pub async fn populate(store: &dyn Store) {
    artifacts_are_put_listed_replaced_and_deleted(store).await;
    for name in ["a", "b"] {
        let run = Run {
            process: Some(ProcessIdentity {
                pid: 1,
                start_ticks: 2,
                boot_id: "b".to_owned(),
            }),
            parent: Some(id("p")),
            replay_of: Some(id("o")),
            ended_at: Some(at(7)),
            recipe: Some(ObjectId::of(b"recipe")),
            record: Some(ObjectId::of(b"record")),
            ..run(name, 50)
        };
        make(
            store,
            "run.created",
            &format!("run:{name}"),
            Change::RunCreated { run },
        )
        .await;
    }
    let model: ModelId = "m-1".parse().unwrap();
    let mut point = Metric::new("acc", 0.9, 1, 1);
    point.model = Some(model.clone());
    point.dataset = Some(("d".to_owned(), "x".to_owned()));
    let dataset = DatasetInput {
        name: "d".to_owned(),
        digest: "x".to_owned(),
        source_type: "local".to_owned(),
        source: "{}".to_owned(),
        schema: Some("s".to_owned()),
        profile: Some("p".to_owned()),
        tags: map(&[("mlflow.data.context", "training")]),
    };
    let verdict = ReplayVerdict {
        origin: id("a"),
        replay: id("b"),
        level: Some(ReplayLevel::R3),
        is_identical: false,
        is_within_tolerance: true,
        host_kind: ObjectId::of(b"host"),
        comparison: ObjectId::of(b"comparison"),
    };
    let logged = LoggedModel {
        id: model.clone(),
        experiment: zero(),
        name: "net".to_owned(),
        source_run: Some(id("a")),
        artifact_uri: "mlflow-artifacts:/0/models/m-1".to_owned(),
        status: ModelStatus::Ready,
        model_type: Some("Agent".to_owned()),
        created_at: at(5),
        updated_at: at(5),
        tags: map(&[("t", "1")]),
        params: map(&[("p", "1")]),
    };
    let changes = vec![
        Change::ExperimentTagsSet {
            experiment: zero(),
            tags: map(&[("k", "v")]),
            at: at(3),
        },
        Change::ParamsLogged {
            run: id("a"),
            params: map(&[("p", "1"), ("q", "2")]),
        },
        Change::TagsSet {
            run: id("a"),
            tags: map(&[("t", "1"), ("u", "2")]),
        },
        Change::metrics(id("a"), vec![point, Metric::new("loss", f64::NAN, 1, 1)]),
        Change::InputsLogged {
            run: id("a"),
            datasets: vec![dataset],
            models: vec![model.clone()],
        },
        Change::OutputsLogged {
            run: id("a"),
            models: vec![ModelOutput { model, step: 4 }],
        },
        Change::ModelLogged { model: logged },
        Change::ReplayJudged { verdict },
        Change::ObjectForgotten {
            object: ObjectId::of(b"secret"),
            reason: "a secret".to_owned(),
            at: at(9),
        },
        Change::LedgerVerified {
            size: 3,
            fault: None,
        },
    ];
    for change in changes {
        make(store, "test.populated", "run:a", change).await;
    }
    store.sequence().await.unwrap();
    store.note_published(3, 2).await.unwrap();
    assert!(store.take_lease("signer", "x", at(0), 100).await.unwrap());
}

/// Every text comes back as it was given, and nothing else happens.
pub async fn no_text_is_taken_for_sql(store: &dyn Store) {
    with_runs(store, &["a"]).await;
    let nasty = [
        "'; DROP TABLE run; --",
        "\" OR \"\"=\"",
        "?1",
        ":name",
        "%_\\",
        "a\0b",
        "{}",
        "𝄞\u{202e}",
        "",
    ];
    for (number, text) in nasty.iter().enumerate() {
        let params = BTreeMap::from([(format!("{number}{text}"), (*text).to_owned())]);
        let changes = vec![
            Change::ParamsLogged {
                run: id("a"),
                params: params.clone(),
            },
            Change::TagsSet {
                run: id("a"),
                tags: params.clone(),
            },
            Change::metrics(id("a"), vec![Metric::new(*text, 1.0, 0, 0)]),
            Change::RunUpdated {
                run: id("a"),
                status: None,
                ended_at: None,
                name: Some((*text).to_owned()),
            },
        ];
        store
            .commit(commit("test.nasty", text, changes))
            .await
            .unwrap();
        let detail = store.find_run_detail(&id("a")).await.unwrap().unwrap();
        assert_eq!(detail.run.name, *text);
        let key = format!("{number}{text}");
        assert_eq!(
            (&detail.params[&key], &detail.tags[&key]),
            (&params[&key], &params[&key])
        );
        assert!(detail.metrics.iter().any(|metric| metric.key == *text));
        let history = store
            .list_metric_points(&id("a"), text, &all())
            .await
            .unwrap();
        assert_eq!(history.items.len(), 1, "{text:?}");
        assert_eq!(store.list_events_of(text, 9).await.unwrap().len(), 1);
        assert_eq!(store.list_runs_by_name(text, 9).await.unwrap().len(), 1);
        assert!(store.find_experiment_by_name(text).await.unwrap().is_none());
        for field in [
            entities::Field::Param(key.clone()),
            entities::Field::Tag(key.clone()),
            entities::Field::Attribute("run_name".to_owned()),
        ] {
            let comparison =
                entities::Comparison::Text(entities::Operator::Equal, (*text).to_owned());
            let query = SearchQuery {
                conditions: vec![entities::Condition {
                    field: field.clone(),
                    comparison,
                }],
                order_by: vec![entities::OrderBy {
                    field,
                    is_ascending: false,
                }],
            };
            let found = store
                .search_runs(&[], &query, View::All, &all())
                .await
                .unwrap();
            assert_eq!(found.items.len(), 1, "{text:?}");
        }
        let field = entities::Field::Attribute((*text).to_owned());
        let comparison = entities::Comparison::Null { is_negated: false };
        let query = SearchQuery {
            conditions: vec![entities::Condition { field, comparison }],
            order_by: Vec::new(),
        };
        let found = store.search_runs(&[], &query, View::All, &all()).await;
        assert!(matches!(found, Err(StoreError::Query { .. })), "{text:?}");
    }
}
