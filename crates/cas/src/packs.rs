//! The packs of a store, as far as this process knows them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use entities::ObjectId;

use crate::CasError;
use crate::pack::{Entry, FileCache, Pack, PackName};

/// A folder of packs.
#[derive(Debug)]
pub(crate) struct Packs {
    folder: PathBuf,
    files: Arc<FileCache>,
    listing: RwLock<Arc<Listing>>,
    /// Where the last entry was found: the next one is likely there too.
    recent: AtomicUsize,
    relisting: Mutex<()>,
}

/// The packs at one moment.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) packs: Vec<Arc<Pack>>,
    /// The folder's time of change before it was listed, and when it was first seen to have that time.
    seen: Option<(SystemTime, Instant)>,
    /// Whether a later change would have given the folder another time.
    is_settled: bool,
}

/// Clocks of file systems tick every few milliseconds: two changes within a tick have the same time.
const TICK: Duration = Duration::from_millis(50);

/// An entry and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) pack: Arc<Pack>,
    pub(crate) entry: Entry,
}

impl Packs {
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            files: Arc::default(),
            listing: RwLock::default(),
            recent: AtomicUsize::new(0),
            relisting: Mutex::new(()),
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What was last listed, however long ago.
    pub(crate) fn known(&self) -> Arc<Listing> {
        Arc::clone(&self.listing.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lists the folder again if it may have changed: one call of the system where it has not.
    pub(crate) fn current(&self) -> Result<Arc<Listing>, CasError> {
        let known = self.known();
        if known.is_settled
            && known
                .seen
                .is_some_and(|(time, _)| self.changed_at().is_ok_and(|now| now == time))
        {
            return Ok(known);
        }
        self.relist()
    }

    /// Lists the folder.
    pub(crate) fn relist(&self) -> Result<Arc<Listing>, CasError> {
        let _one_at_a_time = self
            .relisting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let known = self.known();
        let changed_at = self.changed_at()?;
        let now = Instant::now();
        let first_seen = match known.seen {
            Some((time, first_seen)) if time == changed_at => first_seen,
            _ => now,
        };
        let mut before: BTreeMap<PackName, &Arc<Pack>> =
            known.packs.iter().map(|pack| (pack.name(), pack)).collect();
        let mut packs = Vec::new();
        for name in self.list_names()? {
            packs.push(match before.remove(&name) {
                Some(pack) => Arc::clone(pack),
                None => Arc::new(Pack::listed(name, &self.folder, &self.files)),
            });
        }
        if !before.is_empty() {
            self.files.retain(|name| !before.contains_key(&name));
        }
        packs.sort_unstable_by_key(|pack| pack.name());
        let listing = Arc::new(Listing {
            packs,
            seen: Some((changed_at, first_seen)),
            is_settled: now.duration_since(first_seen) >= TICK && !is_coarse(changed_at),
        });
        *self.listing.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&listing);
        Ok(listing)
    }

    /// Looks an entry up among the packs that are known; `is_wanted` chooses between entries of one digest.
    ///
    /// A damaged or vanished pack does not hide the entry in another one.
    pub(crate) fn find_in(
        &self,
        listing: &Listing,
        digest: &ObjectId,
        is_wanted: impl Fn(&Entry) -> bool,
    ) -> Result<Option<Found>, CasError> {
        let count = listing.packs.len();
        let start = self.recent.load(Ordering::Relaxed);
        let mut fault = None;
        for at in (0..count).map(|step| (start + step) % count) {
            let pack = &listing.packs[at];
            match pack.find(digest) {
                Ok(Some(entry)) if is_wanted(&entry) => {
                    self.recent.store(at, Ordering::Relaxed);
                    let pack = Arc::clone(pack);
                    return Ok(Some(Found { pack, entry }));
                }
                Ok(_) => {}
                Err(error) => fault = Some(error),
            }
        }
        fault.map_or(Ok(None), Err)
    }

    /// Looks an entry up and uses it; when its pack was replaced meanwhile, looks again.
    pub(crate) fn with_entry<T>(
        &self,
        digest: &ObjectId,
        is_wanted: impl Fn(&Entry) -> bool,
        mut use_entry: impl FnMut(&Found) -> Result<T, CasError>,
    ) -> Result<Option<T>, CasError> {
        /// Each time another process must have replaced the pack between two calls of the system.
        const ATTEMPTS: usize = 16;
        let mut listing = self.current()?;
        for attempt in 1.. {
            let found = self.find_in(&listing, digest, &is_wanted);
            let used = found.and_then(|found| found.as_ref().map(&mut use_entry).transpose());
            match used {
                Err(error) if error.is_not_found() && attempt < ATTEMPTS => {}
                // A miss in a list that others may have changed within the tick of the clock is no miss.
                Ok(None) if attempt == 1 && !listing.is_settled => {}
                used => return used,
            }
            listing = self.relist()?;
        }
        unreachable!("the loop ends after some attempts")
    }

    fn changed_at(&self) -> Result<SystemTime, CasError> {
        let modified = fs::metadata(&self.folder).and_then(|metadata| metadata.modified());
        modified.map_err(CasError::io("read", &self.folder))
    }

    fn list_names(&self) -> Result<Vec<PackName>, CasError> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(CasError::io("list", &self.folder))? {
            let entry = entry.map_err(CasError::io("list", &self.folder))?;
            names.extend(
                entry
                    .file_name()
                    .to_str()
                    .and_then(PackName::from_file_name),
            );
        }
        Ok(names)
    }
}

/// Whether a file system may count time in seconds, so that many changes have the same time.
fn is_coarse(time: SystemTime) -> bool {
    let since_epoch = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    since_epoch.subsec_nanos() == 0
}
