//! Contents that are kept elsewhere than in the packs, such as in an object store.

use std::fmt;
use std::io::{self, Read, Write as _};
use std::sync::Arc;

use entities::ObjectId;

use crate::cas::Inner;
use crate::pins::Pins;
use crate::{Cas, CasError, Stored};

/// What is read at once of a part.
const PIECE_BYTES: u64 = 256 << 10;

/// A place for whole contents, named by their digest. All calls may block.
///
/// What it hands out is what the digest says: implementations verify, and fail where they cannot.
pub trait Distant: fmt::Debug + Send + Sync {
    /// Where it is, for messages: without anything secret.
    fn place(&self) -> &str;

    /// Whether nothing is removed there, since another copy of the store may name what this one does not.
    fn is_only_read(&self) -> bool;

    /// Stores what a reader gives until its end; durable when this returns. What is there is not sent again.
    ///
    /// The name is announced once it is known, before it is looked whether it is there: what is announced is not
    /// collected from then on, so that what was found is not gone when this returns.
    fn put(&self, content: &mut dyn Read, announce: &mut Announce<'_>) -> Result<Stored, PutError>;

    /// The length of a content; none where it is not there.
    fn size_bytes(&self, id: &ObjectId) -> Result<Option<u64>, DistantError>;

    /// Reads from an offset on, at most so many bytes; none where the content is not there.
    fn read(
        &self,
        id: &ObjectId,
        offset: u64,
        length: u64,
    ) -> Result<Option<Box<dyn Read + Send>>, DistantError>;

    /// Removes a content; tells whether it was there.
    ///
    /// *Errors*: `Other` where another store keeps contents there, and where it is only read.
    fn remove(&self, id: &ObjectId) -> Result<bool, DistantError>;

    /// Visits all contents with their lengths, and what is left of some, with none: in any order, some of them twice.
    ///
    /// *Errors*: as `remove`, also where nothing is there.
    fn list(&self, visit: &mut dyn FnMut(ObjectId, u64)) -> Result<(), DistantError>;

    /// Removes many contents, in as few requests as it can.
    ///
    /// *Errors*: as `remove`; some of them may be gone.
    fn remove_all(&self, ids: &[ObjectId]) -> Result<(), DistantError>;
}

/// Is told the name of a content before it is stored.
pub type Announce<'a> = dyn FnMut(&ObjectId) -> Result<(), CasError> + 'a;

/// Why a content was not stored elsewhere.
#[derive(Debug)]
pub enum PutError {
    /// For what happened there, or on the way.
    Distant(DistantError),
    /// For what `announce` said.
    Here(CasError),
}

impl From<DistantError> for PutError {
    fn from(error: DistantError) -> Self {
        Self::Distant(error)
    }
}

impl From<PutError> for CasError {
    fn from(error: PutError) -> Self {
        match error {
            PutError::Distant(error) => error.into(),
            PutError::Here(error) => error,
        }
    }
}

/// Why contents that are kept elsewhere cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DistantError {
    /// What kind of fault it is.
    pub kind: DistantFault,
    /// What was tried, where, what was said and what may help; without anything secret.
    pub message: String,
}

/// What kind of fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DistantFault {
    /// The place cannot be reached now, or is overloaded.
    Unreachable,
    /// It refuses who asks.
    Denied,
    /// The place, such as a bucket, is not there.
    NoPlace,
    /// What is there is not what its name says.
    Damaged,
    /// What was to be stored cannot be read.
    Source,
    /// Anything else.
    Other,
}

impl Cas {
    /// The same store, which also reads from these places, in their order, what no pack holds.
    pub fn with_distant(self, distant: Vec<Arc<dyn Distant>>) -> Self {
        Self {
            distant: distant.into(),
            ..self
        }
    }

    /// From now on `store` puts contents there and not into packs, and what is there is read; also of all clones. Only
    /// the first call counts.
    pub fn store_at(&self, target: Arc<dyn Distant>) {
        // Whoever was first has decided.
        let _ = self.target.set(target);
    }

    /// The places that are read from where no pack holds an object: the one for new contents first.
    pub fn distant(&self) -> impl Iterator<Item = &Arc<dyn Distant>> {
        let target = self.target.get();
        let others = self
            .distant
            .iter()
            .filter(move |place| target.is_none_or(|target| target.place() != place.place()));
        target.into_iter().chain(others)
    }

    pub(crate) fn has_distant(&self) -> bool {
        self.distant().next().is_some()
    }

