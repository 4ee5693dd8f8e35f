//! Reading the files of the code, or not reading them because their digest is known.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use entities::{Count, EntryKind, NotKept, NotKeptReason, ObjectId, RecordedPath};

use super::{CodeFile, CodeRequest, walk};
use crate::CaptureError;
use crate::digests::Stamp;

/// Whether git tracks a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ownership {
    Tracked,
    Untracked,
}

/// What came of reading.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) files: BTreeMap<PathBuf, CodeFile>,
    pub(super) not_kept: Vec<NotKept>,
    pub(super) lfs_pointers: Vec<RecordedPath>,
}

/// Up to this size a file is read in one piece.
const WHOLE_BYTES_MAX: u64 = 1 << 20;

/// How often a file that changes under our hands is read again.
const ATTEMPTS: usize = 3;

/// Below this many files a second thread costs more than it gains.
const FILES_A_THREAD: usize = 64;

/// Two cores are what a small machine has; more threads would mostly wait for the disk.
const THREADS_MAX: usize = 4;

/// Git LFS: a pointer has less than 1024 bytes and begins with this line; the shortest has about 120.
const POINTER_BEGIN: &[u8] = b"version https://git-lfs.github.com/spec/v1\n";
const POINTER_BYTES: std::ops::Range<u64> = 100..1024;

/// Reads all files of a listing.
pub(super) fn read_all(
    request: CodeRequest<'_>,
    files: &BTreeMap<PathBuf, Ownership>,
) -> Result<Taken, CaptureError> {
    let files: Vec<_> = files.iter().collect();
    let processors = std::thread::available_parallelism()
        .map_or(1, std::num::NonZero::get)
        .min(THREADS_MAX);
    let threads = files.len().div_ceil(FILES_A_THREAD).clamp(1, processors);
    let parts = files.chunks(files.len().div_ceil(threads).max(1));
    let parts: Vec<_> = std::thread::scope(|scope| {
        let mut parts = parts;
        // The first part is for this thread, which would only wait otherwise.
        let first = parts.next();
        let others: Vec<_> = parts
            .map(|part| scope.spawn(move || read_part(request, part)))
            .collect();
        let first = first.map(|part| read_part(request, part));
        let others = others
            .into_iter()
            .map(|thread| thread.join().expect("reading does not panic"));
        first.into_iter().chain(others).collect()
    });
    let mut all = Taken::default();
    for part in parts {
        let Taken {
            files,
            not_kept,
            lfs_pointers,
        } = part?;
        all.files.extend(files);
        all.not_kept.extend(not_kept);
        all.lfs_pointers.extend(lfs_pointers);
    }
    Ok(all)
}

fn read_part(
    request: CodeRequest<'_>,
    files: &[(&PathBuf, &Ownership)],
) -> Result<Taken, CaptureError> {
    let mut read = Taken::default();
    let mut parents = Parents {
        root: request.root,
        known: BTreeMap::new(),
    };
    for (path, ownership) in files {
        // Behind a link stands another file than the one that git tracks.
        if !parents.are_real(path) {
            continue;
        }
        match read_entry(request, path, **ownership)? {
            Entry::Kept {
                file,
                is_lfs_pointer,
            } => {
                if is_lfs_pointer {
                    read.lfs_pointers.push(RecordedPath::new(path));
                }
                read.files.insert((*path).clone(), file);
            }
            Entry::NotKept {
                size_bytes,
                object,
                reason,
            } => read.not_kept.push(NotKept {
                path: RecordedPath::new(path),
                size_bytes: size_bytes.map(Count),
                object,
                reason,
            }),
            Entry::NoCode => {}
        }
    }
    Ok(read)
}

struct Parents<'a> {
    root: &'a Path,
    known: BTreeMap<PathBuf, bool>,
}

impl Parents<'_> {
    fn are_real(&mut self, path: &Path) -> bool {
        let Some(parent) = path.parent() else {
            return true;
        };
        if let Some(known) = self.known.get(parent) {
            return *known;
        }
        let are_real = walk::has_real_parents(self.root, path);
        self.known.insert(parent.to_owned(), are_real);
        are_real
    }
}

enum Entry {
    Kept {
        file: CodeFile,
        is_lfs_pointer: bool,
    },
    NotKept {
        size_bytes: Option<u64>,
        object: Option<ObjectId>,
        reason: NotKeptReason,
    },
    NoCode,
}

impl Entry {
    fn not_kept(reason: NotKeptReason, size_bytes: Option<u64>) -> Self {
        Self::NotKept {
            size_bytes,
            object: None,
            reason,
        }
    }
}

fn read_entry(
    request: CodeRequest<'_>,
    path: &Path,
    ownership: Ownership,
) -> Result<Entry, CaptureError> {
    let absolute = request.root.join(path);
    let metadata = match absolute.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(error) => return Ok(missing(&error, ownership)),
    };
    let is_secret = request.redaction.is_secret_file(&absolute);
    if metadata.is_dir() {
        return Ok(Entry::NoCode);
    }
    if is_secret {
        return Ok(Entry::not_kept(NotKeptReason::Secret, None));
    }
    if metadata.is_symlink() {
        return read_link(request, &absolute, ownership);
    }
    if !metadata.is_file() {
        return Ok(Entry::not_kept(NotKeptReason::Special, None));
    }
    let size_bytes = metadata.len();
    if ownership == Ownership::Untracked && size_bytes > request.code_file_limit_bytes {
        return Ok(Entry::NoCode);
    }
    if size_bytes > request.size_limit_bytes {
        let object = request
            .digests
            .digest(&absolute)
            .ok()
            .map(|(object, _)| object);
        return Ok(Entry::NotKept {
            size_bytes: Some(size_bytes),
            object,
            reason: NotKeptReason::OverSizeLimit,
        });
    }
    let may_be_pointer = POINTER_BYTES.contains(&size_bytes);
    if !may_be_pointer
        && let Some(object) = request.digests.find(&metadata)
        && request.batch.contains(&object)?
    {
        let file = CodeFile {
            object,
            size_bytes,
            kind: kind_of(&metadata),
            is_tracked: ownership == Ownership::Tracked,
        };
        return Ok(Entry::Kept {
            file,
            is_lfs_pointer: false,
        });
    }
    read_file(request, &absolute, ownership)
}

