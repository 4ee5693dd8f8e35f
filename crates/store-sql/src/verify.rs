//! Rebuilds every row from the events in a second database, and compares.
//!
//! Not compared are the rows that follow from nothing: leases, how far webhooks were told, and how far the ledger is
//! published, whose evidence are the tiles. Copies of histories, which are there or not, are compared with their blocks.

pub(crate) mod compare;
mod replay;

use crate::sql::Connection;
use entities::LeafError;
use store::{RowFault, StoreError};

pub use self::replay::Counting;
use self::replay::{Decoded, Replayer, StoredRow, decode};
use crate::fault::database_fault;
use crate::history::verify_copies;

/// Events that are read at once, and decoded while those before them are applied.
const CHUNK_LENGTH: usize = 2048;

statements! {
    LIST_EVENTS = "SELECT position, writer, wseq, kind, leaf, salt, body FROM event
        WHERE position > ?1 ORDER BY position LIMIT ?2";
}

/// Looks for the first row that does not follow from the events.
///
/// `original` sees one state throughout; `rebuilt` is an empty database with the same tables, which it fills.
pub fn verify_rows(
    original: &dyn Connection,
    rebuilt: &dyn Connection,
    counting: Counting,
) -> Result<Option<RowFault>, StoreError> {
    if let Some(fault) = replay_all(original, rebuilt, counting)? {
        return Ok(Some(fault));
    }
    if let Some(fault) = compare::compare_tables(rebuilt, original, counting)? {
        return Ok(Some(fault));
    }
    verify_copies(original)
}

/// Applies all events to the empty database; one thread decodes ahead of the one that applies.
fn replay_all(
    connection: &dyn Connection,
    rebuilt: &dyn Connection,
    counting: Counting,
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
        let mut replayer = Replayer::new(connection, rebuilt, counting);
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
                return Ok(replayer.finish());
            }
        }
    })
}

fn read_chunk(connection: &dyn Connection, position: i64) -> Result<Vec<StoredRow>, StoreError> {
    connection
        .list(LIST_EVENTS, [position, CHUNK_LENGTH as i64], |row| {
            Ok(StoredRow {
                position: row.get(0)?,
                writer: row.get(1)?,
                wseq: row.get(2)?,
                kind: row.get(3)?,
                leaf: row.get(4)?,
                salt: row.get(5)?,
                body: row.get(6)?,
            })
        })
        .map_err(database_fault("reading events"))
}

/// What is wrong with a leaf, with its cause.
fn leaf_in_words(error: &LeafError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// Every statement of this module that any database takes, by its name.
pub(crate) fn all_statements() -> Vec<(&'static str, &'static str)> {
    [ALL, replay::ALL].concat()
}
