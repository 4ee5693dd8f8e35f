//! Cases of evaluation datasets and scorers.

use entities::{
    Change, DatasetId, DatasetRecordId, DatasetSchema, EvaluationDataset, MergedRecord,
    OnlineScoring, RecordMerge, SchemaAddition, ScorerVersion, SealedRecord, SearchKind,
    SearchQuery, VersionNumber, inputs_digest,
};
use serde_json::{Value, json};

use super::{all, at, commit, experiment, initialisation, make, map, refuse, zero};
use crate::{PageRequest, Store, StoreError};

fn dataset_id(name: &str) -> DatasetId {
    format!("d-{name}").parse().unwrap()
}

fn record_id(name: &str) -> DatasetRecordId {
    format!("dr-{name}").parse().unwrap()
}

fn dataset(name: &str, created_ms: i64) -> EvaluationDataset {
    EvaluationDataset {
        id: dataset_id(name),
        name: name.to_owned(),
        tags: map(&[("team", name)]),
        digest: EvaluationDataset::digest_of(name, at(created_ms)),
        schema: None,
        profile: None,
        created_at: at(created_ms),
        updated_at: at(created_ms),
        created_by: Some("ann".to_owned()),
        updated_by: None,
    }
}

fn said(salt: &str, fields: &Value) -> RecordMerge {
    let mut fields = fields.clone();
    fields["salt"] = json!(salt);
    serde_json::from_value(fields).unwrap()
}

/// Merges records, each named, at a time that is also their salt.
fn merged(name: &str, at_ms: i64, records: &[(&str, Value)]) -> Change {
    let salt = at_ms.to_string();
    let said: Vec<(&str, RecordMerge)> = records
        .iter()
        .enumerate()
        .map(|(place, (id, fields))| (*id, said(&format!("{salt} {place}"), fields)))
        .collect();
    let addition = SchemaAddition {
        salt,
        fields: DatasetSchema::of(said.iter().map(|(_, merge)| merge)),
    };
    let records = said.iter().map(|(id, merge)| MergedRecord {
        id: record_id(id),
        said: SealedRecord::seal(merge),
    });
    Change::DatasetRecordsMerged {
        dataset: dataset_id(name),
        records: records.collect(),
        schema: Some(SealedRecord::seal(&addition)),
        by: Some("bob".to_owned()),
        at: at(at_ms),
    }
}

async fn change(store: &dyn Store, change: Change) {
    make(store, "dataset.changed", "dataset:d", change).await;
}

async fn get(store: &dyn Store, name: &str) -> EvaluationDataset {
    store
        .find_dataset(&dataset_id(name))
        .await
        .unwrap()
        .unwrap()
}

/// Two datasets with records, and a scorer.
pub(super) async fn with_datasets(store: &dyn Store) {
    for (name, created_ms) in [("qa", 10), ("other", 20)] {
        let created = Change::DatasetCreated {
            dataset: dataset(name, created_ms),
            experiments: vec![zero()],
        };
        change(store, created).await;
    }
    let first = json!({"inputs": {"q": "what"}, "expectations": {"a": "this"}, "tags": {"mlflow.user": "ann"}});
    let second = json!({"inputs": {"q": "why"}, "outputs": [1],
        "source": {"kind": "TRACE", "data": {"trace_id": "tr-1"}}});
    change(store, merged("qa", 30, &[("1", first), ("2", second)])).await;
    let again = json!({"inputs": {"q": "what"}, "outputs": "that", "expectations": {"b": 1}});
    change(store, merged("qa", 40, &[("1", again)])).await;
    for version in [1, 2] {
        change(store, registered("right", version)).await;
    }
    let scoring = OnlineScoring {
        id: "online".to_owned(),
        scorer: "s-right".parse().unwrap(),
        experiment: zero(),
        sample_rate: 0.5,
        filter: Some("status = 'OK'".to_owned()),
    };
    change(store, Change::OnlineScoringSet { scoring }).await;
}

fn number(version: i64) -> VersionNumber {
    VersionNumber::new(version).unwrap()
}

pub(super) fn registered(name: &str, version: i64) -> Change {
    Change::ScorerRegistered {
        version: ScorerVersion {
            scorer: format!("s-{}", name.replace(' ', "-")).parse().unwrap(),
            experiment: zero(),
            name: name.to_owned(),
            version: number(version),
            serialized: format!("{{\"version\": {version}}}"),
            created_at: at(version),
        },
    }
}

