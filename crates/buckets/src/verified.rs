//! Reading a part of a content, verified block by block.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use cas::{DistantError, DistantFault};
use entities::ObjectId;
use object_store::path::Path;

use crate::bucket::Bucket;
use crate::outline::{BLOCK_BYTES, Outline};

/// What is asked for at once.
const PIECE_BYTES: u64 = 4 * BLOCK_BYTES;

/// How often a piece is asked for again that came altered or too short.
const READINGS_MAX: usize = 3;

/// Reads a part of a content of several blocks.
pub(crate) struct VerifiedReader {
    pub(crate) bucket: Bucket,
    pub(crate) key: Path,
    pub(crate) id: ObjectId,
    pub(crate) outline: Arc<Outline>,
    /// Where the next byte that is handed out stands, and where it ends.
    pub(crate) at: u64,
    pub(crate) end: u64,
    /// What was verified and not handed out yet; it ends at a block, or at the end of all.
    pub(crate) piece: Bytes,
}

impl VerifiedReader {
    fn fetch(&mut self) -> Result<(), DistantError> {
        let from = self.at - self.at % BLOCK_BYTES;
        let until = self.end.div_ceil(BLOCK_BYTES) * BLOCK_BYTES;
        let until = until.min(from + PIECE_BYTES).min(self.outline.size_bytes());
        for reading in 1..=READINGS_MAX {
            let got = self.bucket.get(self.key.clone(), from, until - from);
            let piece = match got {
                Ok(Some((piece, _))) => piece,
                Ok(None) => return Err(missing(&self.bucket, &self.id)),
                // The transfer broke off; the library has tried again what it could.
                Err(error) if error.kind == DistantFault::Unreachable && reading < READINGS_MAX => {
                    continue;
                }
                Err(error) => return Err(error),
            };
            if piece.len() as u64 == until - from && self.is_verified(from, &piece) {
                let skipped = (self.at - from) as usize;
                let wanted = (self.end - from).min(piece.len() as u64) as usize;
                self.piece = piece.slice(skipped..wanted);
                return Ok(());
            }
            tracing::warn!(object = %self.id, place = self.bucket.uri(), reading, "what came is not what was stored");
        }
        Err(damaged(&self.bucket, &self.id))
    }

    fn is_verified(&self, from: u64, piece: &[u8]) -> bool {
        let first = from / BLOCK_BYTES;
        let mut blocks = piece.chunks(BLOCK_BYTES as usize).zip(first..);
        blocks.all(|(block, number)| self.outline.is_block(number, block))
    }
}

impl Read for VerifiedReader {
    /// Errors are `DistantError`s inside of an `io::Error`.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || self.at >= self.end {
            return Ok(0);
        }
        if self.piece.is_empty() {
            self.fetch().map_err(io::Error::other)?;
        }
        let length = buffer.len().min(self.piece.len());
        buffer[..length].copy_from_slice(&self.piece.split_to(length));
        self.at += length as u64;
        Ok(length)
    }
}

pub(crate) fn damaged(bucket: &Bucket, id: &ObjectId) -> DistantError {
    DistantError {
        kind: DistantFault::Damaged,
        message: format!(
            "object `{id}` in {} is damaged: its content has another digest",
            bucket.uri()
        ),
    }
}

pub(crate) fn missing(bucket: &Bucket, id: &ObjectId) -> DistantError {
    DistantError {
        kind: DistantFault::Damaged,
        message: format!("object `{id}` in {} went while it was read", bucket.uri()),
    }
}
