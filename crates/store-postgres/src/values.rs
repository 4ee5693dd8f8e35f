//! Values on their way into statements and out of rows.
//!
//! PostgreSQL's texts cannot hold the null character, which Unicode, JSON and SQLite can. It and the character after it
//! are written as two, in such a way that texts keep their order.

use std::borrow::Cow;
use std::error::Error;

use bytes::{BufMut as _, BytesMut};
use store_sql::sql::{Columns, Result, SqlError, Value};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

/// Begins the two characters.
const ESCAPE: char = '\u{1}';

/// A value of a statement.
#[derive(Debug)]
pub(crate) struct Bound<'v>(pub(crate) Value<'v>);

type Fault = Box<dyn Error + Sync + Send>;

impl ToSql for Bound<'_> {
    fn to_sql(&self, wanted: &Type, out: &mut BytesMut) -> std::result::Result<IsNull, Fault> {
        match self.0 {
            Value::Null => return Ok(IsNull::Yes),
            Value::Integer(number) => match *wanted {
                Type::INT8 => out.put_i64(number),
                Type::INT4 => out.put_i32(number.try_into()?),
                Type::FLOAT8 => out.put_f64(number as f64),
                Type::BOOL => out.put_u8(u8::from(number != 0)),
                _ => return Err(unfit("a whole number", wanted)),
            },
            Value::Real(number) => match *wanted {
                Type::FLOAT8 => out.put_f64(number),
                _ => return Err(unfit("a floating-point number", wanted)),
            },
            Value::Text(text) => match *wanted {
                Type::TEXT | Type::VARCHAR | Type::NAME | Type::UNKNOWN => {
                    out.put_slice(escape(text).as_bytes());
                }
                _ => return Err(unfit("a text", wanted)),
            },
            Value::Blob(bytes) => match *wanted {
                Type::BYTEA => out.put_slice(bytes),
                _ => return Err(unfit("bytes", wanted)),
            },
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

fn unfit(noun: &str, wanted: &Type) -> Fault {
    format!("{noun} was given where the statement has {wanted}").into()
}

/// What a column holds, as it came.
enum Cell<'r> {
    Null,
    Integer(i64),
    Real(f64),
    Text(Cow<'r, str>),
    Blob(&'r [u8]),
}

impl<'r> FromSql<'r> for Cell<'r> {
    fn from_sql(kind: &Type, raw: &'r [u8]) -> std::result::Result<Self, Fault> {
        Ok(match *kind {
            Type::INT8 => Self::Integer(i64::from_be_bytes(raw.try_into()?)),
            Type::INT4 => Self::Integer(i32::from_be_bytes(raw.try_into()?).into()),
            Type::INT2 => Self::Integer(i16::from_be_bytes(raw.try_into()?).into()),
            Type::BOOL => Self::Integer(raw.first().is_some_and(|byte| *byte != 0).into()),
            Type::FLOAT8 => Self::Real(f64::from_be_bytes(raw.try_into()?)),
            Type::BYTEA => Self::Blob(raw),
            Type::TEXT | Type::VARCHAR | Type::NAME => {
                Self::Text(unescape(std::str::from_utf8(raw)?))
            }
            _ => return Err(format!("no column of a store holds {kind}").into()),
        })
    }

    fn from_sql_null(_: &Type) -> std::result::Result<Self, Fault> {
        Ok(Self::Null)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// The columns of a row of PostgreSQL.
pub(crate) struct PostgresColumns<'r>(Vec<Cell<'r>>);

impl<'r> PostgresColumns<'r> {
    pub(crate) fn of(row: &'r tokio_postgres::Row) -> Result<Self> {
        let cells = (0..row.len()).map(|column| {
            row.try_get(column).map_err(|error| SqlError::Column {
                column,
                message: match error.source() {
                    Some(cause) => cause.to_string(),
                    None => error.to_string(),
                },
            })
        });
        cells.collect::<Result<_>>().map(Self)
    }
}

impl Columns for PostgresColumns<'_> {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn column(&self, column: usize) -> Result<Value<'_>> {
        Ok(match self.0.get(column) {
            Some(Cell::Null) => Value::Null,
            Some(Cell::Integer(number)) => Value::Integer(*number),
            Some(Cell::Real(number)) => Value::Real(*number),
            Some(Cell::Text(text)) => Value::Text(text),
            Some(Cell::Blob(bytes)) => Value::Blob(bytes),
            None => {
                return Err(SqlError::Column {
                    column,
                    message: format!("the row has {} columns", self.0.len()),
                });
            }
        })
    }
}

fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['\0', ESCAPE]) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\0' => escaped.extend([ESCAPE, '\u{1}']),
            ESCAPE => escaped.extend([ESCAPE, '\u{2}']),
            other => escaped.push(other),
        }
    }
    Cow::Owned(escaped)
}

fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains(ESCAPE) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, character == ESCAPE) {
            (_, false) => plain.push(character),
            (_, true) => match characters.next() {
                Some('\u{1}') => plain.push('\0'),
                Some('\u{2}') | None => plain.push(ESCAPE),
                // Nothing here writes this; it is shown as it is.
                Some(other) => plain.extend([ESCAPE, other]),
            },
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_survives_in_order_and_none_holds_a_null_character() {
        let mut texts = [
            "",
            "plain",
            "a\0b",
            "ab",
            "a",
            "\0",
            "\u{1}",
            "\u{1}\u{1}",
            "\u{1}\u{2}",
            "\u{2}",
            "\0\u{1}\0 0 1",
            "\0\0",
            "\0b",
        ];
        texts.sort_unstable();
        for text in texts {
            let escaped = escape(text);
            assert!(!escaped.contains('\0'), "{text:?}");
            assert_eq!(unescape(&escaped), text);
        }
        assert!(texts.map(|text| escape(text).into_owned()).is_sorted());
    }
}
