//! The command's first process, from the fork to the execution.
//!
//! Only calls that are safe after the fork of a process with several threads: nothing is allocated, nothing locked,
//! nothing can panic.
#![expect(
    unsafe_code,
    reason = "between fork and exec there are only calls of the kernel"
)]

use std::os::fd::BorrowedFd;
use std::ptr::null_mut;

use rustix::io::Errno;

use super::message::{Message, Stage};
use super::plan::{Filter, Plan, SHELL};
use super::sys::{self, last_error};

/// Why the command could not be started.
struct Failure {
    stage: Stage,
    error: i32,
}

/// Status with which the first process ends when the command could not be started; nobody sees it.
const NOT_STARTED: libc::c_int = 127;

/// Becomes the command.
pub(super) fn become_command(plan: &Plan) -> ! {
    let Failure { stage, error } = match start(plan) {
        Ok(never) => match never {},
        Err(failure) => failure,
    };
    report(plan, Message::Failed { stage, error });
    // SAFETY: ends the process without running anything of it.
    unsafe { libc::_exit(NOT_STARTED) }
}

enum Never {}

fn start(plan: &Plan) -> Result<Never, Failure> {
    close_keepers(plan);
    if let Some(terminal) = plan.terminal {
        enter_foreground(terminal).map_err(|error| Failure {
            stage: Stage::Other,
            error,
        })?;
    }
    if let Some(mounts) = &plan.mounts {
        mounts
            .apply()
            .map_err(|refused| failed_at(Stage::Mounts)(refused.error))?;
    }
    rustix::process::chdir(plan.working_directory.as_c_str())
        .map_err(failed_at(Stage::Directory))?;
    report(plan, Message::Ready);
    wait_to_go(plan)?;
    replace_stdio(plan)?;
    if let Some(filter) = &plan.filter {
        install(plan, filter)?;
    }
    restore_signals(plan);
    Err(Failure {
        stage: Stage::Execute,
        error: execute(plan),
    })
}

/// Closes what only the keeper needs.
fn close_keepers(plan: &Plan) {
    // SAFETY: numbers only, of descriptors that nothing of this process uses.
    unsafe {
        libc::close(plan.control);
        if let Some((terminal, _)) = &plan.own_terminal {
            libc::close(*terminal);
        }
    }
}

fn failed_at(stage: Stage) -> impl FnOnce(Errno) -> Failure {
    move |error| Failure {
        stage,
        error: error.raw_os_error(),
    }
}

/// Makes this process a group of its own that the terminal listens to.
fn enter_foreground(terminal: i32) -> Result<(), i32> {
    // SAFETY: calls of the kernel with numbers only. Signals are blocked, so SIGTTOU cannot stop this.
    let result = unsafe {
        libc::setpgid(0, 0);
        libc::tcsetpgrp(terminal, libc::getpid())
    };
    if result == 0 {
        Ok(())
    } else {
        Err(last_error())
    }
}

fn report(plan: &Plan, message: Message) {
    let packet = message.to_packet();
    // SAFETY: the packet outlives the call, which reads no more than its length.
    unsafe {
        libc::send(
            plan.report,
            packet.as_ptr().cast(),
            packet.len(),
            libc::MSG_NOSIGNAL,
        )
    };
}

/// Waits until the supervisor is ready for what this process does.
fn wait_to_go(plan: &Plan) -> Result<(), Failure> {
    let mut byte = 0_u8;
    loop {
        // SAFETY: the kernel writes at most one byte.
        let read = unsafe { libc::read(plan.report, (&raw mut byte).cast(), 1) };
        match read {
            1 => return Ok(()),
            -1 if last_error() == libc::EINTR => {}
            // The supervisor has gone: nobody would answer.
            _ => {
                return Err(Failure {
                    stage: Stage::Other,
                    error: libc::EPIPE,
                });
            }
        }
    }
}

