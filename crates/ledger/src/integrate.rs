//! Appending entries to a stored tree and publishing its new head.

use crate::merkle::split_hashes;
use crate::tile::{frontier_of, read_bundle, read_right_tiles};
use crate::{
    CHECKPOINT_PATH, Checkpoint, Frontier, HASH_SIZE_BYTES, LedgerError, SigningKey, TILE_HEIGHT,
    TILE_WIDTH, TilePath, TileRow, TileStorage, TreeHash, TreeHead, leaf_hash, push_entry,
};

/// Appends to one ledger: knows its right edge, writes tiles and bundles, signs the result.
///
/// After a crash, load it again at the last checkpoint and append the same entries: the same files come out.
#[derive(Clone, Debug, Default)]
pub struct Integrator {
    frontier: Frontier,
    /// The partial tile at the right edge of each row of hashes.
    right_tiles: Vec<Vec<TreeHash>>,
    /// The partial bundle at the right edge.
    bundle: Vec<u8>,
    /// Full tiles whose partial forms are no longer needed once a checkpoint covers them.
    filled: Vec<TilePath>,
}

impl Integrator {
    /// Starts an empty ledger.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes up a ledger at a head that was signed before.
    ///
    /// *Errors*: a tile missing or damaged; tiles that give another root than `head` has.
    /// *Cost*: O(log size) tiles and one bundle.
    pub fn load<S: TileStorage + ?Sized>(storage: &S, head: TreeHead) -> Result<Self, LedgerError> {
        let size = head.size;
        let right_tiles = read_right_tiles(storage, size)?;
        let frontier = frontier_of(size, &right_tiles);
        if frontier.head() != head {
            return Err(LedgerError::RootDiffers {
                size,
                expected: head.root,
                found: frontier.root(),
            });
        }
        let row = TileRow::Entries;
        let bundle = match TilePath::in_tree(row, size / TILE_WIDTH as u64, size) {
            Some(path) => {
                let bundle = read_bundle(storage, path, size)?;
                check_bundle(path, &bundle, &right_tiles[0])?;
                bundle
            }
            None => Vec::new(),
        };
        Ok(Self {
            frontier,
            right_tiles,
            bundle,
            filled: last_full_tiles(size),
        })
    }

    /// The size and root of all that was appended.
    pub fn head(&self) -> TreeHead {
        self.frontier.head()
    }

    /// Appends entries, writes every tile and bundle that this fills or changes, and flushes them.
    ///
    /// Nothing refers to them until `publish`.
    /// On an error this value is as it was, and the call may be repeated.
    ///
    /// *Cost*: O(new entries), besides rewriting the partial tile of each row.
    pub fn append<S: TileStorage + ?Sized, E: AsRef<[u8]>>(
        &mut self,
        storage: &S,
        entries: &[E],
    ) -> Result<TreeHead, LedgerError> {
        if entries.is_empty() {
            return Ok(self.head());
        }
        let mut next = self.clone();
        for entry in entries {
            next.append_one(storage, entry.as_ref())?;
        }
        next.write_partials(storage, self.frontier.size())?;
        storage.sync()?;
        *self = next;
        Ok(self.head())
    }

    /// Signs the head, puts the checkpoint in place and removes partial tiles that have become full.
    ///
    /// Gives back the signed checkpoint.
    pub fn publish<S: TileStorage + ?Sized>(
        &mut self,
        storage: &S,
        keys: &[&SigningKey],
    ) -> Result<Vec<u8>, LedgerError> {
        let signed = Checkpoint::sign(self.head(), keys)?;
        storage.write(CHECKPOINT_PATH, &signed)?;
        storage.sync()?;
        for tile in self.filled.drain(..) {
            storage.remove_partials(&tile.to_string())?;
        }
        Ok(signed)
    }

