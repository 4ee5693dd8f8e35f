//! Cases of experiments.

use entities::{Change, ExperimentId, Lifecycle};

use super::{at, experiment, id, initialisation, make, map, refuse, run, with_runs, zero};
use crate::{Store, StoreError};

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
