//! For whom the server answers: what may be read and changed, and under which ids it is shown.

mod masks;
mod run;
mod token;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use axum::http::HeaderMap;
use datasets::parse_dataset_id;
use entities::{
    Assessment, AssessmentValue, Caller, DatasetId, Experiment, ExperimentId, IssueId,
    LabelSchemaId, ModelId, RecordMerge, Run, RunDetail, RunId, RunStatus, ScorerVersion, Span,
    TRACE_RUN_KEY, Timestamp, TraceId, VersionNumber,
};
use serde_json::{Map, Value};
use traces::{LARGEST_LINK_COUNT, Traces, parse_issue_id, parse_label_schema_id, parse_trace_id};
use tracking::{PARENT_TAG, RUN_NAME_TAG, Tracking, parse_model_id, parse_run_id};

use crate::Scope;
use crate::error::RequestError;
pub(crate) use run::{Claim, RunAccess};

/// For whom the server answers.
///
/// Ids come from clients as they were shown to them: every id of a request passes through here, and every id of an
/// answer. Where nothing is presented under another id, both are free.
pub(crate) enum Access {
    Team,
    Run(Box<RunAccess>),
}

impl Access {
    pub(crate) fn new(scope: Scope) -> Self {
        match scope {
            Scope::Team => Self::Team,
            Scope::Run(scope) => Self::Run(Box::new(RunAccess::new(scope))),
        }
    }

    /// The captured run, where this is the endpoint of one.
    pub(crate) fn captured(&self) -> Option<&RunAccess> {
        match self {
            Self::Team => None,
            Self::Run(run) => Some(run),
        }
    }

    /// Refuses who does not bring the token of the run.
    pub(crate) fn authenticate(&self, headers: &HeaderMap) -> Result<(), RequestError> {
        match self {
            Self::Run(run) if !run.token.is_in(headers) => Err(RequestError::Unauthenticated),
            _ => Ok(()),
        }
    }

    /// Reads the id of a run.
    pub(crate) fn run(&self, text: &str) -> Result<RunId, RequestError> {
        Ok(parse_run_id(&self.real_id(text))?)
    }

    /// Reads the id of a run that is to be changed.
    pub(crate) fn writable_run(&self, text: &str) -> Result<RunId, RequestError> {
        let id = self.run(text)?;
        match self {
            Self::Run(run) if !run.has_run(&id) => Err(RequestError::NotOfThisRun {
                what: format!("run {id}"),
            }),
            _ => Ok(id),
        }
    }

    /// Reads the id of a run that is to be deleted.
    pub(crate) fn deletable_run(&self, text: &str) -> Result<RunId, RequestError> {
        let id = self.writable_run(text)?;
        match self {
            Self::Run(run) if *run.id() == id => Err(RequestError::StillCaptured {
                run: text.to_owned(),
            }),
            _ => Ok(id),
        }
    }

    /// Reads the id of a logged model.
    pub(crate) fn model(&self, text: &str) -> Result<ModelId, RequestError> {
        Ok(parse_model_id(&self.real_id(text))?)
    }

    /// Reads the id of a logged model that is to be changed.
    pub(crate) fn writable_model(&self, text: &str) -> Result<ModelId, RequestError> {
        let id = self.model(text)?;
        match self {
            Self::Run(run) if !run.has_model(&id) => Err(RequestError::NotOfThisRun {
                what: format!("logged model {id}"),
            }),
            _ => Ok(id),
        }
    }

    /// Reads the id of a trace that is to be changed.
    pub(crate) fn writable_trace(&self, text: &str) -> Result<TraceId, RequestError> {
        let id = parse_trace_id(text)?;
        match self {
            Self::Run(run) if !run.has_trace(&id) => Err(RequestError::NotOfThisRun {
                what: format!("trace {id}"),
            }),
            _ => Ok(id),
        }
    }

    /// Reads the id of an evaluation dataset that is to be changed.
    pub(crate) fn writable_dataset(&self, text: &str) -> Result<DatasetId, RequestError> {
        let id = parse_dataset_id(text)?;
        match self {
            Self::Run(run) if !run.has_dataset(&id) => Err(RequestError::NotOfThisRun {
                what: format!("evaluation dataset {id}"),
            }),
            _ => Ok(id),
        }
    }

    /// Notes an evaluation dataset that was created for this client.
    pub(crate) fn note_dataset(&self, id: &DatasetId) {
        if let Self::Run(captured) = self {
            captured.note_dataset(id);
        }
    }

    /// Reads the id of an issue that is to be changed.
    pub(crate) fn writable_issue(&self, text: &str) -> Result<IssueId, RequestError> {
        let id = parse_issue_id(text)?;
        match self {
            Self::Run(run) if !run.has_issue(&id) => Err(RequestError::NotOfThisRun {
                what: format!("issue {id}"),
            }),
            _ => Ok(id),
        }
    }

