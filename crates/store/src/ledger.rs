//! What the ledger needs of a store.

use async_trait::async_trait;
use entities::{Leaf, Timestamp};

use crate::StoreError;

/// An event as it was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its place in the whole ledger, once it is sequenced.
    pub index: Option<u64>,
    /// The exact bytes of its leaf.
    pub leaf: Vec<u8>,
    /// The salt of its commitment.
    pub salt: [u8; 32],
    /// The exact bytes of its body.
    pub body: Vec<u8>,
}

/// What a caller gets for a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The leaf of the event.
    pub leaf: Leaf,
}

/// How far the ledger is: each number counts events from the first.
///
/// Always `signed <= integrated <= sequenced <= committed`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LedgerProgress {
    /// Durable in the database with the rows they describe.
    pub committed: u64,
    /// Given a place in the tree.
    pub sequenced: u64,
    /// Written into tiles.
    pub integrated: u64,
    /// Covered by a signed checkpoint.
    pub signed: u64,
}

/// A row that does not follow from the events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowFault {
    /// The table.
    pub table: String,
    /// Its primary key, as text.
    pub key: String,
    /// The row that the events give, as text, or where both are there what differs of it; none where there should be
    /// no row.
    pub expected: Option<String>,
    /// The same of the row that is there; none where it is missing.
    pub found: Option<String>,
}

/// Events and their way into the tree.
#[async_trait]
pub trait LedgerStore: Send + Sync {
    /// How far the ledger is.
    async fn ledger_progress(&self) -> Result<LedgerProgress, StoreError>;

    /// Gives every committed event without a place the next places, in an order that keeps each writer's own;
    /// returns how many have one now. Only the holder of the lease may call it.
    async fn sequence(&self) -> Result<u64, StoreError>;

    /// Notes that the first `integrated` events stand in tiles and the first `signed` under a checkpoint.
    async fn note_published(&self, integrated: u64, signed: u64) -> Result<(), StoreError>;

    /// Events from a place on, in order, at most `limit`.
    async fn list_events(
        &self,
        from_index: u64,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError>;

    /// Events of a subject, newest first, at most `limit`.
    async fn list_events_of(
        &self,
        subject: &str,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError>;

    /// Takes a lease that nobody holds, or whose holder's time is over, or that this holder has; tells whether it did.
    async fn take_lease(
        &self,
        name: &str,
        holder: &str,
        now: Timestamp,
        duration_ms: u64,
    ) -> Result<bool, StoreError>;

    /// Gives a lease back.
    async fn release_lease(&self, name: &str, holder: &str) -> Result<(), StoreError>;

    /// Applies all sequenced events to an empty database and compares every row; the first difference, if any.
    /// Checks each body against its leaf and each metric block against its digest on the way.
    ///
    /// *Cost*: time and memory of a second database of the same size.
    async fn verify_projection(&self) -> Result<Option<RowFault>, StoreError>;
}
