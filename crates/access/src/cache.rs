//! Passwords that were verified a while ago, so that not every request costs a hash.

use std::collections::BTreeMap;

use entities::{ObjectId, Random, Timestamp};

use crate::Password;

/// How many are remembered: some 400 KiB.
const LARGEST_COUNT: usize = 4096;

/// How long one is remembered.
const LIFETIME_MICROS: i64 = 10 * 60 * 1_000_000;

/// What was verified, by a digest that a key of this process makes: a copy of its memory tells no password that could
/// be tried elsewhere faster than the hash itself.
pub(crate) struct Verified {
    key: [u8; 32],
    until: BTreeMap<[u8; 32], Timestamp>,
}

impl Verified {
    pub(crate) fn new(random: &dyn Random) -> Self {
        let mut key = [0; 32];
        random.fill(&mut key);
        Self {
            key,
            until: BTreeMap::new(),
        }
    }

    /// What names a password as it was checked: another hash gives another name, so that a changed password is not
    /// found again.
    fn digest(&self, name: &str, password: &Password, hash: &ObjectId) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
        hasher.update(hash.as_bytes());
        hasher.update(password.as_str().as_bytes());
        *hasher.finalize().as_bytes()
    }

    pub(crate) fn has(
        &self,
        name: &str,
        password: &Password,
        hash: &ObjectId,
        now: Timestamp,
    ) -> bool {
        let digest = self.digest(name, password, hash);
        self.until.get(&digest).is_some_and(|until| *until > now)
    }

    pub(crate) fn note(
        &mut self,
        name: &str,
        password: &Password,
        hash: &ObjectId,
        now: Timestamp,
    ) {
        if self.until.len() >= LARGEST_COUNT {
            self.until.retain(|_, until| *until > now);
        }
        while self.until.len() >= LARGEST_COUNT {
            let first = self.until.iter().min_by_key(|(_, until)| **until);
            let Some(digest) = first.map(|(digest, _)| *digest) else {
                break;
            };
            self.until.remove(&digest);
        }
        let digest = self.digest(name, password, hash);
        let until = Timestamp::from_micros(now.as_micros() + LIFETIME_MICROS);
        self.until.insert(digest, until);
    }
}

#[cfg(test)]
mod tests {
    use testkit::SeededRandom;

    use super::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    fn password(text: &str) -> Password {
        Password::new(text.to_owned())
    }

    #[test]
    fn only_the_very_same_is_found_and_not_for_ever() {
        let mut verified = Verified::new(&SeededRandom::new(1));
        let (hash, other) = (ObjectId::of(b"hash"), ObjectId::of(b"other"));
        verified.note("ann", &password("secret"), &hash, at(0));
        assert!(verified.has("ann", &password("secret"), &hash, at(1)));
        assert!(!verified.has("anns", &password("ecret"), &hash, at(1)));
        assert!(!verified.has("ann", &password("other"), &hash, at(1)));
        assert!(!verified.has("bob", &password("secret"), &hash, at(1)));
        assert!(!verified.has("ann", &password("secret"), &other, at(1)));
        let late = at(LIFETIME_MICROS);
        assert!(!verified.has("ann", &password("secret"), &hash, late));
    }

    #[test]
    fn it_does_not_grow_without_end() {
        let mut verified = Verified::new(&SeededRandom::new(1));
        let hash = ObjectId::of(b"hash");
        for number in 0..LARGEST_COUNT as i64 + 10 {
            verified.note(&number.to_string(), &password("x"), &hash, at(number));
        }
        assert_eq!(verified.until.len(), LARGEST_COUNT);
        assert!(!verified.has("0", &password("x"), &hash, at(0)));
        assert!(verified.has("10", &password("x"), &hash, at(0)));
    }
}
