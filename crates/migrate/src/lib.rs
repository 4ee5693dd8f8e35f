#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod artifacts;
mod compare;
mod dvc;
mod error;
mod import;
mod keys;
mod locations;
mod mlflow;
mod places;
mod reading;
mod report;
mod reverse;
mod source;
mod sources;
mod tensorboard;
mod users;
mod wandb;

pub use error::*;
pub use import::*;
pub use mlflow::{FernetKey, ServerAccess, web_agent};
pub use report::*;
pub use reverse::{ReverseOptions, ReverseReport, write_back};
pub use sources::Source;
pub use users::{UsersReport, UsersSource, UsersTarget, take_over_users};
