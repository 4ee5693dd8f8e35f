//! Folders outside the project that a run changed files in: a replay changes copies of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use capture::trace::Bind;

use super::super::inputs::StandIns;
use super::bind;
use crate::{ExecutorError, Manifest, Restored, flatten_tree};

/// Folder, beside the restored files, that holds what stands in for folders outside of the project.
const STAGED: &str = ".reproof-written";

/// More neighbours than this are not shown again: each takes a mount, of which the kernel allows 100,000.
const NEIGHBOURS_MAX: usize = 5000;

/// What a run did to files outside of the project.
pub(super) struct Changes {
    /// Folders that were there before the run, each with what in it is the run's own: files that it wrote or removed,
    /// and folders that it made.
    folders: BTreeMap<PathBuf, BTreeSet<PathBuf>>,
    /// Files that were there before the run and that it removed.
    removed: BTreeSet<PathBuf>,
}

impl Changes {
    pub(super) fn read(cas: &cas::Cas, manifest: &Manifest) -> Result<Self, ExecutorError> {
        let Manifest { recipe, record } = manifest;
        let root = recipe.project_root.to_path();
        let is_outside = |path: &PathBuf| path.is_absolute() && !path.starts_with(&root);
        let not_kept = record.outputs.not_kept.iter();
        let mut written: BTreeSet<_> = not_kept
            .map(|file| file.path.to_path())
            .filter(is_outside)
            .collect();
        if let Some(tree) = &record.outputs.outside {
            let files = flatten_tree(cas, tree)?;
            written.extend(files.keys().map(|path| Path::new("/").join(path.to_path())));
        }
        let removed: BTreeSet<_> = record
            .deleted
            .iter()
            .map(entities::RecordedPath::to_path)
            .filter(is_outside)
            .collect();
        let known: BTreeSet<_> = record
            .folders
            .iter()
            .map(entities::RecordedPath::to_path)
            .collect();
        let mut changes = Self {
            folders: BTreeMap::new(),
            removed,
        };
        for path in written {
            let was_there = path
                .ancestors()
                .skip(1)
                .find(|folder| known.contains(*folder));
            changes.add(&path, was_there.or(path.parent()));
        }
        for path in changes.removed.clone() {
            changes.add(&path, path.parent());
        }
        Ok(changes)
    }

    fn add(&mut self, path: &Path, folder: Option<&Path>) {
        let Some(folder) = folder else { return };
        let on_the_way = path
            .ancestors()
            .find(|above| above.parent() == Some(folder));
        let own = self.folders.entry(folder.to_owned()).or_default();
        own.extend(on_the_way.map(Path::to_owned));
    }

    /// Whether today's file at a path is not shown, since the run had made, replaced or removed what stood there.
    pub(super) fn hides(&self, path: &Path) -> bool {
        let mut all = self.folders.values().flatten();
        all.any(|own| path.starts_with(own))
    }

    /// Whether a copy of a file stands in a staged folder.
    pub(super) fn holds(&self, path: &Path) -> bool {
        self.folders.values().any(|own| own.contains(path))
    }

    /// Stages every folder, the outermost first.
    pub(super) fn stage(
        &self,
        directory: &Path,
        restored: &Restored,
        stand_ins: &mut StandIns,
        binds: &mut Vec<Bind>,
    ) -> Result<(), ExecutorError> {
        let mut folders = self.folders.iter();
        folders.try_for_each(|(folder, own)| {
            let staged = make_staged(directory, folder)?;
            binds.push(bind(&staged, folder));
            for path in own {
                self.put_copy(path, &staged, restored, stand_ins)?;
            }
            for neighbour in list_neighbours(folder)? {
                if !own.contains(&neighbour.path()) {
                    show_again(&neighbour, &staged, binds)?;
                }
            }
            Ok(())
        })
    }

    /// Puts what the run found at a path: what it read, an empty file where it only removed what was there, and
    /// nothing where it made or replaced it unread, as in the project.
    fn put_copy(
        &self,
        path: &Path,
        staged: &Path,
        restored: &Restored,
        stand_ins: &mut StandIns,
    ) -> Result<(), ExecutorError> {
        let copy = staged.join(path.file_name().unwrap_or_default());
        if let Some(is_secret) = stand_ins.outside.get(path).copied() {
            return stand_ins.copy(path, &copy, is_secret);
        }
        let input = restored.outside.iter().find(|file| file.path == path);
        let put = match input {
            Some(input) if input.restored.is_symlink() => fs::read_link(&input.restored)
                .and_then(|target| std::os::unix::fs::symlink(target, &copy)),
            Some(input) => fs::copy(&input.restored, &copy).map(drop),
            None if self.removed.contains(path) => fs::write(&copy, ""),
            None => Ok(()),
        };
        put.map_err(|error| ExecutorError::io("write", &copy, error))
    }
}

/// Makes the folder that stands in for one outside of the project, and refuses those of the kernel.
///
/// Whatever the command makes, renames or removes in it, today's folder stays as it is. To remove or replace a file
/// that its origin did not touch is refused by the kernel, which takes it for the place of a mount; to write to it is
/// not.
fn make_staged(directory: &Path, folder: &Path) -> Result<PathBuf, ExecutorError> {
    let is_of_kernel = ["/proc", "/sys", "/dev"]
        .iter()
        .any(|system| folder.starts_with(system))
        && !folder.starts_with("/dev/shm");
    if is_of_kernel || folder == Path::new("/") {
        return Err(refusal(folder, "it belongs to the system".to_owned()));
    }
    let all = directory.join(STAGED);
    let staged = all.join(folder.strip_prefix("/").unwrap_or(folder));
    fs::create_dir_all(&staged).map_err(|error| ExecutorError::io("make", &staged, error))?;
    // What stands in there is no code of the project.
    let ignore = all.join(".gitignore");
    fs::write(&ignore, "*\n").map_err(|error| ExecutorError::io("write", &ignore, error))?;
    Ok(staged)
}

fn list_neighbours(folder: &Path) -> Result<Vec<fs::DirEntry>, ExecutorError> {
    let neighbours: Vec<_> = match fs::read_dir(folder) {
        Ok(entries) => entries.flatten().take(NEIGHBOURS_MAX + 1).collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(ExecutorError::io("read", folder, error)),
    };
    if neighbours.len() > NEIGHBOURS_MAX {
        let why = format!("more than {NEIGHBOURS_MAX} files stand in it");
        return Err(refusal(folder, why));
    }
    Ok(neighbours)
}

fn refusal(folder: &Path, why: String) -> ExecutorError {
    ExecutorError::Unprotected {
        path: folder.to_owned(),
        why,
    }
}

fn show_again(
    neighbour: &fs::DirEntry,
    staged: &Path,
    binds: &mut Vec<Bind>,
) -> Result<(), ExecutorError> {
    let (path, place) = (neighbour.path(), staged.join(neighbour.file_name()));
    let Ok(kind) = neighbour.file_type() else {
        return Ok(());
    };
    let made = if kind.is_symlink() {
        // One that is gone by now need not be shown.
        match fs::read_link(&path) {
            Ok(target) => std::os::unix::fs::symlink(target, &place),
            Err(_) => Ok(()),
        }
    } else {
        binds.push(bind(&path, &path));
        if kind.is_dir() {
            fs::create_dir(&place)
        } else {
            fs::write(&place, "")
        }
    };
    match made {
        // The place of a folder inside that is staged itself.
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(ExecutorError::io("make", &place, error))
        }
        _ => Ok(()),
    }
}
