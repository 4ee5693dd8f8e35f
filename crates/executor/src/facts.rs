//! Everything that is known of a run, read from store and objects.

use std::collections::BTreeSet;

use cas::Cas;
use entities::{FileTrees, ObjectId, Recipe, Record, RecordedPath, Run};
use serde::de::DeserializeOwned;

use provenance::FileMap;

use crate::{ExecutorError, flatten_tree};

/// The two parts of a run's manifest.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// What is needed to do it again.
    pub recipe: Recipe,
    /// What happened.
    pub record: Record,
}

/// Reads a run's manifest.
pub fn read_manifest(cas: &Cas, run: &Run) -> Result<Manifest, ExecutorError> {
    let (Some(recipe), Some(record)) = (run.recipe, run.record) else {
        return Err(ExecutorError::NotCaptured {
            run: run.id.clone(),
        });
    };
    Ok(Manifest {
        recipe: read_part(cas, run, recipe)?,
        record: read_part(cas, run, record)?,
    })
}

fn read_part<T: DeserializeOwned>(
    cas: &Cas,
    run: &Run,
    object: ObjectId,
) -> Result<T, ExecutorError> {
    let damaged = |message: String| ExecutorError::Manifest {
        run: run.id.clone(),
        object,
        message,
    };
    let value: serde_json::Value =
        serde_json::from_slice(&cas.read(&object)?).map_err(|error| damaged(error.to_string()))?;
    match value["v"].as_u64() {
        Some(1) => {}
        version => {
            return Err(damaged(format!(
                "version {version:?} is not known here, only 1"
            )));
        }
    }
    serde_json::from_value(value).map_err(|error| damaged(error.to_string()))
}

/// Lists the files of a pair of trees: those of the project by their path in it, others by their absolute path.
pub fn list_files(cas: &Cas, trees: &FileTrees) -> Result<FileMap, ExecutorError> {
    let mut files = match &trees.project {
        Some(tree) => flatten_tree(cas, tree)?,
        None => FileMap::new(),
    };
    if let Some(tree) = &trees.outside {
        for (path, fact) in flatten_tree(cas, tree)? {
            files.insert(
                RecordedPath::new(std::path::Path::new("/").join(path.to_path())),
                fact,
            );
        }
    }
    Ok(files)
}

/// Lists all files that a manifest names: code, inputs and outputs, the later winning.
pub fn files_of_manifest(cas: &Cas, manifest: &Manifest) -> Result<FileMap, ExecutorError> {
    let mut files = flatten_tree(cas, &manifest.recipe.code.tree)?;
    files.extend(list_files(cas, &manifest.recipe.inputs)?);
    files.extend(list_files(cas, &manifest.record.outputs)?);
    Ok(files)
}

/// Adds every object that a manifest refers to, the objects of all its trees included.
pub fn objects_of_manifest(
    cas: &Cas,
    manifest: &Manifest,
    objects: &mut BTreeSet<ObjectId>,
) -> Result<(), ExecutorError> {
    let Manifest { recipe, record } = manifest;
    let trees = [
        Some(recipe.code.tree),
        recipe.inputs.project,
        recipe.inputs.outside,
        record.outputs.project,
        record.outputs.outside,
    ];
    for tree in trees.into_iter().flatten() {
        cas.walk_tree(&tree, &mut |object| {
            objects.insert(object);
        })?;
    }
    let single = [
        recipe.code.git.as_ref().and_then(|git| git.patch),
        recipe.standard_input.as_ref().map(|input| input.object),
        recipe
            .environment
            .python
            .as_ref()
            .map(|python| python.pylock),
        record.environment_files,
        record.stdout,
        record.stderr,
    ];
    objects.extend(single.into_iter().flatten());
    Ok(())
}
