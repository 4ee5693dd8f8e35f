//! Starting a command: from a plan to a first process that waits to be let go.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::process::{Pid, PidfdFlags, WaitOptions};

use super::keeper::{block_signals, fork_keeper, unblock_signals};
use super::listener::Listener;
use super::message::{Message, PACKET_BYTES, Stage, order};
use super::plan::Plan;
use super::tree::{descends_from, list_descendants};
use super::{TraceError, sys};

/// The keeper, as long as the command lives.
pub(super) struct Keeper {
    pid: u32,
    control: OwnedFd,
    is_finished: bool,
}

/// A command whose first process waits to be let go.
pub(super) struct Launched {
    pub(super) keeper: Keeper,
    pub(super) command: Command,
    report: OwnedFd,
}

/// The command's first process.
pub(super) struct Command {
    pub(super) pid: u32,
    descriptor: Option<OwnedFd>,
}

/// Why a command could not be started.
#[derive(Debug)]
pub(super) struct LaunchFailure {
    pub(super) stage: Stage,
    pub(super) error: i32,
}

impl LaunchFailure {
    pub(super) fn source(&self) -> io::Error {
        io::Error::from_raw_os_error(self.error)
    }
}

/// What became of the filter.
pub(super) struct Filtered {
    pub(super) has_no_new_privileges: bool,
    pub(super) listener: Option<Arc<Listener>>,
}

/// A pair of sockets for packets: our end and the other one's.
fn socket_pair() -> Result<(OwnedFd, OwnedFd), TraceError> {
    rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(io::Error::from)
    .map_err(TraceError::io("make sockets for the command's keeper"))
}

/// Starts the keeper and the command, as far as before the filter.
///
/// The outer result is for faults of this machine, the inner one for what the command's process met.
pub(super) fn launch(
    make_plan: impl FnOnce(i32, i32) -> Result<Plan, TraceError>,
) -> Result<Result<Launched, LaunchFailure>, TraceError> {
    let (control, keepers_control) = socket_pair()?;
    let (report, commands_report) = socket_pair()?;
    let mut plan = make_plan(commands_report.as_raw_fd(), keepers_control.as_raw_fd())?;
    // No handler of this process may run in the children.
    plan.signal_mask = block_signals();
    let forked = fork_keeper(&plan);
    unblock_signals(&plan.signal_mask);
    drop((keepers_control, commands_report));
    let pid = forked.map_err(TraceError::io("start a process"))?;
    let mut keeper = Keeper {
        pid,
        control,
        is_finished: false,
    };
    let lost = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let Some(Message::Started { pid }) = keeper
        .receive()
        .map_err(TraceError::io("start a process"))?
    else {
        return Err(TraceError::Io {
            action: "start a process",
            source: lost(),
        });
    };
    let pidfd = Pid::from_raw(pid as i32)
        .and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok());
    let launched = Launched {
        keeper,
        command: Command {
            pid,
            descriptor: pidfd,
        },
        report,
    };
    match launched.receive_report()?.0 {
        Some(Message::Ready) => Ok(Ok(launched)),
        Some(Message::Failed { stage, error }) => Ok(Err(LaunchFailure { stage, error })),
        _ => Err(TraceError::Io {
            action: "start a process",
            source: lost(),
        }),
    }
}

impl Launched {
    /// Lets the first process go on.
    pub(super) fn let_go(&self) -> Result<(), TraceError> {
        rustix::net::send(&self.report, b"!", SendFlags::NOSIGNAL)
            .map(drop)
            .map_err(io::Error::from)
            .map_err(TraceError::io("let the command go on"))
    }

