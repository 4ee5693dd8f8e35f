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
    let others = environment.others.iter_mut();
    let others = others.flat_map(|other| &mut other.python);
    for python in environment.python.iter_mut().chain(others) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use entities::{Gap, RecordedPath};

    #[test]
    fn the_order_in_which_things_were_seen_does_not_change_the_fingerprint() {
        let mut shuffled = samples::recipe();
        shuffled.environment.libraries.reverse();
        let again = shuffled.environment.libraries[0].clone();
        shuffled.environment.libraries.push(again);
        shuffled
            .environment
            .python
            .as_mut()
            .unwrap()
            .distributions
            .reverse();
        assert_ne!(fingerprint(&shuffled), fingerprint(&samples::recipe()));
        let none = BTreeMap::new();
        assert_eq!(
            fingerprint(&finish_recipe(shuffled, &none)),
            fingerprint(&finish_recipe(samples::recipe(), &none))
        );
    }

    #[test]
    fn seeds_are_picked_and_those_given_are_kept() {
        let mut recipe = samples::recipe();
        recipe.seeds.insert("seed".to_owned(), "given".to_owned());
        recipe
            .variables
            .values
            .insert("PYTHONHASHSEED".to_owned(), "0".to_owned());
        let params = BTreeMap::from([
            ("seed".to_owned(), "1".to_owned()),
            ("cv.random_state".to_owned(), "7".to_owned()),
        ]);
        let seeds = finish_recipe(recipe, &params).seeds;
        let seen: Vec<_> = seeds
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        assert_eq!(
            seen,
            ["PYTHONHASHSEED=0", "cv.random_state=7", "seed=given"]
        );
    }

    #[test]
    fn a_record_names_its_recipe() {
        let recipe = samples::recipe();
        let mut other = recipe.clone();
        other.working_directory = RecordedPath::new("/elsewhere");
        let gap = |code: &str| Gap {
            code: code.to_owned(),
            message: String::new(),
        };
        let mut record = samples::record(&recipe);
        record.gaps = vec![gap("b"), gap("a"), gap("b")];
        let record = finish_record(record, &other);
        assert_eq!(record.recipe, fingerprint(&other));
        assert_eq!(record.gaps, [gap("a"), gap("b")]);
    }
}
