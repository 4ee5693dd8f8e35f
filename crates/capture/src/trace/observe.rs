//! From what a thread wants to what the observer is told.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{FileType, Mode};

use super::decode::{Intent, decode};
use super::findings::{self, Findings, Notes};
use super::listener::{Answer, RawCall};
use super::peer::{PeerAddress, abstract_peer, inet_peer, is_remote, unix_peer};
use super::program::{Companion, read_companion};
use super::view::{Actor, Found, Look, Place, Spot, View, is_random_device, is_same_file};
use super::{Access, AccessKind, Observer};

/// Turns calls into accesses and tells them.
pub(super) struct Interpreter {
    pub(super) view: View,
    pub(super) findings: Arc<Findings>,
    pub(super) observer: Arc<dyn Observer>,
    /// The command's first process, whose mounts are the view that paths are told in.
    pub(super) command: u32,
    /// Whether setuid programs run without their rights.
    has_no_new_privileges: AtomicBool,
    pids: Mutex<BTreeMap<u32, u32>>,
}

/// What a call comes to.
#[derive(Debug)]
pub(super) struct Observed {
    pub(super) actor: Actor,
    pub(super) accesses: Vec<AccessKind>,
    /// Links that were followed for them.
    pub(super) links: Vec<PathBuf>,
    pub(super) notes: Notes,
    pub(super) answer: Answer,
}

/// More threads than this are not remembered with their process at once.
const PIDS_MAX: usize = 65_536;

impl Interpreter {
    pub(super) fn new(
        view: View,
        findings: Arc<Findings>,
        observer: Arc<dyn Observer>,
        command: u32,
    ) -> Self {
        let has_no_new_privileges = AtomicBool::new(false);
        Self {
            view,
            findings,
            observer,
            command,
            has_no_new_privileges,
            pids: Mutex::default(),
        }
    }

    /// From here on setuid programs are known to run without their rights.
    pub(super) fn expect_no_new_privileges(&self) {
        self.has_no_new_privileges.store(true, Ordering::Relaxed);
    }

    /// Reads a call; none when the thread is gone (`is_there` is false after its memory was read).
    pub(super) fn observe(&self, call: &RawCall, is_there: impl Fn() -> bool) -> Option<Observed> {
        let notes = RefCell::new(Notes::default());
        let intent = decode(&self.view, &notes, call);
        let executes = matches!(intent, Intent::Execute { .. });
        let actor = Actor {
            tid: call.tid,
            pid: self.pid_of(call.tid, executes),
        };
        if !is_there() {
            return None;
        }
        let mut links = Vec::new();
        let (accesses, answer) = match intent {
            Intent::Nothing => (Vec::new(), Answer::Continue),
            Intent::SetUpIoUring => {
                notes.borrow_mut().gap(findings::IO_URING);
                (Vec::new(), Answer::Fail(libc::ENOSYS))
            }
            intent => {
                if self.view.may_differ() && self.view.has_other_mounts(actor.tid, self.command) {
                    notes.borrow_mut().gap(findings::OTHER_VIEW);
                }
                let resolver = Resolver {
                    interpreter: self,
                    actor,
                    notes: &notes,
                    links: RefCell::default(),
                };
                let accesses = resolver.resolve(intent);
                if !accesses.is_empty() {
                    links = resolver.links.into_inner();
                }
                if self.view.take_long_path() {
                    notes.borrow_mut().gap(findings::PATH_TOO_LONG);
                }
                (accesses, Answer::Continue)
            }
        };
        let notes = notes.into_inner();
        self.findings.absorb(&notes);
        Some(Observed {
            actor,
            accesses,
            links,
            notes,
            answer,
        })
    }

    /// Tells the observer; the thread waits meanwhile.
    pub(super) fn tell(&self, observed: &Observed) {
        for link in &observed.links {
            self.observer.followed_link(observed.actor.pid, link);
        }
        for kind in &observed.accesses {
            self.observer.before(Access {
                pid: observed.actor.pid,
                kind: kind.clone(),
            });
        }
    }

    /// The process of a thread. What is remembered is asked for again when it executes a program.
    fn pid_of(&self, tid: u32, is_fresh: bool) -> u32 {
        let mut pids = self.pids.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pid) = pids.get(&tid).filter(|_| !is_fresh) {
            return *pid;
        }
        drop(pids);
        let pid = super::tree::process_of(tid).unwrap_or(tid);
        self.findings.saw_process(pid);
        pids = self.pids.lock().unwrap_or_else(PoisonError::into_inner);
        if pids.len() >= PIDS_MAX {
            pids.clear();
        }
        pids.insert(tid, pid);
        pid
    }
}

struct Resolver<'a> {
    interpreter: &'a Interpreter,
    actor: Actor,
    notes: &'a RefCell<Notes>,
    links: RefCell<Vec<PathBuf>>,
}

