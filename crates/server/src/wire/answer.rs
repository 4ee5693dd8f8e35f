//! Answers of success, which say by their type what is in them.

use std::marker::PhantomData;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::RequestError;

/// What a handler answers: a `T` in JSON, or an error.
pub(crate) type Answer<T = Empty> = Result<Told<T>, RequestError>;

/// An answer of success in JSON. What is sent is written already; `T` says what it is.
///
/// A view borrows from records that its handler holds, so it must be written before the handler ends, and cannot be
/// named outside of it with its own lifetime. Signatures name it as one that lives for ever. That is no other answer:
/// `T` stands where a function takes it, where a type that lives longer takes the place of one that lives shorter.
pub(crate) struct Told<T> {
    response: Response,
    form: PhantomData<fn(T)>,
}

/// Nothing to tell: the answer of most writes.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Empty {}

/// What is sent as it is, of a kind that `M` says.
pub(crate) struct Sent<M> {
    response: Response,
    kind: PhantomData<fn(M)>,
}

/// A kind of content that is no JSON.
pub(crate) trait Media {
    /// As the document of the API has it.
    const TYPE: &'static str;
    /// Statuses of success beside 200, and what they say.
    const ALSO: &'static [(&'static str, &'static str)] = &[];
}

/// A file, of any kind.
pub(crate) struct AnyFile;

/// An archive.
pub(crate) struct Archive;

/// A text.
pub(crate) struct Plain;

/// A page, or what MLflow sends as one.
pub(crate) struct Html;

/// A message of protobuf.
pub(crate) struct Protobuf;

impl Media for AnyFile {
    const TYPE: &'static str = "*/*";
    const ALSO: &'static [(&'static str, &'static str)] = &[
        ("206", "The part that was asked for"),
        ("304", "As it was"),
        ("416", "There is no such part"),
    ];
}

impl Media for Archive {
    const TYPE: &'static str = "application/zip";
}

impl Media for Plain {
    const TYPE: &'static str = "text/plain";
}

impl Media for Html {
    const TYPE: &'static str = "text/html";
}

impl Media for Protobuf {
    const TYPE: &'static str = "application/x-protobuf";
}

impl<T> Told<T> {
    /// One whose text is put together while it is sent. That it is a `T` is for tests to show.
    pub(crate) fn streamed(body: Body) -> Self {
        Self::new(body.into_response())
    }

    fn new(mut response: Response) -> Self {
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        Self {
            response,
            form: PhantomData,
        }
    }
}

impl<T> IntoResponse for Told<T> {
    fn into_response(self) -> Response {
        self.response
    }
}

impl<M> Sent<M> {
    pub(crate) fn new(response: Response) -> Self {
        Self {
            response,
            kind: PhantomData,
        }
    }
}

impl<M> IntoResponse for Sent<M> {
    fn into_response(self) -> Response {
        self.response
    }
}

/// The answer of most writes.
pub(crate) fn empty() -> Told<Empty> {
    Told::new(Bytes::from_static(b"{}").into_response())
}

/// An answer in JSON.
pub(crate) fn json<T: Serialize>(view: &T) -> Answer<T> {
    let text = serde_json::to_vec(view).map_err(RequestError::Encoding)?;
    Ok(Told::new(Bytes::from(text).into_response()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct View<'a> {
        name: &'a str,
    }

    #[tokio::test]
    async fn an_answer_outlives_what_it_was_written_from() {
        fn answer() -> Answer<View<'static>> {
            let name = "ann".to_owned();
            json(&View { name: &name })
        }
        let response = answer().ok().unwrap().into_response();
        assert_eq!(response.headers()["content-type"], "application/json");
        let body = axum::body::to_bytes(response.into_body(), 100).await;
        assert_eq!(body.unwrap(), r#"{"name":"ann"}"#);
    }
}
