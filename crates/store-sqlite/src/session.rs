//! A connection of SQLite as the rooms above see it.

use std::ops::ControlFlow;

use rusqlite::types::{ToSqlOutput, Type, ValueRef};
use rusqlite::{ErrorCode, ToSql, params_from_iter};
use store_sql::sql::{Columns, Connection, Dialect, Result, Row, SqlError, ToValue, Value};

/// Lends a connection.
pub(crate) struct Session<'c>(pub(crate) &'c rusqlite::Connection);

impl Connection for Session<'_> {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn execute(&self, sql: &str, values: &[&dyn ToValue]) -> Result<usize> {
        let values = values.iter().map(|value| Bound(value.to_value()));
        self.0
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(params_from_iter(values)))
            .map_err(sort_error)
    }

    fn query(
        &self,
        sql: &str,
        values: &[&dyn ToValue],
        reader: &mut dyn FnMut(&Row<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let values = values.iter().map(|value| Bound(value.to_value()));
        let mut statement = self.0.prepare_cached(sql).map_err(sort_error)?;
        let mut rows = statement
            .query(params_from_iter(values))
            .map_err(sort_error)?;
        while let Some(row) = rows.next().map_err(sort_error)? {
            if reader(&Row::new(&SqliteColumns(row)))?.is_break() {
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

/// The columns of a row of SQLite.
struct SqliteColumns<'r, 's>(&'r rusqlite::Row<'s>);

impl Columns for SqliteColumns<'_, '_> {
    fn count(&self) -> usize {
        self.0.as_ref().column_count()
    }

    fn column(&self, column: usize) -> Result<Value<'_>> {
        Ok(match self.0.get_ref(column).map_err(sort_error)? {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(number) => Value::Integer(number),
            ValueRef::Real(number) => Value::Real(number),
            ValueRef::Text(text) => {
                let text = std::str::from_utf8(text).map_err(|error| SqlError::Column {
                    column,
                    message: format!("a text that is not UTF-8: {error}"),
                })?;
                Value::Text(text)
            }
            ValueRef::Blob(bytes) => Value::Blob(bytes),
        })
    }
}

/// Sorts what SQLite says by what a caller can do about it.
pub(crate) fn sort_error(source: rusqlite::Error) -> SqlError {
    match source.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => SqlError::Busy,
        Some(ErrorCode::DiskFull) => SqlError::DiskFull,
        Some(ErrorCode::ReadOnly) => SqlError::ReadOnly,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => SqlError::Damaged {
            message: source.to_string(),
        },
        _ => match source {
            rusqlite::Error::FromSqlConversionFailure(column, Type::Text, cause) => {
                SqlError::Column {
                    column,
                    message: cause.to_string(),
                }
            }
            source @ (rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)) => SqlError::Damaged {
                message: source.to_string(),
            },
            source => SqlError::Other(Box::new(source)),
        },
    }
}
