//! Comparing evaluation datasets, scorers and webhooks.

use std::collections::BTreeMap;

use entities::{DatasetId, DatasetRecord, DatasetSchema, EvaluationDataset};
use store::PageRequest;

use super::Comparison;
use crate::MigrateError;
use crate::source::{SourceDataset, SourceScorer, SourceWebhook};

/// Records that are read at once.
const RECORDS_AT_ONCE: usize = 1000;

impl Comparison<'_> {
    /// Compares an evaluation dataset, and tells what of its records cannot be read.
    pub(super) async fn compare_dataset(
        &mut self,
        found: &SourceDataset,
    ) -> Result<(), MigrateError> {
        let id = &found.dataset.id;
        let what = format!("evaluation dataset {id}");
        let (records, faults) = self.source.records(id)?;
        self.report.unreadable.extend(faults);
        let Some(there) = self.store().find_dataset(id).await? else {
            self.note_missing(&what);
            return Ok(());
        };
        let there = self.held(there);
        let fields = |dataset: &EvaluationDataset| {
            let schema = dataset.schema.as_deref();
            schema.and_then(|schema| DatasetSchema::decode(schema).ok())
        };
        self.check(&what, "schema", fields(&found.dataset) == fields(&there));
        let row = |dataset: &EvaluationDataset| EvaluationDataset {
            schema: None,
            // A dataset without a record may have a summary of none, or nothing.
            profile: dataset.profile.clone().filter(|_| !records.is_empty()),
            ..dataset.clone()
        };
        self.check(&what, "row", row(&found.dataset) == row(&there));
        let mut experiments = self.store().list_experiments_of_dataset(id).await?;
        experiments.sort();
        let mut expected = found.experiments.clone();
        expected.sort();
        self.check(&what, "experiments", expected == experiments);
        let mut there = self.records_of(id).await?;
        for record in &records {
            let found = there.remove(record.id.as_str());
            let is_same = found.is_some_and(|found| plain(&self.held(found)) == plain(record));
            self.check(&what, &format!("record `{}`", record.id), is_same);
        }
        Ok(())
    }

    async fn records_of(
        &self,
        id: &DatasetId,
    ) -> Result<BTreeMap<String, DatasetRecord>, MigrateError> {
        let mut page = PageRequest::first(RECORDS_AT_ONCE);
        let mut found = BTreeMap::new();
        loop {
            let part = self.store().list_records(id, &page).await?;
            let records = part.items.into_iter();
            found.extend(records.map(|record| (record.id.to_string(), record)));
            match part.next {
                Some(next) => page.token = Some(next),
                None => return Ok(found),
            }
        }
    }

    pub(super) async fn compare_scorer(
        &mut self,
        scorer: &SourceScorer,
    ) -> Result<(), MigrateError> {
        let SourceScorer {
            id,
            experiment,
            name,
            versions,
            scoring,
        } = scorer;
        let what = format!("scorer `{name}` of experiment {experiment}");
        let there = self.store().list_scorer_versions(experiment, name).await?;
        if there.is_empty() {
            self.note_missing(&what);
            return Ok(());
        }
        let there: Vec<_> = there.into_iter().map(|found| self.held(found)).collect();
        self.check(&what, "versions", *versions == there);
        let scorings = self
            .store()
            .list_online_scorings(std::slice::from_ref(id))
            .await?;
        self.check(
            &what,
            "online scoring",
            scoring.as_ref() == scorings.first(),
        );
        Ok(())
    }

    pub(super) async fn compare_webhook(
        &mut self,
        found: &SourceWebhook,
    ) -> Result<(), MigrateError> {
        let SourceWebhook { webhook, secret } = found;
        let what = format!("webhook {}", webhook.id);
        let Some(there) = self.store().find_webhook(&webhook.id).await? else {
            self.note_missing(&what);
            return Ok(());
        };
        self.check(&what, "row", *webhook == self.held(there));
        let webhooks = &self.target.webhooks;
        let is_same = webhooks.has_secret(&webhook.id, secret.as_ref()).await?;
        self.check(&what, "secret", is_same);
        Ok(())
    }
}

/// A record in which nothing that is expected is nothing.
fn plain(record: &DatasetRecord) -> DatasetRecord {
    let expectations = record.expectations.clone();
    DatasetRecord {
        expectations: expectations.filter(|map| !map.is_empty()),
        ..record.clone()
    }
}