    /// Waits for the filter.
    pub(super) fn wait_for_filter(&self) -> Result<Result<Filtered, LaunchFailure>, TraceError> {
        match self.receive_report()? {
            (
                Some(Message::Filtered {
                    has_no_new_privileges,
                }),
                descriptor,
            ) => {
                let listener = descriptor.map(|descriptor| Arc::new(Listener::new(descriptor)));
                Ok(Ok(Filtered {
                    has_no_new_privileges,
                    listener,
                }))
            }
            (Some(Message::Failed { stage, error }), _) => Ok(Err(LaunchFailure { stage, error })),
            // Killed before it came so far: what follows finds that out.
            _ => Ok(Ok(Filtered {
                has_no_new_privileges: false,
                listener: None,
            })),
        }
    }

    /// Waits until the command's own program runs, or nothing does.
    pub(super) fn wait_for_execution(&self) -> Result<Result<(), LaunchFailure>, TraceError> {
        match self.receive_report()?.0 {
            Some(Message::Failed { stage, error }) => Ok(Err(LaunchFailure { stage, error })),
            _ => Ok(Ok(())),
        }
    }

    fn receive_report(&self) -> Result<(Option<Message>, Option<OwnedFd>), TraceError> {
        let mut packet = [0; PACKET_BYTES];
        loop {
            match sys::receive_with_descriptor(self.report.as_fd(), &mut packet) {
                Ok(None) => return Ok((None, None)),
                Ok(Some((_, descriptor))) => {
                    return Ok((Message::from_packet(&packet), descriptor));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error() == Some(libc::ECONNRESET) => {
                    return Ok((None, None));
                }
                Err(source) => {
                    return Err(TraceError::Io {
                        action: "start a process",
                        source,
                    });
                }
            }
        }
    }
}

impl Command {
    /// Sends a signal to the first process; one that has ended takes none.
    pub(super) fn signal(&self, signal: i32) {
        if let Some(descriptor) = &self.descriptor {
            sys::signal_process(descriptor.as_fd(), signal);
        }
    }
}

impl Keeper {
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// The next message; none at the end.
    pub(super) fn receive(&mut self) -> io::Result<Option<Message>> {
        let mut packet = [0; PACKET_BYTES];
        loop {
            match rustix::net::recv(&self.control, packet.as_mut_slice(), RecvFlags::empty()) {
                Ok((0, _)) | Err(Errno::CONNRESET) => {
                    self.is_finished = true;
                    return Ok(None);
                }
                Ok(_) => {
                    let message = Message::from_packet(&packet);
                    if matches!(message, Some(Message::Finished { .. })) {
                        self.is_finished = true;
                    }
                    return Ok(message);
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    pub(super) fn order(&self, order: u8) {
        // A keeper that is gone is noticed where its messages are read.
        let _ = rustix::net::send(&self.control, &[order], SendFlags::NOSIGNAL);
    }

    /// Sends a signal to every process of the command.
    pub(super) fn signal_all(&self, signal: i32) {
        for pid in list_descendants(self.pid) {
            let Some(raw) = Pid::from_raw(pid as i32) else {
                continue;
            };
            let Ok(descriptor) = rustix::process::pidfd_open(raw, PidfdFlags::empty()) else {
                continue;
            };
            // The number may have gone to another process before it was opened.
            if descends_from(pid, self.pid) {
                sys::signal_process(descriptor.as_fd(), signal);
            }
        }
    }

    /// Ends what is left: asks first, then by force.
    pub(super) fn end_all(&self) {
        self.signal_all(libc::SIGTERM);
        self.signal_all(libc::SIGCONT);
        self.order(order::END);
    }
}

impl AsFd for Keeper {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.control.as_fd()
    }
}

impl Drop for Keeper {
    /// Leaves no process of the command behind, whatever way this ends.
    fn drop(&mut self) {
        if !self.is_finished {
            self.order(order::KILL);
        }
        while !self.is_finished {
            let mut polled = [PollFd::new(&self.control, PollFlags::IN)];
            let _ = rustix::event::poll(&mut polled, None);
            if self.receive().is_err() {
                break;
            }
        }
        self.order(order::LEAVE);
        if let Some(pid) = Pid::from_raw(self.pid as i32) {
            let _ = rustix::process::waitpid(Some(pid), WaitOptions::empty());
        }
    }
}
