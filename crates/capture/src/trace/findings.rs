//! What is noted of a command as a whole, beside its accesses.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use entities::Gap;

/// What is noted of a command as a whole.
#[derive(Debug, Default)]
pub(super) struct Findings {
    notes: Mutex<Notes>,
    processes: Mutex<BTreeSet<u32>>,
}

/// What is noted of one call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Notes {
    /// What may be missing.
    pub(super) gaps: BTreeMap<Cow<'static, str>, Cow<'static, str>>,
    /// Signs of nondeterminism.
    pub(super) signs: BTreeMap<Cow<'static, str>, Cow<'static, str>>,
}

/// Something noted: a stable word and a sentence.
pub(super) type Note = (&'static str, &'static str);

pub(super) const FOREIGN_ABI: Note = (
    "foreign_abi",
    "a program made calls in another ABI than this machine's own (32-bit or x32); they were followed as far as known",
);
pub(super) const IO_URING: Note = (
    "io_uring",
    "a program wanted to set up io_uring, which was refused so that no access is missed",
);
pub(super) const UNREADABLE_PROCESS: Note = (
    "unreadable_process",
    "a process could not be looked into (it had other rights than Reproof), so some of its accesses are missing",
);
pub(super) const OTHER_VIEW: Note = (
    "other_view",
    "a process had mounts of its own (a container or a sandbox); its paths are recorded as it saw them",
);
pub(super) const UNNAMED_PROGRAM: Note = (
    "unnamed_program",
    "a program without a path was executed (a file in memory or a deleted one)",
);
pub(super) const PATH_TOO_LONG: Note = (
    "path_too_long",
    "a file had a path of more than 4096 bytes, by which it can neither be told nor opened",
);
pub(super) const EXCHANGED_FOLDERS: Note = (
    "exchanged_folders",
    "two folders were exchanged in one step; the files in them were not told one by one",
);
pub(super) const SETUID_IGNORED: Note = (
    "setuid_ignored",
    "a setuid or setgid program ran without its rights, since an unprivileged observer may not hand them on",
);
pub(super) const ENTRY_ONLY: Note = (
    "entry_only",
    "calls were seen as they began, not whether they succeeded",
);
pub(super) const IO_URING_UNSEEN: Note = (
    "io_uring_unseen",
    "io_uring was refused without noticing whether a program wanted it",
);
pub(super) const READS_NOT_SEEN: Note = (
    "reads_not_seen",
    "only files that changed in the scanned folders are known: neither what was read, nor executed, nor connected to",
);
pub(super) const LOST_SUPERVISION: Note = (
    "lost_supervision",
    "the process that waits for the command was ended, and with it the command's true status",
);
pub(super) const OUTPUT_NOT_KEPT: Note = (
    "output_not_kept",
    "the copy of standard output or error could not be written to its end",
);
pub(super) const OUTPUT_CUT: Note = (
    "output_cut",
    "whoever read standard output or error stopped reading, so the command could not write on",
);
pub(super) const ORPHANS_ENDED: Note = (
    "orphans_ended",
    "processes that outlived the command were ended",
);
pub(super) const VIEW_REBUILT: Note = (
    "view_rebuilt",
    "a folder was recreated in memory to show the recorded paths; what was newly written straight into it is gone",
);
pub(super) const NETWORK_USED: Note = ("network_used", "the command talked to another machine");
pub(super) const RANDOMNESS_READ: Note = (
    "randomness_read",
    "the command read random bytes from /dev/random or /dev/urandom",
);

impl Notes {
    /// Notes that something may be missing.
    pub(super) fn gap(&mut self, note: Note) {
        self.gaps
            .insert(Cow::Borrowed(note.0), Cow::Borrowed(note.1));
    }

    /// Notes a sign of nondeterminism.
    pub(super) fn sign(&mut self, note: Note) {
        self.signs
            .insert(Cow::Borrowed(note.0), Cow::Borrowed(note.1));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.gaps.is_empty() && self.signs.is_empty()
    }
}

impl Findings {
    /// Notes that something may be missing.
    pub(super) fn gap(&self, note: Note) {
        self.lock().gap(note);
    }

    /// Adds what was noted of a call.
    pub(super) fn absorb(&self, notes: &Notes) {
        if notes.is_empty() {
            return;
        }
        let Notes { gaps, signs } = notes.clone();
        let mut all = self.lock();
        all.gaps.extend(gaps);
        all.signs.extend(signs);
    }

    /// Notes that a process was seen. One that did nothing of interest never is.
    pub(super) fn saw_process(&self, pid: u32) {
        self.processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(pid);
    }

    pub(super) fn processes(&self) -> u64 {
        self.processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len() as u64
    }

    pub(super) fn gaps(&self) -> Vec<Gap> {
        list(&self.lock().gaps)
    }

    pub(super) fn signs(&self) -> Vec<Gap> {
        list(&self.lock().signs)
    }

    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn list(notes: &BTreeMap<Cow<'static, str>, Cow<'static, str>>) -> Vec<Gap> {
    notes
        .iter()
        .map(|(code, message)| Gap {
            code: code.to_string(),
            message: message.to_string(),
        })
        .collect()
}
