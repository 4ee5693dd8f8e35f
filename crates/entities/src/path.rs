//! Paths as they stand in a record.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A path in a record: text where it is UTF-8, `%bytes:` and hex digits where it is not.
///
/// The form is lossless: a UTF-8 path that itself begins with `%bytes:` is written in hex too.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordedPath(String);

const ESCAPE: &str = "%bytes:";

impl RecordedPath {
    /// Records a path.
    pub fn new(path: impl AsRef<Path>) -> Self {
        let bytes = path.as_ref().as_os_str().as_bytes();
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.starts_with(ESCAPE) => Self(text.to_owned()),
            _ => Self(format!("{ESCAPE}{}", hex::encode(bytes))),
        }
    }

    /// Gives the path back, byte for byte.
    pub fn to_path(&self) -> PathBuf {
        match self
            .0
            .strip_prefix(ESCAPE)
            .and_then(|digits| hex::decode(digits).ok())
        {
            Some(bytes) => PathBuf::from(OsStr::from_bytes(&bytes)),
            None => PathBuf::from(&self.0),
        }
    }

    /// Gives the recorded form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RecordedPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for RecordedPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_string_survives() {
        for bytes in [&b"a b\nc"[..], b"\xff\xfe", b"%bytes:00", b"", b"d\xc3\xa9"] {
            let path = Path::new(OsStr::from_bytes(bytes));
            assert_eq!(RecordedPath::new(path).to_path(), path);
        }
    }
}
