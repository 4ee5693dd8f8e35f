//! The listener of a filter: takes the kernel's questions and answers them.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::sys;

/// The listener of a filter.
#[derive(Debug)]
pub(super) struct Listener(OwnedFd);

/// One call of the kernel by one thread.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawCall {
    /// The thread.
    pub(super) tid: u32,
    /// The ABI.
    pub(super) arch: u32,
    /// The call's number in it.
    pub(super) number: u32,
    /// Its arguments.
    pub(super) arguments: [u64; 6],
}

/// A question of the kernel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    /// What the answer refers to.
    pub(super) id: u64,
    /// The call.
    pub(super) call: RawCall,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The kernel carries it out, reading memory and arguments afresh.
    Continue,
    /// It fails with this error.
    Fail(i32),
}

impl Listener {
    pub(super) fn new(descriptor: OwnedFd) -> Self {
        sys::wake_on_same_processor(descriptor.as_fd());
        Self(descriptor)
    }

    /// Waits for a question; none when the thread that asked is gone again.
    pub(super) fn receive(&self) -> io::Result<Option<Question>> {
        match sys::receive_notification(self.0.as_fd()) {
            Ok(notification) => Ok(Some(Question {
                id: notification.id,
                call: RawCall {
                    tid: notification.pid,
                    arch: notification.data.arch,
                    number: notification.data.nr as u32,
                    arguments: notification.data.args,
                },
            })),
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINTR)) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the thread still waits, so that its id still means the same thread.
    pub(super) fn is_valid(&self, id: u64) -> bool {
        sys::is_notification_valid(self.0.as_fd(), id)
    }

    /// Answers. That the thread is gone meanwhile is no error.
    pub(super) fn answer(&self, id: u64, answer: Answer) -> io::Result<()> {
        let (error, flags) = match answer {
            Answer::Continue => (0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32),
            Answer::Fail(error) => (-error, 0),
        };
        match sys::send_answer(
            self.0.as_fd(),
            libc::seccomp_notif_resp {
                id,
                val: 0,
                error,
                flags,
            },
        ) {
            Err(error) if error.raw_os_error() != Some(libc::ENOENT) => Err(error),
            _ => Ok(()),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
