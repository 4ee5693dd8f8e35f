//! What webhooks stand on: hosts whose addresses are set, and a key that is held in memory.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use webhooks::{Resolve, SealingKey, SealingKeys};

/// Hosts whose addresses are set. Others are looked up elsewhere, but for those of the top-level domain `invalid`,
/// which nobody has.
pub struct NamedHosts {
    elsewhere: Arc<dyn Resolve>,
    /// The answers to come, the last of which stays.
    named: Mutex<BTreeMap<String, Vec<Vec<IpAddr>>>>,
}

impl NamedHosts {
    /// Knows no host yet.
    pub fn new(elsewhere: Arc<dyn Resolve>) -> Self {
        Self {
            elsewhere,
            named: Mutex::default(),
        }
    }

    /// Sets what is answered when a host is looked up: each list once, the last for ever.
    pub fn set(&self, host: &str, answers: Vec<Vec<IpAddr>>) {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        named.insert(host.to_owned(), answers);
    }

    fn next_answer(&self, host: &str) -> Option<Vec<IpAddr>> {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let answers = named.get_mut(host)?;
        if answers.len() > 1 {
            return Some(answers.remove(0));
        }
        answers.first().cloned()
    }
}

#[async_trait]
impl Resolve for NamedHosts {
    async fn resolve(&self, host: &str) -> std::io::Result<Vec<IpAddr>> {
        if let Some(addresses) = self.next_answer(host) {
            return Ok(addresses);
        }
        if host.ends_with(".invalid") {
            return Err(std::io::Error::other("Name or service not known"));
        }
        self.elsewhere.resolve(host).await
    }
}

/// A key that is made when it is asked for, and can be lost.
#[derive(Default)]
pub struct HeldKeys {
    key: Mutex<Option<[u8; 32]>>,
    made: Mutex<u8>,
}

impl HeldKeys {
    /// Loses the key: the next one that is made is another.
    pub fn lose(&self) {
        *self.key.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl SealingKeys for HeldKeys {
    fn find(&self) -> std::io::Result<Option<SealingKey>> {
        let key = *self.key.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(key.map(SealingKey::from_bytes))
    }

    fn get_or_make(&self) -> std::io::Result<SealingKey> {
        let mut key = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = *key.get_or_insert_with(|| {
            let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            *made += 1;
            [*made; 32]
        });
        Ok(SealingKey::from_bytes(bytes))
    }
}
