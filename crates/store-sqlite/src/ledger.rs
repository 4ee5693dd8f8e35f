//! Events and their way into the tree. Commits are in line already, one after the other.

use store::{LedgerProgress, StoreError, StoredEvent};
use store_sql::sql::{self, Connection, Row};
use store_sql::{damaged, database_fault, params, statements};

statements! {
    FIND_PROGRESS = "SELECT (SELECT coalesce(MAX(position), 0) FROM event), sequenced, integrated, signed
        FROM ledger_state WHERE id = 1";
    SEQUENCE = "UPDATE ledger_state SET sequenced = max(sequenced, (SELECT coalesce(MAX(position), 0) FROM event))
        WHERE id = 1
        RETURNING sequenced";
    NOTE_PUBLISHED = "UPDATE ledger_state SET integrated = ?1, signed = ?2
        WHERE id = 1 AND ?2 <= ?1 AND ?1 <= sequenced";
    LIST_EVENTS = "SELECT position - 1, leaf, salt, body FROM event
        WHERE position > ?1 AND position <= (SELECT sequenced FROM ledger_state WHERE id = 1)
        ORDER BY position LIMIT ?2";
    LIST_EVENTS_OF = "SELECT CASE WHEN event.position <= (SELECT sequenced FROM ledger_state WHERE id = 1)
            THEN event.position - 1 END, leaf, salt, body
        FROM event_subject JOIN event ON event.position = event_subject.position
        WHERE event_subject.subject = ?1
        ORDER BY event_subject.position DESC LIMIT ?2";
}

pub(crate) fn find_progress(connection: &dyn Connection) -> Result<LedgerProgress, StoreError> {
    let read = |row: &Row<'_>| {
        Ok(LedgerProgress {
            committed: row.get::<i64>(0)? as u64,
            sequenced: row.get::<i64>(1)? as u64,
            integrated: row.get::<i64>(2)? as u64,
            signed: row.get::<i64>(3)? as u64,
        })
    };
    connection
        .find(FIND_PROGRESS, params![], read)
        .map_err(database_fault("reading the ledger's state"))?
        .ok_or_else(|| damaged("the ledger's state is missing"))
}

/// The order of commits is the ledger's.
pub(crate) fn sequence(connection: &dyn Connection) -> Result<u64, StoreError> {
    connection
        .find(SEQUENCE, params![], |row| row.get::<i64>(0))
        .map_err(database_fault("writing the ledger's state"))?
        .map(|sequenced| sequenced as u64)
        .ok_or_else(|| damaged("the ledger's state is missing"))
}

pub(crate) fn note_published(
    connection: &dyn Connection,
    integrated: u64,
    signed: u64,
) -> Result<(), StoreError> {
    let noted = connection
        .change(NOTE_PUBLISHED, params![integrated as i64, signed as i64])
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
    from_index: u64,
    limit: usize,
) -> Result<Vec<StoredEvent>, StoreError> {
    let values = params![from_index as i64, limit as i64];
    let events: Vec<StoredEvent> = connection
        .list(LIST_EVENTS, values, read_event)
        .map_err(database_fault("reading events"))?;
    // The index is the position, which is right only as long as no position is left out.
    for (event, expected) in events.iter().zip(from_index..) {
        if event.index != Some(expected) {
            return Err(damaged(format!("event {expected} is missing")));
        }
    }
    Ok(events)
}

pub(crate) fn list_events_of(
    connection: &dyn Connection,
    subject: &str,
    limit: usize,
) -> Result<Vec<StoredEvent>, StoreError> {
    connection
        .list(LIST_EVENTS_OF, params![subject, limit as i64], read_event)
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
