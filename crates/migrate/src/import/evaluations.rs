//! Writing evaluation datasets, scorers and webhooks.

use std::collections::BTreeMap;

use entities::{
    Change, DatasetId, DatasetRecord, DatasetSchema, EvaluationDataset, MergedRecord, RecordMerge,
    SchemaAddition, ScorerVersion, SealedRecord, Timestamp, USER_TAG, VersionNumber, draw_hex,
};
use serde_json::{Map, Value};
use webhooks::webhook_subject;

use super::{Import, LARGEST_GAP};
use crate::MigrateError;
use crate::source::{Outline, SourceDataset, SourceScorer, SourceWebhook};

/// How long after it took the time MLflow may have changed the last record of a merge, in milliseconds.
const LONGEST_MERGE_MS: i64 = 60_000;

impl Import<'_> {
    /// Imports the evaluation datasets that are not there, each in one commit.
    pub(super) async fn import_datasets(
        &mut self,
        datasets: &[SourceDataset],
    ) -> Result<(), MigrateError> {
        for (index, found) in datasets.iter().enumerate() {
            self.tell("evaluation datasets", index, datasets.len());
            let SourceDataset {
                dataset,
                experiments,
            } = found;
            let id = &dataset.id;
            let subject = format!("dataset:{id}");
            let is_there = self.store().find_dataset(id).await?.is_some();
            if is_there || self.was_removed(&subject, "dataset.deleted").await? {
                self.report.datasets.there += 1;
                continue;
            }
            // What cannot be read is told when both sides are compared.
            let (records, _) = self.source.records(id)?;
            let mut changes = vec![Change::DatasetCreated {
                dataset: EvaluationDataset {
                    schema: None,
                    ..dataset.clone()
                },
                experiments: experiments.clone(),
            }];
            changes.extend(self.merges(dataset, &records));
            let mut subjects = vec![subject];
            subjects.extend(experiments.iter().map(|id| format!("experiment:{id}")));
            self.commit("dataset.imported", subjects, changes).await?;
            self.report.datasets.new += 1;
            self.report.records += records.len() as u64;
        }
        Ok(())
    }

    /// What was said of records, so that they come out as they are, with their times and users; and at last of the dataset.
    fn merges(&self, dataset: &EvaluationDataset, records: &[DatasetRecord]) -> Vec<Change> {
        let id = &dataset.id;
        let merged = |records, at| Change::DatasetRecordsMerged {
            dataset: id.clone(),
            records,
            schema: None,
            by: None,
            at,
        };
        let mut made: BTreeMap<Timestamp, Vec<MergedRecord>> = BTreeMap::new();
        let mut changed: BTreeMap<Timestamp, Vec<MergedRecord>> = BTreeMap::new();
        for record in records {
            let (first, later) = self.said_of(record);
            made.entry(record.created_at).or_default().push(first);
            if let Some(later) = later {
                changed.entry(record.updated_at).or_default().push(later);
            }
        }
        let mut changes: Vec<_> = made
            .into_iter()
            .chain(changed)
            .map(|(at, records)| merged(records, at))
            .collect();
        let schema = dataset.schema.as_deref();
        let fields = schema.and_then(|schema| DatasetSchema::decode(schema).ok());
        if !records.is_empty() || fields.is_some() {
            changes.push(Change::DatasetRecordsMerged {
                dataset: id.clone(),
                records: Vec::new(),
                schema: fields.map(|fields| {
                    let salt = draw_hex(self.target.random.as_ref());
                    SealedRecord::seal(&SchemaAddition { salt, fields })
                }),
                by: dataset.updated_by.clone(),
                at: time_of_digest(dataset, records).unwrap_or(dataset.updated_at),
            });
            changes.push(touched(id, dataset.updated_at));
        }
        changes
    }

    /// What made a record, and what changed it, where something did.
    fn said_of(&self, record: &DatasetRecord) -> (MergedRecord, Option<MergedRecord>) {
        let user = record.tags.get(USER_TAG);
        let maker = record.created_by.as_deref().map(Value::from);
        let sealed = |merge: RecordMerge| MergedRecord {
            id: record.id.clone(),
            said: SealedRecord::seal(&merge),
        };
        let mut tags = record.tags.clone();
        if user.is_some() {
            // Who made it is who the first request about it was of.
            tags.remove(USER_TAG);
            tags.extend(maker.clone().map(|maker| (USER_TAG.to_owned(), maker)));
        }
        let first = RecordMerge {
            salt: draw_hex(self.target.random.as_ref()),
            inputs: record.inputs.clone(),
            outputs: Some(record.outputs.clone().unwrap_or(Value::Null)),
            expectations: record.expectations.clone(),
            tags: Some(tags),
            source: record.source.clone(),
        };
        let is_as_made = record.updated_at == record.created_at && user == maker.as_ref();
        let is_as_made = is_as_made || record.updated_at == record.created_at && user.is_none();
        let later = (!is_as_made).then(|| RecordMerge {
            salt: draw_hex(self.target.random.as_ref()),
            inputs: record.inputs.clone(),
            outputs: None,
            expectations: None,
            tags: user.map(|user| Map::from_iter([(USER_TAG.to_owned(), user.clone())])),
            source: None,
        });
        (sealed(first), later.map(sealed))
    }

    /// Imports the versions of scorers that are not there.
    pub(super) async fn import_scorers(
        &mut self,
        scorers: &[SourceScorer],
    ) -> Result<(), MigrateError> {
        for scorer in scorers {
            let SourceScorer {
                id,
                experiment,
                name,
                versions,
                scoring,
            } = scorer;
            let there = self.store().find_scorer(experiment, name).await?;
            if there.is_none() && self.was_scorer_removed(scorer).await? {
                self.report.scorers.there += versions.len() as u64;
                continue;
            }
            let mut last = there.as_ref().map(|there| there.last_version.get());
            let mut changes = Vec::new();
            let mut count = 0;
            for version in versions {
                let number = version.version.get();
                if last.is_some_and(|last| number <= last) {
                    self.report.scorers.there += 1;
                    continue;
                }
                fill_gap(version, last.unwrap_or(0), &mut changes)?;
                changes.push(Change::ScorerRegistered {
                    version: version.clone(),
                });
                count += 1;
                last = Some(number);
            }
            if there.is_none() {
                changes.extend(scoring.iter().map(|scoring| Change::OnlineScoringSet {
                    scoring: scoring.clone(),
                }));
            }
            if !changes.is_empty() {
                let subjects = vec![format!("scorer:{id}"), format!("experiment:{experiment}")];
                self.commit("scorer.imported", subjects, changes).await?;
            }
            self.report.scorers.new += count;
        }
        Ok(())
    }

    /// Whether an experiment must be open for a scorer that is not there.
    pub(super) async fn waits_for_scorer(
        &self,
        scorer: &SourceScorer,
    ) -> Result<bool, MigrateError> {
        let SourceScorer {
            experiment, name, ..
        } = scorer;
        let there = self.store().find_scorer(experiment, name).await?;
        let last = scorer.versions.last().map(|version| version.version);
        Ok(match there {
            Some(there) => last > Some(there.last_version),
            None => !self.was_scorer_removed(scorer).await?,
        })
    }

    async fn was_scorer_removed(&self, scorer: &SourceScorer) -> Result<bool, MigrateError> {
        self.was_removed(&format!("scorer:{}", scorer.id), "scorer.deleted")
            .await
    }

    /// Imports the webhooks that are not there. They are told nothing of what was imported.
    pub(super) async fn import_webhooks(&mut self, outline: &Outline) -> Result<(), MigrateError> {
        for SourceWebhook { webhook, secret } in &outline.webhooks {
            let id = &webhook.id;
            let subject = webhook_subject(id);
            let is_there = self.store().find_webhook(id).await?.is_some();
            if is_there || self.was_removed(&subject, "webhook.deleted").await? {
                self.report.webhooks.there += 1;
                continue;
            }
            let secret = match secret {
                Some(secret) => Some(self.target.webhooks.seal(id, secret)?),
                None => None,
            };
            let change = Change::WebhookCreated {
                webhook: webhook.clone(),
                secret,
            };
            self.commit("webhook.imported", vec![subject], vec![change])
                .await?;
            self.report.webhooks.new += 1;
        }
        Ok(())
    }
}

