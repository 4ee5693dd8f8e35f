//! Turns what SQLite says into what the store says.

use store::StoreError;

use crate::session::sort_error;

pub(crate) use store_sql::damaged;

/// Names what was being done, and sorts the faults that a caller can act on from the others.
pub(crate) fn database_fault(action: &'static str) -> impl FnOnce(rusqlite::Error) -> StoreError {
    move |source| sort_fault(action, source)
}

pub(crate) fn sort_fault(action: &'static str, source: rusqlite::Error) -> StoreError {
    store_sql::database_fault(action)(sort_error(source))
}
