//! Recipe and record of a run, from everything that was observed of it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use capture::code::CapturedCode;
use capture::digests::DigestCache;
use capture::environment::{Probe, PythonFacts};
use capture::made::MadeFiles;
use capture::redaction::Redaction;
use capture::trace::TraceOutcome;
use cas::Batch;
use entities::{
    Code, Count, Environment, EnvironmentFile, Gap, Interpreter, MANIFEST_VERSION, Metric,
    ObjectId, OtherPython, PythonEnvironment, Recipe, Record, RecordedPath, Run, RunDetail,
    Timestamp, TrackingTarget, Variables, canonical_json,
};
use provenance::{FileFact, finish_recipe, finish_record, params_from_command_line};

use crate::collect::{Collected, Collector};
use crate::metrics_files::{is_metrics_file, metrics_of_file};
use crate::standard_input::Kept;
use crate::view::View;
use crate::{ExecutorError, Workbench, put_trees};

/// Code of the gap of a replay whose command saw other paths than its origin.
pub(crate) const PATHS_NOT_SHOWN: &str = "paths_not_shown";

/// Larger metrics files are not read.
const LARGEST_METRICS_FILE_BYTES: u64 = 16 << 20;

/// What is known of a run whose command has ended.
pub(crate) struct Observed {
    pub(crate) run: Run,
    /// What clients have logged to it.
    pub(crate) logged: RunDetail,
    pub(crate) traced: TraceOutcome,
    pub(crate) started_at: Timestamp,
    pub(crate) ended_at: Timestamp,
    pub(crate) target: TrackingTarget,
    pub(crate) command: Vec<OsString>,
    pub(crate) params: BTreeMap<String, String>,
    pub(crate) environment: Vec<(OsString, OsString)>,
    pub(crate) standard_input: Kept,
    pub(crate) working_directory: PathBuf,
    pub(crate) metrics_files: Vec<String>,
    /// Those of the patterns that were asked for with this run.
    pub(crate) asked_metrics_files: Vec<String>,
    pub(crate) code: CapturedCode,
    pub(crate) redaction: Redaction,
    pub(crate) digests: Arc<DigestCache>,
    /// Where to note the files that the run made; none where they are not in the project.
    pub(crate) made: Option<MadeFiles>,
    pub(crate) seen_root: PathBuf,
    pub(crate) view: View,
    /// Whether the command saw the project at the recorded path.
    pub(crate) is_shown: bool,
    pub(crate) batch: Arc<Batch>,
    /// Files that hold copies of standard output and error.
    pub(crate) stdout: PathBuf,
    pub(crate) stderr: PathBuf,
}

/// A manifest whose objects are durable, and what goes with it into the closing commit.
pub(crate) struct Written {
    pub(crate) recipe: Recipe,
    pub(crate) record: Record,
    pub(crate) recipe_object: ObjectId,
    pub(crate) record_object: ObjectId,
    pub(crate) params: BTreeMap<String, String>,
    pub(crate) metrics: Vec<Metric>,
    pub(crate) was_interrupted: bool,
}

