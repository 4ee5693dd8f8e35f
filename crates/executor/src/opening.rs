//! What is kept of a run while it is under way, for the case that this process is killed.
//!
//! It costs a write of the code's objects, so it is only done for runs that last a while.
//! The next command completes the manifest with what the command had printed until then.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use capture::code::CapturedCode;
use capture::redaction::Redaction;
use cas::{Batch, Cas};
use entities::{
    Count, Environment, Exit, FileTrees, Gap, MANIFEST_VERSION, ObjectId, Recipe, Record,
    RecordedPath, Run, RunId, Timestamp, TrackingTarget, Usage, canonical_json,
};
use provenance::{CUT_SHORT, finish_recipe, finish_record};
use serde::{Deserialize, Serialize};
use tracking::SalvagedRun;

use crate::ExecutorError;
use crate::manifest::{collect_params, put_code, put_copy, redacted_target, without_session};
use crate::temporary::run_directory;

/// A run that ends before this leaves nothing to be completed.
pub(crate) const KEPT_AFTER: Duration = Duration::from_secs(2);

/// Name of the file in the directory of the run.
const NAME: &str = "opening.json";

/// The manifest of a run as far as it is known at the start.
#[derive(Debug, Serialize, Deserialize)]
struct Opening {
    recipe: Recipe,
    record: Record,
    params: BTreeMap<String, String>,
}

/// What a run was started with.
pub(crate) struct Started {
    pub(crate) run: Run,
    pub(crate) command: Vec<OsString>,
    pub(crate) params: BTreeMap<String, String>,
    pub(crate) environment: Vec<(OsString, OsString)>,
    pub(crate) seen_root: PathBuf,
    pub(crate) working_directory: PathBuf,
    pub(crate) code: CapturedCode,
    pub(crate) redaction: Redaction,
    pub(crate) at: Timestamp,
    pub(crate) tracking: TrackingTarget,
    pub(crate) batch: Arc<Batch>,
}

/// Writes down what a run was started with, so that it outlives this process.
pub(crate) fn keep_opening(directory: &Path, started: Started) -> Result<(), ExecutorError> {
    let batch = Arc::clone(&started.batch);
    let opening = canonical_json(&open(started)?)?;
    // Objects before what names them.
    batch.flush()?;
    let path = directory.join(NAME);
    let unfinished = path.with_extension("new");
    File::create(&unfinished)
        .and_then(|mut file| {
            file.write_all(&opening)?;
            file.sync_all()
        })
        .and_then(|()| std::fs::rename(&unfinished, &path))
        .map_err(|error| ExecutorError::io("write", &path, error))
}

fn open(started: Started) -> Result<Opening, ExecutorError> {
    let redaction = &started.redaction;
    let (params, recipe_params) = collect_params(redaction, &started.command, &started.params);
    let recipe = Recipe {
        v: MANIFEST_VERSION,
        command: redaction.arguments(&started.command),
        project_root: RecordedPath::new(&started.seen_root),
        working_directory: RecordedPath::new(&started.working_directory),
        variables: without_session(redaction.variables(&started.environment)),
        params: recipe_params,
        code: put_code(&started.batch, started.code)?,
        // Which program is the interpreter, and what it loads, is told at the end.
        environment: Environment {
            time_zone: capture::host::time_zone(&started.environment),
            umask: Some(capture::host::umask()),
            container: capture::host::container_image(),
            ..Environment::default()
        },
        inputs: FileTrees::default(),
        standard_input: None,
        seeds: BTreeMap::new(),
    };
    let recipe = finish_recipe(recipe, &params);
    let record = Record {
        v: MANIFEST_VERSION,
        run: started.run.id,
        // Set by `finish_record`.
        recipe: ObjectId::of(b""),
        parent: started.run.parent,
        replay_of: started.run.replay_of,
        started_at: started.at,
        ended_at: started.at,
        usage: Usage::default(),
        exit: Exit::Unknown,
        host: capture::host::read_host(),
        outputs: FileTrees::default(),
        deleted: Vec::new(),
        folders: Vec::new(),
        scratch_files: Count(0),
        executed: BTreeMap::new(),
        environment_files: None,
        network_peers: Vec::new(),
        processes: Count(0),
        stdout: None,
        stderr: None,
        tracking: redacted_target(redaction, started.tracking),
        method: "none".to_owned(),
        gaps: vec![Gap {
            code: CUT_SHORT.to_owned(),
            message: "Reproof itself was killed while the command ran: what the command read, wrote and used is not on record".to_owned(),
        }],
        signs: Vec::new(),
    };
    Ok(Opening {
        recipe,
        record,
        params,
    })
}

/// Makes a manifest of what a killed process left of a run; nothing where the run had lasted too short a time.
///
/// The objects are durable when it returns, and nothing names them yet.
pub fn salvage(
    cas: &Cas,
    temporary: &Path,
    run: &RunId,
) -> Result<Option<SalvagedRun>, ExecutorError> {
    let directory = run_directory(temporary, run);
    let path = directory.join(NAME);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ExecutorError::io("read", &path, error)),
    };
    let opening: Opening = serde_json::from_slice(&text)
        .map_err(|error| ExecutorError::io("read", &path, error.into()))?;
    let Opening {
        recipe,
        mut record,
        params,
    } = opening;
    let batch = cas.batch();
    let printed = [directory.join("stdout"), directory.join("stderr")];
    let last_write = printed
        .iter()
        .filter_map(|path| path.metadata().ok()?.modified().ok())
        .max();
    let since_epoch = last_write.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    let last_write = since_epoch.map(|since| Timestamp::from_micros(since.as_micros() as i64));
    record.ended_at = record
        .started_at
        .max(last_write.unwrap_or(record.started_at));
    let [stdout, stderr] = &printed;
    record.stdout = put_copy(&batch, stdout)?;
    record.stderr = put_copy(&batch, stderr)?;
    let record = finish_record(record, &recipe);
    let salvaged = SalvagedRun {
        recipe: batch.put(&canonical_json(&recipe)?)?,
        record: batch.put(&canonical_json(&record)?)?,
        params,
    };
    batch.commit()?;
    Ok(Some(salvaged))
}
