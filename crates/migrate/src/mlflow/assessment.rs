//! What assessments say, in MLflow's words.
//!
//! *Source*: `SqlAssessments.to_mlflow_entity` in `mlflow/store/tracking/dbmodels/models.py`, and
//! `mlflow/entities/assessment_source.py`.

use std::collections::{BTreeMap, BTreeSet};

use entities::{Assessment, AssessmentError, AssessmentSource, AssessmentValue, python};
use serde_json::{Map, Value};

use super::json::bounded;

/// The metadata that names the run in which somebody assessed.
pub(crate) const SOURCE_RUN_KEY: &str = "mlflow.assessment.sourceRunId";

/// Who assessed; a word that MLflow's clients do not know is none, since they could not read the whole trace.
pub(super) fn source_of(word: &str, id: Option<String>) -> Result<AssessmentSource, String> {
    let kind = match word.to_uppercase().as_str() {
        "AI_JUDGE" => "LLM_JUDGE".to_owned(),
        known @ ("HUMAN" | "LLM_JUDGE" | "CODE" | "SOURCE_TYPE_UNSPECIFIED") => known.to_owned(),
        _ => return Err(format!("its source `{word}` is none")),
    };
    let id = id.filter(|id| !id.is_empty());
    Ok(AssessmentSource { kind, id })
}

/// What an assessment of a kind says.
pub(super) fn value_of(
    kind: &str,
    value: Value,
    error: Option<Value>,
) -> Result<AssessmentValue, String> {
    match kind {
        "feedback" => Ok(AssessmentValue::Feedback {
            value: bounded(value),
            error: error
                .filter(|error| !error.is_null())
                .map(error_of)
                .transpose()?,
        }),
        "expectation" => Ok(AssessmentValue::Expectation {
            value: bounded(value),
        }),
        "issue" => match value.get("issue_name").and_then(Value::as_str) {
            Some(issue) => Ok(AssessmentValue::Issue {
                issue: issue.to_owned(),
            }),
            None => Err("it names no issue".to_owned()),
        },
        _ => Err(format!("an assessment of the kind `{kind}` is not known")),
    }
}

fn error_of(error: Value) -> Result<AssessmentError, String> {
    let Value::Object(mut members) = error else {
        return Err("its error is no object".to_owned());
    };
    let mut text = |key: &str| match members.swap_remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("of its error, `{key}` is no text")),
    };
    Ok(AssessmentError {
        code: text("error_code")?,
        message: text("error_message")?,
        stack_trace: text("stack_trace")?,
    })
}

/// Metadata, each value as the text that MLflow's protocol makes of it, with the run in which somebody assessed.
pub(super) fn metadata_of(
    told: Option<Value>,
    run: Option<String>,
) -> Result<BTreeMap<String, String>, String> {
    let told = match told {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(members)) => members,
        Some(_) => return Err("its metadata are no object".to_owned()),
    };
    let told = told.into_iter();
    let mut metadata: BTreeMap<_, _> = told.map(|(key, value)| (key, text_of(value))).collect();
    if let Some(run) = run.filter(|run| !run.is_empty()) {
        metadata.entry(SOURCE_RUN_KEY.to_owned()).or_insert(run);
    }
    Ok(metadata)
}

/// A value as Python's `str` writes it.
fn text_of(value: Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::String(text) => text,
        other => python::dumps(&other),
    }
}

/// Oldest first, but each after the one that it replaces, which is there when it is replaced.
///
/// *Cost*: that of sorting.
pub(super) fn in_order(mut assessments: Vec<Assessment>) -> Vec<Assessment> {
    assessments.sort_by(|one, other| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));
    let places: BTreeMap<&str, usize> = assessments
        .iter()
        .enumerate()
        .map(|(place, assessment)| (assessment.id.as_str(), place))
        .collect();
    let mut ordered = Vec::with_capacity(assessments.len());
    let mut seen = BTreeSet::new();
    for first in 0..assessments.len() {
        // From one to the one that it replaces, and so on: at the end of the chain stands the oldest.
        let mut chain = Vec::new();
        let mut next = Some(first);
        while let Some(place) = next.filter(|place| seen.insert(*place)) {
            chain.push(place);
            let replaced = assessments[place].overrides.as_deref();
            next = replaced.and_then(|id| places.get(id).copied());
        }
        ordered.extend(chain.into_iter().rev());
    }
    let mut left: Vec<_> = assessments.into_iter().map(Some).collect();
    let ordered = ordered.into_iter();
    ordered.filter_map(|place| left[place].take()).collect()
}

#[cfg(test)]
mod tests {
    use entities::Timestamp;
    use serde_json::json;

