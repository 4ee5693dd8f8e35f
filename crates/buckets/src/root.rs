//! What clients write to an object store by themselves.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use cas::DistantError;
use entities::Artifact;
use locations::{Entry, Found, FoundFile, Located, Location, LocationError, Root, Walk, exactly};
use object_store::path::Path;

use crate::bucket::{Bucket, Known};

/// What is asked for at once.
const PIECE_BYTES: u64 = 4 << 20;

/// What a page may write is smaller.
const WRITTEN_MAX_BYTES: u64 = 64 << 20;

/// A place in an object store below which clients write artifacts by themselves.
#[derive(Clone, Debug)]
pub struct BucketRoot {
    bucket: Bucket,
}

impl BucketRoot {
    /// Everything below a place.
    pub fn new(bucket: Bucket) -> Self {
        Self { bucket }
    }
}

impl Root for BucketRoot {
    fn find(&self, uri: &str) -> Option<Arc<dyn Location>> {
        let below = self.bucket.address().below(uri)?;
        Some(Arc::new(BucketLocation {
            bucket: self.bucket.clone(),
            below: below.join("/"),
        }))
    }
}

#[derive(Clone, Debug)]
struct BucketLocation {
    bucket: Bucket,
    below: String,
}

impl BucketLocation {
    fn key(&self, path: &str) -> Path {
        self.bucket.key(&format!("{}/{path}", self.below))
    }
}

impl Location for BucketLocation {
    fn list(&self, folder: &str) -> Result<Option<Vec<Entry>>, LocationError> {
        let level = self.bucket.list_level(&self.key(folder)).map_err(remote)?;
        let files = level.files.into_iter().map(|known| Entry {
            name: known.key,
            size_bytes: Some(known.size_bytes),
        });
        let folders = level.folders.into_iter().map(|name| Entry {
            name,
            size_bytes: None,
        });
        let mut entries: Vec<Entry> = files
            .chain(folders)
            .filter(|entry| !entry.name.contains('/') && Artifact::is_valid_path(&entry.name))
            .collect();
        entries.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok((!entries.is_empty()).then_some(entries))
    }

    fn walk(&self, folder: &str, most: usize) -> Result<Option<Walk>, LocationError> {
        let found = self
            .bucket
            .list_all(&self.key(folder), most)
            .map_err(remote)?;
        if found.len() > most {
            return Err(LocationError::TooMany { limit: most });
        }
        let mut walk = Walk::default();
        for Known {
            key,
            size_bytes,
            tag,
        } in found
        {
            let path = match folder {
                "" => key,
                folder => format!("{folder}/{key}"),
            };
            if Artifact::is_valid_path(&path) {
                walk.files.push(FoundFile {
                    path,
                    size_bytes,
                    tag,
                });
            } else {
                walk.passed_over.push(path);
            }
        }
        walk.files
            .sort_unstable_by(|one, other| one.path.cmp(&other.path));
        Ok((!walk.files.is_empty() || !walk.passed_over.is_empty()).then_some(walk))
    }

    fn open(&self, path: &str) -> Result<Found, LocationError> {
        let key = self.key(path);
        if !path.is_empty()
            && let Some(known) = self.bucket.head(key.clone()).map_err(remote)?
        {
            return Ok(Found::File(Box::new(OpenObject {
                bucket: self.bucket.clone(),
                key,
                known,
            })));
        }
        let level = self.bucket.list_level(&key).map_err(remote)?;
        Ok(if level.files.is_empty() && level.folders.is_empty() {
            Found::Nothing
        } else {
            Found::Folder
        })
    }

    fn write(&self, path: &str, content: &mut (dyn Read + Send)) -> Result<(), LocationError> {
        let mut bytes = Vec::new();
        let read = content.take(WRITTEN_MAX_BYTES + 1).read_to_end(&mut bytes);
        let fault = |source| LocationError::Io {
            action: "write",
            path: path.to_owned(),
            source,
        };
        read.map_err(fault)?;
        if bytes.len() as u64 > WRITTEN_MAX_BYTES {
            return Err(fault(io::ErrorKind::FileTooLarge.into()));
        }
        self.bucket
            .put(self.key(path), Bytes::from(bytes))
            .map_err(remote)
    }

    /// Whoever keeps artifacts in an object store pays for every byte that is read there.
    fn is_taken_over(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct OpenObject {
    bucket: Bucket,
    key: Path,
    known: Known,
}

impl Located for OpenObject {
    fn size_bytes(&self) -> u64 {
        self.known.size_bytes
    }

    fn tag(&self) -> &str {
        &self.known.tag
    }

    fn read(
        self: Box<Self>,
        offset: u64,
        length: u64,
    ) -> Result<Box<dyn Read + Send>, LocationError> {
        let pieces = Pieces {
            bucket: self.bucket,
            key: self.key,
            at: offset,
            end: offset.saturating_add(length),
            piece: Bytes::new(),
        };
        Ok(Box::new(exactly(pieces, length)))
    }
}

struct Pieces {
    bucket: Bucket,
    key: Path,
    at: u64,
    end: u64,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() {
            let wanted = PIECE_BYTES.min(self.end - self.at);
            if wanted == 0 {
                return Ok(0);
            }
            let got = self.bucket.get(self.key.clone(), self.at, wanted);
            let Some((piece, _)) = got.map_err(io::Error::other)? else {
                return Ok(0);
            };
            self.at += piece.len() as u64;
            self.piece = piece;
        }
        let length = buffer.len().min(self.piece.len());
        buffer[..length].copy_from_slice(&self.piece.split_to(length));
        Ok(length)
    }
}

fn remote(error: DistantError) -> LocationError {
    LocationError::Remote {
        message: error.message,
    }
}
