//! Paths as a traced process sees them.
//!
//! The kernel itself does the resolving: a place is opened with `O_PATH`, which reads nothing, waits for no FIFO and
//! follows every link, and the link in `/proc/self/fd` then says which path that is.
//! Only where a path leads through `/proc/self`, which means something else here than there, it is walked by hand.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::walk::{Followed, Start, Walked, walk};

/// How processes of a command see files.
#[derive(Debug)]
pub(super) struct View {
    proc: OwnedFd,
    own_descriptors: OwnedFd,
    /// `/proc/PID` of this process.
    own_folder: PathBuf,
    /// The root of the command, where it is not the one of this process.
    root: Option<OwnedFd>,
    /// Whether some process may have a root of its own.
    may_differ: AtomicBool,
    /// Whether a path was met that is longer than the kernel tells.
    has_long_path: AtomicBool,
    linked_folders: LinkedFolders,
}

/// A thread of a traced process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Actor {
    pub(super) tid: u32,
    pub(super) pid: u32,
}

/// A place as a call names it.
#[derive(Debug)]
pub(super) struct Place {
    /// Where a relative path begins; none for an absolute one.
    pub(super) base: Option<OwnedFd>,
    /// The path as given.
    pub(super) path: Vec<u8>,
    /// Whether `base` counts as the root (`RESOLVE_IN_ROOT` of `openat2`).
    pub(super) is_in_base: bool,
}

/// Something that is there.
#[derive(Debug)]
pub(super) struct Found {
    /// The place, opened with `O_PATH`.
    pub(super) place: OwnedFd,
    /// Its path; none where it has no name (a pipe, a deleted file).
    pub(super) path: Option<PathBuf>,
    /// What it is.
    pub(super) stat: Stat,
}

impl Found {
    pub(super) fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }
}

/// What is at a place.
#[derive(Debug)]
pub(super) enum Look {
    /// Something.
    There(Found),
    /// Nothing, and it would be made at this path.
    Absent(PathBuf),
    /// Nothing, and nothing can be made.
    Nowhere,
}

/// A name in a folder, its link not followed.
#[derive(Debug)]
pub(super) struct Spot {
    pub(super) path: PathBuf,
    /// What has this name now.
    pub(super) present: Option<Stat>,
}

impl Spot {
    pub(super) fn is_directory(&self) -> bool {
        self.present
            .is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
    }
}

/// How often a look is repeated when names change under it.
const ATTEMPTS: usize = 3;

pub(super) const PLACE: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

impl View {
    /// The view of a command, given its root where that is not the one of this process.
    pub(super) fn new(root: Option<OwnedFd>) -> rustix::io::Result<Self> {
        let folder = PLACE | OFlags::DIRECTORY;
        Ok(Self {
            proc: rustix::fs::open("/proc", folder, Mode::empty())?,
            own_descriptors: rustix::fs::open("/proc/self/fd", folder, Mode::empty())?,
            own_folder: PathBuf::from(format!("/proc/{}", std::process::id())),
            root,
            may_differ: AtomicBool::new(false),
            has_long_path: AtomicBool::new(false),
            linked_folders: LinkedFolders::default(),
        })
    }

    /// From here on each process is asked for its root.
    pub(super) fn expect_differences(&self) {
        self.may_differ.store(true, Ordering::Relaxed);
    }

    pub(super) fn may_differ(&self) -> bool {
        self.may_differ.load(Ordering::Relaxed)
    }

    /// Whether a path was met that is longer than the kernel tells, since this was asked last.
    pub(super) fn take_long_path(&self) -> bool {
        self.has_long_path.load(Ordering::Relaxed)
            && self.has_long_path.swap(false, Ordering::Relaxed)
    }

    /// Opens something of `/proc/TID`.
    pub(super) fn open_of(&self, tid: u32, name: &str) -> rustix::io::Result<OwnedFd> {
        rustix::fs::openat(&self.proc, format!("{tid}/{name}"), PLACE, Mode::empty())
    }

