//! Files of records in blocks of 32 KiB, a record in one or several pieces.
//!
//! *Source*: LevelDB's log format (`doc/log_format.md`), under a header of 7 bytes that W&B puts before it, with the
//! checksum of zlib (CRC-32) over the kind of a piece and its bytes.

use std::io::Read;

use crate::reading::read_up_to;

const BLOCK_BYTES: u64 = 32 << 10;

const PIECE_HEAD_BYTES: u64 = 7;

/// Longest record that is read.
const LONGEST_BYTES: usize = 256 << 20;

/// `:W&B`, W&B's number, and the version of the form.
const HEADER: [u8; 7] = [b':', b'W', b'&', b'B', 0xe1, 0xbe, 0];

/// What stands in the way of reading on.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordFault {
    #[error("it does not begin as a file of W&B's of a version that is known")]
    Header,
    #[error("its last record is cut short")]
    CutShort,
    #[error("the checksum of a record is wrong at byte {at}")]
    Checksum { at: u64 },
    #[error("a record is not whole at byte {at}")]
    Pieces { at: u64 },
    #[error("a record at byte {at} is longer than is read")]
    TooLong { at: u64 },
    #[error("it cannot be read: {0}")]
    Read(#[from] std::io::Error),
}

/// Reads records until one cannot be read.
pub(super) struct Records<R> {
    reader: R,
    at: u64,
}

impl<R: Read> Records<R> {
    /// Reads the header.
    pub(super) fn new(reader: R) -> Result<Self, RecordFault> {
        let mut records = Self { reader, at: 0 };
        let mut header = [0; 7];
        match records.fill(&mut header)? {
            7 if header == HEADER => Ok(records),
            _ => Err(RecordFault::Header),
        }
    }

    /// The next record; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>, RecordFault> {
        let mut record: Option<Vec<u8>> = None;
        loop {
            let at = self.at;
            let Some((kind, piece)) = self.piece()? else {
                return match record {
                    None => Ok(None),
                    Some(_) => Err(RecordFault::CutShort),
                };
            };
            let is_first = matches!(kind, 1 | 2);
            let is_last = matches!(kind, 1 | 4);
            if !(1..=4).contains(&kind) || is_first != record.is_none() {
                return Err(RecordFault::Pieces { at });
            }
            let whole = record.get_or_insert_default();
            if whole.len() + piece.len() > LONGEST_BYTES {
                return Err(RecordFault::TooLong { at });
            }
            whole.extend(piece);
            if is_last {
                return Ok(record);
            }
        }
    }

    /// The next piece of a record and its kind; none at the end.
    fn piece(&mut self) -> Result<Option<(u8, Vec<u8>)>, RecordFault> {
        let left = BLOCK_BYTES - self.at % BLOCK_BYTES;
        if left < PIECE_HEAD_BYTES {
            let mut padding = [0; PIECE_HEAD_BYTES as usize];
            let padding = &mut padding[..left as usize];
            if self.fill(padding)? < padding.len() {
                return Ok(None);
            }
            if padding.iter().any(|byte| *byte != 0) {
                return Err(RecordFault::Pieces { at: self.at });
            }
        }
        let at = self.at;
        let mut head = [0; PIECE_HEAD_BYTES as usize];
        match self.fill(&mut head)? {
            0 => return Ok(None),
            7 => {}
            _ => return Err(RecordFault::CutShort),
        }
        let (kind, length) = (head[6], u64::from(u16::from_le_bytes([head[4], head[5]])));
        if at % BLOCK_BYTES + PIECE_HEAD_BYTES + length > BLOCK_BYTES {
            return Err(RecordFault::Pieces { at });
        }
        let mut piece = vec![0; length as usize];
        if (self.fill(&mut piece)? as u64) < length {
            return Err(RecordFault::CutShort);
        }
        let mut code = crc32fast::Hasher::new();
        code.update(&[kind]);
        code.update(&piece);
        let expected = head[..4].try_into().expect("it has 4 bytes");
        if code.finalize() != u32::from_le_bytes(expected) {
            return Err(RecordFault::Checksum { at });
        }
        Ok(Some((kind, piece)))
    }

    /// Reads as many bytes as there are, up to all; tells how many.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, std::io::Error> {
        let filled = read_up_to(&mut self.reader, buffer)?;
        self.at += filled as u64;
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A file of these records.
    fn written(records: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = HEADER.to_vec();
        for record in records {
            let mut rest = record.as_slice();
            let mut is_first = true;
            loop {
                let left = BLOCK_BYTES as usize - bytes.len() % BLOCK_BYTES as usize;
                if left < PIECE_HEAD_BYTES as usize {
                    bytes.resize(bytes.len() + left, 0);
                    continue;
                }
                let (piece, after) =
                    rest.split_at(rest.len().min(left - PIECE_HEAD_BYTES as usize));
                let kind = match (is_first, after.is_empty()) {
                    (true, true) => 1,
                    (true, false) => 2,
                    (false, false) => 3,
                    (false, true) => 4,
                };
                let mut code = crc32fast::Hasher::new();
                code.update(&[kind]);
                code.update(piece);
                bytes.extend(code.finalize().to_le_bytes());
                bytes.extend((piece.len() as u16).to_le_bytes());
                bytes.push(kind);
                bytes.extend(piece);
                (rest, is_first) = (after, false);
                if rest.is_empty() {
                    break;
                }
            }
        }
        bytes
    }

    fn read(bytes: &[u8]) -> (Vec<Vec<u8>>, Option<String>) {
        let mut read = Vec::new();
        let mut records = match Records::new(bytes) {
            Ok(records) => records,
            Err(fault) => return (read, Some(fault.to_string())),
        };
        loop {
            match records.next() {
                Ok(Some(record)) => read.push(record),
                Ok(None) => return (read, None),
                Err(fault) => return (read, Some(fault.to_string())),
            }
        }
    }

    #[test]
    fn pieces_in_a_wrong_order_are_refused() {
        for kind in [0, 3, 4, 5, 255] {
            let mut bytes = HEADER.to_vec();
            let mut code = crc32fast::Hasher::new();
            code.update(&[kind]);
            bytes.extend(code.finalize().to_le_bytes());
            bytes.extend([0, 0, kind]);
            let fault = read(&bytes).1.unwrap();
            assert!(fault.contains("is not whole"), "{kind}: {fault}");
        }
    }

    proptest! {
        #[test]
        fn records_come_back_and_what_is_cut_or_changed_is_found(
            lengths in proptest::collection::vec(prop_oneof![0..50_usize, 32_700..32_800_usize, 60_000..70_000_usize], 1..6),
            place in any::<proptest::sample::Index>(),
            bit in 0..8_u8,
        ) {
            let contents: Vec<Vec<u8>> = lengths
                .iter()
                .enumerate()
                .map(|(number, length)| vec![number as u8 + 1; *length])
                .collect();
            let mut bytes = written(&contents);
            let (found, fault) = read(&bytes);
            prop_assert_eq!(&found, &contents);
            prop_assert!(fault.is_none(), "{:?}", fault);
            let at = place.index(bytes.len());
            let (found, _) = read(&bytes[..at]);
            prop_assert!(found.len() < contents.len());
            prop_assert_eq!(&found[..], &contents[..found.len()]);
            bytes[at] ^= 1 << bit;
            let (found, fault) = read(&bytes);
            prop_assert!(fault.is_some() );
            prop_assert_eq!(&found[..], &contents[..found.len()]);
        }

        #[test]
        fn no_bytes_make_it_fail(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            read(&[&HEADER[..], &bytes].concat());
            read(&bytes);
        }
    }
}
