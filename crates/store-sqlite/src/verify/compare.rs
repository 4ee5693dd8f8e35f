//! Compares two databases with one schema, row by row in the order of the primary key.
//!
//! Tables and columns come out of the schema itself, so that none can be forgotten.

use std::cmp::Ordering;
use std::fmt::Write as _;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use store::{RowFault, StoreError};

use crate::fault::database_fault;

/// The first is checked event by event; the others follow from no event.
const NOT_PROJECTED: &[&str] = &[
    "event",
    "ledger_state",
    "lease",
    "webhook_progress",
    "writer",
];

/// Columns that the rebuilt database leaves empty, since they were checked against their digest.
const CHECKED_BEFORE: &[(&str, &str)] = &[
    ("metric_block", "encoded"),
    ("trace_record", "encoded"),
    ("dataset_text", "encoded"),
];

/// Text longer than this is cut in a report.
const LARGEST_SHOWN_LENGTH: usize = 200;

statements! {
    LIST_SCHEMA = "SELECT type || ' ' || name, sql FROM sqlite_schema
        WHERE name NOT GLOB 'sqlite_*' ORDER BY type, name";
    LIST_TABLES = "SELECT name FROM sqlite_schema
        WHERE type = 'table' AND name NOT GLOB 'sqlite_*' ORDER BY name";
    LIST_COLUMNS = "SELECT name, pk FROM pragma_table_info(?1) ORDER BY cid";
}

pub(super) fn compare_schemas(
    expected: &Connection,
    found: &Connection,
) -> Result<Option<RowFault>, StoreError> {
    let (expected, found) = (list_schema(expected)?, list_schema(found)?);
    if expected == found {
        return Ok(None);
    }
    let of = |list: &[(String, String)], name: &str| {
        let entry = list.iter().find(|(other, _)| other == name);
        entry.map(|(_, sql)| sql.clone())
    };
    let names = expected.iter().chain(&found).map(|(name, _)| name);
    let fault = names
        .map(|name| RowFault {
            table: "sqlite_schema".to_owned(),
            key: name.clone(),
            expected: of(&expected, name),
            found: of(&found, name),
        })
        .find(|fault| fault.expected != fault.found);
    Ok(fault)
}

fn list_schema(connection: &Connection) -> Result<Vec<(String, String)>, StoreError> {
    connection
        .prepare_cached(LIST_SCHEMA)
        .and_then(|mut statement| {
            statement
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
        })
        .map_err(database_fault("reading the schema"))
}

pub(super) fn compare_tables(
    expected: &Connection,
    found: &Connection,
) -> Result<Option<RowFault>, StoreError> {
    let tables: Vec<String> = expected
        .prepare_cached(LIST_TABLES)
        .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
        .map_err(database_fault("reading the schema"))?;
    for name in tables {
        if NOT_PROJECTED.contains(&name.as_str()) {
            continue;
        }
        let table = Table::read(expected, name)?;
        let fault = table
            .compare(expected, found)
            .map_err(database_fault("comparing rows"))?;
        if fault.is_some() {
            return Ok(fault);
        }
    }
    Ok(None)
}

struct Table {
    name: String,
    /// Columns of the primary key first.
    columns: Vec<String>,
    key_length: usize,
}

impl Table {
    fn read(connection: &Connection, name: String) -> Result<Self, StoreError> {
        let mut columns: Vec<(String, i64)> = connection
            .prepare_cached(LIST_COLUMNS)
            .and_then(|mut statement| {
                statement
                    .query_map([&name], |row| Ok((row.get(0)?, row.get(1)?)))?
                    .collect()
            })
            .map_err(database_fault("reading the schema"))?;
        columns.retain(|(column, _)| !CHECKED_BEFORE.contains(&(name.as_str(), column.as_str())));
        let key_length = columns.iter().filter(|(_, place)| *place > 0).count();
        // The key's columns in its order, then the others, which have no place in it.
        columns.sort_by_key(|(_, place)| if *place == 0 { i64::MAX } else { *place });
        Ok(Self {
            name,
            columns: columns.into_iter().map(|(column, _)| column).collect(),
            key_length,
        })
    }

