//! Locks between processes, and the files that a process has under way.
//!
//! Two files are locked with `flock`, which the kernel gives up when their holder dies:
//!
//! - `lock`: shared, for moments, while a batch pins objects or makes packs visible; exclusively, while
//!   packs that somebody could rely on are taken away. It is never held over the reading or writing of content,
//!   save by `forget`.
//! - `maintenance`: exclusively, while packs are rewritten, so that only one process does so at a time.
//!
//! Each temporary file is locked by its writer for as long as it lives: one without a lock belongs to nobody.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use rustix::io::Errno;
use tempfile::NamedTempFile;

use crate::CasError;

/// All temporary files of this room begin so; others in the folder are none of its business.
const PREFIX: &str = "cas-";
/// What a batch relies on; see `pins`.
pub(crate) const PINS_PREFIX: &str = "cas-pins-";
pub(crate) const PACK_PREFIX: &str = "cas-pack-";

/// When a store is opened, what a killed process left is removed once it is so old.
const STALE_AFTER: Duration = Duration::from_secs(3600);

/// The locks of a store, and its temporary folder.
#[derive(Debug)]
pub(crate) struct Locks {
    lock: PathBuf,
    maintenance: PathBuf,
    temporary: PathBuf,
}

/// Held until dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct LockGuard(File);

impl Locks {
    pub(crate) fn new(objects: &Path, temporary: &Path) -> Self {
        Self {
            lock: objects.join("lock"),
            maintenance: objects.join("maintenance"),
            temporary: temporary.to_owned(),
        }
    }

    /// While this is held, no pack is taken away.
    pub(crate) fn shared(&self) -> Result<LockGuard, CasError> {
        acquire(&self.lock, FlockOperation::LockShared)
    }

    /// While this is held, nobody pins anything or makes a pack visible.
    pub(crate) fn exclusive(&self) -> Result<LockGuard, CasError> {
        acquire(&self.lock, FlockOperation::LockExclusive)
    }

    /// Waits for whoever rewrites packs.
    pub(crate) fn maintenance(&self) -> Result<LockGuard, CasError> {
        acquire(&self.maintenance, FlockOperation::LockExclusive)
    }

    /// Gives nothing where somebody else rewrites packs.
    pub(crate) fn try_maintenance(&self) -> Result<Option<LockGuard>, CasError> {
        try_acquire(&self.maintenance)
    }

    /// Makes a temporary file that counts as in use until it is dropped.
    pub(crate) fn temporary_file(&self, prefix: &str) -> Result<NamedTempFile, CasError> {
        let guard = self.shared()?;
        self.temporary_file_under(&guard, prefix)
    }

    /// The same for one who holds the lock already, and would wait for himself.
    pub(crate) fn temporary_file_under(
        &self,
        _guard: &LockGuard,
        prefix: &str,
    ) -> Result<NamedTempFile, CasError> {
        debug_assert!(
            prefix.starts_with(PREFIX),
            "the sweep finds temporary files by their names"
        );
        // Whoever removes what is not locked holds the lock exclusively, and so cannot come in between.
        let file = tempfile::Builder::new()
            .prefix(prefix)
            .suffix(".tmp")
            .permissions(fs::Permissions::from_mode(0o666))
            .tempfile_in(&self.temporary)
            .map_err(CasError::io("make a file in", &self.temporary))?;
        lock_file(file.as_file(), FlockOperation::NonBlockingLockExclusive)
            .map_err(|error| CasError::io("lock", file.path())(error.into()))?;
        Ok(file)
    }

    /// Removes the temporary files that nobody uses; the lock must be held exclusively.
    pub(crate) fn sweep(&self, _guard: &LockGuard) -> Result<(), CasError> {
        for path in self.list(PREFIX)? {
            remove_if_abandoned(&path)?;
        }
        Ok(())
    }

    /// Paths of the temporary files whose names begin so.
    pub(crate) fn list(&self, prefix: &str) -> Result<Vec<PathBuf>, CasError> {
        let folder = &self.temporary;
        let mut paths = Vec::new();
        for entry in fs::read_dir(folder).map_err(CasError::io("list", folder))? {
            let entry = entry.map_err(CasError::io("list", folder))?;
            if entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(prefix.as_bytes())
            {
                paths.push(entry.path());
            }
        }
        Ok(paths)
    }

    /// Removes what killed processes left an hour ago or more; does nothing where others are at work.
    pub(crate) fn sweep_stale(&self) -> Result<(), CasError> {
        let left = self.list(PREFIX)?;
        if left.is_empty() {
            return Ok(());
        }
        let Some(guard) = try_acquire(&self.lock)? else {
            return Ok(());
        };
        let now = guard.now(&self.lock)?;
        for path in left {
            let modified = fs::symlink_metadata(&path).and_then(|metadata| metadata.modified());
            let age = modified
                .ok()
                .and_then(|modified| now.duration_since(modified).ok());
            if age.is_some_and(|age| age >= STALE_AFTER) {
                remove_if_abandoned(&path)?;
            }
        }
        Ok(())
    }

    /// The time, as the file system has it: what ages of files are measured against.
    pub(crate) fn now(&self, guard: &LockGuard) -> Result<SystemTime, CasError> {
        guard.now(&self.lock)
    }

    /// How many objects were forgotten so far: a batch that sees another number cannot rely on its pins.
    pub(crate) fn generation(&self, guard: &LockGuard) -> Result<u64, CasError> {
        let metadata = guard
            .0
            .metadata()
            .map_err(CasError::io("read", &self.lock))?;
        Ok(metadata.len())
    }

