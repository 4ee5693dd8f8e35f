//! The schema's history: numbered steps, each taken once, in order, under the database's write lock.

use rusqlite::{Connection, TransactionBehavior, params};
use sha2::Digest as _;
use store::StoreError;
use store_sql::{Applier, Known, Numbers, statements};

use crate::fault::{damaged, database_fault};
use crate::session::Session;

type Fill = fn(&Connection) -> Result<(), StoreError>;

struct Migration {
    version: u32,
    name: &'static str,
    text: &'static str,
    /// Fills what no SQL can: rows that follow from bytes.
    fill: Option<Fill>,
}

/// Points that name a logged model, from the blocks that hold them.
fn fill_model_points(connection: &Connection) -> Result<(), StoreError> {
    let fault = || database_fault("filling the points of logged models");
    let session = Session(connection);
    let numbers = Numbers::counted();
    let known = Known::default();
    let applier = Applier::new(&session, &numbers, &known);
    let mut statement = connection.prepare(LIST_BLOCKS).map_err(fault())?;
    let mut rows = statement.query([]).map_err(fault())?;
    while let Some(row) = rows.next().map_err(fault())? {
        let run: i64 = row.get(0).map_err(fault())?;
        let encoded = row.get_ref(1).and_then(|value| Ok(value.as_blob()?));
        applier.add_model_points(run, encoded.map_err(fault())?)?;
    }
    Ok(())
}

/// Never edit one that has been released: add the next.
const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "initial",
        text: include_str!("../migrations/0001_initial.sql"),
        fill: None,
    },
    Migration {
        version: 2,
        name: "registry",
        text: include_str!("../migrations/0002_registry.sql"),
        fill: None,
    },
    Migration {
        version: 3,
        name: "traces",
        text: include_str!("../migrations/0003_traces.sql"),
        fill: None,
    },
    Migration {
        version: 4,
        name: "model_points",
        text: include_str!("../migrations/0004_model_points.sql"),
        fill: Some(fill_model_points),
    },
    Migration {
        version: 5,
        name: "evaluation_datasets",
        text: include_str!("../migrations/0005_evaluation_datasets.sql"),
        fill: None,
    },
    Migration {
        version: 6,
        name: "webhooks",
        text: include_str!("../migrations/0006_webhooks.sql"),
        fill: None,
    },
    Migration {
        version: 7,
        name: "access",
        text: include_str!("../migrations/0007_access.sql"),
        fill: None,
    },
    Migration {
        version: 8,
        name: "removal",
        text: include_str!("../migrations/0008_removal.sql"),
        fill: None,
    },
    Migration {
        version: 9,
        name: "issues",
        text: include_str!("../migrations/0009_issues.sql"),
        fill: None,
    },
    Migration {
        version: 10,
        name: "histories",
        text: include_str!("../migrations/0010_histories.sql"),
        fill: None,
    },
];

/// The schema that this program knows.
pub(crate) fn known_version() -> u32 {
    MIGRATIONS.last().map_or(0, |migration| migration.version)
}

statements! {
    LIST_BLOCKS = "SELECT run, encoded FROM metric_block ORDER BY number";
    FIND_VERSION = "SELECT user_version FROM pragma_user_version";
}

/// The schema that the database has; 0 for an empty one.
pub(crate) fn find_version(connection: &Connection) -> Result<u32, StoreError> {
    connection
        .prepare_cached(FIND_VERSION)
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .map_err(database_fault("reading the schema's version"))
}

/// Not among the statements above: the table is there only once this has run.
const CREATE_HISTORY: &str = "CREATE TABLE IF NOT EXISTS schema_migration (
    version INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    checksum BLOB NOT NULL
) STRICT";
const LIST_HISTORY: &str = "SELECT version, name, checksum FROM schema_migration ORDER BY version";
const ADD_TO_HISTORY: &str =
    "INSERT INTO schema_migration (version, name, checksum) VALUES (?1, ?2, ?3)";

/// Takes the steps that are missing; a database with other steps than ours is refused.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    migrate_to(connection, known_version())
}

fn migrate_to(connection: &mut Connection, version: u32) -> Result<(), StoreError> {
    let fault = || database_fault("migrating the schema");
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(fault())?;
    // Another process may have been here while we waited for the lock.
    let found = find_version(&transaction)?;
    if found > known_version() {
        return Err(StoreError::Newer {
            found,
            known: known_version(),
        });
    }
    transaction.execute(CREATE_HISTORY, []).map_err(fault())?;
    check_history(&transaction, found)?;
    let missing = MIGRATIONS
        .iter()
        .filter(|step| step.version > found && step.version <= version);
    for migration in missing {
        transaction.execute_batch(migration.text).map_err(fault())?;
        if let Some(fill) = migration.fill {
            fill(&transaction)?;
        }
        let row = params![migration.version, migration.name, checksum(migration)];
        transaction.execute(ADD_TO_HISTORY, row).map_err(fault())?;
    }
    transaction
        .pragma_update(None, "user_version", version.max(found))
        .map_err(fault())?;
    transaction.commit().map_err(fault())
}

