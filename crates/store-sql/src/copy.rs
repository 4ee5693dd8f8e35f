//! Copies the rows of a table from one database to another.

use store::StoreError;

use crate::fault::database_fault;
use crate::sql::{Connection, ToValue};
use crate::verify::compare::{Cells, Pages, Table};

/// Rows that are read at once, and written by one statement: some of them may be long.
const ROWS_AT_ONCE: usize = 200;

/// A table whose rows are copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopiedTable {
    /// Its name.
    pub name: String,
    /// Its columns, those of the primary key first and in its order.
    pub columns: Vec<String>,
    /// How many of them are the primary key.
    pub key_length: usize,
}

/// Copies all rows of a table to one that has the same columns, in the order of its primary key; tells how many.
///
/// *Cost*: memory for some hundred rows.
pub fn copy_table(
    table: &CopiedTable,
    from: &dyn Connection,
    to: &dyn Connection,
) -> Result<u64, StoreError> {
    let CopiedTable {
        name,
        columns,
        key_length,
    } = table.clone();
    let table = Table {
        name,
        columns,
        key_length,
    };
    let mut pages = Pages::new(&table, from, ROWS_AT_ONCE);
    let (mut count, mut waiting) = (0, Vec::with_capacity(ROWS_AT_ONCE));
    loop {
        let row = pages
            .next()
            .map_err(database_fault("reading rows to copy"))?;
        let is_last = row.is_none();
        waiting.extend(row);
        if waiting.len() == ROWS_AT_ONCE || (is_last && !waiting.is_empty()) {
            insert(&table, &waiting, to)?;
            count += waiting.len() as u64;
            waiting.clear();
        }
        if is_last {
            return Ok(count);
        }
    }
}

fn insert(table: &Table, rows: &[Cells], to: &dyn Connection) -> Result<(), StoreError> {
    let quoted: Vec<_> = table.columns.iter().map(|name| quote(name)).collect();
    let count = table.columns.len();
    let of_row = |row: usize| {
        let places: Vec<_> = (1..=count)
            .map(|place| format!("?{}", row * count + place))
            .collect();
        format!("({})", places.join(", "))
    };
    let places: Vec<_> = (0..rows.len()).map(of_row).collect();
    let sql = format!(
        "INSERT INTO {} ({}) VALUES {}",
        quote(&table.name),
        quoted.join(", "),
        places.join(", ")
    );
    let values: Vec<&dyn ToValue> = rows
        .iter()
        .flatten()
        .map(|value| value as &dyn ToValue)
        .collect();
    to.change(&sql, values.as_slice())
        .map_err(database_fault("writing copied rows"))
        .map(drop)
}

/// A name as an identifier, whatever it holds.
fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
