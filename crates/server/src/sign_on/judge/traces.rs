//! Requests about traces and what is said of them.

use access::{Action, Need};
use entities::{Resource, ResourceKind, TRACE_ARTIFACTS_TAG, TraceId, proxied_path};

use super::{Judge, Needs, each, read_all, refused};
use crate::error::RequestError;
use crate::sign_on::needs::{deleting_traces, inner_needs, making_needs, trace_needs};
use crate::sign_on::rules::Rule;
use crate::wire::missing;

impl Judge<'_> {
    pub(super) async fn of_traces(&self, rule: Rule) -> Needs {
        match rule {
            Rule::Trace(action) => self.traces_of(self.trace_ids()?, action).await,
            Rule::Traces => {
                let ids = self.asked.all("trace_ids");
                if ids.is_empty() {
                    return Err(missing("trace_ids"));
                }
                self.traces_of(ids, Action::Read).await
            }
            Rule::TraceFiles => self.trace_files().await,
            Rule::BeginTrace => {
                let ids = self.experiments("experiment_id")?;
                Ok(each(&ids, |id| making_needs(ResourceKind::Trace, id)))
            }
            Rule::StartTrace => self.start_trace().await,
            Rule::SearchTraces => {
                let place = ["locations[]", "mlflow_experiment", "experiment_id"];
                self.search_traces(&self.asked.all_at(&place)?)
            }
            Rule::TracesOfExperiments => self.search_traces(&self.asked.all("experiment_ids")),
            Rule::DeleteTraces => self.delete_traces().await,
            Rule::LinkTraces => {
                let mut needs = self.runs("run_id", Action::Update).await?;
                let traces = self.asked.all("trace_ids");
                needs.extend(self.traces_of(traces, Action::Read).await?);
                Ok(needs)
            }
            Rule::CreateAssessment => self.assess(Action::Update, true).await,
            Rule::Assessment(action) => self.assess(action, false).await,
            _ => refused(),
        }
    }

    /// The traces that a request names, of which there must be one.
    fn trace_ids(&self) -> Result<Vec<String>, RequestError> {
        let mut ids = self.asked.all("trace");
        for name in ["trace_id", "request_id"] {
            ids.extend(self.asked.all(name));
        }
        if ids.is_empty() {
            return Err(missing("trace_id"));
        }
        Ok(ids)
    }

    async fn traces_of(&self, ids: Vec<String>, action: Action) -> Needs {
        let mut needs = Vec::new();
        for id in ids {
            let Some(experiment) = self.experiment_of_trace(&id).await? else {
                return refused();
            };
            needs.extend(trace_needs(action, &experiment));
        }
        Ok(needs)
    }

    pub(super) async fn experiment_of_trace(
        &self,
        id: &str,
    ) -> Result<Option<String>, RequestError> {
        let Ok(id) = id.parse::<TraceId>() else {
            return Ok(None);
        };
        let found = self.app.traces.find_trace(&id).await?;
        Ok(found.map(|detail| detail.trace.experiment.into()))
    }

    /// Where the files of a trace are is a tag, which whoever may change the trace may set to another's folder.
    async fn trace_files(&self) -> Needs {
        let ids = self.asked.all("request_id");
        if ids.is_empty() {
            return Err(RequestError::NoRequestId);
        }
        let mut needs = self.traces_of(ids.clone(), Action::Read).await?;
        for id in ids {
            let Ok(id) = id.parse::<TraceId>() else {
                return refused();
            };
            let found = self.app.traces.find_trace(&id).await?;
            let folder = found.and_then(|mut found| found.trace.tags.remove(TRACE_ARTIFACTS_TAG));
            if let Some(path) = folder.as_deref().and_then(proxied_path) {
                needs.extend(self.artifact(path, Action::Read).await?);
            }
        }
        Ok(needs)
    }

    async fn start_trace(&self) -> Needs {
        let place = |field| ["trace", "trace_info", field];
        let location = [
            "trace",
            "trace_info",
            "trace_location",
            "mlflow_experiment",
            "experiment_id",
        ];
        let experiments = read_all(&self.asked.all_at(&location)?)?;
        if experiments.is_empty() {
            return refused();
        }
        let mut needs = each(&experiments, |id| making_needs(ResourceKind::Trace, id));
        if self.asked.has_at(&place("assessments"))? {
            needs.push(Need::any(Action::Unless, ResourceKind::Assessment));
        }
        // What is said of a trace that is there is said where it is.
        for id in self.asked.all_at(&place("trace_id"))? {
            if let Some(experiment) = self.experiment_of_trace(&id).await? {
                needs.extend(trace_needs(Action::Update, &experiment));
            }
        }
        Ok(needs)
    }

    fn search_traces(&self, experiments: &[String]) -> Needs {
        if experiments.is_empty() {
            return refused();
        }
        let experiments = read_all(experiments)?;
        let mut needs = each(&experiments, |id| trace_needs(Action::Read, id));
        // A filter and an order tell of what they compare.
        let fields = [
            "filter",
            "filters",
            "order_by",
            "filter_string1",
            "filter_string2",
            "base_filter",
        ];
        for field in fields {
            for (words, kind) in [
                (["run", "metadata"], ResourceKind::Run),
                (["model", "metadata"], ResourceKind::LoggedModel),
            ] {
                if self.asked.mentions(field, &words) {
                    needs.push(Need::any(Action::Unless, kind));
                }
            }
        }
        Ok(needs)
    }

    async fn delete_traces(&self) -> Needs {
        let mut experiments = self.experiments("experiment_id")?;
        for id in self.asked.all("request_ids") {
            experiments.extend(self.experiment_of_trace(&id).await?);
        }
        Ok(each(&experiments, deleting_traces))
    }

    /// To say something of a trace, or to read, change or delete what was said.
    async fn assess(&self, action: Action, is_new: bool) -> Needs {
        let mut needs = Vec::new();
        for id in self.asked.all("trace") {
            let Some(experiment) = self.experiment_of_trace(&id).await? else {
                return refused();
            };
            let outer = Resource::new(ResourceKind::Experiment, experiment.as_str());
            needs.extend(inner_needs(ResourceKind::Trace, Action::Read, &experiment));
            if is_new {
                // MLflow also lets those do it who may change traces alone; here the experiment decides.
                needs.push(Need::any(Action::Unless, ResourceKind::Assessment));
                needs.push(Need::new(Action::Update, outer));
                continue;
            }
            let inherited = match action {
                Action::Delete => Action::Update,
                action => action,
            };
            needs.push(Need::any(action, ResourceKind::Assessment).or(inherited, outer));
        }
        if needs.is_empty() {
            refused()
        } else {
            Ok(needs)
        }
    }
}
