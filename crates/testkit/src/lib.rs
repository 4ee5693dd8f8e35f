#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

#[cfg(feature = "bench")]
mod bench;
mod builders;
mod clock;
#[cfg(feature = "bench")]
mod hosts;
#[cfg(feature = "postgres")]
mod postgres;
mod random;
mod receiver;

#[cfg(feature = "bench")]
pub use bench::*;
pub use builders::*;
pub use clock::*;
#[cfg(feature = "bench")]
pub use hosts::*;
#[cfg(feature = "postgres")]
pub use postgres::*;
pub use random::*;
pub use receiver::*;
