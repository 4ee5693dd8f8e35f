//! What can be taken over, behind one name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use entities::{DatasetId, DatasetRecord, Experiment, RunId, TraceId};
use store_sql::sql::{Connection, Dialect};

use crate::artifacts::SourceFiles;
use crate::dvc::DvcProject;
use crate::locations::local_path;
use crate::mlflow::{MlflowClient, MlflowDatabase, MlflowServer, MlrunsFolder};
use crate::places::Places;
use crate::source::{Outline, SourceRun, TraceReading};
use crate::tensorboard::TensorBoardFolder;
use crate::wandb::WandbFolder;
use crate::{FernetKey, MigrateError, ServerAccess};

/// What another tool has on record, open for reading.
pub struct Source(Kind);

enum Kind {
    Database(MlflowDatabase),
    Folder(MlrunsFolder),
    Server(MlflowServer, PathBuf),
    TensorBoard(TensorBoardFolder),
    Wandb(WandbFolder),
    Dvc(Box<DvcProject>),
}

impl Source {
    /// Opens `sqlite:///PATH`, `file:///PATH` or a path: of a database, or of a folder such as `mlruns`.
    ///
    /// *Errors*: `UnknownSource` for another kind of URI; `Database` and `File` if it cannot be read; `NotMlflow` and
    /// `NotMlruns`; `Row` if a folder holds what MLflow does not write.
    pub fn open(uri: &str) -> Result<Self, MigrateError> {
        let path = Self::path(uri).ok_or_else(|| MigrateError::UnknownSource {
            uri: uri.to_owned(),
        })?;
        Ok(Self(if path.is_dir() {
            Kind::Folder(MlrunsFolder::open(&path)?)
        } else {
            Kind::Database(MlflowDatabase::open(&path)?)
        }))
    }

    /// Opens a file of SQLite that was written here.
    pub(crate) fn of_database(path: &Path) -> Result<Self, MigrateError> {
        Ok(Self(Kind::Database(MlflowDatabase::open(path)?)))
    }

    /// Takes a connection to a database of PostgreSQL. What names it in messages holds no password; relative locations
    /// start from the folder.
    ///
    /// *Errors*: `Database` if it cannot be read; `NotMlflow`.
    pub fn of_postgres(
        connection: Box<dyn Connection>,
        name: String,
        folder: PathBuf,
    ) -> Result<Self, MigrateError> {
        let database = MlflowDatabase::of(connection, Dialect::Postgres, name, folder)?;
        Ok(Self(Kind::Database(database)))
    }

    /// Takes a server, which is not asked yet. Locations on its machine that are relative start from the folder.
    pub fn of_server(access: ServerAccess, folder: PathBuf) -> Self {
        Self(Kind::Server(MlflowServer::new(access), folder))
    }

    /// Looks for event files of TensorBoard in a folder and below.
    ///
    /// *Errors*: `NoEventFiles`; `File` if a folder cannot be read.
    pub fn of_tensorboard(root: &Path) -> Result<Self, MigrateError> {
        let folder = TensorBoardFolder::open(root)?;
        Ok(Self(Kind::TensorBoard(folder)))
    }

    /// Looks for files of W&B in a folder and below, such as `wandb`.
    ///
    /// *Errors*: `NoWandbFiles`; `File` if a folder cannot be read.
    pub fn of_wandb(root: &Path) -> Result<Self, MigrateError> {
        Ok(Self(Kind::Wandb(WandbFolder::open(root)?)))
    }

    /// Looks for experiments of DVC in the project that a folder is in. What is named as its cache is read wherever it is;
    /// else the one that its settings name, if it is in the repository.
    ///
    /// *Errors*: `Repository` if there is no repository, or it cannot be read; `NoDvcProject`; `NoExperiments`; `NoFolder`
    /// of the cache.
    pub fn of_dvc(folder: &Path, cache: Option<&Path>) -> Result<Self, MigrateError> {
        let project = DvcProject::open(folder, cache)?;
        Ok(Self(Kind::Dvc(Box::new(project))))
    }

    /// The names under which the tool keeps runs together, for each of which an experiment must be named; none where the
    /// source has experiments of its own.
    pub fn projects(&self) -> Vec<String> {
        match &self.0 {
            Kind::TensorBoard(folder) => vec![folder.project()],
            Kind::Wandb(folder) => folder.projects(),
            Kind::Dvc(project) => vec![project.project()],
            Kind::Database(_) | Kind::Folder(_) | Kind::Server(..) => Vec::new(),
        }
    }

