//! Compares two databases with the same tables, row by row in the order of the primary key.
//!
//! Tables and columns come out of the schema itself, so that none can be forgotten.

use std::cmp::Ordering;
use std::fmt::Write as _;

use super::Counting;
use crate::params;
use crate::sql::{Connection, OwnedValue, SqlError};
use store::{RowFault, StoreError};

use crate::fault::database_fault;

/// The first is checked event by event; copies of histories are checked by themselves; the others follow from no event.
const NOT_PROJECTED: &[&str] = &[
    "event",
    "ledger_state",
    "lease",
    "metric_chunk",
    "metric_history",
    "webhook_progress",
    "writer",
];

/// Columns that the rebuilt database leaves empty, since they were checked against their digest.
const CHECKED_BEFORE: &[(&str, &str)] = &[
    ("metric_block", "encoded"),
    ("trace_record", "encoded"),
    ("dataset_text", "encoded"),
];

/// Rows that are read at once.
const PAGE_LENGTH: usize = 4096;

/// Text longer than this is cut in a report.
const LARGEST_SHOWN_LENGTH: usize = 200;

// Of SQLite alone, which is what the rebuilt database is.
const LIST_TABLES: &str = "SELECT name FROM sqlite_schema
    WHERE type = 'table' AND name NOT GLOB 'sqlite_*' ORDER BY name";
const LIST_COLUMNS: &str = "SELECT name, pk FROM pragma_table_info(?1) ORDER BY cid";

