//! What handlers answer, read off their signatures.

use axum::http::StatusCode;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value};

use crate::error::RequestError;
use crate::wire::{Media, Sent, Told};

/// What a handler answers where all is well.
pub(crate) enum Answered {
    /// Nothing but refusals.
    Nothing,
    /// JSON of this form.
    Json(fn(&mut SchemaGenerator) -> Schema),
    /// Something else.
    Media {
        kind: &'static str,
        /// Statuses of its own, and what they say.
        also: &'static [(&'static str, &'static str)],
    },
}

/// What a handler's function gives back.
pub(crate) trait Outcome {
    fn answered() -> Answered;
}

impl<T: JsonSchema> Outcome for Told<T> {
    fn answered() -> Answered {
        Answered::Json(T::json_schema)
    }
}

impl<M: Media> Outcome for Sent<M> {
    fn answered() -> Answered {
        Answered::Media {
            kind: M::TYPE,
            also: M::ALSO,
        }
    }
}

impl Outcome for RequestError {
    fn answered() -> Answered {
        Answered::Nothing
    }
}

/// A refusal that is a text.
impl Outcome for (StatusCode, String) {
    fn answered() -> Answered {
        Answered::Nothing
    }
}

impl<T: Outcome> Outcome for Result<T, RequestError> {
    fn answered() -> Answered {
        T::answered()
    }
}

/// Makes schemas of answers, which share the types that they name.
pub(super) struct Forms(SchemaGenerator);

impl Forms {
    pub(super) fn new() -> Self {
        let mut settings = SchemaSettings::draft2020_12().for_serialize();
        settings.definitions_path = "#/components/schemas".into();
        settings.meta_schema = None;
        Self(settings.into_generator())
    }

    /// The schema of one answer, which stands where the answer is described.
    pub(super) fn schema(&mut self, form: fn(&mut SchemaGenerator) -> Schema) -> Value {
        let mut schema = form(&mut self.0).to_value();
        settle(&mut schema);
        schema
    }

    /// All types that they name, by their names.
    pub(super) fn named(mut self) -> Map<String, Value> {
        let named = self.0.take_definitions(true).into_iter();
        let named = named.map(|(name, mut schema)| {
            settle(&mut schema);
            (shown_name(&name).to_owned(), schema)
        });
        named.collect()
    }
}

/// A view of something is called as that is.
fn shown_name(name: &str) -> &str {
    name.strip_suffix("View").unwrap_or(name)
}

/// Gives what is named its name, and takes away what the generator says too much: what may be left out is never `null`.
fn settle(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(settle),
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get_mut("$ref") {
                *reference = shown_name(reference).to_owned();
            }
            let required = members.get("required").and_then(Value::as_array).cloned();
            let required = required.unwrap_or_default();
            if let Some(Value::Object(properties)) = members.get_mut("properties") {
                let left_out = properties.iter_mut();
                let left_out = left_out.filter(|(name, _)| {
                    let is_there = |found: &Value| found == name.as_str();
                    !required.iter().any(is_there)
                });
                left_out.for_each(|(_, schema)| take_null(schema));
            }
            members.values_mut().for_each(settle);
        }
        _ => {}
    }
}

fn take_null(schema: &mut Value) {
    let Some(members) = schema.as_object_mut() else {
        return;
    };
    if let Some(Value::Array(kinds)) = members.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [kind] = kinds.as_slice() {
            let kind = kind.clone();
            members.insert("type".to_owned(), kind);
        }
    }
    if let Some(Value::Array(words)) = members.get_mut("enum") {
        words.retain(|word| !word.is_null());
    }
    let Some(Value::Array(forms)) = members.get_mut("anyOf") else {
        return;
    };
    forms.retain(|form| form["type"] != "null");
    if let [Value::Object(form)] = forms.as_slice() {
        let form = form.clone();
        members.remove("anyOf");
        members.extend(form);
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use serde_json::json;

    use super::*;

    #[derive(Serialize, JsonSchema)]
    struct InnerView<'a> {
        name: &'a str,
    }

    #[derive(Serialize, JsonSchema)]
    struct Outer<'a> {
        none: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        inner: Option<InnerView<'a>>,
    }

    #[test]
    fn what_may_be_left_out_is_never_null() {
        let mut forms = Forms::new();
        let schema = forms.schema(Outer::json_schema);
        assert_eq!(
            schema,
            json!({
                "type": "object",
                "properties": {
                    "none": { "type": ["string", "null"] },
                    "text": { "type": "string" },
                    "inner": { "$ref": "#/components/schemas/Inner" },
                },
                "required": ["none"],
            })
        );
        let named = forms.named();
        assert_eq!(named["Inner"]["required"], json!(["name"]));
    }
}
