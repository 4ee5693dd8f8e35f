//! What a replayed command sees at the recorded paths.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use capture::code::SharedObjects;
use capture::trace::{Bind, check_binds};
use entities::{Recipe, RecordedPath};
use provenance::{InputInstead, InputNotGivenBack};

use super::environment::Chosen;
use super::outside::{Sources, Staged};
use super::{inputs, outside};
use crate::launch::Stage;
use crate::run::set_variable;
use crate::{ExecutorError, OutsideFile};

/// What a replayed command is shown, and what that means for the verdict.
pub(super) struct LaidOut {
    pub(super) stage: Stage,
    pub(super) notes: Vec<String>,
    pub(super) not_given_back: Vec<InputNotGivenBack>,
}

/// Plans the mounts that show a fresh directory at the recorded path of the project, and what is to be as it was
/// outside of it.
///
/// The order counts: what is mounted later may stand inside what was mounted before.
pub(super) fn lay_out(
    sources: &Sources<'_>,
    directory: &Path,
    chosen: &Chosen,
    shared_objects: Vec<SharedObjects>,
) -> Result<LaidOut, ExecutorError> {
    let root = sources.manifest.recipe.project_root.to_path();
    let Staged {
        mut binds,
        notes,
        given,
        left_out,
    } = outside::stage(sources, directory)?;
    binds.push(Bind::new(directory, &root));
    // The project's own repository is covered by that of the fresh directory.
    for SharedObjects { objects, inside } in shared_objects {
        binds.push(Bind::new(objects, root.join(inside)));
    }
    if let Some((source, seen)) = &chosen.shown {
        binds.push(Bind::new(source, seen));
    }
    let mut not_given_back: Vec<_> = sources
        .lost
        .iter()
        .filter_map(|lost| lost.verdict(left_out.contains(&lost.place)))
        .collect();
    for file in sources.restored {
        // What is there unchanged need not be shown.
        if given.contains(&file.path) || is_same(file)? {
            continue;
        }
        if file.restored.is_symlink() {
            not_given_back.push(not_shown(file));
        } else {
            binds.push(Bind::new(&file.restored, &file.path));
        }
    }
    check_binds(&binds)?;
    Ok(LaidOut {
        stage: Stage {
            seen_root: root,
            real_root: directory.to_owned(),
            binds,
            ..Stage::default()
        },
        notes,
        not_given_back,
    })
}

/// Whether what stands at an input's path today is what was restored of it.
fn is_same(file: &OutsideFile) -> Result<bool, ExecutorError> {
    let unread = |error| ExecutorError::io("read", &file.restored, error);
    if file.restored.is_symlink() {
        let recorded = std::fs::read_link(&file.restored).map_err(unread)?;
        return Ok(std::fs::read_link(&file.path).is_ok_and(|today| today == recorded));
    }
    let recorded = inputs::digest(&file.restored).map_err(unread)?;
    Ok(inputs::has_digest(&file.path, recorded))
}

/// An input that is on record, and for which nothing can be mounted.
fn not_shown(file: &OutsideFile) -> InputNotGivenBack {
    InputNotGivenBack {
        path: RecordedPath::new(&file.path),
        reason: None,
        instead: if file.path.symlink_metadata().is_ok() {
            InputInstead::TodaysFile
        } else {
            InputInstead::Nothing
        },
    }
}

/// What a replay that can be shown nothing does to places outside the project, and is not given.
pub(super) fn leave_outside(sources: &Sources<'_>, stage: Stage) -> Result<LaidOut, ExecutorError> {
    let lost = sources.lost.iter();
    let mut not_given_back: Vec<_> = lost.filter_map(|lost| lost.verdict(false)).collect();
    for file in sources.restored {
        if !is_same(file)? {
            not_given_back.push(not_shown(file));
        }
    }
    let changed = outside::list_changed(sources)?;
    let names: Vec<_> = changed
        .iter()
        .take(3)
        .map(|change| format!("`{}`", RecordedPath::new(&change.path)))
        .collect();
    let more = if changed.len() > names.len() {
        " and others"
    } else {
        ""
    };
    let note = format!(
        "what it does to files outside the project it does to the real ones, {}{more} among them",
        names.join(", ")
    );
    Ok(LaidOut {
        stage,
        notes: if names.is_empty() {
            Vec::new()
        } else {
            vec![note]
        },
        not_given_back,
    })
}

/// Where nothing can be mounted: starts the command in the fresh directory, with the program and the search path of
/// the environment that was chosen.
pub(super) fn adapt(
    recipe: &Recipe,
    directory: &Path,
    chosen: &Chosen,
    command: &mut [OsString],
    variables: &mut Vec<(OsString, OsString)>,
) -> Stage {
    let mut replaced: Vec<(PathBuf, PathBuf)> = Vec::new();
    // The environment may stand inside the project, so it is looked at first.
    replaced.extend(
        chosen
            .shown
            .iter()
            .map(|(source, seen)| (seen.clone(), source.clone())),
    );
    replaced.push((recipe.project_root.to_path(), directory.to_owned()));
    let stage = Stage {
        seen_root: directory.to_owned(),
        real_root: directory.to_owned(),
        replaced,
        ..Stage::default()
    };
    if let Some(program) = command.first_mut() {
        *program = stage.in_place_of(Path::new(program)).into_os_string();
    }
    for name in ["PATH", "VIRTUAL_ENV", "PYTHONPATH"] {
        let value = variables.iter().find(|(known, _)| known == name);
        let Some(folders) = value.map(|(_, value)| value.clone()) else {
            continue;
        };
        let folders = std::env::split_paths(&folders).map(|folder| stage.in_place_of(&folder));
        if let Ok(folders) = std::env::join_paths(folders) {
            set_variable(variables, name, folders);
        }
    }
    stage
}

impl Stage {
    /// What stands in for a recorded path where nothing can be mounted.
    pub(super) fn in_place_of(&self, path: &Path) -> PathBuf {
        for (recorded, real) in &self.replaced {
            if let Ok(rest) = path.strip_prefix(recorded) {
                return if rest.as_os_str().is_empty() {
                    real.clone()
                } else {
                    real.join(rest)
                };
            }
        }
        path.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nothing_is_mounted_the_environment_comes_before_the_project_around_it() {
        let stage = Stage {
            replaced: vec![
                ("/p/.venv".into(), "/cache/e".into()),
                ("/p".into(), "/fresh".into()),
            ],
            ..Stage::default()
        };
        for (recorded, real) in [
            ("/p/.venv/bin/python", "/cache/e/bin/python"),
            ("/p/train.py", "/fresh/train.py"),
            ("/p", "/fresh"),
            ("/px", "/px"),
        ] {
            assert_eq!(stage.in_place_of(Path::new(recorded)), Path::new(real));
        }
    }
}
