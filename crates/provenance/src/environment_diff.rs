//! What differs between the environments of two runs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use entities::{Environment, Host, Library, ObjectId, Recipe, RecordedPath, Sha256Digest};
use serde::Serialize;

use crate::diff::{diff_maps, diff_texts};
use crate::{RunFacts, TextChange};

/// What differs between two environments. Every list is sorted and holds only what differs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EnvironmentDiff {
    /// Of the interpreter: implementation, version, build, digest of the binary. Where it is installed does not count.
    pub interpreter: Vec<TextChange>,
    /// Installed packages.
    pub packages: Vec<PackageChange>,
    /// Shared libraries, by their path; those of the interpreter's environment by their path in it.
    pub libraries: Vec<LibraryChange>,
    /// Programs that both runs executed, other than the interpreter and those of the project.
    pub programs: Vec<EnvironmentFileChange>,
    /// Other files that both runs read of the environment: modules that belong to no package, files of the system.
    /// Where packages differ, theirs are not listed once more.
    pub files: Vec<EnvironmentFileChange>,
    /// Linear algebra libraries, their versions and the kernels they chose.
    pub blas: Vec<TextChange>,
    /// Operating system, kernel, CPU, memory, GPUs. The name of the host and its boot do not count.
    pub hardware: Vec<TextChange>,
    /// Environment variables.
    pub variables: Vec<VariableChange>,
    /// Thread-count variables.
    pub threads: Vec<TextChange>,
    /// Locale variables.
    pub locale: Vec<TextChange>,
    /// Time zone, file mode creation mask, container image.
    pub settings: Vec<TextChange>,
}

impl EnvironmentDiff {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        let Self {
            interpreter,
            packages,
            libraries,
            programs,
            files,
            blas,
            hardware,
            variables,
            threads,
            locale,
            settings,
        } = self;
        [interpreter, blas, hardware, threads, locale, settings]
            .iter()
            .all(|changes| changes.is_empty())
            && packages.is_empty()
            && libraries.is_empty()
            && programs.is_empty()
            && files.is_empty()
            && variables.is_empty()
    }
}

/// A package that was added, removed or changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PackageChange {
    /// Its normalised name.
    pub name: String,
    /// In the first run; none where it was not installed.
    pub before: Option<PackageFact>,
    /// In the second.
    pub after: Option<PackageFact>,
    /// Whether one of the two runs really imported it.
    pub is_imported: bool,
}

/// An installed package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PackageFact {
    /// Its version. Where both versions are equal, the content differs: files were edited or built otherwise.
    pub version: String,
    /// Digest over its files.
    pub content_digest: Sha256Digest,
}

/// A shared library that was added, removed or changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LibraryChange {
    /// Its path, with `{prefix}` or `{base_prefix}` for where the interpreter is installed.
    pub path: RecordedPath,
    /// In the first run; none where it was not mapped.
    pub before: Option<LibraryFact>,
    /// In the second.
    pub after: Option<LibraryFact>,
}

/// A mapped shared library.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LibraryFact {
    /// Its content.
    pub object: ObjectId,
    /// The Debian package that it belongs to, with its version.
    pub package: Option<String>,
}

/// A file of the environment whose content is another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EnvironmentFileChange {
    /// Its path, with `{prefix}` or `{base_prefix}` for where the interpreter is installed.
    pub path: RecordedPath,
    /// Its content in the first run.
    pub before: ObjectId,
    /// In the second.
    pub after: ObjectId,
    /// Whether it stands among the installed packages and belongs to none: it counts as one then.
    pub is_of_packages: bool,
}

/// An environment variable that was added, removed or changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VariableChange {
    /// Its name.
    pub name: String,
    /// In the first run; none where it was not set.
    pub before: Option<VariableFact>,
    /// In the second.
    pub after: Option<VariableFact>,
}

/// What is known of a variable's value. Of a hidden one only that it differs can be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VariableFact {
    /// The value.
    Value(String),
    /// Only a keyed digest is kept.
    Hidden,
}

