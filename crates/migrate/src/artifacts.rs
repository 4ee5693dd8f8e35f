//! Files of the source.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use capture::CaptureError;
use capture::code::History;
use cas::{Batch, Cas, Stored};
use entities::Artifact;
use serde::Deserialize;
use walkdir::WalkDir;

use crate::dvc::{CachedFile, Checked};
use crate::mlflow::MlflowClient;
use crate::{MigrateError, NotTaken};

/// How deep folders of a server are looked into.
const DEEPEST: usize = 64;

/// A file of the source and the path that it gets here.
#[derive(Clone, Debug)]
pub(crate) struct SourceFile {
    pub(crate) from: FileOrigin,
    pub(crate) path: String,
}

/// Where a file is.
#[derive(Clone, Debug)]
pub(crate) enum FileOrigin {
    /// Here.
    Path(PathBuf),
    /// With a server, under a path.
    Served(Arc<MlflowClient>, String),
    /// In a repository, under the id of the content.
    Committed {
        history: Arc<History>,
        object: String,
        path: String,
    },
    /// In DVC's cache.
    Cached(CachedFile),
}

/// Contents that were stored before, by what names them at the source.
pub(crate) type StoredBefore = BTreeMap<String, Stored>;

impl FileOrigin {
    /// What names the content, where that never stands for another.
    pub(crate) fn lasting_name(&self) -> Option<String> {
        match self {
            Self::Path(_) | Self::Served(..) => None,
            Self::Committed { object, .. } => Some(format!("git:{object}")),
            Self::Cached(file) => Some(format!("md5:{}", file.md5())),
        }
    }
}

impl std::fmt::Display for FileOrigin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(formatter),
            Self::Served(client, path) => write!(formatter, "{}: {path}", client.url()),
            Self::Committed { object, path, .. } => write!(formatter, "{path} ({object})"),
            Self::Cached(file) => write!(formatter, "MD5 {}", file.md5()),
        }
    }
}

/// Files below a folder, with what is there and cannot be taken over.
#[derive(Clone, Debug, Default)]
pub(crate) struct SourceFiles {
    pub(crate) files: Vec<SourceFile>,
    pub(crate) not_taken: Vec<NotTaken>,
    /// The folder that is not there.
    pub(crate) missing: Option<PathBuf>,
}

impl SourceFiles {
    /// The same files, with their paths below another.
    pub(crate) fn below(mut self, root: &str) -> Self {
        for file in &mut self.files {
            file.path = format!("{root}/{}", file.path);
        }
        self
    }
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
                from: FileOrigin::Path(entry.into_path()),
                path,
            }),
            _ => refuse("its name cannot be that of an artifact"),
        }
    }
    Ok(listed)
}

/// Whether a file is one that TensorBoard reads.
pub(crate) fn is_event_file(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy());
    name.is_some_and(|name| name.contains("tfevents"))
}

/// Lists the event files right in a folder.
pub(crate) fn list_event_files(folder: &Path, root: &str) -> Result<SourceFiles, MigrateError> {
    let mut listed = list_files(folder, root)?;
    let is_own = |path: &Path| path.parent() == Some(folder) && is_event_file(path);
    listed.not_taken.retain(|file| is_own(&file.path));
    listed.files.retain(|file| match &file.from {
        FileOrigin::Path(path) => is_own(path),
        FileOrigin::Served(..) | FileOrigin::Committed { .. } | FileOrigin::Cached(_) => false,
    });
    Ok(listed)
}

/// What a server lists in a folder.
#[derive(Deserialize)]
struct Listing {
    #[serde(default)]
    files: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    path: String,
    #[serde(default)]
    is_dir: bool,
}

