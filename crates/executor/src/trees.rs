//! Trees from flat lists of files, and back.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use cas::{Batch, Cas};
use entities::{EntryKind, ObjectId, RecordedPath, Tree, TreeEntry};
use provenance::{FileFact, FileMap};

use crate::ExecutorError;

#[derive(Default)]
struct Folder {
    folders: BTreeMap<OsString, Folder>,
    files: BTreeMap<OsString, FileFact>,
}

/// Puts the trees for a list of files; none for an empty list.
///
/// The files' own objects need not be there: a file over the size limit stands in its tree by digest only.
pub fn put_trees(
    batch: &Batch,
    files: &BTreeMap<PathBuf, FileFact>,
) -> Result<Option<ObjectId>, ExecutorError> {
    if files.is_empty() {
        return Ok(None);
    }
    let mut root = Folder::default();
    for (path, fact) in files {
        let mut names: Vec<_> = normal_components(path).collect();
        let Some(name) = names.pop() else { continue };
        let folder = names.into_iter().fold(&mut root, |folder, name| {
            folder.folders.entry(name).or_default()
        });
        folder.files.insert(name, fact.clone());
    }
    put_folder(batch, root).map(|(id, _)| Some(id))
}

fn put_folder(batch: &Batch, folder: Folder) -> Result<(ObjectId, u64), ExecutorError> {
    let Folder { folders, mut files } = folder;
    let mut entries = Vec::with_capacity(folders.len() + files.len());
    for (name, folder) in folders {
        // A path that was a file and later a folder: the folder is what stands there last.
        files.remove(&name);
        let (object, size_bytes) = put_folder(batch, folder)?;
        entries.push(TreeEntry {
            name,
            kind: EntryKind::Directory,
            size_bytes,
            object,
        });
    }
    for (
        name,
        FileFact {
            object,
            size_bytes,
            kind,
        },
    ) in files
    {
        entries.push(TreeEntry {
            name,
            kind,
            size_bytes,
            object,
        });
    }
    let tree = Tree::new(entries)?;
    Ok((batch.put_tree(&tree)?, tree.size_bytes()))
}

fn normal_components(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        _ => None,
    })
}

/// Lists all files of a tree.
pub fn flatten_tree(cas: &Cas, id: &ObjectId) -> Result<FileMap, ExecutorError> {
    let mut files = FileMap::new();
    let mut waiting = vec![(PathBuf::new(), *id)];
    while let Some((folder, id)) = waiting.pop() {
        for entry in cas.read_tree(&id)?.entries() {
            let path = folder.join(&entry.name);
            if entry.kind == EntryKind::Directory {
                waiting.push((path, entry.object));
            } else {
                let fact = FileFact {
                    object: entry.object,
                    size_bytes: entry.size_bytes,
                    kind: entry.kind,
                };
                files.insert(RecordedPath::new(path), fact);
            }
        }
    }
    Ok(files)
}
