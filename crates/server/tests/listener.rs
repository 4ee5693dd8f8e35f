//! A real listener: what is under way when it closes, and clients that go away.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use server::Scope;
use support::{PROXY, options};
use testkit::TestBench;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// Begins an upload of 8 bytes and sends 4 of them.
async fn half_an_upload(listener: &TcpListener) -> TcpStream {
    let mut stream = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let head = format!(
        "PUT {PROXY}/0/x.txt HTTP/1.1\r\nhost: localhost\r\ncontent-length: 8\r\nconnection: close\r\n\r\nhalf"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn an_upload_that_is_under_way_at_the_end_is_answered() {
    let bench = TestBench::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut stream = half_an_upload(&listener).await;
    let (closing, closes) = oneshot::channel::<()>();
    let serving = server::serve(listener, options(&bench, Scope::Team), async {
        let _ = closes.await;
    });
    let client = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        closing.send(()).unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        stream.write_all(b"more").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let (served, answer) = tokio::join!(serving, client);
    served.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    let kept = bench
        .tracking
        .find_artifact("0/x.txt")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        bench.tracking.cas().read(&kept.object).unwrap(),
        b"halfmore"
    );
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_nothing_and_holds_nothing_up() {
    let bench = TestBench::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = half_an_upload(&listener).await;
    let (closing, closes) = oneshot::channel::<()>();
    let serving = server::serve(listener, options(&bench, Scope::Team), async {
        let _ = closes.await;
    });
    let client = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(stream);
        tokio::time::sleep(Duration::from_millis(100)).await;
        closing.send(()).unwrap();
    };
    let both = async { tokio::join!(serving, client) };
    let (served, ()) = tokio::time::timeout(Duration::from_secs(10), both)
        .await
        .unwrap();
    served.unwrap();
    assert_eq!(bench.tracking.find_artifact("0/x.txt").await.unwrap(), None);
}

/// Sends a request by its head and its body, apart, on a connection that is kept; tells the answer's head, and whether a
/// second request is answered on it.
async fn ask_twice(address: SocketAddr, host: &str, body_after: Duration) -> (String, bool) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let body = r#"{"name": "kept"}"#;
    let head = format!(
        "POST /api/2.0/mlflow/experiments/create HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut buffer = vec![0; 4096];
    stream.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(body_after).await;
    // Whoever was refused may be gone.
    let _ = stream.write_all(body.as_bytes()).await;
    let count = stream.read(&mut buffer).await.unwrap();
    let answer = String::from_utf8_lossy(&buffer[..count]).to_lowercase();
    let _ = stream
        .write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await;
    let is_kept = stream.read(&mut buffer).await.is_ok_and(|count| count > 0);
    (answer, is_kept)
}

#[tokio::test]
async fn a_connection_goes_on_after_a_refusal_or_is_said_to_close() {
    let bench = TestBench::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (closing, closes) = oneshot::channel::<()>();
    let client = async {
        let (soon, too_late) = (Duration::from_millis(100), Duration::from_millis(1500));
        let answers = [
            ask_twice(address, "localhost", soon).await,
            ask_twice(address, "evil.example", soon).await,
            ask_twice(address, "evil.example", too_late).await,
        ];
        closing.send(()).unwrap();
        answers
    };
    let serving = server::serve(listener, options(&bench, Scope::Team), async {
        let _ = closes.await;
    });
    let (served, answers) = tokio::join!(serving, client);
    served.unwrap();
    let expected = [("200", true), ("403", true), ("403", false)];
    for ((answer, goes_on), (status, expected)) in answers.into_iter().zip(expected) {
        assert!(
            answer.starts_with(&format!("http/1.1 {status}")),
            "{answer}"
        );
        assert_eq!(goes_on, expected, "{answer}");
        let is_said_to_close = answer.contains("\r\nconnection: close\r\n");
        assert_eq!(is_said_to_close, !expected, "{answer}");
    }
}

/// What is long is not read to be thrown away.
#[tokio::test]
async fn a_refused_upload_is_answered_at_once_and_its_connection_closes() {
    let bench = TestBench::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (closing, closes) = oneshot::channel::<()>();
    let client = async {
        let mut told = Vec::new();
        for more in [
            "content-length: 1000000000",
            "content-length: 5\r\nexpect: 100-continue",
        ] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let head =
                format!("PUT {PROXY}/0/x.txt HTTP/1.1\r\nhost: evil.example\r\n{more}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            told.push(answer.to_lowercase());
        }
        closing.send(()).unwrap();
        told
    };
    let serving = server::serve(listener, options(&bench, Scope::Team), async {
        let _ = closes.await;
    });
    let both = async { tokio::join!(serving, client) };
    let (served, told) = tokio::time::timeout(Duration::from_secs(10), both)
        .await
        .unwrap();
    served.unwrap();
    for answer in told {
        assert!(answer.starts_with("http/1.1 403"), "{answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    }
}
