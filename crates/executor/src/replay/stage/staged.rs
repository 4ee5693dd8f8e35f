//! Folders outside the project that a run changed files in: a replay changes copies of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use capture::trace::Bind;
use entities::EntryKind;

use super::bind;
use crate::{ExecutorError, Manifest, Restored, flatten_tree};

/// Folder, beside the restored files, that holds what stands in for folders outside of the project.
const STAGED: &str = ".reproof-written";

/// More neighbours than this are not shown again: each takes a mount, of which the kernel allows 100,000.
const NEIGHBOURS_MAX: usize = 5000;

/// What a run did to files outside of the project.
pub(super) struct Changes {
    /// Files that it made, changed or removed.
    paths: BTreeSet<PathBuf>,
    /// Those of them that were there before it, as they were removed.
    removed: BTreeSet<PathBuf>,
}

impl Changes {
    pub(super) fn read(cas: &cas::Cas, manifest: &Manifest) -> Result<Self, ExecutorError> {
        let Manifest { recipe, record } = manifest;
        let mut paths = BTreeSet::new();
        if let Some(tree) = &record.outputs.outside {
            for (path, fact) in flatten_tree(cas, tree)? {
                if fact.kind != EntryKind::Symlink {
                    paths.insert(Path::new("/").join(path.to_path()));
                }
            }
        }
        let root = recipe.project_root.to_path();
        let removed: BTreeSet<_> = record
            .deleted
            .iter()
            .map(entities::RecordedPath::to_path)
            .filter(|path| path.is_absolute() && !path.starts_with(&root))
            .collect();
        paths.extend(removed.iter().cloned());
        Ok(Self { paths, removed })
    }

    /// Whether a file stands in a folder that is staged as a whole, as itself.
    pub(super) fn covers(&self, path: &Path) -> bool {
        self.paths.contains(path)
    }

    /// The folders of these files, the outermost first.
    pub(super) fn folders(&self) -> BTreeSet<PathBuf> {
        let parents = self.paths.iter().filter_map(|path| path.parent());
        parents.map(Path::to_owned).collect()
    }
}

/// Makes a folder that stands in for one outside of the project: files that the run changed are copies in it, and
/// every other file is shown again where it is.
///
/// Whatever the command makes, renames or removes in it, today's folder stays as it is. To remove or replace a file
/// that its origin did not touch is refused by the kernel, which takes it for the place of a mount.
pub(super) fn stage_folder(
    folder: &Path,
    changes: &Changes,
    directory: &Path,
    restored: &Restored,
    binds: &mut Vec<Bind>,
) -> Result<(), ExecutorError> {
    refuse_system(folder)?;
    let staged = make_staged(directory, folder)?;
    binds.push(bind(&staged, folder));
    for path in changes
        .paths
        .iter()
        .filter(|path| path.parent() == Some(folder))
    {
        put_copy(path, &staged, changes, restored)?;
    }
    let neighbours = match fs::read_dir(folder) {
        Ok(entries) => entries.flatten().take(NEIGHBOURS_MAX + 1).collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(ExecutorError::io("read", folder, error)),
    };
    if neighbours.len() > NEIGHBOURS_MAX {
        return Err(refusal(
            folder,
            format!("more than {NEIGHBOURS_MAX} files stand in it"),
        ));
    }
    for neighbour in neighbours {
        let path = neighbour.path();
        if !changes.covers(&path) {
            show_again(&neighbour, &staged, binds)?;
        }
    }
    Ok(())
}

/// Folders of the kernel hold no files that could be copied.
fn refuse_system(folder: &Path) -> Result<(), ExecutorError> {
    let is_system = ["/proc", "/sys", "/dev"]
        .iter()
        .any(|system| folder.starts_with(system))
        && !folder.starts_with("/dev/shm");
    if is_system || folder == Path::new("/") {
        return Err(refusal(folder, "it belongs to the system".to_owned()));
    }
    Ok(())
}

fn refusal(folder: &Path, why: String) -> ExecutorError {
    ExecutorError::Unprotected {
        path: folder.to_owned(),
        why,
    }
}

fn make_staged(directory: &Path, folder: &Path) -> Result<PathBuf, ExecutorError> {
    let all = directory.join(STAGED);
    let staged = all.join(folder.strip_prefix("/").unwrap_or(folder));
    fs::create_dir_all(&staged).map_err(|error| ExecutorError::io("make", &staged, error))?;
    // What stands in there is no code of the project.
    let ignore = all.join(".gitignore");
    fs::write(&ignore, "*\n").map_err(|error| ExecutorError::io("write", &ignore, error))?;
    Ok(staged)
}

/// Puts what the run found at a path: what it read, or an empty file where it only replaced or removed what was there.
fn put_copy(
    path: &Path,
    staged: &Path,
    changes: &Changes,
    restored: &Restored,
) -> Result<(), ExecutorError> {
    let copy = staged.join(path.file_name().unwrap_or_default());
    let input = restored.outside.iter().find(|file| file.path == path);
    if let Some(input) = input {
        return match fs::copy(&input.restored, &copy) {
            Ok(_) => Ok(()),
            Err(error) => Err(ExecutorError::io("copy", &input.restored, error)),
        };
    }
    if changes.removed.contains(path) || path.is_file() {
        fs::write(&copy, "").map_err(|error| ExecutorError::io("write", &copy, error))?;
    }
    Ok(())
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
