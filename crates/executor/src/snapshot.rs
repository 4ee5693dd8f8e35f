//! Reading files into objects on threads of their own, so that the command does not wait longer than it must.

use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use capture::digests::DigestCache;
use cas::{Batch, CasError, Stored};
use entities::{EntryKind, NotKeptReason, ObjectId};
use provenance::FileFact;

use crate::stamp::{Stamp, entry_kind};

/// Threads that read, hash and compress: one a core of a small machine, more gain little beside the command itself.
const THREAD_COUNT: usize = 2;

/// Files that may wait, each with an open descriptor; then the command waits.
const QUEUE_LENGTH: usize = 64;

/// Files of the environment that are digested together: to wake a thread takes longer than the rest of what a call of
/// the command costs.
const WARMED_TOGETHER: usize = 32;

/// What came of reading a file.
#[derive(Clone, Debug)]
pub(crate) enum Snapshot {
    /// Its bytes are kept.
    Kept(FileFact),
    /// Its bytes are not kept.
    NotKept {
        size_bytes: Option<u64>,
        object: Option<ObjectId>,
        reason: NotKeptReason,
        kind: Option<EntryKind>,
    },
}

/// Where a snapshot will be found.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    snapshot: Mutex<Option<Snapshot>>,
    filled: Condvar,
}

impl Slot {
    pub(crate) fn fill(&self, snapshot: Snapshot) {
        *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = Some(snapshot);
        self.filled.notify_all();
    }

    /// Waits until it is there.
    pub(crate) fn wait(&self) -> Snapshot {
        let mut snapshot = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match &*snapshot {
                Some(snapshot) => return snapshot.clone(),
                None => {
                    snapshot = self
                        .filled
                        .wait(snapshot)
                        .unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

enum Job {
    /// A file that is open already, so that it is read even if its name is gone by then.
    Opened {
        file: File,
        path: PathBuf,
        slot: Arc<Slot>,
        stamp: Option<Stamp>,
    },
    /// A file, link or something else at a path.
    AtPath { path: PathBuf, slot: Arc<Slot> },
    /// Files of the environment, of which the digests will be asked for later.
    Warm { paths: Vec<PathBuf> },
}

/// Where snapshots go.
#[derive(Clone)]
pub(crate) struct Keeper {
    pub(crate) batch: Arc<Batch>,
    pub(crate) digests: Arc<DigestCache>,
    /// Larger files are only digested.
    pub(crate) size_limit_bytes: u64,
}

/// Threads that make snapshots. Dropping them waits for all that was asked for.
pub(crate) struct Snapshots {
    jobs: Option<SyncSender<Job>>,
    /// Files to digest ahead of time, until there are enough of them to wake a thread for.
    to_warm: Mutex<Vec<PathBuf>>,
    threads: Vec<JoinHandle<()>>,
}

impl Snapshots {
    pub(crate) fn start(keeper: &Keeper) -> Self {
        let (jobs, waiting) = sync_channel(QUEUE_LENGTH);
        let waiting = Arc::new(Mutex::new(waiting));
        let threads = (0..THREAD_COUNT)
            .map(|_| {
                let (keeper, waiting) = (keeper.clone(), Arc::clone(&waiting));
                std::thread::spawn(move || work(&keeper, &waiting))
            })
            .collect();
        Self {
            jobs: Some(jobs),
            to_warm: Mutex::default(),
            threads,
        }
    }

    /// Asks for a file that is about to be read by somebody else, as it is now.
    pub(crate) fn take_opened(&self, file: File, path: PathBuf, slot: Arc<Slot>) {
        // What counts is what it is now, not what it is when its turn comes.
        let stamp = file.metadata().ok().map(|metadata| Stamp::of(&metadata));
        self.send(Job::Opened {
            file,
            path,
            slot,
            stamp,
        });
    }

    /// Asks for what is at a path.
    pub(crate) fn take(&self, path: PathBuf) -> Arc<Slot> {
        let slot = Arc::new(Slot::default());
        self.send(Job::AtPath {
            path,
            slot: Arc::clone(&slot),
        });
        slot
    }

    /// Digests a file ahead of time, if there is somebody free to do it.
    pub(crate) fn warm(&self, path: PathBuf) {
        let paths = {
            let mut to_warm = self.to_warm.lock().unwrap_or_else(PoisonError::into_inner);
            to_warm.push(path);
            if to_warm.len() < WARMED_TOGETHER {
                return;
            }
            std::mem::take(&mut *to_warm)
        };
        if let Some(jobs) = &self.jobs {
            // With the queue full they are digested when they are asked for, and so is what is left at the end.
            let _ = jobs.try_send(Job::Warm { paths });
        }
    }

    fn send(&self, job: Job) {
        let jobs = self
            .jobs
            .as_ref()
            .expect("only dropping takes the queue away");
        jobs.send(job)
            .expect("the threads live as long as the queue");
    }
}

impl Drop for Snapshots {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A panic of a thread was printed by itself; its slot is what the waiting side misses.
            let _ = thread.join();
        }
    }
}

fn work(keeper: &Keeper, waiting: &Mutex<Receiver<Job>>) {
    loop {
        let job = waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        match job {
            Err(_) => return,
            Ok(Job::Opened {
                file,
                path,
                slot,
                stamp,
            }) => {
                slot.fill(guarded(|| keep_opened(keeper, &file, &path, stamp)));
            }
            Ok(Job::AtPath { path, slot }) => slot.fill(guarded(|| keep_path(keeper, &path))),
            Ok(Job::Warm { paths }) => {
                for path in paths {
                    let _ = keeper.digests.digest(&path);
                }
            }
        }
    }
}

/// A slot must be filled whatever happens, or the command would wait for ever.
fn guarded(make: impl FnOnce() -> Snapshot) -> Snapshot {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(make))
        .unwrap_or_else(|_| not_kept(NotKeptReason::Unreadable, None))
}

pub(crate) fn not_kept(reason: NotKeptReason, size_bytes: Option<u64>) -> Snapshot {
    Snapshot::NotKept {
        size_bytes,
        object: None,
        reason,
        kind: None,
    }
}

/// Keeps what is at a path: the bytes of a file, the target of a link.
pub(crate) fn keep_path(keeper: &Keeper, path: &Path) -> Snapshot {
    let metadata = match path.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return not_kept(NotKeptReason::Vanished, None);
        }
        Err(_) => return not_kept(NotKeptReason::Unreadable, None),
    };
    match entry_kind(&metadata) {
        None => not_kept(NotKeptReason::Special, None),
        Some(EntryKind::Symlink) => keep_link(keeper, path),
        Some(_) => match open_regular(path) {
            Ok(file) => keep_opened(keeper, &file, path, None),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                not_kept(NotKeptReason::Vanished, None)
            }
            Err(_) => not_kept(NotKeptReason::Unreadable, Some(metadata.len())),
        },
    }
}

