//! Files of the source.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use cas::{Batch, Cas};
use entities::Artifact;
use walkdir::WalkDir;

use crate::{MigrateError, NotTaken};

/// A file of the source and the path that it gets here.
#[derive(Clone, Debug)]
pub(crate) struct SourceFile {
    pub(crate) from: PathBuf,
    pub(crate) path: String,
}

/// Files below a folder, with what is there and cannot be taken over.
#[derive(Clone, Debug, Default)]
pub(crate) struct SourceFiles {
    pub(crate) files: Vec<SourceFile>,
    pub(crate) not_taken: Vec<NotTaken>,
    /// The folder that is not there.
    pub(crate) missing: Option<PathBuf>,
}

/// Lists the files below a folder, which need not be there, by name. Links are not followed: they lead anywhere.
pub(crate) fn list_files(folder: &Path, root: &str) -> Result<SourceFiles, MigrateError> {
    let mut listed = SourceFiles::default();
    if !folder.is_dir() {
        listed.missing = Some(folder.to_owned());
        return Ok(listed);
    }
    for entry in WalkDir::new(folder)
        .follow_root_links(true)
        .sort_by_file_name()
    {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(folder).to_owned();
            file_fault(&path)(error.into())
        })?;
        let kind = entry.file_type();
        if kind.is_dir() {
            continue;
        }
        let inside = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        let path = inside.to_str().map(|inside| format!("{root}/{inside}"));
        let mut refuse = |why: &'static str| {
            listed.not_taken.push(NotTaken {
                path: entry.path().to_owned(),
                why,
            });
        };
        match path {
            _ if kind.is_symlink() => refuse("it is a link, which may lead anywhere"),
            _ if !kind.is_file() => refuse("it is no regular file"),
            Some(path) if Artifact::is_valid_path(&path) => listed.files.push(SourceFile {
                from: entry.into_path(),
                path,
            }),
            _ => refuse("its name cannot be that of an artifact"),
        }
    }
    Ok(listed)
}

/// Stores files; they are durable once the batch is.
pub(crate) fn store_files(
    batch: &Batch,
    files: &[SourceFile],
) -> Result<Vec<Artifact>, MigrateError> {
    let mut artifacts = Vec::with_capacity(files.len());
    for SourceFile { from, path } in files {
        let file = File::open(from).map_err(file_fault(from))?;
        let stored = batch.put_file(&file)?;
        artifacts.push(Artifact {
            path: path.clone(),
            object: stored.object,
            size_bytes: stored.size_bytes,
        });
    }
    Ok(artifacts)
}

/// Whether an artifact has the bytes of a file: both are read.
pub(crate) fn is_same(cas: &Cas, artifact: &Artifact, from: &Path) -> Result<bool, MigrateError> {
    let mut file = File::open(from).map_err(file_fault(from))?;
    if file.metadata().map_err(file_fault(from))?.len() != artifact.size_bytes {
        return Ok(false);
    }
    let mut kept = cas.reader(&artifact.object)?;
    let (mut left, mut right) = (vec![0; 256 << 10], vec![0; 256 << 10]);
    loop {
        let count = file.read(&mut left).map_err(file_fault(from))?;
        if count == 0 {
            // What is left here, if anything, is more than the file has.
            let rest = kept.read(&mut right[..1]);
            return rest.map(|rest| rest == 0).map_err(file_fault(from));
        }
        match kept.read_exact(&mut right[..count]) {
            Ok(()) if left[..count] == right[..count] => {}
            Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => {
                return Err(file_fault(Path::new(&artifact.path))(error));
            }
            _ => return Ok(false),
        }
    }
}

fn file_fault(path: &Path) -> impl Fn(std::io::Error) -> MigrateError + use<> {
    let path = path.display().to_string();
    move |source| MigrateError::File {
        path: path.clone(),
        source,
    }
}
