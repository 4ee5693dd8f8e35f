//! The store: a writing thread, a few connections for reading, and the traits.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use entities::{Change, Commit, Random, WriterId};
use rusqlite::{Connection, OptionalExtension as _, params};
use store::{Receipt, RowFault, Store as _, StoreError};
use store_sql::sql::Dialect;
use store_sql::{
    Author, Backend, LedgerStatements, Numbers, SqlStore, sql, statements, write_commit,
};
use tokio::sync::Semaphore;

use crate::connection::{BUSY_TIMEOUT, Purpose, open_connection};
use crate::fault::{damaged, database_fault};
use crate::migrations::{find_version, known_version, migrate};
use crate::read_only::{ReadOnlyConnection, with_ending};
use crate::session::Session;
use crate::writer::{WAIT_FOR_READERS, WriteContext, Writer};
use crate::{ledger, verify};

/// Connections that read at the same time; a further reader waits.
const READER_COUNT: usize = 8;

/// The metadata store in a SQLite file.
pub type SqliteStore = SqlStore<Sqlite>;

/// A SQLite file with the tables of a store.
pub struct Sqlite {
    path: PathBuf,
    /// None where the database may only be read, or is newer than this program, which then only reads it.
    writer: Option<Writer>,
    idle_readers: Arc<IdleReaders>,
    reader_permits: Arc<Semaphore>,
    writer_id: WriterId,
    /// The schema's version, where it is newer than ours.
    newer_version: Option<u32>,
    /// Whether nothing may be written, not even beside the file.
    is_read_only: bool,
}

/// How a store is opened.
#[derive(Clone)]
pub struct OpenOptions {
    /// Draws the salts of events, and the writer's id of a new store.
    pub random: Arc<dyn Random>,
    /// Whether a missing file is made.
    pub create: bool,
}

statements! {
    FIND_WRITER = "SELECT name FROM writer WHERE id = 1";
    SET_WRITER = "INSERT INTO writer (id, name) VALUES (1, ?1) ON CONFLICT DO NOTHING";
}

impl Sqlite {
    /// Opens the database of a store, and makes or migrates it where needed.
    ///
    /// One that a newer version made is opened for reading only: then `commit` says `StoreError::Newer`.
    ///
    /// *Cost*: a few milliseconds.
    pub fn open(path: &Path, options: OpenOptions) -> Result<SqliteStore, StoreError> {
        let OpenOptions { random, create } = options;
        let is_new = create && !path.exists();
        let purpose = if create {
            Purpose::Create
        } else {
            Purpose::Write
        };
        let mut connection = open_connection(path, purpose)?;
        let found = find_version(&connection)?;
        if found == 0 && !create {
            return Err(damaged("it has no schema; it is empty or not a store"));
        }
        if found < known_version() {
            migrate(&mut connection)?;
        }
        let writer_id = find_or_draw_writer(&connection, random.as_ref())?;
        if is_new {
            sync_folder(path)?;
        }
        let newer_version = (found > known_version()).then_some(found);
        let writer = if newer_version.is_some() {
            None
        } else {
            Some(Writer::start(WriteContext {
                connection,
                writer: writer_id.clone(),
                random,
                erased: Cell::new(None),
            })?)
        };
        Ok(SqlStore::new(Self {
            path: path.to_owned(),
            writer,
            idle_readers: Arc::default(),
            reader_permits: Arc::new(Semaphore::new(READER_COUNT)),
            writer_id,
            newer_version,
            is_read_only: false,
        }))
    }

