//! Cases of the model registry.

use std::collections::BTreeMap;

use entities::{
    Change, ModelVersion, ObjectId, PROMPT_TAG, RegisteredModel, SearchKind, SearchQuery, Stage,
    VersionNumber,
};

use super::{all, at, id, initialisation, make, map, refuse};
use crate::{PageRequest, Prompts, Store, StoreError};

/// A registered model that was created at a time in milliseconds.
pub fn registered_model(name: &str, created_ms: i64) -> RegisteredModel {
    RegisteredModel {
        name: name.to_owned(),
        description: None,
        created_at: at(created_ms),
        updated_at: at(created_ms),
        tags: BTreeMap::new(),
    }
}

/// A version that was registered at a time in milliseconds.
pub fn model_version(name: &str, version: u32, created_ms: i64) -> ModelVersion {
    ModelVersion {
        name: name.to_owned(),
        version: number(version),
        description: Some(String::new()),
        stage: Stage::None,
        source: format!("mlflow-artifacts:/0/a/artifacts/{name}"),
        files_uri: None,
        run: Some(id("a")),
        logged_model: None,
        run_link: None,
        files: None,
        created_at: at(created_ms),
        updated_at: at(created_ms),
        tags: BTreeMap::new(),
    }
}

fn number(version: u32) -> VersionNumber {
    VersionNumber::new(i64::from(version)).unwrap()
}

async fn create(store: &dyn Store, model: RegisteredModel) {
    let subject = format!("registered-model:{}", model.name);
    let change = Change::RegisteredModelCreated { model };
    make(store, "registered_model.created", &subject, change).await;
}

async fn create_version(store: &dyn Store, version: ModelVersion) {
    let subject = format!("registered-model:{}", version.name);
    let change = Change::ModelVersionCreated { version };
    make(store, "model_version.created", &subject, change).await;
}

