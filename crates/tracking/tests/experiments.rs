//! Experiments through the services, on a real store.

use entities::{ErrorClass, ExperimentId, Lifecycle};
use store::{PageRequest, View};
use testkit::{TestBench, map, parsed};
use tracking::{NewExperiment, NewRun, TrackingError};

fn named(name: &str) -> NewExperiment {
    NewExperiment {
        name: name.to_owned(),
        ..NewExperiment::default()
    }
}

fn new_run(experiment: &ExperimentId) -> NewRun {
    NewRun {
        experiment: experiment.clone(),
        ..testkit::new_run()
    }
}

#[tokio::test]
async fn the_default_experiment_is_there_from_the_start() {
    let bench = TestBench::new().await;
    let default = bench.tracking.get_experiment(&parsed("0")).await.unwrap();
    assert_eq!(default.name, "Default");
    assert_eq!(default.artifact_location, "mlflow-artifacts:/0");
    let same = bench
        .tracking
        .get_or_create_experiment(&bench.caller, "Default");
    assert_eq!(same.await.unwrap(), default);
}

#[tokio::test]
async fn a_store_without_its_first_commit_gets_its_default_experiment_on_first_use() {
    let bench = TestBench::new().await;
    let options = store_sqlite::OpenOptions {
        random: bench.random.clone(),
        create: true,
    };
    let path = bench.database().with_extension("bare");
    let bare = store_sqlite::Sqlite::open(&path, options).unwrap();
    let tracking = tracking::Tracking::new(
        std::sync::Arc::new(bare),
        bench.tracking.cas().clone(),
        bench.clock.clone(),
        bench.random.clone(),
    );
    let other = tracking
        .create_experiment(&bench.caller, named("other"))
        .await
        .unwrap();
    let default = tracking
        .get_or_create_experiment(&bench.caller, "Default")
        .await
        .unwrap();
    assert_eq!((default.id.as_str(), other.id.as_str()), ("0", "1"));
}

#[tokio::test]
async fn an_experiment_is_created_found_renamed_and_tagged() {
    let bench = TestBench::new().await;
    let (tracking, caller) = (&bench.tracking, &bench.caller);
    let new = NewExperiment {
        tags: map(&[("team", "a")]),
        ..named("probe")
    };
    let made = tracking.create_experiment(caller, new).await.unwrap();
    assert_eq!(made.id.as_str(), "1");
    assert_eq!(made.artifact_location, "mlflow-artifacts:/1");
    assert_eq!(tracking.get_experiment(&made.id).await.unwrap(), made);
    let found = tracking.get_experiment_by_name("probe").await.unwrap();
    assert_eq!(found, made);
    let error = tracking
        .create_experiment(caller, named("probe"))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "Experiment(name=probe) already exists.");
    assert_eq!(error.class(), ErrorClass::Exists);
    tracking
        .rename_experiment(caller, &made.id, "other")
        .await
        .unwrap();
    tracking
        .set_experiment_tag(caller, &made.id, "k", "v")
        .await
        .unwrap();
    tracking
        .delete_experiment_tag(caller, &made.id, "team")
        .await
        .unwrap();
    let found = tracking.get_experiment(&made.id).await.unwrap();
    assert_eq!(
        (found.name.as_str(), found.tags),
        ("other", map(&[("k", "v")]))
    );
    assert!(found.updated_at > made.updated_at);
    let gone = tracking
        .delete_experiment_tag(caller, &made.id, "team")
        .await
        .unwrap_err();
    assert_eq!(
        gone.to_string(),
        "No tag with name: team in experiment with id 1"
    );
    let taken = tracking
        .rename_experiment(caller, &made.id, "Default")
        .await
        .unwrap_err();
    assert_eq!(
        taken.to_string(),
        "Experiment(name=Default) already exists."
    );
    assert_eq!(bench.store.verify_projection().await.unwrap(), None);
}

