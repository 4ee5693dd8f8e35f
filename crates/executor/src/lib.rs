#![doc = include_str!("../README.md")]

mod collect;
mod context;
mod endpoint;
mod error;
mod facts;
mod launch;
mod manifest;
mod metrics_files;
mod opening;
mod rebuild;
mod replay;
mod restore;
mod run;
mod snapshot;
mod stamp;
mod standard_input;
mod temporary;
mod trees;
mod view;

pub use context::*;
pub use endpoint::*;
pub use error::*;
pub use facts::*;
pub use launch::{Outcome, mask};
pub use opening::salvage;
pub use replay::*;
pub use restore::*;
pub use run::*;
pub use temporary::{is_run_alive, sweep_temporary};
pub use trees::*;
