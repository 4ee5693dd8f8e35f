//! Where large contents are cut: content-defined chunking with the parameters of xet.
//!
//! A cut depends on the 64 bytes before it and on where the chunk began, so an insertion moves the
//! cuts near it and no others, and versions of a file share nearly all of their chunks.
//!
//! *Source*: draft-denis-xet, "Content-Defined Chunking"; xet-core's `Chunker`.

/// Contents of this size and more are kept as chunks.
///
/// Below it a content is about 16 chunks at most: a list and a look-up for each costs more than
/// versions of so small a file can share.
pub(crate) const CHUNKED_MIN_BYTES: usize = 1 << 20;

/// What a chunk has in the mean, as far as the hash decides.
const TARGET_BYTES: usize = 64 << 10;
/// No chunk but the last is smaller.
pub(crate) const CHUNK_MIN_BYTES: usize = TARGET_BYTES / 8;
/// No chunk is larger.
pub(crate) const CHUNK_MAX_BYTES: usize = TARGET_BYTES * 2;

/// As many bits as the target has, at the top: the low bits of a gear hash depend on few bytes.
const MASK: u64 = ((TARGET_BYTES - 1) as u64) << 48;

/// A gear hash shifts by one bit a byte, so only this many bytes count.
const WINDOW_BYTES: usize = 64;

/// Gives the length of the first chunk of `content`.
///
/// `content` begins where a chunk begins. Unless it is the end of the whole, it must have
/// `CHUNK_MAX_BYTES`, or the chunk could be cut short.
pub(crate) fn first_chunk(content: &[u8]) -> usize {
    if content.len() <= CHUNK_MIN_BYTES {
        return content.len();
    }
    let end = content.len().min(CHUNK_MAX_BYTES);
    // The first cut that may be is behind byte CHUNK_MIN_BYTES; what it depends on is hashed first.
    let from = CHUNK_MIN_BYTES - 1;
    let mut hasher = gearhash::Hasher::default();
    hasher.update(&content[from - WINDOW_BYTES..from]);
    match hasher.next_match(&content[from..end], MASK) {
        Some(length) => from + length,
        None => end,
    }
}

/// Cuts off all chunks that are certain, and gives their lengths.
///
/// What is left is less than `CHUNK_MAX_BYTES` and begins the next piece; with `is_end` nothing is left.
pub(crate) fn cut(content: &[u8], is_end: bool) -> Vec<u32> {
    let mut lengths = Vec::with_capacity(content.len() / TARGET_BYTES + 1);
    let mut rest = content;
    while rest.len() >= CHUNK_MAX_BYTES || (is_end && !rest.is_empty()) {
        let length = first_chunk(rest);
        lengths.push(length as u32);
        rest = &rest[length..];
    }
    lengths
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The specification, byte by byte: the oracle of `first_chunk`.
    fn specified(content: &[u8]) -> Vec<u32> {
        let mut lengths = Vec::new();
        let (mut hash, mut length) = (0_u64, 0_usize);
        for byte in content {
            hash = (hash << 1).wrapping_add(gearhash::DEFAULT_TABLE[usize::from(*byte)]);
            length += 1;
            let may_cut = length >= CHUNK_MIN_BYTES;
            if may_cut && (hash & MASK == 0 || length == CHUNK_MAX_BYTES) {
                lengths.push(length as u32);
                (hash, length) = (0, 0);
            }
        }
        if length > 0 {
            lengths.push(length as u32);
        }
        lengths
    }

    /// Bytes that look random, the same for a seed each time.
    fn noise(seed: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        blake3::Hasher::new()
            .update(&seed.to_le_bytes())
            .finalize_xof()
            .fill(&mut bytes);
        bytes
    }

    fn ends(lengths: &[u32]) -> Vec<u32> {
        let mut end = 0;
        let add = |length: &u32| {
            end += length;
            end
        };
        lengths.iter().map(add).collect()
    }

    #[test]
    fn the_mask_is_the_published_one() {
        assert_eq!(MASK, 0xFFFF_0000_0000_0000);
        assert_eq!((CHUNK_MIN_BYTES, CHUNK_MAX_BYTES), (8192, 131_072));
    }

    #[test]
    fn contents_without_a_cut_are_cut_at_the_largest_size() {
        let lengths = cut(&vec![0; 300_000], true);
        assert_eq!(lengths, specified(&vec![0; 300_000]));
        assert_eq!(lengths.iter().sum::<u32>(), 300_000);
    }

    #[test]
    fn the_mean_size_is_near_the_target() {
        let lengths = cut(&noise(1, 16 << 20), true);
        let mean = (16 << 20) / lengths.len();
        // Cuts between 8 and 128 KiB with one in 64 KiB: about 61 KiB in the mean.
        assert!((48 << 10..72 << 10).contains(&mean), "{mean}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn cuts_are_those_of_the_specification(seed: u64, length in 0_usize..600_000) {
            let content = noise(seed, length);
            prop_assert_eq!(cut(&content, true), specified(&content));
        }

        #[test]
        fn contents_of_few_values_are_cut_as_specified(
            pattern in proptest::collection::vec(0_u8..3, 1..40),
            length in 0_usize..400_000,
        ) {
            let content: Vec<u8> = pattern.iter().copied().cycle().take(length).collect();
            prop_assert_eq!(cut(&content, true), specified(&content));
        }

        #[test]
        fn cuts_do_not_depend_on_the_pieces_that_content_comes_in(
            seed: u64,
            pieces in proptest::collection::vec(1_usize..300_000, 1..6),
        ) {
            let content = noise(seed, pieces.iter().sum());
            let (mut lengths, mut held, mut at) = (Vec::new(), Vec::new(), 0);
            for (number, piece) in pieces.iter().enumerate() {
                held.extend_from_slice(&content[at..at + piece]);
                at += piece;
                let cuts = cut(&held, number + 1 == pieces.len());
                held.drain(..cuts.iter().sum::<u32>() as usize);
                lengths.extend(cuts);
            }
            prop_assert!(held.is_empty());
            prop_assert_eq!(lengths, specified(&content));
        }

        #[test]
        fn cuts_far_from_an_insertion_stay(
            seed: u64,
            at in 0_usize..2_000_000,
            inserted in proptest::collection::vec(any::<u8>(), 1..200),
        ) {
            let before = noise(seed, 2_000_000);
            let mut after = before.clone();
            after.splice(at..at, inserted.iter().copied());
            let (old, new) = (ends(&cut(&before, true)), ends(&cut(&after, true)));
            let shift = inserted.len() as u32;
            let is_kept = |end: &&u32| new.contains(end) || new.contains(&(**end + shift));
            let kept = old.iter().filter(is_kept).count();
            // Cuts find together again where both have one at the same place, as a rule after one or two.
            prop_assert!(old.len() - kept <= 12, "{} of {} kept", kept, old.len());
            let ahead = old.iter().filter(|end| (**end as usize) <= at);
            prop_assert!(ahead.clone().count() == 0 || ahead.clone().all(|end| new.contains(end)));
        }
    }
}
