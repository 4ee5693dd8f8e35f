//! A command's life: what its keeper tells, what signals arrive, until nothing of it is left.

use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use entities::Exit;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use super::failure::Failure;
use super::findings::{self, Findings};
use super::launch::{Command, Keeper};
use super::message::{Message, order};
use super::signals::{Received, Signals, stop_own_group, stop_self};
use super::stdio::{Pumps, Session};
use super::{TraceError, sys, tree};

/// A command that runs.
pub(super) struct Life<'a> {
    pub(super) ends_orphans: bool,
    pub(super) keeper: &'a mut Keeper,
    pub(super) command: &'a Command,
    pub(super) signals: &'a Signals,
    pub(super) failure: &'a Failure,
    pub(super) findings: &'a Findings,
    pub(super) pumps: &'a Pumps,
    /// The session on a terminal of its own.
    pub(super) session: Option<&'a Session>,
    /// A signal that asks to end and was passed on to the first process.
    pub(super) passed_on: Option<i32>,
    /// What stands in the environment of every process of the command, and of no other.
    pub(super) mark: Option<String>,
}

/// How it ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub(super) exit: Exit,
    pub(super) user_us: u64,
    pub(super) system_us: u64,
    pub(super) peak_kib: u64,
    pub(super) reaped: u32,
    pub(super) was_interrupted: bool,
}

/// How long processes are looked for that nobody waits for any more.
const SEARCH: Duration = Duration::from_secs(5);

impl Life<'_> {
    /// Follows the command to its end.
    pub(super) fn follow(mut self) -> Result<Ended, TraceError> {
        let mut ended = Ended {
            exit: Exit::Unknown,
            user_us: 0,
            system_us: 0,
            peak_kib: 0,
            reaped: 0,
            was_interrupted: false,
        };
        let mut has_failed = false;
        loop {
            let [has_message, has_signal, fails] = self.wait(has_failed)?;
            if fails {
                has_failed = true;
                self.keeper.order(order::KILL);
            }
            if has_signal {
                for received in self.signals.take() {
                    ended.was_interrupted |= is_interruption(received.signal);
                    self.take_signal(received, ended.exit != Exit::Unknown);
                }
            }
            if has_message && self.take_message(&mut ended)? {
                break;
            }
        }
        ended.was_interrupted |= self.session.is_some_and(Session::was_interrupted);
        Ok(ended)
    }

    /// Waits for something to happen: a message of the keeper, a signal, a panic of the observer.
    fn wait(&self, has_failed: bool) -> Result<[bool; 3], TraceError> {
        let failing = if has_failed {
            PollFlags::empty()
        } else {
            PollFlags::IN
        };
        let mut polled = [
            PollFd::from_borrowed_fd(self.keeper.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.failure.as_fd(), failing),
        ];
        match rustix::event::poll(&mut polled, None) {
            Ok(_) => Ok(polled.map(|polled| !polled.revents().is_empty())),
            Err(Errno::INTR) => Ok([false, true, false]),
            Err(error) => Err(TraceError::io("wait for the command")(error.into())),
        }
    }

    /// Takes what the keeper tells; true at the end.
    fn take_message(&mut self, ended: &mut Ended) -> Result<bool, TraceError> {
        match self
            .keeper
            .receive()
            .map_err(TraceError::io("wait for the command"))?
        {
            Some(Message::Exited { status }) => {
                ended.exit = exit_of(status);
                if self.ends_orphans {
                    self.end_orphans();
                } else if let Some(signal) = self.passed_on {
                    // Whoever asks us to end means all of it, not only the first process.
                    self.keeper.signal_all(signal);
                }
            }
            Some(Message::Stopped { signal: _ }) => self.stop(),
            Some(Message::Finished {
                user_us,
                system_us,
                peak_kib,
                reaped,
            }) => {
                (ended.user_us, ended.system_us) = (user_us, system_us);
                (ended.peak_kib, ended.reaped) = (peak_kib, reaped);
                return Ok(true);
            }
            Some(_) => {}
            None => {
                self.findings.gap(findings::LOST_SUPERVISION);
                self.end_lost();
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn end_orphans(&self) {
        if !tree::list_descendants(self.keeper.pid()).is_empty() {
            self.findings.gap(findings::ORPHANS_ENDED);
            self.keeper.end_all();
        }
    }

    /// The keeper was killed: its children are somebody else's now, and are found by their environment.
    fn end_lost(&self) {
        self.command.signal(libc::SIGKILL);
        let Some(mark) = &self.mark else { return };
        let start = Instant::now();
        while tree::kill_marked(mark) && start.elapsed() < SEARCH {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The command was stopped by its terminal: so are we, until somebody lets us go on.
    fn stop(&self) {
        let Some(session) = self.session else { return };
        session.leave();
        stop_own_group();
        session.enter();
        self.keeper.order(order::CONTINUE);
    }

    fn take_signal(&mut self, received: Received, has_exited: bool) {
        let Received {
            signal,
            is_from_kernel,
        } = received;
        match (signal, self.session) {
            (libc::SIGWINCH, Some(_)) => self.pumps.resize(),
            (libc::SIGWINCH, None) => {
                self.pumps.resize();
                // It has had the signal already, but its terminal only now has the size.
                self.command.signal(signal);
            }
            (libc::SIGTSTP, Some(_)) => sys::signal_group(self.command.pid, libc::SIGTSTP),
            (libc::SIGTSTP, None) => stop_self(),
            (libc::SIGCONT, Some(session)) => session.enter(),
            (libc::SIGCONT, None) => {}
            // A key on the terminal: the command is in the same foreground group and has it too.
            (_, None) if is_from_kernel => {}
            // Those that outlived it are asked in its place.
            _ if has_exited => self.keeper.signal_all(signal),
            _ => {
                if is_interruption(signal) {
                    self.passed_on = Some(signal);
                }
                self.command.signal(signal);
            }
        }
    }
}

fn is_interruption(signal: i32) -> bool {
    matches!(
        signal,
        libc::SIGINT | libc::SIGTERM | libc::SIGHUP | libc::SIGQUIT
    )
}

fn exit_of(status: i32) -> Exit {
    if libc::WIFSIGNALED(status) {
        Exit::Signal(libc::WTERMSIG(status))
    } else {
        Exit::Code(libc::WEXITSTATUS(status))
    }
}
