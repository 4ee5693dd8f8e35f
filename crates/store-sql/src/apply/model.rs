//! Changes of logged models.

use std::collections::BTreeMap;

use crate::params;
use entities::{LoggedModel, ModelId, ModelStatus, RunId, Timestamp};
use store::StoreError;

use super::{Applier, model_subject};

statements! {
    FIND = "SELECT number, is_deleted FROM model WHERE id = ?1";
    ADD = "INSERT INTO model (id, experiment, name, source_run, artifact_uri, status, model_type,
            created_at, updated_at, is_deleted, number)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, ?10)
        RETURNING number";
    SET_STATUS = "UPDATE model SET status = ?2, updated_at = ?3 WHERE number = ?1";
    TOUCH = "UPDATE model SET updated_at = ?2 WHERE number = ?1";
    DELETE = "UPDATE model SET is_deleted = 1, updated_at = ?2 WHERE number = ?1";
    SET_TAG = "INSERT INTO model_tag (model, key, value) VALUES (?1, ?2, ?3)
        ON CONFLICT (model, key) DO UPDATE SET value = excluded.value";
    DELETE_TAG = "DELETE FROM model_tag WHERE model = ?1 AND key = ?2";
    SET_PARAM = "INSERT INTO model_param (model, key, value) VALUES (?1, ?2, ?3)
        ON CONFLICT (model, key) DO UPDATE SET value = excluded.value";
}

impl Applier<'_> {
    pub(super) fn log_model(&self, model: &LoggedModel) -> Result<(), StoreError> {
        let LoggedModel {
            id,
            experiment,
            name,
            source_run,
            artifact_uri,
            status,
            model_type,
            created_at,
            updated_at,
            tags,
            params,
        } = model;
        self.check_experiment_is_active(experiment)?;
        if self.find_model(id)?.is_some() {
            return Err(StoreError::Exists {
                subject: model_subject(id),
            });
        }
        let row = params![
            id.as_str(),
            experiment.as_str(),
            name,
            source_run.as_ref().map(RunId::as_str),
            artifact_uri,
            status.as_str(),
            model_type,
            created_at.as_micros(),
            updated_at.as_micros(),
        ];
        let number = self.insert_new(ADD, row)?;
        self.write_model_texts(SET_TAG, number, tags)?;
        self.write_model_texts(SET_PARAM, number, params)
    }

    pub(super) fn set_model_status(
        &self,
        id: &ModelId,
        status: ModelStatus,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let model = self.get_model(id)?;
        let row = params![model, status.as_str(), at.as_micros()];
        self.send(SET_STATUS, row)
    }

    pub(super) fn set_model_tags(
        &self,
        id: &ModelId,
        tags: &BTreeMap<String, String>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let model = self.get_model(id)?;
        self.write_model_texts(SET_TAG, model, tags)?;
        self.touch_model(model, at)
    }

    pub(super) fn delete_model_tag(
        &self,
        id: &ModelId,
        key: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let model = self.get_model(id)?;
        if self.execute(DELETE_TAG, params![model, key])? == 0 {
            return Err(StoreError::NoTag {
                key: key.to_owned(),
                subject: model_subject(id),
            });
        }
        self.touch_model(model, at)
    }

    pub(super) fn log_model_params(
        &self,
        id: &ModelId,
        params: &BTreeMap<String, String>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let model = self.get_model(id)?;
        self.write_model_texts(SET_PARAM, model, params)?;
        self.touch_model(model, at)
    }

    pub(super) fn delete_model(&self, id: &ModelId, at: Timestamp) -> Result<(), StoreError> {
        let model = self.get_model(id)?;
        self.send(DELETE, params![model, at.as_micros()])
    }

    fn get_model(&self, id: &ModelId) -> Result<i64, StoreError> {
        match self.find_model(id)? {
            Some((number, false)) => Ok(number),
            _ => Err(StoreError::NoModel { id: id.clone() }),
        }
    }

    fn find_model(&self, id: &ModelId) -> Result<Option<(i64, bool)>, StoreError> {
        self.find(FIND, [id.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    fn write_model_texts(
        &self,
        sql: &str,
        model: i64,
        texts: &BTreeMap<String, String>,
    ) -> Result<(), StoreError> {
        for (key, value) in texts {
            self.send(sql, params![model, key, value])?;
        }
        Ok(())
    }

    fn touch_model(&self, model: i64, at: Timestamp) -> Result<(), StoreError> {
        self.send(TOUCH, params![model, at.as_micros()])
    }
}
