//! What a store says of a database that it cannot use.

use std::sync::Arc;

use store::conformance::initialisation;
use store::{ExperimentStore as _, LedgerStore as _, Store as _, StoreError};
use store_postgres::{Access, OpenOptions, Postgres, PostgresAddress};

use testkit::{SeededRandom, TestSchema};

fn options(access: Access) -> OpenOptions {
    OpenOptions {
        random: Arc::new(SeededRandom::new(9)),
        access,
    }
}

#[tokio::test]
async fn a_database_without_a_store_is_refused_unless_one_is_to_be_made() {
    let Some(schema) = TestSchema::make() else {
        return;
    };
    let error = Postgres::open(schema.address(), options(Access::Write))
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    let store = Postgres::open(schema.address(), options(Access::Create))
        .await
        .unwrap();
    assert!(!store.is_initialised().await.unwrap());
    store.commit(initialisation()).await.unwrap();
    assert!(store.is_initialised().await.unwrap());
    let again = Postgres::open(schema.address(), options(Access::Write))
        .await
        .unwrap();
    assert_eq!(again.origin().await.unwrap(), "reproof.local/test");
    let error = again.commit(initialisation()).await.unwrap_err();
    assert!(matches!(error, StoreError::Exists { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_that_come_at_once_make_one_store() {
    let Some(schema) = TestSchema::make() else {
        return;
    };
    let opened: Vec<_> = (0..4)
        .map(|seed| {
            let address = schema.address();
            tokio::spawn(async move {
                let options = OpenOptions {
                    random: Arc::new(SeededRandom::new(seed)),
                    access: Access::Create,
                };
                let store = Postgres::open(address, options).await.unwrap();
                store.commit(initialisation()).await.is_ok()
            })
        })
        .collect();
    let mut made = 0;
    for one in opened {
        made += u32::from(one.await.unwrap());
    }
    assert_eq!(made, 1);
    assert_eq!(
        schema.open(1).await.verify_projection().await.unwrap(),
        None
    );
}

#[tokio::test]
async fn a_newer_store_can_be_read_and_not_written() {
    let Some(schema) = TestSchema::make() else {
        return;
    };
    schema.open(1).await.commit(initialisation()).await.unwrap();
    schema.run("INSERT INTO schema_migration (version, name, checksum) VALUES (1000, 'later', '')");
    let store = Postgres::open(schema.address(), options(Access::Write))
        .await
        .unwrap();
    let found = store.find_experiment(&"0".parse().unwrap()).await.unwrap();
    assert!(found.is_some());
    for error in [
        store.commit(initialisation()).await.unwrap_err(),
        store.sequence().await.unwrap_err(),
        store.note_published(0, 0).await.unwrap_err(),
        store.verify_projection().await.unwrap_err(),
    ] {
        assert!(
            matches!(error, StoreError::Newer { found: 1000, .. }),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_store_opened_for_reading_only_is_not_written_to() {
    let Some(schema) = TestSchema::make() else {
        return;
    };
    let error = Postgres::open(schema.address(), options(Access::Read))
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    schema.open(1).await.commit(initialisation()).await.unwrap();
    let store = Postgres::open(schema.address(), options(Access::Read))
        .await
        .unwrap();
    let found = store.find_experiment(&"0".parse().unwrap()).await.unwrap();
    assert!(found.is_some());
    for error in [
        store.commit(initialisation()).await.unwrap_err(),
        store.sequence().await.unwrap_err(),
        store.note_published(0, 0).await.unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::ReadOnly), "{error}");
    }
    assert_eq!(store.verify_projection().await.unwrap(), None);
}

#[tokio::test]
async fn a_history_that_is_not_ours_is_refused() {
    let Some(schema) = TestSchema::make() else {
        return;
    };
    schema.open(1).await.commit(initialisation()).await.unwrap();
    schema.run(
        "DELETE FROM schema_migration WHERE version > 1;
        UPDATE schema_migration SET version = 0, checksum = 'other'",
    );
    let error = Postgres::open(schema.address(), options(Access::Write))
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
}

#[tokio::test]
async fn a_database_in_another_encoding_is_refused() {
    let Some(schema) = TestSchema::make() else {
        return;
    };
    let name = format!("latin_{}", std::process::id());
    schema.run(&format!("DROP DATABASE IF EXISTS {name}"));
    schema.run(&format!(
        "CREATE DATABASE {name} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    ));
    let (server, _) = schema.server().rsplit_once('/').unwrap();
    let server = format!("{server}/{name}");
    let address = PostgresAddress::parse(&server, None).unwrap();
    let error = Postgres::open(address, options(Access::Create))
        .await
        .unwrap_err();
    schema.run(&format!("DROP DATABASE {name} WITH (FORCE)"));
    assert!(
        matches!(&error, StoreError::Query { message } if message.contains("LATIN1")),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_without_the_password() {
    let address = PostgresAddress::parse("postgresql://ann:s3cret@127.0.0.1:1/ml", None).unwrap();
    let error = Postgres::open(address, options(Access::Create))
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error}");
    assert!(!format!("{error:?}").contains("s3cret"));
}
