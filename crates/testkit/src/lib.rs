#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

#[cfg(feature = "bench")]
mod bench;
mod builders;
mod clock;
mod random;

#[cfg(feature = "bench")]
pub use bench::*;
pub use builders::*;
pub use clock::*;
pub use random::*;
