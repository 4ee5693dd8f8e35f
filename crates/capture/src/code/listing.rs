//! Which files are code: what git says, for a checkout and all checkouts inside it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use entities::{GitState, NotKept, RecordedPath, Submodule};

use super::git::{Git, Settings};
use super::read::Ownership;
use super::{CodeRequest, patch, walk};
use crate::CaptureError;
use crate::redaction::redact_url;

/// Files that are code, not yet looked at.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) files: BTreeMap<PathBuf, Ownership>,
    pub(super) not_kept: Vec<NotKept>,
    pub(super) git: Option<GitState>,
}

/// Checkouts inside checkouts, deeper than anybody has them.
const DEPTH_MAX: usize = 16;

/// Mode of a submodule in the index.
const MODE_SUBMODULE: &[u8] = b"160000";

/// Lists the code of a project.
pub(super) fn list(request: CodeRequest<'_>) -> Listing {
    let mut listing = Listing::default();
    let checkout = find_checkout(request.root);
    let of_git = checkout.and_then(|top| {
        let folder = Folder {
            request,
            path: PathBuf::new(),
            depth: 0,
        };
        list_checkout(&folder, &top, &mut listing)
    });
    match of_git {
        Some(git) => listing.git = Some(git),
        None => walk::walk(request, Path::new(""), &mut listing),
    }
    listing
}

/// The innermost folder above or at this one that is a checkout.
fn find_checkout(root: &Path) -> Option<PathBuf> {
    root.ancestors()
        .find(|folder| folder.join(".git").symlink_metadata().is_ok())
        .map(Path::to_owned)
}

/// A folder of the project that is listed by itself.
struct Folder<'a> {
    request: CodeRequest<'a>,
    /// Path in the project.
    path: PathBuf,
    depth: usize,
}

impl Folder<'_> {
    fn absolute(&self) -> PathBuf {
        self.request.root.join(&self.path)
    }
}

/// Lists a checkout, or the part of it that is the project; none where git is not there or refuses.
fn list_checkout(folder: &Folder<'_>, top: &Path, listing: &mut Listing) -> Option<GitState> {
    match try_list_checkout(folder, top, listing) {
        Ok(git) => git,
        Err(error) => {
            let path = folder.absolute();
            tracing::warn!(path = %path.display(), error = &error as &dyn std::error::Error, "git does not tell what it tracks");
            None
        }
    }
}

fn try_list_checkout(
    folder: &Folder<'_>,
    top: &Path,
    listing: &mut Listing,
) -> Result<Option<GitState>, CaptureError> {
    let absolute = folder.absolute();
    let git = Git::new(&absolute, top);
    let (settings, index) = std::thread::scope(|scope| {
        let index = scope.spawn(|| git.ask(&["ls-files", "-z", "--cached", "--stage"]));
        let settings = Settings::read(&git);
        (settings, index.join().expect("listing does not panic"))
    });
    let (settings, index) = (settings?, Index::parse(&index?));
    let Some(git) = git.with_settings(&settings) else {
        let path = absolute.display();
        tracing::warn!(%path, "a filter of git has a name that cannot be switched off");
        return Ok(None);
    };
    let status = Status::parse(&git.ask(STATUS)?);
    let prefix = prefix_of(&git, &settings, top, &absolute)?;
    if index.is_empty() && status.untracked.is_empty() && !prefix.as_os_str().is_empty() {
        // A folder that the checkout around it ignores is not its code, and a project all the same.
        let is_ignored = git.ask(&["check-ignore", "-q", "--", "."]).is_ok();
        if is_ignored {
            return Ok(None);
        }
    }
    let mut state = GitState {
        commit: status.commit.clone(),
        branch: status.branch.clone(),
        remote: settings
            .remote_url(status.branch.as_deref())
            .map(redact_url),
        is_dirty: !status.changed.is_empty(),
        patch: None,
        submodules: Vec::new(),
    };
    for path in &index.files {
        if is_plain(path) {
            listing
                .files
                .insert(folder.path.join(path), Ownership::Tracked);
        }
    }
    add_untracked(folder, &status, &prefix, &mut state, listing);
    for (path, commit) in &index.submodules {
        add_submodule(folder, path, commit, &mut state, listing);
    }
    if status.commit.is_some() {
        let changed = patch::Changed {
            paths: &status.changed,
            prefix: &prefix,
            folder: &absolute,
        };
        state.patch = patch::put_patch(folder.request, &git, &changed)?;
    }
    Ok(Some(state))
}

