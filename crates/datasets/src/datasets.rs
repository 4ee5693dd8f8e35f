//! The services, the one way in which they write, and datasets without their records.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use entities::{
    Caller, Change, Clock, Commit, DatasetId, EvaluationDataset, Experiment, ExperimentId,
    Lifecycle, Random, SearchKind, SearchQuery, Timestamp, USER_TAG, parse_filter, parse_order_by,
};
use store::{Page, PageRequest, Store, StoreError};

use crate::DatasetsError;
use crate::validation::{check_name, check_page, check_tags};

/// How often something is tried that others wrote in the same moment.
pub(crate) const ATTEMPTS: usize = 8;

/// All services over evaluation datasets and scorers.
///
/// A cheap clone; all clones are the same.
#[derive(Clone)]
pub struct Datasets {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

/// A dataset that is to be created.
#[derive(Clone, Debug, Default)]
pub struct NewDataset {
    /// Its name.
    pub name: String,
    /// Its tags; one of them may name who creates it.
    pub tags: BTreeMap<String, String>,
    /// The experiments that it belongs to.
    pub experiments: Vec<ExperimentId>,
}

/// What a write is about, beside its changes.
pub(crate) struct Writing<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) kind: &'static str,
    pub(crate) subjects: Vec<String>,
}

impl Datasets {
    /// Puts the services on a store, a clock and a generator.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self {
            inner: Arc::new(Inner {
                store,
                clock,
                random,
            }),
        }
    }

    /// Creates a dataset.
    pub async fn create_dataset(
        &self,
        caller: &Caller,
        new: NewDataset,
    ) -> Result<EvaluationDataset, DatasetsError> {
        let NewDataset {
            name,
            tags,
            experiments,
        } = new;
        check_name(&name)?;
        check_tags(&tags)?;
        let experiments = each_once(experiments);
        let at = self.now();
        let user = tags.get(USER_TAG).cloned();
        let dataset = EvaluationDataset {
            id: DatasetId::random(self.random()),
            digest: EvaluationDataset::digest_of(&name, at),
            name,
            tags,
            schema: None,
            profile: None,
            created_at: at,
            updated_at: at,
            created_by: user.clone(),
            updated_by: user,
        };
        let mut subjects = vec![dataset_subject(&dataset.id)];
        subjects.extend(experiments.iter().map(experiment_subject));
        let writing = Writing {
            caller,
            kind: "dataset.created",
            subjects,
        };
        let change = Change::DatasetCreated {
            dataset: dataset.clone(),
            experiments,
        };
        self.commit(writing, change).await?;
        Ok(dataset)
    }

    /// A dataset without its records.
    pub async fn get_dataset(&self, id: &DatasetId) -> Result<EvaluationDataset, DatasetsError> {
        let found = self.store().find_dataset(id).await?;
        found.ok_or_else(|| DatasetsError::NoDataset { id: id.to_string() })
    }

    /// Searches. No experiments: all datasets.
    pub async fn search_datasets(
        &self,
        experiments: &[ExperimentId],
        filter: &str,
        order_by: &[&str],
        page: &PageRequest,
    ) -> Result<Page<EvaluationDataset>, DatasetsError> {
        check_page(page)?;
        let query = SearchQuery {
            conditions: parse_filter(filter, SearchKind::Datasets)?,
            order_by: parse_order_by(order_by, SearchKind::Datasets)?,
        };
        let searching = self.store().search_datasets(experiments, &query, page);
        Ok(searching.await?)
    }

    /// Removes a dataset for good, with its records; without one, nothing happens.
    pub async fn delete_dataset(
        &self,
        caller: &Caller,
        id: &DatasetId,
    ) -> Result<(), DatasetsError> {
        let writing = about(caller, "dataset.deleted", id);
        let change = Change::DatasetDeleted {
            dataset: id.clone(),
        };
        pass_over_none(self.commit(writing, change).await)
    }

    /// Sets tags; others stay.
    pub async fn set_tags(
        &self,
        caller: &Caller,
        id: &DatasetId,
        tags: BTreeMap<String, String>,
    ) -> Result<(), DatasetsError> {
        check_tags(&tags)?;
        if tags.is_empty() {
            return self.get_dataset(id).await.map(drop);
        }
        let writing = about(caller, "dataset.tagged", id);
        let change = Change::DatasetTagsSet {
            dataset: id.clone(),
            tags,
        };
        self.commit(writing, change).await
    }

    /// Deletes a tag; without it, nothing happens.
    pub async fn delete_tag(
        &self,
        caller: &Caller,
        id: &DatasetId,
        key: &str,
    ) -> Result<(), DatasetsError> {
        let found = self.store().find_dataset(id).await?;
        if !found.is_some_and(|dataset| dataset.tags.contains_key(key)) {
            return Ok(());
        }
        let writing = about(caller, "dataset.untagged", id);
        let change = Change::DatasetTagDeleted {
            dataset: id.clone(),
            key: key.to_owned(),
        };
        pass_over_none(self.commit(writing, change).await)
    }

    /// The experiments that a dataset belongs to; none where there is no such dataset.
    pub async fn list_experiments(
        &self,
        id: &DatasetId,
    ) -> Result<Vec<ExperimentId>, DatasetsError> {
        Ok(self.store().list_experiments_of_dataset(id).await?)
    }

    /// Adds a dataset to experiments, which must be there.
    pub async fn add_to_experiments(
        &self,
        caller: &Caller,
        id: &DatasetId,
        experiments: Vec<ExperimentId>,
    ) -> Result<EvaluationDataset, DatasetsError> {
        let experiments = each_once(experiments);
        let mut writing = about(caller, "dataset.linked", id);
        writing
            .subjects
            .extend(experiments.iter().map(experiment_subject));
        let change = Change::DatasetExperimentsAdded {
            dataset: id.clone(),
            experiments,
            at: self.now(),
        };
        self.commit(writing, change).await?;
        self.get_dataset(id).await
    }

    /// Takes a dataset out of those experiments that it belongs to.
    pub async fn remove_from_experiments(
        &self,
        caller: &Caller,
        id: &DatasetId,
        mut experiments: Vec<ExperimentId>,
    ) -> Result<EvaluationDataset, DatasetsError> {
        let known = self.store().list_experiments_of_dataset(id).await?;
        experiments.retain(|experiment| known.contains(experiment));
        if !experiments.is_empty() {
            let mut writing = about(caller, "dataset.unlinked", id);
            writing
                .subjects
                .extend(experiments.iter().map(experiment_subject));
            let change = Change::DatasetExperimentsRemoved {
                dataset: id.clone(),
                experiments,
                at: self.now(),
            };
            self.commit(writing, change).await?;
        }
        self.get_dataset(id).await
    }

    pub(crate) fn store(&self) -> &dyn Store {
        self.inner.store.as_ref()
    }

    pub(crate) fn random(&self) -> &dyn Random {
        self.inner.random.as_ref()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// An experiment that is not deleted.
    pub(crate) async fn get_active_experiment(
        &self,
        id: &ExperimentId,
    ) -> Result<Experiment, DatasetsError> {
        match self.store().find_experiment(id).await? {
            None => Err(DatasetsError::NoExperiment { id: id.clone() }),
            Some(found) if found.lifecycle == Lifecycle::Deleted => {
                Err(DatasetsError::ExperimentDeleted { id: id.clone() })
            }
            Some(found) => Ok(found),
        }
    }

    /// Commits a change with its event.
    pub(crate) async fn commit(
        &self,
        writing: Writing<'_>,
        change: Change,
    ) -> Result<(), DatasetsError> {
        self.commit_all(writing, vec![change]).await
    }

    /// Commits changes that happen together, with their event.
    pub(crate) async fn commit_all(
        &self,
        writing: Writing<'_>,
        changes: Vec<Change>,
    ) -> Result<(), DatasetsError> {
        let Writing {
            caller,
            kind,
            subjects,
        } = writing;
        let commit = Commit {
            actor: caller.actor.clone(),
            at: self.now(),
            kind,
            subjects,
            reason: None,
            request: caller.request.clone(),
            changes,
        };
        self.store().commit(commit).await?;
        Ok(())
    }
}

