//! Taking a file in: frame by frame, never whole.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use bytes::{Buf as _, Bytes};
use cas::CasError;
use entities::{Artifact, Caller};
use futures_util::StreamExt as _;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc;

use crate::app::App;
use crate::error::RequestError;
use crate::spans;

/// Frames that wait for the disk; the client waits when there are more. Frames have 8 to 400 KB.
const FRAMES_MAX: usize = 8;

/// Keeps a body as an object and names it; nothing is named where the body breaks off.
pub(super) async fn receive(
    app: &App,
    caller: &Caller,
    path: String,
    body: Body,
) -> Result<(), RequestError> {
    let (sender, frames) = mpsc::channel(FRAMES_MAX);
    let cas = app.tracking.cas().clone();
    let storing = spans::on_thread("artifact.store", move || {
        let stored = cas.store(&mut FrameReader::new(frames))?;
        Ok::<_, CasError>(stored)
    });
    let is_whole = pass_on(body, sender, &app.figures.received).await;
    let stored = storing.await.map_err(|_| RequestError::BrokenOff {
        what: "storing an artifact",
    })?;
    if !is_whole {
        // What the reader was told of it is the same fault once more.
        return Err(stored.map_or(RequestError::BrokenBody, |_| RequestError::BrokenBody));
    }
    let stored = stored?;
    let artifact = Artifact {
        path,
        object: stored.object,
        size_bytes: stored.size_bytes,
    };
    app.tracking.put_artifacts(caller, vec![artifact]).await?;
    Ok(())
}

/// As `receive`, of a body that may have so many bytes at most.
pub(super) async fn receive_small(
    app: &App,
    caller: &Caller,
    path: String,
    body: Body,
    limit_bytes: u64,
) -> Result<(), RequestError> {
    let is_too_long = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&is_too_long);
    let mut left = limit_bytes;
    let cut = body.into_data_stream().map(move |frame| {
        let frame = frame.map_err(io::Error::other)?;
        left = left.checked_sub(frame.len() as u64).ok_or_else(|| {
            noted.store(true, Ordering::Relaxed);
            io::Error::from(io::ErrorKind::FileTooLarge)
        })?;
        Ok::<_, io::Error>(frame)
    });
    let received = receive(app, caller, path, Body::from_stream(cut)).await;
    if is_too_long.load(Ordering::Relaxed) {
        return Err(RequestError::LargeUpload);
    }
    received
}

/// Passes the frames on; tells whether the body came to its end.
async fn pass_on(body: Body, sender: mpsc::Sender<Frame>, received: &Counter) -> bool {
    let mut frames = body.into_data_stream();
    while let Some(frame) = frames.next().await {
        let Ok(frame) = frame else { return false };
        received.inc_by(frame.len() as u64);
        // Where nobody receives, storing has failed and says itself why.
        if sender.send(Frame::Data(frame)).await.is_err() {
            return true;
        }
    }
    // Its failing means the same.
    let _ = sender.send(Frame::End).await;
    true
}

enum Frame {
    Data(Bytes),
    /// The body is whole. Without it the client has gone, and what came is not a file.
    End,
}

/// Reads what another task passes on.
struct FrameReader {
    frames: mpsc::Receiver<Frame>,
    rest: Bytes,
    is_ended: bool,
}

impl FrameReader {
    fn new(frames: mpsc::Receiver<Frame>) -> Self {
        Self {
            frames,
            rest: Bytes::new(),
            is_ended: false,
        }
    }
}

impl Read for FrameReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() && !self.is_ended {
            match self.frames.blocking_recv() {
                Some(Frame::Data(frame)) => self.rest = frame,
                Some(Frame::End) => self.is_ended = true,
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        let length = self.rest.len().min(buffer.len());
        self.rest.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use futures_util::stream;

    use super::*;

    fn read_all(frames: Vec<Frame>) -> io::Result<Vec<u8>> {
        let (sender, receiver) = mpsc::channel(16);
        for frame in frames {
            sender.try_send(frame).unwrap();
        }
        drop(sender);
        let mut read = Vec::new();
        FrameReader::new(receiver).read_to_end(&mut read)?;
        Ok(read)
    }

    #[test]
    fn only_a_body_with_its_end_is_a_file() {
        let data = |text: &'static str| Frame::Data(Bytes::from_static(text.as_bytes()));
        let whole = vec![data("ab"), data(""), data("c"), Frame::End];
        assert_eq!(read_all(whole).unwrap(), b"abc");
        assert_eq!(read_all(vec![Frame::End]).unwrap(), b"");
        let broken = read_all(vec![data("ab")]).unwrap_err();
        assert_eq!(broken.kind(), io::ErrorKind::UnexpectedEof);
        assert!(read_all(Vec::new()).is_err());
    }
    #[tokio::test]
    async fn a_client_waits_for_a_disk_that_is_slower() {
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let endless = stream::repeat_with(move || {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok::<_, io::Error>(Bytes::from_static(b"frame"))
        });
        let (sender, frames) = mpsc::channel(FRAMES_MAX);
        let received = Counter::default();
        let passing = pass_on(Body::from_stream(endless), sender, &received);
        let waited = tokio::time::timeout(Duration::from_millis(50), passing).await;
        assert!(waited.is_err(), "an endless body came to its end");
        assert_eq!(asked.load(Ordering::Relaxed), FRAMES_MAX + 1);
        drop(frames);
    }
}