/// A tracked file that is not there was deleted, which git says; another was there when it was listed.
fn missing(error: &io::Error, ownership: Ownership) -> Entry {
    let is_gone = matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    );
    match (is_gone, ownership) {
        (true, Ownership::Tracked) => Entry::NoCode,
        (true, Ownership::Untracked) => Entry::not_kept(NotKeptReason::Vanished, None),
        (false, _) => Entry::not_kept(NotKeptReason::Unreadable, None),
    }
}

fn read_link(
    request: CodeRequest<'_>,
    absolute: &Path,
    ownership: Ownership,
) -> Result<Entry, CaptureError> {
    let Ok(target) = absolute.read_link() else {
        return Ok(Entry::not_kept(NotKeptReason::Vanished, None));
    };
    let target = target.as_os_str().as_bytes();
    let object = request.batch.put(target)?;
    let file = CodeFile {
        object,
        size_bytes: target.len() as u64,
        kind: EntryKind::Symlink,
        is_tracked: ownership == Ownership::Tracked,
    };
    Ok(Entry::Kept {
        file,
        is_lfs_pointer: false,
    })
}

fn read_file(
    request: CodeRequest<'_>,
    absolute: &Path,
    ownership: Ownership,
) -> Result<Entry, CaptureError> {
    // If it is a FIFO or a link by now: do not wait for its other end, do not follow.
    let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW;
    let mut file = match File::options()
        .read(true)
        .custom_flags(flags)
        .open(absolute)
    {
        Ok(file) => file,
        Err(error) => return Ok(missing(&error, ownership)),
    };
    for _ in 0..ATTEMPTS {
        let Ok(before) = file.metadata() else {
            return Ok(Entry::not_kept(NotKeptReason::Unreadable, None));
        };
        if !before.is_file() {
            return Ok(Entry::not_kept(NotKeptReason::Special, None));
        }
        let Some(content) = put_content(request, &mut file, before.len())? else {
            return Ok(Entry::not_kept(
                NotKeptReason::Unreadable,
                Some(before.len()),
            ));
        };
        let is_same = file
            .metadata()
            .is_ok_and(|after| Stamp::of(&after) == Stamp::of(&before));
        if is_same && content.size_bytes == before.len() {
            request.digests.note(&before, content.object);
            let file = CodeFile {
                object: content.object,
                size_bytes: content.size_bytes,
                kind: kind_of(&before),
                is_tracked: ownership == Ownership::Tracked,
            };
            return Ok(Entry::Kept {
                file,
                is_lfs_pointer: content.is_lfs_pointer,
            });
        }
    }
    Ok(Entry::not_kept(NotKeptReason::Changing, None))
}

struct Content {
    object: ObjectId,
    size_bytes: u64,
    is_lfs_pointer: bool,
}

/// Reads and stores a file; none where it cannot be read. That it cannot be stored is an error.
fn put_content(
    request: CodeRequest<'_>,
    file: &mut File,
    size_bytes: u64,
) -> Result<Option<Content>, CaptureError> {
    if io::Seek::rewind(file).is_err() {
        return Ok(None);
    }
    if size_bytes > WHOLE_BYTES_MAX {
        let mut reader = Remembering {
            file,
            has_failed: false,
        };
        let stored = request.batch.put_reader(&mut reader);
        if reader.has_failed {
            return Ok(None);
        }
        let stored = stored?;
        return Ok(Some(Content {
            object: stored.object,
            size_bytes: stored.size_bytes,
            is_lfs_pointer: false,
        }));
    }
    let mut bytes = Vec::with_capacity(size_bytes as usize);
    // One byte more than it had, to see that it grew; not all that it may have become.
    if file.take(size_bytes + 1).read_to_end(&mut bytes).is_err() {
        return Ok(None);
    }
    let object = request.batch.put(&bytes)?;
    let is_lfs_pointer = POINTER_BYTES.contains(&size_bytes) && bytes.starts_with(POINTER_BEGIN);
    Ok(Some(Content {
        object,
        size_bytes: bytes.len() as u64,
        is_lfs_pointer,
    }))
}

/// Remembers that reading failed, which the error of storing does not tell.
struct Remembering<'a> {
    file: &'a mut File,
    has_failed: bool,
}

impl Read for Remembering<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer);
        self.has_failed |= read
            .as_ref()
            .is_err_and(|error| error.kind() != io::ErrorKind::Interrupted);
        read
    }
}

fn kind_of(metadata: &Metadata) -> EntryKind {
    if metadata.permissions().mode() & 0o100 == 0 {
        EntryKind::File
    } else {
        EntryKind::Executable
    }
}
