//! Cases of runs and experiments that are removed for good.

use entities::{
    Change, HOLD_TAG, Lifecycle, LoggedModel, Metric, ModelId, ModelOutput, ModelStatus,
    ModelVersion, ReplayVerdict, Run, VersionNumber,
};

use super::{
    all, at, commit, experiment, find, id, initialisation, log, make, map, model_version, refuse,
    registered_model, run, traces::with_traces, with_runs, zero,
};
use crate::{Bond, Deleted, Store, StoreError};

fn model(of: &str) -> LoggedModel {
    let model: ModelId = format!("m-{of}").parse().unwrap();
    LoggedModel {
        artifact_uri: format!("mlflow-artifacts:/0/models/{model}/artifacts"),
        id: model,
        experiment: zero(),
        name: "net".to_owned(),
        source_run: Some(id(of)),
        status: ModelStatus::Ready,
        model_type: None,
        created_at: at(5),
        updated_at: at(5),
        tags: map(&[("t", "1")]),
        params: map(&[("p", "1")]),
    }
}

fn artifact(path: &str) -> entities::Artifact {
    entities::Artifact {
        path: path.to_owned(),
        object: entities::ObjectId::of(path.as_bytes()),
        size_bytes: 3,
    }
}

pub(super) async fn delete(store: &dyn Store, run: &str, at_ms: i64) {
    let change = Change::RunLifecycleSet {
        run: id(run),
        lifecycle: Lifecycle::Deleted,
    };
    let mut deletion = commit("run.deleted", &format!("run:{run}"), vec![change]);
    deletion.at = at(at_ms);
    store.commit(deletion).await.unwrap();
}

pub(super) async fn remove(store: &dyn Store, runs: &[&str]) {
    let removal = Change::RunsRemoved {
        runs: runs.iter().map(|run| id(run)).collect(),
    };
    make(store, "runs.removed", &format!("run:{}", runs[0]), removal).await;
}

/// A run with something of every kind: params, tags, points, inputs, outputs, artifacts, a model, a link to a trace.
async fn fill(store: &dyn Store, name: &str) {
    let logged = model(name);
    let mut point = Metric::new("acc", 0.5, 1, 1);
    point.model = Some(logged.id.clone());
    let artifacts = vec![
        artifact(&format!("0/{name}/artifacts/a.txt")),
        artifact(&format!("0/{name}/artifactsx")),
        artifact(&format!("0/models/m-{name}/artifacts/model.pkl")),
    ];
    let output = ModelOutput {
        model: logged.id.clone(),
        step: 1,
    };
    let changes = vec![
        Change::ParamsLogged {
            run: id(name),
            params: map(&[("p", "1")]),
        },
        Change::TagsSet {
            run: id(name),
            tags: map(&[("t", "1")]),
        },
        Change::metrics(id(name), vec![point, Metric::new("loss", 1.0, 1, 1)]),
        Change::OutputsLogged {
            run: id(name),
            models: vec![output],
        },
        Change::ModelLogged { model: logged },
        Change::ArtifactsPut { artifacts },
    ];
    let filling = commit("run.filled", &format!("run:{name}"), changes);
    store.commit(filling).await.unwrap();
}