    fn compare(
        &self,
        expected: &Connection,
        found: &Connection,
    ) -> rusqlite::Result<Option<RowFault>> {
        let key = self.columns[..self.key_length].join(", ");
        let columns = self.columns.join(", ");
        let sql = format!("SELECT {columns} FROM {} ORDER BY {key}", self.name);
        let (mut expected, mut found) = (expected.prepare(&sql)?, found.prepare(&sql)?);
        let (mut expected, mut found) = (expected.query([])?, found.query([])?);
        loop {
            let (left, right) = (expected.next()?, found.next()?);
            let order = match (left, right) {
                (None, None) => return Ok(None),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(left), Some(right)) => match self.compare_keys(left, right)? {
                    Ordering::Equal if self.is_equal(left, right)? => continue,
                    order => order,
                },
            };
            let left = left.filter(|_| order.is_le());
            let right = right.filter(|_| order.is_ge());
            return self.fault(left, right).map(Some);
        }
    }

    fn compare_keys(&self, left: &Row<'_>, right: &Row<'_>) -> rusqlite::Result<Ordering> {
        for column in 0..self.key_length {
            let order = compare_values(left.get_ref(column)?, right.get_ref(column)?);
            if order.is_ne() {
                return Ok(order);
            }
        }
        Ok(Ordering::Equal)
    }

    fn is_equal(&self, left: &Row<'_>, right: &Row<'_>) -> rusqlite::Result<bool> {
        for column in self.key_length..self.columns.len() {
            if left.get_ref(column)? != right.get_ref(column)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn fault(
        &self,
        expected: Option<&Row<'_>>,
        found: Option<&Row<'_>>,
    ) -> rusqlite::Result<RowFault> {
        let key = match expected.or(found) {
            Some(row) => (0..self.key_length)
                .map(|column| row.get_ref(column).map(show))
                .collect::<rusqlite::Result<Vec<_>>>()?
                .join(", "),
            None => String::new(),
        };
        // The key tells which row it is: of two that differ the rest is told where they do.
        let mut columns = Vec::with_capacity(self.columns.len());
        for column in 0..self.columns.len() {
            let is_told = match (expected, found) {
                (Some(expected), Some(found)) => {
                    expected.get_ref(column)? != found.get_ref(column)?
                }
                _ => true,
            };
            columns.extend(is_told.then_some(column));
        }
        let in_words =
            |row: Option<&Row<'_>>| row.map(|row| self.row_in_words(row, &columns)).transpose();
        Ok(RowFault {
            table: self.name.clone(),
            key,
            expected: in_words(expected)?,
            found: in_words(found)?,
        })
    }

    fn row_in_words(&self, row: &Row<'_>, columns: &[usize]) -> rusqlite::Result<String> {
        let mut words = Vec::with_capacity(columns.len());
        for &column in columns {
            let name = &self.columns[column];
            words.push(format!("{name} = {}", show(row.get_ref(column)?)));
        }
        Ok(words.join(", "))
    }
}

/// SQLite's own order of values, as far as one column of a strict table has them.
fn compare_values(left: ValueRef<'_>, right: ValueRef<'_>) -> Ordering {
    match (left, right) {
        (ValueRef::Integer(left), ValueRef::Integer(right)) => left.cmp(&right),
        (ValueRef::Real(left), ValueRef::Real(right)) => left.total_cmp(&right),
        (ValueRef::Text(left), ValueRef::Text(right))
        | (ValueRef::Blob(left), ValueRef::Blob(right)) => left.cmp(right),
        (left, right) => rank(left).cmp(&rank(right)),
    }
}

const fn rank(value: ValueRef<'_>) -> u8 {
    match value {
        ValueRef::Null => 0,
        ValueRef::Integer(_) | ValueRef::Real(_) => 1,
        ValueRef::Text(_) => 2,
        ValueRef::Blob(_) => 3,
    }
}

fn show(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "null".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) => {
            let text = String::from_utf8_lossy(text);
            match text.char_indices().nth(LARGEST_SHOWN_LENGTH) {
                Some((end, _)) => format!("'{}…'", &text[..end]),
                None => format!("'{text}'"),
            }
        }
        ValueRef::Blob(bytes) => {
            let mut text = String::from("x'");
            for byte in bytes.iter().take(LARGEST_SHOWN_LENGTH / 2) {
                write!(text, "{byte:02x}").expect("writing to a text does not fail");
            }
            text.push('\'');
            text
        }
    }
}
