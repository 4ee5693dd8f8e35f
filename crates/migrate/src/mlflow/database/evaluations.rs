//! Evaluation datasets and scorers in MLflow's database.
//!
//! *Source*: `SqlEvaluationDataset`, `SqlEvaluationDatasetRecord`, `SqlScorer`, `SqlScorerVersion` and
//! `SqlOnlineScoringConfig` in `mlflow/store/tracking/dbmodels/models.py`.

use std::collections::BTreeMap;

use entities::{
    DatasetId, DatasetRecord, DatasetRecordId, DatasetSchema, EvaluationDataset, ExperimentId,
    OnlineScoring, RecordSource, ScorerVersion, Timestamp, VersionNumber, python,
};
use serde_json::{Map, Value};
use store_sql::params;

use super::super::cells::Cells;
use super::MlflowDatabase;
use super::traces::kept;
use crate::MigrateError;
use crate::mlflow::time::time_of_millis;
use crate::source::{SourceDataset, SourceScorer};

const DATASET_COLUMNS: [&str; 9] = [
    "dataset_id",
    "name",
    "schema",
    "profile",
    "digest",
    "created_time",
    "last_update_time",
    "created_by",
    "last_updated_by",
];

const RECORD_COLUMNS: [&str; 10] = [
    "dataset_record_id",
    "inputs",
    "outputs",
    "expectations",
    "tags",
    "source",
    "created_time",
    "last_update_time",
    "created_by",
    "last_updated_by",
];

/// Under which key MLflow keeps outputs.
pub(crate) const WRAPPED_OUTPUTS: &str = "mlflow_wrapped";

impl MlflowDatabase {
    /// Evaluation datasets without their records, and a sentence for each that cannot be read.
    pub(super) fn datasets_for_evaluation(
        &self,
        faults: &mut Vec<String>,
    ) -> Result<Vec<SourceDataset>, MigrateError> {
        let sql = format!(
            "SELECT {} FROM evaluation_datasets ORDER BY created_time, dataset_id",
            DATASET_COLUMNS.join(", ")
        );
        let rows = self.list("evaluation_datasets", &sql, params![], |row| {
            let columns = &DATASET_COLUMNS;
            let cells = Cells { row, columns };
            let name = cells.text("dataset_id").ok().flatten();
            let name = name.unwrap_or_default();
            let fault = |why| format!("evaluation dataset `{name}`: {why}");
            Ok(dataset_of(cells).map_err(fault))
        })?;
        let mut datasets = Vec::new();
        for row in rows {
            let Some(mut dataset) = kept(row, faults) else {
                continue;
            };
            let id = dataset.id.clone();
            dataset.tags = self.pairs(
                "evaluation_dataset_tags",
                "SELECT key, value FROM evaluation_dataset_tags WHERE dataset_id = ?1",
                id.as_str(),
            )?;
            let experiments = self.list(
                "entity_associations",
                "SELECT destination_id FROM entity_associations
                 WHERE source_type = 'evaluation_dataset' AND source_id = ?1 AND destination_type = 'experiment'
                 ORDER BY created_time, destination_id",
                [id.as_str()],
                |row| {
                    let columns = &["destination_id"];
                    let fault = |why| format!("an experiment of evaluation dataset `{id}`: {why}");
                    let named = Cells { row, columns }.some_text("destination_id");
                    Ok(named.and_then(|named| read_id(&named)).map_err(fault))
                },
            )?;
            datasets.push(SourceDataset {
                experiments: experiments
                    .into_iter()
                    .filter_map(|row| kept(row, faults))
                    .collect(),
                dataset,
            });
        }
        Ok(datasets)
    }

