//! The code of a project as it is at the start of a run, and the state of git.

mod git;
mod history;
mod listing;
mod patch;
mod read;
mod repository;
mod walk;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cas::{Batch, Cas};
use entities::{EntryKind, GitState, NotKept, ObjectId, RecordedPath};

use crate::CaptureError;
use crate::digests::DigestCache;
use crate::made::MadeFiles;
use crate::redaction::Redaction;

pub use history::{CommitDetail, CommittedFile, History, HistoryError, Noted, Reference};
pub use repository::{RepositoryError, RepositoryRequest, SharedObjects, recreate_repository};

/// What to take, and where to put it.
#[derive(Clone, Copy)]
pub struct CodeRequest<'a> {
    /// The project, an absolute path with links followed.
    pub root: &'a Path,
    /// Reproof's own folder, of which nothing is taken.
    pub store_directory: &'a Path,
    /// Where the bytes go.
    pub batch: &'a Batch,
    /// What is secret.
    pub redaction: &'a Redaction,
    /// Digests of files that were read before.
    pub digests: &'a DigestCache,
    /// What earlier runs made, which is no code of this one.
    pub made: &'a MadeFiles,
    /// Where bytes of earlier runs are.
    pub cas: &'a Cas,
    /// Larger files are recorded by digest only.
    pub size_limit_bytes: u64,
    /// Larger untracked files are not taken for code.
    pub code_file_limit_bytes: u64,
}

/// The code of a project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CapturedCode {
    /// Files and links by their path in the project.
    pub files: BTreeMap<PathBuf, CodeFile>,
    /// Files that belong to the code and are not among those.
    pub not_kept: Vec<NotKept>,
    /// The state of git; none where there is no git, or it refuses.
    pub git: Option<GitState>,
    /// Files that are pointers of Git LFS, not the content that they stand for.
    pub lfs_pointers: Vec<RecordedPath>,
}

/// One file or link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeFile {
    /// Its content; of a link, the target.
    pub object: ObjectId,
    /// Size of the content in bytes.
    pub size_bytes: u64,
    /// What it is.
    pub kind: EntryKind,
    /// Whether git tracks it.
    pub is_tracked: bool,
}

/// Takes the code of a project: what git tracks, and what it does not track and does not ignore.
///
/// The files of submodules, and of other checkouts inside the project, are part of it.
/// Where there is no git, it is what `.gitignore` and `.reproofignore` do not leave out.
/// Virtual environments, caches of tools and what earlier runs made are never code unless git tracks them.
///
/// A single file that cannot be read is noted and the rest goes on.
///
/// *Cost*: three processes of git, a fourth where something is changed; a `stat` for each file that was read before.
pub fn capture_code(request: CodeRequest<'_>) -> Result<CapturedCode, CaptureError> {
    let listing = listing::list(request);
    let read = read::read_all(request, &listing.files)?;
    let mut code = CapturedCode {
        files: read.files,
        not_kept: read.not_kept,
        git: listing.git,
        lfs_pointers: read.lfs_pointers,
    };
    code.not_kept.extend(listing.not_kept);
    code.not_kept
        .extend(walk::list_special(request.root, &listing.files));
    code.not_kept.sort();
    code.not_kept.dedup_by(|one, other| one.path == other.path);
    Ok(code)
}

#[cfg(test)]
mod tests;
