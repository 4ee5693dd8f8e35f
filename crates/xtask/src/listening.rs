//! Servers that a task starts and ends.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::error::TaskError;
use crate::process::program;

/// Stock MLflow imports for many seconds on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// Whether a server there is well.
fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return false;
    };
    let mut answer = [0; 15];
    stream
        .write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .and_then(|()| stream.read_exact(&mut answer))
        .is_ok_and(|()| &answer == b"HTTP/1.1 200 OK")
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> Result<u16, TaskError> {
    let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    Ok(port.map_err(TaskError::file("a port of loopback"))?.port())
}

/// A server of ours to measure; ended with its children when dropped.
pub(crate) struct Server {
    pub(crate) child: Child,
    /// From the start of its process until it answered.
    pub(crate) start_ms: f64,
}

impl Server {
    pub(crate) fn start(mut command: Command, port: u16, log: &Path) -> Result<Self, TaskError> {
        let file = File::create(log).map_err(TaskError::file(log))?;
        let other = file.try_clone().map_err(TaskError::file(log))?;
        let start = Instant::now();
        let child = command
            .stdout(file)
            .stderr(other)
            .process_group(0)
            .spawn()
            .map_err(TaskError::file(command.get_program()))?;
        let mut server = Self {
            child,
            start_ms: 0.0,
        };
        while start.elapsed() < START_TIMEOUT {
            let has_ended = server
                .child
                .try_wait()
                .map_err(TaskError::file(log))?
                .is_some();
            if has_ended {
                break;
            }
            if answers(port) {
                server.start_ms = start.elapsed().as_secs_f64() * 1000.0;
                return Ok(server);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let text = fs::read_to_string(log).unwrap_or_default();
        let last_lines: Vec<_> = text.lines().rev().take(5).collect();
        Err(TaskError::NoAnswer {
            port,
            timeout_s: START_TIMEOUT.as_secs(),
            log: last_lines.into_iter().rev().collect::<Vec<_>>().join(" / "),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The group is the server's own: it was made above.
        let group = format!("-{}", self.child.id());
        let _ = program("kill").args(["-TERM", "--", &group]).status();
        let _ = self.child.wait();
    }
}