/// Puts the manifest of a run and makes it durable.
pub(crate) fn write_manifest(
    bench: &Workbench,
    mut observed: Observed,
    collector: &Collector,
) -> Result<Written, ExecutorError> {
    let probe = Probe::new(
        &bench.project.cache_directory,
        Arc::clone(&observed.digests),
    );
    if let Some(scan) = &observed.traced.scan {
        collector.take_scan(scan);
    }
    let mut gaps = Vec::new();
    let interpreters = find_interpreters(&probe, &observed, &collector.executed(), &mut gaps);
    for python in &interpreters {
        let seen = |paths: &[PathBuf]| -> Vec<PathBuf> {
            paths
                .iter()
                .map(|path| observed.view.to_seen(path))
                .collect()
        };
        collector.learn_environment(&seen(&python.prefixes), &seen(&python.site_packages));
    }
    let collected = collector.finish();
    // A scan does not know what was read, so there nothing may be left out.
    if observed.traced.scan.is_none() {
        leave_out_overwritten(&mut observed.code, &collected);
    }
    let environment = describe_environment(&probe, &observed, &interpreters, &collected, &mut gaps);
    observed.traced.gaps.append(&mut gaps);
    note_made_files(&observed, &collected);
    let (metrics, mut unread) = collect_metrics(&observed, &collected);
    observed.traced.gaps.append(&mut unread);
    let (params, recipe_params) =
        collect_params(&observed.redaction, &observed.command, &observed.params);
    let batch = Arc::clone(&observed.batch);
    let was_interrupted = observed.traced.was_interrupted;
    let (recipe, record) = assemble(observed, collected, environment, recipe_params, &params)?;
    let recipe_object = batch.put(&canonical_json(&recipe)?)?;
    let record_object = batch.put(&canonical_json(&record)?)?;
    batch.flush()?;
    // What is only a cache may be missing next time.
    if let Err(error) = probe.save() {
        tracing::warn!(%error, "the cache of digests could not be written");
    }
    Ok(Written {
        recipe,
        record,
        recipe_object,
        record_object,
        params,
        metrics,
        was_interrupted,
    })
}

/// Takes what a run before this one left behind out of the code: files that nobody tracks, and that this run wrote
/// anew without having read them. The same run would otherwise have another fingerprint the second time.
fn leave_out_overwritten(code: &mut CapturedCode, collected: &Collected) {
    code.files.retain(|path, file| {
        let is_written_anew =
            collected.outputs.project.contains_key(path) && !collected.used.contains(path);
        file.is_tracked || !is_written_anew
    });
}

/// Remembers what the run made, so that it is not taken for code of the next one.
fn note_made_files(observed: &Observed, collected: &Collected) {
    let Some(made) = &observed.made else { return };
    let files: Vec<_> = collected
        .outputs
        .project
        .keys()
        .filter_map(|path| {
            let real = observed.view.to_real(&observed.seen_root.join(path));
            real.symlink_metadata().ok()
        })
        .collect();
    if let Err(error) = made.add(&files) {
        tracing::warn!(%error, "the list of made files could not be written");
    }
}

/// Programs of Python environments that start a command in another one.
const LAUNCHERS: &[&str] = &[
    "conda", "hatch", "mamba", "nox", "pdm", "pipenv", "poetry", "pipx", "tox",
];

/// Environments beyond this are not described; nobody has seen so many in one run.
const ENVIRONMENTS_MAX: usize = 16;

/// The Python environments that ran: that of the command first, then the others in the order in which they did.
fn find_interpreters(
    probe: &Probe,
    observed: &Observed,
    executed: &[PathBuf],
    gaps: &mut Vec<Gap>,
) -> Vec<PythonFacts> {
    let directory = observed.view.to_real(&observed.working_directory);
    let mut found: Vec<PythonFacts> = Vec::new();
    for path in executed {
        let real = observed.view.to_real(path);
        match probe.interpreter(&real, &observed.environment, &directory) {
            Ok(Some(facts)) => {
                let is_same = |known: &PythonFacts| {
                    let (old, new) = (&known.interpreter, &facts.interpreter);
                    old.prefix == new.prefix && old.object == new.object
                };
                if !found.iter().any(is_same) && found.len() < ENVIRONMENTS_MAX {
                    found.push(facts);
                }
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(path = %real.display(), error = &error as &dyn std::error::Error, "no answer");
                gaps.push(Gap {
                    code: "interpreter_unknown".to_owned(),
                    message: format!(
                        "`{}` did not tell its version and packages: {error}",
                        path.display()
                    ),
                });
            }
        }
    }
    let program = observed.command.first().map(Path::new);
    let program = program.and_then(Path::file_name).unwrap_or_default();
    // What a launcher runs in comes before what it starts.
    if LAUNCHERS.iter().any(|launcher| program == *launcher)
        && let Some(last) = found.pop()
    {
        found.insert(0, last);
    }
    found
}

