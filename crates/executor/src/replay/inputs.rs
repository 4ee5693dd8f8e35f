//! Inputs whose bytes are not on record: what a replay gives its command instead, and what that means.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use capture::trace::Bind;
use entities::{NotKept, NotKeptReason, RecordedPath};

use crate::restore::refuse_links;
use crate::{ExecutorError, Manifest, Restored, flatten_tree};

/// What became of the inputs whose bytes are not on record.
#[derive(Default)]
pub(super) struct StandIns {
    /// Inputs that the command is not given as its origin was: whatever comes out proves nothing.
    pub(super) lost: Vec<RecordedPath>,
    /// Today's files at the places of such inputs outside of the project, and whether each is a secret.
    pub(super) outside: BTreeMap<PathBuf, bool>,
    pub(super) secrets: CopiedSecrets,
    /// A folder of ours for copies of secrets, where they can be shown from there. In the directory of the replay a
    /// copy would stay if we were killed.
    vault: Option<PathBuf>,
    /// What shows those.
    pub(super) shown: Vec<Bind>,
    pub(super) notes: Vec<String>,
}

/// Copies of secrets, or what stands in their places; dropping this removes them, since the directory of a replay may
/// be kept and passed on.
#[derive(Debug, Default)]
pub(super) struct CopiedSecrets(Vec<PathBuf>);

impl Drop for CopiedSecrets {
    fn drop(&mut self) {
        for copy in &self.0 {
            if let Err(error) = fs::remove_file(copy)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(path = %copy.display(), %error, "the copy of a secret is still there");
            }
        }
    }
}

impl StandIns {
    /// Where nothing can be mounted, the command is given what stands outside of the project today.
    pub(super) fn note_changed(&mut self, restored: &Restored) {
        for file in &restored.outside {
            let is_same = if let Ok(target) = fs::read_link(&file.restored) {
                fs::read_link(&file.path).ok() == Some(target)
            } else {
                let recorded = super::stage::digest(&file.restored).ok();
                recorded.is_some() && recorded == super::stage::digest(&file.path).ok()
            };
            if !is_same {
                let path = RecordedPath::new(&file.path);
                self.notes.push(format!(
                    "input `{path}` is another today and cannot be shown as it was; the command runs with what is there"
                ));
                self.lost.push(path);
            }
        }
    }

    /// Copies today's file, which the command sees at the same path, to where it will find it: what it does to it must
    /// not reach the file itself.
    pub(super) fn copy(
        &mut self,
        today: &Path,
        to: &Path,
        is_secret: bool,
    ) -> Result<(), ExecutorError> {
        if is_secret {
            self.secrets.0.push(to.to_owned());
        }
        let mut copy = to.to_owned();
        if let Some(vault) = self.vault.as_ref().filter(|_| is_secret) {
            copy = vault.join(self.shown.len().to_string());
            self.shown.push(Bind::new(&copy, today));
            fs::write(to, "").map_err(|error| ExecutorError::io("write", to, error))?;
        }
        match fs::copy(today, copy) {
            Ok(_) => Ok(()),
            Err(error) => Err(ExecutorError::io("copy", today, error)),
        }
    }
}

/// Looks for what stands today where inputs were that cannot be restored, and puts those of the project into the
/// fresh directory.
///
/// A file that still has the recorded digest is the same input. Of a secret only the path is on record, and today's is
/// what it is now, as with variables; it counts as given where it is there.
pub(super) fn find_stand_ins(
    cas: &cas::Cas,
    manifest: &Manifest,
    directory: &Path,
    vault: Option<PathBuf>,
) -> Result<StandIns, ExecutorError> {
    let root = manifest.recipe.project_root.to_path();
    let mut found = StandIns {
        vault,
        ..StandIns::default()
    };
    for input in not_on_record(cas, manifest)? {
        let path = root.join(input.path.to_path());
        let is_there = path.is_file();
        let is_same = input.object.is_some() && super::stage::digest(&path).ok() == input.object;
        let is_secret = input.reason == NotKeptReason::Secret;
        let is_given = is_there && (is_same || is_secret);
        let inside = path.strip_prefix(&root);
        match inside {
            Ok(inside) if is_given => put_into(directory, inside, &path, is_secret, &mut found)?,
            Err(_) if is_there => drop(found.outside.insert(path.clone(), is_secret)),
            _ => {}
        }
        let instead = match (is_given, inside.is_ok() || !is_there) {
            (true, _) if is_same && input.reason == NotKeptReason::Forgotten => {
                "today's file has the recorded digest and is used, and with the replay it is on record again"
            }
            (true, _) if is_same => "today's file has the recorded digest and is used",
            (true, _) => "today's is used",
            (false, true) => "the command runs without it",
            (false, false) => "today's, which is another, is used",
        };
        let why = input.reason.in_words();
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

fn put_into(
    directory: &Path,
    inside: &Path,
    today: &Path,
    is_secret: bool,
    found: &mut StandIns,
) -> Result<(), ExecutorError> {
    let place = directory.join(inside);
    let folder = place.parent().unwrap_or(directory);
    refuse_links(directory, folder)?;
    fs::create_dir_all(folder).map_err(|error| ExecutorError::io("make", folder, error))?;
    // What the restored code has of that name may be a link that leads elsewhere.
    if place.symlink_metadata().is_ok() {
        fs::remove_file(&place).map_err(|error| ExecutorError::io("replace", &place, error))?;
    }
    found.copy(today, &place, is_secret)
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
            let path = RecordedPath::new(PathBuf::from(beginning).join(path.to_path()));
            if cas.contains(&fact.object)? || missing.iter().any(|known| known.path == path) {
                continue;
            }
            missing.push(NotKept {
                path,
                size_bytes: Some(fact.size_bytes.into()),
                object: Some(fact.object),
                reason: NotKeptReason::Forgotten,
            });
        }
    }
    Ok(missing)
}
