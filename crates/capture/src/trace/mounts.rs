//! Showing files and folders at other places: a mount namespace of the command's own.
//!
//! At the real places nothing is made for it. A place that does not exist is recreated together with its neighbours:
//! a folder in memory is put over the nearest folder that exists, everything in there is shown in it again,
//! and the missing folders are made in it.
//! Only a source that keeps what it covers (`Bind::keeps`) gets an empty file or folder for each thing kept.

mod check;
mod planner;

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd as _, BorrowedFd, IntoRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
};
use rustix::process::{Resource, Rlimit};
use rustix::thread::UnshareFlags;

pub use self::check::{can_bind, check_binds};

use self::planner::Planner;
use super::{Bind, TraceError, sys};

/// What to mount, made before the fork.
#[derive(Clone, Debug)]
pub(super) struct MountPlan {
    /// Ids to map to themselves in a user namespace; none where this process may mount as it is.
    user: Option<UserMap>,
    steps: Vec<Step>,
    /// Descriptors that steps hand on to later ones.
    slots: Arc<[AtomicI32]>,
    /// Whether a folder is recreated in memory.
    pub(super) rebuilds: bool,
}

#[derive(Clone, Debug)]
struct UserMap {
    uid: CString,
    gid: CString,
}

#[derive(Clone, Debug)]
enum Step {
    /// Takes a tree with all that is mounted in it, without a place of its own.
    Take {
        slot: usize,
        path: CString,
        is_read_only: bool,
    },
    /// Puts a taken tree somewhere; nothing where there was none to take.
    Put {
        slot: usize,
        path: CString,
    },
    /// Remembers a folder, to reach what is in it when something else covers it.
    Remember {
        slot: usize,
        path: CString,
    },
    /// Shows something of a remembered folder, unless it is gone by now.
    Show {
        slot: usize,
        name: CString,
        path: CString,
        is_read_only: bool,
    },
    /// Covers a folder with an empty one in memory.
    Cover {
        path: CString,
        options: CString,
    },
    MakeFolder {
        path: CString,
    },
    MakeFile {
        path: CString,
    },
    MakeLink {
        text: CString,
        path: CString,
    },
    /// Makes a folder the root.
    Enter {
        path: CString,
    },
}

/// Where a plan was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// How many steps had been taken; none where not even a namespace could be had.
    step: Option<usize>,
    pub(super) error: Errno,
}

impl MountPlan {
    /// Plans the binds.
    ///
    /// # Errors
    ///
    /// `TraceError::NotShown` where a missing place cannot be recreated.
    pub(super) fn new(binds: &[Bind], needs_user_namespace: bool) -> Result<Self, TraceError> {
        let (steps, slots, rebuilds) = Planner::plan(binds)?;
        let user = needs_user_namespace.then(|| {
            let map =
                |id: u32| CString::new(format!("{id} {id} 1")).expect("numbers hold no zero byte");
            UserMap {
                uid: map(rustix::process::geteuid().as_raw()),
                gid: map(rustix::process::getegid().as_raw()),
            }
        });
        Ok(Self {
            user,
            steps,
            slots: (0..slots).map(|_| AtomicI32::new(-1)).collect(),
            rebuilds,
        })
    }

    /// Mounts everything in namespaces of this thread. Allocates nothing, so that it may be used after a fork.
    pub(super) fn apply(&self) -> Result<(), Refused> {
        self.enter()
            .map_err(|error| Refused { step: None, error })?;
        let limit = allow_all_descriptors();
        let result = self.steps.iter().enumerate().try_for_each(|(step, taken)| {
            self.apply_step(taken).map_err(|error| Refused {
                step: Some(step),
                error,
            })
        });
        // The command is to have the limit that it would have had.
        let _ = rustix::process::setrlimit(Resource::Nofile, limit);
        result
    }

    fn enter(&self) -> rustix::io::Result<()> {
        enter_namespaces(self.user.is_some())?;
        if let Some(user) = &self.user {
            // Groups cannot be changed in there; without this no group may be mapped.
            write_file(c"/proc/self/setgroups", b"deny")?;
            write_file(c"/proc/self/gid_map", user.gid.to_bytes())?;
            write_file(c"/proc/self/uid_map", user.uid.to_bytes())?;
        }
        // What is mounted outside later still shows, what is mounted here stays here.
        rustix::mount::mount_change(
            c"/",
            MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC,
        )
    }

    /// The path that a refused step was about.
    fn path_of(&self, refused: Refused) -> Option<PathBuf> {
        let step = self.steps.get(refused.step?)?;
        let (Step::Take { path, .. }
        | Step::Put { path, .. }
        | Step::Remember { path, .. }
        | Step::Show { path, .. }
        | Step::Cover { path, .. }
        | Step::MakeFolder { path }
        | Step::MakeFile { path }
        | Step::MakeLink { path, .. }
        | Step::Enter { path }) = step;
        Some(PathBuf::from(OsStr::from_bytes(path.to_bytes())))
    }

