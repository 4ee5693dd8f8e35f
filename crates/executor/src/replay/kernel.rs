//! Pinning the kernel of the linear algebra library on another CPU.

use std::ffi::OsString;

use entities::{Host, Recipe, Record};

use crate::run::set_variable;

/// OpenBLAS's kernels and what a CPU needs to run each.
///
/// *Source*: `dynamic.c` of OpenBLAS, which chooses the kernel by these features.
const OPENBLAS_KERNELS: &[(&str, &[&str])] = &[
    ("Prescott", &["pni"]),
    ("Core2", &["ssse3"]),
    ("Penryn", &["sse4_1"]),
    ("Dunnington", &["sse4_1"]),
    ("Nehalem", &["sse4_2"]),
    ("Sandybridge", &["avx"]),
    ("Haswell", &["avx2", "fma"]),
    ("Zen", &["avx2", "fma"]),
    (
        "SkylakeX",
        &["avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd"],
    ),
    (
        "Cooperlake",
        &[
            "avx512f",
            "avx512bw",
            "avx512dq",
            "avx512vl",
            "avx512cd",
            "avx512_bf16",
        ],
    ),
    (
        "Sapphirerapids",
        &[
            "avx512f",
            "avx512bw",
            "avx512dq",
            "avx512vl",
            "avx512cd",
            "avx512_bf16",
            "amx_bf16",
        ],
    ),
];

const VARIABLE: &str = "OPENBLAS_CORETYPE";

/// Pins the recorded kernel where this CPU is another one and can run it.
pub(super) fn pin(
    recipe: &Recipe,
    record: &Record,
    host: &Host,
    variables: &mut Vec<(OsString, OsString)>,
    notes: &mut Vec<String>,
) {
    let is_same_cpu =
        record.host.cpu_model == host.cpu_model && record.host.cpu_flags == host.cpu_flags;
    if is_same_cpu || variables.iter().any(|(name, _)| name == VARIABLE) {
        return;
    }
    let recorded = recipe
        .environment
        .blas
        .iter()
        .find(|blas| blas.name == "openblas");
    let Some(kernel) = recorded.and_then(|blas| blas.kernel.as_deref()) else {
        return;
    };
    let needs = OPENBLAS_KERNELS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(kernel))
        .map(|(_, needs)| *needs);
    let can_run = needs.is_some_and(|needs| {
        needs
            .iter()
            .all(|flag| host.cpu_flags.iter().any(|has| has == flag))
    });
    if can_run {
        set_variable(variables, VARIABLE, kernel);
        notes.push(format!(
            "this is another CPU; OpenBLAS was pinned to the recorded kernel {kernel}"
        ));
    } else {
        notes.push(format!(
            "this is another CPU, which cannot be told to use the recorded OpenBLAS kernel {kernel}"
        ));
    }
}
