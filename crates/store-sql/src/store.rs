//! A store over any database that can carry out what this room asks.

use std::ops::Deref;

use async_trait::async_trait;
use entities::{Commit, Timestamp};
use store::{LedgerProgress, LedgerStore, Receipt, RowFault, Store, StoreError, StoredEvent};
use tracing::{Instrument as _, Span};

use crate::fault::{damaged, database_fault};
use crate::history::Backlog;
use crate::leases::{LeaseRequest, release_lease, take_lease};
use crate::ledger::{LedgerStatements, find_progress, list_events, list_events_of, note_published};
use crate::params;
use crate::search::SearchReach;
use crate::sql::{Connection, Dialect};

/// A database: where work is carried out, and what each does in its own way.
pub trait Backend: Send + Sync + 'static {
    /// Which words the database has.
    fn dialect(&self) -> Dialect;

    /// What it says of its ledger.
    fn ledger(&self) -> LedgerStatements;

    /// Reads, all in one state of the database.
    fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> impl Future<Output = Result<T, StoreError>> + Send;

    /// As `read`, for a row that is found by its key and the few that belong to it; it may be done where others wait for it,
    /// and is done again elsewhere where it has to wait itself.
    fn read_row<T: Send + 'static>(
        &self,
        work: impl Fn(&dyn Connection) -> Result<T, StoreError> + Send + Sync + 'static,
    ) -> impl Future<Output = Result<T, StoreError>> + Send {
        self.read(work)
    }

    /// Writes what is no event, in one transaction.
    fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> impl Future<Output = Result<T, StoreError>> + Send;

    /// As `Store::commit`.
    fn commit(&self, commit: Commit) -> impl Future<Output = Result<Receipt, StoreError>> + Send;

    /// As `LedgerStore::sequence`.
    fn sequence(&self) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// As `LedgerStore::verify_projection`.
    fn verify_projection(
        &self,
    ) -> impl Future<Output = Result<Option<RowFault>, StoreError>> + Send;
}

/// The metadata database, on one of the databases.
#[derive(Debug)]
pub struct SqlStore<B> {
    backend: B,
    reach: SearchReach,
    backlog: Backlog,
}

statements! {
    FIND_VERIFIER_KEY = "SELECT verifier_key FROM ledger_identity WHERE id = 1";
    FIND_ORIGIN = "SELECT origin FROM ledger_identity WHERE id = 1";
}

impl<B: Backend> SqlStore<B> {
    /// The store that is kept there.
    pub fn new(backend: B) -> Self {
        Self {
            backend,
            reach: SearchReach::DEFAULT,
            backlog: Backlog::default(),
        }
    }

    /// The same store, with searches that look as far as this before they take another way.
    #[must_use]
    pub fn with_search_reach(self, reach: SearchReach) -> Self {
        Self { reach, ..self }
    }

    /// The public key of the ledger, in the text form of signed notes; a store without its first commit is damaged.
    pub async fn verifier_key(&self) -> Result<String, StoreError> {
        self.get_identity(FIND_VERIFIER_KEY).await
    }

    /// The origin line of the ledger's checkpoints; a store without its first commit is damaged.
    pub async fn origin(&self) -> Result<String, StoreError> {
        self.get_identity(FIND_ORIGIN).await
    }

    async fn get_identity(&self, sql: &'static str) -> Result<String, StoreError> {
        self.backend
            .read(move |connection| {
                connection
                    .find(sql, params![], |row| row.get(0))
                    .map_err(database_fault("reading the ledger's identity"))?
                    .ok_or_else(|| {
                        damaged("its first commit is missing, so that its ledger has no key")
                    })
            })
            .await
    }
}

impl<B: Backend> SqlStore<B> {
    /// How searches are made.
    pub(crate) fn searching(&self) -> (Dialect, SearchReach) {
        (self.backend.dialect(), self.reach)
    }

