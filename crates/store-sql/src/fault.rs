//! Turns what a database says into what the store says.

use store::StoreError;

use crate::sql::SqlError;

/// Names what was being done, and sorts the faults that a caller can act on from the others.
pub fn database_fault(action: &'static str) -> impl FnOnce(SqlError) -> StoreError {
    move |source| {
        match source {
        SqlError::Busy => StoreError::Busy,
        SqlError::DiskFull => StoreError::DiskFull,
        SqlError::ReadOnly => StoreError::ReadOnly,
        SqlError::TooLong { .. } => StoreError::Query {
            message: "a name, key or path is longer than the database can keep, which is about 2600 bytes"
                .to_owned(),
        },
        SqlError::Damaged { .. } | SqlError::Column { .. } => StoreError::Damaged {
            message: format!("while {action}: {source}"),
        },
        SqlError::Other(source) => StoreError::Database { action, source },
    }
    }
}

/// What a row holds is not what was written there.
pub fn damaged(message: impl Into<String>) -> StoreError {
    StoreError::Damaged {
        message: message.into(),
    }
}
