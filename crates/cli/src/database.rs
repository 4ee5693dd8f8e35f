//! The database of a store: a file beside the objects, or a schema of a PostgreSQL server, whose address the folder
//! holds.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use entities::{Caller, Clock as _, Commit, Random as _};
use ledger::{CHECKPOINT_PATH, SigningKey};
use store::{Store, StoreError};
use store_postgres::{Access, Postgres, PostgresAddress};
use store_sqlite::{OpenOptions, Sqlite};

use crate::error::CommandError;
use crate::faults::store_fault;
use crate::keys::write_key;
use crate::output::safe;
use crate::project::{Project, cannot_write};
use crate::system::{SystemClock, SystemRandom, user_name, variable};

/// An open database.
pub(crate) struct Database {
    pub(crate) store: Arc<dyn Store>,
    /// The public key of the ledger, as text.
    pub(crate) verifier_key: String,
}

/// Opens the database of a store; where it may only be read, nothing is made.
pub(crate) async fn open_database(
    project: &Project,
    is_writable: bool,
) -> Result<Database, CommandError> {
    if let Some(address) = read_address(project)? {
        let access = if is_writable {
            Access::Write
        } else {
            Access::Read
        };
        let store = open_postgres(address, access).await?;
        let verifier_key = store.verifier_key().await.map_err(store_fault)?;
        return Ok(Database {
            store: Arc::new(store),
            verifier_key,
        });
    }
    let store = if is_writable {
        let options = OpenOptions {
            random: Arc::new(SystemRandom),
            create: false,
        };
        Sqlite::open(&project.database(), options).map_err(store_fault)?
    } else {
        Sqlite::open_read_only(&project.database()).map_err(store_fault)?
    };
    let verifier_key = store.verifier_key().await.map_err(store_fault)?;
    Ok(Database {
        store: Arc::new(store),
        verifier_key,
    })
}

/// How a store is made.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NewStore<'a> {
    /// The address of the PostgreSQL server that keeps the record; a file beside the objects if not given.
    pub(crate) postgres: Option<&'a str>,
    /// Where clients write the artifacts of experiment 0 by themselves.
    pub(crate) artifact_root: Option<&'a str>,
}

/// Makes the store of a project whose folders are there; tells whether it was made, and not there already.
///
/// Of several processes that come at once one makes it and the others wait.
pub(crate) async fn make_store(project: &Project, new: NewStore<'_>) -> Result<bool, CommandError> {
    let lock = lock_directory(&project.store_directory())?;
    check_place(project, new.postgres)?;
    if project.database().is_file() {
        return Ok(false);
    }
    let is_made = match new.postgres {
        Some(uri) => make_in_postgres(project, uri, new.artifact_root).await?,
        None if project.address_file().is_file() => false,
        None => {
            refuse_remains(project)?;
            let first = first_commit(new.artifact_root)?;
            let path = project.database();
            let made = Sqlite::initialise(&path, Arc::new(SystemRandom), first).await;
            drop(made.map_err(store_fault)?);
            true
        }
    };
    drop(lock);
    Ok(is_made)
}

/// Refuses to serve a store under the address of another database.
fn check_place(project: &Project, uri: Option<&str>) -> Result<(), CommandError> {
    let Some(uri) = uri else { return Ok(()) };
    let wanted = parse_address(uri)?;
    if project.database().is_file() {
        return Err(CommandError::usage(
            "E0026",
            format!(
                "the store in {} is kept in its file `reproof.db`, not in {}",
                project.root.display(),
                safe(wanted.shown())
            ),
        )
        .hint(
            "`--root DIR` names a folder for the objects and the ledger of a store in PostgreSQL",
        ));
    }
    match read_address(project)? {
        Some(known) if known.place() != wanted.place() => Err(CommandError::usage(
            "E0026",
            format!(
                "the store in {} is kept in {}, not in {}",
                project.root.display(),
                safe(&known.place()),
                safe(&wanted.place())
            ),
        )
        .hint("`--root DIR` names the folder of the store that is meant")),
        _ => Ok(()),
    }
}

/// Makes the store in a database, or finishes what was begun.
async fn make_in_postgres(
    project: &Project,
    uri: &str,
    artifact_root: Option<&str>,
) -> Result<bool, CommandError> {
    let is_known = project.address_file().is_file();
    let names_schema = uri.contains("schema=");
    let address = parse_address(uri)?;
    // Before a schema is made in a database that is MLflow's.
    if !is_known
        && !names_schema
        && Postgres::has_mlflow_alone(&address)
            .await
            .map_err(store_fault)?
    {
        return Err(CommandError::usage(
            "E0026",
            format!(
                "the database {} holds what MLflow recorded, which only MLflow writes to",
                safe(address.shown())
            ),
        )
        .hint("`reproof migrate mlflow` with that address takes it all over into a store, which is served in its place from then on")
        .hint("`?schema=reproof` at the end of the address makes an empty store beside it, in a schema of its own"));
    }
    let store = open_postgres(address, Access::Create).await?;
    if store.is_initialised().await.map_err(store_fault)? {
        if is_known {
            // The password may be another one today.
            write_address(project, uri)?;
            return Ok(false);
        }
        return Err(CommandError::usage(
            "E0026",
            format!(
                "the database {} holds a store whose objects and ledger are in another folder than {}",
                safe(&store.address().place()),
                project.root.display()
            ),
        )
        .hint("`--root DIR` names that folder; servers on several machines share it")
        .hint("`?schema=NAME` at the end of the address keeps another store in the same database"));
    }
    // Also where the folder knows its database: one that is empty today has lost what the ledger goes on from.
    refuse_remains(project)?;
    let first = first_commit(artifact_root)?;
    // The address comes first: a folder that knows where its record is to be can be started again.
    write_address(project, uri)?;
    match store.commit(first).await {
        Ok(_) => Ok(true),
        Err(error) => Err(store_fault(error)),
    }
}

