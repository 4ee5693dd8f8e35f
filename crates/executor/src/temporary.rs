//! Directories that live as long as a command, and what killed commands left of them.
//!
//! Each holds a file `alive` that its command has locked with `flock`, which the kernel gives up when the command dies.
//! The lock tells, across the pid namespaces of one kernel, whether the command lives.
//! Whoever makes a directory holds a shared lock on `making` beside it until its own lock is taken, and whoever sweeps
//! holds that lock exclusively, so that nobody sees a directory whose lock is still to come.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use entities::{ProcessIdentity, RunId};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::ExecutorError;

/// Name of the file whose lock says that a directory's command lives.
const ALIVE: &str = "alive";

/// Name of the file beside the directories that is locked while one is made, and while they are swept.
const MAKING: &str = "making";

const RUN_PREFIX: &str = "run-";
const REPLAY_PREFIX: &str = "replay-";

/// Directories that nobody uses are first called so, for a moment under the lock, and then removed without it.
const SWEPT_PREFIX: &str = "swept-";

/// A directory that is removed when this is dropped, and by a later command when this process is killed.
#[derive(Debug)]
pub(crate) struct TemporaryDirectory {
    path: PathBuf,
    /// Its lock is held until it is closed, after the directory has gone.
    _alive: File,
}

impl TemporaryDirectory {
    /// Makes the directory of a run, which others find by the run's id.
    pub(crate) fn of_run(parent: &Path, run: &RunId) -> Result<Self, ExecutorError> {
        Self::make(parent, || {
            let path = run_directory(parent, run);
            DirBuilder::new().create(&path)?;
            Ok(path)
        })
    }

    /// Makes a directory for a replay.
    pub(crate) fn of_replay(parent: &Path) -> Result<Self, ExecutorError> {
        Self::make(parent, || {
            let made = tempfile::Builder::new()
                .prefix(REPLAY_PREFIX)
                .tempdir_in(parent)?;
            Ok(made.keep())
        })
    }

    fn make(
        parent: &Path,
        make: impl FnOnce() -> io::Result<PathBuf>,
    ) -> Result<Self, ExecutorError> {
        // Without such locks nobody can sweep either.
        let making = lock_making(parent, FlockOperation::LockShared);
        let path =
            make().map_err(|error| ExecutorError::io("make a directory in", parent, error))?;
        let alive = make_alive(&path.join(ALIVE));
        drop(making);
        match alive {
            Ok(alive) => Ok(Self {
                path,
                _alive: alive,
            }),
            Err(error) => {
                let _ = std::fs::remove_dir_all(&path);
                Err(ExecutorError::io("lock", path.join(ALIVE), error))
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// Tells whether the command that has a run open lives; `temporary` is the folder that holds its directory.
///
/// Where the run's directory cannot tell, the process can, if it is one of this pid namespace.
pub fn is_run_alive(temporary: &Path, run: &RunId, process: &ProcessIdentity) -> bool {
    // A lock means nothing after another boot, or on another machine.
    if !capture::host::is_of_this_boot(process) {
        return false;
    }
    match holder_of(&run_directory(temporary, run)) {
        Holder::Alive => true,
        Holder::Gone => false,
        Holder::NoFile | Holder::Unknown => capture::host::is_alive(process),
    }
}

/// Removes the directories below `temporary` whose command is gone.
///
/// `has_open_runs` tells whether a captured run is under way: then directories without a lock file stay, which may be
/// in use by an earlier version.
/// What cannot be removed stays, for another command to try.
pub fn sweep_temporary(temporary: &Path, has_open_runs: bool) {
    let names = list_names(temporary);
    if names.is_empty() {
        return;
    }
    // Others are making or sweeping; the next command comes again.
    let Some(making) = lock_making(temporary, FlockOperation::NonBlockingLockExclusive) else {
        return;
    };
    let mut abandoned = Vec::new();
    // Listed anew: what was seen before the lock may have gone.
    for name in list_names(temporary) {
        let path = temporary.join(&name);
        if name.starts_with(SWEPT_PREFIX) {
            abandoned.push(path);
            continue;
        }
        let is_abandoned = match holder_of(&path) {
            Holder::Gone => true,
            Holder::NoFile => !has_open_runs,
            Holder::Alive | Holder::Unknown => false,
        };
        let swept = temporary.join(format!("{SWEPT_PREFIX}{name}"));
        if is_abandoned && std::fs::rename(&path, &swept).is_ok() {
            abandoned.push(swept);
        }
    }
    drop(making);
    for path in abandoned {
        remove(&path);
    }
}

pub(crate) fn run_directory(parent: &Path, run: &RunId) -> PathBuf {
    parent.join(format!("{RUN_PREFIX}{run}"))
}

/// Names of the directories that are made here; links are none.
fn list_names(temporary: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(temporary) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        // Ours are named in ASCII.
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| {
            [RUN_PREFIX, REPLAY_PREFIX, SWEPT_PREFIX]
                .iter()
                .any(|prefix| name.starts_with(prefix))
        })
        .collect()
}

/// What the lock of a directory says of its command.
enum Holder {
    Alive,
    Gone,
    /// There is no such file: no such directory, or one of an earlier version.
    NoFile,
    /// The file may not be read, or its file system has no such locks.
    Unknown,
}

fn holder_of(directory: &Path) -> Holder {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(directory.join(ALIVE), flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Holder::NoFile,
        Err(_) => return Holder::Unknown,
    };
    // Shared, so that two who look at once do not take each other for the command.
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Holder::Gone,
        Err(Errno::WOULDBLOCK) => Holder::Alive,
        Err(_) => Holder::Unknown,
    }
}

fn make_alive(path: &Path) -> io::Result<File> {
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(errno) if has_no_locks(errno) => Ok(file),
        Err(errno) => Err(errno.into()),
    }
}

/// Gives nothing where the lock is not to be had.
fn lock_making(parent: &Path, operation: FlockOperation) -> Option<File> {
    let path = parent.join(MAKING);
    let mut options = File::options();
    options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    let file = options
        .clone()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        // Another user's file may be locked by whoever can read it.
        .or_else(|_| options.read(true).open(&path))
        .ok()?;
    flock(&file, operation).ok().map(|()| file)
}

/// Whether a file system has no such locks, as some over a network have not.
fn has_no_locks(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::BADF | Errno::INVAL | Errno::NOLCK | Errno::NOSYS | Errno::OPNOTSUPP
    )
}

