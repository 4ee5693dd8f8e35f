//! Who may do what: signing on, the rules of all calls, and ways around them.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

#[path = "access/attacks.rs"]
mod attacks;
#[path = "access/giving.rs"]
mod giving;
#[path = "access/helpers.rs"]
mod helpers;
#[path = "access/routes.rs"]
mod routes;
#[path = "access/searches.rs"]
mod searches;
#[path = "access/signing_on.rs"]
mod signing_on;
#[path = "access/signup.rs"]
mod signup;
mod support;
