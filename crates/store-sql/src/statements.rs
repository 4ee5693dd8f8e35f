//! Names SQL statements, so that one test of each database can prepare them all against its schema.

/// Defines a constant for each statement, and `ALL`, which lists them.
#[macro_export]
macro_rules! statements {
    ($($name:ident = $text:literal;)+) => {
        $(pub(crate) const $name: &str = $text;)+
        /// Every statement that is defined here, by its name.
        pub(crate) const ALL: &[(&str, &str)] = &[$((stringify!($name), $text)),+];
    };
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
