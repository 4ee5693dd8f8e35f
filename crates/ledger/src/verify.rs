//! Verification of a whole stored ledger, in one pass from the entries up.

use std::collections::BTreeMap;

use crate::{
    CHECKPOINT_PATH, Checkpoint, Entries, Fault, Frontier, HASH_SIZE_BYTES, LedgerError,
    TILE_HEIGHT, TILE_WIDTH, TilePath, TileRow, TileStorage, TreeHash, VerifierKey, leaf_hash,
};

/// Verifies everything that a ledger stores: the checkpoint's signature, every entry, every hash of every tile, the root,
/// and that nothing else lies there.
///
/// `on_entry` sees each entry with its index, in order, before its tile is compared; it may refuse it with a fault of its own.
///
/// Stored entries are the truth that is hashed; the checkpoint's signature is what makes them believable.
/// A ledger that was rolled back to an earlier state of itself verifies: only a checkpoint kept elsewhere tells.
///
/// *Errors*: `LedgerError::Fault` with the first fault; others if the storage fails.
/// *Cost*: two hashes an entry; memory for one bundle and the right edge.
pub fn verify<S: TileStorage + ?Sized>(
    storage: &S,
    keys: &[VerifierKey],
    mut on_entry: impl FnMut(u64, &[u8]) -> Result<(), Fault>,
) -> Result<Checkpoint, LedgerError> {
    let signed = read_present(storage, CHECKPOINT_PATH)?.ok_or(Fault::CheckpointMissing)?;
    let checkpoint =
        Checkpoint::open(&signed, keys).map_err(|source| Fault::CheckpointRefused { source })?;
    let head = checkpoint.head;
    let mut pass = Pass {
        storage,
        size: head.size,
        frontier: Frontier::default(),
        rows: Vec::new(),
    };
    for index in 0..head.size.div_ceil(TILE_WIDTH as u64) {
        pass.verify_bundle(index, &mut on_entry)?;
    }
    let found = pass.frontier.root();
    if found != head.root {
        return Err(Fault::RootDiffers {
            size: head.size,
            expected: head.root,
            found,
        }
        .into());
    }
    verify_other_files(storage, head.size)?;
    Ok(checkpoint)
}

/// Verifies a ledger as `verify` does, and that its entries are exactly the expected ones.
///
/// `expected` may fail on its own, as reading it from a database may.
pub fn verify_against<S, I, B, E>(
    storage: &S,
    keys: &[VerifierKey],
    expected: I,
) -> Result<Checkpoint, E>
where
    S: TileStorage + ?Sized,
    I: IntoIterator<Item = Result<B, E>>,
    B: AsRef<[u8]>,
    E: From<LedgerError>,
{
    let mut expected = expected.into_iter();
    let mut failure = None;
    let verdict = verify(storage, keys, |index, entry| match expected.next() {
        Some(Ok(wanted)) => match first_difference(entry, wanted.as_ref()) {
            Some(byte) => Err(Fault::EntryDiffers { index, byte }),
            None => Ok(()),
        },
        Some(Err(error)) => {
            failure = Some(error);
            // Ends the pass; the failure itself is what the caller gets.
            Err(Fault::EntryDiffers { index, byte: 0 })
        }
        None => Err(Fault::CountDiffers {
            expected: index,
            found: index + 1,
        }),
    });
    if let Some(error) = failure {
        return Err(error);
    }
    let checkpoint = verdict?;
    match expected.next() {
        None => Ok(checkpoint),
        Some(Err(error)) => Err(error),
        Some(Ok(_)) => Err(E::from(LedgerError::from(Fault::CountDiffers {
            expected: checkpoint.head.size + 1,
            found: checkpoint.head.size,
        }))),
    }
}

/// The state of one pass over the entries.
struct Pass<'a, S: ?Sized> {
    storage: &'a S,
    size: u64,
    frontier: Frontier,
    /// The hashes of the tile now being computed in each row above the leaves.
    rows: Vec<Vec<TreeHash>>,
}

