//! The folder of artifacts, as an MLflow server keeps what it serves itself.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use entities::Artifact;
use walkdir::WalkDir;

use super::{ReverseReport, file_write_fault, remove_if_there};
use crate::artifacts::{FileOrigin, is_same};
use crate::import::Target;
use crate::{MigrateError, Progress};

/// Says that a folder is not written whole.
const MARK: &str = ".reproof-partial";

/// A folder that gets the artifacts.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes sure that nobody else's files are there. What a call that was cut short has left is written over.
    ///
    /// *Errors*: `NotEmpty`; `WriteFile`.
    pub(super) fn open(path: &Path) -> Result<Self, MigrateError> {
        let fault = file_write_fault(path);
        std::fs::create_dir_all(path).map_err(&fault)?;
        let mark = path.join(MARK);
        let is_marked = mark.symlink_metadata().is_ok();
        let is_empty = std::fs::read_dir(path).map_err(&fault)?.next().is_none();
        if !is_empty && !is_marked {
            return Err(MigrateError::NotEmpty {
                path: path.display().to_string(),
            });
        }
        if !is_marked {
            File::create_new(&mark).map_err(file_write_fault(&mark))?;
        }
        Ok(Self(path.to_owned()))
    }

    /// Writes all artifacts. One that cannot be a file is told.
    pub(super) async fn write(
        &self,
        target: &Target,
        on_progress: &dyn Fn(Progress),
        report: &mut ReverseReport,
    ) -> Result<(), MigrateError> {
        let artifacts = target.store.list_artifacts_below("").await?;
        let total = artifacts.len();
        for (index, artifact) in artifacts.iter().enumerate() {
            match self.write_file(target, artifact) {
                Ok(()) => {
                    report.count("files", 1);
                    report.bytes += artifact.size_bytes;
                }
                Err(MigrateError::WriteFile { path, source }) if is_of_name(&source) => {
                    let sentence = format!("file `{path}` cannot be made: {source}");
                    report.not_held.push(sentence);
                }
                Err(error) => return Err(error),
            }
            on_progress(Progress {
                what: "files",
                done: index as u64 + 1,
                total: total as u64,
            });
        }
        Ok(())
    }

    fn write_file(&self, target: &Target, artifact: &Artifact) -> Result<(), MigrateError> {
        let path = self.path_of(artifact);
        let fault = file_write_fault(&path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(&fault)?;
        }
        remove_if_there(&path)?;
        // Nothing that is there, a link least of all, is written through.
        let mut file = File::create_new(&path).map_err(&fault)?;
        let mut bytes = target.cas.reader(&artifact.object)?;
        std::io::copy(&mut bytes, &mut file).map_err(&fault)?;
        Ok(())
    }

    /// Where a file goes: names of artifacts lead nowhere else.
    fn path_of(&self, artifact: &Artifact) -> PathBuf {
        assert!(
            Artifact::is_valid_path(&artifact.path),
            "the store checks names"
        );
        self.0.join(&artifact.path)
    }

    /// Reads every file again, and looks for such as are not of the store.
    pub(super) async fn verify(
        &self,
        target: &Target,
        report: &mut ReverseReport,
    ) -> Result<(), MigrateError> {
        let artifacts = target.store.list_artifacts_below("").await?;
        let mut expected: BTreeMap<PathBuf, &Artifact> = artifacts
            .iter()
            .map(|artifact| (self.path_of(artifact), artifact))
            .collect();
        let mut same = 0;
        for entry in WalkDir::new(&self.0).sort_by_file_name() {
            let entry = entry.map_err(|error| {
                let path = error.path().unwrap_or(&self.0).to_owned();
                file_write_fault(&path)(error.into())
            })?;
            if entry.file_type().is_dir() || entry.path() == self.0.join(MARK) {
                continue;
            }
            let shown = entry.path().display();
            report.compared += 1;
            match expected.remove(entry.path()) {
                Some(artifact) => {
                    let from = FileOrigin::Path(entry.path().to_owned());
                    if entry.file_type().is_file() && is_same(&target.cas, artifact, &from)? {
                        same += 1;
                    } else {
                        report.differences.push(format!("file `{shown}` differs"));
                    }
                }
                None => report
                    .differences
                    .push(format!("file `{shown}` is not here")),
            }
        }
        let written = report.counts.get("files").copied().unwrap_or_default();
        if same != written && report.differences.is_empty() {
            let difference = format!("{written} files were written, and {same} are there");
            report.differences.push(difference);
        }
        Ok(())
    }

    /// Makes all files durable.
    pub(super) fn make_durable(&self) -> Result<(), MigrateError> {
        let fault = file_write_fault(&self.0);
        let folder = File::open(&self.0).map_err(&fault)?;
        rustix::fs::syncfs(&folder).map_err(|error| fault(error.into()))
    }

    /// Says that it is whole.
    pub(super) fn finish(&self) -> Result<(), MigrateError> {
        remove_if_there(&self.0.join(MARK))
    }
}

/// Whether a file cannot be made because of how it is called.
fn is_of_name(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{
        AlreadyExists, InvalidFilename, InvalidInput, IsADirectory, NotADirectory,
    };
    matches!(
        error.kind(),
        InvalidFilename | NotADirectory | IsADirectory | AlreadyExists | InvalidInput
    )
}