    fn apply_step(&self, step: &Step) -> rustix::io::Result<()> {
        match step {
            Step::Take {
                slot,
                path,
                is_read_only,
            } => {
                let tree = take_tree(CWD, path)?;
                if *is_read_only {
                    sys::make_read_only(tree.as_fd())?;
                }
                self.keep(*slot, tree)
            }
            Step::Put { slot, path } => put_tree(self.slot(*slot)?, path),
            Step::Remember { slot, path } => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                self.keep(
                    *slot,
                    rustix::fs::open(path.as_c_str(), flags, Mode::empty())?,
                )
            }
            Step::Show {
                slot,
                name,
                path,
                is_read_only,
            } => {
                match take_tree(self.slot(*slot)?, name) {
                    Ok(tree) => {
                        if *is_read_only {
                            sys::make_read_only(tree.as_fd())?;
                        }
                        put_tree(tree.as_fd(), path)
                    }
                    // Others may remove what they like meanwhile, or close it to this user.
                    Err(Errno::NOENT | Errno::ACCESS) => remove_placeholder(path),
                    Err(error) => Err(error),
                }
            }
            Step::Cover { path, options } => rustix::mount::mount(
                c"tmpfs",
                path.as_c_str(),
                c"tmpfs",
                MountFlags::NOSUID | MountFlags::NODEV,
                options.as_c_str(),
            ),
            Step::MakeFolder { path } => allow_existing(rustix::fs::mkdirat(
                CWD,
                path.as_c_str(),
                Mode::from_raw_mode(0o755),
            )),
            Step::MakeFile { path } => {
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
                let made = rustix::fs::open(path.as_c_str(), flags, Mode::from_raw_mode(0o644));
                allow_existing(made.map(drop))
            }
            Step::MakeLink { text, path } => {
                allow_existing(rustix::fs::symlinkat(text.as_c_str(), CWD, path.as_c_str()))
            }
            Step::Enter { path } => {
                rustix::process::chdir(path.as_c_str())?;
                rustix::process::pivot_root(c".", c".")?;
                // The old root lies over the new one now (pivot_root(2), NOTES).
                rustix::mount::unmount(c".", UnmountFlags::DETACH)?;
                rustix::process::chdir(c"/")
            }
        }
    }

    fn keep(&self, slot: usize, opened: OwnedFd) -> rustix::io::Result<()> {
        // Closed when the command is executed.
        self.slots
            .get(slot)
            .ok_or(Errno::BADF)?
            .store(opened.into_raw_fd(), Ordering::Relaxed);
        Ok(())
    }

    #[expect(
        unsafe_code,
        reason = "a descriptor kept as a number, since the plan is made before it exists"
    )]
    fn slot(&self, slot: usize) -> rustix::io::Result<BorrowedFd<'_>> {
        let raw: RawFd = self
            .slots
            .get(slot)
            .ok_or(Errno::BADF)?
            .load(Ordering::Relaxed);
        if raw < 0 {
            return Err(Errno::BADF);
        }
        // SAFETY: only `keep` stores numbers, those of descriptors that it gave up and that nobody closes.
        Ok(unsafe { BorrowedFd::borrow_raw(raw) })
    }
}

#[expect(
    unsafe_code,
    reason = "leaving a namespace that is shared with other threads is up to the caller"
)]
fn enter_namespaces(with_user: bool) -> rustix::io::Result<()> {
    let flags = if with_user {
        UnshareFlags::NEWUSER | UnshareFlags::NEWNS
    } else {
        UnshareFlags::NEWNS
    };
    // SAFETY: called in a child with one thread only, which has no descriptor table or stack to share.
    unsafe { rustix::thread::unshare_unsafe(flags) }
}

fn take_tree(folder: BorrowedFd<'_>, path: &CStr) -> rustix::io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    rustix::mount::open_tree(folder, path, flags)
}

fn put_tree(tree: BorrowedFd<'_>, path: &CStr) -> rustix::io::Result<()> {
    rustix::mount::move_mount(
        tree,
        c"",
        CWD,
        path,
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )
}

fn write_file(path: &CStr, bytes: &[u8]) -> rustix::io::Result<()> {
    let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, bytes).map(drop)
}

fn allow_existing(result: rustix::io::Result<()>) -> rustix::io::Result<()> {
    match result {
        Err(Errno::EXIST) => Ok(()),
        result => result,
    }
}

fn remove_placeholder(path: &CStr) -> rustix::io::Result<()> {
    match rustix::fs::unlinkat(CWD, path, AtFlags::empty()) {
        Err(Errno::ISDIR) => rustix::fs::unlinkat(CWD, path, AtFlags::REMOVEDIR),
        result => result,
    }
}

/// Each bind holds a descriptor until all are made, and a shell allows about a thousand. Returns the limit before.
fn allow_all_descriptors() -> Rlimit {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let _ = rustix::process::setrlimit(Resource::Nofile, all);
    limit
}
