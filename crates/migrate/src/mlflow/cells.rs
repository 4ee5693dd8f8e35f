//! Cells of tables that are read whatever they hold: a column of SQLite may hold anything.

use store_sql::sql::{Row, SqlError, Value};

/// A row whose columns are found by the names under which they were selected.
#[derive(Clone, Copy)]
pub(super) struct Cells<'r> {
    pub(super) row: &'r Row<'r>,
    pub(super) columns: &'r [&'static str],
}

impl Cells<'_> {
    /// A text; a number that stands in its place is one too.
    pub(super) fn text(&self, column: &str) -> Result<Option<String>, String> {
        match self.value(column)? {
            Value::Null => Ok(None),
            Value::Integer(number) => Ok(Some(number.to_string())),
            Value::Text(text) => Ok(Some(text.to_owned())),
            _ => Err(format!("its `{column}` is no text")),
        }
    }

    /// A text that must be there.
    pub(super) fn some_text(&self, column: &str) -> Result<String, String> {
        self.text(column)?
            .ok_or_else(|| format!("its `{column}` is missing"))
    }

    /// A whole number.
    pub(super) fn integer(&self, column: &str) -> Result<Option<i64>, String> {
        match self.value(column)? {
            Value::Null => Ok(None),
            Value::Integer(number) => Ok(Some(number)),
            _ => Err(format!("its `{column}` is no whole number")),
        }
    }

    /// A whole number that must be there.
    pub(super) fn some_integer(&self, column: &str) -> Result<i64, String> {
        self.integer(column)?
            .ok_or_else(|| format!("its `{column}` is missing"))
    }

    /// A number; one that JSON does not have is none.
    pub(super) fn number(&self, column: &str) -> Result<Option<f64>, String> {
        let number = match self.value(column)? {
            Value::Null => return Ok(None),
            Value::Integer(number) => number as f64,
            Value::Real(number) => number,
            _ => return Err(format!("its `{column}` is no number")),
        };
        Ok(Some(number).filter(|number| number.is_finite()))
    }

    fn value(&self, column: &str) -> Result<Value<'_>, String> {
        let place = self.columns.iter().position(|known| *known == column);
        let place = place.expect("a column is read where it was selected");
        self.row.get_ref(place).map_err(|error| match error {
            SqlError::Column { message, .. } => format!("its `{column}` cannot be read: {message}"),
            error => format!("its `{column}` cannot be read: {error}"),
        })
    }
}
