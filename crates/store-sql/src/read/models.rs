//! Logged models, as callers see them.

use std::collections::BTreeMap;

use crate::sql::{self, Connection, Row};
use async_trait::async_trait;
use entities::{ExperimentId, LoggedModel, LoggedModelDetail, Metric, ModelId, RunId, SearchQuery};
use store::{ModelStore, Page, PageRequest, StoreError, View};

use super::{find_row, list_rows, metrics};
use crate::fault::damaged;
use crate::rows::{read_id, read_id_if_any, read_model_status, read_time};
use crate::search::{Search, Subject};
use crate::{Backend, SqlStore};

statements! {
    FIND = "SELECT number, id, experiment, name, source_run, artifact_uri, status, model_type, created_at, updated_at
        FROM model WHERE id = ?1 AND is_deleted = 0";
    LIST_TAGS = "SELECT key, value FROM model_tag WHERE model = ?1";
    LIST_PARAMS = "SELECT key, value FROM model_param WHERE model = ?1";
    LIST_METRICS = "SELECT run.id, model_metric.key, value, is_nan, timestamp_ms, step, dataset_name, dataset_digest
        FROM model_metric JOIN run ON run.number = model_metric.run
        WHERE model = ?1
        ORDER BY model_metric.key, timestamp_ms, step, model_metric.run, dataset_name, dataset_digest";
    LIST_OF_RUN = "SELECT id FROM model WHERE source_run = ?1 AND is_deleted = 0 ORDER BY number";
}

#[async_trait]
impl<B: Backend> ModelStore for SqlStore<B> {
    async fn find_model(&self, id: &ModelId) -> Result<Option<LoggedModelDetail>, StoreError> {
        let id = id.clone();
        self.read(move |connection| find_model(connection, id.as_str()))
            .await
    }

    async fn search_models(
        &self,
        experiments: &[ExperimentId],
        query: &SearchQuery,
        page: &PageRequest,
    ) -> Result<Page<LoggedModelDetail>, StoreError> {
        let search = Search::new(
            self.searching(),
            Subject::Models,
            experiments,
            query,
            View::Active,
            page,
        )?;
        self.read(move |connection| {
            search
                .read_page(connection, |row| row.get(0))?
                .try_map(|id: String| {
                    find_model(connection, &id)?
                        .ok_or_else(|| damaged("a logged model vanished within one read"))
                })
        })
        .await
    }

    async fn list_models_of(&self, run: &RunId) -> Result<Vec<ModelId>, StoreError> {
        let run = run.clone();
        self.read(move |connection| {
            list_rows(connection, LIST_OF_RUN, [run.as_str()], |row| {
                read_id(row, 0)
            })
        })
        .await
    }
}

fn find_model(
    connection: &dyn Connection,
    id: &str,
) -> Result<Option<LoggedModelDetail>, StoreError> {
    let read = |row: &Row<'_>| Ok((row.get::<i64>(0)?, read_model(row)?));
    let Some((number, mut model)) = find_row(connection, FIND, [id], read)? else {
        return Ok(None);
    };
    let pair = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    model.tags = list_rows(connection, LIST_TAGS, [number], pair)?;
    model.params = list_rows(connection, LIST_PARAMS, [number], pair)?;
    let metrics = list_rows(connection, LIST_METRICS, [id], |row| {
        Ok((read_id(row, 0)?, read_metric(row, &model.id)?))
    })?;
    Ok(Some(LoggedModelDetail { model, metrics }))
}

fn read_model(row: &Row<'_>) -> sql::Result<LoggedModel> {
    Ok(LoggedModel {
        id: read_id(row, 1)?,
        experiment: read_id(row, 2)?,
        name: row.get(3)?,
        source_run: read_id_if_any(row, 4)?,
        artifact_uri: row.get(5)?,
        status: read_model_status(row, 6)?,
        model_type: row.get(7)?,
        created_at: read_time(row, 8)?,
        updated_at: read_time(row, 9)?,
        tags: BTreeMap::new(),
        params: BTreeMap::new(),
    })
}

fn read_metric(row: &Row<'_>, model: &ModelId) -> sql::Result<Metric> {
    let dataset: (String, String) = (row.get(6)?, row.get(7)?);
    let has_dataset = !dataset.0.is_empty() || !dataset.1.is_empty();
    Ok(Metric {
        key: row.get(1)?,
        value: metrics::read_value(row, 2)?,
        timestamp_ms: row.get(4)?,
        step: row.get(5)?,
        model: Some(model.clone()),
        dataset: has_dataset.then_some(dataset),
    })
}