/// What a client sees of a registered model from its creation to its end.
pub async fn registered_models_have_versions_and_aliases(store: &dyn Store) {
    store.commit(initialisation()).await.unwrap();
    let model = RegisteredModel {
        description: Some("first".to_owned()),
        tags: map(&[("t", "1"), ("gone", "x")]),
        ..registered_model("net", 5)
    };
    create(store, model.clone()).await;
    let taken = Change::RegisteredModelCreated {
        model: registered_model("net", 6),
    };
    assert!(matches!(
        refuse(store, taken).await,
        StoreError::RegisteredModelNameTaken { .. }
    ));
    let first = ModelVersion {
        files_uri: Some("mlflow-artifacts:/0/models/m-1/artifacts".to_owned()),
        logged_model: Some("m-1".parse().unwrap()),
        run_link: Some("link".to_owned()),
        files: Some(ObjectId::of(b"tree")),
        tags: map(&[("v", "1")]),
        ..model_version("net", 1, 10)
    };
    create_version(store, first.clone()).await;
    create_version(store, model_version("net", 2, 20)).await;
    let name = || "net".to_owned();
    for change in [
        Change::RegisteredModelTagsSet {
            name: name(),
            tags: map(&[("u", "2")]),
        },
        Change::RegisteredModelTagDeleted {
            name: name(),
            key: "gone".to_owned(),
        },
        Change::AliasSet {
            name: name(),
            alias: "champion".to_owned(),
            version: number(2),
        },
        Change::AliasSet {
            name: name(),
            alias: "champion".to_owned(),
            version: number(1),
        },
        Change::AliasSet {
            name: name(),
            alias: "other".to_owned(),
            version: number(2),
        },
        Change::ModelVersionDescribed {
            name: name(),
            version: number(1),
            description: Some("better".to_owned()),
            at: at(30),
        },
        Change::ModelVersionTagsSet {
            name: name(),
            version: number(1),
            tags: map(&[("v", "2"), ("w", "3")]),
        },
        Change::ModelVersionTagDeleted {
            name: name(),
            version: number(1),
            key: "w".to_owned(),
        },
    ] {
        make(store, "test.changed", "registered-model:net", change).await;
    }
    let found = store.find_model_version("net", number(1)).await.unwrap();
    let found = found.unwrap();
    assert_eq!(found.aliases, ["champion"]);
    let expected = ModelVersion {
        description: Some("better".to_owned()),
        updated_at: at(30),
        tags: map(&[("v", "2")]),
        ..first
    };
    assert_eq!(found.version, expected);
    let kept = store.list_version_files().await.unwrap();
    assert_eq!((kept.len(), kept[0].files), (1, ObjectId::of(b"tree")));
    let found = store.find_registered_model("net").await.unwrap().unwrap();
    assert_eq!(found.model.tags, map(&[("t", "1"), ("u", "2")]));
    assert_eq!(found.model.updated_at, at(20));
    assert_eq!(found.aliases["champion"], number(1));
    // Both stand in no stage, so the later one is the latest.
    assert_eq!(found.latest.len(), 1);
    assert_eq!(found.latest[0].version, number(2));
    let stage = |version: u32, stage, archived: &[u32], ms| Change::ModelVersionStageSet {
        name: "net".to_owned(),
        version: number(version),
        stage,
        archived: archived.iter().map(|other| number(*other)).collect(),
        at: at(ms),
    };
    for change in [
        stage(1, Stage::Production, &[], 40),
        stage(2, Stage::Production, &[1], 41),
    ] {
        make(
            store,
            "model_version.staged",
            "registered-model:net",
            change,
        )
        .await;
    }
    let found = store.find_registered_model("net").await.unwrap().unwrap();
    let stages: Vec<_> = found
        .latest
        .iter()
        .map(|version| (version.version, version.stage))
        .collect();
    assert_eq!(
        stages,
        [(number(1), Stage::Archived), (number(2), Stage::Production)]
    );
    let rename = Change::RegisteredModelRenamed {
        name: name(),
        new_name: "tree".to_owned(),
        at: at(50),
    };
    make(
        store,
        "registered_model.renamed",
        "registered-model:net",
        rename,
    )
    .await;
    assert_eq!(store.find_registered_model("net").await.unwrap(), None);
    let renamed = store.find_model_version("tree", number(1)).await.unwrap();
    let renamed = renamed.unwrap();
    assert_eq!(renamed.version.name, "tree");
    assert_eq!(renamed.aliases, ["champion"]);
    let delete = Change::RegisteredModelDeleted {
        name: "tree".to_owned(),
    };
    make(
        store,
        "registered_model.deleted",
        "registered-model:tree",
        delete.clone(),
    )
    .await;
    assert!(matches!(
        refuse(store, delete).await,
        StoreError::NoRegisteredModel { .. }
    ));
    assert_eq!(store.find_registered_model("tree").await.unwrap(), None);
    assert_eq!(
        store.find_model_version("tree", number(1)).await.unwrap(),
        None
    );
    assert!(store.list_version_files().await.unwrap().is_empty());
    // The name is free, and nothing of the old one is in the new.
    create(store, registered_model("tree", 60)).await;
    let again = store.find_registered_model("tree").await.unwrap().unwrap();
    assert_eq!(again.model, registered_model("tree", 60));
    assert!(again.aliases.is_empty() && again.latest.is_empty());
}

/// Nobody skips a number, and none is given twice.
pub async fn versions_are_numbered_without_a_gap(store: &dyn Store) {
    store.commit(initialisation()).await.unwrap();
    create(store, registered_model("net", 1)).await;
    assert_eq!(store.next_version("net").await.unwrap(), Some(number(1)));
    assert_eq!(store.next_version("nope").await.unwrap(), None);
    create_version(store, model_version("net", 1, 2)).await;
    for version in [1, 3] {
        let change = Change::ModelVersionCreated {
            version: model_version("net", version, 3),
        };
        assert!(matches!(
            refuse(store, change).await,
            StoreError::NotNextVersion { next, .. } if next == number(2)
        ));
    }
    create_version(store, model_version("net", 2, 3)).await;
    let alias = |version| Change::AliasSet {
        name: "net".to_owned(),
        alias: "last".to_owned(),
        version: number(version),
    };
    make(store, "alias.set", "registered-model:net", alias(2)).await;
    let delete = Change::ModelVersionDeleted {
        name: "net".to_owned(),
        version: number(2),
        at: at(4),
    };
    make(
        store,
        "model_version.deleted",
        "registered-model:net",
        delete.clone(),
    )
    .await;
    assert_eq!(
        store.find_model_version("net", number(2)).await.unwrap(),
        None
    );
    assert_eq!(store.find_alias("net", "last").await.unwrap(), None);
    assert_eq!(store.next_version("net").await.unwrap(), Some(number(3)));
    for change in [delete, alias(2), alias(9)] {
        assert!(matches!(
            refuse(store, change).await,
            StoreError::NoModelVersion { .. }
        ));
    }
    let unknown = Change::ModelVersionCreated {
        version: model_version("nope", 1, 5),
    };
    assert!(matches!(
        refuse(store, unknown).await,
        StoreError::NoRegisteredModel { .. }
    ));
}

