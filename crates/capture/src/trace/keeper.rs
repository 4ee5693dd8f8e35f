//! The process between the supervisor and the command.
//!
//! It waits for the command and adopts every descendant whose parent has ended (`PR_SET_CHILD_SUBREAPER`).
//! It is a process of its own so that the supervisor's other children are nobody else's to wait for,
//! so that there is a session for the command's terminal,
//! and so that somebody ends the command and restores the terminal should the supervisor be killed.
//!
//! It is forked from a process with several threads and never executes anything:
//! nothing is allocated, nothing locked, nothing can panic.
#![expect(
    unsafe_code,
    reason = "after the fork there are only calls of the kernel"
)]

use std::mem::{MaybeUninit, zeroed};
use std::os::fd::AsRawFd as _;
use std::ptr::{null, null_mut};

use rustix::fs::{Mode, OFlags, RawDir};
use rustix::pipe::PipeFlags;

use super::child::become_command;
use super::message::{Message, order};
use super::plan::Plan;
use super::sys::last_error;

/// What is left after that time is ended by force.
const GRACE_MS: i64 = 2_000;

/// How often what is left is killed again, until nothing is.
const KILL_INTERVAL_MS: i64 = 10;

/// Becomes the keeper and starts the command.
pub(super) fn become_keeper(plan: &Plan) -> ! {
    // SAFETY: numbers and a constant text only.
    unsafe {
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        libc::prctl(libc::PR_SET_NAME, c"reproof-keeper".as_ptr());
        // Ignored, the kernel would throw away what is waited for.
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        if let Some(terminal) = plan.terminal {
            libc::setsid();
            libc::ioctl(terminal, libc::TIOCSCTTY, 0);
        }
    }
    close_supervisors(plan);
    // SAFETY: this process has one thread; the child goes on with its copy of the plan.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        become_command(plan);
    }
    let mut keeper = Keeper {
        plan,
        command: pid,
        has_exited: false,
        is_abandoned: false,
        end_at_ms: None,
        usage: Usage::default(),
    };
    if pid < 0 {
        // The supervisor sees the end of the connection.
        exit(1);
    }
    if plan.terminal.is_some() {
        // As the child does, so that it is done whoever comes first.
        // SAFETY: numbers only.
        unsafe { libc::setpgid(pid, pid) };
    }
    keeper.send(Message::Started { pid: pid as u32 });
    keeper.close_others();
    // The folder that the command was started from may be unmounted or removed as far as this process goes.
    let _ = rustix::process::chdir(c"/");
    keeper.keep()
}

fn exit(status: i32) -> ! {
    // SAFETY: ends the process without running anything of it.
    unsafe { libc::_exit(status) }
}

#[derive(Default)]
struct Usage {
    user_us: u64,
    system_us: u64,
    peak_kib: u64,
    reaped: u32,
}

struct Keeper<'a> {
    plan: &'a Plan,
    command: libc::pid_t,
    has_exited: bool,
    /// Whether the supervisor has gone.
    is_abandoned: bool,
    /// When what is left is ended by force.
    end_at_ms: Option<i64>,
    usage: Usage,
}

