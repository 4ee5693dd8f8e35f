//! The store on a real server.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::disallowed_methods,
    reason = "the tests start themselves again as the process that is killed"
)]

mod conformance;
mod opening;
mod snapshot;
mod texts;
mod writers;
