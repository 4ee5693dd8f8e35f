//! A live MLflow server, asked through its REST API.
//!
//! *Source*: `mlflow/protos/service.proto` and `model_registry.proto`, and what MLflow 3.17 answers. What is deleted of
//! logged models and versions, and to which runs and prompts traces were linked, the API does not tell.

mod client;
mod told;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use entities::{Metric, RunId, TraceId, VersionNumber};
use serde_json::{Value, json};

pub(crate) use self::client::MlflowClient;
pub use self::client::{ServerAccess, web_agent};
use self::told::Told;
use crate::MigrateError;
use crate::mlflow::assessment::in_order;
use crate::mlflow::span::span_of;
use crate::source::{
    Outline, RunPlace, SourceModel, SourceRegistered, SourceRun, SourceTrace, SourceVersion,
    TraceLinks, TracePlace, TraceReading, complete_run, tell_points_of_models,
};

/// Things on a page of a list, as many as MLflow gives.
const PAGE: usize = 1000;

/// Points on a page of a history.
const POINTS_PAGE: &str = "25000";

/// Traces on a page.
const TRACES_PAGE: usize = 500;

/// Logged models on a page.
const MODELS_PAGE: usize = 50;

/// Which versions and models are prompts.
const IS_PROMPT: &str = "tags.`mlflow.prompt.is_prompt` = 'true'";

/// Where a trace says that its spans are, if they are no file.
const SPANS_TAG: &str = "mlflow.trace.spansLocation";

/// A server that is asked, and what of its answers is needed again.
pub(crate) struct MlflowServer {
    client: Arc<MlflowClient>,
    /// Points that were logged for models, by run.
    points_of_models: RefCell<BTreeMap<RunId, Vec<Metric>>>,
}

/// Whether a server knows a call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    Yes,
    No,
}

/// A call that answers in pages.
enum Call<'c> {
    Get(&'c str, Vec<(&'c str, String)>),
    Ask(&'c str, Value),
}

impl MlflowServer {
    pub(crate) fn new(access: ServerAccess) -> Self {
        Self {
            client: Arc::new(MlflowClient::new(access)),
            points_of_models: RefCell::default(),
        }
    }

    pub(crate) fn client(&self) -> &Arc<MlflowClient> {
        &self.client
    }

    /// Reads all but the runs and the traces.
    pub(crate) fn outline(&self) -> Result<Outline, MigrateError> {
        let mut outline = Outline::default();
        let searching = json!({ "view_type": "ALL", "max_results": PAGE });
        let call = Call::Ask("api/2.0/mlflow/experiments/search", searching);
        let known = self.pages(&call, "experiments", |told| {
            outline.experiments.push(told.experiment()?);
            Ok(())
        })?;
        if known == Known::No {
            return Err(MigrateError::Server {
                url: self.client.url().to_owned(),
                call: "api/2.0/mlflow/experiments/search".to_owned(),
                why: "it knows no such call".to_owned(),
            });
        }
        let ids: Vec<String> = outline
            .experiments
            .iter()
            .map(|experiment| experiment.id.to_string())
            .collect();
        let mut runs = Vec::new();
        for id in &ids {
            let searching =
                json!({ "experiment_ids": [id], "run_view_type": "ALL", "max_results": PAGE });
            let call = Call::Ask("api/2.0/mlflow/runs/search", searching);
            self.pages(&call, "runs", |told| {
                let run = told.inside("info").run()?;
                let place = RunPlace {
                    id: run.id,
                    experiment: run.experiment,
                    artifact_uri: run.artifact_uri,
                    folder: None,
                    has_event_files: false,
                };
                runs.push((run.started_at, place));
                Ok(())
            })?;
            self.list_models(id, &mut outline.models)?;
            let searching = json!({
                "locations": [{ "type": "MLFLOW_EXPERIMENT", "mlflow_experiment": { "experiment_id": id } }],
                "max_results": TRACES_PAGE,
            });
            let call = Call::Ask("api/3.0/mlflow/traces/search", searching);
            self.pages(&call, "traces", |told| {
                match told.trace_place() {
                    Ok(place) => outline.traces.push(place),
                    Err(why) => outline.unreadable.push(format!("a trace: {why}")),
                }
                Ok(())
            })?;
        }
        runs.sort_by(|(one, a), (other, b)| (one, &a.id).cmp(&(other, &b.id)));
        outline.runs = runs.into_iter().map(|(_, place)| place).collect();
        self.list_registered(&mut outline.registered)?;
        outline.left_behind = self.left_behind(&ids);
        Ok(outline)
    }