/// Lists the files that a server has below a path. A name that is none of an artifact is told.
pub(crate) fn list_served(
    client: &Arc<MlflowClient>,
    path: &str,
    root: &str,
) -> Result<SourceFiles, MigrateError> {
    let mut listed = SourceFiles::default();
    let mut waiting = vec![(path.to_owned(), root.to_owned(), 0)];
    while let Some((folder, inside, depth)) = waiting.pop() {
        let call = "api/2.0/mlflow-artifacts/artifacts";
        let found: Option<Listing> = client.find(call, &[("path", folder.as_str())])?;
        for Listed { path, is_dir } in found.into_iter().flat_map(|found| found.files) {
            let (from, into) = (format!("{folder}/{path}"), format!("{inside}/{path}"));
            let is_name = !path.contains('/') && Artifact::is_valid_path(&into);
            if !is_name || depth == DEEPEST {
                listed.not_taken.push(NotTaken {
                    path: from.into(),
                    why: "its name cannot be that of an artifact",
                });
            } else if is_dir {
                waiting.push((from, into, depth + 1));
            } else {
                listed.files.push(SourceFile {
                    from: FileOrigin::Served(Arc::clone(client), from),
                    path: into,
                });
            }
        }
    }
    listed.files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(listed)
}

/// Stores files; they are durable once the batch is. What was stored before is not read again: that batch must be durable
/// before this one.
pub(crate) fn store_files(
    batch: &Batch,
    files: &[SourceFile],
    before: &mut StoredBefore,
) -> Result<Vec<Artifact>, MigrateError> {
    let mut artifacts = Vec::with_capacity(files.len());
    for SourceFile { from, path } in files {
        let name = from.lasting_name();
        let known = name.as_ref().and_then(|name| before.get(name));
        let stored = match known {
            Some(stored) => *stored,
            None => store_file(batch, from)?,
        };
        if let Some(name) = name {
            before.insert(name, stored);
        }
        artifacts.push(Artifact {
            path: path.clone(),
            object: stored.object,
            size_bytes: stored.size_bytes,
        });
    }
    Ok(artifacts)
}

fn store_file(batch: &Batch, from: &FileOrigin) -> Result<Stored, MigrateError> {
    Ok(match from {
        FileOrigin::Path(from) => {
            let file = File::open(from).map_err(file_fault(from))?;
            batch.put_file(&file)?
        }
        FileOrigin::Served(client, from) => batch.put_reader(&mut client.download(from)?)?,
        FileOrigin::Committed {
            history,
            object,
            path,
        } => {
            let content = history.read(object).map_err(commit_fault(path))?;
            batch.put_reader(&mut &*content)?
        }
        FileOrigin::Cached(file) => batch.put_reader(&mut open_cached(file, from)?)?,
    })
}

fn open_cached(file: &CachedFile, from: &FileOrigin) -> Result<Checked, MigrateError> {
    file.open()
        .map_err(file_fault(Path::new(&from.to_string())))
}

/// Whether an artifact has the bytes of a file: both are read.
pub(crate) fn is_same(
    cas: &Cas,
    artifact: &Artifact,
    from: &FileOrigin,
) -> Result<bool, MigrateError> {
    let name = from.to_string();
    let (mut file, from): (Box<dyn Read>, _) = match from {
        FileOrigin::Path(from) => {
            let file = File::open(from).map_err(file_fault(from))?;
            if file.metadata().map_err(file_fault(from))?.len() != artifact.size_bytes {
                return Ok(false);
            }
            (Box::new(file), from.as_path())
        }
        FileOrigin::Served(client, from) => (client.download(from)?, Path::new(from)),
        FileOrigin::Committed {
            history,
            object,
            path,
        } => {
            let content = history.read(object).map_err(commit_fault(path))?;
            (Box::new(Cursor::new(content)), Path::new(path))
        }
        FileOrigin::Cached(cached) => {
            let file = open_cached(cached, from)?;
            if file.size_bytes() != artifact.size_bytes {
                return Ok(false);
            }
            (Box::new(file), Path::new(&name))
        }
    };
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

fn commit_fault(path: &str) -> impl Fn(CaptureError) -> MigrateError + use<> {
    let path = path.to_owned();
    move |source| MigrateError::Repository {
        path: path.clone(),
        source: Box::new(source.into()),
    }
}

fn file_fault(path: &Path) -> impl Fn(std::io::Error) -> MigrateError + use<> {
    let path = path.display().to_string();
    move |source| MigrateError::File {
        path: path.clone(),
        source,
    }
}
