//! Running a recorded run again, and comparing.

mod artifacts;
mod environment;
mod inputs;
mod kernel;
mod repository;
mod stage;
mod variables;

pub use artifacts::REGISTERED_OUTPUTS;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use capture::trace::can_bind;
use entities::{
    EnvironmentFile, ModelId, ObjectId, Recipe, Record, RecordedPath, Run, RunDetail, RunId,
    canonical_json,
};
use provenance::{
    Comparison, ComparisonRules, FileSet, PlacedMetric, ReplayFacts, RunFacts,
    STANDARD_INPUT_FILE_NOT_KEPT, Tolerances, compare_replay,
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
    let children = children_of(bench, &first.id).await?;
    runs.extend(children.into_iter().map(|(id, _)| id));
    let models = bench.tracking.list_models_of(&first.id).await?;
    Ok((runs, models))
}

/// Runs that a client made inside a captured run, oldest first, with their names.
async fn children_of(
    bench: &Workbench,
    run: &RunId,
) -> Result<Vec<(RunId, String)>, ExecutorError> {
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
    Ok(made_by_clients
        .map(|child| (child.run.id, child.run.name))
        .collect())
}

/// A run that the command made.
struct Descendant {
    id: RunId,
    /// Words that say which it is, by the order in which the runs inside another were started.
    by_order: String,
    /// The same by their names.
    by_name: String,
}

/// Lists the runs that the command of a run made, and the runs inside them.
async fn descendants_of(bench: &Workbench, run: &RunId) -> Result<Vec<Descendant>, ExecutorError> {
    let mut found: Vec<Descendant> = Vec::new();
    let mut waiting = vec![(run.clone(), String::new(), String::new())];
    while let Some((run, by_order, by_name)) = waiting.pop() {
        let children = children_of(bench, &run).await?;
        for (index, (id, name)) in children.into_iter().enumerate() {
            // Clients may have tied runs into a ring.
            if found.iter().any(|known| known.id == id) {
                continue;
            }
            let child = Descendant {
                by_order: format!("{by_order}child {}: ", index + 1),
                by_name: format!("{by_name}child {name}: "),
                id,
            };
            waiting.push((
                child.id.clone(),
                child.by_order.clone(),
                child.by_name.clone(),
            ));
            found.push(child);
        }
    }
    Ok(found)
}

/// Which runs inside a run and inside its replay belong together, as words that are the same for both: by their names
/// where each name stands once and in both, for runs that are started side by side have no order; else by their order.
fn name_places(
    of_origin: Vec<Descendant>,
    of_replay: Vec<Descendant>,
) -> [Vec<(String, RunId)>; 2] {
    let names = |runs: &[Descendant]| -> BTreeSet<String> {
        runs.iter().map(|run| run.by_name.clone()).collect()
    };
    let (old, new) = (names(&of_origin), names(&of_replay));
    let is_once = old.len() == of_origin.len() && new.len() == of_replay.len();
    let is_by_name = is_once && old == new;
    [of_origin, of_replay].map(|runs| {
        let places = runs.into_iter().map(|run| {
            let place = if is_by_name {
                run.by_name
            } else {
                run.by_order
            };
            (place, run.id)
        });
        places.collect()
    })
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
    // Of a pipe nobody knows whether it was read; a file that was not kept was there to be.
    let was_not_kept = record
        .gaps
        .iter()
        .any(|gap| gap.code == STANDARD_INPUT_FILE_NOT_KEPT);
    if (recipe.standard_input.is_some() || was_not_kept) && standard_input.is_none() {
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
    let [of_origin, of_replay] = name_places(
        descendants_of(bench, &request.run.id).await?,
        descendants_of(bench, &outcome.run.id).await?,
    );
    let origin = replay_facts(bench, &request.run, &of_origin).await?;
    let replayed = replay_facts(bench, &outcome.run, &of_replay).await?;
    let own_models = bench.tracking.list_models_of(&outcome.run.id).await?;
    let own_runs = of_replay.iter().map(|(_, run)| run);
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

async fn replay_facts(
    bench: &Workbench,
    run: &Run,
    descendants: &[(String, RunId)],
) -> Result<ReplayFacts, ExecutorError> {
    let own = bench.tracking.all_metric_points(&run.id).await?;
    let mut points: Vec<_> = own.into_iter().map(PlacedMetric::from).collect();
    for (place, child) in descendants {
        let of_child = bench.tracking.all_metric_points(child).await?;
        points.extend(of_child.into_iter().map(|metric| PlacedMetric {
            place: place.clone(),
            metric,
        }));
    }
    let mut facts = run_facts(bench, run).await?;
    artifacts::add(bench, run, descendants, &mut facts.outputs.project).await?;
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
        environment_files: BTreeMap::new(),
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
    facts.environment_files = list_environment_files(&bench.cas, &record)?;
    (facts.recipe, facts.record) = (Some(recipe), Some(record));
    Ok(facts)
}

/// What a run read of interpreter, packages and system; nothing where the list was forgotten.
fn list_environment_files(
    cas: &cas::Cas,
    record: &Record,
) -> Result<BTreeMap<RecordedPath, ObjectId>, ExecutorError> {
    let Some(list) = record.environment_files else {
        return Ok(BTreeMap::new());
    };
    let list: Vec<EnvironmentFile> =
        serde_json::from_slice(&cas.read(&list)?).map_err(|error| ExecutorError::Manifest {
            run: record.run.clone(),
            object: list,
            message: error.to_string(),
        })?;
    let known = list
        .into_iter()
        .filter_map(|file| Some((file.path, file.object?)));
    Ok(known.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(names: &[&str], first: usize) -> Vec<Descendant> {
        let numbered = names.iter().enumerate();
        numbered
            .map(|(index, name)| Descendant {
                id: format!("{:032x}", first + index).parse().unwrap(),
                by_order: format!("child {}: ", index + 1),
                by_name: format!("child {name}: "),
            })
            .collect()
    }

    fn places(origin: &[&str], replay: &[&str]) -> [Vec<String>; 2] {
        let places = name_places(runs(origin, 0), runs(replay, 100));
        places.map(|runs| runs.into_iter().map(|(place, _)| place).collect())
    }

    #[test]
    fn inner_runs_belong_together_by_name_or_else_by_order() {
        let by_order = |count: usize| -> Vec<String> {
            (1..=count)
                .map(|number| format!("child {number}: "))
                .collect()
        };
        assert_eq!(
            places(&["a", "b"], &["b", "a"]),
            [["child a: ", "child b: "], ["child b: ", "child a: "]]
        );
        assert_eq!(places(&["a", "b"], &["a", "c"]), [by_order(2), by_order(2)]);
        assert_eq!(places(&["a", "a"], &["a", "a"]), [by_order(2), by_order(2)]);
        assert_eq!(places(&["a"], &["a", "b"]), [by_order(1), by_order(2)]);
    }
}
