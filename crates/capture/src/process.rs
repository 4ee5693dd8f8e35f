//! Starting a small program, with a limit to how long it may take and how much it may say.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::CaptureError;

/// What a program said and how it ended.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

/// More than this on standard output is an error: a list of a million long paths has 250 MB.
const STDOUT_MAX: usize = 512 << 20;

/// Of standard error only this much is kept, for messages.
const STDERR_MAX: usize = 64 << 10;

/// Runs a program to its end without an input; one that takes too long or says too much is ended with all its children.
pub(crate) fn run(command: Command, limit: Duration) -> Result<Answer, CaptureError> {
    run_with(command, Stdio::null(), limit)
}

fn run_with(mut command: Command, input: Stdio, limit: Duration) -> Result<Answer, CaptureError> {
    let program = PathBuf::from(command.get_program());
    command
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // A group of its own, so that ending it ends its children too.
    command.process_group(0);
    let mut child = command.spawn().map_err(|source| CaptureError::Start {
        program: program.clone(),
        source,
    })?;
    let heard = listen(&mut child, Instant::now() + limit);
    match heard {
        Ok(Heard::Ended { stdout, stderr }) => {
            let status = child
                .wait()
                .map_err(|source| CaptureError::io("wait for", &program, source))?;
            Ok(Answer {
                status,
                stdout,
                stderr,
            })
        }
        Ok(Heard::Slow) => {
            end(&mut child);
            Err(CaptureError::Slow {
                program,
                limit_ms: limit.as_millis() as u64,
            })
        }
        Ok(Heard::Flood) => {
            end(&mut child);
            Err(CaptureError::Answer {
                program,
                message: format!("it is longer than {STDOUT_MAX} bytes"),
            })
        }
        Err(source) => {
            end(&mut child);
            Err(CaptureError::io("listen to", &program, source))
        }
    }
}

/// Runs a program and takes anything but success for an error.
pub(crate) fn run_well(command: Command, limit: Duration) -> Result<Vec<u8>, CaptureError> {
    run_well_with(command, Stdio::null(), limit)
}

/// The same with an input, which is a file so that it never has to be waited for.
pub(crate) fn run_well_on(
    command: Command,
    input: File,
    limit: Duration,
) -> Result<Vec<u8>, CaptureError> {
    run_well_with(command, input.into(), limit)
}

fn run_well_with(command: Command, input: Stdio, limit: Duration) -> Result<Vec<u8>, CaptureError> {
    let program = PathBuf::from(command.get_program());
    let answer = run_with(command, input, limit)?;
    if answer.status.success() {
        return Ok(answer.stdout);
    }
    let status = answer
        .status
        .code()
        .unwrap_or_else(|| 128 + answer.status.signal().unwrap_or(0));
    Err(CaptureError::Failed {
        program,
        status,
        words: last_lines(&answer.stderr),
    })
}

enum Heard {
    Ended { stdout: Vec<u8>, stderr: Vec<u8> },
    Slow,
    Flood,
}

fn listen(child: &mut Child, deadline: Instant) -> io::Result<Heard> {
    let mut stdout = child.stdout.take();
    let mut stderr = child.stderr.take();
    let (mut said, mut complained) = (Vec::new(), Vec::new());
    let process = Pid::from_child(child);
    // Where the kernel has no such descriptor, the end of its output is taken for the end of the program.
    let process = pidfd_open(process, PidfdFlags::empty()).ok();
    loop {
        let mut waited = Vec::with_capacity(2);
        waited.extend(
            stdout
                .as_ref()
                .map(|pipe| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)),
        );
        waited.extend(
            stderr
                .as_ref()
                .map(|pipe| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)),
        );
        if waited.is_empty() {
            let Some(process) = &process else { break };
            waited.push(PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).unwrap_or(Timespec {
            tv_sec: 1,
            tv_nsec: 0,
        });
        let has_first = stdout.is_some();
        match poll(&mut waited, Some(&left)) {
            Ok(0) => return Ok(Heard::Slow),
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        let is_ready: Vec<bool> = waited
            .iter()
            .map(|waited| !waited.revents().is_empty())
            .collect();
        if stdout.is_none() && stderr.is_none() {
            break;
        }
        if has_first && is_ready[0] {
            take(&mut stdout, &mut said, usize::MAX)?;
        }
        if stderr.is_some() && is_ready[usize::from(has_first)] {
            take(&mut stderr, &mut complained, STDERR_MAX)?;
        }
        if said.len() > STDOUT_MAX {
            return Ok(Heard::Flood);
        }
    }
    Ok(Heard::Ended {
        stdout: said,
        stderr: complained,
    })
}

/// Reads once from a pipe that has something, and lets go of one that has ended.
fn take(pipe: &mut Option<impl io::Read>, into: &mut Vec<u8>, most: usize) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    let Some(open) = pipe else { return Ok(()) };
    let length = match open.read(&mut buffer) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
        other => other?,
    };
    if length == 0 {
        *pipe = None;
    }
    let room = most.saturating_sub(into.len()).min(length);
    into.extend_from_slice(&buffer[..room]);
    Ok(())
}

fn end(child: &mut Child) {
    // It has not been waited for, so its number is still its own.
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
    let _ = child.wait();
}

fn last_lines(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines: Vec<_> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(5)..].join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        #[expect(clippy::disallowed_methods, reason = "the test starts a shell")]
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn both_outputs_and_the_status_are_heard() {
        let answer = run(
            shell("echo out; echo err >&2; exit 3"),
            Duration::from_secs(10),
        )
        .unwrap();
        assert_eq!(
            (answer.stdout.as_slice(), answer.stderr.as_slice()),
            (&b"out\n"[..], &b"err\n"[..])
        );
        assert_eq!(answer.status.code(), Some(3));
        let failed = run_well(shell("echo why >&2; exit 3"), Duration::from_secs(10)).unwrap_err();
        assert!(
            matches!(failed, CaptureError::Failed { status: 3, ref words, .. } if words == "why"),
            "{failed}"
        );
    }

    #[test]
    fn much_on_both_outputs_blocks_nobody() {
        let script = "head -c 3000000 /dev/zero >&2 & head -c 3000000 /dev/zero; wait";
        let answer = run(shell(script), Duration::from_secs(30)).unwrap();
        assert_eq!(answer.stdout.len(), 3_000_000);
        assert_eq!(answer.stderr.len(), STDERR_MAX);
    }

    #[test]
    fn one_that_hangs_is_ended_with_its_children() {
        let started = Instant::now();
        for script in ["sleep 60", "sleep 60 & sleep 60", "exec >&- 2>&-; sleep 60"] {
            let slow = run(shell(script), Duration::from_millis(200)).unwrap_err();
            assert!(
                matches!(slow, CaptureError::Slow { .. }),
                "{script}: {slow}"
            );
        }
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn one_that_is_not_there_is_an_error() {
        #[expect(
            clippy::disallowed_methods,
            reason = "the test starts what is not there"
        )]
        let command = Command::new("/none/such");
        assert!(matches!(
            run(command, Duration::from_secs(1)),
            Err(CaptureError::Start { .. })
        ));
    }
}
