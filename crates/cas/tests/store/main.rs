//! The store of objects from outside.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

mod collection;
mod crashes;
mod damage;
mod distant;
mod format;
mod objects;
mod support;
