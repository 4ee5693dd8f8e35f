//! Writing objects.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use entities::{ObjectId, Tree};

use crate::cas::Inner;
use crate::chunking::CHUNKED_MIN_BYTES;
use crate::list;
use crate::locks::PACK_PREFIX;
use crate::pack::{Entry, Pack, PackWriter, Payload, Role, SealedPack};
use crate::pins::Pins;
use crate::{Cas, CasError, consolidate, large};

/// Writes objects. Nothing is promised, and nothing of it visible to others, until `flush` or `commit`.
///
/// May be used from several threads at once. After a failed write a batch takes nothing more:
/// what it wrote since the last flush is gone, and all before that is unharmed.
///
/// *Cost*: however many objects, a flush syncs one file a gigabyte, and one folder.
#[derive(Debug)]
pub struct Batch {
    inner: Arc<Inner>,
    state: Mutex<State>,
    pins: Mutex<Pins>,
    /// Whether the packs were looked at since this batch began.
    has_looked: AtomicBool,
}

/// What was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The digest of the content.
    pub object: ObjectId,
    /// Its length.
    pub size_bytes: u64,
}

#[derive(Debug, Default)]
struct State {
    writer: Option<PackWriter>,
    sealed: Vec<SealedPack>,
    /// Objects written as lists since the last flush.
    lists: Vec<ObjectId>,
    /// Large objects under way, whose chunks no list names yet.
    large_puts: usize,
    failure: Option<Failure>,
}

/// Why a batch takes nothing more.
#[derive(Clone, Copy, Debug)]
enum Failure {
    DiskFull,
    Other,
}

impl Cas {
    /// Begins to write objects.
    ///
    /// *Cost*: nothing until the first object is put.
    pub fn batch(&self) -> Batch {
        Batch {
            inner: Arc::clone(&self.inner),
            state: Mutex::default(),
            pins: Mutex::default(),
            has_looked: AtomicBool::new(false),
        }
    }
}

impl Batch {
    /// Stores a content.
    ///
    /// *Errors*: `DiskFull` and `Io` from writing; the batch is of no more use then.
    ///
    /// *Cost*: one pass for the digest; a content that is new is also compressed, where that pays, and copied.
    pub fn put(&self, content: &[u8]) -> Result<ObjectId, CasError> {
        if content.len() >= CHUNKED_MIN_BYTES {
            return Ok(self.put_reader(&mut &*content)?.object);
        }
        let digest = ObjectId::of(content);
        self.put_small(digest, content)?;
        Ok(digest)
    }

    /// Stores what a reader gives until its end.
    ///
    /// *Errors*: as `put`, and `Io` when the reader fails; the batch can still be used after the latter.
    ///
    /// *Cost*: some 12 MB of memory however long the content is, and 36 bytes for each of its chunks.
    pub fn put_reader(&self, reader: &mut dyn Read) -> Result<Stored, CasError> {
        let unread = |source| CasError::Io {
            action: "read what is to be stored",
            path: PathBuf::new(),
            source,
        };
        self.put_source(&mut |buffer, _| read_some(reader, buffer).map_err(unread))
    }

    /// Stores the whole content of a file, from its beginning to its end, whatever its position is.
    ///
    /// *Errors* and *Cost*: as `put_reader`. The file's position is neither used nor changed, as others may share it.
    /// What cannot be read at a position, such as a pipe, is an `Io` error.
    pub fn put_file(&self, file: &File) -> Result<Stored, CasError> {
        let unread = |source| CasError::Io {
            action: "read the file that is to be stored",
            path: PathBuf::new(),
            source,
        };
        self.put_source(&mut |buffer, offset| read_some_at(file, buffer, offset).map_err(unread))
    }

    /// Stores the encoding of a tree.
    ///
    /// *Errors* and *Cost*: as `put`. Whether the objects of its entries are stored is not looked at.
    pub fn put_tree(&self, tree: &Tree) -> Result<ObjectId, CasError> {
        self.put(&tree.encode())
    }

    /// Whether the batch or the store has an object. One that is there stays: it is pinned, as what the batch stores is,
    /// so that what names it need not store it again.
    ///
    /// What cannot be read, as the index of a pack is damaged, counts as not there: it can be put again.
    ///
    /// *Errors*: `Io`, and those of a batch that failed before.
    pub fn contains(&self, id: &ObjectId) -> Result<bool, CasError> {
        let is_written = self
            .lock_usable()?
            .find(id, |entry| entry.role.is_object())?;
        if is_written {
            return Ok(true);
        }
        self.look_at_first()?;
        let inner = &self.inner;
        match self.lock_pins().pin_object(&inner.locks, &inner.packs, id) {
            Err(CasError::Damaged { .. } | CasError::Newer { .. }) => Ok(false),
            pinned => pinned,
        }
    }

