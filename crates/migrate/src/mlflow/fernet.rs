//! Opens what MLflow sealed, and seals what it opens: secrets of webhooks, as Fernet tokens.
//!
//! *Source*: the Fernet specification, version 0x80: AES-128 in CBC mode with PKCS #7 padding, under HMAC-SHA256.

use aes::Aes128;
use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _};
use entities::Timestamp;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

const VERSION: u8 = 0x80;
const TIME_LENGTH: usize = 8;
const IV_LENGTH: usize = 16;
const MAC_LENGTH: usize = 32;
const HEADER_LENGTH: usize = 1 + TIME_LENGTH + IV_LENGTH;

/// As tokens and keys are written, with padding or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A key of `MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY`.
pub struct FernetKey {
    signing: [u8; 16],
    encryption: [u8; 16],
}

impl std::fmt::Debug for FernetKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("FernetKey(…)")
    }
}

impl FernetKey {
    /// Reads a key; none where the text is no such key.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64.decode(text.trim()).ok()?;
        let bytes: [u8; 32] = bytes.try_into().ok()?;
        let (signing, encryption) = bytes.split_at(16);
        Some(Self {
            signing: signing.try_into().ok()?,
            encryption: encryption.try_into().ok()?,
        })
    }

    /// Seals a text. The vector must be drawn anew for each.
    pub(crate) fn seal(&self, text: &str, at: Timestamp, iv: [u8; IV_LENGTH]) -> String {
        let seconds = u64::try_from(at.as_millis() / 1000).unwrap_or_default();
        let mut token = vec![VERSION];
        token.extend(seconds.to_be_bytes());
        token.extend(iv);
        let cipher = cbc::Encryptor::<Aes128>::new(&self.encryption.into(), &iv.into());
        token.extend(cipher.encrypt_padded_vec::<Pkcs7>(text.as_bytes()));
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.signing).expect("HMAC takes keys of any length");
        mac.update(&token);
        token.extend(mac.finalize().into_bytes());
        BASE64.encode(token)
    }

    /// Opens a token, however old it is.
    pub(crate) fn open(&self, token: &str) -> Result<String, &'static str> {
        let bytes = BASE64
            .decode(token.trim())
            .map_err(|_| "it is not sealed as MLflow does")?;
        if bytes.len() < HEADER_LENGTH + MAC_LENGTH || bytes[0] != VERSION {
            return Err("it is not sealed as MLflow does");
        }
        let (signed, code) = bytes.split_at(bytes.len() - MAC_LENGTH);
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.signing).expect("HMAC takes keys of any length");
        mac.update(signed);
        mac.verify_slice(code)
            .map_err(|_| "it is sealed with another key, or was changed")?;
        let (header, encrypted) = signed.split_at(HEADER_LENGTH);
        let mut iv = [0; IV_LENGTH];
        iv.copy_from_slice(&header[1 + TIME_LENGTH..]);
        let cipher = cbc::Decryptor::<Aes128>::new(&self.encryption.into(), &iv.into());
        let opened = cipher
            .decrypt_padded_vec::<Pkcs7>(encrypted)
            .map_err(|_| "its padding is wrong")?;
        String::from_utf8(opened).map_err(|_| "it is no text")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Of the Fernet specification's own tests.
    const KEY: &str = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
    const TOKEN: &str = "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==";

    #[test]
    fn the_token_of_the_specification_is_opened() {
        assert_eq!(
            FernetKey::parse(KEY).unwrap().open(TOKEN),
            Ok("hello".to_owned())
        );
        let bare = TOKEN.trim_end_matches('=');
        assert!(FernetKey::parse(KEY).unwrap().open(bare).is_ok());
    }

    #[test]
    fn what_is_sealed_is_the_token_of_the_specification_and_is_opened() {
        let key = FernetKey::parse(KEY).unwrap();
        let iv: [u8; 16] = std::array::from_fn(|index| index as u8);
        let at = Timestamp::from_millis(499_162_800_000);
        assert_eq!(key.seal("hello", at, iv), TOKEN);
        for text in [
            "",
            "sixteen letters!",
            "ä long secret that takes several blocks",
        ] {
            let token = key.seal(text, at, iv);
            assert!(!token.contains("letters"));
            assert_eq!(key.open(&token), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_is_no_key_and_what_another_key_sealed_is_refused() {
        for text in [
            "",
            "short",
            "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4A",
            "ü",
        ] {
            assert!(FernetKey::parse(text).is_none(), "{text}");
        }
        let other = FernetKey::parse("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap();
        assert!(other.open(TOKEN).is_err());
        assert!(!format!("{other:?}").contains('0'));
    }

    proptest! {
        #[test]
        fn a_token_that_was_changed_is_refused(place in 0..73_usize, bit in 0..8_u8, length in 0..73_usize) {
            let key = FernetKey::parse(KEY).unwrap();
            let mut bytes = BASE64.decode(TOKEN).unwrap();
            prop_assert!(key.open(&BASE64.encode(&bytes[..length])).is_err());
            bytes[place] ^= 1 << bit;
            prop_assert!(key.open(&BASE64.encode(&bytes)).is_err());
        }

        #[test]
        fn no_token_makes_it_fail(token in ".{0,200}") {
            prop_assert!(FernetKey::parse(KEY).unwrap().open(&token).is_err());
        }
    }
}
