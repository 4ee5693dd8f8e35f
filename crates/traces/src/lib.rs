#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod assessments;
mod correlation;
mod deletion;
mod error;
mod figures;
mod issues;
mod label_schemas;
mod notes;
mod spans;
mod traces;
mod translate;
mod validation;
mod wholes;

pub use assessments::*;
pub use correlation::*;
pub use deletion::*;
pub use error::*;
pub use figures::*;
pub use issues::*;
pub use label_schemas::*;
pub use notes::*;
pub use spans::*;
pub use traces::*;
pub use validation::parse_trace_id;
pub use wholes::*;
