//! A receiver in this process, and webhooks that may be in it.
#![allow(dead_code, reason = "each file of tests uses a part of it")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use entities::{Caller, WebhookEvent, WebhookId};
use registry::NewRegisteredModel;
use testkit::{NamedHosts, TestBench};
use webhooks::{Deliverer, Network, NewWebhook, Secret, SystemResolver, Webhooks};

/// What a receiver does with a request.
#[derive(Clone)]
pub(crate) enum Reply {
    Status(u16),
    /// With a header.
    Headed(u16, String),
    /// With a body of so many bytes.
    Long(usize),
    /// Takes the request and never answers.
    Hang,
    /// Closes without a word.
    Drop,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self
            .headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

#[derive(Default)]
struct Shared {
    replies: Vec<Reply>,
    received: Vec<Received>,
    /// Connections that are never answered.
    held: Vec<TcpStream>,
}

/// Listens on a free port of this machine.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    shared: Arc<(Mutex<Shared>, Condvar)>,
}

impl Receiver {
    /// Replies in this order, and with 200 afterwards.
    pub(crate) fn start(replies: &[Reply]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut replies = replies.to_vec();
        replies.reverse();
        let shared = Arc::new((
            Mutex::new(Shared {
                replies,
                ..Shared::default()
            }),
            Condvar::new(),
        ));
        let theirs = Arc::clone(&shared);
        // It ends with the process of the test.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // Whoever breaks off is told nothing.
                let _ = serve(stream.unwrap(), &theirs);
            }
        });
        Self { address, shared }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.0.lock().unwrap().received.clone()
    }

    /// Waits until so many requests have come.
    pub(crate) fn wait_for(&self, count: usize) {
        let (shared, came) = &*self.shared;
        let waiting =
            came.wait_timeout_while(shared.lock().unwrap(), Duration::from_secs(20), |shared| {
                shared.received.len() < count
            });
        let (shared, outcome) = waiting.unwrap();
        let found = shared.received.len();
        assert!(!outcome.timed_out(), "{found} of {count} requests came");
    }
}

fn serve(mut stream: TcpStream, shared: &(Mutex<Shared>, Condvar)) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
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
    let length = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let mut body = vec![0; length.map_or(0, |(_, value)| value.parse().unwrap())];
    reader.read_exact(&mut body)?;
    let reply = {
        let mut shared = shared.0.lock().unwrap();
        shared.received.push(Received {
            path,
            headers,
            body: String::from_utf8(body).unwrap(),
        });
        shared.replies.pop().unwrap_or(Reply::Status(200))
    };
    shared.1.notify_all();
    let (status, header, length) = match reply {
        Reply::Status(status) => (status, String::new(), 2),
        Reply::Headed(status, header) => (status, format!("{header}\r\n"), 2),
        Reply::Long(length) => (200, String::new(), length),
        Reply::Drop => return Ok(()),
        Reply::Hang => {
            shared.0.lock().unwrap().held.push(stream);
            return Ok(());
        }
    };
    let head = format!("HTTP/1.1 {status} Said\r\n{header}Content-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(&vec![b'x'; length])
}

/// Where webhooks may be in this machine.
pub(crate) fn open_network() -> Network {
    Network {
        schemes: vec!["http".to_owned()],
        allows_private: true,
        time_limit: Duration::from_millis(400),
        resolver: Arc::new(NamedHosts::new(Arc::new(SystemResolver))),
    }
}

/// A bench, and webhooks over its store that may be in this machine.
pub(crate) struct Site {
    pub(crate) bench: TestBench,
    pub(crate) webhooks: Webhooks,
    pub(crate) deliverer: Deliverer,
}

impl Site {
    pub(crate) async fn new() -> Self {
        Self::on(open_network()).await
    }

    pub(crate) async fn on(network: Network) -> Self {
        let bench = TestBench::new().await;
        let webhooks = bench.webhooks_on(network);
        let deliverer = Deliverer::new(webhooks.clone(), bench.caller.clone());
        Self {
            bench,
            webhooks,
            deliverer,
        }
    }

    pub(crate) fn caller(&self) -> &Caller {
        &self.bench.caller
    }

    /// Makes a webhook that is told of everything.
    pub(crate) async fn webhook(&self, url: &str, secret: Option<&str>) -> WebhookId {
        let new = new_webhook(url, secret);
        let made = self.webhooks.create(self.caller(), new).await;
        made.unwrap().id
    }

    pub(crate) async fn register(&self, name: &str) {
        let new = NewRegisteredModel {
            name: name.to_owned(),
            ..NewRegisteredModel::default()
        };
        let made = self.bench.registry.create_model(self.caller(), new).await;
        made.unwrap();
    }

    /// Delivers what is due; tells how many attempts were made.
    pub(crate) async fn deliver(&self, webhook: &WebhookId) -> usize {
        self.deliverer.deliver_to(webhook).await.unwrap()
    }
}

pub(crate) fn new_webhook(url: &str, secret: Option<&str>) -> NewWebhook {
    let events = WebhookEvent::ALL.iter();
    NewWebhook {
        name: "hook".to_owned(),
        url: url.to_owned(),
        events: events
            .map(|event| (event.entity().to_owned(), event.action().to_owned()))
            .collect(),
        description: None,
        secret: secret.map(|text| Secret::new(text.to_owned())),
        status: None,
    }
}
