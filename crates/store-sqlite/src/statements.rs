//! Names SQL statements, so that one test can prepare them all against the schema.

/// Defines a constant for each statement, and `ALL`, which lists them.
macro_rules! statements {
    ($($name:ident = $text:literal;)+) => {
        $(pub(super) const $name: &str = $text;)+
        #[cfg(test)]
        pub(crate) const ALL: &[(&str, &str)] = &[$((stringify!($name), $text)),+];
    };
}