/// What every store begins with, by a new key, which is kept first: a key without a store is never used, a store without
/// its key could never be signed.
fn first_commit(artifact_root: Option<&str>) -> Result<Commit, CommandError> {
    let mut nonce = [0; 8];
    SystemRandom.fill(&mut nonce);
    let origin = format!("reproof.local/{}", hex::encode(nonce));
    let key = SigningKey::generate(&origin, &SystemRandom)
        .map_err(|error| CommandError::caused("E0023", &error))?;
    write_key(&key)?;
    Ok(tracking::first_commit(
        &Caller::local(&user_name()),
        &key.verifier(),
        artifact_root,
        SystemClock.now(),
    ))
}

async fn open_postgres(
    address: PostgresAddress,
    access: Access,
) -> Result<store_postgres::PostgresStore, CommandError> {
    let options = store_postgres::OpenOptions {
        random: Arc::new(SystemRandom),
        access,
    };
    let shown = safe(&address.place());
    Postgres::open(address, options)
        .await
        .map_err(|error| match error {
            StoreError::Damaged { message } => CommandError::system(
                "E0011",
                format!("the store in {shown} is damaged: {message}"),
            )
            .hint("put the database back from a backup of the same time or a later one"),
            other => store_fault(other),
        })
}

/// Reads an address, with the password of the environment or of libpq's file where it has none.
pub(crate) fn parse_address(uri: &str) -> Result<PostgresAddress, CommandError> {
    let password = variable("PGPASSWORD");
    let address = PostgresAddress::parse(uri, password.as_deref()).map_err(|error| {
        CommandError::usage("E0022", format!("the address of the database: {error}"))
            .hint("it is written `postgresql://USER@HOST:PORT/DATABASE`")
    })?;
    Ok(match read_password_file() {
        Some(text) => address.with_password_file(&text),
        None => address,
    })
}

/// libpq's file of passwords, which it reads only where nobody else may.
fn read_password_file() -> Option<String> {
    let path = match variable("PGPASSFILE") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(variable("HOME")?).join(".pgpass"),
    };
    let metadata = path.metadata().ok()?;
    if metadata.mode() & 0o077 != 0 {
        return None;
    }
    std::fs::read_to_string(path).ok()
}

/// The address that a store's folder holds.
pub(crate) fn read_address(project: &Project) -> Result<Option<PostgresAddress>, CommandError> {
    let path = project.address_file();
    match std::fs::read_to_string(&path) {
        Ok(text) => parse_address(text.trim()).map(Some),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(CommandError::system(
            "E0018",
            format!("cannot read {}: {error}", path.display()),
        )
        .hint(
            "it holds the address of the store's database, and belongs to whoever made the store",
        )),
    }
}

/// Keeps an address, for its user alone, whole or not at all.
pub(crate) fn write_address(project: &Project, uri: &str) -> Result<(), CommandError> {
    let path = project.address_file();
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let write = || {
        match std::fs::remove_file(&temporary) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        writeln!(file, "{uri}")?;
        file.sync_all()?;
        std::fs::rename(&temporary, &path)
    };
    write().map_err(|error| cannot_write(&path, &error))
}

/// Refuses to make a store over what is left of another, whose history it would mix with its own.
fn refuse_remains(project: &Project) -> Result<(), CommandError> {
    let database = project.database();
    let of_database = |ending: &str| {
        let mut path = database.clone().into_os_string();
        path.push(ending);
        PathBuf::from(path)
    };
    let remains = [
        project.ledger().join(CHECKPOINT_PATH),
        of_database("-wal"),
        of_database("-journal"),
    ];
    let Some(found) = remains.iter().find(|path| path.symlink_metadata().is_ok()) else {
        return Ok(());
    };
    Err(CommandError::system(
        "E0011",
        format!(
            "{} is left of a store whose database {} is gone",
            found.display(),
            database.display()
        ),
    )
    .hint("put `reproof.db` back, from a backup of the same time or a later one")
    .hint("or move `.reproof/` away and begin anew"))
}

/// Waits for a lock on a folder; it goes with what is returned, or with the process.
fn lock_directory(directory: &Path) -> Result<std::fs::File, CommandError> {
    let folder = std::fs::File::open(directory).map_err(|error| cannot_write(directory, &error))?;
    rustix::fs::flock(&folder, rustix::fs::FlockOperation::LockExclusive)
        .map_err(|error| cannot_write(directory, &error.into()))?;
    Ok(folder)
}