    /// The place that a call names by a directory's descriptor and a path.
    pub(super) fn place(&self, tid: u32, directory: i32, path: Vec<u8>) -> Option<Place> {
        let base = if path.first() == Some(&b'/') {
            None
        } else if directory == libc::AT_FDCWD {
            Some(self.open_of(tid, "cwd").ok()?)
        } else {
            Some(self.open_of(tid, &format!("fd/{directory}")).ok()?)
        };
        Some(Place {
            base,
            path,
            is_in_base: false,
        })
    }

    /// Looks at a place; an empty path means its base.
    pub(super) fn look(&self, actor: Actor, place: &Place, follows: bool) -> Look {
        let root = self.root_of(actor);
        let Ok(root) = root else { return Look::Nowhere };
        if place.path.is_empty() {
            let base = place.base.as_ref().and_then(|base| base.try_clone().ok());
            return base.map_or(Look::Nowhere, |base| {
                self.found(base).map_or(Look::Nowhere, Look::There)
            });
        }
        match self.look_from(actor, root.as_ref().map(AsFd::as_fd), place, follows) {
            Some(look) => look,
            None => self.look_at_absent(actor, root.as_ref().map(AsFd::as_fd), place, follows),
        }
    }

    /// The folder and the name that a call is about to make, remove or replace.
    pub(super) fn spot(&self, actor: Actor, place: &Place) -> Option<Spot> {
        let end = place.path.iter().rposition(|&byte| byte != b'/')? + 1;
        let path = place.path.get(..end)?;
        let start = path
            .iter()
            .rposition(|&byte| byte == b'/')
            .map_or(0, |slash| slash + 1);
        let (folder, name) = path.split_at_checked(start)?;
        if matches!(name, b"" | b"." | b"..") {
            return None;
        }
        let folder = Place {
            base: place.base.as_ref().and_then(|base| base.try_clone().ok()),
            path: if folder.is_empty() {
                b".".to_vec()
            } else {
                folder.to_vec()
            },
            is_in_base: place.is_in_base,
        };
        let root = self.root_of(actor).ok()?;
        let look = self.look_from(actor, root.as_ref().map(AsFd::as_fd), &folder, true)?;
        let Look::There(folder) = look else {
            return None;
        };
        let present = rustix::fs::statat(&folder.place, name, AtFlags::SYMLINK_NOFOLLOW).ok();
        Some(Spot {
            path: folder.path?.join(OsStr::from_bytes(name)),
            present,
        })
    }

    /// The root that a thread's absolute paths begin at; none for that of this process.
    fn root_of(&self, actor: Actor) -> rustix::io::Result<Option<OwnedFd>> {
        if self.may_differ() {
            return self.open_of(actor.tid, "root").map(Some);
        }
        match &self.root {
            Some(root) => rustix::io::fcntl_dupfd_cloexec(root, 0).map(Some),
            None => Ok(None),
        }
    }

    /// Looks at a place with a path; none where some part of it is missing.
    fn look_from(
        &self,
        actor: Actor,
        root: Option<BorrowedFd<'_>>,
        place: &Place,
        follows: bool,
    ) -> Option<Look> {
        let flags = if follows {
            PLACE
        } else {
            PLACE | OFlags::NOFOLLOW
        };
        for _ in 0..ATTEMPTS {
            match self.open_quickly(root, place, flags) {
                Ok(opened) => match self.found(opened) {
                    Some(found) if self.is_own(&found) => break,
                    Some(found) => return Some(Look::There(found)),
                    None => return Some(Look::Nowhere),
                },
                Err(Errno::AGAIN) => {}
                Err(Errno::NOENT) => return None,
                // A link of /proc that leads elsewhere, a circle, or a kernel without `openat2`.
                Err(Errno::LOOP | Errno::NOSYS | Errno::PERM | Errno::INVAL) => break,
                Err(_) => return Some(Look::Nowhere),
            }
        }
        Some(self.look_by_hand(actor, root, place, follows))
    }

