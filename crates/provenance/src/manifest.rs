//! The two parts of a manifest, made from what was observed.
//!
//! The structs of the vocabulary are the pieces; what is added here is the one order of every list,
//! so that two runs that did the same thing have the same bytes and hence the same fingerprint.

use std::collections::BTreeMap;

use entities::{ObjectId, Recipe, Record, canonical_json};

use crate::declared_seeds;

/// Puts a recipe into its one form: lists sorted and without repetition, seeds picked, version set.
///
/// What the caller gave as seeds is kept; those found in params and variables are added.
/// `params` are those of Reproof's own command line and of the command's, given together in `all_params`.
pub fn finish_recipe(mut recipe: Recipe, all_params: &BTreeMap<String, String>) -> Recipe {
    recipe.v = entities::MANIFEST_VERSION;
    for (key, value) in declared_seeds(all_params, &recipe.variables.values) {
        recipe.seeds.entry(key).or_insert(value);
    }
    sort_once(&mut recipe.code.not_kept);
    sort_once(&mut recipe.code.lfs_pointers);
    if let Some(git) = &mut recipe.code.git {
        git.submodules.sort_by(|a, b| a.path.cmp(&b.path));
    }
    sort_once(&mut recipe.inputs.not_kept);
    let environment = &mut recipe.environment;
    sort_once(&mut environment.libraries);
    sort_once(&mut environment.blas);
    if let Some(python) = &mut environment.python {
        // `site_packages` is a search path: its order means something and stays.
        python.distributions.sort_by(|a, b| a.name.cmp(&b.name));
        for distribution in &mut python.distributions {
            sort_once(&mut distribution.modified_files);
        }
    }
    recipe
}

/// Puts a record into its one form and ties it to its recipe.
pub fn finish_record(mut record: Record, recipe: &Recipe) -> Record {
    record.v = entities::MANIFEST_VERSION;
    record.recipe = fingerprint(recipe);
    sort_once(&mut record.outputs.not_kept);
    sort_once(&mut record.deleted);
    sort_once(&mut record.network_peers);
    sort_once(&mut record.gaps);
    sort_once(&mut record.signs);
    sort_once(&mut record.host.cpu_flags);
    record
}

/// Names what a run did: the digest of its recipe as canonical JSON, which is also the id of that object.
pub fn fingerprint(recipe: &Recipe) -> ObjectId {
    ObjectId::of(&canonical_json(recipe).expect("a recipe holds texts and whole numbers only"))
}

fn sort_once<T: Ord>(list: &mut Vec<T>) {
    list.sort();
    list.dedup();
}
