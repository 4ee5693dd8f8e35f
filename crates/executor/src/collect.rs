//! What a command does to files, put together call by call.

mod finish;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use capture::redaction::Redaction;
use capture::trace::{Access, AccessKind, Observer};
use capture::writers::WriteCounter;
use entities::{NetworkPeer, NotKeptReason, ObjectId, Timestamp};
use provenance::{ClassifyContext, FileClass, classify, is_cache};

use crate::snapshot::{Keeper, Slot, Snapshots, keep_path, not_kept, open_regular};
use crate::stamp::Stamp;
use crate::view::View;

pub(crate) use self::finish::Collected;

/// Listens to the calls of a command and keeps the bytes that would be gone afterwards.
pub(crate) struct Collector {
    view: View,
    context: RwLock<ClassifyContext>,
    redaction: Redaction,
    keeper: Keeper,
    snapshots: Snapshots,
    /// Objects of the code tree, by absolute path as the command sees it.
    code: BTreeMap<PathBuf, ObjectId>,
    state: Mutex<State>,
    /// Counts how often files are written in the folders that the command writes in.
    counter: WriteCounter,
    started_at: Timestamp,
}

#[derive(Default)]
struct State {
    files: BTreeMap<PathBuf, Seen>,
    /// Programs in the order in which they were first executed.
    executed: Vec<PathBuf>,
    peers: BTreeSet<NetworkPeer>,
    /// Further names of secret files.
    secrets: BTreeSet<PathBuf>,
    /// The first rename that the kernel refuses, since a replay shows both places by mounts of their own.
    renamed_between_mounts: Option<(PathBuf, PathBuf)>,
    /// Folders that files were put into, and whether each was there before the command.
    folders: BTreeMap<PathBuf, bool>,
}

/// What was seen of one file so far.
#[derive(Clone, Debug, Default)]
struct Seen {
    /// What it was at first sight; none where there was no such file, link or special file.
    first: Option<Stamp>,
    was_read_first: bool,
    was_written: bool,
    /// How often it was opened for writing, or put in place, at most: a call may have failed.
    writes: u64,
    was_deleted: bool,
    was_executed: bool,
    /// Its content as it was when first read.
    snapshot: Option<Arc<Slot>>,
}

/// Why a file is kept before a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// It is about to be read.
    Read,
    /// It was read, and is about to be changed or removed.
    Change,
}

/// What the collector must know of a run before it starts.
pub(crate) struct CollectorRequest {
    pub(crate) view: View,
    pub(crate) context: ClassifyContext,
    pub(crate) redaction: Redaction,
    pub(crate) keeper: Keeper,
    /// Objects of the code tree, by path in the project.
    pub(crate) code: BTreeMap<PathBuf, ObjectId>,
    /// Now.
    pub(crate) started_at: Timestamp,
}

