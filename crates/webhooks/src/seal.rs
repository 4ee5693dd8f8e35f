//! Seals secrets, and signs with them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use entities::{ObjectId, Random, WebhookId};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;

use crate::{Secret, WebhooksError};

/// Version of the form of sealed bytes, which is their first.
const VERSION: u8 = 1;

/// Bytes that name the key.
const KEY_NAME_LENGTH: usize = 8;

const HEADER_LENGTH: usize = 1 + KEY_NAME_LENGTH + NONCE_LEN;

/// The key that seals the secrets of a store's webhooks.
#[derive(Clone)]
pub struct SealingKey([u8; 32]);

/// Where the key is kept, outside of the store.
pub trait SealingKeys: Send + Sync {
    /// The key; none where this user does not have it.
    fn find(&self) -> std::io::Result<Option<SealingKey>>;

    /// The key, which is made where it is missing.
    fn get_or_make(&self) -> std::io::Result<SealingKey>;
}

impl SealingKey {
    /// Takes the bytes of a key.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, to keep them.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Seals a secret for one webhook: under another it cannot be opened.
    ///
    /// The form: version, name of the key, nonce, and the encrypted secret with its tag (ChaCha20-Poly1305, RFC 8439).
    /// A nonce is drawn for each; 96 bits are enough for as many secrets as anybody has.
    pub(crate) fn seal(
        &self,
        webhook: &WebhookId,
        secret: &Secret,
        random: &dyn Random,
    ) -> Vec<u8> {
        let mut nonce = [0; NONCE_LEN];
        random.fill(&mut nonce);
        let mut encrypted = secret.as_str().as_bytes().to_vec();
        self.cipher()
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(webhook.as_str()),
                &mut encrypted,
            )
            .expect("a secret is far shorter than what the cipher can take");
        [&[VERSION], &self.name()[..], &nonce, &encrypted].concat()
    }

    /// Opens what `seal` gave.
    pub(crate) fn open(&self, webhook: &WebhookId, sealed: &[u8]) -> Result<Secret, WebhooksError> {
        let locked = |why| WebhooksError::Locked {
            webhook: webhook.clone(),
            why,
        };
        if sealed.len() < HEADER_LENGTH || sealed[0] != VERSION {
            return Err(locked("its form is not known here"));
        }
        let (header, encrypted) = sealed.split_at(HEADER_LENGTH);
        if header[1..=KEY_NAME_LENGTH] != self.name() {
            return Err(locked("it is sealed with another key"));
        }
        let mut nonce = [0; NONCE_LEN];
        nonce.copy_from_slice(&header[1 + KEY_NAME_LENGTH..]);
        let mut opened = encrypted.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        let aad = Aad::from(webhook.as_str());
        let text = self
            .cipher()
            .open_in_place(nonce, aad, &mut opened)
            .map_err(|_| locked("it was changed"))?;
        let text = String::from_utf8(text.to_vec()).map_err(|_| locked("it is no text"))?;
        Ok(Secret::new(text))
    }

    fn cipher(&self) -> LessSafeKey {
        let key = UnboundKey::new(&CHACHA20_POLY1305, &self.0);
        LessSafeKey::new(key.expect("a key has 32 bytes"))
    }

    /// Tells keys apart without telling anything of them.
    fn name(&self) -> [u8; KEY_NAME_LENGTH] {
        let named = [&b"reproof webhook sealing key v1\n"[..], &self.0].concat();
        let mut name = [0; KEY_NAME_LENGTH];
        name.copy_from_slice(&ObjectId::of(&named).as_bytes()[..KEY_NAME_LENGTH]);
        name
    }
}

/// The signature of a delivery, as MLflow and Standard Webhooks write it.
///
/// *Source*: `_generate_hmac_signature` of MLflow 3.17.2.
pub(crate) fn sign(secret: &Secret, delivery: &str, unix_time: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_str().as_bytes());
    let signed = format!("{delivery}.{unix_time}.{body}");
    let tag = hmac::sign(&key, signed.as_bytes());
    format!("v1,{}", STANDARD.encode(tag))
}

#[cfg(test)]
mod tests {
    use testkit::SeededRandom;

    use super::*;

    #[test]
    fn a_sealed_secret_is_opened_by_its_key_for_its_webhook_alone() {
        let key = SealingKey::from_bytes([7; 32]);
        let (ours, other): (WebhookId, WebhookId) = ("a".parse().unwrap(), "b".parse().unwrap());
        let secret = Secret::new("s3cr3t".to_owned());
        let random = SeededRandom::new(1);
        let sealed = key.seal(&ours, &secret, &random);
        assert!(!sealed.windows(6).any(|window| window == b"s3cr3t"));
        assert_ne!(sealed, key.seal(&ours, &secret, &random));
        assert_eq!(key.open(&ours, &sealed).unwrap().as_str(), "s3cr3t");
        let told = |opened: Result<Secret, WebhooksError>| opened.err().unwrap().to_string();
        assert!(told(key.open(&other, &sealed)).contains("was changed"));
        let another = SealingKey::from_bytes([8; 32]);
        assert!(told(another.open(&ours, &sealed)).contains("another key"));
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert!(key.open(&ours, &changed).is_err(), "byte {place}");
            assert!(key.open(&ours, &sealed[..place]).is_err());
        }
    }

    /// What MLflow's own function gave for these four texts.
    #[test]
    fn a_signature_is_that_of_mlflow() {
        let secret = Secret::new("s3cr3t".to_owned());
        let body = r#"{"entity": "registered_model", "action": "created", "timestamp": "2026-11-27T17:08:08.558134+00:00", "data": {"name": "net \u00e9", "tags": {"k": "w"}, "description": "d"}}"#;
        let signature = sign(
            &secret,
            "fc1c7926-d6f3-4cbf-9e71-77c537dee1ed",
            "1795799288",
            body,
        );
        assert_eq!(signature, "v1,aKOIoiJJCZtSMVgNM1t/Wt2vTw02UAXkY7muZTlStY8=");
    }
}
