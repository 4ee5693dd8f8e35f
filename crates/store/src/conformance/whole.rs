//! Cases of a whole store, and of hostile text.

use std::collections::BTreeMap;

use entities::{
    Change, DatasetInput, Issue, IssueSeverity, LoggedModel, Metric, ModelId, ModelOutput,
    ModelStatus, ModelVersion, ObjectId, ProcessIdentity, RegisteredModel, ReplayLevel,
    ReplayVerdict, Run, SearchQuery, VersionNumber,
};

use super::{
    all, artifacts_are_put_listed_replaced_and_deleted, at, commit, id, log, make, map,
    model_version, registered_model, run, with_runs, zero,
};
use crate::{Store, StoreError, View};

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
    // Long enough that it is kept in order a second time once it was read.
    for step in 0..70 {
        let point = Metric::new("loss", 0.5, 1_000 + step, step);
        log(store, "a", vec![point]).await;
    }
    let read = store.list_metric_points(&id("a"), "loss", &all()).await;
    assert_eq!(read.unwrap().items.len(), 70);
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
        Change::RegisteredModelCreated {
            model: RegisteredModel {
                description: Some("d".to_owned()),
                tags: map(&[("t", "1")]),
                ..registered_model("net", 5)
            },
        },
        Change::ModelVersionCreated {
            version: ModelVersion {
                files_uri: Some("u".to_owned()),
                logged_model: Some("m-1".parse().unwrap()),
                run_link: Some("l".to_owned()),
                files: Some(ObjectId::of(b"tree")),
                tags: map(&[("t", "1")]),
                ..model_version("net", 1, 6)
            },
        },
        Change::AliasSet {
            name: "net".to_owned(),
            alias: "champion".to_owned(),
            version: VersionNumber::FIRST,
        },
        Change::ReplayJudged { verdict },
        Change::ObjectForgotten {
            object: ObjectId::of(b"secret"),
            reason: "a secret".to_owned(),
            at: at(9),
        },
        Change::IssueCreated {
            issue: Issue {
                severity: Some(IssueSeverity::Low),
                source_run: Some(id("a")),
                created_by: Some("ann".to_owned()),
                ..super::issues::issue("iss-1", 8)
            },
        },
        Change::LabelSchemaCreated {
            schema: super::issues::label_schema("ls-1", "Is it right?"),
        },
        Change::LedgerVerified {
            size: 3,
            fault: None,
        },
        Change::LedgerAccepted {
            signed_size: 3,
            signed_root: "a".to_owned(),
            found_size: 2,
            found_root: "b".to_owned(),
        },
    ];
    for change in changes {
        make(store, "test.populated", "run:a", change).await;
    }
    super::removal::with_removed(store).await;
    super::traces::with_traces(store).await;
    super::datasets::with_datasets(store).await;
    super::webhooks::with_webhooks(store).await;
    super::access::with_access(store).await;
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
