//! Experiments, as callers see them.

use std::collections::BTreeMap;

use crate::params;
use crate::sql::{self, Connection, Row};
use async_trait::async_trait;
use entities::{Experiment, ExperimentId, Lifecycle, RunId, SearchQuery};
use store::{ExperimentStore, Page, PageRequest, StoreError, View};

use super::{find_row, list_rows};
use crate::rows::{read_id, read_lifecycle, read_time};
use crate::search::{Search, Subject};
use crate::{Backend, SqlStore};

statements! {
    FIND = "SELECT id, name, artifact_location, lifecycle, created_at, updated_at FROM experiment WHERE id = ?1";
    FIND_BY_NAME = "SELECT id, name, artifact_location, lifecycle, created_at, updated_at FROM experiment
        WHERE name = ?1";
    LIST_TAGS = "SELECT key, value FROM experiment_tag WHERE experiment = ?1";
    FIND_LARGEST_ID = "SELECT id
        FROM (SELECT id FROM experiment UNION ALL SELECT id FROM removed_experiment) AS given
        WHERE length(id) < 19
        ORDER BY length(id) DESC, id DESC
        LIMIT 1";
    LIST_RUN_IDS = "SELECT id FROM run WHERE experiment = ?1 AND lifecycle = ?2 ORDER BY started_at DESC, id";
}

#[async_trait]
impl<B: Backend> ExperimentStore for SqlStore<B> {
    async fn find_experiment(&self, id: &ExperimentId) -> Result<Option<Experiment>, StoreError> {
        let id = id.clone();
        self.read_row(move |connection| find_experiment(connection, FIND, id.as_str()))
            .await
    }

    async fn find_experiment_by_name(&self, name: &str) -> Result<Option<Experiment>, StoreError> {
        let name = name.to_owned();
        self.read_row(move |connection| find_experiment(connection, FIND_BY_NAME, &name))
            .await
    }

    async fn search_experiments(
        &self,
        query: &SearchQuery,
        view: View,
        page: &PageRequest,
    ) -> Result<Page<Experiment>, StoreError> {
        let search = Search::new(
            self.searching(),
            Subject::Experiments,
            &[],
            query,
            view,
            page,
        )?;
        self.read(move |connection| {
            search
                .read_page(connection, |row| {
                    let id: String = row.get(0)?;
                    Ok(id)
                })?
                .try_map(|id| {
                    find_experiment(connection, FIND, &id)?.ok_or_else(|| {
                        crate::fault::damaged("an experiment vanished within one read")
                    })
                })
        })
        .await
    }

    async fn free_experiment_id(&self) -> Result<ExperimentId, StoreError> {
        self.read(|connection| {
            let largest: Option<String> =
                find_row(connection, FIND_LARGEST_ID, params![], |row| row.get(0))?;
            // Fewer than 19 digits fit into 63 bits, and so does the next number.
            let next = largest.map_or(0, |text| {
                text.parse::<u64>().map_or(0, |largest| largest + 1)
            });
            next.to_string()
                .parse()
                .map_err(|error: entities::IdParseError| crate::fault::damaged(error.to_string()))
        })
        .await
    }

    async fn list_run_ids(
        &self,
        id: &ExperimentId,
        lifecycle: Lifecycle,
    ) -> Result<Vec<RunId>, StoreError> {
        let id = id.clone();
        self.read(move |connection| {
            let values = params![id.as_str(), lifecycle.as_str()];
            list_rows(connection, LIST_RUN_IDS, values, |row| read_id(row, 0))
        })
        .await
    }
}

fn find_experiment(
    connection: &dyn Connection,
    sql: &str,
    value: &str,
) -> Result<Option<Experiment>, StoreError> {
    let Some(mut experiment) = find_row(connection, sql, [value], read_experiment)? else {
        return Ok(None);
    };
    let values = [experiment.id.as_str()];
    experiment.tags = list_rows(connection, LIST_TAGS, values, |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    Ok(Some(experiment))
}

fn read_experiment(row: &Row<'_>) -> sql::Result<Experiment> {
    Ok(Experiment {
        id: read_id(row, 0)?,
        name: row.get(1)?,
        artifact_location: row.get(2)?,
        lifecycle: read_lifecycle(row, 3)?,
        created_at: read_time(row, 4)?,
        updated_at: read_time(row, 5)?,
        tags: BTreeMap::new(),
    })
}
