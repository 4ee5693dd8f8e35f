//! Folders outside the project that a run changed files in: a replay changes copies of them.
//!
//! What the command does in such a folder happens in the staged one.
//! What stands in the real folder today, and the run did not change, is shown in it again, each thing mounted at its
//! own name: it can be neither removed nor replaced, and a file cannot be written to either.
//! Files that a program opens for writing and leaves alone, as it does with locks and databases, are copies all the
//! same: those with content are inputs, and those without are empty.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use capture::trace::Bind;
use entities::RecordedPath;

use super::super::inputs::StandIns;
use crate::restore::refuse_links;
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
    written: BTreeSet<PathBuf>,
    /// What it did to files of its environment.
    in_environment: InEnvironment,
    /// The recorded place of the project.
    root: PathBuf,
}

/// Files of the environment, by their absolute paths.
struct InEnvironment {
    written: BTreeSet<PathBuf>,
    removed: BTreeSet<PathBuf>,
    /// Folders that were there before the run.
    known: BTreeSet<PathBuf>,
}

impl Changes {
    /// Reads what the run changed outside of the project, and in the environment that the replay is shown at a path.
    pub(super) fn read(
        cas: &cas::Cas,
        manifest: &Manifest,
        environment: Option<&Path>,
    ) -> Result<Self, ExecutorError> {
        let Manifest { recipe, record } = manifest;
        let root = recipe.project_root.to_path();
        let not_kept = record.outputs.not_kept.iter();
        let not_kept = not_kept.map(|file| root.join(file.path.to_path()));
        let mut written: BTreeSet<_> = not_kept.collect();
        for (tree, place) in [
            (record.outputs.project, root.as_path()),
            (record.outputs.outside, Path::new("/")),
        ] {
            let Some(tree) = tree else { continue };
            let files = flatten_tree(cas, &tree)?;
            written.extend(files.keys().map(|path| place.join(path.to_path())));
        }
        let deleted = record.deleted.iter();
        let mut removed: BTreeSet<_> = deleted.map(|path| root.join(path.to_path())).collect();
        let is_of_environment =
            |path: &PathBuf| environment.is_some_and(|environment| path.starts_with(environment));
        let of_environment = |paths: &BTreeSet<PathBuf>| {
            let inside = paths.iter().filter(|path| is_of_environment(path));
            inside.cloned().collect()
        };
        let known = record.folders.iter();
        let known: BTreeSet<_> = known.map(|path| root.join(path.to_path())).collect();
        let in_environment = InEnvironment {
            written: of_environment(&written),
            removed: of_environment(&removed),
            known: known.clone(),
        };
        let is_apart = |path: &PathBuf| !path.starts_with(&root) && !is_of_environment(path);
        written.retain(is_apart);
        removed.retain(is_apart);
        let mut folders = BTreeMap::new();
        for path in &written {
            let was_there = path
                .ancestors()
                .skip(1)
                .find(|folder| known.contains(*folder));
            add(&mut folders, path, was_there.or(path.parent()));
        }
        for path in &removed {
            add(&mut folders, path, path.parent());
        }
        Ok(Self {
            folders,
            removed,
            written,
            in_environment,
            root,
        })
    }

    /// Whether the command is given a copy of its environment, with this file as it found it.
    pub(super) fn is_in_copied_environment(&self, path: &Path) -> bool {
        let InEnvironment {
            written, removed, ..
        } = &self.in_environment;
        written.contains(path) || removed.contains(path)
    }

