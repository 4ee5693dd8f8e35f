//! Commands under observation: what is told of them, how they end, what they see.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]
#![expect(clippy::print_stderr, reason = "a test that cannot run here says so")]
#![expect(
    clippy::disallowed_methods,
    reason = "tests hand the environment on and start what they watch"
)]

mod binds;
mod calls;
mod endings;
mod files;
mod methods;
mod nested;
mod output;
mod processes;
mod support;
mod terminal;
