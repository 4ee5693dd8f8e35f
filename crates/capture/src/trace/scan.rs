//! Files before and after, where a command can be followed in no other way.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{ScanDifference, ScanScope};

/// What tells that a file is another than before, without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    device: u64,
    inode: u64,
    size_bytes: u64,
    mode: u32,
    modified_ns: i128,
    changed_ns: i128,
}

/// The files of a scope at one time.
#[derive(Debug, Default)]
pub(super) struct Snapshot(BTreeMap<PathBuf, Mark>);

impl Snapshot {
    /// Looks at every file. What cannot be looked at counts as not there.
    pub(super) fn take(scope: &ScanScope) -> Self {
        let mut snapshot = Self::default();
        let mut open: Vec<PathBuf> = scope.roots.clone();
        while let Some(path) = open.pop() {
            if scope
                .excludes
                .iter()
                .any(|exclude| path.starts_with(exclude))
            {
                continue;
            }
            let Ok(metadata) = fs::symlink_metadata(&path) else {
                continue;
            };
            if metadata.is_dir() {
                let Ok(entries) = fs::read_dir(&path) else {
                    continue;
                };
                open.extend(entries.flatten().map(|entry| entry.path()));
            } else {
                snapshot.0.insert(path, Mark::of(&metadata));
            }
        }
        snapshot
    }

    /// How a later snapshot differs.
    pub(super) fn difference(&self, later: &Self) -> ScanDifference {
        let is_new = |path: &Path, mark: &Mark| self.0.get(path) != Some(mark);
        let changed = later.0.iter().filter(|(path, mark)| is_new(path, mark));
        let deleted = self.0.keys().filter(|path| !later.0.contains_key(*path));
        ScanDifference {
            created_or_changed: changed.map(|(path, _)| path.clone()).collect(),
            deleted: deleted.cloned().collect(),
        }
    }
}

impl Mark {
    fn of(metadata: &fs::Metadata) -> Self {
        let nanoseconds =
            |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size_bytes: metadata.size(),
            mode: metadata.mode(),
            modified_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_changed_and_deleted_files_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("sub")).unwrap();
        fs::create_dir_all(at("left_out")).unwrap();
        for name in ["kept", "changed", "sub/deleted", "left_out/x"] {
            fs::write(at(name), "before").unwrap();
        }
        std::os::unix::fs::symlink("circle", at("circle")).unwrap();
        let scope = ScanScope {
            roots: vec![folder.path().to_owned()],
            excludes: vec![at("left_out")],
        };
        let before = Snapshot::take(&scope);
        fs::write(at("changed"), "longer than before").unwrap();
        fs::remove_file(at("sub/deleted")).unwrap();
        fs::write(at("sub/new"), "").unwrap();
        fs::write(at("left_out/y"), "").unwrap();
        let difference = before.difference(&Snapshot::take(&scope));
        assert_eq!(
            difference.created_or_changed,
            [at("changed"), at("sub/new")]
        );
        assert_eq!(difference.deleted, [at("sub/deleted")]);
    }

    #[test]
    fn an_overwritten_file_of_the_same_size_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "aaaa").unwrap();
        let scope = ScanScope {
            roots: vec![folder.path().to_owned()],
            excludes: Vec::new(),
        };
        let before = Snapshot::take(&scope);
        std::thread::sleep(std::time::Duration::from_millis(20));
        fs::write(&path, "bbbb").unwrap();
        assert_eq!(
            before
                .difference(&Snapshot::take(&scope))
                .created_or_changed,
            [path]
        );
    }
}
