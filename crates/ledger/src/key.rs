//! Ed25519 keys of logs, in the text forms of Go's `sumdb/note`.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _};
use entities::Random;
use sha2::{Digest as _, Sha256};

use crate::LedgerError;

/// Signs the checkpoints of one log.
///
/// Its text form (`encode`) is a secret; `Debug` shows only name and id.
#[derive(Clone)]
pub struct SigningKey {
    name: String,
    id: u32,
    secret: ed25519_dalek::SigningKey,
}

/// Verifies the signatures of one log.
///
/// Written as `<name>+<id>+<base64 of 0x01 and the public key>`.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: u32,
    public: ed25519_dalek::VerifyingKey,
}

/// The signature type of plain Ed25519.
///
/// *Source*: C2SP signed-note, "Signature types".
const ALGORITHM_ED25519: u8 = 0x01;

const SECRET_PREFIX: &str = "PRIVATE+KEY+";

impl SigningKey {
    /// Makes the key of a log from 32 secret bytes.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, LedgerError> {
        check_name(name)?;
        let secret = ed25519_dalek::SigningKey::from_bytes(seed);
        let id = key_id(name, secret.verifying_key().as_bytes());
        Ok(Self {
            name: name.to_owned(),
            id,
            secret,
        })
    }

    /// Makes a fresh key.
    pub fn generate(name: &str, random: &dyn Random) -> Result<Self, LedgerError> {
        let mut seed = [0; 32];
        random.fill(&mut seed);
        Self::from_seed(name, &seed)
    }

    /// Reads the secret text form.
    pub fn parse(text: &str) -> Result<Self, LedgerError> {
        // No part of a text that may be secret is put into an error.
        let refuse = |reason| LedgerError::KeyRefused {
            name: "(secret)".to_owned(),
            reason,
        };
        let rest = text
            .strip_prefix(SECRET_PREFIX)
            .ok_or_else(|| refuse("it does not begin with `PRIVATE+KEY+`"))?;
        let (name, id, seed) = split_key(rest, &refuse)?;
        let key = Self::from_seed(name, &seed)?;
        if key.id != id {
            return Err(refuse("its id is not that of its name and key"));
        }
        Ok(key)
    }

    /// Writes the secret text form: `PRIVATE+KEY+<name>+<id>+<base64 of 0x01 and the seed>`.
    pub fn encode(&self) -> String {
        let mut bytes = [ALGORITHM_ED25519; 33];
        bytes[1..].copy_from_slice(self.secret.as_bytes());
        format!(
            "{SECRET_PREFIX}{}+{:08x}+{}",
            self.name,
            self.id,
            STANDARD.encode(bytes)
        )
    }

    /// The name of the log.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id that stands before each signature.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The public half.
    pub fn verifier(&self) -> VerifierKey {
        VerifierKey {
            name: self.name.clone(),
            id: self.id,
            public: self.secret.verifying_key(),
        }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.secret.sign(message).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SigningKey({}+{:08x})", self.name, self.id)
    }
}

impl VerifierKey {
    /// Builds a key from its raw parts; refuses a public key of small order, which anyone can sign for.
    pub fn from_public(name: &str, public: &[u8; 32]) -> Result<Self, LedgerError> {
        check_name(name)?;
        let refuse = |reason| LedgerError::KeyRefused {
            name: name.to_owned(),
            reason,
        };
        let key = ed25519_dalek::VerifyingKey::from_bytes(public)
            .map_err(|_| refuse("it is not a point of the curve"))?;
        if key.is_weak() {
            return Err(refuse("it is of small order, so anyone could sign for it"));
        }
        Ok(Self {
            name: name.to_owned(),
            id: key_id(name, public),
            public: key,
        })
    }

    /// The name of the log.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id that stands before each signature.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Checks a signature strictly: small-order points and second encodings of a signature are refused.
    pub(crate) fn accepts(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature)
            .is_ok_and(|signature| self.public.verify_strict(message, &signature).is_ok())
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [ALGORITHM_ED25519; 33];
        bytes[1..].copy_from_slice(self.public.as_bytes());
        write!(
            formatter,
            "{}+{:08x}+{}",
            self.name,
            self.id,
            STANDARD.encode(bytes)
        )
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "VerifierKey({self})")
    }
}

impl FromStr for VerifierKey {
    type Err = LedgerError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |reason| LedgerError::KeyRefused {
            name: text.chars().take(200).collect(),
            reason,
        };
        if text.starts_with(SECRET_PREFIX) {
            return Err(LedgerError::KeyRefused {
                name: "(secret)".to_owned(),
                reason: "it is a secret key where a public one should stand",
            });
        }
        let (name, id, public) = split_key(text, &refuse)?;
        let key = Self::from_public(name, &public)?;
        if key.id != id {
            return Err(refuse("its id is not that of its name and key"));
        }
        Ok(key)
    }
}

