//! Contents by their digest in an object store.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Cursor, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path as FilePath, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use cas::{Announce, Distant, DistantError, DistantFault, PutError, Stored};
use entities::ObjectId;
use object_store::{ObjectStoreExt as _, PutPayload};

use crate::bridge;
use crate::bucket::Bucket;
use crate::outline::{BLOCK_BYTES, Outline, Outliner};
use crate::verified::{VerifiedReader, damaged};

/// First line of the file `format`; the second is `of ` and the owner.
const FORMAT: &str = "reproof objects 1";
const FORMAT_NAME: &str = "reproof objects ";

/// Contents up to here are sent in one request, from memory.
const SMALL_BYTES: u64 = 4 << 20;

/// One part of a large one. S3 takes at least 5 MiB, and at most 10,000 parts.
const PART_BYTES: u64 = 8 << 20;
const PARTS_MAX: u64 = 9_000;

/// Parts that are sent at the same time.
const PARTS_AT_ONCE: usize = 3;

/// Bytes of outlines that are remembered: of 8 GiB of contents.
const OUTLINES_MAX_BYTES: u64 = 256 << 10;

/// Contents by their digest in an object store.
#[derive(Debug)]
pub struct BucketObjects {
    bucket: Bucket,
    /// The store whose contents they are.
    owner: String,
    is_only_read: bool,
    /// Where contents wait until their name is known.
    temporary: PathBuf,
    outlines: Mutex<Outlines>,
}

#[derive(Debug, Default)]
struct Outlines {
    known: BTreeMap<ObjectId, Arc<Outline>>,
    bytes: u64,
}

/// What is there of a content.
enum There {
    /// All of it.
    Small(Bytes),
    Large(Arc<Outline>),
}

impl BucketObjects {
    /// Keeps contents of a store at a place; what is sent waits in a folder of this machine until its name is known.
    ///
    /// *Shapes*: `owner` is one line that only that store has, such as the public key of its ledger.
    pub fn new(bucket: Bucket, owner: &str, temporary: &FilePath) -> Self {
        debug_assert!(!owner.contains(char::is_control), "an owner is one line");
        Self {
            bucket,
            owner: owner.to_owned(),
            is_only_read: false,
            temporary: temporary.to_owned(),
            outlines: Mutex::default(),
        }
    }

    /// The same place, where nothing is removed from now on: another copy of the store may use it.
    pub fn only_read(self) -> Self {
        Self {
            is_only_read: true,
            ..self
        }
    }

    /// Makes sure that contents can be removed there.
    fn check_removal(&self) -> Result<(), DistantError> {
        if self.is_only_read {
            return Err(self.refuse("is only read by this store, which was put back from a backup, since another copy of it may use the same place: once none does, start `reproof server --artifacts-destination` with it"));
        }
        self.check()
    }

    /// Makes sure that contents can be kept there: that the place is there, lets whoever asks read and write, and is
    /// that of no other store. One that nobody has is this store's from now on.
    ///
    /// *Errors*: with the reason, and what may help. `Other` where a newer version or another store has kept contents
    /// there.
    pub fn check(&self) -> Result<(), DistantError> {
        let key = self.bucket.key("format");
        if let Some((found, _)) = self.bucket.get(key.clone(), 0, 1024)? {
            return self.check_format(&found);
        }
        // On the condition that nothing is there: of two stores that come at once, one is first.
        self.bucket
            .put_new(key.clone(), Bytes::from(self.format()))?;
        match self.bucket.get(key, 0, 1024)? {
            Some((found, _)) => self.check_format(&found),
            None => Err(self.refuse("does not give back what was written to it")),
        }
    }

    fn format(&self) -> String {
        format!("{FORMAT}\nof {}\n", self.owner)
    }

    fn check_format(&self, found: &[u8]) -> Result<(), DistantError> {
        if found == self.format().as_bytes() {
            return Ok(());
        }
        let found = String::from_utf8_lossy(found);
        let told = match found.lines().next() {
            Some(FORMAT) => {
                "keeps the objects of another store, which could remove them: name another prefix"
            }
            Some(line) if line.starts_with(FORMAT_NAME) => "was written by a newer version",
            _ => "holds something else, since its file `format` is not ours: name another prefix",
        };
        Err(self.refuse(told))
    }

