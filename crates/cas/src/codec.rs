//! Compression of what goes into packs, where it pays.

use std::sync::{Mutex, PoisonError};

use zstd::bulk::{Compressor, Decompressor};

/// How the bytes of an entry are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// As they are.
    Raw,
    /// As one zstd frame.
    Zstd,
}

impl Encoding {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Raw => 0,
            Self::Zstd => 1,
        }
    }

    pub(crate) const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Raw),
            1 => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// zstd's fastest regular level: about twice as fast as its default for some percent more bytes.
const LEVEL: i32 = 1;

/// A frame has a dozen bytes around its content; below this nothing is won.
const COMPRESSED_MIN_BYTES: usize = 64;

/// Contents larger than this are probed before they are compressed whole.
const PROBED_MIN_BYTES: usize = 16 << 10;

/// A probe takes this many bytes at the start, in the middle and at the end.
const PROBE_PART_BYTES: usize = 2 << 10;

/// The largest that a content may be when compressed: an eighth less, or reading it back costs more than it saves.
const fn worth_bytes(length: usize) -> usize {
    length - length / 8
}

/// Compressors and decompressors that wait for work: making one costs more than using it on a small object.
#[derive(Default)]
pub(crate) struct Codec {
    compressors: Mutex<Vec<Compressor<'static>>>,
    decompressors: Mutex<Vec<Decompressor<'static>>>,
}

impl std::fmt::Debug for Codec {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Codec").finish_non_exhaustive()
    }
}

impl Codec {
    /// Compresses, or gives nothing where that does not pay.
    pub(crate) fn compress(&self, content: &[u8]) -> Option<Vec<u8>> {
        if content.len() < COMPRESSED_MIN_BYTES {
            return None;
        }
        let mut compressor = match take(&self.compressors) {
            Some(compressor) => compressor,
            None => Compressor::new(LEVEL).ok()?,
        };
        let compressed =
            if content.len() <= PROBED_MIN_BYTES || is_promising(&mut compressor, content) {
                compress_into(&mut compressor, content)
            } else {
                None
            };
        give_back(&self.compressors, compressor);
        compressed
    }

    /// Decompresses a content of a known length; nothing comes of bytes that are not a frame of that length.
    pub(crate) fn decompress(&self, stored: &[u8], length: usize) -> Option<Vec<u8>> {
        let mut decompressor = match take(&self.decompressors) {
            Some(decompressor) => decompressor,
            None => Decompressor::new().ok()?,
        };
        let mut content = Vec::with_capacity(length);
        let written = decompressor.decompress_to_buffer(stored, &mut content);
        give_back(&self.decompressors, decompressor);
        (written.ok()? == length && content.len() == length).then_some(content)
    }
}

/// Compresses as long as it stays worth it: zstd stops when the buffer is full.
fn compress_into(compressor: &mut Compressor<'_>, content: &[u8]) -> Option<Vec<u8>> {
    let mut compressed = Vec::with_capacity(worth_bytes(content.len()));
    compressor
        .compress_to_buffer(content, &mut compressed)
        .ok()?;
    compressed.shrink_to_fit();
    Some(compressed)
}

/// Compresses a tenth of the content to see whether the rest is worth the time.
fn is_promising(compressor: &mut Compressor<'_>, content: &[u8]) -> bool {
    let mut sample = [0; 3 * PROBE_PART_BYTES];
    let last = content.len() - PROBE_PART_BYTES;
    for (part, from) in sample
        .chunks_exact_mut(PROBE_PART_BYTES)
        .zip([0, last / 2, last])
    {
        part.copy_from_slice(&content[from..from + PROBE_PART_BYTES]);
    }
    let mut compressed = [0; worth_bytes(3 * PROBE_PART_BYTES)];
    compressor
        .compress_to_buffer(&sample[..], &mut compressed[..])
        .is_ok()
}

fn take<T>(pool: &Mutex<Vec<T>>) -> Option<T> {
    pool.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

fn give_back<T>(pool: &Mutex<Vec<T>>, item: T) {
    /// Each holds some hundred kilobytes; more than this many are not at work at once for long.
    const KEPT_MAX: usize = 8;
    let mut pool = pool.lock().unwrap_or_else(PoisonError::into_inner);
    if pool.len() < KEPT_MAX {
        pool.push(item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        bytes
    }

    #[test]
    fn what_compresses_well_comes_back() {
        let codec = Codec::default();
        for length in [64, 1000, 20_000, 131_072, 1_000_000] {
            let content: Vec<u8> = b"a line of text, again\n"
                .iter()
                .copied()
                .cycle()
                .take(length)
                .collect();
            let stored = codec.compress(&content).unwrap();
            assert!(
                stored.len() <= worth_bytes(length),
                "{length} became {}",
                stored.len()
            );
            assert_eq!(codec.decompress(&stored, length).unwrap(), content);
        }
    }

    #[test]
    fn what_does_not_compress_is_left_alone() {
        let codec = Codec::default();
        for length in [0, 1, 63, 64, 5000, 131_072] {
            assert_eq!(codec.compress(&noise(length)), None, "{length} bytes");
        }
    }

    #[test]
    fn a_frame_of_another_length_is_refused_and_takes_no_more_memory_than_announced() {
        let codec = Codec::default();
        let stored = codec.compress(&vec![0; 100_000]).unwrap();
        for length in [0, 1, 99_999, 100_001] {
            assert_eq!(codec.decompress(&stored, length), None, "{length}");
        }
        assert_eq!(codec.decompress(b"not a frame", 5), None);
        assert_eq!(codec.decompress(&[], 5), None);
    }
}
