//! Reading a request's body.

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{Method, header};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;

use super::decode::decode;
use crate::error::RequestError;

/// A body beyond this is refused. The largest that MLflow's limits allow is a dataset with a profile of 16,777,215
/// characters; this leaves room for the longest characters and for escapes.
const LARGEST_BODY_BYTES: usize = 64 << 20;

/// A request's body in its type.
pub(crate) struct Json<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = RequestError;

    async fn from_request(request: Request, _: &S) -> Result<Self, RequestError> {
        check_content_type(&request)?;
        let body = read_body(request.into_body()).await?;
        decode(&body).map(Self)
    }
}

/// MLflow asks for it where there must be a body.
fn check_content_type(request: &Request) -> Result<(), RequestError> {
    if !matches!(*request.method(), Method::POST | Method::PUT) {
        return Ok(());
    }
    let Some(found) = request.headers().get(header::CONTENT_TYPE) else {
        return Err(RequestError::NoContentType);
    };
    let found = found.to_str().unwrap_or_default();
    let essence = found.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(RequestError::OtherContentType)
    }
}

/// Reads a whole body that must not be long.
pub(crate) async fn read_body(body: Body) -> Result<Bytes, RequestError> {
    let read = read_body_within(body, LARGEST_BODY_BYTES).await?;
    read.ok_or(RequestError::BodyTooLarge {
        limit_bytes: LARGEST_BODY_BYTES,
    })
}

/// Likewise; none where it is longer than the limit.
pub(crate) async fn read_body_within(
    body: Body,
    limit_bytes: usize,
) -> Result<Option<Bytes>, RequestError> {
    let mut frames = body.into_data_stream();
    let mut collected = BytesMut::new();
    let mut first: Option<Bytes> = None;
    while let Some(frame) = frames.next().await {
        let frame = frame.map_err(|_| RequestError::BrokenBody)?;
        let length = first.as_ref().map_or(collected.len(), Bytes::len) + frame.len();
        if length > limit_bytes {
            return Ok(None);
        }
        // Most bodies are one frame, which is taken as it is.
        match first.take() {
            None if collected.is_empty() => first = Some(frame),
            None => collected.extend_from_slice(&frame),
            Some(begin) => {
                collected.extend_from_slice(&begin);
                collected.extend_from_slice(&frame);
            }
        }
    }
    Ok(Some(first.unwrap_or_else(|| collected.freeze())))
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn frames(frames: Vec<&'static [u8]>) -> Body {
        Body::from_stream(stream::iter(
            frames.into_iter().map(Ok::<_, std::io::Error>),
        ))
    }

    #[tokio::test]
    async fn frames_are_put_together_in_their_order() {
        assert_eq!(read_body(frames(vec![])).await.unwrap(), "");
        assert_eq!(read_body(frames(vec![b"ab"])).await.unwrap(), "ab");
        let body = frames(vec![b"", b"ab", b"", b"c", b"d"]);
        assert_eq!(read_body(body).await.unwrap(), "abcd");
    }

    #[tokio::test]
    async fn a_body_that_is_too_long_is_not_read_to_its_end() {
        static MEBIBYTE: [u8; 1 << 20] = [b' '; 1 << 20];
        let endless = stream::repeat_with(|| Ok::<_, std::io::Error>(&MEBIBYTE[..]));
        let refused = read_body(Body::from_stream(endless)).await;
        assert!(matches!(refused, Err(RequestError::BodyTooLarge { .. })));
    }
}
