//! Evaluation datasets, as callers see them.

use std::collections::BTreeMap;

use crate::params;
use crate::sql::{self, Connection, Row};
use async_trait::async_trait;
use entities::{
    DatasetId, DatasetRecord, DatasetRecordId, EvaluationDataset, ExperimentId, ObjectId,
    RecordMerge, SearchQuery, Timestamp,
};
use store::{DatasetStore, Page, PageRequest, StoreError, View};

use super::{find_row, list_rows};
use crate::fault::damaged;
use crate::rows::{read_id, read_time};
use crate::search::{Search, Subject};
use crate::{Backend, SqlStore};

/// What the records of a page may say in all before the page ends: an answer is built in memory.
const LARGEST_PAGE_BYTES: usize = 32 << 20;

statements! {
    FIND = "SELECT number, id, name, digest, schema, profile, created_at, updated_at, created_by, updated_by
        FROM evaluation_dataset WHERE id = ?1";
    FIND_BY_NUMBER = "SELECT number, id, name, digest, schema, profile, created_at, updated_at, created_by, updated_by
        FROM evaluation_dataset WHERE number = ?1";
    LIST_TAGS = "SELECT key, value FROM evaluation_dataset_tag WHERE dataset = ?1";
    LIST_EXPERIMENTS = "SELECT experiment
        FROM evaluation_dataset_experiment JOIN evaluation_dataset ON evaluation_dataset.number = dataset
        WHERE id = ?1
        ORDER BY added_at, length(experiment), experiment";
    FIND_BY_INPUTS = "SELECT dataset_record.id
        FROM dataset_record JOIN evaluation_dataset ON evaluation_dataset.number = dataset
        WHERE evaluation_dataset.id = ?1 AND inputs_digest = ?2";
    FIND_RECORD = "SELECT dataset_record.id
        FROM dataset_record JOIN evaluation_dataset ON evaluation_dataset.number = dataset
        WHERE evaluation_dataset.id = ?1 AND dataset_record.id = ?2";
    LIST_RECORDS = "SELECT dataset_record.number, dataset_record.id, dataset_record.created_at, dataset_record.updated_at
        FROM dataset_record JOIN evaluation_dataset ON evaluation_dataset.number = dataset_record.dataset
        WHERE evaluation_dataset.id = ?1 AND dataset_record.number > ?2
        ORDER BY dataset_record.number
        LIMIT ?3";
    LIST_TEXTS = "SELECT encoded FROM dataset_text WHERE dataset_record = ?1 ORDER BY number";
}

#[async_trait]
impl<B: Backend> DatasetStore for SqlStore<B> {
    async fn find_dataset(&self, id: &DatasetId) -> Result<Option<EvaluationDataset>, StoreError> {
        let id = id.clone();
        self.read(move |connection| {
            let found = find_row(connection, FIND, [id.as_str()], read_dataset)?;
            found
                .map(|(number, dataset)| fill_dataset(connection, number, dataset))
                .transpose()
        })
        .await
    }

    async fn search_datasets(
        &self,
        experiments: &[ExperimentId],
        query: &SearchQuery,
        page: &PageRequest,
    ) -> Result<Page<EvaluationDataset>, StoreError> {
        let search = Search::new(
            self.searching(),
            Subject::Datasets,
            experiments,
            query,
            View::All,
            page,
        )?;
        self.read(move |connection| {
            search
                .read_page(connection, |row| row.get(0))?
                .try_map(|number: i64| {
                    let found = find_row(connection, FIND_BY_NUMBER, [number], read_dataset)?;
                    let (number, dataset) =
                        found.ok_or_else(|| damaged("a dataset vanished within one read"))?;
                    fill_dataset(connection, number, dataset)
                })
        })
        .await
    }

    async fn list_experiments_of_dataset(
        &self,
        id: &DatasetId,
    ) -> Result<Vec<ExperimentId>, StoreError> {
        let id = id.clone();
        self.read(move |connection| {
            list_rows(connection, LIST_EXPERIMENTS, [id.as_str()], |row| {
                read_id(row, 0)
            })
        })
        .await
    }

    async fn find_records_by_inputs(
        &self,
        dataset: &DatasetId,
        inputs: &[String],
    ) -> Result<BTreeMap<String, DatasetRecordId>, StoreError> {
        let (dataset, inputs) = (dataset.clone(), inputs.to_vec());
        self.read(move |connection| {
            let mut found = BTreeMap::new();
            for digest in inputs {
                let key = params![dataset.as_str(), digest];
                if let Some(id) = find_row(connection, FIND_BY_INPUTS, key, |row| read_id(row, 0))?
                {
                    found.insert(digest, id);
                }
            }
            Ok(found)
        })
        .await
    }

