//! What the tests of this room share.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use cas::{Cas, CasOptions};
use entities::ObjectId;

/// Ends a thread that goes on until told, also when the test fails and would wait for it.
pub(crate) struct AtEnd<'a>(pub(crate) &'a AtomicBool);

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A store in a folder that goes away with it.
pub(crate) struct Store {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) cas: Cas,
}

impl Store {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cas = open(folder.path());
        Self { folder, cas }
    }

    /// The same store as another process would see it.
    pub(crate) fn reopened(&self) -> Cas {
        open(self.folder.path())
    }

    pub(crate) fn packs(&self) -> Vec<PathBuf> {
        files_below(&self.folder.path().join("objects/packs"))
    }

    pub(crate) fn temporary(&self) -> Vec<PathBuf> {
        files_below(&self.folder.path().join("tmp"))
    }

    /// Stores one content in a batch of its own.
    pub(crate) fn put(&self, content: &[u8]) -> ObjectId {
        let batch = self.cas.batch();
        let object = batch.put(content).unwrap();
        batch.commit().unwrap();
        object
    }

    pub(crate) fn put_all<'a>(
        &self,
        contents: impl IntoIterator<Item = &'a [u8]>,
    ) -> Vec<ObjectId> {
        let batch = self.cas.batch();
        let objects = contents
            .into_iter()
            .map(|content| batch.put(content).unwrap())
            .collect();
        batch.commit().unwrap();
        objects
    }

    /// Bytes of all packs together.
    pub(crate) fn stored_bytes(&self) -> u64 {
        self.packs()
            .iter()
            .map(|pack| pack.metadata().unwrap().len())
            .sum()
    }

    pub(crate) fn assert_verifies(&self) {
        assert_eq!(faults_of(&self.cas), Vec::<String>::new());
    }
}

pub(crate) fn open(folder: &Path) -> Cas {
    open_with(folder, CasOptions::default())
}

pub(crate) fn open_with(folder: &Path, options: CasOptions) -> Cas {
    Cas::open(&folder.join("objects"), &folder.join("tmp"), options).unwrap()
}

pub(crate) fn faults_of(cas: &Cas) -> Vec<String> {
    let mut faults = Vec::new();
    if let Err(error) = cas.verify(&mut |fault| faults.push(fault.to_string())) {
        faults.push(error.to_string());
    }
    faults
}

/// Bytes that do not compress, the same for a seed each time.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

/// Lines that compress well, and no two of which are the same.
pub(crate) fn text(seed: u64, length: usize) -> Vec<u8> {
    let lines =
        (0_u64..).flat_map(|line| format!("{seed},{line},a value of some kind\n").into_bytes());
    lines.take(length).collect()
}

/// All files below a folder, in the order of their paths.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            files.extend(files_below(&entry.path()));
        } else {
            files.push(entry.path());
        }
    }
    files.sort();
    files
}
