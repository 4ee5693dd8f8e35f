#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod classify;
mod command_line;
mod error;
mod file;
mod manifest;
mod metrics_file;
mod pattern;
mod seeds;

pub use classify::*;
pub use command_line::*;
pub use error::*;
pub use file::*;
pub use manifest::*;
pub use metrics_file::*;
pub use pattern::*;
pub use seeds::*;