/// Tells what differs from the environment of `a` to that of `b`; hardware only where both have a record.
pub(crate) fn diff_environments(
    a: &Recipe,
    b: &Recipe,
    (facts_a, facts_b): (&RunFacts, &RunFacts),
) -> EnvironmentDiff {
    let (old, new) = (&a.environment, &b.environment);
    let hardware = match (&facts_a.record, &facts_b.record) {
        (Some(a), Some(b)) => diff_texts(&hardware_texts(&a.host), &hardware_texts(&b.host)),
        _ => Vec::new(),
    };
    let packages = diff_packages(old, new);
    let mut files = changed_files(&files_by_place(old, facts_a), &files_by_place(new, facts_b));
    files.retain(|change| packages.is_empty() || !change.is_of_packages);
    EnvironmentDiff {
        interpreter: diff_texts(&interpreter_texts(old), &interpreter_texts(new)),
        packages,
        programs: changed_files(
            &programs_by_place(a, facts_a),
            &programs_by_place(b, facts_b),
        ),
        files,
        libraries: diff_maps(
            &libraries_by_place(old),
            &libraries_by_place(new),
            |path, before, after| LibraryChange {
                path: path.clone(),
                before: before.copied().map(library_fact),
                after: after.copied().map(library_fact),
            },
        ),
        blas: diff_texts(&blas_texts(old), &blas_texts(new)),
        hardware,
        variables: diff_variables(a, b),
        threads: diff_texts(&old.threads, &new.threads),
        locale: diff_texts(&old.locale, &new.locale),
        settings: diff_texts(&setting_texts(old), &setting_texts(new)),
    }
}

/// Libraries by content and by where they stand relative to the interpreter, so that a rebuilt environment compares.
pub(crate) fn libraries_by_place(
    environment: &Environment,
) -> BTreeMap<RecordedPath, ByContent<'_>> {
    environment
        .libraries
        .iter()
        .map(|library| (place_of(environment, &library.path), ByContent(library)))
        .collect()
}

/// A path relative to where the interpreter is installed, if it stands there.
fn place_of(environment: &Environment, recorded: &RecordedPath) -> RecordedPath {
    let path = recorded.to_path();
    let prefixes = environment.interpreter.iter().flat_map(|interpreter| {
        [
            ("{prefix}", &interpreter.prefix),
            ("{base_prefix}", &interpreter.base_prefix),
        ]
    });
    for (word, prefix) in prefixes {
        // A prefix such as `/usr` is where the system's libraries are too: their path is the same anyway.
        if let Ok(inside) = path.strip_prefix(prefix.to_path()) {
            return RecordedPath::new(Path::new(word).join(inside));
        }
    }
    recorded.clone()
}

/// A file by its place: its content, and whether it stands among the installed packages.
type FilesByPlace = BTreeMap<RecordedPath, (ObjectId, bool)>;

/// What both have and with other content. What only one of them has shows nothing: much is read only sometimes.
fn changed_files(a: &FilesByPlace, b: &FilesByPlace) -> Vec<EnvironmentFileChange> {
    let common = a
        .iter()
        .filter_map(|(path, before)| Some((path, before, b.get(path)?)));
    common
        .filter(|(_, before, after)| before.0 != after.0)
        .map(|(path, before, after)| EnvironmentFileChange {
            path: path.clone(),
            before: before.0,
            after: after.0,
            is_of_packages: before.1 || after.1,
        })
        .collect()
}

/// Programs outside of the project, but for the interpreters, which are compared by themselves.
fn programs_by_place(recipe: &Recipe, facts: &RunFacts) -> FilesByPlace {
    let environment = &recipe.environment;
    let root = recipe.project_root.to_path();
    let others = environment.others.iter().map(|other| &other.interpreter);
    let interpreters: Vec<_> = environment.interpreter.iter().chain(others).collect();
    let record = facts.record.iter();
    record
        .flat_map(|record| &record.executed)
        .filter_map(|(path, object)| Some((path, (*object)?)))
        .filter(|(path, object)| {
            let is_interpreter = interpreters.iter().any(|known| known.object == *object);
            !is_interpreter && !path.to_path().starts_with(&root)
        })
        .map(|(path, object)| (place_of(environment, path), (object, false)))
        .collect()
}

