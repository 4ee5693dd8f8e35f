//! What batches rely on without having written it.
//!
//! A batch that is given what the store has already writes nothing, and then everything depends on that
//! entry being kept until somebody refers to the object. So the batch **pins** it first:
//!
//! 1. While a batch lives it has a file of digests, locked. Under the shared lock it adds the digest, and
//!    makes sure that the entry's pack is still there. `gc` reads these files under the exclusive lock, and
//!    takes packs away under that same lock: so either the pin is seen, or the batch sees that the pack is gone
//!    and stores the content itself.
//! 2. When a batch is flushed, the objects that it pinned are added to a file of the day, from which on they
//!    count as young. An object stored anew is as young as its pack; one stored again without a new byte is not,
//!    and the grace period of `gc` must cover both until the caller has written down who uses them.
//!
//! What is put elsewhere (`distant`) is pinned the same way, before it is looked whether it is there; it is removed
//! there under the exclusive lock.
//!
//! `forget` does not ask: it counts a number up, and a batch that sees it changed looks whether what it
//! relies on is still there.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use entities::ObjectId;
use tempfile::NamedTempFile;

use crate::CasError;
use crate::locks::{LockGuard, Locks, PINS_PREFIX, is_in_use, open_in_use, touch};
use crate::pack::{Entry, Pack, Role};
use crate::packs::{Found, Packs};

/// Days for which a file of pins is kept, and so the longest grace that stored-again objects can have.
const RECENT_DAYS_MAX: u64 = 30;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A day's file beyond this size is read before more is added, so that it holds no object twice from then on.
const RECENT_BLIND_BYTES: u64 = 1 << 20;

/// The pins of one batch.
#[derive(Debug, Default)]
pub(crate) struct Pins {
    file: Option<NamedTempFile>,
    /// Objects that are pinned and need not be pinned again.
    objects: BTreeSet<ObjectId>,
    /// Those of them that do not stand in the day's file yet.
    unsettled: Vec<ObjectId>,
    generation: Option<u64>,
    is_suspect: bool,
}

impl Pins {
    /// Pins those of the digests that the store has, and says of each whether it does.
    pub(crate) fn pin(
        &mut self,
        locks: &Locks,
        packs: &Packs,
        digests: &[ObjectId],
        is_wanted: impl Fn(&Entry) -> bool + Copy,
    ) -> Result<Vec<bool>, CasError> {
        let mut found = find_all(packs, digests, is_wanted);
        if found.iter().all(Option::is_none) {
            return Ok(vec![false; digests.len()]);
        }
        self.write(
            locks,
            digests
                .iter()
                .zip(&found)
                .filter_map(|(digest, found)| found.as_ref().map(|_| digest)),
        )?;
        let guard = locks.shared()?;
        self.observe(locks.generation(&guard)?);
        // Whoever took the pack away did so before this lock: now that the pin is written, nobody else will.
        if !are_there(&found) {
            packs.relist()?;
            found = find_all(packs, digests, is_wanted);
        }
        drop(guard);
        Ok(found.iter().map(Option::is_some).collect())
    }

    /// Pins an object, or says that the store does not have it.
    pub(crate) fn pin_object(
        &mut self,
        locks: &Locks,
        packs: &Packs,
        digest: &ObjectId,
    ) -> Result<bool, CasError> {
        if self.objects.contains(digest) && self.generation == Some(locks.generation_at_a_glance()?)
        {
            return Ok(true);
        }
        let is_there = self.pin(locks, packs, &[*digest], |entry| entry.role.is_object())?[0];
        if is_there && self.objects.insert(*digest) {
            self.unsettled.push(*digest);
        }
        Ok(is_there)
    }

    /// Pins an object wherever it is, also where it is not there yet.
    pub(crate) fn pin_blindly(&mut self, locks: &Locks, digest: &ObjectId) -> Result<(), CasError> {
        self.write(locks, std::iter::once(digest))?;
        // Whoever collects has either seen the pin, or removed what he removes before this lock.
        drop(locks.shared()?);
        self.unsettled.push(*digest);
        Ok(())
    }

