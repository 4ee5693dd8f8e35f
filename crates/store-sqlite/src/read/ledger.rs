//! Events, progress and leases.

use async_trait::async_trait;
use entities::Timestamp;
use rusqlite::{Connection, Row, params};
use store::{LedgerProgress, LedgerStore, RowFault, StoreError, StoredEvent};

use super::{find_row, list_rows};
use crate::fault::{damaged, database_fault};
use crate::store::SqliteStore;
use crate::verify;

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
    TAKE_LEASE = "INSERT INTO lease (name, holder, expires_at) VALUES (?1, ?2, ?4)
        ON CONFLICT DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
        WHERE lease.holder = excluded.holder OR lease.expires_at <= ?3";
    RELEASE_LEASE = "DELETE FROM lease WHERE name = ?1 AND holder = ?2";
}

#[async_trait]
impl LedgerStore for SqliteStore {
    async fn ledger_progress(&self) -> Result<LedgerProgress, StoreError> {
        self.read(|connection| {
            find_row(connection, FIND_PROGRESS, [], |row| {
                Ok(LedgerProgress {
                    committed: row.get::<_, i64>(0)? as u64,
                    sequenced: row.get::<_, i64>(1)? as u64,
                    integrated: row.get::<_, i64>(2)? as u64,
                    signed: row.get::<_, i64>(3)? as u64,
                })
            })?
            .ok_or_else(|| damaged("the ledger's state is missing"))
        })
        .await
    }

    /// Commits are in line already, one after the other, so their order is the ledger's.
    async fn sequence(&self) -> Result<u64, StoreError> {
        self.write(|context| {
            find_row(&context.connection, SEQUENCE, [], |row| {
                row.get::<_, i64>(0)
            })?
            .map(|sequenced| sequenced as u64)
            .ok_or_else(|| damaged("the ledger's state is missing"))
        })
        .await
    }

    async fn note_published(&self, integrated: u64, signed: u64) -> Result<(), StoreError> {
        self.write(move |context| {
            let values = params![integrated as i64, signed as i64];
            match execute(&context.connection, NOTE_PUBLISHED, values)? {
                0 => Err(StoreError::Query {
                    message: format!(
                        "{integrated} events cannot be integrated and {signed} signed: \
                         signed, integrated and sequenced ascend"
                    ),
                }),
                _ => Ok(()),
            }
        })
        .await
    }

    async fn list_events(
        &self,
        from_index: u64,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        self.read(move |connection| {
            let values = params![from_index as i64, limit as i64];
            let events: Vec<StoredEvent> = list_rows(connection, LIST_EVENTS, values, read_event)?;
            // The index is the position, which is right only as long as no position is left out.
            for (event, expected) in events.iter().zip(from_index..) {
                if event.index != Some(expected) {
                    return Err(damaged(format!("event {expected} is missing")));
                }
            }
            Ok(events)
        })
        .await
    }

    async fn list_events_of(
        &self,
        subject: &str,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let subject = subject.to_owned();
        self.read(move |connection| {
            let values = params![subject, limit as i64];
            list_rows(connection, LIST_EVENTS_OF, values, read_event)
        })
        .await
    }

    async fn take_lease(
        &self,
        name: &str,
        holder: &str,
        now: Timestamp,
        duration_ms: u64,
    ) -> Result<bool, StoreError> {
        let (name, holder) = (name.to_owned(), holder.to_owned());
        let duration_micros = i64::try_from(duration_ms.saturating_mul(1000)).unwrap_or(i64::MAX);
        let expires_at = now.as_micros().saturating_add(duration_micros);
        self.write(move |context| {
            let values = params![name, holder, now.as_micros(), expires_at];
            Ok(execute(&context.connection, TAKE_LEASE, values)? > 0)
        })
        .await
    }

    async fn release_lease(&self, name: &str, holder: &str) -> Result<(), StoreError> {
        let (name, holder) = (name.to_owned(), holder.to_owned());
        self.write(move |context| {
            execute(&context.connection, RELEASE_LEASE, params![name, holder]).map(drop)
        })
        .await
    }

    async fn verify_projection(&self) -> Result<Option<RowFault>, StoreError> {
        self.read(verify::verify_projection).await
    }
}

fn execute(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
) -> Result<usize, StoreError> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute(values))
        .map_err(database_fault("writing the ledger's state"))
}

fn read_event(row: &Row<'_>) -> rusqlite::Result<StoredEvent> {
    let index: Option<i64> = row.get(0)?;
    Ok(StoredEvent {
        index: index.map(|index| index as u64),
        leaf: row.get(1)?,
        salt: row.get(2)?,
        body: row.get(3)?,
    })
}
