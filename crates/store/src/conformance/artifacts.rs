//! Cases of artifacts and models.

use entities::{
    Artifact, Change, Comparison, Condition, DatasetName, Field, LoggedModel, Metric, ModelStatus,
    ObjectId, Operator, OrderBy, SearchKind, SearchQuery,
};

use super::{all, at, id, initialisation, log, make, map, refuse, with_runs, zero};
use crate::{Store, StoreError};

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
    assert_eq!(found.metrics, [(id("a"), point.clone())]);
    // Each point once, and all of them; the latest is by time.
    let mut early = point.clone();
    (early.timestamp_ms, early.step, early.value) = (0, 5, 0.1);
    let mut elsewhere = point.clone();
    elsewhere.dataset = Some(("e".to_owned(), "y".to_owned()));
    elsewhere.value = 0.4;
    log(
        store,
        "a",
        vec![early.clone(), point.clone(), elsewhere.clone()],
    )
    .await;
    let found = store.find_model(&m1).await.unwrap().unwrap();
    let points: Vec<_> = found.metrics.into_iter().map(|(_, point)| point).collect();
    assert_eq!(points, [early, point, elsewhere]);
    let on = |metric: Option<&str>, name: &str, digest: Option<&str>| Field::Measured {
        metric: metric.map(str::to_owned),
        datasets: vec![DatasetName {
            name: name.to_owned(),
            digest: digest.map(str::to_owned),
        }],
    };
    let there = Comparison::Null { is_negated: true };
    let above = |number| Comparison::Number(Operator::Greater, number);
    for (field, comparison, count) in [
        (on(None, "e", None), there.clone(), 1),
        (on(None, "e", Some("y")), there.clone(), 1),
        (on(None, "e", Some("x")), there, 0),
        (on(Some("acc"), "e", None), above(0.3), 1),
        (on(Some("acc"), "e", None), above(0.5), 0),
        (on(Some("acc"), "d", Some("x")), above(0.5), 1),
        (on(Some("loss"), "d", None), above(0.0), 0),
    ] {
        let query = SearchQuery {
            order_by: vec![OrderBy {
                field: on(Some("acc"), "d", None),
                is_ascending: false,
            }],
            conditions: vec![Condition { field, comparison }],
        };
        let page = store.search_models(&[zero()], &query, &all()).await;
        assert_eq!(page.unwrap().items.len(), count, "{:?}", query.conditions);
    }
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
