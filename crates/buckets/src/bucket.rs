//! A place in an object store.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use bytes::Bytes;
use cas::{DistantError, DistantFault};
use entities::ObjectId;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{
    Error, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions,
    PutPayload,
};

use crate::address::Address;
use crate::bridge;
use crate::connect::{Environment, connect};
use crate::fault::fault;

/// How often one request is made again where the object store is overloaded or the network fails.
const RETRIES_MAX: usize = 5;

/// Entries of a list that wait to be looked at: S3 tells a thousand at once.
const LISTED_AT_ONCE: usize = 1000;

/// A place in an object store, with the way there. A cheap clone.
#[derive(Clone)]
pub struct Bucket {
    inner: Arc<Inner>,
}

struct Inner {
    address: Address,
    uri: String,
    store: Arc<dyn ObjectStore>,
    secrets: Vec<String>,
}

impl std::fmt::Debug for Bucket {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_tuple("Bucket")
            .field(&self.inner.uri)
            .finish()
    }
}

/// What is known of a thing in an object store.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) key: String,
    pub(crate) size_bytes: u64,
    pub(crate) tag: String,
}

/// What lies right below a key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Level {
    pub(crate) files: Vec<Known>,
    pub(crate) folders: Vec<String>,
}

impl Bucket {
    /// Makes the way to a place; nothing is sent yet.
    ///
    /// *Errors*: `Denied` and `Other` where the environment says something that cannot be.
    pub fn new(address: Address, environment: &Environment) -> Result<Self, DistantError> {
        let uri = address.to_string();
        let store = connect(&address, environment, RETRIES_MAX);
        let store = store.map_err(|error| DistantError {
            kind: DistantFault::Other,
            message: format!("cannot use {uri}: {error}"),
        })?;
        Ok(Self {
            inner: Arc::new(Inner {
                address,
                uri,
                store,
                secrets: environment.secrets(),
            }),
        })
    }

    /// Its URI, without anything secret.
    pub fn uri(&self) -> &str {
        &self.inner.uri
    }

    pub(crate) fn address(&self) -> &Address {
        &self.inner.address
    }

    pub(crate) fn secrets(&self) -> &[String] {
        &self.inner.secrets
    }

