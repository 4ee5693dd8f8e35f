//! The thread that writes events, and group commit: whoever waits shares one transaction and one flush of the server.

use std::sync::Arc;

use entities::{Commit, ExperimentId, Random, RunId, TraceId, WriterId};
use store::{Receipt, StoreError};
use store_sql::sql::{Asked, Connection, OwnedValue, SqlError};
use store_sql::{Author, Known, Numbers, Wanted, database_fault, params, statements, write_commit};
use tokio::sync::{mpsc, oneshot};

use crate::connecting::Connecting;
use crate::locks::Locks;
use crate::session::{CommitFault, Session};

/// Commits that wait at most: then callers wait to hand theirs over, which is how overload shows.
const QUEUE_LENGTH: usize = 1024;

/// Most commits that share a transaction, so that the first of them does not wait long for the last.
const LARGEST_GROUP: usize = 256;

/// How often a group is tried that others stood in the way of, or whose connection was cut before it began.
const ATTEMPTS: usize = 4;

/// Writers that are looked for among those that are there before a new one is made.
const LARGEST_WRITER_COUNT: i64 = 10_000;

// Where a statement asks for the last of many, it says the whole order of the index, and no `=`: without statistics,
// PostgreSQL takes what is equal to be few, and would read and sort all of it. Lists stand in a `SELECT`, so that their
// lengths do not show: it would plan anew for each, which takes longer than finding the rows.
statements! {
    LIST_WRITERS = "SELECT id, name FROM writer ORDER BY id";
    ADD_WRITER = "INSERT INTO writer (id, name) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    TRY_WRITER = "SELECT pg_try_advisory_lock(?1)";
    TAKE_LOCKS_AND_POSITIONS = "WITH taken AS MATERIALIZED (
            SELECT CAST(
                CASE
                    WHEN is_exclusive THEN pg_advisory_xact_lock(number)
                    ELSE pg_advisory_xact_lock_shared(number)
                END AS TEXT
            ) AS nothing
            FROM unnest(?1::BIGINT[], ?2::BOOLEAN[]) AS wanted(number, is_exclusive)
        )
        SELECT nextval('event_position')
        FROM unnest(?3::BIGINT[]) AS commit
        WHERE (SELECT COUNT(nothing) FROM taken) > 0";
    LIST_ROWS = "SELECT 0::BIGINT, wanted.id, run.lifecycle, run.number
        FROM unnest((SELECT ?1::TEXT[])) AS wanted(id)
        CROSS JOIN LATERAL (SELECT number, lifecycle FROM run WHERE run.id = wanted.id OFFSET 0) AS run
        UNION ALL
        SELECT 1::BIGINT, wanted.id, experiment.lifecycle, 0::BIGINT
        FROM unnest((SELECT ?2::TEXT[])) AS wanted(id)
        CROSS JOIN LATERAL (SELECT lifecycle FROM experiment WHERE experiment.id = wanted.id OFFSET 0) AS experiment
        UNION ALL
        SELECT 2::BIGINT, wanted.subject, event.writer, event.wseq
        FROM unnest((SELECT ?3::TEXT[])) AS wanted(subject)
        CROSS JOIN LATERAL (
            SELECT position FROM event_subject
            WHERE (event_subject.subject, event_subject.position) <= (wanted.subject, 9223372036854775807)
                AND event_subject.subject >= wanted.subject AND is_in_leaf > 0
            ORDER BY subject DESC, position DESC
            LIMIT 1
        ) AS last
        CROSS JOIN LATERAL (SELECT writer, wseq FROM event WHERE event.position = last.position OFFSET 0) AS event";
    LIST_TRACES = "SELECT wanted.id, trace.number
        FROM unnest((SELECT ?1::TEXT[])) AS wanted(id)
        CROSS JOIN LATERAL (SELECT number FROM trace WHERE trace.id = wanted.id OFFSET 0) AS trace";
    LIST_PARAMS = "SELECT wanted.run, wanted.key, param.value
        FROM unnest((SELECT ?1::TEXT[]), (SELECT ?2::TEXT[])) AS wanted(run, key)
        CROSS JOIN LATERAL (SELECT number FROM run WHERE run.id = wanted.run OFFSET 0) AS run
        CROSS JOIN LATERAL (
            SELECT value FROM param WHERE param.run = run.number AND param.key = wanted.key OFFSET 0
        ) AS param";
}