#[tokio::test]
async fn what_is_not_there_or_no_name_is_refused_in_the_words_of_mlflow() {
    let bench = TestBench::new().await;
    let (tracking, caller) = (&bench.tracking, &bench.caller);
    let committed = bench.store.ledger_progress().await.unwrap().committed;
    let error = tracking.get_experiment(&parsed("99999")).await.unwrap_err();
    assert_eq!(error.to_string(), "No Experiment with id=99999 exists");
    assert_eq!(error.class(), ErrorClass::NotFound);
    let error = tracking.get_experiment_by_name("nope").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "Could not find experiment with name 'nope'"
    );
    assert!(matches!(error, TrackingError::NoExperimentNamed { .. }));
    let error = tracking
        .create_experiment(caller, named(""))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "Invalid experiment name: ''");
    let long = named(&"x".repeat(501));
    let error = tracking.create_experiment(caller, long).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "'name' exceeds the maximum length of 500 characters"
    );
    let located = |location: &str| NewExperiment {
        artifact_location: Some(location.to_owned()),
        ..named("located")
    };
    let error = tracking
        .create_experiment(caller, located("runs:/a"))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "Artifact location cannot be a runs:/ URI. Given: 'runs:/a'"
    );
    let far = located(&"x".repeat(2049));
    let error = tracking.create_experiment(caller, far).await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("Invalid artifact path length."),
        "{error}"
    );
    let error = tracking
        .set_experiment_tag(caller, &parsed("0"), "k", &"x".repeat(20_001))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "'value' exceeds the maximum length of 20000 characters"
    );
    let error = tracking
        .rename_experiment(caller, &parsed("7"), "x")
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "No Experiment with id=7 exists");
    assert_eq!(
        bench.store.ledger_progress().await.unwrap().committed,
        committed,
        "a refusal leaves no event"
    );
}

#[tokio::test]
async fn deleting_takes_the_runs_along_and_restoring_brings_them_back() {
    let bench = TestBench::new().await;
    let (tracking, caller) = (&bench.tracking, &bench.caller);
    let made = tracking
        .create_experiment(caller, named("probe"))
        .await
        .unwrap();
    let run = tracking
        .create_run(caller, new_run(&made.id))
        .await
        .unwrap()
        .run;
    tracking.delete_experiment(caller, &made.id).await.unwrap();
    let lifecycle = async || tracking.get_run(&run.id).await.unwrap().run.lifecycle;
    assert_eq!(lifecycle().await, Lifecycle::Deleted);
    let again = tracking
        .delete_experiment(caller, &made.id)
        .await
        .unwrap_err();
    assert_eq!(again.to_string(), "No Experiment with id=1 exists");
    let error = tracking
        .create_experiment(caller, named("probe"))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("Experiment(name=probe) already exists. It is deleted"),
        "{error}"
    );
    let error = tracking
        .get_or_create_experiment(caller, "probe")
        .await
        .unwrap_err();
    assert_eq!(error.class(), ErrorClass::Exists);
    let error = tracking
        .rename_experiment(caller, &made.id, "zz")
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "Cannot rename a non-active experiment.");
    assert_eq!(error.class(), ErrorClass::Invalid);
    let error = tracking
        .create_run(caller, new_run(&made.id))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "The experiment 1 must be in the 'active' state. Current state is deleted."
    );
    let error = tracking.restore_run(caller, &run.id).await.unwrap_err();
    assert!(
        matches!(error, TrackingError::ExperimentDeleted { .. }),
        "{error}"
    );
    tracking.restore_experiment(caller, &made.id).await.unwrap();
    assert_eq!(lifecycle().await, Lifecycle::Active);
    let error = tracking
        .restore_experiment(caller, &made.id)
        .await
        .unwrap_err();
    assert_eq!(error.class(), ErrorClass::NotFound);
}

