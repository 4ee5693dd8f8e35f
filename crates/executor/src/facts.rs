//! Everything that is known of a run, read from store and objects.

use std::collections::BTreeSet;

use cas::{Cas, CasError};
use entities::{FileTrees, NotKept, ObjectId, Recipe, Record, RecordedPath, Run};
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
            is_open: run.ended_at.is_none(),
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

/// Every object that a run's manifest refers to.
#[derive(Clone, Debug, Default)]
pub struct RunObjects {
    /// All of them: recipe, record, trees and files.
    pub objects: BTreeSet<ObjectId>,
    /// Those of which only the digest was kept.
    pub not_kept: BTreeSet<ObjectId>,
    /// Recipe, record and trees that are not there; what they alone refer to is not among the objects.
    pub missing: Vec<ObjectId>,
}

/// Lists every object that a run's manifest refers to, the objects of all its trees included, as far as it is there.
pub fn list_objects_of_run(cas: &Cas, run: &Run) -> Result<RunObjects, ExecutorError> {
    let mut all = RunObjects::default();
    if let Some(recipe) = all.read_part::<Recipe>(cas, run, run.recipe)? {
        all.add_trees(
            cas,
            [
                Some(recipe.code.tree),
                recipe.inputs.project,
                recipe.inputs.outside,
            ],
        )?;
        let patch = recipe.code.git.as_ref().and_then(|git| git.patch);
        let input = recipe.standard_input.as_ref().map(|input| input.object);
        all.objects.extend([patch, input].into_iter().flatten());
        let environment = &recipe.environment;
        let others = environment.others.iter().flat_map(|other| &other.python);
        let pylocks = environment.python.iter().chain(others);
        all.objects.extend(pylocks.map(|python| python.pylock));
        all.add_not_kept(&recipe.code.not_kept);
        all.add_not_kept(&recipe.inputs.not_kept);
    }
    if let Some(record) = all.read_part::<Record>(cas, run, run.record)? {
        all.add_trees(cas, [record.outputs.project, record.outputs.outside])?;
        let single = [record.environment_files, record.stdout, record.stderr];
        all.objects.extend(single.into_iter().flatten());
        all.add_not_kept(&record.outputs.not_kept);
    }
    Ok(all)
}

impl RunObjects {
    fn read_part<T: DeserializeOwned>(
        &mut self,
        cas: &Cas,
        run: &Run,
        part: Option<ObjectId>,
    ) -> Result<Option<T>, ExecutorError> {
        let Some(object) = part else {
            return Ok(None);
        };
        self.objects.insert(object);
        match read_part(cas, run, object) {
            Err(ExecutorError::Objects(CasError::Missing { .. })) => {
                self.missing.push(object);
                Ok(None)
            }
            part => part.map(Some),
        }
    }

    fn add_trees<const N: usize>(
        &mut self,
        cas: &Cas,
        trees: [Option<ObjectId>; N],
    ) -> Result<(), ExecutorError> {
        for tree in trees.into_iter().flatten() {
            let missing = cas.walk_tree(&tree, &mut |object| {
                self.objects.insert(object);
            })?;
            self.missing.extend(missing);
        }
        Ok(())
    }

    fn add_not_kept(&mut self, files: &[NotKept]) {
        self.not_kept
            .extend(files.iter().filter_map(|file| file.object));
    }
}
