//! Evaluation datasets, scorers and webhooks.

use entities::{
    DatasetRecord, EvaluationDataset, OnlineScoring, RecordSource, ScorerVersion, SearchQuery,
    Webhook, inputs_digest, python,
};
use serde_json::{Value, json};
use store::{PageRequest, View};
use store_sql::params;

use super::tracking::number_of;
use super::{ROWS_AT_ONCE, Writer, all, id_of};
use crate::MigrateError;
use crate::mlflow::WRAPPED_OUTPUTS;

impl Writer<'_> {
    pub(super) async fn write_datasets(&mut self) -> Result<(), MigrateError> {
        let query = SearchQuery::default();
        let store = self.store();
        let datasets = all(async |page| store.search_datasets(&[], &query, &page).await).await?;
        for (index, dataset) in datasets.iter().enumerate() {
            self.write_dataset(dataset).await?;
            self.write_records(dataset).await?;
            self.tell("evaluation datasets", index + 1, datasets.len());
        }
        self.report
            .count("evaluation datasets", datasets.len() as u64);
        Ok(())
    }

    async fn write_dataset(&self, dataset: &EvaluationDataset) -> Result<(), MigrateError> {
        let EvaluationDataset {
            id,
            name,
            tags,
            digest,
            schema,
            profile,
            created_at,
            updated_at,
            created_by,
            updated_by,
        } = dataset;
        self.write(
            "evaluation_datasets",
            "INSERT INTO evaluation_datasets (dataset_id, name, schema, profile, digest, created_time, last_update_time,
                 created_by, last_updated_by, workspace)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 'default')",
            params![
                id.as_str(),
                name,
                schema,
                profile,
                digest,
                created_at.as_millis(),
                updated_at.as_millis(),
                created_by,
                updated_by
            ],
        )?;
        self.write_pairs(
            "evaluation_dataset_tags",
            "INSERT INTO evaluation_dataset_tags (dataset_id, key, value) VALUES (?1, ?2, ?3)",
            params![id.as_str()],
            tags,
        )?;
        let experiments = self.store().list_experiments_of_dataset(id).await?;
        for (index, experiment) in experiments.iter().enumerate() {
            self.write(
                "entity_associations",
                "INSERT INTO entity_associations
                     (association_id, source_type, source_id, destination_type, destination_id, created_time)
                 VALUES (?1, 'evaluation_dataset', ?2, 'experiment', ?3, ?4)",
                params![
                    id_of(&["evaluation dataset", id.as_str(), experiment.as_str()]),
                    id.as_str(),
                    experiment.as_str(),
                    // In the order in which it was added to them.
                    created_at.as_millis() + index as i64
                ],
            )?;
        }
        Ok(())
    }

    async fn write_records(&mut self, dataset: &EvaluationDataset) -> Result<(), MigrateError> {
        let mut page = PageRequest::first(ROWS_AT_ONCE);
        loop {
            let part = self.store().list_records(&dataset.id, &page).await?;
            for record in &part.items {
                self.write_record(dataset, record)?;
            }
            self.report
                .count("dataset records", part.items.len() as u64);
            match part.next {
                Some(next) => page.token = Some(next),
                None => return Ok(()),
            }
        }
    }

    fn write_record(
        &self,
        dataset: &EvaluationDataset,
        record: &DatasetRecord,
    ) -> Result<(), MigrateError> {
        let DatasetRecord {
            id,
            inputs,
            outputs,
            expectations,
            tags,
            source,
            created_at,
            updated_at,
            created_by,
            updated_by,
        } = record;
        let text = |value: Value| python::dumps_loaded(&value);
        let outputs = outputs
            .as_ref()
            .map(|told| json!({ WRAPPED_OUTPUTS: told }));
        let expectations = expectations.clone().map(Value::Object);
        let source_id = source.as_ref().and_then(source_id_of);
        let source_kind = source.as_ref().map(|source| source.kind.clone());
        let source = source
            .as_ref()
            .map(|RecordSource { kind, data }| json!({ "source_type": kind, "source_data": data }));
        self.write(
            "evaluation_dataset_records",
            "INSERT INTO evaluation_dataset_records (dataset_record_id, dataset_id, inputs, expectations, tags, source,
                 source_id, source_type, created_time, last_update_time, created_by, last_updated_by, input_hash, outputs)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
            params![
                id.as_str(),
                dataset.id.as_str(),
                text(Value::Object(inputs.clone())),
                expectations.map(text),
                text(Value::Object(tags.clone())),
                source.map(text),
                source_id,
                source_kind,
                created_at.as_millis(),
                updated_at.as_millis(),
                created_by,
                updated_by,
                inputs_digest(inputs),
                outputs.map(text)
            ],
        )?;
        Ok(())
    }

    pub(super) async fn write_scorers(&mut self) -> Result<(), MigrateError> {
        let query = SearchQuery::default();
        let store = self.store();
        let experiments =
            all(async |page| store.search_experiments(&query, View::All, &page).await).await?;
        let ids: Vec<_> = experiments.into_iter().map(|found| found.id).collect();
        let latest = store.list_scorers(&ids).await?;
        for found in &latest {
            let ScorerVersion {
                scorer,
                experiment,
                name,
                ..
            } = found;
            self.write(
                "scorers",
                "INSERT INTO scorers (experiment_id, scorer_name, scorer_id) VALUES (?1, ?2, ?3)",
                params![number_of(experiment)?, name, scorer.as_str()],
            )?;
            let versions = self.store().list_scorer_versions(experiment, name).await?;
            for version in &versions {
                self.write(
                    "scorer_versions",
                    "INSERT INTO scorer_versions (scorer_id, scorer_version, serialized_scorer, creation_time)
                     VALUES (?1, ?2, ?3, ?4)",
                    params![
                        scorer.as_str(),
                        i64::from(version.version.get()),
                        version.serialized,
                        version.created_at.as_millis()
                    ],
                )?;
            }
            self.report.count("scorer versions", versions.len() as u64);
        }
        let scorers: Vec<_> = latest.into_iter().map(|found| found.scorer).collect();
        for scoring in self.store().list_online_scorings(&scorers).await? {
            let OnlineScoring {
                id,
                scorer,
                experiment,
                sample_rate,
                filter,
            } = scoring;
            self.write(
                "online_scoring_configs",
                "INSERT INTO online_scoring_configs
                     (online_scoring_config_id, scorer_id, sample_rate, experiment_id, filter_string)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                params![id, scorer.as_str(), sample_rate, number_of(&experiment)?, filter],
            )?;
        }
        Ok(())
    }

    pub(super) async fn write_webhooks(&mut self) -> Result<(), MigrateError> {
        let store = self.store();
        let webhooks = all(async |page| store.list_webhooks(&page).await).await?;
        for webhook in &webhooks {
            let secret = self.target.webhooks.open_secret(&webhook.id).await?;
            let sealed = match (&secret, self.key) {
                (None, _) => None,
                (Some(secret), Some(key)) => {
                    let mut iv = [0; 16];
                    self.target.random.fill(&mut iv);
                    Some(key.seal(secret.as_str(), self.target.clock.now(), iv))
                }
                (Some(_), None) => {
                    self.report.not_held.push(format!(
                        "webhook {} stays behind, since nothing seals its secret: MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY must hold the key that MLflow's server will have",
                        webhook.id
                    ));
                    continue;
                }
            };
            self.write_webhook(webhook, sealed.as_deref())?;
            self.report.count("webhooks", 1);
        }
        Ok(())
    }

    fn write_webhook(&self, webhook: &Webhook, sealed: Option<&str>) -> Result<(), MigrateError> {
        let Webhook {
            id,
            name,
            description,
            url,
            events,
            status,
            created_at,
            updated_at,
        } = webhook;
        self.write(
            "webhooks",
            "INSERT INTO webhooks (webhook_id, name, description, url, status, secret, creation_timestamp,
                 last_updated_timestamp, workspace)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'default')",
            params![
                id.as_str(),
                name,
                description,
                url,
                status.as_str(),
                sealed,
                created_at.as_millis(),
                updated_at.as_millis()
            ],
        )?;
        for event in events {
            self.write(
                "webhook_events",
                "INSERT INTO webhook_events (webhook_id, entity, action) VALUES (?1, ?2, ?3)",
                params![id.as_str(), event.entity(), event.action()],
            )?;
        }
        Ok(())
    }
}

/// What MLflow keeps beside the source of a record.
fn source_id_of(source: &RecordSource) -> Option<String> {
    let key = if source.kind == "TRACE" {
        "trace_id"
    } else {
        "source_id"
    };
    Some(source.data.get(key)?.as_str()?.to_owned())
}
