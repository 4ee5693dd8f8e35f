//! Reading everything and comparing all digests.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use entities::ObjectId;

use crate::cas::Inner;
use crate::pack::{Entry, HEADER_BYTES, Pack, PackName, Role, encode_header};
use crate::{Cas, CasError, Damage, layout};

/// Something wrong in a store, and where.
#[derive(Debug)]
#[non_exhaustive]
pub enum CasFault {
    /// A file, or a part of one, is not what was written; the error names file and offset.
    File(CasError),
    /// A large object lacks a chunk.
    ChunkMissing {
        /// The pack with the object's list of chunks.
        path: PathBuf,
        /// Where the list begins.
        offset: u64,
        /// The object.
        object: ObjectId,
        /// The digest of the chunk.
        chunk: ObjectId,
    },
    /// A large object has a chunk that is damaged, which is told as a fault of its own.
    ChunkDamaged {
        /// The pack with the object's list of chunks.
        path: PathBuf,
        /// Where the list begins.
        offset: u64,
        /// The object.
        object: ObjectId,
        /// The digest of the chunk.
        chunk: ObjectId,
    },
}

impl fmt::Display for CasFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, offset, object, chunk, what) = match self {
            Self::File(error) => {
                write!(formatter, "{error}")?;
                let source = std::error::Error::source(error);
                return source.map_or(Ok(()), |source| write!(formatter, ": {source}"));
            }
            Self::ChunkMissing {
                path,
                offset,
                object,
                chunk,
            } => (path, offset, object, chunk, "missing"),
            Self::ChunkDamaged {
                path,
                offset,
                object,
                chunk,
            } => (path, offset, object, chunk, "damaged"),
        };
        let path = path.display();
        write!(
            formatter,
            "object `{object}`, listed in `{path}` at byte {offset}: its chunk `{chunk}` is {what}"
        )
    }
}

/// What was found to be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerifySummary {
    /// Objects, each counted once.
    pub objects: u64,
    /// The length of their contents together.
    pub bytes: u64,
}

impl Cas {
    /// Reads every pack and every object, compares all digests and checksums, and tells each fault.
    ///
    /// Faults are told in no particular order. Others may read and write meanwhile.
    ///
    /// *Errors*: `Io` when the folder cannot be listed; all else is told as a fault.
    ///
    /// *Cost*: reads each pack once, and the chunks of large objects once more; memory for one index a thread.
    pub fn verify(&self, on_fault: &mut dyn FnMut(CasFault)) -> Result<VerifySummary, CasError> {
        let inner = &*self.inner;
        let format = fs::read(&inner.format).map_err(CasError::io("read", &inner.format));
        if let Err(error) = format.and_then(|text| layout::check_format(&inner.format, &text)) {
            on_fault(CasFault::File(error));
        }
        let mut seen: BTreeSet<PackName> = BTreeSet::new();
        let mut found = Findings {
            is_any_gone: true,
            ..Findings::default()
        };
        while std::mem::take(&mut found.is_any_gone) {
            // A pack that was replaced before it could be read has its entries in new ones.
            let listing = inner.packs.relist()?;
            let new: Vec<_> = listing
                .packs
                .iter()
                .filter(|pack| seen.insert(pack.name()))
                .cloned()
                .collect();
            in_parallel(
                inner,
                new,
                on_fault,
                |pack, tell| verify_pack(inner, &pack, tell),
                &mut found,
            );
        }
        let lists = std::mem::take(&mut found.lists).into_values().collect();
        in_parallel(
            inner,
            lists,
            on_fault,
            |list, tell| {
                verify_list(inner, &list, tell);
                Findings::default()
            },
            &mut Findings::default(),
        );
        Ok(VerifySummary {
            objects: found.objects.len() as u64,
            bytes: found.objects.values().sum(),
        })
    }
}

/// The list of a large object, and where it stands.
#[derive(Debug)]
struct FoundList {
    pack: Arc<Pack>,
    entry: Entry,
}

#[derive(Debug, Default)]
struct Findings {
    /// Objects and their lengths.
    objects: BTreeMap<ObjectId, u64>,
    lists: BTreeMap<ObjectId, FoundList>,
    /// Whether a pack went away before it was read.
    is_any_gone: bool,
}

type Tell<'a> = dyn Fn(CasFault) + 'a;