/// What an event about a dataset names as its subject.
pub fn dataset_subject(id: &DatasetId) -> String {
    format!("dataset:{id}")
}

/// Experiments in the order in which they were named, without those that were named before.
fn each_once(experiments: Vec<ExperimentId>) -> Vec<ExperimentId> {
    let mut seen = BTreeSet::new();
    let mut kept = experiments;
    kept.retain(|id| seen.insert(id.clone()));
    kept
}

pub(crate) fn experiment_subject(id: &ExperimentId) -> String {
    format!("experiment:{id}")
}

pub(crate) fn about<'a>(caller: &'a Caller, kind: &'static str, id: &DatasetId) -> Writing<'a> {
    Writing {
        caller,
        kind,
        subjects: vec![dataset_subject(id)],
    }
}

/// What is to be deleted and is not there is deleted already.
fn pass_over_none(done: Result<(), DatasetsError>) -> Result<(), DatasetsError> {
    match done {
        Err(DatasetsError::NoDataset { .. }) => Ok(()),
        other => other,
    }
}

/// Whether others wrote the same in the same moment.
pub(crate) fn is_race(error: &DatasetsError) -> bool {
    matches!(
        error,
        DatasetsError::Store(
            StoreError::DatasetRecordTaken { .. } | StoreError::NotNextScorerVersion { .. }
        )
    )
}
