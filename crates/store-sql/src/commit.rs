//! Writes a commit: its changes, and the event that tells them.

use std::cell::Cell;
use std::collections::BTreeMap;

use crate::params;
use crate::sql::{self, Asked, Connection, ToValue};
use entities::{Change, Commit, Leaf, Random, WriterId, canonical_json, commitment};
use serde::Serialize;
use store::{Receipt, StoreError};

use crate::apply::Applier;
use crate::deliveries::write_deliveries;
use crate::fault::{damaged, database_fault};
use crate::known::{Known, first_distinct};
use crate::numbers::Numbers;

statements! {
    FIND_LAST_NUMBER = "SELECT MAX(wseq) FROM event WHERE writer = ?1";
    // The position first, and by itself: PostgreSQL would else walk all events backwards where it takes the subject to
    // be a common one, and plan anew each time.
    FIND_LAST_EVENT = "SELECT event.writer, event.wseq
        FROM (
            SELECT position FROM event_subject
            WHERE subject = ?1 AND is_in_leaf = 1
            ORDER BY position DESC
            LIMIT 1
        ) AS last
        JOIN event ON event.position = last.position";
}

row_statements! {
    ADD_EVENTS(7, key 0) = "INSERT INTO event (writer, wseq, kind, leaf, salt, body, position) :rows RETURNING position";
    ADD_SUBJECTS(3, key 0) = "INSERT INTO event_subject (subject, position, is_in_leaf) :rows ON CONFLICT DO NOTHING";
}

/// Under which name events are written, and the number of the next one.
#[derive(Debug)]
pub struct Author {
    writer: WriterId,
    next: Cell<Option<u64>>,
    known: Known,
}

impl Author {
    /// Under this name, which nobody else writes under now.
    pub fn new(writer: WriterId) -> Self {
        Self {
            writer,
            next: Cell::new(None),
            known: Known::default(),
        }
    }

    /// What it knows of rows, in the transaction that is open.
    pub const fn known(&self) -> &Known {
        &self.known
    }

    /// Forgets what it knows of rows: others may change them again.
    pub fn begin_again(&self) {
        self.known.forget();
    }

    /// Forgets the number of the next event, too: some were written, and taken back.
    pub fn look_again(&self) {
        self.next.set(None);
        self.known.forget();
    }

    /// The number of the next event, which is looked up where it is not known.
    fn take_number(&self, connection: &dyn Connection) -> Result<u64, StoreError> {
        let number = if let Some(number) = self.next.get() {
            number
        } else {
            let last: Option<i64> = connection
                .find(FIND_LAST_NUMBER, [self.writer.as_str()], |row| row.get(0))
                .map_err(database_fault("looking for the last event of a writer"))?
                .flatten();
            last.map_or(0, |last| last as u64 + 1)
        };
        self.next.set(Some(number + 1));
        Ok(number)
    }
}

/// An `EventBody` that is about to be written.
#[derive(Serialize)]
struct Body<'c> {
    v: u32,
    changes: &'c [Change],
}

