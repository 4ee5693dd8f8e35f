//! Running a recorded run again, and comparing.

mod artifacts;
mod environment;
mod inputs;
mod kernel;
mod repository;
mod stage;
mod variables;

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use capture::trace::can_bind;
use entities::{ModelId, Recipe, Record, RecordedPath, Run, RunDetail, RunId, canonical_json};
use provenance::{
    Comparison, ComparisonRules, FileSet, ReplayFacts, RunFacts, Tolerances, compare_replay,
};
use store::{PageRequest, View as Lifecycle};

use self::inputs::CopiedSecrets;
use crate::launch::{Identity, Launch, Outcome, launch};
use crate::manifest::PATHS_NOT_SHOWN;
use crate::standard_input;
use crate::temporary::TemporaryDirectory;
use crate::{ExecutorError, Manifest, Workbench, flatten_tree, make_empty, read_manifest, restore};

/// What to replay, and how.
#[derive(Clone, Debug)]
pub struct ReplayRequest {
    /// The run.
    pub run: Run,
    /// The directory to replay in, which must not hold anything; a temporary one if none.
    pub into: Option<PathBuf>,
    /// Which environment; if none, the installed one where it is the same, else a rebuilt one.
    pub environment: Option<ReplayEnvironment>,
    /// Variables to set on purpose.
    pub variables: BTreeMap<String, String>,
    /// How far metrics may be off.
    pub tolerances: Tolerances,
}

/// Which Python environment a replay runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayEnvironment {
    /// Built from the record.
    Rebuild,
    /// The one that is installed now.
    Current,
}

/// A replay that was carried out and judged.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// The run that did it.
    pub outcome: Outcome,
    /// That run beside its origin.
    pub comparison: Comparison,
    /// What could not be done as it was, and what was done about it; sentences without a full stop.
    pub notes: Vec<String>,
    /// Where it ran; none for a temporary directory, which is gone again.
    pub directory: Option<PathBuf>,
    /// `current` or `rebuilt`.
    pub environment: &'static str,
}

/// Runs a recorded run again and commits the verdict.
pub async fn replay(bench: &Workbench, request: ReplayRequest) -> Result<Replayed, ExecutorError> {
    let manifest = read_manifest(&bench.cas, &request.run)?;
    let origin = bench.tracking.get_run(&request.run.id).await?;
    // Kept until the end: dropping it removes the directory.
    let temporary = TemporaryDirectory::of_replay(&bench.project.temporary_directory)?;
    // It must be empty, which the directory with the lock is not.
    let own = || temporary.path().join("project");
    let directory = request.into.clone().unwrap_or_else(own);
    make_empty(&directory)?;
    let directory = directory
        .canonicalize()
        .map_err(|error| ExecutorError::io("find", &directory, error))?;
    let ids = presented_ids(bench, &origin).await?;
    let prepared = {
        let (bench, manifest, directory) = (bench.clone(), manifest.clone(), directory.clone());
        let (choice, variables) = (request.environment, request.variables.clone());
        // A directory of ours goes with all that is in it, if not by us then by a later command.
        let vault = request.into.as_ref().filter(|_| can_bind());
        let vault = vault.map(|_| temporary.path().to_owned());
        tokio::task::spawn_blocking(move || {
            prepare(&bench, &manifest, &directory, vault, choice, variables)
        })
        .await
        .map_err(|_| ExecutorError::Lost {
            what: "preparing the replay",
        })??
    };
    let Prepared {
        mut launch_request,
        mut notes,
        lost_inputs,
        // Kept until the end, as the directory is.
        secrets: _secrets,
        environment,
    } = prepared;
    launch_request.identity = identity(bench, &origin, &request.run).await?;
    if let Some(stage) = &mut launch_request.stage {
        (stage.presented_runs, stage.presented_models) = ids.clone();
    }
    let binds = launch_request.stage.as_ref();
    let binds = binds.map(|stage| stage.binds.clone()).unwrap_or_default();
    let outcome = launch(bench, launch_request).await?;
    if request.into.is_some() {
        stage::remove_placeholders(&binds);
    }
    let is_elsewhere = |gap: &&entities::Gap| gap.code == PATHS_NOT_SHOWN;
    notes.extend(
        outcome
            .record
            .gaps
            .iter()
            .find(is_elsewhere)
            .map(|gap| gap.message.clone()),
    );
    let comparison = judge(bench, &request, &outcome, ids, lost_inputs).await?;
    Ok(Replayed {
        outcome,
        comparison,
        notes,
        directory: request.into.is_some().then_some(directory),
        environment,
    })
}

