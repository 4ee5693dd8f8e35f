//! The manifest of a run, in two parts: the recipe (what is needed to do it again) and the record (what happened).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Count, ObjectId, RecordedPath, RunId, Sha256Digest, Timestamp};

/// Major version of both parts; a reader refuses one that it does not know.
pub const MANIFEST_VERSION: u32 = 1;

/// What is needed to do a run again. Its digest is the run's fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    /// `MANIFEST_VERSION` of the writer.
    pub v: u32,
    /// The command and its arguments, secrets redacted.
    pub command: Vec<RecordedPath>,
    /// Absolute path of the project as the command saw it.
    pub project_root: RecordedPath,
    /// Absolute path of the directory that the command was started in.
    pub working_directory: RecordedPath,
    /// Environment variables.
    pub variables: Variables,
    /// Params given on Reproof's own command line, already put into `command` and `variables`.
    pub params: BTreeMap<String, String>,
    /// The project's code as it was at the start.
    pub code: Code,
    /// Interpreter, packages, libraries and settings.
    pub environment: Environment,
    /// Files that were read, as they were when first read.
    pub inputs: FileTrees,
    /// What the command was given on its standard input, where that was a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standard_input: Option<StandardInput>,
    /// Seeds that were declared by name (`PYTHONHASHSEED`, `--seed`, `random_state=…`).
    pub seeds: BTreeMap<String, String>,
}

/// A file that a command was given as its standard input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandardInput {
    /// Its content.
    pub object: ObjectId,
    /// Its size in bytes.
    pub size_bytes: Count,
    /// Its absolute path; none where it had no name, as a shell's here-document.
    pub path: Option<RecordedPath>,
}

/// Environment variables of a command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variables {
    /// Values of those on the allow-list.
    pub values: BTreeMap<String, String>,
    /// For the others, a keyed digest of the value: equal values are seen to be equal, no value can be read.
    pub digests: BTreeMap<String, String>,
}

/// The code of a project at the start of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    /// All tracked files, and untracked ones that are not ignored, as a tree.
    pub tree: ObjectId,
    /// How many files the tree holds.
    pub files: Count,
    /// Their sizes together.
    pub size_bytes: Count,
    /// Files that belong to the code and are not in the tree.
    pub not_kept: Vec<NotKept>,
    /// The state of git, where there is git.
    pub git: Option<GitState>,
    /// Files that are Git LFS pointers, not the content that they stand for.
    pub lfs_pointers: Vec<RecordedPath>,
}

/// The state of a git checkout.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitState {
    /// The commit checked out; none on an unborn branch.
    pub commit: Option<String>,
    /// The branch; none when HEAD is detached.
    pub branch: Option<String>,
    /// URL of the branch's remote or of `origin`, without credentials.
    pub remote: Option<String>,
    /// Whether tracked files differ from the commit or untracked ones are there.
    pub is_dirty: bool,
    /// The difference from the commit as a patch.
    pub patch: Option<ObjectId>,
    /// Submodules.
    pub submodules: Vec<Submodule>,
}

/// One submodule of a checkout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submodule {
    /// Where it stands in the project.
    pub path: RecordedPath,
    /// The commit checked out in it.
    pub commit: String,
    /// Whether it differs from what the project's own commit names.
    pub is_dirty: bool,
}

/// A file that is known and whose bytes are not kept, or not even its digest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NotKept {
    /// The path: relative to the project, or absolute outside it.
    pub path: RecordedPath,
    /// Its size, where it could be told.
    pub size_bytes: Option<Count>,
    /// Its digest, where it could be computed.
    pub object: Option<ObjectId>,
    /// Why.
    pub reason: NotKeptReason,
}

