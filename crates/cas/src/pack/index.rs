//! The index of a pack, read as far as it is needed.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::OnceLock;

use entities::ObjectId;

use super::format::{
    ENTRY_BYTES, Entry, FANOUT_BYTES, FOOTER_BYTES, FORMAT_VERSION, Footer, FooterFault,
    HEADER_BYTES, PackName, check_of, segment_of,
};
use crate::{CasError, Damage};

/// Of a pack that is opened this much of the end is read at once: the whole index of 400 entries.
const TAIL_BYTES: u64 = 32 << 10;

/// The index of a pack.
#[derive(Debug)]
pub(crate) struct Index {
    footer: Footer,
    name: PackName,
    /// Checked against the footer.
    fanout: Vec<u8>,
    /// Each is read and checked when first asked for.
    segments: Box<[OnceLock<Box<[u8]>>]>,
    /// What was read with the footer, if it has all segments.
    tail: Option<Vec<u8>>,
}

impl Index {
    /// Reads footer and fanout, and of a small index all.
    pub(crate) fn read(file: &File, path: &Path) -> Result<Self, CasError> {
        let file_bytes = file.metadata().map_err(CasError::io("read", path))?.len();
        let damaged = |offset, damage| damaged(path, offset, damage);
        if file_bytes < (HEADER_BYTES + FOOTER_BYTES) as u64 {
            return Err(damaged(file_bytes, Damage::Truncated));
        }
        let tail_from = file_bytes - file_bytes.min(TAIL_BYTES);
        let tail = read_exactly(file, path, tail_from, (file_bytes - tail_from) as usize)?;
        let footer_bytes = tail
            .last_chunk::<FOOTER_BYTES>()
            .expect("the file is longer than a footer");
        let footer_offset = file_bytes - FOOTER_BYTES as u64;
        let footer = Footer::decode(footer_bytes).map_err(|fault| match fault {
            FooterFault::Damaged => damaged(footer_offset, Damage::Footer),
            FooterFault::Newer(found) => CasError::Newer {
                path: path.to_owned(),
                found,
                supported: FORMAT_VERSION,
            },
        })?;
        if footer.pack_bytes() != Some(file_bytes) || footer.index_offset < HEADER_BYTES as u64 {
            return Err(damaged(footer_offset, Damage::Truncated));
        }
        let fanout_offset = footer_offset - footer.fanout_bytes() as u64;
        let fanout = match fanout_offset.checked_sub(tail_from) {
            Some(at) => tail[at as usize..][..footer.fanout_bytes()].to_vec(),
            None => read_exactly(file, path, fanout_offset, footer.fanout_bytes())?,
        };
        let name = PackName::of_footer(footer_bytes);
        let tail = footer
            .index_offset
            .checked_sub(tail_from)
            .map(|at| tail[at as usize..].to_vec());
        let index = Self {
            segments: (0..footer.segments()).map(|_| OnceLock::new()).collect(),
            name,
            fanout,
            tail,
            footer,
        };
        if check_of(&index.fanout) != index.footer.fanout_check || !index.is_fanout_ordered() {
            return Err(damaged(fanout_offset, Damage::Index));
        }
        Ok(index)
    }

    /// The name that the content gives the pack.
    pub(crate) fn name(&self) -> PackName {
        self.name
    }

    pub(crate) fn payloads_end(&self) -> u64 {
        self.footer.index_offset
    }

    pub(crate) fn segments(&self) -> usize {
        self.segments.len()
    }

