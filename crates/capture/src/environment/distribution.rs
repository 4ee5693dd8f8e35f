//! Looking at one distribution file by file.

use std::collections::BTreeSet;
use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use entities::{Sha256Digest, Timestamp};
use rustix::fs::{AtFlags, Mode, OFlags};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use super::listing::{Form, Identity, Installed};
use super::origin::Origin;
use super::paths::Paths;
use super::record::{Recorded, is_content, parse_installed_files, parse_record, sort};
use crate::digests::Stamp;

/// What a distribution is, and what `stat` said of its files when that was found out.
#[derive(Clone, Debug)]
pub(super) struct Examined {
    pub(super) facts: Facts,
    /// Files of the metadata, and folders that were walked through, by path in the folder of packages.
    pub(super) watched: Paths,
    /// Files that count, sorted.
    pub(super) files: Paths,
    /// Digest over what `stat` says of both.
    pub(super) stamps: [u8; 32],
    /// Whether no file is so young that a change of it might not show.
    pub(super) is_settled: bool,
}

/// What a distribution is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Facts {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) content_digest: Sha256Digest,
    pub(super) origin: Option<Origin>,
    /// Tags of the wheel that it was installed from, as `WHEEL` lists them.
    pub(super) wheel_tags: Vec<String>,
    /// Files that differ from what the list of the distribution says, by path in the folder of packages.
    pub(super) modified: Vec<entities::RecordedPath>,
}

/// First line of what is digested; the number is the version of the definition.
const CONTENT_HEADER: &[u8] = b"reproof distribution 1\n";

/// More files than any distribution has; a walk that finds more has lost its way.
const WALKED_MAX: usize = 200_000;

/// How often a file that changes under our hands is read again.
const ATTEMPTS: usize = 3;

/// A folder of packages, open so that the paths to its files are short.
pub(super) struct Folder {
    open: OwnedFd,
}

impl Folder {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            open: rustix::fs::open(path, flags, Mode::empty())?,
        })
    }

    fn stamp(&self, path: &CStr) -> Option<Stamp> {
        // Links are followed: an installer may link each file to its cache.
        let path = if path.is_empty() { c"." } else { path };
        let stat = rustix::fs::statat(self.open.as_fd(), path, AtFlags::empty()).ok()?;
        Some(Stamp::of_stat(&stat))
    }

    fn open_file(&self, path: &Path) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(
            self.open.as_fd(),
            path,
            flags,
            Mode::empty(),
        )?);
        if file.metadata()?.is_file() {
            Ok(file)
        } else {
            Err(io::ErrorKind::InvalidInput.into())
        }
    }
}

/// Digests what `stat` says of files, and tells whether all of them are settled.
pub(super) fn stamps(
    folder: &Folder,
    watched: &Paths,
    files: &Paths,
    now: Timestamp,
) -> ([u8; 32], bool) {
    let mut is_settled = true;
    let mut buffer = Vec::new();
    for path in watched.iter().chain(files.iter()) {
        match folder.stamp(path) {
            Some(stamp) => {
                is_settled &= !stamp.is_young(now);
                buffer.push(1);
                buffer.extend_from_slice(&stamp.key());
            }
            None => buffer.push(0),
        }
    }
    (*blake3::hash(&buffer).as_bytes(), is_settled)
}

/// Looks at a distribution: reads its metadata, and each of its files.
///
/// `holds_packages` says that the folder is one into which packages are installed. Elsewhere the metadata stands in
/// somebody's project, whose files are theirs and not the distribution's.
pub(super) fn examine(
    installed: &Installed,
    holds_packages: bool,
    now: Timestamp,
) -> io::Result<Examined> {
    let Identity { name, version } = installed.identity();
    let base = installed.base();
    let folder = Folder::open(base)?;
    let Contents { recorded, walked } = list_contents(installed, base, &name, holds_packages);
    let watched: Paths = installed.watched().iter().chain(&walked).collect();
    let files: Paths = recorded.iter().map(|file| &file.path).collect();
    // Before and after: what changes in between is not remembered.
    let (before, is_settled) = stamps(&folder, &watched, &files, now);
    let (content_digest, modified) = digest_contents(&folder, &recorded);
    let (after, _) = stamps(&folder, &watched, &files, now);
    let facts = Facts {
        name,
        version,
        content_digest,
        origin: installed
            .read("direct_url.json", 1 << 20)
            .and_then(|bytes| Origin::parse(&bytes)),
        wheel_tags: wheel_tags(&installed.read("WHEEL", 1 << 20).unwrap_or_default()),
        modified,
    };
    Ok(Examined {
        facts,
        watched,
        files,
        stamps: before,
        is_settled: is_settled && before == after,
    })
}

struct Contents {
    recorded: Vec<Recorded>,
    /// Folders whose listing the list of files comes from.
    walked: Vec<PathBuf>,
}

fn list_contents(installed: &Installed, base: &Path, name: &str, holds_packages: bool) -> Contents {
    let of_list = |recorded| Contents {
        recorded,
        walked: Vec::new(),
    };
    let record = match installed.form {
        Form::ZippedEgg => {
            let file = PathBuf::from(installed.folder.file_name().unwrap_or_default());
            return of_list(vec![Recorded {
                path: file,
                sha256: None,
            }]);
        }
        Form::DistInfo => installed
            .read_list("RECORD")
            .map(|bytes| parse_record(&bytes)),
        Form::EggInfo => {
            let list = installed.read_list("installed-files.txt");
            list.map(|bytes| parse_installed_files(&bytes, &installed.metadata))
        }
    };
    match record.filter(|record| !record.is_empty()) {
        Some(record) => of_list(record),
        None => walk_contents(installed, base, name, holds_packages),
    }
}

