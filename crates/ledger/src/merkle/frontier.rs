//! The right edge of a tree: all that is needed to append to it.

use crate::{HASH_SIZE_BYTES, Node, TreeHash, TreeHead, empty_root, node_hash};

/// The roots of the perfect subtrees that a tree of some size falls into, the largest first.
///
/// *Shapes*: as many hashes as the size has one-bits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    hashes: Vec<TreeHash>,
}

impl Frontier {
    /// Builds a frontier from its parts; `None` if the number of hashes is not that of the size's one-bits.
    pub fn from_parts(size: u64, hashes: Vec<TreeHash>) -> Option<Self> {
        (size.count_ones() as usize == hashes.len()).then_some(Self { size, hashes })
    }

    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The subtree roots, the largest first.
    pub fn hashes(&self) -> &[TreeHash] {
        &self.hashes
    }

    /// Appends a leaf hash.
    pub fn push(&mut self, leaf: TreeHash) {
        self.push_with(leaf, |_, _| ());
    }

    /// Appends a leaf hash and tells every perfect subtree that it completes, the leaf itself first.
    ///
    /// *Cost*: two hashes a leaf at most, one on average.
    pub fn push_with(&mut self, leaf: TreeHash, mut on_complete: impl FnMut(Node, TreeHash)) {
        let (mut level, mut hash) = (0, leaf);
        on_complete(
            Node {
                level,
                index: self.size,
            },
            hash,
        );
        while self.size >> level & 1 == 1 {
            let left = self
                .hashes
                .pop()
                .expect("a one-bit of the size has its hash");
            hash = node_hash(left, hash);
            level += 1;
            on_complete(
                Node {
                    level,
                    index: self.size >> level,
                },
                hash,
            );
        }
        self.hashes.push(hash);
        self.size += 1;
    }

    /// Computes the root.
    pub fn root(&self) -> TreeHash {
        self.hashes
            .iter()
            .rev()
            .copied()
            .reduce(|right, left| node_hash(left, right))
            .unwrap_or_else(empty_root)
    }

    /// Gives size and root.
    pub fn head(&self) -> TreeHead {
        TreeHead {
            size: self.size,
            root: self.root(),
        }
    }
}

/// Splits the bytes of a hash tile into its hashes; a rest that is no whole hash is left out.
pub(crate) fn split_hashes(bytes: &[u8]) -> impl DoubleEndedIterator<Item = TreeHash> + '_ {
    bytes.chunks_exact(HASH_SIZE_BYTES).map(|chunk| {
        TreeHash::from_bytes(
            chunk
                .try_into()
                .expect("`chunks_exact` gives chunks of that size"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leaf_hash;

    #[test]
    fn every_perfect_subtree_is_told_once_with_its_own_root() {
        let leaves: Vec<_> = (0..100_u8).map(|number| leaf_hash(&[number])).collect();
        let mut frontier = Frontier::default();
        let mut told = Vec::new();
        for &leaf in &leaves {
            frontier.push_with(leaf, |node, hash| told.push((node, hash)));
        }
        for (node, hash) in &told {
            let (first, width) = ((node.index << node.level) as usize, 1 << node.level);
            assert_eq!(crate::root_of(&leaves[first..first + width]), *hash);
        }
        let expected: u64 = (0..8).map(|level| 100 >> level).sum();
        assert_eq!(told.len() as u64, expected);
    }

    #[test]
    fn a_frontier_with_the_wrong_number_of_hashes_is_refused() {
        assert!(Frontier::from_parts(5, vec![leaf_hash(b"a")]).is_none());
        assert!(Frontier::from_parts(0, vec![]).is_some());
    }
}
