//! How far the ledger is, and its events in their order; each database says it in statements of its own.

use store::{LedgerProgress, StoreError, StoredEvent};

use crate::fault::{damaged, database_fault};
use crate::params;
use crate::sql::{self, Connection, Row};

/// What a database says of its ledger.
#[derive(Clone, Copy, Debug)]
pub struct LedgerStatements {
    /// How many events are committed, sequenced, integrated and signed.
    pub find_progress: &'static str,
    /// Notes how many are integrated (`?1`) and signed (`?2`), where they ascend.
    pub note_published: &'static str,
    /// Index, leaf, salt and body of those from an index (`?1`) on, at most some (`?2`).
    pub list_events: &'static str,
    /// Likewise of a subject (`?1`), the newest first.
    pub list_events_of: &'static str,
}

/// How far it is.
pub fn find_progress(
    connection: &dyn Connection,
    statements: &LedgerStatements,
) -> Result<LedgerProgress, StoreError> {
    let read = |row: &Row<'_>| {
        Ok(LedgerProgress {
            committed: row.get::<i64>(0)? as u64,
            sequenced: row.get::<i64>(1)? as u64,
            integrated: row.get::<i64>(2)? as u64,
            signed: row.get::<i64>(3)? as u64,
        })
    };
    connection
        .find(statements.find_progress, params![], read)
        .map_err(database_fault("reading the ledger's state"))?
        .ok_or_else(|| damaged("the ledger's state is missing"))
}

pub(crate) fn note_published(
    connection: &dyn Connection,
    statements: &LedgerStatements,
    integrated: u64,
    signed: u64,
) -> Result<(), StoreError> {
    let noted = connection
        .change(
            statements.note_published,
            params![integrated as i64, signed as i64],
        )
        .map_err(database_fault("writing the ledger's state"))?;
    match noted {
        0 => Err(StoreError::Query {
            message: format!(
                "{integrated} events cannot be integrated and {signed} signed: \
                 signed, integrated and sequenced ascend"
            ),
        }),
        _ => Ok(()),
    }
}

pub(crate) fn list_events(
    connection: &dyn Connection,
    statements: &LedgerStatements,
    from_index: u64,
    limit: usize,
) -> Result<Vec<StoredEvent>, StoreError> {
    let values = params![from_index as i64, limit as i64];
    let events: Vec<StoredEvent> = connection
        .list(statements.list_events, values, read_event)
        .map_err(database_fault("reading events"))?;
    for (event, expected) in events.iter().zip(from_index..) {
        if event.index != Some(expected) {
            return Err(damaged(format!("event {expected} is missing")));
        }
    }
    Ok(events)
}

pub(crate) fn list_events_of(
    connection: &dyn Connection,
    statements: &LedgerStatements,
    subject: &str,
    limit: usize,
) -> Result<Vec<StoredEvent>, StoreError> {
    connection
        .list(
            statements.list_events_of,
            params![subject, limit as i64],
            read_event,
        )
        .map_err(database_fault("reading events"))
}

fn read_event(row: &Row<'_>) -> sql::Result<StoredEvent> {
    let index: Option<i64> = row.get(0)?;
    Ok(StoredEvent {
        index: index.map(|index| index as u64),
        leaf: row.get(1)?,
        salt: row.get(2)?,
        body: row.get(3)?,
    })
}
