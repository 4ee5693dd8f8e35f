#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

pub mod code;
pub mod digests;
pub mod environment;
mod error;
pub mod host;
pub mod made;
mod process;
pub mod redaction;
pub mod sampling;
pub mod trace;
pub mod writers;

pub use error::CaptureError;
