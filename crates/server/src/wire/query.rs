//! The query of a GET request: names as they stand in the protocol, lists as names that come several times.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::Method;
use axum::http::request::Parts;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::decode::show;
use super::missing;
use crate::error::RequestError;

/// A request's query.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
    /// Which call was asked, in debug builds: what is read of its query must stand in the document of the API.
    asked: Option<(Method, MatchedPath)>,
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let mut query = Self::read(parts.uri.query().unwrap_or_default());
        if cfg!(debug_assertions) {
            let route = parts.extensions.get::<MatchedPath>();
            query.asked = route.map(|route| (parts.method.clone(), route.clone()));
        }
        Ok(query)
    }
}

impl Query {
    pub(crate) fn read(query: &str) -> Self {
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let decoded = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        });
        Self {
            pairs: decoded.collect(),
            asked: None,
        }
    }

    /// The first value of that name.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.list(name).next()
    }

    /// The first value of that name, which must be there; an empty one is none.
    pub(crate) fn required(&self, name: &str) -> Result<&str, RequestError> {
        self.text(name)
            .filter(|text| !text.is_empty())
            .ok_or_else(|| missing(name))
    }

    /// The id of a run, under its new or its old name.
    pub(crate) fn run_id(&self) -> Result<&str, RequestError> {
        self.required("run_id")
            .or_else(|error| self.required("run_uuid").map_err(|_| error))
    }

    /// All values of that name.
    pub(crate) fn list<'q>(&'q self, name: &str) -> impl Iterator<Item = &'q str> {
        if let Some((method, route)) = &self.asked {
            debug_assert!(
                crate::description::declares(method.as_str(), route.as_str(), name),
                "{method} {} reads `{name}`, which its description does not tell",
                route.as_str()
            );
        }
        let of_that_name = self.pairs.iter().filter(move |(found, _)| found == name);
        of_that_name.map(|(_, value)| value.as_str())
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, RequestError> {
        match self.text(name) {
            None => Ok(None),
            Some("true" | "True") => Ok(Some(true)),
            Some("false" | "False") => Ok(Some(false)),
            Some(other) => Err(RequestError::WrongType {
                field: name.to_owned(),
                value: show(&Value::from(other)),
                kind: "str",
            }),
        }
    }

    /// A whole number.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, RequestError> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let wrong = |_| RequestError::WrongType {
            field: name.to_owned(),
            value: show(&Value::from(text)),
            kind: "str",
        };
        text.parse().map(Some).map_err(wrong)
    }
}

fn decode(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_decoded_and_lists_keep_their_order() {
        let query = Query::read("run_id=a%20b+c&x=1&run_id=%C3%BC&&empty=&bare&n=%2B1");
        assert_eq!(query.text("run_id"), Some("a b c"));
        assert_eq!(query.list("run_id").collect::<Vec<_>>(), ["a b c", "ü"]);
        assert_eq!(query.text("bare"), Some(""));
        assert!(query.required("empty").is_err());
        assert_eq!(query.integer("n").unwrap(), Some(1));
        assert_eq!(query.integer("absent").unwrap(), None);
        assert!(query.integer("run_id").is_err());
        assert_eq!(Query::read("run_uuid=u").run_id().unwrap(), "u");
        let said = Query::read("").run_id().unwrap_err().to_string();
        assert!(said.contains("'run_id'"), "{said}");
    }
}
