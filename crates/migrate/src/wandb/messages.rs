//! What records of W&B's files say, as far as it is read here.
//!
//! *Source*: the fields of `wandb_internal.proto` (W&B 0.12 to 0.31).

use prost::{Message, Oneof};

#[derive(Clone, PartialEq, Message)]
pub(super) struct Record {
    #[prost(oneof = "Said", tags = "2, 3, 4, 5, 7, 8, 10, 13, 17, 18, 26")]
    pub(super) said: Option<Said>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Said {
    #[prost(message, tag = "2")]
    History(History),
    #[prost(message, tag = "3")]
    Summary(Changed),
    #[prost(bytes, tag = "4")]
    Output(Vec<u8>),
    #[prost(message, tag = "5")]
    Config(Changed),
    #[prost(bytes, tag = "7")]
    Stats(Vec<u8>),
    #[prost(bytes, tag = "8")]
    Artifact(Vec<u8>),
    #[prost(bytes, tag = "10")]
    Alert(Vec<u8>),
    #[prost(bytes, tag = "13")]
    RawOutput(Vec<u8>),
    #[prost(message, tag = "17")]
    Run(Box<RunSaid>),
    #[prost(message, tag = "18")]
    Exit(Exit),
    #[prost(message, tag = "26")]
    Environment(Environment),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct History {
    #[prost(message, repeated, tag = "1")]
    pub(super) items: Vec<Item>,
    #[prost(message, optional, tag = "2")]
    pub(super) step: Option<Step>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Step {
    #[prost(int64, tag = "1")]
    pub(super) number: i64,
}

/// A change of the config or of the summary.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Changed {
    #[prost(message, repeated, tag = "1")]
    pub(super) updated: Vec<Item>,
    #[prost(message, repeated, tag = "2")]
    pub(super) removed: Vec<Item>,
}

/// A value under a key, or under several, the outer first.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Item {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(string, repeated, tag = "2")]
    pub(super) nested_key: Vec<String>,
    #[prost(string, tag = "16")]
    pub(super) value_json: String,
}

impl Item {
    /// The keys with dots between them, as W&B's pages show them.
    pub(super) fn name(&self) -> String {
        if self.nested_key.is_empty() {
            self.key.clone()
        } else {
            self.nested_key.join(".")
        }
    }
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RunSaid {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(string, tag = "3")]
    pub(super) project: String,
    #[prost(message, optional, tag = "4")]
    pub(super) config: Option<Changed>,
    #[prost(message, optional, tag = "5")]
    pub(super) summary: Option<Changed>,
    #[prost(string, tag = "6")]
    pub(super) group: String,
    #[prost(string, tag = "7")]
    pub(super) job_type: String,
    #[prost(string, tag = "8")]
    pub(super) name: String,
    #[prost(string, tag = "9")]
    pub(super) notes: String,
    #[prost(string, repeated, tag = "10")]
    pub(super) tags: Vec<String>,
    #[prost(string, tag = "12")]
    pub(super) sweep: String,
    #[prost(message, optional, tag = "17")]
    pub(super) started_at: Option<Moment>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Moment {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Exit {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Environment {
    #[prost(string, tag = "13")]
    pub(super) user: String,
}
