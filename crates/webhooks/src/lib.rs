#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod address;
mod delivery;
mod error;
mod exchange;
mod network;
mod payload;
mod retry;
mod seal;
mod services;
mod target;
mod transport;
mod trial;
mod validation;
mod webhooks;

pub use delivery::Deliverer;
pub use error::*;
pub use network::*;
pub use seal::{SealingKey, SealingKeys};
pub use services::*;
pub use trial::Trial;
pub use webhooks::*;
