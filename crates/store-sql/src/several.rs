//! Statements about several rows at once: a statement is a way to the database and back.

use store::StoreError;

use crate::fault::database_fault;
use crate::sql::{self, Connection, Row, ToValue};

/// Stands in a statement for the values of the rows that it adds.
const ROWS: &str = ":rows";

/// How many are read at once. Statements are kept for these counts; a list is filled up to the next of them.
const COUNTS: [usize; 5] = [1, 2, 5, 10, 100];

/// Stands in a statement for the numbers of the rows.
const NUMBERS: &str = ":numbers";

/// Some rows, which statements are about.
pub(crate) struct Several<'c> {
    connection: &'c dyn Connection,
    numbers: Vec<i64>,
}

impl<'c> Several<'c> {
    /// Of a longer list, what one statement is about.
    pub(crate) fn split(numbers: &[i64]) -> std::slice::Chunks<'_, i64> {
        numbers.chunks(COUNTS[COUNTS.len() - 1])
    }

    /// As many as `split` gives.
    pub(crate) fn of(connection: &'c dyn Connection, numbers: &[i64]) -> Self {
        let mut numbers = numbers.to_vec();
        let count = COUNTS.into_iter().find(|count| *count >= numbers.len());
        if let (Some(count), Some(last)) = (count, numbers.last().copied()) {
            numbers.resize(count, last);
        }
        Self {
            connection,
            numbers,
        }
    }

    /// All rows of a statement that names `:numbers`.
    pub(crate) fn list<T, C: FromIterator<T>>(
        &self,
        sql: &str,
        read: impl FnMut(&Row<'_>) -> sql::Result<T>,
    ) -> Result<C, StoreError> {
        let places = 1..=self.numbers.len();
        let names: Vec<_> = places.map(|place| format!("?{place}")).collect();
        let sql = sql.replace(NUMBERS, &names.join(", "));
        let numbers = self.numbers.iter();
        let values: Vec<_> = numbers.map(|number| number as &dyn ToValue).collect();
        self.connection
            .list(&sql, values.as_slice(), read)
            .map_err(database_fault("reading rows"))
    }
}

/// Adds rows, as many by one statement as `COUNTS` has, which names `:rows`; tells how many it added or changed.
///
/// No two rows may have the same key where the statement changes what is there.
pub(crate) fn add_rows<const COLUMNS: usize>(
    connection: &dyn Connection,
    sql: &str,
    rows: &[[&dyn ToValue; COLUMNS]],
) -> sql::Result<usize> {
    let mut changed = 0;
    in_counts(sql, rows, |text, values| {
        changed += connection.execute(text, values)?;
        Ok(())
    })?;
    Ok(changed)
}

/// As `add_rows`, where nobody asks how many, as `Connection::send` does.
pub(crate) fn send_rows<const COLUMNS: usize>(
    connection: &dyn Connection,
    sql: &str,
    rows: &[[&dyn ToValue; COLUMNS]],
) -> sql::Result<()> {
    in_counts(sql, rows, |text, values| connection.send(text, values))
}

fn in_counts<const COLUMNS: usize>(
    sql: &str,
    rows: &[[&dyn ToValue; COLUMNS]],
    mut run: impl FnMut(&str, &[&dyn ToValue]) -> sql::Result<()>,
) -> sql::Result<()> {
    let mut rest = rows;
    for count in COUNTS.into_iter().rev() {
        let text = (rest.len() >= count).then(|| with_rows(sql, count, COLUMNS));
        while let (Some(text), Some((some, after))) = (&text, rest.split_at_checked(count)) {
            run(text, some.as_flattened())?;
            rest = after;
        }
    }
    Ok(())
}

/// The statement with names for the values of some rows.
fn with_rows(sql: &str, count: usize, columns: usize) -> String {
    let row = |row: usize| {
        let places = 1..=columns;
        let names: Vec<_> = places
            .map(|place| format!("?{}", row * columns + place))
            .collect();
        format!("({})", names.join(", "))
    };
    let rows: Vec<_> = (0..count).map(row).collect();
    sql.replace(ROWS, &rows.join(", "))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::ops::ControlFlow;

    use super::*;

    #[derive(Default)]
    struct Listener {
        counts: RefCell<Vec<usize>>,
    }

    impl Connection for Listener {
        fn execute(&self, sql: &str, values: &[&dyn ToValue]) -> sql::Result<usize> {
            assert!(sql.ends_with(&format!("?{})", values.len())), "{sql}");
            self.counts.borrow_mut().push(values.len());
            Ok(values.len() / 2)
        }

        fn query(
            &self,
            _: &str,
            _: &[&dyn ToValue],
            _: &mut dyn FnMut(&Row<'_>) -> sql::Result<ControlFlow<()>>,
        ) -> sql::Result<()> {
            unreachable!("nothing is read")
        }
    }

    #[test]
    fn rows_are_added_by_few_statements() {
        let listener = Listener::default();
        let numbers: Vec<i64> = (0..223).collect();
        let rows: Vec<[&dyn ToValue; 2]> = numbers.iter().map(|n| [n as _, n as _]).collect();
        let added = add_rows(&listener, "INSERT INTO a (b, c) VALUES :rows", &rows);
        assert_eq!(added.unwrap(), 223);
        assert_eq!(*listener.counts.borrow(), [200, 200, 20, 20, 4, 2]);
        let none: [[&dyn ToValue; 2]; 0] = [];
        assert_eq!(add_rows(&listener, "", &none).unwrap(), 0);
    }
}