    /// Pins all chunks of a pack.
    pub(crate) fn keep_chunks(&mut self, locks: &Locks, pack: &Pack) -> Result<(), CasError> {
        let mut chunks = Vec::new();
        pack.for_each_entry(|entry| {
            if entry.role == Role::Chunk {
                chunks.push(entry.digest);
            }
            Ok(())
        })?;
        self.write(locks, chunks.iter())
    }

    /// Whether something was forgotten since this batch began to rely on others' entries.
    pub(crate) fn is_suspect(
        &mut self,
        locks: &Locks,
        guard: &LockGuard,
    ) -> Result<bool, CasError> {
        self.observe(locks.generation(guard)?);
        Ok(self.is_suspect)
    }

    /// Whether objects were pinned that do not count as young yet.
    pub(crate) fn has_unsettled(&self) -> bool {
        !self.unsettled.is_empty()
    }

    /// From now on the pinned objects count as young, whether the batch lives or not.
    pub(crate) fn settle(
        &mut self,
        locks: &Locks,
        recent: &Path,
        guard: &LockGuard,
    ) -> Result<(), CasError> {
        self.is_suspect = false;
        if self.unsettled.is_empty() {
            return Ok(());
        }
        append_recent(recent, &self.unsettled, locks.now(guard)?)?;
        self.unsettled.clear();
        Ok(())
    }

    fn observe(&mut self, generation: u64) {
        if self.generation.is_some_and(|before| before != generation) {
            self.is_suspect = true;
            self.objects.clear();
        }
        self.generation = Some(generation);
    }

    fn write<'a>(
        &mut self,
        locks: &Locks,
        digests: impl Iterator<Item = &'a ObjectId>,
    ) -> Result<(), CasError> {
        if self.generation.is_none() {
            self.generation = Some(locks.generation_at_a_glance()?);
        }
        let file = match &mut self.file {
            Some(file) => file,
            empty => empty.insert(locks.temporary_file(PINS_PREFIX)?),
        };
        let lines = lines_of(digests);
        file.as_file_mut()
            .write_all(&lines)
            .map_err(CasError::io("write", file.path()))
    }
}

/// Reads all that batches rely on now or did a short while ago; the lock must be held exclusively.
pub(crate) fn read_pinned(
    locks: &Locks,
    recent: &Path,
    grace: Duration,
    guard: &LockGuard,
) -> Result<BTreeSet<ObjectId>, CasError> {
    let mut pinned = BTreeSet::new();
    for path in locks.list(PINS_PREFIX)? {
        let Ok(mut file) = open_in_use(&path) else {
            continue;
        };
        if is_in_use(&file).map_err(|errno| CasError::io("lock", &path)(errno.into()))? {
            read_lines(&mut file, &path, |object| {
                pinned.insert(object);
            })?;
        }
    }
    let now = locks.now(guard)?;
    for entry in fs::read_dir(recent).map_err(CasError::io("list", recent))? {
        let path = entry.map_err(CasError::io("list", recent))?.path();
        let mut file = File::open(&path).map_err(CasError::io("open", &path))?;
        let modified = file.metadata().and_then(|metadata| metadata.modified());
        let age = now
            .duration_since(modified.map_err(CasError::io("read", &path))?)
            .unwrap_or_default();
        if age < grace {
            read_lines(&mut file, &path, |object| {
                pinned.insert(object);
            })?;
        }
    }
    Ok(pinned)
}

/// Removes the files of days long past; the lock must be held exclusively.
pub(crate) fn sweep_recent(
    locks: &Locks,
    recent: &Path,
    guard: &LockGuard,
) -> Result<(), CasError> {
    let today = day_of(locks.now(guard)?);
    for entry in fs::read_dir(recent).map_err(CasError::io("list", recent))? {
        let entry = entry.map_err(CasError::io("list", recent))?;
        let day = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u64>().ok());
        if day.is_some_and(|day| day + RECENT_DAYS_MAX < today) {
            fs::remove_file(entry.path()).map_err(CasError::io("remove", &entry.path()))?;
        }
    }
    Ok(())
}

