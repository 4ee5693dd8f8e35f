//! Experiments, runs and logged models.

use std::collections::BTreeMap;

use entities::{
    DatasetInput, Experiment, ExperimentId, Lifecycle, LoggedModel, LoggedModelDetail, Metric,
    ModelStatus, Run, RunDetail, RunId, SearchQuery, Timestamp,
};
use store::{PageRequest, View};
use store_sql::params;

use super::limits::{check_key, check_pairs};
use super::{Writer, all, id_of};
use crate::MigrateError;

/// Points of a metric that are read at once.
const POINTS_AT_ONCE: usize = 50_000;

impl Writer<'_> {
    pub(super) async fn write_experiments(&mut self) -> Result<(), MigrateError> {
        let query = SearchQuery::default();
        let store = self.store();
        let experiments =
            all(async |page| store.search_experiments(&query, View::All, &page).await);
        let experiments = experiments.await?;
        for (index, experiment) in experiments.iter().enumerate() {
            self.write_experiment(experiment)?;
            self.tell("experiments", index + 1, experiments.len());
        }
        self.report.count("experiments", experiments.len() as u64);
        Ok(())
    }

    fn write_experiment(&self, experiment: &Experiment) -> Result<(), MigrateError> {
        let Experiment {
            id,
            name,
            artifact_location,
            lifecycle,
            created_at,
            updated_at,
            tags,
        } = experiment;
        let number = number_of(id)?;
        self.write(
            "experiments",
            "INSERT INTO experiments
                 (experiment_id, name, artifact_location, lifecycle_stage, creation_time, last_update_time, workspace)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'default')",
            params![
                number,
                name,
                artifact_location,
                lifecycle.as_str(),
                created_at.as_millis(),
                updated_at.as_millis()
            ],
        )?;
        self.write_pairs(
            "experiment_tags",
            "INSERT INTO experiment_tags (experiment_id, key, value) VALUES (?1, ?2, ?3)",
            params![number],
            tags,
        )
    }

    pub(super) async fn write_runs(&mut self) -> Result<(), MigrateError> {
        let query = SearchQuery::default();
        let store = self.store();
        let experiments =
            all(async |page| store.search_experiments(&query, View::All, &page).await);
        let mut runs: Vec<RunId> = Vec::new();
        for experiment in experiments.await? {
            for lifecycle in [Lifecycle::Active, Lifecycle::Deleted] {
                runs.extend(store.list_run_ids(&experiment.id, lifecycle).await?);
            }
        }
        for (index, id) in runs.iter().enumerate() {
            // It may have been removed meanwhile.
            if let Some(detail) = self.store().find_run_detail(id).await? {
                self.write_run(detail).await?;
                self.report.count("runs", 1);
            }
            self.tell("runs", index + 1, runs.len());
        }
        Ok(())
    }

    async fn write_run(&mut self, detail: RunDetail) -> Result<(), MigrateError> {
        let RunDetail {
            run,
            params,
            tags,
            metrics,
            datasets,
            model_inputs,
            model_outputs,
        } = detail;
        let id = run.id.as_str();
        self.write_run_row(&run)?;
        self.write_pairs(
            "params",
            "INSERT INTO params (run_uuid, key, value) VALUES (?1, ?2, ?3)",
            params![id],
            &params,
        )?;
        self.write_pairs(
            "tags",
            "INSERT INTO tags (run_uuid, key, value) VALUES (?1, ?2, ?3)",
            params![id],
            &tags,
        )?;
        let what = format!("run {id}");
        check_pairs(&what, "param", &params, &mut self.report.beyond_limits);
        check_pairs(&what, "tag", &tags, &mut self.report.beyond_limits);
        for latest in &metrics {
            check_key(&what, &latest.key, &mut self.report.beyond_limits);
            self.write_latest(&run.id, latest)?;
            self.write_points(&run.id, &latest.key).await?;
        }
        self.write_dataset_inputs(&run, &datasets)?;
        for model in &model_inputs {
            self.write_link(&run.id, ["RUN_INPUT", "MODEL_INPUT"], model.as_str(), 0)?;
        }
        for output in &model_outputs {
            let kinds = ["RUN_OUTPUT", "MODEL_OUTPUT"];
            self.write_link(&run.id, kinds, output.model.as_str(), output.step)?;
        }
        Ok(())
    }

    fn write_run_row(&self, run: &Run) -> Result<(), MigrateError> {
        let Run {
            id,
            experiment,
            name,
            user,
            status,
            started_at,
            ended_at,
            lifecycle,
            artifact_uri,
            // A tag says it.
            parent: _,
            replay_of: _,
            process: _,
            is_interrupted: _,
            recipe: _,
            record: _,
        } = run;
        // From then on `mlflow gc` waits until it removes what was deleted.
        let deleted_at = (*lifecycle == Lifecycle::Deleted).then(|| self.target.clock.now());
        self.write(
            "runs",
            "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time,
                 end_time, deleted_time, source_version, lifecycle_stage, artifact_uri, experiment_id)
             VALUES (?1, ?2, 'UNKNOWN', '', '', ?3, ?4, ?5, ?6, ?7, '', ?8, ?9, ?10)",
            params![
                id.as_str(),
                name,
                user,
                status.as_str(),
                started_at.as_millis(),
                ended_at.map(Timestamp::as_millis),
                deleted_at.map(Timestamp::as_millis),
                lifecycle.as_str(),
                artifact_uri,
                number_of(experiment)?
            ],
        )?;
        Ok(())
    }

    fn write_latest(&self, run: &RunId, point: &Metric) -> Result<(), MigrateError> {
        let (value, is_nan) = value_of(point.value);
        self.write(
            "latest_metrics",
            "INSERT INTO latest_metrics (run_uuid, key, value, timestamp, step, is_nan) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                run.as_str(),
                point.key,
                value,
                point.timestamp_ms,
                point.step,
                is_nan
            ],
        )?;
        Ok(())
    }

    async fn write_points(&mut self, run: &RunId, key: &str) -> Result<(), MigrateError> {
        let mut page = PageRequest::first(POINTS_AT_ONCE);
        loop {
            let part = self.store().list_metric_points(run, key, &page).await?;
            for point in &part.items {
                self.write_point(run, point)?;
            }
            match part.next {
                Some(next) => page.token = Some(next),
                None => return Ok(()),
            }
        }
    }

    fn write_point(&mut self, run: &RunId, point: &Metric) -> Result<(), MigrateError> {
        let (value, is_nan) = value_of(point.value);
        let is_new = self.write(
            "metrics",
            "INSERT INTO metrics (run_uuid, key, value, timestamp, step, is_nan) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO NOTHING",
            params![
                run.as_str(),
                point.key,
                value,
                point.timestamp_ms,
                point.step,
                is_nan
            ],
        )?;
        if is_new {
            self.report.count("metric points", 1);
        }
        if point.value == 0.0 && point.value.is_sign_negative() {
            self.note(
                format!(
                    "run {run}: a point of metric `{}` is -0, which its database keeps as 0",
                    point.key
                ),
                format!("run {run}: its points of metrics differ"),
            );
        }
        Ok(())
    }

    /// MLflow keeps one source, schema and profile for all datasets of a name and digest in an experiment.
    fn write_dataset_inputs(
        &mut self,
        run: &Run,
        datasets: &[DatasetInput],
    ) -> Result<(), MigrateError> {
        for dataset in datasets {
            let DatasetInput {
                name,
                digest,
                source_type,
                source,
                schema,
                profile,
                tags,
            } = dataset;
            let experiment = number_of(&run.experiment)?;
            let id = id_of(&["dataset", run.experiment.as_str(), name, digest]);
            let is_new = self.write(
                "datasets",
                "INSERT INTO datasets (dataset_uuid, experiment_id, name, digest, dataset_source_type, dataset_source,
                     dataset_schema, dataset_profile)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
                params![
                    id,
                    experiment,
                    name,
                    digest,
                    source_type,
                    source,
                    schema,
                    profile
                ],
            )?;
            if !is_new && !self.has_dataset(&id, dataset)? {
                self.note(
                    format!(
                        "run {}: dataset `{name}` gets source, schema and profile of another run's, since it has the same digest in the same experiment",
                        run.id
                    ),
                    format!("run {}: its datasets differ", run.id),
                );
            }
            let input = id_of(&["input", &id, run.id.as_str()]);
            self.write(
                "inputs",
                "INSERT INTO inputs (input_uuid, source_type, source_id, destination_type, destination_id, step)
                 VALUES (?1, 'DATASET', ?2, 'RUN', ?3, 0)",
                params![input, id, run.id.as_str()],
            )?;
            self.write_pairs(
                "input_tags",
                "INSERT INTO input_tags (input_uuid, name, value) VALUES (?1, ?2, ?3)",
                params![input],
                tags,
            )?;
        }
        Ok(())
    }

    /// Whether a dataset is there as it is here.
    fn has_dataset(&self, id: &str, dataset: &DatasetInput) -> Result<bool, MigrateError> {
        let found = self.database.find(
            "SELECT dataset_source_type, dataset_source, dataset_schema, dataset_profile FROM datasets
             WHERE dataset_uuid = ?1",
            [id],
            |row| {
                let (kind, source): (String, String) = (row.get(0)?, row.get(1)?);
                let (schema, profile): (Option<String>, Option<String>) =
                    (row.get(2)?, row.get(3)?);
                Ok(kind == dataset.source_type
                    && source == dataset.source
                    && schema == dataset.schema
                    && profile == dataset.profile)
            },
        );
        Ok(found.map_err(super::write_fault(self.name, "datasets"))? == Some(true))
    }

    fn write_link(
        &self,
        run: &RunId,
        [source, destination]: [&str; 2],
        model: &str,
        step: i64,
    ) -> Result<(), MigrateError> {
        self.write(
            "inputs",
            "INSERT INTO inputs (input_uuid, source_type, source_id, destination_type, destination_id, step)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                id_of(&[source, run.as_str(), model]),
                source,
                run.as_str(),
                destination,
                model,
                step
            ],
        )?;
        Ok(())
    }

    pub(super) async fn write_models(&mut self) -> Result<(), MigrateError> {
        let query = SearchQuery::default();
        let store = self.store();
        let models = all(async |page| store.search_models(&[], &query, &page).await).await?;
        for (index, LoggedModelDetail { model, metrics }) in models.iter().enumerate() {
            self.write_model(model)?;
            self.write_model_points(model, metrics)?;
            self.tell("logged models", index + 1, models.len());
        }
        self.report.count("logged models", models.len() as u64);
        Ok(())
    }

    fn write_model(&self, model: &LoggedModel) -> Result<(), MigrateError> {
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
        let status = match status {
            ModelStatus::Pending => 1,
            ModelStatus::Ready => 2,
            ModelStatus::UploadFailed => 3,
        };
        let experiment = number_of(experiment)?;
        self.write(
            "logged_models",
            "INSERT INTO logged_models (model_id, experiment_id, name, artifact_location, creation_timestamp_ms,
                 last_updated_timestamp_ms, status, lifecycle_stage, model_type, source_run_id)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'active', ?8, ?9)",
            params![
                id.as_str(),
                experiment,
                name,
                artifact_uri,
                created_at.as_millis(),
                updated_at.as_millis(),
                i64::from(status),
                model_type,
                source_run.as_ref().map(RunId::as_str)
            ],
        )?;
        self.write_pairs(
            "logged_model_tags",
            "INSERT INTO logged_model_tags (model_id, experiment_id, tag_key, tag_value) VALUES (?1, ?2, ?3, ?4)",
            params![id.as_str(), experiment],
            tags,
        )?;
        self.write_pairs(
            "logged_model_params",
            "INSERT INTO logged_model_params (model_id, experiment_id, param_key, param_value) VALUES (?1, ?2, ?3, ?4)",
            params![id.as_str(), experiment],
            params,
        )
    }

    /// MLflow keeps one value a step and time here, and 0 for NaN.
    fn write_model_points(
        &mut self,
        model: &LoggedModel,
        points: &[(RunId, Metric)],
    ) -> Result<(), MigrateError> {
        let mut lost: BTreeMap<&str, u64> = BTreeMap::new();
        for (run, point) in points {
            let (value, _) = value_of(point.value);
            let dataset = point.dataset.as_ref();
            let is_new = self.write(
                "logged_model_metrics",
                "INSERT INTO logged_model_metrics (model_id, metric_name, metric_timestamp_ms, metric_step, metric_value,
                     experiment_id, run_id, dataset_uuid, dataset_name, dataset_digest)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7,
                     (SELECT dataset_uuid FROM datasets WHERE experiment_id = ?6 AND name = ?8 AND digest = ?9), ?8, ?9)
                 ON CONFLICT DO NOTHING",
                params![
                    model.id.as_str(),
                    point.key,
                    point.timestamp_ms,
                    point.step,
                    value,
                    number_of(&model.experiment)?,
                    run.as_str(),
                    dataset.map(|(name, _)| name),
                    dataset.map(|(_, digest)| digest)
                ],
            )?;
            if !is_new {
                *lost.entry(&point.key).or_default() += 1;
            }
        }
        for (key, count) in lost {
            self.report.not_held.push(format!(
                "logged model {}: {count} points of metric `{key}` have a step and time that another has; the run keeps them",
                model.id
            ));
        }
        Ok(())
    }
}

/// The number that an experiment's id is in MLflow's database.
pub(super) fn number_of(id: &ExperimentId) -> Result<i64, MigrateError> {
    let number = id.as_str().parse::<i64>().ok();
    let number = number.filter(|number| number.to_string() == id.as_str());
    number.ok_or_else(|| MigrateError::NotHeld {
        what: format!("experiment {id}"),
        why: "its id is no number that MLflow's database holds",
    })
}

/// A value as MLflow writes it, and whether it is NaN.
fn value_of(value: f64) -> (f64, bool) {
    if value.is_nan() {
        (0.0, true)
    } else {
        (value, false)
    }
}