    fn list_models(
        &self,
        experiment: &str,
        models: &mut Vec<SourceModel>,
    ) -> Result<(), MigrateError> {
        let searching = json!({ "experiment_ids": [experiment], "max_results": MODELS_PAGE });
        let call = Call::Ask("api/2.0/mlflow/logged-models/search", searching);
        let mut points = self.points_of_models.borrow_mut();
        self.pages(&call, "models", |told| {
            let (info, data) = (told.inside("info"), told.inside("data"));
            let model = info.model(data)?;
            for point in data.list("metrics") {
                if let Some(run) = point.text("run_id") {
                    let run = run.parse().map_err(|error| format!("{error}"))?;
                    points
                        .entry(run)
                        .or_default()
                        .push(point.point(Some(model.id.clone()))?);
                }
            }
            models.push(SourceModel {
                model,
                folder: None,
                is_deleted: false,
            });
            Ok(())
        })?;
        Ok(())
    }

    fn list_registered(&self, models: &mut Vec<SourceRegistered>) -> Result<(), MigrateError> {
        for filter in ["", IS_PROMPT] {
            let mut query = vec![("max_results", PAGE.to_string())];
            if !filter.is_empty() {
                query.push(("filter", filter.to_owned()));
            }
            let call = Call::Get("api/2.0/mlflow/registered-models/search", query);
            self.pages(&call, "registered_models", |told| {
                let mut aliases = BTreeMap::new();
                for alias in told.list("aliases") {
                    let number = alias.integer("version").and_then(VersionNumber::new);
                    if let (Some(name), Some(number)) = (alias.text("alias"), number) {
                        aliases.insert(name, number);
                    }
                }
                models.push(SourceRegistered {
                    model: told.registered()?,
                    versions: Vec::new(),
                    aliases,
                });
                Ok(())
            })?;
        }
        // A server that knows no prompts gives its models twice.
        let mut seen = BTreeSet::new();
        models.retain(|found| seen.insert(found.model.name.clone()));
        models.sort_by(|one, other| one.model.name.cmp(&other.model.name));
        for found in models {
            let is_prompt = found.model.tags.contains_key("mlflow.prompt.is_prompt");
            found.versions = self.versions(&found.model.name, is_prompt)?;
        }
        Ok(())
    }

    fn versions(&self, name: &str, is_prompt: bool) -> Result<Vec<SourceVersion>, MigrateError> {
        let quote = match (name.contains('\''), name.contains('"')) {
            (false, _) => '\'',
            (true, false) => '"',
            (true, true) => {
                return Err(MigrateError::Row {
                    what: format!("registered model `{name}`"),
                    why: "no filter of MLflow's can name it".to_owned(),
                });
            }
        };
        let filter = format!("name = {quote}{name}{quote}");
        let filter = if is_prompt {
            format!("{filter} AND {IS_PROMPT}")
        } else {
            filter
        };
        let mut versions = Vec::new();
        let query = vec![("max_results", "10000".to_owned()), ("filter", filter)];
        let call = Call::Get("api/2.0/mlflow/model-versions/search", query);
        self.pages(&call, "model_versions", |told| {
            versions.push(SourceVersion {
                version: told.version(name)?,
                is_deleted: false,
            });
            Ok(())
        })?;
        for SourceVersion { version, .. } in versions.iter_mut().filter(|_| !is_prompt) {
            let number = version.version.to_string();
            let query = [("name", name), ("version", number.as_str())];
            let call = "api/2.0/mlflow/model-versions/get-download-uri";
            let found: Option<Value> = self.client.find(call, &query)?;
            let uri = found.and_then(|found| Told(&found).text("artifact_uri"));
            version.files_uri = uri.filter(|uri| !uri.is_empty() && *uri != version.source);
        }
        versions.sort_by_key(|found| found.version.version);
        Ok(versions)
    }