    async fn list_records_there(
        &self,
        dataset: &DatasetId,
        ids: &[DatasetRecordId],
    ) -> Result<Vec<DatasetRecordId>, StoreError> {
        let (dataset, ids) = (dataset.clone(), ids.to_vec());
        self.read(move |connection| {
            let mut there = Vec::with_capacity(ids.len());
            for id in ids {
                let key = params![dataset.as_str(), id.as_str()];
                there.extend(find_row(connection, FIND_RECORD, key, |row| {
                    read_id(row, 0)
                })?);
            }
            Ok(there)
        })
        .await
    }

    async fn list_records(
        &self,
        dataset: &DatasetId,
        page: &PageRequest,
    ) -> Result<Page<DatasetRecord>, StoreError> {
        let of = ObjectId::of(dataset.as_str().as_bytes()).short();
        let after = match &page.token {
            Some(token) => read_token(token, &of)?,
            None => 0,
        };
        let (dataset, limit) = (dataset.clone(), page.limit.max(1));
        self.read(move |connection| {
            let (items, last) = read_records(connection, &dataset, after, limit)?;
            let next = last.map(|last| format!("{last}-{of}"));
            Ok(Page { items, next })
        })
        .await
    }
}

fn read_token(token: &str, of: &str) -> Result<i64, StoreError> {
    let number = token.split_once('-').filter(|(_, found)| *found == of);
    number
        .and_then(|(number, _)| number.parse().ok())
        .ok_or_else(|| StoreError::PageToken {
            token: token.to_owned(),
        })
}

/// The records after one, and the last of them where there are more.
fn read_records(
    connection: &dyn Connection,
    dataset: &DatasetId,
    after: i64,
    limit: usize,
) -> Result<(Vec<DatasetRecord>, Option<i64>), StoreError> {
    // One more, to see whether there is another page.
    let wanted = i64::try_from(limit).map_or(i64::MAX, |limit| limit.saturating_add(1));
    let key = params![dataset.as_str(), after, wanted];
    let rows: Vec<RecordRow> = list_rows(connection, LIST_RECORDS, key, read_record_row)?;
    let mut records: Vec<DatasetRecord> = Vec::new();
    let (mut last, mut size_bytes) = (after, 0);
    for row in rows {
        if records.len() == limit || size_bytes > LARGEST_PAGE_BYTES {
            return Ok((records, Some(last)));
        }
        let RecordRow {
            number,
            id,
            created_at,
            updated_at,
        } = row;
        let texts: Vec<String> = list_rows(connection, LIST_TEXTS, [number], |row| row.get(0))?;
        let mut record: Option<DatasetRecord> = None;
        for encoded in texts {
            size_bytes += encoded.len();
            let merge: RecordMerge = serde_json::from_str(&encoded)
                .map_err(|error| damaged(format!("a record of dataset `{dataset}`: {error}")))?;
            match &mut record {
                Some(record) => record.take(merge),
                None => record = Some(DatasetRecord::new(id.clone(), merge, created_at)),
            }
        }
        let mut record = record
            .ok_or_else(|| damaged(format!("record `{id}` of dataset `{dataset}` says nothing")))?;
        record.updated_at = updated_at;
        records.push(record);
        last = number;
    }
    Ok((records, None))
}

/// The row of a record, without what it says.
struct RecordRow {
    number: i64,
    id: DatasetRecordId,
    created_at: Timestamp,
    updated_at: Timestamp,
}

fn read_record_row(row: &Row<'_>) -> sql::Result<RecordRow> {
    Ok(RecordRow {
        number: row.get(0)?,
        id: read_id(row, 1)?,
        created_at: read_time(row, 2)?,
        updated_at: read_time(row, 3)?,
    })
}

/// A dataset without its tags, and its row.
fn read_dataset(row: &Row<'_>) -> sql::Result<(i64, EvaluationDataset)> {
    let dataset = EvaluationDataset {
        id: read_id(row, 1)?,
        name: row.get(2)?,
        tags: BTreeMap::new(),
        digest: row.get(3)?,
        schema: row.get(4)?,
        profile: row.get(5)?,
        created_at: read_time(row, 6)?,
        updated_at: read_time(row, 7)?,
        created_by: row.get(8)?,
        updated_by: row.get(9)?,
    };
    Ok((row.get(0)?, dataset))
}

fn fill_dataset(
    connection: &dyn Connection,
    number: i64,
    mut dataset: EvaluationDataset,
) -> Result<EvaluationDataset, StoreError> {
    dataset.tags = list_rows(connection, LIST_TAGS, [number], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    Ok(dataset)
}