    /// Notes an issue that was made for this client.
    pub(crate) fn note_issue(&self, id: &IssueId) {
        if let Self::Run(captured) = self {
            captured.note_issue(id);
        }
    }

    /// Reads the id of a label schema that is to be changed.
    pub(crate) fn writable_label_schema(&self, text: &str) -> Result<LabelSchemaId, RequestError> {
        let id = parse_label_schema_id(text)?;
        match self {
            Self::Run(run) if !run.has_label_schema(&id) => Err(RequestError::NotOfThisRun {
                what: format!("label schema {id}"),
            }),
            _ => Ok(id),
        }
    }

    /// Notes a label schema that was made for this client.
    pub(crate) fn note_label_schema(&self, id: &LabelSchemaId) {
        if let Self::Run(captured) = self {
            captured.note_label_schema(id);
        }
    }

    /// Refuses to change versions of a scorer that the captured run did not register.
    pub(crate) fn check_scorer(&self, versions: &[ScorerVersion]) -> Result<(), RequestError> {
        let Self::Run(run) = self else { return Ok(()) };
        let mut versions = versions.iter();
        match versions.find(|found| !run.has_scorer(&found.scorer, found.version)) {
            None => Ok(()),
            Some(foreign) => Err(RequestError::NotOfThisRun {
                what: format!(
                    "version {} of scorer {} of experiment {}",
                    foreign.version, foreign.name, foreign.experiment
                ),
            }),
        }
    }

    /// Notes a version of a scorer that was registered for this client.
    pub(crate) fn note_scorer(&self, version: &ScorerVersion) {
        if let Self::Run(captured) = self {
            captured.note_scorer(&version.scorer, version.version);
        }
    }

    /// Takes the values of secrets out of what is said of a record, by their names.
    pub(crate) fn mask_record(&self, record: &mut RecordMerge) {
        let Self::Run(run) = self else { return };
        let RecordMerge {
            salt: _,
            inputs,
            outputs,
            expectations,
            tags,
            source,
        } = record;
        run.masks.attributes(inputs);
        if let Some(outputs) = outputs {
            run.masks.value("outputs", outputs);
        }
        for members in expectations.iter_mut().chain(tags) {
            run.masks.attributes(members);
        }
        if let Some(source) = source {
            run.masks.attributes(&mut source.data);
        }
    }

    /// Refuses to add to a trace that is there and did not come here first.
    pub(crate) async fn check_trace(
        &self,
        id: &TraceId,
        traces: &Traces,
    ) -> Result<(), RequestError> {
        match self {
            Self::Run(run) if !run.has_trace(id) && traces.find_trace(id).await?.is_some() => {
                Err(RequestError::NotOfThisRun {
                    what: format!("trace {id}"),
                })
            }
            _ => Ok(()),
        }
    }

    /// Refuses to delete traces that did not come here; `is_by_id` where they are named.
    pub(crate) fn check_deletion(
        &self,
        ids: &[TraceId],
        is_by_id: bool,
    ) -> Result<(), RequestError> {
        let Self::Run(run) = self else { return Ok(()) };
        let foreign = ids.iter().find(|id| !run.has_trace(id));
        match (is_by_id, foreign) {
            (true, None) => Ok(()),
            (true, Some(id)) => Err(RequestError::NotOfThisRun {
                what: format!("trace {id}"),
            }),
            (false, _) => Err(RequestError::NotOfThisRun {
                what: "what an experiment holds of others".to_owned(),
            }),
        }
    }

    /// Notes traces that came here. One that names no run belongs to the captured run.
    pub(crate) async fn note_traces(
        &self,
        caller: &Caller,
        ids: &BTreeSet<TraceId>,
        traces: &Traces,
    ) -> Result<(), RequestError> {
        let Self::Run(run) = self else { return Ok(()) };
        let mut unlinked = Vec::new();
        for id in ids {
            let is_new = !run.has_trace(id);
            let Some(detail) = traces.find_trace(id).await? else {
                continue;
            };
            run.note_trace(id, &traces.artifact_uri(&detail.trace).await?);
            if is_new && !detail.trace.metadata.contains_key(TRACE_RUN_KEY) {
                unlinked.push(id.clone());
            }
        }
        for chunk in unlinked.chunks(LARGEST_LINK_COUNT) {
            traces.link_to_run(caller, chunk, run.id()).await?;
        }
        Ok(())
    }

