//! Hashes of passwords that another program made: those of Werkzeug, which MLflow's own server keeps.
//!
//! They are checked until their user signs on the first time, and give way to one of ours then.
//!
//! *Source*: `generate_password_hash` and `_hash_internal` in `werkzeug/security.py`.

use entities::PasswordHash;
use pbkdf2::pbkdf2_hmac;
use sha2::{Sha256, Sha512};

/// Bytes of memory that a hash may fill: twice what Werkzeug's fills.
const LARGEST_MEMORY: u64 = 64 << 20;

/// Blocks that a hash may work through: four times as many as Werkzeug's does.
const LARGEST_WORK: u64 = 1 << 20;

/// Rounds of a hash: four times as many as Werkzeug's has, which takes a second or two.
const LARGEST_ROUNDS: u32 = 4_000_000;

/// Characters of a salt; Werkzeug's has 16.
const LONGEST_SALT: usize = 128;

const SCRYPT_BYTES: usize = 64;

/// Why a hash is not taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForeignHashError {
    /// It is none of Werkzeug's.
    #[error("it is no hash as `scrypt:32768:8:1$…` or `pbkdf2:sha256:600000$…`")]
    Unknown,
    /// It is made so that checking a password takes too long, or too much memory.
    #[error("to check a password against it would take too much time or memory")]
    TooCostly,
}

/// Takes over a hash that Werkzeug made.
pub fn take_over_hash(text: &str) -> Result<PasswordHash, ForeignHashError> {
    ForeignHash::decode(text)?;
    Ok(PasswordHash::of(text.to_owned()))
}

/// A hash with what it was made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForeignHash {
    method: Method,
    salt: String,
    hash: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Scrypt { log_n: u8, r: u32, p: u32 },
    Pbkdf2Sha256 { rounds: u32 },
    Pbkdf2Sha512 { rounds: u32 },
}

impl ForeignHash {
    /// Reads `METHOD$SALT$HASH`.
    pub(crate) fn decode(text: &str) -> Result<Self, ForeignHashError> {
        let unknown = ForeignHashError::Unknown;
        let (method, rest) = text.split_once('$').ok_or(unknown)?;
        let (salt, hash) = rest.split_once('$').ok_or(unknown)?;
        let method = Method::decode(method)?;
        let hash = hex::decode(hash).map_err(|_| unknown)?;
        let is_salt = !salt.is_empty() && salt.len() <= LONGEST_SALT;
        if !is_salt || hash.len() != method.length() {
            return Err(unknown);
        }
        Ok(Self {
            method,
            salt: salt.to_owned(),
            hash,
        })
    }

    /// Whether it is that of a password; none where it cannot be computed.
    pub(crate) fn is_of(&self, password: &[u8]) -> Option<bool> {
        let mut found = vec![0; self.hash.len()];
        let salt = self.salt.as_bytes();
        match self.method {
            Method::Scrypt { log_n, r, p } => {
                let params = scrypt::Params::new(log_n, r, p).ok()?;
                scrypt::scrypt(password, salt, &params, &mut found).ok()?;
            }
            Method::Pbkdf2Sha256 { rounds } => {
                pbkdf2_hmac::<Sha256>(password, salt, rounds, &mut found);
            }
            Method::Pbkdf2Sha512 { rounds } => {
                pbkdf2_hmac::<Sha512>(password, salt, rounds, &mut found);
            }
        }
        // Digests are compared in constant time.
        Some(blake3::hash(&found) == blake3::hash(&self.hash))
    }
}

impl Method {
    fn decode(text: &str) -> Result<Self, ForeignHashError> {
        let parts: Vec<&str> = text.split(':').collect();
        match parts[..] {
            ["scrypt", n, r, p] => Self::scrypt(number(n)?, number(r)?, number(p)?),
            ["pbkdf2", "sha256", rounds] => Ok(Self::Pbkdf2Sha256 {
                rounds: rounds_of(rounds)?,
            }),
            ["pbkdf2", "sha512", rounds] => Ok(Self::Pbkdf2Sha512 {
                rounds: rounds_of(rounds)?,
            }),
            _ => Err(ForeignHashError::Unknown),
        }
    }

    /// *Source*: RFC 7914, section 2: the memory is `128 * N * r` bytes, each of `p` passes works through it.
    fn scrypt(n: u64, r: u64, p: u64) -> Result<Self, ForeignHashError> {
        if !n.is_power_of_two() || n < 2 || r == 0 || p == 0 {
            return Err(ForeignHashError::Unknown);
        }
        let blocks = n.checked_mul(r).ok_or(ForeignHashError::TooCostly)?;
        let memory = blocks.checked_mul(128).ok_or(ForeignHashError::TooCostly)?;
        let work = blocks.checked_mul(p).ok_or(ForeignHashError::TooCostly)?;
        if memory > LARGEST_MEMORY || work > LARGEST_WORK {
            return Err(ForeignHashError::TooCostly);
        }
        // They are no greater than the work.
        Ok(Self::Scrypt {
            log_n: n.trailing_zeros() as u8,
            r: r as u32,
            p: p as u32,
        })
    }

    fn length(self) -> usize {
        match self {
            Self::Scrypt { .. } | Self::Pbkdf2Sha512 { .. } => SCRYPT_BYTES,
            Self::Pbkdf2Sha256 { .. } => 32,
        }
    }
}