/// `expected` is the rebuilt database, which is one of SQLite.
pub(super) fn compare_tables(
    expected: &dyn Connection,
    found: &dyn Connection,
    counting: Counting,
) -> Result<Option<RowFault>, StoreError> {
    let tables: Vec<String> = expected
        .list(LIST_TABLES, params![], |row| row.get(0))
        .map_err(database_fault("reading the schema"))?;
    for name in tables {
        // Databases of two kinds have two histories of their schemas.
        let is_apart = counting == Counting::Events && name == "schema_migration";
        if is_apart || NOT_PROJECTED.contains(&name.as_str()) {
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

pub(crate) struct Table {
    pub(crate) name: String,
    /// Columns of the primary key first.
    pub(crate) columns: Vec<String>,
    pub(crate) key_length: usize,
}

pub(crate) type Cells = Vec<OwnedValue>;

impl Table {
    fn read(connection: &dyn Connection, name: String) -> Result<Self, StoreError> {
        let mut columns: Vec<(String, i64)> = connection
            .list(LIST_COLUMNS, [&name], |row| Ok((row.get(0)?, row.get(1)?)))
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
        expected: &dyn Connection,
        found: &dyn Connection,
    ) -> Result<Option<RowFault>, SqlError> {
        let mut expected = Pages::new(self, expected, PAGE_LENGTH);
        let mut found = Pages::new(self, found, PAGE_LENGTH);
        loop {
            let (left, right) = (expected.next()?, found.next()?);
            let order = match (&left, &right) {
                (None, None) => return Ok(None),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(left), Some(right)) => match self.compare_keys(left, right) {
                    Ordering::Equal if left == right => continue,
                    order => order,
                },
            };
            let left = left.filter(|_| order.is_le());
            let right = right.filter(|_| order.is_ge());
            return Ok(Some(self.fault(left.as_ref(), right.as_ref())));
        }
    }

    fn compare_keys(&self, left: &Cells, right: &Cells) -> Ordering {
        let key = left.iter().zip(right).take(self.key_length);
        key.map(|(left, right)| compare_values(left, right))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }

    fn fault(&self, expected: Option<&Cells>, found: Option<&Cells>) -> RowFault {
        let key = expected.or(found).map_or_else(String::new, |row| {
            let words: Vec<_> = row.iter().take(self.key_length).map(show).collect();
            words.join(", ")
        });
        // The key tells which row it is: of two that differ the rest is told where they do.
        let is_told = |column: &usize| match (expected, found) {
            (Some(expected), Some(found)) => expected[*column] != found[*column],
            _ => true,
        };
        let columns: Vec<_> = (0..self.columns.len()).filter(is_told).collect();
        let in_words = |row: Option<&Cells>| row.map(|row| self.row_in_words(row, &columns));
        RowFault {
            table: self.name.clone(),
            key,
            expected: in_words(expected),
            found: in_words(found),
        }
    }

    fn row_in_words(&self, row: &Cells, columns: &[usize]) -> String {
        let words: Vec<_> = columns
            .iter()
            .map(|&column| format!("{} = {}", self.columns[column], show(&row[column])))
            .collect();
        words.join(", ")
    }
}

/// The rows of a table in the order of its key, some at a time.
pub(crate) struct Pages<'t> {
    table: &'t Table,
    connection: &'t dyn Connection,
    page_length: usize,
    page: std::vec::IntoIter<Cells>,
    last_key: Cells,
    is_over: bool,
}

impl<'t> Pages<'t> {
    pub(crate) fn new(
        table: &'t Table,
        connection: &'t dyn Connection,
        page_length: usize,
    ) -> Self {
        Self {
            table,
            connection,
            page_length,
            page: Vec::new().into_iter(),
            last_key: Vec::new(),
            is_over: false,
        }
    }

    pub(crate) fn next(&mut self) -> Result<Option<Cells>, SqlError> {
        if let Some(row) = self.page.next() {
            return Ok(Some(row));
        }
        if self.is_over {
            return Ok(None);
        }
        let page = self.read()?;
        self.is_over = page.len() < self.page_length;
        if let Some(last) = page.last() {
            self.last_key = last[..self.table.key_length].to_vec();
        }
        self.page = page.into_iter();
        Ok(self.page.next())
    }

    fn read(&self) -> Result<Vec<Cells>, SqlError> {
        let quoted = |columns: &[String]| {
            let columns: Vec<_> = columns.iter().map(|name| format!("\"{name}\"")).collect();
            columns.join(", ")
        };
        let Table {
            name,
            columns,
            key_length,
        } = self.table;
        let key = quoted(&columns[..*key_length]);
        let mut sql = format!("SELECT {} FROM \"{name}\"", quoted(columns));
        if !self.last_key.is_empty() {
            let names: Vec<_> = (1..=*key_length).map(|place| format!("?{place}")).collect();
            write!(sql, " WHERE ({key}) > ({})", names.join(", "))
                .expect("writing to a text does not fail");
        }
        write!(sql, " ORDER BY {key} LIMIT {}", self.page_length)
            .expect("writing to a text does not fail");
        let count = columns.len();
        self.connection.list(&sql, self.last_key.as_slice(), |row| {
            (0..count)
                .map(|column| Ok(OwnedValue::of(row.get_ref(column)?)))
                .collect::<Result<Cells, SqlError>>()
        })
    }
}

/// The order of values in a key: columns hold one type each, and texts are in the order of their bytes.
fn compare_values(left: &OwnedValue, right: &OwnedValue) -> Ordering {
    match (left, right) {
        (OwnedValue::Integer(left), OwnedValue::Integer(right)) => left.cmp(right),
        (OwnedValue::Real(left), OwnedValue::Real(right)) => left.total_cmp(right),
        (OwnedValue::Text(left), OwnedValue::Text(right)) => left.cmp(right),
        (OwnedValue::Blob(left), OwnedValue::Blob(right)) => left.cmp(right),
        (left, right) => rank(left).cmp(&rank(right)),
    }
}

const fn rank(value: &OwnedValue) -> u8 {
    match value {
        OwnedValue::Null => 0,
        OwnedValue::Integer(_) | OwnedValue::Real(_) => 1,
        OwnedValue::Text(_) => 2,
        OwnedValue::Blob(_) => 3,
    }
}

fn show(value: &OwnedValue) -> String {
    match value {
        OwnedValue::Null => "null".to_owned(),
        OwnedValue::Integer(number) => number.to_string(),
        OwnedValue::Real(number) => number.to_string(),
        OwnedValue::Text(text) => match text.char_indices().nth(LARGEST_SHOWN_LENGTH) {
            Some((end, _)) => format!("'{}…'", &text[..end]),
            None => format!("'{text}'"),
        },
        OwnedValue::Blob(bytes) => {
            let mut text = String::from("x'");
            for byte in bytes.iter().take(LARGEST_SHOWN_LENGTH / 2) {
                write!(text, "{byte:02x}").expect("writing to a text does not fail");
            }
            text.push('\'');
            text
        }
    }
}
