//! A cache of distributions that were looked at, each valid while `stat` says the same of all its files.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::distribution::{Examined, Facts};
use super::paths::Paths;
use crate::digests::{without_checksum, write_with_checksum};

/// Distributions by the path of their metadata.
#[derive(Debug)]
pub(super) struct Inventory {
    path: PathBuf,
    known: BTreeMap<PathBuf, Entry>,
    is_changed: bool,
}

/// Kept as it stands on disk, and read apart when it is asked for.
#[derive(Debug)]
struct Entry {
    facts: Vec<u8>,
    watched: Vec<u8>,
    files: Vec<u8>,
    stamps: [u8; 32],
    is_used: bool,
}

/// First bytes of the file; the number is the format's version.
const HEADER: &[u8] = b"reproof distributions 1\n";

/// Past this size, what was not asked for is dropped. A thousand distributions have about 10 MB.
const BYTES_MAX: usize = 64 << 20;

impl Inventory {
    pub(super) fn open(path: PathBuf) -> Self {
        let bytes = std::fs::read(&path).ok().and_then(without_checksum);
        let known = bytes.and_then(|bytes| decode(&bytes)).unwrap_or_default();
        Self {
            path,
            known,
            is_changed: false,
        }
    }

    /// What was known; whether it still holds must be seen from the stamps.
    pub(super) fn find(&mut self, metadata: &Path) -> Option<Examined> {
        let entry = self.known.get_mut(metadata)?;
        entry.is_used = true;
        let facts: Facts = serde_json::from_slice(&entry.facts).ok()?;
        Some(Examined {
            facts,
            watched: Paths::from_bytes(entry.watched.clone())?,
            files: Paths::from_bytes(entry.files.clone())?,
            stamps: entry.stamps,
            is_settled: true,
        })
    }

    /// Remembers a distribution; one that is not settled is looked at again next time.
    pub(super) fn note(&mut self, metadata: &Path, examined: &Examined) {
        let Examined {
            facts,
            watched,
            files,
            stamps,
            is_settled,
        } = examined;
        self.is_changed = true;
        self.known.remove(metadata);
        let Ok(facts) = serde_json::to_vec(facts) else {
            return;
        };
        if *is_settled {
            let (watched, files) = (watched.as_bytes().to_vec(), files.as_bytes().to_vec());
            let entry = Entry {
                facts,
                watched,
                files,
                stamps: *stamps,
                is_used: true,
            };
            self.known.insert(metadata.to_owned(), entry);
        }
    }

    pub(super) fn save(&mut self) -> io::Result<()> {
        if !self.is_changed {
            return Ok(());
        }
        let size: usize = self
            .known
            .values()
            .map(|entry| entry.files.len() + entry.watched.len())
            .sum();
        if size > BYTES_MAX {
            self.known.retain(|_, entry| entry.is_used);
        }
        write_with_checksum(&self.path, encode(&self.known))?;
        self.is_changed = false;
        Ok(())
    }
}

fn encode(known: &BTreeMap<PathBuf, Entry>) -> Vec<u8> {
    let mut bytes = HEADER.to_vec();
    for (
        path,
        Entry {
            facts,
            watched,
            files,
            stamps,
            is_used: _,
        },
    ) in known
    {
        for field in [path.as_os_str().as_bytes(), facts, watched, files] {
            bytes.extend_from_slice(&(field.len() as u64).to_le_bytes());
            bytes.extend_from_slice(field);
        }
        bytes.extend_from_slice(stamps);
    }
    bytes
}

fn decode(bytes: &[u8]) -> Option<BTreeMap<PathBuf, Entry>> {
    let mut rest = bytes.strip_prefix(HEADER)?;
    let mut known = BTreeMap::new();
    while !rest.is_empty() {
        let mut field = || {
            let (length, after) = rest.split_first_chunk::<8>()?;
            let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
            let (field, after) = after.split_at_checked(length)?;
            rest = after;
            Some(field.to_vec())
        };
        let (path, facts, watched, files) = (field()?, field()?, field()?, field()?);
        let (stamps, after) = rest.split_first_chunk::<32>()?;
        rest = after;
        let path = PathBuf::from(OsStr::from_bytes(&path));
        known.insert(
            path,
            Entry {
                facts,
                watched,
                files,
                stamps: *stamps,
                is_used: false,
            },
        );
    }
    Some(known)
}

#[cfg(test)]
mod tests {
    use entities::Sha256Digest;

    use super::*;

    fn examined(is_settled: bool) -> Examined {
        Examined {
            facts: Facts {
                name: "x".into(),
                version: "1".into(),
                content_digest: Sha256Digest::of(b""),
                origin: None,
                wheel_tags: Vec::new(),
                modified: Vec::new(),
            },
            watched: ["", "x-1.dist-info/RECORD"].iter().collect(),
            files: [OsStr::new("x/a b\nc.py"), OsStr::from_bytes(b"x/\xff")]
                .iter()
                .collect(),
            stamps: [7; 32],
            is_settled,
        }
    }

    #[test]
    fn what_was_noted_is_found_again_with_any_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("distributions");
        let mut inventory = Inventory::open(path.clone());
        inventory.note(Path::new("/s/x-1.dist-info"), &examined(true));
        inventory.note(Path::new("/s/young"), &examined(false));
        inventory.save().unwrap();
        let mut again = Inventory::open(path.clone());
        let found = again.find(Path::new("/s/x-1.dist-info")).unwrap();
        assert_eq!(found.facts, examined(true).facts);
        assert_eq!(
            (found.watched, found.files),
            (examined(true).watched, examined(true).files)
        );
        assert!(again.find(Path::new("/s/young")).is_none());

        let whole = std::fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by(7) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x20;
            std::fs::write(&path, damaged).unwrap();
            assert!(Inventory::open(path.clone()).known.is_empty(), "byte {at}");
        }
    }

    #[test]
    fn lengths_beyond_the_end_are_survived() {
        let mut bytes = HEADER.to_vec();
        bytes.extend_from_slice(&u64::MAX.to_le_bytes());
        assert!(decode(&bytes).is_none());
        assert!(decode(b"").is_none());
        assert!(decode(HEADER).unwrap().is_empty());
    }
}
