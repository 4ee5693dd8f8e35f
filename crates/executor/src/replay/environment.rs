//! Which Python environment a replay is shown.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use capture::digests::DigestCache;
use capture::environment::Probe;
use entities::{Interpreter, PythonEnvironment, Recipe, Sha256Digest};

use super::ReplayEnvironment;
use crate::rebuild::rebuild;
use crate::{ExecutorError, Workbench};

/// The environment that was chosen.
pub(super) struct Chosen {
    /// `current` or `rebuilt`.
    pub(super) word: &'static str,
    /// A folder of ours and the path at which the command must see it; none where it sees it anyway.
    pub(super) shown: Option<(PathBuf, PathBuf)>,
    pub(super) notes: Vec<String>,
}

pub(super) fn choose(
    bench: &Workbench,
    recipe: &Recipe,
    choice: Option<ReplayEnvironment>,
) -> Result<Chosen, ExecutorError> {
    let environment = &recipe.environment;
    let (Some(interpreter), Some(python)) = (&environment.interpreter, &environment.python) else {
        return Ok(Chosen {
            word: "current",
            shown: None,
            notes: Vec::new(),
        });
    };
    let installed = match choice {
        Some(ReplayEnvironment::Rebuild) => None,
        _ => installed_digest(bench, interpreter)?,
    };
    let is_same = installed == Some(python.content_digest);
    if is_same || choice == Some(ReplayEnvironment::Current) {
        let mut notes = Vec::new();
        if !is_same {
            notes.push(
                "the installed packages are not the recorded ones, and were used as asked"
                    .to_owned(),
            );
        }
        return Ok(Chosen {
            word: "current",
            shown: current(recipe, interpreter),
            notes,
        });
    }
    let prefix = rebuild(bench, interpreter, python)?;
    let rebuilt = digest_of(bench, &prefix.join("bin/python"))?;
    let mut notes = Vec::new();
    if rebuilt != Some(python.content_digest) {
        notes.push(
            "the rebuilt packages have the recorded versions and another content: some were changed after they were installed, or the index serves other files"
                .to_owned(),
        );
    }
    Ok(Chosen {
        word: "rebuilt",
        shown: Some(place(interpreter, python, prefix)),
        notes,
    })
}

/// An environment inside the project is hidden by the fresh directory unless it is shown there again.
fn current(recipe: &Recipe, interpreter: &Interpreter) -> Option<(PathBuf, PathBuf)> {
    let prefix = interpreter.prefix.to_path();
    let is_hidden = prefix.starts_with(recipe.project_root.to_path()) && prefix.is_dir();
    is_hidden.then(|| (prefix.clone(), prefix))
}

/// Where a rebuilt environment must be seen: a virtual environment as a whole, else only its packages, since the
/// prefix holds the interpreter itself.
fn place(
    interpreter: &Interpreter,
    python: &PythonEnvironment,
    prefix: PathBuf,
) -> (PathBuf, PathBuf) {
    let is_virtual = interpreter.prefix != interpreter.base_prefix;
    match python.site_packages.first() {
        Some(site_packages) if !is_virtual => (
            site_packages_of(&prefix, interpreter),
            site_packages.to_path(),
        ),
        _ => (prefix, interpreter.prefix.to_path()),
    }
}

fn site_packages_of(prefix: &std::path::Path, interpreter: &Interpreter) -> PathBuf {
    let minor: Vec<_> = interpreter.version.split('.').take(2).collect();
    prefix
        .join("lib")
        .join(format!("python{}", minor.join(".")))
        .join("site-packages")
}

fn installed_digest(
    bench: &Workbench,
    interpreter: &Interpreter,
) -> Result<Option<Sha256Digest>, ExecutorError> {
    digest_of(bench, &interpreter.path.to_path())
}

/// The content of the packages that an interpreter sees; none where it cannot be started.
fn digest_of(
    bench: &Workbench,
    interpreter: &std::path::Path,
) -> Result<Option<Sha256Digest>, ExecutorError> {
    let digests = Arc::new(DigestCache::open(
        bench.project.cache_directory.join("digests"),
    ));
    let probe = Probe::new(&bench.project.cache_directory, digests);
    let Ok(Some(facts)) = probe.interpreter(interpreter, &bench.environment, &bench.project.root)
    else {
        return Ok(None);
    };
    // Only the digest counts here; what the batch takes is dropped with it.
    let batch = bench.cas.batch();
    let packages = probe.python(&facts, &BTreeSet::new(), &batch)?;
    Ok(Some(packages.content_digest))
}
