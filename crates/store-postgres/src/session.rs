//! A connection to PostgreSQL as the rooms above see it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

use postgres::types::ToSql;
use postgres::{Client, Statement};
use store_sql::sql::{Connection, Result, Row, SqlError, ToValue};

use crate::fault::{is_cut, sort_error};
use crate::values::{Bound, PostgresColumns};

/// Prepared statements that a connection keeps: more than there are static ones, so that only those of searches go.
const STATEMENT_CACHE_SIZE: usize = 400;

/// A connection with its prepared statements.
pub(crate) struct Session {
    client: RefCell<Client>,
    statements: RefCell<BTreeMap<String, Statement>>,
    is_cut: Cell<bool>,
}

impl Session {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client: RefCell::new(client),
            statements: RefCell::default(),
            is_cut: Cell::new(false),
        }
    }

    /// Whether it can still be used.
    pub(crate) fn is_alive(&self) -> bool {
        !self.is_cut.get() && !self.client.borrow_mut().is_closed()
    }

    /// Runs statements without values, one after the other.
    pub(crate) fn run(&self, sql: &str) -> Result<()> {
        self.client
            .borrow_mut()
            .batch_execute(sql)
            .map_err(|error| self.sort(error))
    }

    pub(crate) fn prepare(&self, sql: &str) -> Result<Statement> {
        if let Some(statement) = self.statements.borrow().get(sql) {
            return Ok(statement.clone());
        }
        let prepared = self
            .client
            .borrow_mut()
            .prepare(&in_dialect(sql))
            .map_err(|error| self.sort(error))?;
        let mut statements = self.statements.borrow_mut();
        if statements.len() >= STATEMENT_CACHE_SIZE {
            statements.clear();
        }
        statements.insert(sql.to_owned(), prepared.clone());
        Ok(prepared)
    }

    fn sort(&self, error: postgres::Error) -> SqlError {
        if is_cut(&error) {
            self.is_cut.set(true);
        }
        sort_error(error)
    }
}

impl Connection for Session {
    fn execute(&self, sql: &str, values: &[&dyn ToValue]) -> Result<usize> {
        let statement = self.prepare(sql)?;
        let bound: Vec<_> = values.iter().map(|value| Bound(value.to_value())).collect();
        let changed = self
            .client
            .borrow_mut()
            .execute(&statement, &references(&bound))
            .map_err(|error| self.sort(error))?;
        Ok(usize::try_from(changed).unwrap_or(usize::MAX))
    }

    fn query(
        &self,
        sql: &str,
        values: &[&dyn ToValue],
        reader: &mut dyn FnMut(&Row<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let statement = self.prepare(sql)?;
        let bound: Vec<_> = values.iter().map(|value| Bound(value.to_value())).collect();
        let rows = self
            .client
            .borrow_mut()
            .query(&statement, &references(&bound))
            .map_err(|error| self.sort(error))?;
        for row in &rows {
            let columns = PostgresColumns::of(row)?;
            if reader(&Row::new(&columns))?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

fn references<'b>(bound: &'b [Bound<'_>]) -> Vec<&'b (dyn ToSql + Sync)> {
    bound
        .iter()
        .map(|value| value as &(dyn ToSql + Sync))
        .collect()
}

/// Names values `$1` where the shared text has `?1`. No text of ours holds a question mark before a digit otherwise.
pub(crate) fn in_dialect(sql: &str) -> String {
    let mut translated = String::with_capacity(sql.len());
    let mut characters = sql.chars().peekable();
    while let Some(character) = characters.next() {
        let is_name = character == '?' && characters.peek().is_some_and(char::is_ascii_digit);
        translated.push(if is_name { '$' } else { character });
    }
    translated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_named_in_the_words_of_the_database() {
        assert_eq!(
            in_dialect("SELECT ?1, a FROM b WHERE c = ?12 AND d = '?'"),
            "SELECT $1, a FROM b WHERE c = $12 AND d = '?'"
        );
    }
}