/// Whatever was said of a removed run is gone, also from the middle of others; its id may be used again.
pub async fn removed_runs_leave_nothing_but_their_events(store: &dyn Store) {
    with_runs(store, &["a", "b", "c"]).await;
    with_traces(store).await;
    for run in ["a", "b", "c"] {
        fill(store, run).await;
    }
    // Long enough that it is kept in order a second time once it was read.
    for step in 2..80 {
        log(store, "b", vec![Metric::new("loss", 2.0, 2, step)]).await;
    }
    let read = store.list_metric_points(&id("b"), "loss", &all()).await;
    assert_eq!(read.unwrap().items.len(), 79);
    log(store, "c", vec![Metric::new("loss", 3.0, 3, 3)]).await;
    delete(store, "b", 2_000).await;
    delete(store, "c", 3_000).await;
    remove(store, &["c", "b"]).await;
    for run in ["b", "c"] {
        assert_eq!(store.find_run(&id(run)).await.unwrap(), None);
        let model = model(run).id;
        assert_eq!(store.find_model(&model).await.unwrap(), None);
        let left = store.list_artifacts_below(&format!("0/{run}")).await;
        let left: Vec<_> = left.unwrap().into_iter().map(|left| left.path).collect();
        assert_eq!(left, [format!("0/{run}/artifactsx")]);
        let model_files = format!("0/models/m-{run}");
        let left = store.list_artifacts_below(&model_files).await.unwrap();
        assert!(left.is_empty(), "{left:?}");
        let events = store.list_events_of(&format!("run:{run}"), 9).await;
        assert!(events.unwrap().len() >= 3);
    }
    assert_eq!(find(store, "params.p = '1'", &[]).await, ["a"]);
    assert_eq!(find(store, "metrics.loss >= 1", &[]).await, ["a"]);
    let again = Change::RunsRemoved {
        runs: vec![id("b")],
    };
    assert!(matches!(
        refuse(store, again).await,
        StoreError::NoRun { .. }
    ));
    // The bytes of their points are gone, and all else still can be told from what was never said.
    assert_eq!(store.verify_projection().await.unwrap(), None);
    let create = Change::RunCreated { run: run("b", 900) };
    make(store, "run.created", "run:b", create).await;
    log(store, "b", vec![Metric::new("loss", 9.0, 9, 9)]).await;
    log(store, "a", vec![Metric::new("loss", 8.0, 8, 8)]).await;
    assert_eq!(find(store, "metrics.loss = 9", &[]).await, ["b"]);
    let read = store.list_metric_points(&id("b"), "loss", &all()).await;
    assert_eq!(read.unwrap().items, [Metric::new("loss", 9.0, 9, 9)]);
}

/// What was taken over of files that clients wrote elsewhere goes with the run and its models.
pub async fn removed_runs_take_what_was_taken_over_along(store: &dyn Store) {
    with_runs(store, &["a"]).await;
    let elsewhere = Run {
        artifact_uri: "/data/arts/0/d/artifacts".to_owned(),
        ..run("d", 100)
    };
    let logged = LoggedModel {
        artifact_uri: "/data/arts/0/models/m-d/artifacts".to_owned(),
        ..model("d")
    };
    let artifacts = [
        "0/d/artifacts/x",
        "0/models/m-d/artifacts/MLmodel",
        "0/a/artifacts/x",
    ];
    let changes = vec![
        Change::RunCreated { run: elsewhere },
        Change::ModelLogged { model: logged },
        Change::ArtifactsPut {
            artifacts: artifacts.map(artifact).to_vec(),
        },
    ];
    let filling = commit("run.filled", "run:d", changes);
    store.commit(filling).await.unwrap();
    delete(store, "d", 2_000).await;
    remove(store, &["d"]).await;
    let left = store.list_artifacts_below("0").await.unwrap();
    let left: Vec<_> = left.iter().map(|left| left.path.as_str()).collect();
    assert_eq!(left, ["0/a/artifacts/x"]);
    assert_eq!(store.verify_projection().await.unwrap(), None);
}