    /// Opens the database of a store that may only be read; nothing is made or changed, and `commit` says
    /// `StoreError::ReadOnly`.
    ///
    /// *Errors*: `ReadOnly` for one of an earlier version, which would have to be migrated; `LogUnreadable` where
    /// what was written last cannot be read without writing.
    ///
    /// *Cost*: a few milliseconds, and about one for each call that reads, which opens the file anew.
    pub fn open_read_only(path: &Path) -> Result<SqliteStore, StoreError> {
        let reader = ReadOnlyConnection::open(path)?;
        let found = find_version(&reader.connection)?;
        if found == 0 {
            return Err(damaged("it has no schema; it is empty or not a store"));
        }
        if found < known_version() {
            return Err(StoreError::ReadOnly);
        }
        let writer_id =
            find_writer(&reader.connection)?.ok_or_else(|| damaged("it has no writer"))?;
        reader.check()?;
        Ok(SqlStore::new(Self {
            path: path.to_owned(),
            writer: None,
            idle_readers: Arc::default(),
            reader_permits: Arc::new(Semaphore::new(READER_COUNT)),
            writer_id,
            newer_version: (found > known_version()).then_some(found),
            is_read_only: true,
        }))
    }

    /// Makes a store with its first commit, or nothing: whenever this is interrupted, there is no file at `path`.
    ///
    /// The file is made under another name (`path` and `.new`) and gets its own once all of it is durable.
    pub async fn initialise(
        path: &Path,
        random: Arc<dyn Random>,
        first: Commit,
    ) -> Result<SqliteStore, StoreError> {
        let taken = || StoreError::Exists {
            subject: format!("the store `{}`", path.display()),
        };
        if path.exists() {
            return Err(taken());
        }
        for ending in ["-wal", "-journal"] {
            // It would be applied to the new database.
            let log = with_ending(path, ending);
            if log.exists() {
                return Err(StoreError::Exists {
                    subject: format!("the log `{}` of a database that is gone", log.display()),
                });
            }
        }
        let new = with_ending(path, ".new");
        for ending in ["", "-wal", "-shm"] {
            remove_if_there(&with_ending(&new, ending))?;
        }
        let options = |create| OpenOptions {
            random: Arc::clone(&random),
            create,
        };
        let store = Self::open(&new, options(true))?;
        store.commit(first).await?;
        // The last connection moves all into the one file.
        drop(store);
        std::fs::hard_link(&new, path).map_err(|source| match source.kind() {
            std::io::ErrorKind::AlreadyExists => taken(),
            _ => file_fault(source),
        })?;
        remove_if_there(&new)?;
        sync_folder(path)?;
        Self::open(path, options(false))
    }

    /// The installation that writes here.
    pub fn writer_id(&self) -> &WriterId {
        &self.writer_id
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads with a connection of its own, in a thread that may block; all of one call sees one state.
    async fn read_with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permits = Arc::clone(&self.reader_permits);
        let permit = permits
            .acquire_owned()
            .await
            .map_err(|_| StoreError::Closed)?;
        let (idle, path) = (Arc::clone(&self.idle_readers), self.path.clone());
        let is_read_only = self.is_read_only;
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            if is_read_only {
                // Opened anew each time: others may have begun to write, and it is then read in another way.
                let mut reader = ReadOnlyConnection::open(&path)?;
                let answer = read_one_state(&mut reader.connection, work);
                reader.check()?;
                return answer;
            }
            let mut connection = match take_idle(&idle) {
                Some(connection) => connection,
                None => open_connection(&path, Purpose::Read)?,
            };
            let answer = read_one_state(&mut connection, work)?;
            give_back(&idle, connection);
            Ok(answer)
        });
        task.await.map_err(|source| StoreError::Database {
            action: "reading",
            source: Box::new(source),
        })?
    }

    /// Reads with a connection that nobody uses, here and now; nothing where there is none, or it would have to wait.
    fn read_at_once<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Option<Result<T, StoreError>> {
        let _permit = self.reader_permits.try_acquire().ok()?;
        let mut connection = take_idle(&self.idle_readers)?;
        connection.busy_timeout(Duration::ZERO).ok()?;
        let answer = read_one_state(&mut connection, work);
        if matches!(answer, Ok(_) | Err(StoreError::Busy))
            && connection.busy_timeout(BUSY_TIMEOUT).is_ok()
        {
            give_back(&self.idle_readers, connection);
        }
        (!matches!(answer, Err(StoreError::Busy))).then_some(answer)
    }

    async fn write_with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&WriteContext) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        match (&self.writer, self.newer_version) {
            (Some(writer), _) => writer.write(work).await,
            (None, Some(found)) => Err(StoreError::Newer {
                found,
                known: known_version(),
            }),
            (None, None) => Err(StoreError::ReadOnly),
        }
    }
}

