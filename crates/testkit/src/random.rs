//! Random numbers that are the same each time.

use std::sync::atomic::{AtomicU64, Ordering};

use entities::Random;

/// A generator whose numbers follow from a seed.
///
/// *Source*: splitmix64, Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014).
#[derive(Debug)]
pub struct SeededRandom(AtomicU64);

/// The step of the state: 2^64 over the golden ratio.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl SeededRandom {
    /// Starts at a seed.
    pub const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// Draws a number.
    pub fn next_u64(&self) -> u64 {
        let state = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Draws a number below `end`, which must not be 0; its bias is far below what a test can see.
    pub fn below(&self, end: u64) -> u64 {
        self.next_u64() % end
    }

    /// Draws bytes.
    pub fn bytes(&self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.fill(&mut bytes);
        bytes
    }
}

impl Random for SeededRandom {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let bytes = self.next_u64().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first numbers of the published generator.
    #[test]
    fn the_numbers_are_those_of_splitmix64() {
        let random = SeededRandom::new(1_234_567);
        let drawn = [random.next_u64(), random.next_u64(), random.next_u64()];
        assert_eq!(
            drawn,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn equal_seeds_give_equal_bytes_of_any_length() {
        let bytes = SeededRandom::new(5).bytes(13);
        assert_eq!(bytes, SeededRandom::new(5).bytes(13));
        assert_eq!(bytes[..8], SeededRandom::new(5).bytes(8)[..]);
        assert_ne!(bytes, SeededRandom::new(6).bytes(13));
        assert!(SeededRandom::new(1).below(3) < 3);
    }
}
