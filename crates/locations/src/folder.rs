//! A folder of this machine.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use entities::Artifact;
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, fsync, mkdirat, openat, renameat,
    statat, unlinkat,
};
use rustix::io::Errno;

use crate::beneath::{Links, open_beneath};
use crate::location::exactly;
use crate::uri::components_of;
use crate::{Entry, Found, FoundFile, Located, Location, LocationError, Root, Walk};

/// What MLflow's clients name files by while they write them; they are none yet.
const UPLOADING_PREFIX: &str = ".artifact.uploading.";

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

/// A pipe would keep whoever opens it waiting.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK);

/// A folder below which clients write artifacts by themselves.
#[derive(Clone, Debug)]
pub struct FolderRoot {
    path: PathBuf,
    /// The ways in which a URI may name it: as it was given, and without the links on the way to it.
    names: Vec<Vec<String>>,
}

impl FolderRoot {
    /// The root that a path or URI names; none where it is no absolute path of this machine.
    ///
    /// It need not be there yet. The whole file system is no root.
    pub fn new(uri: &str) -> Option<Self> {
        let given = components_of(uri)?;
        if given.is_empty() {
            return None;
        }
        let path = PathBuf::from(format!("/{}", given.join("/")));
        let mut names = vec![given];
        let canonical = path.canonicalize().ok();
        let canonical = canonical.and_then(|path| {
            let names = path.to_str()?.split('/').filter(|name| !name.is_empty());
            Some(names.map(str::to_owned).collect::<Vec<_>>())
        });
        names.extend(canonical.filter(|canonical| *canonical != names[0]));
        Some(Self { path, names })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Root for FolderRoot {
    fn find(&self, uri: &str) -> Option<Arc<dyn Location>> {
        let components = components_of(uri)?;
        let below = self
            .names
            .iter()
            .find_map(|name| components.strip_prefix(name.as_slice()))?;
        Some(Arc::new(FolderLocation {
            root: self.path.clone(),
            below: below.join("/"),
        }))
    }
}

/// A folder somewhere below a root.
#[derive(Clone, Debug)]
struct FolderLocation {
    root: PathBuf,
    below: String,
}

/// Tells names of temporary files apart.
static WRITTEN: AtomicU64 = AtomicU64::new(0);

impl FolderLocation {
    /// None where nobody has made it yet, which is for clients to do: they may be other users.
    fn open_root(&self) -> Result<Option<OwnedFd>, LocationError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match openat(CWD, &self.root, flags, Mode::empty()) {
            Ok(root) => Ok(Some(root)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(LocationError::Root {
                root: self.root.clone(),
                source: error.into(),
            }),
        }
    }

    /// The folder itself; none where it is not there.
    fn open_self(&self) -> Result<Option<OwnedFd>, LocationError> {
        let Some(root) = self.open_root()? else {
            return Ok(None);
        };
        found(
            open_beneath(root.as_fd(), &self.below, FOLDER, Links::None),
            "open",
            "",
        )
    }

    fn open_folder(&self, folder: &str) -> Result<Option<OwnedFd>, LocationError> {
        match self.open_self()? {
            Some(opened) if folder.is_empty() => Ok(Some(opened)),
            Some(opened) => found(
                open_beneath(opened.as_fd(), folder, FOLDER, Links::Inside),
                "open",
                folder,
            ),
            None => Ok(None),
        }
    }

    /// The folder of a file to be written, made with all above it.
    fn make_folder(&self, folder: &str) -> Result<OwnedFd, LocationError> {
        let opened = self.open_root()?;
        let mut opened = opened.ok_or_else(|| LocationError::Root {
            root: self.root.clone(),
            source: io::ErrorKind::NotFound.into(),
        })?;
        let components = self.below.split('/').chain(folder.split('/'));
        for component in components.filter(|component| !component.is_empty()) {
            match mkdirat(&opened, component, Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(fault(error, "make a folder for", folder)),
            }
            opened = open_beneath(opened.as_fd(), component, FOLDER, Links::None)
                .map_err(|error| fault(error, "write below", folder))?;
        }
        Ok(opened)
    }

    fn walk_folder(
        &self,
        start: &OwnedFd,
        folder: &str,
        most: usize,
        walk: &mut Walk,
    ) -> Result<(), LocationError> {
        let location = self.open_self()?;
        let mut seen = 0;
        // Paths below the start: there may be more folders than a process may have open.
        let mut waiting = vec![String::new()];
        while let Some(below) = waiting.pop() {
            let folder = match below.as_str() {
                "" => folder.to_owned(),
                below => join(folder, below),
            };
            let opened = match open_beneath(start.as_fd(), &below, FOLDER, Links::None) {
                Ok(opened) => opened,
                // It was there a moment ago.
                Err(Errno::NOENT | Errno::NOTDIR) => continue,
                Err(error) if !below.is_empty() && is_kept_back(error) => {
                    walk.passed_over.push(folder);
                    continue;
                }
                Err(error) => return Err(fault(error, "open", &folder)),
            };
            let names = names_in(&opened, &folder, most - seen)?;
            let names = names.ok_or(LocationError::TooMany { limit: most })?;
            seen += names.len();
            for name in names {
                let (name, path) = match name {
                    Ok(name) => {
                        let path = join(&folder, &name);
                        (name, path)
                    }
                    Err(odd) => {
                        walk.passed_over.push(join(&folder, &odd));
                        continue;
                    }
                };
                if !Artifact::is_valid_path(&path) {
                    walk.passed_over.push(path);
                    continue;
                }
                let Ok(own) = statat(&opened, name.as_str(), AtFlags::SYMLINK_NOFOLLOW) else {
                    // It was there a moment ago.
                    continue;
                };
                match FileType::from_raw_mode(own.st_mode) {
                    FileType::RegularFile => walk.files.push(file_of(path, &own)),
                    FileType::Directory => waiting.push(join(&below, &name)),
                    FileType::Symlink => {
                        let target = location
                            .as_ref()
                            .and_then(|location| stat_beneath(location, &path));
                        match target {
                            Some(target) if is_file(&target) => {
                                walk.files.push(file_of(path, &target));
                            }
                            _ => walk.passed_over.push(path),
                        }
                    }
                    _ => walk.passed_over.push(path),
                }
            }
        }
        Ok(())
    }
}

impl Location for FolderLocation {
    fn list(&self, folder: &str) -> Result<Option<Vec<Entry>>, LocationError> {
        let Some(location) = self.open_self()? else {
            return Ok(None);
        };
        let Some(opened) = self.open_folder(folder)? else {
            return Ok(None);
        };
        let mut entries = Vec::new();
        let names = names_in(&opened, folder, usize::MAX)?;
        for name in names.into_iter().flatten().flatten() {
            let path = join(folder, &name);
            if !Artifact::is_valid_path(&path) {
                continue;
            }
            // Through links that stay inside; what leads out is not shown.
            let Some(stat) = stat_beneath(&location, &path) else {
                continue;
            };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => entries.push(Entry {
                    name,
                    size_bytes: Some(size_of(&stat)),
                }),
                FileType::Directory => entries.push(Entry {
                    name,
                    size_bytes: None,
                }),
                _ => {}
            }
        }
        entries.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok(Some(entries))
    }

    fn walk(&self, folder: &str, most: usize) -> Result<Option<Walk>, LocationError> {
        let Some(opened) = self.open_folder(folder)? else {
            return Ok(None);
        };
        let mut walk = Walk::default();
        self.walk_folder(&opened, folder, most, &mut walk)?;
        walk.files
            .sort_unstable_by(|one, other| one.path.cmp(&other.path));
        walk.passed_over.sort_unstable();
        Ok(Some(walk))
    }

    fn open(&self, path: &str) -> Result<Found, LocationError> {
        let Some(location) = self.open_self()? else {
            return Ok(Found::Nothing);
        };
        let opened = open_beneath(location.as_fd(), path, READ, Links::Inside);
        let Some(opened) = found(opened, "read", path)? else {
            return Ok(Found::Nothing);
        };
        let stat = fstat(&opened).map_err(|error| fault(error, "read", path))?;
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Found::File(Box::new(OpenFile {
                file: File::from(opened),
                path: path.to_owned(),
                size_bytes: size_of(&stat),
                tag: tag_of(&stat),
            })),
            FileType::Directory => Found::Folder,
            _ => Found::Nothing,
        })
    }

    fn write(&self, path: &str, content: &mut (dyn Read + Send)) -> Result<(), LocationError> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let opened = self.make_folder(folder)?;
        let (temporary, mut file) = loop {
            let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
            let process = rustix::process::getpid().as_raw_nonzero();
            let temporary = format!("{UPLOADING_PREFIX}{process}-{number}");
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            match openat(
                &opened,
                temporary.as_str(),
                flags,
                Mode::from_raw_mode(0o666),
            ) {
                Ok(made) => break (temporary, File::from(made)),
                Err(Errno::EXIST) => {}
                Err(error) => return Err(fault(error, "write", path)),
            }
        };
        let written = io::copy(content, &mut file)
            .map_err(|source| LocationError::Io {
                action: "write",
                path: path.to_owned(),
                source,
            })
            .and_then(|_| fsync(&file).map_err(|error| fault(error, "write", path)))
            .and_then(|()| {
                renameat(&opened, temporary.as_str(), &opened, name)
                    .map_err(|error| fault(error, "write", path))
            });
        match written {
            Ok(()) => fsync(&opened).map_err(|error| fault(error, "write", path)),
            Err(error) => {
                // It is nobody's; where it stays, its name says so.
                let _ = unlinkat(&opened, temporary.as_str(), AtFlags::empty());
                Err(error)
            }
        }
    }

    fn is_taken_over(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct OpenFile {
    file: File,
    path: String,
    size_bytes: u64,
    tag: String,
}

impl Located for OpenFile {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn tag(&self) -> &str {
        &self.tag
    }

    fn read(
        self: Box<Self>,
        offset: u64,
        length: u64,
    ) -> Result<Box<dyn Read + Send>, LocationError> {
        let Self { mut file, path, .. } = *self;
        file.seek(SeekFrom::Start(offset))
            .map_err(|source| LocationError::Io {
                action: "read",
                path,
                source,
            })?;
        Ok(Box::new(exactly(file, length)))
    }
}

/// Names in a folder, those that are text and what can be shown of others.
type Names = Vec<Result<String, String>>;

/// The names in a folder; none where there are more than `most`. Files under way are left out.
fn names_in(opened: &OwnedFd, folder: &str, most: usize) -> Result<Option<Names>, LocationError> {
    let cannot = |error| fault(error, "list", folder);
    let mut names = Vec::new();
    for entry in Dir::read_from(opened).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let name: &CStr = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        match name.to_str() {
            Ok(name) if name.starts_with(UPLOADING_PREFIX) => {}
            Ok(name) => names.push(Ok(name.to_owned())),
            Err(_) => names.push(Err(name.to_string_lossy().into_owned())),
        }
        if names.len() > most {
            return Ok(None);
        }
    }
    Ok(Some(names))
}

