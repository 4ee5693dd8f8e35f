#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod error;
mod ledger;
mod page;
mod repositories;

pub use error::*;
pub use ledger::*;
pub use page::*;
pub use repositories::*;