/// Answers are for the folder that is asked in, paths in them for the whole checkout.
/// Submodules are looked at only so far as to read their HEAD: for more, git would start itself in each of them,
/// with their own settings.
const STATUS: &[&str] = &[
    "status",
    "--porcelain=v2",
    "-z",
    "--branch",
    "--untracked-files=all",
    "--no-renames",
    "--ignore-submodules=dirty",
    "--",
    ".",
];

/// Path of the folder in its checkout, as answers have it before every path.
fn prefix_of(
    git: &Git<'_>,
    settings: &Settings,
    top: &Path,
    absolute: &Path,
) -> Result<PathBuf, CaptureError> {
    let is_elsewhere = settings.find("core.worktree").is_some() && top.join(".git").is_dir();
    if !is_elsewhere {
        return Ok(absolute
            .strip_prefix(top)
            .unwrap_or(Path::new(""))
            .to_owned());
    }
    let answer = git.ask(&["rev-parse", "--show-prefix"])?;
    let prefix = answer.strip_suffix(b"\n").unwrap_or(&answer);
    Ok(PathBuf::from(OsStr::from_bytes(prefix)))
}

fn add_untracked(
    folder: &Folder<'_>,
    status: &Status,
    prefix: &Path,
    state: &mut GitState,
    listing: &mut Listing,
) {
    let absolute = folder.absolute();
    let mut skipped = walk::Skipped::new(folder.request, &absolute);
    for path in &status.untracked {
        let Ok(inside) = path.strip_prefix(prefix) else {
            continue;
        };
        if !is_plain(inside)
            || skipped.covers(inside)
            || walk::is_made(folder.request, &absolute.join(inside))
        {
            continue;
        }
        let path_in_project = folder.path.join(inside);
        // Settings that were made for this project, and that nobody has looked at yet, are no change to it.
        state.is_dirty |= path_in_project != Path::new("reproof.toml");
        // A folder with its `/` at the end is a checkout of its own.
        if path.as_os_str().as_bytes().ends_with(b"/") {
            add_nested(folder, inside, listing);
        } else {
            listing.files.insert(path_in_project, Ownership::Untracked);
        }
    }
}

fn add_submodule(
    folder: &Folder<'_>,
    path: &Path,
    recorded: &str,
    state: &mut GitState,
    listing: &mut Listing,
) {
    let is_there = is_plain(path)
        && folder
            .absolute()
            .join(path)
            .join(".git")
            .symlink_metadata()
            .is_ok();
    if !is_there {
        return;
    }
    let Some(git) = add_nested(folder, path, listing) else {
        return;
    };
    let Some(commit) = git.commit else { return };
    let is_dirty = git.is_dirty || commit != recorded;
    state.is_dirty |= is_dirty;
    let at = |path: PathBuf| RecordedPath::new(path);
    state.submodules.push(Submodule {
        path: at(folder.path.join(path)),
        commit,
        is_dirty,
    });
    // Its own submodules already have their path in the project.
    state.submodules.extend(git.submodules);
}

/// Adds the files of a checkout inside this one.
fn add_nested(folder: &Folder<'_>, path: &Path, listing: &mut Listing) -> Option<GitState> {
    let nested = Folder {
        request: folder.request,
        path: folder.path.join(path),
        depth: folder.depth + 1,
    };
    let absolute = nested.absolute();
    let is_inside =
        walk::has_real_parents(folder.request.root, &nested.path) && is_real_folder(&absolute);
    if !is_inside || nested.depth > DEPTH_MAX {
        return None;
    }
    let has_git = absolute.join(".git").symlink_metadata().is_ok();
    let git = if has_git {
        list_checkout(&nested, &absolute, listing)
    } else {
        None
    };
    if git.is_none() {
        walk::walk(nested.request, &nested.path, listing);
    }
    git
}

fn is_real_folder(path: &Path) -> bool {
    path.symlink_metadata()
        .is_ok_and(|metadata| metadata.is_dir())
}

/// Whether a path that git gave stays below the folder. Git's own paths do; those of a forged index may not.
pub(super) fn is_plain(path: &Path) -> bool {
    let is_normal =
        |component: Component<'_>| matches!(component, Component::Normal(name) if name != ".git");
    !path.as_os_str().is_empty() && path.components().all(is_normal)
}

/// What is tracked.
#[derive(Debug, Default, PartialEq)]
struct Index {
    files: BTreeSet<PathBuf>,
    /// With the commit that the index names.
    submodules: BTreeMap<PathBuf, String>,
}

impl Index {
    fn is_empty(&self) -> bool {
        self.files.is_empty() && self.submodules.is_empty()
    }

