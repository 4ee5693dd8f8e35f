//! Where the files of a ledger are kept, as seen from the inside.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::LedgerError;

/// Keeps the files of one ledger under the paths that C2SP tlog-tiles names.
///
/// Only one writer may be at work at a time; the caller holds a lease for it.
pub trait TileStorage {
    /// Reads a whole file; `None` if there is none.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, LedgerError>;

    /// Puts a file in place of whatever is there; it need not be visible or durable before `sync`.
    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), LedgerError>;

    /// Makes all that was written visible and durable.
    fn sync(&self) -> Result<(), LedgerError>;

    /// Removes the partial forms (`<path>.p/…`) of a tile or bundle that is now full.
    fn remove_partials(&self, full_path: &str) -> Result<(), LedgerError>;

    /// Lists the paths of all files, sorted.
    fn list(&self) -> Result<Vec<String>, LedgerError>;
}

/// A ledger in memory, for tests and for computing without a disk.
#[derive(Debug, Default)]
pub struct MemoryTiles {
    files: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl MemoryTiles {
    fn files(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        // A panic elsewhere cannot leave the map half changed: each use is a single call.
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes a file; tells whether there was one.
    pub fn remove(&self, path: &str) -> bool {
        self.files().remove(path).is_some()
    }
}

impl TileStorage for MemoryTiles {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, LedgerError> {
        Ok(self.files().get(path).cloned())
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), LedgerError> {
        self.files().insert(path.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn sync(&self) -> Result<(), LedgerError> {
        Ok(())
    }

    fn remove_partials(&self, full_path: &str) -> Result<(), LedgerError> {
        let prefix = format!("{full_path}.p/");
        self.files().retain(|path, _| !path.starts_with(&prefix));
        Ok(())
    }

    fn list(&self) -> Result<Vec<String>, LedgerError> {
        Ok(self.files().keys().cloned().collect())
    }
}