/// Each statement must see what those wrote who were waited for, whatever the server is set to.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

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
    open: Option<(Session, Author)>,
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
        let (session, author) = match self.take_open() {
            Ok(open) => open,
            Err(error) => return Ending::Nothing(error),
        };
        let transaction = Transaction {
            session: &session,
            author: &author,
            random: self.random.as_ref(),
            locks: locks.list(&self.connecting.names),
        };
        let ending = transaction.write(group);
        let is_known = matches!(ending, Ending::Known(_));
        if !is_known {
            author.look_again();
        }
        let may_go_on = is_known || session.take_back("ROLLBACK").is_ok();
        if may_go_on && session.is_alive() {
            self.open = Some((session, author));
        }
        ending
    }

    /// The connection, which is made anew where it was cut.
    fn take_open(&mut self) -> Result<(Session, Author), StoreError> {
        if let Some((session, author)) = self.open.take()
            && session.is_alive()
        {
            return Ok((session, author));
        }
        let session = self.connecting.open()?;
        let writer = take_writer(&session, &self.connecting, self.random.as_ref())?;
        Ok((session, Author::new(writer)))
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

/// What a group is written with.
struct Transaction<'d> {
    session: &'d Session,
    author: &'d Author,
    random: &'d dyn Random,
    /// What it locks, in this order, and whether for itself alone.
    locks: Vec<(i64, bool)>,
}

/// Rows that a group will ask for, and that are on their way.
struct AskedRows<'s> {
    wanted: Wanted,
    rows: Asked<'s>,
    traces: Option<Asked<'s>>,
    params: Option<Asked<'s>>,
}

impl AskedRows<'_> {
    fn learn(self, known: &Known) -> Result<(), SqlError> {
        let Self {
            wanted,
            rows,
            traces,
            params,
        } = self;
        known.learn_rows(&wanted, rows)?;
        if let Some(asked) = traces {
            known.learn_traces(&wanted, asked)?;
        }
        if let Some(asked) = params {
            known.learn_params(&wanted, asked)?;
        }
        Ok(())
    }
}

/// Why a group was not written together.
enum Apart {
    /// One of its commits was refused, by this error, so that none was written.
    Refused(StoreError),
    /// It ended for all of them.
    Ended(Ending),
}

impl From<Ending> for Apart {
    fn from(ending: Ending) -> Self {
        Self::Ended(ending)
    }
}

