//! One call, described.

use serde_json::{Value, json};

use super::answered::Answered;
use super::taken::{Handles, Taken};

/// A call, and what is told of it.
pub(crate) struct Call {
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) summary: &'static str,
    pub(super) tag: &'static str,
    pub(super) note: Option<&'static str>,
    pub(super) taken: Taken,
    pub(super) answered: Answered,
    pub(super) parameters: Vec<Parameter>,
    /// Members of a body that has no type of its own.
    pub(super) members: Vec<Parameter>,
    pub(super) raw_bodies: &'static [&'static str],
    /// What its body must name, beyond what every body of that type must.
    pub(super) required: &'static [&'static str],
    /// Statuses of its own, and what they say.
    pub(super) also: &'static [(&'static str, &'static str)],
    /// The only status that a call which is declined is answered with, beside those of faulty requests.
    pub(super) declined: Option<u16>,
}

/// A value that a request names.
#[derive(Clone)]
pub(crate) struct Parameter {
    pub(super) name: &'static str,
    pub(super) place: &'static str,
    pub(super) is_required: bool,
    pub(super) schema: Value,
}

impl Parameter {
    /// One without which the call is refused.
    pub(crate) fn needed(self) -> Self {
        Self {
            is_required: true,
            ..self
        }
    }

    fn new(name: &'static str, schema: Value) -> Self {
        Self {
            name,
            place: "query",
            is_required: false,
            schema,
        }
    }
}

/// A text.
pub(crate) fn text(name: &'static str) -> Parameter {
    Parameter::new(name, json!({ "type": "string" }))
}

/// `true` or `false`.
pub(crate) fn flag(name: &'static str) -> Parameter {
    Parameter::new(name, json!({ "type": "boolean" }))
}

/// A whole number.
pub(crate) fn whole(name: &'static str) -> Parameter {
    Parameter::new(name, json!({ "type": "integer", "format": "int64" }))
}

/// A whole number, or a text that holds one.
pub(crate) fn number(name: &'static str) -> Parameter {
    let forms = [
        json!({ "type": "integer", "format": "int64" }),
        json!({ "type": "string", "pattern": "^[0-9]{1,18}$" }),
    ];
    Parameter::new(name, json!({ "anyOf": forms }))
}

/// Several texts: the name comes several times.
pub(crate) fn list(name: &'static str) -> Parameter {
    let texts = json!({ "type": "array", "items": { "type": "string" } });
    Parameter::new(name, texts)
}

impl Call {
    fn new<A>(
        method: &'static str,
        path: &str,
        summary: &'static str,
        handler: impl Handles<A>,
    ) -> Self {
        let (taken, answered) = handler.described();
        Self {
            method,
            path: path.to_owned(),
            summary,
            tag: "",
            note: None,
            taken,
            answered,
            parameters: Vec::new(),
            members: Vec::new(),
            raw_bodies: &[],
            required: &[],
            also: &[],
            declined: None,
        }
    }

    /// What it reads of its query.
    pub(crate) fn query(mut self, parameters: impl IntoIterator<Item = Parameter>) -> Self {
        self.parameters.extend(parameters);
        self
    }

    /// A header that it reads.
    pub(crate) fn header(mut self, name: &'static str, is_required: bool) -> Self {
        self.parameters.push(Parameter {
            place: "header",
            is_required,
            ..text(name)
        });
        self
    }

    /// What it reads of a body that has no type of its own.
    pub(crate) fn members(mut self, members: impl IntoIterator<Item = Parameter>) -> Self {
        self.members.extend(members);
        self
    }

    /// What its body must name, where the same type serves a call that does not ask for it.
    pub(crate) fn requiring(mut self, members: &'static [&'static str]) -> Self {
        self.required = members;
        self
    }

    /// Statuses that other calls are not answered with.
    pub(crate) fn answers_also(mut self, also: &'static [(&'static str, &'static str)]) -> Self {
        self.also = also;
        self
    }

    /// The kinds of a body that is no JSON.
    pub(crate) fn takes(mut self, kinds: &'static [&'static str]) -> Self {
        self.raw_bodies = kinds;
        self
    }

    /// Says that it is answered with this status alone.
    pub(crate) fn declined(mut self, status: u16) -> Self {
        self.declined = Some(status);
        self
    }

    /// More than the summary says.
    pub(crate) fn noting(mut self, note: &'static str) -> Self {
        self.note = Some(note);
        self
    }

    pub(crate) fn tagged(mut self, tag: &'static str) -> Self {
        self.tag = tag;
        self
    }

    /// The same call below a prefix.
    pub(crate) fn below(mut self, prefix: &str) -> Self {
        self.path.insert_str(0, prefix);
        self
    }

    pub(super) fn reads(&self, name: &str) -> bool {
        let mut named = self.parameters.iter();
        named.any(|found| found.place == "query" && found.name == name)
    }
}

pub(crate) fn get_call<A>(path: &str, summary: &'static str, handler: impl Handles<A>) -> Call {
    Call::new("get", path, summary, handler)
}

pub(crate) fn post<A>(path: &str, summary: &'static str, handler: impl Handles<A>) -> Call {
    Call::new("post", path, summary, handler)
}

pub(crate) fn put<A>(path: &str, summary: &'static str, handler: impl Handles<A>) -> Call {
    Call::new("put", path, summary, handler)
}

pub(crate) fn patch<A>(path: &str, summary: &'static str, handler: impl Handles<A>) -> Call {
    Call::new("patch", path, summary, handler)
}

pub(crate) fn delete<A>(path: &str, summary: &'static str, handler: impl Handles<A>) -> Call {
    Call::new("delete", path, summary, handler)
}