    /// Looks an entry up.
    pub(crate) fn find(
        &self,
        digest: &ObjectId,
        file: impl FnOnce() -> Result<std::sync::Arc<File>, CasError>,
        path: &Path,
    ) -> Result<Option<Entry>, CasError> {
        let number = segment_of(digest, self.footer.fanout_bits);
        let entries = self.segment(number, file, path)?;
        let (mut low, mut high) = (0, entries.len() / ENTRY_BYTES);
        while low < high {
            let middle = usize::midpoint(low, high);
            let bytes = entry_bytes(entries, middle);
            match bytes[..32].cmp(digest.as_bytes()) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => {
                    return self.decode(number, middle, bytes, path).map(Some);
                }
            }
        }
        Ok(None)
    }

    /// All entries of one segment, in the order of their digests.
    pub(crate) fn entries_of_segment(
        &self,
        number: usize,
        file: impl FnOnce() -> Result<std::sync::Arc<File>, CasError>,
        path: &Path,
    ) -> Result<Vec<Entry>, CasError> {
        let bytes = self.segment(number, file, path)?;
        let mut entries: Vec<Entry> = Vec::with_capacity(bytes.len() / ENTRY_BYTES);
        for at in 0..bytes.len() / ENTRY_BYTES {
            let entry = self.decode(number, at, entry_bytes(bytes, at), path)?;
            let is_in_place = segment_of(&entry.digest, self.footer.fanout_bits) == number
                && entries.last().is_none_or(|last| last.digest < entry.digest);
            if !is_in_place {
                return Err(damaged(path, self.offset_of(number, at), Damage::Entry));
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    fn segment(
        &self,
        number: usize,
        file: impl FnOnce() -> Result<std::sync::Arc<File>, CasError>,
        path: &Path,
    ) -> Result<&[u8], CasError> {
        let slot = &self.segments[number];
        if let Some(bytes) = slot.get() {
            return Ok(bytes);
        }
        let (from, to) = self.bounds(number);
        let offset = self.offset_of(number, 0);
        let bytes = match &self.tail {
            Some(tail) => tail[from * ENTRY_BYTES..to * ENTRY_BYTES].to_vec(),
            None if from == to => Vec::new(),
            None => read_exactly(&*file()?, path, offset, (to - from) * ENTRY_BYTES)?,
        };
        if self.fanout[number * FANOUT_BYTES..][4..FANOUT_BYTES] != check_of(&bytes) {
            return Err(damaged(path, offset, Damage::Index));
        }
        Ok(slot.get_or_init(|| bytes.into_boxed_slice()))
    }

    fn decode(
        &self,
        segment: usize,
        at: usize,
        bytes: &[u8; ENTRY_BYTES],
        path: &Path,
    ) -> Result<Entry, CasError> {
        Entry::decode(bytes, self.footer.index_offset)
            .ok_or_else(|| damaged(path, self.offset_of(segment, at), Damage::Entry))
    }

    /// Where in the file an entry stands.
    fn offset_of(&self, segment: usize, at: usize) -> u64 {
        self.footer.index_offset + ((self.bounds(segment).0 + at) * ENTRY_BYTES) as u64
    }

    /// Which entries a segment has.
    fn bounds(&self, segment: usize) -> (usize, usize) {
        let from = segment
            .checked_sub(1)
            .map_or(0, |before| self.end_of(before));
        (from, self.end_of(segment))
    }

    fn end_of(&self, segment: usize) -> usize {
        let bytes = self.fanout[segment * FANOUT_BYTES..].first_chunk::<4>();
        u32::from_le_bytes(*bytes.expect("the fanout has four bytes and more a segment")) as usize
    }

    fn is_fanout_ordered(&self) -> bool {
        let last = self.segments.len() - 1;
        let is_rising = (0..last).all(|segment| self.end_of(segment) <= self.end_of(segment + 1));
        is_rising && self.end_of(last) == self.footer.entries as usize
    }
}

fn entry_bytes(segment: &[u8], at: usize) -> &[u8; ENTRY_BYTES] {
    segment[at * ENTRY_BYTES..]
        .first_chunk()
        .expect("a segment consists of whole entries")
}

pub(crate) fn damaged(path: &Path, offset: u64, damage: Damage) -> CasError {
    CasError::Damaged {
        path: path.to_owned(),
        offset,
        object: None,
        damage,
    }
}

/// Reads so many bytes, or says that the file is cut off.
pub(crate) fn read_exactly(
    file: &File,
    path: &Path,
    offset: u64,
    length: usize,
) -> Result<Vec<u8>, CasError> {
    let mut bytes = vec![0; length];
    match file.read_exact_at(&mut bytes, offset) {
        Ok(()) => Ok(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            Err(damaged(path, offset, Damage::Truncated))
        }
        Err(error) => Err(CasError::io("read", path)(error)),
    }
}
