//! The services, and the one way in which they write.

use std::sync::{Arc, Mutex};

use entities::{Caller, Change, Clock, Commit, Permission, Random, Timestamp};
use store::Store;

use crate::cache::Verified;
use crate::forms::FormKey;
use crate::guesses::Guesses;
use crate::password::Hasher;
use crate::{AccessError, HashingCost};

/// All services over users, tokens, roles and rights.
///
/// A cheap clone; all clones are the same.
#[derive(Clone)]
pub struct Accounts {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    default_permission: Permission,
    hasher: Hasher,
    forms: FormKey,
    verified: Mutex<Verified>,
    guesses: Mutex<Guesses>,
}

/// What the services stand on.
pub struct AccountsParts {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// What salts, ids and tokens are drawn with.
    pub random: Arc<dyn Random>,
    /// What may be done where nothing was said of it.
    pub default_permission: Permission,
    /// How much work a password's hash takes.
    pub cost: HashingCost,
    /// What the key of forms follows from, where several servers share one; drawn where there is none.
    pub form_secret: Option<String>,
}

impl Accounts {
    /// Puts the services on their parts.
    pub fn new(parts: AccountsParts) -> Self {
        let AccountsParts {
            store,
            clock,
            random,
            default_permission,
            cost,
            form_secret,
        } = parts;
        let forms = FormKey::new(form_secret.as_deref(), random.as_ref());
        let hasher = Hasher::new(cost, random.as_ref());
        let verified = Mutex::new(Verified::new(random.as_ref()));
        Self {
            inner: Arc::new(Inner {
                store,
                clock,
                random,
                default_permission,
                hasher,
                forms,
                verified,
                guesses: Mutex::new(Guesses::default()),
            }),
        }
    }

    /// What may be done where nothing was said of it.
    pub fn default_permission(&self) -> Permission {
        self.inner.default_permission
    }

    /// How many hashes were computed, for those who check that no more and no fewer are.
    pub fn hash_count(&self) -> u64 {
        self.inner.hasher.count()
    }

    pub(crate) fn store(&self) -> &dyn Store {
        self.inner.store.as_ref()
    }

    pub(crate) fn random(&self) -> &dyn Random {
        self.inner.random.as_ref()
    }

    pub(crate) fn hasher(&self) -> &Hasher {
        &self.inner.hasher
    }

    pub(crate) fn form_key(&self) -> &FormKey {
        &self.inner.forms
    }

    pub(crate) fn verified(&self) -> &Mutex<Verified> {
        &self.inner.verified
    }

    pub(crate) fn guesses(&self) -> &Mutex<Guesses> {
        &self.inner.guesses
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// Commits one change.
    pub(crate) async fn commit(
        &self,
        caller: &Caller,
        kind: &'static str,
        subjects: Vec<String>,
        change: Change,
    ) -> Result<(), AccessError> {
        let commit = Commit {
            actor: caller.actor.clone(),
            at: self.now(),
            kind,
            subjects,
            reason: None,
            request: caller.request.clone(),
            changes: vec![change],
        };
        self.store().commit(commit).await?;
        Ok(())
    }
}

/// What an event about a user names as its subject.
pub fn user_subject(name: &str) -> String {
    format!("user:{name}")
}

/// What an event about a role names as its subject.
pub fn role_subject(name: &str) -> String {
    format!("role:{name}")
}
