//! Changes of label schemas.

use entities::{ExperimentId, LabelSchema, LabelSchemaId, LabelSchemaUpdate, Timestamp};
use store::StoreError;

use super::Applier;
use crate::params;
use crate::rows::read_id;

statements! {
    FIND_EXPERIMENT = "SELECT experiment FROM label_schema WHERE id = ?1";
    FIND_BY_NAME = "SELECT id FROM label_schema WHERE experiment = ?1 AND name = ?2";
    ADD = "INSERT INTO label_schema
            (id, experiment, name, type, instruction, has_comment, input, created_at, updated_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    SET_NAME = "UPDATE label_schema SET name = ?2 WHERE id = ?1";
    SET_INSTRUCTION = "UPDATE label_schema SET instruction = ?2 WHERE id = ?1";
    SET_COMMENT = "UPDATE label_schema SET has_comment = ?2 WHERE id = ?1";
    SET_INPUT = "UPDATE label_schema SET input = ?2 WHERE id = ?1";
    SET_TIME = "UPDATE label_schema SET updated_at = ?2 WHERE id = ?1";
    DELETE = "DELETE FROM label_schema WHERE id = ?1";
}

impl Applier<'_> {
    pub(super) fn create_label_schema(&self, schema: &LabelSchema) -> Result<(), StoreError> {
        let LabelSchema {
            id,
            experiment,
            name,
            kind,
            instruction,
            has_comment,
            input,
            created_at,
            updated_at,
        } = schema;
        self.check_experiment_is_active(experiment)?;
        if self.find_label_schema_experiment(id)?.is_some() {
            return Err(StoreError::Exists {
                subject: format!("label schema `{id}`"),
            });
        }
        self.check_label_schema_name(experiment, name, id)?;
        let row = params![
            id.as_str(),
            experiment.as_str(),
            name,
            kind.as_str(),
            instruction,
            has_comment,
            encoded(input),
            created_at.as_micros(),
            updated_at.as_micros(),
        ];
        self.send(ADD, row)
    }

    pub(super) fn update_label_schema(
        &self,
        id: &LabelSchemaId,
        update: &LabelSchemaUpdate,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let LabelSchemaUpdate {
            name,
            instruction,
            has_comment,
            input,
        } = update;
        let experiment = self
            .find_label_schema_experiment(id)?
            .ok_or_else(|| StoreError::NoLabelSchema { id: id.clone() })?;
        if let Some(name) = name {
            self.check_label_schema_name(&experiment, name, id)?;
            self.send(SET_NAME, params![id.as_str(), name])?;
        }
        if let Some(instruction) = instruction {
            self.send(SET_INSTRUCTION, params![id.as_str(), instruction])?;
        }
        if let Some(has_comment) = has_comment {
            self.send(SET_COMMENT, params![id.as_str(), has_comment])?;
        }
        if let Some(input) = input {
            self.send(SET_INPUT, params![id.as_str(), encoded(input)])?;
        }
        self.send(SET_TIME, params![id.as_str(), at.as_micros()])
    }

    pub(super) fn delete_label_schema(&self, id: &LabelSchemaId) -> Result<(), StoreError> {
        match self.execute(DELETE, [id.as_str()])? {
            0 => Err(StoreError::NoLabelSchema { id: id.clone() }),
            _ => Ok(()),
        }
    }

    fn find_label_schema_experiment(
        &self,
        id: &LabelSchemaId,
    ) -> Result<Option<ExperimentId>, StoreError> {
        self.find(FIND_EXPERIMENT, [id.as_str()], |row| read_id(row, 0))
    }

    fn check_label_schema_name(
        &self,
        experiment: &ExperimentId,
        name: &str,
        id: &LabelSchemaId,
    ) -> Result<(), StoreError> {
        let key = params![experiment.as_str(), name];
        let taken: Option<LabelSchemaId> = self.find(FIND_BY_NAME, key, |row| read_id(row, 0))?;
        if taken.is_some_and(|taken| taken != *id) {
            return Err(StoreError::LabelSchemaNameTaken {
                experiment: experiment.clone(),
                name: name.to_owned(),
            });
        }
        Ok(())
    }
}

fn encoded(input: &entities::LabelInput) -> String {
    serde_json::to_string(input).expect("texts and numbers can be written")
}
