//! What was seen, once the command has ended: each file in its class, outputs kept.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use capture::trace::ScanDifference;
use entities::{
    Count, FileTrees, Gap, NetworkPeer, NotKept, NotKeptReason, ObjectId, RecordedPath,
};
use provenance::{
    FileClass, FileFact, Observation, RENAMED_BETWEEN_MOUNTS, WRITTEN_BY_OTHERS,
    classify_observation,
};

use super::{Collector, Seen, State};
use crate::snapshot::{Slot, Snapshot};
use crate::stamp::Stamp;
use crate::{ExecutorError, put_trees};

/// Files of one class, below the project and elsewhere.
#[derive(Debug, Default)]
pub(crate) struct FileList {
    /// By path in the project.
    pub(crate) project: BTreeMap<PathBuf, FileFact>,
    /// By absolute path without the first `/`.
    pub(crate) outside: BTreeMap<PathBuf, FileFact>,
    pub(crate) not_kept: Vec<NotKept>,
}

/// What a command did.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub(crate) inputs: FileList,
    pub(crate) outputs: FileList,
    /// Files of the environment that were read, as the command saw them.
    pub(crate) environment: BTreeMap<PathBuf, Option<ObjectId>>,
    /// The same files where we find them.
    pub(crate) environment_paths: BTreeSet<PathBuf>,
    pub(crate) executed: BTreeMap<RecordedPath, Option<ObjectId>>,
    pub(crate) deleted: Vec<RecordedPath>,
    pub(crate) scratch_files: u64,
    pub(crate) peers: BTreeSet<NetworkPeer>,
    pub(crate) gaps: Vec<Gap>,
    /// Files of the project that were read before the command wrote to them, or executed, by path in it.
    pub(crate) used: BTreeSet<PathBuf>,
    /// Folders that were there before the command and that it put new files into, or new folders with files.
    pub(crate) folders: Vec<RecordedPath>,
}

/// Files that others wrote too while the command ran, such as another run in the same folder.
fn written_by_others(files: &[RecordedPath], is_incomplete: bool) -> Vec<Gap> {
    const NAMED_MAX: usize = 20;
    let gap = |code: &str, message: String| Gap {
        code: code.to_owned(),
        message,
    };
    let mut gaps: Vec<_> = files
        .iter()
        .take(NAMED_MAX)
        .map(|path| {
            gap(
                WRITTEN_BY_OTHERS,
                format!("`{path}` was written by another process too during the run; what is kept may be what that one wrote"),
            )
        })
        .collect();
    if let Some(more) = files.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
        gaps.push(gap(
            WRITTEN_BY_OTHERS,
            format!("{more} more files were written by another process too"),
        ));
    }
    if is_incomplete {
        gaps.push(gap(
            "writers_unknown",
            "whether others wrote to the same files is not known for all of them: too many were written at once, or a folder could not be watched".to_owned(),
        ));
    }
    gaps
}

impl FileList {
    fn insert(&mut self, root: &Path, path: &Path, snapshot: Snapshot) {
        let (fact, missing) = match snapshot {
            Snapshot::Kept(fact) => (Some(fact), None),
            Snapshot::NotKept {
                size_bytes,
                object,
                reason,
                kind,
            } => {
                let missing = NotKept {
                    path: recorded(root, path),
                    size_bytes: size_bytes.map(Count),
                    object,
                    reason,
                };
                // A file of which the digest is known stands in the tree too.
                let fact = object.zip(size_bytes).zip(kind);
                (
                    fact.map(|((object, size_bytes), kind)| FileFact {
                        object,
                        size_bytes,
                        kind,
                    }),
                    Some(missing),
                )
            }
        };
        self.not_kept.extend(missing);
        let Some(fact) = fact else { return };
        match path.strip_prefix(root) {
            Ok(inside) => self.project.insert(inside.to_owned(), fact),
            Err(_) => self
                .outside
                .insert(path.strip_prefix("/").unwrap_or(path).to_owned(), fact),
        };
    }

    /// Puts the trees of this list.
    pub(crate) fn put(self, batch: &cas::Batch) -> Result<FileTrees, ExecutorError> {
        let Self {
            project,
            outside,
            not_kept,
        } = self;
        let all = || project.values().chain(outside.values());
        Ok(FileTrees {
            files: Count(all().count() as u64),
            size_bytes: Count(all().map(|fact| fact.size_bytes).sum()),
            project: put_trees(batch, &project)?,
            outside: put_trees(batch, &outside)?,
            not_kept,
        })
    }
}