fn describe_environment(
    probe: &Probe,
    observed: &Observed,
    interpreters: &[PythonFacts],
    collected: &Collected,
    gaps: &mut Vec<Gap>,
) -> Environment {
    let variables = &observed.environment;
    let view = &observed.view;
    let libraries = probe.libraries(&collected.environment_paths);
    let mut described = interpreters.iter().map(|facts| {
        let packages = probe.python(facts, &collected.environment_paths, &observed.batch);
        if let Err(error) = &packages {
            gaps.push(Gap {
                code: "packages_unknown".to_owned(),
                message: format!(
                    "the packages installed in `{}` could not be told: {error}",
                    facts.interpreter.prefix
                ),
            });
        }
        OtherPython {
            interpreter: as_seen_interpreter(view, &facts.interpreter),
            python: packages
                .ok()
                .map(|packages| as_seen_packages(view, packages)),
        }
    });
    let (interpreter, python) = match described.next() {
        Some(OtherPython {
            interpreter,
            python,
        }) => (Some(interpreter), python),
        None => (None, None),
    };
    let others = described.collect();
    let blas = match interpreters.first() {
        Some(facts) => probe.blas(&libraries, facts, variables),
        None => Vec::new(),
    };
    Environment {
        interpreter,
        python,
        others,
        libraries: libraries
            .into_iter()
            .map(|mut library| {
                library.path = as_seen(view, &library.path);
                library
            })
            .collect(),
        blas,
        threads: probe.threads(variables),
        locale: probe.locale(variables),
        time_zone: capture::host::time_zone(variables),
        umask: Some(capture::host::umask()),
        container: capture::host::container_image(),
    }
}

fn as_seen(view: &View, path: &RecordedPath) -> RecordedPath {
    RecordedPath::new(view.to_seen(&path.to_path()))
}

fn as_seen_interpreter(view: &View, interpreter: &Interpreter) -> Interpreter {
    Interpreter {
        path: as_seen(view, &interpreter.path),
        binary: as_seen(view, &interpreter.binary),
        prefix: as_seen(view, &interpreter.prefix),
        base_prefix: as_seen(view, &interpreter.base_prefix),
        ..interpreter.clone()
    }
}

fn as_seen_packages(view: &View, mut packages: PythonEnvironment) -> PythonEnvironment {
    for folder in &mut packages.site_packages {
        *folder = as_seen(view, folder);
    }
    packages
}

/// All params, and those that Reproof was given itself.
pub(crate) fn collect_params(
    redaction: &Redaction,
    command: &[OsString],
    given: &BTreeMap<String, String>,
) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let words: Vec<_> = redaction
        .arguments(command)
        .iter()
        .map(|word| word.as_str().to_owned())
        .collect();
    let given: BTreeMap<_, _> = given
        .iter()
        .map(|(key, value)| (key.clone(), redaction.named(key, value)))
        .collect();
    let mut params = params_from_command_line(&words);
    params.extend(given.clone());
    (params, given)
}

