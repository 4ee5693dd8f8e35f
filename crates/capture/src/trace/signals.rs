//! Signals that are meant for the command and reach the supervisor.
//!
//! Handlers belong to the whole process, and several commands may be traced at once:
//! the first one installs them, the last one sets back what was there, and each has a pipe of its own.
#![expect(
    unsafe_code,
    reason = "installing signal handlers, and the handler itself"
)]

use std::io;
use std::mem::zeroed;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::pipe::PipeFlags;

use super::TraceError;
use super::keeper::is_ignored;
use super::sys::last_error;

/// Signals that are handed on.
pub(super) const FORWARDED: [i32; 7] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGWINCH,
];

/// Signals that matter where the command has a terminal of its own.
const JOB_CONTROL: [i32; 2] = [libc::SIGTSTP, libc::SIGCONT];

/// A signal that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Received {
    pub(super) signal: i32,
    /// Whether the kernel sent it (a key on the terminal), so that the whole foreground group has it.
    pub(super) is_from_kernel: bool,
}

/// Signals of this process while a command is traced.
#[derive(Debug)]
pub(super) struct Signals {
    reader: OwnedFd,
    /// What the handler writes to. Closed after the slot is free again.
    _writer: OwnedFd,
    slot: usize,
}

/// Commands that can be traced at once by one process; further ones get no signals handed on.
const SLOTS: usize = 64;

/// Ends of pipes for the handler to write to, -1 where free.
static WRITERS: [AtomicI32; SLOTS] = [const { AtomicI32::new(-1) }; SLOTS];

static INSTALLED: Mutex<Installed> = Mutex::new(Installed {
    users: 0,
    previous: Vec::new(),
});

struct Installed {
    users: usize,
    previous: Vec<(i32, libc::sigaction)>,
}

impl Signals {
    /// Begins to watch. Signals that are ignored stay so, and the command inherits that.
    pub(super) fn watch() -> Result<Self, TraceError> {
        let flags = PipeFlags::CLOEXEC | PipeFlags::NONBLOCK;
        let pipe = rustix::pipe::pipe_with(flags).map_err(io::Error::from);
        let (reader, writer) = pipe.map_err(TraceError::io("make a pipe for signals"))?;
        let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
        let raw = writer.as_raw_fd();
        let claim = |slot: &AtomicI32| {
            slot.compare_exchange(-1, raw, Ordering::SeqCst, Ordering::SeqCst)
                .is_ok()
        };
        let slot = WRITERS.iter().position(claim).unwrap_or(SLOTS);
        if installed.users == 0 {
            installed.previous = install();
        }
        installed.users += 1;
        drop(installed);
        Ok(Self {
            reader,
            _writer: writer,
            slot,
        })
    }

    /// Takes what was received since.
    pub(super) fn take(&self) -> Vec<Received> {
        let mut received = Vec::new();
        let mut buffer = [0; 64];
        while let Ok(read) = rustix::io::read(&self.reader, &mut buffer) {
            if read == 0 {
                break;
            }
            // Each write of the handler is one byte, so none is ever cut.
            received.extend(buffer.iter().take(read).map(|&byte| Received {
                signal: i32::from(byte & !FROM_KERNEL),
                is_from_kernel: byte & FROM_KERNEL != 0,
            }));
        }
        received
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = WRITERS.get(self.slot) {
            slot.store(-1, Ordering::SeqCst);
        }
        installed.users = installed.users.saturating_sub(1);
        if installed.users == 0 {
            uninstall(&std::mem::take(&mut installed.previous));
        }
    }
}

/// Stops this process and its group as the terminal would, and returns when it goes on.
///
/// In a group that no shell controls the kernel does not stop it, and this returns at once.
pub(super) fn stop_own_group() {
    stop(0);
}

/// Stops this process alone.
pub(super) fn stop_self() {
    stop(std::process::id() as libc::pid_t);
}

fn stop(whom: libc::pid_t) {
    // SAFETY: the structs are filled by the calls; the default is no function that could be wrong.
    unsafe {
        let mut default: libc::sigaction = zeroed();
        let mut ours: libc::sigaction = zeroed();
        default.sa_sigaction = libc::SIG_DFL;
        libc::sigaction(libc::SIGTSTP, &raw const default, &raw mut ours);
        libc::kill(whom, libc::SIGTSTP);
        libc::sigaction(libc::SIGTSTP, &raw const ours, std::ptr::null_mut());
    }
}

