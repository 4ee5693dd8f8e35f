//! Copies of a database while others write to it, and files of plain tables.

use std::path::Path;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use store::{LedgerProgress, StoreError};
use store_sql::{CopiedTable, damaged, find_progress};

use crate::connection::{Purpose, open_connection};
use crate::fault::database_fault;
use crate::ledger;
use crate::read_only::ReadOnlyConnection;
use crate::session::Session;

/// A database as it was at one moment, whoever writes to it since.
pub struct SqliteSnapshot {
    source: Source,
}

enum Source {
    Writable(Connection),
    ReadOnly(ReadOnlyConnection),
}

impl SqliteSnapshot {
    /// Keeps what all commits that are done by now have written.
    ///
    /// *Errors*: `LogUnreadable` and `Busy` where it may only be read, as reading it has them.
    pub fn open(path: &Path, is_writable: bool) -> Result<Self, StoreError> {
        let source = if is_writable {
            Source::Writable(open_connection(path, Purpose::Read)?)
        } else {
            Source::ReadOnly(ReadOnlyConnection::open(path)?)
        };
        let snapshot = Self { source };
        snapshot
            .connection()
            .execute_batch("BEGIN")
            .map_err(database_fault("beginning to read"))?;
        // The first statement decides what is seen from then on.
        snapshot.progress()?;
        Ok(snapshot)
    }

    /// How far the ledger is in it.
    pub fn progress(&self) -> Result<LedgerProgress, StoreError> {
        find_progress(&Session(self.connection()), &ledger::STATEMENTS)
    }

    /// Writes it to a new file, whole and durable when this returns; one that is there is overwritten.
    ///
    /// *Cost*: reads and writes all pages once, and keeps the log from being emptied meanwhile.
    pub fn copy_to(self, target: &Path) -> Result<(), StoreError> {
        let fault = || database_fault("copying the database");
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut copy = Connection::open_with_flags(target, flags).map_err(fault())?;
        copy.pragma_update(None, "synchronous", "FULL")
            .map_err(fault())?;
        let backup = Backup::new(self.connection(), &mut copy).map_err(fault())?;
        match backup.step(-1).map_err(fault())? {
            StepResult::Done => {}
            _ => return Err(StoreError::Busy),
        }
        drop(backup);
        copy.close().map_err(|(_, error)| fault()(error))?;
        if let Source::ReadOnly(reader) = &self.source {
            reader.check()?;
        }
        sync_file(target)
    }

    fn connection(&self) -> &Connection {
        match &self.source {
            Source::Writable(connection) => connection,
            Source::ReadOnly(reader) => &reader.connection,
        }
    }
}

impl std::fmt::Debug for SqliteSnapshot {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SqliteSnapshot")
            .finish_non_exhaustive()
    }
}

/// A file of tables that hold whatever another database's hold: what a backup of it is kept in.
pub struct TableFile {
    connection: Connection,
}

impl TableFile {
    /// Makes a new file; one that is there is overwritten.
    pub fn create(path: &Path) -> Result<Self, StoreError> {
        match std::fs::remove_file(path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::Database {
                    action: "making a file of tables",
                    source: Box::new(source),
                });
            }
            _ => {}
        }
        let connection =
            Connection::open(path).map_err(database_fault("making a file of tables"))?;
        connection
            .execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = FULL; BEGIN")
            .map_err(database_fault("making a file of tables"))?;
        Ok(Self { connection })
    }

    /// Opens a file to read it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)
            .map_err(database_fault("opening a file of tables"))?;
        let message: String = connection
            .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
            .map_err(database_fault("checking a file of tables"))?;
        if message != "ok" {
            return Err(damaged(format!("the file of tables: {message}")));
        }
        Ok(Self { connection })
    }

    /// Makes a table.
    pub fn add_table(&self, table: &CopiedTable) -> Result<(), StoreError> {
        let quoted: Vec<_> = table.columns.iter().map(|name| quote(name)).collect();
        let sql = format!(
            "CREATE TABLE {} ({}, PRIMARY KEY ({})) WITHOUT ROWID",
            quote(&table.name),
            quoted.join(", "),
            quoted[..table.key_length].join(", ")
        );
        self.connection
            .execute_batch(&sql)
            .map_err(database_fault("making a table"))
    }

    /// Works with its rows.
    pub fn with<T>(&self, work: impl FnOnce(&dyn store_sql::sql::Connection) -> T) -> T {
        work(&Session(&self.connection))
    }

    /// How many rows a table has.
    pub fn count(&self, table: &str) -> Result<u64, StoreError> {
        let session: &dyn store_sql::sql::Connection = &Session(&self.connection);
        let sql = format!("SELECT COUNT(*) FROM {}", quote(table));
        let count: Option<i64> = session
            .find(&sql, store_sql::params![], |row| row.get(0))
            .map_err(store_sql::database_fault("counting rows"))?;
        Ok(count.unwrap_or(0) as u64)
    }

    /// Ends the writing; it is durable when this returns.
    pub fn finish(self, path: &Path) -> Result<(), StoreError> {
        self.connection
            .execute_batch("COMMIT")
            .map_err(database_fault("writing a file of tables"))?;
        self.connection
            .close()
            .map_err(|(_, error)| database_fault("writing a file of tables")(error))?;
        sync_file(path)
    }
}

impl std::fmt::Debug for TableFile {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("TableFile").finish_non_exhaustive()
    }
}

/// A name as an identifier, whatever it holds.
fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn sync_file(path: &Path) -> Result<(), StoreError> {
    std::fs::File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|source| StoreError::Database {
            action: "making a copy durable",
            source: Box::new(source),
        })
}