impl Keeper<'_> {
    fn keep(&mut self) -> ! {
        let signals = watch_children();
        loop {
            self.reap();
            let mut sources = [
                libc::pollfd {
                    fd: signals,
                    events: libc::POLLIN,
                    revents: 0,
                },
                libc::pollfd {
                    fd: self.control(),
                    events: libc::POLLIN,
                    revents: 0,
                },
            ];
            // SAFETY: two structs, as said; they outlive the call.
            unsafe { libc::poll(sources.as_mut_ptr(), 2, self.wait_ms()) };
            let [children, control] = sources;
            if children.revents != 0 {
                // The content says nothing that waiting does not; it is read to be asked again only for new ones.
                let mut buffer = [0_u8; 1024];
                // SAFETY: the kernel writes no more than the buffer's length.
                unsafe { libc::read(signals, buffer.as_mut_ptr().cast(), buffer.len()) };
            }
            if control.revents != 0 {
                self.take_orders();
            }
            if self.end_at_ms.is_some_and(|end| now_ms() >= end) {
                self.kill_children(libc::SIGKILL);
            }
        }
    }

    /// Nobody to listen to when the supervisor has gone: `poll` passes over negative numbers.
    fn control(&self) -> i32 {
        if self.is_abandoned {
            -1
        } else {
            self.plan.control
        }
    }

    fn wait_ms(&self) -> i32 {
        match self.end_at_ms {
            None => -1,
            Some(end) => (end - now_ms()).clamp(KILL_INTERVAL_MS, GRACE_MS) as i32,
        }
    }

    /// Takes the status of every child that has one; ends when there is no child any more.
    fn reap(&mut self) {
        loop {
            let mut status = 0;
            // SAFETY: the struct consists of numbers, for which zero is a value.
            let mut usage: libc::rusage = unsafe { zeroed() };
            let options = libc::WNOHANG | libc::WUNTRACED | libc::__WALL;
            // SAFETY: the kernel writes to the two places that are given.
            let pid = unsafe { libc::wait4(-1, &raw mut status, options, &raw mut usage) };
            match pid {
                0 => return,
                -1 if last_error() == libc::EINTR => {}
                -1 => {
                    self.finish();
                }
                _ if libc::WIFSTOPPED(status) => {
                    if pid == self.command {
                        self.send(Message::Stopped {
                            signal: libc::WSTOPSIG(status),
                        });
                    }
                }
                _ => self.count(pid, status, &usage),
            }
        }
    }

    fn count(&mut self, pid: libc::pid_t, status: i32, usage: &libc::rusage) {
        self.usage.user_us = self.usage.user_us.saturating_add(micros(usage.ru_utime));
        self.usage.system_us = self.usage.system_us.saturating_add(micros(usage.ru_stime));
        self.usage.peak_kib = self
            .usage
            .peak_kib
            .max(u64::try_from(usage.ru_maxrss).unwrap_or_default());
        self.usage.reaped = self.usage.reaped.saturating_add(1);
        if pid == self.command {
            self.has_exited = true;
            self.send(Message::Exited { status });
        }
    }

    fn finish(&mut self) -> ! {
        let Usage {
            user_us,
            system_us,
            peak_kib,
            reaped,
        } = self.usage;
        self.send(Message::Finished {
            user_us,
            system_us,
            peak_kib,
            reaped,
        });
        // The supervisor may be killed even now, with the terminal not yet as it was.
        if !self.waits_for_leave() {
            self.restore_terminal();
        }
        exit(0)
    }

    /// Waits until the supervisor needs nothing more; false when it has gone without saying so.
    fn waits_for_leave(&self) -> bool {
        let mut given = 0_u8;
        loop {
            // SAFETY: the kernel writes at most one byte.
            let read = unsafe { libc::recv(self.plan.control, (&raw mut given).cast(), 1, 0) };
            match read {
                1 if given == order::LEAVE => return true,
                1 => {}
                -1 if last_error() == libc::EINTR => {}
                _ => return false,
            }
        }
    }

    fn restore_terminal(&self) {
        if let Some((terminal, settings)) = &self.plan.own_terminal {
            // SAFETY: settings that the terminal itself gave out; they outlive the call.
            unsafe { libc::tcsetattr(*terminal, libc::TCSANOW, settings) };
        }
    }

    fn send(&self, message: Message) {
        let packet = message.to_packet();
        // SAFETY: the packet outlives the call, which reads no more than its length.
        unsafe {
            libc::send(
                self.plan.control,
                packet.as_ptr().cast(),
                packet.len(),
                libc::MSG_NOSIGNAL,
            )
        };
    }

    fn take_orders(&mut self) {
        let mut given = 0_u8;
        // SAFETY: the kernel writes at most one byte.
        let read = unsafe {
            libc::recv(
                self.plan.control,
                (&raw mut given).cast(),
                1,
                libc::MSG_DONTWAIT,
            )
        };
        match (read, given) {
            (1, order::END) => self.end_at_ms = self.end_at_ms.or(Some(now_ms() + GRACE_MS)),
            (1, order::KILL) => self.end_at_ms = Some(now_ms()),
            (1, order::CONTINUE) => self.continue_command(),
            (1, _) => {}
            (-1, _) if matches!(last_error(), libc::EAGAIN | libc::EINTR) => {}
            _ => self.be_abandoned(),
        }
    }

    /// The supervisor was killed: without it the command's calls fail, so it is ended.
    fn be_abandoned(&mut self) {
        self.is_abandoned = true;
        self.restore_terminal();
        self.kill_children(libc::SIGTERM);
        self.kill_children(libc::SIGCONT);
        self.end_at_ms = Some(now_ms() + GRACE_MS);
    }

    /// Sends a signal to every child. Its own children come here when it ends.
    fn kill_children(&self, signal: i32) {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let Ok(list) = rustix::fs::open(c"/proc/thread-self/children", flags, Mode::empty()) else {
            // Without such a list, at least the first process.
            if !self.has_exited {
                send_signal(self.command, signal);
            }
            return;
        };
        let mut pid = 0_i32;
        let mut buffer = [0_u8; 1024];
        while let Ok(read) = rustix::io::read(&list, &mut buffer) {
            if read == 0 {
                break;
            }
            for byte in buffer.iter().take(read) {
                if byte.is_ascii_digit() {
                    pid = pid.wrapping_mul(10).wrapping_add(i32::from(*byte - b'0'));
                } else {
                    send_signal(pid, signal);
                    pid = 0;
                }
            }
        }
        send_signal(pid, signal);
    }

    fn continue_command(&self) {
        if let Some(terminal) = self.plan.terminal {
            // SAFETY: numbers only. Where a job of the command had the terminal, it is the one to go on.
            unsafe {
                let foreground = libc::tcgetpgrp(terminal);
                let group = if foreground > 0 {
                    foreground
                } else {
                    self.command
                };
                libc::kill(-group, libc::SIGCONT);
                libc::kill(-self.command, libc::SIGCONT);
            }
        }
    }

    /// Closes everything else that is not needed, so that whoever waits for the end of a pipe does not wait for this.
    fn close_others(&self) {
        let own_terminal = self
            .plan
            .own_terminal
            .as_ref()
            .map_or(-1, |(terminal, _)| *terminal);
        let session_terminal = self.plan.terminal.unwrap_or(-1);
        let mut kept = [self.plan.control, own_terminal, session_terminal];
        kept.sort_unstable();
        let mut from = 0;
        for descriptor in kept {
            if descriptor >= from {
                close_range(from, descriptor - 1);
                from = descriptor + 1;
            }
        }
        close_range(from, i32::MAX);
    }
}

