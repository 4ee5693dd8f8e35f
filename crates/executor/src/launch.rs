//! From a prepared command to a closed run: start it captured, watch it, write it down.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;

use capture::code::{CapturedCode, CodeRequest, capture_code};
use capture::digests::DigestCache;
use capture::made::MadeFiles;
use capture::redaction::{MARK, Redaction};
use capture::trace::{Bind, ScanScope, TraceOptions, TraceOutcome};
use cas::Batch;
use entities::{
    Exit, Metric, Recipe, Record, Run, RunId, RunStatus, StandardInput, Timestamp, TrackingTarget,
};
use provenance::ClassifyContext;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracking::{FinishedRun, NewRun};

use crate::collect::{Collector, CollectorRequest};
use crate::manifest::{Observed, Written, write_manifest};
use crate::opening::{self, Started};
use crate::run::set_variable;
use crate::snapshot::Keeper;
use crate::standard_input::{self, Kept};
use crate::temporary::TemporaryDirectory;
use crate::view::View;
use crate::{CaptureSettings, Endpoint, EndpointRequest, ExecutorError, Mask, Workbench};

/// A command with everything that is decided before it starts.
pub(crate) struct Launch {
    pub(crate) identity: Identity,
    pub(crate) command: Vec<OsString>,
    /// Params of Reproof's own command line.
    pub(crate) params: BTreeMap<String, String>,
    /// The command's whole environment, before the endpoint is added.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// As the command sees it.
    pub(crate) working_directory: PathBuf,
    /// Patterns of metrics files.
    pub(crate) metrics_files: Vec<String>,
    /// Those of the patterns that were asked for with this run.
    pub(crate) asked_metrics_files: Vec<String>,
    /// What to give as standard input; ours if none.
    pub(crate) standard_input: Option<StandardInput>,
    /// For a replay: what is shown to the command at other paths.
    pub(crate) stage: Option<Stage>,
}

/// What the run is called and belongs to.
pub(crate) struct Identity {
    pub(crate) experiment: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) replay_of: Option<RunId>,
}

/// What is shown to a command at other paths than ours.
#[derive(Default)]
pub(crate) struct Stage {
    /// The project's root as the command sees it.
    pub(crate) seen_root: PathBuf,
    /// Where its files really are.
    pub(crate) real_root: PathBuf,
    /// Mounts, in order.
    pub(crate) binds: Vec<Bind>,
    /// Where nothing can be mounted: recorded folders and what stands in for each.
    pub(crate) replaced: Vec<(PathBuf, PathBuf)>,
    /// Ids that the MLflow client is given again.
    pub(crate) presented_runs: Vec<RunId>,
    pub(crate) presented_models: Vec<entities::ModelId>,
}

/// A closed run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The run, as it stands in the store.
    pub run: Run,
    /// What is needed to do it again.
    pub recipe: Recipe,
    /// What happened.
    pub record: Record,
    /// The latest value of each metric but those of resources.
    pub metrics: BTreeMap<String, f64>,
    /// All its params.
    pub params: BTreeMap<String, String>,
}

/// Carries out a command captured.
///
/// On every way out but the death of this process the run is closed.
pub(crate) async fn launch(bench: &Workbench, launch: Launch) -> Result<Outcome, ExecutorError> {
    // The directory comes first: its lock is what tells others, also outside a container, that the run is alive.
    let id = RunId::random(bench.random.as_ref());
    let directory = TemporaryDirectory::of_run(&bench.project.temporary_directory, &id)?;
    let run = create_run(bench, &launch, id).await?;
    match carry_out(bench, &run, launch, directory.path()).await {
        Ok(outcome) => Ok(outcome),
        Err(error) => {
            let update = tracking::RunUpdate {
                status: Some(RunStatus::Failed),
                ended_at: Some(bench.clock.now()),
                name: None,
            };
            // The first error is the one to report; the next command closes the run if this could not.
            if let Err(second) = bench
                .tracking
                .update_run(&bench.caller, &run.id, update)
                .await
            {
                tracing::warn!(run = %run.id, error = &second as &dyn std::error::Error, "a run could not be closed");
            }
            Err(error)
        }
    }
}

async fn create_run(bench: &Workbench, launch: &Launch, id: RunId) -> Result<Run, ExecutorError> {
    let Identity {
        experiment,
        name,
        tags,
        replay_of,
    } = &launch.identity;
    let experiment = experiment.as_deref().unwrap_or("Default");
    let experiment = bench
        .tracking
        .get_or_create_experiment(&bench.caller, experiment)
        .await?;
    let parent = find_parent(bench, &launch.environment).await?;
    let new = NewRun {
        id: Some(id),
        experiment: experiment.id,
        name: name.clone(),
        user: bench.user.clone(),
        started_at: None,
        tags: tags.clone(),
        parent,
        replay_of: replay_of.clone(),
        process: Some(capture::host::this_process()),
    };
    Ok(bench.tracking.create_run(&bench.caller, new).await?.run)
}

