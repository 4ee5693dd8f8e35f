//! A pack that is being written.

use std::collections::BTreeMap;
use std::fs::{File, FileTimes};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use entities::ObjectId;
use tempfile::NamedTempFile;

use super::format::{
    Check, ENTRY_BYTES, Entry, FANOUT_BYTES, Footer, PackName, Role, check_of, encode_header,
    fanout_bits, half, segment_of,
};
use super::opened::Pack;
use super::syncer::Syncer;
use crate::CasError;
use crate::codec::{Codec, Encoding};
use crate::locks::touch;

/// A pack of this many entries is closed: they are held in memory while it is written.
const ENTRIES_MAX: usize = 1 << 18;

/// Payloads are gathered to this size before they are written.
const BUFFER_BYTES: usize = 512 << 10;

/// Each time so much was written, it is synced while the next is computed, instead of all at the end.
const SYNCED_BYTES: u64 = 32 << 20;

/// Bytes as they go into a pack.
#[derive(Clone, Debug)]
pub(crate) struct Payload<'a> {
    pub(crate) digest: ObjectId,
    pub(crate) check: Check,
    pub(crate) stored: std::borrow::Cow<'a, [u8]>,
    pub(crate) size_bytes: u64,
    pub(crate) encoding: Encoding,
    pub(crate) role: Role,
}

impl<'a> Payload<'a> {
    /// Compresses a content where that pays.
    pub(crate) fn of_content(
        digest: ObjectId,
        content: &'a [u8],
        role: Role,
        codec: &Codec,
    ) -> Self {
        let size_bytes = content.len() as u64;
        match codec.compress(content) {
            Some(stored) => Self {
                digest,
                check: check_of(&stored),
                stored: stored.into(),
                size_bytes,
                encoding: Encoding::Zstd,
                role,
            },
            None => Self {
                digest,
                check: half(digest.as_bytes()),
                stored: content.into(),
                size_bytes,
                encoding: Encoding::Raw,
                role,
            },
        }
    }

    pub(crate) fn of_list(digest: ObjectId, list: &'a [u8], size_bytes: u64) -> Self {
        Self {
            digest,
            check: check_of(list),
            stored: list.into(),
            size_bytes,
            encoding: Encoding::Raw,
            role: Role::List,
        }
    }

    /// As it stands in another pack.
    pub(crate) fn copied(entry: &Entry, stored: Vec<u8>) -> Self {
        Self {
            digest: entry.digest,
            check: entry.check,
            stored: stored.into(),
            size_bytes: entry.size_bytes,
            encoding: entry.encoding,
            role: entry.role,
        }
    }
}

/// A pack that is being written, in a temporary file that goes away when dropped.
#[derive(Debug)]
pub(crate) struct PackWriter {
    temporary: NamedTempFile,
    buffer: Vec<u8>,
    written_bytes: u64,
    synced_bytes: u64,
    syncer: Option<Syncer>,
    /// Whether a write failed: the index then names bytes that may not be there.
    is_broken: bool,
    entries: Vec<Entry>,
    by_digest: BTreeMap<ObjectId, usize>,
}

impl PackWriter {
    pub(crate) fn new(temporary: NamedTempFile) -> Self {
        let mut buffer = Vec::with_capacity(BUFFER_BYTES);
        buffer.extend_from_slice(&encode_header());
        Self {
            temporary,
            buffer,
            written_bytes: 0,
            synced_bytes: 0,
            syncer: None,
            is_broken: false,
            entries: Vec::new(),
            by_digest: BTreeMap::new(),
        }
    }

    pub(crate) fn find(&self, digest: &ObjectId) -> Option<&Entry> {
        self.by_digest.get(digest).map(|at| &self.entries[*at])
    }

    /// Whether nothing more should go into this pack.
    pub(crate) fn is_full(&self, max_bytes: u64) -> bool {
        self.offset() >= max_bytes || self.entries.len() >= ENTRIES_MAX
    }

    /// Makes an object of what was a chunk only.
    pub(crate) fn promote(&mut self, digest: &ObjectId) {
        if let Some(at) = self.by_digest.get(digest) {
            let entry = &mut self.entries[*at];
            if entry.role == Role::Chunk {
                entry.role = Role::Object;
            }
        }
    }

    /// Adds a payload that is not in this pack yet.
    pub(crate) fn append(&mut self, payload: &Payload<'_>) -> Result<(), CasError> {
        debug_assert!(
            self.find(&payload.digest).is_none(),
            "each digest stands once in a pack"
        );
        let stored_bytes = u32::try_from(payload.stored.len()).map_err(|_| CasError::Io {
            action: "store an object of so many chunks in",
            path: self.temporary.path().to_owned(),
            source: std::io::ErrorKind::FileTooLarge.into(),
        })?;
        self.by_digest.insert(payload.digest, self.entries.len());
        self.entries.push(Entry {
            digest: payload.digest,
            check: payload.check,
            offset: self.offset(),
            size_bytes: payload.size_bytes,
            stored_bytes,
            encoding: payload.encoding,
            role: payload.role,
        });
        self.write(&payload.stored)
    }

