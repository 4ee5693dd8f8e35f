//! The ledger's files as they were when the record was.

use std::path::Path;
use std::time::Duration;

use ledger::{
    CHECKPOINT_PATH, Checkpoint, DirectoryTiles, TilePath, TileRow, TileStorage, VerifierKey,
};

use crate::error::CommandError;
use crate::faults::tracking_fault;

/// The ledger as one checkpoint has it.
pub(crate) struct LedgerFiles {
    /// How many events the checkpoint covers.
    pub(crate) size: u64,
    /// The checkpoint, and tiles that are replaced when they are full, with their bytes.
    pub(crate) replaced: Vec<(String, Vec<u8>)>,
    /// Tiles that are full, and never change.
    pub(crate) full: Vec<String>,
}

/// How often it is tried to look at the record while nobody signs.
const ATTEMPTS_MAX: u32 = 200;

/// How long to wait for whoever signs.
const PAUSE: Duration = Duration::from_millis(20);

/// Reads what of the ledger's files is replaced, and opens the record in between so that the two agree.
///
/// Nobody is kept from signing. A checkpoint that is the same before and after is that of all the time between: the record
/// says of no more events that they are signed, and of no fewer that they have their place.
pub(crate) fn read_with_record<T>(
    folder: &Path,
    key: &VerifierKey,
    mut open_record: impl FnMut() -> Result<T, CommandError>,
) -> Result<(LedgerFiles, T), CommandError> {
    let tiles = DirectoryTiles::new(folder);
    let read = |path: &str| {
        tiles
            .read(path)
            .map_err(|error| tracking_fault(error.into()))
    };
    for _ in 0..ATTEMPTS_MAX {
        let checkpoint = read(CHECKPOINT_PATH)?;
        let Some(files) = read_replaced(&read, checkpoint.clone(), key)? else {
            // Tiles were replaced, so there is another checkpoint.
            std::thread::sleep(PAUSE);
            continue;
        };
        let record = open_record()?;
        if read(CHECKPOINT_PATH)? == checkpoint {
            return Ok((files, record));
        }
        drop(record);
        std::thread::sleep(PAUSE);
    }
    Err(CommandError::system(
        "E0013",
        "the ledger is signed again and again, faster than it can be read",
    )
    .hint("try again"))
}

/// The bytes of a file, where it is there.
type Found = Result<Option<Vec<u8>>, CommandError>;

/// None where a tile is not there any more.
fn read_replaced(
    read: &dyn Fn(&str) -> Found,
    checkpoint: Option<Vec<u8>>,
    key: &VerifierKey,
) -> Result<Option<LedgerFiles>, CommandError> {
    let mut files = LedgerFiles {
        size: 0,
        replaced: Vec::new(),
        full: Vec::new(),
    };
    let Some(checkpoint) = checkpoint else {
        return Ok(Some(files));
    };
    let opened = Checkpoint::open(&checkpoint, std::slice::from_ref(key));
    files.size = opened
        .map_err(|error| tracking_fault(error.into()))?
        .head
        .size;
    files
        .replaced
        .push((CHECKPOINT_PATH.to_owned(), checkpoint));
    for path in list_tiles(files.size) {
        if path.is_full() {
            files.full.push(path.to_string());
            continue;
        }
        let path = path.to_string();
        match read(&path)? {
            Some(bytes) => files.replaced.push((path, bytes)),
            None => return Ok(None),
        }
    }
    Ok(Some(files))
}

/// All tiles of a tree of some size.
fn list_tiles(size: u64) -> Vec<TilePath> {
    let rows = std::iter::once(TileRow::Entries).chain((0..8).map(TileRow::Hashes));
    let mut tiles = Vec::new();
    for row in rows {
        tiles.extend((0..).map_while(|index| TilePath::in_tree(row, index, size)));
    }
    tiles
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tiles_of_a_tree_are_those_of_its_rows() {
        let paths =
            |size| -> Vec<String> { list_tiles(size).iter().map(ToString::to_string).collect() };
        assert!(paths(0).is_empty());
        assert_eq!(paths(1), ["tile/entries/000.p/1", "tile/0/000.p/1"]);
        assert_eq!(
            paths(256),
            ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]
        );
        assert_eq!(
            paths(257),
            [
                "tile/entries/000",
                "tile/entries/001.p/1",
                "tile/0/000",
                "tile/0/001.p/1",
                "tile/1/000.p/1"
            ]
        );
    }
}
