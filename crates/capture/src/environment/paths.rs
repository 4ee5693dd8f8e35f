//! Many paths in one piece of memory.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Paths one after the other, a NUL after each, as system calls take them.
///
/// An environment has thousands of files, and with a piece of memory for each path, looking at what `stat` says of
/// them would cost less than handling their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Paths {
    bytes: Vec<u8>,
}

impl Paths {
    /// Takes what `as_bytes` gave; none where the last path has no end.
    pub(super) fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        bytes
            .last()
            .is_none_or(|&last| last == 0)
            .then_some(Self { bytes })
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds a path. No path that a file can have holds a NUL; what follows one is dropped.
    pub(super) fn push(&mut self, path: &Path) {
        let path = path.as_os_str().as_bytes();
        let end = path
            .iter()
            .position(|&byte| byte == 0)
            .unwrap_or(path.len());
        self.bytes.extend_from_slice(&path[..end]);
        self.bytes.push(0);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &CStr> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let path = CStr::from_bytes_until_nul(rest).ok()?;
            rest = &rest[path.count_bytes() + 1..];
            Some(path)
        })
    }
}

impl<P: AsRef<Path>> FromIterator<P> for Paths {
    fn from_iter<I: IntoIterator<Item = P>>(paths: I) -> Self {
        let mut all = Self::default();
        paths.into_iter().for_each(|path| all.push(path.as_ref()));
        all
    }
}

/// A path of the list as one of the file system.
pub(super) fn as_path(path: &CStr) -> &Path {
    Path::new(OsStr::from_bytes(path.to_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_come_back_as_they_were() {
        let list = [&b""[..], b"a b\nc", b"\xff", b"x/y"];
        let paths: Paths = list
            .iter()
            .map(|path| Path::new(OsStr::from_bytes(path)))
            .collect();
        let back: Vec<_> = paths.iter().map(CStr::to_bytes).collect();
        assert_eq!(back, list);
        assert_eq!(Paths::from_bytes(paths.as_bytes().to_vec()), Some(paths));
        assert_eq!(Paths::from_bytes(b"no end".to_vec()), None);
        assert_eq!(Paths::default().iter().count(), 0);
    }
}
