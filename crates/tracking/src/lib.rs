#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod artifacts;
mod captured;
mod error;
mod experiments;
mod folder_lock;
mod initial;
mod limits;
mod logging;
mod models;
mod names;
mod open_runs;
mod publisher;
mod removal;
mod resolve;
mod runs;
mod signed_memory;
mod taking_over;
mod tracking;
mod validation;
mod verification;

pub use captured::*;
pub use error::*;
pub use experiments::*;
pub use initial::*;
pub use limits::*;
pub use logging::*;
pub use models::*;
pub use open_runs::{Salvage, SalvagedRun};
pub use publisher::*;
pub use removal::*;
pub use runs::*;
pub use signed_memory::*;
pub use taking_over::{ArtifactOwner, PASSED_OVER_TAG, TakenOver, TakingOver};
pub use tracking::*;
pub use validation::{parse_experiment_id, parse_model_id, parse_run_id};
pub use verification::*;
