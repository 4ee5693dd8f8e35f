//! The git repository that a replayed command finds.

use std::path::{Path, PathBuf};

use capture::code::{RepositoryError, RepositoryRequest, SharedObjects, recreate_repository};
use entities::Recipe;

use crate::Workbench;

/// Makes a repository in the fresh directory at the recorded commit, where the run had one.
///
/// What keeps it from being made goes into the notes: most commands ask git nothing.
pub(super) fn recreate(
    bench: &Workbench,
    recipe: &Recipe,
    not_restored: &[PathBuf],
    directory: &Path,
    notes: &mut Vec<String>,
) -> Vec<SharedObjects> {
    let Some(state) = &recipe.code.git else {
        return Vec::new();
    };
    // A patch that is forgotten tells nothing, and then only of files that were added.
    let patch = state.patch.and_then(|patch| bench.cas.read(&patch).ok());
    let request = RepositoryRequest {
        original: &bench.project.root,
        into: directory,
        state,
        patch: patch.as_deref().unwrap_or_default(),
        not_restored,
    };
    recreate_repository(request).unwrap_or_else(|error| {
        notes.push(in_words(&error));
        Vec::new()
    })
}

fn in_words(error: &RepositoryError) -> String {
    match error {
        RepositoryError::NoCheckout { .. } => "the project is only a part of its repository, or has none today: the replay has none of its own".to_owned(),
        error => format!("there is no git repository in the replay: {error}"),
    }
}
