#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod address;
mod bridge;
mod bucket;
mod connect;
mod fault;
mod objects;
mod outline;
mod root;
mod verified;

pub use address::{Address, AddressError};
pub use bucket::Bucket;
pub use connect::Environment;
pub use objects::BucketObjects;
pub use root::BucketRoot;
