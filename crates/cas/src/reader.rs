//! Reading an object piece by piece, and writing one to a file.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;

use entities::ObjectId;

use crate::cas::{Content, Inner};
use crate::list::ChunkRef;
use crate::{Cas, CasError, Damage};

/// Reads one object, verifying it on the way.
pub struct ObjectReader {
    inner: Arc<Inner>,
    id: ObjectId,
    size_bytes: u64,
    chunks: std::vec::IntoIter<ChunkRef>,
    /// The chunk that is being handed out, and how much of it has been.
    chunk: Vec<u8>,
    position: usize,
    /// Of all that was handed out; not needed for an object that is one piece, which was verified at once.
    whole: Option<Box<blake3::Hasher>>,
    /// What is kept elsewhere is verified there.
    distant: Option<Box<dyn Read + Send>>,
}

impl std::fmt::Debug for ObjectReader {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ObjectReader")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl ObjectReader {
    pub(crate) fn open(inner: Arc<Inner>, id: ObjectId) -> Result<Self, CasError> {
        let (chunk, chunks, size_bytes) = match inner.open(&id)? {
            Content::Whole(content) => {
                let size_bytes = content.len() as u64;
                (content, Vec::new(), size_bytes)
            }
            Content::Chunks { chunks, size_bytes } => (Vec::new(), chunks, size_bytes),
        };
        Ok(Self {
            inner,
            id,
            size_bytes,
            whole: (!chunks.is_empty()).then(Box::default),
            chunks: chunks.into_iter(),
            chunk,
            position: 0,
            distant: None,
        })
    }

    pub(crate) fn distant(
        inner: Arc<Inner>,
        id: ObjectId,
        size_bytes: u64,
        reader: Box<dyn Read + Send>,
    ) -> Self {
        Self {
            inner,
            id,
            size_bytes,
            chunks: Vec::new().into_iter(),
            chunk: Vec::new(),
            position: 0,
            whole: None,
            distant: Some(reader),
        }
    }

    /// The length of the whole object.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Moves on to the next chunk; false at the end, which is one only if the whole has the right digest.
    fn advance(&mut self) -> Result<bool, CasError> {
        let Some(chunk) = self.chunks.next() else {
            return match self.whole.take() {
                Some(whole) if *whole.finalize().as_bytes() != *self.id.as_bytes() => {
                    Err(self.inner.fault_of(&self.id, Damage::ChunkList))
                }
                _ => Ok(false),
            };
        };
        self.chunk = self.inner.read_chunk_of(&self.id, &chunk)?;
        self.position = 0;
        if let Some(whole) = &mut self.whole {
            whole.update(&self.chunk);
        }
        Ok(true)
    }
}

impl Read for ObjectReader {
    /// Errors are `CasError`s inside of an `io::Error`.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if let Some(reader) = &mut self.distant {
            return reader.read(buffer);
        }
        while self.position == self.chunk.len() {
            if !self.advance().map_err(io::Error::other)? {
                return Ok(0);
            }
        }
        let length = buffer.len().min(self.chunk.len() - self.position);
        buffer[..length].copy_from_slice(&self.chunk[self.position..][..length]);
        self.position += length;
        Ok(length)
    }
}

impl Cas {
    /// Writes an object to a new file, with mode 0755 or 0644 less the process's mask.
    ///
    /// The file must not exist, not even as a link that leads nowhere: nothing is ever written through a link.
    /// After a failure there is no file.
    ///
    /// *Errors*: as `read`; `Io` when the file exists or cannot be made; `DiskFull`.
    ///
    /// *Cost*: constant memory; two threads for a large object. The file is not synced.
    pub fn checkout_file(
        &self,
        id: &ObjectId,
        path: &Path,
        is_executable: bool,
    ) -> Result<(), CasError> {
        // First what can be found out before there is a file.
        let content = match self.inner.open(id) {
            Err(CasError::Missing { .. }) if self.has_distant() => None,
            opened => Some(opened?),
        };
        let mode = if is_executable { 0o755 } else { 0o644 };
        let mut options = File::options();
        // `create_new` is O_EXCL, which does not follow a link at the end of the path.
        let file = options
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)
            .map_err(CasError::io("make", path))?;
        let written = match content {
            Some(Content::Whole(content)) => write(&file, path, &content),
            Some(Content::Chunks { chunks, .. }) => self.write_chunks(id, &chunks, &file, path),
            None => self.copy_distant(id, &file, path),
        };
        if written.is_err() {
            // It is ours, as it was not there before; a fault of removing it would hide the first one.
            drop(fs::remove_file(path));
        }
        written
    }

    /// One thread reads chunks and verifies them, the other digests the whole and writes.
    fn write_chunks(
        &self,
        id: &ObjectId,
        chunks: &[ChunkRef],
        file: &File,
        path: &Path,
    ) -> Result<(), CasError> {
        /// Chunks that wait to be written: four megabytes at most.
        const WAITING_MAX: usize = 32;
        /// Written at once: chunks end anywhere, and a file system works twice for each block that is written in parts.
        const WRITTEN_BYTES: usize = 1 << 20;
        let mut whole = blake3::Hasher::new();
        let mut waiting = BufWriter::with_capacity(WRITTEN_BYTES, file);
        let mut take = |content: &[u8]| {
            whole.update(content);
            waiting
                .write_all(content)
                .map_err(CasError::io("write", path))
        };
        if self.inner.options.threads_or_default() == 1 {
            for chunk in chunks {
                take(&self.inner.read_chunk_of(id, chunk)?)?;
            }
        } else {
            thread::scope(|scope| {
                let (sender, receiver) = sync_channel(WAITING_MAX);
                scope.spawn(move || {
                    for chunk in chunks {
                        let content = self.inner.read_chunk_of(id, chunk);
                        let is_last = content.is_err();
                        // Nobody receives any more when writing has failed.
                        if sender.send(content).is_err() || is_last {
                            return;
                        }
                    }
                });
                receiver.into_iter().try_for_each(|content| take(&content?))
            })?;
        }
        waiting.flush().map_err(CasError::io("write", path))?;
        if *whole.finalize().as_bytes() == *id.as_bytes() {
            Ok(())
        } else {
            Err(self.inner.fault_of(id, Damage::ChunkList))
        }
    }
}

fn write(mut file: &File, path: &Path, content: &[u8]) -> Result<(), CasError> {
    file.write_all(content).map_err(CasError::io("write", path))
}
