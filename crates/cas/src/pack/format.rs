//! The bytes of a pack.
//!
//! | part | bytes | holds |
//! |---|---|---|
//! | header | 16 | magic (12), version (4) |
//! | payloads | | the stored bytes of all entries, one behind the other |
//! | segments | 72 an entry | the entries in the order of their digests |
//! | fanout | 20 a segment | number of entries up to the segment's end (4), checksum of the segment (16) |
//! | footer | 64 | see `Footer` |
//!
//! Numbers are little-endian. A checksum is the first half of a BLAKE3 digest. The segments divide the
//! entries by the first bits of their digests, so that looking one up reads a few kilobytes of a large index.
//! The footer's checksum covers the fanout's, that one the segments', and those all entries with their
//! digests: so the digest of the footer names the pack.

use std::fmt;

use entities::ObjectId;

use crate::chunking::CHUNKED_MIN_BYTES;
use crate::codec::Encoding;

/// The version of the format that is written here; any other that is larger is refused.
pub(crate) const FORMAT_VERSION: u32 = 1;

/// First bytes of a pack, and its last.
pub(crate) const MAGIC: [u8; 12] = *b"reproof pack";

pub(crate) const HEADER_BYTES: usize = 16;
pub(crate) const FOOTER_BYTES: usize = 64;
pub(crate) const ENTRY_BYTES: usize = 72;
pub(crate) const FANOUT_BYTES: usize = 20;

/// Contents of chunks and of objects that are no lists are smaller than this.
pub(crate) const SMALL_MAX_BYTES: u64 = CHUNKED_MIN_BYTES as u64;

/// Entries that a segment of the index has in the mean at most: some 9 KB, which are read at once.
const SEGMENT_ENTRIES: u32 = 128;
const FANOUT_BITS_MAX: u8 = 16;

/// The first half of a BLAKE3 digest: a checksum, where a name is not needed.
pub(crate) type Check = [u8; 16];

/// Computes the checksum of some bytes.
pub(crate) fn check_of(bytes: &[u8]) -> Check {
    half(blake3::hash(bytes).as_bytes())
}

pub(crate) fn half(digest: &[u8; 32]) -> Check {
    let mut check = [0; 16];
    check.copy_from_slice(&digest[..16]);
    check
}

/// Names a pack by its content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PackName(Check);

impl PackName {
    const SUFFIX: &str = ".pack";

    pub(crate) fn of_footer(footer: &[u8; FOOTER_BYTES]) -> Self {
        Self(check_of(footer))
    }

    /// Reads the name of a file; nothing comes of files that are no packs.
    pub(crate) fn from_file_name(name: &str) -> Option<Self> {
        let digits = name.strip_suffix(Self::SUFFIX)?;
        let mut bytes = [0; 16];
        hex::decode_to_slice(digits, &mut bytes).ok()?;
        let name = Self(bytes);
        // One name for one file: upper-case digits would name it twice.
        (hex::encode(name.0) == digits).then_some(name)
    }

    pub(crate) fn file_name(self) -> String {
        format!("{}{}", hex::encode(self.0), Self::SUFFIX)
    }
}

impl fmt::Debug for PackName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.file_name())
    }
}

/// What an entry is to those who ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Bytes that only lists refer to.
    Chunk,
    /// The whole content of an object; lists may refer to it too.
    Object,
    /// The list of chunks that an object consists of.
    List,
}

impl Role {
    const fn code(self) -> u8 {
        match self {
            Self::Chunk => 0,
            Self::Object => 1,
            Self::List => 2,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Chunk),
            1 => Some(Self::Object),
            2 => Some(Self::List),
            _ => None,
        }
    }

    /// Whether somebody stored this as an object, by its digest.
    pub(crate) const fn is_object(self) -> bool {
        matches!(self, Self::Object | Self::List)
    }
}

/// One entry of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Of the content; of a list, the digest of what its chunks come to.
    pub(crate) digest: ObjectId,
    /// Of the stored bytes.
    pub(crate) check: Check,
    /// Where the stored bytes begin.
    pub(crate) offset: u64,
    /// Length of the content; of a list, of what its chunks come to.
    pub(crate) size_bytes: u64,
    /// Length of the stored bytes.
    pub(crate) stored_bytes: u32,
    pub(crate) encoding: Encoding,
    pub(crate) role: Role,
}

impl Entry {
    pub(crate) fn encode(&self, bytes: &mut Vec<u8>) {
        let Self {
            digest,
            check,
            offset,
            size_bytes,
            stored_bytes,
            encoding,
            role,
        } = self;
        bytes.extend_from_slice(digest.as_bytes());
        bytes.extend_from_slice(check);
        bytes.extend_from_slice(&offset.to_le_bytes());
        bytes.extend_from_slice(&size_bytes.to_le_bytes());
        bytes.extend_from_slice(&stored_bytes.to_le_bytes());
        bytes.extend_from_slice(&[encoding.code(), role.code(), 0, 0]);
    }