    /// Lets the kernel resolve a place, except through links that mean this process instead of the traced one.
    fn open_quickly(
        &self,
        root: Option<BorrowedFd<'_>>,
        place: &Place,
        flags: OFlags,
    ) -> rustix::io::Result<OwnedFd> {
        let path = place.path.as_slice();
        let plain = ResolveFlags::NO_MAGICLINKS;
        let rooted = plain | ResolveFlags::IN_ROOT;
        let open = |base: BorrowedFd<'_>, path: &[u8], how| {
            rustix::fs::openat2(base, path, flags, Mode::empty(), how)
        };
        match (&place.base, root) {
            (Some(base), _) if place.is_in_base => open(base.as_fd(), path, rooted),
            (None, Some(root)) => open(root, path, rooted),
            (None, None) => open(CWD, path, plain),
            (Some(base), None) => open(base.as_fd(), path, plain),
            // A link in the path may be absolute, and then begins at the root of the traced process.
            (Some(base), Some(root)) => match self.path_below(base.as_fd(), root) {
                Some(folder) => {
                    let joined = folder.join(OsStr::from_bytes(path));
                    match open(root, joined.as_os_str().as_bytes(), rooted) {
                        Err(Errno::NOENT | Errno::NAMETOOLONG) => open(base.as_fd(), path, plain),
                        result => result,
                    }
                }
                None => open(base.as_fd(), path, plain),
            },
        }
    }

    /// The path of a folder below a root; none when it is not below it.
    fn path_below(&self, folder: BorrowedFd<'_>, root: BorrowedFd<'_>) -> Option<PathBuf> {
        let (folder, root) = (self.path_of(folder)?, self.path_of(root)?);
        Some(Path::new("/").join(folder.strip_prefix(root).ok()?))
    }

    /// Nothing is there: tells where it would be made. The last name may be a link to something that is missing.
    fn look_at_absent(
        &self,
        actor: Actor,
        root: Option<BorrowedFd<'_>>,
        place: &Place,
        follows: bool,
    ) -> Look {
        match self.spot(actor, place) {
            Some(Spot {
                path,
                present: None,
            }) => Look::Absent(path),
            Some(_) => self.look_by_hand(actor, root, place, follows),
            None => Look::Nowhere,
        }
    }

    fn look_by_hand(
        &self,
        actor: Actor,
        root: Option<BorrowedFd<'_>>,
        place: &Place,
        follows: bool,
    ) -> Look {
        match walk_place(actor, root, place, follows, &mut |_| {}) {
            Walked::There(opened) => self.found(opened).map_or(Look::Nowhere, Look::There),
            Walked::Missing { folder, name } => match self.path_of(folder.as_fd()) {
                Some(folder) if folder.is_absolute() => {
                    Look::Absent(folder.join(OsStr::from_bytes(&name)))
                }
                _ => Look::Nowhere,
            },
            Walked::Nowhere => Look::Nowhere,
        }
    }

    /// The links that a path led through to what it was resolved to, each with the links before it resolved.
    ///
    /// Links in /proc and /dev say nothing of files.
    pub(super) fn links(
        &self,
        actor: Actor,
        place: &Place,
        follows: bool,
        resolved: &Path,
    ) -> Vec<PathBuf> {
        let Some(given) = self.given(place).filter(|given| given != resolved) else {
            return Vec::new();
        };
        let (Some(folder), Some(resolved_folder)) = (given.parent(), resolved.parent()) else {
            return Vec::new();
        };
        let has_same_name = given.file_name() == resolved.file_name();
        if has_same_name && let Some(links) = self.linked_folders.find(folder, resolved_folder) {
            return links;
        }
        let Ok(root) = self.root_of(actor) else {
            return Vec::new();
        };
        let mut links = Vec::new();
        let mut is_last_a_link = false;
        let root = root.as_ref().map(AsFd::as_fd);
        walk_place(actor, root, place, follows, &mut |followed| {
            is_last_a_link |= followed.is_last;
            let folder = self.path_of(followed.folder.as_fd());
            links.extend(folder.map(|folder| folder.join(OsStr::from_bytes(followed.name))));
        });
        links.retain(|link| !link.starts_with("/proc") && !link.starts_with("/dev"));
        if has_same_name && !is_last_a_link {
            self.linked_folders
                .insert(folder, resolved_folder, links.clone());
        }
        links
    }

    /// A place as the process names it, made absolute.
    fn given(&self, place: &Place) -> Option<PathBuf> {
        let path = Path::new(OsStr::from_bytes(&place.path));
        match &place.base {
            _ if place.is_in_base || place.path.is_empty() => None,
            None => Some(path.to_owned()),
            Some(base) => Some(self.path_of(base.as_fd())?.join(path)),
        }
    }

    fn found(&self, place: OwnedFd) -> Option<Found> {
        let stat = rustix::fs::fstat(&place).ok()?;
        let path = self
            .path_of(place.as_fd())
            .filter(|path| path.is_absolute());
        let path = path
            .filter(|path| stat.st_nlink > 0 || !path.as_os_str().as_bytes().ends_with(DELETED));
        Some(Found { place, path, stat })
    }

    /// Whether a path leads into the folder of this process below `/proc`: then it was meant for the other one.
    fn is_own(&self, found: &Found) -> bool {
        found
            .path
            .as_ref()
            .is_some_and(|path| path.starts_with(&self.own_folder))
    }

    /// The kernel's path of something that is open here.
    pub(super) fn path_of(&self, opened: BorrowedFd<'_>) -> Option<PathBuf> {
        use std::os::fd::AsRawFd as _;
        let name = opened.as_raw_fd().to_string();
        let path = rustix::fs::readlinkat(&self.own_descriptors, name, Vec::with_capacity(256));
        if path == Err(Errno::NAMETOOLONG) {
            self.has_long_path.store(true, Ordering::Relaxed);
        }
        let path = path.ok()?;
        Some(PathBuf::from(OsString::from_vec(path.into_bytes())))
    }

    /// Whether two threads' mounts differ: a thread's against those of another process.
    pub(super) fn has_other_mounts(&self, tid: u32, other: u32) -> bool {
        let mounts =
            |tid: u32| rustix::fs::readlinkat(&self.proc, format!("{tid}/ns/mnt"), Vec::new()).ok();
        match (mounts(tid), mounts(other)) {
            (Some(one), Some(other)) => one != other,
            _ => false,
        }
    }
}

