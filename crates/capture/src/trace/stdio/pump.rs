//! Handing output on: to where it goes, and into a file.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use super::terminal;
use crate::trace::findings::{self, Findings};

/// Where output comes from.
pub(super) enum Source {
    Pipe(OwnedFd),
    /// A terminal, which may put a carriage return before each line feed.
    Terminal(Arc<OwnedFd>),
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Pipe(reader) => reader.as_fd(),
            Self::Terminal(controller) => controller.as_fd(),
        }
    }
}

/// A thread that hands output on.
pub(super) struct Pump {
    thread: JoinHandle<()>,
    finish: Arc<OwnedFd>,
}

/// A pipe of the kernel holds as much.
const BUFFER_BYTES: usize = 64 * 1024;

impl Pump {
    pub(super) fn start(
        source: Source,
        sink: OwnedFd,
        copy: File,
        findings: Arc<Findings>,
    ) -> io::Result<Self> {
        let finish = Arc::new(rustix::event::eventfd(0, EventfdFlags::CLOEXEC)?);
        let finishing = finish.clone();
        let thread = std::thread::Builder::new()
            .name("output".to_owned())
            .spawn(move || {
                let copy = Copy {
                    file: Some(copy),
                    findings: findings.clone(),
                    held: false,
                };
                hand_on(source, &sink, copy, &finishing, &findings);
            })?;
        Ok(Self { thread, finish })
    }

    /// Waits until everything that is there has been handed on.
    pub(super) fn finish(self) {
        let _ = rustix::io::write(&self.finish, &1_u64.to_ne_bytes());
        if self.thread.join().is_err() {
            tracing::error!("the thread that hands output on has panicked");
        }
    }
}

fn hand_on(source: Source, sink: &OwnedFd, mut copy: Copy, finish: &OwnedFd, findings: &Findings) {
    let mut buffer = vec![0; BUFFER_BYTES];
    while wait_for(&source, finish) {
        let read = match rustix::io::read(source.as_fd(), &mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(Errno::INTR | Errno::AGAIN) => continue,
            // A terminal whose other end is closed says so with EIO.
            Err(_) => break,
        };
        let bytes = buffer.get(..read).unwrap_or_default();
        let written = write_all(sink, bytes);
        copy.write(&source, bytes);
        if written.is_err() {
            // Nobody takes it any more. With this end closed, the command learns of it by its next write.
            findings.gap(findings::OUTPUT_CUT);
            break;
        }
    }
    copy.finish();
    // The command's next write fails from here on.
    drop(source);
}

/// Waits for output; false when it is to be finished and there is none.
fn wait_for(source: &Source, finish: &OwnedFd) -> bool {
    loop {
        let mut polled = [
            PollFd::from_borrowed_fd(source.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(finish.as_fd(), PollFlags::IN),
        ];
        match rustix::event::poll(&mut polled, None) {
            Err(Errno::INTR) => continue,
            Err(_) => return false,
            Ok(_) => {}
        }
        let [output, finishing] = polled.map(|polled| !polled.revents().is_empty());
        if output {
            return true;
        }
        if finishing {
            // What was written before the end is there by now: one more look.
            let mut polled = [PollFd::from_borrowed_fd(source.as_fd(), PollFlags::IN)];
            let at_once = Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            };
            return rustix::event::poll(&mut polled, Some(&at_once)).is_ok_and(|found| found > 0);
        }
    }
}

fn write_all(sink: &OwnedFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(sink, bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            // Somebody who shares this descriptor has set it so.
            Err(Errno::AGAIN) => {
                let mut polled = [PollFd::new(sink, PollFlags::OUT)];
                let _ = rustix::event::poll(&mut polled, None);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The file that takes a copy.
struct Copy {
    file: Option<File>,
    findings: Arc<Findings>,
    /// Whether a carriage return waits for what follows.
    held: bool,
}

impl Copy {
    fn write(&mut self, source: &Source, bytes: &[u8]) {
        match source {
            Source::Terminal(controller) if terminal::returns_carriage(controller.as_fd()) => {
                let plain = self.without_returns(bytes);
                self.append(&plain);
            }
            _ => {
                self.release();
                self.append(bytes);
            }
        }
    }

    /// Takes back what the terminal did to line feeds, so that the copy holds what the command wrote.
    fn without_returns(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut plain = Vec::with_capacity(bytes.len() + 1);
        for &byte in bytes {
            if self.held && byte != b'\n' {
                plain.push(b'\r');
            }
            self.held = byte == b'\r';
            if !self.held {
                plain.push(byte);
            }
        }
        plain
    }

    fn release(&mut self) {
        if std::mem::take(&mut self.held) {
            self.append(b"\r");
        }
    }

    fn append(&mut self, bytes: &[u8]) {
        let Some(file) = &mut self.file else { return };
        if let Err(error) = file.write_all(bytes) {
            tracing::warn!(%error, "the copy of the output ends here");
            self.findings.gap(findings::OUTPUT_NOT_KEPT);
            self.file = None;
        }
    }

    fn finish(mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(chunks: &[&[u8]]) -> Vec<u8> {
        let mut copy = Copy {
            file: None,
            findings: Arc::default(),
            held: false,
        };
        let mut all = Vec::new();
        for chunk in chunks {
            all.extend(copy.without_returns(chunk));
        }
        if copy.held {
            all.push(b'\r');
        }
        all
    }

    #[test]
    fn only_the_returns_that_the_terminal_added_are_taken_back() {
        assert_eq!(plain(&[b"a\r\nb\r\n"]), b"a\nb\n");
        assert_eq!(plain(&[b"10%\r20%\r\n"]), b"10%\r20%\n");
        assert_eq!(plain(&[b"a\r\r\n"]), b"a\r\n");
        assert_eq!(plain(&[b"a\r", b"\nb\r", b"c\r"]), b"a\nb\rc\r");
    }
}
