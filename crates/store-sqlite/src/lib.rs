#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

#[macro_use]
mod statements;

mod apply;
mod commit;
mod connection;
mod deliveries;
mod fault;
mod functions;
mod migrations;
mod read;
mod read_only;
mod rows;
mod search;
mod store;
mod verify;
mod writer;

pub use store::{OpenOptions, SqliteStore};
