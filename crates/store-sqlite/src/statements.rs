//! Names SQL statements, so that one test can prepare them all against the schema.

/// Defines a constant for each statement, and `ALL`, which lists them.
macro_rules! statements {
    ($($name:ident = $text:literal;)+) => {
        $(pub(crate) const $name: &str = $text;)+
        #[cfg(test)]
        pub(crate) const ALL: &[(&str, &str)] = &[$((stringify!($name), $text)),+];
    };
}

#[cfg(test)]
mod tests {
    use crate::connection::open_scratch;
    use crate::migrations::migrate;

    #[test]
    fn every_statement_fits_the_schema() {
        let mut connection = open_scratch().unwrap();
        migrate(&mut connection).unwrap();
        let statements = [
            crate::apply::all_statements(),
            crate::read::all_statements(),
            crate::commit::ALL.to_vec(),
            crate::deliveries::ALL.to_vec(),
            crate::migrations::ALL.to_vec(),
            crate::store::ALL.to_vec(),
            crate::verify::all_statements(),
        ]
        .concat();
        assert!(statements.len() > 60, "only {}", statements.len());
        for (name, text) in statements {
            let prepared = connection.prepare(text);
            assert!(prepared.is_ok(), "{name}: {}", prepared.unwrap_err());
        }
    }
}