    /// The value of a trace's tag or metadata as it is kept: its run is one that may be changed, and a secret is none.
    pub(crate) fn real_trace_note(&self, key: &str, value: String) -> Result<String, RequestError> {
        match self {
            Self::Run(_) if key == TRACE_RUN_KEY => Ok(self.writable_run(&value)?.to_string()),
            Self::Run(run) => Ok(run.masks.note(key, self.real_tag(key, value))),
            Self::Team => Ok(value),
        }
    }

    /// A text of a trace as it may be written down, such as the beginning of what a call was given.
    pub(crate) fn masked_text(&self, text: String) -> String {
        match self {
            Self::Run(run) => run.masks.text(text),
            Self::Team => text,
        }
    }

    /// Takes the values of secrets out of what a sender of spans says of itself, by their names.
    pub(crate) fn mask_resource(&self, resource: &mut Map<String, Value>) {
        if let Self::Run(run) = self {
            run.masks.attributes(resource);
        }
    }

    /// Takes the values of secrets out of what an assessment says, by their names.
    pub(crate) fn mask_assessment(&self, assessment: &mut Assessment) {
        let Self::Run(run) = self else { return };
        self.mask_assessed(&assessment.name, &mut assessment.value);
        for (key, value) in &mut assessment.metadata {
            *value = run.masks.note(key, std::mem::take(value));
        }
    }

    /// Likewise of the value alone.
    pub(crate) fn mask_assessed(&self, name: &str, value: &mut AssessmentValue) {
        let Self::Run(run) = self else { return };
        match value {
            AssessmentValue::Feedback { value, .. } | AssessmentValue::Expectation { value } => {
                run.masks.value(name, value);
            }
            AssessmentValue::Issue { .. } => {}
        }
    }

    /// Likewise of further metadata.
    pub(crate) fn masked_notes(&self, notes: BTreeMap<String, String>) -> BTreeMap<String, String> {
        let Self::Run(run) = self else { return notes };
        let notes = notes.into_iter();
        notes
            .map(|(key, value)| {
                let value = run.masks.note(&key, value);
                (key, value)
            })
            .collect()
    }

    /// Takes the values of secrets out of what a span says, by their names.
    pub(crate) fn mask_span(&self, span: &mut Span) {
        let Self::Run(run) = self else { return };
        run.masks.attributes(&mut span.attributes);
        for event in &mut span.events {
            run.masks.attributes(&mut event.attributes);
        }
        for link in &mut span.links {
            run.masks.attributes(&mut link.attributes);
        }
    }

    /// The origin of the replay that this is the endpoint of: what it registered then it is shown again, and the registry
    /// stays as it is.
    pub(crate) fn replayed(&self) -> Option<RunId> {
        self.captured()?.origin()
    }

    /// Refuses to change a registered model that the captured run did not register.
    pub(crate) fn check_registered(&self, name: &str) -> Result<(), RequestError> {
        match self {
            Self::Run(run) if !run.has_registered(name) => Err(RequestError::NotOfThisRun {
                what: format!("registered model {name}"),
            }),
            _ => Ok(()),
        }
    }

    /// Refuses to change a version that the captured run did not register.
    pub(crate) fn check_version(&self, name: &str, version: &str) -> Result<(), RequestError> {
        let Self::Run(run) = self else { return Ok(()) };
        let number = version.trim().parse().ok().and_then(VersionNumber::new);
        if number.is_some_and(|number| run.has_version(name, number)) {
            return Ok(());
        }
        Err(RequestError::NotOfThisRun {
            what: format!("version {version} of {name}"),
        })
    }

    /// Refuses to rename, delete or restore an experiment that the captured run did not make; runs of others are in it.
    pub(crate) fn check_experiment(&self, id: &ExperimentId) -> Result<(), RequestError> {
        match self {
            Self::Run(run) if !run.has_experiment(id) => Err(RequestError::NotOfThisRun {
                what: format!("experiment {id}"),
            }),
            _ => Ok(()),
        }
    }

    /// The path of an artifact that is to be written or deleted.
    pub(crate) async fn writable_path(
        &self,
        path: &str,
        tracking: &Tracking,
    ) -> Result<String, RequestError> {
        let real = self.real_path(path);
        match self {
            Self::Run(run) if !run.has_path(&real, tracking).await? => {
                Err(RequestError::NotOfThisRun {
                    what: format!("artifact {path}"),
                })
            }
            _ => Ok(real.into_owned()),
        }
    }