impl Transaction<'_> {
    /// Writes a group as if none of its commits were refused, which is the rule; otherwise each by itself.
    fn write(&self, group: &[Job]) -> Ending {
        match self.write_together(group) {
            Ok(receipts) => Ending::Known(receipts.into_iter().map(Ok).collect()),
            Err(Apart::Ended(ending)) => ending,
            Err(Apart::Refused(error)) => {
                self.author.look_again();
                if let Err(error) = self.session.take_back("ROLLBACK") {
                    return nothing(error);
                }
                if group.len() == 1 {
                    return Ending::Known(vec![Err(error)]);
                }
                self.write_apart(group).unwrap_or_else(|ending| ending)
            }
        }
    }

    /// In few ways to the server, and nothing of it where one is refused.
    fn write_together(&self, group: &[Job]) -> Result<Vec<Receipt>, Apart> {
        let positions = self.begin(group).map_err(nothing)?;
        let mut receipts = Vec::with_capacity(group.len());
        for (job, position) in group.iter().zip(positions) {
            match self.write_job(job, position)? {
                Ok(receipt) => receipts.push(receipt),
                Err(error) => return Err(Apart::Refused(error)),
            }
        }
        match self.session.commit() {
            Ok(()) => Ok(receipts),
            Err(CommitFault::Refused(error)) => match database_fault("writing a change")(error) {
                StoreError::Busy => Err(Ending::Nothing(StoreError::Busy).into()),
                refused => Err(Apart::Refused(refused)),
            },
            Err(CommitFault::Unknown(error)) => Err(failed(error).into()),
        }
    }

    /// Each in a savepoint of its own, so that one that is refused takes nothing of the others with it.
    fn write_apart(&self, group: &[Job]) -> Result<Ending, Ending> {
        let positions = self.begin(group).map_err(nothing)?;
        let mut outcomes = Vec::with_capacity(group.len());
        for (place, (job, position)) in group.iter().zip(positions).enumerate() {
            self.session.run("SAVEPOINT job").map_err(nothing)?;
            let written = self.write_job(job, position)?;
            let settled = self.session.settle();
            let outcome = match (written, settled.map_err(database_fault("writing a change"))) {
                (Ok(receipt), Ok(())) => Ok(receipt),
                (_, Err(StoreError::Busy)) => return Err(Ending::Nothing(StoreError::Busy)),
                (Err(error), _) | (Ok(_), Err(error)) => Err(error),
            };
            if outcome.is_err() {
                self.author.look_again();
                let back = self.session.take_back("ROLLBACK TO SAVEPOINT job");
                back.map_err(nothing)?;
                let rest = &group[place + 1..];
                if !rest.is_empty() {
                    self.ask_for_known(rest)
                        .and_then(|asked| asked.learn(self.author.known()))
                        .map_err(nothing)?;
                }
            }
            let released = self.session.run("RELEASE SAVEPOINT job");
            released.map_err(nothing)?;
            outcomes.push(outcome);
        }
        match self.session.commit() {
            Ok(()) => Ok(Ending::Known(outcomes)),
            Err(CommitFault::Refused(error)) => Err(nothing(error)),
            // It may have been written, so that it must not be tried again.
            Err(CommitFault::Unknown(error)) => Err(failed(error)),
        }
    }

    /// Begins, with the locks, takes a position for each commit, and asks for what they will ask for: in one way to the
    /// server.
    fn begin(&self, group: &[Job]) -> Result<Vec<i64>, SqlError> {
        let Self {
            session,
            author,
            random: _,
            locks,
        } = self;
        author.begin_again();
        // Before anything that can be refused is under way: to prepare one is to wait for all of it, and to be told of
        // that one alone.
        for sql in [
            TAKE_LOCKS_AND_POSITIONS,
            LIST_ROWS,
            LIST_TRACES,
            LIST_PARAMS,
        ] {
            session.prepare(sql)?;
        }
        session.send_run(BEGIN.to_owned())?;
        let lists = vec![
            integers(locks.iter().map(|(number, _)| *number)),
            integers(locks.iter().map(|(_, is_exclusive)| (*is_exclusive).into())),
            integers(group.iter().map(|_| 0)),
        ];
        let positions = session.ask_of_lists(TAKE_LOCKS_AND_POSITIONS, lists)?;
        let asked = self.ask_for_known(group)?;
        let positions = positions.list(|row| row.get(0))?;
        asked.learn(author.known())?;
        Ok(positions)
    }

    /// Asks for what the commits of a group will ask for.
    fn ask_for_known(&self, group: &[Job]) -> Result<AskedRows<'_>, SqlError> {
        let session = self.session;
        let wanted = Wanted::of(group.iter().map(|job| &job.commit));
        let Wanted {
            runs,
            experiments,
            traces,
            params,
            subjects,
        } = &wanted;
        let lists = vec![
            texts(runs.iter().map(RunId::as_str)),
            texts(experiments.iter().map(ExperimentId::as_str)),
            texts(subjects.iter().map(String::as_str)),
        ];
        let rows = session.ask_of_lists(LIST_ROWS, lists)?;
        let traces = vec![texts(traces.iter().map(TraceId::as_str))];
        let traces = self.ask_if_any(LIST_TRACES, traces)?;
        let params = vec![
            texts(params.iter().map(|(run, _)| run.as_str())),
            texts(params.iter().map(|(_, key)| key.as_str())),
        ];
        let params = self.ask_if_any(LIST_PARAMS, params)?;
        Ok(AskedRows {
            wanted,
            rows,
            traces,
            params,
        })
    }

    /// Asks for the rows of some keys, where there are any.
    fn ask_if_any(
        &self,
        sql: &str,
        lists: Vec<Vec<OwnedValue>>,
    ) -> Result<Option<Asked<'_>>, SqlError> {
        if lists.iter().all(Vec::is_empty) {
            return Ok(None);
        }
        self.session.ask_of_lists(sql, lists).map(Some)
    }

    /// Writes one; an ending is that of all.
    fn write_job(&self, job: &Job, position: i64) -> Result<Result<Receipt, StoreError>, Ending> {
        let numbers = Numbers::of_event(position);
        let Self {
            session,
            author,
            random,
            locks: _,
        } = self;
        let outcome = write_commit(*session, &numbers, author, *random, &job.commit);
        match outcome {
            // Others stood in the way, or the connection was cut: that is of the group, not of this commit.
            Err(StoreError::Busy) => Err(Ending::Nothing(StoreError::Busy)),
            Err(error @ StoreError::Database { .. }) if !session.is_alive() => {
                Err(Ending::Nothing(error))
            }
            outcome => Ok(outcome),
        }
    }
}

fn integers(numbers: impl Iterator<Item = i64>) -> Vec<OwnedValue> {
    numbers.map(OwnedValue::Integer).collect()
}

fn texts<'t>(texts: impl Iterator<Item = &'t str>) -> Vec<OwnedValue> {
    texts
        .map(|text| OwnedValue::Text(text.to_owned()))
        .collect()
}

fn nothing(error: SqlError) -> Ending {
    Ending::Nothing(database_fault("beginning to write")(error))
}

fn failed(error: SqlError) -> Ending {
    Ending::Failed(database_fault("committing")(error))
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