impl Collector {
    pub(crate) fn new(request: CollectorRequest) -> Self {
        let CollectorRequest {
            view,
            context,
            redaction,
            keeper,
            code,
            started_at,
        } = request;
        let root = context.project_root.clone();
        Self {
            view,
            context: RwLock::new(context),
            redaction,
            snapshots: Snapshots::start(&keeper),
            keeper,
            code: code
                .into_iter()
                .map(|(path, object)| (root.join(path), object))
                .collect(),
            state: Mutex::default(),
            counter: WriteCounter::default(),
            started_at,
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn class_of(&self, path: &Path) -> FileClass {
        classify(
            path,
            &self.context.read().unwrap_or_else(PoisonError::into_inner),
        )
    }

    fn is_cache(&self, path: &Path) -> bool {
        is_cache(
            path,
            &self.context.read().unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// Notes what is there when a path is first heard of.
    fn sight<'a>(&self, state: &'a mut State, path: &Path) -> &'a mut Seen {
        state.files.entry(path.to_owned()).or_insert_with(|| {
            let metadata = self.view.to_real(path).symlink_metadata().ok();
            Seen {
                first: metadata.as_ref().map(Stamp::of),
                ..Seen::default()
            }
        })
    }

    fn stamp_now(&self, path: &Path) -> Option<Stamp> {
        let metadata = self.view.to_real(path).symlink_metadata().ok();
        metadata.as_ref().map(Stamp::of)
    }

    fn is_secret(&self, state: &State, path: &Path) -> bool {
        self.redaction.is_secret_file(path) || state.secrets.contains(path)
    }

    /// Whether a rule for secrets covers a path.
    pub(crate) fn is_secret_file(&self, path: &Path) -> bool {
        self.redaction.is_secret_file(path)
    }

    /// Keeps what the command was given as its standard input, which it does not open itself.
    pub(crate) fn keep_standard_input(&self, file: File, path: Option<&Path>) -> Arc<Slot> {
        if let Some(path) = path {
            self.read(path);
        }
        let slot = Arc::default();
        let path = path.unwrap_or(Path::new("standard input")).to_owned();
        self.snapshots.take_opened(file, path, Arc::clone(&slot));
        slot
    }

    fn read(&self, path: &Path) {
        let mut state = self.state();
        let seen = self.sight(&mut state, path);
        if seen.was_read_first || seen.first.is_none() {
            return;
        }
        // A change is told before it is made, and may have been refused: then what is read is what was there.
        if (seen.was_written || seen.was_deleted) && seen.first != self.stamp_now(path) {
            return;
        }
        seen.was_read_first = true;
        // The slot is there before the lock is let go, so that whoever is about to change the file waits for it.
        let slot = Arc::clone(seen.snapshot.insert(Arc::default()));
        drop(state);
        self.keep_as_read(path, &slot, Purpose::Read);
    }

    /// Keeps a file that is about to be read or lost; a slot that stays unused is filled too, for nobody may wait for ever.
    fn keep_as_read(&self, path: &Path, slot: &Arc<Slot>, purpose: Purpose) {
        let real = self.view.to_real(path);
        if !self.is_kept(path, &real, purpose) {
            slot.fill(not_kept(NotKeptReason::Vanished, None));
            self.sight(&mut self.state(), path).snapshot = None;
            return;
        }
        let is_file = real
            .symlink_metadata()
            .is_ok_and(|metadata| metadata.is_file());
        match is_file.then(|| open_regular(&real)) {
            Some(Ok(file)) => self.snapshots.take_opened(file, real, Arc::clone(slot)),
            // A link stays a link, and what cannot be read is told as such.
            Some(Err(_)) | None => slot.fill(keep_path(&self.keeper, &real)),
        }
    }

    /// Tells whether the bytes of a file that is read count, and are not in the code tree already.
    fn is_kept(&self, path: &Path, real: &Path, purpose: Purpose) -> bool {
        let class = self.class_of(path);
        match class {
            FileClass::Internal => return false,
            FileClass::Environment if purpose == Purpose::Change && !self.is_cache(path) => {}
            FileClass::Environment => {
                self.snapshots.warm(real.to_owned());
                return false;
            }
            FileClass::Code
            | FileClass::Input
            | FileClass::Output
            | FileClass::Scratch
            | FileClass::Secret => {}
        }
        if self.is_secret(&self.state(), path) {
            return false;
        }
        let Ok(metadata) = real.symlink_metadata() else {
            return true;
        };
        let is_in_code_tree = || {
            self.code
                .get(path)
                .is_some_and(|object| self.keeper.digests.find(&metadata) == Some(*object))
        };
        let is_kept_as_code = class == FileClass::Code && is_in_code_tree();
        !metadata.is_dir() && !is_kept_as_code
    }

    /// Notes that a file is about to be changed, and keeps its content first where that counts.
    fn write(&self, path: &Path, needs_content: bool) {
        let mut state = self.state();
        self.note_folder(&mut state, path);
        let seen = self.sight(&mut state, path);
        let had_content = seen.first.is_some_and(|stamp| stamp.size_bytes > 0) && !seen.was_deleted;
        // Of a file of the environment only the digest was to be kept, until it is changed.
        let is_read_now = !seen.was_written
            && had_content
            && if seen.was_read_first {
                seen.snapshot.is_none()
            } else {
                needs_content
            };
        seen.was_read_first |= is_read_now;
        seen.writes += 1;
        seen.was_written = true;
        seen.was_deleted = false;
        if is_read_now {
            seen.snapshot = Some(Arc::default());
        }
        let slot = seen.snapshot.clone();
        drop(state);
        let Some(slot) = slot else { return };
        if is_read_now {
            self.keep_as_read(path, &slot, Purpose::Change);
        }
        slot.wait();
    }

    /// Notes the folder that a new file is put into, where it was there before the command: git keeps no empty folders,
    /// and without it the command could not write there again.
    fn note_folder(&self, state: &mut State, path: &Path) {
        let Some(folder) = path.parent() else { return };
        // Before the call goes on: then none of its own writing is missed either.
        self.counter.watch(&self.view.to_real(folder));
        if state.folders.contains_key(folder) {
            return;
        }
        let was_there = self.is_older_than_run(folder).unwrap_or(false);
        state.folders.insert(folder.to_owned(), was_there);
    }

    /// Whether a folder was made before the command was started; none where the file system does not tell.
    fn is_older_than_run(&self, folder: &Path) -> Option<bool> {
        let metadata = self.view.to_real(folder).metadata().ok()?;
        let made_at = metadata.created().ok()?;
        let since = made_at.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(since.as_micros() < self.started_at.as_micros().unsigned_abs().into())
    }

    fn remove(&self, path: &Path) {
        let mut state = self.state();
        let seen = self.sight(&mut state, path);
        if seen.first.is_none() && !seen.was_written {
            return;
        }
        // As in `write`.
        let is_read_now = seen.was_read_first && !seen.was_written && !seen.was_deleted;
        let is_unkept = is_read_now && seen.snapshot.is_none();
        if is_unkept {
            seen.snapshot = Some(Arc::default());
        }
        seen.was_deleted = true;
        let pending = seen.snapshot.clone();
        drop(state);
        let Some(slot) = pending else { return };
        if is_unkept {
            self.keep_as_read(path, &slot, Purpose::Change);
        }
        slot.wait();
    }

    fn rename(&self, from: &Path, to: &Path) {
        if !self.view.are_in_one_mount(from, to) {
            let mut state = self.state();
            let renamed = (from.to_owned(), to.to_owned());
            state.renamed_between_mounts.get_or_insert(renamed);
        }
        let real = self.view.to_real(from);
        let is_folder = real
            .symlink_metadata()
            .is_ok_and(|metadata| metadata.is_dir());
        if !is_folder {
            self.rename_file(from, to);
            return;
        }
        for path in files_below(&real) {
            let Ok(inside) = path.strip_prefix(&real) else {
                continue;
            };
            self.rename_file(&from.join(inside), &to.join(inside));
        }
    }

    fn rename_file(&self, from: &Path, to: &Path) {
        if self.view.to_real(from).symlink_metadata().is_err() {
            return;
        }
        // What the run did not write itself goes into its output, and so it is an input.
        self.read(from);
        self.pass_on_secrecy(from, to);
        self.remove(from);
        self.write(to, false);
    }

    /// A secret stays one under a further name.
    fn pass_on_secrecy(&self, from: &Path, to: &Path) {
        let mut state = self.state();
        let target = self.view.to_real(from).canonicalize();
        if self.is_secret(&state, from)
            || target.is_ok_and(|target| self.is_secret(&state, &self.view.to_seen(&target)))
        {
            state.secrets.insert(to.to_owned());
        }
    }

    fn execute(&self, path: &Path) {
        let mut state = self.state();
        let seen = self.sight(&mut state, path);
        if seen.first.is_none() && !seen.was_written {
            return;
        }
        let is_first = !seen.was_executed;
        seen.was_executed = true;
        if is_first {
            state.executed.push(path.to_owned());
        }
        drop(state);
        if is_first {
            self.note_interpreter(path);
            self.snapshots.warm(self.view.to_real(path));
            // A program of the project that is not in its code tree, such as an ignored build, is kept too.
            if !matches!(
                self.class_of(path),
                FileClass::Environment | FileClass::Internal
            ) && path.starts_with(self.root())
            {
                self.read(path);
            }
        }
    }

    /// Learns from an interpreter's place which files belong to it, before the first of them is read.
    fn note_interpreter(&self, path: &Path) {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let version = name
            .strip_prefix("python")
            .or_else(|| name.strip_prefix("pypy"));
        if !version.is_some_and(|version| version.chars().all(|c| c.is_ascii_digit() || c == '.')) {
            return;
        }
        let mut prefixes = Vec::new();
        let prefix_of = |binary: &Path| binary.parent().and_then(Path::parent).map(Path::to_owned);
        if let Some(prefix) = prefix_of(path)
            && self.view.to_real(&prefix.join("pyvenv.cfg")).is_file()
        {
            prefixes.push(prefix);
        }
        if let Ok(binary) = self.view.to_real(path).canonicalize() {
            let prefix = prefix_of(&binary).filter(|prefix| holds_libraries(prefix));
            prefixes.extend(prefix.map(|prefix| self.view.to_seen(&prefix)));
        }
        let mut context = self.context.write().unwrap_or_else(PoisonError::into_inner);
        for prefix in prefixes {
            if !context.prefixes.contains(&prefix) {
                context.prefixes.push(prefix);
            }
        }
    }
}

impl Observer for Collector {
    fn followed_link(&self, _pid: u32, link: &Path) {
        let link = self.view.to_seen(link);
        let class = self.class_of(&link);
        // Links of the system and of packages come back with them; one in the root folder has no place to be shown at.
        let is_in_root = link.parent() == Some(Path::new("/"));
        if !is_in_root && !matches!(class, FileClass::Environment | FileClass::Internal) {
            self.read(&link);
        }
    }

    fn before(&self, access: Access) {
        // Where nothing could be mounted, or the command went there by itself, it names real paths: the same files.
        let seen = |path: PathBuf| self.view.to_seen(&path);
        match access.kind {
            AccessKind::Read { path } => self.read(&seen(path)),
            AccessKind::Write {
                path,
                keeps_content,
                reads,
            } => self.write(&seen(path), keeps_content || reads),
            AccessKind::Remove { path } => self.remove(&seen(path)),
            AccessKind::Rename { from, to } => self.rename(&seen(from), &seen(to)),
            AccessKind::Exchange { from, to } => {
                let (from, to) = (seen(from), seen(to));
                for (one, other) in [(&from, &to), (&to, &from)] {
                    self.read(one);
                    self.pass_on_secrecy(one, other);
                }
                self.write(&from, false);
                self.write(&to, false);
            }
            AccessKind::Link { from, to } => {
                let (from, to) = (seen(from), seen(to));
                self.read(&from);
                self.pass_on_secrecy(&from, &to);
                self.write(&to, false);
            }
            AccessKind::Symlink { path } => self.write(&seen(path), false),
            AccessKind::Execute { path } => self.execute(&seen(path)),
            AccessKind::Connect { peer } => {
                self.state().peers.insert(peer);
            }
        }
    }
}

/// Whether an interpreter is really installed below this prefix: a script of that name makes no environment.
fn holds_libraries(prefix: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(prefix.join("lib")) else {
        return false;
    };
    entries.flatten().any(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.starts_with("python") || name.starts_with("pypy")
    })
}

/// All files and links below a folder, links not followed.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => waiting.push(entry.path()),
                Ok(_) => files.push(entry.path()),
                Err(_) => {}
            }
        }
    }
    files.sort();
    files
}
