//! A connection to PostgreSQL as the rooms above see it.

mod held;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use store_sql::AddRows;
use store_sql::sql::{
    Asked, Connection, Dialect, OwnedRow, OwnedValue, Result, Row, SqlError, ToValue,
};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Statement};

use crate::fault::{is_cut, sort_error};
use crate::values::{Bound, PostgresColumns};

use held::Held;

/// Prepared statements that a connection keeps: more than there are static ones, beside those of searches, and one for each
/// set of tables that a group has added to.
const STATEMENT_CACHE_SIZE: usize = 400;

/// Statements that are on their way at most, so that what waits to be sent stays small.
const SENT_MAX: usize = 64;

/// What is waited for when a connection ends.
const LEAVING_TIME: Duration = Duration::from_secs(1);

/// A connection with its prepared statements.
///
/// A statement whose answer is not needed is sent along with the next one whose answer is: most of the time of writing is
/// that of ways to the server and back. Rows that are added wait until then for more of their statement.
pub(crate) struct Session {
    client: Arc<Client>,
    statements: RefCell<BTreeMap<String, Statement>>,
    held: RefCell<Held>,
    sent: RefCell<Vec<Answer>>,
    is_cut: Cell<bool>,
    /// The last, so that it ends when nobody can ask any more.
    at_work: AtWork,
}

/// A connection, which is at work while somebody waits.
pub(crate) struct AtWork {
    runtime: Runtime,
    connection: Option<JoinHandle<std::result::Result<(), Error>>>,
}

impl AtWork {
    pub(crate) const fn new(
        runtime: Runtime,
        connection: JoinHandle<std::result::Result<(), Error>>,
    ) -> Self {
        Self {
            runtime,
            connection: Some(connection),
        }
    }

    fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }
}

impl Drop for AtWork {
    /// Takes leave of the server, which would else find the connection cut.
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            let leaving = async { tokio::time::timeout(LEAVING_TIME, connection).await };
            // One that was cut, or does not end, ends with the runtime.
            drop(self.runtime.block_on(leaving));
        }
    }
}

/// What a statement that was sent will be answered.
type Answer = Pin<Box<dyn Future<Output = std::result::Result<(), Error>> + Send>>;

/// Rows that were asked for.
type Rows =
    Pin<Box<dyn Future<Output = std::result::Result<Vec<tokio_postgres::Row>, Error>> + Send>>;

/// How the end of a transaction failed.
pub(crate) enum CommitFault {
    /// A statement before it was refused or could not be sent, so that nothing was written.
    Refused(SqlError),
    /// Nobody knows whether it was written.
    Unknown(SqlError),
}

impl Session {
    pub(crate) fn new(client: Client, at_work: AtWork) -> Self {
        Self {
            client: Arc::new(client),
            statements: RefCell::default(),
            held: RefCell::default(),
            sent: RefCell::default(),
            is_cut: Cell::new(false),
            at_work,
        }
    }

    /// Whether it can still be used.
    pub(crate) fn is_alive(&self) -> bool {
        !self.is_cut.get() && !self.client.is_closed()
    }

    /// Runs statements without values, one after the other.
    pub(crate) fn run(&self, sql: &str) -> Result<()> {
        self.release()?;
        let done = self.at_work.wait(self.client.batch_execute(sql));
        self.finish(done)
    }

    /// As `run`, along with whatever comes next.
    pub(crate) fn send_run(&self, sql: String) -> Result<()> {
        self.release()?;
        let client = Arc::clone(&self.client);
        self.send_later(Box::pin(async move { client.batch_execute(&sql).await }))
    }

    /// Waits until all is done that was sent.
    pub(crate) fn settle(&self) -> Result<()> {
        self.release()?;
        self.finish(Ok(()))
    }

    /// Takes back what was written, by this statement; what of it had failed does not matter any more.
    pub(crate) fn take_back(&self, sql: &str) -> Result<()> {
        drop(self.held.take());
        if let Err(error) = self.collect() {
            let fault = self.sort(error);
            if self.is_cut.get() {
                return Err(fault);
            }
        }
        self.run(sql)
    }

