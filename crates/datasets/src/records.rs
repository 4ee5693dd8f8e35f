//! Records of a dataset: merging, listing, removing for good.

use std::collections::BTreeMap;

use entities::{
    Caller, Change, DatasetId, DatasetRecord, DatasetRecordId, DatasetSchema, EvaluationDataset,
    MergedRecord, RecordMerge, SchemaAddition, SealedRecord, draw_hex, inputs_digest,
};
use store::{Page, PageRequest, StoreError};

use crate::datasets::{ATTEMPTS, about, is_race};
use crate::{Datasets, DatasetsError};

/// Records in one request that merges them: as many as one transaction holds up for about a second.
const LARGEST_MERGE: usize = 100_000;

/// How many records a merge made and changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Those with inputs that no record had.
    pub inserted: u64,
    /// The others, counted as often as they were given.
    pub updated: u64,
}

impl Datasets {
    /// Merges records: those with inputs that a record has already are added to it.
    pub async fn merge_records(
        &self,
        caller: &Caller,
        id: &DatasetId,
        mut given: Vec<RecordMerge>,
    ) -> Result<Merged, DatasetsError> {
        if given.len() > LARGEST_MERGE {
            return Err(DatasetsError::TooManyRecords {
                limit: LARGEST_MERGE,
                given: given.len(),
            });
        }
        for record in &mut given {
            record.salt = draw_hex(self.random());
        }
        let inputs: Vec<String> = given
            .iter()
            .map(|record| inputs_digest(&record.inputs))
            .collect();
        for _ in 0..ATTEMPTS {
            match self.try_merge(caller, id, &given, &inputs).await {
                Err(error) if is_race(&error) => {}
                done => return done,
            }
        }
        Err(DatasetsError::Crowded {
            subject: format!("evaluation dataset '{id}'"),
        })
    }

    async fn try_merge(
        &self,
        caller: &Caller,
        id: &DatasetId,
        given: &[RecordMerge],
        inputs: &[String],
    ) -> Result<Merged, DatasetsError> {
        let dataset = self.get_dataset(id).await?;
        let known = self.store().find_records_by_inputs(id, inputs).await?;
        let (ids, merged) = self.assign_ids(inputs, known);
        let said = given.iter().map(SealedRecord::seal);
        let change = Change::DatasetRecordsMerged {
            dataset: id.clone(),
            records: ids
                .into_iter()
                .zip(said)
                .map(|(id, said)| MergedRecord { id, said })
                .collect(),
            schema: self.find_addition(&dataset, given)?,
            by: given
                .iter()
                .rev()
                .find_map(RecordMerge::user)
                .map(str::to_owned),
            at: self.now(),
        };
        self.commit(about(caller, "dataset.merged", id), change)
            .await?;
        Ok(merged)
    }

    fn assign_ids(
        &self,
        inputs: &[String],
        mut known: BTreeMap<String, DatasetRecordId>,
    ) -> (Vec<DatasetRecordId>, Merged) {
        let mut merged = Merged::default();
        let ids = inputs.iter().map(|digest| {
            if let Some(id) = known.get(digest) {
                merged.updated += 1;
                return id.clone();
            }
            merged.inserted += 1;
            let id = DatasetRecordId::random(self.random());
            known.insert(digest.clone(), id.clone());
            id
        });
        (ids.collect(), merged)
    }

    /// What these records add to the schema, if anything. It only grows, so that others cannot take away what is known.
    fn find_addition(
        &self,
        dataset: &EvaluationDataset,
        given: &[RecordMerge],
    ) -> Result<Option<SealedRecord>, DatasetsError> {
        if given.is_empty() {
            return Ok(None);
        }
        let fields = DatasetSchema::of(given);
        if let Some(known) = &dataset.schema {
            let known = DatasetSchema::decode(known).map_err(|error| StoreError::Damaged {
                message: format!("the schema of dataset `{}`: {error}", dataset.id),
            })?;
            let mut extended = known.clone();
            extended.take(fields.clone());
            if extended == known {
                return Ok(None);
            }
        }
        let salt = draw_hex(self.random());
        Ok(Some(SealedRecord::seal(&SchemaAddition { salt, fields })))
    }

    /// Records in the order in which they were made; none where there is no such dataset.
    pub async fn list_records(
        &self,
        id: &DatasetId,
        page: &PageRequest,
    ) -> Result<Page<DatasetRecord>, DatasetsError> {
        Ok(self.store().list_records(id, page).await?)
    }

    /// Removes records for good, with all that was said of them. Tells how many there were.
    pub async fn delete_records(
        &self,
        caller: &Caller,
        id: &DatasetId,
        ids: &[DatasetRecordId],
    ) -> Result<u64, DatasetsError> {
        let mut there = self.store().list_records_there(id, ids).await?;
        there.sort();
        there.dedup();
        if there.is_empty() {
            return Ok(0);
        }
        let count = there.len() as u64;
        let change = Change::DatasetRecordsDeleted {
            dataset: id.clone(),
            records: there,
        };
        let writing = about(caller, "dataset.records-deleted", id);
        match self.commit(writing, change).await {
            Err(DatasetsError::NoDataset { .. }) => Ok(0),
            done => done.map(|()| count),
        }
    }
}
