//! Checks events one by one, and applies them.

use std::collections::BTreeMap;

use crate::params;
use crate::sql::Connection;
use entities::{
    Change, EventBody, Leaf, MetricBlock, ObjectId, PasswordHash, RunId, SealedRecord,
    SealedSecret, SecretUpdate, WebhookId, WriterId,
};
use store::{RowFault, StoreError};

use super::leaf_in_words;
use crate::apply::Applier;
use crate::commit::write_subjects;
use crate::deliveries::write_deliveries;
use crate::fault::{damaged, database_fault};
use crate::known::Known;
use crate::numbers::Numbers;

/// A row of the table of events.
pub(super) struct StoredRow {
    pub(super) position: i64,
    pub(super) writer: String,
    pub(super) wseq: i64,
    pub(super) kind: String,
    pub(super) leaf: Vec<u8>,
    pub(super) salt: Vec<u8>,
    pub(super) body: Vec<u8>,
}

/// An event that agrees with itself.
pub(super) struct Decoded {
    position: i64,
    leaf: Leaf,
    changes: Vec<Change>,
}

statements! {
    FIND_LAST_POSITION = "SELECT position FROM event_subject WHERE subject = ?1 AND is_in_leaf = 1
        ORDER BY position DESC LIMIT 1";
    COUNT_BLOCKS = "SELECT coalesce(MAX(number), 0) + 1 FROM metric_block";
    FIND_BLOCK = "SELECT encoded FROM metric_block WHERE number = ?1";
    FIND_TEXT = "SELECT encoded
        FROM dataset_text JOIN evaluation_dataset ON evaluation_dataset.number = dataset_text.dataset
        WHERE evaluation_dataset.id = ?1 AND dataset_text.digest = ?2";
    FIND_RECORD = "SELECT encoded
        FROM trace_record JOIN trace ON trace.number = trace_record.trace
        WHERE trace.id = ?1 AND digest = ?2";
    FIND_SECRET = "SELECT sealed
        FROM webhook_secret JOIN webhook ON webhook.number = webhook_secret.webhook
        WHERE webhook.id = ?1 AND digest = ?2";
    FIND_PASSWORD = "SELECT encoded
        FROM access_password JOIN access_user ON access_user.number = access_password.account
        WHERE name = ?1 AND digest = ?2";
}

/// Checks all that an event's row tells by itself.
pub(super) fn decode(row: &StoredRow) -> Result<Decoded, RowFault> {
    let fault =
        |expected: String, found: String| event_fault(row.position, Some(expected), Some(found));
    let leaf = Leaf::decode(&row.leaf)
        .map_err(|error| fault("a leaf".to_owned(), leaf_in_words(&error)))?;
    let told = (leaf.writer.as_str(), leaf.wseq, leaf.kind.as_str());
    let kept = (row.writer.as_str(), row.wseq as u64, row.kind.as_str());
    if told != kept {
        return Err(fault(
            format!("{told:?}, as in its leaf"),
            format!("{kept:?}"),
        ));
    }
    let Ok(salt) = <&[u8; 32]>::try_from(row.salt.as_slice()) else {
        let found = format!("{} bytes", row.salt.len());
        return Err(fault("a salt of 32 bytes".to_owned(), found));
    };
    if !leaf.commits_to(salt, &row.body) {
        let found = format!("another salt or body of {} bytes", row.body.len());
        return Err(fault(leaf.body_c.clone(), found));
    }
    let body: EventBody = serde_json::from_slice(&row.body)
        .map_err(|error| fault("the body of an event".to_owned(), error.to_string()))?;
    if body.v != 1 {
        return Err(fault(
            "a body of version 1".to_owned(),
            format!("version {}", body.v),
        ));
    }
    Ok(Decoded {
        position: row.position,
        leaf,
        changes: body.changes,
    })
}

/// Who numbers rows and events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// The database, one after the other: positions are 1, 2, 3, …
    Database,
    /// Each event has a position, above those of all that it follows from.
    Events,
}

/// Applies events to the database that is being rebuilt.
pub(super) struct Replayer<'c> {
    original: &'c dyn Connection,
    rebuilt: &'c dyn Connection,
    counting: Counting,
    last_position: i64,
    writers: Vec<WriterId>,
    /// The next number of each writer.
    next_number: BTreeMap<WriterId, u64>,
    /// The first block that is not there, of each run that has one: one that is removed later needs it not.
    missing_blocks: BTreeMap<RunId, RowFault>,
    /// Position of each event, and the place of its writer in `writers` and its number there.
    references: Vec<(i64, u32, u64)>,
}

impl<'c> Replayer<'c> {
    pub(super) fn new(
        original: &'c dyn Connection,
        rebuilt: &'c dyn Connection,
        counting: Counting,
    ) -> Self {
        Self {
            original,
            rebuilt,
            counting,
            last_position: 0,
            writers: Vec::new(),
            next_number: BTreeMap::new(),
            missing_blocks: BTreeMap::new(),
            references: Vec::new(),
        }
    }

