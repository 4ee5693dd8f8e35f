//! What a request names, whatever its spelling and wherever it stands.
//!
//! A request is judged before its handler reads it. So that both cannot read it differently, all that it names under
//! any spelling is judged, in its path, its query and its body.

use axum::RequestExt as _;
use axum::body::Body;
use axum::extract::{RawPathParams, Request};
use serde_json::Value;

use crate::error::RequestError;
use crate::wire::{Query, read_body, read_whole};

/// What a request names.
pub(super) struct Asked {
    path: Vec<(String, String)>,
    query: Query,
    body: Value,
}

impl Asked {
    /// Reads it, and gives the request back as it was.
    pub(super) async fn read(mut request: Request) -> Result<(Self, Request), RequestError> {
        let mut asked = Self::read_head(&mut request).await;
        let (parts, body) = request.into_parts();
        let body = read_body(body).await?;
        asked.body = read_whole(&body).ok_or_else(|| odd("body"))?;
        Ok((asked, Request::from_parts(parts, Body::from(body))))
    }

    /// As `read`, without the body.
    pub(super) async fn read_head(request: &mut Request) -> Self {
        let params = request.extract_parts::<RawPathParams>().await;
        let path = params.map_or_else(
            |_| Vec::new(),
            |params| {
                let params = params.iter();
                params
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect()
            },
        );
        Self {
            path,
            query: Query::read(request.uri().query().unwrap_or_default()),
            body: Value::Null,
        }
    }

    /// All texts under a name, each once; what is empty is none.
    pub(super) fn all(&self, name: &str) -> Vec<String> {
        let spellings = spellings(name);
        let is_it = |found: &str| spellings.iter().any(|spelling| spelling == found);
        let in_path = self.path.iter().filter(|(found, _)| is_it(found));
        let mut texts: Vec<String> = in_path.map(|(_, value)| value.clone()).collect();
        for spelling in &spellings {
            texts.extend(self.query.list(spelling).map(str::to_owned));
            if let Some(value) = self.body.get(spelling) {
                push_texts(value, &mut texts);
            }
        }
        once(texts)
    }

    /// All texts at a place in the body, each once: names of members, of which each may be spelled in two ways. One that
    /// ends with `[]` is a list.
    ///
    /// *Errors*: where something else stands on the way, such as a list in place of an object, which decoders take for
    /// its fields in their order.
    pub(super) fn all_at(&self, place: &[&str]) -> Result<Vec<String>, RequestError> {
        let mut texts = Vec::new();
        for value in self.values_at(place)? {
            push_texts(value, &mut texts);
        }
        Ok(once(texts))
    }

    /// Whether something stands at a place in the body.
    pub(super) fn has_at(&self, place: &[&str]) -> Result<bool, RequestError> {
        let is_something = |value: &&Value| match value {
            Value::Null => false,
            Value::Array(items) => !items.is_empty(),
            _ => true,
        };
        Ok(self.values_at(place)?.iter().any(is_something))
    }

    /// Whether one of the texts under a name holds one of these words, in whatever letters.
    pub(super) fn mentions(&self, name: &str, words: &[&str]) -> bool {
        let texts = self.all(name);
        let mut texts = texts.iter().map(|text| text.to_lowercase());
        texts.any(|text| words.iter().any(|word| text.contains(word)))
    }

    /// The first text under a name that must be there.
    pub(super) fn first(&self, name: &str) -> Result<String, RequestError> {
        let found = self.all(name).into_iter().next();
        found.ok_or_else(|| crate::wire::missing(name))
    }

    fn values_at(&self, place: &[&str]) -> Result<Vec<&Value>, RequestError> {
        let mut found = vec![&self.body];
        for name in place {
            let (name, is_list) = match name.strip_suffix("[]") {
                Some(name) => (name, true),
                None => (*name, false),
            };
            let mut inner = Vec::new();
            for value in found {
                let members = match value {
                    Value::Object(members) => members,
                    Value::Null => continue,
                    _ => return Err(odd(name)),
                };
                for spelling in spellings(name) {
                    match (members.get(&spelling), is_list) {
                        (None | Some(Value::Null), _) => {}
                        (Some(Value::Array(items)), true) => inner.extend(items),
                        (Some(_), true) => return Err(odd(name)),
                        (Some(value), false) => inner.push(value),
                    }
                }
            }
            found = inner;
        }
        Ok(found)
    }
}

fn odd(name: &str) -> RequestError {
    RequestError::OddForm {
        field: name.to_owned(),
    }
}

fn push_texts(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Number(number) => texts.push(number.to_string()),
        Value::Array(items) => items.iter().for_each(|item| push_texts(item, texts)),
        Value::Null | Value::Bool(_) | Value::Object(_) => {}
    }
}

fn once(texts: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    let texts = texts.into_iter().filter(|text| !text.is_empty());
    texts.filter(|text| seen.insert(text.clone())).collect()
}

