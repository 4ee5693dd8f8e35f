//! What a replayed command sees at the recorded paths.

mod staged;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use capture::code::SharedObjects;
use capture::trace::{Bind, check_binds};
use entities::{ObjectId, Recipe};

pub(super) use self::staged::remove_placeholders;
use self::staged::{Changes, Staged};
use super::environment::Chosen;
use super::inputs::StandIns;
use crate::launch::Stage;
use crate::run::set_variable;
use crate::{ExecutorError, Manifest, Restored};

/// Plans the mounts that show a fresh directory at the recorded path of the project, and in it what is not code.
///
/// The order counts: what is mounted later may stand inside what was mounted before.
///
/// *Errors*: `Capture` where the system does not show something; nothing has been started then.
pub(super) fn lay_out(
    cas: &cas::Cas,
    manifest: &Manifest,
    directory: &Path,
    chosen: &Chosen,
    prepared: FilesOf<'_>,
) -> Result<Stage, ExecutorError> {
    let root = manifest.recipe.project_root.to_path();
    let FilesOf {
        restored,
        stand_ins,
        shared_objects,
    } = prepared;
    let shown = chosen.shown.as_ref();
    let mut changes = Changes::read(cas, manifest, shown.map(|(_, seen)| seen.as_path()))?;
    let links = restored.outside.iter().filter(|file| {
        let recorded = std::fs::read_link(&file.restored);
        recorded.is_ok_and(|target| std::fs::read_link(&file.path).ok() != Some(target))
    });
    for link in links {
        changes.add_link(&link.path);
    }
    let Staged { mut binds, given } = changes.stage(directory, restored, stand_ins)?;
    binds.push(Bind::new(directory, &root));
    // The project's own repository is covered by that of the fresh directory.
    for SharedObjects { objects, inside } in shared_objects {
        binds.push(Bind::read_only(objects, root.join(inside)));
    }
    if let Some((source, seen)) = &chosen.shown {
        // It is the user's own, or one that later replays are to find as it is.
        let own = changes.copy_environment(source, seen, directory, restored)?;
        binds.push(match own {
            Some(own) => Bind::new(own, seen),
            None => Bind::read_only(source, seen),
        });
    }
    for file in &restored.outside {
        // Nothing can be mounted on a link; one in a folder that the run changed has its copy.
        let is_in_copy = changes.is_in_copied_environment(&file.path);
        if given.contains(&file.path) || is_in_copy || file.restored.is_symlink() {
            continue;
        }
        let recorded = digest(&file.restored)
            .map_err(|error| ExecutorError::io("read", &file.restored, error))?;
        // What is there unchanged need not be shown; what has changed, is gone or is hidden must be.
        if changes.hides(&file.path) || digest(&file.path).ok() != Some(recorded) {
            binds.push(Bind::new(&file.restored, &file.path));
        }
    }
    binds.append(&mut stand_ins.shown);
    let binds = in_order(binds);
    check_binds(&binds)?;
    Ok(Stage {
        seen_root: root,
        real_root: directory.to_owned(),
        binds,
        ..Stage::default()
    })
}

/// What was put into the fresh directory.
pub(super) struct FilesOf<'a> {
    pub(super) restored: &'a Restored,
    pub(super) stand_ins: &'a mut StandIns,
    pub(super) shared_objects: Vec<SharedObjects>,
}

/// Outer places before those inside them.
///
/// Of two binds at one place the later counts: an environment may stand where something else was shown.
fn in_order(binds: Vec<Bind>) -> Vec<Bind> {
    let mut by_target = BTreeMap::new();
    for bind in binds {
        by_target.insert(bind.target.clone(), bind);
    }
    let mut binds: Vec<_> = by_target.into_values().collect();
    // What is missing in the root folder changes the root, and leaves behind what was remembered before: that is last.
    binds.sort_by_key(|bind| {
        (
            is_missing_in_root(&bind.target),
            bind.target.components().count(),
        )
    });
    binds
}

fn is_missing_in_root(target: &Path) -> bool {
    let Some(top) = target.iter().nth(1) else {
        return false;
    };
    Path::new("/").join(top).symlink_metadata().is_err()
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

pub(super) fn digest(path: &Path) -> std::io::Result<ObjectId> {
    cas::digest_reader(&mut std::fs::File::open(path)?).map(|(object, _)| object)
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
