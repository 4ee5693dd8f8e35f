//! The store: a thread that writes events, a few connections for the rest, and what a `Backend` does.

use std::sync::{Arc, Mutex, PoisonError};

use entities::{Commit, Random};
use store::{Receipt, RowFault, StoreError};
use store_sql::sql::{Connection, Dialect, ToValue};
use store_sql::{Backend, LedgerStatements, SqlStore, damaged, database_fault, params, statements};
use tokio::sync::Semaphore;

use crate::address::PostgresAddress;
use crate::connecting::Connecting;
use crate::ledger;
use crate::locks::Locks;
use crate::migrations::{find_version, known_version, migrate};
use crate::session::Session;
use crate::verify;
use crate::writer::Writer;

/// Connections beside the writer's; whoever needs a further one waits.
const CONNECTION_COUNT: usize = 8;

statements! {
    COUNT_MLFLOW_TABLES = "SELECT COUNT(*) FROM pg_tables
        WHERE schemaname = 'public' AND tablename IN ('alembic_version', 'experiments')";
    COUNT_STORES = "SELECT COUNT(*) FROM pg_tables WHERE schemaname = ?1 AND tablename = 'ledger_identity'";
    COUNT_IDENTITIES = "SELECT COUNT(*) FROM ledger_identity";
}

/// The metadata store in a database of PostgreSQL.
pub type PostgresStore = SqlStore<Postgres>;

/// A schema of a database with the tables of a store.
pub struct Postgres {
    address: PostgresAddress,
    /// None where it may only be read, or its schema is newer than this program, which then only reads it.
    writer: Option<Writer>,
    pool: Arc<Pool>,
    permits: Arc<Semaphore>,
    newer_version: Option<u32>,
}

/// What may be done to a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing but to read it.
    Read,
    /// Everything, where its schema is there.
    Write,
    /// Everything; a missing schema is made.
    Create,
}

/// How a store is opened.
#[derive(Clone)]
pub struct OpenOptions {
    /// Draws the salts of events, and the ids of new writers.
    pub random: Arc<dyn Random>,
    /// What may be done to it.
    pub access: Access,
}

impl Postgres {
    /// Connects, and makes or migrates the schema where needed.
    ///
    /// One that a newer version made is opened for reading only: then `commit` says `StoreError::Newer`.
    ///
    /// *Errors*: `Query` where the database does not keep texts in UTF8; `Unreachable` where the server is not; `ReadOnly`
    /// where it may only be read and would have to be migrated.
    pub async fn open(
        address: PostgresAddress,
        options: OpenOptions,
    ) -> Result<PostgresStore, StoreError> {
        let connecting = address.connecting()?;
        let OpenOptions { random, access } = options;
        let prepared = connecting.clone();
        let (session, found) = in_thread("connecting", move || prepare(&prepared, access)).await?;
        let newer_version = (found > known_version()).then_some(found);
        let writer = if newer_version.is_some() || access == Access::Read {
            None
        } else {
            Some(Writer::start(connecting.clone(), random)?)
        };
        let pool = Pool {
            connecting,
            idle: Mutex::new(vec![session]),
        };
        Ok(SqlStore::new(Self {
            address,
            writer,
            pool: Arc::new(pool),
            permits: Arc::new(Semaphore::new(CONNECTION_COUNT)),
            newer_version,
        }))
    }

    /// Where it is.
    pub fn address(&self) -> &PostgresAddress {
        &self.address
    }

    /// Whether MLflow keeps its own record in the schema that connections look in without being told, and no store is
    /// beside it. Nothing is made.
    ///
    /// *Errors*: `Unreachable` where the server is not.
    pub async fn has_mlflow_alone(address: &PostgresAddress) -> Result<bool, StoreError> {
        let connecting = address.connecting()?;
        in_thread("connecting", move || {
            let session = connecting.open()?;
            let connection: &dyn Connection = &session;
            let count = |sql: &str, values: &[&dyn ToValue]| {
                let found: Option<i64> = connection
                    .find(sql, values, |row| row.get(0))
                    .map_err(database_fault("looking for MLflow's tables"))?;
                Ok::<_, StoreError>(found.unwrap_or(0))
            };
            let schema = connecting.schema.as_str();
            Ok(count(COUNT_MLFLOW_TABLES, params![])? == 2
                && count(COUNT_STORES, params![schema])? == 0)
        })
        .await
    }

    /// Whether the first commit was made.
    pub async fn is_initialised(&self) -> Result<bool, StoreError> {
        self.read(|connection| {
            let count: Option<i64> = connection
                .find(COUNT_IDENTITIES, params![], |row| row.get(0))
                .map_err(database_fault("reading the ledger's identity"))?;
            Ok(count == Some(1))
        })
        .await
    }

