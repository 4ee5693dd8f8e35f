//! Whatever plain SQL does to a row, the verification tells where.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use rusqlite::Connection;
use store::LedgerStore as _;
use store::conformance::populate;

/// Rows that follow from no event; see the module `verify`.
const NOT_PROJECTED: &[&str] = &["lease", "webhook_progress"];

/// Tables that may be emptied: a copy that is gone is made anew.
const MAY_BE_GONE: &[&str] = &["metric_history"];

/// A copy that is of no run is never read.
const NEVER_READ: &[(&str, &str)] = &[("metric_history", "run")];

fn list(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

fn tables(connection: &Connection) -> Vec<String> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB 'sqlite_*'";
    list(connection, sql)
}

/// Copies a populated store, does something to the copy, and verifies it.
struct Tampering {
    folder: tempfile::TempDir,
}

impl Tampering {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = support::open(&folder.path().join("original.db"));
        populate(&store).await;
        assert_eq!(store.verify_projection().await.unwrap(), None);
        Self { folder }
    }

    /// The table of the first fault, once a statement has changed something.
    async fn find_fault(&self, sql: &str) -> Option<String> {
        let copy = self.folder.path().join("copy.db");
        std::fs::copy(self.folder.path().join("original.db"), &copy).unwrap();
        let connection = Connection::open(&copy).unwrap();
        connection
            .pragma_update(None, "foreign_keys", false)
            .unwrap();
        connection
            .pragma_update(None, "ignore_check_constraints", true)
            .unwrap();
        let changed = connection
            .execute(sql, [])
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert!(
            changed > 0 || sql.starts_with("CREATE") || sql.starts_with("DROP"),
            "{sql} changed nothing"
        );
        drop(connection);
        // Another seed than the original's, or a writer drawn anew would be the one that was deleted.
        let options = store_sqlite::OpenOptions {
            random: std::sync::Arc::new(support::SeededRandom::new(99)),
            create: false,
        };
        let table = match store_sqlite::Sqlite::open(&copy, options) {
            Ok(store) => {
                let fault = store.verify_projection().await;
                match fault {
                    Ok(fault) => fault.map(|fault| fault.table),
                    Err(error) => Some(error.to_string()),
                }
            }
            // An edited schema version or history is found even earlier.
            Err(error) => Some(error.to_string()),
        };
        for ending in ["", "-wal", "-shm"] {
            drop(std::fs::remove_file(
                self.folder.path().join(format!("copy.db{ending}")),
            ));
        }
        table
    }

    fn original(&self) -> Connection {
        Connection::open(self.folder.path().join("original.db")).unwrap()
    }
}

#[tokio::test]
async fn every_column_of_every_table_that_is_edited_is_found() {
    let tampering = Tampering::new().await;
    let original = tampering.original();
    let mut edits = 0;
    for table in tables(&original) {
        if NOT_PROJECTED.contains(&table.as_str()) {
            continue;
        }
        let columns = list(
            &original,
            &format!("SELECT name FROM pragma_table_info('{table}')"),
        );
        for column in columns {
            if NEVER_READ.contains(&(table.as_str(), column.as_str())) {
                continue;
            }
            // One more, or one byte more: no column keeps its value, and texts and blobs keep their type.
            let edit = format!(
                "UPDATE {table} SET {column} = CASE typeof({column})
                    WHEN 'integer' THEN {column} + 1000
                    WHEN 'real' THEN {column} + 0.5
                    WHEN 'text' THEN {column} || 'x'
                    WHEN 'blob' THEN CAST({column} || x'00' AS BLOB)
                    ELSE CASE WHEN '{column}' LIKE '%\\_at' ESCAPE '\\' OR '{column}' IN ('process_id', 'process_start_ticks', 'duration_ms', 'end_ns', 'number')
                        THEN 1 WHEN '{column}' IN ('recipe', 'record') THEN x'01' ELSE 'x' END END
                WHERE rowid_place = 1"
            );
            let key = list(
                &original,
                &format!("SELECT name FROM pragma_table_info('{table}') WHERE pk > 0 ORDER BY pk"),
            )
            .join(", ");
            let edit = edit.replace(
                "WHERE rowid_place = 1",
                &format!("WHERE ({key}) = (SELECT {key} FROM {table} ORDER BY {key} LIMIT 1)"),
            );
            assert!(
                tampering.find_fault(&edit).await.is_some(),
                "{table}.{column} was edited unseen"
            );
            edits += 1;
        }
    }
    assert!(edits > 100, "only {edits} columns were edited");
}

#[tokio::test]
async fn every_row_that_is_deleted_or_added_is_found() {
    let tampering = Tampering::new().await;
    let original = tampering.original();
    for table in tables(&original) {
        if NOT_PROJECTED.contains(&table.as_str()) || MAY_BE_GONE.contains(&table.as_str()) {
            continue;
        }
        let delete = format!("DELETE FROM {table} WHERE 1 = 1");
        assert!(
            tampering.find_fault(&delete).await.is_some(),
            "{table} was emptied unseen"
        );
    }
    for insert in [
        "INSERT INTO param (run, key, value) VALUES (1, 'new', 'v')",
        "INSERT INTO latest_metric (run, key, value, is_nan, timestamp_ms, step) VALUES (2, 'new', 1, 0, 1, 1)",
        "INSERT INTO event_subject (subject, position, is_in_leaf) VALUES ('run:a', 1, 0)",
        "INSERT INTO metric_block (run, digest, points, encoded) VALUES (1, x'00', 1, x'00')",
        "INSERT INTO event SELECT position + 10000, writer, wseq + 10000, kind, leaf, salt, body FROM event LIMIT 1",
    ] {
        assert!(
            tampering.find_fault(insert).await.is_some(),
            "{insert} was not seen"
        );
    }
}

#[tokio::test]
async fn changes_of_the_schema_are_found() {
    let tampering = Tampering::new().await;
    for sql in [
        "CREATE TABLE extra (a)",
        "DROP INDEX tag_by_value",
        "CREATE TRIGGER hidden AFTER INSERT ON tag BEGIN DELETE FROM param; END",
    ] {
        assert_eq!(
            tampering.find_fault(sql).await.as_deref(),
            Some("sqlite_schema"),
            "{sql}"
        );
    }
}

#[tokio::test]
async fn a_fault_names_the_row_and_both_values() {
    let tampering = Tampering::new().await;
    let path = tampering.folder.path().join("original.db");
    let connection = tampering.original();
    connection
        .execute(
            "UPDATE latest_metric SET value = 0.99 WHERE key = 'acc'",
            [],
        )
        .unwrap();
    drop(connection);
    let fault = support::open(&path)
        .verify_projection()
        .await
        .unwrap()
        .unwrap();
    assert_eq!(fault.table, "latest_metric");
    assert_eq!(fault.key, "1, 'acc'");
    assert_eq!(fault.expected.as_deref(), Some("value = 0.9"));
    assert_eq!(fault.found.as_deref(), Some("value = 0.99"));
}
