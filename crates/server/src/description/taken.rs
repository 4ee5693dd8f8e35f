//! What handlers take, read off their signatures.

use std::future::Future;

use axum::Extension;
use axum::body::Body;
use axum::extract::{OriginalUri, Path, Request, State};
use axum::http::{HeaderMap, Uri};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};

use super::answered::{Answered, Outcome};
use crate::app::By;
use crate::sign_on::Viewer;
use crate::wire::{Json, Query};

/// What a handler takes of a request.
#[derive(Default)]
pub(crate) struct Taken {
    pub(super) body: Option<Typed>,
    pub(super) has_query: bool,
}

/// A type of a body, and what it is called.
pub(crate) struct Typed {
    pub(super) name: String,
    pub(super) schema: Schema,
}

impl Typed {
    fn of<T: JsonSchema>() -> Self {
        let mut settings = SchemaSettings::draft2020_12();
        settings.inline_subschemas = true;
        settings.meta_schema = None;
        let mut schema = settings.into_generator().into_root_schema_for::<T>();
        schema.remove("title");
        Self {
            name: name_of(std::any::type_name::<T>()),
            schema,
        }
    }
}

/// `server::mlflow::runs::Create` is `RunsCreate`: the names of types alone come several times.
fn name_of(path: &str) -> String {
    let parts = path.split('<').next().unwrap_or_default().rsplit("::");
    let parts: Vec<_> = parts.take(2).collect();
    let words = parts.iter().rev().flat_map(|part| part.split('_'));
    let capitals = words.map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_uppercase() + rest
    });
    capitals.collect()
}

/// An argument of a handler.
pub(crate) trait Part {
    fn note(_: &mut Taken) {}
}

impl<S> Part for State<S> {}
impl Part for By {}
impl Part for Viewer {}
impl Part for HeaderMap {}
impl Part for Uri {}
impl Part for OriginalUri {}
impl Part for Body {}
impl Part for Request {}
impl<T> Part for Extension<T> {}
impl<T> Part for Path<T> {}

impl Part for Query {
    fn note(taken: &mut Taken) {
        taken.has_query = true;
    }
}

impl<T: JsonSchema> Part for Json<T> {
    fn note(taken: &mut Taken) {
        taken.body = Some(Typed::of::<T>());
    }
}

/// A handler, whose arguments say what it takes, and whose result says what it answers.
pub(crate) trait Handles<Arguments> {
    fn described(self) -> (Taken, Answered);
}

macro_rules! handles {
    ($($part:ident)*) => {
        impl<Function, Answering, $($part: Part,)*> Handles<($($part,)*)> for Function
        where
            Function: Fn($($part),*) -> Answering,
            Answering: Future<Output: Outcome>,
        {
            fn described(self) -> (Taken, Answered) {
                let mut taken = Taken::default();
                let notes: &[fn(&mut Taken)] = &[$($part::note),*];
                for note in notes {
                    note(&mut taken);
                }
                (taken, Answering::Output::answered())
            }
        }
    };
}

handles!();
handles!(A);
handles!(A B);
handles!(A B C);
handles!(A B C D);
handles!(A B C D E);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_called_by_its_file_and_its_name() {
        assert_eq!(name_of("server::mlflow::runs::Create"), "RunsCreate");
        assert_eq!(name_of("server::mlflow::traces_v2::End"), "TracesV2End");
    }
}
