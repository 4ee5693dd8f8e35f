//! Files that earlier runs made, known by what `stat` says of them.

use std::collections::BTreeSet;
use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::digests::{KEY_BYTES, Stamp, without_checksum, write_with_checksum};

/// Remembers the files that runs wrote, for as long as nobody changes them afterwards.
///
/// An output that git does not ignore would otherwise count as code of every later run: it is no code until somebody
/// edits it, adds it to git, or copies it.
/// A file that is gone from this list counts as code again, which keeps more and loses nothing.
///
/// *Cost*: reading a file of 40 bytes a record when it is opened, a look-up for each untracked file.
#[derive(Debug, Default)]
pub struct MadeFiles {
    path: PathBuf,
    known: BTreeSet<[u8; KEY_BYTES]>,
}

/// First bytes of the file; the number is the format's version.
const HEADER: &[u8] = b"reproof made files 1\n";

/// Past this many records those of the longest unchanged files are dropped: 262,144 records are 10 MB.
const RECORDS_MAX: usize = 262_144;

impl MadeFiles {
    /// Reads the list; one that is missing or damaged is empty.
    pub fn open(path: PathBuf) -> Self {
        let known = read(&path).unwrap_or_default();
        Self { path, known }
    }

    /// Whether a run left this regular file as it is now.
    pub fn contains(&self, metadata: &Metadata) -> bool {
        metadata.is_file()
            && !self.known.is_empty()
            && self.known.contains(&Stamp::of(metadata).key())
    }

    /// Adds files that a run has made, in one step and without losing what other runs add at the same time.
    pub fn add(&self, files: &[Metadata]) -> io::Result<()> {
        let fresh: Vec<_> = files.iter().filter(|file| file.is_file()).collect();
        if fresh.is_empty() {
            return Ok(());
        }
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let lock = File::create(self.path.with_extension("lock"))?;
        flock(&lock, FlockOperation::LockExclusive)?;
        let mut known = read(&self.path).unwrap_or_default();
        known.extend(fresh.into_iter().map(|file| Stamp::of(file).key()));
        write_with_checksum(&self.path, encode(known))
    }
}

fn read(path: &Path) -> Option<BTreeSet<[u8; KEY_BYTES]>> {
    let bytes = without_checksum(std::fs::read(path).ok()?)?;
    let (records, rest) = bytes.strip_prefix(HEADER)?.as_chunks::<KEY_BYTES>();
    rest.is_empty().then(|| records.iter().copied().collect())
}

fn encode(known: BTreeSet<[u8; KEY_BYTES]>) -> Vec<u8> {
    let mut records: Vec<_> = known.into_iter().collect();
    if records.len() > RECORDS_MAX {
        // The time of the last change stands at the end of a key.
        records.sort_by(|one, other| other[KEY_BYTES - 8..].cmp(&one[KEY_BYTES - 8..]));
        records.truncate(RECORDS_MAX);
    }
    let mut bytes = HEADER.to_vec();
    bytes.extend(records.iter().flatten());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_until_it_is_changed_and_whoever_adds_one_loses_none() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let metadata = |name: &str| at(name).symlink_metadata().unwrap();
        for name in ["a", "b"] {
            std::fs::write(at(name), name).unwrap();
        }
        let (one, other) = (
            MadeFiles::open(at("cache/made")),
            MadeFiles::open(at("cache/made")),
        );
        one.add(&[metadata("a")]).unwrap();
        other.add(&[metadata("b")]).unwrap();
        let both = MadeFiles::open(at("cache/made"));
        assert!(both.contains(&metadata("a")) && both.contains(&metadata("b")));
        std::fs::write(at("a"), "edited").unwrap();
        assert!(!both.contains(&metadata("a")));
        assert!(!both.contains(&folder.path().metadata().unwrap()));
    }

    #[test]
    fn a_damaged_list_is_an_empty_one_whatever_byte_was_changed() {
        let folder = tempfile::tempdir().unwrap();
        let (file, list) = (folder.path().join("a"), folder.path().join("made"));
        std::fs::write(&file, "a").unwrap();
        let metadata = file.metadata().unwrap();
        MadeFiles::open(list.clone())
            .add(std::slice::from_ref(&metadata))
            .unwrap();
        let whole = std::fs::read(&list).unwrap();
        for index in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[index] ^= 1;
            std::fs::write(&list, damaged).unwrap();
            assert!(
                !MadeFiles::open(list.clone()).contains(&metadata),
                "byte {index}"
            );
        }
        std::fs::write(&list, &whole[..20]).unwrap();
        assert!(!MadeFiles::open(list.clone()).contains(&metadata));
    }

    #[test]
    fn of_too_many_those_that_changed_last_stay() {
        let key = |changed_ns: u64| {
            let mut key = [0; KEY_BYTES];
            key[KEY_BYTES - 8..].copy_from_slice(&changed_ns.to_be_bytes());
            key
        };
        let bytes = encode((0..=RECORDS_MAX as u64).map(key).collect());
        assert_eq!(bytes.len(), HEADER.len() + RECORDS_MAX * KEY_BYTES);
        let (records, _) = bytes[HEADER.len()..].as_chunks::<KEY_BYTES>();
        assert!(records.contains(&key(RECORDS_MAX as u64)) && !records.contains(&key(0)));
    }
}
