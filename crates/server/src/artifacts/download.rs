//! Sending a file: chunk by chunk, never whole.

use std::io::Read;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use cas::{Cas, CasError};
use entities::{Artifact, ObjectId};
use futures_util::{StreamExt as _, stream};
use locations::Located;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc;
use tracking::TrackingError;

use super::File;
use super::media::{attachment, media_type};
use super::range::{Part, read_range};
use crate::app::App;
use crate::error::{RequestError, tell};
use crate::spans;
use crate::wire::Sent;

/// What is read and sent at once.
pub(super) const CHUNK_BYTES: u64 = 256 << 10;

/// Chunks that wait for the client.
const CHUNKS_MAX: usize = 4;

/// Answers with the content of an artifact, or a part of it.
pub(super) async fn send(app: &App, artifact: Artifact, headers: &HeaderMap) -> File {
    let Artifact {
        path,
        object,
        size_bytes,
    } = artifact;
    let cas = app.tracking.cas().clone();
    let sent = app.figures.sent.clone();
    let asked = match Asked::read(headers, &object.to_string(), size_bytes) {
        Ok(asked) => asked,
        Err(answer) => return Ok(Sent::new(*answer)),
    };
    let body = match asked.part {
        Some((offset, length)) => open_range(cas, object, offset, length, sent).await?,
        None => open(cas, object, sent).await?,
    };
    Ok(Sent::new(asked.answer(&path, body)))
}

/// Likewise with a file where clients write. Its content is not known by a digest; its tag changes with it.
pub(super) async fn send_located(
    app: &App,
    path: &str,
    file: Box<dyn Located>,
    headers: &HeaderMap,
) -> File {
    let asked = match Asked::read(headers, file.tag(), file.size_bytes()) {
        Ok(asked) => asked,
        Err(answer) => return Ok(Sent::new(*answer)),
    };
    let (offset, length) = asked.part.unwrap_or((0, asked.size_bytes));
    let body = pump(app.figures.sent.clone(), move |chunks| {
        let mut reader = file.read(offset, length).map_err(TrackingError::from)?;
        send_checked(&mut reader, chunks);
        Ok::<_, RequestError>(())
    });
    let body = body.await?;
    Ok(Sent::new(asked.answer(path, body)))
}

/// What a client asks for of a file.
struct Asked {
    tag: String,
    size_bytes: u64,
    /// Offset and length, where it is a part.
    part: Option<(u64, u64)>,
}

impl Asked {
    /// Reads it; the error is the answer where nothing of the content is to be sent.
    fn read(headers: &HeaderMap, tag: &str, size_bytes: u64) -> Result<Self, Box<Response>> {
        let tag = format!("\"{tag}\"");
        if names_tag(headers, header::IF_NONE_MATCH, &tag) {
            let mut response = StatusCode::NOT_MODIFIED.into_response();
            insert(&mut response, header::ETAG, &tag);
            return Err(Box::new(response));
        }
        let part = match headers.get(header::IF_RANGE) {
            Some(_) if !names_tag(headers, header::IF_RANGE, &tag) => Part::Whole,
            _ => {
                let range = headers.get(header::RANGE);
                read_range(range.and_then(|range| range.to_str().ok()), size_bytes)
            }
        };
        let part = match part {
            Part::Whole => None,
            Part::Bytes { offset, length } => Some((offset, length)),
            Part::Outside => {
                let mut response = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
                let range = format!("bytes */{size_bytes}");
                insert(&mut response, header::CONTENT_RANGE, &range);
                return Err(Box::new(response));
            }
        };
        Ok(Self {
            tag,
            size_bytes,
            part,
        })
    }

    fn answer(self, path: &str, body: Body) -> Response {
        let Self {
            tag,
            size_bytes,
            part,
        } = self;
        let mut response = body.into_response();
        let mut length = size_bytes;
        if let Some((offset, part_bytes)) = part {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let last = offset + part_bytes - 1;
            let range = format!("bytes {offset}-{last}/{size_bytes}");
            insert(&mut response, header::CONTENT_RANGE, &range);
            length = part_bytes;
        }
        insert(&mut response, header::CONTENT_LENGTH, &length.to_string());
        let name = path.rsplit('/').next().unwrap_or(path);
        insert(&mut response, header::CONTENT_TYPE, media_type(name));
        insert(
            &mut response,
            header::CONTENT_DISPOSITION,
            &attachment(name),
        );
        insert(&mut response, header::ACCEPT_RANGES, "bytes");
        insert(&mut response, header::ETAG, &tag);
        response
    }
}

