//! The one thread that writes, and group commit: whoever waits shares one transaction and one sync of the disk.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use entities::{Random, WriterId};
use rusqlite::Connection;
use store::StoreError;
use tokio::sync::{mpsc, oneshot};

use crate::connection::BUSY_TIMEOUT;
use crate::fault::sort_fault;

/// Jobs that wait at most: then callers wait to hand theirs over, which is how overload shows.
const QUEUE_LENGTH: usize = 1024;

/// Most jobs that share a transaction, so that the first of them does not wait long for the last.
const LARGEST_GROUP: usize = 256;

/// How long a group that erased something waits for those who still read what was there before.
pub(crate) const WAIT_FOR_READERS: Duration = Duration::from_millis(200);

/// What a job writes with.
pub(crate) struct WriteContext {
    pub(crate) connection: Connection,
    pub(crate) writer: WriterId,
    pub(crate) random: Arc<dyn Random>,
    /// Where something was erased that may still stand in the log: how long to wait for those who read from it.
    pub(crate) erased: Cell<Option<Duration>>,
}

/// Hands jobs to the writing thread.
pub(crate) struct Writer {
    queue: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Writer {
    pub(crate) fn start(context: WriteContext) -> Result<Self, StoreError> {
        let (queue, jobs) = mpsc::channel(QUEUE_LENGTH);
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || write_all(&context, jobs))
            .map_err(|source| StoreError::Database {
                action: "starting the writing thread",
                source: Box::new(source),
            })?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
        })
    }

    /// Does a job in a transaction; when this returns, what it did is durable.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&WriteContext) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, outcome) = oneshot::channel();
        let task: Box<dyn Job> = Box::new(Task {
            work: Some(work),
            done: None,
            answer,
        });
        let queue = self.queue.as_ref().ok_or(StoreError::Closed)?;
        queue.send(task).await.map_err(|_| StoreError::Closed)?;
        outcome.await.map_err(|_| StoreError::Closed)?
    }
}

impl Drop for Writer {
    /// Writes what waits, then closes the connection, so that whoever opens the file next finds it at rest.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("store.writer_panicked");
        }
    }
}

/// One piece of work in a group.
trait Job: Send {
    fn carry_out(&mut self, context: &WriteContext) -> Result<(), StoreError>;

    /// Tells the caller what came of it, once that is certain.
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

struct Task<T, F> {
    work: Option<F>,
    done: Option<T>,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send, F> Job for Task<T, F>
where
    F: FnOnce(&WriteContext) -> Result<T, StoreError> + Send,
{
    fn carry_out(&mut self, context: &WriteContext) -> Result<(), StoreError> {
        let work = self.work.take().expect("a job is carried out once");
        self.done = Some(work(context)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let done = self.done;
        let told =
            outcome.map(|()| done.expect("only a job that was carried out is said to be done"));
        // A caller that has gone away does not want to know.
        drop(self.answer.send(told));
    }
}

/// Writes until every sender is gone, then whatever still waits.
fn write_all(context: &WriteContext, mut queue: mpsc::Receiver<Box<dyn Job>>) {
    while let Some(first) = queue.blocking_recv() {
        let mut group = vec![first];
        while group.len() < LARGEST_GROUP {
            match queue.try_recv() {
                Ok(job) => group.push(job),
                Err(_) => break,
            }
        }
        write_group(context, group);
    }
}

/// Writes a group in one transaction, each job in a savepoint of its own but the first, with which nothing else can be
/// taken back: SQLite copies each page that is changed inside a savepoint.
fn write_group(context: &WriteContext, group: Vec<Box<dyn Job>>) {
    let mut done = Vec::with_capacity(group.len());
    let mut waiting = group.into_iter();
    let failure = match write_jobs(context, &mut waiting, &mut done) {
        Ok(()) => {
            empty_log(context);
            return done.into_iter().for_each(|job| job.answer(Ok(())));
        }
        Err(failure) => failure,
    };
    let connection = &context.connection;
    if !connection.is_autocommit()
        && let Err(error) = run(connection, "ROLLBACK")
    {
        tracing::error!(%error, "store.rollback_failed");
    }
    for job in done.into_iter().chain(waiting) {
        job.answer(Err(same_again(&failure)));
    }
}

/// Fails only when the whole transaction does; a refused job is answered at once.
fn write_jobs(
    context: &WriteContext,
    waiting: &mut impl Iterator<Item = Box<dyn Job>>,
    done: &mut Vec<Box<dyn Job>>,
) -> Result<(), StoreError> {
    let connection = &context.connection;
    let fault = |source| sort_fault("committing", source);
    for mut job in waiting {
        // The first, or after nothing but refused ones.
        let is_first = connection.is_autocommit();
        let begin = if is_first {
            "BEGIN IMMEDIATE"
        } else {
            "SAVEPOINT job"
        };
        if let Err(source) = run(connection, begin) {
            done.push(job);
            return Err(fault(source));
        }
        if let Err(error) = job.carry_out(context) {
            // A full or failing disk ends the transaction of all, not only this job.
            if connection.is_autocommit() {
                let failure = same_again(&error);
                job.answer(Err(error));
                return Err(failure);
            }
            job.answer(Err(error));
            let back = if is_first {
                "ROLLBACK"
            } else {
                "ROLLBACK TO job"
            };
            run(connection, back).map_err(fault)?;
        } else {
            done.push(job);
            if connection.is_autocommit() {
                return Err(ended_early());
            }
        }
        if !is_first {
            run(connection, "RELEASE job").map_err(fault)?;
        }
    }
    if connection.is_autocommit() {
        return Ok(());
    }
    run(connection, "COMMIT").map_err(fault)
}

/// A job that goes on after the transaction ended under it must not be told that it is durable.
fn ended_early() -> StoreError {
    StoreError::Database {
        action: "committing",
        source: "the transaction ended before its commit".into(),
    }
}

/// Where something was erased, takes it out of the log too, before anybody is told that it is gone. While somebody reads
/// what was there before, it stays, and goes after a later group, which does not wait: one reader must not slow all
/// writers down.
fn empty_log(context: &WriteContext) {
    let Some(wait) = context.erased.get() else {
        return;
    };
    let connection = &context.connection;
    let empty = || {
        connection.busy_timeout(wait)?;
        let is_busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
            row.get::<_, bool>(0)
        });
        connection.busy_timeout(BUSY_TIMEOUT)?;
        is_busy
    };
    match empty() {
        Ok(is_busy) => context.erased.set(is_busy.then_some(Duration::ZERO)),
        Err(error) => tracing::warn!(%error, "store.log_not_emptied"),
    }
}

fn run(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}

/// Every job of a failed transaction is told the same.
fn same_again(failure: &StoreError) -> StoreError {
    match failure {
        StoreError::Busy => StoreError::Busy,
        StoreError::DiskFull => StoreError::DiskFull,
        StoreError::ReadOnly => StoreError::ReadOnly,
        StoreError::Damaged { message } => StoreError::Damaged {
            message: message.clone(),
        },
        other => {
            let cause = std::error::Error::source(other).map(ToString::to_string);
            StoreError::Database {
                action: "committing",
                source: cause.unwrap_or_else(|| other.to_string()).into(),
            }
        }
    }
}
