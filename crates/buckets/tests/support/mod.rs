//! A real object store (`moto`) on this machine, and a way to it that can be faulty.
#![allow(dead_code, reason = "each program of tests uses a part of it")]

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// What happens on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// 503, as where there are too many requests.
    Busy,
    /// 403, as for wrong keys.
    Denied,
    /// The first half of the body of an answer, then the connection is closed.
    Truncated,
    /// A byte in the body of an answer to GET is another.
    Altered,
    /// The connection is closed in the middle of a body that is sent.
    CutOff,
}

/// What was stored by somebody with a name is kept from those without one; signatures are not looked at.
const SIGNED: &str = "Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00";

/// The object store.
pub(crate) struct Store {
    process: Child,
    /// Where it is reached on the way that can be faulty.
    pub(crate) url: String,
    real: String,
    way: Arc<Way>,
}

struct Way {
    real: String,
    fault: Mutex<(Fault, usize)>,
    sent: AtomicU64,
    received: AtomicU64,
}

impl Store {
    /// Starts it with a bucket `box`; none where no interpreter is named that has it.
    #[expect(
        clippy::disallowed_methods,
        reason = "a test is told by a variable which Python to start, and says why it starts none"
    )]
    pub(crate) fn start() -> Option<Self> {
        let skip = |why: &str| {
            let _ = writeln!(std::io::stdout(), "skipped: {why}");
            None
        };
        let Some(python) = std::env::var_os("REPROOF_TEST_PYTHON") else {
            return skip("REPROOF_TEST_PYTHON names no interpreter");
        };
        let mut process = Command::new(python)
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap());
        let mut said = String::new();
        let real = loop {
            let mut line = String::new();
            if lines.read_line(&mut line).unwrap() == 0 {
                process.wait().unwrap();
                return skip(&format!("the interpreter has no moto: {said}"));
            }
            if let Some((_, address)) = line.split_once("http://") {
                break address.trim().to_owned();
            }
            said.push_str(&line);
        };
        // What it says of each request is read, so that it does not wait for a reader.
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        let way = Arc::new(Way {
            real: real.clone(),
            fault: Mutex::new((Fault::None, 0)),
            sent: AtomicU64::default(),
            received: AtomicU64::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let way_there = Arc::clone(&way);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let way = Arc::clone(&way_there);
                // A connection that is closed early is what some tests are about.
                std::thread::spawn(move || drop(way.pass(stream.unwrap())));
            }
        });
        let store = Self {
            process,
            url,
            real,
            way,
        };
        store.put("box", "");
        Some(store)
    }

    /// From now on so many requests meet a fault.
    pub(crate) fn set(&self, fault: Fault, times: usize) {
        *self.way.fault.lock().unwrap() = (fault, times);
    }

    pub(crate) fn sent_bytes(&self) -> u64 {
        self.way.sent.load(Ordering::Relaxed)
    }

    pub(crate) fn received_bytes(&self) -> u64 {
        self.way.received.load(Ordering::Relaxed)
    }

    /// Puts something past the server's way.
    pub(crate) fn put(&self, path: &str, content: &str) {
        let answer = self.ask("PUT", path, content);
        assert!(answer.contains(" 200 "), "{answer}");
    }

    /// Whether something is there, asked past the server's way.
    pub(crate) fn has(&self, path: &str) -> bool {
        let answer = self.ask("HEAD", path, "");
        assert!(
            answer.contains(" 200 ") || answer.contains(" 404 "),
            "{answer}"
        );
        answer.contains(" 200 ")
    }

    fn ask(&self, method: &str, path: &str, content: &str) -> String {
        let mut stream = TcpStream::connect(&self.real).unwrap();
        let (path, length) = (path.replace(' ', "%20"), content.len());
        let head = format!(
            "{method} /{path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {length}\r\n{SIGNED}\r\nConnection: close\r\n\r\n",
            self.real
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(content.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The head of a request or an answer, and how long its body is.
fn read_head(stream: &mut impl Read) -> std::io::Result<(String, u64)> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let lower = head.to_ascii_lowercase();
    let length = lower
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .map_or(0, |length| length.trim().parse().unwrap());
    Ok((head, length))
}

impl Way {
    fn next_fault(&self, is_read: bool, length: u64) -> Fault {
        let mut fault = self.fault.lock().unwrap();
        let (kind, times) = *fault;
        let is_met = match kind {
            Fault::None => false,
            Fault::Busy | Fault::Denied => true,
            Fault::Truncated | Fault::Altered => is_read,
            Fault::CutOff => !is_read && length > 100_000,
        };
        if !is_met || times == 0 {
            return Fault::None;
        }
        fault.1 = times.saturating_sub(usize::from(times != usize::MAX));
        kind
    }

    /// Passes one request and its answer on, and closes.
    fn pass(&self, mut client: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(client.try_clone()?);
        let (head, length) = read_head(&mut reader)?;
        let is_read = head.starts_with("GET ");
        let fault = self.next_fault(is_read, length);
        if fault == Fault::CutOff {
            std::io::copy(&mut reader.take(length / 2), &mut std::io::sink())?;
            return Ok(());
        }
        if matches!(fault, Fault::Busy | Fault::Denied) {
            std::io::copy(&mut reader.take(length), &mut std::io::sink())?;
            let (status, code) = match fault {
                Fault::Busy => ("503 Slow Down", "SlowDown"),
                _ => ("403 Forbidden", "InvalidAccessKeyId"),
            };
            let body = format!("<Error><Code>{code}</Code><Message>no</Message></Error>");
            let is_head = head.starts_with("HEAD ");
            let shown = if is_head { "" } else { body.as_str() };
            return write!(
                client,
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{shown}",
                shown.len()
            );
        }
        let mut server = TcpStream::connect(&self.real)?;
        let (first, rest) = head.split_once("\r\n").unwrap();
        write!(server, "{first}\r\nConnection: close\r\n{rest}")?;
        self.sent.fetch_add(length, Ordering::Relaxed);
        std::io::copy(&mut reader.take(length), &mut server)?;
        let mut answer = BufReader::new(server);
        let (head, length) = read_head(&mut answer)?;
        let length = if is_read { length } else { length.min(1 << 20) };
        client.write_all(head.as_bytes())?;
        let mut body = Vec::new();
        let mut limited = answer.take(length);
        limited.read_to_end(&mut body)?;
        self.received
            .fetch_add(body.len() as u64, Ordering::Relaxed);
        let is_content = head.contains(" 200 ") || head.contains(" 206 ");
        match fault {
            Fault::Altered if is_content && !body.is_empty() => {
                let middle = body.len() / 2;
                body[middle] ^= 1;
            }
            Fault::Truncated if is_content => body.truncate(body.len() / 2),
            _ => {}
        }
        client.write_all(&body)
    }
}