    pub(super) fn replay(&mut self, event: Decoded) -> Result<Option<RowFault>, StoreError> {
        let Decoded {
            position,
            leaf,
            mut changes,
        } = event;
        if self.counting == Counting::Database && position != self.last_position + 1 {
            let expected = Some("an event".to_owned());
            return Ok(Some(event_fault(self.last_position + 1, expected, None)));
        }
        if let Some(fault) = self.check_chain(position, &leaf)? {
            return Ok(Some(fault));
        }
        let numbers = match self.counting {
            Counting::Database => Numbers::counted(),
            Counting::Events => Numbers::of_event(position),
        };
        let known = Known::default();
        let applier = Applier::without_blocks(self.rebuilt, &numbers, &known);
        for change in &mut changes {
            if let Some(fault) = self.fill(change, &numbers)? {
                return Ok(Some(fault));
            }
            if let Change::RunsRemoved { runs } = change {
                self.missing_blocks.retain(|run, _| !runs.contains(run));
            }
            if let Err(error) = applier.apply(change) {
                return match error {
                    StoreError::Database { .. } | StoreError::DiskFull | StoreError::Busy => {
                        Err(error)
                    }
                    refusal => Ok(Some(event_fault(
                        position,
                        Some("changes that can be made".to_owned()),
                        Some(refusal.to_string()),
                    ))),
                };
            }
        }
        write_subjects(self.rebuilt, position, &leaf, &changes)?;
        write_deliveries(self.rebuilt, &numbers, position, &leaf.kind, &changes)?;
        self.note(position, leaf);
        Ok(None)
    }

    /// Checks the writer's number and the references to earlier events.
    fn check_chain(&self, position: i64, leaf: &Leaf) -> Result<Option<RowFault>, StoreError> {
        let expected = self.next_number.get(&leaf.writer).copied().unwrap_or(0);
        if leaf.wseq != expected {
            return Ok(Some(event_fault(
                position,
                Some(format!("{}:{expected}", leaf.writer)),
                Some(leaf.reference()),
            )));
        }
        let mut previous = BTreeMap::new();
        for subject in &leaf.subject {
            if let Some(last) = self.find_last(subject)? {
                previous.insert(subject.clone(), last);
            }
        }
        Ok((previous != leaf.prev).then(|| {
            event_fault(
                position,
                Some(format!("prev {previous:?}")),
                Some(format!("prev {:?}", leaf.prev)),
            )
        }))
    }

    fn find_last(&self, subject: &str) -> Result<Option<String>, StoreError> {
        let position: Option<i64> = self
            .rebuilt
            .find(FIND_LAST_POSITION, [subject], |row| row.get(0))
            .map_err(database_fault("looking for the last event of a subject"))?;
        let Some(position) = position else {
            return Ok(None);
        };
        // They were noted in the order of their positions.
        let place = self
            .references
            .binary_search_by_key(&position, |(of, ..)| *of);
        let (_, writer, number) = place
            .map(|place| self.references[place])
            .map_err(|_| damaged(format!("event {position} was rebuilt from nothing")))?;
        Ok(Some(format!("{}:{number}", self.writers[writer as usize])))
    }

    /// Fetches the bytes that are not in the body, and checks them against their digest.
    fn fill(
        &mut self,
        change: &mut Change,
        numbers: &Numbers,
    ) -> Result<Option<RowFault>, StoreError> {
        match change {
            Change::MetricsLogged {
                run,
                block,
                encoded,
                ..
            } => {
                if let Some(fault) = self.fill_block(block, encoded, numbers)? {
                    self.missing_blocks.entry(run.clone()).or_insert(fault);
                }
                Ok(None)
            }
            Change::TraceLogged { trace, records, .. } | Change::TraceNoted { trace, records } => {
                self.fill_all("trace_record", FIND_RECORD, trace.as_str(), records)
            }
            Change::DatasetRecordsMerged {
                dataset,
                records,
                schema,
                ..
            } => {
                let said = records.iter_mut().map(|record| &mut record.said);
                self.fill_all(
                    "dataset_text",
                    FIND_TEXT,
                    dataset.as_str(),
                    said.chain(schema),
                )
            }
            Change::WebhookCreated {
                webhook,
                secret: Some(secret),
            } => self.fill_secret(&webhook.id, secret),
            Change::WebhookUpdated {
                webhook, update, ..
            } => match &mut update.secret {
                SecretUpdate::Replaced(secret) => self.fill_secret(webhook, secret),
                SecretUpdate::Kept | SecretUpdate::Removed => Ok(None),
            },
            Change::UserCreated { name, password, .. }
            | Change::UserPasswordSet { name, password, .. } => self.fill_password(name, password),
            _ => Ok(None),
        }
    }