fn flock(file: impl std::os::fd::AsFd, operation: FlockOperation) -> Result<(), Errno> {
    rustix::io::retry_on_intr(|| rustix::fs::flock(&file, operation))
}

/// Removes a directory with all below it, without following links.
fn remove(directory: &Path) {
    let removed = std::fs::remove_dir_all(directory).or_else(|error| {
        if error.kind() != io::ErrorKind::PermissionDenied {
            return Err(error);
        }
        // A replay restores folders as they were, also those that may not be written to.
        make_writable(directory);
        std::fs::remove_dir_all(directory)
    });
    if let Err(error) = removed
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %directory.display(), error = &error as &dyn std::error::Error, "a temporary directory could not be removed");
    }
}

/// Lets the owner change this folder and those below it.
fn make_writable(directory: &Path) {
    // What cannot be changed shows when it cannot be removed.
    let mut waiting = vec![directory.to_owned()];
    while let Some(folder) = waiting.pop() {
        let _ = std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700));
        let Ok(entries) = std::fs::read_dir(&folder) else {
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

    fn run_id(text: &str) -> RunId {
        text.parse().unwrap()
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names = list_names(folder);
        names.sort();
        names
    }

    #[test]
    fn a_sweep_takes_what_nobody_holds_and_leaves_what_somebody_does() {
        let folder = tempfile::tempdir().unwrap();
        let held = TemporaryDirectory::of_run(folder.path(), &run_id("held")).unwrap();
        let replay = TemporaryDirectory::of_replay(folder.path()).unwrap();
        let left = folder.path().join("run-left");
        std::fs::create_dir_all(left.join("below/deeper")).unwrap();
        std::fs::write(left.join(ALIVE), b"").unwrap();
        std::fs::write(left.join("below/file"), b"").unwrap();
        std::fs::set_permissions(left.join("below"), std::fs::Permissions::from_mode(0o500))
            .unwrap();
        std::fs::create_dir(folder.path().join("swept-run-before")).unwrap();
        std::fs::create_dir(folder.path().join("other")).unwrap();
        sweep_temporary(folder.path(), true);
        let replay_name = replay.path().file_name().unwrap().to_str().unwrap();
        assert_eq!(names(folder.path()), [replay_name, "run-held"]);
        assert!(folder.path().join("other").is_dir());
        drop((held, replay));
        assert_eq!(names(folder.path()), Vec::<String>::new());
    }

    #[test]
    fn a_directory_without_a_lock_file_goes_only_where_no_run_is_open() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("run-old")).unwrap();
        sweep_temporary(folder.path(), true);
        assert_eq!(names(folder.path()), ["run-old"]);
        sweep_temporary(folder.path(), false);
        assert_eq!(names(folder.path()), Vec::<String>::new());
    }

    #[test]
    fn a_sweep_follows_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let precious = elsewhere.path().join("precious");
        std::fs::write(&precious, b"kept").unwrap();
        std::fs::write(elsewhere.path().join(ALIVE), b"").unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("run-link")).unwrap();
        let left = folder.path().join("run-left");
        std::fs::create_dir(&left).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), left.join("link")).unwrap();
        sweep_temporary(folder.path(), false);
        assert!(!left.exists());
        assert_eq!(std::fs::read(precious).unwrap(), b"kept");
    }

    #[test]
    fn nothing_is_swept_while_a_directory_is_being_made() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("run-coming")).unwrap();
        let making = lock_making(folder.path(), FlockOperation::LockShared).unwrap();
        sweep_temporary(folder.path(), false);
        assert_eq!(names(folder.path()), ["run-coming"]);
        drop(making);
        sweep_temporary(folder.path(), false);
        assert_eq!(names(folder.path()), Vec::<String>::new());
    }

    #[test]
    fn a_run_lives_as_long_as_its_lock_is_held_whatever_its_pid() {
        let folder = tempfile::tempdir().unwrap();
        let (run, ours) = (run_id("a"), capture::host::this_process());
        let stranger = ProcessIdentity {
            start_ticks: ours.start_ticks + 1,
            ..ours.clone()
        };
        let is_alive = |process| is_run_alive(folder.path(), &run, process);
        assert!(is_alive(&ours) && !is_alive(&stranger));
        let directory = TemporaryDirectory::of_run(folder.path(), &run).unwrap();
        assert!(is_alive(&stranger));
        let of_another_boot = ProcessIdentity {
            boot_id: "another".to_owned(),
            ..ours.clone()
        };
        assert!(!is_alive(&of_another_boot));
        std::fs::rename(directory.path(), folder.path().join("moved")).unwrap();
        std::fs::create_dir(directory.path()).unwrap();
        std::fs::write(directory.path().join(ALIVE), b"").unwrap();
        assert!(!is_alive(&ours), "its lock is free");
    }
}
