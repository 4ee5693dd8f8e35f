//! Storing large objects: reading, digests, cuts and compression at the same time, in bounded memory.
//!
//! The calling thread reads a piece, adds it to the digest of the whole and cuts it into chunks.
//! The chunks of a piece are digested, looked up, compressed and written by helping threads, or by the calling
//! one where those are behind: so all are busy whichever side has more to do.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use entities::ObjectId;

use crate::chunking::{self, CHUNK_MAX_BYTES};
use crate::list::ChunkRef;
use crate::{Batch, CasError, Stored};

/// Fills a buffer from an offset on, and says with how much; nothing is the end.
pub(crate) type Source<'a> = dyn FnMut(&mut [u8], u64) -> Result<usize, CasError> + 'a;

/// Bytes that are read at once: they stay in the processor's cache until they are stored.
const PIECE_BYTES: usize = 1 << 20;

/// Pieces that wait for a helper.
const WAITING_MAX: usize = 2;

/// Objects that end within so many bytes are stored by the calling thread: starting another takes as long.
const ALONE_MAX_BYTES: u64 = 4 << 20;

/// Stores an object of which `head` is known, which has as much as an object that is cut must have.
pub(crate) fn put(batch: &Batch, head: Vec<u8>, read: &mut Source<'_>) -> Result<Stored, CasError> {
    let work = Work::new(batch);
    let mut cutter = Cutter::new(head);
    let mut is_end = false;
    while !is_end && cutter.size_bytes < ALONE_MAX_BYTES {
        let piece;
        (piece, is_end) = cutter.next_piece(&work, read)?;
        work.store(piece)?;
    }
    if !is_end {
        put_with_helpers(batch, &work, &mut cutter, read)?;
    }
    let chunks = work.finish()?;
    let stored = Stored {
        object: ObjectId::from_bytes(*cutter.whole.finalize().as_bytes()),
        size_bytes: cutter.size_bytes,
    };
    batch.put_list(stored.object, &chunks, stored.size_bytes)?;
    Ok(stored)
}

fn put_with_helpers(
    batch: &Batch,
    work: &Work<'_>,
    cutter: &mut Cutter,
    read: &mut Source<'_>,
) -> Result<(), CasError> {
    let helpers = batch.threads().saturating_sub(1);
    let (sender, receiver) = sync_channel(WAITING_MAX);
    let receiver = Mutex::new(receiver);
    thread::scope(|scope| {
        for _ in 0..helpers {
            scope.spawn(|| work.help(&receiver));
        }
        // Dropped at the end of this block, which ends the helpers.
        let sender = sender;
        let mut is_end = false;
        while !is_end && !work.has_failed() {
            let piece;
            (piece, is_end) = cutter.next_piece(work, read)?;
            work.hand_over(&sender, piece)?;
        }
        Ok(())
    })
}

/// What is known of an object of which only a part was read.
struct Cutter {
    whole: blake3::Hasher,
    size_bytes: u64,
    /// Bytes that were read and belong to no piece yet.
    rest: Vec<u8>,
    next_number: u64,
}

/// Whole chunks that follow each other.
struct Piece {
    number: u64,
    bytes: Vec<u8>,
    lengths: Vec<u32>,
}

impl Cutter {
    fn new(head: Vec<u8>) -> Self {
        let mut whole = blake3::Hasher::new();
        whole.update(&head);
        Self {
            whole,
            size_bytes: head.len() as u64,
            rest: head,
            next_number: 0,
        }
    }

    /// Reads on, and cuts what was read; the second value says whether this was the end.
    fn next_piece(
        &mut self,
        work: &Work<'_>,
        read: &mut Source<'_>,
    ) -> Result<(Piece, bool), CasError> {
        let mut bytes = work.take_buffer();
        let from = self.rest.len();
        let mut length = from;
        bytes[..length].copy_from_slice(&self.rest);
        self.rest.clear();
        let mut is_end = false;
        while length < bytes.len() && !is_end {
            let read_bytes = read(&mut bytes[length..], self.size_bytes)?;
            self.size_bytes += read_bytes as u64;
            length += read_bytes;
            is_end = read_bytes == 0;
        }
        self.whole.update(&bytes[from..length]);
        let lengths = chunking::cut(&bytes[..length], is_end);
        let cut_bytes = lengths.iter().map(|length| *length as usize).sum();
        self.rest.extend_from_slice(&bytes[cut_bytes..length]);
        let number = self.next_number;
        self.next_number += 1;
        Ok((
            Piece {
                number,
                bytes,
                lengths,
            },
            is_end,
        ))
    }
}

/// What the threads share.
struct Work<'a> {
    batch: &'a Batch,
    chunks: Mutex<BTreeMap<u64, Vec<ChunkRef>>>,
    failure: Mutex<Option<CasError>>,
    /// Buffers that are used again: fresh memory costs more than what is done with it.
    buffers: Mutex<Vec<Vec<u8>>>,
}

impl<'a> Work<'a> {
    fn new(batch: &'a Batch) -> Self {
        Self {
            batch,
            chunks: Mutex::default(),
            failure: Mutex::default(),
            buffers: Mutex::default(),
        }
    }

    fn take_buffer(&self) -> Vec<u8> {
        let buffer = lock(&self.buffers).pop();
        // What is left of a piece is less than one chunk; the head of an object is no more than a piece.
        buffer.unwrap_or_else(|| vec![0; PIECE_BYTES + CHUNK_MAX_BYTES])
    }

    fn has_failed(&self) -> bool {
        lock(&self.failure).is_some()
    }

    fn help(&self, receiver: &Mutex<Receiver<Piece>>) {
        loop {
            let received = lock(receiver).recv();
            let Ok(piece) = received else { return };
            // After a failure pieces are taken and dropped, so that the sender does not wait.
            if self.has_failed() {
                continue;
            }
            if let Err(error) = self.store(piece) {
                lock(&self.failure).get_or_insert(error);
            }
        }
    }

    fn hand_over(&self, sender: &SyncSender<Piece>, piece: Piece) -> Result<(), CasError> {
        match sender.try_send(piece) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(piece) | TrySendError::Disconnected(piece)) => self.store(piece),
        }
    }

    fn store(&self, piece: Piece) -> Result<(), CasError> {
        let mut contents = Vec::with_capacity(piece.lengths.len());
        let mut rest = &piece.bytes[..];
        for length in &piece.lengths {
            let (content, after) = rest.split_at(*length as usize);
            contents.push(content);
            rest = after;
        }
        let digests: Vec<_> = contents
            .iter()
            .map(|content| ObjectId::of(content))
            .collect();
        let is_there = self.batch.has_chunks(&digests)?;
        for ((digest, content), is_there) in digests.iter().zip(&contents).zip(is_there) {
            if !is_there {
                self.batch.put_chunk(*digest, content)?;
            }
        }
        let chunks = digests
            .iter()
            .zip(&piece.lengths)
            .map(|(digest, size_bytes)| ChunkRef {
                digest: *digest,
                size_bytes: *size_bytes,
            });
        lock(&self.chunks).insert(piece.number, chunks.collect());
        lock(&self.buffers).push(piece.bytes);
        Ok(())
    }

    fn finish(self) -> Result<Vec<ChunkRef>, CasError> {
        let failure = self.failure.into_inner();
        if let Some(error) = failure.unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let chunks = self.chunks.into_inner();
        let chunks = chunks.unwrap_or_else(PoisonError::into_inner);
        Ok(chunks.into_values().flatten().collect())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
