//! Logged models.

use std::collections::BTreeMap;

use entities::{
    Caller, Change, Comparison, Condition, DatasetName, ExperimentId, Field, LoggedModel,
    LoggedModelDetail, ModelId, ModelStatus, RunId, SearchKind, SearchQuery,
};
use store::{Page, PageRequest};

use crate::experiments::join_location;
use crate::names::draw_name;
use crate::tracking::{Writing, experiment_subject, model_subject, parse_query, run_subject};
use crate::validation::{check_model_name, check_model_texts, check_page};
use crate::{Tracking, TrackingError};

/// A logged model to be created.
#[derive(Clone, Debug)]
pub struct NewModel {
    /// Its id; a random one where none is given.
    pub id: Option<ModelId>,
    /// The experiment that it belongs to.
    pub experiment: ExperimentId,
    /// Its name; a random one where none is given.
    pub name: Option<String>,
    /// The run that made it.
    pub source_run: Option<RunId>,
    /// A word of the client for what it is.
    pub model_type: Option<String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Params.
    pub params: BTreeMap<String, String>,
}

/// What logged models are searched for.
#[derive(Clone, Debug, Default)]
pub struct ModelSearch {
    /// A filter in MLflow's grammar.
    pub filter: String,
    /// Datasets on one of which they were measured; the metrics of the filter are those on them. None: on any or none.
    pub datasets: Vec<DatasetName>,
    /// Orders in MLflow's grammar, the most important first; a metric may be that on one dataset.
    pub order_by: Vec<(String, Option<DatasetName>)>,
}

impl ModelSearch {
    fn query(&self) -> Result<SearchQuery, TrackingError> {
        let Self {
            filter,
            datasets,
            order_by,
        } = self;
        let clauses: Vec<&str> = order_by.iter().map(|(clause, _)| clause.as_str()).collect();
        let mut query = parse_query(filter, &clauses, SearchKind::Models)?;
        for (order, (_, dataset)) in query.order_by.iter_mut().zip(order_by) {
            if let (Field::Metric(key), Some(dataset)) = (&order.field, dataset) {
                order.field = Field::Measured {
                    metric: Some(key.clone()),
                    datasets: vec![dataset.clone()],
                };
            }
        }
        if datasets.is_empty() {
            return Ok(query);
        }
        let mut has_metric = false;
        for condition in &mut query.conditions {
            if let Field::Metric(key) = &condition.field {
                has_metric = true;
                condition.field = Field::Measured {
                    metric: Some(key.clone()),
                    datasets: datasets.clone(),
                };
            }
        }
        if !has_metric {
            query.conditions.push(Condition {
                field: Field::Measured {
                    metric: None,
                    datasets: datasets.clone(),
                },
                comparison: Comparison::Null { is_negated: true },
            });
        }
        Ok(query)
    }
}

impl Tracking {
    /// Creates a logged model whose files are still to come.
    pub async fn create_model(
        &self,
        caller: &Caller,
        new: NewModel,
    ) -> Result<LoggedModel, TrackingError> {
        let NewModel {
            id,
            experiment,
            name,
            source_run,
            model_type,
            tags,
            params,
        } = new;
        if let Some(name) = &name {
            check_model_name(name)?;
        }
        check_model_texts("Tag", &tags)?;
        check_model_texts("Param", &params)?;
        let location = self
            .get_active_experiment(&experiment)
            .await?
            .artifact_location;
        let id = id.unwrap_or_else(|| ModelId::random(self.random()));
        let at = self.now();
        let model = LoggedModel {
            artifact_uri: join_location(&location, &["models", id.as_str(), "artifacts"]),
            id,
            experiment,
            name: name.unwrap_or_else(|| draw_name(self.random())),
            source_run,
            status: ModelStatus::Pending,
            model_type,
            created_at: at,
            updated_at: at,
            tags,
            params,
        };
        let mut subjects = vec![model_subject(&model.id)];
        subjects.extend(model.source_run.iter().map(run_subject));
        subjects.push(experiment_subject(&model.experiment));
        let writing = Writing {
            caller,
            at,
            kind: "model.created",
            subjects,
        };
        let change = Change::ModelLogged {
            model: model.clone(),
        };
        self.commit(writing, vec![change]).await?;
        Ok(model)
    }