/// Writes one commit inside the transaction that is open; after an error the caller rolls it back, and has the author
/// look again.
pub fn write_commit(
    connection: &dyn Connection,
    numbers: &Numbers,
    author: &Author,
    random: &dyn Random,
    commit: &Commit,
) -> Result<Receipt, StoreError> {
    let fault = || database_fault("writing an event");
    let Commit {
        actor,
        at,
        kind,
        subjects,
        reason,
        request,
        changes,
    } = commit;
    let subject = first_distinct(subjects);
    let known = author.known();
    let asked = ask_for_previous(connection, known, &subject)?;
    let applier = Applier::new(connection, numbers, known);
    changes
        .iter()
        .try_for_each(|change| applier.apply(change))?;
    let body = canonical_json(&Body { v: 1, changes }).map_err(entities::LeafError::from)?;
    let mut salt = [0; 32];
    random.fill(&mut salt);
    let prev = find_previous(&subject, asked)?;
    let leaf = Leaf {
        v: 1,
        ts: *at,
        writer: author.writer.clone(),
        wseq: author.take_number(connection)?,
        actor: actor.clone(),
        kind: (*kind).to_owned(),
        prev,
        subject,
        body_c: commitment(&salt, &body),
        body_len: body.len() as u64,
        schema: "audit/1".to_owned(),
        reason: reason.clone(),
        req: request.clone(),
    };
    let row = params![
        leaf.writer.as_str(),
        leaf.wseq as i64,
        kind,
        leaf.encode()?,
        salt,
        body,
        numbers.position(),
    ];
    let position = if let Some(position) = numbers.position() {
        connection.send_rows(&ADD_EVENTS, row).map_err(fault())?;
        position
    } else {
        connection
            .find(ADD_EVENTS.of_one(), row, |row| row.get(0))
            .map_err(fault())?
            .ok_or_else(|| damaged("an event that was just added has no position"))?
    };
    write_subjects(connection, position, &leaf, changes)?;
    write_deliveries(connection, numbers, position, &leaf.kind, changes)?;
    let event = format!("{}:{}", leaf.writer, leaf.wseq);
    for subject in &leaf.subject {
        known.note_last_event(subject, event.clone());
    }
    Ok(Receipt { leaf })
}

/// Notes what an event speaks of: the subjects of its leaf, then those that only its body names.
pub(crate) fn write_subjects(
    connection: &dyn Connection,
    position: i64,
    leaf: &Leaf,
    changes: &[Change],
) -> Result<(), StoreError> {
    let named = leaf.subject.iter().map(|subject| (subject.clone(), true));
    let listed = changes.iter().flat_map(|change| match change {
        Change::ExperimentLifecycleSet { runs, .. } => {
            runs.iter().map(|run| format!("run:{run}")).collect()
        }
        Change::RunsRemoved { runs } => runs.iter().map(|run| format!("run:{run}")).collect(),
        Change::TraceLogged { trace, .. } => vec![format!("trace:{trace}")],
        Change::TracesLinked { traces, .. } | Change::TracesDeleted { traces } => {
            let named = traces.iter().map(|trace| format!("trace:{trace}"));
            named.collect()
        }
        _ => Vec::new(),
    });
    let listed = listed.map(|subject| (subject, false));
    let subjects: Vec<(String, bool)> = named.chain(listed).collect();
    let rows: Vec<[&dyn ToValue; 3]> = subjects
        .iter()
        .map(|(subject, is_in_leaf)| [subject as _, &position as _, is_in_leaf as _])
        .collect();
    connection
        .send_rows(&ADD_SUBJECTS, rows.as_flattened())
        .map_err(database_fault("writing the subjects of an event"))
}

/// The last event of a subject, which is known, or was asked for.
enum Last<'c> {
    Known(Option<String>),
    Asked(Asked<'c>),
}

/// Asks for the last event of each subject, which no change of rows changes.
fn ask_for_previous<'c>(
    connection: &'c dyn Connection,
    known: &Known,
    subjects: &[String],
) -> Result<Vec<Last<'c>>, StoreError> {
    let asked = subjects.iter().map(|subject| {
        if known.knows_last_event(subject) {
            return Ok(Last::Known(known.last_event(subject)));
        }
        connection.ask(FIND_LAST_EVENT, &[subject]).map(Last::Asked)
    });
    asked
        .collect::<sql::Result<_>>()
        .map_err(database_fault("looking for the last event of a subject"))
}

fn find_previous(
    subjects: &[String],
    asked: Vec<Last<'_>>,
) -> Result<BTreeMap<String, String>, StoreError> {
    let mut previous = BTreeMap::new();
    for (subject, last) in subjects.iter().zip(asked) {
        let last = match last {
            Last::Known(last) => last,
            Last::Asked(asked) => asked
                .find(|row| Ok(format!("{}:{}", row.text(0)?, row.get::<i64>(1)?)))
                .map_err(database_fault("looking for the last event of a subject"))?,
        };
        if let Some(last) = last {
            previous.insert(subject.clone(), last);
        }
    }
    Ok(previous)
}
