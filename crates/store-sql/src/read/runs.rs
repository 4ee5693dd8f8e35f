//! Runs and their details, as callers see them.

use crate::params;
use crate::sql::{self, Connection, Row};
use async_trait::async_trait;
use entities::{
    DatasetInput, ExperimentId, Metric, ModelOutput, ObjectId, ProcessIdentity, ReplayVerdict, Run,
    RunDetail, RunId, SearchQuery,
};
use store::{DatasetSummary, Page, PageRequest, RunStore, StoreError, View};

use super::{find_row, list_rows, metrics};
use crate::fault::damaged;
use crate::rows::{
    read_id, read_id_if_any, read_level_if_any, read_lifecycle, read_object, read_object_if_any,
    read_run_status, read_time, read_time_if_any,
};
use crate::search::{Search, Subject};
use crate::{Backend, SqlStore};

statements! {
    SUM_UP_DATASETS = "SELECT DISTINCT dataset_input.name, dataset_input.digest, dataset_input_tag.value
        FROM run JOIN dataset_input ON dataset_input.run = run.number
            LEFT JOIN dataset_input_tag ON dataset_input_tag.run = dataset_input.run
                AND dataset_input_tag.name = dataset_input.name AND dataset_input_tag.digest = dataset_input.digest
                AND dataset_input_tag.key = 'mlflow.data.context'
        WHERE run.experiment = ?1
        ORDER BY 1, 2, 3 NULLS FIRST
        LIMIT ?2";
    FIND = "SELECT number, id, experiment, name, \"user\", status, started_at, ended_at, lifecycle, artifact_uri,
            parent, replay_of, process_id, process_start_ticks, process_boot, is_interrupted, recipe, record
        FROM run WHERE id = ?1";
    FIND_BY_NUMBER = "SELECT number, id, experiment, name, \"user\", status, started_at, ended_at, lifecycle,
            artifact_uri, parent, replay_of, process_id, process_start_ticks, process_boot, is_interrupted,
            recipe, record
        FROM run WHERE number = ?1";
    LIST_BY_PREFIX = "SELECT number, id, experiment, name, \"user\", status, started_at, ended_at, lifecycle,
            artifact_uri, parent, replay_of, process_id, process_start_ticks, process_boot, is_interrupted,
            recipe, record
        FROM run WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3";
    LIST_BY_NAME = "SELECT number, id, experiment, name, \"user\", status, started_at, ended_at, lifecycle,
            artifact_uri, parent, replay_of, process_id, process_start_ticks, process_boot, is_interrupted,
            recipe, record
        FROM run WHERE name = ?1 AND lifecycle = 'active' ORDER BY started_at DESC, id LIMIT ?2";
    LIST_OPEN = "SELECT number, id, experiment, name, \"user\", status, started_at, ended_at, lifecycle,
            artifact_uri, parent, replay_of, process_id, process_start_ticks, process_boot, is_interrupted,
            recipe, record
        FROM run WHERE process_id IS NOT NULL AND status IN ('RUNNING', 'SCHEDULED') ORDER BY number";
    LIST_PARAMS = "SELECT key, value FROM param WHERE run = ?1";
    LIST_TAGS = "SELECT key, value FROM tag WHERE run = ?1";
    LIST_METRICS = "SELECT key, value, is_nan, timestamp_ms, step, model, dataset_name, dataset_digest
        FROM latest_metric WHERE run = ?1 ORDER BY key";
    LIST_DATASETS = "SELECT name, digest, source_type, source, schema, profile FROM dataset_input
        WHERE run = ?1 ORDER BY name, digest";
    LIST_DATASET_TAGS = "SELECT key, value FROM dataset_input_tag WHERE run = ?1 AND name = ?2 AND digest = ?3";
    LIST_MODEL_INPUTS = "SELECT model FROM model_input WHERE run = ?1 ORDER BY model";
    LIST_MODEL_OUTPUTS = "SELECT model, step FROM model_output WHERE run = ?1 ORDER BY step, model";
    LIST_REPLAYS = "SELECT origin, replay, level, is_identical, is_within_tolerance, host_kind, comparison
        FROM replay WHERE origin = ?1 ORDER BY number";
    LIST_MANIFESTS = "SELECT id, recipe, record FROM run
        WHERE recipe IS NOT NULL AND record IS NOT NULL ORDER BY number";
}

