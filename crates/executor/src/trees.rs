//! Trees from flat lists of files, and back.

use std::collections::BTreeMap;
use std::path::PathBuf;

use cas::{Batch, Cas};
use entities::{EntryKind, ObjectId, RecordedPath, TreeFile, trees_of};
use provenance::{FileFact, FileMap};

use crate::ExecutorError;

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
    let files = files.iter().map(|(path, fact)| {
        let FileFact {
            object,
            size_bytes,
            kind,
        } = *fact;
        let file = TreeFile {
            kind,
            size_bytes,
            object,
        };
        (path.clone(), file)
    });
    let mut whole = None;
    for tree in trees_of(files)? {
        whole = Some(batch.put_tree(&tree)?);
    }
    Ok(whole)
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
