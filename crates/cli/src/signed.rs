//! What this user signed last, one file for each place of a store, in the user's settings folder.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use entities::ObjectId;
use ledger::{Checkpoint, TreeHead, VerifierKey};
use tracking::{Remembered, SignedMemory};

use crate::keys::file_name;
use crate::system::configuration_directory;

/// Remembers the last checkpoint of one ledger at one place.
///
/// A project that was copied goes on in both places, each with a memory of its own. At a place that is new, a ledger has
/// to continue the longest one that was signed anywhere, so that moving a store does not make its signer forget; one
/// that ends before it is an older copy until its owner says that it goes on there.
pub(crate) struct SignedFiles {
    /// The folder of this ledger.
    directory: PathBuf,
    file: PathBuf,
    key: VerifierKey,
}

/// The folder of all ledgers' memories; none where there is no settings folder.
pub(crate) fn signed_directory() -> Option<PathBuf> {
    Some(configuration_directory()?.join("signed"))
}

impl SignedFiles {
    /// The memory of the ledger of this key in the store at `store_directory`; none where there is no settings folder.
    pub(crate) fn of(key: &VerifierKey, store_directory: &Path) -> Option<Self> {
        Some(Self::below(&signed_directory()?, key, store_directory))
    }

    fn below(directory: &Path, key: &VerifierKey, store_directory: &Path) -> Self {
        let place = store_directory
            .canonicalize()
            .unwrap_or_else(|_| store_directory.to_owned());
        let place = ObjectId::of(place.as_os_str().as_encoded_bytes());
        let directory = directory.join(file_name(key));
        Self {
            file: directory.join(hex::encode(&place.as_bytes()[..8])),
            directory,
            key: key.clone(),
        }
    }

    /// Reads one file; none if it is not there, or holds nothing that this key signed, as after a crash of the machine.
    fn read(&self, path: &Path) -> io::Result<Option<TreeHead>> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match Checkpoint::open(&text, std::slice::from_ref(&self.key)) {
            Ok(checkpoint) => Ok(Some(checkpoint.head)),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "this is no checkpoint and is left out");
                Ok(None)
            }
        }
    }

    fn find_longest(&self) -> io::Result<Option<TreeHead>> {
        let entries = match std::fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut longest: Option<TreeHead> = None;
        for entry in entries {
            let entry = entry?;
            if entry.path().extension().is_some() {
                // Being written, or left by whoever was killed at it.
                continue;
            }
            let found = self.read(&entry.path())?;
            if found.map(|head| head.size) > longest.map(|head| head.size) {
                longest = found;
            }
        }
        Ok(longest)
    }
}

impl SignedFiles {
    /// Makes sure that something can be remembered.
    pub(crate) fn check_writable(&self) -> io::Result<()> {
        self.make_directory()?;
        let probe = self
            .file
            .with_extension(format!("{}.probe", std::process::id()));
        std::fs::write(&probe, "")?;
        std::fs::remove_file(&probe)
    }

    fn make_directory(&self) -> io::Result<()> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)
    }
}

impl SignedMemory for SignedFiles {
    fn last(&self) -> io::Result<Option<Remembered>> {
        let here = self.read(&self.file)?;
        let is_elsewhere = here.is_none();
        let last = match here {
            Some(head) => Some(head),
            None => self.find_longest()?,
        };
        Ok(last.map(|head| Remembered { head, is_elsewhere }))
    }

    fn remember(&self, checkpoint: &[u8]) -> io::Result<()> {
        self.make_directory()?;
        // Publishers of one place come one after the other, so the name of the new file needs no more than the process.
        let new = self
            .file
            .with_extension(format!("{}.new", std::process::id()));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(checkpoint)?;
        file.sync_data()?;
        std::fs::rename(&new, &self.file)
    }
}

#[cfg(test)]
mod tests {
    use ledger::{SigningKey, empty_root, leaf_hash};

    use super::*;

    fn head(size: u64) -> TreeHead {
        TreeHead {
            size,
            root: leaf_hash(&size.to_le_bytes()),
        }
    }

    fn sign(key: &SigningKey, size: u64) -> Vec<u8> {
        Checkpoint::sign(head(size), &[key]).unwrap()
    }

    #[test]
    fn each_place_has_its_own_and_a_new_one_starts_from_the_longest() {
        let folder = tempfile::tempdir().unwrap();
        let key = SigningKey::from_seed("reproof.local/0123", &[7; 32]).unwrap();
        let at = |place: &str| {
            SignedFiles::below(
                &folder.path().join("signed"),
                &key.verifier(),
                Path::new(place),
            )
        };
        assert_eq!(at("/a").last().unwrap(), None);
        at("/a").remember(&sign(&key, 5)).unwrap();
        at("/b").remember(&sign(&key, 9)).unwrap();
        at("/b").remember(&sign(&key, 8)).unwrap();
        let remembered = |size, is_elsewhere| {
            Some(Remembered {
                head: head(size),
                is_elsewhere,
            })
        };
        assert_eq!(at("/a").last().unwrap(), remembered(5, false));
        assert_eq!(at("/b").last().unwrap(), remembered(8, false));
        assert_eq!(at("/c").last().unwrap(), remembered(8, true));
    }

    #[test]
    fn what_the_key_did_not_sign_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let key = SigningKey::from_seed("reproof.local/0123", &[7; 32]).unwrap();
        let other = SigningKey::from_seed("reproof.local/0123", &[8; 32]).unwrap();
        let files = SignedFiles::below(folder.path(), &key.verifier(), Path::new("/a"));
        for text in [
            Vec::new(),
            b"\xff\0 no note".to_vec(),
            sign(&other, 50),
            sign(&key, 5)[..40].to_vec(),
        ] {
            files.remember(&text).unwrap();
            assert_eq!(files.last().unwrap(), None);
        }
        let empty = TreeHead {
            size: 0,
            root: empty_root(),
        };
        files
            .remember(&Checkpoint::sign(empty, &[&key]).unwrap())
            .unwrap();
        assert_eq!(files.last().unwrap().unwrap().head, empty);
    }
}