fn rounds_of(text: &str) -> Result<u32, ForeignHashError> {
    match u32::try_from(number(text)?) {
        Ok(0) => Err(ForeignHashError::Unknown),
        Ok(rounds) if rounds <= LARGEST_ROUNDS => Ok(rounds),
        _ => Err(ForeignHashError::TooCostly),
    }
}

/// A whole number; one of more than 64 bits is too great for everything.
fn number(text: &str) -> Result<u64, ForeignHashError> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number {
        return Err(ForeignHashError::Unknown);
    }
    text.parse().map_err(|_| ForeignHashError::TooCostly)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Made by Werkzeug 3.1.9.
    const HASHES: [&str; 5] = [
        "scrypt:32768:8:1$0REGB78FNIiS21uS$a2f79d30a4a57aeba017c6914a0236581e4513e05cc6f63c8a21e0c5b8ba68f8e049d7d888733226bb124c5fa39f5c09e9bac4b406e0b3d732b02a537aa3dcf5",
        "scrypt:1024:4:2$MeKeyqJm9uqUfCL9$a9ebe3b8eb98d83ce008967ba7399cf95645b60881e12c2cdee9ebff21477938ba6e38f332778ddda3b296e80aac6b322fecc18a97d19e934476f15af5ed62c0",
        "pbkdf2:sha256:20000$nR19jUyHhv4jYcyW$7c4bac1cfab239223831851b9c7ddd432b00080f8848ad181672df2bceb2fcfa",
        "pbkdf2:sha256:1$6D2KKhK9K4mqaUXP$35f8d3416d608fbe8ef86be9cf19f69b292392aeb309f2dd4c7f953d5c47dc1d",
        "pbkdf2:sha512:1000$lAVvS65TyG1YfG6O$4de20e0f3f4cc7efe2e137546a8f0c91ef555db883260e325d08a9a14ef857fe6d8d0e23751f70f07de82cf0f051a328a62262e89bc611d13671822dee06f2ce",
    ];

    #[test]
    fn hashes_of_werkzeug_are_checked_as_it_checks_them() {
        for hash in HASHES {
            let known = ForeignHash::decode(hash).unwrap();
            assert_eq!(
                known.is_of("pässwörd of ann".as_bytes()),
                Some(true),
                "{hash}"
            );
            for wrong in ["", "pässwörd of an", "pässwörd of ann "] {
                assert_eq!(known.is_of(wrong.as_bytes()), Some(false), "{hash}");
            }
        }
    }

    #[test]
    fn what_would_take_too_much_is_refused_before_anything_is_computed() {
        let of = |method: &str, bytes: usize| {
            ForeignHash::decode(&format!("{method}$salt${}", "00".repeat(bytes)))
        };
        for method in [
            "scrypt:1048576:8:1",
            "scrypt:65536:16:1",
            "scrypt:32768:8:5",
            "scrypt:2:8:1000000000",
            "scrypt:2:4294967296:1",
            "scrypt:9223372036854775808:8:1",
            "scrypt:9223372036854775808:9223372036854775808:1",
            "scrypt:99999999999999999999999:8:1",
        ] {
            assert_eq!(of(method, 64), Err(ForeignHashError::TooCostly), "{method}");
        }
        for method in [
            "pbkdf2:sha256:4000001",
            "pbkdf2:sha256:99999999999999999999",
        ] {
            assert_eq!(of(method, 32), Err(ForeignHashError::TooCostly), "{method}");
        }
        assert!(of("scrypt:65536:8:1", 64).is_ok());
        assert!(of("pbkdf2:sha256:4000000", 32).is_ok());
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        let digits = "00".repeat(64);
        for text in [
            "",
            "$",
            "$$",
            "plain",
            "plain$$password",
            "scrypt$salt$00",
            &format!("scrypt:3:8:1$salt${digits}"),
            &format!("scrypt:0:8:1$salt${digits}"),
            &format!("scrypt:1:8:1$salt${digits}"),
            &format!("scrypt:32768:0:1$salt${digits}"),
            &format!("scrypt:32768:8:-1$salt${digits}"),
            &format!("scrypt:32768:8:1:1$salt${digits}"),
            &format!("scrypt:32768:8:1$${digits}"),
            &format!("scrypt:32768:8:1${}${digits}", "s".repeat(129)),
            "scrypt:32768:8:1$salt$00",
            "scrypt:32768:8:1$salt$",
            "scrypt:32768:8:1$salt$zz",
            &format!("pbkdf2:sha256:0$salt${}", "00".repeat(32)),
            &format!("pbkdf2:md5:1000$salt${}", "00".repeat(16)),
            &format!("pbkdf2:sha256$salt${}", "00".repeat(32)),
            "sha256$salt$00",
            "$argon2id$v=19$m=8,t=1,p=1$AAAA$AAAA",
        ] {
            assert_eq!(
                ForeignHash::decode(text),
                Err(ForeignHashError::Unknown),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_the_reading_fail_and_what_is_read_is_bounded(text in "(scrypt|pbkdf2)(:[a-z0-9]{0,12}){0,4}\\$.{0,9}\\$[0-9a-f]{0,130}") {
            if let Ok(ForeignHash { method: Method::Scrypt { log_n, r, p }, .. }) = ForeignHash::decode(&text) {
                prop_assert!((u64::from(r) << log_n) * 128 <= LARGEST_MEMORY);
                prop_assert!((u64::from(r) << log_n) * u64::from(p) <= LARGEST_WORK);
            }
        }
    }
}
