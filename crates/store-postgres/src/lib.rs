#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod address;
mod connecting;
mod copy;
mod fault;
mod ledger;
mod locks;
mod migrations;
mod session;
mod settings;
mod snapshot;
#[cfg(test)]
mod statements;
mod store;
#[cfg(test)]
mod tampering;
mod tls;
mod values;
mod verify;
mod writer;

pub use address::{AddressError, PostgresAddress};
pub use copy::{PostgresCopy, restore_copy};
pub use settings::{ServerSetting, server_settings};
pub use snapshot::PostgresSnapshot;
pub use store::{Access, OpenOptions, Postgres, PostgresStore};
pub use store_sql::SearchReach;
