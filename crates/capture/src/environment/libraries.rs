//! Shared libraries among the files that a run read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use entities::{Library, RecordedPath};

use super::cache::Answers;
use super::debian::Packages;
use super::interpreter::is_elf;
use crate::digests::DigestCache;

/// Lists the shared libraries in the order of their paths. One that is gone by now is left out.
pub(super) fn list(
    read_files: &BTreeSet<PathBuf>,
    digests: &DigestCache,
    answers: &mut Answers,
) -> Vec<Library> {
    let mut packages = Packages::system();
    let mut libraries = Vec::new();
    for path in read_files.iter().filter(|path| is_named_like_library(path)) {
        let Ok((object, _)) = digests.digest(path) else {
            continue;
        };
        let key = object.to_hex();
        let known = answers.contents.elf.get(&key).copied();
        let is_library = known.unwrap_or_else(|| {
            let is_library = is_elf(path);
            answers.change().elf.insert(key, is_library);
            is_library
        });
        if is_library {
            let package = packages.find(path, answers);
            libraries.push(Library {
                path: RecordedPath::new(path),
                object,
                package,
            });
        }
    }
    libraries.sort();
    libraries
}

/// `libm.so.6`, `_core.cpython-311-x86_64-linux-gnu.so`.
fn is_named_like_library(path: &Path) -> bool {
    let Some(name) = path.file_name().map(std::os::unix::ffi::OsStrExt::as_bytes) else {
        return false;
    };
    name.ends_with(b".so") || name.windows(4).any(|part| part == b".so.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_told_from_files_that_are_named_like_one() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("real.so.1"), b"\x7fELF rest").unwrap();
        std::fs::write(at("script.so"), b"INPUT(x)").unwrap();
        std::fs::write(at("real.txt"), b"\x7fELF rest").unwrap();
        let files = ["real.so.1", "script.so", "real.txt", "gone.so"]
            .map(at)
            .into();
        let digests = DigestCache::open(at("digests"));
        let mut answers = Answers::open(at("answers"));
        let libraries = list(&files, &digests, &mut answers);
        assert_eq!(libraries.len(), 1);
        assert_eq!(libraries[0].path.to_path(), at("real.so.1"));
        assert_eq!(libraries[0].package, None);
        assert_eq!(answers.contents.elf.len(), 2);
    }
}
