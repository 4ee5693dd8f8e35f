//! What is logged to a run: metrics, params, tags, inputs and outputs.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use entities::{Caller, Change, DatasetInput, ExperimentId, Metric, ModelId, ModelOutput, RunId};
use store::{DatasetSummary, Page, PageRequest};

use crate::runs::RUN_NAME_TAG;
use crate::tracking::{Writing, model_subject, run_subject};
use crate::validation::{
    Place, check_batch, check_datasets, check_metric, check_param, check_tag, invalid,
};
use crate::{Tracking, TrackingError};

/// What one request logs to one run: all of it in one event, or nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogBatch {
    /// Points, in the order of the request.
    pub metrics: Vec<Metric>,
    /// Params by key and value; no key may come twice.
    pub params: Vec<(String, String)>,
    /// Tags by key and value; of two with one key the later counts.
    pub tags: Vec<(String, String)>,
}

/// Points that are read at once where a whole history is wanted.
const HISTORY_PAGE: usize = 50_000;

/// Datasets that are listed in one answer.
const LARGEST_DATASET_LIST: usize = 1000;

impl Tracking {
    /// The datasets that runs of experiments declared, each once for each of its contexts; the first 1000.
    pub async fn list_datasets(
        &self,
        experiments: &[ExperimentId],
    ) -> Result<Vec<DatasetSummary>, TrackingError> {
        let store = self.store();
        // One that is named twice is looked at once.
        let each_once: BTreeSet<_> = experiments.iter().cloned().collect();
        let experiments: Vec<_> = each_once.into_iter().collect();
        Ok(store
            .list_datasets(&experiments, LARGEST_DATASET_LIST)
            .await?)
    }

    /// Logs one point. The same point again changes nothing.
    pub async fn log_metric(
        &self,
        caller: &Caller,
        run: &RunId,
        metric: Metric,
    ) -> Result<(), TrackingError> {
        check_metric(&metric, Place::Whole)?;
        self.check_models(std::slice::from_ref(&metric)).await?;
        let change = Change::metrics(run.clone(), vec![metric]);
        self.commit_to_run(caller, run, "run.logged", vec![change])
            .await
    }

    /// Logs a param. The same value again changes nothing, another is refused.
    pub async fn log_param(
        &self,
        caller: &Caller,
        run: &RunId,
        key: &str,
        value: &str,
    ) -> Result<(), TrackingError> {
        check_param(key, value, Place::Whole)?;
        let change = Change::ParamsLogged {
            run: run.clone(),
            params: BTreeMap::from([(key.to_owned(), value.to_owned())]),
        };
        match self
            .commit_to_run(caller, run, "run.logged", vec![change])
            .await
        {
            Err(TrackingError::ParamsChanged { run, conflicts }) => {
                Err(single_conflict(run, conflicts))
            }
            other => other,
        }
    }

    /// Sets a tag; `mlflow.runName` renames the run.
    pub async fn set_tag(
        &self,
        caller: &Caller,
        run: &RunId,
        key: &str,
        value: &str,
    ) -> Result<(), TrackingError> {
        check_tag(key, value, Place::Whole)?;
        let tags = BTreeMap::from([(key.to_owned(), value.to_owned())]);
        let changes = set_tags(run, tags);
        self.commit_to_run(caller, run, "run.tagged", changes).await
    }

    /// Deletes a tag.
    pub async fn delete_tag(
        &self,
        caller: &Caller,
        run: &RunId,
        key: &str,
    ) -> Result<(), TrackingError> {
        let change = Change::TagDeleted {
            run: run.clone(),
            key: key.to_owned(),
        };
        match self
            .commit_to_run(caller, run, "run.untagged", vec![change])
            .await
        {
            Err(TrackingError::NoTag { key, .. }) => Err(TrackingError::NoTag {
                key,
                subject: format!("run with id {run}"),
            }),
            other => other,
        }
    }

    /// Logs points, params and tags: all of them in one event, or nothing.
    pub async fn log_batch(
        &self,
        caller: &Caller,
        run: &RunId,
        batch: LogBatch,
    ) -> Result<(), TrackingError> {
        check_batch(&batch)?;
        let LogBatch {
            metrics,
            params,
            tags,
        } = batch;
        self.check_models(&metrics).await?;
        let mut changes = Vec::new();
        if !params.is_empty() {
            changes.push(Change::ParamsLogged {
                run: run.clone(),
                params: params.into_iter().collect(),
            });
        }
        if !metrics.is_empty() {
            changes.push(Change::metrics(run.clone(), metrics));
        }
        changes.extend(set_tags(run, tags.into_iter().collect()));
        self.commit_to_run(caller, run, "run.logged", changes).await
    }