    /// Makes durable and visible what was put so far; the batch goes on.
    ///
    /// *Errors*: `DiskFull` and `Io` from writing; `Missing` when `forget` took a chunk away that an object of
    /// this batch was going to share. The batch is of no more use after any of them.
    ///
    /// *Cost*: a sync of the file written, and one of the folder. Some flushes also merge small packs.
    pub fn flush(&self) -> Result<(), CasError> {
        let is_new = {
            let mut state = self.lock_usable()?;
            let flushed = self.flush_locked(&mut state);
            state.note(flushed)?
        };
        if is_new {
            consolidate::after_flush(&self.inner);
        }
        Ok(())
    }

    /// Makes durable and visible what was put, and ends the batch; dropping it without leaves nothing.
    ///
    /// *Errors* and *Cost*: as `flush`.
    pub fn commit(self) -> Result<(), CasError> {
        self.flush()
    }

    /// Stores a content of less than a megabyte as an object.
    pub(crate) fn put_small(&self, digest: ObjectId, content: &[u8]) -> Result<(), CasError> {
        if self.has_object(&digest)? {
            return Ok(());
        }
        self.append(&Payload::of_content(
            digest,
            content,
            Role::Object,
            &self.inner.codec,
        ))
    }

    /// Which of these chunks need not be written.
    pub(crate) fn has_chunks(&self, digests: &[ObjectId]) -> Result<Vec<bool>, CasError> {
        let is_chunk = |entry: &Entry| entry.role != Role::List;
        let mut is_there = Vec::with_capacity(digests.len());
        {
            let state = self.lock_usable()?;
            for digest in digests {
                is_there.push(state.find(digest, is_chunk)?);
            }
        }
        let asked: Vec<ObjectId> = digests
            .iter()
            .zip(&is_there)
            .filter(|(_, is_there)| !**is_there)
            .map(|(digest, _)| *digest)
            .collect();
        let inner = &self.inner;
        let pinned = self
            .lock_pins()
            .pin(&inner.locks, &inner.packs, &asked, is_chunk);
        let mut pinned = self.note(pinned)?.into_iter();
        for is_there in is_there.iter_mut().filter(|is_there| !**is_there) {
            *is_there = pinned.next().unwrap_or(false);
        }
        Ok(is_there)
    }

    /// Stores a chunk that is not there yet.
    pub(crate) fn put_chunk(&self, digest: ObjectId, content: &[u8]) -> Result<(), CasError> {
        self.append(&Payload::of_content(
            digest,
            content,
            Role::Chunk,
            &self.inner.codec,
        ))
    }

    /// Stores the list of the chunks that an object consists of.
    pub(crate) fn put_list(
        &self,
        digest: ObjectId,
        chunks: &[list::ChunkRef],
        size_bytes: u64,
    ) -> Result<(), CasError> {
        if self.has_object(&digest)? {
            return Ok(());
        }
        self.append(&Payload::of_list(digest, &list::encode(chunks), size_bytes))
    }

    pub(crate) fn threads(&self) -> usize {
        self.inner.options.threads_or_default()
    }

    /// Stores what `read` fills buffers with, given also the offset; zero bytes are the end.
    fn put_source(&self, read: &mut large::Source<'_>) -> Result<Stored, CasError> {
        self.look_at_first()?;
        let mut head = vec![0; 64 << 10];
        let mut length = 0;
        while length < CHUNKED_MIN_BYTES {
            if length == head.len() {
                head.resize(CHUNKED_MIN_BYTES.min(head.len() * 4), 0);
            }
            match read(&mut head[length..], length as u64)? {
                0 => {
                    let object = ObjectId::of(&head[..length]);
                    self.put_small(object, &head[..length])?;
                    let size_bytes = length as u64;
                    return Ok(Stored { object, size_bytes });
                }
                read => length += read,
            }
        }
        head.truncate(length);
        self.lock_usable()?.large_puts += 1;
        let stored = large::put(self, head, read);
        self.lock().large_puts -= 1;
        stored
    }

    fn append(&self, payload: &Payload<'_>) -> Result<(), CasError> {
        let mut state = self.lock_usable()?;
        // Another thread may have stored the same meanwhile.
        if payload.role.is_object() && state.find_and_promote(&payload.digest)? {
            return Ok(());
        }
        let appended = state.append(&self.inner, payload);
        state.note(appended)
    }

    /// Whether an object need not be written: this batch has it, or the store does and it is pinned.
    fn has_object(&self, digest: &ObjectId) -> Result<bool, CasError> {
        let is_written = self.lock_usable()?.find_and_promote(digest)?;
        if is_written {
            return Ok(true);
        }
        self.look_at_first()?;
        let inner = &self.inner;
        let pinned = self
            .lock_pins()
            .pin_object(&inner.locks, &inner.packs, digest);
        self.note(pinned)
    }

    /// Once a batch, so that it finds what others have stored before.
    fn look_at_first(&self) -> Result<(), CasError> {
        if !self.has_looked.swap(true, Ordering::Relaxed) {
            self.inner.packs.current()?;
        }
        Ok(())
    }

    fn note<T>(&self, result: Result<T, CasError>) -> Result<T, CasError> {
        match result {
            Ok(value) => Ok(value),
            Err(error) => self.lock().note(Err(error)),
        }
    }

