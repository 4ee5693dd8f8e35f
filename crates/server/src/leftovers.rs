//! Bodies of requests that nobody read to their end, such as those of requests that were refused by their heads.
//!
//! What is left of one is no next request, so that `hyper` closes the connection where it has not come yet. A client that
//! is not told sends its next request there and gets no answer to it.
//!
//! *Source*: RFC 9112, sections 9.3 and 9.6.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use http_body::{Frame, SizeHint};

/// The longest rest that is waited for, so that the connection goes on: what clients of the API send in one piece.
const WAITED_FOR_BYTES: u64 = 64 << 10;

/// How long: the body follows its head at once, or is none that is worth it.
const WAITING_TIME: Duration = Duration::from_secs(1);

/// Reads what is left of a body, or says in the answer that the connection closes.
pub(crate) async fn clear(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    // A client that asks first would be told to send what nobody wants.
    let asks_first = request.headers().contains_key(header::EXPECT);
    let (parts, body) = request.into_parts();
    let shared = SharedBody(Arc::new(Mutex::new(body)));
    let left = shared.clone();
    let request = Request::from_parts(parts, Body::new(shared));
    let mut response = next.run(request).await;
    if !left.is_end_stream() && (asks_first || !left.read_rest().await) {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

/// The body of a request, which outlives whoever handles that.
#[derive(Clone)]
struct SharedBody(Arc<Mutex<Body>>);

impl SharedBody {
    fn with<T>(&self, work: impl FnOnce(&mut Body) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads what is left, where that is little and comes soon; whether the end was reached.
    async fn read_rest(self) -> bool {
        let longest = HttpBody::size_hint(&self).upper();
        if longest.is_none_or(|longest| longest > WAITED_FOR_BYTES) {
            return false;
        }
        let rest = Body::new(self).into_data_stream();
        let reading = rest.try_for_each(|_| std::future::ready(Ok(())));
        let read = tokio::time::timeout(WAITING_TIME, reading).await;
        read.is_ok_and(|read| read.is_ok())
    }
}

impl HttpBody for SharedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.with(|body| Pin::new(body).poll_frame(context))
    }

    fn is_end_stream(&self) -> bool {
        self.with(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.with(|body| HttpBody::size_hint(body))
    }
}