/// What comes later is added; the same inputs are the same record.
pub async fn records_of_a_dataset_are_merged(store: &dyn Store) {
    store.commit(initialisation()).await.unwrap();
    with_datasets(store).await;
    let qa = get(store, "qa").await;
    assert_eq!(qa.digest, EvaluationDataset::digest_of("qa", at(40)));
    assert_eq!(
        (qa.updated_at, qa.updated_by.as_deref()),
        (at(40), Some("bob"))
    );
    assert_eq!(qa.profile.as_deref(), Some("{\"num_records\": 2}"));
    let schema = r#"{"inputs": {"q": "string"}, "outputs": "array", "expectations": {"a": "string", "b": "integer"}, "version": "1.0"}"#;
    assert_eq!(qa.schema.as_deref(), Some(schema));
    let id = dataset_id("qa");
    let records = store.list_records(&id, &all()).await.unwrap().items;
    assert_eq!(records.len(), 2);
    assert_eq!(records[0].outputs, Some(json!("that")));
    assert_eq!(json!(records[0].expectations), json!({"a": "this", "b": 1}));
    assert_eq!(
        (records[0].created_at, records[0].updated_at),
        (at(30), at(40))
    );
    assert_eq!(records[0].created_by.as_deref(), Some("ann"));
    assert_eq!(
        records[1].source.as_ref().and_then(|source| source.id()),
        Some("tr-1")
    );
    let digests: Vec<String> = ["what", "why", "none"]
        .iter()
        .map(|q| inputs_digest(json!({"q": q}).as_object().unwrap()))
        .collect();
    let known = store.find_records_by_inputs(&id, &digests).await.unwrap();
    assert_eq!(known.len(), 2);
    assert_eq!(known[&digests[0]], record_id("1"));
    for (name, inputs) in [("3", "what"), ("2", "what"), ("2", "new")] {
        let fields = json!({"inputs": {"q": inputs}});
        let refused = refuse(store, merged("qa", 50, &[(name, fields)])).await;
        let is_taken = matches!(refused, StoreError::DatasetRecordTaken { .. });
        assert!(is_taken, "{refused}");
    }
    let refused = refuse(store, merged("none", 50, &[])).await;
    assert!(matches!(refused, StoreError::NoDataset { .. }), "{refused}");
    assert!(records_of(store, "other").await.is_empty());
}

async fn records_of(store: &dyn Store, name: &str) -> Vec<String> {
    let found = store.list_records(&dataset_id(name), &all()).await.unwrap();
    let ids = found.items.iter().map(|record| record.id.to_string());
    ids.collect()
}

/// Each once, in the order in which they were made.
pub async fn records_of_a_dataset_come_in_pages(store: &dyn Store) {
    store.commit(initialisation()).await.unwrap();
    with_datasets(store).await;
    let more = [("5", 1), ("4", 2), ("3", 3)].map(|(id, q)| (id, json!({"inputs": {"q": q}})));
    change(store, merged("qa", 50, &more)).await;
    let change_again = [("5", json!({"inputs": {"q": 1}, "outputs": 1}))];
    change(store, merged("qa", 60, &change_again)).await;
    let id = dataset_id("qa");
    let (mut found, mut token, mut pages) = (String::new(), None, 0);
    loop {
        let page = PageRequest { limit: 2, token };
        let page = store.list_records(&id, &page).await.unwrap();
        for record in &page.items {
            found.extend(record.id.as_str().chars().last());
        }
        pages += 1;
        token = page.next;
        if token.is_none() {
            break;
        }
    }
    assert_eq!((found.as_str(), pages), ("12543", 3));
    let first = store.list_records(&id, &PageRequest::first(1)).await;
    for token in [first.unwrap().next.unwrap(), "x".to_owned(), String::new()] {
        let page = PageRequest {
            limit: 1,
            token: Some(token),
        };
        let of_another = store.list_records(&dataset_id("other"), &page).await;
        assert!(matches!(of_another, Err(StoreError::PageToken { .. })));
    }
    // A page ends before an answer becomes too large.
    let long = "x".repeat(20 << 20);
    let long = [("7", 7), ("8", 8), ("9", 9)]
        .map(|(id, q)| (id, json!({"inputs": {"q": q}, "outputs": long})));
    change(store, merged("other", 70, &long)).await;
    let page = store.list_records(&dataset_id("other"), &all()).await;
    let page = page.unwrap();
    assert_eq!(page.items.len(), 2);
    let rest = PageRequest {
        limit: 1000,
        token: page.next,
    };
    let rest = store.list_records(&dataset_id("other"), &rest).await;
    assert_eq!(rest.unwrap().items.len(), 1);
}