    /// The records of an evaluation dataset, oldest first, and a sentence for each that cannot be read.
    pub(crate) fn records(
        &self,
        id: &DatasetId,
    ) -> Result<(Vec<DatasetRecord>, Vec<String>), MigrateError> {
        let sql = format!(
            "SELECT {} FROM evaluation_dataset_records WHERE dataset_id = ?1
             ORDER BY created_time, dataset_record_id",
            RECORD_COLUMNS.join(", ")
        );
        let rows = self.list("evaluation_dataset_records", &sql, [id.as_str()], |row| {
            let columns = &RECORD_COLUMNS;
            let cells = Cells { row, columns };
            let name = cells.text("dataset_record_id").ok().flatten();
            let name = name.unwrap_or_default();
            let fault = |why| format!("record `{name}` of evaluation dataset `{id}`: {why}");
            Ok(record_of(cells).map_err(fault))
        })?;
        let mut faults = Vec::new();
        let records = rows.into_iter().filter_map(|row| kept(row, &mut faults));
        Ok((records.collect(), faults))
    }

    /// Scorers with their versions, and a sentence for each that cannot be read.
    pub(super) fn scorers(
        &self,
        faults: &mut Vec<String>,
    ) -> Result<Vec<SourceScorer>, MigrateError> {
        let columns = &[
            "experiment_id",
            "scorer_name",
            "scorer_id",
            "scorer_version",
            "serialized_scorer",
            "creation_time",
        ];
        let rows = self.list(
            "scorer_versions",
            "SELECT experiment_id, scorer_name, scorers.scorer_id, scorer_version, serialized_scorer, creation_time
             FROM scorers JOIN scorer_versions ON scorer_versions.scorer_id = scorers.scorer_id
             ORDER BY experiment_id, scorer_name, scorer_version",
            params![],
            |row| {
                let cells = Cells { row, columns };
                let name = cells.text("scorer_name").ok().flatten().unwrap_or_default();
                let fault = |why| format!("scorer `{name}`: {why}");
                Ok(version_of(cells).map_err(fault))
            },
        )?;
        let mut scorers: Vec<SourceScorer> = Vec::new();
        for version in rows.into_iter().filter_map(|row| kept(row, faults)) {
            match scorers.last_mut() {
                Some(last) if last.id == version.scorer => last.versions.push(version),
                _ => scorers.push(SourceScorer {
                    id: version.scorer.clone(),
                    experiment: version.experiment.clone(),
                    name: version.name.clone(),
                    scoring: None,
                    versions: vec![version],
                }),
            }
        }
        let mut scorings = self.scorings(faults)?;
        for scorer in &mut scorers {
            scorer.scoring = scorings.remove(scorer.id.as_str());
        }
        Ok(scorers)
    }

    fn scorings(
        &self,
        faults: &mut Vec<String>,
    ) -> Result<BTreeMap<String, OnlineScoring>, MigrateError> {
        let columns = &[
            "online_scoring_config_id",
            "scorer_id",
            "sample_rate",
            "experiment_id",
            "filter_string",
        ];
        let rows = self.list(
            "online_scoring_configs",
            "SELECT online_scoring_config_id, scorer_id, sample_rate, experiment_id, filter_string
             FROM online_scoring_configs ORDER BY online_scoring_config_id",
            params![],
            |row| {
                let fault = |why| format!("an online scoring: {why}");
                Ok(scoring_of(Cells { row, columns }).map_err(fault))
            },
        )?;
        let scorings = rows.into_iter().filter_map(|row| kept(row, faults));
        Ok(scorings
            .map(|scoring| (scoring.scorer.to_string(), scoring))
            .collect())
    }
}

fn dataset_of(row: Cells<'_>) -> Result<EvaluationDataset, String> {
    let created_at = time_at(row, "created_time")?;
    let schema = row.text("schema")?;
    if let Some(schema) = &schema {
        DatasetSchema::decode(schema)
            .map_err(|error| format!("its `schema` cannot be read: {error}"))?;
    }
    Ok(EvaluationDataset {
        id: read_id(&row.some_text("dataset_id")?)?,
        name: row.some_text("name")?,
        tags: BTreeMap::new(),
        digest: row.text("digest")?.unwrap_or_default(),
        schema,
        profile: row.text("profile")?,
        created_at,
        updated_at: match row.integer("last_update_time")? {
            Some(_) => time_at(row, "last_update_time")?,
            None => created_at,
        },
        created_by: row.text("created_by")?,
        updated_by: row.text("last_updated_by")?,
    })
}

