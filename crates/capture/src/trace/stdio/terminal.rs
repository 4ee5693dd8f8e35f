//! Terminals: the one of ours, and those made for commands.

use std::io::{self, IsTerminal as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rustix::event::{EventfdFlags, PollFd, PollFlags};
use rustix::io::Errno;
use rustix::termios::tcgetpgrp;

use crate::trace::sys;

/// A terminal made for a command.
pub(super) struct Opened {
    pub(super) controller: OwnedFd,
    /// The command's end.
    pub(super) end: OwnedFd,
    /// Our terminal that keys come from, where the command gets a session of its own.
    pub(super) input: Option<OwnedFd>,
}

/// Opens a terminal that is set as ours is; keys come from ours unless the command has another input.
pub(super) fn open(ours: &OwnedFd, has_other_input: bool) -> io::Result<Opened> {
    let (controller, end) = sys::open_terminal_pair()?;
    let input = if has_other_input { None } else { find_input() };
    let mut settings = match &input {
        Some(input) => sys::terminal_settings(input.as_fd())?,
        None => sys::terminal_settings(ours.as_fd())?,
    };
    if input.is_none() {
        // Ours goes on treating what is written to it; once is enough.
        settings.c_oflag &= !libc::OPOST;
    }
    sys::set_terminal(end.as_fd(), &settings)?;
    // A size that is not known is no reason not to start.
    let _ = copy_size(ours.as_fd(), controller.as_fd());
    if input.is_some() {
        // Keys must not be waited for when nobody reads them.
        rustix::io::ioctl_fionbio(&controller, true)?;
    }
    Ok(Opened {
        controller,
        end,
        input,
    })
}

/// Standard input, if it is a terminal and we are in its foreground: one in the background may not take it over.
fn find_input() -> Option<OwnedFd> {
    let input = io::stdin();
    (input.is_terminal() && is_in_foreground(input.as_fd()))
        .then(|| input.as_fd().try_clone_to_owned().ok())?
}

fn is_in_foreground(terminal: BorrowedFd<'_>) -> bool {
    tcgetpgrp(terminal).is_ok_and(|group| group == rustix::process::getpgrp())
}

/// Gives a terminal the size of another.
pub(super) fn copy_size(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    let size = rustix::termios::tcgetwinsize(from)?;
    Ok(rustix::termios::tcsetwinsize(to, size)?)
}

/// Whether a terminal puts a carriage return before each line feed.
pub(super) fn returns_carriage(controller: BorrowedFd<'_>) -> bool {
    const BOTH: libc::tcflag_t = libc::OPOST | libc::ONLCR;
    sys::terminal_settings(controller).is_ok_and(|settings| settings.c_oflag & BOTH == BOTH)
}

/// A command's session on a terminal of its own, and ours that it is shown on.
pub(in crate::trace) struct Session {
    controller: Arc<OwnedFd>,
    ours: OwnedFd,
    /// How ours was set before.
    settings: Option<libc::termios>,
    is_raw: AtomicBool,
    was_interrupted: AtomicBool,
    /// Wakes the thread that hands keys on.
    wake: Option<OwnedFd>,
    is_finished: AtomicBool,
}

impl Session {
    pub(super) fn new(controller: Arc<OwnedFd>, ours: OwnedFd) -> Self {
        let settings = sys::terminal_settings(ours.as_fd()).ok();
        let wake = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).ok();
        Self {
            controller,
            ours,
            settings,
            is_raw: AtomicBool::new(false),
            was_interrupted: AtomicBool::new(false),
            wake,
            is_finished: AtomicBool::new(false),
        }
    }

    /// Our terminal and how it was set, for somebody to restore it when we cannot.
    pub(in crate::trace) fn settings(&self) -> Option<(RawFd, libc::termios)> {
        Some((self.ours.as_raw_fd(), self.settings?))
    }

    /// Hands every key through, if we are in the foreground.
    pub(in crate::trace) fn enter(&self) {
        let Some(mut settings) = self.settings else {
            return;
        };
        if !is_in_foreground(self.ours.as_fd()) {
            return;
        }
        sys::make_raw(&mut settings);
        self.is_raw.store(
            sys::set_terminal(self.ours.as_fd(), &settings).is_ok(),
            Ordering::SeqCst,
        );
        self.resize();
        self.wake();
    }

    /// Sets our terminal as it was.
    pub(in crate::trace) fn leave(&self) {
        if self.is_raw.swap(false, Ordering::SeqCst)
            && let Some(settings) = &self.settings
            && let Err(error) = sys::set_terminal(self.ours.as_fd(), settings)
        {
            tracing::warn!(%error, "the terminal could not be set as it was");
        }
        self.wake();
    }

    pub(in crate::trace) fn resize(&self) {
        if let Err(error) = copy_size(self.ours.as_fd(), self.controller.as_fd()) {
            tracing::debug!(%error, "the size of the terminal is not known");
        }
    }

    /// Whether a key that asks to end was typed.
    pub(in crate::trace) fn was_interrupted(&self) -> bool {
        self.was_interrupted.load(Ordering::SeqCst)
    }

    fn wake(&self) {
        if let Some(wake) = &self.wake {
            let _ = rustix::io::write(wake, &1_u64.to_ne_bytes());
        }
    }

    /// Notes keys that the command's terminal turns into a signal that asks to end.
    fn note_keys(&self, keys: &[u8]) {
        let Ok(settings) = sys::terminal_settings(self.controller.as_fd()) else {
            return;
        };
        if settings.c_lflag & libc::ISIG == 0 {
            return;
        }
        let ends = [libc::VINTR, libc::VQUIT]
            .map(|index| settings.c_cc.get(index).copied().unwrap_or_default());
        if keys.iter().any(|key| *key != 0 && ends.contains(key)) {
            self.was_interrupted.store(true, Ordering::SeqCst);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.leave();
    }
}

/// The thread that hands keys on.
pub(super) struct Input {
    session: Arc<Session>,
    thread: JoinHandle<()>,
}

impl Input {
    pub(super) fn start(session: Arc<Session>) -> io::Result<Self> {
        let shared = session.clone();
        let thread = std::thread::Builder::new()
            .name("input".to_owned())
            .spawn(move || hand_on(&shared))?;
        Ok(Self { session, thread })
    }

    pub(super) fn stop(self) {
        self.session.is_finished.store(true, Ordering::SeqCst);
        self.session.wake();
        if self.thread.join().is_err() {
            tracing::error!("the thread that hands keys on has panicked");
        }
    }
}

/// Keys that come at once; more are read in further rounds.
const KEYS: usize = 1024;

fn hand_on(session: &Session) {
    let Some(wake) = &session.wake else { return };
    let mut buffer = [0; KEYS];
    let mut waiting: Vec<u8> = Vec::new();
    while !session.is_finished.load(Ordering::SeqCst) {
        let takes_keys = waiting.is_empty() && session.is_raw.load(Ordering::SeqCst);
        let keys = if takes_keys {
            PollFlags::IN
        } else {
            PollFlags::empty()
        };
        let room = if waiting.is_empty() {
            PollFlags::empty()
        } else {
            PollFlags::OUT
        };
        let mut polled = vec![PollFd::new(wake, PollFlags::IN)];
        // A terminal that hung up reports so whether or not it is asked for anything.
        if takes_keys {
            polled.push(PollFd::new(&session.ours, keys));
        }
        if !waiting.is_empty() {
            polled.push(PollFd::from_borrowed_fd(session.controller.as_fd(), room));
        }
        match rustix::event::poll(&mut polled, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
        let is_ready = |index: usize| {
            polled
                .get(index)
                .is_some_and(|polled| !polled.revents().is_empty())
        };
        let (is_woken, has_keys) = (is_ready(0), takes_keys && is_ready(1));
        if is_woken {
            let mut count = [0; 8];
            let _ = rustix::io::read(wake, &mut count);
            continue;
        }
        if has_keys {
            match rustix::io::read(&session.ours, &mut buffer) {
                Ok(0) => return,
                Ok(read) => {
                    let keys = buffer.get(..read).unwrap_or_default();
                    session.note_keys(keys);
                    waiting.extend_from_slice(keys);
                }
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(_) => return,
            }
        }
        match rustix::io::write(session.controller.as_fd(), &waiting) {
            Ok(written) => {
                waiting.drain(..written.min(waiting.len()));
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => return,
        }
    }
}
