//! Somebody who is told by webhooks: a listener on a free port of this machine.

use std::io::{BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a test waits for a request.
const LONGEST_WAIT: Duration = Duration::from_secs(90);

/// What a receiver does with a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Answers with a status.
    Status(u16),
    /// Answers with a status and a header.
    Headed(u16, String),
    /// Answers with a body of so many bytes.
    Long(usize),
    /// Takes the request and never answers.
    Hang,
    /// Closes without a word.
    Drop,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Received {
    /// The path with its query.
    pub path: String,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The body, which is a text.
    pub body: String,
}

impl Received {
    /// A header by its name in any case; empty where it is missing.
    pub fn header(&self, name: &str) -> &str {
        find_header(&self.headers, name).unwrap_or_default()
    }
}

/// Keeps what it is told, and replies as it was set to.
pub struct Receiver {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    came: Condvar,
}

#[derive(Default)]
struct State {
    /// The next one last.
    replies: Vec<Reply>,
    received: Vec<Received>,
    /// Connections that are never answered.
    held: Vec<TcpStream>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Receiver {
    /// Replies in this order, and with 200 afterwards.
    ///
    /// *Panics* if this machine has no free port.
    pub fn start(replies: &[Reply]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        let shared = Arc::new(Shared::default());
        shared.lock().replies = replies.iter().rev().cloned().collect();
        let theirs = Arc::clone(&shared);
        // It ends with the process of the test.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Whoever breaks off is told nothing.
                let _ = serve(stream, &theirs);
            }
        });
        Self { address, shared }
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What it was told until now.
    pub fn received(&self) -> Vec<Received> {
        self.shared.lock().received.clone()
    }

    /// Waits until what was told fits, and gives it.
    ///
    /// *Panics* if it takes too long.
    pub fn wait_until(&self, fits: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        let waiting =
            self.shared
                .came
                .wait_timeout_while(self.shared.lock(), LONGEST_WAIT, |state| {
                    !fits(&state.received)
                });
        let (state, outcome) = waiting.unwrap_or_else(PoisonError::into_inner);
        assert!(
            !outcome.timed_out(),
            "only this was told: {:#?}",
            state.received
        );
        state.received.clone()
    }
}

fn find_header<'h>(headers: &'h [(String, String)], name: &str) -> Option<&'h str> {
    let mut named = headers
        .iter()
        .filter(|(key, _)| key.eq_ignore_ascii_case(name));
    named.next().map(|(_, value)| value.as_str())
}

fn serve(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let received = read_request(&mut BufReader::new(stream.try_clone()?))?;
    let reply = {
        let mut state = shared.lock();
        state.received.push(received);
        state.replies.pop().unwrap_or(Reply::Status(200))
    };
    shared.came.notify_all();
    let (status, header, length) = match reply {
        Reply::Status(status) => (status, String::new(), 2),
        Reply::Headed(status, header) => (status, format!("{header}\r\n"), 2),
        Reply::Long(length) => (200, String::new(), length),
        Reply::Drop => return Ok(()),
        Reply::Hang => {
            shared.lock().held.push(stream);
            return Ok(());
        }
    };
    let head = format!("HTTP/1.1 {status} Said\r\n{header}Content-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(&vec![b'x'; length])
}

fn read_request(reader: &mut impl std::io::BufRead) -> std::io::Result<Received> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.push((name.to_owned(), value.to_owned()));
    }
    let length = find_header(&headers, "content-length").and_then(|value| value.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    Ok(Received {
        path,
        headers,
        body: String::from_utf8(body).map_err(std::io::Error::other)?,
    })
}
