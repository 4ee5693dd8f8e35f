//! Which Python environment a replay is shown.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use capture::digests::DigestCache;
use capture::environment::Probe;
use entities::{Interpreter, PythonEnvironment, Recipe, RecordedPath, Sha256Digest};

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
        return Ok(todays(recipe));
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

/// Where no environment is on record, as of a run that could only be scanned: the virtual environment of the project
/// from which the command comes, as it is today.
fn todays(recipe: &Recipe) -> Chosen {
    let root = recipe.project_root.to_path();
    let program = recipe.command.first().map(RecordedPath::to_path);
    let program = program.filter(|program| program.components().count() > 1);
    let program = program.map(|program| recipe.working_directory.to_path().join(program));
    let of_program = program
        .as_deref()
        .and_then(Path::parent)
        .and_then(Path::parent);
    let variable = recipe.variables.values.get("VIRTUAL_ENV").map(Path::new);
    let is_environment =
        |prefix: &&Path| prefix.starts_with(&root) && prefix.join("pyvenv.cfg").is_file();
    let prefix = of_program.into_iter().chain(variable).find(is_environment);
    let notes = prefix.map(|prefix| {
        format!(
            "which environment the run had is not on record: `{}` is used as it is today",
            prefix.display()
        )
    });
    Chosen {
        word: "current",
        shown: prefix.map(|prefix| (prefix.to_owned(), prefix.to_owned())),
        notes: notes.into_iter().collect(),
    }
}

/// An environment inside the project is hidden by the fresh directory unless it is shown there again; one elsewhere
/// is shown as well, so that it can only be read: it is the user's own. The system's own is not a whole folder.
fn current(recipe: &Recipe, interpreter: &Interpreter) -> Option<(PathBuf, PathBuf)> {
    let prefix = interpreter.prefix.to_path();
    let is_hidden = prefix.starts_with(recipe.project_root.to_path());
    let is_virtual = interpreter.prefix != interpreter.base_prefix;
    let is_own_folder = is_virtual || prefix.join("conda-meta").is_dir();
    ((is_hidden || is_own_folder) && prefix.is_dir()).then(|| (prefix.clone(), prefix))
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

fn site_packages_of(prefix: &Path, interpreter: &Interpreter) -> PathBuf {
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
fn digest_of(bench: &Workbench, interpreter: &Path) -> Result<Option<Sha256Digest>, ExecutorError> {
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