#[tokio::test]
async fn a_search_filters_orders_pages_and_checks_its_page() {
    let bench = TestBench::new().await;
    let (tracking, caller) = (&bench.tracking, &bench.caller);
    for name in ["a", "b", "c"] {
        tracking
            .create_experiment(caller, named(name))
            .await
            .unwrap();
    }
    let search = async |filter: &str, view, page: PageRequest| {
        let found = tracking
            .search_experiments(filter, &["name ASC"], view, &page)
            .await?;
        let names: Vec<_> = found.items.into_iter().map(|found| found.name).collect();
        Ok::<_, TrackingError>((names, found.next))
    };
    let (first, token) = search("name != 'Default'", View::Active, PageRequest::first(2))
        .await
        .unwrap();
    assert_eq!(first, ["a", "b"]);
    let second = PageRequest { limit: 2, token };
    let (rest, token) = search("name != 'Default'", View::Active, second)
        .await
        .unwrap();
    assert_eq!(
        (rest.as_slice(), token),
        (["c".to_owned()].as_slice(), None)
    );
    let (none, _) = search("", View::Deleted, PageRequest::first(9))
        .await
        .unwrap();
    assert!(none.is_empty());
    let error = search("", View::All, PageRequest::first(0))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "Invalid value 0 for parameter 'max_results' supplied: It must be a positive integer"
    );
    let error = search("", View::All, PageRequest::first(60_000))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "Invalid value 60000 for parameter 'max_results' supplied: It must be at most 50000"
    );
    let error = search("name ~ 'x'", View::All, PageRequest::first(1))
        .await
        .unwrap_err();
    assert!(matches!(error, TrackingError::Search(_)), "{error}");
    let forged = PageRequest {
        limit: 1,
        token: Some("!!!".to_owned()),
    };
    let error = search("", View::All, forged).await.unwrap_err();
    assert!(
        error.to_string().starts_with("Invalid page token"),
        "{error}"
    );
    assert_eq!(error.class(), ErrorClass::Invalid);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_that_ask_for_one_name_at_once_get_one_experiment() {
    let bench = TestBench::new().await;
    // A second opening stands for another process, whose callers know nothing of ours.
    let other = std::sync::Arc::new(bench.reopen());
    let elsewhere = tracking::Tracking::new(
        other,
        bench.tracking.cas().clone(),
        bench.clock.clone(),
        bench.random.clone(),
    );
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..24 {
        let tracking = if number % 2 == 0 {
            bench.tracking.clone()
        } else {
            elsewhere.clone()
        };
        let caller = bench.caller.clone();
        tasks.spawn(async move {
            let own = format!("own {number}");
            tracking
                .create_experiment(&caller, named(&own))
                .await
                .unwrap();
            tracking
                .get_or_create_experiment(&caller, "shared")
                .await
                .unwrap()
                .id
        });
    }
    let ids: std::collections::BTreeSet<_> = tasks.join_all().await.into_iter().collect();
    assert_eq!(ids.len(), 1);
    let all = bench
        .store
        .search_experiments(
            &entities::SearchQuery::default(),
            View::All,
            &PageRequest::first(100),
        )
        .await
        .unwrap();
    assert_eq!(
        all.items.len(),
        26,
        "24 of their own, the shared one and the default"
    );
    assert_eq!(bench.store.verify_projection().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_run_stays_active_in_an_experiment_that_is_deleted_meanwhile() {
    let bench = TestBench::new().await;
    for round in 0..10 {
        let made = bench
            .tracking
            .create_experiment(&bench.caller, named(&format!("round {round}")))
            .await
            .unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (tracking, caller, id) = (
                bench.tracking.clone(),
                bench.caller.clone(),
                made.id.clone(),
            );
            tasks.spawn(async move {
                // Refused where the deletion was faster.
                drop(tracking.create_run(&caller, new_run(&id)).await);
            });
        }
        bench
            .tracking
            .delete_experiment(&bench.caller, &made.id)
            .await
            .unwrap();
        tasks.join_all().await;
        let active = bench
            .store
            .list_run_ids(&made.id, Lifecycle::Active)
            .await
            .unwrap();
        assert!(active.is_empty(), "{active:?} in round {round}");
    }
    assert!(bench.store.list_open_runs().await.unwrap().is_empty());
}