    /// Writes the index. Nothing is durable yet.
    pub(crate) fn seal(mut self) -> Result<SealedPack, CasError> {
        let index_offset = self.offset();
        let mut entries = std::mem::take(&mut self.entries);
        entries.sort_unstable_by_key(|entry| entry.digest);
        let bits = fanout_bits(entries.len() as u32);
        let mut fanout = Vec::with_capacity(FANOUT_BYTES << bits);
        let mut rest = &entries[..];
        let mut segment = Vec::with_capacity(256 * ENTRY_BYTES);
        for number in 0..1_usize << bits {
            let length = rest.partition_point(|entry| segment_of(&entry.digest, bits) <= number);
            let (here, after) = rest.split_at(length);
            rest = after;
            segment.clear();
            for entry in here {
                entry.encode(&mut segment);
            }
            self.write(&segment)?;
            fanout.extend_from_slice(&((entries.len() - rest.len()) as u32).to_le_bytes());
            fanout.extend_from_slice(&check_of(&segment));
        }
        let footer = Footer {
            entries: entries.len() as u32,
            fanout_bits: bits,
            index_offset,
            fanout_check: check_of(&fanout),
        }
        .encode();
        self.write(&fanout)?;
        self.write(&footer)?;
        self.write_buffer()?;
        let name = PackName::of_footer(&footer);
        let path = self.temporary.path();
        let file = self
            .temporary
            .as_file()
            .try_clone()
            .map_err(CasError::io("write", path))?;
        Ok(SealedPack {
            pack: Arc::new(Pack::held(name, path, Arc::new(file))),
            temporary: self.temporary,
        })
    }

    fn offset(&self) -> u64 {
        self.written_bytes + self.buffer.len() as u64
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), CasError> {
        if self.buffer.len() + bytes.len() > BUFFER_BYTES {
            self.write_buffer()?;
        }
        if bytes.len() >= BUFFER_BYTES {
            return self.write_through(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    fn write_buffer(&mut self) -> Result<(), CasError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let written = self.write_through(&buffer);
        buffer.clear();
        self.buffer = buffer;
        written
    }

    fn write_through(&mut self, bytes: &[u8]) -> Result<(), CasError> {
        let path = self.temporary.path().to_owned();
        if self.is_broken {
            let source = std::io::Error::other("a write before this one failed");
            return Err(CasError::io("write", &path)(source));
        }
        let written = self.temporary.as_file_mut().write_all(bytes);
        self.is_broken = written.is_err();
        written.map_err(CasError::io("write", &path))?;
        self.written_bytes += bytes.len() as u64;
        if self.written_bytes - self.synced_bytes >= SYNCED_BYTES {
            self.synced_bytes = self.written_bytes;
            self.syncer
                .get_or_insert_with(|| Syncer::start(&path))
                .begin();
        }
        Ok(())
    }
}

/// A pack that is whole, and that nobody else can see yet.
#[derive(Debug)]
pub(crate) struct SealedPack {
    pub(crate) pack: Arc<Pack>,
    temporary: NamedTempFile,
}

impl SealedPack {
    /// Waits until all is on the disk.
    pub(crate) fn sync(&self) -> Result<(), CasError> {
        let path = self.temporary.path();
        self.temporary
            .as_file()
            .sync_all()
            .map_err(CasError::io("sync", path))
    }

    /// Makes the pack as old as what it was made of, so that its objects do not count as young.
    pub(crate) fn set_modified(&self, time: SystemTime) -> Result<(), CasError> {
        let path = self.temporary.path();
        let times = FileTimes::new().set_modified(time);
        self.temporary
            .as_file()
            .set_times(times)
            .map_err(CasError::io("write", path))
    }

    /// Makes the pack as young as can be.
    pub(crate) fn touch(&self) -> Result<(), CasError> {
        touch(self.temporary.as_file(), self.temporary.path())
    }

    /// Makes the pack visible; the folder is to be synced afterwards.
    pub(crate) fn publish(self, folder: &Path) -> Result<PackName, CasError> {
        let name = self.pack.name();
        let path = folder.join(name.file_name());
        let _file: File = self
            .temporary
            .persist(&path)
            .map_err(|fault| CasError::io("rename", &path)(fault.error))?;
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_that_failed_once_makes_no_pack_any_more() {
        // A device on which each write fails, and that takes the one after it as if nothing had happened.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pack");
        std::fs::write(&path, "").unwrap();
        let path = tempfile::TempPath::try_from_path(path).unwrap();
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut writer = PackWriter::new(NamedTempFile::from_parts(full, path));
        let content = vec![7; 2 * BUFFER_BYTES];
        let payload = Payload {
            digest: ObjectId::of(&content),
            check: half(ObjectId::of(&content).as_bytes()),
            stored: content.as_slice().into(),
            size_bytes: content.len() as u64,
            encoding: Encoding::Raw,
            role: Role::Object,
        };
        assert!(writer.append(&payload).is_err());
        let good = folder.path().join("good");
        writer.temporary = NamedTempFile::from_parts(
            File::create(&good).unwrap(),
            tempfile::TempPath::try_from_path(good).unwrap(),
        );
        assert!(writer.seal().is_err());
    }
}
