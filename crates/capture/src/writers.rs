//! How often files were written while a command ran, by whomever: what the command did not write itself, others did.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rustix::event::{EventfdFlags, PollFd, PollFlags};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

/// Counts, in folders that it is told of, how often each file was closed after writing or put in place.
///
/// The kernel does not say who wrote (inotify), but whoever sees all openings of one command can tell from the number.
/// Nothing is begun before the first folder.
#[derive(Debug, Default)]
pub struct WriteCounter {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: Option<Running>,
    folders: BTreeSet<PathBuf>,
    /// Each watch with its folder; none for one that was found under two paths, as after a rename.
    watches: BTreeMap<i32, Option<PathBuf>>,
    is_incomplete: bool,
}

#[derive(Debug)]
struct Running {
    inotify: Arc<OwnedFd>,
    finish: Arc<OwnedFd>,
    thread: JoinHandle<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    writes: BTreeMap<(i32, OsString), u64>,
    is_incomplete: bool,
}

/// What was counted.
#[derive(Debug, Default)]
pub struct WriteCounts {
    writes: BTreeMap<PathBuf, u64>,
    /// Whether something may be missing: a folder could not be watched, or too much happened at once.
    pub is_incomplete: bool,
}

impl WriteCounts {
    /// How often a file was closed after writing, or put in place.
    pub fn of(&self, path: &Path) -> u64 {
        self.writes.get(path).copied().unwrap_or(0)
    }
}

impl WriteCounter {
    /// Counts what happens to files in a folder from now on.
    pub fn watch(&self, folder: &Path) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.folders.contains(folder) {
            return;
        }
        match state.add(folder) {
            // It may be made later.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            added => state.is_incomplete |= added.is_err(),
        }
        state.folders.insert(folder.to_owned());
    }

    /// Ends the counting.
    pub fn finish(&self) -> WriteCounts {
        let state = std::mem::take(&mut *self.state.lock().unwrap_or_else(PoisonError::into_inner));
        let Some(running) = state.running else {
            return WriteCounts {
                is_incomplete: state.is_incomplete,
                ..WriteCounts::default()
            };
        };
        let asked = rustix::io::write(&running.finish, &1_u64.to_ne_bytes());
        let counts = match asked.map(|_| running.thread.join()) {
            Ok(Ok(counts)) => counts,
            _ => Counts {
                is_incomplete: true,
                ..Counts::default()
            },
        };
        let mut writes = BTreeMap::new();
        for ((watch, name), count) in counts.writes {
            if let Some(Some(folder)) = state.watches.get(&watch) {
                writes.insert(folder.join(name), count);
            }
        }
        WriteCounts {
            writes,
            is_incomplete: state.is_incomplete || counts.is_incomplete,
        }
    }
}

impl State {
    fn add(&mut self, folder: &Path) -> io::Result<()> {
        let running = match &self.running {
            Some(running) => running,
            None => self.running.insert(Running::start()?),
        };
        // Openings are watched only to stand between two closings, which the kernel would tell as one.
        let flags =
            WatchFlags::OPEN | WatchFlags::CLOSE_WRITE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
        let watch = inotify::add_watch(&running.inotify, folder, flags)?;
        self.watches
            .entry(watch)
            .and_modify(|known| {
                if known.as_deref() != Some(folder) {
                    *known = None;
                }
            })
            .or_insert_with(|| Some(folder.to_owned()));
        Ok(())
    }
}

impl Running {
    fn start() -> io::Result<Self> {
        let inotify = Arc::new(inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?);
        let finish = Arc::new(rustix::event::eventfd(0, EventfdFlags::CLOEXEC)?);
        let of_thread = (Arc::clone(&inotify), Arc::clone(&finish));
        let thread = std::thread::Builder::new()
            .name("write-counter".to_owned())
            .spawn(move || count(&of_thread.0, &of_thread.1))?;
        Ok(Self {
            inotify,
            finish,
            thread,
        })
    }
}

/// Counts until it is asked to end and nothing is waiting.
fn count(inotify: &OwnedFd, finish: &OwnedFd) -> Counts {
    let mut counts = Counts::default();
    loop {
        let mut waiting = [
            PollFd::new(inotify, PollFlags::IN),
            PollFd::new(finish, PollFlags::IN),
        ];
        match rustix::event::poll(&mut waiting, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => counts.is_incomplete = true,
        }
        let is_asked = !waiting[1].revents().is_empty() || counts.is_incomplete;
        let is_read = counts.take_waiting(inotify);
        if is_asked || !is_read {
            counts.is_incomplete |= !is_read;
            return counts;
        }
    }
}

impl Counts {
    /// Takes all events that are waiting; tells whether they could be read.
    fn take_waiting(&mut self, inotify: &OwnedFd) -> bool {
        let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
        let mut reader = inotify::Reader::new(inotify, &mut buffer);
        loop {
            match reader.next() {
                Ok(event) => {
                    let kind = event.events();
                    self.is_incomplete |= kind.contains(ReadFlags::QUEUE_OVERFLOW);
                    let is_write = kind.intersects(ReadFlags::CLOSE_WRITE | ReadFlags::MOVED_TO);
                    if is_write && let Some(name) = event.file_name() {
                        let name = OsString::from_vec(name.to_bytes().to_vec());
                        *self.writes.entry((event.wd(), name)).or_default() += 1;
                    }
                }
                Err(Errno::AGAIN) => return true,
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_closing_after_writing_and_every_move_counts() {
        let folder = tempfile::tempdir().unwrap();
        let counter = WriteCounter::default();
        let file = folder.path().join("a");
        std::fs::write(&file, "before it is watched").unwrap();
        counter.watch(folder.path());
        for round in 0..50 {
            std::fs::write(&file, format!("{round}")).unwrap();
            std::fs::read(&file).unwrap();
        }
        let moved = folder.path().join("b");
        std::fs::rename(&file, &moved).unwrap();
        std::fs::read(&moved).unwrap();
        let counts = counter.finish();
        assert_eq!((counts.of(&file), counts.of(&moved)), (50, 1));
        assert_eq!(counts.of(&folder.path().join("c")), 0);
        assert!(!counts.is_incomplete);
    }

    #[test]
    fn a_folder_that_changed_its_name_is_not_counted_under_either() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        std::fs::create_dir(&old).unwrap();
        let counter = WriteCounter::default();
        counter.watch(&old);
        std::fs::write(old.join("a"), "1").unwrap();
        std::fs::rename(&old, &new).unwrap();
        counter.watch(&new);
        std::fs::write(new.join("a"), "2").unwrap();
        let counts = counter.finish();
        assert_eq!(
            (counts.of(&old.join("a")), counts.of(&new.join("a"))),
            (0, 0)
        );
    }

    #[test]
    fn what_cannot_be_watched_is_said() {
        let counter = WriteCounter::default();
        assert!(!counter.finish().is_incomplete);
        // One that is not there may come to be.
        let folder = tempfile::tempdir().unwrap();
        let later = folder.path().join("later");
        counter.watch(&later);
        std::fs::create_dir(&later).unwrap();
        counter.watch(&later);
        std::fs::write(later.join("a"), "").unwrap();
        let counts = counter.finish();
        assert_eq!(counts.of(&later.join("a")), 1);
        assert!(!counts.is_incomplete);
        counter.watch(Path::new("/proc/self/status"));
        assert!(counter.finish().is_incomplete, "no folder");
    }
}