/// A path in a record: relative to the project, or absolute.
fn recorded(root: &Path, path: &Path) -> RecordedPath {
    RecordedPath::new(path.strip_prefix(root).unwrap_or(path))
}

impl Collector {
    /// Programs in the order in which they were first executed.
    pub(crate) fn executed(&self) -> Vec<PathBuf> {
        self.state().executed.clone()
    }

    /// Learns where the interpreter and its packages are installed.
    pub(crate) fn learn_environment(&self, prefixes: &[PathBuf], site_packages: &[PathBuf]) {
        let mut context = self.context.write().unwrap_or_else(PoisonError::into_inner);
        context.prefixes.extend_from_slice(prefixes);
        context.site_packages.extend_from_slice(site_packages);
    }

    /// Takes over what a comparison before and after found, where the calls themselves were not seen.
    pub(crate) fn take_scan(&self, scan: &ScanDifference) {
        let mut state = self.state();
        for path in &scan.created_or_changed {
            state
                .files
                .entry(self.view.to_seen(path))
                .or_default()
                .was_written = true;
        }
        for path in &scan.deleted {
            let seen = state.files.entry(self.view.to_seen(path)).or_default();
            seen.first = Some(Stamp::default());
            seen.was_deleted = true;
        }
    }

    /// Puts every file into its class and keeps the outputs.
    pub(crate) fn finish(&self) -> Collected {
        let State {
            files,
            executed: _,
            peers,
            secrets,
            renamed_between_mounts,
            folders,
        } = std::mem::take(&mut *self.state());
        let mut collected = Collected {
            peers,
            ..Collected::default()
        };
        collected.gaps.extend(renamed_between_mounts.map(|(from, to)| Gap {
            code: RENAMED_BETWEEN_MOUNTS.to_owned(),
            message: format!(
                "`{}` was to be renamed to `{}`, which is refused where a replay shows the two as different file systems",
                recorded(&self.root(), &from),
                recorded(&self.root(), &to)
            ),
        }));
        let mut outputs = Vec::new();
        let mut writes = Vec::new();
        for (path, mut seen) in files {
            self.correct(&path, &mut seen);
            if (seen.was_read_first || seen.was_executed)
                && let Ok(inside) = path.strip_prefix(self.root())
            {
                collected.used.insert(inside.to_owned());
            }
            for class in self.classes_of(&path, &seen, &secrets) {
                if class == FileClass::Output {
                    writes.push((path.clone(), seen.writes));
                }
                self.file_under(class, &path, &seen, &mut outputs, &mut collected);
            }
            self.note_execution_and_removal(&path, &seen, &mut collected);
        }
        let root = self.root();
        let was_there = folders.into_iter().filter(|(_, was_there)| *was_there);
        collected.folders = was_there
            .filter_map(|(folder, _)| folder.strip_prefix(&root).ok().map(RecordedPath::new))
            .filter(|folder| !folder.as_str().is_empty())
            .collect();
        for (path, slot) in outputs {
            collected.outputs.insert(&root, &path, slot.wait());
        }
        // Only now: what others write while the outputs are kept is in what is kept.
        let counts = self.counter.finish();
        let is_of_others =
            |(path, own): &&(PathBuf, u64)| counts.of(&self.view.to_real(path)) > *own;
        let of_others = writes.iter().filter(is_of_others);
        let of_others: Vec<_> = of_others.map(|(path, _)| recorded(&root, path)).collect();
        collected
            .gaps
            .extend(written_by_others(&of_others, counts.is_incomplete));
        let outside = self.folders_outside(&collected.outputs);
        collected.folders.extend(outside);
        collected
    }

    /// For each file that was written outside of the project, the innermost folder above it that was there before.
    /// Where the file system tells no time of birth, it is taken for one that was.
    fn folders_outside(&self, outputs: &FileList) -> BTreeSet<RecordedPath> {
        let kept = outputs.outside.keys().map(|path| Path::new("/").join(path));
        let not_kept = outputs.not_kept.iter().map(|file| file.path.to_path());
        kept.chain(not_kept.filter(|path| path.is_absolute()))
            .filter_map(|path| {
                let mut folders = path.ancestors().skip(1);
                let found = folders.find(|folder| self.is_older_than_run(folder) != Some(false));
                found.map(RecordedPath::new)
            })
            .collect()
    }