/// What keeps a run is told beforehand, and refused where it came in between.
pub async fn what_keeps_a_deleted_run_is_told(store: &dyn Store) {
    with_runs(store, &["a", "b", "c", "d"]).await;
    let child = Run {
        parent: Some(id("a")),
        replay_of: Some(id("b")),
        ..run("e", 900)
    };
    make(
        store,
        "run.created",
        "run:e",
        Change::RunCreated { run: child },
    )
    .await;
    let verdict = ReplayVerdict {
        origin: id("b"),
        replay: id("e"),
        level: None,
        is_identical: false,
        is_within_tolerance: false,
        host_kind: entities::ObjectId::of(b"host"),
        comparison: entities::ObjectId::of(b"comparison"),
    };
    let registered = vec![
        Change::ReplayJudged { verdict },
        Change::ModelLogged { model: model("c") },
        Change::InputsLogged {
            run: id("d"),
            datasets: Vec::new(),
            models: vec![model("c").id],
        },
        Change::RegisteredModelCreated {
            model: registered_model("net", 5),
        },
        Change::ModelVersionCreated {
            version: ModelVersion {
                logged_model: Some(model("c").id),
                run: None,
                source: "s3://elsewhere".to_owned(),
                ..model_version("net", 1, 6)
            },
        },
        Change::ModelVersionCreated {
            version: ModelVersion {
                run: None,
                source: "runs:/d/model".to_owned(),
                ..model_version("net", 2, 7)
            },
        },
    ];
    store
        .commit(commit("all.made", "run:a", registered))
        .await
        .unwrap();
    for (run, at_ms) in [("a", 2_000), ("b", 3_000), ("c", 4_000), ("d", 5_000)] {
        delete(store, run, at_ms).await;
    }
    let hold = Change::ExperimentTagsSet {
        experiment: zero(),
        tags: map(&[("keep", ""), ("other", "")]),
        at: at(9),
    };
    make(store, "experiment.tagged", "experiment:0", hold).await;
    let Deleted { runs, experiments } = store.list_deleted(&["keep".to_owned()]).await.unwrap();
    assert!(experiments.is_empty());
    let told: Vec<_> = runs
        .iter()
        .map(|run| {
            assert_eq!(run.holds, ["keep"]);
            let versions = run.versions.iter().map(|(_, version)| version.get());
            let bonds = run.bonds.iter().map(|(run, bond)| (run.as_str(), *bond));
            (
                run.id.as_str(),
                run.deleted_at,
                versions.collect::<Vec<_>>(),
                bonds.collect::<Vec<_>>(),
            )
        })
        .collect();
    let expected = [
        ("d", at(5_000), vec![2], vec![]),
        ("c", at(4_000), vec![1], vec![("d", Bond::ModelUser)]),
        ("b", at(3_000), vec![], vec![("e", Bond::Replay)]),
        ("a", at(2_000), vec![], vec![("e", Bond::Child)]),
    ];
    assert_eq!(told, expected);
    let removal = |run: &str| Change::RunsRemoved {
        runs: vec![id(run)],
    };
    for run in ["c", "e"] {
        let error = refuse(store, removal(run)).await;
        assert!(matches!(error, StoreError::Kept { .. }), "{run}: {error}");
    }
    let dropped = Change::ModelVersionDeleted {
        name: "net".to_owned(),
        version: VersionNumber::new(1).unwrap(),
        at: at(10),
    };
    make(store, "model_version.deleted", "run:c", dropped).await;
    make(store, "runs.removed", "run:c", removal("c")).await;
    let hold = Change::ExperimentTagsSet {
        experiment: zero(),
        tags: map(&[(HOLD_TAG, "")]),
        at: at(9),
    };
    make(store, "experiment.tagged", "experiment:0", hold).await;
    let error = refuse(store, removal("a")).await;
    assert!(error.to_string().contains("reproof.hold"), "{error}");
}

/// What a run measured of a model of others goes no sooner than these; a version may name a run by its source alone.
pub async fn what_tells_of_what_others_made_stays(store: &dyn Store) {
    with_runs(store, &["a", "b", "c", "d"]).await;
    let of_nobody = LoggedModel {
        source_run: None,
        ..model("x")
    };
    let measured = |of: &str| {
        let mut point = Metric::new("acc", 0.5, 1, 1);
        point.model = Some(model(of).id);
        vec![point]
    };
    let version = ModelVersion {
        run: None,
        source: "mlflow-artifacts:/0/d/artifacts/model".to_owned(),
        ..model_version("net", 1, 6)
    };
    let changes = vec![
        Change::ModelLogged { model: model("a") },
        Change::ModelLogged { model: of_nobody },
        Change::metrics(id("b"), measured("a")),
        Change::metrics(id("c"), measured("x")),
        Change::RegisteredModelCreated {
            model: registered_model("net", 5),
        },
        Change::ModelVersionCreated { version },
    ];
    let made = commit("all.made", "run:a", changes);
    store.commit(made).await.unwrap();
    for (run, at_ms) in [("b", 2_000), ("c", 3_000), ("d", 4_000)] {
        delete(store, run, at_ms).await;
    }
    for run in ["b", "c", "d"] {
        let removal = Change::RunsRemoved {
            runs: vec![id(run)],
        };
        let error = refuse(store, removal).await;
        assert!(matches!(error, StoreError::Kept { .. }), "{run}: {error}");
    }
    let listed = store.list_deleted(&[]).await.unwrap().runs;
    let told = |run: &str| listed.iter().find(|told| told.id == id(run)).unwrap();
    assert_eq!(told("b").bonds, [(id("a"), Bond::Measured)]);
    assert!(told("b").models.is_empty());
    assert_eq!(told("c").models, [model("x").id]);
    assert_eq!(told("d").versions.len(), 1);
    for of in ["a", "x"] {
        let found = store.find_model(&model(of).id).await.unwrap().unwrap();
        assert_eq!(found.metrics.len(), 1, "{of}");
    }
    // Where that run goes too, in whatever order, nothing is lost that stays; nor with a model that is deleted.
    delete(store, "a", 5_000).await;
    let dropped = Change::ModelDeleted {
        model: model("x").id,
        at: at(9),
    };
    make(store, "model.deleted", "experiment:0", dropped).await;
    remove(store, &["b"]).await;
    remove(store, &["c", "a"]).await;
    assert_eq!(store.verify_projection().await.unwrap(), None);
}