impl Resolver<'_> {
    fn resolve(&self, intent: Intent) -> Vec<AccessKind> {
        match intent {
            Intent::Open { place, flags } => self.open(&place, flags).into_iter().collect(),
            Intent::Remove { place } => self.remove(&place).into_iter().collect(),
            Intent::Rename { from, to, flags } => {
                self.rename(&from, &to, flags).unwrap_or_default()
            }
            Intent::Link { from, to, follows } => {
                self.link(&from, &to, follows).into_iter().collect()
            }
            Intent::Symlink { place } => self.symlink(&place).into_iter().collect(),
            Intent::Truncate { place } => self.truncate(&place).into_iter().collect(),
            Intent::Execute { place, follows } => self.execute(&place, follows),
            Intent::Connect { address, place } => {
                self.connect(&address, place.as_ref()).into_iter().collect()
            }
            Intent::SetUpIoUring | Intent::Nothing => Vec::new(),
        }
    }
    fn look(&self, place: &Place, follows: bool) -> Look {
        let look = self.interpreter.view.look(self.actor, place, follows);
        match &look {
            Look::There(Found {
                path: Some(path), ..
            })
            | Look::Absent(path) => self.note_links(place, follows, path),
            Look::There(_) | Look::Nowhere => {}
        }
        look
    }

    fn spot(&self, place: &Place) -> Option<Spot> {
        let spot = self.interpreter.view.spot(self.actor, place)?;
        self.note_links(place, false, &spot.path);
        Some(spot)
    }

    fn note_links(&self, place: &Place, follows: bool, resolved: &Path) {
        let view = &self.interpreter.view;
        let links = view.links(self.actor, place, follows, resolved);
        let mut known = self.links.borrow_mut();
        for link in links {
            if !known.contains(&link) {
                known.push(link);
            }
        }
    }

    fn gap(&self, note: findings::Note) {
        self.notes.borrow_mut().gap(note);
    }

    fn sign(&self, note: findings::Note) {
        self.notes.borrow_mut().sign(note);
    }

    fn open(&self, place: &Place, flags: i32) -> Option<AccessKind> {
        if flags & libc::O_TMPFILE == libc::O_TMPFILE {
            return None;
        }
        let creates = flags & libc::O_CREAT != 0;
        let must_create = creates && flags & libc::O_EXCL != 0;
        let follows = flags & libc::O_NOFOLLOW == 0 && !must_create;
        let mode = flags & libc::O_ACCMODE;
        let truncates = flags & libc::O_TRUNC != 0;
        let write = |path| AccessKind::Write {
            path,
            keeps_content: !truncates,
            reads: mode != libc::O_RDONLY && mode != libc::O_WRONLY,
        };
        match self.look(place, follows) {
            Look::Absent(path) => creates.then(|| write(path)),
            Look::Nowhere => None,
            Look::There(found) => {
                let is_openable = !matches!(
                    found.file_type(),
                    FileType::Directory | FileType::Symlink | FileType::Socket
                );
                if must_create || !is_openable {
                    return None;
                }
                let path = found.path?;
                if is_random_device(&path) {
                    self.sign(findings::RANDOMNESS_READ);
                }
                let writes = mode != libc::O_RDONLY || truncates;
                Some(if writes {
                    write(path)
                } else {
                    AccessKind::Read { path }
                })
            }
        }
    }

    fn remove(&self, place: &Place) -> Option<AccessKind> {
        let spot = self.spot(place)?;
        (spot.present.is_some() && !spot.is_directory())
            .then_some(AccessKind::Remove { path: spot.path })
    }

    fn rename(&self, from: &Place, to: &Place, flags: u32) -> Option<Vec<AccessKind>> {
        let from = self.spot(from)?;
        let to = self.spot(to)?;
        let present = from.present?;
        if flags & libc::RENAME_EXCHANGE != 0 {
            to.present?;
            if from.is_directory() || to.is_directory() {
                self.gap(findings::EXCHANGED_FOLDERS);
            }
            if !from.is_directory() && !to.is_directory() {
                let (from, to) = (from.path, to.path);
                return Some(vec![AccessKind::Exchange { from, to }]);
            }
            // Both names get other content.
            let changed = [from, to].into_iter().filter(|spot| !spot.is_directory());
            let write = |path| AccessKind::Write {
                path,
                keeps_content: false,
                reads: false,
            };
            return Some(changed.map(|spot| write(spot.path)).collect());
        }
        let is_kept = flags & libc::RENAME_NOREPLACE != 0 && to.present.is_some();
        let is_same = to.present.is_some_and(|to| is_same_file(&present, &to));
        if is_kept || is_same {
            return None;
        }
        Some(vec![AccessKind::Rename {
            from: from.path,
            to: to.path,
        }])
    }

    fn link(&self, from: &Place, to: &Place, follows: bool) -> Option<AccessKind> {
        let Look::There(from) = self.look(from, follows) else {
            return None;
        };
        let to = self.spot(to)?;
        if to.present.is_some() || from.file_type() == FileType::Directory {
            return None;
        }
        Some(match from.path {
            Some(from) => AccessKind::Link { from, to: to.path },
            // A file without a name (`O_TMPFILE`) is born with this one.
            None => AccessKind::Write {
                path: to.path,
                keeps_content: false,
                reads: false,
            },
        })
    }

    fn symlink(&self, place: &Place) -> Option<AccessKind> {
        let spot = self.spot(place)?;
        spot.present
            .is_none()
            .then_some(AccessKind::Symlink { path: spot.path })
    }

    fn truncate(&self, place: &Place) -> Option<AccessKind> {
        let Look::There(found) = self.look(place, true) else {
            return None;
        };
        if found.file_type() != FileType::RegularFile {
            return None;
        }
        Some(AccessKind::Write {
            path: found.path?,
            keeps_content: true,
            reads: false,
        })
    }

    fn execute(&self, place: &Place, follows: bool) -> Vec<AccessKind> {
        let mut accesses = Vec::new();
        let Look::There(mut program) = self.look(place, follows) else {
            return accesses;
        };
        let mut named = self.name_of(place);
        for _ in 0..INTERPRETERS_MAX {
            if !self.note_program(&program) {
                break;
            }
            let companion = read_companion(&program);
            match named.take().or(program.path) {
                Some(path) => accesses.push(AccessKind::Execute { path }),
                None => self.gap(findings::UNNAMED_PROGRAM),
            }
            match companion {
                None => break,
                Some(Companion::Loader(path)) => {
                    if let Some(Found {
                        path: Some(path), ..
                    }) = self.look_at_path(path)
                    {
                        accesses.push(AccessKind::Read { path });
                    }
                    break;
                }
                Some(Companion::Interpreter(path)) => match self.look_at_path(path.clone()) {
                    Some(found) => {
                        program = found;
                        named = self.place_at(path).and_then(|place| self.name_of(&place));
                    }
                    None => break,
                },
            }
        }
        accesses
    }

    /// Whether something can be executed at all.
    fn note_program(&self, program: &Found) -> bool {
        let mode = Mode::from_raw_mode(program.stat.st_mode);
        let is_setuid = mode.intersects(Mode::SUID | Mode::SGID);
        if is_setuid
            && self
                .interpreter
                .has_no_new_privileges
                .load(Ordering::Relaxed)
        {
            self.gap(findings::SETUID_IGNORED);
        }
        program.file_type() == FileType::RegularFile
            && mode.intersects(Mode::XUSR | Mode::XGRP | Mode::XOTH)
    }

    /// What the kernel opens on the process's behalf, from its working directory.
    fn look_at_path(&self, path: PathBuf) -> Option<Found> {
        match self.look(&self.place_at(path)?, true) {
            Look::There(found) => Some(found),
            Look::Absent(_) | Look::Nowhere => None,
        }
    }

    fn place_at(&self, path: PathBuf) -> Option<Place> {
        use std::os::unix::ffi::OsStringExt as _;
        self.interpreter.view.place(
            self.actor.tid,
            libc::AT_FDCWD,
            path.into_os_string().into_vec(),
        )
    }

    /// The path of a program as it was asked for, its last link not followed: an interpreter finds its virtual
    /// environment beside the link through which it was started, not beside the file.
    fn name_of(&self, place: &Place) -> Option<PathBuf> {
        match self.look(place, false) {
            // A name in /proc or /dev/fd means another thing to everybody who asks.
            Look::There(found) => found
                .path
                .filter(|path| !path.starts_with("/proc") && !path.starts_with("/dev")),
            Look::Absent(_) | Look::Nowhere => None,
        }
    }

    fn connect(&self, address: &PeerAddress, place: Option<&Place>) -> Option<AccessKind> {
        let peer = match address {
            PeerAddress::Inet(address) => {
                if is_remote(address) {
                    self.sign(findings::NETWORK_USED);
                }
                inet_peer(address)
            }
            PeerAddress::UnixAbstract(name) => abstract_peer(name),
            PeerAddress::UnixPath(_) => match self.look(place?, true) {
                Look::There(found) => unix_peer(&found.path?),
                // Programs ask for daemons that are not there (nscd); that is no peer.
                Look::Absent(_) | Look::Nowhere => return None,
            },
        };
        Some(AccessKind::Connect { peer })
    }
}

/// Scripts whose interpreters are scripts: the kernel goes no deeper (fs/exec.c, `exec_binprm`).
const INTERPRETERS_MAX: usize = 6;