    fn refuse(&self, told: &str) -> DistantError {
        DistantError {
            kind: DistantFault::Other,
            message: format!("{} {told}", self.bucket.uri()),
        }
    }

    fn object_key(&self, id: &ObjectId) -> object_store::path::Path {
        self.bucket.key(&format!("objects/{}", folded(id)))
    }

    fn outline_key(&self, id: &ObjectId) -> object_store::path::Path {
        self.bucket.key(&format!("outlines/{}", folded(id)))
    }

    fn lock_outlines(&self) -> std::sync::MutexGuard<'_, Outlines> {
        self.outlines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, id: ObjectId, outline: &Arc<Outline>) {
        let bytes = outline.size_bytes().div_ceil(BLOCK_BYTES) * 32;
        if bytes > OUTLINES_MAX_BYTES {
            return;
        }
        let mut outlines = self.lock_outlines();
        if outlines.bytes + bytes > OUTLINES_MAX_BYTES {
            *outlines = Outlines::default();
        }
        if outlines.known.insert(id, Arc::clone(outline)).is_none() {
            outlines.bytes += bytes;
        }
    }

    fn find(&self, id: &ObjectId) -> Result<Option<There>, DistantError> {
        if let Some(outline) = self.lock_outlines().known.get(id) {
            return Ok(Some(There::Large(Arc::clone(outline))));
        }
        let read = self.bucket.get(self.object_key(id), 0, BLOCK_BYTES);
        let (content, size_bytes) = match read {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            // Nothing of an empty content can be asked for.
            Err(_) if *id == ObjectId::of(b"") => {
                let known = self.bucket.head(self.object_key(id))?;
                return Ok(known.map(|_| There::Small(Bytes::new())));
            }
            Err(error) => return Err(error),
        };
        if size_bytes <= BLOCK_BYTES {
            if ObjectId::of(&content) != *id {
                return Err(damaged(&self.bucket, id));
            }
            return Ok(Some(There::Small(content)));
        }
        let read = self.bucket.get(self.outline_key(id), 0, u64::MAX / 2)?;
        let outline = read.and_then(|(bytes, _)| Outline::decode(&bytes, id));
        let Some(outline) = outline.filter(|outline| outline.size_bytes() == size_bytes) else {
            return Err(DistantError {
                kind: DistantFault::Damaged,
                message: format!(
                    "object `{id}` in {} is damaged: it has no outline, or another",
                    self.bucket.uri()
                ),
            });
        };
        let outline = Arc::new(outline);
        self.remember(*id, &outline);
        Ok(Some(There::Large(outline)))
    }

    fn put_large(
        &self,
        head: Vec<u8>,
        mut outliner: Outliner,
        content: &mut dyn Read,
        announce: &mut Announce<'_>,
    ) -> Result<Stored, PutError> {
        let disk = |source: io::Error| DistantError {
            kind: DistantFault::Other,
            message: format!(
                "cannot keep what is to be sent to {} in {}: {source}",
                self.bucket.uri(),
                self.temporary.display()
            ),
        };
        // Without a name: it goes with the process, however that ends.
        let mut waiting = tempfile::tempfile_in(&self.temporary).map_err(disk)?;
        waiting.write_all(&head).map_err(disk)?;
        drop(head);
        let mut piece = vec![0; 256 << 10];
        loop {
            let length = read_some(content, &mut piece)?;
            if length == 0 {
                break;
            }
            outliner.update(&piece[..length]);
            waiting.write_all(&piece[..length]).map_err(disk)?;
        }
        let (object, size_bytes, outline) = outliner.finish();
        let stored = Stored { object, size_bytes };
        announce(&object).map_err(PutError::Here)?;
        if self.is_there(&object, size_bytes)? {
            return Ok(stored);
        }
        if let Some(outline) = &outline {
            self.bucket
                .put_new(self.outline_key(&object), Bytes::from(outline.encode()))?;
        }
        self.send_parts(waiting, &stored)?;
        Ok(stored)
    }

    /// Whether a whole content is there already, with all that is needed to read it.
    fn is_there(&self, id: &ObjectId, size_bytes: u64) -> Result<bool, DistantError> {
        let known = self.bucket.head(self.object_key(id))?;
        // One of another length is damaged, and is put again.
        if known.is_none_or(|known| known.size_bytes != size_bytes) {
            return Ok(false);
        }
        if size_bytes <= BLOCK_BYTES {
            return Ok(true);
        }
        Ok(self.bucket.head(self.outline_key(id))?.is_some())
    }

    fn send_parts(&self, mut waiting: File, stored: &Stored) -> Result<(), DistantError> {
        let (store, key) = (self.bucket.store(), self.object_key(&stored.object));
        let size_bytes = stored.size_bytes;
        waiting
            .seek(SeekFrom::Start(0))
            .map_err(|source| DistantError {
                kind: DistantFault::Other,
                message: format!("cannot read what is to be sent: {source}"),
            })?;
        let part_bytes = PART_BYTES.max(size_bytes.div_ceil(PARTS_MAX));
        let sent = bridge::wait("write to", async move {
            let mut upload = store.put_multipart(&key).await?;
            let sending = async {
                let mut parts = tokio::task::JoinSet::new();
                let mut left = size_bytes;
                while left > 0 {
                    if parts.len() >= PARTS_AT_ONCE
                        && let Some(done) = parts.join_next().await
                    {
                        done??;
                    }
                    let length = part_bytes.min(left);
                    let reading = tokio::task::spawn_blocking(move || {
                        let mut part = vec![0; length as usize];
                        waiting.read_exact(&mut part).map(|()| (part, waiting))
                    });
                    let (part, file) =
                        reading
                            .await?
                            .map_err(|source| object_store::Error::Generic {
                                store: "disk",
                                source: Box::new(source),
                            })?;
                    waiting = file;
                    left -= length;
                    parts.spawn(upload.put_part(PutPayload::from(part)));
                }
                while let Some(done) = parts.join_next().await {
                    done??;
                }
                Ok::<_, object_store::Error>(())
            };
            match sending.await {
                Ok(()) => upload.complete().await.map(|_| ()),
                Err(error) => {
                    // What cannot be taken back is for the rule of the bucket that removes what is not complete.
                    let _ = upload.abort().await;
                    Err(error)
                }
            }
        });
        match sent {
            Some(sent) => sent.map_err(|error| self.bucket.fault("write to", &error)),
            None => Err(DistantError {
                kind: DistantFault::Other,
                message: format!("cannot write to {}: it was broken off", self.bucket.uri()),
            }),
        }
    }
}

