//! Reading hashes and entries out of a ledger's tiles.

use std::collections::BTreeMap;

use crate::merkle::split_hashes;
use crate::{
    Entries, Frontier, HASH_SIZE_BYTES, HashReader, LedgerError, Node, TILE_HEIGHT, TILE_WIDTH,
    TilePath, TileRow, TileStorage, TreeHash, root_of,
};

/// Reads the hashes of a tree of a given size from its tiles, each tile once.
///
/// What is read is not checked against a root; whoever makes a proof of it verifies the proof.
pub struct TileHashes<'a, S: TileStorage + ?Sized> {
    storage: &'a S,
    size: u64,
    tiles: BTreeMap<TilePath, Vec<TreeHash>>,
}

impl<'a, S: TileStorage + ?Sized> TileHashes<'a, S> {
    /// Reads as of a size that the stored tree has reached.
    pub fn new(storage: &'a S, size: u64) -> Self {
        Self {
            storage,
            size,
            tiles: BTreeMap::new(),
        }
    }
}

impl<S: TileStorage + ?Sized> HashReader for TileHashes<'_, S> {
    fn read_hash(&mut self, node: Node) -> Result<TreeHash, LedgerError> {
        let outside = LedgerError::NodeOutside { node };
        let within = u32::from(node.level) % TILE_HEIGHT;
        let row = TileRow::Hashes(node.level / TILE_HEIGHT as u8);
        let count = 1_u64 << within;
        let Some(first) = node.index.checked_mul(count) else {
            return Err(outside);
        };
        let tile = TilePath::in_tree(row, first / TILE_WIDTH as u64, self.size);
        let start = (first % TILE_WIDTH as u64) as usize;
        let range = start..start + count as usize;
        let Some(tile) = tile.filter(|tile| usize::from(tile.width) >= range.end) else {
            return Err(outside);
        };
        if !self.tiles.contains_key(&tile) {
            let hashes = read_hash_tile(self.storage, tile, self.size)?;
            self.tiles.insert(tile, hashes);
        }
        Ok(root_of(&self.tiles[&tile][range]))
    }
}

/// Reads the frontier of a tree of `size` entries.
///
/// *Cost*: one tile for each of the at most eight rows.
pub fn load_frontier<S: TileStorage + ?Sized>(
    storage: &S,
    size: u64,
) -> Result<Frontier, LedgerError> {
    Ok(frontier_of(size, &read_right_tiles(storage, size)?))
}

/// Reads one entry of a tree of `size` entries.
pub fn read_entry<S: TileStorage + ?Sized>(
    storage: &S,
    index: u64,
    size: u64,
) -> Result<Vec<u8>, LedgerError> {
    let width = TILE_WIDTH as u64;
    let path = TilePath::in_tree(TileRow::Entries, index / width, size)
        .filter(|_| index < size)
        .ok_or(LedgerError::IndexOutside { index, size })?;
    let bundle = read_bundle(storage, path, size)?;
    let mut entries = Entries::new(&bundle);
    match entries.nth((index % width) as usize) {
        Some(Ok((_, entry))) => Ok(entry.to_vec()),
        _ => Err(LedgerError::TileMalformed {
            path: path.to_string(),
            byte: bundle.len() as u64,
            reason: "it ends too early",
        }),
    }
}

/// Reads the partial hash tile at the right edge of each row, from the leaves upwards.
pub(crate) fn read_right_tiles<S: TileStorage + ?Sized>(
    storage: &S,
    size: u64,
) -> Result<Vec<Vec<TreeHash>>, LedgerError> {
    let mut rows = Vec::new();
    for level in 0.. {
        let row = TileRow::Hashes(level);
        let length = row.length(size);
        if length == 0 {
            break;
        }
        rows.push(
            match TilePath::in_tree(row, length / TILE_WIDTH as u64, size) {
                Some(tile) => read_hash_tile(storage, tile, size)?,
                None => Vec::new(),
            },
        );
    }
    Ok(rows)
}

/// Puts a frontier together from the partial tiles at the right edge.
pub(crate) fn frontier_of(size: u64, right_tiles: &[Vec<TreeHash>]) -> Frontier {
    let mut hashes = Vec::new();
    for tile in right_tiles.iter().rev() {
        let mut first = 0;
        for bit in (0..TILE_HEIGHT).rev() {
            let count = 1 << bit;
            if tile.len() & count != 0 {
                hashes.push(root_of(&tile[first..first + count]));
                first += count;
            }
        }
    }
    Frontier::from_parts(size, hashes)
        .expect("the widths of the right tiles are the digits of the size to base 256")
}

/// Reads the first entries of a bundle as it stood in a tree of `size` entries: exactly as many as `path` is wide.
pub(crate) fn read_bundle<S: TileStorage + ?Sized>(
    storage: &S,
    path: TilePath,
    size: u64,
) -> Result<Vec<u8>, LedgerError> {
    let (found, mut bundle) = read_tile(storage, path, size)?;
    let mut end = 0;
    for entry in Entries::new(&bundle).take(path.width.into()) {
        let (byte, entry) = entry.map_err(|cut| LedgerError::TileMalformed {
            path: found.to_string(),
            byte: cut.byte,
            reason: "it ends within an entry",
        })?;
        end = byte as usize + 2 + entry.len();
    }
    bundle.truncate(end);
    Ok(bundle)
}

fn read_hash_tile<S: TileStorage + ?Sized>(
    storage: &S,
    path: TilePath,
    size: u64,
) -> Result<Vec<TreeHash>, LedgerError> {
    let (found, bytes) = read_tile(storage, path, size)?;
    if bytes.len() != usize::from(found.width) * HASH_SIZE_BYTES {
        return Err(LedgerError::TileMalformed {
            path: found.to_string(),
            byte: bytes.len() as u64,
            reason: "its length is not that of its hashes",
        });
    }
    Ok(split_hashes(&bytes).take(path.width.into()).collect())
}

/// Reads a tile, or the full one that has taken the place of a partial one.
fn read_tile<S: TileStorage + ?Sized>(
    storage: &S,
    path: TilePath,
    size: u64,
) -> Result<(TilePath, Vec<u8>), LedgerError> {
    if let Some(bytes) = storage.read(&path.to_string())? {
        return Ok((path, bytes));
    }
    let full = path.full();
    match storage.read(&full.to_string())? {
        Some(bytes) => Ok((full, bytes)),
        None => Err(LedgerError::TileMissing {
            path: path.to_string(),
            size,
        }),
    }
}
