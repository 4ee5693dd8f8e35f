//! Label schemas, as callers see them.

use async_trait::async_trait;
use entities::{ExperimentId, LabelSchema, LabelSchemaId};
use store::{LabelSchemaStore, StoreError};

use super::{find_row, list_rows};
use crate::params;
use crate::rows::{read_id, read_json, read_label_kind, read_time};
use crate::sql::{self, Row};
use crate::{Backend, SqlStore};

statements! {
    FIND = "SELECT id, experiment, name, type, instruction, has_comment, input, created_at, updated_at
        FROM label_schema WHERE id = ?1";
    FIND_BY_NAME = "SELECT id, experiment, name, type, instruction, has_comment, input, created_at, updated_at
        FROM label_schema WHERE experiment = ?1 AND name = ?2";
    LIST = "SELECT id, experiment, name, type, instruction, has_comment, input, created_at, updated_at
        FROM label_schema WHERE experiment = ?1 ORDER BY created_at DESC, id";
}

#[async_trait]
impl<B: Backend> LabelSchemaStore for SqlStore<B> {
    async fn find_label_schema(
        &self,
        id: &LabelSchemaId,
    ) -> Result<Option<LabelSchema>, StoreError> {
        let id = id.clone();
        self.read(move |connection| find_row(connection, FIND, [id.as_str()], read_label_schema))
            .await
    }

    async fn find_label_schema_by_name(
        &self,
        experiment: &ExperimentId,
        name: &str,
    ) -> Result<Option<LabelSchema>, StoreError> {
        let (experiment, name) = (experiment.clone(), name.to_owned());
        self.read(move |connection| {
            let key = params![experiment.as_str(), name];
            find_row(connection, FIND_BY_NAME, key, read_label_schema)
        })
        .await
    }

    async fn list_label_schemas(
        &self,
        experiment: &ExperimentId,
    ) -> Result<Vec<LabelSchema>, StoreError> {
        let experiment = experiment.clone();
        self.read(move |connection| {
            list_rows(connection, LIST, [experiment.as_str()], read_label_schema)
        })
        .await
    }
}

fn read_label_schema(row: &Row<'_>) -> sql::Result<LabelSchema> {
    Ok(LabelSchema {
        id: read_id(row, 0)?,
        experiment: read_id(row, 1)?,
        name: row.get(2)?,
        kind: read_label_kind(row, 3)?,
        instruction: row.get(4)?,
        has_comment: row.get(5)?,
        input: read_json(row, 6)?,
        created_at: read_time(row, 7)?,
        updated_at: read_time(row, 8)?,
    })
}
