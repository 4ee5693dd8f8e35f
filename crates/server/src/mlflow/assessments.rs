//! Calls about assessments of traces.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use entities::{
    Assessment, AssessmentError, AssessmentSource, AssessmentValue, Timestamp, TraceId,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use traces::{AssessmentRevision, parse_trace_id};

use crate::app::{App, By};
use crate::error::RequestError;
use crate::wire::{
    Answer, AssessmentView, Json, Moment, SourceWord, empty, json, missing, required,
};

/// An assessment as clients send it.
#[derive(Default, Deserialize, JsonSchema)]
pub(super) struct AssessmentBody {
    #[serde(alias = "assessmentId")]
    assessment_id: Option<String>,
    #[serde(alias = "assessmentName")]
    assessment_name: Option<String>,
    #[serde(alias = "spanId")]
    span_id: Option<String>,
    source: Option<SourceBody>,
    #[serde(alias = "createTime")]
    create_time: Option<Moment>,
    #[serde(alias = "lastUpdateTime")]
    last_update_time: Option<Moment>,
    feedback: Option<FeedbackBody>,
    expectation: Option<ExpectationBody>,
    issue: Option<IssueBody>,
    rationale: Option<String>,
    metadata: Option<BTreeMap<String, String>>,
    overrides: Option<String>,
}

#[derive(Default, Deserialize, JsonSchema)]
struct SourceBody {
    #[serde(alias = "sourceType")]
    source_type: Option<SourceWord>,
    #[serde(alias = "sourceId")]
    source_id: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct FeedbackBody {
    value: Option<Value>,
    error: Option<ErrorBody>,
}

#[derive(Deserialize, JsonSchema)]
struct ErrorBody {
    #[serde(alias = "errorCode")]
    error_code: Option<String>,
    #[serde(alias = "errorMessage")]
    error_message: Option<String>,
    #[serde(alias = "stackTrace")]
    stack_trace: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct ExpectationBody {
    value: Option<Value>,
    #[serde(alias = "serializedValue")]
    serialized_value: Option<SerializedBody>,
}

#[derive(Deserialize, JsonSchema)]
struct SerializedBody {
    #[serde(alias = "serializationFormat")]
    serialization_format: Option<String>,
    value: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct IssueBody {
    #[serde(alias = "issueName")]
    issue_name: Option<String>,
}

impl AssessmentBody {
    pub(super) fn read(mut self, now: Timestamp) -> Result<Assessment, RequestError> {
        let value = self.value()?.ok_or(RequestError::NoAssessmentValue)?;
        let Self {
            assessment_id,
            assessment_name,
            span_id,
            source,
            create_time,
            last_update_time,
            feedback: _,
            expectation: _,
            issue: _,
            rationale,
            metadata,
            overrides,
        } = self;
        let told = |text: Option<String>| text.filter(|text| !text.is_empty());
        let source = source.unwrap_or_default();
        let kind = source
            .source_type
            .unwrap_or(SourceWord("SOURCE_TYPE_UNSPECIFIED"));
        let created_at = create_time.map_or(now, |time| time.0);
        Ok(Assessment {
            id: assessment_id.unwrap_or_default(),
            name: required("assessment.assessment_name", assessment_name)?,
            value,
            source: AssessmentSource {
                kind: kind.0.to_owned(),
                id: told(source.source_id),
            },
            rationale: told(rationale),
            metadata: metadata.unwrap_or_default(),
            span: told(span_id),
            created_at,
            updated_at: last_update_time.map_or(created_at, |time| time.0),
            overrides: told(overrides),
            is_valid: true,
        })
    }