pub(super) fn insert(response: &mut Response, name: header::HeaderName, value: &str) {
    // All values that come here are ASCII without control characters; one that is not is left out.
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// Whether a header names the tag of what is there, or any.
fn names_tag(headers: &HeaderMap, name: header::HeaderName, tag: &str) -> bool {
    let listed = headers.get_all(name);
    let mut tags = listed
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    tags.any(|found| {
        let found = found.trim();
        found == "*" || found.strip_prefix("W/").unwrap_or(found) == tag
    })
}

/// A whole object, checked while it is read: the reader fails at its end where the content is not what it should be.
///
/// A chunk is sent when the next has been read, so that the last goes out only where the whole was right: of damaged
/// content the client gets an answer that breaks off, and no file.
async fn open(cas: Cas, object: ObjectId, sent: Counter) -> Result<Body, RequestError> {
    pump(sent, move |chunks| {
        let mut reader = cas.reader(&object)?;
        send_checked(&mut reader, chunks);
        Ok::<_, CasError>(())
    })
    .await
}

fn send_checked(reader: &mut dyn Read, chunks: &Chunks) {
    let mut waiting: Option<Bytes> = None;
    loop {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES as usize);
        if let Err(error) = reader.take(CHUNK_BYTES).read_to_end(&mut chunk) {
            return chunks.fail(&error);
        }
        let is_last = chunk.is_empty();
        if let Some(before) = waiting.replace(Bytes::from(chunk))
            && !chunks.send(before)
        {
            return;
        }
        if is_last {
            return;
        }
    }
}

/// A part of an object.
async fn open_range(
    cas: Cas,
    object: ObjectId,
    offset: u64,
    length: u64,
    sent: Counter,
) -> Result<Body, RequestError> {
    pump(sent, move |chunks| {
        let mut reader = cas.range_reader(&object, offset, length)?;
        send_part(&mut reader, length, chunks);
        Ok::<_, CasError>(())
    })
    .await
}

/// Sends a part as it is read; every piece of it was verified.
fn send_part(reader: &mut dyn Read, length: u64, chunks: &Chunks) {
    let mut left = length;
    while left > 0 {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES as usize);
        if let Err(error) = reader.take(CHUNK_BYTES.min(left)).read_to_end(&mut chunk) {
            return chunks.fail(&error);
        }
        if chunk.is_empty() {
            return chunks.fail(&std::io::Error::from(std::io::ErrorKind::UnexpectedEof));
        }
        left -= chunk.len() as u64;
        if !chunks.send(Bytes::from(chunk)) {
            return;
        }
    }
}

type Chunk = Result<Bytes, std::io::Error>;

/// Where a blocking task sends chunks to.
pub(super) struct Chunks(mpsc::Sender<Chunk>);

impl Chunks {
    pub(super) fn new(sender: mpsc::Sender<Chunk>) -> Self {
        Self(sender)
    }

    /// Tells whether anybody still wants more.
    pub(super) fn send(&self, chunk: Bytes) -> bool {
        self.0.blocking_send(Ok(chunk)).is_ok()
    }

    /// Breaks the answer off.
    pub(super) fn fail(&self, error: &(dyn std::error::Error + 'static)) {
        tracing::error!(error = %tell(error), "sending an artifact broke off");
        let broken = std::io::Error::other("the artifact cannot be read");
        // Where the client has gone, nobody is left to be told.
        let _ = self.0.blocking_send(Err(broken));
    }
}

/// Runs what reads on a thread of its own and waits for its first chunk, or for the error that comes instead.
pub(super) async fn pump<E: Into<RequestError> + Send + 'static>(
    sent: Counter,
    read: impl FnOnce(&Chunks) -> Result<(), E> + Send + 'static,
) -> Result<Body, RequestError> {
    let (sender, mut chunks) = mpsc::channel(CHUNKS_MAX);
    let reading = spans::on_thread("artifact.read", move || read(&Chunks::new(sender)));
    match chunks.recv().await {
        Some(Ok(first)) => {
            let rest = stream::unfold(chunks, |mut chunks| async move {
                chunks.recv().await.map(|chunk| (chunk, chunks))
            });
            let first = stream::once(std::future::ready(Ok(first)));
            let all = first.chain(rest).inspect(move |chunk| {
                let length = chunk.as_ref().map_or(0, Bytes::len);
                sent.inc_by(length as u64);
            });
            Ok(Body::from_stream(all))
        }
        // The fault is logged where it was met.
        Some(Err(_)) => Err(RequestError::BrokenOff {
            what: "reading an artifact",
        }),
        None => {
            let ended = reading.await.map_err(|_| RequestError::BrokenOff {
                what: "reading an artifact",
            })?;
            ended.map_err(Into::into)?;
            Ok(Body::empty())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// Gives so many bytes and then an error, as a reader that finds at the end that the content is another.
    struct Damaged {
        left: usize,
    }

    impl Read for Damaged {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.left == 0 {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let length = self.left.min(buffer.len());
            self.left -= length;
            Ok(length)
        }
    }

    fn sent(mut reader: impl Read) -> (usize, bool) {
        let (sender, mut receiver) = mpsc::channel(64);
        send_checked(&mut reader, &Chunks::new(sender));
        let (mut length, mut is_whole) = (0, true);
        while let Ok(chunk) = receiver.try_recv() {
            match chunk {
                Ok(chunk) => length += chunk.len(),
                Err(_) => is_whole = false,
            }
        }
        (length, is_whole)
    }

    #[test]
    fn damaged_content_is_never_sent_whole() {
        let chunk = CHUNK_BYTES as usize;
        for size in [1, chunk - 1, chunk, chunk + 1, 3 * chunk] {
            let (length, is_whole) = sent(Damaged { left: size });
            assert!(
                !is_whole && length < size,
                "{length} of {size} bytes were sent"
            );
        }
        for size in [0, 1, chunk, 3 * chunk + 5] {
            assert_eq!(sent(io::repeat(1).take(size as u64)), (size, true));
        }
    }
}
