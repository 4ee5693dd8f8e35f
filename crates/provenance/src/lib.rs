#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod causes;
mod classify;
mod command_line;
mod comparison;
mod diff;
mod embedded;
mod environment_diff;
mod error;
mod evidence;
mod facts;
mod file;
mod manifest;
mod metrics_file;
mod patch;
mod pattern;
#[cfg(test)]
mod samples;
mod seeds;
mod tolerance;

pub use causes::*;
pub use classify::*;
pub use command_line::*;
pub use comparison::*;
pub use diff::*;
pub use embedded::*;
pub use environment_diff::*;
pub use error::*;
pub use evidence::*;
pub use facts::*;
pub use file::*;
pub use manifest::*;
pub use metrics_file::*;
pub use patch::*;
pub use pattern::*;
pub use seeds::*;
pub use tolerance::*;
