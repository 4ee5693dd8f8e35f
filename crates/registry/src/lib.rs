#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod error;
mod files;
mod models;
mod registry;
mod source;
mod validation;
mod versions;

pub use error::*;
pub use files::*;
pub use models::*;
pub use registry::*;
pub use versions::*;
