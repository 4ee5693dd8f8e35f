//! Holds the ledger's files against its signature and against the database.

use std::path::Path;
use std::time::{Duration, Instant};

use ledger::{
    CHECKPOINT_PATH, Checkpoint, DirectoryTiles, Fault, LedgerError, TilePath, TileStorage,
    TreeHead, VerifierKey, WriterChecker, verify, verify_commitment,
};
use store::{LedgerProgress, Store, StoreError, StoredEvent};
use tokio::sync::mpsc;

use crate::folder_lock::FolderLock;
use crate::publisher::{PAUSE, finished};
use crate::{TrackingError, check_continues};

/// How long to wait for a publisher, which needs some milliseconds unless it has very much to do.
const PATIENCE: Duration = Duration::from_secs(30);

/// Events that are read from the database at once.
const PAGE: usize = 1024;

/// Pages that wait for the thread that verifies.
const WAITING_PAGES: usize = 4;

type Pages = mpsc::Receiver<Result<Vec<StoredEvent>, StoreError>>;

/// Verifies everything that the ledger stores, and that the database has exactly the signed events; gives the first
/// fault, told, or none.
///
/// Checked are: the checkpoint's signature; every entry, tile and hash up to the root; each writer's numbers and each
/// subject's chain; each event in the database against its entry, and its body against its commitment.
/// Faults of the files come before faults of the database.
/// `progress` tells what the caller knows to be signed, and `remembered` what the signer remembers: both must still be
/// covered.
/// Events after the checkpoint are not looked at, and neither are files of a publisher that was killed before it signed.
/// No publisher of this folder is at work meanwhile.
///
/// *Errors*: if something could not be read, so that nothing can be said.
/// *Cost*: about one pass over all files and events; memory in proportion to the number of subjects.
pub async fn verify_tiles(
    tiles: &DirectoryTiles,
    keys: &[VerifierKey],
    store: &dyn Store,
    progress: LedgerProgress,
    remembered: Option<TreeHead>,
) -> Result<Option<String>, TrackingError> {
    let _lock = keep_publishers_out(tiles.root()).await?;
    let current = store.ledger_progress().await?;
    let progress = LedgerProgress {
        signed: current.signed.max(progress.signed),
        ..current
    };
    let (pages, events) = mpsc::channel(WAITING_PAGES);
    let (root, keys) = (tiles.root().to_owned(), keys.to_vec());
    let verifying = tokio::task::spawn_blocking(move || {
        find_fault(
            &DirectoryTiles::new(root),
            &keys,
            progress,
            remembered,
            events,
        )
    });
    let (verified, ()) = tokio::join!(verifying, read_events(store, progress.sequenced, pages));
    finished(verified, "verifying the ledger")?
}

/// Waits for a publisher that is at work, and keeps others out as long as what is given lives.
async fn keep_publishers_out(folder: &Path) -> Result<FolderLock, TrackingError> {
    let started = Instant::now();
    loop {
        match FolderLock::shared(folder)? {
            FolderLock::Taken if started.elapsed() > PATIENCE => {
                return Err(StoreError::Busy.into());
            }
            FolderLock::Taken => tokio::time::sleep(PAUSE).await,
            lock => return Ok(lock),
        }
    }
}

/// Hands over all sequenced events, as long as somebody takes them.
async fn read_events(
    store: &dyn Store,
    sequenced: u64,
    pages: mpsc::Sender<Result<Vec<StoredEvent>, StoreError>>,
) {
    let mut from = 0;
    while from < sequenced {
        let page = store.list_events(from, PAGE).await;
        let count = page.as_ref().map_or(0, Vec::len) as u64;
        if pages.send(page).await.is_err() || count == 0 {
            return;
        }
        from += count;
    }
}

fn find_fault(
    tiles: &DirectoryTiles,
    keys: &[VerifierKey],
    progress: LedgerProgress,
    remembered: Option<TreeHead>,
    events: Pages,
) -> Result<Option<String>, TrackingError> {
    let has_checkpoint = match tiles.read(CHECKPOINT_PATH) {
        Ok(found) => found.is_some(),
        // A folder in its place, say, is told as a fault below.
        Err(LedgerError::FileRefused { .. }) => true,
        Err(error) => return Err(error.into()),
    };
    if !has_checkpoint && progress.signed == 0 {
        if let Some(TreeHead { size: signed, .. }) = remembered.filter(|head| head.size > 0) {
            return Ok(Some(tell(&TrackingError::CheckpointMissing { signed })));
        }
        return Ok(None);
    }
    let part = SignedPart {
        tiles,
        keys,
        sequenced: progress.sequenced,
    };
    let mut comparison = Comparison::new(events);
    let verified = verify(&part, keys, |index, entry| comparison.compare(index, entry));
    if let Some(error) = comparison.failure {
        return Err(error.into());
    }
    let head = match verified {
        Ok(checkpoint) => checkpoint.head,
        Err(LedgerError::Fault(fault)) => return Ok(Some(tell(fault.as_ref()))),
        Err(error) => return Err(error.into()),
    };
    if head.size < progress.signed {
        let error = TrackingError::CheckpointBehind {
            signed: progress.signed,
            found: head.size,
        };
        return Ok(Some(tell(&error)));
    }
    if head.size > progress.sequenced {
        let error = TrackingError::CheckpointAhead {
            sequenced: progress.sequenced,
            found: head.size,
        };
        return Ok(Some(tell(&error)));
    }
    if let Some(remembered) = remembered {
        match check_continues(tiles, Some(head), remembered) {
            Ok(()) => {}
            Err(TrackingError::Ledger(error)) => return Err(error.into()),
            Err(error) => return Ok(Some(tell(&error))),
        }
    }
    Ok(comparison.fault)
}

