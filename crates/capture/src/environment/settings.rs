//! Variables that change how a program computes without being part of it.

use std::collections::BTreeMap;
use std::ffi::OsString;

use entities::RecordedPath;

/// Variables by which programs are told how many threads to use, and where.
const THREADS: &[&str] = &[
    "BLIS_NUM_THREADS",
    "GOMP_CPU_AFFINITY",
    "GOTO_NUM_THREADS",
    "JULIA_NUM_THREADS",
    "KMP_AFFINITY",
    "LOKY_MAX_CPU_COUNT",
    "MKL_DOMAIN_NUM_THREADS",
    "MKL_DYNAMIC",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_MAX_THREADS",
    "NUMEXPR_NUM_THREADS",
    "OMP_DYNAMIC",
    "OMP_NUM_THREADS",
    "OMP_PLACES",
    "OMP_PROC_BIND",
    "OMP_SCHEDULE",
    "OMP_THREAD_LIMIT",
    "OPENBLAS_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "RAYON_NUM_THREADS",
    "TBB_NUM_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "VECLIB_MAXIMUM_THREADS",
];

pub(super) fn threads(environment: &[(OsString, OsString)]) -> BTreeMap<String, String> {
    pick(environment, |name| THREADS.contains(&name))
}

pub(super) fn locale(environment: &[(OsString, OsString)]) -> BTreeMap<String, String> {
    pick(environment, |name| {
        matches!(name, "LANG" | "LANGUAGE") || name.starts_with("LC_")
    })
}

fn pick(
    environment: &[(OsString, OsString)],
    is_wanted: impl Fn(&str) -> bool,
) -> BTreeMap<String, String> {
    let named = environment
        .iter()
        .filter_map(|(name, value)| Some((name.to_str()?, value)));
    let wanted = named.filter(|(name, _)| is_wanted(name));
    wanted
        .map(|(name, value)| {
            (
                name.to_owned(),
                RecordedPath::new(value).as_str().to_owned(),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_set_is_told() {
        let pairs = [
            ("LANG", "C"),
            ("LC_ALL", "de_DE"),
            ("OMP_NUM_THREADS", "2"),
            ("LCX", "1"),
            ("SECRET", "x"),
        ];
        let environment: Vec<_> = pairs
            .map(|(name, value)| (name.into(), value.into()))
            .into();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            locale(&environment),
            BTreeMap::from([pair("LANG", "C"), pair("LC_ALL", "de_DE")])
        );
        assert_eq!(
            threads(&environment),
            BTreeMap::from([pair("OMP_NUM_THREADS", "2")])
        );
    }
}