    /// Copies the environment of a run that changed files in it; none where it changed none.
    ///
    /// As elsewhere, what the run changed is at first as it was read, and what it made or replaced unread is not there.
    pub(super) fn copy_environment(
        &self,
        source: &Path,
        seen: &Path,
        directory: &Path,
        restored: &Restored,
    ) -> Result<Option<PathBuf>, ExecutorError> {
        let InEnvironment {
            written,
            removed,
            known,
        } = &self.in_environment;
        if written.is_empty() && removed.is_empty() {
            return Ok(None);
        }
        let all = make_staged(directory)?;
        let own = all.join(seen.strip_prefix("/").unwrap_or(seen));
        refuse_links(directory, &own)?;
        copy_folder(source, &own)?;
        for path in written.union(removed) {
            let Ok(inside) = path.strip_prefix(seen) else {
                continue;
            };
            let copy = own.join(inside);
            refuse_links(directory, copy.parent().unwrap_or(&own))?;
            let given = restored.find(path, directory, &self.root);
            if given.is_none() && removed.contains(path) && copy.symlink_metadata().is_ok() {
                continue;
            }
            if copy.symlink_metadata().is_ok() {
                fs::remove_file(&copy)
                    .map_err(|error| ExecutorError::io("remove", &copy, error))?;
            }
            if given.is_some() || removed.contains(path) {
                make_folders(copy.parent().unwrap_or(&own))?;
            }
            match given {
                Some(given) => copy_file(&given, &copy)?,
                None if removed.contains(path) => write(&copy, "")?,
                None => {
                    let above = path.ancestors().skip(1);
                    let made =
                        above.take_while(|folder| *folder != seen && !known.contains(*folder));
                    let made = made.filter_map(|folder| folder.strip_prefix(seen).ok());
                    // Those in which something else stands stay.
                    made.map(|folder| own.join(folder))
                        .all(|folder| fs::remove_dir(folder).is_ok());
                }
            }
        }
        Ok(Some(own))
    }

    /// Adds an input that is a link and leads elsewhere today, or is gone: nothing can be mounted on a link.
    pub(super) fn add_link(&mut self, link: &Path) {
        add(&mut self.folders, link, link.parent());
    }

    /// Whether today's file at a path is not shown, since the run had made, replaced or removed what stood there.
    pub(super) fn hides(&self, path: &Path) -> bool {
        let mut all = self.folders.values().flatten();
        all.any(|own| path.starts_with(own))
    }

    /// Stages every folder, the outermost first.
    pub(super) fn stage(
        &self,
        directory: &Path,
        restored: &Restored,
        stand_ins: &mut StandIns,
    ) -> Result<Staged, ExecutorError> {
        let mut stager = Stager {
            changes: self,
            directory,
            restored,
            stand_ins,
            shown_by: BTreeMap::new(),
            staged: Staged::default(),
        };
        if !self.folders.is_empty() {
            make_staged(directory)?;
        }
        for (folder, own) in &self.folders {
            if folder == Path::new("/") {
                stager.stage_in_root(own)?;
            } else {
                stager.stage_folder(folder, own)?;
            }
        }
        Ok(stager.staged)
    }
}

fn add(folders: &mut BTreeMap<PathBuf, BTreeSet<PathBuf>>, path: &Path, folder: Option<&Path>) {
    let Some(folder) = folder else { return };
    let on_the_way = path
        .ancestors()
        .find(|above| above.parent() == Some(folder));
    let own = folders.entry(folder.to_owned()).or_default();
    own.extend(on_the_way.map(Path::to_owned));
}

/// What the command is shown of folders outside the project that its origin changed files in.
#[derive(Default)]
pub(super) struct Staged {
    pub(super) binds: Vec<Bind>,
    /// Inputs that stand in a staged folder as copies, and need not be shown by themselves.
    pub(super) given: BTreeSet<PathBuf>,
}

/// Which bind shows a staged folder, and at which path in what it shows.
struct ShownBy {
    bind: usize,
    inside: PathBuf,
}

struct Stager<'a> {
    changes: &'a Changes,
    directory: &'a Path,
    restored: &'a Restored,
    stand_ins: &'a mut StandIns,
    shown_by: BTreeMap<PathBuf, ShownBy>,
    staged: Staged,
}

