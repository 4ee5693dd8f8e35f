//! The variables of a replayed command.

use std::ffi::OsString;

use capture::redaction::Redaction;
use entities::Recipe;

use crate::Workbench;
use crate::run::set_variable;

/// Variables as they were: recorded values, and for those of which only a digest is known, what is set now.
pub(super) fn recorded_variables(
    bench: &Workbench,
    recipe: &Recipe,
    notes: &mut Vec<String>,
) -> Vec<(OsString, OsString)> {
    let settings = &bench.settings;
    let redaction = Redaction::new(
        &settings.allowed_variables,
        &settings.secret_files,
        settings.variable_key,
    );
    let mut variables = Vec::new();
    for (name, value) in &recipe.variables.values {
        set_variable(&mut variables, name, value);
    }
    let (mut changed, mut missing) = (Vec::new(), Vec::new());
    for (name, digest) in &recipe.variables.digests {
        match bench
            .environment
            .iter()
            .find(|(now, _)| now == name.as_str())
        {
            Some((_, value)) => {
                if redaction.value_digest(value) != *digest {
                    changed.push(name.as_str());
                }
                set_variable(&mut variables, name, value);
            }
            None => missing.push(name.as_str()),
        }
    }
    if !changed.is_empty() {
        notes.push(format!(
            "variables that have another value now: {}",
            changed.join(", ")
        ));
    }
    if !missing.is_empty() {
        notes.push(format!(
            "variables that were set and are not on record: {}",
            missing.join(", ")
        ));
    }
    variables
}
