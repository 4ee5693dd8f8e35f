//! Recreating the code and data of a run in a directory.

use std::path::{Path, PathBuf};

use cas::Cas;
use entities::{
    EntryKind, FileTrees, NotKept, NotKeptReason, ObjectId, Recipe, Record, RecordedPath,
};
use provenance::FileFact;

use crate::{ExecutorError, flatten_tree};

/// What a restore did.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Restored {
    /// Files that were written below the directory.
    pub files: u64,
    /// Their sizes together.
    pub size_bytes: u64,
    /// Files of the record that could not be written, because their bytes are not kept.
    pub not_kept: Vec<NotKept>,
    /// Files from outside the project: where the command expects them, and where they were put.
    pub outside: Vec<OutsideFile>,
}

impl Restored {
    /// Where the input of an absolute path was put, if it was: those of the project in the directory, others beside.
    pub(crate) fn find(&self, path: &Path, directory: &Path, root: &Path) -> Option<PathBuf> {
        let found = if let Ok(inside) = path.strip_prefix(root) {
            directory.join(inside)
        } else {
            let of_path = |file: &&OutsideFile| file.path == path;
            self.outside.iter().find(of_path)?.restored.clone()
        };
        found.symlink_metadata().is_ok().then_some(found)
    }
}

/// A file from outside the project.
#[derive(Clone, Debug, serde::Serialize)]
pub struct OutsideFile {
    /// The absolute path at which the command had it.
    pub path: PathBuf,
    /// Where it was put.
    pub restored: PathBuf,
}

/// Folder, beside the project's files, that takes files from outside the project.
const OUTSIDE: &str = ".reproof-outside";

/// Recreates the code and the data of a run in a new or an empty directory.
pub fn restore(
    cas: &Cas,
    recipe: &Recipe,
    outputs: Option<&Record>,
    into: &Path,
) -> Result<Restored, ExecutorError> {
    make_empty(into)?;
    let mut restored = Restored {
        not_kept: recipe.code.not_kept.clone(),
        ..Restored::default()
    };
    let code = Tree {
        object: Some(&recipe.code.tree),
        not_kept: &[],
        is_outside: false,
    };
    put_tree(cas, code, into, &mut restored)?;
    // An input below the project stands in the code tree too when it is tracked: what was read is what counts.
    put_trees(cas, &recipe.inputs, into, &mut restored)?;
    // Those without a digest stand in no tree.
    let unknown = recipe.inputs.not_kept.iter();
    let unknown = unknown.filter(|missing| missing.object.is_none());
    restored.not_kept.extend(unknown.cloned());
    if let Some(record) = outputs {
        put_trees(cas, &record.outputs, into, &mut restored)?;
        let unknown = record.outputs.not_kept.iter();
        let unknown = unknown.filter(|missing| missing.object.is_none());
        restored.not_kept.extend(unknown.cloned());
    }
    restored.not_kept.sort();
    restored.not_kept.dedup();
    Ok(restored)
}

fn put_trees(
    cas: &Cas,
    trees: &FileTrees,
    into: &Path,
    restored: &mut Restored,
) -> Result<(), ExecutorError> {
    put_tree(cas, Tree::of_project(trees), into, restored)?;
    let Some(outside) = &trees.outside else {
        return Ok(());
    };
    let folder = make_outside(into)?;
    let tree = Tree {
        object: Some(outside),
        not_kept: &trees.not_kept,
        is_outside: true,
    };
    put_tree(cas, tree, &folder, restored)?;
    for path in flatten_tree(cas, outside)?.keys() {
        let relative = path.to_path();
        let restored_path = folder.join(&relative);
        let is_told = restored
            .outside
            .iter()
            .any(|file| file.restored == restored_path);
        if !is_told && restored_path.symlink_metadata().is_ok() {
            let path = Path::new("/").join(relative);
            restored.outside.push(OutsideFile {
                path,
                restored: restored_path,
            });
        }
    }
    Ok(())
}

/// Makes the folder for files from outside the project, unless it was made for others before.
fn make_outside(into: &Path) -> Result<PathBuf, ExecutorError> {
    let folder = into.join(OUTSIDE);
    let ignore = folder.join(".gitignore");
    match folder.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() && ignore.is_file() => return Ok(folder),
        Ok(_) => {
            let refusal = std::io::Error::other("the project has something of that name itself");
            return Err(ExecutorError::io("restore inputs into", &folder, refusal));
        }
        Err(_) => {}
    }
    std::fs::create_dir_all(&folder).map_err(|error| ExecutorError::io("make", &folder, error))?;
    // Data of other places is no code of this project: whoever captures this directory leaves it out.
    std::fs::write(&ignore, "*\n").map_err(|error| ExecutorError::io("write", &ignore, error))?;
    Ok(folder)
}