    /// Says which experiment the runs of each project belong to: one that is there as it is, or a new one.
    pub fn put_into(&mut self, mut experiments: BTreeMap<String, Experiment>) {
        match &mut self.0 {
            Kind::TensorBoard(folder) => {
                if let Some(experiment) = experiments.remove(&folder.project()) {
                    folder.put_into(experiment);
                }
            }
            Kind::Wandb(folder) => folder.put_into(experiments),
            Kind::Dvc(project) => {
                if let Some(experiment) = experiments.remove(&project.project()) {
                    project.put_into(experiment);
                }
            }
            Kind::Database(_) | Kind::Folder(_) | Kind::Server(..) => {}
        }
    }

    /// Why everything that comes from it was written.
    pub(crate) fn reason(&self) -> &'static str {
        match &self.0 {
            Kind::Database(_) | Kind::Folder(_) | Kind::Server(..) => "migrated from MLflow",
            Kind::TensorBoard(_) => "migrated from TensorBoard",
            Kind::Wandb(_) => "migrated from W&B",
            Kind::Dvc(_) => "migrated from DVC",
        }
    }

    /// The file or folder that a URI of that kind names, whether there is one or not.
    pub fn path(uri: &str) -> Option<PathBuf> {
        let path = match uri.split_once(':') {
            // `sqlite:///a` is a relative path, `sqlite:////a` an absolute one.
            Some(("sqlite", rest)) => rest.strip_prefix("///").map(PathBuf::from),
            _ => local_path(uri),
        };
        path.filter(|path| path != Path::new(""))
    }

    /// The folder that relative locations start from.
    pub(crate) fn folder(&self) -> PathBuf {
        match &self.0 {
            Kind::Database(database) => database.folder(),
            Kind::Folder(folder) => folder.folder(),
            Kind::Server(_, folder) => folder.clone(),
            Kind::TensorBoard(folder) => folder.folder(),
            Kind::Wandb(folder) => folder.folder(),
            Kind::Dvc(project) => project.folder(),
        }
    }

    /// Reads all but the runs, the traces and the records of datasets. The key opens secrets of webhooks.
    pub(crate) fn outline(&self, key: Option<&FernetKey>) -> Result<Outline, MigrateError> {
        let mut outline = match &self.0 {
            Kind::Database(database) => database.outline(key),
            Kind::Folder(folder) => folder.outline(),
            Kind::Server(server, _) => server.outline(),
            Kind::TensorBoard(folder) => folder.outline(),
            Kind::Wandb(folder) => folder.outline(),
            Kind::Dvc(project) => project.outline(),
        }?;
        outline.leave_out_strays();
        Ok(outline)
    }

    /// The server, where it is one.
    pub(crate) fn client(&self) -> Option<&Arc<MlflowClient>> {
        match &self.0 {
            Kind::Server(server, _) => Some(server.client()),
            Kind::Database(_)
            | Kind::Folder(_)
            | Kind::TensorBoard(_)
            | Kind::Wandb(_)
            | Kind::Dvc(_) => None,
        }
    }

    /// Reads a run with everything that belongs to it.
    pub(crate) fn run(&self, id: &RunId) -> Result<SourceRun, MigrateError> {
        match &self.0 {
            Kind::Database(database) => database.run(id),
            Kind::Folder(folder) => folder.run(id),
            Kind::Server(server, _) => server.run(id),
            Kind::TensorBoard(folder) => folder.run(id),
            Kind::Wandb(folder) => folder.run(id),
            Kind::Dvc(project) => project.run(id),
        }
    }

    /// The files of a run, by the paths that they get.
    pub(crate) fn files_of_run(
        &self,
        id: &RunId,
        places: &Places,
    ) -> Result<SourceFiles, MigrateError> {
        match &self.0 {
            // They are in no folder of their own.
            Kind::Dvc(project) => Ok(project.files_of_run(id)?.below(places.root_of_run(id))),
            _ => places.files_of_run(id),
        }
    }

    /// Reads the records of an evaluation dataset, and a sentence for each that cannot be read.
    pub(crate) fn records(
        &self,
        id: &DatasetId,
    ) -> Result<(Vec<DatasetRecord>, Vec<String>), MigrateError> {
        match &self.0 {
            Kind::Database(database) => database.records(id),
            // There are none in a folder of files, and they are left with a server.
            Kind::Folder(_)
            | Kind::Server(..)
            | Kind::TensorBoard(_)
            | Kind::Wandb(_)
            | Kind::Dvc(_) => Ok((Vec::new(), Vec::new())),
        }
    }

    /// Reads a trace with everything that belongs to it.
    pub(crate) fn trace(&self, id: &TraceId) -> Result<TraceReading, MigrateError> {
        match &self.0 {
            Kind::Database(database) => database.trace(id),
            Kind::Folder(folder) => folder.trace(id),
            Kind::Server(server, _) => server.trace(id),
            // Their outlines name none.
            Kind::TensorBoard(_) | Kind::Wandb(_) | Kind::Dvc(_) => Ok(TraceReading {
                trace: None,
                faults: Vec::new(),
            }),
        }
    }
}