/// What a deleted record said is gone; that it was there is not.
pub async fn deleted_records_leave_nothing_but_their_events(store: &dyn Store) {
    store.commit(initialisation()).await.unwrap();
    with_datasets(store).await;
    let delete = |ids: &[&str]| Change::DatasetRecordsDeleted {
        dataset: dataset_id("qa"),
        records: ids.iter().map(|id| record_id(id)).collect(),
    };
    let ids = [record_id("2"), record_id("none"), record_id("1")];
    let there = store.list_records_there(&dataset_id("qa"), &ids).await;
    assert_eq!(there.unwrap(), [record_id("2"), record_id("1")]);
    change(store, delete(&["1", "none"])).await;
    assert_eq!(records_of(store, "qa").await, ["dr-2"]);
    let profile = get(store, "qa").await.profile;
    assert_eq!(profile.as_deref(), Some("{\"num_records\": 1}"));
    assert_eq!(store.verify_projection().await.unwrap(), None);
    change(store, delete(&["2"])).await;
    let qa = get(store, "qa").await;
    assert_eq!(qa.profile.as_deref(), Some("null"));
    assert!(qa.schema.is_some());
    // The same inputs are another record now, and may even have its id.
    let anew = json!({"inputs": {"q": "what"}});
    change(store, merged("qa", 90, &[("3", anew)])).await;
    change(
        store,
        merged("qa", 95, &[("2", json!({"inputs": {"q": 5}}))]),
    )
    .await;
    assert_eq!(records_of(store, "qa").await, ["dr-3", "dr-2"]);
    assert_eq!(store.verify_projection().await.unwrap(), None);
    let deleted = Change::DatasetDeleted {
        dataset: dataset_id("qa"),
    };
    change(store, deleted.clone()).await;
    let found = store.find_dataset(&dataset_id("qa")).await.unwrap();
    assert!(found.is_none());
    let refused = refuse(store, deleted).await;
    assert!(matches!(refused, StoreError::NoDataset { .. }), "{refused}");
}

/// Tags and experiments change by themselves.
pub async fn datasets_are_tagged_and_belong_to_experiments(store: &dyn Store) {
    store.commit(initialisation()).await.unwrap();
    let other = Change::ExperimentCreated {
        experiment: experiment("5", "other"),
    };
    let created = commit("experiment.created", "experiment:5", vec![other]);
    store.commit(created).await.unwrap();
    with_datasets(store).await;
    let id = dataset_id("qa");
    let tags = Change::DatasetTagsSet {
        dataset: id.clone(),
        tags: map(&[("team", "blue"), ("n", "1")]),
    };
    change(store, tags).await;
    for _ in 0..2 {
        let untagged = Change::DatasetTagDeleted {
            dataset: id.clone(),
            key: "n".to_owned(),
        };
        change(store, untagged).await;
    }
    assert_eq!(get(store, "qa").await.tags, map(&[("team", "blue")]));
    let added = |experiment: &str| Change::DatasetExperimentsAdded {
        dataset: id.clone(),
        experiments: vec![experiment.parse().unwrap(), zero()],
        at: at(60),
    };
    change(store, added("5")).await;
    let experiments = store.list_experiments_of_dataset(&id).await.unwrap();
    assert_eq!(experiments, [zero(), "5".parse().unwrap()]);
    let qa = get(store, "qa").await;
    assert_eq!(qa.updated_at, at(60));
    assert_eq!(qa.digest, EvaluationDataset::digest_of("qa", at(40)));
    let refused = refuse(store, added("77")).await;
    assert!(
        matches!(refused, StoreError::NoExperiment { .. }),
        "{refused}"
    );
    let removed = Change::DatasetExperimentsRemoved {
        dataset: id.clone(),
        experiments: vec![zero(), "77".parse().unwrap()],
        at: at(70),
    };
    change(store, removed).await;
    let experiments = store.list_experiments_of_dataset(&id).await.unwrap();
    assert_eq!(experiments, ["5".parse().unwrap()]);
    let again = Change::DatasetCreated {
        dataset: dataset("qa", 1),
        experiments: Vec::new(),
    };
    let refused = refuse(store, again).await;
    assert!(matches!(refused, StoreError::Exists { .. }), "{refused}");
}