fn record_of(row: Cells<'_>) -> Result<DatasetRecord, String> {
    let id: DatasetRecordId = read_id(&row.some_text("dataset_record_id")?)?;
    let created_at = time_at(row, "created_time")?;
    let outputs = map_at(row, "outputs")?;
    let outputs = outputs.and_then(|mut wrapped| wrapped.remove(WRAPPED_OUTPUTS));
    Ok(DatasetRecord {
        id,
        inputs: map_at(row, "inputs")?.ok_or("its `inputs` are missing")?,
        outputs: outputs.filter(|outputs| !outputs.is_null()),
        expectations: map_at(row, "expectations")?,
        tags: map_at(row, "tags")?.unwrap_or_default(),
        source: map_at(row, "source")?.map(source_of).transpose()?,
        created_at,
        updated_at: match row.integer("last_update_time")? {
            Some(_) => time_at(row, "last_update_time")?,
            None => created_at,
        },
        created_by: row.text("created_by")?,
        updated_by: row.text("last_updated_by")?,
    })
}

fn source_of(mut source: Map<String, Value>) -> Result<RecordSource, String> {
    let kind = source.remove("source_type");
    let kind = kind.and_then(|kind| Some(kind.as_str()?.to_owned()));
    let kind = kind.ok_or("its `source` has no type")?;
    match source.remove("source_data") {
        Some(Value::Object(data)) => Ok(RecordSource { kind, data }),
        None | Some(Value::Null) => Ok(RecordSource {
            kind,
            data: Map::new(),
        }),
        Some(_) => Err("its `source` cannot be read".to_owned()),
    }
}

/// A map as JSON; none where there is nothing.
fn map_at(row: Cells<'_>, column: &str) -> Result<Option<Map<String, Value>>, String> {
    let Some(text) = row.text(column)? else {
        return Ok(None);
    };
    match python::loads(&text) {
        Ok(Value::Object(map)) => Ok(Some(map)),
        Ok(Value::Null) => Ok(None),
        Ok(_) => Err(format!("its `{column}` is no map")),
        Err(error) => Err(format!("its `{column}` is no JSON: {error}")),
    }
}

fn version_of(row: Cells<'_>) -> Result<ScorerVersion, String> {
    let number = row.some_integer("scorer_version")?;
    Ok(ScorerVersion {
        scorer: read_id(&row.some_text("scorer_id")?)?,
        experiment: read_id(&row.some_text("experiment_id")?)?,
        name: row.some_text("scorer_name")?,
        version: VersionNumber::new(number)
            .ok_or_else(|| format!("{number} is no number of a version"))?,
        serialized: row.some_text("serialized_scorer")?,
        created_at: time_at(row, "creation_time")?,
    })
}

fn scoring_of(row: Cells<'_>) -> Result<OnlineScoring, String> {
    Ok(OnlineScoring {
        id: row.some_text("online_scoring_config_id")?,
        scorer: read_id(&row.some_text("scorer_id")?)?,
        experiment: read_id::<ExperimentId>(&row.some_text("experiment_id")?)?,
        sample_rate: row
            .number("sample_rate")?
            .ok_or("its `sample_rate` is missing")?,
        filter: row.text("filter_string")?,
    })
}

pub(super) fn time_at(row: Cells<'_>, column: &str) -> Result<Timestamp, String> {
    time_of_millis(row.some_integer(column)?).ok_or_else(|| format!("its `{column}` is no time"))
}

pub(super) fn read_id<T: std::str::FromStr>(text: &str) -> Result<T, String>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| error.to_string())
}