/// Closes what is the supervisor's own: every descriptor that no new program gets, but for those of the plan.
///
/// Before anything else: with a copy of the supervisor's ends in here or in the command,
/// neither would notice the supervisor's end.
fn close_supervisors(plan: &Plan) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(folder) = rustix::fs::open(c"/proc/self/fd", flags, Mode::empty()) else {
        return;
    };
    let own_terminal = plan.own_terminal.as_ref().map(|(terminal, _)| *terminal);
    let kept = [
        Some(folder.as_raw_fd()),
        Some(plan.report),
        Some(plan.control),
        plan.terminal,
        own_terminal,
    ];
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut entries = RawDir::new(&folder, &mut buffer);
    while let Some(Ok(entry)) = entries.next() {
        let Some(descriptor) = parse_number(entry.file_name().to_bytes()) else {
            continue;
        };
        let is_kept = kept.contains(&Some(descriptor)) || plan.stdio.contains(&Some(descriptor));
        // SAFETY: numbers only; what is closed is used by the supervisor's threads only, none of which is in here.
        unsafe {
            let flags = libc::fcntl(descriptor, libc::F_GETFD);
            if !is_kept && flags >= 0 && flags & libc::FD_CLOEXEC != 0 {
                libc::close(descriptor);
            }
        }
    }
}

fn parse_number(digits: &[u8]) -> Option<i32> {
    let mut number = 0_i32;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        number = number
            .checked_mul(10)?
            .checked_add(i32::from(*digit - b'0'))?;
    }
    Some(number)
}