/// Every field of the grammar.
pub async fn datasets_are_searched_by_all_that_they_have(store: &dyn Store) {
    store.commit(initialisation()).await.unwrap();
    with_datasets(store).await;
    let bare = EvaluationDataset {
        created_by: None,
        tags: map(&[]),
        ..dataset("bare", 15)
    };
    let created = Change::DatasetCreated {
        dataset: bare,
        experiments: Vec::new(),
    };
    change(store, created).await;
    for (filter, order, expected) in [
        ("", &[][..], "other bare qa"),
        ("", &["created_time"], "qa bare other"),
        ("", &["name DESC"], "qa other bare"),
        ("", &["last_update_time DESC"], "qa other bare"),
        ("name = 'qa'", &[], "qa"),
        ("name IN ('qa', 'bare')", &["name"], "bare qa"),
        ("name LIKE '%a%'", &[], "bare qa"),
        ("name ILIKE 'Q_'", &[], "qa"),
        ("created_time > 10", &[], "other bare"),
        ("last_update_time >= 40", &[], "qa"),
        ("created_by = 'ann'", &[], "other qa"),
        ("created_by IS NULL", &[], "bare"),
        ("last_updated_by = 'bob'", &[], "qa"),
        ("tags.team = 'qa'", &[], "qa"),
        ("tags.team != 'qa'", &[], "other"),
        ("tags.team IS NULL", &[], "bare"),
        ("attributes.name = 'qa' AND tags.team LIKE 'q%'", &[], "qa"),
    ] {
        let found = search(store, filter, order).await;
        assert_eq!(found.join(" "), expected, "{filter} {order:?}");
    }
    let query = SearchQuery::default();
    let of_zero = store.search_datasets(&[zero()], &query, &all()).await;
    assert_eq!(of_zero.unwrap().items.len(), 2);
    let of_none = ["77".parse().unwrap()];
    let none = store.search_datasets(&of_none, &query, &all()).await;
    assert!(none.unwrap().items.is_empty());
    let page = PageRequest::first(2);
    let first = store.search_datasets(&[], &query, &page).await.unwrap();
    let rest = PageRequest {
        limit: 2,
        token: first.next,
    };
    let rest = store.search_datasets(&[], &query, &rest).await.unwrap();
    assert_eq!((rest.items.len(), rest.next), (1, None));
}

async fn search(store: &dyn Store, filter: &str, order: &[&str]) -> Vec<String> {
    let query = SearchQuery {
        conditions: entities::parse_filter(filter, SearchKind::Datasets).unwrap(),
        order_by: entities::parse_order_by(order, SearchKind::Datasets).unwrap(),
    };
    let found = store.search_datasets(&[], &query, &all()).await.unwrap();
    found.items.into_iter().map(|found| found.name).collect()
}

/// A number is given once, until the scorer itself is deleted.
pub async fn scorers_have_versions(store: &dyn Store) {
    store.commit(initialisation()).await.unwrap();
    with_datasets(store).await;
    change(store, registered("a judge", 1)).await;
    let latest = store.list_scorers(&[zero()]).await.unwrap();
    let latest: Vec<_> = latest
        .iter()
        .map(|version| (version.name.as_str(), version.version.get()))
        .collect();
    assert_eq!(latest, [("a judge", 1), ("right", 2)]);
    let ids = ["s-right".parse().unwrap()];
    let scoring = store.list_online_scorings(&ids).await.unwrap();
    assert_eq!((scoring[0].sample_rate, scoring.len()), (0.5, 1));
    for version in [2, 4] {
        let refused = refuse(store, registered("right", version)).await;
        let is_taken = matches!(refused, StoreError::NotNextScorerVersion { .. });
        assert!(is_taken, "{refused}");
    }
    let delete = Change::ScorerVersionDeleted {
        experiment: zero(),
        name: "right".to_owned(),
        version: number(2),
    };
    change(store, delete.clone()).await;
    let refused = refuse(store, delete).await;
    assert!(matches!(refused, StoreError::NoScorer { .. }), "{refused}");
    change(store, registered("right", 3)).await;
    let versions = store.list_scorer_versions(&zero(), "right").await.unwrap();
    let versions: Vec<_> = versions
        .iter()
        .map(|version| version.version.get())
        .collect();
    assert_eq!(versions, [1, 3]);
    let experiments = store.list_experiments_with_scorers().await.unwrap();
    assert_eq!(experiments, [zero()]);
    let deleted = Change::ScorerDeleted {
        experiment: zero(),
        name: "right".to_owned(),
    };
    change(store, deleted.clone()).await;
    let found = store.find_scorer(&zero(), "right").await.unwrap();
    assert_eq!(found, None);
    let scoring = store.list_online_scorings(&ids).await.unwrap();
    assert!(scoring.is_empty());
    let refused = refuse(store, deleted).await;
    assert!(matches!(refused, StoreError::NoScorer { .. }), "{refused}");
    change(store, registered("right", 1)).await;
}
