//! Changes of evaluation datasets and their records.
//!
//! While a database is rebuilt, what was said of records that were removed later is missing. Such a record is made
//! without it, so that its removal finds it.

use std::collections::BTreeMap;

use crate::params;
use crate::sql::Row;
use entities::{
    Change, DatasetId, DatasetRecordId, DatasetSchema, EvaluationDataset, ExperimentId,
    MergedRecord, RecordMerge, SchemaAddition, SealedRecord, Timestamp, inputs_digest,
};
use serde::de::DeserializeOwned;
use store::StoreError;

use super::Applier;
use crate::fault::damaged;

statements! {
    FIND = "SELECT number FROM evaluation_dataset WHERE id = ?1";
    FIND_NAME_AND_SCHEMA = "SELECT name, schema FROM evaluation_dataset WHERE number = ?1";
    ADD = "INSERT INTO evaluation_dataset
            (id, name, digest, schema, profile, created_at, updated_at, created_by, updated_by, number)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
        ON CONFLICT DO NOTHING
        RETURNING number";
    SET_MERGED = "UPDATE evaluation_dataset
        SET schema = ?2, profile = coalesce(?3, profile), digest = ?4, updated_at = ?5, updated_by = ?6
        WHERE number = ?1";
    SET_PROFILE = "UPDATE evaluation_dataset SET profile = ?2 WHERE number = ?1";
    TOUCH = "UPDATE evaluation_dataset SET updated_at = ?2 WHERE number = ?1";
    SET_TAG = "INSERT INTO evaluation_dataset_tag (dataset, key, value) VALUES (?1, ?2, ?3)
        ON CONFLICT (dataset, key) DO UPDATE SET value = excluded.value";
    DELETE_TAG = "DELETE FROM evaluation_dataset_tag WHERE dataset = ?1 AND key = ?2";
    ADD_EXPERIMENT = "INSERT INTO evaluation_dataset_experiment (dataset, experiment, added_at) VALUES (?1, ?2, ?3)
        ON CONFLICT DO NOTHING";
    REMOVE_EXPERIMENT = "DELETE FROM evaluation_dataset_experiment WHERE dataset = ?1 AND experiment = ?2";
    FIND_RECORD = "SELECT number, inputs_digest FROM dataset_record WHERE dataset = ?1 AND id = ?2";
    FIND_BY_INPUTS = "SELECT number FROM dataset_record WHERE dataset = ?1 AND inputs_digest = ?2";
    ADD_RECORD = "INSERT INTO dataset_record (dataset, id, inputs_digest, created_at, updated_at, number)
        VALUES (?1, ?2, ?3, ?4, ?4, ?5)
        RETURNING number";
    TOUCH_RECORD = "UPDATE dataset_record SET updated_at = ?2 WHERE number = ?1";
    COUNT_RECORDS = "SELECT COUNT(*) FROM dataset_record WHERE dataset = ?1";
    ADD_TEXT = "INSERT INTO dataset_text (dataset, dataset_record, digest, encoded, number)
        VALUES (?1, ?2, ?3, ?4, ?5)
        RETURNING number";
    DELETE_TEXTS_OF_RECORD = "DELETE FROM dataset_text WHERE dataset_record = ?1";
    DELETE_RECORD = "DELETE FROM dataset_record WHERE number = ?1";
    DELETE_TAGS = "DELETE FROM evaluation_dataset_tag WHERE dataset = ?1";
    DELETE_EXPERIMENTS = "DELETE FROM evaluation_dataset_experiment WHERE dataset = ?1";
    DELETE_TEXTS = "DELETE FROM dataset_text WHERE dataset = ?1";
    DELETE_RECORDS = "DELETE FROM dataset_record WHERE dataset = ?1";
    DELETE = "DELETE FROM evaluation_dataset WHERE number = ?1";
}