impl Distant for BucketObjects {
    fn place(&self) -> &str {
        self.bucket.uri()
    }

    fn is_only_read(&self) -> bool {
        self.is_only_read
    }

    fn put(&self, content: &mut dyn Read, announce: &mut Announce<'_>) -> Result<Stored, PutError> {
        let mut head = Vec::new();
        let mut piece = vec![0; 256 << 10];
        let mut outliner = Outliner::default();
        while (head.len() as u64) <= SMALL_BYTES {
            let length = read_some(content, &mut piece)?;
            if length == 0 {
                let (object, size_bytes, outline) = outliner.finish();
                announce(&object).map_err(PutError::Here)?;
                if !self.is_there(&object, size_bytes)? {
                    if let Some(outline) = outline {
                        let encoded = Bytes::from(outline.encode());
                        self.bucket.put_new(self.outline_key(&object), encoded)?;
                    }
                    self.put_small(&object, Bytes::from(head))?;
                }
                return Ok(Stored { object, size_bytes });
            }
            outliner.update(&piece[..length]);
            head.extend_from_slice(&piece[..length]);
        }
        self.put_large(head, outliner, content, announce)
    }

    fn size_bytes(&self, id: &ObjectId) -> Result<Option<u64>, DistantError> {
        let known = self.bucket.head(self.object_key(id))?;
        Ok(known.map(|known| known.size_bytes))
    }