fn check_history(connection: &Connection, version: u32) -> Result<(), StoreError> {
    let fault = || database_fault("reading the schema's history");
    let mut statement = connection.prepare(LIST_HISTORY).map_err(fault())?;
    let taken: Vec<(u32, String, Vec<u8>)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .and_then(Iterator::collect)
        .map_err(fault())?;
    let ours = MIGRATIONS.iter().filter(|step| step.version <= version);
    let expected: Vec<(u32, String, Vec<u8>)> = ours
        .map(|step| (step.version, step.name.to_owned(), checksum(step)))
        .collect();
    if taken == expected {
        Ok(())
    } else {
        Err(damaged(format!(
            "its schema's history up to version {version} is not the one this program knows"
        )))
    }
}

fn checksum(migration: &Migration) -> Vec<u8> {
    sha2::Sha256::digest(migration.text.as_bytes()).to_vec()
}

#[cfg(test)]
mod tests {
    use entities::MetricBlock;

    use super::*;
    use crate::connection::open_scratch;

    const LIST_SCHEMA: &str = "SELECT type, name, tbl_name, sql FROM sqlite_schema
        WHERE name <> 'schema_migration' ORDER BY type, name";

    fn schema_of(connection: &Connection) -> Vec<(String, String, String, Option<String>)> {
        let mut statement = connection.prepare(LIST_SCHEMA).unwrap();
        statement
            .query_map([], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
            .unwrap()
            .map(Result::unwrap)
            .collect()
    }

    #[test]
    fn the_schema_file_is_the_sum_of_the_migrations() {
        let mut migrated = open_scratch().unwrap();
        migrate(&mut migrated).unwrap();
        let whole = open_scratch().unwrap();
        whole.execute_batch(include_str!("../schema.sql")).unwrap();
        assert_eq!(schema_of(&migrated), schema_of(&whole));
    }

    #[test]
    fn migrating_twice_changes_nothing() {
        let mut connection = open_scratch().unwrap();
        migrate(&mut connection).unwrap();
        let before = schema_of(&connection);
        migrate(&mut connection).unwrap();
        assert_eq!(schema_of(&connection), before);
        assert_eq!(find_version(&connection).unwrap(), known_version());
    }

    #[test]
    fn points_of_logged_models_are_found_in_the_blocks_of_an_older_store() {
        let mut connection = open_scratch().unwrap();
        migrate_to(&mut connection, 3).unwrap();
        connection
            .execute_batch(
                "INSERT INTO experiment VALUES ('0', 'Default', 'a', 'active', 1, 1);
                INSERT INTO run (number, id, experiment, name, user, status, started_at, lifecycle, artifact_uri,
                    is_interrupted)
                VALUES (7, 'r', '0', 'n', 'u', 'RUNNING', 1, 'active', 'a', 0);",
            )
            .unwrap();
        let point = |timestamp_ms: i64, model: Option<&str>| entities::Metric {
            model: model.map(|model| model.parse().unwrap()),
            ..entities::Metric::new("acc", 0.5, timestamp_ms, 1)
        };
        let points = vec![point(1, Some("m-1")), point(2, None), point(3, Some("m-1"))];
        let encoded = MetricBlock { points }.encode();
        let digest = MetricBlock::digest(&encoded);
        connection
            .execute(
                "INSERT INTO metric_block (run, digest, points, encoded) VALUES (7, ?1, 3, ?2)",
                params![digest.as_bytes(), encoded],
            )
            .unwrap();
        migrate(&mut connection).unwrap();
        let times: Vec<i64> = connection
            .prepare(
                "SELECT timestamp_ms FROM model_metric WHERE model = 'm-1' AND run = 7 ORDER BY 1",
            )
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(times, [1, 3]);
    }

    #[test]
    fn series_of_an_older_store_still_name_their_blocks() {
        let mut connection = open_scratch().unwrap();
        migrate_to(&mut connection, 9).unwrap();
        connection
            .pragma_update(None, "foreign_keys", false)
            .unwrap();
        connection
            .execute_batch(
                "INSERT INTO metric_series (run, key, earliest_ms, block, latest_ms)
                VALUES (7, 'loss', 50, 2, 60), (7, 'loss', 90, 1, 95), (8, 'acc', 1, 3, 1)",
            )
            .unwrap();
        migrate(&mut connection).unwrap();
        let series: Vec<(i64, String, i64)> = connection
            .prepare("SELECT run, key, block FROM metric_series ORDER BY run, key, block")
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let (loss, acc) = ("loss".to_owned(), "acc".to_owned());
        assert_eq!(series, [(7, loss.clone(), 1), (7, loss, 2), (8, acc, 3)]);
    }

    #[test]
    fn versions_are_numbered_without_a_gap() {
        for (index, migration) in MIGRATIONS.iter().enumerate() {
            assert_eq!(migration.version as usize, index + 1);
        }
    }

    #[test]
    fn a_history_that_is_not_ours_is_refused() {
        let mut connection = open_scratch().unwrap();
        migrate(&mut connection).unwrap();
        connection
            .execute("UPDATE schema_migration SET checksum = x'00'", [])
            .unwrap();
        assert!(matches!(
            migrate(&mut connection),
            Err(StoreError::Damaged { .. })
        ));
    }

    #[test]
    fn a_newer_schema_is_not_migrated() {
        let mut connection = open_scratch().unwrap();
        migrate(&mut connection).unwrap();
        connection
            .pragma_update(None, "user_version", known_version() + 1)
            .unwrap();
        assert!(matches!(
            migrate(&mut connection),
            Err(StoreError::Newer { found, known }) if found == known + 1
        ));
    }
}