impl std::fmt::Debug for Sqlite {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Sqlite")
            .field("path", &self.path)
            .field("writer", &self.writer_id)
            .finish_non_exhaustive()
    }
}

impl Backend for Sqlite {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn ledger(&self) -> LedgerStatements {
        ledger::STATEMENTS
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn sql::Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.read_with(move |connection| work(&Session(connection)))
            .await
    }

    /// Out of the pages in memory a row takes a few microseconds, far less than to hand it to another thread and back;
    /// other tasks wait for it, and for the disk where its page is not in memory.
    async fn read_row<T: Send + 'static>(
        &self,
        work: impl Fn(&dyn sql::Connection) -> Result<T, StoreError> + Send + Sync + 'static,
    ) -> Result<T, StoreError> {
        // Who reads many one after the other is made to give way now and then.
        tokio::task::coop::consume_budget().await;
        match self.read_at_once(|connection| work(&Session(connection))) {
            Some(answer) => answer,
            None => self.read(work).await,
        }
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn sql::Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.write_with(move |context| work(&Session(&context.connection)))
            .await
    }

    async fn commit(&self, commit: Commit) -> Result<Receipt, StoreError> {
        self.write_with(move |context| {
            let erases = commit.changes.iter().any(Change::erases);
            let receipt = write_commit(
                &Session(&context.connection),
                &Numbers::counted(),
                // Looked up each time: other processes write to the file, under the same name.
                &Author::new(context.writer.clone()),
                context.random.as_ref(),
                &commit,
            )?;
            if erases {
                context.erased.set(Some(WAIT_FOR_READERS));
            }
            Ok(receipt)
        })
        .await
    }

    async fn sequence(&self) -> Result<u64, StoreError> {
        self.write(ledger::sequence).await
    }

    async fn verify_projection(&self) -> Result<Option<RowFault>, StoreError> {
        self.read_with(verify::verify_projection).await
    }
}

/// Connections that nobody uses now.
type IdleReaders = Mutex<Vec<Connection>>;

fn take_idle(idle: &IdleReaders) -> Option<Connection> {
    idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

fn give_back(idle: &IdleReaders, connection: Connection) {
    idle.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(connection);
}

fn read_one_state<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let transaction = connection
        .transaction()
        .map_err(database_fault("beginning to read"))?;
    work(&transaction)
}

fn find_or_draw_writer(
    connection: &Connection,
    random: &dyn Random,
) -> Result<WriterId, StoreError> {
    if let Some(writer) = find_writer(connection)? {
        return Ok(writer);
    }
    // Where another process draws one too, the first stays.
    let drawn = WriterId::random(random);
    connection
        .execute(SET_WRITER, params![drawn.as_str()])
        .map_err(database_fault("setting the writer's id"))?;
    find_writer(connection)?.ok_or_else(|| damaged("it has no writer"))
}

fn find_writer(connection: &Connection) -> Result<Option<WriterId>, StoreError> {
    let name: Option<String> = connection
        .query_row(FIND_WRITER, [], |row| row.get(0))
        .optional()
        .map_err(database_fault("reading the writer's id"))?;
    name.map(|name| name.parse())
        .transpose()
        .map_err(|error: entities::IdParseError| damaged(error.to_string()))
}

/// Makes the name of a new file durable; its content is synced by SQLite.
fn sync_folder(path: &Path) -> Result<(), StoreError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(file_fault)
}

fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(file_fault(source)),
        _ => Ok(()),
    }
}

fn file_fault(source: std::io::Error) -> StoreError {
    if source.kind() == std::io::ErrorKind::StorageFull {
        return StoreError::DiskFull;
    }
    StoreError::Database {
        action: "making the new database durable",
        source: Box::new(source),
    }
}
