//! Passwords and their hashes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use entities::{PasswordHash, Random};
use tokio::sync::Semaphore;

use crate::AccessError;
use crate::foreign::ForeignHash;

const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

/// Hashes that are computed at the same time: each fills its memory, and others have work to do, too.
const LARGEST_CONCURRENCY: usize = 2;

/// A password. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// Takes a text as password.
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Password(…)")
    }
}

/// How much work the hash of a password takes.
///
/// *Source*: OWASP's Password Storage Cheat Sheet: Argon2id with 19 MiB, two passes and one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashingCost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
}

impl Default for HashingCost {
    fn default() -> Self {
        Self {
            memory_kib: 19 * 1024,
            passes: 2,
        }
    }
}

impl HashingCost {
    /// As little as there can be, for tests.
    pub const LEAST: Self = Self {
        memory_kib: 8,
        passes: 1,
    };
}

/// Computes hashes of passwords, away from the threads that answer requests.
#[derive(Clone)]
pub(crate) struct Hasher {
    cost: HashingCost,
    /// What an unknown name is checked against, so that it takes as long as a known one.
    nobody: Arc<Phc>,
    running: Arc<Semaphore>,
    count: Arc<AtomicU64>,
}

impl Hasher {
    pub(crate) fn new(cost: HashingCost, random: &dyn Random) -> Self {
        let mut hash = [0; HASH_BYTES];
        random.fill(&mut hash);
        let nobody = Phc {
            cost,
            salt: draw_salt(random),
            // Drawn, so that no password has it.
            hash,
        };
        Self {
            cost,
            nobody: Arc::new(nobody),
            running: Arc::new(Semaphore::new(LARGEST_CONCURRENCY)),
            count: Arc::default(),
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Hashes a password with a fresh salt.
    pub(crate) async fn hash(
        &self,
        password: &Password,
        random: &dyn Random,
    ) -> Result<PasswordHash, AccessError> {
        let (cost, salt) = (self.cost, draw_salt(random));
        let hash = self.compute(password, cost, salt).await?;
        Ok(PasswordHash::of(Phc { cost, salt, hash }.encode()))
    }

    /// Whether a hash is that of a password; without a hash it is not, after the same time.
    ///
    /// Where somebody has a hash that another program made, one such is computed for everybody beside one of ours, since
    /// they differ in time: who has which, and which names there are, is told by neither.
    pub(crate) async fn is_right(
        &self,
        password: &Password,
        hash: Option<&PasswordHash>,
        somebodys_foreign: Option<&PasswordHash>,
    ) -> Result<bool, AccessError> {
        let known = hash.map(Kept::decode).transpose()?;
        let decoy = somebodys_foreign.map(Kept::decode).transpose()?;
        let nobody = Kept::Own(Arc::clone(&self.nobody));
        let is_same = self
            .check(password, known.as_ref().unwrap_or(&nobody))
            .await?;
        let is_right = is_same && known.is_some();
        match (&known, &decoy) {
            (_, None) => {}
            (Some(Kept::Foreign(_)), Some(_)) => {
                self.check(password, &nobody).await?;
            }
            (_, Some(decoy)) => {
                self.check(password, decoy).await?;
            }
        }
        Ok(is_right)
    }

    async fn check(&self, password: &Password, kept: &Kept) -> Result<bool, AccessError> {
        match kept {
            Kept::Own(phc) => {
                let found = self.compute(password, phc.cost, phc.salt).await?;
                // Digests are compared in constant time.
                Ok(blake3::hash(&found) == blake3::hash(&phc.hash))
            }
            Kept::Foreign(hash) => {
                let (hash, password) = (Arc::clone(hash), password.clone());
                self.run(move || hash.is_of(password.as_str().as_bytes()))
                    .await
            }
        }
    }

    async fn compute(
        &self,
        password: &Password,
        cost: HashingCost,
        salt: [u8; SALT_BYTES],
    ) -> Result<[u8; HASH_BYTES], AccessError> {
        let password = password.clone();
        self.run(move || compute(password.as_str().as_bytes(), cost, &salt))
            .await
    }

    /// Computes a hash when fewer than too many are computed.
    async fn run<T: Send + 'static>(
        &self,
        compute: impl FnOnce() -> Option<T> + Send + 'static,
    ) -> Result<T, AccessError> {
        let running = Arc::clone(&self.running).acquire_owned().await;
        let running = running.map_err(|_| AccessError::Hashing)?;
        self.count.fetch_add(1, Ordering::Relaxed);
        let computing = tokio::task::spawn_blocking(move || {
            // Held to the end, also when nobody waits for it any more.
            let _running = running;
            compute()
        });
        computing
            .await
            .map_err(|_| AccessError::Hashing)?
            .ok_or(AccessError::Hashing)
    }
}

fn compute(
    password: &[u8],
    cost: HashingCost,
    salt: &[u8; SALT_BYTES],
) -> Option<[u8; HASH_BYTES]> {
    let HashingCost { memory_kib, passes } = cost;
    let params = Params::new(memory_kib, passes, 1, Some(HASH_BYTES)).ok()?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut hash = [0; HASH_BYTES];
    argon2.hash_password_into(password, salt, &mut hash).ok()?;
    Some(hash)
}

fn draw_salt(random: &dyn Random) -> [u8; SALT_BYTES] {
    let mut salt = [0; SALT_BYTES];
    random.fill(&mut salt);
    salt
}

/// A hash that can be checked.
enum Kept {
    Own(Arc<Phc>),
    Foreign(Arc<ForeignHash>),
}

impl Kept {
    fn decode(hash: &PasswordHash) -> Result<Self, AccessError> {
        if let Some(own) = Phc::decode(&hash.encoded) {
            return Ok(Self::Own(Arc::new(own)));
        }
        let foreign = ForeignHash::decode(&hash.encoded);
        let foreign = foreign.map_err(|_| AccessError::DamagedHash)?;
        Ok(Self::Foreign(Arc::new(foreign)))
    }
}

/// Whether another program made a hash.
pub(crate) fn is_foreign(hash: &PasswordHash) -> bool {
    Phc::decode(&hash.encoded).is_none() && ForeignHash::decode(&hash.encoded).is_ok()
}

/// A hash with what it was made with.
///
/// *Source*: the PHC string format, <https://github.com/P-H-C/phc-string-format>.
struct Phc {
    cost: HashingCost,
    salt: [u8; SALT_BYTES],
    hash: [u8; HASH_BYTES],
}

impl Phc {
    fn encode(&self) -> String {
        let HashingCost { memory_kib, passes } = self.cost;
        let salt = STANDARD_NO_PAD.encode(self.salt);
        let hash = STANDARD_NO_PAD.encode(self.hash);
        format!("$argon2id$v=19$m={memory_kib},t={passes},p=1${salt}${hash}")
    }