/// Splits `<name>+<id>+<base64 of 0x01 and 32 bytes>`.
fn split_key<'a>(
    text: &'a str,
    refuse: &dyn Fn(&'static str) -> LedgerError,
) -> Result<(&'a str, u32, [u8; 32]), LedgerError> {
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(refuse("it has not the form `name+id+key`"));
    };
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if id.len() != 8 || !id.bytes().all(is_hex) {
        return Err(refuse("its id is not 8 lower-case hex digits"));
    }
    let id = u32::from_str_radix(id, 16).map_err(|_| refuse("its id is not a number"))?;
    let bytes = STANDARD
        .decode(key)
        .map_err(|_| refuse("its key is not base64"))?;
    match bytes.split_first() {
        Some((&ALGORITHM_ED25519, key)) => {
            let key = key
                .try_into()
                .map_err(|_| refuse("its key is not 32 bytes long"))?;
            Ok((name, id, key))
        }
        _ => Err(refuse("its algorithm is not Ed25519")),
    }
}

/// SHA256(name || 0x0A || 0x01 || public key), the first four bytes.
///
/// *Source*: C2SP signed-note, "Signatures".
fn key_id(name: &str, public: &[u8; 32]) -> u32 {
    let digest = Sha256::new()
        .chain_update(name)
        .chain_update([b'\n', ALGORITHM_ED25519])
        .chain_update(public)
        .finalize();
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
}

fn check_name(name: &str) -> Result<(), LedgerError> {
    if is_key_name(name) {
        return Ok(());
    }
    Err(LedgerError::KeyRefused {
        name: name.to_owned(),
        reason: "a name must not be empty and have no space, control character or `+`",
    })
}

pub(crate) fn is_key_name(name: &str) -> bool {
    !name.is_empty()
        && !name.chars().any(|character| {
            character.is_whitespace() || character.is_control() || character == '+'
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl Random for Fixed {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(7);
        }
    }

    #[test]
    fn keys_survive_their_text_forms_and_a_secret_is_never_shown() {
        let key = SigningKey::generate("example.com/log", &Fixed).unwrap();
        let again = SigningKey::parse(&key.encode()).unwrap();
        assert_eq!(again.encode(), key.encode());
        let public: VerifierKey = key.verifier().to_string().parse().unwrap();
        assert_eq!(public, key.verifier());
        let shown = format!("{key:?}");
        assert_eq!(
            shown,
            format!("SigningKey(example.com/log+{:08x})", key.id())
        );
        let swapped = key.encode().parse::<VerifierKey>().unwrap_err();
        assert!(!format!("{swapped:?}").contains("BwcH"));
        let damaged = key
            .encode()
            .replace("+0", "+1")
            .replace("example", "exemple");
        let error = SigningKey::parse(&damaged).unwrap_err();
        assert!(!format!("{error:?} {error}").contains("BwcH"));
    }

    #[test]
    fn a_public_key_of_small_order_is_refused() {
        // The neutral point, the point of order two and one of order eight.
        let mut order_two = [0xff; 32];
        order_two[0] = 0xec;
        order_two[31] = 0x7f;
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let order_eight: [u8; 32] =
            hex::decode("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")
                .unwrap()
                .try_into()
                .unwrap();
        for public in [neutral, order_two, order_eight, [0; 32]] {
            assert!(VerifierKey::from_public("log", &public).is_err());
            let text = format!(
                "log+{:08x}+{}",
                key_id("log", &public),
                STANDARD.encode([&[1][..], &public].concat())
            );
            assert!(text.parse::<VerifierKey>().is_err(), "{text} was taken");
        }
    }

    #[test]
    fn a_key_with_an_altered_name_id_or_form_is_refused() {
        let text = SigningKey::generate("log", &Fixed)
            .unwrap()
            .verifier()
            .to_string();
        assert!(text.parse::<VerifierKey>().is_ok());
        let (head, key) = text.rsplit_once('+').unwrap();
        let upper = format!("{}+{key}", head.replace("log+", "LOG+").to_uppercase());
        let cases = [
            text.replacen("log", "gol", 1),
            text.replacen("log", "", 1),
            text.replacen("log", "l og", 1),
            text[..text.len() - 1].to_owned(),
            format!("{head}+{}", STANDARD.encode([1; 32])),
            format!("{head}+{}", STANDARD.encode([4; 33])),
            format!("{head}+"),
            upper,
            "log".to_owned(),
            String::new(),
        ];
        for case in cases {
            assert!(case.parse::<VerifierKey>().is_err(), "{case} was taken");
        }
    }
}