/// Sets when a dataset was changed, and nothing else.
fn touched(dataset: &DatasetId, at: Timestamp) -> Change {
    Change::DatasetExperimentsAdded {
        dataset: dataset.clone(),
        experiments: Vec::new(),
        at,
    }
}

/// The time of the last merge of records, which the digest of a dataset follows from: that of its last change, unless it
/// was put into an experiment since, or else a little before its last record was changed.
fn time_of_digest(dataset: &EvaluationDataset, records: &[DatasetRecord]) -> Option<Timestamp> {
    let is_it = |at: &Timestamp| EvaluationDataset::digest_of(&dataset.name, *at) == dataset.digest;
    let last = records.iter().map(|record| record.updated_at).max();
    let last = last.unwrap_or(dataset.created_at).as_millis();
    let around = (0..LONGEST_MERGE_MS).map(|before| Timestamp::from_millis(last - before));
    [dataset.updated_at, dataset.created_at]
        .into_iter()
        .chain(around)
        .find(is_it)
}

/// Numbers that the source does not have any more stand for deleted versions, so that they are not given again.
fn fill_gap(
    version: &ScorerVersion,
    last: u32,
    changes: &mut Vec<Change>,
) -> Result<(), MigrateError> {
    let missing = version.version.get() - last - 1;
    if missing > LARGEST_GAP {
        return Err(MigrateError::Row {
            what: format!("version {} of scorer `{}`", version.version, version.name),
            why: format!("the {missing} versions before it are missing"),
        });
    }
    let numbers = last + 1..version.version.get();
    for number in numbers.filter_map(|number| VersionNumber::new(i64::from(number))) {
        changes.push(Change::ScorerRegistered {
            version: ScorerVersion {
                version: number,
                serialized: "{}".to_owned(),
                ..version.clone()
            },
        });
        changes.push(Change::ScorerVersionDeleted {
            experiment: version.experiment.clone(),
            name: version.name.clone(),
            version: number,
        });
    }
    Ok(())
}
