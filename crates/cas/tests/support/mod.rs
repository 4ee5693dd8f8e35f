//! What the tests of this room share.
#![allow(dead_code, reason = "each test file uses a part")]

use std::fs;
use std::path::{Path, PathBuf};

use cas::{Batch, Cas, CasError, CasOptions};
use entities::ObjectId;

/// A store in a folder that goes away with it.
pub struct Store {
    pub folder: tempfile::TempDir,
    pub cas: Cas,
}

impl Store {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cas = open(folder.path());
        Self { folder, cas }
    }

    /// The same store as another process would see it.
    pub fn reopened(&self) -> Cas {
        open(self.folder.path())
    }

    pub fn packs(&self) -> Vec<PathBuf> {
        files_below(&self.folder.path().join("objects/packs"))
    }

    pub fn temporary(&self) -> Vec<PathBuf> {
        files_below(&self.folder.path().join("tmp"))
    }

    /// Stores one content in a batch of its own.
    pub fn put(&self, content: &[u8]) -> ObjectId {
        let batch = self.cas.batch();
        let object = batch.put(content).unwrap();
        batch.commit().unwrap();
        object
    }

    pub fn put_all<'a>(&self, contents: impl IntoIterator<Item = &'a [u8]>) -> Vec<ObjectId> {
        let batch = self.cas.batch();
        let objects = contents.into_iter().map(|content| batch.put(content).unwrap()).collect();
        batch.commit().unwrap();
        objects
    }

    /// Bytes of all packs together.
    pub fn stored_bytes(&self) -> u64 {
        self.packs().iter().map(|pack| pack.metadata().unwrap().len()).sum()
    }

    pub fn assert_verifies(&self) {
        assert_eq!(faults_of(&self.cas), Vec::<String>::new());
    }
}

pub fn open(folder: &Path) -> Cas {
    open_with(folder, CasOptions::default())
}

pub fn open_with(folder: &Path, options: CasOptions) -> Cas {
    Cas::open(&folder.join("objects"), &folder.join("tmp"), options).unwrap()
}

pub fn faults_of(cas: &Cas) -> Vec<String> {
    let mut faults = Vec::new();
    if let Err(error) = cas.verify(&mut |fault| faults.push(fault.to_string())) {
        faults.push(error.to_string());
    }
    faults
}

/// Bytes that do not compress, the same for a seed each time.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

/// Lines that compress well, and no two of which are the same.
pub fn text(seed: u64, length: usize) -> Vec<u8> {
    let lines = (0_u64..).flat_map(|line| format!("{seed},{line},a value of some kind\n").into_bytes());
    lines.take(length).collect()
}

/// All files below a folder, in the order of their paths.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
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

pub fn put_reader(batch: &Batch, content: &[u8]) -> Result<ObjectId, CasError> {
    Ok(batch.put_reader(&mut &*content)?.object)
}
