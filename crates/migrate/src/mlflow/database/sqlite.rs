//! A file of SQLite, used through the same seam as a database of PostgreSQL.

use std::ops::ControlFlow;
use std::path::Path;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{OpenFlags, ToSql, params_from_iter};
use store_sql::sql::{Columns, Connection, Dialect, Result, Row, SqlError, ToValue, Value};

/// An open file.
pub(crate) struct SqliteFile(rusqlite::Connection);

impl SqliteFile {
    /// Makes a file that is not there, with the tables of a schema, inside a transaction that `finish` ends.
    ///
    /// It is worth nothing before that: what it is renamed to is what counts.
    pub(crate) fn create(path: &Path, schema: &str) -> Result<Self> {
        let connection = rusqlite::Connection::open(path).map_err(other)?;
        connection
            .execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536; BEGIN;")
            .map_err(other)?;
        connection.execute_batch(schema).map_err(other)?;
        Ok(Self(connection))
    }

    /// Ends the transaction of a new file, and says which rows name others that are not there.
    pub(crate) fn finish(self) -> Result<Vec<String>> {
        self.0.execute_batch("COMMIT").map_err(other)?;
        let found = {
            let mut statement = self.0.prepare("PRAGMA foreign_key_check").map_err(other)?;
            let rows = statement.query_map([], |row| {
                let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
                Ok(format!(
                    "a row in `{table}` names one in `{parent}` that is not there"
                ))
            });
            rows.and_then(Iterator::collect).map_err(other)?
        };
        self.0.close().map_err(|(_, error)| other(error))?;
        Ok(found)
    }

    /// Opens a file for reading.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = rusqlite::Connection::open_with_flags(path, flags).map_err(other)?;
        // The file may come from anybody: what its schema would have run is not run.
        connection
            .execute_batch("PRAGMA trusted_schema = OFF; PRAGMA query_only = ON;")
            .map_err(other)?;
        Ok(Self(connection))
    }
}

impl Connection for SqliteFile {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn execute(&self, sql: &str, values: &[&dyn ToValue]) -> Result<usize> {
        if self.0.is_readonly(rusqlite::MAIN_DB).map_err(other)? {
            return Err(SqlError::ReadOnly);
        }
        let values = values.iter().map(|value| Bound(value.to_value()));
        let mut statement = self.0.prepare_cached(sql).map_err(other)?;
        statement.execute(params_from_iter(values)).map_err(other)
    }

    fn query(
        &self,
        sql: &str,
        values: &[&dyn ToValue],
        reader: &mut dyn FnMut(&Row<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let values = values.iter().map(|value| Bound(value.to_value()));
        let mut statement = self.0.prepare_cached(sql).map_err(other)?;
        let mut rows = statement.query(params_from_iter(values)).map_err(other)?;
        while let Some(row) = rows.next().map_err(other)? {
            if reader(&Row::new(&Cells(row)))?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// A value of a statement.
struct Bound<'v>(Value<'v>);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null => ValueRef::Null,
            Value::Integer(number) => ValueRef::Integer(number),
            Value::Real(number) => ValueRef::Real(number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// The columns of a row, which may hold anything.
struct Cells<'r, 's>(&'r rusqlite::Row<'s>);

impl Columns for Cells<'_, '_> {
    fn count(&self) -> usize {
        self.0.as_ref().column_count()
    }

    fn column(&self, column: usize) -> Result<Value<'_>> {
        Ok(match self.0.get_ref(column).map_err(other)? {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(number) => Value::Integer(number),
            ValueRef::Real(number) => Value::Real(number),
            ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Value::Text(text),
                Err(_) => {
                    return Err(SqlError::Column {
                        column,
                        message: "it is not UTF-8".to_owned(),
                    });
                }
            },
            ValueRef::Blob(bytes) => Value::Blob(bytes),
        })
    }
}

fn other(source: rusqlite::Error) -> SqlError {
    SqlError::Other(Box::new(source))
}
