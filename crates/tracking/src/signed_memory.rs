//! What a signer signed last, remembered where whoever can write the ledger cannot write.

use std::io;

use ledger::{
    CHECKPOINT_PATH, Checkpoint, SigningKey, TileHashes, TileStorage, TreeHead, VerifierKey,
    empty_root, prove_consistency, verify_consistency,
};

use crate::TrackingError;

/// Remembers the checkpoint that was signed last for one ledger.
///
/// The store itself cannot tell that it was put back to an earlier state, or written again from the first event on:
/// everything in it can be changed together. Its signer can, who remembers.
pub trait SignedMemory: Send + Sync {
    /// What was signed last; none if nothing was.
    fn last(&self) -> io::Result<Option<Remembered>>;

    /// Remembers a signed checkpoint in place of the one before; afterwards one of the two is there, whatever happens.
    fn remember(&self, checkpoint: &[u8]) -> io::Result<()>;
}

/// What was signed last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Size and root.
    pub head: TreeHead,
    /// Whether it was signed for this ledger at another place, and nothing yet where it is now.
    pub is_elsewhere: bool,
}

/// Makes sure that a ledger contains the history that was signed before.
///
/// *Errors*: `CheckpointMissing`, `CheckpointBehind` or `HistoryDiffers` if it does not; `Ledger` if its tiles cannot be read.
/// *Cost*: O(log size) tiles, and none where nothing was signed in between.
pub fn check_continues(
    tiles: &(impl TileStorage + ?Sized),
    head: Option<TreeHead>,
    remembered: TreeHead,
) -> Result<(), TrackingError> {
    let size = remembered.size;
    if size == 0 || head == Some(remembered) {
        return Ok(());
    }
    let Some(head) = head else {
        return Err(TrackingError::CheckpointMissing { signed: size });
    };
    if head.size < size {
        return Err(TrackingError::CheckpointBehind {
            signed: size,
            found: head.size,
        });
    }
    let proof = prove_consistency(size, head.size, &mut TileHashes::new(tiles, head.size))?;
    verify_consistency(remembered, head, &proof).map_err(|_| TrackingError::HistoryDiffers { size })
}

/// How a ledger departs from what was signed before.
#[derive(Debug)]
pub struct Departure {
    /// What was signed before.
    pub remembered: TreeHead,
    /// Whether that was at another place.
    pub is_elsewhere: bool,
    /// What is signed in the ledger; the empty tree where nothing is.
    pub found: TreeHead,
    /// What is wrong with that.
    pub error: TrackingError,
}

/// Looks whether a ledger contains the history that was signed before.
///
/// *Errors*: if its checkpoint is not signed with the key, or something cannot be read.
pub fn find_departure(
    tiles: &(impl TileStorage + ?Sized),
    key: &VerifierKey,
    memory: &(impl SignedMemory + ?Sized),
) -> Result<Option<Departure>, TrackingError> {
    let remembered = memory
        .last()
        .map_err(|source| TrackingError::Memory { source })?;
    let Some(Remembered {
        head: remembered,
        is_elsewhere,
    }) = remembered
    else {
        return Ok(None);
    };
    let head = match tiles.read(CHECKPOINT_PATH)? {
        Some(text) => Some(Checkpoint::open(&text, std::slice::from_ref(key))?.head),
        None => None,
    };
    let found = head.unwrap_or(TreeHead {
        size: 0,
        root: empty_root(),
    });
    match check_continues(tiles, head, remembered) {
        Ok(()) => Ok(None),
        Err(TrackingError::Ledger(error)) => Err(error.into()),
        Err(error) => Ok(Some(Departure {
            remembered,
            is_elsewhere,
            found,
            error,
        })),
    }
}

impl Departure {
    /// Whether the ledger is as a copy is that was made before more was signed elsewhere, or a backup: shorter, and
    /// signed with the same key as far as it goes.
    pub fn is_older(&self) -> bool {
        matches!(self.error, TrackingError::CheckpointBehind { .. })
    }

    /// Remembers what was found in place of what was signed before, by the word of whoever has the key.
    pub fn accept(
        &self,
        key: &SigningKey,
        memory: &(impl SignedMemory + ?Sized),
    ) -> Result<(), TrackingError> {
        let checkpoint = Checkpoint::sign(self.found, &[key])?;
        memory
            .remember(&checkpoint)
            .map_err(|source| TrackingError::Memory { source })
    }
}
