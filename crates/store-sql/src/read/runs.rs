//! Runs and their details, as callers see them.

use crate::params;
use crate::sql::{self, Connection, Row};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

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
use crate::several::{Belonging, Several};
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
    LIST_REPLAYS = "SELECT origin, replay, level, is_identical, is_within_tolerance, host_kind, comparison
        FROM replay WHERE origin = ?1 ORDER BY number";
    LIST_MANIFESTS = "SELECT id, recipe, record FROM run
        WHERE recipe IS NOT NULL AND record IS NOT NULL ORDER BY number";
}

#[async_trait]
impl<B: Backend> RunStore for SqlStore<B> {
    async fn find_run(&self, id: &RunId) -> Result<Option<Run>, StoreError> {
        let id = id.clone();
        self.read_row(move |connection| find_row(connection, FIND, [id.as_str()], read_run))
            .await
    }

    async fn find_run_detail(&self, id: &RunId) -> Result<Option<RunDetail>, StoreError> {
        let id = id.clone();
        self.read(move |connection| {
            match find_row(connection, FIND, [id.as_str()], |row| row.get(0))? {
                Some(number) => Ok(read_details(connection, &[number])?.pop()),
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
            self.searching(),
            Subject::Runs,
            experiments,
            query,
            view,
            page,
        )?;
        self.read(move |connection| {
            let found = search.read_page(connection, |row| row.get(0))?;
            found.map_all(|numbers| read_details(connection, numbers))
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
        self.read_history(run, key, move |history| history.list_page(&page))
            .await
    }

    async fn sample_metric_points(
        &self,
        run: &RunId,
        key: &str,
        steps: RangeInclusive<i64>,
        limit: usize,
    ) -> Result<Vec<Metric>, StoreError> {
        let (run, key) = (run.clone(), key.to_owned());
        self.read_history(run, key, move |history| history.sample(&steps, limit))
            .await
    }

    async fn order_next_history(&self) -> Result<(), StoreError> {
        self.order_next().await
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

const READ_RUNS: &str = "SELECT number, id, experiment, name, \"user\", status, started_at, ended_at, lifecycle,
        artifact_uri, parent, replay_of, process_id, process_start_ticks, process_boot, is_interrupted,
        recipe, record
    FROM run WHERE number IN (:numbers)";
const PARAMS: Belonging = Belonging {
    columns: "run, key, value",
    from: "param",
    owner: "run",
    order: "key",
};
const TAGS: Belonging = Belonging {
    columns: "run, key, value",
    from: "tag",
    owner: "run",
    order: "key",
};
const METRICS: Belonging = Belonging {
    columns: "key, value, is_nan, timestamp_ms, step, model, dataset_name, dataset_digest, run",
    from: "latest_metric",
    owner: "run",
    order: "key",
};
const DATASETS: Belonging = Belonging {
    columns: "run, name, digest, source_type, source, schema, profile",
    from: "dataset_input",
    owner: "run",
    order: "name, digest",
};
const DATASET_TAGS: Belonging = Belonging {
    columns: "run, name, digest, key, value",
    from: "dataset_input_tag",
    owner: "run",
    order: "name, digest, key",
};
const MODEL_INPUTS: Belonging = Belonging {
    columns: "run, model",
    from: "model_input",
    owner: "run",
    order: "model",
};
const MODEL_OUTPUTS: Belonging = Belonging {
    columns: "run, model, step",
    from: "model_output",
    owner: "run",
    order: "step, model",
};

/// What belongs to runs.
pub(crate) const BELONGING: &[Belonging] = &[
    PARAMS,
    TAGS,
    METRICS,
    DATASETS,
    DATASET_TAGS,
    MODEL_INPUTS,
    MODEL_OUTPUTS,
];

/// The runs of these numbers, in their order.
fn read_details(
    connection: &dyn Connection,
    numbers: &[i64],
) -> Result<Vec<RunDetail>, StoreError> {
    let mut details = Vec::with_capacity(numbers.len());
    for some in Several::split(numbers) {
        let mut read = read_some(connection, some)?;
        for number in some {
            let detail = read.remove(number);
            details.push(detail.ok_or_else(|| damaged("a run vanished within one read"))?);
        }
    }
    Ok(details)
}

fn read_some(
    connection: &dyn Connection,
    numbers: &[i64],
) -> Result<BTreeMap<i64, RunDetail>, StoreError> {
    let runs = Several::of(connection, numbers);
    let mut details: BTreeMap<i64, RunDetail> = runs.list(READ_RUNS, |row| {
        let detail = RunDetail {
            run: read_run(row)?,
            params: BTreeMap::new(),
            tags: BTreeMap::new(),
            metrics: Vec::new(),
            datasets: Vec::new(),
            model_inputs: Vec::new(),
            model_outputs: Vec::new(),
        };
        Ok((row.get(0)?, detail))
    })?;
    let pair = |row: &Row<'_>| Ok((row.get(0)?, (row.get(1)?, row.get(2)?)));
    for (run, (key, value)) in runs.list_belonging::<_, Vec<_>>(&PARAMS, pair)? {
        of(&mut details, run)?.params.insert(key, value);
    }
    for (run, (key, value)) in runs.list_belonging::<_, Vec<_>>(&TAGS, pair)? {
        of(&mut details, run)?.tags.insert(key, value);
    }
    let metric = |row: &Row<'_>| Ok((row.get(8)?, read_latest(row)?));
    for (run, metric) in runs.list_belonging::<_, Vec<_>>(&METRICS, metric)? {
        of(&mut details, run)?.metrics.push(metric);
    }
    let dataset = |row: &Row<'_>| Ok((row.get(0)?, read_dataset(row)?));
    for (run, dataset) in runs.list_belonging::<_, Vec<_>>(&DATASETS, dataset)? {
        of(&mut details, run)?.datasets.push(dataset);
    }
    if details.values().any(|detail| !detail.datasets.is_empty()) {
        for tag in runs.list_belonging::<_, Vec<_>>(&DATASET_TAGS, read_dataset_tag)? {
            let DatasetTag {
                run,
                name,
                digest,
                key,
                value,
            } = tag;
            let datasets = &mut of(&mut details, run)?.datasets;
            let dataset = datasets
                .iter_mut()
                .find(|dataset| dataset.name == name && dataset.digest == digest)
                .ok_or_else(|| damaged("a tag of a dataset is there and its dataset is not"))?;
            dataset.tags.insert(key, value);
        }
    }
    let input = |row: &Row<'_>| Ok((row.get(0)?, read_id(row, 1)?));
    for (run, model) in runs.list_belonging::<_, Vec<_>>(&MODEL_INPUTS, input)? {
        of(&mut details, run)?.model_inputs.push(model);
    }
    let output = |row: &Row<'_>| {
        let output = ModelOutput {
            model: read_id(row, 1)?,
            step: row.get(2)?,
        };
        Ok((row.get(0)?, output))
    };
    for (run, output) in runs.list_belonging::<_, Vec<_>>(&MODEL_OUTPUTS, output)? {
        of(&mut details, run)?.model_outputs.push(output);
    }
    Ok(details)
}

fn of(details: &mut BTreeMap<i64, RunDetail>, run: i64) -> Result<&mut RunDetail, StoreError> {
    details
        .get_mut(&run)
        .ok_or_else(|| damaged("a row belongs to a run that was not asked for"))
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

fn read_dataset(row: &Row<'_>) -> sql::Result<DatasetInput> {
    Ok(DatasetInput {
        name: row.get(1)?,
        digest: row.get(2)?,
        source_type: row.get(3)?,
        source: row.get(4)?,
        schema: row.get(5)?,
        profile: row.get(6)?,
        tags: BTreeMap::new(),
    })
}

struct DatasetTag {
    run: i64,
    name: String,
    digest: String,
    key: String,
    value: String,
}

fn read_dataset_tag(row: &Row<'_>) -> sql::Result<DatasetTag> {
    Ok(DatasetTag {
        run: row.get(0)?,
        name: row.get(1)?,
        digest: row.get(2)?,
        key: row.get(3)?,
        value: row.get(4)?,
    })
}
