//! The thread that writes events, and group commit: whoever waits shares one transaction and one flush of the server.

use std::sync::Arc;

use entities::{Commit, Random, WriterId};
use store::{Receipt, StoreError};
use store_sql::sql::{Connection, SqlError};
use store_sql::{Numbers, database_fault, params, statements, write_commit};
use tokio::sync::{mpsc, oneshot};

use crate::connecting::Connecting;
use crate::locks::Locks;
use crate::session::Session;

/// Commits that wait at most: then callers wait to hand theirs over, which is how overload shows.
const QUEUE_LENGTH: usize = 1024;

/// Most commits that share a transaction, so that the first of them does not wait long for the last.
const LARGEST_GROUP: usize = 256;

/// How often a group is tried that others stood in the way of, or whose connection was cut before it began.
const ATTEMPTS: usize = 4;

/// Writers that are looked for among those that are there before a new one is made.
const LARGEST_WRITER_COUNT: i64 = 10_000;

statements! {
    LIST_WRITERS = "SELECT id, name FROM writer ORDER BY id";
    ADD_WRITER = "INSERT INTO writer (id, name) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    TRY_WRITER = "SELECT pg_try_advisory_lock(?1)";
    NEXT_POSITIONS = "SELECT nextval('event_position') FROM generate_series(1, ?1)";
}

/// Hands commits to the writing thread.
pub(crate) struct Writer {
    queue: Option<mpsc::Sender<Job>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// A commit, and who waits for it.
struct Job {
    commit: Commit,
    locks: Locks,
    answer: oneshot::Sender<Result<Receipt, StoreError>>,
}

impl Writer {
    pub(crate) fn start(
        connecting: Connecting,
        random: Arc<dyn Random>,
    ) -> Result<Self, StoreError> {
        let (queue, jobs) = mpsc::channel(QUEUE_LENGTH);
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || {
                let mut desk = Desk {
                    connecting,
                    random,
                    open: None,
                };
                desk.write_all(jobs);
            })
            .map_err(|source| StoreError::Database {
                action: "starting the writing thread",
                source: Box::new(source),
            })?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
        })
    }

    /// Writes a commit; when this returns, it is durable.
    pub(crate) async fn commit(&self, commit: Commit, locks: Locks) -> Result<Receipt, StoreError> {
        let (answer, outcome) = oneshot::channel();
        let job = Job {
            commit,
            locks,
            answer,
        };
        let queue = self.queue.as_ref().ok_or(StoreError::Closed)?;
        queue.send(job).await.map_err(|_| StoreError::Closed)?;
        outcome.await.map_err(|_| StoreError::Closed)?
    }
}

impl Drop for Writer {
    /// Writes what waits, then closes the connection.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("store.writer_panicked");
        }
    }
}

/// Where commits are written.
struct Desk {
    connecting: Connecting,
    random: Arc<dyn Random>,
    /// The connection, and the name under which it may write, as long as it lasts.
    open: Option<(Session, WriterId)>,
}

/// How a group ended.
enum Ending {
    /// Each commit was written or refused for a reason of its own.
    Known(Vec<Result<Receipt, StoreError>>),
    /// Nothing was written, and it may be tried again.
    Nothing(StoreError),
    /// It failed for good, or nobody knows whether it was written.
    Failed(StoreError),
}

impl Desk {
    /// Writes until every sender is gone, then whatever still waits.
    fn write_all(&mut self, mut queue: mpsc::Receiver<Job>) {
        let mut kept: Option<Job> = None;
        while let Some(first) = kept.take().or_else(|| queue.blocking_recv()) {
            let mut locks = first.locks.clone();
            let mut group = vec![first];
            while group.len() < LARGEST_GROUP {
                let Ok(job) = queue.try_recv() else { break };
                let Some(joined) = locks.join(&job.locks) else {
                    kept = Some(job);
                    break;
                };
                locks = joined;
                group.push(job);
            }
            self.write_group(group, &locks);
        }
    }

    fn write_group(&mut self, group: Vec<Job>, locks: &Locks) {
        let mut attempt = 1;
        let failure = loop {
            match self.try_group(&group, locks) {
                Ending::Known(outcomes) => {
                    for (job, outcome) in group.into_iter().zip(outcomes) {
                        // A caller that has gone away does not want to know.
                        drop(job.answer.send(outcome));
                    }
                    return;
                }
                Ending::Nothing(error) if attempt < ATTEMPTS => {
                    tracing::debug!(%error, attempt, "store.group_tried_again");
                    attempt += 1;
                }
                Ending::Nothing(error) | Ending::Failed(error) => break error,
            }
        };
        for job in group {
            drop(job.answer.send(Err(same_again(&failure))));
        }
    }