/// Points of resources, and of metrics files whose keys nobody logged.
fn collect_metrics(observed: &Observed, collected: &Collected) -> (Vec<Metric>, Vec<Gap>) {
    let mut metrics = Vec::new();
    let mut gaps = Vec::new();
    let mut unmatched = observed.asked_metrics_files.clone();
    for (step, sample) in observed.traced.samples.iter().enumerate() {
        let (at_ms, step) = (sample.at.as_millis(), step as i64);
        metrics.push(Metric::new(
            "system/cpu_utilization_percentage",
            sample.cpu_percent,
            at_ms,
            step,
        ));
        metrics.push(Metric::new(
            "system/memory_usage_bytes",
            sample.memory_bytes as f64,
            at_ms,
            step,
        ));
    }
    let is_logged: BTreeSet<_> = observed
        .logged
        .metrics
        .iter()
        .map(|metric| metric.key.as_str())
        .collect();
    for (path, fact) in &collected.outputs.project {
        let FileFact {
            object, size_bytes, ..
        } = fact;
        if !is_metrics_file(path, &observed.metrics_files) {
            continue;
        }
        unmatched.retain(|pattern| !is_metrics_file(path, std::slice::from_ref(pattern)));
        let real = observed.view.to_real(&observed.seen_root.join(path));
        let mut unread = |why: &str| {
            gaps.push(Gap {
                code: "metrics_unread".to_owned(),
                message: format!("no metrics were read from `{}`: {why}", path.display()),
            });
        };
        if *size_bytes > LARGEST_METRICS_FILE_BYTES {
            unread("it is larger than 16 MiB");
            continue;
        }
        let read = std::fs::read_to_string(&real).map_err(|error| error.to_string());
        // Others may have written it since it was kept: what is logged must be what is on record.
        let read = read.and_then(|text| {
            if ObjectId::of(text.as_bytes()) == *object {
                Ok(text)
            } else {
                Err("it was changed after the command had ended".to_owned())
            }
        });
        let at_ms = observed.ended_at.as_millis();
        let points = match read.and_then(|text| metrics_of_file(&text, at_ms)) {
            Ok(points) => points,
            Err(why) => {
                unread(&why);
                continue;
            }
        };
        if points.is_empty() {
            unread("it holds no numbers with names");
        }
        metrics.extend(
            points
                .into_iter()
                .filter(|metric| !is_logged.contains(metric.key.as_str())),
        );
    }
    gaps.extend(unmatched.into_iter().map(|pattern| Gap {
        code: "metrics_unread".to_owned(),
        message: format!("no file that was written in the project matches `--metrics {pattern}`"),
    }));
    (metrics, gaps)
}

fn assemble(
    observed: Observed,
    collected: Collected,
    environment: Environment,
    recipe_params: BTreeMap<String, String>,
    all_params: &BTreeMap<String, String>,
) -> Result<(Recipe, Record), ExecutorError> {
    let batch = &observed.batch;
    let redaction = &observed.redaction;
    let (standard_input, unkept) = observed.standard_input.finish();
    let recipe = Recipe {
        v: MANIFEST_VERSION,
        command: redaction.arguments(&observed.command),
        project_root: RecordedPath::new(&observed.seen_root),
        working_directory: RecordedPath::new(&observed.working_directory),
        variables: without_session(redaction.variables(&observed.environment)),
        params: recipe_params,
        code: put_code(batch, observed.code)?,
        environment,
        inputs: collected.inputs.put(batch)?,
        standard_input,
        seeds: BTreeMap::new(),
    };
    let recipe = finish_recipe(recipe, all_params);
    let traced = observed.traced;
    let mut gaps = traced.gaps;
    gaps.extend(collected.gaps);
    gaps.extend(unkept);
    if !observed.is_shown {
        gaps.push(Gap {
            code: PATHS_NOT_SHOWN.to_owned(),
            message: "this system does not let a replay be shown at the recorded paths; it ran in a fresh directory, and paths in outputs may differ for it".to_owned(),
        });
    }
    let record = Record {
        v: MANIFEST_VERSION,
        run: observed.run.id,
        // Set by `finish_record`.
        recipe: ObjectId::of(b""),
        parent: observed.run.parent,
        replay_of: observed.run.replay_of,
        started_at: observed.started_at,
        ended_at: observed.ended_at,
        usage: traced.usage,
        exit: traced.exit,
        host: capture::host::read_host(),
        outputs: collected.outputs.put(batch)?,
        deleted: collected.deleted,
        folders: collected.folders,
        scratch_files: Count(collected.scratch_files),
        executed: collected.executed,
        environment_files: put_environment_files(batch, collected.environment)?,
        network_peers: without_own_endpoint(collected.peers, &observed.environment),
        processes: Count(traced.processes),
        stdout: put_copy(batch, &observed.stdout)?,
        stderr: put_copy(batch, &observed.stderr)?,
        tracking: redacted_target(redaction, observed.target),
        method: traced.method.as_str().to_owned(),
        gaps,
        signs: traced.signs,
    };
    let record = finish_record(record, &recipe);
    Ok((recipe, record))
}

