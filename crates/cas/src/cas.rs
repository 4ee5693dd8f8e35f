//! The store of objects, and reading from it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use entities::{EntryKind, ObjectId, Tree};

use crate::codec::Codec;
use crate::distant::{Distant, fault_of_reader};
use crate::list::ChunkRef;
use crate::locks::Locks;
use crate::pack::{Entry, Role};
use crate::packs::Packs;
use crate::reader::ObjectReader;
use crate::{CasError, Damage, layout};

/// A store of objects: immutable bytes, named by their BLAKE3 digest.
///
/// Cheap to clone. Many threads and many processes may use one store at once.
#[derive(Clone, Debug)]
pub struct Cas {
    pub(crate) inner: Arc<Inner>,
    /// Where else contents are.
    pub(crate) distant: Arc<[Arc<dyn Distant>]>,
    /// Where `store` puts new ones, if not into packs; the same for all clones.
    pub(crate) target: Arc<OnceLock<Arc<dyn Distant>>>,
}

/// How a store is used; none of it changes what is stored or what is read.
#[derive(Clone, Debug)]
pub struct CasOptions {
    /// Threads that work on one large object; as many as there are cores, and four at most, if not given.
    pub threads: Option<NonZeroUsize>,
    /// A pack that has reached this size is followed by another. A gigabyte: removing one object rewrites its pack.
    pub pack_max_bytes: u64,
}

impl Default for CasOptions {
    fn default() -> Self {
        Self {
            threads: None,
            pack_max_bytes: 1 << 30,
        }
    }
}

impl CasOptions {
    pub(crate) fn threads_or_default(&self) -> usize {
        /// Reading, which is not shared out, is then what takes longest.
        const THREADS_MAX: usize = 4;
        match self.threads {
            Some(threads) => threads.get(),
            None => {
                std::thread::available_parallelism().map_or(1, |cores| cores.get().min(THREADS_MAX))
            }
        }
    }
}

/// What clones of a store share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) packs: Packs,
    pub(crate) locks: Locks,
    pub(crate) codec: Codec,
    pub(crate) options: CasOptions,
    /// File that names the version of the store.
    pub(crate) format: PathBuf,
    /// Folder of what was pinned on which day.
    pub(crate) recent: PathBuf,
}

/// What an object consists of.
pub(crate) enum Content {
    Whole(Vec<u8>),
    Chunks {
        chunks: Vec<ChunkRef>,
        size_bytes: u64,
    },
}

impl Cas {
    /// Opens a store, making it where there is none.
    ///
    /// `temporary` holds what is being written, and must be on the same file system as `objects`.
    /// What killed processes left in it is removed once it is an hour old.
    ///
    /// *Errors*: `Newer` for a store of a later version; `Damaged` when the file that names the version is;
    /// `DiskFull` and `Io` when folders cannot be made.
    ///
    /// *Cost*: about 0.1 ms. No pack is opened before something is looked up.
    pub fn open(objects: &Path, temporary: &Path, options: CasOptions) -> Result<Self, CasError> {
        let folders = layout::prepare(objects, temporary)?;
        let cas = Self::with_folders(folders, objects, temporary, options);
        cas.inner.locks.sweep_stale()?;
        Ok(cas)
    }

    /// Opens a store that may only be read: makes no folder, file or lock, and removes nothing.
    ///
    /// Whatever reads can be used; a batch, `gc` and `forget` fail with `Io`.
    ///
    /// *Errors*: as `open`, and `Io` where there is no store.
    ///
    /// *Cost*: less than `open`.
    pub fn open_read_only(
        objects: &Path,
        temporary: &Path,
        options: CasOptions,
    ) -> Result<Self, CasError> {
        let folders = layout::find(objects)?;
        Ok(Self::with_folders(folders, objects, temporary, options))
    }

    fn with_folders(
        folders: layout::Folders,
        objects: &Path,
        temporary: &Path,
        options: CasOptions,
    ) -> Self {
        let inner = Inner {
            packs: Packs::new(&folders.packs),
            locks: Locks::new(objects, temporary),
            codec: Codec::default(),
            options,
            format: folders.format,
            recent: folders.recent,
        };
        Self {
            inner: Arc::new(inner),
            distant: Arc::new([]),
            target: Arc::default(),
        }
    }

