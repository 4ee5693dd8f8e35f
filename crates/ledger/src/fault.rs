//! What is wrong with a ledger that does not verify.

use crate::{LedgerError, TreeHash};

/// The first fault of a ledger, in the order in which `verify` looks.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// There is no checkpoint.
    #[error("the ledger has no `checkpoint`")]
    CheckpointMissing,
    /// The checkpoint is malformed, or its signature is not of the log's key.
    #[error("`checkpoint` is refused")]
    CheckpointRefused {
        /// Why.
        #[source]
        source: LedgerError,
    },
    /// Something else than a file of sensible size stands in the place of one.
    #[error("`{path}` is not a file of the ledger: {reason}")]
    FileRefused {
        /// Where.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A tile or bundle is not there.
    #[error("`{path}` is missing")]
    FileMissing {
        /// Which.
        path: String,
    },
    /// A bundle ends within an entry, or before all entries are told.
    #[error("`{path}` ends too early, at entry {index} (byte {byte})")]
    BundleCut {
        /// Which bundle.
        path: String,
        /// The index of the first entry that is not whole.
        index: u64,
        /// Where in the file its length stands or should stand, from 0.
        byte: u64,
    },
    /// More stands in a file than its entries or hashes.
    #[error("`{path}` has more content than it should, from byte {byte}")]
    FileTooLong {
        /// Which file.
        path: String,
        /// Where the rest begins, from 0.
        byte: u64,
    },
    /// A hash tile ends too early.
    #[error("`{path}` ends too early, at byte {byte} of {expected_size_bytes}")]
    TileCut {
        /// Which tile.
        path: String,
        /// Its size.
        byte: u64,
        /// What its size should be.
        expected_size_bytes: u64,
    },
    /// An entry does not have the hash that its hash tile tells: one of the two was changed.
    #[error(
        "entry {index} (`{bundle_path}` byte {bundle_byte}) does not have the hash in `{tile_path}` (byte {tile_byte}): one of them was changed"
    )]
    EntryHashDiffers {
        /// The index of the entry.
        index: u64,
        /// The bundle with the entry.
        bundle_path: String,
        /// Where in the bundle the entry's length stands.
        bundle_byte: u64,
        /// The tile with the hash.
        tile_path: String,
        /// Where in the tile the hash stands.
        tile_byte: u64,
    },
    /// A hash of an upper tile is not that of the tiles below it.
    #[error("`{path}` has a wrong hash at byte {byte}")]
    NodeHashDiffers {
        /// Which tile.
        path: String,
        /// Where in the tile the hash stands.
        byte: u64,
    },
    /// Tiles and entries agree with each other, but the signed root is another.
    #[error("the {size} entries have root {found}, the signed checkpoint says {expected}")]
    RootDiffers {
        /// The size of the tree.
        size: u64,
        /// The signed root.
        expected: TreeHash,
        /// The root of what is stored.
        found: TreeHash,
    },
    /// A partial tile of an earlier size is not the beginning of the present tile.
    #[error("`{path}` is not the beginning of the tile that followed it, from byte {byte}")]
    OldPartialDiffers {
        /// Which.
        path: String,
        /// The first byte that differs.
        byte: u64,
    },
    /// A file lies beyond the end of the signed tree, or is none of a ledger.
    #[error("`{path}` does not belong to the signed tree of {size} entries")]
    FileUnexpected {
        /// Which.
        path: String,
        /// The size of the signed tree.
        size: u64,
    },
    /// An entry is not the one that the caller has.
    #[error("entry {index} differs from what was expected, from byte {byte}")]
    EntryDiffers {
        /// Its index.
        index: u64,
        /// The first byte of the entry that differs.
        byte: u64,
    },
    /// The ledger has another number of entries than the caller.
    #[error("the ledger has {found} entries, expected were {expected}")]
    CountDiffers {
        /// How many the caller has, or at least has.
        expected: u64,
        /// How many the ledger has.
        found: u64,
    },
    /// An entry is no leaf of a known form.
    #[error("entry {index} is not a valid event")]
    LeafRefused {
        /// Its index.
        index: u64,
        /// Why.
        #[source]
        source: LedgerError,
    },
    /// A writer's events are not numbered without gaps: one was left out, doubled or moved.
    #[error("entry {index} is `{found}`, the writer's next event is number {expected}")]
    WriterGap {
        /// The index of the entry.
        index: u64,
        /// The number that should follow.
        expected: u64,
        /// What the entry calls itself.
        found: String,
    },
    /// An event names another predecessor for a subject than the ledger has.
    #[error(
        "entry {index} says that {} came before it for `{subject}`, the ledger has {}",
        Shown(found.as_deref()),
        Shown(expected.as_deref())
    )]
    PrevDiffers {
        /// The index of the entry.
        index: u64,
        /// The subject.
        subject: String,
        /// The last event about it in the ledger.
        expected: Option<String>,
        /// What the entry names.
        found: Option<String>,
    },
}

struct Shown<'a>(Option<&'a str>);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(event) => write!(formatter, "`{event}`"),
            None => formatter.write_str("nothing"),
        }
    }
}
