//! Seeds that a run declares by name.

use std::collections::BTreeMap;

/// Picks the params and environment variables whose name is that of a seed.
///
/// Where a param and a variable have one name, the param is given: it is what the code was called with.
pub fn declared_seeds(
    params: &BTreeMap<String, String>,
    variables: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let pick =
        |(key, value): (&String, &String)| is_seed_key(key).then(|| (key.clone(), value.clone()));
    variables.iter().chain(params).filter_map(pick).collect()
}

/// Tells whether a name is that of a seed: `seed`, `random_state`, `model.init-seed`, `PYTHONHASHSEED`.
pub fn is_seed_key(key: &str) -> bool {
    let last = key.rsplit(['.', '/', ':']).next().unwrap_or(key);
    let name = last.to_ascii_lowercase().replace('-', "_");
    matches!(
        name.as_str(),
        "seed" | "seeds" | "random_state" | "randomstate" | "rng" | "pythonhashseed"
    ) || name.starts_with("seed_")
        || name.ends_with("_seed")
        || name.ends_with("_random_state")
        || matches!(name.as_str(), "randomseed" | "rngseed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_seeds_are_known() {
        for key in [
            "seed",
            "--seed",
            "model.seed",
            "random-state",
            "PYTHONHASHSEED",
            "PL_GLOBAL_SEED",
            "seed_data",
            "cv/random_state",
            "Seed",
        ] {
            let key = key.trim_start_matches('-');
            assert!(is_seed_key(key), "{key}");
        }
        for key in [
            "seedling",
            "reseed",
            "speed",
            "seed.count",
            "state",
            "random",
            "linseed",
        ] {
            assert!(!is_seed_key(key), "{key}");
        }
    }

    #[test]
    fn a_param_wins_over_a_variable() {
        let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect()
        };
        let found = declared_seeds(
            &map(&[("seed", "1"), ("lr", "2")]),
            &map(&[("seed", "9"), ("PYTHONHASHSEED", "0"), ("HOME", "/h")]),
        );
        assert_eq!(found, map(&[("seed", "1"), ("PYTHONHASHSEED", "0")]));
    }
}