    /// Works with a connection of its own, in a thread that may block.
    async fn with_session<T: Send + 'static>(
        &self,
        begin: &'static str,
        work: impl FnOnce(&Session, &Connecting) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(|_| StoreError::Closed)?;
        let pool = Arc::clone(&self.pool);
        in_thread("reading", move || {
            let _permit = permit;
            let session = pool.take(begin)?;
            let done = work(&session, &pool.connecting);
            pool.give_back(session);
            done
        })
        .await
    }

    fn check_writable(&self) -> Result<&Writer, StoreError> {
        match (&self.writer, self.newer_version) {
            (Some(writer), _) => Ok(writer),
            (None, Some(found)) => Err(StoreError::Newer {
                found,
                known: known_version(),
            }),
            (None, None) => Err(StoreError::ReadOnly),
        }
    }
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Postgres")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Backend for Postgres {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn ledger(&self) -> LedgerStatements {
        ledger::STATEMENTS
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.with_session(READ, move |session, _| {
            in_transaction(session, || work(session))
        })
        .await
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.check_writable()?;
        self.with_session(WRITE, move |session, _| {
            in_transaction(session, || work(session))
        })
        .await
    }

    async fn commit(&self, commit: Commit) -> Result<Receipt, StoreError> {
        let writer = self.check_writable()?;
        let locks = Locks::of(&commit, &self.pool.connecting.names);
        writer.commit(commit, locks).await
    }

    async fn sequence(&self) -> Result<u64, StoreError> {
        self.check_writable()?;
        self.with_session(NOTHING, ledger::sequence).await
    }

    async fn verify_projection(&self) -> Result<Option<RowFault>, StoreError> {
        if let Some(found) = self.newer_version {
            return Err(StoreError::Newer {
                found,
                known: known_version(),
            });
        }
        self.read(verify::verify_projection).await
    }
}

/// All of one call sees one state.
const READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

const WRITE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// Begins no transaction, and is answered all the same.
const NOTHING: &str = "SELECT 1";

/// Ends the transaction that was begun.
fn in_transaction<T>(
    session: &Session,
    work: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let done = work();
    let ended = if done.is_ok() {
        session.run("COMMIT").inspect_err(|_| {
            // What was still held back may have been refused here, before the server knew of the end.
            drop(session.take_back("ROLLBACK"));
        })
    } else {
        session.take_back("ROLLBACK")
    };
    let done = done?;
    ended.map(|()| done).map_err(database_fault("ending"))
}

/// Connects, and brings the schema up to what this program knows; tells what it found there.
fn prepare(connecting: &Connecting, access: Access) -> Result<(Session, u32), StoreError> {
    let session = connecting.open()?;
    let found = find_version(&session)?;
    if found == 0 && access != Access::Create {
        return Err(damaged(format!(
            "the database has no schema `{}` that holds one",
            connecting.schema
        )));
    }
    if found < known_version() && access == Access::Read {
        return Err(StoreError::ReadOnly);
    }
    if found < known_version() {
        migrate(&session, connecting)?;
    }
    Ok((session, found))
}

/// Connections that nobody uses now.
struct Pool {
    connecting: Connecting,
    idle: Mutex<Vec<Session>>,
}

impl Pool {
    /// A connection on which this statement was answered: that one was cut while nobody used it shows only then.
    fn take(&self, begin: &str) -> Result<Session, StoreError> {
        loop {
            let idle = self
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop();
            let is_new = idle.is_none();
            let session = match idle {
                Some(session) => session,
                None => self.connecting.open()?,
            };
            match session.run(begin) {
                Ok(()) => return Ok(session),
                Err(_) if !is_new && !session.is_alive() => {}
                Err(error) => return Err(database_fault("beginning")(error)),
            }
        }
    }

    fn give_back(&self, session: Session) {
        if session.is_alive() {
            self.idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(session);
        }
    }
}

impl Drop for Pool {
    /// Closing a connection blocks, which a thread that runs tasks must not.
    fn drop(&mut self) {
        let idle = std::mem::take(self.idle.get_mut().unwrap_or_else(PoisonError::into_inner));
        let closed = std::thread::spawn(move || drop(idle)).join();
        if closed.is_err() {
            tracing::error!("store.closing_panicked");
        }
    }
}

async fn in_thread<T: Send + 'static>(
    action: &'static str,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|source| StoreError::Database {
        action,
        source: Box::new(source),
    })?
}