/// Finds the run inside which this one is started, where it is one of this store.
async fn find_parent(
    bench: &Workbench,
    environment: &[(OsString, OsString)],
) -> Result<Option<RunId>, ExecutorError> {
    let Some(outer) = find_variable(environment, "REPROOF_RUN") else {
        return Ok(None);
    };
    let Ok(outer) = outer.parse::<RunId>() else {
        return Ok(None);
    };
    let known = bench
        .tracking
        .store()
        .find_run(&outer)
        .await
        .map_err(tracking::TrackingError::from)?;
    Ok(known.map(|run| run.id))
}

pub(crate) fn find_variable<'a>(
    environment: &'a [(OsString, OsString)],
    name: &str,
) -> Option<&'a str> {
    environment
        .iter()
        .find(|(key, _)| key == name)
        .and_then(|(_, value)| value.to_str())
        .filter(|value| !value.is_empty())
}

/// Everything that stands before the command starts.
struct Prepared {
    batch: Arc<Batch>,
    digests: Arc<DigestCache>,
    redaction: Redaction,
    code: CapturedCode,
    made: MadeFiles,
    seen_root: PathBuf,
    view: View,
}

async fn carry_out(
    bench: &Workbench,
    run: &Run,
    launch: Launch,
    capture_files: &Path,
) -> Result<Outcome, ExecutorError> {
    let prepared = prepare(bench, &launch)?;
    let collector = Arc::new(start_collector(bench, &prepared));
    let mask = endpoint_mask(&prepared.redaction);
    let (endpoint, environment, target) = open_endpoint(bench, run, &launch, mask).await?;
    let standard_input = match &launch.standard_input {
        Some(given) => Kept::Again(given.clone()),
        None => Kept::of_ours(capture::host::standard_input(), &collector),
    };
    let mut options = trace_options(bench, &launch, &environment, capture_files);
    if let Some(given) = &launch.standard_input {
        let path = capture_files.join("stdin");
        standard_input::put_file(&bench.cas, given, &path)?;
        options.stdin = Some(path);
    }
    let started_at = bench.clock.now();
    // Copied only for a run that lasts.
    let started = || Started {
        run: run.clone(),
        command: launch.command.clone(),
        params: launch.params.clone(),
        environment: environment.clone(),
        seen_root: prepared.seen_root.clone(),
        working_directory: launch.working_directory.clone(),
        code: prepared.code.clone(),
        redaction: prepared.redaction.clone(),
        at: started_at,
        tracking: target.clone(),
        batch: Arc::clone(&prepared.batch),
    };
    let mut tracing = pin!(trace(options, Arc::clone(&collector)));
    let traced = tokio::select! {
        traced = &mut tracing => traced,
        () = keep_opening_later(capture_files.to_owned(), started) => tracing.await,
    };
    let ended_at = bench.clock.now();
    // From here on an impatient Ctrl-C would lose what was observed. Before, the tracer passed signals on itself.
    let _patient = hold_signals();
    if let Some(endpoint) = endpoint {
        endpoint.close().await;
    }
    let traced = traced?;
    let detail = bench.tracking.get_run(&run.id).await?;
    let observed = Observed {
        run: run.clone(),
        logged: detail,
        traced,
        started_at,
        ended_at,
        target,
        command: launch.command,
        params: launch.params,
        environment,
        standard_input,
        working_directory: launch.working_directory,
        metrics_files: launch.metrics_files,
        asked_metrics_files: launch.asked_metrics_files,
        code: prepared.code,
        redaction: prepared.redaction,
        digests: prepared.digests,
        // What a replay writes stands in its own directory.
        made: launch.stage.is_none().then_some(prepared.made),
        seen_root: prepared.seen_root,
        view: prepared.view,
        is_shown: launch
            .stage
            .as_ref()
            .is_none_or(|stage| stage.replaced.is_empty()),
        batch: prepared.batch,
        stdout: capture_files.join("stdout"),
        stderr: capture_files.join("stderr"),
    };
    let (owned_bench, owned_collector) = (bench.clone(), collector);
    let written = tokio::task::spawn_blocking(move || {
        write_manifest(&owned_bench, observed, &owned_collector)
    })
    .await
    .map_err(|_| ExecutorError::Lost {
        what: "writing the manifest",
    })??;
    close_run(bench, run, written, ended_at).await
}

/// A value as it may be written down under a name: `***` for that of a password.
pub fn mask(settings: &CaptureSettings, key: &str, value: &str) -> String {
    Redaction::new(&[], &[], settings.variable_key).named(key, value)
}

