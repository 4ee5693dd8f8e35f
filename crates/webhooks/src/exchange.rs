//! One request and its answer, over a connection that is used for nothing else.
//!
//! Written by hand, since it is one form of request, and since libraries write the names of headers in small letters:
//! names have no case in HTTP, but there are receivers that look for them as MLflow writes them.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, timeout_at};

use crate::target::Target;

/// How much of an answer's body is kept.
pub(crate) const LARGEST_ANSWER_BYTES: usize = 64 * 1024;

/// How long the head of an answer may be.
const LARGEST_HEAD_BYTES: usize = 32 * 1024;

/// How many headers an answer may have.
const MOST_HEADERS: usize = 100;

/// How much is read to learn of the body: one that comes in chunks of one byte takes six for each.
const LARGEST_READ_BYTES: usize = 2 * LARGEST_ANSWER_BYTES;

const USER_AGENT: &str = concat!("reproof/", env!("CARGO_PKG_VERSION"));

/// What a request says.
pub(crate) struct Message<'m> {
    pub(crate) delivery: &'m str,
    /// Seconds since the epoch.
    pub(crate) unix_time: &'m str,
    pub(crate) signature: Option<&'m str>,
    pub(crate) body: &'m str,
}

/// What a receiver answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// How long it asks to be left alone, in milliseconds.
    pub(crate) retry_after_ms: Option<u64>,
    /// The begin of the body.
    pub(crate) body: String,
}

