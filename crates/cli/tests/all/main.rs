//! `reproof` from outside: each test calls the binary in a project of its own.
//!
//! One program of tests, so that it is linked once.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, outside of test functions"
)]

mod access;
mod backups;
mod crashes;
mod differential;
mod doctor;
mod environments;
mod given_back;
mod listening;
mod log_lines;
mod migrations;
mod models;
mod object_stores;
mod odd;
mod outside;
mod postgres;
mod python;
mod read_only;
mod removal;
mod replays;
mod repositories;
mod schemathesis;
mod secrets;
mod several;
mod standard_input;
mod start_scripts;
mod support;
mod tampering;
mod telemetry;
mod webhooks;
mod whole;
mod words;