    /// Reads entries `MODE OBJECT STAGE\tPATH\0`.
    fn parse(listed: &[u8]) -> Self {
        let mut index = Self::default();
        for entry in listed.split(|&byte| byte == 0) {
            let Some(tab) = entry.iter().position(|&byte| byte == b'\t') else {
                continue;
            };
            let (head, path) = (
                &entry[..tab],
                PathBuf::from(OsStr::from_bytes(&entry[tab + 1..])),
            );
            let mut words = head.split(|&byte| byte == b' ');
            let (mode, object) = (
                words.next().unwrap_or_default(),
                words.next().unwrap_or_default(),
            );
            if mode == MODE_SUBMODULE {
                index
                    .submodules
                    .insert(path, String::from_utf8_lossy(object).into_owned());
            } else {
                index.files.insert(path);
            }
        }
        index
    }
}

/// What differs from the commit.
#[derive(Debug, Default, PartialEq)]
struct Status {
    commit: Option<String>,
    branch: Option<String>,
    /// Paths in the checkout.
    changed: Vec<PathBuf>,
    /// Paths in the checkout.
    untracked: Vec<PathBuf>,
}

impl Status {
    /// Reads porcelain format version 2 with NUL at the end of each entry.
    fn parse(listed: &[u8]) -> Self {
        let mut status = Self::default();
        let mut entries = listed.split(|&byte| byte == 0);
        while let Some(entry) = entries.next() {
            let path = |fields| path_after(entry, fields);
            match entry.split_first() {
                Some((b'#', header)) => status.read_header(&String::from_utf8_lossy(header)),
                Some((b'1', _)) => status.changed.extend(path(8)),
                Some((b'2', _)) => {
                    status.changed.extend(path(9));
                    // The path it had before.
                    entries.next();
                }
                Some((b'u', _)) => status.changed.extend(path(10)),
                Some((b'?', _)) => status.untracked.extend(path(1)),
                _ => {}
            }
        }
        status
    }

    fn read_header(&mut self, header: &str) {
        let header = header.trim_start();
        if let Some(commit) = header.strip_prefix("branch.oid ") {
            self.commit = (commit != "(initial)").then(|| commit.to_owned());
        } else if let Some(branch) = header.strip_prefix("branch.head ") {
            self.branch = (branch != "(detached)").then(|| branch.to_owned());
        }
    }
}

/// What stands after so many fields with a space after each.
fn path_after(entry: &[u8], fields: usize) -> Option<PathBuf> {
    let path = entry.splitn(fields + 1, |&byte| byte == b' ').nth(fields)?;
    Some(PathBuf::from(OsStr::from_bytes(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_read_with_any_name() {
        let listed = b"# branch.oid abc\0# branch.head main\0# branch.upstream origin/main\0\
            1 .M N... 100644 100644 100644 1111 2222 a b\nc\0\
            2 R. N... 100644 100644 100644 1111 2222 R100 new\0old\0\
            u UU N... 100644 100644 100644 100644 1 2 3 both\0\
            ? \xff\0? sub/\0";
        let status = Status::parse(listed);
        assert_eq!(
            (status.commit.as_deref(), status.branch.as_deref()),
            (Some("abc"), Some("main"))
        );
        assert_eq!(status.changed, ["a b\nc", "new", "both"].map(PathBuf::from));
        let untracked: Vec<_> = status
            .untracked
            .iter()
            .map(|path| path.as_os_str().as_bytes())
            .collect();
        assert_eq!(untracked, [&b"\xff"[..], b"sub/"]);
        let unborn = Status::parse(b"# branch.oid (initial)\0# branch.head (detached)\0");
        assert_eq!(unborn, Status::default());
    }

    #[test]
    fn damaged_answers_are_survived() {
        for listed in [&b""[..], b"\0\0", b"1", b"1 .M", b"#", b"?", b"2 R.\0"] {
            let status = Status::parse(listed);
            assert!(status.changed.is_empty() && status.untracked.is_empty());
            assert!(Index::parse(listed).is_empty());
        }
    }

    #[test]
    fn the_index_is_read_with_submodules() {
        let index = Index::parse(
            b"100644 11 0\ta\tb\x00160000 22 0\tsub\x00100644 33 1\tc\x00100644 44 2\tc\0",
        );
        assert_eq!(
            index.files,
            BTreeSet::from(["a\tb", "c"].map(PathBuf::from))
        );
        assert_eq!(index.submodules[Path::new("sub")], "22");
    }

    #[test]
    fn a_path_that_leaves_the_folder_is_not_taken() {
        for path in [
            "../x",
            "/x",
            "a/../../x",
            "",
            ".git/config",
            "a/.git/hooks/x",
            "..",
        ] {
            assert!(!is_plain(Path::new(path)), "{path} was taken");
        }
        assert!(is_plain(Path::new("a/.gitignore")));
    }
}
