//! Reading a database that may only be read, in a folder where nothing can be made.
//!
//! SQLite reads a database with a write-ahead log only together with a `-shm` file, which it makes where it is missing.
//! So there are two ways:
//!
//! - Where log and `-shm` are there, because somebody writes or was killed, they are read as they are.
//! - Where the log is missing or empty, all is in the one file, which is read as one that nobody changes (`immutable`).
//!   That somebody begins to change it all the same is noticed after the reading.
//!
//! Source: <https://www.sqlite.org/wal.html#read_only_databases>.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rusqlite::{Connection, OpenFlags};
use store::StoreError;

use crate::connection::prepare_reader;
use crate::fault::database_fault;
use crate::migrations::find_version;

/// A connection that only reads, and what must hold after each use.
pub(crate) struct ReadOnlyConnection {
    pub(crate) connection: Connection,
    /// The file as it was before, where it is read as one that nobody changes.
    unchanged: Option<(PathBuf, FileState)>,
}

/// What tells that a file was written to.
type FileState = (u64, Option<SystemTime>);

impl ReadOnlyConnection {
    /// Opens the database in the way that its files ask for now.
    ///
    /// *Errors*: `LogUnreadable` where what was written last stands in a log that cannot be read without writing.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        // Through a link SQLite looks for the log beside the file itself.
        let path = &path.canonicalize().map_err(file_fault)?;
        let (log, index) = (with_ending(path, "-wal"), with_ending(path, "-shm"));
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        if log.exists() && index.exists() {
            let opened = open(path, flags);
            // Files that may not be read, say.
            if opened.is_ok() || has_content(&log) {
                return opened.map(|connection| Self {
                    connection,
                    unchanged: None,
                });
            }
        }
        if has_content(&log) {
            return Err(StoreError::LogUnreadable {
                path: log.display().to_string(),
            });
        }
        let before = state_of(path)?;
        let uri = PathBuf::from(immutable_uri(path));
        Ok(Self {
            connection: open(&uri, flags | OpenFlags::SQLITE_OPEN_URI)?,
            unchanged: Some((path.to_owned(), before)),
        })
    }

    /// Refuses what was read while somebody wrote, who took no notice of this reader.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        match &self.unchanged {
            Some((path, before)) if state_of(path)? != *before => Err(StoreError::Busy),
            _ => Ok(()),
        }
    }
}

fn open(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    let connection =
        Connection::open_with_flags(path, flags).map_err(database_fault("opening the database"))?;
    prepare_reader(&connection)?;
    // Opening reads nothing; this does.
    find_version(&connection)?;
    Ok(connection)
}

/// What cannot be looked at may hold something.
fn has_content(log: &Path) -> bool {
    match log.metadata() {
        Ok(metadata) => metadata.len() > 0,
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    }
}

fn state_of(path: &Path) -> Result<FileState, StoreError> {
    let metadata = path.metadata().map_err(file_fault)?;
    Ok((metadata.len(), metadata.modified().ok()))
}

fn file_fault(source: std::io::Error) -> StoreError {
    StoreError::Database {
        action: "opening the database",
        source: Box::new(source),
    }
}

/// Names a file in the one way in which SQLite can be told that nobody changes it.
fn immutable_uri(path: &Path) -> String {
    let mut uri = "file:".to_owned();
    if path.is_absolute() {
        // Without a host in between, a path that begins with two slashes would name one.
        uri.push_str("//");
    }
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            write!(uri, "%{byte:02X}").expect("a text takes what is written to it");
        }
    }
    uri.push_str("?immutable=1");
    uri
}

pub(crate) fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn a_path_of_any_bytes_is_named_in_a_uri() {
        let name = |bytes: &[u8]| immutable_uri(Path::new(OsStr::from_bytes(bytes)));
        assert_eq!(name(b"/a/b.db"), "file:///a/b.db?immutable=1");
        assert_eq!(
            name(b"/a b?mode=rwc#%\n\xff"),
            "file:///a%20b%3Fmode%3Drwc%23%25%0A%FF?immutable=1"
        );
        assert_eq!(name(b"a.db"), "file:a.db?immutable=1");
    }
}
