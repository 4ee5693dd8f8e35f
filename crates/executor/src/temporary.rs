//! Directories that live as long as a command, and the removal of those that a killed process left behind.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use entities::Timestamp;
use tempfile::TempDir;

use crate::ExecutorError;

/// A directory that is removed when this is dropped, and by anybody once this process is gone.
pub(crate) struct Temporary {
    directory: TempDir,
    /// Held as long as the process lives; the kernel lets it go at its death, however it dies.
    _lock: File,
}

/// What the names of such directories begin with.
pub(crate) const RUN: &str = "run-";
pub(crate) const REPLAY: &str = "replay-";

/// File in such a directory whose lock is held by the living.
const ALIVE: &str = "alive";

/// One without that file is about to get it, or was left by a process that was killed right then.
const UNLOCKED_AGE_MIN_MICROS: i64 = 3_600_000_000;

impl Temporary {
    pub(crate) fn make(parent: &Path, prefix: &str) -> Result<Self, ExecutorError> {
        let failed = |error| ExecutorError::io("make a directory in", parent, error);
        let directory = tempfile::Builder::new()
            .prefix(prefix)
            .tempdir_in(parent)
            .map_err(failed)?;
        // It gets its name when it is locked: nobody may find it there and unlocked.
        let unnamed = directory.path().join("born");
        let lock = File::create(&unnamed).map_err(failed)?;
        lock.lock().map_err(failed)?;
        fs::rename(&unnamed, directory.path().join(ALIVE)).map_err(failed)?;
        Ok(Self {
            directory,
            _lock: lock,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// Removes the directories of processes that are gone. What cannot be removed is left for the next time.
pub fn sweep_temporary(parent: &Path, now: Timestamp) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_ours = name.starts_with(RUN) || name.starts_with(REPLAY);
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_ours && is_folder && is_abandoned(&entry.path(), now) {
            remove(&entry.path());
        }
    }
}

fn is_abandoned(directory: &Path, now: Timestamp) -> bool {
    if let Ok(lock) = File::open(directory.join(ALIVE)) {
        return lock.try_lock().is_ok();
    }
    directory.metadata().is_ok_and(|metadata| {
        let modified = metadata.mtime().saturating_mul(1_000_000);
        now.as_micros().saturating_sub(modified) > UNLOCKED_AGE_MIN_MICROS
    })
}

/// Removes a directory in which the command may have made folders that nothing can be removed from.
fn remove(directory: &Path) {
    if fs::remove_dir_all(directory).is_ok() {
        return;
    }
    open_folders(directory.to_owned());
    if let Err(error) = fs::remove_dir_all(directory) {
        tracing::warn!(path = %directory.display(), %error, "what a killed process left cannot be removed");
    }
}

fn open_folders(directory: PathBuf) {
    use std::os::unix::fs::PermissionsExt as _;
    let mut waiting = vec![directory];
    while let Some(folder) = waiting.pop() {
        // Only folders that were found as such, not through links.
        let _ = fs::set_permissions(&folder, fs::Permissions::from_mode(0o700));
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        let folders = entries
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        waiting.extend(folders.map(|entry| entry.path()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_dead_left_is_removed_and_what_the_living_use_is_not() {
        use std::os::unix::fs::PermissionsExt as _;
        let parent = tempfile::tempdir().unwrap();
        let living = Temporary::make(parent.path(), RUN).unwrap();
        let at = |name: &str| parent.path().join(name);
        for name in ["replay-dead/folder", "run-new", "elsewhere", "other"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        fs::write(at("replay-dead/alive"), "").unwrap();
        fs::write(at("replay-dead/folder/file"), "").unwrap();
        let read_only = fs::Permissions::from_mode(0o500);
        fs::set_permissions(at("replay-dead/folder"), read_only).unwrap();
        fs::write(at("elsewhere/alive"), "").unwrap();
        std::os::unix::fs::symlink(at("elsewhere"), at("run-link")).unwrap();
        let metadata = at("run-new").metadata().unwrap();
        let made = metadata.mtime() * 1_000_000;
        sweep_temporary(parent.path(), Timestamp::from_micros(made));
        assert!(living.path().join(ALIVE).exists());
        assert!(!at("replay-dead").exists());
        for name in ["run-new", "elsewhere/alive", "other", "run-link"] {
            assert!(at(name).exists(), "{name} was removed");
        }
        let later = Timestamp::from_micros(made + 2 * UNLOCKED_AGE_MIN_MICROS);
        sweep_temporary(parent.path(), later);
        assert!(!at("run-new").exists() && living.path().exists());
        let path = living.path().to_owned();
        drop(living);
        assert!(!path.exists());
    }
}
