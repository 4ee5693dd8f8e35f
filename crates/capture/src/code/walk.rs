//! Walking through folders that git does not speak for.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use entities::{NotKept, NotKeptReason, RecordedPath};
use ignore::WalkBuilder;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::CodeRequest;
use super::listing::Listing;
use super::read::Ownership;

/// Rules of a project for what is no code, in the form of `.gitignore`.
const IGNORE_FILE: &str = ".reproofignore";

/// Folders that tools fill and that hold no code of the project.
const TOOL_FOLDERS: &[&str] = &[
    "__pycache__",
    "node_modules",
    ".hypothesis",
    ".ipynb_checkpoints",
    ".mypy_cache",
    ".nox",
    ".pytest_cache",
    ".reproof",
    ".ruff_cache",
    ".tox",
];

/// Files by which a folder says that it is an environment or a cache.
const TOOL_FILES: &[&str] = &["pyvenv.cfg", "conda-meta", "CACHEDIR.TAG"];

/// Adds all files below a folder of the project that no rule leaves out.
pub(super) fn walk(request: CodeRequest<'_>, folder: &Path, listing: &mut Listing) {
    let start = request.root.join(folder);
    let store = request.store_directory.to_owned();
    let top = start.clone();
    let mut walker = WalkBuilder::new(&start);
    walker
        .hidden(false)
        .parents(false)
        .ignore(false)
        .git_global(false)
        .git_exclude(true)
        .git_ignore(true)
        .require_git(false)
        .follow_links(false)
        .add_custom_ignore_filename(IGNORE_FILE)
        .filter_entry(move |entry| {
            let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
            // In a worktree or submodule this is a file.
            if entry.file_name() == ".git" {
                return false;
            }
            !is_folder
                || entry.path() == top
                || !(entry.path() == store || is_of_tool(entry.path()))
        });
    for entry in walker.build() {
        match entry {
            Ok(entry) => {
                let is_folder = entry.file_type().is_none_or(|kind| kind.is_dir());
                let path = entry.path().strip_prefix(request.root);
                if let (false, Ok(path)) = (is_folder, path)
                    && !is_made(request, entry.path())
                {
                    listing.files.insert(path.to_owned(), Ownership::Untracked);
                }
            }
            Err(error) => listing.not_kept.extend(unreadable(request.root, &error)),
        }
    }
}

/// Whether an earlier run made a file and nobody has changed it since.
pub(super) fn is_made(request: CodeRequest<'_>, absolute: &Path) -> bool {
    absolute
        .symlink_metadata()
        .is_ok_and(|metadata| request.made.contains(&metadata))
}

/// A folder that cannot be listed.
fn unreadable(root: &Path, error: &ignore::Error) -> Option<NotKept> {
    let path = path_of(error)?.strip_prefix(root).ok()?;
    Some(NotKept {
        path: RecordedPath::new(path),
        size_bytes: None,
        object: None,
        reason: NotKeptReason::Unreadable,
    })
}

fn path_of(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => {
            path_of(err)
        }
        _ => None,
    }
}

fn is_of_tool(folder: &Path) -> bool {
    let is_named = folder
        .file_name()
        .and_then(OsStr::to_str)
        .is_some_and(|name| TOOL_FOLDERS.contains(&name));
    is_named
        || TOOL_FILES
            .iter()
            .any(|name| folder.join(name).symlink_metadata().is_ok())
}

/// What of the untracked files of a checkout is no code although git does not ignore it.
pub(super) struct Skipped<'a> {
    request: CodeRequest<'a>,
    folder: &'a Path,
    rules: Gitignore,
    known: BTreeMap<PathBuf, bool>,
}

impl<'a> Skipped<'a> {
    pub(super) fn new(request: CodeRequest<'a>, folder: &'a Path) -> Self {
        let mut rules = GitignoreBuilder::new(folder);
        let file = folder.join(IGNORE_FILE);
        if file.is_file() {
            // What is not a rule in it is passed over, as git does.
            let _ = rules.add(file);
        }
        let rules = rules.build().unwrap_or_else(|_| Gitignore::empty());
        Self {
            request,
            folder,
            rules,
            known: BTreeMap::new(),
        }
    }

    /// Whether a file, by its path in the folder, is left out.
    pub(super) fn covers(&mut self, path: &Path) -> bool {
        let is_folder = path.as_os_str().as_encoded_bytes().ends_with(b"/");
        let is_ruled = !self.rules.is_empty()
            && self
                .rules
                .matched_path_or_any_parents(path, is_folder)
                .is_ignore();
        is_ruled
            || path
                .parent()
                .is_some_and(|parent| self.covers_folder(parent))
    }

    fn covers_folder(&mut self, folder: &Path) -> bool {
        if folder.as_os_str().is_empty() {
            return false;
        }
        if let Some(known) = self.known.get(folder) {
            return *known;
        }
        let absolute = self.folder.join(folder);
        let covers = absolute.starts_with(self.request.store_directory)
            || is_of_tool(&absolute)
            || folder
                .parent()
                .is_some_and(|parent| self.covers_folder(parent));
        self.known.insert(folder.to_owned(), covers);
        covers
    }
}

/// Lists sockets, FIFOs and devices in the folders that hold code. Git does not speak of them.
pub(super) fn list_special(root: &Path, files: &BTreeMap<PathBuf, Ownership>) -> Vec<NotKept> {
    let mut folders: BTreeSet<&Path> = files.keys().filter_map(|path| path.parent()).collect();
    folders.insert(Path::new(""));
    let mut special = Vec::new();
    for folder in folders
        .into_iter()
        .filter(|folder| has_real_parents(root, &folder.join("x")))
    {
        let Ok(entries) = root.join(folder).read_dir() else {
            continue;
        };
        for entry in entries.flatten() {
            let is_special = entry.file_type().is_ok_and(|kind| {
                kind.is_fifo()
                    || kind.is_socket()
                    || kind.is_block_device()
                    || kind.is_char_device()
            });
            if is_special {
                special.push(NotKept {
                    path: RecordedPath::new(folder.join(entry.file_name())),
                    size_bytes: None,
                    object: None,
                    reason: NotKeptReason::Special,
                });
            }
        }
    }
    special
}

/// Whether all folders on the way to a file are folders and not links that lead elsewhere.
pub(super) fn has_real_parents(root: &Path, path: &Path) -> bool {
    let parents = path
        .ancestors()
        .skip(1)
        .filter(|parent| !parent.as_os_str().is_empty());
    parents.into_iter().all(|parent| {
        root.join(parent)
            .symlink_metadata()
            .is_ok_and(|metadata| metadata.is_dir())
    })
}
