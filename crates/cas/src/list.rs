//! Lists of the chunks that a large object consists of.

use entities::ObjectId;

/// One chunk of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkRef {
    pub(crate) digest: ObjectId,
    pub(crate) size_bytes: u32,
}

/// Digest (32) and length (4) of each chunk, in their order.
const CHUNK_REF_BYTES: usize = 36;

pub(crate) fn encode(chunks: &[ChunkRef]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(chunks.len() * CHUNK_REF_BYTES);
    for chunk in chunks {
        bytes.extend_from_slice(chunk.digest.as_bytes());
        bytes.extend_from_slice(&chunk.size_bytes.to_le_bytes());
    }
    bytes
}

/// Decodes a list whose chunks have `size_bytes` together; nothing comes of one that contradicts itself.
pub(crate) fn decode(bytes: &[u8], size_bytes: u64) -> Option<Vec<ChunkRef>> {
    if !bytes.len().is_multiple_of(CHUNK_REF_BYTES) {
        return None;
    }
    let chunks: Vec<_> = bytes
        .chunks_exact(CHUNK_REF_BYTES)
        .filter_map(decode_chunk)
        .collect();
    let sum: u64 = chunks.iter().map(|chunk| u64::from(chunk.size_bytes)).sum();
    (sum == size_bytes && chunks.iter().all(|chunk| chunk.size_bytes > 0)).then_some(chunks)
}

fn decode_chunk(bytes: &[u8]) -> Option<ChunkRef> {
    let (digest, rest) = bytes.split_first_chunk::<32>()?;
    let size_bytes = u32::from_le_bytes(*rest.first_chunk::<4>()?);
    Some(ChunkRef {
        digest: ObjectId::from_bytes(*digest),
        size_bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_survives_and_contradictions_are_refused() {
        let chunks = [b"abc", b"def"].map(|content| ChunkRef {
            digest: ObjectId::of(content),
            size_bytes: 3,
        });
        let bytes = encode(&chunks);
        assert_eq!(decode(&bytes, 6).unwrap(), chunks);
        assert_eq!(decode(&bytes, 7), None);
        assert_eq!(decode(&bytes[..71], 6), None);
        assert_eq!(decode(&bytes[..36], 6), None);
        let empty = ChunkRef {
            size_bytes: 0,
            ..chunks[0]
        };
        assert_eq!(decode(&encode(&[chunks[0], empty]), 3), None);
    }
}
