//! What can go wrong.

use access::AccessError;
use cas::CasError;
use registry::RegistryError;
use store::StoreError;
use webhooks::WebhooksError;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// A source of a kind that cannot be read here.
    #[error(
        "`{uri}` cannot be read here; a source is `sqlite:///PATH`, `postgresql://USER@HOST/DATABASE`, `http://HOST:PORT`, or the path of MLflow's `mlflow.db` or `mlruns`"
    )]
    UnknownSource {
        /// What was given.
        uri: String,
    },
    /// A database of another program.
    #[error("`{path}` is no database of MLflow: it has no table `{missing}`")]
    NotMlflow {
        /// The file, or the server and the database on it.
        path: String,
        /// A table that it lacks.
        missing: &'static str,
    },
    /// A folder of something else.
    #[error("`{path}` is no folder of MLflow: none of the folders in it has a `meta.yaml`")]
    NotMlruns {
        /// The folder.
        path: String,
    },
    /// A folder without anything of TensorBoard's.
    #[error(
        "`{path}` is no folder of TensorBoard: neither it nor a folder in it has an event file, which has `tfevents` in its name"
    )]
    NoEventFiles {
        /// The folder.
        path: String,
    },
    /// A folder without anything of W&B's.
    #[error("`{path}` is no folder of W&B: no folder in it has a file `run-ID.wandb`")]
    NoWandbFiles {
        /// The folder.
        path: String,
    },
    /// A folder outside of any project of DVC's.
    #[error(
        "`{path}` is in no project of DVC: neither it nor a folder above it in the repository has a folder `.dvc`"
    )]
    NoDvcProject {
        /// The folder.
        path: String,
    },
    /// A repository without experiments of DVC's.
    #[error("`{path}` has no experiments of DVC: nothing is named below `refs/exps`")]
    NoExperiments {
        /// The folder.
        path: String,
    },
    /// A repository cannot be read.
    #[error("the repository of `{path}` cannot be read")]
    Repository {
        /// The folder, or a file of a commit.
        path: String,
        /// Why not.
        #[source]
        source: Box<capture::code::HistoryError>,
    },
    /// The database cannot be read.
    #[error("cannot read the database `{path}` ({what})")]
    Database {
        /// The file, or the server and the database on it.
        path: String,
        /// What was read.
        what: &'static str,
        /// What the database said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A server cannot be asked, or does not answer as MLflow does.
    #[error("the server {url} cannot be asked for `{call}`: {why}")]
    Server {
        /// Its address.
        url: String,
        /// What was asked.
        call: String,
        /// Why not.
        why: String,
    },
    /// Something is where a database or a folder is to be written.
    #[error("`{path}` is there already, and nothing is written over")]
    NotEmpty {
        /// The file, or the folder.
        path: String,
    },
    /// Something that a database of MLflow cannot hold at all.
    #[error("{what} cannot be written into a database of MLflow: {why}")]
    NotHeld {
        /// Which.
        what: String,
        /// Why not.
        why: &'static str,
    },
    /// A new database cannot be written.
    #[error("cannot write the database `{path}` ({what})")]
    WriteDatabase {
        /// The file.
        path: String,
        /// What was written.
        what: &'static str,
        /// What the database said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file or a folder cannot be written.
    #[error("cannot write `{path}`")]
    WriteFile {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A row that holds what MLflow does not write.
    #[error("{what} in the source cannot be taken over: {why}")]
    Row {
        /// Which.
        what: String,
        /// Why not.
        why: String,
    },
    /// It is not known where the files are that a server kept.
    #[error(
        "the artifacts at `{uri}` were kept by an MLflow server in a folder of its own, which is not known here"
    )]
    NeedsArtifacts {
        /// A location.
        uri: String,
    },
    /// A folder that is to hold artifacts is none.
    #[error("`{path}` is no folder")]
    NoFolder {
        /// What was given.
        path: String,
    },
    /// An id is taken by something else.
    #[error("{what} is in this store already, as {found}")]
    Taken {
        /// What was to be written.
        what: String,
        /// What has its place.
        found: String,
    },
    /// A file cannot be read.
    #[error("cannot read `{path}`")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The store failed, or refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The registry failed, or refused.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A secret of a webhook cannot be sealed or opened.
    #[error(transparent)]
    Webhooks(#[from] WebhooksError),
    /// A hash of a password cannot be made or checked.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The objects failed.
    #[error(transparent)]
    Cas(#[from] CasError),
}