/// What clients log at the endpoint goes into events, which cannot be forgotten.
fn endpoint_mask(redaction: &Redaction) -> Mask {
    let redaction = redaction.clone();
    Arc::new(move |key, value| redaction.named(key, value))
}

fn prepare(bench: &Workbench, launch: &Launch) -> Result<Prepared, ExecutorError> {
    let settings = &bench.settings;
    // Params are logged in the open, so the variables that carry them are no secrets.
    // A secret among them is one all the same.
    let plain = Redaction::new(&[], &[], settings.variable_key);
    // What is redacted already, as in a replay, says that its variable holds a secret.
    let is_open = |(key, value): &(&String, &String)| {
        !value.contains(MARK) && plain.named(key, value) == **value
    };
    let open_params = launch.params.iter().filter(is_open).map(|(key, _)| key);
    // Wherever the command says `{K}`, such a value stands in it.
    let secret_params = launch.params.iter().filter(|param| !is_open(param));
    let secret_values = secret_params.flat_map(|(key, value)| {
        let variables = launch
            .environment
            .iter()
            .filter(|(name, _)| name == key.as_str());
        let of_variable = variables.filter_map(|(_, value)| value.to_str().map(str::to_owned));
        let as_given = Some(value.clone()).filter(|value| !value.contains(MARK));
        as_given.into_iter().chain(of_variable).collect::<Vec<_>>()
    });
    let allowed: Vec<_> = settings
        .allowed_variables
        .iter()
        .chain(open_params)
        .cloned()
        .collect();
    let redaction = Redaction::new(&allowed, &settings.secret_files, settings.variable_key)
        .knowing(secret_values);
    let digests = Arc::new(DigestCache::open(
        bench.project.cache_directory.join("digests"),
    ));
    let batch = Arc::new(bench.cas.batch());
    let stage = launch.stage.as_ref();
    let real_root = stage.map_or(&bench.project.root, |stage| &stage.real_root);
    let made = MadeFiles::open(bench.project.cache_directory.join("made"));
    let code = capture_code(CodeRequest {
        root: real_root,
        store_directory: &bench.project.store_directory,
        batch: &batch,
        redaction: &redaction,
        digests: &digests,
        made: &made,
        cas: &bench.cas,
        size_limit_bytes: settings.size_limit_bytes,
        code_file_limit_bytes: settings.code_file_limit_bytes,
    })?;
    Ok(Prepared {
        made,
        seen_root: stage
            .map_or(&bench.project.root, |stage| &stage.seen_root)
            .clone(),
        view: View::new(
            stage
                .map(|stage| stage.binds.as_slice())
                .unwrap_or_default(),
        ),
        batch,
        digests,
        redaction,
        code,
    })
}

/// Keeps what a run was started with, once the run has lasted a while.
async fn keep_opening_later(directory: PathBuf, started: impl FnOnce() -> Started) {
    tokio::time::sleep(opening::KEPT_AFTER).await;
    let started = started();
    let kept = tokio::task::spawn_blocking(move || opening::keep_opening(&directory, started));
    // The run goes on without it.
    if let Ok(Err(error)) = kept.await {
        tracing::warn!(%error, "what the run was started with could not be kept");
    }
}

fn start_collector(bench: &Workbench, prepared: &Prepared) -> Collector {
    let Prepared {
        batch,
        digests,
        redaction,
        code,
        made: _,
        seen_root,
        view,
    } = prepared;
    Collector::new(CollectorRequest {
        view: view.clone(),
        context: ClassifyContext {
            project_root: seen_root.clone(),
            own_folders: [&bench.project.store_directory]
                .into_iter()
                .chain(&bench.project.signed_directory)
                .cloned()
                .collect(),
            code_files: code.files.keys().cloned().collect(),
            ..ClassifyContext::default()
        },
        redaction: redaction.clone(),
        keeper: Keeper {
            batch: Arc::clone(batch),
            digests: Arc::clone(digests),
            size_limit_bytes: bench.settings.size_limit_bytes,
        },
        code: code
            .files
            .iter()
            .map(|(path, file)| (path.clone(), file.object))
            .collect(),
        started_at: bench.clock.now(),
    })
}

type Opened = (
    Option<Box<dyn Endpoint>>,
    Vec<(OsString, OsString)>,
    TrackingTarget,
);

