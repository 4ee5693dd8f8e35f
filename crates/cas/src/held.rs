//! The packs of a store as files, for whoever copies them.

use std::path::PathBuf;

use crate::locks::LockGuard;
use crate::{Cas, CasError};

/// A pack as a file. What is in it never changes, and its name follows from that.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PackFile {
    /// Name of the file.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Its length.
    pub size_bytes: u64,
}

/// While it lives, no pack is taken away. It is held by none, where the store may only be read.
#[derive(Debug)]
#[must_use]
pub struct HeldPacks {
    _guard: Option<LockGuard>,
}

impl Cas {
    /// Keeps every pack where it is, as long as what is given lives; waits for a collection that is under way.
    ///
    /// *Errors*: `Io`.
    pub fn hold_packs(&self) -> Result<HeldPacks, CasError> {
        let guard = match self.inner.locks.maintenance() {
            Ok(guard) => Some(guard),
            Err(CasError::Io { source, .. })
                if matches!(
                    source.kind(),
                    std::io::ErrorKind::PermissionDenied
                        | std::io::ErrorKind::ReadOnlyFilesystem
                        | std::io::ErrorKind::NotFound
                ) =>
            {
                None
            }
            Err(error) => return Err(error),
        };
        Ok(HeldPacks { _guard: guard })
    }

    /// Lists the packs that are there now: all that was stored before can be read out of them alone.
    ///
    /// *Errors*: `Io`.
    pub fn list_packs(&self) -> Result<Vec<PackFile>, CasError> {
        let mut files = Vec::new();
        for pack in &self.inner.packs.relist()?.packs {
            let path = pack.path().to_owned();
            let metadata = std::fs::metadata(&path).map_err(CasError::io("read", &path))?;
            files.push(PackFile {
                name: pack.name().file_name(),
                size_bytes: metadata.len(),
                path,
            });
        }
        files.sort();
        Ok(files)
    }
}