fn append_recent(recent: &Path, objects: &[ObjectId], now: SystemTime) -> Result<(), CasError> {
    let path = recent.join(day_of(now).to_string());
    let mut options = File::options();
    let mut file = options
        .read(true)
        .append(true)
        .create(true)
        .open(&path)
        .map_err(CasError::io("open", &path))?;
    let size_bytes = file.metadata().map_err(CasError::io("read", &path))?.len();
    let mut new: BTreeSet<ObjectId> = objects.iter().copied().collect();
    if size_bytes > RECENT_BLIND_BYTES {
        read_lines(&mut file, &path, |object| {
            new.remove(&object);
        })?;
    }
    file.write_all(&lines_of(new.iter()))
        .map_err(CasError::io("write", &path))?;
    touch(&file, &path)
}

fn day_of(time: SystemTime) -> u64 {
    let since_epoch = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    since_epoch.as_secs() / DAY.as_secs()
}

/// Each digest follows a line break, so that a line cut off by a full disk spoils no other.
fn lines_of<'a>(digests: impl Iterator<Item = &'a ObjectId>) -> Vec<u8> {
    let mut lines = Vec::new();
    for digest in digests {
        lines.push(b'\n');
        lines.extend_from_slice(digest.to_hex().as_bytes());
    }
    lines
}

fn read_lines(
    file: &mut File,
    path: &Path,
    mut visit: impl FnMut(ObjectId),
) -> Result<(), CasError> {
    let mut text = Vec::new();
    file.read_to_end(&mut text)
        .map_err(CasError::io("read", path))?;
    for line in text.split(|byte| *byte == b'\n') {
        let mut digest = [0; 32];
        if hex::decode_to_slice(line, &mut digest).is_ok() {
            visit(ObjectId::from_bytes(digest));
        }
    }
    Ok(())
}

/// A damaged index is as good as none here: what is not found is stored once more.
fn find_all(
    packs: &Packs,
    digests: &[ObjectId],
    is_wanted: impl Fn(&Entry) -> bool,
) -> Vec<Option<Found>> {
    let known = packs.known();
    let find = |digest| {
        packs
            .find_in(&known, digest, &is_wanted)
            .unwrap_or_default()
    };
    digests.iter().map(find).collect()
}

/// Whether all the packs that were found are still in the folder.
fn are_there(found: &[Option<Found>]) -> bool {
    let mut last = None;
    found.iter().flatten().all(|found| {
        let name = found.pack.name();
        let is_there = last == Some(name) || found.pack.path().exists();
        last = Some(name);
        is_there
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(path: &Path) -> Vec<ObjectId> {
        let mut objects = Vec::new();
        read_lines(&mut File::open(path).unwrap(), path, |object| {
            objects.push(object);
        })
        .unwrap();
        objects
    }

    #[test]
    fn a_line_that_was_cut_off_spoils_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0");
        let (one, two) = (ObjectId::of(b"1"), ObjectId::of(b"2"));
        let mut bytes = lines_of([&one, &one].into_iter());
        bytes.truncate(100);
        bytes.extend(lines_of([&two].into_iter()));
        fs::write(&path, bytes).unwrap();
        assert_eq!(parsed(&path), [one, two]);
    }

    #[test]
    fn a_long_day_holds_no_object_twice() {
        let folder = tempfile::tempdir().unwrap();
        let objects: Vec<_> = (0..20_000_u32)
            .map(|number| ObjectId::of(&number.to_le_bytes()))
            .collect();
        let now = SystemTime::UNIX_EPOCH + DAY * 7;
        for _ in 0..3 {
            append_recent(folder.path(), &objects, now).unwrap();
        }
        assert_eq!(parsed(&folder.path().join("7")).len(), 20_000);
    }
}