/// Why a connection gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    #[error("it broke off: {0}")]
    BrokenOff(#[from] std::io::Error),
    #[error("it closed without an answer")]
    Closed,
    #[error("what it answered is not HTTP: {0}")]
    NotHttp(#[from] httparse::Error),
    #[error("the head of its answer is longer than {LARGEST_HEAD_BYTES} bytes")]
    LongHead,
}

/// Sends a message and reads the answer; of the body, as much as comes until the deadline.
pub(crate) async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    target: &Target,
    message: &Message<'_>,
    deadline: Instant,
) -> Result<Answer, ExchangeError> {
    stream.write_all(&write_request(target, message)).await?;
    stream.flush().await?;
    let mut read = Vec::new();
    let head = loop {
        if let Some(head) = Head::find(&read)? {
            if head.status >= 200 {
                break head;
            }
            // It says that it goes on, which it does.
            read.drain(..head.length);
            continue;
        }
        if read.len() > LARGEST_HEAD_BYTES {
            return Err(ExchangeError::LongHead);
        }
        if stream.read_buf(&mut read).await? == 0 {
            return Err(ExchangeError::Closed);
        }
    };
    read.drain(..head.length);
    while !head.body.is_whole(&read) && read.len() < LARGEST_READ_BYTES {
        let reading = stream.read_buf(&mut read);
        match timeout_at(deadline, reading).await {
            Ok(Ok(1..)) => {}
            _ => break,
        }
    }
    let mut body = head.body.decode(read);
    body.truncate(LARGEST_ANSWER_BYTES);
    Ok(Answer {
        status: head.status,
        retry_after_ms: head.retry_after_ms,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

/// A target holds neither blanks nor control characters, and the rest is ours: no line can be slipped in.
fn write_request(target: &Target, message: &Message<'_>) -> Vec<u8> {
    let Message {
        delivery,
        unix_time,
        signature,
        body,
    } = message;
    let signed = match signature {
        Some(signature) => format!("X-MLflow-Signature: {signature}\r\n"),
        None => String::new(),
    };
    let request = format!(
        "POST {} HTTP/1.1\r\n\
         Host: {}\r\n\
         User-Agent: {USER_AGENT}\r\n\
         Accept: */*\r\n\
         Connection: close\r\n\
         Content-Type: application/json\r\n\
         X-MLflow-Delivery-Id: {delivery}\r\n\
         X-MLflow-Timestamp: {unix_time}\r\n\
         {signed}Content-Length: {}\r\n\
         \r\n\
         {body}",
        target.path,
        target.authority,
        body.len()
    );
    request.into_bytes()
}

/// The head of an answer.
struct Head {
    status: u16,
    retry_after_ms: Option<u64>,
    body: Body,
    /// How long it was.
    length: usize,
}

/// How the end of a body is known.
enum Body {
    Counted(usize),
    Chunked,
    /// By the end of the connection.
    Open,
}

impl Head {
    /// Reads the head of an answer; none where it is not whole yet.
    fn find(read: &[u8]) -> Result<Option<Self>, ExchangeError> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(length) = response.parse(read)? else {
            return Ok(None);
        };
        let status = response.code.unwrap_or_default();
        let find = |name: &str| {
            let mut named = response.headers.iter();
            let found = named.find(|header| header.name.eq_ignore_ascii_case(name))?;
            std::str::from_utf8(found.value).ok().map(str::trim)
        };
        let is_chunked = find("transfer-encoding")
            .is_some_and(|coding| coding.to_ascii_lowercase().ends_with("chunked"));
        let counted = find("content-length").and_then(|length| length.parse().ok());
        let body = match counted {
            _ if matches!(status, 204 | 304) => Body::Counted(0),
            _ if is_chunked => Body::Chunked,
            Some(length) => Body::Counted(length),
            None => Body::Open,
        };
        // Seconds only: a date would have to be compared with a clock that the receiver does not know.
        let retry_after = find("retry-after").and_then(|seconds| seconds.parse::<u64>().ok());
        Ok(Some(Self {
            status,
            retry_after_ms: retry_after.map(|seconds| seconds.saturating_mul(1000)),
            body,
            length,
        }))
    }
}

impl Body {
    fn is_whole(&self, read: &[u8]) -> bool {
        match self {
            Self::Counted(length) => read.len() >= *length,
            Self::Chunked => read == b"0\r\n\r\n" || read.ends_with(b"\r\n0\r\n\r\n"),
            Self::Open => false,
        }
    }

    /// The bytes of a body, as far as they were read.
    fn decode(&self, mut read: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Counted(length) => {
                read.truncate(*length);
                read
            }
            Self::Chunked => decode_chunks(&read),
            Self::Open => read,
        }
    }
}

/// Puts chunks together until one that is last, broken or not whole.
fn decode_chunks(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(httparse::Status::Complete((start, length @ 1..))) =
        httparse::parse_chunk_size(rest)
    {
        rest = &rest[start..];
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        body.extend_from_slice(&rest[..rest.len().min(length)]);
        // Behind each stands the end of a line.
        match length.checked_add(2).and_then(|end| rest.get(end..)) {
            Some(next) => rest = next,
            None => break,
        }
    }
    body
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// What comes of an answer that arrives in these pieces.
    async fn read(pieces: &[&[u8]], is_closed: bool) -> Result<Answer, ExchangeError> {
        let target = Target::read("http://a.example/x", &["http".to_owned()]).unwrap();
        let (ours, mut theirs) = tokio::io::duplex(1 << 20);
        let message = Message {
            delivery: "d",
            unix_time: "1",
            signature: None,
            body: "{}",
        };
        let deadline = Instant::now() + Duration::from_millis(100);
        let answering = async {
            for piece in pieces {
                theirs.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            if is_closed {
                theirs.shutdown().await.unwrap();
            }
            theirs
        };
        let (answer, _theirs) =
            tokio::join!(exchange(ours, &target, &message, deadline), answering);
        answer
    }

    fn told(status: u16, retry_after_ms: Option<u64>, body: &str) -> Answer {
        Answer {
            status,
            retry_after_ms,
            body: body.to_owned(),
        }
    }

    #[test]
    fn names_of_headers_are_written_as_mlflow_writes_them() {
        let target = Target::read("https://a.example:8443/x?y", &["https".to_owned()]).unwrap();
        let message = Message {
            delivery: "d-1",
            unix_time: "1795799288",
            signature: Some("v1,abc="),
            body: "{\"a\": 1}",
        };
        let request = String::from_utf8(write_request(&target, &message)).unwrap();
        let expected = format!(
            "POST /x?y HTTP/1.1\r\nHost: a.example:8443\r\nUser-Agent: {USER_AGENT}\r\nAccept: */*\r\n\
             Connection: close\r\nContent-Type: application/json\r\nX-MLflow-Delivery-Id: d-1\r\n\
             X-MLflow-Timestamp: 1795799288\r\nX-MLflow-Signature: v1,abc=\r\nContent-Length: 8\r\n\r\n{{\"a\": 1}}"
        );
        assert_eq!(request, expected);
    }

    #[tokio::test]
    async fn an_answer_is_read_in_every_form_that_http_has() {
        let counted: &[&[u8]] = &[
            b"HTTP/1.1 200 OK\r\nContent-",
            b"Length: 5\r\n\r\nhel",
            b"lo, more",
        ];
        assert_eq!(
            read(counted, false).await.unwrap(),
            told(200, None, "hello")
        );
        let chunked: &[&[u8]] = &[
            b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\nRetry-After: 7\r\n\r\n3\r\nhel\r",
            b"\n2;x=1\r\nlo\r\n0\r\n\r\n",
        ];
        assert_eq!(
            read(chunked, false).await.unwrap(),
            told(503, Some(7000), "hello")
        );
        let open: &[&[u8]] = &[b"HTTP/1.0 404 Not Found\r\n\r\nhe", b"llo"];
        assert_eq!(read(open, true).await.unwrap(), told(404, None, "hello"));
        let goes_on: &[&[u8]] = &[
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n",
            b"HTTP/1.1 204 No Content\r\n\r\n",
        ];
        assert_eq!(read(goes_on, false).await.unwrap(), told(204, None, ""));
    }

    #[tokio::test]
    async fn a_body_that_does_not_end_is_as_long_as_it_came() {
        let cut: &[&[u8]] = &[b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhello"];
        assert_eq!(read(cut, true).await.unwrap(), told(200, None, "hello"));
        assert_eq!(read(cut, false).await.unwrap(), told(200, None, "hello"));
        let cut: &[&[u8]] = &[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhello"];
        assert_eq!(read(cut, false).await.unwrap(), told(200, None, "hello"));
        let huge = b"x".repeat(1 << 19);
        let long: &[&[u8]] = &[b"HTTP/1.1 200 OK\r\n\r\n", &huge];
        let body = read(long, false).await.unwrap().body;
        assert_eq!(body.len(), LARGEST_ANSWER_BYTES);
        let huge_chunk: &[&[u8]] =
            &[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx"];
        assert_eq!(read(huge_chunk, true).await.unwrap().body, "x");
    }

    #[test]
    fn no_bytes_make_the_reader_panic() {
        let random = testkit::SeededRandom::new(1);
        let pieces: [&[u8]; 12] = [
            b"HTTP/1.1 200 OK\r\n",
            b"Content-Length: ",
            b"Transfer-Encoding: chunked",
            b"Retry-After: ",
            b"\r\n",
            b"0",
            b"99999999999999999999",
            b"-1",
            b"f",
            b";",
            b"\xff\x00",
            b"x",
        ];
        for _ in 0..20_000 {
            let count = random.below(14);
            let chosen = (0..count).map(|_| pieces[random.below(pieces.len() as u64) as usize]);
            let bytes = chosen.collect::<Vec<_>>().concat();
            if let Ok(Some(head)) = Head::find(&bytes) {
                let rest = bytes[head.length..].to_vec();
                head.body.is_whole(&rest);
                assert!(head.body.decode(rest.clone()).len() <= rest.len());
            }
            assert!(decode_chunks(&bytes).len() <= bytes.len());
        }
    }

    #[tokio::test]
    async fn what_is_no_answer_is_told_as_such() {
        let closed = read(&[b"HTTP/1.1 200"], true).await.unwrap_err();
        assert!(matches!(closed, ExchangeError::Closed), "{closed}");
        let other = read(&[b"SSH-2.0-OpenSSH\r\n\r\n"], true).await.unwrap_err();
        assert!(matches!(other, ExchangeError::NotHttp(_)), "{other}");
        let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(40_000));
        let long = read(&[endless.as_bytes()], false).await.unwrap_err();
        assert!(matches!(long, ExchangeError::LongHead), "{long}");
    }
}
