//! Open files of packs, a few at a time.

use std::collections::VecDeque;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::format::PackName;
use crate::CasError;

/// Keeps the packs that were read last open: opening costs as much as reading a small object.
#[derive(Debug, Default)]
pub(crate) struct FileCache {
    open: Mutex<VecDeque<(PackName, Arc<File>)>>,
}

/// A process may have 1,024 files open by default, and a server has clients too.
const OPEN_MAX: usize = 64;

impl FileCache {
    /// Gives the file of a pack, opening it if need be.
    pub(crate) fn open(&self, name: PackName, path: &Path) -> Result<Arc<File>, CasError> {
        if let Some(file) = self.find(name) {
            return Ok(file);
        }
        // Opened without the lock: two threads may do the same, and one of the files is closed again.
        let file = Arc::new(File::open(path).map_err(CasError::io("open", path))?);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.push_front((name, Arc::clone(&file)));
        open.truncate(OPEN_MAX);
        Ok(file)
    }

    /// Closes what is no longer listed, so that the disk gets its space back.
    pub(crate) fn retain(&self, is_listed: impl Fn(PackName) -> bool) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(name, _)| is_listed(*name));
    }

    fn find(&self, name: PackName) -> Option<Arc<File>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let at = open.iter().position(|(other, _)| *other == name)?;
        if at > 0 {
            let found = open.remove(at)?;
            open.push_front(found);
        }
        open.front().map(|(_, file)| Arc::clone(file))
    }
}
