//! Merkle tree hashing as RFC 6962 and RFC 9162 define it, SHA-256.

mod frontier;
mod path;

pub use frontier::*;
pub use path::*;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::LedgerError;

/// A SHA-256 hash of a leaf, of an inner node or of a whole tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreeHash([u8; 32]);

/// The size of a hash in bytes.
pub const HASH_SIZE_BYTES: usize = 32;

impl TreeHash {
    /// Wraps a hash that was computed or read elsewhere.
    pub const fn from_bytes(bytes: [u8; HASH_SIZE_BYTES]) -> Self {
        Self(bytes)
    }

    /// Gives the raw bytes.
    pub const fn as_bytes(&self) -> &[u8; HASH_SIZE_BYTES] {
        &self.0
    }

    /// Gives the standard base64 form that checkpoints and proofs use.
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// Reads the base64 form; only the one that `to_base64` writes.
    pub fn from_base64(text: &str) -> Result<Self, LedgerError> {
        STANDARD
            .decode(text)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or(LedgerError::Malformed {
                what: "hash",
                line: 0,
                reason: "not the base64 form of 32 bytes",
            })
    }
}

impl fmt::Display for TreeHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for TreeHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "sha256:{}", hex::encode(&self.0[..6]))
    }
}

/// The size of a tree and its root: what a checkpoint signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeHead {
    /// The number of leaves.
    pub size: u64,
    /// The root hash.
    pub root: TreeHash,
}

/// A perfect subtree: `index`-th from the left of those with 2^`level` leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Node {
    /// The height over the leaves, which are at level 0.
    pub level: u8,
    /// The number of such subtrees to the left.
    pub index: u64,
}

/// Gives the hashes of perfect subtrees, from tiles or from memory.
pub trait HashReader {
    /// Reads the hash of one perfect subtree, all of whose leaves are in the tree.
    fn read_hash(&mut self, node: Node) -> Result<TreeHash, LedgerError>;
}

/// Reads from the leaf hashes of a whole tree in memory, hashing upwards each time.
///
/// *Cost*: as many hashes as the subtree has leaves.
impl HashReader for &[TreeHash] {
    fn read_hash(&mut self, node: Node) -> Result<TreeHash, LedgerError> {
        let missing = LedgerError::NodeOutside { node };
        let Some(width) = 1_u64.checked_shl(node.level.into()) else {
            return Err(missing);
        };
        let leaves = node.index.checked_mul(width).and_then(|first| {
            let first = usize::try_from(first).ok()?;
            let end = first.checked_add(usize::try_from(width).ok()?)?;
            self.get(first..end)
        });
        leaves.map(root_of).ok_or(missing)
    }
}

/// Hashes an entry into its leaf hash: SHA256(0x00 || data).
///
/// *Source*: RFC 6962 section 2.1.
pub fn leaf_hash(data: &[u8]) -> TreeHash {
    TreeHash(
        Sha256::new()
            .chain_update([0])
            .chain_update(data)
            .finalize()
            .into(),
    )
}

/// Hashes two nodes into their parent: SHA256(0x01 || left || right).
///
/// *Source*: RFC 6962 section 2.1.
pub fn node_hash(left: TreeHash, right: TreeHash) -> TreeHash {
    let mut bytes = [1; 1 + 2 * HASH_SIZE_BYTES];
    bytes[1..=HASH_SIZE_BYTES].copy_from_slice(&left.0);
    bytes[1 + HASH_SIZE_BYTES..].copy_from_slice(&right.0);
    TreeHash(Sha256::digest(bytes).into())
}

/// The root of the tree without leaves: SHA256 of nothing.
pub fn empty_root() -> TreeHash {
    TreeHash(Sha256::digest([]).into())
}

/// Computes the root of a tree from its leaf hashes.
pub fn root_of(leaf_hashes: &[TreeHash]) -> TreeHash {
    let mut frontier = Frontier::default();
    for &hash in leaf_hashes {
        frontier.push(hash);
    }
    frontier.root()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_has_one_base64_form_only() {
        let hash = leaf_hash(b"x");
        assert_eq!(TreeHash::from_base64(&hash.to_base64()).unwrap(), hash);
        for text in [
            "",
            "AAAA",
            hash.to_base64().trim_end_matches('='),
            // 32 bytes leave two bits over in the last character; they must be zero.
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=",
        ] {
            assert!(TreeHash::from_base64(text).is_err(), "{text} was taken");
        }
    }

    #[test]
    fn a_node_outside_the_tree_is_refused() {
        let leaves = [leaf_hash(b"a"), leaf_hash(b"b"), leaf_hash(b"c")];
        let mut reader = &leaves[..];
        for (level, index) in [(0, 3), (1, 1), (2, 0), (63, 1), (64, 0), (255, u64::MAX)] {
            let node = Node { level, index };
            assert!(reader.read_hash(node).is_err(), "{node:?} was read");
        }
    }
}
