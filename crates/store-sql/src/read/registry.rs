//! The model registry, as callers see it.

use std::collections::BTreeMap;

use crate::params;
use crate::sql::{self, Connection, Row};
use async_trait::async_trait;
use entities::{
    ModelVersion, ModelVersionDetail, RegisteredModel, RegisteredModelDetail, SearchQuery,
    VersionNumber,
};
use store::{Page, PageRequest, Prompts, RegistryStore, StoreError, VersionFiles, View};

use super::{find_row, list_rows};
use crate::fault::damaged;
use crate::rows::{
    read_id_if_any, read_object, read_object_if_any, read_stage, read_time, read_version,
};
use crate::search::{Search, Subject};
use crate::{Backend, SqlStore};

statements! {
    FIND_BY_NAME = "SELECT number, name, description, created_at, updated_at FROM registered_model WHERE name = ?1";
    FIND_BY_NUMBER = "SELECT number, name, description, created_at, updated_at FROM registered_model WHERE number = ?1";
    LIST_TAGS = "SELECT key, value FROM registered_model_tag WHERE model = ?1";
    LIST_ALIASES = "SELECT alias, version FROM model_alias WHERE model = ?1";
    LIST_LATEST = "SELECT number FROM model_version
        WHERE model = ?1 AND is_deleted = 0 AND version IN (
            SELECT MAX(version) FROM model_version WHERE model = ?1 AND is_deleted = 0 GROUP BY stage)
        ORDER BY version";
    FIND_VERSION_ROW = "SELECT model_version.number
        FROM model_version JOIN registered_model ON registered_model.number = model_version.model
        WHERE registered_model.name = ?1 AND version = ?2 AND is_deleted = 0";
    FIND_VERSION = "SELECT model, registered_model.name, version, model_version.description, stage, source,
            files_uri, run, logged_model, run_link, files, model_version.created_at, model_version.updated_at
        FROM model_version JOIN registered_model ON registered_model.number = model_version.model
        WHERE model_version.number = ?1";
    LIST_VERSION_TAGS = "SELECT key, value FROM model_version_tag WHERE model_version = ?1";
    LIST_ALIASES_OF_VERSION = "SELECT alias FROM model_alias WHERE model = ?1 AND version = ?2 ORDER BY alias";
    FIND_ALIAS = "SELECT version
        FROM model_alias JOIN registered_model ON registered_model.number = model_alias.model
        WHERE registered_model.name = ?1 AND alias = ?2";
    FIND_NEXT = "SELECT coalesce((SELECT MAX(version) FROM model_version WHERE model = registered_model.number), 0) + 1
        FROM registered_model WHERE name = ?1";
    LIST_FILES = "SELECT registered_model.name, version, files
        FROM model_version JOIN registered_model ON registered_model.number = model_version.model
        WHERE files IS NOT NULL AND is_deleted = 0";
}

#[async_trait]
impl<B: Backend> RegistryStore for SqlStore<B> {
    async fn find_registered_model(
        &self,
        name: &str,
    ) -> Result<Option<RegisteredModelDetail>, StoreError> {
        let name = name.to_owned();
        self.read(move |connection| {
            let found = find_row(connection, FIND_BY_NAME, [name], read_model)?;
            found
                .map(|(number, model)| fill_model(connection, number, model))
                .transpose()
        })
        .await
    }

    async fn search_registered_models(
        &self,
        query: &SearchQuery,
        prompts: Prompts,
        page: &PageRequest,
    ) -> Result<Page<RegisteredModelDetail>, StoreError> {
        let subject = Subject::RegisteredModels(prompts);
        let search = Search::new(self.searching(), subject, &[], query, View::All, page)?;
        self.read(move |connection| {
            search
                .read_page(connection, |row| row.get(0))?
                .try_map(|number: i64| {
                    let found = find_row(connection, FIND_BY_NUMBER, [number], read_model)?;
                    let (number, model) = found
                        .ok_or_else(|| damaged("a registered model vanished within one read"))?;
                    fill_model(connection, number, model)
                })
        })
        .await
    }

