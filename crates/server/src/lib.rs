#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod app;
mod artifacts;
mod description;
mod error;
mod figures;
mod guard;
mod hosts;
mod leftovers;
mod limits;
mod mlflow;
mod options;
mod origins;
mod otlp;
mod pattern;
mod scope;
mod serve;
mod sign_on;
mod spans;
mod wire;

pub use description::document;
pub use hosts::AllowedHosts;
pub use options::{
    ArtifactOptions, Framing, Mask, OperationOptions, ProcessFigures, ProcessReader, RemoteParent,
    RunScope, Scope, ServerOptions, WebOptions,
};
pub use origins::AllowedOrigins;
pub use serve::{router, serve};
