//! Inputs whose bytes are not on record, and what a replay is given in their place.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use cas::Cas;
use entities::{NotKeptReason, ObjectId, Recipe, RecordedPath};
use provenance::{InputInstead, InputNotGivenBack};

use crate::restore::refuse_links;
use crate::{ExecutorError, flatten_tree};

/// An input whose bytes are not on record.
#[derive(Clone, Debug)]
pub(super) struct Lost {
    /// As the record names it.
    pub(super) path: RecordedPath,
    pub(super) reason: NotKeptReason,
    /// Where it was read.
    pub(super) place: PathBuf,
    pub(super) is_outside: bool,
    /// Whether the file that is there today is the recorded one, to the byte.
    pub(super) is_there: bool,
}

/// Lists inputs, code among them, whose bytes are not on record.
pub(super) fn list_lost(cas: &Cas, recipe: &Recipe) -> Result<Vec<Lost>, ExecutorError> {
    let mut objects: BTreeMap<PathBuf, Option<ObjectId>> = BTreeMap::new();
    let mut add_tree = |tree: Option<&ObjectId>, root: &Path| -> Result<(), ExecutorError> {
        for (path, fact) in tree.map_or(Ok(BTreeMap::new()), |tree| flatten_tree(cas, tree))? {
            objects.insert(root.join(path.to_path()), Some(fact.object));
        }
        Ok(())
    };
    // What was read counts, where it is not what the code was at the start.
    add_tree(Some(&recipe.code.tree), Path::new(""))?;
    add_tree(recipe.inputs.project.as_ref(), Path::new(""))?;
    add_tree(recipe.inputs.outside.as_ref(), Path::new("/"))?;
    let mut reasons = BTreeMap::new();
    for missing in &recipe.inputs.not_kept {
        let path = missing.path.to_path();
        reasons.insert(path.clone(), missing.reason);
        if missing.object.is_none() {
            objects.insert(path, None);
        }
    }
    let root = recipe.project_root.to_path();
    let mut lost = Vec::new();
    for (path, object) in objects {
        if let Some(object) = &object
            && cas.contains(object)?
        {
            continue;
        }
        let place = root.join(&path);
        lost.push(Lost {
            path: RecordedPath::new(&path),
            reason: reasons
                .get(&path)
                .copied()
                .unwrap_or(NotKeptReason::Forgotten),
            is_outside: path.is_absolute(),
            is_there: object.is_some_and(|object| has_digest(&place, object)),
            place,
        });
    }
    Ok(lost)
}

/// Whether a file has a content, read anew: what is claimed of it goes into the verdict.
pub(super) fn has_digest(path: &Path, object: ObjectId) -> bool {
    digest(path).is_ok_and(|digest| digest == object)
}

/// The digest of a file; other things than files have none.
pub(super) fn digest(path: &Path) -> std::io::Result<ObjectId> {
    let file = crate::snapshot::open_regular(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    cas::digest_reader(&mut &file).map(|(object, _)| object)
}

/// Copies files of the project that are today what they were into the fresh directory.
pub(super) fn take_todays(lost: &mut [Lost], directory: &Path) -> Result<(), ExecutorError> {
    for file in lost
        .iter_mut()
        .filter(|file| file.is_there && !file.is_outside)
    {
        let place = directory.join(file.path.to_path());
        let folder = place.parent().unwrap_or(directory).to_owned();
        refuse_links(directory, &folder)?;
        std::fs::create_dir_all(&folder)
            .map_err(|error| ExecutorError::io("make", &folder, error))?;
        copy_file(&file.place, &place)?;
    }
    Ok(())
}

/// Copies a file with its permissions, such that the copy can be written to.
pub(super) fn copy_file(from: &Path, to: &Path) -> Result<(), ExecutorError> {
    std::fs::copy(from, to).map_err(|error| ExecutorError::io("copy", from, error))?;
    let permissions = to
        .metadata()
        .map(|metadata| std::fs::Permissions::from_mode(metadata.permissions().mode() | 0o600));
    permissions
        .and_then(|permissions| std::fs::set_permissions(to, permissions))
        .map_err(|error| ExecutorError::io("set the permissions of", to, error))
}

impl Lost {
    /// What it means for the verdict; none for the same bytes, which only a note tells of.
    pub(super) fn verdict(&self, was_left_out: bool) -> Option<InputNotGivenBack> {
        if self.is_there && !was_left_out {
            return None;
        }
        let is_used = self.is_outside && !was_left_out && self.place.symlink_metadata().is_ok();
        Some(InputNotGivenBack {
            path: self.path.clone(),
            reason: Some(self.reason),
            instead: if is_used {
                InputInstead::TodaysFile
            } else {
                InputInstead::Nothing
            },
        })
    }

    pub(super) fn note(&self) -> Option<String> {
        self.is_there.then(|| {
            format!(
                "the bytes of the input `{}` are not on record; today's file has the recorded digest and was used",
                self.path
            )
        })
    }
}
