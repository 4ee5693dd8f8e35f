//! A panic of the observer, kept until the command has been ended.

use std::any::Any;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use rustix::event::EventfdFlags;

/// The first panic of an observer, and a descriptor that becomes readable by it.
pub(super) struct Failure {
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    signal: OwnedFd,
}

impl Failure {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self {
            panic: Mutex::new(None),
            signal: rustix::event::eventfd(0, EventfdFlags::CLOEXEC)?,
        })
    }

    pub(super) fn set(&self, panic: Box<dyn Any + Send>) {
        self.panic
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(panic);
        let _ = rustix::io::write(&self.signal, &1_u64.to_ne_bytes());
    }

    /// Takes the panic, to go on with it.
    pub(super) fn take(&self) -> Option<Box<dyn Any + Send>> {
        self.panic
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

impl AsFd for Failure {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signal.as_fd()
    }
}
