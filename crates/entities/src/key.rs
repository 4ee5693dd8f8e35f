//! What may be a key: of a metric, a param, a tag.

use crate::python;

const BAD_CHARACTERS: &str = "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and slashes (/).";

/// Says in MLflow's words why a text may not be a key: it may become the name of a file. None where it may.
///
/// *Source*: `_validate_metric_name` and its siblings in `mlflow/utils/validation.py`.
pub fn key_fault(key: &str) -> Option<String> {
    let is_allowed = |character: char| character.is_alphanumeric() || "/_.- :".contains(character);
    if key.chars().all(is_allowed) {
        path_fault(key)
    } else {
        Some(BAD_CHARACTERS.to_owned())
    }
}

/// Says in MLflow's words why a text, taken for a path, would be another path. None where it is the same.
pub fn path_fault(name: &str) -> Option<String> {
    // Nearly all: neither a folder, nor a dot to begin with.
    if !name.is_empty() && !name.starts_with('.') && !name.contains('/') {
        return None;
    }
    let normal = python::normpath(name);
    let leads_away = normal == "." || normal.starts_with("..") || normal.starts_with('/');
    (normal != name || leads_away).then(|| {
        format!(
            "Names may be treated as files in certain cases, and must not resolve to other names when treated as such. This name would resolve to {}",
            python::repr(&normal)
        )
    })
}
