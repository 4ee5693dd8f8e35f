//! What a replayed command sees at the recorded paths.

use std::path::Path;

use capture::trace::Bind;
use entities::{ObjectId, Recipe};

use super::environment::Chosen;
use crate::launch::Stage;
use crate::{ExecutorError, Restored};

/// Plans the mounts that show a fresh directory at the recorded path of the project, and in it what is not code.
///
/// The order counts: what is mounted later may stand inside what was mounted before.
pub(super) fn lay_out(
    recipe: &Recipe,
    directory: &Path,
    chosen: &Chosen,
    restored: &Restored,
) -> Result<Stage, ExecutorError> {
    let root = recipe.project_root.to_path();
    let mut binds = vec![Bind {
        source: directory.to_owned(),
        target: root.clone(),
    }];
    if let Some((source, seen)) = &chosen.shown {
        binds.push(Bind {
            source: source.clone(),
            target: seen.clone(),
        });
    }
    for file in &restored.outside {
        let recorded = digest(&file.restored)
            .map_err(|error| ExecutorError::io("read", &file.restored, error))?;
        // What is there unchanged need not be shown; what has changed or is gone must be.
        if digest(&file.path).ok() != Some(recorded) {
            binds.push(Bind {
                source: file.restored.clone(),
                target: file.path.clone(),
            });
        }
    }
    Ok(Stage {
        seen_root: root,
        real_root: directory.to_owned(),
        binds,
        ..Stage::default()
    })
}

fn digest(path: &Path) -> std::io::Result<ObjectId> {
    cas::digest_reader(&mut std::fs::File::open(path)?).map(|(object, _)| object)
}
