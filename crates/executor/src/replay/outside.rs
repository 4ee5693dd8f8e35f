//! Folders outside of the project in which a run changed files: shown as real folders below the replay's directory.
//!
//! What the command does in such a folder happens in the staged one.
//! Everything that stands in the real folder today and that the run did not change is shown in it again, each thing
//! mounted at its own name, so that it can be neither removed nor replaced; a file cannot be written to either.
//! Files that a program opens for writing and leaves alone, as it does with locks and databases, are copies all the
//! same: those with content are inputs, and those without are empty.
//!
//! What a changed file is at the start follows from the record:
//! - one that was read has the content that was read;
//! - one that was deleted without having been read was there, and is there empty, since nobody looked at its content;
//! - one that was only written is absent, as an output in the project is: whatever it held went under.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use capture::trace::Bind;
use entities::{NotKeptReason, RecordedPath};

use super::inputs::{Lost, copy_file};
use crate::restore::refuse_links;
use crate::{ExecutorError, Manifest, OutsideFile, flatten_tree};

/// Folder, beside the restored files, that holds the staged folders by their absolute paths.
const STAGED: &str = ".reproof-written";

/// More neighbours than this are not shown again one by one: each is a mount.
const NEIGHBOURS_MAX: usize = 5_000;

/// What the command is shown of places outside the project that its origin changed.
#[derive(Default)]
pub(super) struct Staged {
    /// In the order in which they are to be mounted.
    pub(super) binds: Vec<Bind>,
    pub(super) notes: Vec<String>,
    /// Inputs that stand in a staged folder, and need not be shown by themselves.
    pub(super) given: BTreeSet<PathBuf>,
    /// Inputs whose bytes are not on record, and of which no copy could be made.
    pub(super) left_out: BTreeSet<PathBuf>,
}

/// Where inputs come from.
pub(super) struct Sources<'a> {
    pub(super) cas: &'a cas::Cas,
    pub(super) manifest: &'a Manifest,
    /// Inputs that were restored.
    pub(super) restored: &'a [OutsideFile],
    /// Inputs that could not be.
    pub(super) lost: &'a [Lost],
    /// Larger files of today are not copied.
    pub(super) size_limit_bytes: u64,
}

/// Makes the staged folders in the replay's directory, and plans how they are shown.
pub(super) fn stage(sources: &Sources<'_>, directory: &Path) -> Result<Staged, ExecutorError> {
    let recipe = &sources.manifest.recipe;
    let project = recipe.project_root.to_path();
    let mut stager = Stager {
        sources,
        directory,
        folder: directory.join(STAGED),
        places: BTreeMap::new(),
        staged: Staged::default(),
    };
    let changed = list_changed(sources)?;
    let mut tops: BTreeMap<PathBuf, BTreeMap<PathBuf, Change>> = BTreeMap::new();
    for change in changed {
        let Some((top, inside)) = find_top(&change.path) else {
            continue;
        };
        let is_covered = |folder: &Path| top.starts_with(folder);
        if is_covered(&project) || is_covered(directory) {
            continue;
        }
        tops.entry(top).or_default().insert(inside, change);
    }
    if tops.is_empty() {
        return Ok(stager.staged);
    }
    for input in sources.restored {
        let Some((top, inside)) = find_top(&input.path) else {
            continue;
        };
        if let Some(changes) = tops.get_mut(&top) {
            changes.entry(inside).or_insert_with(|| Change {
                path: input.path.clone(),
                was_deleted: false,
            });
        }
    }
    stager.make_folder()?;
    // Last, for what is missing in the root folder changes the root, and leaves behind what was remembered before.
    let below_root = tops.remove(Path::new("/"));
    let all: BTreeSet<PathBuf> = tops.keys().cloned().collect();
    for (top, changes) in tops {
        stager.stage_folder(&top, &all, changes)?;
    }
    stager.stage_below_root(below_root.unwrap_or_default())?;
    Ok(stager.staged)
}

/// Paths outside the project that the origin wrote, deleted, or put something else in the place of.
pub(super) fn list_changed(sources: &Sources<'_>) -> Result<Vec<Change>, ExecutorError> {
    let record = &sources.manifest.record;
    let mut paths = BTreeMap::new();
    if let Some(tree) = &record.outputs.outside {
        for path in flatten_tree(sources.cas, tree)?.into_keys() {
            paths.insert(Path::new("/").join(path.to_path()), false);
        }
    }
    let not_kept = record.outputs.not_kept.iter();
    paths.extend(not_kept.map(|missing| (missing.path.to_path(), false)));
    paths.extend(record.deleted.iter().map(|path| (path.to_path(), true)));
    let is_plain = |path: &Path| {
        let mut components = path.components();
        components.next() == Some(Component::RootDir)
            && path.file_name().is_some()
            && components.all(|component| matches!(component, Component::Normal(_)))
    };
    Ok(paths
        .into_iter()
        .filter(|(path, _)| is_plain(path))
        .map(|(path, was_deleted)| Change { path, was_deleted })
        .collect())
}

