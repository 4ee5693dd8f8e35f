//! Outlines: the digests of the mebibytes of a content, which together give its name.
//!
//! BLAKE3 is a tree over chunks of 1024 bytes, and each mebibyte that begins at a multiple of one is a subtree of it
//! (paper, section 2.1). So a part of a content can be verified without the rest, against values that are verified
//! against the name of the whole.

use blake3::Hasher;
use blake3::hazmat::{
    ChainingValue, HasherExt as _, Mode, merge_subtrees_non_root, merge_subtrees_root,
};
use entities::ObjectId;

/// What is verified at once: 1024 chunks of BLAKE3, a whole subtree.
pub(crate) const BLOCK_BYTES: u64 = 1 << 20;

const MAGIC: &[u8; 16] = b"reproof outline1";
const HEAD_BYTES: usize = 24;

/// The digests of the blocks of a content that has more than one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outline {
    size_bytes: u64,
    blocks: Vec<ChainingValue>,
}

impl Outline {
    pub(crate) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The name of the content.
    pub(crate) fn root(&self) -> ObjectId {
        let (left, right) = self.blocks.split_at(left_length(self.blocks.len()));
        let root = merge_subtrees_root(&merge(left), &merge(right), Mode::Hash);
        ObjectId::from_bytes(*root.as_bytes())
    }

    /// Whether these are the bytes of a block.
    pub(crate) fn is_block(&self, number: u64, bytes: &[u8]) -> bool {
        let expected = usize::try_from(number).ok();
        let expected = expected.and_then(|number| self.blocks.get(number));
        // There is no block of no bytes.
        !bytes.is_empty() && expected == Some(&digest_block(number, bytes))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + self.blocks.len() * 32);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.size_bytes.to_le_bytes());
        for block in &self.blocks {
            bytes.extend_from_slice(block);
        }
        bytes
    }

    /// Reads what `encode` wrote; none where it is not the outline of that content.
    pub(crate) fn decode(bytes: &[u8], id: &ObjectId) -> Option<Self> {
        let (head, rest) = bytes.split_at_checked(HEAD_BYTES)?;
        let size_bytes = u64::from_le_bytes(*head[16..].first_chunk::<8>()?);
        let count = size_bytes.div_ceil(BLOCK_BYTES);
        let is_whole =
            head[..16] == *MAGIC && count >= 2 && rest.len() as u64 == count.checked_mul(32)?;
        if !is_whole {
            return None;
        }
        let blocks = rest
            .chunks_exact(32)
            .filter_map(|block| block.first_chunk::<32>().copied());
        let outline = Self {
            size_bytes,
            blocks: blocks.collect(),
        };
        (outline.root() == *id).then_some(outline)
    }
}

/// Makes the name of a content, and its outline, while it is read.
#[derive(Debug, Default)]
pub(crate) struct Outliner {
    /// Bytes of the block that is not whole yet.
    rest: Vec<u8>,
    blocks: Vec<ChainingValue>,
    size_bytes: u64,
}

impl Outliner {
    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        self.size_bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            // A block that is the last may be the only one, and then its digest is another.
            if self.rest.len() as u64 == BLOCK_BYTES {
                self.close_block();
            }
            let room = BLOCK_BYTES as usize - self.rest.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.rest.extend_from_slice(now);
            bytes = later;
        }
    }

    fn close_block(&mut self) {
        let number = self.blocks.len() as u64;
        self.blocks.push(digest_block(number, &self.rest));
        self.rest.clear();
    }

    /// The name and the length; an outline where there is more than one block.
    pub(crate) fn finish(mut self) -> (ObjectId, u64, Option<Outline>) {
        if self.blocks.is_empty() {
            return (ObjectId::of(&self.rest), self.size_bytes, None);
        }
        self.close_block();
        let outline = Outline {
            size_bytes: self.size_bytes,
            blocks: self.blocks,
        };
        (outline.root(), self.size_bytes, Some(outline))
    }
}

fn digest_block(number: u64, bytes: &[u8]) -> ChainingValue {
    let mut hasher = Hasher::new();
    hasher.set_input_offset(number * BLOCK_BYTES);
    hasher.update(bytes);
    hasher.finalize_non_root()
}

/// How many of so many blocks are on the left: the largest power of two that leaves one for the right.
fn left_length(count: usize) -> usize {
    count.next_power_of_two() / 2
}

fn merge(blocks: &[ChainingValue]) -> ChainingValue {
    if let [one] = blocks {
        return *one;
    }
    let (left, right) = blocks.split_at(left_length(blocks.len()));
    merge_subtrees_non_root(&merge(left), &merge(right), Mode::Hash)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn content(length: usize) -> Vec<u8> {
        (0..length)
            .map(|at| (at.wrapping_mul(at + 7) % 251) as u8)
            .collect()
    }

    fn outlined(content: &[u8], piece: usize) -> (ObjectId, u64, Option<Outline>) {
        let mut outliner = Outliner::default();
        for piece in content.chunks(piece.max(1)) {
            outliner.update(piece);
        }
        outliner.finish()
    }

    #[test]
    fn the_name_is_that_of_the_whole_however_long_it_is() {
        let block = BLOCK_BYTES as usize;
        for length in [
            0,
            1,
            block - 1,
            block,
            block + 1,
            2 * block,
            3 * block,
            5 * block + 7,
            8 * block,
        ] {
            let content = content(length);
            let (id, size_bytes, outline) = outlined(&content, 700_001);
            assert_eq!((id, size_bytes), (ObjectId::of(&content), length as u64));
            assert_eq!(outline.is_some(), length > block, "{length}");
            let Some(outline) = outline else { continue };
            let read = Outline::decode(&outline.encode(), &id).unwrap();
            assert_eq!(read, outline);
            for (number, bytes) in content.chunks(block).enumerate() {
                assert!(read.is_block(number as u64, bytes));
                assert!(!read.is_block(number as u64 + 1, bytes));
                let mut other = bytes.to_vec();
                other[0] ^= 1;
                assert!(!read.is_block(number as u64, &other));
                assert!(!read.is_block(number as u64, &bytes[..bytes.len() - 1]));
            }
        }
    }

    #[test]
    fn an_outline_of_something_else_is_none() {
        let content = content(3 * BLOCK_BYTES as usize);
        let (id, _, outline) = outlined(&content, 1 << 20);
        let bytes = outline.unwrap().encode();
        assert!(Outline::decode(&bytes, &ObjectId::of(b"other")).is_none());
        for length in [0, 15, 23, 24, bytes.len() - 1] {
            assert!(Outline::decode(&bytes[..length], &id).is_none());
        }
        for at in [0, 16, 23, 24, bytes.len() - 1] {
            let mut altered = bytes.clone();
            altered[at] ^= 0x80;
            assert!(Outline::decode(&altered, &id).is_none(), "byte {at}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn what_is_no_outline_is_none(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Outline::decode(&bytes, &ObjectId::of(&bytes)).is_none());
        }
    }
}
