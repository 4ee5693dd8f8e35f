#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod datasets;
mod error;
mod given;
mod records;
mod scorers;
mod serialized;
mod validation;

pub use datasets::*;
pub use error::*;
pub use given::{parse_records, parse_tags};
pub use records::*;
pub use validation::parse_dataset_id;
