//! Looks for the first row that does not follow from the events, and for faults of the file itself.

use rusqlite::Connection;
use store::{RowFault, StoreError};
use store_sql::{Counting, statements, verify_rows};

use crate::connection::open_scratch;
use crate::fault::database_fault;
use crate::migrations::{find_version, known_version, migrate};
use crate::session::Session;

statements! {
    FIND_STATE = "SELECT sequenced, integrated, signed, (SELECT COUNT(*) FROM event) FROM ledger_state WHERE id = 1";
    FIND_WRITER = "SELECT name FROM writer WHERE id = 1";
    FIND_LAST_WRITER = "SELECT writer FROM event ORDER BY position DESC LIMIT 1";
    CHECK_INTEGRITY = "PRAGMA integrity_check(1)";
    LIST_SCHEMA = "SELECT type || ' ' || name, sql FROM sqlite_schema
        WHERE name NOT GLOB 'sqlite_*' ORDER BY type, name";
}

/// Looks for the first row that does not follow from the events; the connection sees one state throughout.
pub(crate) fn verify_projection(connection: &Connection) -> Result<Option<RowFault>, StoreError> {
    let found = find_version(connection)?;
    if found > known_version() {
        return Err(StoreError::Newer {
            found,
            known: known_version(),
        });
    }
    if let Some(fault) = check_integrity(connection)? {
        return Ok(Some(fault));
    }
    let mut scratch = open_scratch()?;
    migrate(&mut scratch)?;
    let fault = || database_fault("rebuilding the rows");
    scratch
        .pragma_update(None, "foreign_keys", false)
        .map_err(fault())?;
    let rebuilt = scratch.transaction().map_err(fault())?;
    if let Some(fault) = compare_schemas(&rebuilt, connection)? {
        return Ok(Some(fault));
    }
    if let Some(fault) = check_state(connection)? {
        return Ok(Some(fault));
    }
    verify_rows(&Session(connection), &Session(&rebuilt), Counting::Database)
}

/// Looks for the first row of another database that does not follow from its events, which are applied to a scratch
/// database here.
///
/// *Cost*: time of applying all events, and memory or temporary files for all rows.
pub fn verify_elsewhere(
    original: &dyn store_sql::sql::Connection,
    counting: Counting,
) -> Result<Option<RowFault>, StoreError> {
    let mut scratch = open_scratch()?;
    migrate(&mut scratch)?;
    let fault = || database_fault("rebuilding the rows");
    scratch
        .pragma_update(None, "foreign_keys", false)
        .map_err(fault())?;
    let rebuilt = scratch.transaction().map_err(fault())?;
    verify_rows(original, &Session(&rebuilt), counting)
}

/// A fault in the file's own structure, such as an index that lacks a row.
fn check_integrity(connection: &Connection) -> Result<Option<RowFault>, StoreError> {
    let message: String = connection
        .query_row(CHECK_INTEGRITY, [], |row| row.get(0))
        .map_err(database_fault("checking the file"))?;
    Ok((message != "ok").then(|| RowFault {
        table: "sqlite_schema".to_owned(),
        key: "integrity check".to_owned(),
        expected: Some("ok".to_owned()),
        found: Some(message),
    }))
}

fn compare_schemas(
    expected: &Connection,
    found: &Connection,
) -> Result<Option<RowFault>, StoreError> {
    let (expected, found) = (list_schema(expected)?, list_schema(found)?);
    if expected == found {
        return Ok(None);
    }
    let of = |list: &[(String, String)], name: &str| {
        let entry = list.iter().find(|(other, _)| other == name);
        entry.map(|(_, sql)| sql.clone())
    };
    let names = expected.iter().chain(&found).map(|(name, _)| name);
    let fault = names
        .map(|name| RowFault {
            table: "sqlite_schema".to_owned(),
            key: name.clone(),
            expected: of(&expected, name),
            found: of(&found, name),
        })
        .find(|fault| fault.expected != fault.found);
    Ok(fault)
}

fn list_schema(connection: &Connection) -> Result<Vec<(String, String)>, StoreError> {
    connection
        .prepare_cached(LIST_SCHEMA)
        .and_then(|mut statement| {
            statement
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
        })
        .map_err(database_fault("reading the schema"))
}

/// Checks what is kept of the ledger's state and of the writer.
fn check_state(connection: &Connection) -> Result<Option<RowFault>, StoreError> {
    let fault = || database_fault("reading the ledger's state");
    let state: [i64; 4] = connection
        .query_row(FIND_STATE, [], |row| {
            Ok([row.get(2)?, row.get(1)?, row.get(0)?, row.get(3)?])
        })
        .map_err(fault())?;
    if state[0] < 0 || !state.is_sorted() {
        let [signed, integrated, sequenced, committed] = state;
        return Ok(Some(RowFault {
            table: "ledger_state".to_owned(),
            key: "1".to_owned(),
            expected: Some(format!(
                "0 <= signed <= integrated <= sequenced <= {committed} events"
            )),
            found: Some(format!(
                "signed {signed}, integrated {integrated}, sequenced {sequenced}"
            )),
        }));
    }
    let find = |sql| {
        use rusqlite::OptionalExtension as _;
        let name: Option<String> = connection
            .query_row(sql, [], |row| row.get(0))
            .optional()
            .map_err(fault())?;
        Ok::<_, StoreError>(name)
    };
    let (writer, last_writer) = (find(FIND_WRITER)?, find(FIND_LAST_WRITER)?);
    if last_writer.is_some() && writer != last_writer {
        return Ok(Some(RowFault {
            table: "writer".to_owned(),
            key: "1".to_owned(),
            expected: last_writer,
            found: writer,
        }));
    }
    Ok(None)
}
