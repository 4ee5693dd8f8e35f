//! What a command runs in: interpreter, packages, shared libraries, the kernels that linear algebra chose, settings.

mod blas;
mod cache;
mod debian;
mod distribution;
mod interpreter;
mod inventory;
mod libraries;
mod listing;
mod origin;
mod paths;
mod pylock;
mod python;
mod record;
mod search;
mod settings;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cas::Batch;
use entities::{Blas, Interpreter, Library, PythonEnvironment};

use self::cache::Answers;
use self::inventory::Inventory;
use crate::CaptureError;
use crate::digests::DigestCache;

/// Answers questions about an environment, and remembers the answers for as long as what they rest on is unchanged.
pub struct Probe {
    digests: Arc<DigestCache>,
    answers: Mutex<Answers>,
    inventory: Mutex<Inventory>,
}

/// A Python interpreter and where it looks for packages.
#[derive(Clone, Debug)]
pub struct PythonFacts {
    /// The interpreter.
    pub interpreter: Interpreter,
    /// Folders that hold installed packages, in the order of the search.
    pub site_packages: Vec<PathBuf>,
    /// Where the environment and the interpreter itself are installed.
    pub prefixes: Vec<PathBuf>,
    /// All folders in which distributions are looked for: those above, and such that hold code under development.
    pub search_path: Vec<PathBuf>,
}

impl Probe {
    /// Makes a probe that keeps its answers in a folder. What is damaged there counts for nothing.
    pub fn new(cache_directory: &Path, digests: Arc<DigestCache>) -> Self {
        Self {
            digests,
            answers: Mutex::new(Answers::open(cache_directory.join("answers"))),
            inventory: Mutex::new(Inventory::open(cache_directory.join("distributions"))),
        }
    }

    /// Describes the interpreter behind an executed path; none where that is not Python.
    ///
    /// The path must be that of the program that was really executed: a shim of a version manager is a script and no
    /// Python, whatever its name.
    /// The interpreter is started once, isolated and without `site`, so that no code of the environment runs.
    pub fn interpreter(
        &self,
        executed: &Path,
        environment: &[(OsString, OsString)],
        working_directory: &Path,
    ) -> Result<Option<PythonFacts>, CaptureError> {
        let executed = working_directory.join(executed);
        let Some(binary) = interpreter::find_binary(&executed) else {
            return Ok(None);
        };
        let known = interpreter::ask(
            &executed,
            &binary,
            environment,
            &self.digests,
            &self.answers,
        )?;
        Ok(known.map(|known| search::facts(known, environment, working_directory)))
    }

    /// Describes the installed distributions.
    ///
    /// `read_files` are the files that the run read: they tell which distributions were imported.
    /// A description as a `pylock.toml` is put into the batch.
    pub fn python(
        &self,
        facts: &PythonFacts,
        read_files: &BTreeSet<PathBuf>,
        batch: &Batch,
    ) -> Result<PythonEnvironment, CaptureError> {
        python::describe(
            facts,
            read_files,
            &mut lock(&self.inventory),
            self.digests.now(),
            batch,
        )
    }

    /// Lists the shared libraries among files, each with its digest and Debian package.
    pub fn libraries(&self, read_files: &BTreeSet<PathBuf>) -> Vec<Library> {
        libraries::list(read_files, &self.digests, &mut lock(&self.answers))
    }

    /// Asks each linear algebra library which kernel it chooses for this CPU, in a process of the interpreter.
    pub fn blas(
        &self,
        libraries: &[Library],
        facts: &PythonFacts,
        environment: &[(OsString, OsString)],
    ) -> Vec<Blas> {
        blas::ask(libraries, facts, environment, &self.answers)
    }

    /// Thread-count variables that are set.
    pub fn threads(&self, environment: &[(OsString, OsString)]) -> BTreeMap<String, String> {
        settings::threads(environment)
    }

    /// Locale variables that are set.
    pub fn locale(&self, environment: &[(OsString, OsString)]) -> BTreeMap<String, String> {
        settings::locale(environment)
    }

    /// Writes what was learnt, the digests of files included.
    pub fn save(&self) -> io::Result<()> {
        self.digests.save()?;
        lock(&self.answers).save()?;
        lock(&self.inventory).save()
    }
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Probe").finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn find_variable<'a>(environment: &'a [(OsString, OsString)], name: &str) -> Option<&'a OsString> {
    environment
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests;
