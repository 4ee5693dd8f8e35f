//! Changes of the model registry.

use std::collections::BTreeMap;

use crate::params;
use entities::{
    Change, ModelId, ModelVersion, ObjectId, RegisteredModel, RunId, Stage, Timestamp,
    VersionNumber,
};
use store::StoreError;

use super::Applier;

statements! {
    FIND = "SELECT number FROM registered_model WHERE name = ?1";
    ADD = "INSERT INTO registered_model (name, description, created_at, updated_at, number)
        VALUES (?1, ?2, ?3, ?4, ?5)
        RETURNING number";
    RENAME = "UPDATE registered_model SET name = ?2, updated_at = ?3 WHERE number = ?1";
    TOUCH_VERSIONS = "UPDATE model_version SET updated_at = ?2 WHERE model = ?1 AND is_deleted = 0";
    DESCRIBE = "UPDATE registered_model SET description = ?2, updated_at = ?3 WHERE number = ?1";
    TOUCH = "UPDATE registered_model SET updated_at = ?2 WHERE number = ?1";
    DELETE_VERSION_TAGS = "DELETE FROM model_version_tag
        WHERE model_version IN (SELECT number FROM model_version WHERE model = ?1)";
    DELETE_VERSIONS = "DELETE FROM model_version WHERE model = ?1";
    DELETE_ALIASES = "DELETE FROM model_alias WHERE model = ?1";
    DELETE_TAGS = "DELETE FROM registered_model_tag WHERE model = ?1";
    DELETE = "DELETE FROM registered_model WHERE number = ?1";
    SET_TAG = "INSERT INTO registered_model_tag (model, key, value) VALUES (?1, ?2, ?3)
        ON CONFLICT (model, key) DO UPDATE SET value = excluded.value";
    DELETE_TAG = "DELETE FROM registered_model_tag WHERE model = ?1 AND key = ?2";
    SET_ALIAS = "INSERT INTO model_alias (model, alias, version) VALUES (?1, ?2, ?3)
        ON CONFLICT (model, alias) DO UPDATE SET version = excluded.version";
    DELETE_ALIAS = "DELETE FROM model_alias WHERE model = ?1 AND alias = ?2";
    DELETE_ALIASES_OF_VERSION = "DELETE FROM model_alias WHERE model = ?1 AND version = ?2";
    FIND_VERSION = "SELECT number FROM model_version WHERE model = ?1 AND version = ?2 AND is_deleted = 0";
    FIND_LAST_VERSION = "SELECT MAX(version) FROM model_version WHERE model = ?1";
    ADD_VERSION = "INSERT INTO model_version (model, version, description, stage, source, files_uri, run,
            logged_model, run_link, files, created_at, updated_at, is_deleted, number)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 0, ?13)
        RETURNING number";
    DESCRIBE_VERSION = "UPDATE model_version SET description = ?2, updated_at = ?3 WHERE number = ?1";
    SET_STAGE = "UPDATE model_version SET stage = ?2, updated_at = ?3 WHERE number = ?1";
    DELETE_VERSION = "UPDATE model_version SET is_deleted = 1, updated_at = ?2 WHERE number = ?1";
    SET_VERSION_TAG = "INSERT INTO model_version_tag (model_version, key, value) VALUES (?1, ?2, ?3)
        ON CONFLICT (model_version, key) DO UPDATE SET value = excluded.value";
    DELETE_VERSION_TAG = "DELETE FROM model_version_tag WHERE model_version = ?1 AND key = ?2";
}