/// A file that the origin changed.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) path: PathBuf,
    /// Whether it was there at the start and gone at the end.
    was_deleted: bool,
}

/// The folder that must be staged for a changed file, which is the nearest that exists, and the file's path in it.
///
/// None for the kernel's own folders, whose files are on no record.
fn find_top(path: &Path) -> Option<(PathBuf, PathBuf)> {
    const KERNEL: [&str; 4] = ["/proc", "/sys", "/dev", "/run"];
    let nearest = path.ancestors().skip(1).find(|folder| folder.is_dir())?;
    let inside = path.strip_prefix(nearest).ok()?.to_owned();
    // A link on the way would be mounted over where it leads to.
    let top = nearest.canonicalize().ok()?;
    let is_of_kernel = KERNEL.iter().any(|folder| top.starts_with(folder));
    (!is_of_kernel).then_some((top, inside))
}

struct Stager<'a> {
    sources: &'a Sources<'a>,
    directory: &'a Path,
    /// Holds the staged folders.
    folder: PathBuf,
    /// Staged folders by where they are seen.
    places: BTreeMap<PathBuf, Place>,
    staged: Staged,
}

/// A staged folder.
#[derive(Clone, Debug)]
struct Place {
    /// Where it really is.
    source: PathBuf,
    /// The bind that shows it, or a folder around it.
    bind: usize,
    /// Its path in what that bind shows.
    inside: PathBuf,
}

impl Stager<'_> {
    fn make_folder(&self) -> Result<(), ExecutorError> {
        let folder = &self.folder;
        if folder.symlink_metadata().is_ok() {
            let refusal = std::io::Error::other("the project has something of that name itself");
            return Err(ExecutorError::io("stage folders in", folder, refusal));
        }
        make_folders(folder)?;
        // What stands in there is no code of the project.
        let ignore = folder.join(".gitignore");
        fs::write(&ignore, "*\n").map_err(|error| ExecutorError::io("write", &ignore, error))
    }

    fn stage_folder(
        &mut self,
        top: &Path,
        all: &BTreeSet<PathBuf>,
        changes: BTreeMap<PathBuf, Change>,
    ) -> Result<(), ExecutorError> {
        let place = self.place_of(top);
        make_folders(&place.source)?;
        let metadata = top.metadata();
        let metadata = metadata.map_err(|error| ExecutorError::io("look at", top, error))?;
        let mode = fs::Permissions::from_mode(metadata.permissions().mode() & 0o7777 | 0o700);
        fs::set_permissions(&place.source, mode)
            .map_err(|error| ExecutorError::io("set the permissions of", &place.source, error))?;
        let first = |path: &PathBuf| path.iter().next().map(OsString::from);
        let own: BTreeSet<OsString> = changes.keys().filter_map(first).collect();
        for name in list_names(top)? {
            // A staged folder in a staged folder is a real one, so that the command may remove it.
            if own.contains(&name) || all.contains(&top.join(&name)) {
                continue;
            }
            if let Some(permissions) = permissions_of_empty_file(&top.join(&name)) {
                make_empty_file(&place.source.join(&name), permissions)?;
                continue;
            }
            let bind = self.staged.binds.get_mut(place.bind);
            bind.expect("a place is made with its bind")
                .keeps
                .insert(place.inside.join(name));
        }
        for (inside, change) in changes {
            self.put(&place.source, &inside, &change)?;
        }
        self.places.insert(top.to_owned(), place);
        Ok(())
    }

    /// Where a folder is staged: in the staged folder around it, else by itself.
    fn place_of(&mut self, top: &Path) -> Place {
        let around = top.parent().and_then(|parent| self.places.get(parent));
        if let (Some(around), Some(name)) = (around, top.file_name()) {
            return Place {
                source: around.source.join(name),
                bind: around.bind,
                inside: around.inside.join(name),
            };
        }
        let source = self.folder.join(top.strip_prefix("/").unwrap_or(top));
        self.staged.binds.push(Bind::new(&source, top));
        Place {
            source,
            bind: self.staged.binds.len() - 1,
            inside: PathBuf::new(),
        }
    }

    /// The root itself cannot be covered: what is missing in it is shown there, folder by folder and file by file.
    fn stage_below_root(
        &mut self,
        changes: BTreeMap<PathBuf, Change>,
    ) -> Result<(), ExecutorError> {
        let staged_root = self.folder.clone();
        let mut names = BTreeSet::new();
        for (inside, change) in changes {
            self.put(&staged_root, &inside, &change)?;
            let Some(name) = inside.iter().next().map(PathBuf::from) else {
                continue;
            };
            let source = staged_root.join(&name);
            if name == inside {
                self.staged.notes.push(format!(
                    "`{}` stands in the root folder: it is a file there from the start, and cannot be removed or replaced",
                    RecordedPath::new(&change.path)
                ));
                if source.symlink_metadata().is_err() {
                    fs::write(&source, "")
                        .map_err(|error| ExecutorError::io("write", &source, error))?;
                }
            }
            if names.insert(name.clone()) {
                let target = Path::new("/").join(name);
                self.staged.binds.push(Bind::new(source, target));
            }
        }
        Ok(())
    }

    /// Makes a changed file what it was at the start, and the folders around it.
    fn put(&mut self, folder: &Path, inside: &Path, change: &Change) -> Result<(), ExecutorError> {
        let place = folder.join(inside);
        let parent = place.parent().unwrap_or(folder);
        refuse_links(self.directory, parent)?;
        // What was a file at the start, and a folder at the end, holds nothing yet.
        let is_below_file = parent.ancestors().any(Path::is_file);
        if is_below_file || place.symlink_metadata().is_ok() {
            return Ok(());
        }
        make_folders(parent)?;
        let path = &change.path;
        let mut restored = self.sources.restored.iter();
        if let Some(input) = restored.find(|input| input.path == *path) {
            self.staged.given.insert(path.clone());
            return fs::rename(&input.restored, &place)
                .map_err(|error| ExecutorError::io("move", &input.restored, error));
        }
        let mut lost = self.sources.lost.iter();
        if let Some(lost) = lost.find(|lost| lost.place == *path) {
            if self.may_copy(lost) {
                return copy_file(&lost.place, &place);
            }
            self.staged.left_out.insert(path.clone());
        }
        if change.was_deleted {
            fs::write(&place, "").map_err(|error| ExecutorError::io("write", &place, error))?;
        }
        Ok(())
    }

    /// Whether today's file may stand in for an input that the command changes; secrets stay where they are.
    fn may_copy(&self, lost: &Lost) -> bool {
        let metadata = lost.place.symlink_metadata();
        let is_small_file = metadata.is_ok_and(|metadata| {
            metadata.is_file() && metadata.len() <= self.sources.size_limit_bytes
        });
        lost.reason != NotKeptReason::Secret && (lost.is_there || is_small_file)
    }
}

