//! Statements about several rows at once: a statement is a way to the database and back.

use std::sync::OnceLock;

use store::StoreError;

use crate::fault::database_fault;
use crate::sql::{self, Connection, Dialect, Row, ToValue};

/// Stands in a statement for `VALUES` and those of the rows that it adds.
const ROWS: &str = ":rows";

/// How many are read at once. Statements are kept for these counts; a list is filled up to the next of them.
const COUNTS: [usize; 5] = [1, 2, 5, 10, 100];

/// Stands in a statement for the numbers of the rows.
const NUMBERS: &str = ":numbers";

/// What belongs to rows of another table, by whose numbers it is found.
pub(crate) struct Belonging {
    pub(crate) columns: &'static str,
    /// A table, or several that are joined.
    pub(crate) from: &'static str,
    /// The column with the number of what it belongs to.
    pub(crate) owner: &'static str,
    /// Among other things of the same owner.
    pub(crate) order: &'static str,
}

impl Belonging {
    /// The statement, in which `:numbers` stands for those of all owners, or `?1` is a text that lists them.
    ///
    /// The list that PostgreSQL is given stands in a `SELECT`, so that its length does not show: without statistics, it would
    /// take a hundred owners to have half of a table, and read all of it.
    pub(crate) fn text(&self, dialect: Dialect) -> String {
        let Self {
            columns,
            from,
            owner,
            order,
        } = self;
        let is_wanted = match dialect {
            Dialect::Sqlite => "IN (:numbers)",
            Dialect::Postgres => {
                "= ANY (CAST((SELECT CAST(CAST(?1 AS TEXT) AS BIGINT[])) AS BIGINT[]))"
            }
        };
        format!("SELECT {columns} FROM {from} WHERE {owner} {is_wanted} ORDER BY {owner}, {order}")
    }

    /// With one number, for the tests of the databases.
    pub(crate) fn of_one(&self, dialect: Dialect) -> String {
        self.text(dialect).replace(NUMBERS, "?1")
    }
}

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

    /// What belongs to the rows.
    pub(crate) fn list_belonging<T, C: FromIterator<T>>(
        &self,
        belonging: &Belonging,
        read: impl FnMut(&Row<'_>) -> sql::Result<T>,
    ) -> Result<C, StoreError> {
        let dialect = self.connection.dialect();
        let sql = belonging.text(dialect);
        match dialect {
            Dialect::Sqlite => self.list(&sql, read),
            Dialect::Postgres => {
                let numbers: Vec<_> = self.numbers.iter().map(ToString::to_string).collect();
                let array = format!("{{{}}}", numbers.join(","));
                self.connection
                    .list(&sql, [array], read)
                    .map_err(database_fault("reading rows"))
            }
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

/// A statement that adds rows, as many as it is handed.
#[derive(Debug)]
pub struct AddRows {
    /// `:rows` stands in it for the values of the rows.
    text: &'static str,
    columns: usize,
    key: usize,
    /// Its text for each of `COUNTS`, once it was needed.
    texts: [OnceLock<String>; COUNTS.len()],
}

impl AddRows {
    /// Of rows of so many columns. By the first `key` of them it finds the row that it changes where there is one
    /// already; it must be 0 where the statement changes none.
    pub(crate) const fn new(text: &'static str, columns: usize, key: usize) -> Self {
        Self {
            text,
            columns,
            key,
            texts: [const { OnceLock::new() }; COUNTS.len()],
        }
    }

    /// The text that adds the rows that a query gives.
    pub fn with(&self, query: &str) -> String {
        self.text.replace(ROWS, query)
    }

    /// The values of one row.
    pub const fn columns(&self) -> usize {
        self.columns
    }

    /// Of how many first columns no two rows of one statement may have the same values; 0 where it does not matter.
    pub const fn key(&self) -> usize {
        self.key
    }

    /// The text that adds one row.
    pub fn of_one(&self) -> &str {
        self.of_count(0)
    }

    /// The text that adds as many rows as `COUNTS` has there.
    fn of_count(&self, place: usize) -> &str {
        self.texts[place].get_or_init(|| {
            let row = |row: usize| {
                let places = 1..=self.columns;
                let names: Vec<_> = places
                    .map(|place| format!("?{}", row * self.columns + place))
                    .collect();
                format!("({})", names.join(", "))
            };
            let rows: Vec<_> = (0..COUNTS[place]).map(row).collect();
            self.with(&format!("VALUES {}", rows.join(", ")))
        })
    }

    /// Hands over the values of rows, as many at once as `COUNTS` has, with the text that adds them.
    pub(crate) fn in_counts(
        &self,
        values: &[&dyn ToValue],
        mut run: impl FnMut(&str, &[&dyn ToValue]) -> sql::Result<()>,
    ) -> sql::Result<()> {
        debug_assert_eq!(values.len() % self.columns, 0, "{}", self.text);
        let mut rest = values;
        for (place, count) in COUNTS.into_iter().enumerate().rev() {
            while let Some((some, after)) = rest.split_at_checked(count * self.columns) {
                run(self.of_count(place), some)?;
                rest = after;
            }
        }
        Ok(())
    }
}

/// Adds rows, no two of which have the same key; tells how many it added or changed.
pub(crate) fn add_rows<const COLUMNS: usize>(
    connection: &dyn Connection,
    statement: &AddRows,
    rows: &[[&dyn ToValue; COLUMNS]],
) -> sql::Result<usize> {
    let mut changed = 0;
    statement.in_counts(rows.as_flattened(), |text, values| {
        changed += connection.execute(text, values)?;
        Ok(())
    })?;
    Ok(changed)
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
        fn dialect(&self) -> Dialect {
            Dialect::Sqlite
        }

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
        static ADD: AddRows = AddRows::new("INSERT INTO a (b, c) :rows", 2, 0);
        let added = add_rows(&listener, &ADD, &rows);
        assert_eq!(added.unwrap(), 223);
        assert_eq!(*listener.counts.borrow(), [200, 200, 20, 20, 4, 2]);
        let none: [[&dyn ToValue; 2]; 0] = [];
        assert_eq!(add_rows(&listener, &ADD, &none).unwrap(), 0);
    }
}