/// Searches of both kinds, in pages.
pub async fn the_registry_is_searched_with_and_without_prompts(store: &dyn Store) {
    store.commit(initialisation()).await.unwrap();
    for (created_ms, name) in (1_i64..).zip(["b", "a", "c"]) {
        create(store, registered_model(name, created_ms)).await;
        create_version(store, model_version(name, 1, 100 - created_ms)).await;
    }
    let prompt = RegisteredModel {
        tags: map(&[(PROMPT_TAG, "true")]),
        ..registered_model("p", 9)
    };
    create(store, prompt).await;
    let text = ModelVersion {
        run: None,
        tags: map(&[(PROMPT_TAG, "true")]),
        ..model_version("p", 1, 10)
    };
    create_version(store, text).await;
    create_version(store, model_version("c", 2, 200)).await;
    let models = async |filter: &str, order: &[&str], prompts, page: &PageRequest| {
        let query = SearchQuery {
            conditions: entities::parse_filter(filter, SearchKind::RegisteredModels).unwrap(),
            order_by: entities::parse_order_by(order, SearchKind::RegisteredModels).unwrap(),
        };
        let found = store.search_registered_models(&query, prompts, page).await;
        let found = found.unwrap();
        let names = found.items.into_iter().map(|found| found.model.name);
        (names.collect::<Vec<_>>().join(" "), found.next)
    };
    let whole = all();
    for (filter, order, prompts, expected) in [
        ("", &[][..], Prompts::LeftOut, "a b c"),
        ("", &[], Prompts::Included, "a b c p"),
        (
            "name LIKE '%' AND name != 'a'",
            &[],
            Prompts::LeftOut,
            "b c",
        ),
        ("name IN ('a', 'p')", &[], Prompts::Included, "a p"),
        (
            "tags.`mlflow.prompt.is_prompt` = 'true'",
            &[],
            Prompts::Included,
            "p",
        ),
        ("", &["name DESC"], Prompts::LeftOut, "c b a"),
        ("", &["timestamp DESC"], Prompts::LeftOut, "c b a"),
        ("", &["timestamp"], Prompts::LeftOut, "a b c"),
    ] {
        let found = models(filter, order, prompts, &whole).await.0;
        assert_eq!(found, expected, "{filter} {order:?}");
    }
    let (first, token) = models("", &[], Prompts::LeftOut, &PageRequest::first(2)).await;
    assert_eq!(first, "a b");
    let next = PageRequest { limit: 2, token };
    assert_eq!(
        models("", &[], Prompts::LeftOut, &next).await,
        ("c".to_owned(), None)
    );

    for (filter, order, expected) in [
        ("", &[][..], "a1 b1 c2 c1"),
        ("name = 'c'", &["version_number ASC"], "c1 c2"),
        ("name = 'c' AND version_number > 1", &[], "c2"),
        ("run_id = 'a'", &["creation_timestamp DESC"], "c2 b1 a1 c1"),
        ("run_id IN ('a') AND source_path LIKE '%/b'", &[], "b1"),
        ("stage = 'Production'", &[], ""),
    ] {
        let query = SearchQuery {
            conditions: entities::parse_filter(filter, SearchKind::ModelVersions).unwrap(),
            order_by: entities::parse_order_by(order, SearchKind::ModelVersions).unwrap(),
        };
        let found = store
            .search_model_versions(&query, Prompts::LeftOut, &whole)
            .await
            .unwrap();
        let found: Vec<_> = found
            .items
            .iter()
            .map(|found| format!("{}{}", found.version.name, found.version.version))
            .collect();
        assert_eq!(found.join(" "), expected, "{filter} {order:?}");
    }
}
