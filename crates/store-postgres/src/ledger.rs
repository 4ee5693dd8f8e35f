//! Events and their way into the tree.
//!
//! Writers do not wait for each other, so positions become visible out of order. An event is given its place only once
//! nobody can add one with a smaller position any more: whoever writes holds a lock before taking positions, so it is
//! enough to wait for those who hold it now.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use store::StoreError;
use store_sql::sql::Connection;
use store_sql::{LedgerStatements, damaged, database_fault, find_progress, params, statements};

use crate::connecting::Connecting;
use crate::session::Session;

/// How long sequencing waits for those who write: far longer than a group takes, unless its process hangs.
const PATIENCE: Duration = Duration::from_secs(5);

statements! {
    FIND_PROGRESS = "SELECT sequenced + (SELECT COUNT(*) FROM event WHERE event.position > last_position),
            sequenced, integrated, signed
        FROM ledger_state WHERE id = 1";
    FIND_LAST_POSITION = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM event_position";
    LIST_WRITING = "SELECT pid::BIGINT, virtualtransaction
        FROM pg_locks
        WHERE locktype = 'advisory' AND granted AND objsubid = 1
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND (classid::BIGINT << 32) | objid::BIGINT = ?1";
    LOCK_STATE = "SELECT sequenced FROM ledger_state WHERE id = 1 FOR UPDATE";
    GIVE_PLACES = "INSERT INTO sequenced_event (place, position)
        SELECT ledger_state.sequenced + row_number() OVER (ORDER BY event.position), event.position
        FROM event, ledger_state
        WHERE ledger_state.id = 1 AND event.position > ledger_state.last_position AND event.position <= ?1";
    NOTE_SEQUENCED = "UPDATE ledger_state SET sequenced = sequenced + ?1, last_position = ?2
        WHERE id = 1 AND last_position <= ?2
        RETURNING sequenced";
    NOTE_PUBLISHED = "UPDATE ledger_state SET integrated = ?1, signed = ?2
        WHERE id = 1 AND CAST(?2 AS BIGINT) <= CAST(?1 AS BIGINT) AND ?1 <= sequenced";
    LIST_EVENTS = "SELECT sequenced_event.place - 1, leaf, salt, body
        FROM sequenced_event JOIN event ON event.position = sequenced_event.position
        WHERE sequenced_event.place > ?1
        ORDER BY sequenced_event.place LIMIT ?2";
    LIST_EVENTS_OF = "SELECT sequenced_event.place - 1, leaf, salt, body
        FROM event_subject JOIN event ON event.position = event_subject.position
            LEFT JOIN sequenced_event ON sequenced_event.position = event.position
        WHERE event_subject.subject = ?1
        ORDER BY event_subject.position DESC LIMIT ?2";
}

/// What this database says of its ledger.
pub(crate) const STATEMENTS: LedgerStatements = LedgerStatements {
    find_progress: FIND_PROGRESS,
    note_published: NOTE_PUBLISHED,
    list_events: LIST_EVENTS,
    list_events_of: LIST_EVENTS_OF,
};

/// Gives places to what was committed; no transaction may be open.
pub(crate) fn sequence(session: &Session, connecting: &Connecting) -> Result<u64, StoreError> {
    let connection: &dyn Connection = session;
    let fault = || database_fault("giving events their places");
    let last: i64 = connection
        .find(FIND_LAST_POSITION, params![], |row| row.get(0))
        .map_err(fault())?
        .ok_or_else(|| damaged("the counter of positions is missing"))?;
    // In this order: who took a position up to the last one holds the lock now, or is done.
    if !wait_for_writers(connection, connecting)? {
        return Ok(find_progress(connection, &STATEMENTS)?.sequenced);
    }
    session
        .run("BEGIN ISOLATION LEVEL READ COMMITTED")
        .map_err(fault())?;
    let done = give_places(connection, last);
    let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
    let ended = session.run(end).map_err(fault());
    let sequenced = done?;
    ended?;
    Ok(sequenced)
}

/// Waits until those who write now are done; tells whether they are.
fn wait_for_writers(
    connection: &dyn Connection,
    connecting: &Connecting,
) -> Result<bool, StoreError> {
    let started = Instant::now();
    let mut waited_for: Option<BTreeSet<(i64, String)>> = None;
    let mut pause = Duration::from_micros(500);
    loop {
        let writing: BTreeSet<(i64, String)> = connection
            .list(LIST_WRITING, [connecting.names.whole()], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .map_err(database_fault("looking who writes"))?;
        let left = match waited_for {
            None => writing,
            Some(waited_for) => waited_for.intersection(&writing).cloned().collect(),
        };
        if left.is_empty() {
            return Ok(true);
        }
        if started.elapsed() > PATIENCE {
            tracing::warn!(writers = left.len(), "ledger.writer_hangs");
            return Ok(false);
        }
        waited_for = Some(left);
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

fn give_places(connection: &dyn Connection, last: i64) -> Result<u64, StoreError> {
    let fault = || database_fault("giving events their places");
    let sequenced: i64 = connection
        .find(LOCK_STATE, params![], |row| row.get(0))
        .map_err(fault())?
        .ok_or_else(|| damaged("the ledger's state is missing"))?;
    let given = connection.change(GIVE_PLACES, [last]).map_err(fault())?;
    let noted: Option<i64> = connection
        .find(NOTE_SEQUENCED, params![given as i64, last], |row| {
            row.get(0)
        })
        .map_err(fault())?;
    // None where another one has been here with a later position.
    Ok(noted.unwrap_or(sequenced) as u64)
}
