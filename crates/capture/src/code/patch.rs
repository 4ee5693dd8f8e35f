//! The difference from the commit, as a patch, and which files one adds and deletes.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
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
        LITERAL,
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

/// What makes a path in a checkout a pathspec that means this path only.
pub(super) const LITERAL: &str = ":(top,literal)";

/// Groups of paths, each with something before it, that fit on a command line.
pub(super) fn groups<'a>(
    paths: impl Iterator<Item = &'a PathBuf>,
    before: &str,
) -> Vec<Vec<OsString>> {
    let mut groups: Vec<Vec<OsString>> = Vec::new();
    let mut length = usize::MAX;
    for path in paths {
        if length > PATHS_BYTES_MAX {
            groups.push(Vec::new());
            length = 0;
        }
        length += path.as_os_str().len() + 32;
        let mut pathspec = OsString::from(before);
        pathspec.push(path);
        groups.last_mut().expect("one was pushed").push(pathspec);
    }
    groups
}

/// How a patch changes which files there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Added,
    Deleted,
}

/// Reads the headers of a patch that git made without renames.
pub(super) fn changes_of(patch: &[u8]) -> Vec<(PathBuf, Change)> {
    let mut changes = Vec::new();
    let mut path = None;
    for line in patch.split(|&byte| byte == b'\n') {
        // Lines of a file's content begin with a sign, so none of them looks like this.
        if let Some(names) = line.strip_prefix(b"diff --git ") {
            path = path_of_header(names);
        } else if line.starts_with(b"new file mode ") {
            changes.extend(path.take().map(|path| (path, Change::Added)));
        } else if line.starts_with(b"deleted file mode ") {
            changes.extend(path.take().map(|path| (path, Change::Deleted)));
        }
    }
    changes
}

/// The path in `a/PATH b/PATH`, or in the same with quotes.
fn path_of_header(names: &[u8]) -> Option<PathBuf> {
    let path = if let Some(quoted) = names.strip_prefix(b"\"") {
        unquote(quoted)?
    } else {
        let length = names.len().checked_sub(1)? / 2;
        let (old, new) = (names.get(..length)?, names.get(length + 1..)?);
        let is_same = old.strip_prefix(b"a/")? == new.strip_prefix(b"b/")?;
        is_same.then(|| old.to_vec())?
    };
    let path = path.strip_prefix(b"a/")?.to_vec();
    Some(PathBuf::from(OsString::from_vec(path)))
}

/// Reads a text as C has it, up to its closing quote.
fn unquote(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text;
    loop {
        let (&first, after) = rest.split_first()?;
        rest = after;
        match first {
            b'"' => return Some(bytes),
            b'\\' => {
                let (&escaped, after) = rest.split_first()?;
                rest = after;
                bytes.push(match escaped {
                    b'a' => 7,
                    b'b' => 8,
                    b't' => b'\t',
                    b'n' => b'\n',
                    b'v' => 11,
                    b'f' => 12,
                    b'r' => b'\r',
                    b'0'..=b'3' => {
                        let (digits, after) = rest.split_at_checked(2)?;
                        rest = after;
                        let digits = std::str::from_utf8(digits).ok()?;
                        (escaped - b'0') * 64 + u8::from_str_radix(digits, 8).ok()?
                    }
                    b'4'..=b'9' => return None,
                    other => other,
                });
            }
            other => bytes.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_paths_are_asked_for_in_groups() {
        let paths: Vec<_> = (0..5000)
            .map(|index| PathBuf::from(format!("folder/file{index}")))
            .collect();
        let groups = groups(paths.iter(), LITERAL);
        assert!(groups.len() > 1);
        assert_eq!(groups.iter().map(Vec::len).sum::<usize>(), 5000);
        assert_eq!(groups[0][0], ":(top,literal)folder/file0");
    }

    #[test]
    fn a_patch_tells_what_was_added_and_deleted() {
        let patch = b"diff --git a/new b/new\nnew file mode 100644\nindex 0..1\n--- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+diff --git a/x b/x\n\
            diff --git a/a b/c b/a b/c\ndeleted file mode 100644\n\
            diff --git a/same b/same\nindex 1..2\n\
            diff --git \"a/q\\n\\303\\244\\\"\" \"b/q\\n\\303\\244\\\"\"\nnew file mode 100755\n";
        assert_eq!(
            changes_of(patch),
            [
                (PathBuf::from("new"), Change::Added),
                (PathBuf::from("a b/c"), Change::Deleted),
                (PathBuf::from("q\n\u{e4}\""), Change::Added),
            ]
        );
    }

    #[test]
    fn damaged_headers_are_survived() {
        for names in [
            &b""[..],
            b"a",
            b"a/x b/y",
            b"\"a/x",
            b"\"a/\\",
            b"\"a/\\39",
            b"\"a/\\400\"",
            b"x y",
        ] {
            assert_eq!(path_of_header(names), None, "{names:?}");
        }
    }
}
