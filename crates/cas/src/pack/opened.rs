//! A pack that is there to be read.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use entities::ObjectId;

use super::files::FileCache;
use super::format::{Entry, HEADER_BYTES, PackName, Role, check_of, half};
use super::index::{Index, read_exactly};
use crate::codec::{Codec, Encoding};
use crate::list::{self, ChunkRef};
use crate::{CasError, Damage};

/// A pack; nothing of it is read before it is asked for.
#[derive(Debug)]
pub(crate) struct Pack {
    name: PackName,
    path: PathBuf,
    source: Source,
    index: OnceLock<Index>,
}

#[derive(Debug)]
enum Source {
    /// Opened when needed.
    Cached(Arc<FileCache>),
    /// Open all the time: a pack that nobody else knows yet.
    Held(Arc<File>),
}

impl Pack {
    pub(crate) fn listed(name: PackName, folder: &Path, files: &Arc<FileCache>) -> Self {
        Self {
            name,
            path: folder.join(name.file_name()),
            source: Source::Cached(Arc::clone(files)),
            index: OnceLock::new(),
        }
    }

    pub(crate) fn held(name: PackName, path: &Path, file: Arc<File>) -> Self {
        Self {
            name,
            path: path.to_owned(),
            source: Source::Held(file),
            index: OnceLock::new(),
        }
    }

    pub(crate) fn name(&self) -> PackName {
        self.name
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self) -> Result<Arc<File>, CasError> {
        match &self.source {
            Source::Cached(files) => files.open(self.name, &self.path),
            Source::Held(file) => Ok(Arc::clone(file)),
        }
    }

    pub(crate) fn index(&self) -> Result<&Index, CasError> {
        if let Some(index) = self.index.get() {
            return Ok(index);
        }
        let index = Index::read(&*self.file()?, &self.path)?;
        Ok(self.index.get_or_init(|| index))
    }

    pub(crate) fn find(&self, digest: &ObjectId) -> Result<Option<Entry>, CasError> {
        self.index()?.find(digest, || self.file(), &self.path)
    }

    /// Visits all entries in the order of their digests.
    pub(crate) fn for_each_entry(
        &self,
        mut visit: impl FnMut(Entry) -> Result<(), CasError>,
    ) -> Result<(), CasError> {
        let index = self.index()?;
        for segment in 0..index.segments() {
            for entry in index.entries_of_segment(segment, || self.file(), &self.path)? {
                visit(entry)?;
            }
        }
        Ok(())
    }

    /// Reads the first bytes of the file.
    pub(crate) fn read_header(&self) -> Result<Vec<u8>, CasError> {
        read_exactly(&*self.file()?, &self.path, 0, HEADER_BYTES)
    }

    /// Reads the stored bytes of an entry as they are.
    pub(crate) fn read_stored(&self, entry: &Entry) -> Result<Vec<u8>, CasError> {
        read_exactly(
            &*self.file()?,
            &self.path,
            entry.offset,
            entry.stored_bytes as usize,
        )
    }

    /// Reads the content of an entry that is no list, and compares its digest.
    pub(crate) fn read_content(&self, entry: &Entry, codec: &Codec) -> Result<Vec<u8>, CasError> {
        let content = self.decode(entry, self.read_stored(entry)?, codec)?;
        if ObjectId::of(&content) == entry.digest {
            Ok(content)
        } else {
            Err(self.damaged(entry, Damage::Content))
        }
    }

    /// Reads the chunks of an object.
    pub(crate) fn read_list(&self, entry: &Entry) -> Result<Vec<ChunkRef>, CasError> {
        let stored = self.read_stored(entry)?;
        if check_of(&stored) != entry.check {
            return Err(self.damaged(entry, Damage::Stored));
        }
        list::decode(&stored, entry.size_bytes)
            .ok_or_else(|| self.damaged(entry, Damage::ChunkList))
    }

    /// Reads everything of an entry and compares all that can be compared.
    pub(crate) fn verify(&self, entry: &Entry, codec: &Codec) -> Result<(), CasError> {
        if entry.role == Role::List {
            return self.read_list(entry).map(drop);
        }
        let stored = self.read_stored(entry)?;
        let is_checked_by_digest =
            entry.encoding == Encoding::Raw && entry.check == half(entry.digest.as_bytes());
        if !is_checked_by_digest && check_of(&stored) != entry.check {
            return Err(self.damaged(entry, Damage::Stored));
        }
        let content = self.decode(entry, stored, codec)?;
        if ObjectId::of(&content) == entry.digest {
            Ok(())
        } else {
            Err(self.damaged(entry, Damage::Content))
        }
    }

    pub(crate) fn damaged(&self, entry: &Entry, damage: Damage) -> CasError {
        CasError::Damaged {
            path: self.path.clone(),
            offset: entry.offset,
            object: Some(entry.digest),
            damage,
        }
    }

    fn decode(&self, entry: &Entry, stored: Vec<u8>, codec: &Codec) -> Result<Vec<u8>, CasError> {
        match entry.encoding {
            Encoding::Raw => Ok(stored),
            Encoding::Zstd => codec
                .decompress(&stored, entry.size_bytes as usize)
                .ok_or_else(|| self.damaged(entry, Damage::Compression)),
        }
    }
}
