//! One of few words, as it is told.

use std::borrow::Cow;

use entities::{
    IssueSeverity, IssueStatus, Lifecycle, ModelStatus, Permission, ResourceKind, RunStatus, Stage,
    TraceState, WebhookStatus,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

/// A word of a `T`. What words there are stands in the document of the API.
#[derive(Clone, Copy)]
pub(crate) struct Word<T>(pub(crate) T);

/// What has a word for each of its values.
pub(crate) trait Words: Copy + 'static {
    const NAME: &'static str;
    const ALL: &'static [Self];

    fn word(self) -> &'static str;
}

macro_rules! told {
    ($($kind:ident,)*) => {$(
        impl Words for $kind {
            const NAME: &'static str = stringify!($kind);
            const ALL: &'static [Self] = &Self::ALL;

            fn word(self) -> &'static str {
                self.as_str()
            }
        }
    )*};
}

told! {
    IssueSeverity,
    IssueStatus,
    Lifecycle,
    ModelStatus,
    Permission,
    ResourceKind,
    RunStatus,
    Stage,
    TraceState,
    WebhookStatus,
}

impl<T: Words> Serialize for Word<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.word())
    }
}

impl<T: Words> JsonSchema for Word<T> {
    fn schema_name() -> Cow<'static, str> {
        T::NAME.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words: Vec<_> = T::ALL.iter().map(|value| value.word()).collect();
        json_schema!({ "type": "string", "enum": words })
    }
}