/// Why a file's bytes are not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotKeptReason {
    /// Larger than the configured limit: only the digest is kept.
    OverSizeLimit,
    /// Matches a rule for secrets: only the path is kept.
    Secret,
    /// Could not be opened.
    Unreadable,
    /// Was gone before it could be read.
    Vanished,
    /// Neither a file, a link nor a directory: a socket, a FIFO or a device.
    Special,
    /// Changed while it was being read, so that no digest is sure.
    Changing,
    /// Could be read and not be stored: the disk was full, or failed.
    NotStored,
    /// Removed later by `reproof forget`.
    Forgotten,
}

impl NotKeptReason {
    /// Says it to people.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::OverSizeLimit => "larger than the size limit, only its digest is kept",
            Self::Secret => "a secret, only its path is kept",
            Self::Unreadable => "could not be read",
            Self::Vanished => "was gone before it could be read",
            Self::Special => "neither a file nor a link",
            Self::Changing => "changed while it was being read",
            Self::NotStored => "could not be stored: the disk was full, or failed",
            Self::Forgotten => "removed by `reproof forget`, or missing",
        }
    }
}

/// Files of a run as two trees.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileTrees {
    /// Files below the project root, by their path in it.
    pub project: Option<ObjectId>,
    /// Files elsewhere, by their absolute path without the first `/`.
    pub outside: Option<ObjectId>,
    /// How many files both trees hold.
    pub files: Count,
    /// Their sizes together.
    pub size_bytes: Count,
    /// Files whose bytes are not kept; those with a digest stand in the trees too.
    pub not_kept: Vec<NotKept>,
}

/// What a command runs in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// The interpreter, where the command is a script of a known language.
    pub interpreter: Option<Interpreter>,
    /// The Python environment.
    pub python: Option<PythonEnvironment>,
    /// Further Python environments that ran, such as that of a launcher, in the order in which they did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<OtherPython>,
    /// Shared libraries that were mapped, sorted by path, those of Python distributions included.
    pub libraries: Vec<Library>,
    /// Linear algebra libraries and the kernel each chose for this CPU.
    pub blas: Vec<Blas>,
    /// Thread-count variables that were set (`OMP_NUM_THREADS`, …).
    pub threads: BTreeMap<String, String>,
    /// Locale variables that were set (`LANG`, `LC_ALL`, …).
    pub locale: BTreeMap<String, String>,
    /// Time zone: `TZ` or the name that `/etc/localtime` points to.
    pub time_zone: Option<String>,
    /// File mode creation mask in octal.
    pub umask: Option<String>,
    /// Digest of the container image, where the host tells.
    pub container: Option<String>,
}

/// A Python environment beside that of the command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherPython {
    /// Its interpreter.
    pub interpreter: Interpreter,
    /// Its packages; none where they could not be told.
    pub python: Option<PythonEnvironment>,
}

/// An interpreter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interpreter {
    /// `CPython`, `PyPy`, `R`, ….
    pub implementation: String,
    /// Its version, such as `3.11.7`.
    pub version: String,
    /// What it says of its build (compiler, date).
    pub build: String,
    /// The path that was executed.
    pub path: RecordedPath,
    /// The binary behind that path, links followed.
    pub binary: RecordedPath,
    /// Digest of the binary.
    pub object: ObjectId,
    /// Where the environment is installed (`sys.prefix`).
    pub prefix: RecordedPath,
    /// Where the interpreter itself is installed (`sys.base_prefix`).
    pub base_prefix: RecordedPath,
}

/// The installed distributions of a Python environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PythonEnvironment {
    /// The environment as a `pylock.toml` (PEP 751).
    pub pylock: ObjectId,
    /// Digest over the installed files that does not depend on where they are installed.
    pub content_digest: Sha256Digest,
    /// Folders that hold the distributions.
    pub site_packages: Vec<RecordedPath>,
    /// The distributions, by normalised name.
    pub distributions: Vec<Distribution>,
}

/// One installed Python distribution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distribution {
    /// Normalised name (PEP 503).
    pub name: String,
    /// Its version.
    pub version: String,
    /// Digest over its files, independent of where they are installed.
    pub content_digest: Sha256Digest,
    /// Whether the run really read a file of it other than its metadata.
    pub is_imported: bool,
    /// Where it came from when not from an index (`direct_url.json`), credentials removed.
    pub direct_url: Option<String>,
    /// Files that differ from what the distribution installed.
    pub modified_files: Vec<RecordedPath>,
}

