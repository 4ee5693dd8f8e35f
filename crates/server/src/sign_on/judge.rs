//! What a request needs, by its rule and what it names.

mod datasets;
mod issues;
mod places;
mod registry;
mod traces;

use access::{Action, Need};
use entities::{ResourceKind, RunId};
use store::{Store, StoreError};
use tracking::{TrackingError, parse_experiment_id};

use super::asked::Asked;
use super::needs::{deleting_experiment, experiment_need, inner_needs, making_needs};
use super::rules::Rule;
use crate::app::App;
use crate::error::RequestError;
use crate::wire::missing;

/// What is to be decided.
pub(super) type Needs = Result<Vec<Need>, RequestError>;

/// Whether a request is refused whoever asks but an administrator: something that it names is not there. It is not said
/// which, so that nobody learns by it what there is.
fn refused<T>() -> Result<T, RequestError> {
    Err(RequestError::NotAllowed)
}

/// Looks up what a request names.
pub(super) struct Judge<'a> {
    pub(super) app: &'a App,
    pub(super) asked: &'a Asked,
}

impl Judge<'_> {
    fn store(&self) -> &dyn Store {
        self.app.tracking.store()
    }

    /// What a request needs. Rules that are about users are decided elsewhere.
    pub(super) async fn needs(&self, rule: Rule) -> Needs {
        match rule {
            Rule::CreateExperiment => Ok(vec![Need::any(Action::Unless, ResourceKind::Experiment)]),
            Rule::Experiment(action) => {
                let ids = self.experiments("experiment_id")?;
                Ok(each(&ids, |id| vec![experiment_need(action, id)]))
            }
            Rule::Experiments(action) => {
                let ids = self.experiments("experiment_ids")?;
                Ok(each(&ids, |id| vec![experiment_need(action, id)]))
            }
            Rule::ExperimentByName => self.experiment_by_name().await,
            Rule::DeleteExperiment => {
                let ids = self.experiments("experiment_id")?;
                Ok(each(&ids, deleting_experiment))
            }
            Rule::CreateRun => {
                // A request without an experiment means the default one.
                let named = self.asked.all("experiment_id");
                let named = if named.is_empty() {
                    vec!["0".to_owned()]
                } else {
                    named
                };
                let ids = read_all(&named)?;
                Ok(each(&ids, |id| making_needs(ResourceKind::Run, id)))
            }
            Rule::CreateModel => self.create_model().await,
            Rule::Archive => self.archive().await,
            Rule::Search => Ok(self.search_needs()),
            Rule::RunFile => self.run_file().await,
            Rule::Run(_) | Rule::RunWithModels | Rule::Runs | Rule::Model(_) => {
                self.of_runs_and_models(rule).await
            }
            Rule::CreateRegistered
            | Rule::Registered(_)
            | Rule::TagRegistered
            | Rule::DeleteRegistered
            | Rule::Alias(_)
            | Rule::Version(_)
            | Rule::CreateVersion => self.of_registry(rule).await,
            Rule::Trace(_)
            | Rule::Traces
            | Rule::TraceFiles
            | Rule::BeginTrace
            | Rule::StartTrace
            | Rule::SearchTraces
            | Rule::TracesOfExperiments
            | Rule::DeleteTraces
            | Rule::LinkTraces
            | Rule::CreateAssessment
            | Rule::Assessment(_) => self.of_traces(rule).await,
            Rule::Issue(_) | Rule::CreateIssue | Rule::SearchIssues | Rule::LabelSchema(_) => {
                self.of_issues(rule).await
            }
            Rule::Dataset(_)
            | Rule::AddDataset
            | Rule::Scorer
            | Rule::RegisterScorer
            | Rule::DeleteScorer
            | Rule::ListScorers
            | Rule::OnlineScorings => self.of_datasets(rule).await,
            Rule::SignedOn
            | Rule::Admin
            | Rule::Manager
            | Rule::Oneself
            | Rule::OneselfOrManager
            | Rule::HasRole
            | Rule::ManagerOfResource
            | Rule::ManagerOf(_)
            | Rule::ExportSpans
            | Rule::Artifact(_)
            | Rule::ListArtifacts => refused(),
        }
    }

    /// The experiments under a name, of which there must be one.
    fn experiments(&self, name: &str) -> Result<Vec<String>, RequestError> {
        let named = self.asked.all(name);
        if named.is_empty() {
            return Err(missing(name));
        }
        read_all(&named)
    }

    /// What a folder as one file needs. One that holds what several runs, models or traces have is for administrators.
    async fn archive(&self) -> Needs {
        const SEGMENTS_OF_ONE: usize = 3;
        let mut needs = Vec::new();
        if !self.asked.all("run_id").is_empty() {
            needs.extend(self.runs("run_id", Action::Read).await?);
        }
        for model in self.asked.all("model_id") {
            needs.extend(self.model(&model, Action::Read).await?);
        }
        if !needs.is_empty() {
            return Ok(needs);
        }
        for path in self.asked.all("path") {
            let segments = path.split('/').filter(|part| !part.is_empty());
            if segments.count() < SEGMENTS_OF_ONE {
                return refused();
            }
            needs.extend(self.artifact(&path, Action::Read).await?);
        }
        if needs.is_empty() {
            return Err(missing("path"));
        }
        Ok(needs)
    }

    async fn experiment_by_name(&self) -> Needs {
        let mut needs = Vec::new();
        let names = self.asked.all("experiment_name");
        if names.is_empty() {
            return Err(missing("experiment_name"));
        }
        for name in names {
            let found = self.store().find_experiment_by_name(&name).await;
            // What is not there is told so by the handler.
            if let Some(found) = found.map_err(TrackingError::from)? {
                needs.push(experiment_need(Action::Read, found.id.as_str()));
            }
        }
        Ok(needs)
    }

    /// What a search needs beside what is looked at afterwards: a filter by runs tells of them.
    fn search_needs(&self) -> Vec<Need> {
        let mut needs = Vec::new();
        for field in ["filter", "order_by"] {
            if self.asked.mentions(field, &["run"]) {
                needs.push(Need::any(Action::Unless, ResourceKind::Run));
            }
        }
        needs
    }

    async fn of_runs_and_models(&self, rule: Rule) -> Needs {
        match rule {
            Rule::Run(action) => self.runs("run_id", action).await,
            Rule::Runs => {
                let mut ids = self.asked.all("run_id");
                ids.extend(self.asked.all("run_ids"));
                self.runs_of(ids, Action::Read).await
            }
            Rule::RunWithModels => {
                let mut needs = self.runs("run_id", Action::Update).await?;
                let mut models = self.asked.all("model_id");
                models.extend(self.asked.all_at(&["metrics[]", "model_id"])?);
                models.extend(self.asked.all_at(&["models[]", "model_id"])?);
                for model in models {
                    needs.extend(self.model(&model, Action::Update).await?);
                }
                Ok(needs)
            }
            Rule::Model(action) => {
                let mut needs = Vec::new();
                for model in self.asked.all("model") {
                    needs.extend(self.model(&model, action).await?);
                }
                if needs.is_empty() {
                    refused()
                } else {
                    Ok(needs)
                }
            }
            _ => refused(),
        }
    }

    async fn runs(&self, name: &str, action: Action) -> Needs {
        let ids = self.asked.all(name);
        if ids.is_empty() {
            return Err(missing(name));
        }
        self.runs_of(ids, action).await
    }

    async fn runs_of(&self, ids: Vec<String>, action: Action) -> Needs {
        let mut needs = Vec::new();
        for id in ids {
            let Some(experiment) = self.experiment_of_run(&id).await? else {
                return refused();
            };
            needs.extend(inner_needs(ResourceKind::Run, action, &experiment));
        }
        Ok(needs)
    }

    async fn experiment_of_run(&self, id: &str) -> Result<Option<String>, RequestError> {
        let Ok(id) = id.parse::<RunId>() else {
            return Ok(None);
        };
        let found = self.store().find_run(&id).await;
        let found = found.map_err(TrackingError::from)?;
        Ok(found.map(|run| run.experiment.into()))
    }

    async fn model(&self, id: &str, action: Action) -> Needs {
        let Some(experiment) = self.experiment_of_model(id).await? else {
            return refused();
        };
        Ok(inner_needs(ResourceKind::LoggedModel, action, &experiment))
    }

    async fn experiment_of_model(&self, id: &str) -> Result<Option<String>, RequestError> {
        let Ok(id) = id.parse() else {
            return Ok(None);
        };
        let found = self.store().find_model(&id).await;
        let found = found.map_err(TrackingError::from)?;
        Ok(found.map(|detail| detail.model.experiment.into()))
    }

    async fn create_model(&self) -> Needs {
        let ids = self.experiments("experiment_id")?;
        let mut needs = each(&ids, |id| making_needs(ResourceKind::LoggedModel, id));
        let runs = self.asked.all("source_run_id");
        needs.extend(self.runs_of(runs, Action::Read).await?);
        Ok(needs)
    }
}

/// What each of these needs.
fn each(ids: &[String], needs: impl Fn(&str) -> Vec<Need>) -> Vec<Need> {
    ids.iter().flat_map(|id| needs(id)).collect()
}

/// Ids of experiments as handlers read them.
fn read_all(ids: &[String]) -> Result<Vec<String>, RequestError> {
    let ids = ids.iter();
    ids.map(|id| Ok(parse_experiment_id(id)?.into())).collect()
}

impl From<StoreError> for RequestError {
    fn from(error: StoreError) -> Self {
        Self::Tracking(error.into())
    }
}
