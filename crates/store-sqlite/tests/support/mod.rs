//! What the tests of this room share.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use entities::Random;
use store_sqlite::{OpenOptions, Sqlite, SqliteStore};

/// A generator whose numbers follow from a seed: splitmix64.
pub(crate) struct SeededRandom(AtomicU64);

impl SeededRandom {
    pub(crate) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Random for SeededRandom {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let state = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let bytes = (mixed ^ (mixed >> 31)).to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}

pub(crate) fn options(create: bool) -> OpenOptions {
    OpenOptions {
        random: Arc::new(SeededRandom::new(7)),
        create,
    }
}

pub(crate) fn open(path: &Path) -> SqliteStore {
    Sqlite::open(path, options(true)).expect("a test can open its store")
}