impl Applier<'_> {
    pub(super) fn apply_to_registry(&self, change: &Change) -> Result<(), StoreError> {
        match change {
            Change::RegisteredModelCreated { model } => self.register_model(model),
            Change::RegisteredModelRenamed { name, new_name, at } => {
                self.rename_registered_model(name, new_name, *at)
            }
            Change::RegisteredModelDescribed {
                name,
                description,
                at,
            } => {
                let model = self.get_registered_model(name)?;
                let row = params![model, description, at.as_micros()];
                self.send(DESCRIBE, row)
            }
            Change::RegisteredModelDeleted { name } => self.delete_registered_model(name),
            Change::RegisteredModelTagsSet { name, tags } => {
                let model = self.get_registered_model(name)?;
                self.write_registry_tags(SET_TAG, model, tags)
            }
            Change::RegisteredModelTagDeleted { name, key } => {
                let model = self.get_registered_model(name)?;
                self.send(DELETE_TAG, params![model, key])
            }
            Change::AliasSet {
                name,
                alias,
                version,
            } => {
                let (model, _) = self.get_version(name, *version)?;
                self.send(SET_ALIAS, params![model, alias, version.get()])
            }
            Change::AliasDeleted { name, alias } => {
                let model = self.get_registered_model(name)?;
                self.send(DELETE_ALIAS, params![model, alias])
            }
            _ => self.apply_to_version(change),
        }
    }

    fn apply_to_version(&self, change: &Change) -> Result<(), StoreError> {
        match change {
            Change::ModelVersionCreated { version } => self.create_version(version),
            Change::ModelVersionDescribed {
                name,
                version,
                description,
                at,
            } => {
                let (_, number) = self.get_version(name, *version)?;
                let row = params![number, description, at.as_micros()];
                self.send(DESCRIBE_VERSION, row)
            }
            Change::ModelVersionStageSet {
                name,
                version,
                stage,
                archived,
                at,
            } => {
                for other in archived {
                    self.set_stage(name, *other, Stage::Archived, *at)?;
                }
                self.set_stage(name, *version, *stage, *at)
            }
            Change::ModelVersionDeleted { name, version, at } => {
                let (model, number) = self.get_version(name, *version)?;
                self.send(DELETE_ALIASES_OF_VERSION, params![model, version.get()])?;
                self.send(DELETE_VERSION, params![number, at.as_micros()])?;
                self.touch_registered_model(model, *at)
            }
            Change::ModelVersionTagsSet {
                name,
                version,
                tags,
            } => {
                let (_, number) = self.get_version(name, *version)?;
                self.write_registry_tags(SET_VERSION_TAG, number, tags)
            }
            Change::ModelVersionTagDeleted { name, version, key } => {
                let (_, number) = self.get_version(name, *version)?;
                self.send(DELETE_VERSION_TAG, params![number, key])
            }
            _ => unreachable!("`apply` hands over changes of the registry only"),
        }
    }

    fn register_model(&self, model: &RegisteredModel) -> Result<(), StoreError> {
        let RegisteredModel {
            name,
            description,
            created_at,
            updated_at,
            tags,
        } = model;
        self.check_registered_name_is_free(name)?;
        let row = params![
            name,
            description,
            created_at.as_micros(),
            updated_at.as_micros()
        ];
        let number = self.insert_new(ADD, row)?;
        self.write_registry_tags(SET_TAG, number, tags)
    }

    fn rename_registered_model(
        &self,
        name: &str,
        new_name: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let model = self.get_registered_model(name)?;
        if name != new_name {
            self.check_registered_name_is_free(new_name)?;
        }
        self.send(RENAME, params![model, new_name, at.as_micros()])?;
        self.move_rights_to_model(name, new_name)?;
        self.send(TOUCH_VERSIONS, params![model, at.as_micros()])
    }

    fn delete_registered_model(&self, name: &str) -> Result<(), StoreError> {
        let model = self.get_registered_model(name)?;
        for sql in [
            DELETE_VERSION_TAGS,
            DELETE_VERSIONS,
            DELETE_ALIASES,
            DELETE_TAGS,
            DELETE,
        ] {
            self.send(sql, [model])?;
        }
        self.forget_rights_to_model(name)
    }

    fn create_version(&self, version: &ModelVersion) -> Result<(), StoreError> {
        let ModelVersion {
            name,
            version,
            description,
            stage,
            source,
            files_uri,
            run,
            logged_model,
            run_link,
            files,
            created_at,
            updated_at,
            tags,
        } = version;
        let model = self.get_registered_model(name)?;
        self.check_version_is_next(name, model, *version)?;
        let row = params![
            model,
            version.get(),
            description,
            stage.as_str(),
            source,
            files_uri,
            run.as_ref().map(RunId::as_str),
            logged_model.as_ref().map(ModelId::as_str),
            run_link,
            files.as_ref().map(ObjectId::as_bytes),
            created_at.as_micros(),
            updated_at.as_micros(),
        ];
        let number = self.insert_new(ADD_VERSION, row)?;
        self.write_registry_tags(SET_VERSION_TAG, number, tags)?;
        self.touch_registered_model(model, *created_at)
    }

    fn check_version_is_next(
        &self,
        name: &str,
        model: i64,
        given: VersionNumber,
    ) -> Result<(), StoreError> {
        let last: Option<i64> = self
            .find(FIND_LAST_VERSION, [model], |row| row.get(0))?
            .flatten();
        match VersionNumber::new(last.unwrap_or(0) + 1) {
            Some(next) if next != given => Err(StoreError::NotNextVersion {
                name: name.to_owned(),
                next,
                given,
            }),
            _ => Ok(()),
        }
    }

    fn set_stage(
        &self,
        name: &str,
        version: VersionNumber,
        stage: Stage,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let (model, number) = self.get_version(name, version)?;
        self.send(SET_STAGE, params![number, stage.as_str(), at.as_micros()])?;
        self.touch_registered_model(model, at)
    }

    fn check_registered_name_is_free(&self, name: &str) -> Result<(), StoreError> {
        match self.find_registered_model(name)? {
            Some(_) => Err(StoreError::RegisteredModelNameTaken {
                name: name.to_owned(),
            }),
            None => Ok(()),
        }
    }

    fn get_registered_model(&self, name: &str) -> Result<i64, StoreError> {
        self.find_registered_model(name)?
            .ok_or_else(|| StoreError::NoRegisteredModel {
                name: name.to_owned(),
            })
    }

    fn find_registered_model(&self, name: &str) -> Result<Option<i64>, StoreError> {
        self.find(FIND, [name], |row| row.get(0))
    }

    /// The rows of a model and of one of its versions.
    fn get_version(&self, name: &str, version: VersionNumber) -> Result<(i64, i64), StoreError> {
        let model = self.get_registered_model(name)?;
        let number = self.find(FIND_VERSION, params![model, version.get()], |row| {
            row.get(0)
        })?;
        match number {
            Some(number) => Ok((model, number)),
            None => Err(StoreError::NoModelVersion {
                name: name.to_owned(),
                version,
            }),
        }
    }

    fn write_registry_tags(
        &self,
        sql: &str,
        owner: i64,
        tags: &BTreeMap<String, String>,
    ) -> Result<(), StoreError> {
        for (key, value) in tags {
            self.send(sql, params![owner, key, value])?;
        }
        Ok(())
    }

    fn touch_registered_model(&self, model: i64, at: Timestamp) -> Result<(), StoreError> {
        self.send(TOUCH, params![model, at.as_micros()])
    }
}
