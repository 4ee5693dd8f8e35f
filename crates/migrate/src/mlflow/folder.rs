//! MLflow's folder of files, `mlruns/`.
//!
//! *Source*: what `mlflow/store/tracking/file_store.py` and `mlflow/store/model_registry/file_store.py` write, 2.0 to 3.18.

mod meta;
mod points;
mod traces;
mod yaml;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use entities::{
    DatasetInput, Experiment, ExperimentId, LoggedModel, Metric, ModelId, ModelOutput, RunId,
    TraceId, VersionNumber,
};
use walkdir::WalkDir;

use self::meta::{
    ExperimentMeta, InputMeta, ModelMeta, OutputMeta, RegisteredMeta, RunMeta, VersionMeta,
    read_meta,
};
use self::points::{model_point, run_point};
use self::traces::TRACE_FILE;
use crate::MigrateError;
use crate::locations::is_local;
use crate::source::{
    Outline, RunPlace, SourceModel, SourceRegistered, SourceRun, SourceVersion, complete_run,
    tell_points_of_models,
};

/// Where deleted experiments are.
const TRASH: &str = ".trash";

/// Where registered models are, and in an experiment the logged ones.
const MODELS: &str = "models";

/// Folders of an experiment that are no runs.
const NO_RUNS: [&str; 4] = ["tags", "datasets", "traces", MODELS];

/// A folder of files that MLflow wrote, looked through once.
pub(crate) struct MlrunsFolder {
    root: PathBuf,
    experiments: BTreeMap<ExperimentId, PathBuf>,
    runs: BTreeMap<RunId, PathBuf>,
    models: BTreeMap<ModelId, PathBuf>,
    /// Points that name a model stand beside the model, each with its run.
    of_models: BTreeMap<RunId, Vec<Metric>>,
    /// Each with its experiment.
    traces: BTreeMap<TraceId, (ExperimentId, PathBuf)>,
    unreadable: Vec<String>,
    left_behind: BTreeMap<String, u64>,
}

impl MlrunsFolder {
    /// Looks a folder through.
    pub(crate) fn open(root: &Path) -> Result<Self, MigrateError> {
        let mut folder = Self {
            root: root.to_owned(),
            experiments: BTreeMap::new(),
            runs: BTreeMap::new(),
            models: BTreeMap::new(),
            of_models: BTreeMap::new(),
            traces: BTreeMap::new(),
            unreadable: Vec::new(),
            left_behind: BTreeMap::new(),
        };
        for parent in [root.to_owned(), root.join(TRASH)] {
            for (name, path) in folder.subfolders(&parent)? {
                if ![TRASH, MODELS].contains(&name.as_str()) {
                    folder.look_through(&name, path)?;
                }
            }
        }
        if folder.experiments.is_empty() && !root.join(MODELS).is_dir() {
            return Err(MigrateError::NotMlruns {
                path: root.display().to_string(),
            });
        }
        Ok(folder)
    }

    /// Notes the runs and logged models of an experiment.
    fn look_through(&mut self, name: &str, path: PathBuf) -> Result<(), MigrateError> {
        if !path.join("meta.yaml").is_file() {
            self.leave("folders without a `meta.yaml`", 1);
            return Ok(());
        }
        for (name, run) in self.subfolders(&path)? {
            if NO_RUNS.contains(&name.as_str()) {
                continue;
            }
            if run.join("meta.yaml").is_file() {
                self.runs.insert(parse(&name, &run)?, run);
            } else {
                self.leave("folders without a `meta.yaml`", 1);
            }
        }
        for (name, model) in self.subfolders(&path.join(MODELS))? {
            let id: ModelId = parse(&name, &model)?;
            for (key, file) in values_below(&model.join("metrics"))? {
                for line in file.lines().filter(|line| !line.trim().is_empty()) {
                    let (run, point) = model_point(&key, line, &id)
                        .ok_or_else(|| malformed(&model.join("metrics").join(&key), line))?;
                    self.of_models.entry(run).or_default().push(point);
                }
            }
            self.models.insert(id, model);
        }
        let experiment: ExperimentId = parse(name, &path)?;
        self.look_for_traces(&experiment, &path.join("traces"))?;
        self.experiments.insert(experiment, path);
        Ok(())
    }

    fn look_for_traces(
        &mut self,
        experiment: &ExperimentId,
        folder: &Path,
    ) -> Result<(), MigrateError> {
        for (name, path) in self.subfolders(folder)? {
            if !path.join(TRACE_FILE).is_file() {
                self.leave("folders of traces without a `trace_info.yaml`", 1);
                continue;
            }
            let fault = match name.parse::<TraceId>() {
                Err(_) => "its name is no id of a trace",
                Ok(id) if self.traces.contains_key(&id) => {
                    "another experiment has a trace of that id"
                }
                Ok(id) => {
                    self.traces.insert(id, (experiment.clone(), path));
                    continue;
                }
            };
            self.unreadable
                .push(format!("`{}`: {fault}", path.display()));
        }
        Ok(())
    }

    fn leave(&mut self, what: &str, count: u64) {
        if count > 0 {
            *self.left_behind.entry(what.to_owned()).or_default() += count;
        }
    }

