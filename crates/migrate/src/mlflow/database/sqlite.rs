//! A file of SQLite, read through the same seam as a database of PostgreSQL.

use std::ops::ControlFlow;
use std::path::Path;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{OpenFlags, ToSql, params_from_iter};
use store_sql::sql::{Columns, Connection, Result, Row, SqlError, ToValue, Value};

/// An open file.
pub(super) struct SqliteFile(rusqlite::Connection);

impl SqliteFile {
    /// Opens a file for reading.
    pub(super) fn open(path: &Path) -> Result<Self> {
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
    fn execute(&self, _: &str, _: &[&dyn ToValue]) -> Result<usize> {
        Err(SqlError::ReadOnly)
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
