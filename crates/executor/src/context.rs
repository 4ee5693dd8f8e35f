//! What every command that runs or restores something needs.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use cas::Cas;
use entities::{Clock, Random};
use tracking::Tracking;

use crate::EndpointFactory;

/// What every command that runs or restores something needs.
#[derive(Clone)]
pub struct Workbench {
    /// Where runs are written down.
    pub tracking: Tracking,
    /// Where bytes are kept.
    pub cas: Cas,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Draws random numbers.
    pub random: Arc<dyn Random>,
    /// Opens the endpoints of runs; none for no endpoints.
    pub endpoints: Option<Arc<dyn EndpointFactory>>,
    /// The project.
    pub project: ProjectPaths,
    /// Limits and rules.
    pub settings: CaptureSettings,
    /// Who does it.
    pub caller: entities::Caller,
    /// Name of the user, as MLflow's `mlflow.user`.
    pub user: String,
    /// The environment that commands are given.
    pub environment: Vec<(OsString, OsString)>,
}

/// Folders of a project.
#[derive(Clone, Debug)]
pub struct ProjectPaths {
    /// The project's root, links followed.
    pub root: PathBuf,
    /// Its `.reproof/`.
    pub store_directory: PathBuf,
    /// Folder for what can be made again: digests, probes, rebuilt environments.
    pub cache_directory: PathBuf,
    /// Folder for what lives as long as a command.
    pub temporary_directory: PathBuf,
    /// Folder outside the project in which is remembered what was signed last, where there is one.
    pub signed_directory: Option<PathBuf>,
}

/// Limits and rules of capture.
#[derive(Clone, Debug)]
pub struct CaptureSettings {
    /// Larger files are recorded by digest only.
    pub size_limit_bytes: u64,
    /// Larger untracked files are not taken as code.
    pub code_file_limit_bytes: u64,
    /// Patterns of metrics files.
    pub metrics_files: Vec<String>,
    /// Whether processes that outlive the command are ended instead of waited for.
    pub ends_orphans: bool,
    /// How often CPU and memory are sampled; 0 for never.
    pub sample_interval_ms: u64,
    /// Variables whose values may be kept, besides the built-in ones.
    pub allowed_variables: Vec<String>,
    /// Patterns of files of which only the path is kept, besides the built-in ones.
    pub secret_files: Vec<String>,
    /// Key of the digests of variables.
    pub variable_key: [u8; 32],
    /// How to observe.
    pub method: capture::trace::MethodChoice,
    /// Patterns of metrics that measure time.
    pub timings: Vec<String>,
}
