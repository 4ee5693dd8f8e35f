//! Turns what PostgreSQL says into what the store says.

use std::error::Error as _;

use store_sql::sql::SqlError;
use tokio_postgres::error::SqlState;

/// Sorts what PostgreSQL says by what a caller can do about it.
pub(crate) fn sort_error(source: tokio_postgres::Error) -> SqlError {
    let Some(state) = source.code().cloned() else {
        return SqlError::Other(Box::new(source));
    };
    let told = || match source.as_db_error() {
        Some(error) => error.message().to_owned(),
        None => source.to_string(),
    };
    match state {
        SqlState::DISK_FULL => SqlError::DiskFull,
        SqlState::READ_ONLY_SQL_TRANSACTION => SqlError::ReadOnly,
        SqlState::LOCK_NOT_AVAILABLE
        | SqlState::QUERY_CANCELED
        | SqlState::T_R_DEADLOCK_DETECTED
        | SqlState::T_R_SERIALIZATION_FAILURE
        | SqlState::TOO_MANY_CONNECTIONS => SqlError::Busy,
        SqlState::PROGRAM_LIMIT_EXCEEDED => SqlError::TooLong { message: told() },
        SqlState::DATA_CORRUPTED | SqlState::INDEX_CORRUPTED => {
            SqlError::Damaged { message: told() }
        }
        _ => SqlError::Other(Box::new(source)),
    }
}

/// Whether the connection is of no use any more.
pub(crate) fn is_cut(error: &tokio_postgres::Error) -> bool {
    if error.is_closed() {
        return true;
    }
    match error.code() {
        Some(state) => matches!(
            *state,
            SqlState::ADMIN_SHUTDOWN
                | SqlState::CRASH_SHUTDOWN
                | SqlState::CANNOT_CONNECT_NOW
                | SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
        ),
        // Not of the server's making: of the network, or of what came over it.
        None => error
            .source()
            .is_some_and(<dyn std::error::Error>::is::<std::io::Error>),
    }
}
