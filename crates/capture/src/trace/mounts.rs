//! Showing files and folders at other places: a mount namespace of the command's own.
//!
//! Nothing is made on disk for it. A place that does not exist is recreated together with its neighbours:
//! a folder in memory is put over the nearest folder that exists, everything in there is shown in it again,
//! and the missing folders are made in it.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString, OsString};
use std::os::fd::{AsFd as _, BorrowedFd, IntoRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, OnceLock};
use std::{fs, io};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
};
use rustix::thread::UnshareFlags;

use super::options::map_to_source;
use super::plan::to_c;
use super::{Bind, TraceError, keeper};

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
        may_be_gone: bool,
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
    /// Shows something of a remembered folder.
    Show {
        slot: usize,
        name: CString,
        path: CString,
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

/// More neighbours than this are not recreated.
const NEIGHBOURS_MAX: usize = 20_000;

impl MountPlan {
    /// Plans the binds; an error when a missing place has too many neighbours or cannot be looked at.
    pub(super) fn new(binds: &[Bind], needs_user_namespace: bool) -> Result<Self, TraceError> {
        let mut planner = Planner {
            binds,
            ..Planner::default()
        };
        planner.plan()?;
        let user = needs_user_namespace.then(|| {
            let map =
                |id: u32| CString::new(format!("{id} {id} 1")).expect("numbers hold no zero byte");
            UserMap {
                uid: map(rustix::process::geteuid().as_raw()),
                gid: map(rustix::process::getegid().as_raw()),
            }
        });
        let slots = (0..planner.slots).map(|_| AtomicI32::new(-1)).collect();
        Ok(Self {
            user,
            steps: planner.steps,
            slots,
            rebuilds: !planner.rebuilt.is_empty(),
        })
    }

    /// Mounts everything in namespaces of this thread. Allocates nothing, so that it may be used after a fork.
    pub(super) fn apply(&self) -> rustix::io::Result<()> {
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
        )?;
        self.steps.iter().try_for_each(|step| self.apply_step(step))
    }

    fn apply_step(&self, step: &Step) -> rustix::io::Result<()> {
        match step {
            Step::Take {
                slot,
                path,
                may_be_gone,
            } => match take_tree(CWD, path) {
                Err(Errno::NOENT | Errno::ACCESS) if *may_be_gone => Ok(()),
                taken => self.keep(*slot, taken?),
            },
            Step::Put { slot, path } => match self.slot(*slot) {
                // Only what may be gone was passed over when it was to be taken.
                Err(Errno::BADF) => Ok(()),
                slot => put_tree(slot?, path),
            },
            Step::Remember { slot, path } => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                self.keep(
                    *slot,
                    rustix::fs::open(path.as_c_str(), flags, Mode::empty())?,
                )
            }
            Step::Show { slot, name, path } => {
                let tree = take_tree(self.slot(*slot)?, name)?;
                put_tree(tree.as_fd(), path)
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
                rustix::fs::symlinkat(text.as_c_str(), CWD, path.as_c_str())
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

/// Whether files can be shown at other places here. Tried once, in a process of its own.
pub fn can_bind() -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    *CAN.get_or_init(|| {
        let folder = Path::new("/proc").to_owned();
        let binds = [Bind {
            source: folder.clone(),
            target: folder,
        }];
        [false, true].into_iter().any(|with_user| {
            let plan = MountPlan::new(&binds, with_user);
            plan.is_ok_and(|plan| keeper::succeeds_in_child(|| plan.apply().is_ok()))
        })
    })
}

#[derive(Debug, Default)]
struct Planner<'a> {
    binds: &'a [Bind],
    steps: Vec<Step>,
    slots: usize,
    /// Folders that are recreated in memory.
    rebuilt: BTreeSet<PathBuf>,
    /// What the steps make.
    made: BTreeSet<PathBuf>,
}

impl Planner<'_> {
    fn plan(&mut self) -> Result<(), TraceError> {
        let mut sources = Vec::new();
        // All sources first: what is put somewhere may cover one.
        for bind in self.binds {
            let slot = self.new_slot();
            self.steps.push(Step::Take {
                slot,
                path: c_path(&bind.source)?,
                // Shown again where it is, in a folder that something else covers: another program may remove it.
                may_be_gone: bind.source == bind.target,
            });
            sources.push(slot);
        }
        for (index, (bind, slot)) in self.binds.iter().zip(sources).enumerate() {
            self.make_target(index, bind)?;
            self.steps.push(Step::Put {
                slot,
                path: c_path(&bind.target)?,
            });
        }
        Ok(())
    }

    fn new_slot(&mut self) -> usize {
        self.slots += 1;
        self.slots - 1
    }

    /// Makes the place of the bind with this index, where it is missing.
    fn make_target(&mut self, index: usize, bind: &Bind) -> Result<(), TraceError> {
        if self.exists(index, &bind.target) {
            return Ok(());
        }
        let Some(nearest) = bind
            .target
            .ancestors()
            .skip(1)
            .find(|path| self.exists(index, path))
        else {
            return Err(refuse(&bind.target, "no folder above it is there"));
        };
        let nearest = nearest.to_owned();
        let is_bound = self
            .binds
            .iter()
            .take(index)
            .any(|earlier| nearest.starts_with(&earlier.target));
        let is_made = self.made.contains(&nearest) || self.rebuilt.contains(&nearest);
        if !is_bound && !is_made {
            self.rebuild(&nearest)?;
        }
        let missing: Vec<PathBuf> = bind
            .target
            .ancestors()
            .take_while(|path| *path != nearest)
            .map(Path::to_owned)
            .collect();
        let is_folder = fs::metadata(&bind.source).is_ok_and(|metadata| metadata.is_dir());
        for path in missing.into_iter().rev() {
            let c_form = c_path(&path)?;
            self.steps.push(if is_folder || path != bind.target {
                Step::MakeFolder { path: c_form }
            } else {
                Step::MakeFile { path: c_form }
            });
            self.made.insert(path);
        }
        Ok(())
    }

    /// Whether something has this path in the view that the binds before this index make.
    fn exists(&self, index: usize, path: &Path) -> bool {
        let earlier = self.binds.get(..index).unwrap_or_default();
        self.made.contains(path) || fs::metadata(map_to_source(earlier, path)).is_ok()
    }

    /// Recreates a folder in memory.
    fn rebuild(&mut self, folder: &Path) -> Result<(), TraceError> {
        let unreadable = |source| TraceError::Bind {
            path: folder.to_owned(),
            source,
        };
        let metadata = fs::metadata(folder).map_err(unreadable)?;
        let entries = fs::read_dir(folder).map_err(unreadable)?;
        let mut entries: Vec<_> = entries.flatten().take(NEIGHBOURS_MAX + 1).collect();
        if entries.len() > NEIGHBOURS_MAX {
            let why =
                format!("more than {NEIGHBOURS_MAX} files stand in it, too many to show again");
            return Err(refuse(folder, why));
        }
        entries.sort_by_key(fs::DirEntry::file_name);
        let is_root = folder == Path::new("/");
        let options = format!("mode={:o}", metadata.permissions().mode() & 0o7777);
        let options = CString::new(options).expect("digits hold no zero byte");
        let remembered = self.new_slot();
        self.steps.push(Step::Remember {
            slot: remembered,
            path: c_path(folder)?,
        });
        // The root cannot be covered, only left: the new one is put together on one of its folders.
        let base = entries
            .iter()
            .find(|entry| is_root && entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let (workshop, covered) = match base {
            Some(base) => {
                let slot = self.new_slot();
                self.steps.push(Step::Take {
                    slot,
                    path: c_path(&base.path())?,
                    may_be_gone: false,
                });
                (base.path(), Some((base.file_name(), slot)))
            }
            None if is_root => return Err(refuse(folder, "no folder stands in it")),
            None => (folder.to_owned(), None),
        };
        self.steps.push(Step::Cover {
            path: c_path(&workshop)?,
            options,
        });
        for entry in &entries {
            self.show_again(
                entry,
                remembered,
                covered.as_ref(),
                &workshop.join(entry.file_name()),
            )?;
        }
        if is_root {
            self.steps.push(Step::Enter {
                path: c_path(&workshop)?,
            });
        }
        self.rebuilt.insert(folder.to_owned());
        Ok(())
    }

    fn show_again(
        &mut self,
        entry: &fs::DirEntry,
        remembered: usize,
        covered: Option<&(OsString, usize)>,
        path: &Path,
    ) -> Result<(), TraceError> {
        let Ok(kind) = entry.file_type() else {
            return Ok(());
        };
        let path = c_path(path)?;
        if kind.is_symlink() {
            if let Ok(text) = fs::read_link(entry.path()) {
                self.steps.push(Step::MakeLink {
                    text: c_path(&text)?,
                    path,
                });
            }
            return Ok(());
        }
        let path_again = path.clone();
        self.steps.push(if kind.is_dir() {
            Step::MakeFolder { path }
        } else {
            Step::MakeFile { path }
        });
        self.steps.push(match covered {
            Some((name, slot)) if *name == entry.file_name() => Step::Put {
                slot: *slot,
                path: path_again,
            },
            _ => Step::Show {
                slot: remembered,
                name: to_c(entry.file_name())?,
                path: path_again,
            },
        });
        Ok(())
    }
}

fn refuse(path: &Path, why: impl Into<String>) -> TraceError {
    TraceError::Bind {
        path: path.to_owned(),
        source: io::Error::other(why.into()),
    }
}

fn c_path(path: &Path) -> Result<CString, TraceError> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| TraceError::ZeroByte {
        text: path.as_os_str().to_owned(),
    })
}