    /// Declares datasets and models as inputs. Of two datasets with one name and digest the first counts.
    pub async fn log_inputs(
        &self,
        caller: &Caller,
        run: &RunId,
        datasets: Vec<DatasetInput>,
        models: Vec<ModelId>,
    ) -> Result<(), TrackingError> {
        check_datasets(&datasets)?;
        let mut distinct: Vec<DatasetInput> = Vec::with_capacity(datasets.len());
        let mut seen = std::collections::BTreeSet::new();
        for dataset in datasets {
            if seen.insert((dataset.name.clone(), dataset.digest.clone())) {
                distinct.push(dataset);
            }
        }
        let mut changes = Vec::new();
        if !distinct.is_empty() || !models.is_empty() {
            changes.push(Change::InputsLogged {
                run: run.clone(),
                datasets: distinct,
                models,
            });
        }
        self.commit_to_run(caller, run, "run.inputs", changes).await
    }

    /// Declares logged models as outputs.
    pub async fn log_outputs(
        &self,
        caller: &Caller,
        run: &RunId,
        models: Vec<ModelOutput>,
    ) -> Result<(), TrackingError> {
        if models.is_empty() {
            return self.get_active_run(run).await.map(drop);
        }
        let mut subjects = vec![run_subject(run)];
        subjects.extend(models.iter().map(|output| model_subject(&output.model)));
        let writing = Writing {
            caller,
            at: self.now(),
            kind: "run.outputs",
            subjects,
        };
        let change = Change::OutputsLogged {
            run: run.clone(),
            models,
        };
        self.commit(writing, vec![change]).await
    }

    /// Points of one metric by time, step and value, each once; none for a metric that is not there.
    pub async fn list_metric_points(
        &self,
        run: &RunId,
        key: &str,
        page: &PageRequest,
    ) -> Result<Page<Metric>, TrackingError> {
        if page.limit == 0 {
            return Err(invalid(
                "max_results",
                "0",
                "It must be a positive integer.",
            ));
        }
        self.get_bare_run(run).await?;
        Ok(self.store().list_metric_points(run, key, page).await?)
    }

    /// An even sample of one metric by step, time and value, with its last point; none for one that is not there.
    pub async fn sample_metric_points(
        &self,
        run: &RunId,
        key: &str,
        steps: RangeInclusive<i64>,
        limit: usize,
    ) -> Result<Vec<Metric>, TrackingError> {
        self.get_bare_run(run).await?;
        let sampling = self.store().sample_metric_points(run, key, steps, limit);
        Ok(sampling.await?)
    }

    /// Every point of every metric: by key, then by time, step and value.
    ///
    /// *Cost*: memory for all of them.
    pub async fn all_metric_points(&self, run: &RunId) -> Result<Vec<Metric>, TrackingError> {
        let detail = self.get_run(run).await?;
        let mut points = Vec::new();
        for metric in &detail.metrics {
            let mut page = PageRequest::first(HISTORY_PAGE);
            loop {
                let read = self
                    .store()
                    .list_metric_points(run, &metric.key, &page)
                    .await?;
                points.extend(read.items);
                let Some(token) = read.next else { break };
                page.token = Some(token);
            }
        }
        Ok(points)
    }

    /// Commits changes of one run; where there are none, still refuses what a change would be refused for.
    /// A metric may be one of a logged model, which must be there.
    async fn check_models(&self, metrics: &[Metric]) -> Result<(), TrackingError> {
        let named: BTreeSet<_> = metrics
            .iter()
            .filter_map(|metric| metric.model.as_ref())
            .collect();
        for model in named {
            self.get_model(model).await?;
        }
        Ok(())
    }

    async fn commit_to_run(
        &self,
        caller: &Caller,
        run: &RunId,
        kind: &'static str,
        changes: Vec<Change>,
    ) -> Result<(), TrackingError> {
        if changes.is_empty() {
            return self.get_active_run(run).await.map(drop);
        }
        let writing = Writing {
            caller,
            at: self.now(),
            kind,
            subjects: vec![run_subject(run)],
        };
        self.commit(writing, changes).await
    }
}

/// Sets tags, and the name of the run where one of them is its name.
fn set_tags(run: &RunId, mut tags: BTreeMap<String, String>) -> Vec<Change> {
    let mut changes = Vec::new();
    // As in MLflow, an empty name changes nothing.
    tags.retain(|key, value| key != RUN_NAME_TAG || !value.is_empty());
    if let Some(name) = tags.get(RUN_NAME_TAG) {
        changes.push(Change::RunUpdated {
            run: run.clone(),
            status: None,
            ended_at: None,
            name: Some(name.clone()),
        });
    }
    if !tags.is_empty() {
        changes.push(Change::TagsSet {
            run: run.clone(),
            tags,
        });
    }
    changes
}

fn single_conflict(run: RunId, mut conflicts: Vec<(String, String, String)>) -> TrackingError {
    match conflicts.pop() {
        Some((key, old, new)) if conflicts.is_empty() => {
            TrackingError::ParamChanged { run, key, old, new }
        }
        last => {
            conflicts.extend(last);
            TrackingError::ParamsChanged { run, conflicts }
        }
    }
}