impl Stager<'_> {
    fn stage_folder(
        &mut self,
        folder: &Path,
        own: &BTreeSet<PathBuf>,
    ) -> Result<(), ExecutorError> {
        refuse_kernels(folder)?;
        let staged = self.place_of(folder);
        refuse_links(self.directory, &staged)?;
        make_folders(&staged)?;
        copy_mode(folder, &staged)?;
        let shown_by = self.show(folder, &staged);
        let inputs = self.restored.outside.iter().map(|file| &file.path);
        let inputs: BTreeSet<_> = inputs
            .filter(|path| path.parent() == Some(folder))
            .cloned()
            .collect();
        for path in own.union(&inputs) {
            self.put_copy(path, &staged)?;
        }
        for neighbour in list_neighbours(folder)? {
            let path = neighbour.path();
            // A staged folder in a staged folder is a real one, so that the command may remove it.
            if own.contains(&path)
                || inputs.contains(&path)
                || self.changes.folders.contains_key(&path)
            {
                continue;
            }
            let metadata = neighbour.metadata();
            if let Ok(empty) = metadata.as_ref()
                && empty.is_file()
                && empty.len() == 0
            {
                let place = staged.join(neighbour.file_name());
                write(&place, "")?;
                set_mode(&place, empty.permissions().mode())?;
                continue;
            }
            let name = shown_by.inside.join(neighbour.file_name());
            if let Some(bind) = self.staged.binds.get_mut(shown_by.bind) {
                bind.keeps.insert(name);
            }
        }
        self.shown_by.insert(folder.to_owned(), shown_by);
        Ok(())
    }

    fn place_of(&self, folder: &Path) -> PathBuf {
        let all = self.directory.join(STAGED);
        all.join(folder.strip_prefix("/").unwrap_or(folder))
    }

    /// A staged folder in a staged folder is shown with it, any other by a bind of its own.
    fn show(&mut self, folder: &Path, staged: &Path) -> ShownBy {
        let around = folder.parent().and_then(|parent| self.shown_by.get(parent));
        if let (Some(around), Some(name)) = (around, folder.file_name()) {
            return ShownBy {
                bind: around.bind,
                inside: around.inside.join(name),
            };
        }
        self.staged.binds.push(Bind::new(staged, folder));
        ShownBy {
            bind: self.staged.binds.len() - 1,
            inside: PathBuf::new(),
        }
    }

    /// The root itself cannot be covered: what the run made in it is shown there, folder by folder and file by file.
    fn stage_in_root(&mut self, own: &BTreeSet<PathBuf>) -> Result<(), ExecutorError> {
        let root = self.place_of(Path::new("/"));
        for path in own {
            refuse_kernels(path)?;
            let source = self.place_of(path);
            self.put_copy(path, &root)?;
            if self.changes.written.contains(path) || self.changes.removed.contains(path) {
                self.stand_ins.notes.push(format!(
                    "`{}` stands in the root folder: it is a file there from the start, and cannot be removed or replaced",
                    RecordedPath::new(path)
                ));
                if source.symlink_metadata().is_err() {
                    write(&source, "")?;
                }
            } else {
                make_folders(&source)?;
            }
            self.staged.binds.push(Bind::new(source, path));
        }
        Ok(())
    }

    /// Puts what the run found at a path: what it read, an empty file where it only removed what was there, and
    /// nothing where it made or replaced it unread, as in the project.
    fn put_copy(&mut self, path: &Path, staged: &Path) -> Result<(), ExecutorError> {
        let copy = staged.join(path.file_name().unwrap_or_default());
        if let Some(is_secret) = self.stand_ins.outside.get(path).copied() {
            return self.stand_ins.copy(path, &copy, is_secret);
        }
        let input = self.restored.outside.iter().find(|file| file.path == path);
        let put = match input {
            Some(input) if input.restored.is_symlink() => fs::read_link(&input.restored)
                .and_then(|target| std::os::unix::fs::symlink(target, &copy)),
            Some(input) => fs::copy(&input.restored, &copy).map(drop),
            None if self.changes.removed.contains(path) => fs::write(&copy, ""),
            None => Ok(()),
        };
        put.map_err(|error| ExecutorError::io("write", &copy, error))?;
        if input.is_some() {
            self.staged.given.insert(path.to_owned());
        }
        Ok(())
    }
}

