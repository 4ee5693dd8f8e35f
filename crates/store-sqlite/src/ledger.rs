//! Events and their way into the tree. Commits are in line already, one after the other.

use store::StoreError;
use store_sql::sql::Connection;
use store_sql::{LedgerStatements, damaged, database_fault, params, statements};

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

/// What this database says of its ledger.
pub(crate) const STATEMENTS: LedgerStatements = LedgerStatements {
    find_progress: FIND_PROGRESS,
    note_published: NOTE_PUBLISHED,
    list_events: LIST_EVENTS,
    list_events_of: LIST_EVENTS_OF,
};

/// The order of commits is the ledger's.
pub(crate) fn sequence(connection: &dyn Connection) -> Result<u64, StoreError> {
    connection
        .find(SEQUENCE, params![], |row| row.get::<i64>(0))
        .map_err(database_fault("writing the ledger's state"))?
        .map(|sequenced| sequenced as u64)
        .ok_or_else(|| damaged("the ledger's state is missing"))
}
