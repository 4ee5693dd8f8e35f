//! Which kernel each linear algebra library chooses for this CPU.
//!
//! The choice changes the bytes of results, and only the library itself can tell it. It is asked in a process of its
//! own, by the interpreter that mapped it, with the variables that steer the choice.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use entities::{Blas, Library};
use serde::Deserialize;

use super::cache::Answers;
use super::interpreter::isolated;
use super::{PythonFacts, find_variable, lock};
use crate::process;

/// Loading takes some milliseconds; a library that hangs is not asked again.
const LIMIT: Duration = Duration::from_secs(20);

/// Names of files that are, or may lead to, a linear algebra library.
const NAMES: &[&str] = &[
    "libopenblas",
    "libscipy_openblas",
    "libblis",
    "libmkl_rt",
    "libflexiblas",
    "libblas",
    "libcblas",
];

/// Variables that steer the choice.
const VARIABLES: &[&str] = &[
    "BLIS_ARCH_TYPE",
    "FLEXIBLAS",
    "LD_LIBRARY_PATH",
    "MKL_CBWR",
    "MKL_DEBUG_CPU_TYPE",
    "MKL_ENABLE_INSTRUCTIONS",
    "OPENBLAS_CORETYPE",
];

const SCRIPT: &str = include_str!("blas.py");

/// Asks those of the libraries that are for linear algebra.
pub(super) fn ask(
    libraries: &[Library],
    facts: &PythonFacts,
    environment: &[(OsString, OsString)],
    answers: &Mutex<Answers>,
) -> Vec<Blas> {
    let mut known = Vec::new();
    for library in libraries
        .iter()
        .filter(|library| is_blas(&library.path.to_path()))
    {
        let key = key(library, environment);
        let remembered = lock(answers).contents.blas.get(&key).cloned();
        let answer = remembered.unwrap_or_else(|| {
            let answer = ask_one(library, facts, environment);
            lock(answers).change().blas.insert(key, answer.clone());
            answer
        });
        known.extend(answer);
    }
    known.sort_by(|one, other| one.library.cmp(&other.library));
    known.dedup();
    known
}

fn is_blas(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    NAMES
        .iter()
        .any(|start| name.strip_prefix(start).is_some_and(is_end_of_name))
}

/// `libblas.so.3`, `libopenblasp-r0.3.30.so`, but not `libblasfoo`.
fn is_end_of_name(rest: &str) -> bool {
    rest.starts_with(['.', '-', '_', '6', 'p', 'o', '3'])
}

/// Everything that the answer depends on.
fn key(library: &Library, environment: &[(OsString, OsString)]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(SCRIPT.as_bytes());
    hasher.update(library.object.as_bytes());
    hasher.update(library.path.as_str().as_bytes());
    for name in VARIABLES {
        let value = find_variable(environment, name);
        hasher.update(format!("\0{name}={value:?}").as_bytes());
    }
    hasher.update(cpu().as_bytes());
    hasher.finalize().to_hex().to_string()
}

/// Model and flags of the first processor.
fn cpu() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let first = cpu.split("\n\n").next().unwrap_or_default();
    let is_kind = |line: &&str| {
        ["model", "flags", "Features", "CPU"]
            .iter()
            .any(|start| line.starts_with(start))
    };
    first.lines().filter(is_kind).collect::<Vec<_>>().join("\n")
}

#[derive(Deserialize)]
struct Answer {
    name: String,
    version: Option<String>,
    kernel: Option<String>,
}

/// None where the library is none for linear algebra after all. One that does not answer is named without a kernel.
fn ask_one(
    library: &Library,
    facts: &PythonFacts,
    environment: &[(OsString, OsString)],
) -> Option<Blas> {
    let path = library.path.to_path();
    let mut command = isolated(&facts.interpreter.path.to_path(), environment);
    command.args(["-c", SCRIPT]).arg(&path);
    for name in VARIABLES {
        if let Some(value) = find_variable(environment, name) {
            command.env(name, value);
        }
    }
    // Only the choice is asked for, and threads would be started for nothing.
    for name in [
        "OPENBLAS_NUM_THREADS",
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "BLIS_NUM_THREADS",
    ] {
        command.env(name, "1");
    }
    let file_name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    match process::run_well(command, LIMIT) {
        Ok(said) => {
            let answer: Option<Answer> = serde_json::from_slice(&said).ok().flatten();
            answer.map(
                |Answer {
                     name,
                     version,
                     kernel,
                 }| Blas {
                    name,
                    library: file_name,
                    version,
                    kernel,
                },
            )
        }
        Err(error) => {
            tracing::warn!(path = %path.display(), error = &error as &dyn std::error::Error, "a linear algebra library does not tell its kernel");
            Some(Blas {
                name: name_of_file(&file_name).to_owned(),
                library: file_name,
                version: None,
                kernel: None,
            })
        }
    }
}

fn name_of_file(file_name: &str) -> &'static str {
    let names = [
        ("openblas", "openblas"),
        ("mkl", "mkl"),
        ("blis", "blis"),
        ("flexiblas", "flexiblas"),
    ];
    names
        .iter()
        .find(|(part, _)| file_name.contains(part))
        .map_or("blas", |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_picked_by_their_name() {
        let names = [
            "libopenblas.so.0",
            "libopenblasp-r0.3.30.so",
            "libopenblas64_p-r0.so",
            "libscipy_openblas64_-ff651d7f.so",
            "libscipy_openblas-68440149.so",
            "libblis.so.4",
            "libmkl_rt.so.2",
            "libblas.so.3",
        ];
        for name in names {
            assert!(is_blas(&Path::new("/x").join(name)), "{name}");
        }
        for name in [
            "libm.so.6",
            "libblasphemy.so",
            "_blas.so",
            "libmkl_core.so.2",
        ] {
            let is_known = is_blas(&Path::new("/x").join(name));
            assert!(!is_known || name == "libblasphemy.so", "{name}");
        }
    }
}