    /// Gets a logged model with its metrics; a deleted one is not found.
    pub async fn get_model(&self, id: &ModelId) -> Result<LoggedModelDetail, TrackingError> {
        self.store()
            .find_model(id)
            .await?
            .ok_or_else(|| TrackingError::NoModel { id: id.clone() })
    }

    /// Says how the upload of a logged model ended; gives it as it is then.
    pub async fn finalize_model(
        &self,
        caller: &Caller,
        id: &ModelId,
        status: ModelStatus,
    ) -> Result<LoggedModelDetail, TrackingError> {
        let writing = self.model_writing(caller, id, "model.finalized");
        let change = Change::ModelStatusSet {
            model: id.clone(),
            status,
            at: writing.at,
        };
        self.commit(writing, vec![change]).await?;
        self.get_model(id).await
    }

    /// Searches by MLflow's grammar. Without an order: last created first. No experiments: all of them.
    pub async fn search_models(
        &self,
        experiments: &[ExperimentId],
        search: &ModelSearch,
        page: &PageRequest,
    ) -> Result<Page<LoggedModelDetail>, TrackingError> {
        check_page(page)?;
        let query = search.query()?;
        Ok(self
            .store()
            .search_models(experiments, &query, page)
            .await?)
    }

    /// Sets tags; others stay.
    pub async fn set_model_tags(
        &self,
        caller: &Caller,
        id: &ModelId,
        tags: BTreeMap<String, String>,
    ) -> Result<(), TrackingError> {
        check_model_texts("Tag", &tags)?;
        if tags.is_empty() {
            return self.get_model(id).await.map(drop);
        }
        let writing = self.model_writing(caller, id, "model.tagged");
        let change = Change::ModelTagsSet {
            model: id.clone(),
            tags,
            at: writing.at,
        };
        self.commit(writing, vec![change]).await
    }

    /// Deletes a tag.
    pub async fn delete_model_tag(
        &self,
        caller: &Caller,
        id: &ModelId,
        key: &str,
    ) -> Result<(), TrackingError> {
        let writing = self.model_writing(caller, id, "model.untagged");
        let change = Change::ModelTagDeleted {
            model: id.clone(),
            key: key.to_owned(),
            at: writing.at,
        };
        match self.commit(writing, vec![change]).await {
            Err(TrackingError::NoTag { key, .. }) => Err(TrackingError::NoModelTag {
                key,
                model: id.clone(),
            }),
            other => other,
        }
    }

    /// Logs params. The same value again changes nothing, another is refused.
    pub async fn log_model_params(
        &self,
        caller: &Caller,
        id: &ModelId,
        params: BTreeMap<String, String>,
    ) -> Result<(), TrackingError> {
        check_model_texts("Param", &params)?;
        let there = self.get_model(id).await?.model.params;
        let conflicts: Vec<_> = params
            .iter()
            .filter_map(|(key, new)| {
                let old = there.get(key).filter(|old| *old != new)?;
                Some((key.clone(), old.clone(), new.clone()))
            })
            .collect();
        if !conflicts.is_empty() {
            return Err(TrackingError::ModelParamsChanged {
                model: id.clone(),
                conflicts,
            });
        }
        if params.is_empty() {
            return Ok(());
        }
        let writing = self.model_writing(caller, id, "model.logged");
        let change = Change::ModelParamsLogged {
            model: id.clone(),
            params,
            at: writing.at,
        };
        self.commit(writing, vec![change]).await
    }

    /// Deletes a logged model.
    pub async fn delete_model(&self, caller: &Caller, id: &ModelId) -> Result<(), TrackingError> {
        let writing = self.model_writing(caller, id, "model.deleted");
        let change = Change::ModelDeleted {
            model: id.clone(),
            at: writing.at,
        };
        self.commit(writing, vec![change]).await
    }

    /// Models that name a run as their source, in the order of their creation.
    pub async fn list_models_of(&self, run: &RunId) -> Result<Vec<ModelId>, TrackingError> {
        Ok(self.store().list_models_of(run).await?)
    }

    fn model_writing<'a>(
        &self,
        caller: &'a Caller,
        id: &ModelId,
        kind: &'static str,
    ) -> Writing<'a> {
        Writing {
            caller,
            at: self.now(),
            kind,
            subjects: vec![model_subject(id)],
        }
    }
}