    /// Decodes an entry whose payload ends before `payloads_end`; nothing comes of one that cannot be.
    pub(crate) fn decode(bytes: &[u8; ENTRY_BYTES], payloads_end: u64) -> Option<Self> {
        let (digest, rest) = bytes.split_first_chunk::<32>()?;
        let (check, rest) = rest.split_first_chunk::<16>()?;
        let (offset, rest) = rest.split_first_chunk::<8>()?;
        let (size_bytes, rest) = rest.split_first_chunk::<8>()?;
        let (stored_bytes, rest) = rest.split_first_chunk::<4>()?;
        let &[encoding, role, 0, 0] = rest else {
            return None;
        };
        let entry = Self {
            digest: ObjectId::from_bytes(*digest),
            check: *check,
            offset: u64::from_le_bytes(*offset),
            size_bytes: u64::from_le_bytes(*size_bytes),
            stored_bytes: u32::from_le_bytes(*stored_bytes),
            encoding: Encoding::from_code(encoding)?,
            role: Role::from_code(role)?,
        };
        entry.is_possible(payloads_end).then_some(entry)
    }

    pub(crate) fn end(&self) -> u64 {
        self.offset.saturating_add(u64::from(self.stored_bytes))
    }

    /// Whether the sizes fit each other, so that nobody takes memory for what cannot be.
    fn is_possible(&self, payloads_end: u64) -> bool {
        let stored_bytes = u64::from(self.stored_bytes);
        let is_inside = self.offset >= HEADER_BYTES as u64 && self.end() <= payloads_end;
        let fits = match (self.role, self.encoding) {
            (Role::List, Encoding::Raw) => self.size_bytes >= SMALL_MAX_BYTES,
            (Role::List, Encoding::Zstd) => false,
            (_, Encoding::Raw) => {
                self.size_bytes < SMALL_MAX_BYTES && stored_bytes == self.size_bytes
            }
            (_, Encoding::Zstd) => {
                self.size_bytes < SMALL_MAX_BYTES && stored_bytes < self.size_bytes
            }
        };
        is_inside && fits
    }
}

/// The first bytes of a pack.
pub(crate) fn encode_header() -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..12].copy_from_slice(&MAGIC);
    bytes[12..].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes
}

/// The last bytes of a pack.
///
/// Number of entries (4), bits of the fanout (1), zeros (3), where the index begins (8), checksum of the
/// fanout (16), checksum of the footer without itself (16), version (4), magic (12).
/// The last sixteen bytes stay where they are in later versions, so that those can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) entries: u32,
    pub(crate) fanout_bits: u8,
    pub(crate) index_offset: u64,
    pub(crate) fanout_check: Check,
}

/// Why a footer cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FooterFault {
    Damaged,
    Newer(u32),
}

impl Footer {
    pub(crate) fn encode(&self) -> [u8; FOOTER_BYTES] {
        let mut bytes = [0; FOOTER_BYTES];
        bytes[..4].copy_from_slice(&self.entries.to_le_bytes());
        bytes[4] = self.fanout_bits;
        bytes[8..16].copy_from_slice(&self.index_offset.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.fanout_check);
        bytes[48..52].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[52..].copy_from_slice(&MAGIC);
        let check = Self::check(&bytes);
        bytes[32..48].copy_from_slice(&check);
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; FOOTER_BYTES]) -> Result<Self, FooterFault> {
        let number = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        if bytes[52..] != MAGIC {
            return Err(FooterFault::Damaged);
        }
        let version = number(48);
        if version > FORMAT_VERSION {
            return Err(FooterFault::Newer(version));
        }
        let is_right = version == FORMAT_VERSION
            && bytes[32..48] == Self::check(bytes)
            && bytes[4] <= FANOUT_BITS_MAX
            && bytes[5..8] == [0; 3];
        if !is_right {
            return Err(FooterFault::Damaged);
        }
        let mut fanout_check = [0; 16];
        fanout_check.copy_from_slice(&bytes[16..32]);
        Ok(Self {
            entries: number(0),
            fanout_bits: bytes[4],
            index_offset: u64::from(number(8)) | (u64::from(number(12)) << 32),
            fanout_check,
        })
    }

    fn check(bytes: &[u8; FOOTER_BYTES]) -> Check {
        let digest = blake3::Hasher::new()
            .update(&bytes[..32])
            .update(&bytes[48..])
            .finalize();
        half(digest.as_bytes())
    }

    pub(crate) fn segments(&self) -> usize {
        1 << self.fanout_bits
    }

    pub(crate) fn segments_bytes(&self) -> u64 {
        u64::from(self.entries) * ENTRY_BYTES as u64
    }

    pub(crate) fn fanout_bytes(&self) -> usize {
        self.segments() * FANOUT_BYTES
    }

    /// How long the whole pack is.
    pub(crate) fn pack_bytes(&self) -> Option<u64> {
        let index_bytes = self.segments_bytes() + (self.fanout_bytes() + FOOTER_BYTES) as u64;
        self.index_offset.checked_add(index_bytes)
    }
}