#[async_trait]
impl<B: Backend> RunStore for SqlStore<B> {
    async fn find_run(&self, id: &RunId) -> Result<Option<Run>, StoreError> {
        let id = id.clone();
        self.read(move |connection| find_row(connection, FIND, [id.as_str()], read_run))
            .await
    }

    async fn find_run_detail(&self, id: &RunId) -> Result<Option<RunDetail>, StoreError> {
        let id = id.clone();
        self.read(move |connection| {
            let read = |row: &Row<'_>| Ok((row.get(0)?, read_run(row)?));
            match find_row(connection, FIND, [id.as_str()], read)? {
                Some((number, run)) => read_detail(connection, number, run).map(Some),
                None => Ok(None),
            }
        })
        .await
    }

    async fn search_runs(
        &self,
        experiments: &[ExperimentId],
        query: &SearchQuery,
        view: View,
        page: &PageRequest,
    ) -> Result<Page<RunDetail>, StoreError> {
        let search = Search::new(
            self.dialect(),
            Subject::Runs,
            experiments,
            query,
            view,
            page,
        )?;
        self.read(move |connection| {
            search
                .read_page(connection, |row| row.get(0))?
                .try_map(|number: i64| {
                    let run = find_row(connection, FIND_BY_NUMBER, [number], read_run)?
                        .ok_or_else(|| damaged("a run vanished within one read"))?;
                    read_detail(connection, number, run)
                })
        })
        .await
    }

