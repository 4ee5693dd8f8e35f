//! Rows that wait for more of their statement.
//!
//! A statement costs the server about the same for one row as for ten, and for one table as for two. So the rows that the
//! commits of a group add are held back, and go as one statement, before anything else is asked.

use std::collections::BTreeSet;
use std::sync::Arc;

use store_sql::AddRows;
use store_sql::sql::{OwnedValue, Result, ToValue, Value};
use tokio_postgres::Statement;

use super::{Session, bound, bound_lists, list_references, references};

/// Bytes that are held at most, so that a group of large commits does not stand in memory twice.
const LARGEST_BYTES: usize = 1 << 20;

/// What is held of all statements, in the order in which they came first.
#[derive(Debug, Default)]
pub(super) struct Held {
    all: Vec<HeldRows>,
    bytes: usize,
}

/// The rows of one statement.
#[derive(Debug)]
pub(super) struct HeldRows {
    statement: &'static AddRows,
    /// Row after row.
    values: Vec<OwnedValue>,
    /// What their keys are, where two that are the same cannot go together.
    keys: BTreeSet<Vec<u8>>,
}

impl Held {
    /// Holds rows with those that are; false where one of them has the same key, or there is no room for more.
    pub(super) fn try_hold(
        &mut self,
        statement: &'static AddRows,
        values: &[&dyn ToValue],
    ) -> bool {
        if self.bytes >= LARGEST_BYTES {
            return false;
        }
        let place = self
            .all
            .iter()
            .position(|rows| std::ptr::eq(rows.statement, statement));
        let place = place.unwrap_or_else(|| {
            self.all.push(HeldRows {
                statement,
                values: Vec::new(),
                keys: BTreeSet::new(),
            });
            self.all.len() - 1
        });
        let rows = &mut self.all[place];
        let keys: Vec<_> = keys_of(statement, values).collect();
        if keys.iter().any(|key| rows.keys.contains(key)) {
            return false;
        }
        rows.keys.extend(keys);
        for value in values {
            let value = value.to_value();
            self.bytes += size_of::<OwnedValue>() + length(value);
            rows.values.push(OwnedValue::of(value));
        }
        true
    }

    fn take(&mut self) -> Vec<HeldRows> {
        self.bytes = 0;
        std::mem::take(&mut self.all)
    }
}

impl Session {
    /// Sends the rows that were held back.
    pub(super) fn release(&self) -> Result<()> {
        let mut held = self.held.borrow_mut().take();
        match held.as_slice() {
            [] => return Ok(()),
            [one] if one.values.len() == one.statement.columns() => {
                let of_one = self.prepare(one.statement.of_one())?;
                let values = held.remove(0).values;
                let client = Arc::clone(&self.client);
                return self.send_later(Box::pin(async move {
                    let bound = bound(&values);
                    client.query(&of_one, &references(&bound)).await.map(drop)
                }));
            }
            _ => {}
        }
        // The same tables give the same text, whichever came first.
        held.sort_by_key(|rows| rows.statement.of_one());
        let sources: Vec<_> = held.iter().map(|rows| rows.statement).collect();
        let statement = self.prepare_together(&sources)?;
        let lists: Vec<_> = held
            .into_iter()
            .flat_map(|rows| transpose(rows.values, rows.statement.columns()))
            .collect();
        let client = Arc::clone(&self.client);
        self.send_later(Box::pin(async move {
            let bound = bound_lists(&lists);
            client
                .query(&statement, &list_references(&bound))
                .await
                .map(drop)
        }))
    }

    /// One statement that adds rows to several tables; it takes a list for each of their columns.
    pub(crate) fn prepare_together(&self, sources: &[&'static AddRows]) -> Result<Statement> {
        let mut number = 0;
        let mut parts = Vec::with_capacity(sources.len());
        for source in sources {
            let of_one = self.prepare(source.of_one())?;
            let lists: Vec<_> = of_one
                .params()
                .iter()
                .map(|kind| {
                    number += 1;
                    format!("?{number}::{}[]", kind.name())
                })
                .collect();
            parts.push(source.with(&format!("SELECT * FROM unnest({})", lists.join(", "))));
        }
        let last = parts.pop().unwrap_or_default();
        let before: Vec<_> = parts
            .iter()
            .enumerate()
            .map(|(place, part)| format!("added_{place} AS ({part})"))
            .collect();
        if before.is_empty() {
            return self.prepare(&last);
        }
        self.prepare(&format!("WITH {} {last}", before.join(", ")))
    }
}

/// The values of rows, row after row, as a list for each column.
fn transpose(values: Vec<OwnedValue>, columns: usize) -> Vec<Vec<OwnedValue>> {
    let count = values.len() / columns;
    let mut lists: Vec<Vec<OwnedValue>> = (0..columns).map(|_| Vec::with_capacity(count)).collect();
    for (place, value) in values.into_iter().enumerate() {
        lists[place % columns].push(value);
    }
    lists
}

/// The values of the key of each row, so that no two different ones give the same bytes.
fn keys_of<'v>(
    statement: &AddRows,
    values: &'v [&dyn ToValue],
) -> impl Iterator<Item = Vec<u8>> + use<'v> {
    let key = statement.key();
    let rows = values.chunks(statement.columns());
    let keyed = rows.filter(move |_| key > 0);
    keyed.map(move |row| {
        let mut bytes = Vec::new();
        for value in &row[..key] {
            let value = value.to_value();
            match value {
                Value::Null => bytes.push(0),
                Value::Integer(number) => {
                    bytes.push(1);
                    bytes.extend(number.to_be_bytes());
                }
                Value::Real(number) => {
                    bytes.push(2);
                    bytes.extend(number.to_be_bytes());
                }
                Value::Text(text) => add_bytes(&mut bytes, 3, text.as_bytes()),
                Value::Blob(blob) => add_bytes(&mut bytes, 4, blob),
            }
        }
        bytes
    })
}

fn add_bytes(key: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    key.push(kind);
    key.extend((bytes.len() as u64).to_be_bytes());
    key.extend(bytes);
}

const fn length(value: Value<'_>) -> usize {
    match value {
        Value::Null | Value::Integer(_) | Value::Real(_) => 0,
        Value::Text(text) => text.len(),
        Value::Blob(bytes) => bytes.len(),
    }
}