    /// Whether an object is there.
    ///
    /// *Errors*: `Damaged`, `Newer` and `Io` from reading the index of a pack.
    ///
    /// *Cost*: one call of the system, to see whether other processes changed the folder, and a search in memory.
    pub fn contains(&self, id: &ObjectId) -> Result<bool, CasError> {
        if self.inner.contains(id)? {
            return Ok(true);
        }
        match self.find_distant(id, |place| place.size_bytes(id)) {
            Ok(_) => Ok(true),
            Err(CasError::Missing { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The length of an object's content; nothing where it is not there.
    ///
    /// *Errors* and *Cost*: as `contains`.
    pub fn size_bytes(&self, id: &ObjectId) -> Result<Option<u64>, CasError> {
        let here = self
            .inner
            .packs
            .with_entry(id, is_object, |found| Ok(found.entry.size_bytes))?;
        if here.is_some() {
            return Ok(here);
        }
        match self.find_distant(id, |place| place.size_bytes(id)) {
            Ok(size_bytes) => Ok(Some(size_bytes)),
            Err(CasError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads an object whole.
    ///
    /// *Errors*: `Missing`; `Damaged` when the content does not have the digest that names it; `Newer` and `Io`.
    ///
    /// *Cost*: memory for the whole; `reader` has no need of it.
    pub fn read(&self, id: &ObjectId) -> Result<Vec<u8>, CasError> {
        let (chunks, size_bytes) = match self.inner.open(id) {
            Err(CasError::Missing { .. }) if self.has_distant() => {
                let mut content = Vec::new();
                let mut reader = self.read_distant(id, 0, u64::MAX)?;
                io::Read::read_to_end(&mut reader, &mut content).map_err(fault_of_reader)?;
                return Ok(content);
            }
            Err(error) => return Err(error),
            Ok(Content::Whole(content)) => return Ok(content),
            Ok(Content::Chunks { chunks, size_bytes }) => (chunks, size_bytes),
        };
        let mut content = Vec::with_capacity(size_bytes as usize);
        for chunk in &chunks {
            content.extend_from_slice(&self.inner.read_chunk_of(id, chunk)?);
        }
        if ObjectId::of(&content) == *id {
            Ok(content)
        } else {
            Err(self.inner.fault_of(id, Damage::ChunkList))
        }
    }

    /// Reads an object piece by piece.
    ///
    /// *Errors*: as `read`; damage in what follows comes from the reader, at the latest when it ends.
    /// No byte of a damaged chunk is handed out.
    ///
    /// *Cost*: memory for one chunk, of 128 KiB at most, and 36 bytes for each chunk.
    pub fn reader(&self, id: &ObjectId) -> Result<ObjectReader, CasError> {
        match ObjectReader::open(Arc::clone(&self.inner), *id) {
            Err(CasError::Missing { .. }) if self.has_distant() => {
                let size_bytes = self.find_distant(id, |place| place.size_bytes(id))?;
                let reader = self.read_distant(id, 0, u64::MAX)?;
                Ok(ObjectReader::distant(
                    Arc::clone(&self.inner),
                    *id,
                    size_bytes,
                    reader,
                ))
            }
            opened => opened,
        }
    }

    /// Reads a part of an object; it is shorter than asked for where the object ends before.
    ///
    /// *Errors*: as `read`. Every chunk that the part touches is verified; the others are not looked at.
    ///
    /// *Cost*: the chunks that the part touches, and the list of all.
    pub fn read_range(&self, id: &ObjectId, offset: u64, length: u64) -> Result<Vec<u8>, CasError> {
        let end = offset.saturating_add(length);
        let chunks = match self.inner.open(id) {
            Err(CasError::Missing { .. }) if self.has_distant() => {
                let mut part = Vec::new();
                let mut reader = self.read_distant(id, offset, length)?;
                io::Read::read_to_end(&mut reader, &mut part).map_err(fault_of_reader)?;
                return Ok(part);
            }
            Err(error) => return Err(error),
            Ok(Content::Whole(content)) => return Ok(part_of(&content, 0, offset, end).to_vec()),
            Ok(Content::Chunks { chunks, .. }) => chunks,
        };
        let (mut part, mut at) = (Vec::new(), 0);
        for chunk in &chunks {
            let after = at + u64::from(chunk.size_bytes);
            if at >= end {
                break;
            }
            if after > offset {
                part.extend_from_slice(part_of(
                    &self.inner.read_chunk_of(id, chunk)?,
                    at,
                    offset,
                    end,
                ));
            }
            at = after;
        }
        Ok(part)
    }

    /// Reads a tree.
    ///
    /// *Errors*: as `read`, and `Io` when the object is none.
    pub fn read_tree(&self, id: &ObjectId) -> Result<Tree, CasError> {
        Tree::decode(&self.read(id)?).map_err(|fault| CasError::Io {
            action: "read as a tree",
            path: PathBuf::from(id.to_string()),
            source: io::Error::new(io::ErrorKind::InvalidData, fault),
        })
    }

    /// Visits the tree, the trees below it, and the object of every entry, whether its bytes are there or not.
    ///
    /// A tree that is not there is visited and given back, and what it held is not. A tree that stands in several places
    /// is entered once.
    ///
    /// *Errors*: as `read_tree`, save `Missing`.
    pub fn walk_tree(
        &self,
        id: &ObjectId,
        visit: &mut dyn FnMut(ObjectId),
    ) -> Result<Vec<ObjectId>, CasError> {
        visit(*id);
        let mut missing = Vec::new();
        // Neither a deep tree nor one that holds another a thousand times may exhaust anything.
        let (mut entered, mut waiting) = (BTreeSet::from([*id]), vec![*id]);
        while let Some(id) = waiting.pop() {
            let tree = match self.read_tree(&id) {
                Err(CasError::Missing { .. }) => {
                    missing.push(id);
                    continue;
                }
                tree => tree?,
            };
            for entry in tree.entries() {
                visit(entry.object);
                if entry.kind == EntryKind::Directory && entered.insert(entry.object) {
                    waiting.push(entry.object);
                }
            }
        }
        Ok(missing)
    }
}

impl Inner {
    pub(crate) fn contains(&self, id: &ObjectId) -> Result<bool, CasError> {
        Ok(self.packs.with_entry(id, is_object, |_| Ok(()))?.is_some())
    }

    /// Reads the content of a small object, or the list of a large one.
    pub(crate) fn open(&self, id: &ObjectId) -> Result<Content, CasError> {
        let content = self
            .packs
            .with_entry(id, is_object, |found| match found.entry.role {
                Role::List => Ok(Content::Chunks {
                    chunks: found.pack.read_list(&found.entry)?,
                    size_bytes: found.entry.size_bytes,
                }),
                Role::Object | Role::Chunk => Ok(Content::Whole(
                    found.pack.read_content(&found.entry, &self.codec)?,
                )),
            })?;
        content.ok_or(CasError::Missing { object: *id })
    }

    /// Reads a chunk and verifies it.
    pub(crate) fn read_chunk(&self, chunk: &ChunkRef) -> Result<Vec<u8>, CasError> {
        let is_chunk = |entry: &Entry| {
            entry.role != Role::List && entry.size_bytes == u64::from(chunk.size_bytes)
        };
        let content = self.packs.with_entry(&chunk.digest, is_chunk, |found| {
            found.pack.read_content(&found.entry, &self.codec)
        })?;
        content.ok_or(CasError::Missing {
            object: chunk.digest,
        })
    }

    /// Reads a chunk of an object and verifies it.
    pub(crate) fn read_chunk_of(
        &self,
        id: &ObjectId,
        chunk: &ChunkRef,
    ) -> Result<Vec<u8>, CasError> {
        self.read_chunk(chunk).map_err(|error| match error {
            CasError::Missing { .. } => self.fault_of(id, Damage::ChunkMissing),
            error => error,
        })
    }

    /// What to say of an object whose list of chunks was read and does not lead to it.
    pub(crate) fn fault_of(&self, id: &ObjectId, damage: Damage) -> CasError {
        let told = self.packs.with_entry(id, is_object, |found| {
            Err::<(), _>(found.pack.damaged(&found.entry, damage))
        });
        // It may have been collected meanwhile.
        told.err().unwrap_or(CasError::Missing { object: *id })
    }

    /// Makes the names in the folder of packs durable.
    pub(crate) fn sync_packs(&self) -> Result<(), CasError> {
        layout::sync_folder(self.packs.folder())
    }
}

pub(crate) fn is_object(entry: &Entry) -> bool {
    entry.role.is_object()
}

/// Of a content that begins at `at`, what lies between two offsets.
fn part_of(content: &[u8], at: u64, from: u64, to: u64) -> &[u8] {
    let length = content.len() as u64;
    let begin = from.saturating_sub(at).min(length);
    let end = to.saturating_sub(at).min(length).max(begin);
    &content[begin as usize..end as usize]
}

/// Digests a content without storing it, and says how long it is.
///
/// *Errors*: those of the reader.
///
/// *Cost*: one pass, in constant memory.
pub fn digest_reader(reader: &mut dyn io::Read) -> io::Result<(ObjectId, u64)> {
    digest(&mut |buffer, _| loop {
        match reader.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    })
}

/// Digests the whole content of a file, whatever its position is, and says how long it is.
///
/// *Errors* and *Cost*: as `digest_reader`.
pub fn digest_file(file: &File) -> io::Result<(ObjectId, u64)> {
    digest(&mut |buffer, offset| crate::batch::read_some_at(file, buffer, offset))
}

fn digest(
    read: &mut dyn FnMut(&mut [u8], u64) -> io::Result<usize>,
) -> io::Result<(ObjectId, u64)> {
    let mut hasher = blake3::Hasher::new();
    // Large enough for the widest instructions, small enough for the processor's cache.
    let mut buffer = vec![0; 256 << 10];
    let mut size_bytes = 0;
    loop {
        let length = read(&mut buffer, size_bytes)?;
        if length == 0 {
            return Ok((
                ObjectId::from_bytes(*hasher.finalize().as_bytes()),
                size_bytes,
            ));
        }
        hasher.update(&buffer[..length]);
        size_bytes += length as u64;
    }
}
