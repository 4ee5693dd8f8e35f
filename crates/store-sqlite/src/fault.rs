//! Turns what SQLite says into what the store says.

use rusqlite::ErrorCode;
use store::StoreError;

/// Names what was being done, and sorts the faults that a caller can act on from the others.
pub(crate) fn database_fault(action: &'static str) -> impl FnOnce(rusqlite::Error) -> StoreError {
    move |source| sort_fault(action, source)
}

pub(crate) fn sort_fault(action: &'static str, source: rusqlite::Error) -> StoreError {
    match source.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy,
        Some(ErrorCode::DiskFull) => StoreError::DiskFull,
        Some(ErrorCode::ReadOnly) => StoreError::ReadOnly,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Damaged {
            message: format!("while {action}: {source}"),
        },
        _ => match source {
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..) => StoreError::Damaged {
                message: format!("while {action}: {source}"),
            },
            source => StoreError::Database {
                action,
                source: Box::new(source),
            },
        },
    }
}

/// What a row holds is not what was written there.
pub(crate) fn damaged(message: impl Into<String>) -> StoreError {
    StoreError::Damaged {
        message: message.into(),
    }
}