/// Files that the machine writes itself, and that say nothing of what a run computes.
const OF_THE_MACHINE: &[&str] = &[
    "/etc/hostname",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/machine-id",
    "/etc/mtab",
    "/etc/resolv.conf",
];

/// What was read of the environment, but for what is compared by itself (libraries) or is made anew by whoever
/// installs (bytecode, notes of the installer).
fn files_by_place(environment: &Environment, facts: &RunFacts) -> FilesByPlace {
    let others = environment.others.iter().flat_map(|other| &other.python);
    let pythons = environment.python.iter().chain(others);
    let packages: Vec<_> = pythons
        .flat_map(|python| &python.site_packages)
        .map(RecordedPath::to_path)
        .collect();
    let libraries: BTreeSet<_> = environment
        .libraries
        .iter()
        .map(|library| &library.path)
        .collect();
    let is_left_out = |recorded: &RecordedPath| {
        let path = recorded.to_path();
        let is_note = path.components().any(|component| {
            let name = component.as_os_str().to_string_lossy();
            name == "__pycache__" || name.ends_with(".dist-info") || name.ends_with(".egg-info")
        });
        is_note
            || path.ends_with("pyvenv.cfg")
            || path.extension().is_some_and(|extension| extension == "pyc")
            || OF_THE_MACHINE.contains(&recorded.as_str())
            || libraries.contains(recorded)
    };
    let files = facts.environment_files.iter();
    files
        .filter(|(path, _)| !is_left_out(path))
        .map(|(path, object)| {
            let full = path.to_path();
            let is_of_packages = packages.iter().any(|folder| full.starts_with(folder));
            (place_of(environment, path), (*object, is_of_packages))
        })
        .collect()
}

/// A library that equals another when the content does, whatever package it is said to be of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ByContent<'a>(&'a Library);

impl PartialEq for ByContent<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.object == other.0.object
    }
}

fn library_fact(library: ByContent<'_>) -> LibraryFact {
    LibraryFact {
        object: library.0.object,
        package: library.0.package.clone(),
    }
}

fn diff_packages(a: &Environment, b: &Environment) -> Vec<PackageChange> {
    let list = |environment: &Environment| -> BTreeMap<String, (PackageFact, bool)> {
        let own = environment.python.iter().map(|python| (None, python));
        let others = environment
            .others
            .iter()
            .filter_map(|other| Some((Some(&other.interpreter.prefix), other.python.as_ref()?)));
        own.chain(others)
            .flat_map(|(prefix, python)| {
                let distributions = python.distributions.iter();
                distributions.map(move |distribution| (prefix, distribution))
            })
            .map(|(prefix, distribution)| {
                let fact = PackageFact {
                    version: distribution.version.clone(),
                    content_digest: distribution.content_digest,
                };
                let name = match prefix {
                    Some(prefix) => format!("{} (in {prefix})", distribution.name),
                    None => distribution.name.clone(),
                };
                (name, (fact, distribution.is_imported))
            })
            .collect()
    };
    let (a, b) = (list(a), list(b));
    let facts = |list: &BTreeMap<String, (PackageFact, bool)>| -> BTreeMap<String, PackageFact> {
        list.iter()
            .map(|(name, (fact, _))| (name.clone(), fact.clone()))
            .collect()
    };
    let is_imported = |name: &str| {
        [&a, &b]
            .iter()
            .any(|list| list.get(name).is_some_and(|(_, is_imported)| *is_imported))
    };
    diff_maps(&facts(&a), &facts(&b), |name, before, after| {
        PackageChange {
            name: name.clone(),
            before: before.cloned(),
            after: after.cloned(),
            is_imported: is_imported(name),
        }
    })
}

