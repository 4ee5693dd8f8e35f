//! Opens connections, with the settings that every one of them has.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use store::StoreError;

use crate::fault::database_fault;
use crate::functions;

/// How long a writer waits for another process. A commit takes milliseconds, so whoever waits this long waits for
/// something that hangs.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(8);

/// Prepared statements that a connection keeps: more than there are static ones, so that only those of searches go.
const STATEMENT_CACHE_SIZE: usize = 320;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Read,
    Write,
    /// Writes, and makes the file where it is missing.
    Create,
}

pub(crate) fn open_connection(path: &Path, purpose: Purpose) -> Result<Connection, StoreError> {
    let fault = || database_fault("opening the database");
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if purpose == Purpose::Create {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    let connection = Connection::open_with_flags(path, flags).map_err(fault())?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(fault())?;
    if purpose == Purpose::Create {
        connection
            .pragma_update(None, "journal_mode", "WAL")
            .map_err(fault())?;
    }
    if purpose == Purpose::Read {
        prepare_reader(&connection)?;
        return Ok(connection);
    }
    harden(&connection).map_err(fault())?;
    // What is deleted is overwritten: what traces said may have to be gone.
    for (pragma, value) in [("synchronous", "FULL"), ("secure_delete", "ON")] {
        connection
            .pragma_update(None, pragma, value)
            .map_err(fault())?;
    }
    // Kibibytes where negative. With SQLite's own 2 MiB the writer was seen to read pages of its indexes again and
    // again; 32 MiB make 100,000 runs no faster, and are a third of what the whole server may take.
    connection
        .pragma_update(None, "cache_size", -16_384)
        .map_err(fault())?;
    Ok(connection)
}

/// Gives a connection the settings of one that only reads.
pub(crate) fn prepare_reader(connection: &Connection) -> Result<(), StoreError> {
    let fault = || database_fault("opening the database");
    connection.busy_timeout(BUSY_TIMEOUT).map_err(fault())?;
    harden(connection).map_err(fault())?;
    connection
        .pragma_update(None, "cache_size", -8_192)
        .map_err(fault())?;
    connection
        .pragma_update(None, "query_only", true)
        .map_err(fault())
}

/// Opens a database that only this process sees and that goes with the connection: in memory while it is small,
/// in an unnamed temporary file beyond the cache.
pub(crate) fn open_scratch() -> Result<Connection, StoreError> {
    let fault = || database_fault("opening a scratch database");
    let connection = Connection::open("").map_err(fault())?;
    harden(&connection).map_err(fault())?;
    for (pragma, value) in [("journal_mode", "OFF"), ("synchronous", "OFF")] {
        connection
            .pragma_update(None, pragma, value)
            .map_err(fault())?;
    }
    // Kibibytes where negative: 256 MiB, the rows of about a million small events.
    connection
        .pragma_update(None, "cache_size", -262_144)
        .map_err(fault())?;
    Ok(connection)
}

/// A crafted database file must not make us run what its schema says.
fn harden(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE_SIZE);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    functions::register(connection)
}
