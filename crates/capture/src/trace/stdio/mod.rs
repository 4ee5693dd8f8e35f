//! Standard input, output and error of a command.
//!
//! Where ours is a terminal the command has one too, else a pipe.
//! Two kinds of terminal: a session of its own, where keys are handed through and the real terminal is set to raw;
//! or, when standard input is no terminal of ours to take, one that only takes output,
//! while the command stays in our session with the real terminal as `/dev/tty`.

mod pump;
mod terminal;

use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};
use std::path::Path;
use std::sync::Arc;

use rustix::pipe::PipeFlags;

use super::findings::Findings;
use super::{TraceError, TraceOptions};
use pump::{Pump, Source};
pub(super) use terminal::Session;

/// Standard input, output and error of a command, before it is started.
pub(super) struct Stdio {
    /// Ends for the command.
    ends: Vec<OwnedFd>,
    /// Which end, by number, becomes its input, output and error.
    pub(super) descriptors: [Option<RawFd>; 3],
    streams: Vec<Stream>,
    /// The session on a terminal of its own.
    pub(super) session: Option<Arc<Session>>,
    /// A terminal that only takes output, whose size follows ours.
    output_terminal: Option<Arc<OwnedFd>>,
}

/// Something that the command writes.
struct Stream {
    source: Source,
    sink: OwnedFd,
    copy: File,
}

/// The threads that hand output and input on.
pub(super) struct Pumps {
    outputs: Vec<Pump>,
    input: Option<terminal::Input>,
    session: Option<Arc<Session>>,
    output_terminal: Option<Arc<OwnedFd>>,
}

impl Stdio {
    /// Opens what the command needs.
    pub(super) fn open(options: &TraceOptions) -> Result<Self, TraceError> {
        let copy_of_output = create(&options.stdout)?;
        let copy_of_error = create(&options.stderr)?;
        let mut stdio = Self {
            ends: Vec::new(),
            descriptors: [None; 3],
            streams: Vec::new(),
            session: None,
            output_terminal: None,
        };
        if let Some(path) = &options.stdin {
            let file = File::open(path).map_err(|source| TraceError::StandardInput {
                path: path.clone(),
                source,
            })?;
            let end = stdio.keep(file.into());
            stdio.descriptors[0] = Some(end);
        }
        let sinks = [
            (
                1,
                io::stdout().is_terminal(),
                io::stdout().as_fd().try_clone_to_owned(),
                copy_of_output,
            ),
            (
                2,
                io::stderr().is_terminal(),
                io::stderr().as_fd().try_clone_to_owned(),
                copy_of_error,
            ),
        ];
        let mut terminal: Option<RawFd> = None;
        for (number, is_terminal, sink, copy) in sinks {
            let sink = sink.map_err(TraceError::io("use standard output"))?;
            let end = match (is_terminal, terminal) {
                (false, _) => stdio.add_pipe(sink, copy)?,
                // Both on one terminal keep their order on it.
                (true, Some(end)) => end,
                (true, None) => *terminal.insert(stdio.add_terminal(sink, copy)?),
            };
            if let Some(descriptor) = stdio.descriptors.get_mut(number) {
                *descriptor = Some(end);
            }
        }
        Ok(stdio)
    }

    fn add_pipe(&mut self, sink: OwnedFd, copy: File) -> Result<RawFd, TraceError> {
        let pipe = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(io::Error::from);
        let (reader, writer) =
            pipe.map_err(TraceError::io("make a pipe for the command's output"))?;
        self.streams.push(Stream {
            source: Source::Pipe(reader),
            sink,
            copy,
        });
        Ok(self.keep(writer))
    }

    fn add_terminal(&mut self, sink: OwnedFd, copy: File) -> Result<RawFd, TraceError> {
        let has_input = self.descriptors[0].is_some();
        let opened = terminal::open(&sink, has_input)
            .map_err(TraceError::io("open a terminal for the command"))?;
        let controller = Arc::new(opened.controller);
        self.streams.push(Stream {
            source: Source::Terminal(controller.clone()),
            sink,
            copy,
        });
        let end = self.keep(opened.end);
        match opened.input {
            Some(input) => {
                self.session = Some(Arc::new(Session::new(controller, input)));
                if let Some(descriptor) = self.descriptors.first_mut() {
                    *descriptor = Some(end);
                }
            }
            None => self.output_terminal = Some(controller),
        }
        Ok(end)
    }

    fn keep(&mut self, end: OwnedFd) -> RawFd {
        let raw = end.as_raw_fd();
        self.ends.push(end);
        raw
    }

    /// The end that is the command's terminal.
    pub(super) fn terminal(&self) -> Option<RawFd> {
        self.session
            .as_ref()
            .and(self.descriptors.first().copied().flatten())
    }

    /// Closes the command's ends, which it has by now, and begins to hand on.
    pub(super) fn start(self, findings: &Arc<Findings>) -> Result<Pumps, TraceError> {
        drop(self.ends);
        let start =
            |stream: Stream| Pump::start(stream.source, stream.sink, stream.copy, findings.clone());
        let outputs: io::Result<Vec<_>> = self.streams.into_iter().map(start).collect();
        let outputs = outputs.map_err(TraceError::io("start a thread for the command's output"))?;
        let input = self.session.clone().map(terminal::Input::start).transpose();
        let input = input.map_err(TraceError::io("start a thread for the command's input"))?;
        Ok(Pumps {
            outputs,
            input,
            session: self.session,
            output_terminal: self.output_terminal,
        })
    }
}

impl Pumps {
    /// Gives the command's terminal the size of ours.
    pub(super) fn resize(&self) {
        if let Some(session) = &self.session {
            session.resize();
        }
        if let Some(terminal) = &self.output_terminal {
            terminal::copy_size(io::stdout().as_fd(), terminal.as_fd())
                .or_else(|_| terminal::copy_size(io::stderr().as_fd(), terminal.as_fd()))
                .unwrap_or_else(
                    |error| tracing::debug!(%error, "the size of the terminal is not known"),
                );
        }
    }
}

impl Drop for Pumps {
    /// Hands on what is still there and stops. No process of the command is left that could write more.
    fn drop(&mut self) {
        if let Some(input) = self.input.take() {
            input.stop();
        }
        for pump in self.outputs.drain(..) {
            pump.finish();
        }
        if let Some(session) = &self.session {
            session.leave();
        }
    }
}

fn create(path: &Path) -> Result<File, TraceError> {
    File::create(path).map_err(|source| TraceError::Copy {
        path: path.to_owned(),
        source,
    })
}
