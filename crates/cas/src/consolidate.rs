//! Merging small packs, so that however many batches there were, there are few packs to look into.
//!
//! Packs are merged with others of their size, so each byte is copied a few times in its life: once for each
//! tier that it climbs.

use std::sync::Arc;

use crate::CasError;
use crate::cas::Inner;
use crate::locks::LockGuard;
use crate::rewrite::{CopyFault, Rewriter, Snapshot, replace, snapshot_all};

/// Packs smaller than the first number belong to one tier, which is merged when it has as many as the second.
///
/// Each tier is eight times the one before and gathers sixteen, so a merge mostly ends in the next.
/// From 128 MiB on packs stay as they are: looking into one costs little for what it holds.
const TIERS: [(u64, usize); 5] = [
    (64 << 10, 16),
    (512 << 10, 16),
    (4 << 20, 16),
    (32 << 20, 16),
    (128 << 20, 32),
];

/// One flush never copies more than this, about a second of work.
const MERGED_MAX_BYTES: u64 = 512 << 20;

/// Merges what has become many. What was flushed is safe whatever happens here, so a fault is only noted.
pub(crate) fn after_flush(inner: &Arc<Inner>) {
    if let Err(error) = merge_tiers(inner) {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "small packs were not merged"
        );
    }
}

fn merge_tiers(inner: &Inner) -> Result<(), CasError> {
    if inner.packs.known().packs.len() < TIERS[0].1 {
        return Ok(());
    }
    let Some(maintenance) = inner.locks.try_maintenance()? else {
        return Ok(());
    };
    let mut lower_bytes = 0;
    for (upper_bytes, packs_max) in TIERS {
        let mut tier = snapshot_all(inner)?;
        tier.retain(|pack| (lower_bytes..upper_bytes).contains(&pack.size_bytes));
        lower_bytes = upper_bytes;
        if tier.len() >= packs_max {
            merge(inner, &maintenance, choose(tier))?;
        }
    }
    Ok(())
}

/// The smallest, as many as may be copied at once.
fn choose(mut packs: Vec<Snapshot>) -> Vec<Snapshot> {
    packs.sort_by_key(|pack| pack.size_bytes);
    let mut sum = 0;
    let is_within = |pack: &Snapshot| {
        sum += pack.size_bytes;
        sum <= MERGED_MAX_BYTES
    };
    let length = packs
        .iter()
        .map(is_within)
        .take_while(|is_within| *is_within)
        .count();
    packs.truncate(length);
    packs
}

fn merge(inner: &Inner, _maintenance: &LockGuard, packs: Vec<Snapshot>) -> Result<(), CasError> {
    let mut rewriter = Rewriter::new(inner, None);
    let mut merged = Vec::with_capacity(packs.len());
    for pack in packs {
        match copy_all(&mut rewriter, &pack) {
            Ok(()) => merged.push(pack),
            // One pack that cannot be read must not keep the others from being merged, on each flush anew.
            Err(CopyFault::Read(error)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a pack was left out of a merge"
                );
            }
            // What was copied before may be lost with it: every pack stays as it is.
            Err(CopyFault::Write(error)) => return Err(error),
        }
    }
    let Some(youngest) = merged.iter().map(|pack| pack.modified).max() else {
        return Ok(());
    };
    if merged.len() < 2 {
        return Ok(());
    }
    let new = rewriter.finish(youngest)?;
    let guard = inner.locks.exclusive()?;
    replace(inner, &guard, new, &merged)
}

fn copy_all(rewriter: &mut Rewriter<'_>, pack: &Snapshot) -> Result<(), CopyFault> {
    let mut entries = Vec::new();
    let listed = pack.pack.for_each_entry(|entry| {
        entries.push(entry);
        Ok(())
    });
    listed.map_err(CopyFault::Read)?;
    // In the order of the file: chunks of one object stay together.
    entries.sort_unstable_by_key(|entry| entry.offset);
    entries
        .iter()
        .try_for_each(|entry| rewriter.copy(&pack.pack, entry))
}