/// Whether an inner folder will not open however often it is tried, which is no reason to leave out all the others.
fn is_kept_back(error: Errno) -> bool {
    matches!(
        error,
        Errno::ACCESS | Errno::PERM | Errno::LOOP | Errno::XDEV | Errno::NAMETOOLONG
    )
}

fn stat_beneath(location: &OwnedFd, path: &str) -> Option<Stat> {
    let opened = open_beneath(location.as_fd(), path, OFlags::PATH, Links::Inside).ok()?;
    fstat(&opened).ok()
}

fn is_file(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

fn file_of(path: String, stat: &Stat) -> FoundFile {
    FoundFile {
        path,
        size_bytes: size_of(stat),
        tag: tag_of(stat),
    }
}

fn size_of(stat: &Stat) -> u64 {
    stat.st_size.try_into().unwrap_or_default()
}

/// The time of the last change of content or of what is known of it cannot be set by hand.
fn tag_of(stat: &Stat) -> String {
    format!(
        "{:x}-{:x}-{:x}.{:x}",
        stat.st_ino, stat.st_size, stat.st_ctime, stat.st_ctime_nsec
    )
    .replace('.', "-")
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    }
}

/// What was opened; none where nothing is there.
fn found(
    opened: Result<OwnedFd, Errno>,
    action: &'static str,
    path: &str,
) -> Result<Option<OwnedFd>, LocationError> {
    match opened {
        Ok(opened) => Ok(Some(opened)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG) => Ok(None),
        Err(error) => Err(fault(error, action, path)),
    }
}

fn fault(error: Errno, action: &'static str, path: &str) -> LocationError {
    let path = path.to_owned();
    match error {
        Errno::XDEV | Errno::LOOP => LocationError::Outside { path },
        Errno::NOTDIR | Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST => {
            LocationError::InTheWay { path }
        }
        error => LocationError::Io {
            action,
            path,
            source: error.into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_kept_back_is_passed_over_and_a_fault_of_the_system_is_none() {
        for error in [Errno::ACCESS, Errno::PERM, Errno::LOOP, Errno::NAMETOOLONG] {
            assert!(is_kept_back(error), "{error}");
        }
        for error in [
            Errno::MFILE,
            Errno::NFILE,
            Errno::NOMEM,
            Errno::IO,
            Errno::STALE,
        ] {
            assert!(!is_kept_back(error), "{error}");
        }
    }
}
