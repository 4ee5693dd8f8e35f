//! What a scorer may hold. Everything else of it is the client's own.
//!
//! *Source*: `_validate_serialized_scorer_payload` in `mlflow/server/handlers.py` and
//! `_validate_third_party_scorer_data` in `mlflow/utils/validation.py`.

use std::collections::BTreeSet;

use entities::python;
use serde_json::{Map, Value};

use crate::DatasetsError;

/// Arguments that choose where a client of a model sends its requests, and with them what it judges.
const DESTINATION_KEYS: [&str; 5] = [
    "api_base",
    "base_url",
    "custom_llm_provider",
    "fallbacks",
    "model_list",
];

/// Refuses a scorer that would do more than judge where a client loads it.
pub(crate) fn check_serialized(text: &str) -> Result<(), DatasetsError> {
    let value = python::loads(text).map_err(|_| DatasetsError::ScorerNotJson)?;
    if holds_code(&value) {
        return Err(DatasetsError::ScorerCode);
    }
    check_third_parties(&value)?;
    let Value::Object(members) = &value else {
        return Err(DatasetsError::ScorerNotObject);
    };
    find_model(members).map_or(Ok(()), check_model)
}

/// Code of a function is carried out by whoever loads the scorer, also where it stands inside of another.
fn holds_code(value: &Value) -> bool {
    match value {
        Value::Object(members) => {
            let has_code = members
                .get("call_source")
                .is_some_and(|code| !code.is_null());
            has_code || members.values().any(holds_code)
        }
        Value::Array(items) => items.iter().any(holds_code),
        _ => false,
    }
}

fn check_third_parties(value: &Value) -> Result<(), DatasetsError> {
    match value {
        Value::Object(members) => {
            if let Some(Value::Object(data)) = members.get("third_party_scorer_data") {
                check_arguments(data.get("kwargs").unwrap_or(&Value::Null))?;
            }
            members.values().try_for_each(check_third_parties)
        }
        Value::Array(items) => items.iter().try_for_each(check_third_parties),
        _ => Ok(()),
    }
}

fn check_arguments(arguments: &Value) -> Result<(), DatasetsError> {
    if !matches!(arguments, Value::Null | Value::Object(_)) {
        return Err(DatasetsError::ScorerArguments {
            kind: python::type_of(arguments),
        });
    }
    let mut found = BTreeSet::new();
    note_destinations(arguments, &mut found);
    if found.is_empty() {
        return Ok(());
    }
    let keys: Vec<_> = found.into_iter().map(python::repr).collect();
    Err(DatasetsError::ScorerDestination {
        keys: keys.join(", "),
    })
}

fn note_destinations<'v>(value: &'v Value, found: &mut BTreeSet<&'v str>) {
    let is_destination = |key: &str| DESTINATION_KEYS.contains(&key);
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                found.extend(Some(key.as_str()).filter(|key| is_destination(key)));
                note_destinations(member, found);
            }
        }
        Value::Array(items) => {
            for item in items {
                // Python's `dict` takes lists of two for members.
                if let Some([Value::String(key), _]) = item.as_array().map(Vec::as_slice) {
                    found.extend(Some(key.as_str()).filter(|key| is_destination(key)));
                }
                note_destinations(item, found);
            }
        }
        _ => {}
    }
}

/// The model that a scorer asks.
fn find_model(members: &Map<String, Value>) -> Option<&Value> {
    let part = |name: &str| {
        let part = members.get(name)?.as_object()?;
        Some(part).filter(|part| !part.is_empty())
    };
    for name in [
        "instructions_judge_pydantic_data",
        "builtin_scorer_pydantic_data",
    ] {
        if let Some(part) = part(name) {
            return part.get("model");
        }
    }
    if let Some(part) = part("memory_augmented_judge_data") {
        return find_model(part.get("base_judge")?.as_object()?);
    }
    part("third_party_scorer_data")?.get("model")
}

fn check_model(model: &Value) -> Result<(), DatasetsError> {
    let model = match model {
        Value::Null => return Ok(()),
        Value::String(model) => model,
        other => {
            return Err(DatasetsError::ScorerModel {
                kind: python::type_of(other),
            });
        }
    };
    if model.trim().is_empty() {
        return Err(DatasetsError::BlankScorerModel);
    }
    match model.strip_prefix("gateway:/") {
        Some(name) => Err(DatasetsError::NoGateway {
            name: python::repr(name.trim_start_matches('/')),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(value: &Value) -> DatasetsError {
        check_serialized(&value.to_string()).unwrap_err()
    }

    #[test]
    fn code_is_found_however_deep_it_stands() {
        let code = json!({"call_source": "return 1"});
        for scorer in [
            code.clone(),
            json!({"ensemble_scorer_data": {"scorers": [{}, code]}}),
            json!([[[code]]]),
        ] {
            assert!(matches!(refused(&scorer), DatasetsError::ScorerCode));
        }
        let none = json!({"call_source": null, "name": "call_source"});
        assert!(check_serialized(&none.to_string()).is_ok());
    }

    #[test]
    fn a_model_behind_a_gateway_is_not_there_and_others_are_not_asked_for() {
        let gateway = json!({"model": "gateway:/mine"});
        for scorer in [
            json!({"instructions_judge_pydantic_data": gateway}),
            json!({"builtin_scorer_pydantic_data": gateway}),
            json!({"third_party_scorer_data": gateway}),
            json!({"memory_augmented_judge_data": {"base_judge": {"builtin_scorer_pydantic_data": gateway}}}),
        ] {
            let said = refused(&scorer).to_string();
            assert_eq!(said, "GatewayEndpoint not found (name='mine')");
        }
        for taken in [
            json!({}),
            json!({"instructions_judge_pydantic_data": {"model": "openai:/gpt"}}),
            json!({"instructions_judge_pydantic_data": {}}),
            json!({"instructions_judge_pydantic_data": 5}),
            json!({"memory_augmented_judge_data": {"base_judge": []}}),
        ] {
            assert!(check_serialized(&taken.to_string()).is_ok(), "{taken}");
        }
    }
}
