#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod classify;
mod command_line;
mod diff;
mod environment_diff;
mod error;
mod facts;
mod file;
mod manifest;
mod metrics_file;
mod patch;
mod pattern;
#[cfg(test)]
mod samples;
mod seeds;

pub use classify::*;
pub use command_line::*;
pub use diff::*;
pub use environment_diff::*;
pub use error::*;
pub use facts::*;
pub use file::*;
pub use manifest::*;
pub use metrics_file::*;
pub use patch::*;
pub use pattern::*;
pub use seeds::*;
