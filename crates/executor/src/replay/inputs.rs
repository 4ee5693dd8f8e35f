//! Inputs whose bytes are not on record: what a replay gives its command instead, and what that means.

use std::path::PathBuf;

use capture::trace::Bind;
use entities::{NotKept, NotKeptReason, RecordedPath};

use crate::{ExecutorError, Manifest, flatten_tree};

/// What became of the inputs whose bytes are not on record.
#[derive(Default)]
pub(super) struct StandIns {
    /// Inputs that the command is not given as its origin was: whatever comes out proves nothing.
    pub(super) lost: Vec<RecordedPath>,
    /// Today's files of the project that are shown in the fresh directory.
    pub(super) binds: Vec<Bind>,
    pub(super) notes: Vec<String>,
}

/// Looks for what stands today where inputs were that cannot be restored.
///
/// A file that still has the recorded digest is the same input. Of a secret only the path is on record, and today's is
/// what it is now, as with variables; it counts as given where it is there.
pub(super) fn find_stand_ins(
    cas: &cas::Cas,
    manifest: &Manifest,
    can_bind: bool,
) -> Result<StandIns, ExecutorError> {
    let root = manifest.recipe.project_root.to_path();
    let written = match &manifest.record.outputs.project {
        Some(tree) => flatten_tree(cas, tree)?,
        None => provenance::FileMap::new(),
    };
    let mut found = StandIns::default();
    for input in not_on_record(cas, manifest)? {
        let path = root.join(input.path.to_path());
        let is_of_project = path.starts_with(&root);
        let is_there = path.is_file();
        let is_same = input.object.is_some() && super::stage::digest(&path).ok() == input.object;
        let is_secret = input.reason == NotKeptReason::Secret;
        // Today's file itself is shown: a command that writes to it is not let near it.
        let may_show = can_bind && !written.contains_key(&input.path);
        let is_given = is_there && (is_same || is_secret) && (!is_of_project || may_show);
        if is_given && is_of_project {
            found.binds.push(Bind {
                source: path.clone(),
                target: path,
            });
        }
        let instead = match (is_given, is_of_project || !is_there) {
            (true, _) if is_same => continue,
            (true, _) => "today's is used",
            (false, true) => "the command runs without it",
            (false, false) => "today's, which is another, is used",
        };
        let why = reason_in_words(input.reason);
        found.notes.push(format!(
            "input `{}` is not on record ({why}); {instead}",
            input.path
        ));
        if !is_given {
            found.lost.push(input.path);
        }
    }
    Ok(found)
}

/// Inputs without bytes: those that were never kept, and those that were removed since.
fn not_on_record(cas: &cas::Cas, manifest: &Manifest) -> Result<Vec<NotKept>, ExecutorError> {
    let recipe = &manifest.recipe;
    let mut missing = recipe.inputs.not_kept.clone();
    let trees = [
        (Some(recipe.code.tree), ""),
        (recipe.inputs.project, ""),
        (recipe.inputs.outside, "/"),
    ];
    for (tree, beginning) in trees {
        let Some(tree) = tree else { continue };
        for (path, fact) in flatten_tree(cas, &tree)? {
            let is_known = |known: &NotKept| known.object == Some(fact.object);
            if cas.contains(&fact.object)? || missing.iter().any(is_known) {
                continue;
            }
            missing.push(NotKept {
                path: RecordedPath::new(PathBuf::from(beginning).join(path.to_path())),
                size_bytes: Some(fact.size_bytes.into()),
                object: Some(fact.object),
                reason: NotKeptReason::Forgotten,
            });
        }
    }
    missing.sort();
    missing.dedup_by(|one, other| one.path == other.path);
    Ok(missing)
}

fn reason_in_words(reason: NotKeptReason) -> &'static str {
    match reason {
        NotKeptReason::OverSizeLimit => "over the size limit",
        NotKeptReason::Secret => "a secret",
        NotKeptReason::Unreadable => "it could not be read",
        NotKeptReason::Vanished => "it was gone before it could be kept",
        NotKeptReason::Special => "no regular file",
        NotKeptReason::Changing => "it changed while it was read",
        NotKeptReason::NotStored => "it could not be stored",
        NotKeptReason::Forgotten => "forgotten",
    }
}
