//! Removing objects that nobody refers to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime};

use entities::ObjectId;

use crate::cas::Inner;
use crate::distant::Distant;
use crate::locks::LockGuard;
use crate::pack::{ENTRY_BYTES, Entry, Role, SealedPack};
use crate::pins::{read_pinned, sweep_recent};
use crate::rewrite::{Rewriter, Snapshot, replace, snapshot_all};
use crate::{Cas, CasError};

/// What a collection spares, and whether it is only tried.
#[derive(Clone, Debug)]
pub struct GcOptions {
    /// Objects stored, or stored again, within so many milliseconds stay. The file system's clock counts.
    ///
    /// It must cover the time between the making of the list of what is live and the collection, and that between
    /// the commit of a batch and the moment when what it stored is referred to. For objects stored again without
    /// a new byte, at most 30 days are honoured.
    pub grace_ms: u64,
    /// Whether to say what would be removed, and remove nothing.
    pub is_dry_run: bool,
}

/// What a collection removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GcSummary {
    /// Objects that are gone; chunks do not count.
    pub removed_objects: u64,
    /// Bytes that the packs, and places elsewhere, have become smaller by.
    pub freed_bytes: u64,
}

/// What is removed elsewhere at once, under the lock: one request where the place can do so.
const REMOVED_AT_ONCE: usize = 500;

impl Cas {
    /// Removes the objects that are not in `live`, are not young, and that no batch under way relies on; also where
    /// contents are kept elsewhere, unless that place is only read.
    ///
    /// Chunks go when no object that stays has them. Others may read and write meanwhile; see the README.
    ///
    /// *Errors*: `Damaged`, `Newer` and `Io` when an index or a list of chunks cannot be read, as what is then needed
    /// is not known; nothing was removed. `DiskFull`, as packs are written anew before the old ones go. `Distant` where
    /// a place elsewhere cannot be asked: then what is here was collected.
    ///
    /// *Cost*: reads all indexes and lists, and writes each pack anew that loses something; 32 bytes of memory for
    /// each chunk that stays, and for each content that goes elsewhere. Lists all that is elsewhere.
    pub fn gc(
        &self,
        live: &BTreeSet<ObjectId>,
        options: &GcOptions,
    ) -> Result<GcSummary, CasError> {
        let inner = &*self.inner;
        let asked = Instant::now();
        let _maintenance = inner.locks.maintenance()?;
        // Whoever waits for another collection has a list that is as much older.
        let grace = Duration::from_millis(options.grace_ms).saturating_add(asked.elapsed());
        let mut collection = Collection::begin(inner, live, grace)?;
        let mut plans = collection.plan()?;
        if !options.is_dry_run {
            for plan in &mut plans {
                plan.rewrite(inner)?;
            }
            collection.carry_out(&mut plans)?;
        }
        let removed: BTreeSet<ObjectId> = plans
            .iter()
            .flat_map(|plan| &plan.dropped)
            .filter(|entry| entry.role.is_object())
            .map(|entry| entry.digest)
            .collect();
        let mut summary = GcSummary {
            removed_objects: removed.len() as u64,
            freed_bytes: plans
                .iter()
                .flat_map(|plan| &plan.dropped)
                .map(|entry| u64::from(entry.stored_bytes) + ENTRY_BYTES as u64)
                .sum(),
        };
        for place in self.distant().filter(|place| !place.is_only_read()) {
            collection.collect_distant(place.as_ref(), options.is_dry_run, &mut summary)?;
        }
        Ok(summary)
    }
}

struct Collection<'a> {
    inner: &'a Inner,
    live: &'a BTreeSet<ObjectId>,
    pinned: BTreeSet<ObjectId>,
    grace: Duration,
    began: SystemTime,
    packs: Vec<Snapshot>,
}

/// What is to become of one pack.
struct Plan {
    pack: Snapshot,
    kept: Vec<Entry>,
    dropped: Vec<Entry>,
    replacement: Vec<SealedPack>,
}

impl<'a> Collection<'a> {
    fn begin(
        inner: &'a Inner,
        live: &'a BTreeSet<ObjectId>,
        grace: Duration,
    ) -> Result<Self, CasError> {
        let guard = inner.locks.exclusive()?;
        inner.locks.sweep(&guard)?;
        sweep_recent(&inner.locks, &inner.recent, &guard)?;
        Ok(Self {
            inner,
            live,
            pinned: read_pinned(&inner.locks, &inner.recent, grace, &guard)?,
            grace,
            began: inner.locks.now(&guard)?,
            packs: snapshot_all(inner)?,
        })
    }

    /// Says of each pack that loses something what stays.
    fn plan(&self) -> Result<Vec<Plan>, CasError> {
        let chunks = self.list_kept_chunks()?;
        let is_kept = |entry: &Entry| {
            self.is_wanted(&entry.digest) || chunks.binary_search(&entry.digest).is_ok()
        };
        let mut plans = Vec::new();
        for pack in self.packs.iter().filter(|pack| !self.is_young(pack)) {
            let (mut kept, mut dropped) = (Vec::new(), Vec::new());
            pack.pack.for_each_entry(|entry| {
                if is_kept(&entry) {
                    kept.push(entry);
                } else {
                    dropped.push(entry);
                }
                Ok(())
            })?;
            if !dropped.is_empty() {
                plans.push(Plan {
                    pack: pack.clone(),
                    kept,
                    dropped,
                    replacement: Vec::new(),
                });
            }
        }
        Ok(plans)
    }