fn close_range(first: i32, last: i32) {
    /// Without the call (before 5.9), descriptors up to here are closed one by one.
    const HIGHEST: i32 = 65_536;
    if last < first {
        return;
    }
    // SAFETY: numbers only; what is closed is not used by this process any more.
    unsafe {
        if libc::syscall(libc::SYS_close_range, first, last, 0) != 0 {
            for descriptor in first..=last.min(HIGHEST) {
                libc::close(descriptor);
            }
        }
    }
}

/// A descriptor that becomes readable when a child changes its state.
fn watch_children() -> i32 {
    // SAFETY: the set lives on the stack and is filled by the first call. The signal is blocked already.
    unsafe {
        let mut signals: libc::sigset_t = zeroed();
        libc::sigemptyset(&raw mut signals);
        libc::sigaddset(&raw mut signals, libc::SIGCHLD);
        libc::signalfd(
            -1,
            &raw const signals,
            libc::SFD_CLOEXEC | libc::SFD_NONBLOCK,
        )
    }
}

fn send_signal(pid: i32, signal: i32) {
    if pid > 1 {
        // SAFETY: numbers only. A child that this process has not waited for keeps its number.
        unsafe { libc::kill(pid, signal) };
    }
}

fn now_ms() -> i64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the call fills the struct. (The one of rustix first looks for the vDSO, which may allocate.)
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec
        .wrapping_mul(1000)
        .wrapping_add(now.tv_nsec / 1_000_000)
}

fn micros(time: libc::timeval) -> u64 {
    let micros = time
        .tv_sec
        .wrapping_mul(1_000_000)
        .wrapping_add(time.tv_usec);
    u64::try_from(micros).unwrap_or_default()
}

/// Forks the keeper. Returns its process id.
pub(super) fn fork_keeper(plan: &Plan) -> std::io::Result<u32> {
    // SAFETY: the child only does what is allowed after a fork with several threads, and never returns from here.
    match unsafe { libc::fork() } {
        -1 => Err(std::io::Error::last_os_error()),
        0 => become_keeper(plan),
        pid => Ok(pid as u32),
    }
}

/// The number that a child comes to, which ends with it; none where it was ended before.
///
/// It may only do what is allowed after a fork with several threads.
pub(super) fn answer_of_child(attempt: impl FnOnce() -> u64) -> Option<u64> {
    let flags = PipeFlags::CLOEXEC | PipeFlags::NONBLOCK;
    let (answer, childs_answer) = rustix::pipe::pipe_with(flags).ok()?;
    let signal_mask = block_signals();
    // SAFETY: the child does only what the caller promises, and never returns from here.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let written = rustix::io::write(&childs_answer, &attempt().to_ne_bytes());
        exit(i32::from(written.is_err()));
    }
    unblock_signals(&signal_mask);
    let mut status = 0;
    // SAFETY: the kernel writes to the place that is given.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    let mut number = [0; 8];
    let has_answered =
        pid > 0 && waited == pid && rustix::io::read(&answer, &mut number) == Ok(number.len());
    has_answered.then(|| u64::from_ne_bytes(number))
}

/// Blocks every signal for this thread; returns what was blocked before.
pub(super) fn block_signals() -> libc::sigset_t {
    // SAFETY: both sets live on the stack and are filled by the calls.
    unsafe {
        let mut all: libc::sigset_t = zeroed();
        let mut before: libc::sigset_t = zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        before
    }
}

/// Blocks again what was blocked before.
pub(super) fn unblock_signals(before: &libc::sigset_t) {
    // SAFETY: the set is one that the kernel gave out.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, null_mut()) };
}

/// How a signal is handled at present: whether it is ignored.
pub(super) fn is_ignored(signal: i32) -> bool {
    // SAFETY: the struct is filled by the call; zero is a value of each field.
    unsafe {
        let mut action: libc::sigaction = zeroed();
        libc::sigaction(signal, null(), &raw mut action) == 0
            && action.sa_sigaction == libc::SIG_IGN
    }
}