fn make_folders(folder: &Path) -> Result<(), ExecutorError> {
    fs::create_dir_all(folder).map_err(|error| ExecutorError::io("make", folder, error))
}

fn permissions_of_empty_file(path: &Path) -> Option<fs::Permissions> {
    let metadata = path.symlink_metadata().ok()?;
    (metadata.is_file() && metadata.len() == 0).then(|| metadata.permissions())
}

fn make_empty_file(path: &Path, permissions: fs::Permissions) -> Result<(), ExecutorError> {
    fs::write(path, "")
        .and_then(|()| fs::set_permissions(path, permissions))
        .map_err(|error| ExecutorError::io("write", path, error))
}

/// What stands in a folder today.
fn list_names(folder: &Path) -> Result<Vec<OsString>, ExecutorError> {
    let unlisted = |error| ExecutorError::io("list", folder, error);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(unlisted)? {
        names.push(entry.map_err(unlisted)?.file_name());
        if names.len() > NEIGHBOURS_MAX {
            return Err(ExecutorError::Crowded {
                path: folder.to_owned(),
                limit: NEIGHBOURS_MAX,
            });
        }
    }
    Ok(names)
}

/// Removes the empty files and folders on which neighbours were shown, where somebody will look at the directory.
pub(super) fn remove_placeholders(binds: &[Bind]) {
    for bind in binds {
        for name in &bind.keeps {
            let (placeholder, neighbour) = (bind.source.join(name), bind.target.join(name));
            let Ok(metadata) = placeholder.symlink_metadata() else {
                continue;
            };
            let is_untouched = if metadata.is_symlink() {
                fs::read_link(&placeholder).ok() == fs::read_link(&neighbour).ok()
            } else {
                metadata.len() == 0
            };
            // What cannot be removed is in nobody's way.
            let _ = if metadata.is_dir() {
                fs::remove_dir(&placeholder)
            } else if is_untouched {
                fs::remove_file(&placeholder)
            } else {
                Ok(())
            };
        }
    }
}