/// The database beside the entries, one after the other.
struct Comparison {
    pages: Pages,
    page: std::vec::IntoIter<StoredEvent>,
    checker: WriterChecker,
    /// What is wrong with the database first. It is told only if the files are as they were signed.
    fault: Option<String>,
    /// Why nothing can be said.
    failure: Option<StoreError>,
}

impl Comparison {
    fn new(pages: Pages) -> Self {
        Self {
            pages,
            page: Vec::new().into_iter(),
            checker: WriterChecker::new(),
            fault: None,
            failure: None,
        }
    }

    /// Ends the pass only for a fault of the ledger itself, or if the database cannot be read.
    fn compare(&mut self, index: u64, entry: &[u8]) -> Result<(), Fault> {
        if self.fault.is_some() {
            return Ok(());
        }
        let event = match self.next_event() {
            Ok(Some(event)) => event,
            Ok(None) => {
                self.fault = Some(format!("event {index} is missing in the database"));
                return Ok(());
            }
            Err(StoreError::Damaged { message }) => {
                self.fault = Some(format!("the database is damaged: {message}"));
                return Ok(());
            }
            Err(error) => {
                self.failure = Some(error);
                return Err(Fault::EntryDiffers { index, byte: 0 });
            }
        };
        if let Some(byte) = first_difference(&event.leaf, entry) {
            self.fault = Some(format!(
                "event {index} in the database is not the one that was signed, from byte {byte} of its leaf"
            ));
            return Ok(());
        }
        let leaf = self.checker.check_bytes(entry)?;
        if let Err(error) = verify_commitment(&leaf, &event.salt, &event.body) {
            self.fault = Some(format!("event {index} in the database: {error}"));
        }
        Ok(())
    }

    fn next_event(&mut self) -> Result<Option<StoredEvent>, StoreError> {
        if let Some(event) = self.page.next() {
            return Ok(Some(event));
        }
        match self.pages.blocking_recv() {
            None => Ok(None),
            Some(page) => {
                self.page = page?.into_iter();
                Ok(self.page.next())
            }
        }
    }
}

/// The files of a ledger without those that an interrupted publisher wrote and did not sign.
///
/// Such files lie beyond the checkpoint and within what was put in order; the next publisher writes them again.
struct SignedPart<'a> {
    tiles: &'a DirectoryTiles,
    keys: &'a [VerifierKey],
    sequenced: u64,
}

impl TileStorage for SignedPart<'_> {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, LedgerError> {
        self.tiles.read(path)
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), LedgerError> {
        self.tiles.write(path, bytes)
    }

    fn sync(&self) -> Result<(), LedgerError> {
        self.tiles.sync()
    }

    fn remove_partials(&self, full_path: &str) -> Result<(), LedgerError> {
        self.tiles.remove_partials(full_path)
    }

    fn list(&self) -> Result<Vec<String>, LedgerError> {
        let mut paths = self.tiles.list()?;
        let Some(text) = self.tiles.read(CHECKPOINT_PATH)? else {
            return Ok(paths);
        };
        let size = Checkpoint::open(&text, self.keys)?.head.size;
        let fits = |tile: TilePath, size| {
            TilePath::in_tree(tile.row, tile.index, size).is_some_and(|now| now.width >= tile.width)
        };
        paths.retain(|path| {
            path.parse::<TilePath>()
                .map_or(true, |tile| fits(tile, size) || !fits(tile, self.sequenced))
        });
        Ok(paths)
    }
}

fn first_difference(left: &[u8], right: &[u8]) -> Option<usize> {
    if left == right {
        return None;
    }
    let same = left.iter().zip(right).take_while(|(l, r)| l == r).count();
    Some(same)
}

/// Says an error with everything that caused it.
fn tell(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