/// Opens a file that may turn out to be a FIFO by now: without waiting for its other end.
pub(crate) fn open_regular(path: &Path) -> std::io::Result<File> {
    const O_NONBLOCK: i32 = 0o4000;
    File::options()
        .read(true)
        .custom_flags(O_NONBLOCK)
        .open(path)
}

fn keep_link(keeper: &Keeper, path: &Path) -> Snapshot {
    let Ok(target) = std::fs::read_link(path) else {
        return not_kept(NotKeptReason::Vanished, None);
    };
    let bytes = target.as_os_str().as_bytes();
    match keeper.batch.put(bytes) {
        Ok(object) => Snapshot::Kept(FileFact {
            object,
            size_bytes: bytes.len() as u64,
            kind: EntryKind::Symlink,
        }),
        Err(error) => failed(path, &error, None),
    }
}

fn keep_opened(keeper: &Keeper, file: &File, path: &Path, stamp: Option<Stamp>) -> Snapshot {
    let Ok(metadata) = file.metadata() else {
        return not_kept(NotKeptReason::Unreadable, None);
    };
    let kind = match entry_kind(&metadata) {
        Some(kind) if kind != EntryKind::Symlink => kind,
        _ => return not_kept(NotKeptReason::Special, None),
    };
    let before = Stamp::of(&metadata);
    if stamp.is_some_and(|stamp| before.has_other_content(&stamp)) {
        return not_kept(NotKeptReason::Changing, Some(before.size_bytes));
    }
    if let Some(object) = keeper.digests.find(&metadata)
        && keeper.batch.contains(&object).unwrap_or(false)
    {
        return Snapshot::Kept(FileFact {
            object,
            size_bytes: before.size_bytes,
            kind,
        });
    }
    let is_over_limit = before.size_bytes > keeper.size_limit_bytes;
    let read = if is_over_limit {
        digest_only(file)
    } else {
        store(keeper, file)
    };
    let stored = match read {
        Ok(stored) => stored,
        Err(error) => return failed(path, &error, Some(before.size_bytes)),
    };
    let after = file.metadata().map(|metadata| Stamp::of(&metadata));
    if after.map_or(true, |after| after.has_other_content(&before))
        || stored.size_bytes != before.size_bytes
    {
        return not_kept(NotKeptReason::Changing, Some(stored.size_bytes));
    }
    keeper.digests.note(&metadata, stored.object);
    if is_over_limit {
        return Snapshot::NotKept {
            size_bytes: Some(stored.size_bytes),
            object: Some(stored.object),
            reason: NotKeptReason::OverSizeLimit,
            kind: Some(kind),
        };
    }
    Snapshot::Kept(FileFact {
        object: stored.object,
        size_bytes: stored.size_bytes,
        kind,
    })
}

fn store(keeper: &Keeper, file: &File) -> Result<Stored, CasError> {
    keeper.batch.put_file(file)
}

fn digest_only(file: &File) -> Result<Stored, CasError> {
    let mut reader = file;
    let (object, size_bytes) = cas::digest_reader(&mut reader).map_err(|source| CasError::Io {
        action: "read",
        path: PathBuf::new(),
        source,
    })?;
    Ok(Stored { object, size_bytes })
}

fn failed(path: &Path, error: &CasError, size_bytes: Option<u64>) -> Snapshot {
    tracing::warn!(path = %path.display(), error = error as &dyn std::error::Error, "a file could not be kept");
    not_kept(NotKeptReason::NotStored, size_bytes)
}
