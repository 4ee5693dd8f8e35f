//! The difference from the commit, as a patch.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use entities::ObjectId;

use super::CodeRequest;
use super::git::Git;
use crate::CaptureError;

/// Files of a checkout that differ from the commit.
pub(super) struct Changed<'a> {
    /// Paths in the checkout.
    pub(super) paths: &'a [PathBuf],
    /// Path of the folder in the checkout.
    pub(super) prefix: &'a Path,
    /// The folder.
    pub(super) folder: &'a Path,
}

/// Arguments of a process have 128 KiB each and a few MiB together; this is far below.
const PATHS_BYTES_MAX: usize = 64 << 10;

/// A patch is for people, and the tree holds every file: past this it is not one that somebody reads.
const PATCH_BYTES_MAX: usize = 64 << 20;

/// Puts the patch; none where nothing in it may be shown.
///
/// Left out are files that hold secrets, and files that are too large to be code.
pub(super) fn put_patch(
    request: CodeRequest<'_>,
    git: &Git<'_>,
    changed: &Changed<'_>,
) -> Result<Option<ObjectId>, CaptureError> {
    let mut patch = Vec::new();
    for paths in groups(
        changed
            .paths
            .iter()
            .filter(|path| is_shown(request, changed, path)),
    ) {
        let mut arguments: Vec<OsString> = DIFF.iter().map(OsString::from).collect();
        arguments.extend(paths);
        patch.extend(git.ask(&arguments)?);
        if patch.len() > PATCH_BYTES_MAX {
            tracing::warn!("the difference from the commit is too long to be kept as a patch");
            return Ok(None);
        }
    }
    if patch.is_empty() {
        return Ok(None);
    }
    Ok(Some(request.batch.put(&patch)?))
}

const DIFF: &[&str] = &[
    "diff-index",
    "--patch",
    "--binary",
    "--full-index",
    "--no-renames",
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
    "--unified=3",
    "--diff-algorithm=myers",
    "--src-prefix=a/",
    "--dst-prefix=b/",
    "--submodule=short",
    "--ignore-submodules=dirty",
    "HEAD",
    "--",
];

fn is_shown(request: CodeRequest<'_>, changed: &Changed<'_>, path: &Path) -> bool {
    let inside = path.strip_prefix(changed.prefix).unwrap_or(path);
    let absolute = changed.folder.join(inside);
    let size_bytes = absolute
        .symlink_metadata()
        .map_or(0, |metadata| metadata.len());
    size_bytes <= request.code_file_limit_bytes && !request.redaction.is_secret_file(&absolute)
}

/// Groups of pathspecs that fit on a command line.
fn groups<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> Vec<Vec<OsString>> {
    let mut groups: Vec<Vec<OsString>> = Vec::new();
    let mut length = usize::MAX;
    for path in paths {
        if length > PATHS_BYTES_MAX {
            groups.push(Vec::new());
            length = 0;
        }
        length += path.as_os_str().len() + 32;
        let mut pathspec = OsString::from(":(top,literal)");
        pathspec.push(path);
        groups.last_mut().expect("one was pushed").push(pathspec);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_paths_are_asked_for_in_groups() {
        let paths: Vec<_> = (0..5000)
            .map(|index| PathBuf::from(format!("folder/file{index}")))
            .collect();
        let groups = groups(paths.iter());
        assert!(groups.len() > 1);
        assert_eq!(groups.iter().map(Vec::len).sum::<usize>(), 5000);
        assert_eq!(groups[0][0], ":(top,literal)folder/file0");
    }
}