fn walk_place(
    actor: Actor,
    root: Option<BorrowedFd<'_>>,
    place: &Place,
    follows: bool,
    on_link: &mut dyn FnMut(Followed<'_>),
) -> Walked {
    let own_root;
    let root = match (&place.base, root) {
        (Some(base), _) if place.is_in_base => base.as_fd(),
        (_, Some(root)) => root,
        (_, None) => match rustix::fs::open("/", PLACE, Mode::empty()) {
            Ok(opened) => {
                own_root = opened;
                own_root.as_fd()
            }
            Err(_) => return Walked::Nowhere,
        },
    };
    let folder = place.base.as_ref().map_or(root, AsFd::as_fd);
    walk(actor, Start { root, folder }, &place.path, follows, on_link)
}

/// Folders that were named through links, with what they are and the links: so that a program that opens many files
/// in one is not followed link by link each time.
#[derive(Debug, Default)]
struct LinkedFolders(Mutex<BTreeMap<PathBuf, (PathBuf, Vec<PathBuf>)>>);

/// More are not remembered at once.
const LINKED_FOLDERS_MAX: usize = 4096;

impl LinkedFolders {
    fn find(&self, given: &Path, resolved: &Path) -> Option<Vec<PathBuf>> {
        let folders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, links) = folders.get(given)?;
        (known == resolved).then(|| links.clone())
    }

    fn insert(&self, given: &Path, resolved: &Path, links: Vec<PathBuf>) {
        let mut folders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if folders.len() >= LINKED_FOLDERS_MAX {
            folders.clear();
        }
        folders.insert(given.to_owned(), (resolved.to_owned(), links));
    }
}

/// What the kernel adds to the path of a file whose name is gone.
const DELETED: &[u8] = b" (deleted)";

/// Whether two states are those of one file.
pub(super) fn is_same_file(one: &Stat, other: &Stat) -> bool {
    one.st_dev == other.st_dev && one.st_ino == other.st_ino
}

/// Whether a path is that of a source of random bytes.
pub(super) fn is_random_device(path: &Path) -> bool {
    path == Path::new("/dev/urandom") || path == Path::new("/dev/random")
}
