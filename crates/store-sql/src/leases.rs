//! Who may do what only one may do at a time.

use store::StoreError;

use crate::fault::database_fault;
use crate::params;
use crate::sql::Connection;

statements! {
    TAKE_LEASE = "INSERT INTO lease (name, holder, expires_at) VALUES (?1, ?2, ?4)
        ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
        WHERE lease.holder = excluded.holder OR lease.expires_at <= ?3";
    RELEASE_LEASE = "DELETE FROM lease WHERE name = ?1 AND holder = ?2";
}

/// A lease as it is asked for, in microseconds.
pub(crate) struct LeaseRequest {
    pub(crate) name: String,
    pub(crate) holder: String,
    pub(crate) now: i64,
    pub(crate) expires_at: i64,
}

/// Takes a lease that nobody holds, or whose holder's time is over, or that this holder has; tells whether it did.
pub(crate) fn take_lease(
    connection: &dyn Connection,
    lease: &LeaseRequest,
) -> Result<bool, StoreError> {
    let LeaseRequest {
        name,
        holder,
        now,
        expires_at,
    } = lease;
    connection
        .change(TAKE_LEASE, params![name, holder, now, expires_at])
        .map(|taken| taken > 0)
        .map_err(database_fault("taking a lease"))
}

pub(crate) fn release_lease(
    connection: &dyn Connection,
    name: &str,
    holder: &str,
) -> Result<(), StoreError> {
    connection
        .change(RELEASE_LEASE, [name, holder])
        .map(drop)
        .map_err(database_fault("giving a lease back"))
}
