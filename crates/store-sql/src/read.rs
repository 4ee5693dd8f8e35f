//! Reads rows back as entities.

mod access;
mod artifacts;
mod datasets;
mod experiments;
pub(crate) mod issues;
mod label_schemas;
mod metrics;
mod models;
mod registry;
pub(crate) mod removal;
pub(crate) mod runs;
mod scorers;
pub(crate) mod traces;
mod webhooks;

use crate::sql::{self, Connection, Row, Values};
use store::StoreError;

use crate::fault::database_fault;

/// The first row, where there is one.
fn find_row<T>(
    connection: &dyn Connection,
    sql: &str,
    values: impl Values,
    read: impl FnOnce(&Row<'_>) -> sql::Result<T>,
) -> Result<Option<T>, StoreError> {
    connection
        .find(sql, values, read)
        .map_err(database_fault("reading a row"))
}

/// All rows, collected.
fn list_rows<T, C: FromIterator<T>>(
    connection: &dyn Connection,
    sql: &str,
    values: impl Values,
    read: impl FnMut(&Row<'_>) -> sql::Result<T>,
) -> Result<C, StoreError> {
    connection
        .list(sql, values, read)
        .map_err(database_fault("reading rows"))
}

/// Every statement of this module, by its name.
pub(crate) fn all_statements() -> Vec<(&'static str, &'static str)> {
    [
        access::ALL,
        artifacts::ALL,
        datasets::ALL,
        experiments::ALL,
        issues::ALL,
        label_schemas::ALL,
        metrics::ALL,
        models::ALL,
        registry::ALL,
        removal::ALL,
        runs::ALL,
        scorers::ALL,
        traces::ALL,
        webhooks::ALL,
    ]
    .concat()
}
