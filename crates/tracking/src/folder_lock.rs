//! The lock on a ledger's folder: one publisher, or any number that verify.

use std::fs::File;
use std::path::Path;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::TrackingError;

/// What came of locking a folder.
pub(crate) enum FolderLock {
    /// It is held until the file is closed, at the latest by the end of the process.
    Ours(File),
    /// Somebody else holds it.
    Taken,
    /// There is no such folder, or its file system has no such locks, as some over a network have not.
    Unsupported,
}

impl FolderLock {
    /// Tries to be the only one.
    pub(crate) fn exclusive(folder: &Path) -> Result<Self, TrackingError> {
        Self::take(folder, FlockOperation::NonBlockingLockExclusive)
    }

    /// Tries to keep out those who would be the only one.
    pub(crate) fn shared(folder: &Path) -> Result<Self, TrackingError> {
        Self::take(folder, FlockOperation::NonBlockingLockShared)
    }

    fn take(folder: &Path, operation: FlockOperation) -> Result<Self, TrackingError> {
        let fault = |source| TrackingError::Lock {
            path: folder.display().to_string(),
            source,
        };
        let file = match File::open(folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::Unsupported);
            }
            opened => opened.map_err(fault)?,
        };
        match rustix::fs::flock(&file, operation) {
            Ok(()) => Ok(Self::Ours(file)),
            Err(Errno::WOULDBLOCK) => Ok(Self::Taken),
            // NFS wants a file that is open for writing, which a folder never is, and says so by BADF.
            Err(Errno::BADF | Errno::INVAL | Errno::NOLCK | Errno::NOSYS | Errno::OPNOTSUPP) => {
                Ok(Self::Unsupported)
            }
            Err(error) => Err(fault(error.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_alone_and_several_share() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let alone = FolderLock::exclusive(path).unwrap();
        assert!(matches!(alone, FolderLock::Ours(_)));
        assert!(matches!(FolderLock::exclusive(path), Ok(FolderLock::Taken)));
        assert!(matches!(FolderLock::shared(path), Ok(FolderLock::Taken)));
        drop(alone);
        let first = FolderLock::shared(path).unwrap();
        let second = FolderLock::shared(path).unwrap();
        assert!(matches!(second, FolderLock::Ours(_)));
        assert!(matches!(FolderLock::exclusive(path), Ok(FolderLock::Taken)));
        drop((first, second));
        assert!(matches!(
            FolderLock::exclusive(path),
            Ok(FolderLock::Ours(_))
        ));
        let missing = path.join("missing");
        assert!(matches!(
            FolderLock::shared(&missing),
            Ok(FolderLock::Unsupported)
        ));
    }
}
