//! Rebuilds every row from the events in a second database, and compares.
//!
//! Not compared are the rows that follow from nothing: leases, how far webhooks were told, and how far the ledger is published, of which only
//! the order `signed <= integrated <= sequenced <= committed` is checked; its evidence are the tiles.

mod compare;
mod replay;

use entities::LeafError;
use rusqlite::Connection;
use store::{RowFault, StoreError};

use self::replay::{Decoded, Replayer, StoredRow, decode};
use crate::connection::open_scratch;
use crate::fault::database_fault;
use crate::migrations::{find_version, known_version, migrate};

/// Events that are read at once, and decoded while those before them are applied.
const CHUNK_LENGTH: usize = 2048;

statements! {
    LIST_EVENTS = "SELECT position, writer, wseq, kind, leaf, salt, body FROM event
        WHERE position > ?1 ORDER BY position LIMIT ?2";
    FIND_STATE = "SELECT sequenced, integrated, signed, (SELECT COUNT(*) FROM event) FROM ledger_state WHERE id = 1";
    FIND_WRITER = "SELECT name FROM writer WHERE id = 1";
    FIND_LAST_WRITER = "SELECT writer FROM event ORDER BY position DESC LIMIT 1";
    CHECK_INTEGRITY = "PRAGMA integrity_check(1)";
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
    if let Some(fault) = compare::compare_schemas(&rebuilt, connection)? {
        return Ok(Some(fault));
    }
    if let Some(fault) = replay_all(connection, &rebuilt)? {
        return Ok(Some(fault));
    }
    if let Some(fault) = check_state(connection)? {
        return Ok(Some(fault));
    }
    compare::compare_tables(&rebuilt, connection)
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

/// Applies all events to the empty database; one thread decodes ahead of the one that applies.
fn replay_all(
    connection: &Connection,
    rebuilt: &Connection,
) -> Result<Option<RowFault>, StoreError> {
    type Outcome = Vec<Result<Decoded, RowFault>>;
    let (to_decode, rows) = std::sync::mpsc::sync_channel::<Vec<StoredRow>>(2);
    let (to_apply, decoded) = std::sync::mpsc::sync_channel::<Outcome>(2);
    // Both ends move in here, so that leaving early ends the other thread too.
    std::thread::scope(move |scope| {
        scope.spawn(move || {
            for chunk in rows {
                let outcome = chunk.iter().map(decode).collect();
                if to_apply.send(outcome).is_err() {
                    return;
                }
            }
        });
        let mut replayer = Replayer::new(connection, rebuilt);
        let mut position = 0;
        let mut chunks_on_their_way = 0;
        loop {
            let chunk = read_chunk(connection, position)?;
            let is_last = chunk.is_empty();
            if let Some(row) = chunk.last() {
                position = row.position;
                if to_decode.send(chunk).is_ok() {
                    chunks_on_their_way += 1;
                }
            }
            // One chunk is decoded while the one before it is applied.
            while chunks_on_their_way > usize::from(!is_last) {
                let chunk = decoded.recv().map_err(|_| StoreError::Closed)?;
                chunks_on_their_way -= 1;
                for event in chunk {
                    let fault = match event {
                        Ok(event) => replayer.replay(event)?,
                        Err(fault) => Some(fault),
                    };
                    if fault.is_some() {
                        return Ok(fault);
                    }
                }
            }
            if is_last {
                return Ok(None);
            }
        }
    })
}

fn read_chunk(connection: &Connection, position: i64) -> Result<Vec<StoredRow>, StoreError> {
    connection
        .prepare_cached(LIST_EVENTS)
        .and_then(|mut statement| {
            let rows = statement.query_map([position, CHUNK_LENGTH as i64], |row| {
                Ok(StoredRow {
                    position: row.get(0)?,
                    writer: row.get(1)?,
                    wseq: row.get(2)?,
                    kind: row.get(3)?,
                    leaf: row.get(4)?,
                    salt: row.get(5)?,
                    body: row.get(6)?,
                })
            })?;
            rows.collect()
        })
        .map_err(database_fault("reading events"))
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

/// What is wrong with a leaf, with its cause.
fn leaf_in_words(error: &LeafError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
pub(crate) fn all_statements() -> Vec<(&'static str, &'static str)> {
    [ALL, compare::ALL, replay::ALL].concat()
}
