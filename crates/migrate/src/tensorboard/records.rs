//! Files of records: a length with its checksum, then bytes with theirs.
//!
//! *Source*: TFRecord of TensorFlow (`tensorflow/core/lib/io/record_writer.cc`); the checksum is CRC-32C (Castagnoli,
//! RFC 3720, section 12.1), rotated by 15 bits and moved by a constant.

use std::io::Read;

use crate::reading::read_up_to;

/// Longest record that is read: one with an image has some MiB.
const LONGEST_BYTES: u64 = 256 << 20;

const MASK: u32 = 0xa282_ead8;

/// What stands in the way of reading on.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordFault {
    #[error("its last record is cut short")]
    CutShort,
    #[error("the checksum of a record is wrong at byte {at}")]
    Checksum { at: u64 },
    #[error("a record at byte {at} has {length} bytes, which is more than is read")]
    TooLong { at: u64, length: u64 },
    #[error("it cannot be read: {0}")]
    Read(#[from] std::io::Error),
}

/// Reads records until one cannot be read; nothing that comes after that can be trusted.
pub(super) struct Records<R> {
    reader: R,
    at: u64,
}

impl<R: Read> Records<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, at: 0 }
    }

    /// The next record; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>, RecordFault> {
        let at = self.at;
        let mut head = [0; 12];
        match self.fill(&mut head)? {
            0 => return Ok(None),
            12 => {}
            _ => return Err(RecordFault::CutShort),
        }
        let (length, code) = head.split_at(8);
        if masked(length) != little(code) {
            return Err(RecordFault::Checksum { at });
        }
        let length = u64::from_le_bytes(head[..8].try_into().expect("it has 8 bytes"));
        if length > LONGEST_BYTES {
            return Err(RecordFault::TooLong { at, length });
        }
        // Made as long as what comes, and not as what is promised.
        let mut bytes = Vec::new();
        let read = (&mut self.reader).take(length).read_to_end(&mut bytes)?;
        self.at += read as u64;
        let mut code = [0; 4];
        if read as u64 != length || self.fill(&mut code)? != 4 {
            return Err(RecordFault::CutShort);
        }
        if masked(&bytes) != u32::from_le_bytes(code) {
            return Err(RecordFault::Checksum { at });
        }
        Ok(Some(bytes))
    }

    /// Reads as many bytes as there are, up to all; tells how many.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, std::io::Error> {
        let filled = read_up_to(&mut self.reader, buffer)?;
        self.at += filled as u64;
        Ok(filled)
    }
}

fn little(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().expect("it has 4 bytes"))
}

fn masked(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(MASK)
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut place = 0;
    while place < 256 {
        let mut value = place as u32;
        let mut bit = 0;
        while bit < 8 {
            // The polynomial, its bits reversed.
            let carry = if value & 1 == 1 { 0x82f6_3b78 } else { 0 };
            value = (value >> 1) ^ carry;
            bit += 1;
        }
        table[place] = value;
        place += 1;
    }
    table
};

fn crc32c(bytes: &[u8]) -> u32 {
    let value = bytes.iter().fold(!0, |value: u32, byte| {
        (value >> 8) ^ TABLE[((value ^ u32::from(*byte)) & 0xff) as usize]
    });
    !value
}

#[cfg(test)]
pub(super) fn write_record(bytes: &[u8], out: &mut Vec<u8>) {
    let length = (bytes.len() as u64).to_le_bytes();
    out.extend(length);
    out.extend(masked(&length).to_le_bytes());
    out.extend(bytes);
    out.extend(masked(bytes).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> (Vec<Vec<u8>>, Option<String>) {
        let mut records = Records::new(bytes);
        let mut read = Vec::new();
        loop {
            match records.next() {
                Ok(Some(record)) => read.push(record),
                Ok(None) => return (read, None),
                Err(fault) => return (read, Some(fault.to_string())),
            }
        }
    }

    /// RFC 3720, appendix B.4.
    #[test]
    fn checksums_are_those_of_the_standard() {
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        let ascending: Vec<u8> = (0..32).collect();
        assert_eq!(crc32c(&ascending), 0x46dd_794e);
    }

    #[test]
    fn a_length_that_is_too_large_is_refused_before_anything_is_read() {
        let length = u64::MAX.to_le_bytes();
        let mut bytes = length.to_vec();
        bytes.extend(masked(&length).to_le_bytes());
        assert!(read(&bytes).1.unwrap().contains("more than is read"));
    }

    proptest! {
        #[test]
        fn records_come_back_and_what_is_cut_or_changed_is_found(
            contents in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..6),
            cut in any::<proptest::sample::Index>(),
            bit in 0..8_u8,
        ) {
            let mut bytes = Vec::new();
            for content in &contents {
                write_record(content, &mut bytes);
            }
            let (found, fault) = read(&bytes);
            prop_assert_eq!(&found, &contents);
            prop_assert!(fault.is_none());
            let at = cut.index(bytes.len());
            let (found, _) = read(&bytes[..at]);
            prop_assert!(found.len() < contents.len());
            prop_assert_eq!(&found[..], &contents[..found.len()]);
            bytes[at] ^= 1 << bit;
            let (found, fault) = read(&bytes);
            prop_assert!(fault.is_some());
            prop_assert_eq!(&found[..], &contents[..found.len()]);
        }

        #[test]
        fn no_bytes_make_it_fail(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            read(&bytes);
        }
    }
}