/// A shared library.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Library {
    /// Its path.
    pub path: RecordedPath,
    /// Its digest.
    pub object: ObjectId,
    /// The Debian package that it belongs to and its version, such as `libc6 2.36-9+deb12u10`.
    pub package: Option<String>,
}

/// A linear algebra library.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Blas {
    /// `openblas`, `mkl`, `blis`, ….
    pub name: String,
    /// File name of the library.
    pub library: String,
    /// Its version, where it tells.
    pub version: Option<String>,
    /// The kernel chosen for this CPU (`SkylakeX`, `Haswell`, …), where it tells.
    pub kernel: Option<String>,
}

/// What happened in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// `MANIFEST_VERSION` of the writer.
    pub v: u32,
    /// The run.
    pub run: RunId,
    /// The recipe that was followed.
    pub recipe: ObjectId,
    /// The run inside which this one was started.
    pub parent: Option<RunId>,
    /// The run that this one replays.
    pub replay_of: Option<RunId>,
    /// When the command was started.
    pub started_at: Timestamp,
    /// When its last process had ended.
    pub ended_at: Timestamp,
    /// Time and memory.
    pub usage: Usage,
    /// How it ended.
    pub exit: Exit,
    /// The machine.
    pub host: Host,
    /// Files that were written, as they were at the end.
    pub outputs: FileTrees,
    /// Files that were there at the start and gone at the end.
    pub deleted: Vec<RecordedPath>,
    /// Folders that were there at the start and that new files were put into: of the project by their path in it, since
    /// git keeps no empty ones; elsewhere by their absolute path, the innermost that the command had not made.
    #[serde(default)]
    pub folders: Vec<RecordedPath>,
    /// How many files were created and deleted again.
    pub scratch_files: Count,
    /// Files that were executed, each with its digest where it could be read.
    pub executed: BTreeMap<RecordedPath, Option<ObjectId>>,
    /// A list of `EnvironmentFile` as canonical JSON: what was read of interpreter, packages and system.
    pub environment_files: Option<ObjectId>,
    /// Peers that were connected to.
    pub network_peers: Vec<NetworkPeer>,
    /// How many processes ran.
    pub processes: Count,
    /// Standard output.
    pub stdout: Option<ObjectId>,
    /// Standard error.
    pub stderr: Option<ObjectId>,
    /// Where tracking calls of the command went.
    pub tracking: TrackingTarget,
    /// How it was observed.
    pub method: String,
    /// What may be missing, in general for this method and in particular for this run.
    pub gaps: Vec<Gap>,
    /// Signs of nondeterminism that were seen (time read, randomness read, network used).
    pub signs: Vec<Gap>,
}

/// Time and memory of a command with all its descendants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Wall time in milliseconds.
    pub wall_ms: u64,
    /// CPU time in user mode in milliseconds.
    pub user_cpu_ms: u64,
    /// CPU time in the kernel in milliseconds.
    pub system_cpu_ms: u64,
    /// Largest resident set of any one process in bytes.
    pub peak_memory_bytes: Count,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// It returned this status.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// Not known: Reproof was ended first.
    Unknown,
}

/// The machine that a run ran on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Host name.
    pub name: String,
    /// Operating system, such as `Debian GNU/Linux 12 (bookworm)`.
    pub os: String,
    /// Kernel release.
    pub kernel: String,
    /// Architecture, such as `x86_64`.
    pub architecture: String,
    /// CPU model name.
    pub cpu_model: String,
    /// CPU feature flags, sorted.
    pub cpu_flags: Vec<String>,
    /// Processors that this process may use.
    pub cpu_count: u32,
    /// Memory in bytes.
    pub memory_bytes: Count,
    /// GPUs with their driver, such as `NVIDIA A100-SXM4-40GB, driver 550.54`.
    pub gpus: Vec<String>,
    /// This boot of the kernel.
    pub boot_id: String,
}

