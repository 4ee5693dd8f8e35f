//! Removing one object for good.

use std::collections::BTreeSet;

use entities::ObjectId;

use crate::cas::{Inner, is_object};
use crate::locks::LockGuard;
use crate::pack::{Entry, Pack, Role, SealedPack};
use crate::rewrite::{Rewriter, Snapshot, replace, snapshot_all};
use crate::{Cas, CasError};

impl Cas {
    /// Removes an object and its bytes, also from packs, and the chunks that no other object has.
    ///
    /// Bytes that another object has too stay with that one. What killed processes left in the temporary folder is
    /// removed as well. A batch under way that shares a chunk with the object fails when it is flushed.
    /// It is also removed where contents are kept elsewhere, as far as that place keeps no older versions.
    /// After a fault the object may still be there, whole or in part, and can be forgotten again.
    ///
    /// *Errors*: `Missing`; `Damaged`, `Newer` and `Io` when an index or a list cannot be read; `DiskFull`, as packs
    /// are written anew before the old ones go.
    ///
    /// *Cost*: reads all indexes and lists, and writes each pack anew that holds a part of the object.
    /// Other writers wait meanwhile.
    pub fn forget(&self, id: &ObjectId) -> Result<(), CasError> {
        // Elsewhere first: what is still here can be forgotten again.
        let was_elsewhere = self.has_distant() && self.forget_elsewhere(id)?;
        match self.forget_here(id) {
            Err(CasError::Missing { .. }) if was_elsewhere => Ok(()),
            forgotten => forgotten,
        }
    }

    /// Makes sure that nothing stands in the way of forgetting an object: that no place which is only read has it.
    ///
    /// *Errors*: `Distant`, with what to do.
    pub fn check_forgettable(&self, id: &ObjectId) -> Result<(), CasError> {
        for place in self.distant().filter(|place| place.is_only_read()) {
            // Such a place refuses, or does not have it.
            place.remove(id)?;
        }
        Ok(())
    }

    fn forget_elsewhere(&self, id: &ObjectId) -> Result<bool, CasError> {
        let locks = &self.inner.locks;
        let _maintenance = locks.maintenance()?;
        // Whoever found it there, and has not said so yet, looks again.
        let guard = locks.exclusive()?;
        locks.add_generation(&guard)?;
        let mut was_elsewhere = false;
        for place in self.distant() {
            was_elsewhere |= place.remove(id)?;
        }
        Ok(was_elsewhere)
    }

    fn forget_here(&self, id: &ObjectId) -> Result<(), CasError> {
        let inner = &*self.inner;
        let _maintenance = inner.locks.maintenance()?;
        let guard = inner.locks.exclusive()?;
        inner.locks.sweep(&guard)?;
        let packs = snapshot_all(inner)?;
        let doomed = Doomed::find(*id, &packs)?;
        let (mut new, mut old, mut last) = (Vec::new(), Vec::new(), Vec::new());
        for pack in &packs {
            let Some(replacement) = doomed.rewrite(inner, &guard, pack)? else {
                continue;
            };
            new.extend(replacement);
            let holds_object = pack.pack.find(id)?.as_ref().is_some_and(is_object);
            if holds_object {
                last.push(pack.clone());
            } else {
                old.push(pack.clone());
            }
        }
        // While a list of the chunks is there, this can be done again if it is cut short.
        old.extend(last);
        inner.locks.add_generation(&guard)?;
        replace(inner, &guard, new, &old)?;
        // Gone for good means also after the power fails.
        inner.sync_packs()
    }
}

/// What goes with an object.
struct Doomed {
    id: ObjectId,
    /// Whether the object's bytes stay, as a chunk of another.
    is_shared: bool,
    /// Its chunks that nobody else has.
    chunks: BTreeSet<ObjectId>,
}

impl Doomed {
    fn find(id: ObjectId, packs: &[Snapshot]) -> Result<Self, CasError> {
        let mut is_there = false;
        let mut chunks = BTreeSet::new();
        for pack in packs {
            if let Some(entry) = pack.pack.find(&id)?.filter(is_object) {
                is_there = true;
                if entry.role == Role::List {
                    chunks.extend(
                        pack.pack
                            .read_list(&entry)?
                            .iter()
                            .map(|chunk| chunk.digest),
                    );
                }
            }
        }
        if !is_there {
            return Err(CasError::Missing { object: id });
        }
        let mut is_shared = false;
        for pack in packs {
            for_each_other_use(&pack.pack, &id, |digest| {
                chunks.remove(&digest);
                is_shared |= digest == id;
            })?;
        }
        Ok(Self {
            id,
            is_shared,
            chunks,
        })
    }

    /// Copies what stays of a pack; nothing where all of it does.
    fn rewrite(
        &self,
        inner: &Inner,
        guard: &LockGuard,
        pack: &Snapshot,
    ) -> Result<Option<Vec<SealedPack>>, CasError> {
        let mut is_touched = false;
        let mut kept = Vec::new();
        pack.pack.for_each_entry(|entry| {
            let stays = self.remains_of(&entry);
            is_touched |= stays.as_ref() != Some(&entry);
            kept.extend(stays);
            Ok(())
        })?;
        if !is_touched {
            return Ok(None);
        }
        kept.sort_unstable_by_key(|entry| entry.offset);
        let mut rewriter = Rewriter::new(inner, Some(guard));
        for entry in &kept {
            rewriter.copy(&pack.pack, entry)?;
        }
        rewriter.finish(pack.modified).map(Some)
    }

    fn remains_of(&self, entry: &Entry) -> Option<Entry> {
        if entry.digest == self.id {
            let stays = self.is_shared && entry.role != Role::List;
            let role = Role::Chunk;
            return stays.then(|| Entry {
                role,
                ..entry.clone()
            });
        }
        let is_doomed = entry.role == Role::Chunk && self.chunks.contains(&entry.digest);
        (!is_doomed).then(|| entry.clone())
    }
}

/// Visits the digests that other objects of a pack consist of.
fn for_each_other_use(
    pack: &Pack,
    id: &ObjectId,
    mut visit: impl FnMut(ObjectId),
) -> Result<(), CasError> {
    pack.for_each_entry(|entry| {
        match entry.role {
            Role::List if entry.digest != *id => {
                pack.read_list(&entry)?
                    .iter()
                    .for_each(|chunk| visit(chunk.digest));
            }
            Role::Object if entry.digest != *id => visit(entry.digest),
            _ => {}
        }
        Ok(())
    })
}