    /// All chunks of objects that stay, sorted.
    fn list_kept_chunks(&self) -> Result<Vec<ObjectId>, CasError> {
        let mut chunks = Vec::new();
        for pack in &self.packs {
            let is_young = self.is_young(pack);
            pack.pack.for_each_entry(|entry| {
                if entry.role == Role::List && (is_young || self.is_wanted(&entry.digest)) {
                    chunks.extend(
                        pack.pack
                            .read_list(&entry)?
                            .iter()
                            .map(|chunk| chunk.digest),
                    );
                }
                Ok(())
            })?;
        }
        chunks.sort_unstable();
        chunks.dedup();
        Ok(chunks)
    }

    fn is_wanted(&self, digest: &ObjectId) -> bool {
        self.live.contains(digest) || self.pinned.contains(digest)
    }

    fn is_young(&self, pack: &Snapshot) -> bool {
        self.began.duration_since(pack.modified).unwrap_or_default() < self.grace
    }

    /// Puts the rewritten packs in place, save where somebody came to rely on what they lack.
    fn carry_out(&mut self, plans: &mut Vec<Plan>) -> Result<(), CasError> {
        let guard = self.inner.locks.exclusive()?;
        let rescued = self.list_rescued(&guard)?;
        plans.retain(|plan| {
            plan.dropped
                .iter()
                .all(|entry| !rescued.contains(&entry.digest))
        });
        let new = plans
            .iter_mut()
            .flat_map(|plan| plan.replacement.drain(..))
            .collect();
        let old: Vec<_> = plans.iter().map(|plan| plan.pack.clone()).collect();
        replace(self.inner, &guard, new, &old)
    }

    /// Removes what nobody needs from a place elsewhere.
    fn collect_distant(
        &self,
        place: &dyn Distant,
        is_dry_run: bool,
        summary: &mut GcSummary,
    ) -> Result<(), CasError> {
        // A content is listed once for its bytes, and may be once for what belongs to it.
        let mut doomed = BTreeMap::new();
        place.list(&mut |id, size_bytes| {
            if !self.is_wanted(&id) {
                *doomed.entry(id).or_insert(0) += size_bytes;
            }
        })?;
        let doomed: Vec<(ObjectId, u64)> = doomed.into_iter().collect();
        for some in doomed.chunks(REMOVED_AT_ONCE) {
            // Whoever pins waits until these are gone, and then sees that they are.
            let guard = self.inner.locks.exclusive()?;
            let pinned = self.read_pinned_again(&guard)?;
            let some = some.iter().filter(|(id, _)| !pinned.contains(id));
            let (ids, sizes): (Vec<ObjectId>, Vec<u64>) = some.copied().unzip();
            if !is_dry_run && !ids.is_empty() {
                place.remove_all(&ids)?;
            }
            summary.removed_objects += ids.len() as u64;
            summary.freed_bytes += sizes.iter().sum::<u64>();
        }
        Ok(())
    }

    /// What is pinned now, or was at any time since this collection began.
    fn read_pinned_again(&self, guard: &LockGuard) -> Result<BTreeSet<ObjectId>, CasError> {
        let inner = self.inner;
        let elapsed = inner
            .locks
            .now(guard)?
            .duration_since(self.began)
            .unwrap_or_default();
        // Up to the same moment as before, and what was pinned in the very tick of the clock too.
        let grace = self.grace.saturating_add(elapsed) + Duration::from_nanos(1);
        read_pinned(&inner.locks, &inner.recent, grace, guard)
    }

    /// What batches have come to rely on since the plan was made.
    ///
    /// Either they are under way and it is pinned, or they are through: then their objects count as young,
    /// and the chunks that they share are those that new packs have in lists.
    fn list_rescued(&self, guard: &LockGuard) -> Result<BTreeSet<ObjectId>, CasError> {
        let inner = self.inner;
        let mut rescued = self.read_pinned_again(guard)?;
        rescued.retain(|digest| !self.pinned.contains(digest));
        let pinned: Vec<ObjectId> = rescued.iter().copied().collect();
        // A pack that was there and is stored again is as new as any other.
        let mut before = BTreeSet::new();
        for pack in &self.packs {
            if pack.is_unchanged()? {
                before.insert(pack.pack.name());
            }
        }
        for pack in &inner.packs.relist()?.packs {
            if !before.contains(&pack.name()) {
                pack.for_each_entry(|entry| {
                    if entry.role == Role::List {
                        rescued.extend(pack.read_list(&entry)?.iter().map(|chunk| chunk.digest));
                    }
                    Ok(())
                })?;
                continue;
            }
            for digest in &pinned {
                if let Some(entry) = pack.find(digest)?.filter(|entry| entry.role == Role::List) {
                    rescued.extend(pack.read_list(&entry)?.iter().map(|chunk| chunk.digest));
                }
            }
        }
        Ok(rescued)
    }
}

impl Plan {
    fn rewrite(&mut self, inner: &Inner) -> Result<(), CasError> {
        if self.kept.is_empty() {
            return Ok(());
        }
        self.kept.sort_unstable_by_key(|entry| entry.offset);
        let mut rewriter = Rewriter::new(inner, None);
        for entry in std::mem::take(&mut self.kept) {
            rewriter.copy(&self.pack.pack, &entry)?;
        }
        self.replacement = rewriter.finish(self.pack.modified)?;
        Ok(())
    }
}
