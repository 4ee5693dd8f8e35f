//! What a server's answer says, in our words. Numbers of 64 bits may be texts, as protobuf writes them in JSON.

use std::collections::BTreeMap;

use entities::{
    Assessment, DatasetInput, Experiment, ExperimentId, Lifecycle, LoggedModel, Metric, ModelId,
    ModelOutput, ModelStatus, ModelVersion, RegisteredModel, Run, RunStatus, Stage, Timestamp,
    Trace, TraceId, VersionNumber,
};
use serde_json::Value;

use crate::mlflow::assessment::{metadata_of, source_of, value_of};
use crate::mlflow::json::read_json;
use crate::mlflow::span::state_of;
use crate::mlflow::time::{duration_of_text, time_of_millis, time_of_text};
use crate::source::{SourceRun, model_in_source};

/// A part of an answer.
#[derive(Clone, Copy)]
pub(super) struct Told<'v>(pub(super) &'v Value);

impl<'v> Told<'v> {
    /// What stands under a name; nothing where there is none.
    pub(super) fn inside(self, name: &str) -> Self {
        Told(self.0.get(name).unwrap_or(&Value::Null))
    }

    /// The members of a list; none where there is none.
    pub(super) fn list(self, name: &str) -> impl Iterator<Item = Self> + use<'v> {
        let list = self.0.get(name).and_then(Value::as_array);
        list.into_iter().flatten().map(Told)
    }

    pub(super) fn text(self, name: &str) -> Option<String> {
        match self.0.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    fn some_text(self, name: &str) -> Result<String, String> {
        self.text(name)
            .ok_or_else(|| format!("its `{name}` is missing"))
    }

    pub(super) fn integer(self, name: &str) -> Option<i64> {
        match self.0.get(name)? {
            Value::String(text) => text.parse().ok(),
            Value::Number(number) => number.as_i64(),
            _ => None,
        }
    }

    fn number(self, name: &str) -> Result<f64, String> {
        match self.0.get(name) {
            // What protobuf does not write is 0.
            None => Ok(0.0),
            Some(Value::Number(number)) => Ok(number.as_f64().unwrap_or(f64::NAN)),
            Some(Value::String(text)) => match text.as_str() {
                "NaN" => Ok(f64::NAN),
                "Infinity" => Ok(f64::INFINITY),
                "-Infinity" => Ok(f64::NEG_INFINITY),
                text => text
                    .parse()
                    .map_err(|_| format!("its `{name}` is no number")),
            },
            Some(_) => Err(format!("its `{name}` is no number")),
        }
    }

    fn time(self, name: &str) -> Result<Timestamp, String> {
        time_of_millis(self.integer(name).unwrap_or(0))
            .ok_or_else(|| format!("its `{name}` is no time"))
    }

    pub(super) fn id<T: std::str::FromStr>(self, name: &str) -> Result<T, String>
    where
        T::Err: std::fmt::Display,
    {
        self.some_text(name)?
            .parse()
            .map_err(|error: T::Err| error.to_string())
    }

    /// Pairs in a list of keys and values.
    fn pairs(self, name: &str) -> BTreeMap<String, String> {
        self.list(name)
            .filter_map(|pair| Some((pair.text("key")?, pair.text("value").unwrap_or_default())))
            .collect()
    }

    /// Pairs of a map.
    pub(super) fn map(self, name: &str) -> Result<BTreeMap<String, String>, String> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(BTreeMap::new()),
            Some(Value::Object(map)) => map
                .iter()
                .map(|(key, value)| {
                    let text = value
                        .as_str()
                        .ok_or_else(|| format!("its `{name}` hold what is no text"))?;
                    Ok((key.clone(), text.to_owned()))
                })
                .collect(),
            Some(_) => Err(format!("its `{name}` are no map")),
        }
    }

    fn lifecycle(self) -> Lifecycle {
        match self.text("lifecycle_stage").as_deref() {
            Some("deleted") => Lifecycle::Deleted,
            _ => Lifecycle::Active,
        }
    }

    pub(super) fn experiment(self) -> Result<Experiment, String> {
        Ok(Experiment {
            id: self.id("experiment_id")?,
            name: self.some_text("name")?,
            artifact_location: self.text("artifact_location").unwrap_or_default(),
            lifecycle: self.lifecycle(),
            created_at: self.time("creation_time")?,
            updated_at: self.time("last_update_time")?,
            tags: self.pairs("tags"),
        })
    }

    pub(super) fn run(self) -> Result<Run, String> {
        let status = self.text("status").unwrap_or_default();
        let ended = self.integer("end_time").filter(|ended| *ended != 0);
        Ok(Run {
            id: self.id("run_id").or_else(|_| self.id("run_uuid"))?,
            experiment: self.id("experiment_id")?,
            name: self.text("run_name").unwrap_or_default(),
            user: self.text("user_id").unwrap_or_default(),
            status: RunStatus::find(&status).unwrap_or(RunStatus::Running),
            started_at: self.time("start_time")?,
            ended_at: match ended {
                Some(_) => Some(self.time("end_time")?),
                None => None,
            },
            lifecycle: self.lifecycle(),
            artifact_uri: self.text("artifact_uri").unwrap_or_default(),
            parent: None,
            replay_of: None,
            process: None,
            is_interrupted: false,
            recipe: None,
            record: None,
        })
    }

    /// A run without its points.
    pub(super) fn whole_run(self) -> Result<SourceRun, String> {
        let (data, inputs) = (self.inside("data"), self.inside("inputs"));
        let datasets = inputs.list("dataset_inputs").map(|input| {
            let dataset = input.inside("dataset");
            Ok(DatasetInput {
                name: dataset.some_text("name")?,
                digest: dataset.some_text("digest")?,
                source_type: dataset.text("source_type").unwrap_or_default(),
                source: dataset.text("source").unwrap_or_default(),
                schema: dataset.text("schema").filter(|text| !text.is_empty()),
                profile: dataset.text("profile").filter(|text| !text.is_empty()),
                tags: input.pairs("tags"),
            })
        });
        let model_inputs = inputs
            .list("model_inputs")
            .map(|input| input.id("model_id"));
        let outputs = self.inside("outputs");
        let model_outputs = outputs.list("model_outputs").map(|output| {
            Ok(ModelOutput {
                model: output.id("model_id")?,
                step: output.integer("step").unwrap_or(0),
            })
        });
        Ok(SourceRun {
            run: self.inside("info").run()?,
            params: data.pairs("params"),
            tags: data.pairs("tags"),
            points: Vec::new(),
            datasets: datasets.collect::<Result<_, String>>()?,
            model_inputs: model_inputs.collect::<Result<_, _>>()?,
            model_outputs: model_outputs.collect::<Result<_, String>>()?,
        })
    }

    pub(super) fn point(self, model: Option<ModelId>) -> Result<Metric, String> {
        let text = |name| self.text(name).filter(|text| !text.is_empty());
        let dataset = text("dataset_name").zip(text("dataset_digest"));
        Ok(Metric {
            dataset: dataset.filter(|_| model.is_some()),
            model,
            ..Metric::new(
                self.some_text("key")?,
                self.number("value")?,
                self.integer("timestamp").unwrap_or(0),
                self.integer("step").unwrap_or(0),
            )
        })
    }

    pub(super) fn model(self, data: Self) -> Result<LoggedModel, String> {
        let run = self.text("source_run_id");
        Ok(LoggedModel {
            id: self.id("model_id")?,
            experiment: self.id("experiment_id")?,
            name: self.some_text("name")?,
            source_run: run.and_then(|run| run.parse().ok()),
            artifact_uri: self.text("artifact_uri").unwrap_or_default(),
            status: match self.text("status").as_deref() {
                Some("LOGGED_MODEL_READY") => ModelStatus::Ready,
                Some("LOGGED_MODEL_UPLOAD_FAILED") => ModelStatus::UploadFailed,
                _ => ModelStatus::Pending,
            },
            model_type: self.text("model_type").filter(|word| !word.is_empty()),
            created_at: self.time("creation_timestamp_ms")?,
            updated_at: self.time("last_updated_timestamp_ms")?,
            tags: self.pairs("tags"),
            params: data.pairs("params"),
        })
    }

    pub(super) fn registered(self) -> Result<RegisteredModel, String> {
        Ok(RegisteredModel {
            name: self.some_text("name")?,
            description: self.text("description"),
            created_at: self.time("creation_timestamp")?,
            updated_at: self.time("last_updated_timestamp")?,
            tags: self.pairs("tags"),
        })
    }

    pub(super) fn version(self, name: &str) -> Result<ModelVersion, String> {
        let number = self.integer("version").and_then(VersionNumber::new);
        let source = self.text("source").unwrap_or_default();
        let stage = self.text("current_stage").unwrap_or_default();
        let run = self.text("run_id");
        Ok(ModelVersion {
            name: name.to_owned(),
            version: number.ok_or("its `version` is none")?,
            description: self.text("description"),
            stage: Stage::find(&stage).unwrap_or(Stage::None),
            files_uri: None,
            logged_model: model_in_source(&source),
            source,
            run: run.and_then(|run| run.parse().ok()),
            run_link: self.text("run_link").filter(|link| !link.is_empty()),
            files: None,
            created_at: self.time("creation_timestamp")?,
            updated_at: self.time("last_updated_timestamp")?,
            tags: self.pairs("tags"),
        })
    }

    pub(super) fn experiment_of_trace(self) -> Result<ExperimentId, String> {
        self.inside("trace_location")
            .inside("mlflow_experiment")
            .id("experiment_id")
    }

    pub(super) fn trace(self, id: &TraceId) -> Result<Trace, String> {
        let duration = self.text("execution_duration");
        Ok(Trace {
            id: id.clone(),
            experiment: self.experiment_of_trace()?,
            requested_at: self.time_in_text("request_time")?,
            duration_ms: duration
                .map(|text| duration_of_text(&text).ok_or("its duration is none"))
                .transpose()?,
            state: state_of(&self.some_text("state")?)?,
            client_request_id: self.text("client_request_id"),
            request_preview: self.text("request_preview"),
            response_preview: self.text("response_preview"),
            tags: self.map("tags")?,
            metadata: self.map("trace_metadata")?,
        })
    }

    fn time_in_text(self, name: &str) -> Result<Timestamp, String> {
        let text = self.some_text(name)?;
        time_of_text(&text).ok_or_else(|| format!("`{text}` is no time"))
    }

    pub(super) fn assessment(self) -> Result<Assessment, String> {
        let (kind, said) = ["feedback", "expectation", "issue"]
            .into_iter()
            .find_map(|kind| Some((kind, self.0.get(kind)?)))
            .ok_or("it says nothing")?;
        let value = match (kind, said.get("serialized_value")) {
            ("issue", _) => said.clone(),
            (_, Some(serialized)) => {
                let text = Told(serialized).some_text("value")?;
                read_json(&text).map_err(|error| error.to_string())?
            }
            _ => said.get("value").cloned().unwrap_or_default(),
        };
        let source = self.inside("source");
        let filled = |name| self.text(name).filter(|text| !text.is_empty());
        let valid = self.0.get("valid").and_then(Value::as_bool);
        Ok(Assessment {
            id: self.some_text("assessment_id")?,
            name: self.some_text("assessment_name")?,
            value: value_of(kind, value, said.get("error").cloned())?,
            source: source_of(&source.some_text("source_type")?, source.text("source_id"))?,
            rationale: self.text("rationale"),
            metadata: metadata_of(self.0.get("metadata").cloned(), filled("run_id"))?,
            span: filled("span_id"),
            created_at: self.time_in_text("create_time")?,
            updated_at: self.time_in_text("last_update_time")?,
            overrides: filled("overrides"),
            is_valid: valid.unwrap_or(true),
        })
    }
}