    /// Stores one content where new ones go; durable when this returns.
    ///
    /// *Errors*: those of a batch, and `Distant`.
    ///
    /// *Cost*: that of a batch, or one pass and a transfer, in constant memory.
    pub fn store(&self, content: &mut dyn Read) -> Result<Stored, CasError> {
        if let Some(target) = self.target.get() {
            return self.store_distant(target.as_ref(), content);
        }
        let batch = self.batch();
        let stored = batch.put_reader(content)?;
        batch.commit()?;
        Ok(stored)
    }

    fn store_distant(
        &self,
        target: &dyn Distant,
        content: &mut dyn Read,
    ) -> Result<Stored, CasError> {
        let Inner { locks, recent, .. } = &*self.inner;
        let mut pins = Pins::default();
        let stored = target.put(content, &mut |id| pins.pin_blindly(locks, id))?;
        let guard = locks.shared()?;
        let is_suspect = pins.is_suspect(locks, &guard)?;
        pins.settle(locks, recent, &guard)?;
        drop(guard);
        if is_suspect && target.size_bytes(&stored.object)?.is_none() {
            return Err(CasError::Distant(DistantError {
                kind: DistantFault::Unreachable,
                message: format!(
                    "object `{}` was removed from {} on purpose while it was stored there: store it again",
                    stored.object,
                    target.place()
                ),
            }));
        }
        Ok(stored)
    }

    /// Whether a pack of this machine has it.
    pub fn has_here(&self, id: &ObjectId) -> Result<bool, CasError> {
        self.inner.contains(id)
    }

    /// Reads a part of an object piece by piece; it is shorter than asked for where the object ends before.
    ///
    /// *Errors*: as `read_range`; those of what follows come from the reader.
    ///
    /// *Cost*: constant memory; what lies before and after the part is not read.
    pub fn range_reader(
        &self,
        id: &ObjectId,
        offset: u64,
        length: u64,
    ) -> Result<Box<dyn Read + Send>, CasError> {
        if self.has_distant() && !self.has_here(id)? {
            return self.read_distant(id, offset, length);
        }
        let first = self.read_range(id, offset, length.min(PIECE_BYTES))?;
        Ok(Box::new(Pieces {
            at: offset + first.len() as u64,
            end: offset.saturating_add(length),
            cas: self.clone(),
            id: *id,
            piece: io::Cursor::new(first),
        }))
    }

    pub(crate) fn find_distant<T>(
        &self,
        id: &ObjectId,
        look: impl Fn(&dyn Distant) -> Result<Option<T>, DistantError>,
    ) -> Result<T, CasError> {
        for place in self.distant() {
            if let Some(found) = look(place.as_ref())? {
                return Ok(found);
            }
        }
        Err(CasError::Missing { object: *id })
    }

    pub(crate) fn read_distant(
        &self,
        id: &ObjectId,
        offset: u64,
        length: u64,
    ) -> Result<Box<dyn Read + Send>, CasError> {
        self.find_distant(id, |place| place.read(id, offset, length))
    }

    /// Writes a content from elsewhere to a file that was just made.
    pub(crate) fn copy_distant(
        &self,
        id: &ObjectId,
        mut file: &std::fs::File,
        path: &std::path::Path,
    ) -> Result<(), CasError> {
        let mut reader = self.read_distant(id, 0, u64::MAX)?;
        let mut piece = vec![0; 256 << 10];
        loop {
            match reader.read(&mut piece).map_err(fault_of_reader)? {
                0 => return Ok(()),
                length => file
                    .write_all(&piece[..length])
                    .map_err(CasError::io("write", path))?,
            }
        }
    }
}

/// The fault inside of what a reader says.
pub(crate) fn fault_of_reader(error: io::Error) -> CasError {
    match error.downcast::<DistantError>() {
        Ok(fault) => fault.into(),
        Err(source) => CasError::Io {
            action: "read an object that is kept elsewhere",
            path: std::path::PathBuf::new(),
            source,
        },
    }
}

/// A part of an object in the packs.
struct Pieces {
    cas: Cas,
    id: ObjectId,
    piece: io::Cursor<Vec<u8>>,
    at: u64,
    end: u64,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let length = self.piece.read(buffer)?;
            if length > 0 || self.at >= self.end || buffer.is_empty() {
                return Ok(length);
            }
            let wanted = PIECE_BYTES.min(self.end - self.at);
            let next = self.cas.read_range(&self.id, self.at, wanted);
            let next = next.map_err(io::Error::other)?;
            if next.is_empty() {
                self.end = self.at;
                return Ok(0);
            }
            self.at += next.len() as u64;
            self.piece = io::Cursor::new(next);
        }
    }
}