pub(crate) fn put_code(batch: &Batch, code: CapturedCode) -> Result<Code, ExecutorError> {
    let CapturedCode {
        files,
        not_kept,
        git,
        lfs_pointers,
    } = code;
    let facts: BTreeMap<PathBuf, FileFact> = files
        .into_iter()
        .map(|(path, file)| {
            (
                path,
                FileFact {
                    object: file.object,
                    size_bytes: file.size_bytes,
                    kind: file.kind,
                },
            )
        })
        .collect();
    let tree = match put_trees(batch, &facts)? {
        Some(tree) => tree,
        None => batch.put_tree(&entities::Tree::default())?,
    };
    Ok(Code {
        tree,
        files: Count(facts.len() as u64),
        size_bytes: Count(facts.values().map(|fact| fact.size_bytes).sum()),
        not_kept,
        git,
        lfs_pointers,
    })
}

fn put_environment_files(
    batch: &Batch,
    files: BTreeMap<PathBuf, Option<ObjectId>>,
) -> Result<Option<ObjectId>, ExecutorError> {
    if files.is_empty() {
        return Ok(None);
    }
    let list: Vec<_> = files
        .into_iter()
        .map(|(path, object)| EnvironmentFile {
            path: RecordedPath::new(path),
            object,
        })
        .collect();
    Ok(Some(batch.put(&canonical_json(&list)?)?))
}

/// Leaves out what names a terminal or a login and no setting: it differs in every window, and the same run would
/// have another fingerprint in each.
pub(crate) fn without_session(mut variables: Variables) -> Variables {
    const NAMES: &[&str] = &[
        "_",
        "COLUMNS",
        "DBUS_SESSION_BUS_ADDRESS",
        "GPG_TTY",
        "INVOCATION_ID",
        "JOURNAL_STREAM",
        "LINES",
        "OLDPWD",
        "PPID",
        "SHLVL",
        "STY",
        "TERM_SESSION_ID",
        "TMUX",
        "TMUX_PANE",
        "VTE_VERSION",
        "WINDOW",
        "WINDOWID",
        "WINDOWPATH",
    ];
    const BEGINNINGS: &[&str] = &["KONSOLE_", "SSH_", "VSCODE_", "XDG_SESSION_", "XDG_SEAT"];
    let is_of_session = |name: &str| {
        NAMES.contains(&name)
            || BEGINNINGS
                .iter()
                .any(|beginning| name.starts_with(beginning))
    };
    variables.digests.retain(|name, _| !is_of_session(name));
    variables.values.retain(|name, _| !is_of_session(name));
    variables
}

/// Leaves out the run's own endpoint, which is Reproof itself.
fn without_own_endpoint(
    peers: BTreeSet<entities::NetworkPeer>,
    environment: &[(OsString, OsString)],
) -> Vec<entities::NetworkPeer> {
    let own = crate::launch::find_variable(environment, "REPROOF_ENDPOINT")
        .and_then(|uri| uri.strip_prefix("http://"))
        .unwrap_or_default();
    peers
        .into_iter()
        .filter(|peer| own.is_empty() || peer.address != own)
        .collect()
}

pub(crate) fn put_copy(batch: &Batch, path: &Path) -> Result<Option<ObjectId>, ExecutorError> {
    match std::fs::File::open(path) {
        Ok(file) => Ok(Some(batch.put_file(&file)?.object)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ExecutorError::io("read", path, error)),
    }
}

pub(crate) fn redacted_target(redaction: &Redaction, target: TrackingTarget) -> TrackingTarget {
    match target {
        TrackingTarget::Elsewhere { uri } => TrackingTarget::Elsewhere {
            uri: redaction.url(&uri),
        },
        other => other,
    }
}