/// The ids that the origin's command was given, in the order of their creation.
async fn presented_ids(
    bench: &Workbench,
    origin: &RunDetail,
) -> Result<(Vec<RunId>, Vec<ModelId>), ExecutorError> {
    // A replay's command was given the ids of what it replays.
    let mut first = origin.run.clone();
    while let Some(earlier) = &first.replay_of {
        first = bench.tracking.get_run(earlier).await?.run;
    }
    let mut runs = vec![first.id.clone()];
    runs.extend(children_of(bench, &first.id).await?);
    let models = bench.tracking.list_models_of(&first.id).await?;
    Ok((runs, models))
}

/// Runs that a client made inside a captured run, oldest first.
async fn children_of(bench: &Workbench, run: &RunId) -> Result<Vec<RunId>, ExecutorError> {
    let filter = format!("tags.`mlflow.parentRunId` = '{run}'");
    let page = PageRequest::first(10_000);
    let children = bench
        .tracking
        .search_runs(
            &[],
            &filter,
            &["attributes.start_time ASC"],
            Lifecycle::All,
            &page,
        )
        .await?;
    // A `reproof run` inside the run is a child too, but no client was given its id.
    let made_by_clients = children
        .items
        .into_iter()
        .filter(|child| child.run.process.is_none());
    Ok(made_by_clients.map(|child| child.run.id).collect())
}

/// Those runs and the runs inside them, each with words that say which it is: the same for origin and replay.
async fn descendants_of(
    bench: &Workbench,
    run: &RunId,
) -> Result<Vec<(String, RunId)>, ExecutorError> {
    let mut found: Vec<(String, RunId)> = Vec::new();
    let mut waiting = vec![(String::new(), run.clone())];
    while let Some((place, run)) = waiting.pop() {
        for (index, child) in children_of(bench, &run).await?.into_iter().enumerate() {
            // Clients may have tied runs into a ring.
            if found.iter().any(|(_, known)| *known == child) {
                continue;
            }
            let place = format!("{place}child {}: ", index + 1);
            found.push((place.clone(), child.clone()));
            waiting.push((place, child));
        }
    }
    Ok(found)
}

async fn identity(
    bench: &Workbench,
    origin: &RunDetail,
    run: &Run,
) -> Result<Identity, ExecutorError> {
    let experiment = bench.tracking.get_experiment(&run.experiment).await?;
    Ok(Identity {
        experiment: Some(experiment.name),
        name: Some(format!("replay of {}", origin.run.name)),
        tags: BTreeMap::new(),
        replay_of: Some(run.id.clone()),
    })
}

struct Prepared {
    launch_request: Launch,
    notes: Vec<String>,
    lost_inputs: Vec<RecordedPath>,
    secrets: CopiedSecrets,
    environment: &'static str,
}