    pub(super) fn root(&self) -> PathBuf {
        self.context
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .project_root
            .clone()
    }

    /// Takes back what was announced and did not happen: a call is seen before it is carried out, and may fail.
    fn correct(&self, path: &Path, seen: &mut Seen) {
        if !seen.was_written && !seen.was_deleted {
            return;
        }
        let now = self
            .view
            .to_real(path)
            .symlink_metadata()
            .ok()
            .map(|metadata| Stamp::of(&metadata));
        match now {
            Some(now) => {
                seen.was_deleted = false;
                seen.was_written &= seen.first != Some(now);
            }
            None if seen.first.is_some() => {
                seen.was_deleted = true;
            }
            None => {
                seen.was_deleted |= seen.was_written;
            }
        }
    }

    fn classes_of(&self, path: &Path, seen: &Seen, secrets: &BTreeSet<PathBuf>) -> Vec<FileClass> {
        let observation = Observation {
            path: path.to_owned(),
            was_read_first: seen.was_read_first,
            was_written: seen.was_written,
            was_deleted: seen.was_deleted,
            existed_before: seen.first.is_some(),
            executed: seen.was_executed,
            is_secret: self.redaction.is_secret_file(path) || secrets.contains(path),
        };
        classify_observation(
            &observation,
            &self.context.read().unwrap_or_else(PoisonError::into_inner),
        )
    }

    fn file_under(
        &self,
        class: FileClass,
        path: &Path,
        seen: &Seen,
        outputs: &mut Vec<(PathBuf, Arc<Slot>)>,
        collected: &mut Collected,
    ) {
        let real = self.view.to_real(path);
        let root = self.root();
        match class {
            FileClass::Internal => {}
            FileClass::Scratch => collected.scratch_files += 1,
            FileClass::Environment => {
                let object = self
                    .keeper
                    .digests
                    .digest(&real)
                    .ok()
                    .map(|(object, _)| object);
                collected.environment.insert(path.to_owned(), object);
                collected.environment_paths.insert(real);
            }
            FileClass::Secret => {
                let secret = || crate::snapshot::not_kept(NotKeptReason::Secret, None);
                if seen.was_read_first {
                    collected.inputs.insert(&root, path, secret());
                }
                if seen.was_written || !seen.was_read_first {
                    collected.outputs.insert(&root, path, secret());
                }
            }
            FileClass::Output => outputs.push((path.to_owned(), self.snapshots.take(real))),
            FileClass::Code | FileClass::Input => {
                let Some(slot) = &seen.snapshot else { return };
                let snapshot = slot.wait();
                if class == FileClass::Code
                    && let Snapshot::Kept(fact) = &snapshot
                    && self.code.get(path) == Some(&fact.object)
                {
                    return;
                }
                self.note_change_from_outside(path, seen, collected);
                collected.inputs.insert(&root, path, snapshot);
            }
        }
    }

    fn note_change_from_outside(&self, path: &Path, seen: &Seen, collected: &mut Collected) {
        let now = self
            .view
            .to_real(path)
            .symlink_metadata()
            .ok()
            .map(|metadata| Stamp::of(&metadata));
        let is_own_doing = seen.was_written || seen.was_deleted;
        let is_other = match (seen.first, now) {
            (Some(first), Some(now)) => now.has_other_content(&first),
            (Some(_), None) => true,
            (None, _) => false,
        };
        if is_other && !is_own_doing {
            collected.gaps.push(Gap {
                code: "changed_outside".to_owned(),
                message: format!(
                    "`{}` was changed by another program during the run; what is kept is what it was when first read",
                    recorded(&self.root(), path)
                ),
            });
        }
    }

    fn note_execution_and_removal(&self, path: &Path, seen: &Seen, collected: &mut Collected) {
        if seen.was_executed {
            let object = self
                .keeper
                .digests
                .digest(&self.view.to_real(path))
                .ok()
                .map(|(object, _)| object);
            collected.executed.insert(RecordedPath::new(path), object);
        }
        let is_gone = seen.was_deleted && seen.first.is_some();
        let counts = match self.class_of(path) {
            FileClass::Internal => false,
            FileClass::Environment => !self.is_cache(path),
            _ => true,
        };
        if is_gone && counts {
            collected.deleted.push(recorded(&self.root(), path));
        }
    }
}
