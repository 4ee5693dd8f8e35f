//! Puts committed events into the tree and signs it.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use entities::{Random, Timestamp};
use ledger::{
    CHECKPOINT_PATH, Checkpoint, DirectoryTiles, Integrator, LedgerError, SigningKey, TileStorage,
    read_entry,
};
use store::{LedgerProgress, Store};

use crate::folder_lock::FolderLock;
use crate::{Remembered, SignedMemory, TrackingError, check_continues};

/// Where a ledger's files are kept, as the publisher shares it with threads that may block.
pub type SharedTiles = Arc<dyn TileStorage + Send + Sync>;

/// Sequences, integrates and signs what was committed.
///
/// Whatever moment it is killed at, the next call goes on from there: an order that was given stays, tiles that were
/// written come out the same, and nothing is signed that does not continue the checkpoint that is there and the one
/// that is remembered.
pub struct LedgerPublisher {
    store: Arc<dyn Store>,
    tiles: SharedTiles,
    key: SigningKey,
    memory: Arc<dyn SignedMemory>,
    /// The folder whose lock keeps other publishers away, where the ledger is in one.
    folder: Option<PathBuf>,
    /// Who holds the lease where there is no lock.
    holder: String,
    turn: tokio::sync::Mutex<()>,
}

/// The lease that keeps other publishers away where the ledger's files cannot be locked.
const LEASE: &str = "ledger";

/// How long a publisher that died keeps others away then, at most.
const LEASE_MS: u64 = 30_000;

/// How long to wait for another publisher, which most likely signs what we want signed.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long to wait before looking again whether somebody else is done.
pub(crate) const PAUSE: Duration = Duration::from_millis(10);

/// Events that are read and appended at once: bounds memory.
const PAGE: usize = 4096;

/// The right to publish.
#[derive(Clone)]
enum Turn {
    /// A lock on the ledger's folder. It ends with the process, so that nobody waits for the dead, and costs no flush.
    /// Every thread that writes holds it, since a call that is given up leaves its thread at work.
    Lock(#[expect(dead_code, reason = "it is held, not read")] Arc<File>),
    /// The lease in the database.
    Lease,
}

impl LedgerPublisher {
    /// Publishes to a folder.
    pub fn new(
        store: Arc<dyn Store>,
        tiles: DirectoryTiles,
        key: SigningKey,
        memory: Arc<dyn SignedMemory>,
        random: &dyn Random,
    ) -> Self {
        let folder = Some(tiles.root().to_owned());
        Self {
            folder,
            ..Self::with_storage(store, Arc::new(tiles), key, memory, random)
        }
    }

    /// Publishes to a storage that has no lock of its own: then the lease alone keeps others away.
    pub fn with_storage(
        store: Arc<dyn Store>,
        tiles: SharedTiles,
        key: SigningKey,
        memory: Arc<dyn SignedMemory>,
        random: &dyn Random,
    ) -> Self {
        let mut holder = [0; 16];
        random.fill(&mut holder);
        Self {
            store,
            tiles,
            key,
            memory,
            folder: None,
            holder: hex::encode(holder),
            turn: tokio::sync::Mutex::new(()),
        }
    }

