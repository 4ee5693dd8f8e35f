//! What records of event files say, as far as it is read here.
//!
//! *Source*: `event.proto`, `summary.proto` and `tensor.proto` of TensorFlow, `plugin_data.proto` of TensorBoard's
//! plugin for hyperparameters, and `struct.proto` of protobuf.

use std::collections::BTreeMap;

use prost::{Message, Oneof};

#[derive(Clone, PartialEq, Message)]
pub(super) struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    pub(super) wall_time: f64,
    #[prost(int64, tag = "2")]
    pub(super) step: i64,
    #[prost(message, optional, tag = "5")]
    pub(super) summary: Option<Summary>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Summary {
    #[prost(message, repeated, tag = "1")]
    pub(super) values: Vec<SummaryValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SummaryValue {
    #[prost(string, tag = "1")]
    pub(super) tag: String,
    #[prost(message, optional, tag = "9")]
    pub(super) metadata: Option<SummaryMetadata>,
    #[prost(oneof = "Content", tags = "2, 3, 4, 5, 6, 8")]
    pub(super) content: Option<Content>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Content {
    #[prost(float, tag = "2")]
    Number(f32),
    #[prost(bytes, tag = "3")]
    OldHistogram(Vec<u8>),
    #[prost(bytes, tag = "4")]
    Image(Vec<u8>),
    #[prost(bytes, tag = "5")]
    Histogram(Vec<u8>),
    #[prost(bytes, tag = "6")]
    Audio(Vec<u8>),
    #[prost(message, tag = "8")]
    Tensor(Tensor),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SummaryMetadata {
    #[prost(message, optional, tag = "1")]
    pub(super) plugin: Option<PluginData>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PluginData {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) content: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Tensor {
    #[prost(int32, tag = "1")]
    pub(super) kind: i32,
    #[prost(bytes = "vec", tag = "4")]
    pub(super) content: Vec<u8>,
    #[prost(float, repeated, tag = "5")]
    pub(super) floats: Vec<f32>,
    #[prost(double, repeated, tag = "6")]
    pub(super) doubles: Vec<f64>,
    #[prost(int32, repeated, tag = "7")]
    pub(super) integers: Vec<i32>,
    #[prost(bytes = "vec", repeated, tag = "8")]
    pub(super) texts: Vec<Vec<u8>>,
    #[prost(int64, repeated, tag = "10")]
    pub(super) long_integers: Vec<i64>,
}

impl Tensor {
    /// The one number that it holds; none where it holds another type, or more than one.
    pub(super) fn number(&self) -> Option<f64> {
        let bytes = self.content.as_slice();
        match (self.kind, bytes) {
            // DT_FLOAT, DT_DOUBLE, DT_INT32, DT_INT64.
            (1, []) => only(&self.floats).map(f64::from),
            (1, bytes) => Some(f32::from_le_bytes(bytes.try_into().ok()?).into()),
            (2, []) => only(&self.doubles),
            (2, bytes) => Some(f64::from_le_bytes(bytes.try_into().ok()?)),
            (3, []) => only(&self.integers).map(f64::from),
            (3, bytes) => Some(i32::from_le_bytes(bytes.try_into().ok()?).into()),
            (9, []) => only(&self.long_integers).map(|number| number as f64),
            (9, bytes) => Some(i64::from_le_bytes(bytes.try_into().ok()?) as f64),
            _ => None,
        }
    }
}

fn only<T: Copy>(list: &[T]) -> Option<T> {
    match list {
        [one] => Some(*one),
        _ => None,
    }
}

/// What the plugin for hyperparameters says in one of its tags.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Hyperparameters {
    #[prost(message, optional, tag = "3")]
    pub(super) start: Option<SessionStart>,
    #[prost(message, optional, tag = "4")]
    pub(super) end: Option<SessionEnd>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SessionStart {
    #[prost(btree_map = "string, message", tag = "1")]
    pub(super) values: BTreeMap<String, Given>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SessionEnd {
    /// 1: success, 2: failure, 3: running.
    #[prost(int32, tag = "1")]
    pub(super) status: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Given {
    #[prost(oneof = "GivenValue", tags = "2, 3, 4")]
    pub(super) value: Option<GivenValue>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum GivenValue {
    #[prost(double, tag = "2")]
    Number(f64),
    #[prost(string, tag = "3")]
    Text(String),
    #[prost(bool, tag = "4")]
    Truth(bool),
}