    /// How many things there are that do not come over; a server of a release without them says nothing.
    fn left_behind(&self, experiments: &[String]) -> BTreeMap<String, u64> {
        let mut left = BTreeMap::new();
        let mut count = |noun: &str, call: Call<'_>, key: &str| {
            let mut count = 0;
            let counted = self.pages(&call, key, |_| {
                count += 1;
                Ok(())
            });
            if counted.is_ok() && count > 0 {
                *left.entry(noun.to_owned()).or_default() += count;
            }
        };
        let searching = json!({ "max_results": PAGE });
        count(
            "evaluation datasets",
            Call::Ask("api/3.0/mlflow/datasets/search", searching),
            "datasets",
        );
        for id in experiments {
            let query = vec![("experiment_id", id.clone())];
            count(
                "scorers",
                Call::Get("api/3.0/mlflow/scorers/list", query),
                "scorers",
            );
        }
        let call = Call::Get("api/2.0/mlflow/webhooks", Vec::new());
        count("webhooks", call, "webhooks");
        left
    }

    /// Reads a run with everything that belongs to it.
    pub(crate) fn run(&self, id: &RunId) -> Result<SourceRun, MigrateError> {
        let found: Value = self
            .client
            .get("api/2.0/mlflow/runs/get", &[("run_id", id.as_str())])?;
        let told = Told(&found).inside("run");
        let fault = |why| MigrateError::Row {
            what: format!("run {id}"),
            why,
        };
        let mut read = told.whole_run().map_err(fault)?;
        complete_run(&mut read.run, &read.tags);
        let keys: BTreeSet<String> = told
            .inside("data")
            .list("metrics")
            .filter_map(|metric| metric.text("key"))
            .collect();
        for key in keys {
            let query = vec![
                ("run_id", id.to_string()),
                ("metric_key", key),
                ("max_results", POINTS_PAGE.to_owned()),
            ];
            let call = Call::Get("api/2.0/mlflow/metrics/get-history", query);
            self.pages(&call, "metrics", |point| {
                read.points.push(point.point(None)?);
                Ok(())
            })?;
        }
        let of_models = self.points_of_models.borrow().get(id).cloned();
        // MLflow's database has 0 for NaN there, its folder NaN.
        let of_models = of_models
            .unwrap_or_default()
            .into_iter()
            .map(|point| Metric {
                value: if point.value.is_nan() {
                    0.0
                } else {
                    point.value
                },
                ..point
            });
        tell_points_of_models(&mut read.points, of_models.collect(), 0.0);
        Ok(read)
    }

    /// Reads a trace with everything that the API tells of it.
    pub(crate) fn trace(&self, id: &TraceId) -> Result<TraceReading, MigrateError> {
        let found: Value = self
            .client
            .get(&format!("api/3.0/mlflow/traces/{id}"), &[])?;
        let told = Told(&found).inside("trace").inside("trace_info");
        let mut faults = Vec::new();
        let trace = match told.trace(id) {
            Ok(trace) => trace,
            Err(why) => {
                return Ok(TraceReading {
                    trace: None,
                    faults: vec![format!("trace {id}: {why}")],
                });
            }
        };
        let mut assessments = BTreeMap::new();
        for assessment in told.list("assessments") {
            match assessment.assessment() {
                Ok(assessment) => drop(assessments.insert(assessment.id.clone(), assessment)),
                Err(why) => faults.push(format!("an assessment of trace {id}: {why}")),
            }
        }
        let mut spans = Vec::new();
        if trace.tags.contains_key(SPANS_TAG) {
            let call = "ajax-api/2.0/mlflow/get-trace-artifact";
            let found: Value = self.client.get(call, &[("request_id", id.as_str())])?;
            let mut seen = BTreeSet::new();
            for span in Told(&found).list("spans") {
                let read = span_of(&span.0.to_string(), id);
                match read {
                    Ok(span) if seen.insert(span.id.clone()) => spans.push(span),
                    Ok(span) => {
                        let fault =
                            format!("span `{}` of trace {id}: its id is there twice", span.id);
                        faults.push(fault);
                    }
                    Err(why) => faults.push(format!("a span of trace {id}: {why}")),
                }
            }
        }
        Ok(TraceReading {
            trace: Some(SourceTrace {
                trace,
                spans,
                archived_spans: 0,
                assessments: in_order(assessments.into_values().collect()),
                links: TraceLinks::default(),
                folder: None,
            }),
            faults,
        })
    }

    /// Reads all pages of a list; tells whether the server knows the call.
    fn pages(
        &self,
        call: &Call<'_>,
        key: &str,
        mut read: impl FnMut(Told<'_>) -> Result<(), String>,
    ) -> Result<Known, MigrateError> {
        let mut token: Option<String> = None;
        loop {
            let page: Option<Value> = match call {
                Call::Get(path, query) => {
                    let mut query: Vec<_> = query
                        .iter()
                        .map(|(name, value)| (*name, value.as_str()))
                        .collect();
                    query.extend(token.iter().map(|token| ("page_token", token.as_str())));
                    self.client.find(path, &query)?
                }
                Call::Ask(path, body) => {
                    let mut body = body.clone();
                    if let Some(token) = &token {
                        body["page_token"] = Value::from(token.as_str());
                    }
                    self.client.ask(path, &body)?
                }
            };
            let Some(page) = page else {
                return Ok(Known::No);
            };
            for told in Told(&page).list(key) {
                read(told).map_err(|why| MigrateError::Row {
                    what: format!("one of the {}", key.replace('_', " ")),
                    why,
                })?;
            }
            let next = Told(&page).text("next_page_token");
            let next = next.filter(|next| !next.is_empty());
            if next.is_some() && next == token {
                return Err(MigrateError::Row {
                    what: format!("the list of {}", key.replace('_', " ")),
                    why: "its pages go in circles".to_owned(),
                });
            }
            match next {
                Some(next) => token = Some(next),
                None => return Ok(Known::Yes),
            }
        }
    }
}

/// Where spans of a trace are, if they are nowhere but in a file.
fn spans_at(tags: &BTreeMap<String, String>) -> Option<String> {
    let has_spans = tags.contains_key(SPANS_TAG);
    let location = tags.get(entities::TRACE_ARTIFACTS_TAG);
    location.filter(|_| !has_spans).cloned()
}

impl Told<'_> {
    fn trace_place(self) -> Result<TracePlace, String> {
        let id: TraceId = self.id("trace_id")?;
        Ok(TracePlace {
            experiment: self.experiment_of_trace()?,
            spans_at: spans_at(&self.map("tags")?),
            id,
        })
    }
}