/// Value or digest, for comparing; a value never equals a digest, so a change of the allow-list is seen.
#[derive(PartialEq)]
enum Recorded<'a> {
    Value(&'a str),
    Digest(&'a str),
}

fn diff_variables(a: &Recipe, b: &Recipe) -> Vec<VariableChange> {
    fn list(recipe: &Recipe) -> BTreeMap<&str, Recorded<'_>> {
        let variables = &recipe.variables;
        let hidden = variables
            .digests
            .iter()
            .map(|(name, digest)| (name.as_str(), Recorded::Digest(digest.as_str())));
        let values = variables
            .values
            .iter()
            .map(|(name, value)| (name.as_str(), Recorded::Value(value.as_str())));
        hidden.chain(values).collect()
    }
    let fact = |recorded: &Recorded<'_>| match recorded {
        Recorded::Value(value) => VariableFact::Value((*value).to_owned()),
        Recorded::Digest(_) => VariableFact::Hidden,
    };
    diff_maps(&list(a), &list(b), |name, before, after| VariableChange {
        name: (*name).to_owned(),
        before: before.map(fact),
        after: after.map(fact),
    })
}

fn interpreter_texts(environment: &Environment) -> BTreeMap<String, String> {
    let own = environment.interpreter.iter().map(|own| (None, own));
    let others = environment.others.iter().map(|other| &other.interpreter);
    let others = others.map(|other| (Some(&other.prefix), other));
    own.chain(others)
        .flat_map(|(prefix, interpreter)| {
            let facts = [
                ("implementation", interpreter.implementation.clone()),
                ("version", interpreter.version.clone()),
                ("build", interpreter.build.clone()),
                ("binary", interpreter.object.to_string()),
            ];
            facts.map(|(fact, text)| match prefix {
                Some(prefix) => (format!("{fact} (in {prefix})"), text),
                None => (fact.to_owned(), text),
            })
        })
        .collect()
}

fn blas_texts(environment: &Environment) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for blas in &environment.blas {
        let fields = [("version", &blas.version), ("kernel", &blas.kernel)];
        found.insert(blas.library.clone(), blas.name.clone());
        found.extend(fields.into_iter().filter_map(|(field, text)| {
            Some((format!("{} {field}", blas.library), text.clone()?))
        }));
    }
    found
}

fn hardware_texts(host: &Host) -> BTreeMap<String, String> {
    let Host {
        name: _,
        os,
        kernel,
        architecture,
        cpu_model,
        cpu_flags,
        cpu_count,
        memory_bytes,
        gpus,
        boot_id: _,
    } = host;
    texts([
        ("os", Some(os.clone())),
        ("kernel", Some(kernel.clone())),
        ("architecture", Some(architecture.clone())),
        ("cpu_model", Some(cpu_model.clone())),
        ("cpu_flags", Some(cpu_flags.join(" "))),
        ("cpu_count", Some(cpu_count.to_string())),
        ("memory_bytes", Some(memory_bytes.0.to_string())),
        ("gpus", (!gpus.is_empty()).then(|| gpus.join("; "))),
    ])
}

fn setting_texts(environment: &Environment) -> BTreeMap<String, String> {
    texts([
        ("time_zone", environment.time_zone.clone()),
        ("umask", environment.umask.clone()),
        ("container", environment.container.clone()),
    ])
}