/// Without a list, the files are those below the names that the distribution says are its own.
fn walk_contents(installed: &Installed, base: &Path, name: &str, holds_packages: bool) -> Contents {
    let mut walk = Walk {
        base,
        files: BTreeSet::new(),
        folders: Vec::new(),
    };
    walk.add(Path::new(&installed.metadata));
    if installed.metadata == "EGG-INFO" {
        walk.add_below(Path::new(""));
    } else if holds_packages {
        let listed = installed.read("top_level.txt", 1 << 20).unwrap_or_default();
        let listed = String::from_utf8_lossy(&listed).into_owned();
        let guess = name.replace('-', "_");
        let names: Vec<_> = if listed.trim().is_empty() {
            vec![guess.as_str()]
        } else {
            listed.lines().map(str::trim).collect()
        };
        // A name with a `/` or `..` in it is none of a module.
        for top in names
            .into_iter()
            .filter(|top| !top.is_empty() && !top.contains(['/', '\0']) && *top != "..")
        {
            walk.add(Path::new(top));
            walk.add(Path::new(&format!("{top}.py")));
        }
    }
    let mut recorded = walk
        .files
        .into_iter()
        .map(|path| Recorded { path, sha256: None })
        .collect();
    sort(&mut recorded);
    Contents {
        recorded,
        walked: walk.folders,
    }
}

struct Walk<'a> {
    base: &'a Path,
    files: BTreeSet<PathBuf>,
    folders: Vec<PathBuf>,
}

impl Walk<'_> {
    fn add(&mut self, path: &Path) {
        let Ok(metadata) = self.base.join(path).symlink_metadata() else {
            return;
        };
        if metadata.is_dir() {
            self.add_below(path);
        } else if is_content(path) {
            self.files.insert(path.to_owned());
        }
    }

    fn add_below(&mut self, folder: &Path) {
        let mut waiting = vec![folder.to_owned()];
        while let Some(folder) = waiting.pop() {
            let Ok(entries) = self.base.join(&folder).read_dir() else {
                continue;
            };
            for entry in entries.flatten() {
                let path = folder.join(entry.file_name());
                let Ok(kind) = entry.file_type() else {
                    continue;
                };
                let is_folder = kind.is_dir();
                // A link to a folder, or to nothing, has no content of its own.
                if kind.is_symlink() && !self.base.join(&path).is_file() {
                    continue;
                }
                if is_folder && entry.file_name() != "__pycache__" {
                    waiting.push(path);
                } else if !is_folder && is_content(&path) {
                    self.files.insert(path);
                }
            }
            self.folders.push(folder);
            if self.files.len() > WALKED_MAX {
                return;
            }
        }
    }
}

/// Digests the list of files with their digests, and names those that are not what they were installed as.
fn digest_contents(
    folder: &Folder,
    recorded: &[Recorded],
) -> (Sha256Digest, Vec<entities::RecordedPath>) {
    let mut whole = sha2::Sha256::new();
    whole.update(CONTENT_HEADER);
    let mut modified = Vec::new();
    for Recorded { path, sha256 } in recorded {
        let found = digest_file(folder, path);
        if found.is_none() || sha256.is_some_and(|expected| found != Some(expected)) {
            modified.push(entities::RecordedPath::new(path));
        }
        // A path may hold a line end, so its length comes first.
        let path = path.as_os_str().as_bytes();
        let digest = found.map_or_else(|| "missing".to_owned(), hex::encode);
        whole.update(format!("{digest} {} ", path.len()));
        whole.update(path);
        whole.update(b"\n");
    }
    (Sha256Digest::from_bytes(whole.finalize().into()), modified)
}

/// None where there is no regular file that can be read to its end without changing.
fn digest_file(folder: &Folder, path: &Path) -> Option<[u8; 32]> {
    let mut file = folder.open_file(path).ok()?;
    let mut buffer = vec![0; 128 << 10];
    for _ in 0..ATTEMPTS {
        io::Seek::rewind(&mut file).ok()?;
        let before = Stamp::of(&file.metadata().ok()?);
        let mut hasher = sha2::Sha256::new();
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => hasher.update(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
        if Stamp::of(&file.metadata().ok()?) == before {
            return Some(hasher.finalize().into());
        }
    }
    None
}

fn wheel_tags(wheel: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(wheel);
    let tags = text.lines().filter_map(|line| line.strip_prefix("Tag:"));
    tags.map(|tag| tag.trim().to_owned()).collect()
}

/// Path of a module's source for that of its compiled form: `a/__pycache__/b.cpython-311.pyc` is `a/b.py`.
pub(super) fn source_of(path: &Path) -> Option<PathBuf> {
    let is_compiled = path.extension() == Some(OsStr::new("pyc"));
    let parent = path.parent()?;
    if !is_compiled || parent.file_name() != Some(OsStr::new("__pycache__")) {
        return None;
    }
    let name = path.file_name()?.as_bytes();
    let module = name.split(|&byte| byte == b'.').next()?;
    let mut source = OsStr::from_bytes(module).to_owned();
    source.push(".py");
    Some(parent.parent()?.join(source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compiled_modules_have_a_source() {
        let cases = [
            ("a/__pycache__/b.cpython-311.pyc", Some("a/b.py")),
            ("__pycache__/b.cpython-311.opt-1.pyc", Some("b.py")),
            ("a/b.pyc", None),
            ("a/__pycache__/b.py", None),
            ("x.pyc", None),
        ];
        for (path, source) in cases {
            assert_eq!(
                source_of(Path::new(path)),
                source.map(PathBuf::from),
                "{path}"
            );
        }
    }
}