impl Host {
    /// Names what can change the bytes of a result, so that two runs on alike machines count as one host.
    pub fn kind(&self, environment: &Environment) -> ObjectId {
        let kernels: Vec<_> = environment
            .blas
            .iter()
            .map(|blas| blas.kernel.as_deref().unwrap_or("?"))
            .collect();
        let facts = (
            &self.name,
            &self.architecture,
            &self.cpu_model,
            &self.cpu_flags,
            &self.gpus,
            kernels,
        );
        ObjectId::of(&serde_json::to_vec(&facts).expect("a tuple of texts has a JSON form"))
    }
}

/// A peer of a network connection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NetworkPeer {
    /// `inet`, `inet6` or `unix`.
    pub family: String,
    /// Address and port, or the path of the socket.
    pub address: String,
}

/// Where the tracking calls of a command went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "to")]
pub enum TrackingTarget {
    /// To this run, through an endpoint of its own.
    Run,
    /// Elsewhere: the user had set a tracking URI.
    Elsewhere {
        /// The URI, without credentials.
        uri: String,
    },
    /// Nowhere: no endpoint was offered.
    None,
}

/// Something that may be missing from a record, or that may make a replay differ.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Gap {
    /// A stable word, such as `io_uring` or `changed_outside`.
    pub code: String,
    /// The same for people.
    pub message: String,
}

/// A file of interpreter, packages or system that a run read. Its bytes are not kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EnvironmentFile {
    /// Absolute path.
    pub path: RecordedPath,
    /// Its digest, where it could be read.
    pub object: Option<ObjectId>,
}

/// How far a replay came. Each level includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ReplayLevel {
    /// The environment has the same digest.
    R0,
    /// Interpreter and native libraries are the same too.
    R1,
    /// It ran to its end with the same exit status.
    R2,
    /// Every metric is within its tolerance.
    R3,
    /// Every output is identical to the byte.
    R4,
}

/// What came of a replay, as its event tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayVerdict {
    /// The run that was replayed.
    pub origin: RunId,
    /// The run that did it.
    pub replay: RunId,
    /// The highest level reached; none where not even the environment is the same and it did not run.
    pub level: Option<ReplayLevel>,
    /// Whether everything that was compared is identical.
    pub is_identical: bool,
    /// Whether everything that was compared is identical or within tolerance.
    pub is_within_tolerance: bool,
    /// `Host::kind` of the machine of the replay.
    pub host_kind: ObjectId,
    /// The whole comparison, as canonical JSON.
    pub comparison: ObjectId,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical_json;

    #[test]
    fn a_changed_variable_changes_the_fingerprint() {
        let recipe = |value: &str| Recipe {
            v: MANIFEST_VERSION,
            command: vec![RecordedPath::new("python")],
            project_root: RecordedPath::new("/p"),
            working_directory: RecordedPath::new("/p"),
            variables: Variables {
                values: BTreeMap::from([("LANG".to_owned(), value.to_owned())]),
                digests: BTreeMap::new(),
            },
            params: BTreeMap::new(),
            code: Code {
                tree: ObjectId::of(b""),
                files: Count(0),
                size_bytes: Count(0),
                not_kept: Vec::new(),
                git: None,
                lfs_pointers: Vec::new(),
            },
            environment: Environment::default(),
            inputs: FileTrees::default(),
            standard_input: None,
            seeds: BTreeMap::new(),
        };
        let fingerprint = |recipe: &Recipe| ObjectId::of(&canonical_json(recipe).unwrap());
        assert_ne!(
            fingerprint(&recipe("C")),
            fingerprint(&recipe("de_DE.UTF-8"))
        );
        let text = serde_json::to_string(&recipe("C")).unwrap();
        assert_eq!(serde_json::from_str::<Recipe>(&text).unwrap(), recipe("C"));
    }
}