    /// Names and paths of the folders right below one, by name; none where it is not there. Links are not followed.
    fn subfolders(&mut self, folder: &Path) -> Result<Vec<(String, PathBuf)>, MigrateError> {
        let mut found = Vec::new();
        let (mut links, mut nameless) = (0, 0);
        if folder.is_dir() {
            for entry in WalkDir::new(folder)
                .follow_root_links(true)
                .min_depth(1)
                .max_depth(1)
                .sort_by_file_name()
            {
                let entry = entry.map_err(|error| file_fault(folder)(error.into()))?;
                if entry.path_is_symlink() {
                    links += 1;
                } else if entry.file_type().is_dir() {
                    match entry.file_name().to_str() {
                        Some(name) => found.push((name.to_owned(), entry.path().to_owned())),
                        None => nameless += 1,
                    }
                }
            }
        }
        self.leave("links in place of folders", links);
        self.leave("folders whose names are not UTF-8", nameless);
        Ok(found)
    }

    /// The folder that relative locations start from: the one that `mlruns` is in.
    pub(crate) fn folder(&self) -> PathBuf {
        let root = self.root.canonicalize();
        let root = root.unwrap_or_else(|_| self.root.clone());
        root.parent().unwrap_or(&root).to_owned()
    }

    /// Reads all but the runs and the traces.
    pub(crate) fn outline(&self) -> Result<Outline, MigrateError> {
        let experiments = self.experiments.iter();
        let experiments = experiments.map(|(id, path)| experiment_of(id, path));
        let mut runs = Vec::new();
        for (id, path) in &self.runs {
            let meta: RunMeta = read_meta(path)?;
            let run = meta.to_run(id)?;
            let place = RunPlace {
                id: id.clone(),
                experiment: run.experiment,
                folder: own_artifacts(path, &run.artifact_uri),
                has_event_files: false,
                artifact_uri: run.artifact_uri,
            };
            runs.push((run.started_at, place));
        }
        runs.sort_by(|(one, a), (other, b)| (one, &a.id).cmp(&(other, &b.id)));
        let models = self.models.iter().map(|(id, path)| model_of(id, path));
        Ok(Outline {
            experiments: experiments.collect::<Result<_, _>>()?,
            runs: runs.into_iter().map(|(_, place)| place).collect(),
            models: models.collect::<Result<_, _>>()?,
            registered: self.registered()?,
            traces: self.trace_places(),
            datasets: Vec::new(),
            scorers: Vec::new(),
            webhooks: Vec::new(),
            unreadable: self.unreadable.clone(),
            left_behind: self.left_behind.clone(),
        })
    }

    /// Reads a run with everything that belongs to it.
    pub(crate) fn run(&self, id: &RunId) -> Result<SourceRun, MigrateError> {
        let path = self.runs.get(id).ok_or_else(|| MigrateError::Row {
            what: format!("run `{id}`"),
            why: "it was there a moment ago".to_owned(),
        })?;
        let meta: RunMeta = read_meta(path)?;
        let mut run = meta.to_run(id)?;
        let tags = values_below(&path.join("tags"))?;
        complete_run(&mut run, &tags);
        let mut points = Vec::new();
        for (key, file) in values_below(&path.join("metrics"))? {
            for line in file.lines().filter(|line| !line.trim().is_empty()) {
                let point = run_point(&key, line)
                    .ok_or_else(|| malformed(&path.join("metrics").join(&key), line))?;
                points.push(point);
            }
        }
        if let Some(of_models) = self.of_models.get(id) {
            tell_points_of_models(&mut points, of_models.clone(), f64::NAN);
        }
        let experiment = path.parent().unwrap_or(path);
        let (datasets, model_inputs) = inputs_of(path, experiment)?;
        Ok(SourceRun {
            params: values_below(&path.join("params"))?,
            tags,
            points,
            datasets,
            model_inputs,
            model_outputs: outputs_of(path)?,
            run,
        })
    }

    fn registered(&self) -> Result<Vec<SourceRegistered>, MigrateError> {
        let mut registered = Vec::new();
        for path in folders_with_meta(&self.root.join(MODELS))? {
            let meta: RegisteredMeta = read_meta(&path)?;
            let model = meta.into_model(values_below(&path.join("tags"))?);
            let mut versions = Vec::new();
            for folder in folders_with_meta(&path)? {
                let meta: VersionMeta = read_meta(&folder)?;
                let version = meta.into_version(&model.name, values_below(&folder.join("tags"))?);
                versions.push(version.ok_or_else(|| MigrateError::Row {
                    what: format!("`{}`", folder.display()),
                    why: "it has no number".to_owned(),
                })?);
            }
            versions.sort_by_key(|found: &SourceVersion| found.version.version);
            let mut aliases = BTreeMap::new();
            for (alias, number) in values_below(&path.join("aliases"))? {
                let number = number.trim().parse().ok().and_then(VersionNumber::new);
                let number = number.ok_or_else(|| MigrateError::Row {
                    what: format!("alias `{alias}` of `{}`", model.name),
                    why: "it names no version".to_owned(),
                })?;
                aliases.insert(alias, number);
            }
            registered.push(SourceRegistered {
                model,
                versions,
                aliases,
            });
        }
        Ok(registered)
    }
}

