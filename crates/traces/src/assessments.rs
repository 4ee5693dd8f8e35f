//! What people, models and programs say of traces.

use std::collections::BTreeMap;

use entities::{Assessment, AssessmentValue, Caller, Change, Random, TraceId, TraceRecord};

use crate::traces::{Writing, trace_subject};
use crate::validation::{check_length, check_pairs, invalid};
use crate::{Traces, TracesError};

/// Characters in the name of an assessment.
const LONGEST_NAME: usize = 250;

/// Characters in what an assessment says, and why.
const LONGEST_VALUE: usize = 1 << 20;

/// What changes of an assessment; what is none stays.
#[derive(Clone, Debug, Default)]
pub struct AssessmentRevision {
    /// What it is called.
    pub name: Option<String>,
    /// What it says; of the kind that it is.
    pub value: Option<AssessmentValue>,
    /// Why.
    pub rationale: Option<String>,
    /// Further metadata; other keys stay.
    pub metadata: BTreeMap<String, String>,
}

impl Traces {
    /// Adds an assessment to a trace; one without an id is given one. It may replace another.
    pub async fn assess(
        &self,
        caller: &Caller,
        trace: &TraceId,
        assessment: Assessment,
    ) -> Result<Assessment, TracesError> {
        check(&assessment)?;
        let assessment = self.complete(assessment);
        if self.find(trace, &assessment.id).await?.is_some() {
            return Err(TracesError::AssessmentTaken {
                trace: trace.clone(),
                id: assessment.id,
            });
        }
        let record = TraceRecord::Assessed {
            assessment: assessment.clone(),
        };
        self.note(caller, "trace.assessed", trace, &[record])
            .await?;
        Ok(assessment)
    }

    /// Gives an id to an assessment that has none.
    pub(crate) fn complete(&self, assessment: Assessment) -> Assessment {
        let id = match assessment.id.as_str() {
            "" => draw_id(self.random()),
            _ => assessment.id,
        };
        Assessment {
            id,
            is_valid: true,
            ..assessment
        }
    }

    /// Gets an assessment.
    pub async fn get_assessment(
        &self,
        trace: &TraceId,
        id: &str,
    ) -> Result<Assessment, TracesError> {
        if let Some(found) = self.find(trace, id).await? {
            return Ok(found);
        }
        self.get_trace(trace).await?;
        Err(TracesError::NoAssessment {
            trace: trace.clone(),
            id: id.to_owned(),
        })
    }

    async fn find(&self, trace: &TraceId, id: &str) -> Result<Option<Assessment>, TracesError> {
        Ok(self.store().find_assessment(trace, id).await?)
    }

    /// Changes an assessment. Who made it, and of what, stays.
    pub async fn revise_assessment(
        &self,
        caller: &Caller,
        trace: &TraceId,
        id: &str,
        revision: AssessmentRevision,
    ) -> Result<Assessment, TracesError> {
        let AssessmentRevision {
            name,
            value,
            rationale,
            metadata,
        } = revision;
        let mut assessment = self.get_assessment(trace, id).await?;
        if let Some(value) = value {
            check_kind(&assessment.value, &value)?;
            assessment.value = value;
        }
        if let Some(name) = name {
            assessment.name = name;
        }
        if rationale.is_some() {
            assessment.rationale = rationale;
        }
        assessment.metadata.extend(metadata);
        assessment.updated_at = self.now();
        check(&assessment)?;
        let record = TraceRecord::Assessed {
            assessment: assessment.clone(),
        };
        self.note(caller, "trace.assessed", trace, &[record])
            .await?;
        Ok(assessment)
    }

    /// Deletes an assessment; the one that it replaced is valid again. Without one, nothing happens.
    pub async fn delete_assessment(
        &self,
        caller: &Caller,
        trace: &TraceId,
        id: &str,
    ) -> Result<(), TracesError> {
        if self.find(trace, id).await?.is_none() {
            return Ok(());
        }
        let writing = Writing {
            caller,
            kind: "trace.assessment_deleted",
            subjects: vec![trace_subject(trace)],
        };
        let change = Change::AssessmentDeleted {
            trace: trace.clone(),
            assessment: id.to_owned(),
        };
        self.commit(writing, vec![change]).await
    }
}

fn draw_id(random: &dyn Random) -> String {
    format!("a-{}", TraceId::random(random))
}

fn check(assessment: &Assessment) -> Result<(), TracesError> {
    if assessment.name.is_empty() {
        return Err(invalid("assessment_name", "\"\"", "It must not be empty."));
    }
    check_length("assessment_name", LONGEST_NAME, &assessment.name)?;
    check_length(
        "value",
        LONGEST_VALUE,
        &assessment.value.value().to_string(),
    )?;
    if let Some(rationale) = &assessment.rationale {
        check_length("rationale", LONGEST_VALUE, rationale)?;
    }
    check_pairs(&assessment.metadata)
}

fn check_kind(is: &AssessmentValue, given: &AssessmentValue) -> Result<(), TracesError> {
    if is.kind() == given.kind() {
        return Ok(());
    }
    let (article, kind) = match is {
        AssessmentValue::Feedback { .. } => ("a", "Feedback"),
        AssessmentValue::Expectation { .. } => ("an", "Expectation"),
        AssessmentValue::Issue { .. } => ("an", "Issue"),
    };
    Err(TracesError::OtherKind {
        given: given.kind(),
        article,
        kind,
    })
}