    /// The histories of metrics that this process has made long.
    pub(crate) const fn backlog(&self) -> &Backlog {
        &self.backlog
    }

    /// As `Backend::read`, as a step of whatever asks.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.backend.read(work).instrument(self.reading()).await
    }

    /// As `Backend::read_row`, as a step of whatever asks.
    pub(crate) async fn read_row<T: Send + 'static>(
        &self,
        work: impl Fn(&dyn Connection) -> Result<T, StoreError> + Send + Sync + 'static,
    ) -> Result<T, StoreError> {
        let span = self.reading();
        self.backend.read_row(work).instrument(span).await
    }

    fn reading(&self) -> Span {
        step(|| {
            tracing::info_span!(
                "store.read",
                otel.kind = "client",
                db.system.name = self.dialect().name(),
            )
        })
    }

    /// As `Backend::write`, as a step of whatever asks.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let span = step(|| {
            tracing::info_span!(
                "store.write",
                otel.kind = "client",
                db.system.name = self.dialect().name(),
            )
        });
        self.backend.write(work).instrument(span).await
    }
}

impl<B> Deref for SqlStore<B> {
    type Target = B;

    fn deref(&self) -> &B {
        &self.backend
    }
}

#[async_trait]
impl<B: Backend> Store for SqlStore<B> {
    async fn commit(&self, commit: Commit) -> Result<Receipt, StoreError> {
        let span = step(|| {
            tracing::info_span!(
                "store.commit",
                otel.kind = "client",
                db.system.name = self.dialect().name(),
                reproof.event.kind = commit.kind,
            )
        });
        let logged = Backlog::count(&commit.changes);
        let receipt = self.backend.commit(commit).instrument(span).await?;
        self.backlog.note(logged);
        Ok(receipt)
    }
}

#[async_trait]
impl<B: Backend> LedgerStore for SqlStore<B> {
    async fn ledger_progress(&self) -> Result<LedgerProgress, StoreError> {
        let statements = self.ledger();
        self.read(move |connection| find_progress(connection, &statements))
            .await
    }

    async fn sequence(&self) -> Result<u64, StoreError> {
        self.backend.sequence().await
    }

    async fn note_published(&self, integrated: u64, signed: u64) -> Result<(), StoreError> {
        let statements = self.ledger();
        self.write(move |connection| note_published(connection, &statements, integrated, signed))
            .await
    }

    async fn list_events(
        &self,
        from_index: u64,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let statements = self.ledger();
        self.read(move |connection| list_events(connection, &statements, from_index, limit))
            .await
    }

    async fn list_events_of(
        &self,
        subject: &str,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let (statements, subject) = (self.ledger(), subject.to_owned());
        self.read(move |connection| list_events_of(connection, &statements, &subject, limit))
            .await
    }

    async fn take_lease(
        &self,
        name: &str,
        holder: &str,
        now: Timestamp,
        duration_ms: u64,
    ) -> Result<bool, StoreError> {
        let duration_micros = i64::try_from(duration_ms.saturating_mul(1000)).unwrap_or(i64::MAX);
        let lease = LeaseRequest {
            name: name.to_owned(),
            holder: holder.to_owned(),
            now: now.as_micros(),
            expires_at: now.as_micros().saturating_add(duration_micros),
        };
        self.write(move |connection| take_lease(connection, &lease))
            .await
    }

    async fn release_lease(&self, name: &str, holder: &str) -> Result<(), StoreError> {
        let (name, holder) = (name.to_owned(), holder.to_owned());
        self.write(move |connection| release_lease(connection, &name, &holder))
            .await
    }

    async fn verify_projection(&self) -> Result<Option<RowFault>, StoreError> {
        self.backend.verify_projection().await
    }
}

/// The span of a step of something larger; what is done in the background, again and again, has none.
fn step(make: impl FnOnce() -> Span) -> Span {
    if Span::current().is_none() {
        Span::none()
    } else {
        make()
    }
}