    /// Publishes everything that was committed before the call; tells how far the ledger is then.
    ///
    /// Where another publisher is at work, waits for it, and after some seconds gives up without an error.
    ///
    /// *Errors*: `CheckpointMissing`, `CheckpointBehind`, `CheckpointAhead`, `HistoryDiffers`, `EventDiffers` and `Ledger` if
    /// what is there is not what was signed: then nothing is written.
    ///
    /// *Cost*: some flushes of the disk, and O(new events).
    pub async fn publish(&self, now: Timestamp) -> Result<LedgerProgress, TrackingError> {
        let started = Instant::now();
        let wanted = self.store.ledger_progress().await?.committed;
        let _turn = self.turn.lock().await;
        loop {
            let progress = self.store.ledger_progress().await?;
            if progress.signed >= wanted {
                return Ok(progress);
            }
            let at = later(now, started);
            if let Some(turn) = self.take_turn(at).await? {
                if let Err(error) = self.publish_in_turn(&turn, now, started).await {
                    // The first error is the one to report; a lease that is not given back runs out.
                    drop(self.end_turn(&turn).await);
                    return Err(error);
                }
                return Ok(self.store.ledger_progress().await?);
            }
            if started.elapsed() > PATIENCE {
                tracing::info!(signed = progress.signed, wanted, "ledger.publisher_busy");
                return Ok(progress);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn take_turn(&self, now: Timestamp) -> Result<Option<Turn>, TrackingError> {
        if let Some(folder) = &self.folder {
            std::fs::create_dir_all(folder).map_err(|source| TrackingError::Lock {
                path: folder.display().to_string(),
                source,
            })?;
            match FolderLock::exclusive(folder)? {
                FolderLock::Taken => return Ok(None),
                FolderLock::Ours(lock) => return Ok(Some(Turn::Lock(Arc::new(lock)))),
                FolderLock::Unsupported => {}
            }
        }
        let is_ours = self.store.take_lease(LEASE, &self.holder, now, LEASE_MS);
        Ok(is_ours.await?.then_some(Turn::Lease))
    }

    /// Gives the lease back; a lock goes when it is dropped.
    async fn end_turn(&self, turn: &Turn) -> Result<(), TrackingError> {
        match turn {
            Turn::Lock(_) => Ok(()),
            Turn::Lease => Ok(self.store.release_lease(LEASE, &self.holder).await?),
        }
    }

    async fn publish_in_turn(
        &self,
        turn: &Turn,
        now: Timestamp,
        started: Instant,
    ) -> Result<(), TrackingError> {
        let sequenced = self.store.sequence().await?;
        let signed = self.store.ledger_progress().await?.signed;
        let mut integrator = self.load(turn, signed, sequenced).await?;
        let old_size = integrator.head().size;
        self.check_last_event(turn, old_size).await?;
        while integrator.head().size < sequenced {
            let size = integrator.head().size;
            let limit = usize::try_from(sequenced - size).map_or(PAGE, |left| left.min(PAGE));
            let events = self.store.list_events(size, limit).await?;
            if events.is_empty() {
                return Err(TrackingError::Store(store::StoreError::Damaged {
                    message: format!("event {size} is missing"),
                }));
            }
            let leaves: Vec<Vec<u8>> = events.into_iter().map(|event| event.leaf).collect();
            integrator = self
                .in_thread(turn, move |tiles, _| {
                    integrator.append(tiles, &leaves)?;
                    Ok(integrator)
                })
                .await?;
            self.renew(turn, now, started).await?;
        }
        let mut signed = None;
        if integrator.head().size > old_size {
            let publish = move |tiles: &(dyn TileStorage + Send + Sync), key: &SigningKey| {
                integrator.publish(tiles, &[key])
            };
            signed = Some(self.in_thread(turn, publish).await?);
        }
        // Handed over together, they share one flush of the disk.
        let noted = self.store.note_published(sequenced, sequenced);
        let remembered = self.remember(turn, signed);
        let (noted, remembered, ended) = tokio::join!(noted, remembered, self.end_turn(turn));
        noted?;
        remembered?;
        ended
    }

    /// Remembers what was signed. Only afterwards: a memory that lags behind is still continued.
    async fn remember(&self, turn: &Turn, signed: Option<Vec<u8>>) -> Result<(), TrackingError> {
        let Some(checkpoint) = signed else {
            return Ok(());
        };
        let memory = Arc::clone(&self.memory);
        let remembered = self
            .in_thread(turn, move |_, _| Ok(memory.remember(&checkpoint)))
            .await?;
        if let Err(error) = remembered {
            // As where the settings folder may only be read: the signature stands, only a rollback goes unnoticed.
            tracing::warn!(%error, "what was signed could not be remembered");
        }
        Ok(())
    }

    /// Takes up the tree at its checkpoint, which must be ours and neither behind nor ahead of what the database knows.
    async fn load(
        &self,
        turn: &Turn,
        signed: u64,
        sequenced: u64,
    ) -> Result<Integrator, TrackingError> {
        let memory = Arc::clone(&self.memory);
        let (found, remembered) = self
            .in_thread(turn, move |tiles, key| {
                let remembered = memory.last();
                let Some(text) = tiles.read(CHECKPOINT_PATH)? else {
                    return Ok((None, remembered));
                };
                let head = Checkpoint::open(&text, &[key.verifier()])?.head;
                Ok((Some(Integrator::load(tiles, head)?), remembered))
            })
            .await?;
        let remembered = remembered.map_err(|source| TrackingError::Memory { source })?;
        if let Some(Remembered {
            head: remembered, ..
        }) = remembered
        {
            let head = found.as_ref().map(Integrator::head);
            self.in_thread(turn, move |tiles, _| {
                Ok(check_continues(tiles, head, remembered))
            })
            .await??;
        }
        match found {
            None if signed == 0 => Ok(Integrator::new()),
            None => Err(TrackingError::CheckpointMissing { signed }),
            Some(integrator) => {
                let found = integrator.head().size;
                if found < signed {
                    return Err(TrackingError::CheckpointBehind { signed, found });
                }
                if found > sequenced {
                    return Err(TrackingError::CheckpointAhead { sequenced, found });
                }
                Ok(integrator)
            }
        }
    }

    /// Makes sure that the database still has the event that was signed last: one that was put back to an earlier state
    /// and went on from there has another in its place.
    async fn check_last_event(&self, turn: &Turn, size: u64) -> Result<(), TrackingError> {
        let Some(index) = size.checked_sub(1) else {
            return Ok(());
        };
        let signed = self
            .in_thread(turn, move |tiles, _| read_entry(tiles, index, size))
            .await?;
        let events = self.store.list_events(index, 1).await?;
        match events.first() {
            Some(event) if event.leaf == signed => Ok(()),
            _ => Err(TrackingError::EventDiffers { index }),
        }
    }

    /// Keeps the lease, where nothing but the lease keeps others away.
    ///
    /// *Errors*: `BrokenOff` if it was lost to another publisher, which then does this work.
    async fn renew(
        &self,
        turn: &Turn,
        now: Timestamp,
        started: Instant,
    ) -> Result<(), TrackingError> {
        let at = later(now, started);
        let is_ours = match turn {
            Turn::Lock(_) => true,
            Turn::Lease => {
                let renewed = self.store.take_lease(LEASE, &self.holder, at, LEASE_MS);
                renewed.await?
            }
        };
        if is_ours {
            return Ok(());
        }
        Err(TrackingError::BrokenOff {
            what: "publishing the ledger",
        })
    }

    /// Works on the files in a thread that may block.
    async fn in_thread<T: Send + 'static>(
        &self,
        turn: &Turn,
        work: impl FnOnce(&(dyn TileStorage + Send + Sync), &SigningKey) -> Result<T, LedgerError>
        + Send
        + 'static,
    ) -> Result<T, TrackingError> {
        let (tiles, key, turn) = (Arc::clone(&self.tiles), self.key.clone(), turn.clone());
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work(tiles.as_ref(), &key)
        });
        Ok(finished(done.await, "publishing the ledger")??)
    }
}

impl std::fmt::Debug for LedgerPublisher {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("LedgerPublisher")
            .field("key", &self.key)
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

/// What a thread came to; a panic goes on here.
pub(crate) fn finished<T>(
    done: Result<T, tokio::task::JoinError>,
    what: &'static str,
) -> Result<T, TrackingError> {
    match done {
        Ok(value) => Ok(value),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(TrackingError::BrokenOff { what }),
    }
}

/// The time that was given, as much later as has passed since.
fn later(now: Timestamp, started: Instant) -> Timestamp {
    let passed = i64::try_from(started.elapsed().as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(now.as_micros().saturating_add(passed))
}