    /// The same without the lock: enough to notice what happened before.
    pub(crate) fn generation_at_a_glance(&self) -> Result<u64, CasError> {
        match fs::metadata(&self.lock) {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(CasError::io("read", &self.lock)(error)),
        }
    }

    /// Counts one more object as forgotten; the lock must be held exclusively.
    pub(crate) fn add_generation(&self, guard: &LockGuard) -> Result<(), CasError> {
        let mut file = &guard.0;
        file.write_all(b".")
            .map_err(CasError::io("write", &self.lock))
    }
}

impl Drop for LockGuard {
    /// Gives the lock up even where a child that was just forked still has the file open.
    fn drop(&mut self) {
        // It is given up at the latest when the file is closed everywhere.
        let _: Result<(), Errno> = lock_file(&self.0, FlockOperation::Unlock);
    }
}

impl LockGuard {
    fn now(&self, path: &Path) -> Result<SystemTime, CasError> {
        touch(&self.0, path)?;
        modified(&self.0, path)
    }
}

/// Opens a temporary file to see whether it is in use; network file systems lock only what is open for writing.
pub(crate) fn open_in_use(path: &Path) -> std::io::Result<File> {
    File::options().read(true).write(true).open(path)
}

/// Whether somebody has a temporary file in use.
pub(crate) fn is_in_use(file: &File) -> Result<bool, Errno> {
    match lock_file(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(false),
        Err(Errno::WOULDBLOCK) => Ok(true),
        Err(errno) => Err(errno),
    }
}

/// Sets the time of last modification to now.
pub(crate) fn touch(file: &File, path: &Path) -> Result<(), CasError> {
    let time = |tv_nsec| Timespec { tv_sec: 0, tv_nsec };
    let times = Timestamps {
        last_access: time(UTIME_OMIT),
        last_modification: time(UTIME_NOW),
    };
    rustix::fs::futimens(file, &times).map_err(|errno| CasError::io("touch", path)(errno.into()))
}

pub(crate) fn modified(file: &File, path: &Path) -> Result<SystemTime, CasError> {
    let modified = file.metadata().and_then(|metadata| metadata.modified());
    modified.map_err(CasError::io("read", path))
}

fn acquire(path: &Path, operation: FlockOperation) -> Result<LockGuard, CasError> {
    let file = open(path)?;
    lock_file(&file, operation).map_err(|errno| CasError::io("lock", path)(errno.into()))?;
    Ok(LockGuard(file))
}

fn try_acquire(path: &Path) -> Result<Option<LockGuard>, CasError> {
    let file = open(path)?;
    match lock_file(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(LockGuard(file))),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(errno) => Err(CasError::io("lock", path)(errno.into())),
    }
}

fn open(path: &Path) -> Result<File, CasError> {
    let mut options = File::options();
    options.read(true).append(true).create(true);
    options.open(path).map_err(CasError::io("open", path))
}

fn lock_file(file: &File, operation: FlockOperation) -> Result<(), Errno> {
    rustix::io::retry_on_intr(|| rustix::fs::flock(file, operation))
}

fn remove_if_abandoned(path: &Path) -> Result<(), CasError> {
    let Ok(file) = open_in_use(path) else {
        return Ok(());
    };
    if !is_in_use(&file).map_err(|errno| CasError::io("lock", path)(errno.into()))? {
        let removed = fs::remove_file(path);
        if !removed
            .as_ref()
            .is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
        {
            removed.map_err(CasError::io("remove", path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locks(folder: &Path) -> Locks {
        Locks::new(folder, folder)
    }

    #[test]
    fn shared_holders_exclude_an_exclusive_one() {
        let folder = tempfile::tempdir().unwrap();
        let locks = locks(folder.path());
        let (one, two) = (locks.shared().unwrap(), locks.shared().unwrap());
        assert!(try_acquire(&locks.lock).unwrap().is_none());
        drop((one, two));
        assert!(try_acquire(&locks.lock).unwrap().is_some());
    }

    #[test]
    fn a_sweep_takes_what_nobody_uses_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let locks = locks(folder.path());
        let used = locks.temporary_file(PACK_PREFIX).unwrap();
        let abandoned = folder.path().join("cas-pack-left.tmp");
        let foreign = folder.path().join("other.tmp");
        fs::write(&abandoned, b"").unwrap();
        fs::write(&foreign, b"").unwrap();
        locks.sweep(&locks.exclusive().unwrap()).unwrap();
        assert!(used.path().exists() && foreign.exists());
        assert!(!abandoned.exists());
    }

    #[test]
    fn what_was_left_a_moment_ago_stays_and_what_is_old_goes() {
        let folder = tempfile::tempdir().unwrap();
        let locks = locks(folder.path());
        let young = folder.path().join("cas-pack-young.tmp");
        let old = folder.path().join("cas-pack-old.tmp");
        for path in [&young, &old] {
            fs::write(path, b"").unwrap();
        }
        let now = locks.now(&locks.exclusive().unwrap()).unwrap();
        let times = fs::FileTimes::new().set_modified(now - Duration::from_secs(7200));
        File::options()
            .write(true)
            .open(&old)
            .unwrap()
            .set_times(times)
            .unwrap();
        locks.sweep_stale().unwrap();
        assert!(young.exists());
        assert!(!old.exists());
    }
}