    use super::*;

    fn assessment(id: &str, at: i64, overrides: Option<&str>) -> Assessment {
        Assessment {
            id: id.to_owned(),
            name: "n".to_owned(),
            value: AssessmentValue::Expectation { value: json!(1) },
            source: source_of("human", None).unwrap(),
            rationale: None,
            metadata: BTreeMap::new(),
            span: None,
            created_at: Timestamp::from_millis(at),
            updated_at: Timestamp::from_millis(at),
            overrides: overrides.map(str::to_owned),
            is_valid: true,
        }
    }

    fn order(given: &[(&str, i64, Option<&str>)]) -> String {
        let given = given
            .iter()
            .map(|(id, at, overrides)| assessment(id, *at, *overrides));
        let ids: Vec<_> = in_order(given.collect())
            .into_iter()
            .map(|found| found.id)
            .collect();
        ids.join(" ")
    }

    #[test]
    fn assessments_come_oldest_first_and_after_what_they_replace() {
        assert_eq!(
            order(&[("b", 2, None), ("a", 1, None), ("c", 1, None)]),
            "a c b"
        );
        // All within one millisecond, and even before the one that is replaced.
        assert_eq!(
            order(&[("a", 1, Some("b")), ("b", 1, Some("c")), ("c", 1, None)]),
            "c b a"
        );
        assert_eq!(
            order(&[("a", 1, Some("b")), ("b", 9, None), ("c", 2, None)]),
            "b a c"
        );
        assert_eq!(order(&[("a", 1, Some("gone"))]), "a");
        // Rings, which MLflow cannot make, end.
        assert_eq!(order(&[("a", 1, Some("a"))]), "a");
        assert_eq!(
            order(&[
                ("a", 1, Some("b")),
                ("b", 2, Some("a")),
                ("c", 3, Some("a"))
            ]),
            "b a c"
        );
        assert_eq!(order(&[]), "");
    }

    #[test]
    fn a_long_chain_needs_no_deep_stack() {
        let ids: Vec<_> = (0..20_000).map(|number| number.to_string()).collect();
        let given = ids.iter().enumerate().map(|(at, id)| {
            assessment(
                id,
                -(at as i64),
                ids.get(at.wrapping_sub(1)).map(String::as_str),
            )
        });
        let ordered = in_order(given.collect());
        assert_eq!(ordered[0].id, "0");
        assert_eq!(ordered.last().unwrap().id, "19999");
    }

    #[test]
    fn values_of_each_kind_are_read() {
        let error = json!({"error_code": "E", "error_message": null});
        let feedback = value_of("feedback", json!(null), Some(error)).unwrap();
        let AssessmentValue::Feedback {
            error: Some(error), ..
        } = feedback
        else {
            panic!("{feedback:?}")
        };
        assert_eq!((error.code.as_deref(), error.message), (Some("E"), None));
        assert!(value_of("expectation", json!({"a": [1]}), None).is_ok());
        let issue = value_of("issue", json!({"issue_name": "slow"}), None).unwrap();
        assert_eq!(issue.value(), json!("slow"));
    }

    #[test]
    fn what_stands_there_otherwise_is_refused() {
        assert!(value_of("other", json!(1), None).is_err());
        assert!(value_of("feedback", json!(1), Some(json!("text"))).is_err());
        assert!(value_of("feedback", json!(1), Some(json!({"error_code": 5}))).is_err());
        for wrong in [
            json!(null),
            json!("slow"),
            json!({}),
            json!({"issue_name": 1}),
        ] {
            assert!(value_of("issue", wrong, None).is_err());
        }
        assert!(source_of("robot", None).is_err());
        assert!(metadata_of(Some(json!([1])), None).is_err());
    }

    #[test]
    fn metadata_are_texts_as_python_makes_them() {
        let told = json!({"a": "x", "b": true, "c": null, "d": 1.0, "e": {"f": [1]}});
        let metadata = metadata_of(Some(told), Some("r".to_owned())).unwrap();
        let values: Vec<_> = metadata.values().map(String::as_str).collect();
        assert_eq!(values, ["x", "True", "None", "1.0", "{\"f\": [1]}", "r"]);
        let told = json!({SOURCE_RUN_KEY: "other"});
        assert_eq!(
            metadata_of(Some(told), Some("r".to_owned())).unwrap()[SOURCE_RUN_KEY],
            "other"
        );
        assert!(metadata_of(None, None).unwrap().is_empty());
        assert_eq!(
            source_of("ai_judge", Some(String::new())).unwrap().kind,
            "LLM_JUDGE"
        );
    }
}