impl Applier<'_> {
    pub(super) fn apply_to_dataset(&self, change: &Change) -> Result<(), StoreError> {
        match change {
            Change::DatasetCreated {
                dataset,
                experiments,
            } => self.create_dataset(dataset, experiments),
            Change::DatasetTagsSet { dataset, tags } => {
                let number = self.get_dataset(dataset)?;
                self.write_dataset_tags(number, tags)
            }
            Change::DatasetTagDeleted { dataset, key } => {
                let number = self.get_dataset(dataset)?;
                self.send(DELETE_TAG, params![number, key])
            }
            Change::DatasetExperimentsAdded {
                dataset,
                experiments,
                at,
            } => {
                let number = self.get_dataset(dataset)?;
                self.add_to_experiments(number, experiments, *at)?;
                self.touch_dataset(number, *at)
            }
            Change::DatasetExperimentsRemoved {
                dataset,
                experiments,
                at,
            } => {
                let number = self.get_dataset(dataset)?;
                for experiment in experiments {
                    self.send(REMOVE_EXPERIMENT, params![number, experiment.as_str()])?;
                }
                self.touch_dataset(number, *at)
            }
            Change::DatasetRecordsMerged {
                dataset,
                records,
                schema,
                by,
                at,
            } => self.merge_records(dataset, records, schema.as_ref(), by.as_deref(), *at),
            Change::DatasetRecordsDeleted { dataset, records } => {
                self.delete_records(dataset, records)
            }
            Change::DatasetDeleted { dataset } => self.delete_dataset(dataset),
            _ => unreachable!("`apply` hands over changes of datasets only"),
        }
    }

    fn create_dataset(
        &self,
        dataset: &EvaluationDataset,
        experiments: &[ExperimentId],
    ) -> Result<(), StoreError> {
        let EvaluationDataset {
            id,
            name,
            tags,
            digest,
            schema,
            profile,
            created_at,
            updated_at,
            created_by,
            updated_by,
        } = dataset;
        let row = params![
            id.as_str(),
            name,
            digest,
            schema,
            profile,
            created_at.as_micros(),
            updated_at.as_micros(),
            created_by,
            updated_by,
        ];
        let Some(number) = self.insert(ADD, row)? else {
            return Err(StoreError::Exists {
                subject: format!("evaluation dataset `{id}`"),
            });
        };
        self.write_dataset_tags(number, tags)?;
        self.add_to_experiments(number, experiments, *created_at)
    }

    fn merge_records(
        &self,
        id: &DatasetId,
        records: &[MergedRecord],
        schema: Option<&SealedRecord>,
        by: Option<&str>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let number = self.get_dataset(id)?;
        for record in records {
            self.merge_record(id, number, record, at)?;
        }
        let read = |row: &Row<'_>| Ok((row.get::<String>(0)?, row.get::<Option<String>>(1)?));
        let (name, known) = self
            .find(FIND_NAME_AND_SCHEMA, [number], read)?
            .ok_or_else(|| StoreError::NoDataset { id: id.clone() })?;
        let known = match schema {
            Some(addition) => self.extend_schema(number, known, addition)?,
            None => known,
        };
        let count = self.count_records(number)?;
        let row = params![
            number,
            known,
            (count > 0).then(|| EvaluationDataset::profile_of(count)),
            EvaluationDataset::digest_of(&name, at),
            at.as_micros(),
            by,
        ];
        self.send(SET_MERGED, row)
    }

    fn merge_record(
        &self,
        id: &DatasetId,
        dataset: i64,
        record: &MergedRecord,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let MergedRecord { id: record, said } = record;
        let merge: Option<RecordMerge> = self.open(said)?;
        let inputs = match &merge {
            Some(merge) => inputs_digest(&merge.inputs),
            None => format!("removed: {record}"),
        };
        let taken = || StoreError::DatasetRecordTaken {
            dataset: id.clone(),
            record: record.clone(),
        };
        let read = |row: &Row<'_>| Ok((row.get::<i64>(0)?, row.get::<String>(1)?));
        let key = params![dataset, record.as_str()];
        let number = match self.find(FIND_RECORD, key, read)? {
            Some((_, other)) if merge.is_some() && other != inputs => return Err(taken()),
            Some((number, _)) => {
                self.send(TOUCH_RECORD, params![number, at.as_micros()])?;
                number
            }
            None => {
                let key = params![dataset, inputs];
                let other: Option<i64> = self.find(FIND_BY_INPUTS, key, |row| row.get(0))?;
                if other.is_some() {
                    return Err(taken());
                }
                let row = params![dataset, record.as_str(), inputs, at.as_micros()];
                self.insert_new(ADD_RECORD, row)?
            }
        };
        self.keep_text(dataset, Some(number), said)
    }

    fn extend_schema(
        &self,
        dataset: i64,
        known: Option<String>,
        addition: &SealedRecord,
    ) -> Result<Option<String>, StoreError> {
        self.keep_text(dataset, None, addition)?;
        let Some(SchemaAddition { salt: _, fields }) = self.open(addition)? else {
            return Ok(known);
        };
        let mut schema = match &known {
            Some(known) => DatasetSchema::decode(known)
                .map_err(|error| damaged(format!("the schema of a dataset: {error}")))?,
            None => DatasetSchema::default(),
        };
        schema.take(fields);
        Ok(Some(schema.encode()))
    }

    /// Reads what was said; none where it was removed for good, which only a database that is rebuilt meets.
    fn open<T: DeserializeOwned>(&self, sealed: &SealedRecord) -> Result<Option<T>, StoreError> {
        let Some(encoded) = &sealed.encoded else {
            if self.keeps_blocks {
                return Err(damaged("what is said of a dataset came without its text"));
            }
            return Ok(None);
        };
        serde_json::from_str(encoded)
            .map(Some)
            .map_err(|error| damaged(format!("what is said of a dataset: {error}")))
    }

    /// One that was removed has its row too, until its removal is applied: later rows have the numbers that they had.
    fn keep_text(
        &self,
        dataset: i64,
        record: Option<i64>,
        sealed: &SealedRecord,
    ) -> Result<(), StoreError> {
        let SealedRecord { digest, encoded } = sealed;
        let kept = encoded.as_deref().filter(|_| self.keeps_blocks);
        let row = params![dataset, record, digest.as_bytes(), kept.unwrap_or_default()];
        self.insert_new(ADD_TEXT, row).map(drop)
    }

    fn delete_records(
        &self,
        id: &DatasetId,
        records: &[DatasetRecordId],
    ) -> Result<(), StoreError> {
        let dataset = self.get_dataset(id)?;
        for record in records {
            let key = params![dataset, record.as_str()];
            let found: Option<i64> = self.find(FIND_RECORD, key, |row| row.get(0))?;
            if let Some(number) = found {
                self.send(DELETE_TEXTS_OF_RECORD, [number])?;
                self.send(DELETE_RECORD, [number])?;
            }
        }
        let count = self.count_records(dataset)?;
        let row = params![dataset, EvaluationDataset::profile_of(count)];
        self.send(SET_PROFILE, row)
    }

    fn delete_dataset(&self, id: &DatasetId) -> Result<(), StoreError> {
        let number = self.get_dataset(id)?;
        for sql in [
            DELETE_TAGS,
            DELETE_EXPERIMENTS,
            DELETE_TEXTS,
            DELETE_RECORDS,
            DELETE,
        ] {
            self.send(sql, [number])?;
        }
        Ok(())
    }

    fn touch_dataset(&self, dataset: i64, at: Timestamp) -> Result<(), StoreError> {
        self.send(TOUCH, params![dataset, at.as_micros()])
    }

    fn get_dataset(&self, id: &DatasetId) -> Result<i64, StoreError> {
        self.find(FIND, [id.as_str()], |row| row.get(0))?
            .ok_or_else(|| StoreError::NoDataset { id: id.clone() })
    }

    fn count_records(&self, dataset: i64) -> Result<u64, StoreError> {
        let count: Option<i64> = self.find(COUNT_RECORDS, [dataset], |row| row.get(0))?;
        Ok(count.unwrap_or(0) as u64)
    }

    fn write_dataset_tags(
        &self,
        dataset: i64,
        tags: &BTreeMap<String, String>,
    ) -> Result<(), StoreError> {
        for (key, value) in tags {
            self.send(SET_TAG, params![dataset, key, value])?;
        }
        Ok(())
    }

    fn add_to_experiments(
        &self,
        dataset: i64,
        experiments: &[ExperimentId],
        at: Timestamp,
    ) -> Result<(), StoreError> {
        for experiment in experiments {
            self.check_experiment_exists(experiment)?;
            let row = params![dataset, experiment.as_str(), at.as_micros()];
            self.send(ADD_EXPERIMENT, row)?;
        }
        Ok(())
    }
}
