//! Tokens of forms, by which what a browser sends on behalf of a page of somebody else is told from what its user sends.

use entities::{Random, Timestamp};

use crate::Accounts;

/// How long a form may stand open, as Flask-WTF has it.
const LIFETIME_MICROS: i64 = 3600 * 1_000_000;

/// What the key of forms is made for.
const CONTEXT: &str = "reproof 2026-11-27 tokens of forms v1";

/// Why a form is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormTokenError {
    /// It brings no token.
    #[error("the form brings no token")]
    Missing,
    /// It was open for too long.
    #[error("the form was open for too long")]
    Expired,
    /// Its token was not made here, or not for that user.
    #[error("the token of the form was not made for this user")]
    Wrong,
}

/// The key of forms.
pub(crate) struct FormKey([u8; 32]);

impl FormKey {
    /// From a text that several servers share, or drawn, so that forms of this one alone are taken.
    pub(crate) fn new(secret: Option<&str>, random: &dyn Random) -> Self {
        if let Some(secret) = secret {
            return Self(blake3::derive_key(CONTEXT, secret.as_bytes()));
        }
        let mut key = [0; 32];
        random.fill(&mut key);
        Self(key)
    }

    fn draw(&self, user: &str, at: Timestamp) -> String {
        let micros = at.as_micros();
        format!("{micros:x}.{}", self.code(user, micros).to_hex())
    }

    fn check(&self, user: &str, token: &str, now: Timestamp) -> Result<(), FormTokenError> {
        let (made, code) = token.split_once('.').ok_or(FormTokenError::Wrong)?;
        let made = i64::from_str_radix(made, 16).map_err(|_| FormTokenError::Wrong)?;
        let code = blake3::Hash::from_hex(code).map_err(|_| FormTokenError::Wrong)?;
        // They are compared in constant time.
        if code != self.code(user, made) {
            return Err(FormTokenError::Wrong);
        }
        if now.as_micros().saturating_sub(made) > LIFETIME_MICROS {
            return Err(FormTokenError::Expired);
        }
        Ok(())
    }

    fn code(&self, user: &str, micros: i64) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&micros.to_be_bytes());
        hasher.update(user.as_bytes());
        hasher.finalize()
    }
}

impl Accounts {
    /// Makes a token for a form that a user asks for.
    pub fn draw_form_token(&self, user: &str) -> String {
        self.form_key().draw(user, self.now())
    }

    /// Refuses a form that was not made for its sender.
    pub fn check_form_token(&self, user: &str, token: Option<&str>) -> Result<(), FormTokenError> {
        let token = token.filter(|token| !token.is_empty());
        let token = token.ok_or(FormTokenError::Missing)?;
        self.form_key().check(user, token, self.now())
    }
}

#[cfg(test)]
mod tests {
    use testkit::SeededRandom;

    use super::*;

    #[test]
    fn a_token_is_for_one_user_and_one_hour() {
        let key = FormKey::new(None, &SeededRandom::new(1));
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        let token = key.draw("ann", at(10));
        assert_eq!(key.check("ann", &token, at(10)), Ok(()));
        assert_eq!(key.check("ann", &token, at(3610)), Ok(()));
        assert_eq!(
            key.check("ann", &token, at(3611)),
            Err(FormTokenError::Expired)
        );
        assert_eq!(key.check("bob", &token, at(10)), Err(FormTokenError::Wrong));
        let other = FormKey::new(None, &SeededRandom::new(2));
        assert_eq!(
            other.check("ann", &token, at(10)),
            Err(FormTokenError::Wrong)
        );
        let (made, code) = token.split_once('.').unwrap();
        for wrong in [
            String::new(),
            ".".to_owned(),
            made.to_owned(),
            format!("{made}."),
            format!("{made}.{}", &code[1..]),
            format!("1{made}.{code}"),
            format!("{made}.{}", "0".repeat(64)),
            format!("-{made}.{code}"),
            "é.é".to_owned(),
        ] {
            assert_eq!(
                key.check("ann", &wrong, at(10)),
                Err(FormTokenError::Wrong),
                "{wrong}"
            );
        }
    }

    #[test]
    fn servers_that_share_a_secret_take_each_others_forms() {
        let shared = |seed| FormKey::new(Some("secret"), &SeededRandom::new(seed));
        let at = Timestamp::from_millis(5);
        let token = shared(1).draw("ann", at);
        assert_eq!(shared(2).check("ann", &token, at), Ok(()));
        let other = FormKey::new(Some("another"), &SeededRandom::new(1));
        assert!(other.check("ann", &token, at).is_err());
    }
}
