//! How long a request may stand still.
//!
//! What counts is idleness, not time: an upload of hours goes on as long as something comes. The head of a request and
//! what is sent are limited where connections are (`serve`); here it is the body, and the answer after it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;

use crate::app::App;
use crate::error::RequestError;

/// Gives up on a request whose body does not come on, or whose answer does not come, for as long as the limit.
pub(crate) async fn limit(State(app): State<App>, request: Request, next: Next) -> Response {
    let Some(limit) = app.idle_limit else {
        return next.run(request).await;
    };
    let path = request.uri().path().to_owned();
    let progress = Arc::new(Progress::new());
    let watched = Arc::clone(&progress);
    let request = request.map(|body| {
        Body::new(WatchedBody {
            body,
            progress: watched,
        })
    });
    let waited_for = tokio::select! {
        response = next.run(request) => return response,
        waited_for = progress.stop(limit) => waited_for,
    };
    let limit_seconds = limit.as_secs_f64();
    match waited_for {
        Awaited::Client => {
            let mut response = RequestError::SlowBody { limit_seconds }.into_response();
            // The rest of the body is not waited for either.
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
            response
        }
        Awaited::Server => {
            tracing::warn!(path, limit_seconds, "a request was given up");
            RequestError::SlowAnswer { limit_seconds }.into_response()
        }
    }
}

/// Whose turn it was when a request was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    Client,
    Server,
}

/// When something last moved.
struct Progress {
    begun: Instant,
    /// In milliseconds since then.
    moved_at_ms: AtomicU64,
    /// Whether the handler waits for more of the body.
    waits_for_client: AtomicBool,
}

impl Progress {
    fn new() -> Self {
        Self {
            begun: Instant::now(),
            moved_at_ms: AtomicU64::new(0),
            waits_for_client: AtomicBool::new(false),
        }
    }

    fn note_move(&self) {
        let since = self.begun.elapsed().as_millis();
        let since = u64::try_from(since).unwrap_or(u64::MAX);
        self.moved_at_ms.store(since, Ordering::Relaxed);
        self.waits_for_client.store(false, Ordering::Relaxed);
    }

    /// Waits until nothing has moved for as long as the limit.
    async fn stop(&self, limit: Duration) -> Awaited {
        loop {
            let moved_at = Duration::from_millis(self.moved_at_ms.load(Ordering::Relaxed));
            let end = self.begun + moved_at + limit;
            if Instant::now() >= end {
                break;
            }
            tokio::time::sleep_until(end).await;
        }
        if self.waits_for_client.load(Ordering::Relaxed) {
            Awaited::Client
        } else {
            Awaited::Server
        }
    }
}

/// The body of a request, of which it is noted when it moves.
struct WatchedBody {
    body: Body,
    progress: Arc<Progress>,
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match polled {
            Poll::Ready(_) => self.progress.note_move(),
            Poll::Pending => self
                .progress
                .waits_for_client
                .store(true, Ordering::Relaxed),
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for WatchedBody {
    fn drop(&mut self) {
        self.progress.note_move();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn a_handler_that_has_the_body_is_waited_for_itself() {
        let progress = Arc::new(Progress::new());
        let watched = WatchedBody {
            body: Body::empty(),
            progress: Arc::clone(&progress),
        };
        progress.waits_for_client.store(true, Ordering::Relaxed);
        drop(watched);
        assert_eq!(progress.stop(LIMIT).await, Awaited::Server);
    }
}