    /// What it says; of more than one kind the last counts, as protobuf has it.
    fn value(&mut self) -> Result<Option<AssessmentValue>, RequestError> {
        if let Some(issue) = self.issue.take() {
            let issue = issue.issue_name.unwrap_or_default();
            return Ok(Some(AssessmentValue::Issue { issue }));
        }
        if let Some(expectation) = self.expectation.take() {
            let value = expectation.read()?;
            return Ok(Some(AssessmentValue::Expectation { value }));
        }
        let feedback = self.feedback.take();
        Ok(feedback.map(|feedback| AssessmentValue::Feedback {
            value: as_protobuf(feedback.value.unwrap_or_default()),
            error: feedback.error.map(|error| AssessmentError {
                code: error.error_code,
                message: error.error_message,
                stack_trace: error.stack_trace,
            }),
        }))
    }
}

impl ExpectationBody {
    fn read(self) -> Result<Value, RequestError> {
        let Some(SerializedBody {
            serialization_format,
            value,
        }) = self.serialized_value
        else {
            return Ok(as_protobuf(self.value.unwrap_or_default()));
        };
        let format = serialization_format.unwrap_or_default();
        if format != "JSON_FORMAT" {
            return Err(RequestError::SerializationFormat { format });
        }
        let text = value.unwrap_or_default();
        serde_json::from_str(&text).map_err(|_| RequestError::SerializedValue)
    }
}

/// Numbers as protobuf keeps them: as doubles.
fn as_protobuf(value: Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().map_or(Value::Null, Value::from),
        Value::Array(items) => items.into_iter().map(as_protobuf).collect(),
        Value::Object(members) => {
            let members = members.into_iter();
            let members = members.map(|(key, value)| (key, as_protobuf(value)));
            Value::Object(members.collect())
        }
        other => other,
    }
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Create {
    #[schemars(required)]
    assessment: Option<AssessmentBody>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Found<'a> {
    assessment: AssessmentView<'a>,
}

fn answer(trace: &TraceId, assessment: &Assessment) -> Answer<Found<'static>> {
    json(&Found {
        assessment: AssessmentView::new(trace.as_str(), assessment),
    })
}

pub(super) async fn create(
    State(app): State<App>,
    By(caller): By,
    Path(trace): Path<String>,
    Json(request): Json<Create>,
) -> Answer<Found<'static>> {
    let assessment = request.assessment.ok_or_else(|| missing("assessment"))?;
    let mut assessment = assessment.read(app.tracking.clock().now())?;
    app.access.mask_assessment(&mut assessment);
    let trace = app.access.writable_trace(&trace)?;
    answer(
        &trace,
        &app.traces.assess(&caller, &trace, assessment).await?,
    )
}

pub(super) async fn find(
    State(app): State<App>,
    Path((trace, id)): Path<(String, String)>,
) -> Answer<Found<'static>> {
    let trace = parse_trace_id(&trace)?;
    answer(&trace, &app.traces.get_assessment(&trace, &id).await?)
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Update {
    #[schemars(required)]
    assessment: Option<AssessmentBody>,
    #[serde(alias = "updateMask")]
    #[schemars(required)]
    update_mask: Option<String>,
}

pub(super) async fn update(
    State(app): State<App>,
    By(caller): By,
    Path((trace, id)): Path<(String, String)>,
    Json(request): Json<Update>,
) -> Answer<Found<'static>> {
    let mut given = request.assessment.ok_or_else(|| missing("assessment"))?;
    let mask = required("update_mask", request.update_mask)?;
    let names = |snake: &str, camel: &str| {
        let mut paths = mask.split(',').map(str::trim);
        paths.any(|path| path == snake || path == camel)
    };
    if names("feedback", "feedback") && names("expectation", "expectation") {
        return Err(traces::TracesError::BothKinds.into());
    }
    if !names("feedback", "feedback") {
        given.feedback = None;
    }
    if !names("expectation", "expectation") {
        given.expectation = None;
    }
    given.issue = None;
    let mut value = given.value()?;
    if let Some(value) = &mut value {
        let name = given.assessment_name.as_deref().unwrap_or_default();
        app.access.mask_assessed(name, value);
    }
    let AssessmentBody {
        assessment_name,
        rationale,
        metadata,
        ..
    } = given;
    let revision = AssessmentRevision {
        name: assessment_name.filter(|_| names("assessment_name", "assessmentName")),
        value,
        rationale: rationale.filter(|_| names("rationale", "rationale")),
        metadata: app.access.masked_notes(
            metadata
                .filter(|_| names("metadata", "metadata"))
                .unwrap_or_default(),
        ),
    };
    let trace = app.access.writable_trace(&trace)?;
    let revising = app.traces.revise_assessment(&caller, &trace, &id, revision);
    answer(&trace, &revising.await?)
}

pub(super) async fn delete(
    State(app): State<App>,
    By(caller): By,
    Path((trace, id)): Path<(String, String)>,
) -> Answer {
    let Ok(trace) = app.access.writable_trace(&trace) else {
        // Deleting what is not there is no fault, but what belongs to others is not to be touched.
        let trace = parse_trace_id(&trace)?;
        if app.traces.find_trace(&trace).await?.is_none() {
            return Ok(empty());
        }
        return Err(RequestError::NotOfThisRun {
            what: format!("trace {trace}"),
        });
    };
    app.traces.delete_assessment(&caller, &trace, &id).await?;
    Ok(empty())
}