fn experiment_of(id: &ExperimentId, path: &Path) -> Result<Experiment, MigrateError> {
    let meta: ExperimentMeta = read_meta(path)?;
    Ok(meta.into_experiment(id.clone(), values_below(&path.join("tags"))?))
}

fn model_of(id: &ModelId, path: &Path) -> Result<SourceModel, MigrateError> {
    let meta: ModelMeta = read_meta(path)?;
    let is_deleted = meta.is_deleted();
    let model = LoggedModel {
        tags: values_below(&path.join("tags"))?,
        params: values_below(&path.join("params"))?,
        ..meta.into_model(id.clone())?
    };
    Ok(SourceModel {
        folder: own_artifacts(path, &model.artifact_uri),
        model,
        is_deleted,
    })
}

fn inputs_of(
    run: &Path,
    experiment: &Path,
) -> Result<(Vec<DatasetInput>, Vec<ModelId>), MigrateError> {
    let (mut datasets, mut models) = (Vec::new(), Vec::new());
    for path in folders_with_meta(&run.join("inputs"))? {
        let meta: InputMeta = read_meta(&path)?;
        match meta.source_type.as_str() {
            "DATASET" => {
                // An MD5 that MLflow computed, and the name of a folder here.
                let is_digest = meta.source_id.bytes().all(|byte| byte.is_ascii_hexdigit());
                if meta.source_id.is_empty() || !is_digest {
                    return Err(MigrateError::Row {
                        what: format!("`{}`", path.display()),
                        why: format!("`{}` is no dataset", meta.source_id),
                    });
                }
                let folder = experiment.join("datasets").join(&meta.source_id);
                let dataset: meta::DatasetMeta = read_meta(&folder)?;
                datasets.push(dataset.into_input(meta.tags));
            }
            "MODEL_INPUT" | "RUN_INPUT" => models.push(parse(&meta.destination_id, &path)?),
            kind => {
                return Err(MigrateError::Row {
                    what: format!("`{}`", path.display()),
                    why: format!("an input of the kind `{kind}` is not known"),
                });
            }
        }
    }
    Ok((datasets, models))
}

fn outputs_of(run: &Path) -> Result<Vec<ModelOutput>, MigrateError> {
    folders_with_meta(&run.join("outputs"))?
        .iter()
        .map(|path| {
            let meta: OutputMeta = read_meta(path)?;
            Ok(ModelOutput {
                model: parse(&meta.destination_id, path)?,
                step: meta.step,
            })
        })
        .collect()
}

/// The folders right below one that have a `meta.yaml`, by name. Links are not followed.
fn folders_with_meta(folder: &Path) -> Result<Vec<PathBuf>, MigrateError> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in WalkDir::new(folder)
        .min_depth(1)
        .max_depth(1)
        .sort_by_file_name()
    {
        let entry = entry.map_err(|error| file_fault(folder)(error.into()))?;
        if entry.file_type().is_dir() && entry.path().join("meta.yaml").is_file() {
            found.push(entry.into_path());
        }
    }
    Ok(found)
}

/// Reads the files below a folder whole, by their path in it: keys may hold slashes. Links are not followed.
fn values_below(folder: &Path) -> Result<BTreeMap<String, String>, MigrateError> {
    let mut values = BTreeMap::new();
    if !folder.is_dir() {
        return Ok(values);
    }
    for entry in WalkDir::new(folder) {
        let entry = entry.map_err(|error| file_fault(folder)(error.into()))?;
        if !entry.file_type().is_file() {
            continue;
        }
        let path = entry.path();
        let key = path.strip_prefix(folder).ok().and_then(Path::to_str);
        let key = key.ok_or_else(|| MigrateError::Row {
            what: format!("`{}`", path.display()),
            why: "its name is not UTF-8".to_owned(),
        })?;
        let value = std::fs::read_to_string(path).map_err(file_fault(path))?;
        values.insert(key.to_owned(), value);
    }
    Ok(values)
}

/// The artifacts beside what they belong to, where the location is one of this file system: the folder may have been
/// moved, or into the trash, and the location names where it was.
fn own_artifacts(path: &Path, uri: &str) -> Option<PathBuf> {
    let own = path.join("artifacts");
    (is_local(uri) && own.is_dir()).then_some(own)
}

fn parse<T>(text: &str, path: &Path) -> Result<T, MigrateError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| MigrateError::Row {
        what: format!("`{}`", path.display()),
        why: format!("`{text}` cannot be its id: {error}"),
    })
}

fn malformed(path: &Path, line: &str) -> MigrateError {
    MigrateError::Row {
        what: format!("`{}`", path.display()),
        why: format!("`{line}` is no point of a metric"),
    }
}

fn file_fault(path: &Path) -> impl Fn(std::io::Error) -> MigrateError + use<> {
    let path = path.display().to_string();
    move |source| MigrateError::File {
        path: path.clone(),
        source,
    }
}
