#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

#[macro_use]
mod statements;

mod apply;
mod commit;
mod copy;
mod deliveries;
mod fault;
mod history;
mod known;
mod leases;
mod ledger;
mod numbers;
mod read;
mod rows;
mod search;
mod several;
pub mod sql;
mod store;
mod verify;

pub use apply::Applier;
pub use commit::{Author, write_commit};
pub use copy::{CopiedTable, copy_table};
pub use fault::{damaged, database_fault};
pub use known::{Known, Wanted};
pub use ledger::{LedgerStatements, find_progress};
pub use numbers::Numbers;
pub use search::{SearchReach, all_searches};
pub use several::AddRows;
pub use statements::{all_lists, all_row_statements, all_statements};
pub use store::{Backend, SqlStore};
pub use verify::{Counting, verify_rows};