/// Makes the folder for all that is staged.
fn make_staged(directory: &Path) -> Result<PathBuf, ExecutorError> {
    let all = directory.join(STAGED);
    let ignore = all.join(".gitignore");
    match all.symlink_metadata() {
        // Made for something else before.
        Ok(metadata) if metadata.is_dir() && ignore.is_file() => return Ok(all),
        Ok(_) => {
            let refusal = std::io::Error::other("the project has something of that name itself");
            return Err(ExecutorError::io("stage folders in", &all, refusal));
        }
        Err(_) => make_folders(&all)?,
    }
    // What stands in there is no code of the project.
    write(&ignore, "*\n")?;
    Ok(all)
}

/// Copies a folder with all in it: links as links, with permissions and times, which bytecode is held against.
fn copy_folder(from: &Path, to: &Path) -> Result<(), ExecutorError> {
    let mut waiting = vec![(from.to_owned(), to.to_owned())];
    while let Some((from, to)) = waiting.pop() {
        let unlisted = |error| ExecutorError::io("list", &from, error);
        make_folders(&to)?;
        copy_mode(&from, &to)?;
        for entry in fs::read_dir(&from).map_err(unlisted)? {
            let entry = entry.map_err(unlisted)?;
            let kind = entry.file_type().map_err(unlisted)?;
            let (from, to) = (entry.path(), to.join(entry.file_name()));
            if kind.is_dir() {
                waiting.push((from, to));
            } else if kind.is_file() || kind.is_symlink() {
                copy_file(&from, &to)?;
            }
        }
    }
    Ok(())
}

/// Copies a file with its permissions and time, or a link.
fn copy_file(from: &Path, to: &Path) -> Result<(), ExecutorError> {
    let copy = || {
        let metadata = from.symlink_metadata()?;
        if metadata.is_symlink() {
            return std::os::unix::fs::symlink(fs::read_link(from)?, to);
        }
        fs::copy(from, to)?;
        fs::File::open(to)?.set_modified(metadata.modified()?)
    };
    copy().map_err(|error| ExecutorError::io("copy", from, error))
}

fn refuse_kernels(folder: &Path) -> Result<(), ExecutorError> {
    let is_of_kernel = ["/proc", "/sys", "/dev"]
        .iter()
        .any(|system| folder.starts_with(system))
        && !folder.starts_with("/dev/shm");
    if is_of_kernel {
        return Err(refusal(folder, "it belongs to the system".to_owned()));
    }
    Ok(())
}

fn list_neighbours(folder: &Path) -> Result<Vec<fs::DirEntry>, ExecutorError> {
    let unlisted = |error| ExecutorError::io("list", folder, error);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unlisted(error)),
    };
    let neighbours: Result<Vec<_>, _> = entries.take(NEIGHBOURS_MAX + 1).collect();
    let neighbours = neighbours.map_err(unlisted)?;
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

/// Lets a staged folder be used by whoever may use the real one, and by us.
fn copy_mode(folder: &Path, staged: &Path) -> Result<(), ExecutorError> {
    match folder.metadata() {
        Ok(metadata) => set_mode(staged, metadata.permissions().mode() | 0o700),
        // It is gone today.
        Err(_) => Ok(()),
    }
}

fn set_mode(path: &Path, mode: u32) -> Result<(), ExecutorError> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o7777))
        .map_err(|error| ExecutorError::io("set the permissions of", path, error))
}

fn make_folders(folder: &Path) -> Result<(), ExecutorError> {
    fs::create_dir_all(folder).map_err(|error| ExecutorError::io("make", folder, error))
}

fn write(path: &Path, content: &str) -> Result<(), ExecutorError> {
    fs::write(path, content).map_err(|error| ExecutorError::io("write", path, error))
}

/// Removes the empty files and folders on which neighbours were shown, where somebody will look at the directory.
pub(in super::super) fn remove_placeholders(binds: &[Bind]) {
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