/// Its name is free, its id is given to no other.
pub async fn a_removed_experiment_frees_its_name(store: &dyn Store) {
    store.commit(initialisation()).await.unwrap();
    let five = experiment("5", "five").id;
    let removal = Change::ExperimentRemoved {
        experiment: five.clone(),
    };
    let create = |id: &str| Change::ExperimentCreated {
        experiment: experiment(id, "five"),
    };
    assert!(matches!(
        refuse(store, removal.clone()).await,
        StoreError::NoExperiment { .. }
    ));
    make(store, "experiment.created", "experiment:5", create("5")).await;
    let of_five = Run {
        experiment: five.clone(),
        ..run("a", 100)
    };
    make(
        store,
        "run.created",
        "run:a",
        Change::RunCreated { run: of_five },
    )
    .await;
    let filling = vec![
        Change::ExperimentTagsSet {
            experiment: five.clone(),
            tags: map(&[("k", "v")]),
            at: at(3),
        },
        Change::ModelLogged {
            model: LoggedModel {
                experiment: five.clone(),
                source_run: None,
                ..model("x")
            },
        },
    ];
    let filling = commit("experiment.filled", "experiment:5", filling);
    store.commit(filling).await.unwrap();
    assert!(
        refuse(store, removal.clone())
            .await
            .to_string()
            .contains("not deleted")
    );
    let deleted = Change::ExperimentLifecycleSet {
        experiment: five.clone(),
        lifecycle: Lifecycle::Deleted,
        runs: vec![id("a")],
        at: at(4),
    };
    make(store, "experiment.deleted", "experiment:5", deleted).await;
    let listed = store.list_deleted(&[]).await.unwrap();
    assert_eq!(listed.runs[0].deleted_at, at(1_000));
    assert_eq!(listed.experiments[0].runs, [id("a")]);
    let error = refuse(store, removal.clone()).await;
    assert!(error.to_string().contains("it has runs"), "{error}");
    remove(store, &["a"]).await;
    make(store, "experiment.removed", "experiment:5", removal).await;
    assert_eq!(store.find_experiment(&five).await.unwrap(), None);
    assert_eq!(store.find_model(&model("x").id).await.unwrap(), None);
    let free = store.free_experiment_id().await.unwrap();
    assert_eq!(free.as_str(), "6");
    make(store, "experiment.created", "experiment:6", create("6")).await;
    let named = store.find_experiment_by_name("five").await.unwrap();
    assert_eq!(named.unwrap().id.as_str(), "6");
}

/// A store in which a run and an experiment were, and are no more.
pub(super) async fn with_removed(store: &dyn Store) {
    let experiment = experiment("8", "gone");
    let eight = experiment.id.clone();
    let gone = Run {
        experiment: eight.clone(),
        ..run("gone", 100)
    };
    let changes = vec![
        Change::ExperimentCreated { experiment },
        Change::RunCreated { run: gone },
    ];
    let made = commit("experiment.created", "experiment:8", changes);
    store.commit(made).await.unwrap();
    fill(store, "gone").await;
    let deleted = Change::ExperimentLifecycleSet {
        experiment: eight.clone(),
        lifecycle: Lifecycle::Deleted,
        runs: vec![id("gone")],
        at: at(4),
    };
    make(store, "experiment.deleted", "experiment:8", deleted).await;
    remove(store, &["gone"]).await;
    let removal = Change::ExperimentRemoved { experiment: eight };
    make(store, "experiment.removed", "experiment:8", removal).await;
}