/// Restores files, chooses the environment and lays out what the command will see.
fn prepare(
    bench: &Workbench,
    manifest: &Manifest,
    directory: &Path,
    vault: Option<PathBuf>,
    choice: Option<ReplayEnvironment>,
    overrides: BTreeMap<String, String>,
) -> Result<Prepared, ExecutorError> {
    let Manifest { recipe, record } = manifest;
    let mut notes = Vec::new();
    let restored = restore(&bench.cas, recipe, None, directory)?;
    make_folders(recipe, record, directory)?;
    let mut stand_ins = inputs::find_stand_ins(&bench.cas, manifest, directory, vault)?;
    notes.append(&mut stand_ins.notes);
    let is_input = |path: &RecordedPath| {
        recipe
            .inputs
            .not_kept
            .iter()
            .any(|input| input.path == *path)
    };
    let is_told = |path: &RecordedPath| is_input(path) || stand_ins.lost.contains(path);
    for missing in restored
        .not_kept
        .iter()
        .filter(|missing| !is_told(&missing.path))
    {
        notes.push(format!(
            "`{}` could not be restored: its bytes are not on record",
            missing.path
        ));
    }
    let not_given = restored.not_kept.iter().map(|missing| &missing.path);
    let not_given: Vec<_> = not_given.map(RecordedPath::to_path).collect();
    let shared_objects = repository::recreate(bench, recipe, &not_given, directory, &mut notes);
    let chosen = environment::choose(bench, recipe, choice)?;
    notes.extend(chosen.notes.iter().cloned());
    let mut variables = variables::recorded_variables(bench, recipe, &mut notes);
    kernel::pin(
        recipe,
        record,
        &capture::host::read_host(),
        &mut variables,
        &mut notes,
    );
    // A replay inside a captured run is part of that run.
    for (name, value) in &bench.environment {
        if ["REPROOF_SUPERVISOR", "REPROOF_RUN", "REPROOF_ENDPOINT"]
            .iter()
            .any(|outer| name == outer)
        {
            crate::run::set_variable(&mut variables, &name.to_string_lossy(), value.clone());
        }
    }
    for (name, value) in overrides {
        crate::run::set_variable(&mut variables, &name, value);
    }
    let mut command: Vec<_> = recipe
        .command
        .iter()
        .map(|word| word.to_path().into_os_string())
        .collect();
    if recipe
        .command
        .iter()
        .any(|word| word.as_str().contains("***"))
    {
        notes.push(
            "the command holds secrets that are not on record; `***` stands in their place"
                .to_owned(),
        );
    }
    let (standard_input, note) = standard_input::of_replay(&bench.cas, recipe, record)?;
    notes.extend(note);
    if recipe.standard_input.is_some() && standard_input.is_none() {
        stand_ins.lost.push(RecordedPath::new("standard input"));
    }
    let stage = if can_bind() {
        let files = stage::FilesOf {
            restored: &restored,
            stand_ins: &mut stand_ins,
            shared_objects,
        };
        stage::lay_out(&bench.cas, manifest, directory, &chosen, files)?
    } else {
        stand_ins.note_changed(&restored);
        stage::adapt(recipe, directory, &chosen, &mut command, &mut variables)
    };
    notes.append(&mut stand_ins.notes);
    let working_directory = stage.in_place_of(&recipe.working_directory.to_path());
    let launch_request = Launch {
        identity: Identity {
            experiment: None,
            name: None,
            tags: BTreeMap::new(),
            replay_of: None,
        },
        command,
        params: recipe.params.clone(),
        environment: variables,
        working_directory,
        metrics_files: bench.settings.metrics_files.clone(),
        asked_metrics_files: Vec::new(),
        standard_input,
        stage: Some(stage),
    };
    Ok(Prepared {
        launch_request,
        notes,
        lost_inputs: stand_ins.lost,
        secrets: stand_ins.secrets,
        environment: chosen.word,
    })
}

/// Makes the folders that were there and empty, or whose files are not code.
fn make_folders(recipe: &Recipe, record: &Record, directory: &Path) -> Result<(), ExecutorError> {
    let root = recipe.project_root.to_path();
    // The command is started there, whether anything stands in it or not.
    let working = recipe.working_directory.to_path();
    let working = working.strip_prefix(&root).map(Path::to_owned).ok();
    let folders = record.folders.iter().map(RecordedPath::to_path);
    for folder in folders.chain(working) {
        // The repository is made by itself; older records name its folders too.
        let is_plain = |component| matches!(component, Component::Normal(name) if name != ".git");
        if folder.components().all(is_plain) {
            let folder = directory.join(folder);
            crate::restore::refuse_links(directory, &folder)?;
            std::fs::create_dir_all(&folder)
                .map_err(|error| ExecutorError::io("make", &folder, error))?;
        }
    }
    Ok(())
}

