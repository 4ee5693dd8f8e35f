//! Answers that cost a process or a walk through many files.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use entities::Blas;
use serde::{Deserialize, Serialize};

use super::interpreter::Known;
use crate::digests::{without_checksum, write_with_checksum};

/// Answers by what they rest on.
#[derive(Debug)]
pub(super) struct Answers {
    path: PathBuf,
    is_changed: bool,
    pub(super) contents: Contents,
}

/// All answers; each map is cut when it has outgrown what anybody uses.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Contents {
    v: u32,
    /// By a digest of path, binary, settings and variables.
    pub(super) interpreters: BTreeMap<String, Known>,
    /// By a digest of library, variables and CPU.
    pub(super) blas: BTreeMap<String, Option<Blas>>,
    /// Whether an object is a shared library.
    pub(super) elf: BTreeMap<String, bool>,
    /// What `stat` says of dpkg's list of packages, for which the next holds.
    pub(super) dpkg_stamp: String,
    /// Debian packages by path.
    pub(super) packages: BTreeMap<String, Option<String>>,
}

const VERSION: u32 = 1;
const ANSWERS_MAX: usize = 20_000;

impl Answers {
    pub(super) fn open(path: PathBuf) -> Self {
        let bytes = std::fs::read(&path).ok().and_then(without_checksum);
        let contents = bytes.and_then(|bytes| serde_json::from_slice::<Contents>(&bytes).ok());
        let contents = contents.filter(|contents| contents.v == VERSION);
        let fresh = || Contents {
            v: VERSION,
            ..Contents::default()
        };
        Self {
            path,
            is_changed: false,
            contents: contents.unwrap_or_else(fresh),
        }
    }

    /// To learn something.
    pub(super) fn change(&mut self) -> &mut Contents {
        self.is_changed = true;
        &mut self.contents
    }

    pub(super) fn save(&mut self) -> io::Result<()> {
        if !self.is_changed {
            return Ok(());
        }
        let contents = &mut self.contents;
        let is_full = contents.elf.len() > ANSWERS_MAX
            || contents.packages.len() > ANSWERS_MAX
            || contents.interpreters.len() + contents.blas.len() > ANSWERS_MAX;
        if is_full {
            *contents = Contents {
                v: VERSION,
                ..Contents::default()
            };
        }
        let bytes = serde_json::to_vec(&contents).map_err(io::Error::other)?;
        write_with_checksum(&self.path, bytes)?;
        self.is_changed = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_survive_and_damage_counts_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/answers");
        let mut answers = Answers::open(path.clone());
        answers.change().elf.insert("a".to_owned(), true);
        answers.save().unwrap();
        assert_eq!(
            Answers::open(path.clone()).contents.elf.get("a"),
            Some(&true)
        );
        let mut bytes = std::fs::read(&path).unwrap();
        let at = bytes.iter().position(|&byte| byte == b't').unwrap();
        bytes[at] = b'x';
        std::fs::write(&path, bytes).unwrap();
        assert!(Answers::open(path).contents.elf.is_empty());
    }
}
