//! Clients that stand still, over a real socket: what is ended, and what is not since it goes on.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

mod support;

use std::time::{Duration, Instant};

use server::{OperationOptions, Scope, ServerOptions};
use support::{PROXY, options};
use testkit::TestBench;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const LIMIT: Duration = Duration::from_secs(1);

/// Shorter than the limit by what a machine that has much to do may be late.
const STEP: Duration = Duration::from_millis(250);

/// Longer than the limit by that.
const LONG: Duration = Duration::from_secs(10);

/// A server that waits so long.
struct Listening {
    address: std::net::SocketAddr,
    bench: TestBench,
    closing: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Listening {
    #[expect(
        clippy::disallowed_methods,
        reason = "the test waits for the task itself"
    )]
    async fn start() -> Self {
        let bench = TestBench::new().await;
        let options = ServerOptions {
            operation: OperationOptions {
                exposes_figures: true,
                idle_limit: Some(LIMIT),
                ..OperationOptions::default()
            },
            ..options(&bench, Scope::Team)
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (closing, closes) = oneshot::channel();
        let shutdown = async move {
            let _ = closes.await;
        };
        let serving = tokio::spawn(server::serve(listener, options, shutdown));
        Self {
            address,
            bench,
            closing,
            serving,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Asks for a path, and reads the answer to its end.
    async fn ask(&self, path: &str) -> String {
        let mut stream = self.connect().await;
        let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        read_all(&mut stream).await
    }

    async fn in_flight(&self) -> u64 {
        let told = self.ask("/metrics").await;
        let mut lines = told.lines();
        let value = lines.find_map(|line| line.strip_prefix("reproof_http_requests_in_flight "));
        value.unwrap().parse().unwrap()
    }

    /// Nothing that was ended may hold the end up.
    async fn stop(self) -> TestBench {
        self.closing.send(()).unwrap();
        let served = tokio::time::timeout(LONG, self.serving).await;
        served.unwrap().unwrap().unwrap();
        self.bench
    }
}

async fn read_all(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    let reading = tokio::time::timeout(LONG, stream.read_to_end(&mut read));
    reading
        .await
        .expect("the server waits longer than its limit")
        .unwrap();
    String::from_utf8(read).unwrap()
}

/// How long it took until the server closed the connection, which it does not before its limit.
async fn closed_after(stream: &mut TcpStream, begun: Instant) -> Duration {
    let answer = read_all(stream).await;
    assert_eq!(answer, "");
    let took = begun.elapsed();
    assert!(took >= LIMIT * 9 / 10, "closed after {took:?}");
    took
}

fn put(path: &str, length: usize) -> Vec<u8> {
    let head = format!(
        "PUT {PROXY}/{path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    head.into_bytes()
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed() {
    let server = Listening::start().await;
    let begun = Instant::now();
    let mut silent = server.connect().await;
    let mut half = server.connect().await;
    half.write_all(b"GET /health HTTP/1.1\r\nhost: loc")
        .await
        .unwrap();
    closed_after(&mut silent, begun).await;
    closed_after(&mut half, begun).await;
    server.stop().await;
}

#[tokio::test]
async fn a_head_that_comes_letter_by_letter_is_not_waited_for_for_ever() {
    let server = Listening::start().await;
    let begun = Instant::now();
    let mut stream = server.connect().await;
    stream.write_all(b"GET /health HTTP/1.1\r\n").await.unwrap();
    // Writing to a connection that was closed fails some time later.
    let dripping = async {
        while stream.write_all(b"x-a: b\r\n").await.is_ok() {
            tokio::time::sleep(STEP / 2).await;
        }
    };
    let dripped = tokio::time::timeout(LONG, dripping).await;
    assert!(dripped.is_ok(), "it may drip on");
    assert!(begun.elapsed() >= LIMIT * 9 / 10);
    server.stop().await;
}

#[tokio::test]
async fn a_connection_is_kept_between_two_requests_but_not_for_ever() {
    let server = Listening::start().await;
    let mut stream = server.connect().await;
    let mut answer = vec![0; 4096];
    for _ in 0..4 {
        let request = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let length = stream.read(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        tokio::time::sleep(STEP).await;
    }
    closed_after(&mut stream, Instant::now().checked_sub(STEP).unwrap()).await;
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_on_is_told_so_and_names_nothing() {
    let server = Listening::start().await;
    let begun = Instant::now();
    let mut upload = server.connect().await;
    upload.write_all(&put("0/x.bin", 8)).await.unwrap();
    upload.write_all(b"half").await.unwrap();
    let mut call = server.connect().await;
    let head = "POST /api/2.0/mlflow/runs/search HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{";
    call.write_all(head.as_bytes()).await.unwrap();
    for stream in [&mut upload, &mut call] {
        let answer = read_all(stream).await;
        let begin = "HTTP/1.1 408 Request Timeout\r\n";
        assert!(answer.starts_with(begin), "{answer}");
        assert!(answer.contains("x-request-id: "), "{answer}");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["error_code"], "DEADLINE_EXCEEDED");
        let told = "nothing more of the request came for 1 seconds";
        assert_eq!(body["message"], told);
    }
    assert!(begun.elapsed() >= LIMIT);
    assert_eq!(server.in_flight().await, 0);
    let bench = server.stop().await;
    let found = bench.tracking.find_artifact("0/x.bin").await.unwrap();
    assert_eq!(found, None);
}

#[tokio::test]
async fn an_upload_that_goes_on_may_take_longer_than_the_limit() {
    let server = Listening::start().await;
    let begun = Instant::now();
    let mut stream = server.connect().await;
    stream.write_all(&put("0/x.bin", 12)).await.unwrap();
    for _ in 0..12 {
        tokio::time::sleep(STEP).await;
        stream.write_all(b"x").await.unwrap();
    }
    let answer = read_all(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(begun.elapsed() > LIMIT * 2);
    let bench = server.stop().await;
    let kept = bench.tracking.find_artifact("0/x.bin").await.unwrap();
    assert_eq!(kept.unwrap().size_bytes, 12);
}

/// Asks for an artifact by a socket that the system gives little room.
async fn ask_for_much(server: &Listening, size: usize) -> TcpStream {
    let content: Vec<u8> = (0..size).map(|at| (at % 253) as u8).collect();
    let mut stream = server.connect().await;
    stream.write_all(&put("0/x.bin", size)).await.unwrap();
    stream.write_all(&content).await.unwrap();
    assert!(read_all(&mut stream).await.starts_with("HTTP/1.1 200 OK"));
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 << 10).unwrap();
    let mut stream = socket.connect(server.address).await.unwrap();
    let head =
        format!("GET {PROXY}/0/x.bin HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_is_left() {
    let server = Listening::start().await;
    let mut stream = ask_for_much(&server, 40 << 20).await;
    tokio::time::sleep(LIMIT / 2).await;
    assert_eq!(server.in_flight().await, 1);
    let begun = Instant::now();
    while server.in_flight().await > 0 {
        assert!(begun.elapsed() < LONG, "it is waited for");
        tokio::time::sleep(STEP).await;
    }
    // What the system had on its way comes, and the rest does not.
    let mut read = Vec::new();
    let _ = stream.read_to_end(&mut read).await;
    assert!(read.len() < 40 << 20);
    server.stop().await;
}

#[tokio::test]
async fn a_download_that_goes_on_may_take_longer_than_the_limit() {
    let server = Listening::start().await;
    let size = 24 << 20;
    let mut stream = ask_for_much(&server, size).await;
    let begun = Instant::now();
    let mut part = vec![0; 2 << 20];
    let mut read = 0;
    loop {
        let length = stream.read(&mut part).await.unwrap();
        if length == 0 {
            break;
        }
        read += length;
        if begun.elapsed() < LIMIT * 3 {
            tokio::time::sleep(STEP / 5).await;
        }
    }
    assert!(read > size, "{read}");
    assert!(begun.elapsed() > LIMIT * 2);
    server.stop().await;
}

#[tokio::test]
async fn an_answer_that_is_not_found_in_time_is_given_up() {
    let server = Listening::start().await;
    let id = "tr-0af7651916cd43dd8448eb211c80319c";
    let trace = serde_json::json!({"trace": {"trace_info": {
        "trace_id": id,
        "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}},
        "request_time": "2026-01-01T00:00:00Z",
        "state": "OK",
    }}});
    let body = trace.to_string();
    let mut stream = server.connect().await;
    let head = format!(
        "POST /api/3.0/mlflow/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    assert!(read_all(&mut stream).await.starts_with("HTTP/1.1 200 OK"));
    // Its spans are waited for, three seconds.
    let path = format!("/api/3.0/mlflow/traces/get?trace_id={id}");
    let answer = server.ask(&path).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("retry-after: 1"), "{answer}");
    assert!(answer.contains("TEMPORARILY_UNAVAILABLE"), "{answer}");
    assert!(answer.contains("no answer within 1 seconds"), "{answer}");
    server.stop().await;
}