    /// Ends the transaction, so that what it wrote is durable.
    pub(crate) fn commit(&self) -> std::result::Result<(), CommitFault> {
        // What fails here does so before the end was asked for.
        self.release().map_err(CommitFault::Refused)?;
        let ended = self.at_work.wait(self.client.batch_execute("COMMIT"));
        // After a statement that the server refused, it takes this for the opposite.
        if let Err(first) = self.collect() {
            let is_told = first.code().is_some() && !is_cut(&first);
            let fault = self.sort(first);
            return Err(if is_told {
                CommitFault::Refused(fault)
            } else {
                CommitFault::Unknown(fault)
            });
        }
        ended.map_err(|error| CommitFault::Unknown(self.sort(error)))
    }

    pub(crate) fn prepare(&self, sql: &str) -> Result<Statement> {
        if let Some(statement) = self.statements.borrow().get(sql) {
            return Ok(statement.clone());
        }
        let text = in_dialect(sql);
        let prepared = self.at_work.wait(self.client.prepare(&text));
        let prepared = self.finish(prepared)?;
        let mut statements = self.statements.borrow_mut();
        if statements.len() >= STATEMENT_CACHE_SIZE {
            statements.clear();
        }
        statements.insert(sql.to_owned(), prepared.clone());
        Ok(prepared)
    }

    /// As `ask`, with a list for each value.
    pub(crate) fn ask_of_lists(&self, sql: &str, lists: Vec<Vec<OwnedValue>>) -> Result<Asked<'_>> {
        self.release()?;
        let statement = self.prepare(sql)?;
        let client = Arc::clone(&self.client);
        Ok(self.ask_later(Box::pin(async move {
            let bound = bound_lists(&lists);
            client.query(&statement, &list_references(&bound)).await
        })))
    }

    fn ask_later(&self, mut asking: Rows) -> Asked<'_> {
        let first = poll_fn(|context| Poll::Ready(asking.as_mut().poll(context)));
        let first = self.at_work.wait(first);
        Asked::new(move || {
            let rows = match first {
                Poll::Ready(rows) => rows,
                Poll::Pending => self.at_work.wait(asking),
            };
            let rows = self.finish(rows)?;
            let owned = rows.iter().map(|row| {
                let columns = PostgresColumns::of(row)?;
                OwnedRow::of(&Row::new(&columns))
            });
            owned.collect()
        })
    }

    /// Puts a request in line, behind those that were put there before.
    fn send_later(&self, mut answer: Answer) -> Result<()> {
        let first = poll_fn(|context| Poll::Ready(answer.as_mut().poll(context)));
        match self.at_work.wait(first) {
            Poll::Ready(done) => return self.finish(done),
            Poll::Pending => self.sent.borrow_mut().push(answer),
        }
        if self.sent.borrow().len() < SENT_MAX {
            return Ok(());
        }
        self.settle()
    }

    /// What came of a statement, once all before it are done: the first fault counts, the others follow from it.
    fn finish<T>(&self, done: std::result::Result<T, Error>) -> Result<T> {
        self.collect().and(done).map_err(|error| self.sort(error))
    }

    /// Waits for the answers to all that was sent; tells the first fault.
    fn collect(&self) -> std::result::Result<(), Error> {
        let sent = self.sent.take();
        if sent.is_empty() {
            return Ok(());
        }
        self.at_work.wait(async {
            let mut first = Ok(());
            for answer in sent {
                let done = answer.await;
                first = first.and(done);
            }
            first
        })
    }

    fn sort(&self, error: Error) -> SqlError {
        if is_cut(&error) {
            self.is_cut.set(true);
        }
        sort_error(error)
    }
}

impl Connection for Session {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn execute(&self, sql: &str, values: &[&dyn ToValue]) -> Result<usize> {
        self.release()?;
        let statement = self.prepare(sql)?;
        let bound: Vec<_> = values.iter().map(|value| Bound(value.to_value())).collect();
        let references = references(&bound);
        let changing = self.client.execute(&statement, &references);
        let changed = self.finish(self.at_work.wait(changing))?;
        Ok(usize::try_from(changed).unwrap_or(usize::MAX))
    }