/// Opens the run's own endpoint and tells the command of it, unless the user has said where to log.
async fn open_endpoint(
    bench: &Workbench,
    run: &Run,
    launch: &Launch,
    mask: Mask,
) -> Result<Opened, ExecutorError> {
    let mut environment = launch.environment.clone();
    let given = find_variable(&environment, "MLFLOW_TRACKING_URI").map(str::to_owned);
    // Inside another captured run the variable names that run's endpoint: it is ours to set.
    let is_outer = given.as_deref() == find_variable(&environment, "REPROOF_ENDPOINT");
    let elsewhere = given.filter(|_| !is_outer);
    let Some(endpoints) = &bench.endpoints else {
        return Ok((None, environment, TrackingTarget::None));
    };
    let (presented_runs, presented_models) = launch
        .stage
        .as_ref()
        .map(|stage| (stage.presented_runs.clone(), stage.presented_models.clone()))
        .unwrap_or_default();
    let endpoint = endpoints
        .open(EndpointRequest {
            run: run.id.clone(),
            presented_runs,
            presented_models,
            mask,
        })
        .await?;
    set_variable(&mut environment, "REPROOF_RUN", run.id.as_str());
    set_variable(&mut environment, "REPROOF_ENDPOINT", endpoint.uri());
    set_variable(&mut environment, "REPROOF_TOKEN", endpoint.token());
    let target = if let Some(uri) = elsewhere {
        TrackingTarget::Elsewhere { uri }
    } else {
        set_variable(&mut environment, "MLFLOW_TRACKING_URI", endpoint.uri());
        set_variable(&mut environment, "MLFLOW_TRACKING_TOKEN", endpoint.token());
        TrackingTarget::Run
    };
    Ok((Some(endpoint), environment, target))
}

fn trace_options(
    bench: &Workbench,
    launch: &Launch,
    environment: &[(OsString, OsString)],
    capture_files: &Path,
) -> TraceOptions {
    let settings = &bench.settings;
    let stage = launch.stage.as_ref();
    let real_root = stage.map_or(&bench.project.root, |stage| &stage.real_root);
    TraceOptions {
        command: launch.command.clone(),
        working_directory: launch.working_directory.clone(),
        environment: environment.to_vec(),
        choice: settings.method,
        ends_orphans: settings.ends_orphans,
        stdin: None,
        binds: stage.map(|stage| stage.binds.clone()).unwrap_or_default(),
        scan: ScanScope {
            roots: vec![real_root.clone()],
            excludes: [
                bench.project.store_directory.clone(),
                real_root.join(".git"),
            ]
            .into_iter()
            // A replay's directory may stand inside the store, and is to be scanned all the same.
            .filter(|exclude| !real_root.starts_with(exclude))
            .collect(),
        },
        stdout: capture_files.join("stdout"),
        stderr: capture_files.join("stderr"),
        sample_interval_ms: settings.sample_interval_ms,
        clock: Arc::clone(&bench.clock),
    }
}

/// Takes the signals that would end this process; it ends by itself soon.
fn hold_signals() -> Vec<Signal> {
    [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ]
    .into_iter()
    .filter_map(|kind| signal(kind).ok())
    .collect()
}

async fn trace(
    options: TraceOptions,
    collector: Arc<Collector>,
) -> Result<TraceOutcome, ExecutorError> {
    tokio::task::spawn_blocking(move || capture::trace::trace(&options, collector, &mut |_| {}))
        .await
        .map_err(|_| ExecutorError::Lost {
            what: "observing the command",
        })?
        .map_err(ExecutorError::from)
}

/// How a run that ended so is called.
fn status_of(exit: Exit, was_interrupted: bool) -> RunStatus {
    match exit {
        Exit::Signal(_) => RunStatus::Killed,
        _ if was_interrupted => RunStatus::Killed,
        Exit::Code(0) => RunStatus::Finished,
        Exit::Code(_) => RunStatus::Failed,
        Exit::Unknown => RunStatus::Killed,
    }
}

async fn close_run(
    bench: &Workbench,
    run: &Run,
    written: Written,
    ended_at: Timestamp,
) -> Result<Outcome, ExecutorError> {
    let Written {
        recipe,
        record,
        recipe_object,
        record_object,
        params,
        metrics,
        was_interrupted,
    } = written;
    let finished = FinishedRun {
        run: run.id.clone(),
        status: status_of(record.exit, was_interrupted),
        ended_at,
        recipe: recipe_object,
        record: record_object,
        params,
        metrics,
        tags: BTreeMap::new(),
    };
    bench
        .tracking
        .finish_captured(&bench.caller, finished)
        .await?;
    let detail = bench.tracking.get_run(&run.id).await?;
    let shown = |metric: &&Metric| !metric.key.starts_with("system/");
    Ok(Outcome {
        metrics: detail
            .metrics
            .iter()
            .filter(shown)
            .map(|metric| (metric.key.clone(), metric.value))
            .collect(),
        params: detail.params,
        run: detail.run,
        recipe,
        record,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_was_interrupted_is_killed_whatever_its_status() {
        assert_eq!(status_of(Exit::Code(0), false), RunStatus::Finished);
        assert_eq!(status_of(Exit::Code(1), false), RunStatus::Failed);
        assert_eq!(status_of(Exit::Code(130), true), RunStatus::Killed);
        assert_eq!(status_of(Exit::Signal(9), false), RunStatus::Killed);
    }
}
