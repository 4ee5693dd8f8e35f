#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod app;
mod artifacts;
mod error;
mod guard;
mod hosts;
mod mlflow;
mod options;
mod otlp;
mod scope;
mod serve;
mod wire;

pub use hosts::AllowedHosts;
pub use options::{Mask, RunScope, Scope, ServerOptions};
pub use serve::{router, serve};
