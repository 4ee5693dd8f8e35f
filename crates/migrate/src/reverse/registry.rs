//! Registered models, prompts, and their versions.

use entities::{ModelId, ModelVersion, RegisteredModel, RunId, SearchQuery, VersionNumber};
use store::Prompts;
use store_sql::params;

use super::{Writer, all};
use crate::MigrateError;
use crate::source::{DELETED_STAGE, model_in_source};

impl Writer<'_> {
    pub(super) async fn write_registered(&mut self) -> Result<(), MigrateError> {
        let query = SearchQuery::default();
        let prompts = Prompts::Included;
        let store = self.store();
        let models =
            all(async |page| store.search_registered_models(&query, prompts, &page).await).await?;
        for (index, found) in models.iter().enumerate() {
            self.write_registered_model(&found.model)?;
            for (alias, version) in &found.aliases {
                self.write(
                    "registered_model_aliases",
                    "INSERT INTO registered_model_aliases (name, alias, version, workspace) VALUES (?1, ?2, ?3, 'default')",
                    params![found.model.name, alias, i64::from(version.get())],
                )?;
            }
            self.tell("registered models", index + 1, models.len());
        }
        self.report.count("registered models", models.len() as u64);
        let store = self.store();
        let versions =
            all(async |page| store.search_model_versions(&query, prompts, &page).await).await?;
        for found in &versions {
            self.write_version(&found.version)?;
        }
        self.report.count("versions", versions.len() as u64);
        for found in &models {
            self.keep_last_number(&found.model).await?;
        }
        Ok(())
    }

    fn write_registered_model(&self, model: &RegisteredModel) -> Result<(), MigrateError> {
        let RegisteredModel {
            name,
            description,
            created_at,
            updated_at,
            tags,
        } = model;
        self.write(
            "registered_models",
            "INSERT INTO registered_models (name, creation_time, last_updated_time, description, workspace)
             VALUES (?1, ?2, ?3, ?4, 'default')",
            params![
                name,
                created_at.as_millis(),
                updated_at.as_millis(),
                description
            ],
        )?;
        self.write_pairs(
            "registered_model_tags",
            "INSERT INTO registered_model_tags (name, key, value, workspace) VALUES (?1, ?2, ?3, 'default')",
            params![name],
            tags,
        )
    }

    fn write_version(&mut self, version: &ModelVersion) -> Result<(), MigrateError> {
        let ModelVersion {
            name,
            version: number,
            description,
            stage,
            source,
            files_uri,
            run,
            logged_model,
            run_link,
            files: _,
            created_at,
            updated_at,
            tags,
        } = version;
        if *logged_model != model_in_source(source) {
            let model = logged_model.as_ref().map_or("none", ModelId::as_str);
            self.note(
                format!("version {number} of registered model `{name}`: that it is logged model {model}, since its source does not say so"),
                format!("version {number} of registered model `{name}`: its row differs"),
            );
        }
        let number = i64::from(number.get());
        self.write(
            "model_versions",
            "INSERT INTO model_versions (name, version, creation_time, last_updated_time, description, current_stage, source,
                 run_id, status, run_link, storage_location, workspace)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'READY', ?9, ?10, 'default')",
            params![
                name,
                number,
                created_at.as_millis(),
                updated_at.as_millis(),
                description,
                stage.as_str(),
                source,
                run.as_ref().map(RunId::as_str),
                run_link,
                files_uri.as_ref().unwrap_or(source)
            ],
        )?;
        self.write_pairs(
            "model_version_tags",
            "INSERT INTO model_version_tags (name, version, key, value, workspace) VALUES (?1, ?2, ?3, ?4, 'default')",
            params![name, number],
            tags,
        )
    }

    /// MLflow gives the number after the highest that is there: a last one that was deleted must be among them, so that
    /// its number is not given again.
    async fn keep_last_number(&self, model: &RegisteredModel) -> Result<(), MigrateError> {
        let next = self.store().next_version(&model.name).await?;
        let last = next.map_or(0, VersionNumber::get).saturating_sub(1);
        if last > 0 {
            self.write(
                "model_versions",
                "INSERT INTO model_versions (name, version, creation_time, last_updated_time, current_stage, source, status,
                     workspace)
                 VALUES (?1, ?2, ?3, ?3, ?4, 'REDACTED-SOURCE-PATH', 'READY', 'default') ON CONFLICT DO NOTHING",
                params![model.name, last, model.updated_at.as_millis(), DELETED_STAGE],
            )?;
        }
        Ok(())
    }
}