    fn append_one<S: TileStorage + ?Sized>(
        &mut self,
        storage: &S,
        entry: &[u8],
    ) -> Result<(), LedgerError> {
        let index = self.frontier.size();
        push_entry(&mut self.bundle, entry)?;
        let right_tiles = &mut self.right_tiles;
        let mut grown = 0;
        self.frontier.push_with(leaf_hash(entry), |node, hash| {
            if u32::from(node.level) % TILE_HEIGHT == 0 {
                if right_tiles.len() == grown {
                    right_tiles.push(Vec::new());
                }
                right_tiles[grown].push(hash);
                grown += 1;
            }
        });
        if !(index + 1).is_multiple_of(TILE_WIDTH as u64) {
            return Ok(());
        }
        let bundle = std::mem::take(&mut self.bundle);
        self.write_full(storage, TileRow::Entries, index, &bundle)?;
        for level in 0..grown {
            let last = TileRow::Hashes(level as u8).length(index + 1) - 1;
            if self.right_tiles[level].len() == TILE_WIDTH {
                let hashes = std::mem::take(&mut self.right_tiles[level]);
                let bytes = join_hashes(&hashes);
                self.write_full(storage, TileRow::Hashes(level as u8), last, &bytes)?;
            }
        }
        Ok(())
    }

    /// Writes the full tile that holds the hash or entry number `last` of a row.
    fn write_full<S: TileStorage + ?Sized>(
        &mut self,
        storage: &S,
        row: TileRow,
        last: u64,
        bytes: &[u8],
    ) -> Result<(), LedgerError> {
        let tile = TilePath {
            row,
            index: last / TILE_WIDTH as u64,
            width: TILE_WIDTH as u16,
        };
        self.filled.push(tile);
        storage.write(&tile.to_string(), bytes)
    }

    /// Writes the partial tiles and the partial bundle that are not the same as in a tree of `old_size`.
    fn write_partials<S: TileStorage + ?Sized>(
        &self,
        storage: &S,
        old_size: u64,
    ) -> Result<(), LedgerError> {
        let size = self.frontier.size();
        let rows = (0..self.right_tiles.len()).map(|level| TileRow::Hashes(level as u8));
        for row in rows.chain([TileRow::Entries]) {
            let length = row.length(size);
            if length == row.length(old_size) {
                continue;
            }
            let Some(tile) = TilePath::in_tree(row, length / TILE_WIDTH as u64, size) else {
                continue;
            };
            match row {
                TileRow::Entries => storage.write(&tile.to_string(), &self.bundle)?,
                TileRow::Hashes(level) => {
                    let bytes = join_hashes(&self.right_tiles[usize::from(level)]);
                    storage.write(&tile.to_string(), &bytes)?;
                }
            }
        }
        Ok(())
    }
}

/// Makes sure that a bundle that is about to be extended is the one whose hashes were signed.
fn check_bundle(path: TilePath, bundle: &[u8], hashes: &[TreeHash]) -> Result<(), LedgerError> {
    let mut byte = 0;
    let mut expected = hashes.iter();
    for entry in crate::Entries::new(bundle).flatten() {
        byte = entry.0;
        if expected.next() != Some(&leaf_hash(entry.1)) {
            return Err(LedgerError::TileMalformed {
                path: path.to_string(),
                byte,
                reason: "the entry there is not the one that was signed",
            });
        }
    }
    if expected.next().is_some() {
        return Err(LedgerError::TileMalformed {
            path: path.to_string(),
            byte,
            reason: "it ends too early",
        });
    }
    Ok(())
}

/// The last full tile of each row: a crash may have left partial forms of these.
fn last_full_tiles(size: u64) -> Vec<TilePath> {
    let levels = (0..8).map(TileRow::Hashes);
    levels
        .chain([TileRow::Entries])
        .filter_map(|row| {
            let index = (row.length(size) / TILE_WIDTH as u64).checked_sub(1)?;
            TilePath::in_tree(row, index, size)
        })
        .collect()
}

fn join_hashes(hashes: &[TreeHash]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(hashes.len() * HASH_SIZE_BYTES);
    for hash in hashes {
        bytes.extend_from_slice(hash.as_bytes());
    }
    debug_assert!(split_hashes(&bytes).eq(hashes.iter().copied()));
    bytes
}