impl<S: TileStorage + ?Sized> Pass<'_, S> {
    fn verify_bundle(
        &mut self,
        bundle_index: u64,
        on_entry: &mut impl FnMut(u64, &[u8]) -> Result<(), Fault>,
    ) -> Result<(), LedgerError> {
        let path = self.tile(TileRow::Entries, bundle_index);
        let bundle = read_file(self.storage, path)?;
        let mut entries = Entries::new(&bundle);
        let mut places = Vec::with_capacity(path.width.into());
        let mut hashes = Vec::with_capacity(path.width.into());
        let mut end = 0;
        for _ in 0..path.width {
            let index = bundle_index * TILE_WIDTH as u64 + places.len() as u64;
            let Some(Ok((byte, entry))) = entries.next() else {
                return Err(Fault::BundleCut {
                    path: path.to_string(),
                    index,
                    byte: end,
                }
                .into());
            };
            on_entry(index, entry)?;
            places.push(byte);
            hashes.push(leaf_hash(entry));
            end = byte + 2 + entry.len() as u64;
        }
        if end != bundle.len() as u64 {
            return Err(Fault::FileTooLong {
                path: path.to_string(),
                byte: end,
            }
            .into());
        }
        self.verify_leaf_tile(path, &places, &hashes)?;
        self.push_leaves(&hashes)
    }

    fn verify_leaf_tile(
        &self,
        bundle: TilePath,
        places: &[u64],
        hashes: &[TreeHash],
    ) -> Result<(), LedgerError> {
        let tile = TilePath {
            row: TileRow::Hashes(0),
            ..bundle
        };
        let Some(at) = find_wrong_hash(self.storage, tile, hashes)? else {
            return Ok(());
        };
        Err(Fault::EntryHashDiffers {
            index: bundle.index * TILE_WIDTH as u64 + at as u64,
            bundle_path: bundle.to_string(),
            bundle_byte: places[at],
            tile_path: tile.to_string(),
            tile_byte: (at * HASH_SIZE_BYTES) as u64,
        }
        .into())
    }

    /// Hashes upwards, and compares each upper tile as soon as its last hash is known.
    fn push_leaves(&mut self, hashes: &[TreeHash]) -> Result<(), LedgerError> {
        let rows = &mut self.rows;
        for &hash in hashes {
            self.frontier.push_with(hash, |node, hash| {
                let (row, within) = (
                    u32::from(node.level) / TILE_HEIGHT,
                    u32::from(node.level) % TILE_HEIGHT,
                );
                if row == 0 || within != 0 {
                    return;
                }
                let row = row as usize - 1;
                if rows.len() == row {
                    rows.push(Vec::new());
                }
                rows[row].push(hash);
            });
        }
        let done = self.frontier.size() == self.size;
        for row in 0..self.rows.len() {
            let full = self.rows[row].len() == TILE_WIDTH;
            if !full && (!done || self.rows[row].is_empty()) {
                continue;
            }
            let hashes = std::mem::take(&mut self.rows[row]);
            let row = TileRow::Hashes(row as u8 + 1);
            let last = row.length(self.frontier.size()) - 1;
            let tile = self.tile(row, last / TILE_WIDTH as u64);
            if let Some(at) = find_wrong_hash(self.storage, tile, &hashes)? {
                return Err(Fault::NodeHashDiffers {
                    path: tile.to_string(),
                    byte: (at * HASH_SIZE_BYTES) as u64,
                }
                .into());
            }
        }
        Ok(())
    }

    fn tile(&self, row: TileRow, index: u64) -> TilePath {
        TilePath::in_tree(row, index, self.size).expect("the pass stays within the tree")
    }
}

/// Gives the number of the first hash of a tile that is not the computed one.
fn find_wrong_hash<S: TileStorage + ?Sized>(
    storage: &S,
    tile: TilePath,
    hashes: &[TreeHash],
) -> Result<Option<usize>, LedgerError> {
    let bytes = read_file(storage, tile)?;
    let mut stored = bytes.chunks_exact(HASH_SIZE_BYTES);
    for (at, hash) in hashes.iter().enumerate() {
        match stored.next() {
            Some(chunk) if chunk == hash.as_bytes() => {}
            Some(_) => return Ok(Some(at)),
            None => {
                return Err(Fault::TileCut {
                    path: tile.to_string(),
                    byte: bytes.len() as u64,
                    expected_size_bytes: (hashes.len() * HASH_SIZE_BYTES) as u64,
                }
                .into());
            }
        }
    }
    if bytes.len() > hashes.len() * HASH_SIZE_BYTES {
        return Err(Fault::FileTooLong {
            path: tile.to_string(),
            byte: (hashes.len() * HASH_SIZE_BYTES) as u64,
        }
        .into());
    }
    Ok(None)
}

/// Accounts for every file that the pass did not read.
fn verify_other_files<S: TileStorage + ?Sized>(storage: &S, size: u64) -> Result<(), LedgerError> {
    let mut present = BTreeMap::new();
    for path in storage.list()? {
        if path == CHECKPOINT_PATH {
            continue;
        }
        let unexpected = || Fault::FileUnexpected {
            path: path.clone(),
            size,
        };
        let tile: TilePath = path.parse().map_err(|_| unexpected())?;
        let now = TilePath::in_tree(tile.row, tile.index, size)
            .filter(|now| now.width >= tile.width)
            .ok_or_else(unexpected)?;
        if now == tile {
            continue;
        }
        // A partial tile of an earlier size, which other tools may still ask for.
        let whole = match present.get(&now) {
            Some(bytes) => bytes,
            None => present.entry(now).or_insert(read_file(storage, now)?),
        };
        verify_old_partial(storage, tile, whole)?;
    }
    Ok(())
}

fn verify_old_partial<S: TileStorage + ?Sized>(
    storage: &S,
    old: TilePath,
    whole: &[u8],
) -> Result<(), LedgerError> {
    let bytes = read_file(storage, old)?;
    let expected = match old.row {
        TileRow::Hashes(_) => &whole[..usize::from(old.width) * HASH_SIZE_BYTES],
        TileRow::Entries => {
            let next = Entries::new(whole).flatten().nth(old.width.into());
            &whole[..next.map_or(whole.len(), |(byte, _)| byte as usize)]
        }
    };
    match first_difference(&bytes, expected) {
        Some(byte) => Err(Fault::OldPartialDiffers {
            path: old.to_string(),
            byte,
        }
        .into()),
        None => Ok(()),
    }
}

fn read_file<S: TileStorage + ?Sized>(storage: &S, tile: TilePath) -> Result<Vec<u8>, LedgerError> {
    let path = tile.to_string();
    match read_present(storage, &path)? {
        Some(bytes) => Ok(bytes),
        None => Err(Fault::FileMissing { path }.into()),
    }
}

/// Reads a file; a folder, a link or a giant in its place is a fault of the ledger, not of the storage.
fn read_present<S: TileStorage + ?Sized>(
    storage: &S,
    path: &str,
) -> Result<Option<Vec<u8>>, LedgerError> {
    match storage.read(path) {
        Err(LedgerError::FileRefused { path, reason }) => {
            Err(Fault::FileRefused { path, reason }.into())
        }
        other => other,
    }
}

fn first_difference(left: &[u8], right: &[u8]) -> Option<u64> {
    if left == right {
        return None;
    }
    let same = left.iter().zip(right).take_while(|(l, r)| l == r).count();
    Some(same as u64)
}
