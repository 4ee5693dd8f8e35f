#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod connection;
mod copy;
mod fault;
mod functions;
mod ledger;
mod migrations;
mod read_only;
mod session;
#[cfg(test)]
mod statements;
mod store;
mod verify;
mod writer;

pub use copy::{SqliteSnapshot, TableFile};
pub use store::{OpenOptions, Sqlite, SqliteStore};
pub use store_sql::SearchReach;
pub use verify::verify_elsewhere;
