//! Starting programs, with a line that says which.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, ExitStatus, Stdio};

use crate::error::TaskError;

/// A command of `program`.
#[expect(
    clippy::disallowed_methods,
    reason = "tasks are made of other programs; this is the one place that starts them"
)]
pub(crate) fn program(program: impl AsRef<OsStr>) -> Command {
    Command::new(program)
}

/// The same cargo that runs this task.
pub(crate) fn cargo() -> Command {
    program("cargo")
}

/// Runs `command` with its output passed through; fails unless it ends with 0.
pub(crate) fn run(command: &mut Command) -> Result<(), TaskError> {
    println!("+ {}", line_of(command));
    let status = command.status().map_err(|source| start(command, source))?;
    succeeded(command, status)
}

/// Runs `command` and returns its standard output; fails unless it ends with 0.
pub(crate) fn output_of(command: &mut Command) -> Result<String, TaskError> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| start(command, source))?;
    succeeded(command, output.status)?;
    String::from_utf8(output.stdout).map_err(|error| TaskError::Output {
        command: line_of(command),
        reason: error.to_string(),
    })
}

/// Runs `command`, passes its output through and hands each line of it to `see`.
pub(crate) fn run_seen(
    command: &mut Command,
    stream: Stream,
    mut see: impl FnMut(&str),
) -> Result<(), TaskError> {
    println!("+ {}", line_of(command));
    match stream {
        Stream::Output => command.stdout(Stdio::piped()),
        Stream::Error => command.stderr(Stdio::piped()),
    };
    let mut child = command.spawn().map_err(|source| start(command, source))?;
    let piped: Box<dyn std::io::Read> = match stream {
        Stream::Output => Box::new(child.stdout.take().expect("piped above")),
        Stream::Error => Box::new(child.stderr.take().expect("piped above")),
    };
    for line in BufReader::new(piped).split(b'\n') {
        let line = line.map_err(|source| start(command, source))?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        see(&line);
    }
    let status = child.wait().map_err(|source| start(command, source))?;
    succeeded(command, status)
}

/// Whether `command` can be started and ends with 0; what it prints is dropped.
pub(crate) fn works(command: &mut Command) -> bool {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Which stream of a program to look at.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stream {
    Output,
    Error,
}

/// A command as one would type it.
pub(crate) fn line_of(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}

fn start(command: &Command, source: std::io::Error) -> TaskError {
    TaskError::Start {
        program: command.get_program().to_string_lossy().into_owned(),
        source,
    }
}

fn succeeded(command: &Command, status: ExitStatus) -> Result<(), TaskError> {
    if status.success() {
        return Ok(());
    }
    Err(TaskError::Failed {
        command: line_of(command),
        status: status.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_fails_is_an_error_that_names_it() {
        let error = run(program("sh").args(["-c", "exit 3"])).unwrap_err();
        assert!(error.to_string().contains("sh -c exit 3"), "{error}");
        assert!(error.to_string().contains('3'), "{error}");
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error_that_names_it() {
        let error = run(&mut program("no-such-program-anywhere")).unwrap_err();
        assert!(
            matches!(error, TaskError::Start { program, .. } if program == "no-such-program-anywhere")
        );
    }

    #[test]
    fn each_line_of_either_stream_is_seen_and_the_status_kept() {
        for (stream, text) in [
            (Stream::Output, "echo one; echo two; exit 1"),
            (Stream::Error, "echo one >&2; echo two >&2; exit 1"),
        ] {
            let mut lines = Vec::new();
            let done = run_seen(program("sh").args(["-c", text]), stream, |line| {
                lines.push(line.to_owned());
            });
            assert_eq!(lines, ["one", "two"]);
            assert!(done.is_err());
        }
    }
}