    /// Returns whether there was anything to make visible.
    fn flush_locked(&self, state: &mut State) -> Result<bool, CasError> {
        state.seal()?;
        let mut pins = self.lock_pins();
        if state.sealed.is_empty() && !pins.has_unsettled() {
            return Ok(false);
        }
        for pack in &state.sealed {
            pack.sync()?;
        }
        let inner = &self.inner;
        let guard = inner.locks.shared()?;
        if pins.is_suspect(&inner.locks, &guard)? {
            self.check_lists(state)?;
        }
        if state.large_puts > 0 {
            // Once they can be seen, chunks of an object that is still being put belong to nothing yet.
            for sealed in &state.sealed {
                pins.keep_chunks(&inner.locks, &sealed.pack)?;
            }
        }
        // Before the packs: what they share with others must be safe when they can be seen.
        pins.settle(&inner.locks, &inner.recent, &guard)?;
        let is_new = !state.sealed.is_empty();
        state.lists.clear();
        // In the order of writing, so that the chunks of an object are visible before its list.
        for pack in state.sealed.drain(..) {
            // It counts as young from now on, however long the sync took.
            pack.touch()?;
            pack.publish(inner.packs.folder())?;
        }
        // Others need not wait for the disk: what this batch relies on is pinned until it ends.
        drop(guard);
        // Also where it only relies on what others have just stored: their names may not be on the disk yet.
        inner.sync_packs()?;
        inner.packs.relist()?;
        Ok(is_new)
    }

    /// Makes sure that every chunk of the objects about to be visible is there.
    fn check_lists(&self, state: &State) -> Result<(), CasError> {
        let listing = self.inner.packs.relist()?;
        let is_chunk = |entry: &Entry| entry.role != Role::List;
        for digest in &state.lists {
            let mut packs = state.sealed.iter().map(|sealed| &sealed.pack);
            let Some(chunks) = packs.find_map(|pack| read_list(pack, digest).transpose()) else {
                continue;
            };
            for chunk in chunks? {
                let is_there = state.find(&chunk.digest, is_chunk)?
                    || self
                        .inner
                        .packs
                        .find_in(&listing, &chunk.digest, is_chunk)?
                        .is_some();
                if !is_there {
                    return Err(CasError::Missing {
                        object: chunk.digest,
                    });
                }
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_usable(&self) -> Result<MutexGuard<'_, State>, CasError> {
        let state = self.lock();
        match state.failure {
            None => Ok(state),
            Some(Failure::DiskFull) => Err(CasError::DiskFull),
            Some(Failure::Other) => Err(CasError::Io {
                action: "go on with a batch that failed before",
                path: PathBuf::new(),
                source: io::Error::other("an earlier write of it failed"),
            }),
        }
    }

    fn lock_pins(&self) -> MutexGuard<'_, Pins> {
        self.pins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether the batch has written an entry.
    fn find(
        &self,
        digest: &ObjectId,
        is_wanted: impl Fn(&Entry) -> bool,
    ) -> Result<bool, CasError> {
        if self
            .writer
            .as_ref()
            .and_then(|writer| writer.find(digest))
            .is_some_and(&is_wanted)
        {
            return Ok(true);
        }
        for sealed in &self.sealed {
            if sealed.pack.find(digest)?.as_ref().is_some_and(&is_wanted) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the batch has written an object; one that is a chunk so far becomes one.
    fn find_and_promote(&mut self, digest: &ObjectId) -> Result<bool, CasError> {
        if let Some(writer) = &mut self.writer {
            writer.promote(digest);
        }
        self.find(digest, |entry| entry.role.is_object())
    }

    fn append(&mut self, inner: &Inner, payload: &Payload<'_>) -> Result<(), CasError> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            empty => empty.insert(PackWriter::new(inner.locks.temporary_file(PACK_PREFIX)?)),
        };
        if writer.find(&payload.digest).is_some() {
            return Ok(());
        }
        writer.append(payload)?;
        let is_full = writer.is_full(inner.options.pack_max_bytes);
        if payload.role == Role::List {
            self.lists.push(payload.digest);
        }
        if is_full { self.seal() } else { Ok(()) }
    }

    fn seal(&mut self) -> Result<(), CasError> {
        if let Some(writer) = self.writer.take() {
            self.sealed.push(writer.seal()?);
        }
        Ok(())
    }

    /// After a failure all that was written since the last flush is given up, and its space with it.
    fn note<T>(&mut self, result: Result<T, CasError>) -> Result<T, CasError> {
        if let Err(error) = &result {
            *self = Self {
                large_puts: self.large_puts,
                failure: Some(match error {
                    CasError::DiskFull => Failure::DiskFull,
                    _ => Failure::Other,
                }),
                ..Self::default()
            };
        }
        result
    }
}

fn read_list(pack: &Pack, digest: &ObjectId) -> Result<Option<Vec<list::ChunkRef>>, CasError> {
    match pack.find(digest)? {
        Some(entry) if entry.role == Role::List => pack.read_list(&entry).map(Some),
        _ => Ok(None),
    }
}

/// Reads once, however often it is interrupted.
fn read_some(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

pub(crate) fn read_some_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match file.read_at(buffer, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}
