//! Statements about several rows at once: a page of a thousand is read with dozens of statements, not with thousands.

use store::StoreError;

use crate::fault::database_fault;
use crate::sql::{self, Connection, Row, ToValue};

/// How many are read at once. Statements are kept for these counts; a list is filled up to the next of them.
const COUNTS: [usize; 3] = [1, 10, 100];

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
