#![doc = include_str!("../README.md")]

pub mod code;
pub mod environment;
pub mod host;
pub mod redaction;
pub mod sampling;
pub mod trace;