fn texts<const N: usize>(pairs: [(&str, Option<String>); N]) -> BTreeMap<String, String> {
    pairs
        .into_iter()
        .filter_map(|(key, text)| Some((key.to_owned(), text?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{diff_runs, samples};

    #[test]
    fn packages_differ_by_version_or_by_content() {
        let (a, mut b) = (samples::run(), samples::run());
        let python = b
            .recipe
            .as_mut()
            .unwrap()
            .environment
            .python
            .as_mut()
            .unwrap();
        python.distributions[0].content_digest = Sha256Digest::of(b"edited");
        python.distributions[1].version = "9".to_owned();
        python
            .distributions
            .push(samples::distribution("zipp", "1", false));
        let packages = diff_runs(&a, &b).environment.packages;
        let seen: Vec<_> = packages
            .iter()
            .map(|change| {
                (
                    change.name.as_str(),
                    change.before.is_some(),
                    change.is_imported,
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("numpy", true, true),
                ("pip", true, false),
                ("zipp", false, false)
            ]
        );
        assert_eq!(
            packages[0].before.as_ref().unwrap().version,
            packages[0].after.as_ref().unwrap().version
        );
    }

    #[test]
    fn a_rebuilt_environment_elsewhere_is_the_same() {
        let (a, mut b) = (samples::run(), samples::run());
        let environment = &mut b.recipe.as_mut().unwrap().environment;
        let interpreter = environment.interpreter.as_mut().unwrap();
        interpreter.prefix = RecordedPath::new("/rebuilt");
        interpreter.path = RecordedPath::new("/rebuilt/bin/python");
        for library in &mut environment.libraries {
            library.path =
                RecordedPath::new(library.path.as_str().replace("/project/env", "/rebuilt"));
        }
        assert!(diff_runs(&a, &b).environment.is_empty());
        b.recipe.as_mut().unwrap().environment.libraries[0].object = ObjectId::of(b"other libc");
        let libraries = diff_runs(&a, &b).environment.libraries;
        assert_eq!(libraries.len(), 1);
        assert_eq!(libraries[0].path.as_str(), "/lib/libc.so.6");
    }

    #[test]
    fn a_hidden_variable_is_told_to_differ_and_no_more() {
        let (mut a, mut b) = (samples::run(), samples::run());
        let digests = |run: &mut crate::RunFacts, digest: &str| {
            run.recipe
                .as_mut()
                .unwrap()
                .variables
                .digests
                .insert("TOKEN".to_owned(), digest.to_owned());
        };
        digests(&mut a, "aa");
        digests(&mut b, "bb");
        b.recipe
            .as_mut()
            .unwrap()
            .variables
            .values
            .insert("LANG".to_owned(), "C".to_owned());
        let diff = diff_runs(&a, &b).environment;
        let value = serde_json::to_value(&diff.variables).unwrap();
        let expected = serde_json::json!([
            {"name": "LANG", "before": {"value": "de_DE.UTF-8"}, "after": {"value": "C"}},
            {"name": "TOKEN", "before": "hidden", "after": "hidden"},
        ]);
        assert_eq!(value, expected);
        assert!(!value.to_string().contains("aa"));
    }

    #[test]
    fn kernel_threads_and_hardware_are_compared_and_the_host_name_is_not() {
        let (a, mut b) = (samples::run(), samples::run());
        b.record.as_mut().unwrap().host.name = "other".to_owned();
        b.record.as_mut().unwrap().host.boot_id = "other".to_owned();
        assert!(diff_runs(&a, &b).is_empty());
        b.record.as_mut().unwrap().host.cpu_model = "AMD".to_owned();
        let environment = &mut b.recipe.as_mut().unwrap().environment;
        environment.blas[0].kernel = Some("Zen".to_owned());
        environment
            .threads
            .insert("OMP_NUM_THREADS".to_owned(), "2".to_owned());
        environment.locale.insert("LANG".to_owned(), "C".to_owned());
        environment.time_zone = None;
        environment.interpreter.as_mut().unwrap().version = "3.12.1".to_owned();
        let diff = diff_runs(&a, &b).environment;
        let keys = |changes: &[TextChange]| {
            changes
                .iter()
                .map(|change| change.key.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(keys(&diff.hardware), ["cpu_model"]);
        assert_eq!(keys(&diff.blas), ["libopenblas.so kernel"]);
        assert_eq!(keys(&diff.threads), ["OMP_NUM_THREADS"]);
        assert_eq!(keys(&diff.locale), ["LANG"]);
        assert_eq!(keys(&diff.settings), ["time_zone"]);
        assert_eq!(keys(&diff.interpreter), ["version"]);
    }
}
