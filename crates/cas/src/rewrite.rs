//! Putting packs in the place of others.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::time::SystemTime;

use crate::CasError;
use crate::cas::Inner;
use crate::locks::{LockGuard, PACK_PREFIX};
use crate::pack::{Entry, Pack, PackName, PackWriter, Payload, SealedPack};

/// A pack as it was at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) pack: Arc<Pack>,
    pub(crate) modified: SystemTime,
    pub(crate) size_bytes: u64,
    inode: u64,
}

impl Snapshot {
    /// Nothing where the pack has gone.
    pub(crate) fn take(pack: &Arc<Pack>) -> Result<Option<Self>, CasError> {
        let path = pack.path();
        let metadata = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            metadata => metadata.map_err(CasError::io("read", path))?,
        };
        Ok(Some(Self {
            pack: Arc::clone(pack),
            modified: metadata.modified().map_err(CasError::io("read", path))?,
            size_bytes: metadata.len(),
            inode: metadata.ino(),
        }))
    }

    /// Whether nobody has stored the very same pack once more.
    pub(crate) fn is_unchanged(&self) -> Result<bool, CasError> {
        let now = Self::take(&self.pack)?;
        Ok(now.is_some_and(|now| now.inode == self.inode && now.modified == self.modified))
    }
}

/// All packs as they are now.
pub(crate) fn snapshot_all(inner: &Inner) -> Result<Vec<Snapshot>, CasError> {
    let listing = inner.packs.relist()?;
    let mut snapshots = Vec::with_capacity(listing.packs.len());
    for pack in &listing.packs {
        snapshots.extend(Snapshot::take(pack)?);
    }
    Ok(snapshots)
}

/// Why an entry was not copied.
#[derive(Debug)]
pub(crate) enum CopyFault {
    /// It could not be read: the new packs are as they were.
    Read(CasError),
    /// It could not be written: the new packs may lack what was copied before, and must not take the place of any.
    Write(CasError),
}

impl From<CopyFault> for CasError {
    fn from(fault: CopyFault) -> Self {
        match fault {
            CopyFault::Read(error) | CopyFault::Write(error) => error,
        }
    }
}

/// Copies entries to new packs.
///
/// Bytes and checksum are copied as they are: what is damaged stays so, and is found as before.
pub(crate) struct Rewriter<'a> {
    inner: &'a Inner,
    /// Given by one who holds the lock exclusively all the time.
    guard: Option<&'a LockGuard>,
    writer: Option<PackWriter>,
    sealed: Vec<SealedPack>,
}

impl<'a> Rewriter<'a> {
    pub(crate) fn new(inner: &'a Inner, guard: Option<&'a LockGuard>) -> Self {
        Self {
            inner,
            guard,
            writer: None,
            sealed: Vec::new(),
        }
    }

    /// Copies an entry; one whose digest was copied before is left out.
    pub(crate) fn copy(&mut self, pack: &Pack, entry: &Entry) -> Result<(), CopyFault> {
        let locks = &self.inner.locks;
        let writer = match (&mut self.writer, self.guard) {
            (Some(writer), _) => writer,
            (empty, guard) => {
                let temporary = match guard {
                    None => locks.temporary_file(PACK_PREFIX),
                    Some(guard) => locks.temporary_file_under(guard, PACK_PREFIX),
                };
                empty.insert(PackWriter::new(temporary.map_err(CopyFault::Write)?))
            }
        };
        if writer.find(&entry.digest).is_some() {
            if entry.role.is_object() {
                writer.promote(&entry.digest);
            }
            return Ok(());
        }
        let stored = pack.read_stored(entry).map_err(CopyFault::Read)?;
        let copied = writer.append(&Payload::copied(entry, stored));
        copied.map_err(CopyFault::Write)?;
        if writer.is_full(self.inner.options.pack_max_bytes) {
            self.seal().map_err(CopyFault::Write)?;
        }
        Ok(())
    }

    /// Ends the packs, as old as what they were made of, and waits until they are on the disk.
    pub(crate) fn finish(mut self, modified: SystemTime) -> Result<Vec<SealedPack>, CasError> {
        self.seal()?;
        for pack in &self.sealed {
            pack.set_modified(modified)?;
            pack.sync()?;
        }
        Ok(self.sealed)
    }

    fn seal(&mut self) -> Result<(), CasError> {
        if let Some(writer) = self.writer.take() {
            self.sealed.push(writer.seal()?);
        }
        Ok(())
    }
}

/// Makes the new packs visible, and then removes the old ones, in their order.
///
/// The lock must be held exclusively. At each moment every entry that is kept is in a pack that can be seen.
pub(crate) fn replace(
    inner: &Inner,
    _guard: &LockGuard,
    new: Vec<SealedPack>,
    old: &[Snapshot],
) -> Result<(), CasError> {
    let is_any_new = !new.is_empty();
    let mut published: BTreeSet<PackName> = BTreeSet::new();
    for pack in new {
        published.insert(pack.publish(inner.packs.folder())?);
    }
    if is_any_new {
        inner.sync_packs()?;
    }
    for old in old {
        // A pack is named by its content: a new one may have taken the place of an old one already.
        if !published.contains(&old.pack.name()) && old.is_unchanged()? {
            let path = old.pack.path();
            fs::remove_file(path).map_err(CasError::io("remove", path))?;
        }
    }
    inner.packs.relist().map(drop)
}
