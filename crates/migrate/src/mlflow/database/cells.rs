//! Cells of tables that are read whatever they hold: a column of SQLite may hold anything.

use rusqlite::Row;
use rusqlite::types::ValueRef;

/// A text; a number that stands in its place is one too.
pub(super) fn text_at(row: &Row<'_>, column: &str) -> Result<Option<String>, String> {
    match row.get_ref(column) {
        Ok(ValueRef::Null) => Ok(None),
        Ok(ValueRef::Integer(number)) => Ok(Some(number.to_string())),
        Ok(ValueRef::Text(bytes)) => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Some(text.to_owned())),
            Err(_) => Err(format!("its `{column}` is not UTF-8")),
        },
        _ => Err(format!("its `{column}` is no text")),
    }
}

/// A text that must be there.
pub(super) fn some_text_at(row: &Row<'_>, column: &str) -> Result<String, String> {
    text_at(row, column)?.ok_or_else(|| format!("its `{column}` is missing"))
}

/// A whole number.
pub(super) fn integer_at(row: &Row<'_>, column: &str) -> Result<Option<i64>, String> {
    match row.get_ref(column) {
        Ok(ValueRef::Null) => Ok(None),
        Ok(ValueRef::Integer(number)) => Ok(Some(number)),
        _ => Err(format!("its `{column}` is no whole number")),
    }
}

/// A whole number that must be there.
pub(super) fn some_integer_at(row: &Row<'_>, column: &str) -> Result<i64, String> {
    integer_at(row, column)?.ok_or_else(|| format!("its `{column}` is missing"))
}

/// A number; one that JSON does not have is none.
pub(super) fn number_at(row: &Row<'_>, column: &str) -> Result<Option<f64>, String> {
    let number = match row.get_ref(column) {
        Ok(ValueRef::Null) => return Ok(None),
        Ok(ValueRef::Integer(number)) => number as f64,
        Ok(ValueRef::Real(number)) => number,
        _ => return Err(format!("its `{column}` is no number")),
    };
    Ok(Some(number).filter(|number| number.is_finite()))
}