/// Signals whose handlers a new program must not start with.
pub(super) fn signals_to_reset() -> Vec<i32> {
    // Rust programs ignore SIGPIPE, others expect it.
    let handled = FORWARDED
        .into_iter()
        .chain(JOB_CONTROL)
        .filter(|&signal| !is_ignored(signal));
    std::iter::once(libc::SIGPIPE).chain(handled).collect()
}

/// Bit of the byte in the pipe; the highest signal is 64.
const FROM_KERNEL: u8 = 0x80;

extern "C" fn on_signal(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    _context: *mut libc::c_void,
) {
    let error = last_error();
    // SAFETY: with SA_SIGINFO the kernel hands a valid struct.
    let is_from_kernel = !info.is_null() && unsafe { (*info).si_code } > 0;
    let byte = signal as u8 | if is_from_kernel { FROM_KERNEL } else { 0 };
    for writer in &WRITERS {
        let writer = writer.load(Ordering::SeqCst);
        if writer >= 0 {
            // SAFETY: `write` may be called in a handler; the pipe does not block, and a full one has enough in it.
            unsafe { libc::write(writer, (&raw const byte).cast(), 1) };
        }
    }
    // SAFETY: the address of this thread's own error number, which the interrupted code may be about to read.
    unsafe { *libc::__errno_location() = error };
}

fn handler() -> libc::sighandler_t {
    on_signal as extern "C" fn(_, _, _) as libc::sighandler_t
}

fn install() -> Vec<(i32, libc::sigaction)> {
    let signals = FORWARDED.into_iter().chain(JOB_CONTROL);
    let watched = signals.filter(|&signal| !is_ignored(signal));
    let installed = watched.filter_map(|signal| {
        // SAFETY: zero is a value of each field; the handler has the form that SA_SIGINFO asks for.
        unsafe {
            let mut action: libc::sigaction = zeroed();
            let mut previous: libc::sigaction = zeroed();
            action.sa_sigaction = handler();
            action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
            libc::sigemptyset(&raw mut action.sa_mask);
            let result = libc::sigaction(signal, &raw const action, &raw mut previous);
            (result == 0).then_some((signal, previous))
        }
    });
    installed.collect()
}

/// Sets back what was there, but for handlers that somebody else has installed meanwhile.
fn uninstall(previous: &[(i32, libc::sigaction)]) {
    for (signal, action) in previous {
        // SAFETY: the struct to be set is one that the kernel gave out.
        unsafe {
            let mut present: libc::sigaction = zeroed();
            let result = libc::sigaction(*signal, std::ptr::null(), &raw mut present);
            if result == 0 && present.sa_sigaction == handler() {
                libc::sigaction(*signal, action, std::ptr::null_mut());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both tests send signals to the one process that they share.
    static ALONE: Mutex<()> = Mutex::new(());

    fn raise(signal: i32) {
        // SAFETY: numbers only; the signal is watched, so it does not end the process.
        unsafe { libc::kill(libc::getpid(), signal) };
    }

    #[test]
    fn every_watcher_gets_every_signal() {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let one = Signals::watch().unwrap();
        let other = Signals::watch().unwrap();
        raise(libc::SIGUSR1);
        let expected = Received {
            signal: libc::SIGUSR1,
            is_from_kernel: false,
        };
        for watcher in [&one, &other] {
            let start = std::time::Instant::now();
            let mut received = watcher.take();
            while !received.contains(&expected) {
                assert!(start.elapsed().as_secs() < 5, "{received:?}");
                std::thread::sleep(std::time::Duration::from_millis(1));
                received.extend(watcher.take());
            }
        }
    }

    #[test]
    fn handlers_are_set_back_by_the_last_watcher() {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let present = || {
            // SAFETY: the struct is filled by the call.
            unsafe {
                let mut action: libc::sigaction = zeroed();
                libc::sigaction(libc::SIGUSR2, std::ptr::null(), &raw mut action);
                action.sa_sigaction
            }
        };
        let before = present();
        let one = Signals::watch().unwrap();
        let other = Signals::watch().unwrap();
        assert_eq!(present(), handler());
        drop(one);
        assert_eq!(present(), handler());
        drop(other);
        assert_eq!(present(), before);
    }
}
