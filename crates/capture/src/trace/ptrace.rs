//! Following a command through the debugging interface, where another listener is there already.
//!
//! The filter stops a thread at each call of interest, and this one thread looks at it and lets it go on.
//! All stops are taken one after the other: while the observer is busy with one thread, the others wait.
#![expect(
    unsafe_code,
    reason = "ptrace and waiting for traced threads are calls of the kernel"
)]

use std::io;
use std::mem::{size_of, zeroed};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;

use super::failure::Failure;
use super::listener::RawCall;
use super::nested::Forwarder;
use super::observe::Interpreter;
use super::sys::check;

/// The thread that traces.
pub(super) struct Tracer {
    thread: JoinHandle<()>,
    /// Tells inner runs that they cannot join.
    _forwarder: Arc<Forwarder>,
}

impl Tracer {
    /// Attaches to the command's first process, which waits to be let go, and follows it and all its descendants.
    pub(super) fn start(
        pid: u32,
        interpreter: Arc<Interpreter>,
        forwarder: Arc<Forwarder>,
        failure: Arc<Failure>,
    ) -> io::Result<Self> {
        let (tell, attached) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("tracer".to_owned())
            .spawn(move || {
                // Only the thread that has attached may trace.
                let result = attach(pid);
                let is_attached = result.is_ok();
                let _ = tell.send(result);
                if is_attached {
                    follow(&interpreter, &failure);
                }
            })?;
        attached.recv().map_err(io::Error::other)??;
        Ok(Self {
            thread,
            _forwarder: forwarder,
        })
    }

    /// Waits until no traced thread is left.
    pub(super) fn finish(self) {
        if self.thread.join().is_err() {
            tracing::error!("the thread that traces has panicked");
        }
    }
}

/// Children are followed from their birth; all are killed should this process end.
const OPTIONS: libc::c_int = libc::PTRACE_O_TRACESECCOMP
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACEEXEC
    | libc::PTRACE_O_EXITKILL;

/// Operation of `struct ptrace_syscall_info` at a stop that the filter made.
const SYSCALL_INFO_SECCOMP: u8 = 3;

/// `PTRACE_EVENT_STOP` of linux/ptrace.h.
const EVENT_STOP: i32 = 128;

fn attach(pid: u32) -> io::Result<()> {
    // SAFETY: numbers only; the options are given in place of an address.
    let result = unsafe {
        libc::ptrace(
            libc::PTRACE_SEIZE,
            pid as libc::pid_t,
            null_mut::<libc::c_void>(),
            OPTIONS as usize,
        )
    };
    check(result).map(|_| ())
}

fn follow(interpreter: &Interpreter, failure: &Failure) {
    loop {
        let mut status = 0;
        // Threads that this one traces, and none that other threads of this process have started.
        // SAFETY: the kernel writes to the place that is given.
        let tid = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL | libc::__WNOTHREAD) };
        match tid {
            -1 if io::Error::last_os_error().raw_os_error() == Some(libc::EINTR) => {}
            -1 => return,
            _ if libc::WIFSTOPPED(status) => handle_stop(interpreter, failure, tid, status),
            _ => {}
        }
    }
}

fn handle_stop(interpreter: &Interpreter, failure: &Failure, tid: libc::pid_t, status: i32) {
    let signal = libc::WSTOPSIG(status);
    match status >> 16 {
        libc::PTRACE_EVENT_SECCOMP => {
            // Whatever happens here, the thread must go on.
            let looked = catch_unwind(AssertUnwindSafe(|| look(interpreter, tid)));
            if let Err(panic) = looked {
                failure.set(panic);
            }
            resume(libc::PTRACE_CONT, tid, 0);
        }
        // Stopped as by Ctrl-Z: it stays so until it is told to go on.
        EVENT_STOP if is_stopping(signal) => resume(libc::PTRACE_LISTEN, tid, 0),
        // A signal on its way.
        0 => resume(libc::PTRACE_CONT, tid, signal),
        _ => resume(libc::PTRACE_CONT, tid, 0),
    }
}

fn is_stopping(signal: i32) -> bool {
    matches!(
        signal,
        libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU
    )
}

/// A thread that was killed meanwhile is no error: its end comes next.
fn resume(request: libc::c_uint, tid: libc::pid_t, signal: i32) {
    // SAFETY: numbers only; the signal is given in place of an address.
    unsafe { libc::ptrace(request, tid, null_mut::<libc::c_void>(), signal as usize) };
}

fn look(interpreter: &Interpreter, tid: libc::pid_t) {
    let Some(call) = read_call(tid) else { return };
    if let Some(observed) = interpreter.observe(&call, || true) {
        interpreter.tell(&observed);
    }
}

/// Reads the call that a thread has stopped at (Linux 5.3).
fn read_call(tid: libc::pid_t) -> Option<RawCall> {
    // SAFETY: the struct consists of numbers, for which zero is a value.
    let mut info: libc::ptrace_syscall_info = unsafe { zeroed() };
    let size = size_of::<libc::ptrace_syscall_info>();
    // SAFETY: the kernel writes at most `size` bytes to the struct.
    let written = unsafe { libc::ptrace(libc::PTRACE_GET_SYSCALL_INFO, tid, size, &raw mut info) };
    if written <= 0 || info.op != SYSCALL_INFO_SECCOMP {
        return None;
    }
    // SAFETY: with this operation the kernel has filled in this member of the union.
    let call = unsafe { info.u.seccomp };
    Some(RawCall {
        tid: tid as u32,
        arch: info.arch,
        number: call.nr as u32,
        arguments: call.args,
    })
}

/// Whether this kernel can tell a call without looking at registers.
pub(super) fn is_supported() -> bool {
    let release = rustix::system::uname();
    let release = release.release().to_string_lossy();
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|part| part.parse::<u32>().ok());
    let version = (
        numbers.next().unwrap_or_default(),
        numbers.next().unwrap_or_default(),
    );
    version >= (5, 3)
}
