#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod artifact;
mod canonical;
mod change;
mod count;
mod dataset;
mod digest;
mod event;
mod exact;
mod experiment;
mod identity;
mod manifest;
mod metric;
mod model;
mod path;
mod random;
mod run;
mod search;
mod time;
mod tree;

pub use artifact::*;
pub use canonical::*;
pub use change::*;
pub use count::*;
pub use dataset::*;
pub use digest::*;
pub use event::*;
pub use experiment::*;
pub use identity::*;
pub use manifest::*;
pub use metric::*;
pub use model::*;
pub use path::*;
pub use random::*;
pub use run::*;
pub use search::*;
pub use time::*;
pub use tree::*;
