//! A copy of a store's schema in a file of tables, and a schema out of such a file.
//!
//! The program of PostgreSQL for this, `pg_dump`, must be of the server's version or a later one and is rarely where a
//! store is used; and it knows no moment that agrees with the ledger's files.

use std::path::Path;

use store::{LedgerProgress, StoreError};
use store_sql::sql::Connection;
use store_sql::{
    CopiedTable, copy_table, damaged, database_fault, find_progress, params, statements,
};
use store_sqlite::TableFile;

use crate::address::PostgresAddress;
use crate::connecting::{Connecting, quote};
use crate::ledger;
use crate::migrations::{find_version, known_version, make_schema};
use crate::session::Session;

statements! {
    LIST_TABLES = "SELECT table_name::TEXT
        FROM information_schema.tables
        WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'
        ORDER BY table_name::TEXT COLLATE \"C\"";
    LIST_COLUMNS = "SELECT column_name::TEXT
        FROM information_schema.columns
        WHERE table_schema = current_schema() AND table_name::TEXT = ?1
        ORDER BY ordinal_position";
    LIST_KEY = "SELECT key_column_usage.column_name::TEXT
        FROM information_schema.table_constraints
            JOIN information_schema.key_column_usage USING (constraint_schema, constraint_name, table_name)
        WHERE table_constraints.constraint_schema = current_schema()
            AND table_constraints.constraint_type = 'PRIMARY KEY' AND table_name::TEXT = ?1
        ORDER BY key_column_usage.ordinal_position";
    FIND_MARK = "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = ?1";
    SET_POSITION = "SELECT setval('event_position', greatest(
            (SELECT coalesce(MAX(position), 0) FROM event),
            (SELECT MAX(last_position) FROM ledger_state),
            1))";
}

/// The table that every other one follows from.
const EVENTS: &str = "event";

/// The steps that the schema has taken, which a new one takes by itself.
const HISTORY: &str = "schema_migration";

/// A store as it was at one moment, whoever writes to it since.
///
/// Its calls block.
pub struct PostgresCopy {
    session: Session,
}

impl PostgresCopy {
    /// Connects, and keeps what all transactions that are done by now have written.
    ///
    /// *Errors*: `Unreachable`, `Busy`; `Damaged` where there is no store; `Newer` for one of a later version.
    pub fn begin(address: &PostgresAddress) -> Result<Self, StoreError> {
        let session = address.connecting()?.open()?;
        let copy = Self { session };
        // Copying may take long, and waits for what is written elsewhere.
        copy.run("SET idle_in_transaction_session_timeout = 0; SET statement_timeout = 0")?;
        copy.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
        match find_version(&copy.session)? {
            0 => return Err(damaged("the database has no schema that holds one")),
            found if found > known_version() => {
                return Err(StoreError::Newer {
                    found,
                    known: known_version(),
                });
            }
            _ => {}
        }
        Ok(copy)
    }

    /// How far the ledger is in it.
    pub fn progress(&self) -> Result<LedgerProgress, StoreError> {
        find_progress(&self.session, &ledger::STATEMENTS)
    }

    /// Writes it to a new file, whole and durable when this returns.
    pub fn copy_to(self, target: &Path) -> Result<(), StoreError> {
        let file = TableFile::create(target)?;
        for name in list_texts(&self.session, LIST_TABLES, &[])? {
            let table = read_table(&self.session, name)?;
            file.add_table(&table)?;
            file.with(|copy| copy_table(&table, &self.session, copy))?;
        }
        file.finish(target)
    }

    fn run(&self, sql: &str) -> Result<(), StoreError> {
        self.session
            .run(sql)
            .map_err(database_fault("beginning to read"))
    }
}

impl std::fmt::Debug for PostgresCopy {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("PostgresCopy")
            .finish_non_exhaustive()
    }
}

/// Makes a store out of a copy, in one transaction; the schema must not be there.
///
/// `mark`, of letters and digits, is left at the schema: one that has it was made by this very call, which was cut short
/// before it could say so, and is left as it is.
///
/// It blocks.
///
/// *Errors*: `Exists` where the schema holds something else; `Newer` for the copy of a later version; `Damaged` where the file
/// is not what was written.
pub fn restore_copy(address: &PostgresAddress, from: &Path, mark: &str) -> Result<(), StoreError> {
    assert!(
        !mark.is_empty() && mark.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        "a mark becomes part of a statement"
    );
    let connecting = address.connecting()?;
    let session = connecting.open()?;
    if find_mark(&session, &connecting)?.as_deref() == Some(mark) {
        return Ok(());
    }
    let file = TableFile::open(from)?;
    let done = restore_in(&session, &connecting, &file, mark);
    let (end, fault) = match &done {
        Ok(()) => ("COMMIT", None),
        Err(_) => ("ROLLBACK", Some(())),
    };
    let ended = session
        .run(end)
        .map_err(database_fault("writing a restored store"));
    if fault.is_some() {
        return done;
    }
    ended
}

fn restore_in(
    session: &Session,
    connecting: &Connecting,
    file: &TableFile,
    mark: &str,
) -> Result<(), StoreError> {
    let version = file.count(HISTORY)?;
    let version = u32::try_from(version).unwrap_or(u32::MAX);
    if version > known_version() {
        return Err(StoreError::Newer {
            found: version,
            known: known_version(),
        });
    }
    make_schema(session, connecting, version)?;
    for name in list_texts(session, LIST_TABLES, &[])? {
        if name == HISTORY {
            continue;
        }
        let table = read_table(session, name)?;
        let clear = format!("DELETE FROM {}", quote(&table.name));
        session
            .run(&clear)
            .map_err(database_fault("emptying a table"))?;
        file.with(|copy| copy_table(&table, copy, session))?;
    }
    let fault = || database_fault("setting the next position");
    let connection: &dyn Connection = session;
    let set: Option<i64> = connection
        .find(SET_POSITION, params![], |row| row.get(0))
        .map_err(fault())?;
    if set.is_none() || file.count(EVENTS)? == 0 {
        return Err(damaged("the copy has no events"));
    }
    let schema = quote(&connecting.schema);
    session
        .run(&format!("COMMENT ON SCHEMA {schema} IS '{mark}'"))
        .map_err(database_fault("marking the restored schema"))
}

fn find_mark(session: &Session, connecting: &Connecting) -> Result<Option<String>, StoreError> {
    let connection: &dyn Connection = session;
    let found: Option<Option<String>> = connection
        .find(FIND_MARK, [connecting.schema.as_str()], |row| row.get(0))
        .map_err(database_fault("looking at the schema"))?;
    Ok(found.flatten())
}

fn read_table(session: &Session, name: String) -> Result<CopiedTable, StoreError> {
    let key = list_texts(session, LIST_KEY, &[&name])?;
    let columns = list_texts(session, LIST_COLUMNS, &[&name])?;
    if key.is_empty() {
        return Err(damaged(format!("the table `{name}` has no key")));
    }
    let rest = columns.into_iter().filter(|column| !key.contains(column));
    Ok(CopiedTable {
        name,
        key_length: key.len(),
        columns: key.iter().cloned().chain(rest).collect(),
    })
}

fn list_texts(session: &Session, sql: &str, values: &[&String]) -> Result<Vec<String>, StoreError> {
    let connection: &dyn Connection = session;
    let values: Vec<&dyn store_sql::sql::ToValue> = values
        .iter()
        .map(|value| *value as &dyn store_sql::sql::ToValue)
        .collect();
    connection
        .list(sql, values.as_slice(), |row| row.get(0))
        .map_err(database_fault("reading the schema"))
}