/// How a field may be spelled: as protobuf has it, and in camel case.
fn spellings(name: &str) -> Vec<String> {
    let mut camel = String::with_capacity(name.len());
    let mut is_start = false;
    for letter in name.chars() {
        match letter {
            '_' => is_start = true,
            letter if is_start => {
                camel.extend(letter.to_uppercase());
                is_start = false;
            }
            letter => camel.push(letter),
        }
    }
    let mut spellings = vec![name.to_owned()];
    if camel != name {
        spellings.push(camel);
    }
    if name == "run_id" {
        spellings.extend(["run_uuid".to_owned(), "runUuid".to_owned()]);
    }
    spellings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    async fn read(uri: &str, body: &str) -> Asked {
        let request = Request::builder().method("POST").uri(uri);
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let (asked, request) = Asked::read(request).await.unwrap();
        let given_back = axum::body::to_bytes(request.into_body(), 1 << 20).await;
        assert_eq!(given_back.unwrap(), body);
        asked
    }

    #[tokio::test]
    async fn every_spelling_everywhere_is_found() {
        let body = json!({"run_id": "a", "runId": "b", "run_uuid": "c", "runUuid": "d"});
        let asked = read("/x?run_id=e&run_uuid=f&run_id=g", &body.to_string()).await;
        let mut found = asked.all("run_id");
        found.sort();
        assert_eq!(found, ["a", "b", "c", "d", "e", "f", "g"]);
        assert_eq!(asked.all("experiment_id"), [""; 0]);
        assert!(asked.first("experiment_id").is_err());
    }

    #[tokio::test]
    async fn lists_numbers_and_deep_places_are_found() {
        let body = json!({
            "role_id": 7,
            "experimentIds": ["1", "2"],
            "locations": [{"mlflow_experiment": {"experimentId": "3"}}, {"mlflowExperiment": {"experiment_id": "4"}}],
            "metrics": [{"key": "a"}, {"model_id": "m"}],
        });
        let asked = read("/x", &body.to_string()).await;
        assert_eq!(asked.all("role_id"), ["7"]);
        assert_eq!(asked.all("experiment_ids"), ["1", "2"]);
        let place = ["locations[]", "mlflow_experiment", "experiment_id"];
        assert_eq!(asked.all_at(&place).unwrap(), ["3", "4"]);
        assert_eq!(asked.all_at(&["metrics[]", "model_id"]).unwrap(), ["m"]);
        assert!(asked.has_at(&["metrics"]).unwrap());
        assert!(!asked.has_at(&["models"]).unwrap());
    }

    /// Handlers decode structs, which pass over what they do not know, unread.
    #[tokio::test]
    async fn a_body_that_is_not_read_whole_is_refused() {
        let deep = format!(
            r#"{{"run_id": "a", "z": {}1{}}}"#,
            "[".repeat(200),
            "]".repeat(200)
        );
        let bodies: [&[u8]; 4] = [
            br#"{"run_id": "a", "z": 1e999}"#,
            deep.as_bytes(),
            b"{\"run_id\": \"a\", \"z\": \"\xff\"}",
            br#"  {"run_id": "a", "z": "\ud800"}"#,
        ];
        for body in bodies {
            let request = Request::builder().method("POST").uri("/x");
            let request = request.body(Body::from(body.to_vec())).unwrap();
            let read = Asked::read(request).await;
            assert!(read.is_err(), "{}", String::from_utf8_lossy(body));
        }
    }

    /// A decoder takes a list for a struct, field by field.
    #[tokio::test]
    async fn a_list_in_place_of_an_object_is_refused() {
        let place = ["locations[]", "mlflow_experiment", "experiment_id"];
        for odd in [
            json!({"locations": [{"mlflow_experiment": {"experiment_id": "1"}}, [["2"]]]}),
            json!({"locations": [{"mlflow_experiment": ["2"]}]}),
            json!({"locations": {"mlflow_experiment": {"experiment_id": "1"}}}),
            json!({"locations": [7]}),
        ] {
            let asked = read("/x", &odd.to_string()).await;
            assert!(asked.all_at(&place).is_err(), "{odd}");
        }
    }

    /// As the handlers read them: see `wire::decode`.
    #[tokio::test]
    async fn bodies_that_only_mlflow_reads_are_read() {
        let asked = read("/x", r#"{"run_id": "a", "run_id": "b", "value": NaN}"#).await;
        assert_eq!(asked.all("run_id"), ["b"]);
        let twice = serde_json::to_string(r#"{"run_id": "c"}"#).unwrap();
        assert_eq!(read("/x", &twice).await.all("run_id"), ["c"]);
        for body in ["", "[1]", "x", "null"] {
            assert_eq!(read("/x", body).await.all("run_id"), [""; 0]);
        }
    }
}
