//! Reads rows back as entities.

mod artifacts;
mod datasets;
mod experiments;
mod ledger;
mod metrics;
mod models;
mod registry;
mod runs;
mod scorers;
pub(crate) mod traces;
mod webhooks;

use rusqlite::{Connection, OptionalExtension as _, Params, Row};
use store::StoreError;

use crate::fault::database_fault;

/// The first row, where there is one.
fn find_row<T>(
    connection: &Connection,
    sql: &str,
    values: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>, StoreError> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row(values, read).optional())
        .map_err(database_fault("reading a row"))
}

/// All rows, collected.
fn list_rows<T, C: FromIterator<T>>(
    connection: &Connection,
    sql: &str,
    values: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<C, StoreError> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_map(values, read)?.collect())
        .map_err(database_fault("reading rows"))
}

#[cfg(test)]
pub(crate) fn all_statements() -> Vec<(&'static str, &'static str)> {
    [
        artifacts::ALL,
        datasets::ALL,
        experiments::ALL,
        ledger::ALL,
        metrics::ALL,
        models::ALL,
        registry::ALL,
        runs::ALL,
        scorers::ALL,
        traces::ALL,
        webhooks::ALL,
    ]
    .concat()
}