    fn read(
        &self,
        id: &ObjectId,
        offset: u64,
        length: u64,
    ) -> Result<Option<Box<dyn Read + Send>>, DistantError> {
        Ok(match self.find(id)? {
            None => None,
            Some(There::Small(content)) => {
                let from = offset.min(content.len() as u64);
                let until = offset.saturating_add(length).min(content.len() as u64);
                Some(Box::new(Cursor::new(
                    content.slice(from as usize..until.max(from) as usize),
                )))
            }
            Some(There::Large(outline)) => {
                let end = offset.saturating_add(length).min(outline.size_bytes());
                Some(Box::new(VerifiedReader {
                    bucket: self.bucket.clone(),
                    key: self.object_key(id),
                    id: *id,
                    outline,
                    at: offset,
                    end,
                    piece: Bytes::new(),
                }))
            }
        })
    }

    fn remove(&self, id: &ObjectId) -> Result<bool, DistantError> {
        let was_there = self.bucket.head(self.object_key(id))?.is_some();
        if !was_there {
            if !self.is_only_read {
                // What a removal that was cut short left is nobody's.
                self.bucket.remove(self.outline_key(id))?;
            }
            return Ok(false);
        }
        self.check_removal()?;
        self.lock_outlines().known.remove(id);
        // The outline last: without it what is left could not be told from what is damaged.
        self.bucket.remove(self.object_key(id))?;
        self.bucket.remove(self.outline_key(id))?;
        Ok(was_there)
    }

    fn list(&self, visit: &mut dyn FnMut(ObjectId, u64)) -> Result<(), DistantError> {
        self.check()?;
        for (folder, is_content) in [("objects", true), ("outlines", false)] {
            self.bucket
                .visit(self.bucket.key(folder), |name, size_bytes| {
                    // What is named otherwise is none of ours.
                    if let Some(id) = read_name(name) {
                        visit(id, if is_content { size_bytes } else { 0 });
                    }
                })?;
        }
        Ok(())
    }

    fn remove_all(&self, ids: &[ObjectId]) -> Result<(), DistantError> {
        self.check_removal()?;
        let mut outlines = self.lock_outlines();
        for id in ids {
            outlines.known.remove(id);
        }
        drop(outlines);
        // The outlines last, as above.
        let objects = ids.iter().map(|id| self.object_key(id)).collect();
        self.bucket.remove_all(objects)?;
        let outlines = ids.iter().map(|id| self.outline_key(id)).collect();
        self.bucket.remove_all(outlines)
    }
}

impl BucketObjects {
    fn put_small(&self, id: &ObjectId, content: Bytes) -> Result<(), DistantError> {
        let (key, size_bytes) = (self.object_key(id), content.len() as u64);
        self.bucket.put_new(key.clone(), content.clone())?;
        // Something of another length under this name was damaged before.
        match self.bucket.head(key.clone())? {
            Some(known) if known.size_bytes == size_bytes => Ok(()),
            _ => self.bucket.put(key, content),
        }
    }
}

fn read_some(content: &mut dyn Read, buffer: &mut [u8]) -> Result<usize, DistantError> {
    loop {
        match content.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => {
                return read.map_err(|error| DistantError {
                    kind: DistantFault::Source,
                    message: format!("cannot read what is to be stored: {error}"),
                });
            }
        }
    }
}

/// `ab/abcd…`: lists of names do not grow without end in tools that show them.
fn folded(id: &ObjectId) -> String {
    let name = blake3::Hash::from_bytes(*id.as_bytes()).to_hex();
    format!("{}/{name}", &name[..2])
}

/// The digest of which a key's last part is the name.
fn read_name(name: &str) -> Option<ObjectId> {
    let hash = blake3::Hash::from_hex(name).ok()?;
    Some(ObjectId::from_bytes(*hash.as_bytes()))
}
