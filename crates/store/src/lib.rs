#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod ledger;
mod page;
mod repositories;

pub use error::*;
pub use ledger::*;
pub use page::*;
pub use repositories::*;
