//! Names SQL statements, so that one test of each database can prepare them all against its schema.

use crate::several::AddRows;
use crate::sql::Dialect;

/// Defines a constant for each statement, and `ALL`, which lists them.
#[macro_export]
macro_rules! statements {
    ($($name:ident = $text:literal;)+) => {
        $(pub(crate) const $name: &str = $text;)+
        /// Every statement that is defined here, by its name.
        pub(crate) const ALL: &[(&str, &str)] = &[$((stringify!($name), $text)),+];
    };
}

/// Defines a statement that adds rows for each text, with the number of its columns and of those that are its key, and
/// `ALL_ROWS`, which lists them.
macro_rules! row_statements {
    ($($name:ident($columns:literal, key $key:literal) = $text:literal;)+) => {
        $(pub(crate) static $name: $crate::AddRows = $crate::AddRows::new($text, $columns, $key);)+
        /// Every statement that adds rows and is defined here, by its name.
        pub(crate) static ALL_ROWS: &[(&str, &$crate::AddRows)] = &[$((stringify!($name), &$name)),+];
    };
}

/// Every statement of this room that adds as many rows as it is handed, by its name: for the tests of the databases.
pub fn all_row_statements() -> Vec<(&'static str, &'static AddRows)> {
    [
        crate::apply::all_row_statements(),
        crate::commit::ALL_ROWS.to_vec(),
        crate::history::compaction::ALL_ROWS.to_vec(),
    ]
    .concat()
}

/// Every statement of this room about what belongs to some rows, as a database takes it: for its tests.
pub fn all_lists(dialect: Dialect) -> Vec<(String, String)> {
    let all = [crate::read::runs::BELONGING, crate::read::traces::BELONGING];
    let lists = all.iter().flat_map(|room| room.iter());
    lists
        .map(|belonging| (belonging.from.to_owned(), belonging.of_one(dialect)))
        .collect()
}

/// Every statement of this room that any database takes, by its name: for the tests of the databases.
pub fn all_statements() -> Vec<(&'static str, &'static str)> {
    [
        crate::apply::all_statements(),
        crate::read::all_statements(),
        crate::commit::ALL.to_vec(),
        crate::history::all_statements(),
        crate::deliveries::ALL.to_vec(),
        crate::leases::ALL.to_vec(),
        crate::store::ALL.to_vec(),
        crate::verify::all_statements(),
    ]
    .concat()
}