    /// The path of an artifact as it is kept.
    pub(crate) fn real_path<'a>(&self, path: &'a str) -> Cow<'a, str> {
        match self {
            Self::Run(run) => run.ids.real_path(path),
            Self::Team => Cow::Borrowed(path),
        }
    }

    /// The source of a version as it is kept.
    pub(crate) fn real_source<'a>(&self, source: &'a str) -> Cow<'a, str> {
        match self {
            Self::Run(run) => run.ids.real_in_text(source),
            Self::Team => Cow::Borrowed(source),
        }
    }

    /// An id as it is kept.
    pub(crate) fn real_id<'a>(&self, id: &'a str) -> Cow<'a, str> {
        match self {
            Self::Run(run) => run.ids.real(id),
            Self::Team => Cow::Borrowed(id),
        }
    }

    /// A filter with the ids that it names as they are kept.
    pub(crate) fn real_filter<'a>(&self, filter: &'a str) -> Cow<'a, str> {
        match self {
            Self::Run(run) => run.ids.real_in_text(filter),
            Self::Team => Cow::Borrowed(filter),
        }
    }

    /// The value of a tag as it is kept: the parent's id is one, and a secret is none.
    pub(crate) fn real_tag(&self, key: &str, value: String) -> String {
        match self {
            Self::Run(run) if key == PARENT_TAG => run.ids.real(&value).into_owned(),
            Self::Run(run) => run.masks.tag(key, value),
            Self::Team => value,
        }
    }

    /// The value of a param as it is kept.
    pub(crate) fn real_param(&self, key: &str, value: String) -> String {
        match self {
            Self::Run(run) => run.masks.param(key, value),
            Self::Team => value,
        }
    }

    /// Params as they are kept.
    pub(crate) fn real_params(&self, params: Vec<(String, String)>) -> Vec<(String, String)> {
        let params = params.into_iter();
        params
            .map(|(key, value)| {
                let value = self.real_param(&key, value);
                (key, value)
            })
            .collect()
    }

    /// An id as it is shown.
    pub(crate) fn shown_id<'a>(&self, id: &'a str) -> Cow<'a, str> {
        match self {
            Self::Run(run) => run.ids.shown(id),
            Self::Team => Cow::Borrowed(id),
        }
    }

    /// A URI of artifacts as it is shown.
    pub(crate) fn shown_uri<'a>(&self, uri: &'a str) -> Cow<'a, str> {
        match self {
            Self::Run(run) => run.ids.shown_path(uri),
            Self::Team => Cow::Borrowed(uri),
        }
    }

    /// The value of a tag as it is shown.
    pub(crate) fn shown_tag<'a>(&self, key: &str, value: &'a str) -> Cow<'a, str> {
        match self {
            Self::Run(run) if key == PARENT_TAG => run.ids.shown(value),
            _ => Cow::Borrowed(value),
        }
    }

    /// Whether another run or model is shown under this id, so that it cannot be shown itself.
    pub(crate) fn is_hidden(&self, id: &str) -> bool {
        match self {
            Self::Run(run) => run.ids.is_hidden(id),
            Self::Team => false,
        }
    }

    /// Shows of the captured run what its client was told: that it was ended, and its name in a replay.
    pub(crate) fn show_run(&self, run: &mut Run) {
        if let Self::Run(captured) = self {
            captured.show(run);
        }
    }

    /// Likewise, with its tags.
    pub(crate) fn show_detail(&self, detail: &mut RunDetail) {
        self.show_run(&mut detail.run);
        let is_captured = self
            .captured()
            .is_some_and(|captured| *captured.id() == detail.run.id);
        if is_captured && let Some(tag) = detail.tags.get_mut(RUN_NAME_TAG) {
            detail.run.name.clone_into(tag);
        }
    }

    /// Notes a run that was created for this client.
    pub(crate) fn note_run(&self, run: &Run) {
        if let Self::Run(captured) = self {
            captured.note_run(&run.id, &run.artifact_uri);
        }
    }

    /// Notes a logged model that was created for this client.
    pub(crate) fn note_model(&self, id: &ModelId, artifact_uri: &str) {
        if let Self::Run(captured) = self {
            captured.note_model(id, artifact_uri);
        }
    }

    /// Notes an experiment that was created for this client.
    pub(crate) fn note_experiment(&self, experiment: &Experiment) {
        if let Self::Run(captured) = self {
            captured.note_experiment(&experiment.id);
        }
    }

    /// Takes note that the client ended the captured run, or took it up again; tells whether this is that run.
    pub(crate) fn note_end(
        &self,
        id: &RunId,
        status: Option<RunStatus>,
        ended_at: Option<Timestamp>,
    ) -> bool {
        match self {
            Self::Run(captured) if captured.id() == id => {
                captured.note_end(status, ended_at);
                true
            }
            _ => false,
        }
    }

    /// Notes that the client has given the captured run a name.
    pub(crate) fn note_name(&self, id: &RunId) {
        if let Self::Run(captured) = self
            && captured.id() == id
        {
            captured.present_name(None);
        }
    }
}
