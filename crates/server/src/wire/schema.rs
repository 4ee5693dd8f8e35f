//! What a document of the API says of numbers and times, which are read in more than one form.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::json;

use super::{Double, Int64, Millis, Moment};

impl JsonSchema for Int64 {
    fn schema_name() -> Cow<'static, str> {
        "Int64".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "integer", "format": "int64", "minimum": i64::MIN, "maximum": i64::MAX },
                // Up to 18 digits, so that each is in range.
                { "type": "string", "pattern": "^-?[0-9]{1,18}$" },
            ]
        })
    }
}

impl JsonSchema for Double {
    fn schema_name() -> Cow<'static, str> {
        "Double".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let number = json!({ "type": "number", "format": "double" });
        let word = json!({ "type": "string", "enum": ["NaN", "Infinity", "-Infinity"] });
        let mut forms = vec![number, word];
        if generator.contract().is_deserialize() {
            let pattern = "^[+-]?[0-9]+([.][0-9]+)?([eE][+-]?[0-9]{1,3})?$";
            forms.push(json!({ "type": "string", "pattern": pattern }));
        }
        json_schema!({ "anyOf": forms })
    }
}

impl JsonSchema for Moment {
    fn schema_name() -> Cow<'static, str> {
        "Moment".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

impl JsonSchema for Millis {
    fn schema_name() -> Cow<'static, str> {
        "Millis".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        // Of what is sent, so many digits that each is in range.
        let pattern = if generator.contract().is_deserialize() {
            "^-?[0-9]{1,12}([.][0-9]{1,9})?s$"
        } else {
            "^-?[0-9]+([.][0-9]{3})?s$"
        };
        json_schema!({
            "type": "string",
            "description": "Seconds, such as `1.5s`.",
            "pattern": pattern,
        })
    }
}
