#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod artifacts;
mod compare;
mod error;
mod import;
mod keys;
mod locations;
mod mlflow;
mod places;
mod reading;
mod report;
mod source;
mod sources;
mod tensorboard;
mod wandb;

pub use error::*;
pub use import::*;
pub use mlflow::{FernetKey, ServerAccess};
pub use report::*;
pub use sources::Source;