    /// A hash that is not there was replaced or removed; if it was not, its rebuilt row is another one.
    fn fill_password(
        &self,
        user: &str,
        password: &mut PasswordHash,
    ) -> Result<Option<RowFault>, StoreError> {
        let key = params![user, password.digest.as_bytes()];
        let found: Option<String> = self
            .original
            .find(FIND_PASSWORD, key, |row| row.get(0))
            .map_err(database_fault("reading what a password is checked against"))?;
        let Some(encoded) = found else {
            return Ok(None);
        };
        let found = PasswordHash::of(encoded);
        if found.digest != password.digest {
            return Ok(Some(RowFault {
                table: "access_password".to_owned(),
                key: user.to_owned(),
                expected: Some(format!("a hash with digest {}", password.digest)),
                found: Some(format!("a hash with digest {}", found.digest)),
            }));
        }
        password.encoded = found.encoded;
        Ok(None)
    }

    fn fill_all<'r>(
        &self,
        table: &str,
        sql: &str,
        owner: &str,
        records: impl IntoIterator<Item = &'r mut SealedRecord>,
    ) -> Result<Option<RowFault>, StoreError> {
        for record in records {
            if let Some(fault) = self.fill_record(table, sql, owner, record)? {
                return Ok(Some(fault));
            }
        }
        Ok(None)
    }

    /// A secret that is not there was replaced or removed; if it was not, its rebuilt row is another one.
    fn fill_secret(
        &self,
        webhook: &WebhookId,
        secret: &mut SealedSecret,
    ) -> Result<Option<RowFault>, StoreError> {
        let key = params![webhook.as_str(), secret.digest.as_bytes()];
        let found: Option<Vec<u8>> = self
            .original
            .find(FIND_SECRET, key, |row| row.get(0))
            .map_err(database_fault("reading the sealed secret of a webhook"))?;
        let Some(sealed) = found else { return Ok(None) };
        let digest = ObjectId::of(&sealed);
        if digest != secret.digest {
            return Ok(Some(RowFault {
                table: "webhook_secret".to_owned(),
                key: webhook.to_string(),
                expected: Some(format!("bytes with digest {}", secret.digest)),
                found: Some(format!("bytes with digest {digest}")),
            }));
        }
        secret.sealed = sealed;
        Ok(None)
    }

    /// A record that is not there was removed with what it is about; if it was not, the rebuilt rows have no match.
    fn fill_record(
        &self,
        table: &str,
        sql: &str,
        owner: &str,
        record: &mut SealedRecord,
    ) -> Result<Option<RowFault>, StoreError> {
        let key = params![owner, record.digest.as_bytes()];
        record.encoded = self
            .original
            .find(sql, key, |row| row.get(0))
            .map_err(database_fault("reading what was said"))?;
        let found = record
            .encoded
            .as_deref()
            .map(|text| ObjectId::of(text.as_bytes()));
        Ok(found
            .filter(|digest| *digest != record.digest)
            .map(|digest| RowFault {
                table: table.to_owned(),
                key: format!("{owner}, {}", record.digest),
                expected: Some(format!("a text with digest {}", record.digest)),
                found: Some(format!("a text with digest {digest}")),
            }))
    }

    fn fill_block(
        &self,
        block: &ObjectId,
        encoded: &mut Vec<u8>,
        numbers: &Numbers,
    ) -> Result<Option<RowFault>, StoreError> {
        let fault = || database_fault("reading a metric block");
        let number: i64 = match numbers.peek()? {
            Some(number) => number,
            None => self
                .rebuilt
                .find(COUNT_BLOCKS, params![], |row| row.get(0))
                .map_err(fault())?
                .unwrap_or(1),
        };
        let found: Option<Vec<u8>> = self
            .original
            .find(FIND_BLOCK, [number], |row| row.get(0))
            .map_err(fault())?;
        let digest: Option<ObjectId> = found.as_deref().map(MetricBlock::digest);
        if digest != Some(*block) {
            return Ok(Some(RowFault {
                table: "metric_block".to_owned(),
                key: number.to_string(),
                expected: Some(format!("bytes with digest {block}")),
                found: digest.map(|digest| format!("bytes with digest {digest}")),
            }));
        }
        *encoded = found.unwrap_or_default();
        Ok(None)
    }

    /// What is still wrong once all events were applied.
    pub(super) fn finish(&mut self) -> Option<RowFault> {
        let first = self.missing_blocks.pop_first();
        first.map(|(_, fault)| fault)
    }

    fn note(&mut self, position: i64, leaf: Leaf) {
        let known = self.writers.iter().position(|name| *name == leaf.writer);
        let writer = known.unwrap_or_else(|| {
            self.writers.push(leaf.writer.clone());
            self.writers.len() - 1
        });
        self.references.push((position, writer as u32, leaf.wseq));
        self.next_number.insert(leaf.writer, leaf.wseq + 1);
        self.last_position = position;
    }
}

fn event_fault(position: i64, expected: Option<String>, found: Option<String>) -> RowFault {
    RowFault {
        table: "event".to_owned(),
        key: position.to_string(),
        expected,
        found,
    }
}