    fn try_group(&mut self, group: &[Job], locks: &Locks) -> Ending {
        let (session, writer) = match self.take_open() {
            Ok(open) => open,
            Err(error) => return Ending::Nothing(error),
        };
        let ending = write_jobs(
            &session,
            &writer,
            self.random.as_ref(),
            group,
            locks,
            &self.connecting,
        );
        let is_known = matches!(ending, Ending::Known(_));
        let may_go_on = is_known || session.run("ROLLBACK").is_ok();
        if may_go_on && session.is_alive() {
            self.open = Some((session, writer));
        }
        ending
    }

    /// The connection, which is made anew where it was cut.
    fn take_open(&mut self) -> Result<(Session, WriterId), StoreError> {
        if let Some((session, writer)) = self.open.take()
            && session.is_alive()
        {
            return Ok((session, writer));
        }
        let session = self.connecting.open()?;
        let writer = take_writer(&session, &self.connecting, self.random.as_ref())?;
        Ok((session, writer))
    }
}

/// Takes the first writer that no living process has, or makes one: so there are as many as ever wrote at once.
fn take_writer(
    session: &Session,
    connecting: &Connecting,
    random: &dyn Random,
) -> Result<WriterId, StoreError> {
    let fault = || database_fault("taking the number of a writer");
    let connection: &dyn Connection = session;
    let take = |number: i64| {
        let lock = connecting.names.writer(number);
        let taken: Option<bool> = connection.find(TRY_WRITER, [lock], |row| row.get(0))?;
        Ok::<_, SqlError>(taken.unwrap_or(false))
    };
    let known: Vec<(i64, String)> = connection
        .list(LIST_WRITERS, params![], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .map_err(fault())?;
    for (number, name) in &known {
        if take(*number).map_err(fault())? {
            return name
                .parse()
                .map_err(|error: entities::IdParseError| store_sql::damaged(error.to_string()));
        }
    }
    let first = known.last().map_or(1, |(number, _)| number + 1);
    for number in first..first + LARGEST_WRITER_COUNT {
        // The lock first: whoever holds it is the one to name the writer.
        if take(number).map_err(fault())? {
            let drawn = WriterId::random(random);
            let added = connection
                .change(ADD_WRITER, params![number, drawn.as_str()])
                .map_err(fault())?;
            if added == 1 {
                return Ok(drawn);
            }
        }
    }
    Err(StoreError::Busy)
}

fn write_jobs(
    session: &Session,
    writer: &WriterId,
    random: &dyn Random,
    group: &[Job],
    locks: &Locks,
    connecting: &Connecting,
) -> Ending {
    let connection: &dyn Connection = session;
    let nothing = |error| Ending::Nothing(database_fault("beginning to write")(error));
    if let Err(error) = session.run(&locks.begin(&connecting.names)) {
        return nothing(error);
    }
    let positions: Result<Vec<i64>, _> =
        connection.list(NEXT_POSITIONS, [group.len() as i64], |row| row.get(0));
    let positions = match positions {
        Ok(positions) => positions,
        Err(error) => return nothing(error),
    };
    let mut outcomes = Vec::with_capacity(group.len());
    // One that is alone takes nothing of others with it where it is refused.
    let is_alone = group.len() == 1;
    for (job, position) in group.iter().zip(positions) {
        if !is_alone && let Err(error) = session.run("SAVEPOINT job") {
            return nothing(error);
        }
        let numbers = Numbers::of_event(position);
        let outcome = write_commit(connection, &numbers, writer, random, &job.commit);
        match &outcome {
            // Others stood in the way, or the connection was cut: that is of the group, not of this commit.
            Err(StoreError::Busy) => return Ending::Nothing(StoreError::Busy),
            Err(StoreError::Database { .. }) if !session.is_alive() => {
                return Ending::Nothing(outcome.err().unwrap_or(StoreError::Closed));
            }
            Err(_) if is_alone => {
                return match session.run("ROLLBACK") {
                    Ok(()) => Ending::Known(vec![outcome]),
                    Err(error) => nothing(error),
                };
            }
            Err(_) => {
                if let Err(error) = session.run("ROLLBACK TO SAVEPOINT job") {
                    return nothing(error);
                }
            }
            Ok(_) => {}
        }
        if !is_alone && let Err(error) = session.run("RELEASE SAVEPOINT job") {
            return nothing(error);
        }
        outcomes.push(outcome);
    }
    match session.run("COMMIT") {
        Ok(()) => Ending::Known(outcomes),
        // It may have been written, so that it must not be tried again.
        Err(error) => Ending::Failed(database_fault("committing")(error)),
    }
}

/// Every commit of a failed group is told the same.
fn same_again(failure: &StoreError) -> StoreError {
    match failure {
        StoreError::Busy => StoreError::Busy,
        StoreError::DiskFull => StoreError::DiskFull,
        StoreError::ReadOnly => StoreError::ReadOnly,
        StoreError::Unreachable { source } => StoreError::Unreachable {
            source: source.to_string().into(),
        },
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