fn replace_stdio(plan: &Plan) -> Result<(), Failure> {
    for (target, source) in plan.stdio.iter().enumerate() {
        let Some(source) = source else { continue };
        // SAFETY: numbers only; the source is a descriptor of the plan, above 2.
        if unsafe { libc::dup2(*source, target as i32) } < 0 {
            return Err(Failure {
                stage: Stage::Other,
                error: last_error(),
            });
        }
    }
    Ok(())
}

/// Puts the filter on, the most helpful form that this kernel and these rights allow.
fn install(plan: &Plan, filter: &Filter) -> Result<(), Failure> {
    // The filter is no sandbox, so the processor needs no guard against guessing (which would cost speed).
    let plain = libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    let listening = plain | libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    // While its question is answered, a thread is woken by nothing but its end: no signal makes it ask twice (5.19).
    let patient = listening | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    let forms: &[libc::c_ulong] = if filter.has_listener {
        &[patient, listening]
    } else {
        &[plain]
    };
    let mut has_no_new_privileges = false;
    let mut error = libc::EINVAL;
    let mut tried = 0;
    while let Some(flags) = forms.get(tried) {
        match sys::install_filter(&filter.program, *flags) {
            Ok(listener) => return hand_over(plan, filter, listener, has_no_new_privileges),
            Err(failure) => error = failure.raw_os_error().unwrap_or(libc::EINVAL),
        }
        match error {
            libc::EINVAL => tried += 1,
            // Without rights over the namespace a filter needs the promise that no program gains rights.
            libc::EACCES if !has_no_new_privileges => {
                // SAFETY: numbers only.
                unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
                has_no_new_privileges = true;
            }
            _ => break,
        }
    }
    Err(Failure {
        stage: Stage::Filter,
        error,
    })
}

fn hand_over(
    plan: &Plan,
    filter: &Filter,
    listener: i32,
    has_no_new_privileges: bool,
) -> Result<(), Failure> {
    let message = Message::Filtered {
        has_no_new_privileges,
    };
    if !filter.has_listener {
        report(plan, message);
        return Ok(());
    }
    // SAFETY: the descriptor of the plan stays open until the execution.
    let socket = unsafe { BorrowedFd::borrow_raw(plan.report) };
    let sent = sys::send_with_descriptor(socket, &message.to_packet(), listener);
    // SAFETY: the descriptor has just been made for this process; were it kept, the command could outlive its
    // supervisor without noticing.
    unsafe { libc::close(listener) };
    sent.map_err(|error| Failure {
        stage: Stage::Other,
        error: error.raw_os_error().unwrap_or(libc::EIO),
    })
}

/// Sets back what this program has changed and a new program would inherit.
fn restore_signals(plan: &Plan) {
    for signal in &plan.default_signals {
        // SAFETY: the default is no function that could be wrong here.
        unsafe { libc::signal(*signal, libc::SIG_DFL) };
    }
    // SAFETY: the mask is one that the kernel gave out before.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const plan.signal_mask, null_mut()) };
}

/// Executes the first file that can be, as `execvp` does; returns why none could.
fn execute(plan: &Plan) -> i32 {
    let mut error = libc::ENOENT;
    for candidate in &plan.candidates {
        // SAFETY: path, arguments and environment end with their zeros and live in the plan.
        unsafe {
            libc::execve(
                candidate.path.as_ptr(),
                plan.arguments.as_ptr(),
                plan.environment.as_ptr(),
            )
        };
        let failure = last_error();
        match failure {
            libc::ENOENT | libc::ENOTDIR | libc::ENODEV | libc::ESTALE | libc::ETIMEDOUT => {}
            // There and forbidden: another folder may hold one that is allowed; else this is the reason.
            libc::EACCES => error = failure,
            libc::ENOEXEC => {
                let arguments = candidate.shell_arguments.as_ptr();
                // SAFETY: as above.
                unsafe { libc::execve(SHELL.as_ptr(), arguments, plan.environment.as_ptr()) };
                return last_error();
            }
            _ => return failure,
        }
    }
    error
}