/// Shares tasks among threads; faults are told by the calling one.
fn in_parallel<T: Send>(
    inner: &Inner,
    tasks: Vec<T>,
    on_fault: &mut dyn FnMut(CasFault),
    work: impl Fn(T, &Tell<'_>) -> Findings + Sync,
    into: &mut Findings,
) {
    let threads = inner.options.threads_or_default().min(tasks.len());
    let tasks = Mutex::new(tasks.into_iter());
    let next = || tasks.lock().unwrap_or_else(PoisonError::into_inner).next();
    let gathered = Mutex::new(into);
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(16);
        for _ in 0..threads {
            let sender: SyncSender<CasFault> = sender.clone();
            let (next, work, gathered) = (&next, &work, &gathered);
            scope.spawn(move || {
                // The receiver lives as long as there are senders.
                let tell = |fault| drop(sender.send(fault));
                while let Some(task) = next() {
                    let findings = work(task, &tell);
                    let mut gathered = gathered.lock().unwrap_or_else(PoisonError::into_inner);
                    gathered.objects.extend(findings.objects);
                    gathered.lists.extend(findings.lists);
                    gathered.is_any_gone |= findings.is_any_gone;
                }
            });
        }
        drop(sender);
        receiver.into_iter().for_each(on_fault);
    });
}

fn verify_pack(inner: &Inner, pack: &Arc<Pack>, tell: &Tell<'_>) -> Findings {
    let mut findings = Findings::default();
    let mut entries = Vec::new();
    let is_gone = Cell::new(false);
    let tell = |error: CasError| {
        if error.is_not_found() && !pack.path().exists() {
            is_gone.set(true);
        } else {
            tell(CasFault::File(error));
        }
    };
    if let Err(error) = verify_frame(pack, &mut entries) {
        tell(error);
        findings.is_any_gone = is_gone.get();
        return findings;
    }
    entries.sort_unstable_by_key(|entry| (entry.offset, entry.stored_bytes));
    let mut end = HEADER_BYTES as u64;
    for entry in entries {
        if entry.offset != end {
            tell(unaccounted(pack, end.min(entry.offset)));
        }
        end = entry.end();
        if let Err(error) = pack.verify(&entry, &inner.codec) {
            tell(error);
        }
        if entry.role.is_object() {
            findings.objects.insert(entry.digest, entry.size_bytes);
        }
        if entry.role == Role::List {
            let pack = Arc::clone(pack);
            findings
                .lists
                .insert(entry.digest, FoundList { pack, entry });
        }
    }
    match pack.index() {
        Ok(index) if index.payloads_end() != end => tell(unaccounted(pack, end)),
        Ok(_) => {}
        Err(error) => tell(error),
    }
    findings.is_any_gone = is_gone.get();
    findings
}

/// Verifies all of a pack but its payloads, and gives its entries.
fn verify_frame(pack: &Pack, entries: &mut Vec<Entry>) -> Result<(), CasError> {
    let damaged = |damage| CasError::Damaged {
        path: pack.path().to_owned(),
        offset: 0,
        object: None,
        damage,
    };
    if pack.read_header()? != encode_header() {
        return Err(damaged(Damage::Header));
    }
    if pack.index()?.name() != pack.name() {
        return Err(damaged(Damage::Name));
    }
    pack.for_each_entry(|entry| {
        entries.push(entry);
        Ok(())
    })
}

fn unaccounted(pack: &Pack, offset: u64) -> CasError {
    CasError::Damaged {
        path: pack.path().to_owned(),
        offset,
        object: None,
        damage: Damage::Unaccounted,
    }
}

/// Verifies that the chunks of an object are there, and that together they have its digest.
fn verify_list(inner: &Inner, list: &FoundList, tell: &Tell<'_>) {
    let FoundList { pack, entry } = list;
    // A list that cannot be read was told with its pack.
    let is_list = |entry: &Entry| entry.role == Role::List;
    let read = inner.packs.with_entry(&entry.digest, is_list, |found| {
        found.pack.read_list(&found.entry)
    });
    let Ok(Some(chunks)) = read else {
        return;
    };
    let mut whole = blake3::Hasher::new();
    let mut is_told = false;
    for chunk in &chunks {
        let error = match inner.read_chunk(chunk) {
            Ok(content) => {
                whole.update(&content);
                continue;
            }
            Err(error) => error,
        };
        // Together with its chunks the object may have been collected meanwhile.
        if matches!(inner.contains(&entry.digest), Ok(false)) {
            return;
        }
        is_told = true;
        let (path, offset, object, chunk) = (
            pack.path().to_owned(),
            entry.offset,
            entry.digest,
            chunk.digest,
        );
        tell(match error {
            CasError::Missing { .. } => CasFault::ChunkMissing {
                path,
                offset,
                object,
                chunk,
            },
            _ => CasFault::ChunkDamaged {
                path,
                offset,
                object,
                chunk,
            },
        });
    }
    if !is_told && *whole.finalize().as_bytes() != *entry.digest.as_bytes() {
        tell(CasFault::File(pack.damaged(entry, Damage::ChunkList)));
    }
}