/// How many bits of a digest choose its segment, for so many entries.
pub(crate) fn fanout_bits(entries: u32) -> u8 {
    let fits = |bits: &u8| (entries >> bits) <= SEGMENT_ENTRIES;
    (0..FANOUT_BITS_MAX).find(fits).unwrap_or(FANOUT_BITS_MAX)
}

/// Which segment an entry stands in.
pub(crate) fn segment_of(digest: &ObjectId, fanout_bits: u8) -> usize {
    let bytes = digest.as_bytes();
    let first = u16::from_be_bytes([bytes[0], bytes[1]]);
    usize::from(first) >> (FANOUT_BITS_MAX - fanout_bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            digest: ObjectId::of(b"abc"),
            check: check_of(b"abc"),
            offset: 16,
            size_bytes: 3,
            stored_bytes: 3,
            encoding: Encoding::Raw,
            role: Role::Object,
        }
    }

    fn encoded(entry: &Entry) -> [u8; ENTRY_BYTES] {
        let mut bytes = Vec::new();
        entry.encode(&mut bytes);
        bytes.try_into().unwrap()
    }

    #[test]
    fn an_entry_survives_and_one_that_cannot_be_is_refused() {
        assert_eq!(Entry::decode(&encoded(&entry()), 19), Some(entry()));
        let wrong = [
            Entry {
                offset: 15,
                ..entry()
            },
            Entry {
                offset: 17,
                ..entry()
            },
            Entry {
                offset: u64::MAX,
                ..entry()
            },
            Entry {
                size_bytes: 4,
                ..entry()
            },
            Entry {
                size_bytes: u64::MAX,
                encoding: Encoding::Zstd,
                ..entry()
            },
            Entry {
                encoding: Encoding::Zstd,
                ..entry()
            },
            Entry {
                role: Role::List,
                ..entry()
            },
            Entry {
                role: Role::List,
                size_bytes: 2 << 20,
                encoding: Encoding::Zstd,
                ..entry()
            },
        ];
        for entry in wrong {
            assert_eq!(Entry::decode(&encoded(&entry), 19), None, "{entry:?}");
        }
        for at in 68..ENTRY_BYTES {
            let mut bytes = encoded(&entry());
            bytes[at] ^= 0x80;
            assert_eq!(Entry::decode(&bytes, 19), None, "byte {at}");
        }
    }

    #[test]
    fn a_footer_survives_and_each_flipped_bit_is_noticed() {
        let footer = Footer {
            entries: 7,
            fanout_bits: 3,
            index_offset: 1 << 40,
            fanout_check: check_of(b"fanout"),
        };
        let bytes = footer.encode();
        assert_eq!(Footer::decode(&bytes), Ok(footer));
        for at in 0..FOOTER_BYTES {
            for bit in 0..8 {
                let mut flipped = bytes;
                flipped[at] ^= 1 << bit;
                assert!(Footer::decode(&flipped).is_err(), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn a_later_version_is_told_from_damage() {
        let mut bytes = [0xff; FOOTER_BYTES];
        bytes[48..52].copy_from_slice(&2_u32.to_le_bytes());
        bytes[52..].copy_from_slice(&MAGIC);
        assert_eq!(Footer::decode(&bytes), Err(FooterFault::Newer(2)));
    }

    #[test]
    fn names_of_other_files_are_no_packs() {
        let name = PackName(check_of(b"abc"));
        assert_eq!(PackName::from_file_name(&name.file_name()), Some(name));
        for other in [
            "",
            ".pack",
            "a.pack",
            "lock",
            &name.file_name().to_uppercase(),
            &format!("{}~", name.file_name()),
        ] {
            assert_eq!(PackName::from_file_name(other), None, "{other}");
        }
    }

    #[test]
    fn segments_stay_small_and_keep_the_order_of_digests() {
        assert_eq!(fanout_bits(0), 0);
        assert_eq!(fanout_bits(128), 0);
        assert_eq!(fanout_bits(16_384), 7);
        assert_eq!(fanout_bits(u32::MAX), 16);
        let low = ObjectId::from_bytes([0; 32]);
        let high = ObjectId::from_bytes([0xff; 32]);
        for bits in 0..=16 {
            assert_eq!(segment_of(&low, bits), 0);
            assert_eq!(segment_of(&high, bits), (1 << bits) - 1);
        }
    }
}