/// A tree of a run, with what is known of files in it whose bytes are not kept.
#[derive(Clone, Copy)]
struct Tree<'a> {
    object: Option<&'a ObjectId>,
    not_kept: &'a [NotKept],
    /// Whether its paths are absolute ones without the first `/`.
    is_outside: bool,
}

impl<'a> Tree<'a> {
    fn of_project(trees: &'a FileTrees) -> Self {
        Self {
            object: trees.project.as_ref(),
            not_kept: &trees.not_kept,
            is_outside: false,
        }
    }

    /// A path of the tree as records name it.
    fn recorded(&self, path: &RecordedPath) -> RecordedPath {
        if self.is_outside {
            RecordedPath::new(Path::new("/").join(path.to_path()))
        } else {
            path.clone()
        }
    }
}

fn put_tree(
    cas: &Cas,
    tree: Tree<'_>,
    into: &Path,
    restored: &mut Restored,
) -> Result<(), ExecutorError> {
    let Some(object) = tree.object else {
        return Ok(());
    };
    for (path, fact) in flatten_tree(cas, object)? {
        if !cas.contains(&fact.object)? {
            let recorded = tree.recorded(&path);
            let mut missing = tree.not_kept.iter();
            let missing = missing.find(|missing| missing.path == recorded);
            restored
                .not_kept
                .push(missing.cloned().unwrap_or_else(|| NotKept {
                    path: recorded,
                    size_bytes: Some(fact.size_bytes.into()),
                    object: Some(fact.object),
                    reason: NotKeptReason::Forgotten,
                }));
            continue;
        }
        let size_bytes = fact.size_bytes;
        match put_file(cas, &fact, into, &path.to_path())? {
            // A file of the code that was read as data counts once.
            Some(bytes) => restored.size_bytes = restored.size_bytes.saturating_sub(bytes),
            None => restored.files += 1,
        }
        restored.size_bytes += size_bytes;
    }
    Ok(())
}

/// Writes one file of a tree below a folder that only this restore writes to. Gives the size of what it replaced.
fn put_file(
    cas: &Cas,
    fact: &FileFact,
    into: &Path,
    relative: &Path,
) -> Result<Option<u64>, ExecutorError> {
    let path = into.join(relative);
    let folder = path.parent().unwrap_or(into);
    refuse_links(into, folder)?;
    std::fs::create_dir_all(folder).map_err(|error| ExecutorError::io("make", folder, error))?;
    let replaced_bytes = path.symlink_metadata().ok().map(|metadata| metadata.len());
    if replaced_bytes.is_some() {
        std::fs::remove_file(&path).map_err(|error| ExecutorError::io("replace", &path, error))?;
    }
    if fact.kind == EntryKind::Symlink {
        use std::os::unix::ffi::OsStringExt as _;
        let target = std::ffi::OsString::from_vec(cas.read(&fact.object)?);
        std::os::unix::fs::symlink(target, &path)
            .map_err(|error| ExecutorError::io("link", &path, error))?;
    } else {
        cas.checkout_file(&fact.object, &path, fact.kind == EntryKind::Executable)?;
    }
    Ok(replaced_bytes)
}

/// Refuses to write through a link, which could lead out of the directory that is restored into.
pub(crate) fn refuse_links(root: &Path, folder: &Path) -> Result<(), ExecutorError> {
    for ancestor in folder.ancestors().take_while(|ancestor| *ancestor != root) {
        if ancestor
            .symlink_metadata()
            .is_ok_and(|metadata| metadata.is_symlink())
        {
            let refusal = std::io::Error::other(
                "it is a symbolic link, and another file is recorded below it",
            );
            return Err(ExecutorError::io("write below", ancestor, refusal));
        }
    }
    Ok(())
}

/// Makes a directory, which must not hold anything.
pub(crate) fn make_empty(directory: &Path) -> Result<(), ExecutorError> {
    if directory
        .metadata()
        .is_ok_and(|metadata| !metadata.is_dir())
    {
        return Err(ExecutorError::NotEmpty {
            path: directory.to_owned(),
        });
    }
    std::fs::create_dir_all(directory)
        .map_err(|error| ExecutorError::io("make", directory, error))?;
    let mut entries = std::fs::read_dir(directory)
        .map_err(|error| ExecutorError::io("read", directory, error))?;
    if entries.next().is_some() {
        return Err(ExecutorError::NotEmpty {
            path: directory.to_owned(),
        });
    }
    Ok(())
}