    pub(crate) fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.inner.store)
    }

    /// The key of what is below the prefix.
    pub(crate) fn key(&self, below: &str) -> Path {
        let prefix = self.inner.address.prefix.iter().map(String::as_str);
        let below = below.split('/').filter(|component| !component.is_empty());
        prefix.chain(below).collect()
    }

    pub(crate) fn fault(&self, action: &str, error: &Error) -> DistantError {
        fault(self, action, error)
    }

    pub(crate) fn broken_off(&self, action: &str) -> DistantError {
        DistantError {
            kind: DistantFault::Other,
            message: format!("cannot {action} {}: it was broken off", self.uri()),
        }
    }

    /// Waits for what is done on a thread of this room.
    pub(crate) fn wait<T: Send + 'static>(
        &self,
        action: &str,
        future: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, DistantError> {
        match bridge::wait(action, future) {
            Some(done) => done.map_err(|error| self.fault(action, &error)),
            None => Err(self.broken_off(action)),
        }
    }

    /// Puts something where nothing is, or leaves what is there.
    pub(crate) fn put_new(&self, key: Path, content: Bytes) -> Result<(), DistantError> {
        let store = self.store();
        self.wait("write to", async move {
            let payload = PutPayload::from_bytes(content);
            let only_new = PutOptions::from(PutMode::Create);
            match store.put_opts(&key, payload.clone(), only_new).await {
                Ok(_) | Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(()),
                // An object store without conditions: what is there under the name is the same.
                Err(Error::NotSupported { .. } | Error::NotImplemented { .. }) => {
                    store.put(&key, payload).await.map(|_| ())
                }
                Err(error) => Err(error),
            }
        })
    }

    /// Puts something, whatever is there.
    pub(crate) fn put(&self, key: Path, content: Bytes) -> Result<(), DistantError> {
        let store = self.store();
        self.wait("write to", async move {
            store.put(&key, PutPayload::from_bytes(content)).await?;
            Ok(())
        })
    }

    /// What is known of a key; none where nothing is there.
    pub(crate) fn head(&self, key: Path) -> Result<Option<Known>, DistantError> {
        let store = self.store();
        let looked = bridge::wait("look at", async move { store.head(&key).await });
        self.found(looked, "look into")
            .map(|found| found.map(|meta| known(&meta)))
    }

    /// Reads from an offset on, at most so many bytes, and says how long the whole is; none where nothing is there.
    pub(crate) fn get(
        &self,
        key: Path,
        offset: u64,
        length: u64,
    ) -> Result<Option<(Bytes, u64)>, DistantError> {
        let store = self.store();
        let read = bridge::wait("read", async move {
            let range = GetRange::Bounded(offset..offset.saturating_add(length));
            let options = GetOptions::new().with_range(Some(range));
            let found = store.get_opts(&key, options).await?;
            let whole_bytes = found.meta.size;
            Ok((found.bytes().await?, whole_bytes))
        });
        self.found(read, "read from")
    }

    fn found<T>(
        &self,
        done: Option<Result<T, Error>>,
        action: &str,
    ) -> Result<Option<T>, DistantError> {
        match done {
            Some(Ok(found)) => Ok(Some(found)),
            // A bucket that is not there is another matter than a key that is not.
            Some(Err(error @ Error::NotFound { .. })) => {
                let said = self.fault(action, &error);
                if said.kind == DistantFault::NoPlace {
                    return Err(said);
                }
                Ok(None)
            }
            Some(Err(error)) => Err(self.fault(action, &error)),
            None => Err(self.broken_off(action)),
        }
    }

    /// Removes a key; one that is not there is removed already.
    pub(crate) fn remove(&self, key: Path) -> Result<(), DistantError> {
        let store = self.store();
        self.wait("remove from", async move {
            match store.delete(&key).await {
                Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(error),
            }
        })
    }

    /// Removes many keys, many with one request; one that is not there is removed already.
    pub(crate) fn remove_all(&self, keys: Vec<Path>) -> Result<(), DistantError> {
        let store = self.store();
        self.wait("remove from", async move {
            let keys = futures_util::stream::iter(keys.into_iter().map(Ok)).boxed();
            let mut removed = store.delete_stream(keys);
            while let Some(removed) = removed.next().await {
                match removed {
                    Ok(_) | Err(Error::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(())
        })
    }

    /// Visits everything below a key: the last part of its name, and its length.
    pub(crate) fn visit(
        &self,
        key: Path,
        mut visit: impl FnMut(&str, u64),
    ) -> Result<(), DistantError> {
        let store = self.store();
        let (sender, listed) = sync_channel(LISTED_AT_ONCE);
        let listing = bridge::start("list", async move {
            let mut listing = store.list(Some(&key));
            while let Some(meta) = listing.try_next().await? {
                // Where whoever looks at them is slower, this thread waits, and has nothing else to do.
                if tokio::task::block_in_place(|| sender.send(meta)).is_err() {
                    break;
                }
            }
            Ok(())
        });
        for meta in listed {
            visit(meta.location.filename().unwrap_or_default(), meta.size);
        }
        match listing.and_then(|listing| listing.recv().ok()) {
            Some(listed) => listed.map_err(|error| self.fault("list", &error)),
            None => Err(self.broken_off("list")),
        }
    }

    /// What lies right below a key.
    pub(crate) fn list_level(&self, key: &Path) -> Result<Level, DistantError> {
        let store = self.store();
        let asked = key.clone();
        let listed = self.wait("list", async move {
            store.list_with_delimiter(Some(&asked)).await
        })?;
        let below = |path: &Path| {
            let parts = path.prefix_match(key)?;
            Some(
                parts
                    .map(|part| part.as_ref().to_owned())
                    .collect::<Vec<_>>()
                    .join("/"),
            )
        };
        Ok(Level {
            files: listed
                .objects
                .iter()
                .filter_map(|meta| Some((below(&meta.location)?, known(meta))))
                .map(|(key, known)| Known { key, ..known })
                .collect(),
            folders: listed.common_prefixes.iter().filter_map(below).collect(),
        })
    }

    /// Everything below a key, at most so much and one more.
    pub(crate) fn list_all(&self, key: &Path, most: usize) -> Result<Vec<Known>, DistantError> {
        let store = self.store();
        let asked = key.clone();
        let listed = self.wait("list", async move {
            let mut listing = store.list(Some(&asked));
            let mut found = Vec::new();
            while let Some(meta) = listing.try_next().await? {
                found.push(meta);
                if found.len() > most {
                    break;
                }
            }
            Ok(found)
        })?;
        let below = listed.iter().filter_map(|meta| {
            let parts = meta.location.prefix_match(key)?;
            let below: Vec<String> = parts.map(|part| part.as_ref().to_owned()).collect();
            Some(Known {
                key: below.join("/"),
                ..known(meta)
            })
        });
        Ok(below.collect())
    }
}

fn known(meta: &ObjectMeta) -> Known {
    // What an object store calls a tag may hold anything; a digest of it does not.
    let told = format!(
        "{}-{}-{}",
        meta.size,
        meta.last_modified.timestamp_micros(),
        meta.e_tag.as_deref().unwrap_or_default()
    );
    Known {
        key: meta.location.to_string(),
        size_bytes: meta.size,
        tag: ObjectId::of(told.as_bytes()).short(),
    }
}
