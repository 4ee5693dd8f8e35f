//! The API as a document: OpenAPI 3.1, put together from the types that the handlers take.
//!
//! A call is described beside its handler, by the handler itself: the type of its body is read off its signature.
//! Names of a query are told by hand, since a query has no type; a debug build refuses to read one that is not told.

mod answered;
mod call;
mod document;
mod taken;

use std::sync::LazyLock;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use bytes::Bytes;
use serde_json::{Map, Value};

use crate::app::App;
use crate::wire::Told;
use crate::{artifacts, mlflow, otlp};
pub(crate) use call::{
    Call, Parameter, delete, flag, get_call, list, number, patch, post, put, text, whole,
};

/// Where the document is.
const PATH: &str = "/openapi.json";

/// How the document says where the server is.
const SERVER: &str = "\"url\": \"/\"";

static CALLS: LazyLock<Vec<Call>> = LazyLock::new(|| {
    let mut calls = mlflow::described();
    calls.extend(artifacts::described());
    calls.push(otlp::described());
    calls.push(get_call(PATH, "Give this document", tell).tagged("Server"));
    calls
});

static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(document()));

/// The call that tells it.
pub(crate) fn calls() -> Router<App> {
    Router::new().route(PATH, get(tell))
}

/// The document, as it is committed and told.
pub fn document() -> String {
    let written = serde_json::to_string_pretty(&document::document(&CALLS));
    written.expect("a value has text keys only") + "\n"
}

/// Whether a call is described as one that reads this name of its query.
///
/// `route` is the template that answered: below a prefix, or below that of MLflow's page, it is the same call.
pub(crate) fn declares(method: &str, route: &str, name: &str) -> bool {
    let plain = route.replacen("/ajax-api/", "/api/", 1);
    let found = CALLS.iter().filter(|call| {
        call.method.eq_ignore_ascii_case(method)
            && (route.ends_with(&call.path) || plain.ends_with(&call.path))
    });
    let found = found.max_by_key(|call| call.path.len());
    found.is_some_and(|call| call.reads(name))
}

/// Gives the document, which below a prefix says that the server is there.
async fn tell(State(app): State<App>) -> Told<Map<String, Value>> {
    if app.prefix.is_empty() {
        return Told::streamed(Body::from(DOCUMENT.clone()));
    }
    let url = Value::from(format!("{}/", app.prefix));
    let document = std::str::from_utf8(&DOCUMENT).expect("it was a text");
    let moved = document.replacen(SERVER, &format!("\"url\": {url}"), 1);
    Told::streamed(Body::from(moved))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_described_once_and_takes_what_is_told() {
        let mut seen = std::collections::BTreeSet::new();
        for call in CALLS.iter() {
            assert!(
                seen.insert((call.method, &call.path)),
                "{} twice",
                call.path
            );
            let tells_names = call.parameters.iter().any(|found| found.place == "query");
            assert_eq!(
                tells_names, call.taken.has_query,
                "{} {}: its handler takes a query, or its description tells of one",
                call.method, call.path
            );
        }
    }

    /// The generator numbers them, in an order that changes with the calls.
    #[test]
    fn no_two_types_have_one_name() {
        let document = document::document(&CALLS);
        let named = document["components"]["schemas"].as_object().unwrap();
        for name in named.keys() {
            let begin = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
            assert!(begin == name || !named.contains_key(begin), "{name}");
        }
    }

    #[test]
    fn below_a_prefix_the_document_says_so() {
        let document = document();
        assert_eq!(document.matches(SERVER).count(), 1);
    }

    #[test]
    fn a_call_is_found_below_each_of_its_prefixes() {
        for route in [
            "/api/2.0/mlflow/runs/get",
            "/ajax-api/2.0/mlflow/runs/get",
            "/team/api/2.0/mlflow/runs/get",
        ] {
            assert!(declares("GET", route, "run_uuid"), "{route}");
            assert!(!declares("GET", route, "run"), "{route}");
        }
        assert!(declares("GET", "/get-artifact", "run_id"));
        assert!(!declares("GET", "/model-versions/get-artifact", "run_id"));
    }
}