    fn decode(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("$argon2id$v=19$m=")?;
        let (memory, rest) = rest.split_once(",t=")?;
        let (passes, rest) = rest.split_once(",p=1$")?;
        let (salt, hash) = rest.split_once('$')?;
        let decode = |text: &str| STANDARD_NO_PAD.decode(text).ok();
        Some(Self {
            cost: HashingCost {
                memory_kib: memory.parse().ok()?,
                passes: passes.parse().ok()?,
            },
            salt: decode(salt)?.try_into().ok()?,
            hash: decode(hash)?.try_into().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use testkit::SeededRandom;

    use super::*;

    fn password(text: &str) -> Password {
        Password::new(text.to_owned())
    }

    /// *Source*: computed with OpenSSL, by Python's `cryptography` 50.0.2.
    #[test]
    fn a_hash_is_that_of_the_reference() {
        let cost = HashingCost {
            memory_kib: 64,
            passes: 2,
        };
        let hash = compute(b"password", cost, b"somesaltsomesalt").unwrap();
        assert_eq!(
            blake3::Hash::from_bytes(hash).to_hex().as_str(),
            "1a98fba8e6394425c9bdc333a9c750aaf811df070f5fb4a5788e1cf4db5793a1"
        );
    }

    #[tokio::test]
    async fn a_password_is_told_from_others_and_hashed_afresh_each_time() {
        let random = SeededRandom::new(1);
        let hasher = Hasher::new(HashingCost::LEAST, &random);
        let right = password("correct horse");
        let first = hasher.hash(&right, &random).await.unwrap();
        let second = hasher.hash(&right, &random).await.unwrap();
        assert_ne!(first, second);
        assert!(first.encoded.starts_with("$argon2id$v=19$m=8,t=1,p=1$"));
        for hash in [&first, &second] {
            assert!(hasher.is_right(&right, Some(hash), None).await.unwrap());
            for wrong in ["", "correct hors", "correct horse ", "Correct horse"] {
                let wrong = password(wrong);
                assert!(!hasher.is_right(&wrong, Some(hash), None).await.unwrap());
            }
        }
        assert!(!hasher.is_right(&right, None, None).await.unwrap());
    }

    #[tokio::test]
    async fn an_unknown_name_costs_one_hash_as_a_wrong_password_does() {
        let random = SeededRandom::new(1);
        let hasher = Hasher::new(HashingCost::LEAST, &random);
        let hash = hasher.hash(&password("right"), &random).await.unwrap();
        let wrong = password("wrong");
        let before = hasher.count();
        assert!(!hasher.is_right(&wrong, Some(&hash), None).await.unwrap());
        assert_eq!(hasher.count(), before + 1);
        assert!(!hasher.is_right(&wrong, None, None).await.unwrap());
        assert_eq!(hasher.count(), before + 2);
    }

    #[tokio::test]
    async fn where_somebody_has_a_foreign_hash_everybody_costs_one_of_each() {
        let random = SeededRandom::new(1);
        let hasher = Hasher::new(HashingCost::LEAST, &random);
        let own = hasher.hash(&password("right"), &random).await.unwrap();
        // Of the password `right`.
        let foreign = PasswordHash::of("pbkdf2:sha256:7$tGVgE1CZXfNf8MxV$3807a9ab5c528264ff56fc493cfe98db869a60ffb84309558bfcd37734f92f91".to_owned());
        for hash in [Some(&own), Some(&foreign), None] {
            for (text, is_right) in [("right", hash.is_some()), ("wrong", false)] {
                let before = hasher.count();
                let found = hasher.is_right(&password(text), hash, Some(&foreign)).await;
                assert_eq!(found.unwrap(), is_right, "{hash:?}");
                assert_eq!(hasher.count(), before + 2);
            }
        }
        assert!(is_foreign(&foreign) && !is_foreign(&own));
        assert!(!is_foreign(&PasswordHash::of(String::new())));
    }

    #[test]
    fn a_hash_is_read_as_it_is_written_and_nothing_else() {
        let phc = Phc {
            cost: HashingCost::default(),
            salt: [7; SALT_BYTES],
            hash: [9; HASH_BYTES],
        };
        let text = phc.encode();
        let read = Phc::decode(&text).unwrap();
        assert_eq!(read.encode(), text);
        for wrong in [
            "",
            "x",
            &text[1..],
            &text[..text.len() - 1],
            &text.replace("id$", "i$"),
        ] {
            assert!(Phc::decode(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_password_is_not_printed() {
        assert_eq!(format!("{:?}", password("secret")), "Password(…)");
    }
}