    async fn list_runs_by_prefix(
        &self,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<Run>, StoreError> {
        // Ids are ASCII, so that the largest character is above whatever follows.
        let (from, to) = (prefix.to_owned(), format!("{prefix}{}", char::MAX));
        self.read(move |connection| {
            let values = params![from, to, limit as i64];
            list_rows(connection, LIST_BY_PREFIX, values, read_run)
        })
        .await
    }

    async fn list_runs_by_name(&self, name: &str, limit: usize) -> Result<Vec<Run>, StoreError> {
        let name = name.to_owned();
        self.read(move |connection| {
            list_rows(
                connection,
                LIST_BY_NAME,
                params![name, limit as i64],
                read_run,
            )
        })
        .await
    }

    async fn list_open_runs(&self) -> Result<Vec<Run>, StoreError> {
        self.read(|connection| list_rows(connection, LIST_OPEN, params![], read_run))
            .await
    }

    async fn list_metric_points(
        &self,
        run: &RunId,
        key: &str,
        page: &PageRequest,
    ) -> Result<Page<Metric>, StoreError> {
        let (run, key, page) = (run.clone(), key.to_owned(), page.clone());
        self.read(move |connection| metrics::list_points(connection, &run, &key, &page))
            .await
    }

    async fn list_datasets(
        &self,
        experiments: &[ExperimentId],
        limit: usize,
    ) -> Result<Vec<DatasetSummary>, StoreError> {
        let experiments = experiments.to_vec();
        self.read(move |connection| {
            let mut found: Vec<DatasetSummary> = Vec::new();
            for experiment in &experiments {
                let left = i64::try_from(limit - found.len()).unwrap_or(i64::MAX);
                let key = params![experiment.as_str(), left];
                let more: Vec<_> = list_rows(connection, SUM_UP_DATASETS, key, |row| {
                    Ok(DatasetSummary {
                        experiment: experiment.clone(),
                        name: row.get(0)?,
                        digest: row.get(1)?,
                        context: row.get(2)?,
                    })
                })?;
                found.extend(more);
            }
            Ok(found)
        })
        .await
    }

    async fn list_replays(&self, origin: &RunId) -> Result<Vec<ReplayVerdict>, StoreError> {
        let origin = origin.clone();
        self.read(move |connection| {
            list_rows(connection, LIST_REPLAYS, [origin.as_str()], |row| {
                Ok(ReplayVerdict {
                    origin: read_id(row, 0)?,
                    replay: read_id(row, 1)?,
                    level: read_level_if_any(row, 2)?,
                    is_identical: row.get(3)?,
                    is_within_tolerance: row.get(4)?,
                    host_kind: read_object(row, 5)?,
                    comparison: read_object(row, 6)?,
                })
            })
        })
        .await
    }

    async fn list_manifests(&self) -> Result<Vec<(RunId, ObjectId, ObjectId)>, StoreError> {
        self.read(|connection| {
            list_rows(connection, LIST_MANIFESTS, params![], |row| {
                Ok((read_id(row, 0)?, read_object(row, 1)?, read_object(row, 2)?))
            })
        })
        .await
    }
}

/// Reads a run from the columns that all statements on runs have in common.
fn read_run(row: &Row<'_>) -> sql::Result<Run> {
    let pid: Option<u32> = row.get(12)?;
    let process = match pid {
        Some(pid) => Some(ProcessIdentity {
            pid,
            start_ticks: row.get::<i64>(13)? as u64,
            boot_id: row.get(14)?,
        }),
        None => None,
    };
    Ok(Run {
        id: read_id(row, 1)?,
        experiment: read_id(row, 2)?,
        name: row.get(3)?,
        user: row.get(4)?,
        status: read_run_status(row, 5)?,
        started_at: read_time(row, 6)?,
        ended_at: read_time_if_any(row, 7)?,
        lifecycle: read_lifecycle(row, 8)?,
        artifact_uri: row.get(9)?,
        parent: read_id_if_any(row, 10)?,
        replay_of: read_id_if_any(row, 11)?,
        process,
        is_interrupted: row.get(15)?,
        recipe: read_object_if_any(row, 16)?,
        record: read_object_if_any(row, 17)?,
    })
}

fn read_detail(
    connection: &dyn Connection,
    number: i64,
    run: Run,
) -> Result<RunDetail, StoreError> {
    let pair = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    Ok(RunDetail {
        run,
        params: list_rows(connection, LIST_PARAMS, [number], pair)?,
        tags: list_rows(connection, LIST_TAGS, [number], pair)?,
        metrics: list_rows(connection, LIST_METRICS, [number], read_latest)?,
        datasets: read_datasets(connection, number)?,
        model_inputs: list_rows(connection, LIST_MODEL_INPUTS, [number], |row| {
            read_id(row, 0)
        })?,
        model_outputs: list_rows(connection, LIST_MODEL_OUTPUTS, [number], |row| {
            Ok(ModelOutput {
                model: read_id(row, 0)?,
                step: row.get(1)?,
            })
        })?,
    })
}

fn read_latest(row: &Row<'_>) -> sql::Result<Metric> {
    let name: Option<String> = row.get(6)?;
    let digest: Option<String> = row.get(7)?;
    Ok(Metric {
        key: row.get(0)?,
        value: metrics::read_value(row, 1)?,
        timestamp_ms: row.get(3)?,
        step: row.get(4)?,
        model: read_id_if_any(row, 5)?,
        dataset: name.zip(digest),
    })
}

fn read_datasets(connection: &dyn Connection, run: i64) -> Result<Vec<DatasetInput>, StoreError> {
    let mut datasets: Vec<DatasetInput> = list_rows(connection, LIST_DATASETS, [run], |row| {
        Ok(DatasetInput {
            name: row.get(0)?,
            digest: row.get(1)?,
            source_type: row.get(2)?,
            source: row.get(3)?,
            schema: row.get(4)?,
            profile: row.get(5)?,
            tags: std::collections::BTreeMap::new(),
        })
    })?;
    for dataset in &mut datasets {
        let values = params![run, dataset.name, dataset.digest];
        dataset.tags = list_rows(connection, LIST_DATASET_TAGS, values, |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    }
    Ok(datasets)
}