async fn judge(
    bench: &Workbench,
    request: &ReplayRequest,
    outcome: &Outcome,
    (runs, models): (Vec<RunId>, Vec<ModelId>),
    lost_inputs: Vec<RecordedPath>,
) -> Result<Comparison, ExecutorError> {
    let origin = replay_facts(bench, &request.run).await?;
    let replayed = replay_facts(bench, &outcome.run).await?;
    let own_models = bench.tracking.list_models_of(&outcome.run.id).await?;
    let own_runs = descendants_of(bench, &outcome.run.id).await?;
    let own_runs = own_runs.iter().map(|(_, run)| run);
    let ids = runs.iter().chain(own_runs).map(ToString::to_string);
    let read_object = |object: &entities::ObjectId| bench.cas.read(object).ok();
    let rules = ComparisonRules {
        tolerances: request.tolerances.clone(),
        timings: bench.settings.timings.clone(),
        lost_inputs,
        ids: ids
            .chain(models.iter().chain(&own_models).map(ToString::to_string))
            .collect(),
        read_object: &read_object,
    };
    let comparison = compare_replay(&origin, &replayed, &rules);
    let batch = bench.cas.batch();
    let object = batch.put(&canonical_json(&comparison)?)?;
    batch.commit()?;
    let host_kind = outcome.record.host.kind(&outcome.recipe.environment);
    bench
        .tracking
        .judge_replay(&bench.caller, comparison.verdict(host_kind, object))
        .await?;
    Ok(comparison)
}

async fn replay_facts(bench: &Workbench, run: &Run) -> Result<ReplayFacts, ExecutorError> {
    let mut points = bench.tracking.all_metric_points(&run.id).await?;
    let descendants = descendants_of(bench, &run.id).await?;
    for (place, child) in &descendants {
        let of_child = bench.tracking.all_metric_points(child).await?;
        points.extend(of_child.into_iter().map(|mut metric| {
            metric.key = format!("{place}{}", metric.key);
            metric
        }));
    }
    let mut facts = run_facts(bench, run).await?;
    artifacts::add(bench, run, &descendants, &mut facts.outputs.project).await?;
    Ok(ReplayFacts { run: facts, points })
}

/// Everything that is known of a run.
pub async fn run_facts(bench: &Workbench, run: &Run) -> Result<RunFacts, ExecutorError> {
    let detail = bench.tracking.get_run(&run.id).await?;
    let mut facts = RunFacts {
        detail,
        recipe: None,
        record: None,
        code: provenance::FileMap::new(),
        inputs: FileSet::default(),
        outputs: FileSet::default(),
    };
    if facts.detail.run.recipe.is_none() {
        return Ok(facts);
    }
    let Manifest { recipe, record } = read_manifest(&bench.cas, &facts.detail.run)?;
    let set = |trees: &entities::FileTrees| -> Result<FileSet, ExecutorError> {
        let list = |tree: &Option<entities::ObjectId>| match tree {
            Some(tree) => flatten_tree(&bench.cas, tree),
            None => Ok(provenance::FileMap::new()),
        };
        Ok(FileSet {
            project: list(&trees.project)?,
            outside: list(&trees.outside)?,
        })
    };
    facts.code = flatten_tree(&bench.cas, &recipe.code.tree)?;
    facts.inputs = set(&recipe.inputs)?;
    facts.outputs = set(&record.outputs)?;
    (facts.recipe, facts.record) = (Some(recipe), Some(record));
    Ok(facts)
}