    async fn find_model_version(
        &self,
        name: &str,
        version: VersionNumber,
    ) -> Result<Option<ModelVersionDetail>, StoreError> {
        let name = name.to_owned();
        self.read(move |connection| {
            let key = params![name, version.get()];
            let found = find_row(connection, FIND_VERSION_ROW, key, |row| row.get(0))?;
            found
                .map(|number: i64| get_version(connection, number))
                .transpose()
        })
        .await
    }

    async fn find_alias(
        &self,
        name: &str,
        alias: &str,
    ) -> Result<Option<VersionNumber>, StoreError> {
        let key = [name.to_owned(), alias.to_owned()];
        self.read(move |connection| {
            find_row(connection, FIND_ALIAS, key, |row| read_version(row, 0))
        })
        .await
    }

    async fn search_model_versions(
        &self,
        query: &SearchQuery,
        prompts: Prompts,
        page: &PageRequest,
    ) -> Result<Page<ModelVersionDetail>, StoreError> {
        let subject = Subject::ModelVersions(prompts);
        let search = Search::new(self.searching(), subject, &[], query, View::All, page)?;
        self.read(move |connection| {
            search
                .read_page(connection, |row| row.get(0))?
                .try_map(|number: i64| get_version(connection, number))
        })
        .await
    }

    async fn next_version(&self, name: &str) -> Result<Option<VersionNumber>, StoreError> {
        let name = name.to_owned();
        self.read(move |connection| {
            find_row(connection, FIND_NEXT, [name], |row| read_version(row, 0))
        })
        .await
    }

    async fn list_version_files(&self) -> Result<Vec<VersionFiles>, StoreError> {
        self.read(|connection| {
            list_rows(connection, LIST_FILES, params![], |row| {
                Ok(VersionFiles {
                    name: row.get(0)?,
                    version: read_version(row, 1)?,
                    files: read_object(row, 2)?,
                })
            })
        })
        .await
    }
}

fn read_model(row: &Row<'_>) -> sql::Result<(i64, RegisteredModel)> {
    let model = RegisteredModel {
        name: row.get(1)?,
        description: row.get(2)?,
        created_at: read_time(row, 3)?,
        updated_at: read_time(row, 4)?,
        tags: BTreeMap::new(),
    };
    Ok((row.get(0)?, model))
}

fn fill_model(
    connection: &dyn Connection,
    number: i64,
    mut model: RegisteredModel,
) -> Result<RegisteredModelDetail, StoreError> {
    let pair = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    model.tags = list_rows(connection, LIST_TAGS, [number], pair)?;
    let aliases = list_rows(connection, LIST_ALIASES, [number], |row| {
        Ok((row.get(0)?, read_version(row, 1)?))
    })?;
    let latest: Vec<i64> = list_rows(connection, LIST_LATEST, [number], |row| row.get(0))?;
    let latest: Result<Vec<ModelVersion>, StoreError> = latest
        .into_iter()
        .map(|number| Ok(get_version(connection, number)?.version))
        .collect();
    Ok(RegisteredModelDetail {
        model,
        aliases,
        latest: latest?,
    })
}

fn get_version(connection: &dyn Connection, number: i64) -> Result<ModelVersionDetail, StoreError> {
    let read = |row: &Row<'_>| Ok((row.get::<i64>(0)?, read_version_row(row)?));
    let (model, mut version) = find_row(connection, FIND_VERSION, [number], read)?
        .ok_or_else(|| damaged("a version of a model vanished within one read"))?;
    version.tags = list_rows(connection, LIST_VERSION_TAGS, [number], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    let key = params![model, version.version.get()];
    let aliases = list_rows(connection, LIST_ALIASES_OF_VERSION, key, |row| row.get(0))?;
    Ok(ModelVersionDetail { version, aliases })
}

fn read_version_row(row: &Row<'_>) -> sql::Result<ModelVersion> {
    Ok(ModelVersion {
        name: row.get(1)?,
        version: read_version(row, 2)?,
        description: row.get(3)?,
        stage: read_stage(row, 4)?,
        source: row.get(5)?,
        files_uri: row.get(6)?,
        run: read_id_if_any(row, 7)?,
        logged_model: read_id_if_any(row, 8)?,
        run_link: row.get(9)?,
        files: read_object_if_any(row, 10)?,
        created_at: read_time(row, 11)?,
        updated_at: read_time(row, 12)?,
        tags: BTreeMap::new(),
    })
}