    fn send(&self, sql: &str, values: &[&dyn ToValue]) -> Result<()> {
        self.release()?;
        let statement = self.prepare(sql)?;
        let client = Arc::clone(&self.client);
        let values = kept(values);
        self.send_later(Box::pin(async move {
            let bound = bound(&values);
            // Some give a row back, which `execute` would take for a fault.
            client
                .query(&statement, &references(&bound))
                .await
                .map(drop)
        }))
    }

    fn send_rows(&self, statement: &'static AddRows, values: &[&dyn ToValue]) -> Result<()> {
        if values.is_empty() {
            return Ok(());
        }
        if self.held.borrow_mut().try_hold(statement, values) {
            return Ok(());
        }
        self.release()?;
        let is_held = self.held.borrow_mut().try_hold(statement, values);
        debug_assert!(is_held, "there is room where nothing is held");
        Ok(())
    }

    fn ask(&self, sql: &str, values: &[&dyn ToValue]) -> Result<Asked<'_>> {
        self.release()?;
        let statement = self.prepare(sql)?;
        let client = Arc::clone(&self.client);
        let values = kept(values);
        Ok(self.ask_later(Box::pin(async move {
            let bound = bound(&values);
            client.query(&statement, &references(&bound)).await
        })))
    }

    fn query(
        &self,
        sql: &str,
        values: &[&dyn ToValue],
        reader: &mut dyn FnMut(&Row<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        self.release()?;
        let statement = self.prepare(sql)?;
        let bound: Vec<_> = values.iter().map(|value| Bound(value.to_value())).collect();
        let references = references(&bound);
        let asking = self.client.query(&statement, &references);
        let rows = self.finish(self.at_work.wait(asking))?;
        for row in &rows {
            let columns = PostgresColumns::of(row)?;
            if reader(&Row::new(&columns))?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// Values that outlive the call that they are handed over by.
fn kept(values: &[&dyn ToValue]) -> Vec<OwnedValue> {
    let values = values.iter();
    values
        .map(|value| OwnedValue::of(value.to_value()))
        .collect()
}

fn references<'b>(bound: &'b [Bound<'_>]) -> Vec<&'b (dyn ToSql + Sync)> {
    bound
        .iter()
        .map(|value| value as &(dyn ToSql + Sync))
        .collect()
}

fn bound_lists(lists: &[Vec<OwnedValue>]) -> Vec<Vec<Bound<'_>>> {
    lists.iter().map(|list| bound(list)).collect()
}

fn bound(values: &[OwnedValue]) -> Vec<Bound<'_>> {
    values.iter().map(|value| Bound(value.to_value())).collect()
}

fn list_references<'b>(lists: &'b [Vec<Bound<'_>>]) -> Vec<&'b (dyn ToSql + Sync)> {
    lists
        .iter()
        .map(|list| list as &(dyn ToSql + Sync))
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
    use store_sql::params;

    use super::*;
    use crate::statements::{drop_schema, new_schema};

    #[test]
    fn values_are_named_in_the_words_of_the_database() {
        assert_eq!(
            in_dialect("SELECT ?1, a FROM b WHERE c = ?12 AND d = '?'"),
            "SELECT $1, a FROM b WHERE c = $12 AND d = '?'"
        );
    }

    const ADD: &str = "INSERT INTO writer (id, name) VALUES (?1, ?2)";

    fn add(session: &Session, id: i64, name: &str) -> Result<()> {
        session.send(ADD, params![id, name])
    }

    fn count(session: &Session) -> Result<Option<i64>> {
        let connection: &dyn Connection = session;
        connection.find("SELECT COUNT(*) FROM writer", params![], |row| row.get(0))
    }

    #[test]
    fn what_is_sent_is_seen_by_whatever_comes_next() {
        let Some((session, _)) = new_schema("sent") else {
            return;
        };
        session.send_run("BEGIN".to_owned()).unwrap();
        // More than are on their way at once.
        let many = SENT_MAX as i64 * 2 + 3;
        for id in 0..many {
            add(&session, id, &format!("w{id}")).unwrap();
        }
        assert_eq!(count(&session).unwrap(), Some(many));
        add(&session, many, "last").unwrap();
        assert!(session.commit().is_ok());
        assert_eq!(count(&session).unwrap(), Some(many + 1));
        drop_schema(&session);
    }

    /// The server takes `COMMIT` after a refused statement for `ROLLBACK`, and says that all is well.
    #[test]
    fn a_transaction_whose_sent_statement_was_refused_is_told_as_refused() {
        let Some((session, _)) = new_schema("refused") else {
            return;
        };
        session.run("BEGIN").unwrap();
        add(&session, 1, "a").unwrap();
        add(&session, 1, "again").unwrap();
        add(&session, 2, "after").unwrap();
        let Err(CommitFault::Refused(fault)) = session.commit() else {
            panic!("it was not told");
        };
        assert!(fault.to_string().contains("db error"), "{fault}");
        assert_eq!(count(&session).unwrap(), Some(0));

        // The first fault, not that those after it stood in a transaction that had failed.
        session.run("BEGIN").unwrap();
        session
            .send("SELECT 1 / ?1::BIGINT", params![0_i64])
            .unwrap();
        add(&session, 1, "a").unwrap();
        let Err(SqlError::Other(fault)) = count(&session) else {
            panic!("it was not told");
        };
        let cause = fault.source().unwrap().to_string();
        assert!(cause.contains("division by zero"), "{cause}");
        session.take_back("ROLLBACK").unwrap();

        // What had failed does not matter once it is taken back.
        session.run("BEGIN").unwrap();
        add(&session, 1, "a").unwrap();
        session.run("SAVEPOINT here").unwrap();
        add(&session, 1, "again").unwrap();
        session.take_back("ROLLBACK TO SAVEPOINT here").unwrap();
        assert!(session.commit().is_ok());
        assert_eq!(count(&session).unwrap(), Some(1));
        drop_schema(&session);
    }

    fn hold(session: &Session, statement: &'static AddRows, values: &[&dyn ToValue]) -> Result<()> {
        session.send_rows(statement, values)
    }

    /// Statements of the shared room, for the tables of which this makes up rows.
    fn row_statement(table: &str) -> &'static AddRows {
        let beginning = format!("INSERT INTO {table} ");
        let all = store_sql::all_row_statements().into_iter();
        let mut of_table = all.filter(|(_, statement)| statement.of_one().starts_with(&beginning));
        of_table.next().unwrap().1
    }

    #[test]
    fn rows_that_were_held_back_are_seen_by_whatever_comes_next() {
        let Some((session, _)) = new_schema("held") else {
            return;
        };
        let tags = row_statement("tag");
        let blocks = row_statement("metric_block");
        let list = |run: i64| -> Vec<(String, String)> {
            let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
            let text = "SELECT key, value FROM tag WHERE run = ?1 ORDER BY key";
            let connection: &dyn Connection = &session;
            connection.list(text, [run], read).unwrap()
        };
        session.send_run("BEGIN".to_owned()).unwrap();
        // Alone, then with others, with bytes, and texts that the server cannot hold as they are.
        hold(&session, tags, params![1_i64, "a", "1"]).unwrap();
        assert_eq!(list(1), [("a".to_owned(), "1".to_owned())]);
        let odd = "nul \0, one \u{1}, {\"quoted\", NULL}";
        hold(&session, tags, params![1_i64, "b", odd]).unwrap();
        hold(
            &session,
            blocks,
            params![1_i64, [7_u8; 32], 1_i64, b"\0\\x".as_slice(), 5_i64],
        )
        .unwrap();
        hold(&session, tags, params![1_i64, "c", "", 1_i64, "d", "NULL"]).unwrap();
        hold(
            &session,
            blocks,
            params![1_i64, [8_u8; 32], 2_i64, b"".as_slice(), 6_i64],
        )
        .unwrap();
        let kept: Vec<(i64, Vec<u8>)> = (&session as &dyn Connection)
            .list(
                "SELECT points, encoded FROM metric_block ORDER BY number",
                params![],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .unwrap();
        assert_eq!(kept, [(1, b"\0\\x".to_vec()), (2, Vec::new())]);
        assert_eq!(
            list(1)[1..3],
            [
                ("b".to_owned(), odd.to_owned()),
                ("c".to_owned(), String::new())
            ]
        );

        // The same row twice: the later value counts, as if nothing had waited.
        for value in ["first", "second", "third"] {
            hold(
                &session,
                tags,
                params![2_i64, "x", "other", 2_i64, "k", value],
            )
            .unwrap();
        }
        hold(&session, tags, params![3_i64, "k", "of another"]).unwrap();
        assert_eq!(list(2)[0], ("k".to_owned(), "third".to_owned()));
        assert!(session.commit().is_ok());
        assert_eq!(list(3).len(), 1);
        drop_schema(&session);
    }

    #[test]
    fn rows_that_were_held_back_are_taken_back_or_refused_with_the_rest() {
        let Some((session, _)) = new_schema("held_back") else {
            return;
        };
        let blocks = row_statement("metric_block");
        let block = |number: i64| {
            hold(
                &session,
                blocks,
                params![1_i64, [7_u8; 32], 1_i64, [0_u8; 3], number],
            )
        };
        let count = || -> Option<i64> {
            let connection: &dyn Connection = &session;
            connection
                .find("SELECT COUNT(*) FROM metric_block", params![], |row| {
                    row.get(0)
                })
                .unwrap()
        };
        session.run("BEGIN").unwrap();
        block(1).unwrap();
        block(2).unwrap();
        session.run("SAVEPOINT here").unwrap();
        block(3).unwrap();
        session.take_back("ROLLBACK TO SAVEPOINT here").unwrap();
        assert!(session.commit().is_ok());
        assert_eq!(count(), Some(2));

        session.run("BEGIN").unwrap();
        block(4).unwrap();
        block(2).unwrap();
        let Err(CommitFault::Refused(_)) = session.commit() else {
            panic!("the number is there already");
        };
        session.take_back("ROLLBACK").unwrap();
        assert_eq!(count(), Some(2));

        // What the client itself cannot write as the column has it.
        session.run("BEGIN").unwrap();
        block(5).unwrap();
        hold(
            &session,
            blocks,
            params!["no number", [7_u8; 32], 1_i64, [0_u8; 3], 6_i64],
        )
        .unwrap();
        let Err(CommitFault::Refused(_)) = session.commit() else {
            panic!("a text was written as a number");
        };
        session.take_back("ROLLBACK").unwrap();
        assert_eq!(count(), Some(2));
        drop_schema(&session);
    }

    #[test]
    fn a_connection_that_is_cut_before_the_answers_came_leaves_the_end_unknown() {
        let Some((session, address)) = new_schema("cut") else {
            return;
        };
        let connection: &dyn Connection = &session;
        let process: Option<i64> = connection
            .find("SELECT pg_backend_pid()::BIGINT", params![], |row| {
                row.get(0)
            })
            .unwrap();
        session.run("BEGIN").unwrap();
        add(&session, 1, "a").unwrap();
        session.settle().unwrap();
        let other = address.connecting().unwrap().open().unwrap();
        let end = "SELECT pg_terminate_backend(?1::INTEGER, 5000)";
        let ended: Option<bool> = (&other as &dyn Connection)
            .find(end, [process.unwrap()], |row| row.get(0))
            .unwrap();
        assert_eq!(ended, Some(true));
        add(&session, 2, "b").ok();
        assert!(matches!(session.commit(), Err(CommitFault::Unknown(_))));
        assert!(!session.is_alive());
        assert_eq!(count(&other).unwrap(), Some(0));
        drop_schema(&other);
    }
}
