//! Tokens: what programs bring in place of a password.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entities::{AccessToken, Caller, Change, ObjectId, Random, Timestamp, TokenId};

use crate::services::user_subject;
use crate::{AccessError, Accounts};

/// What every token begins with, so that it is known for one where it turns up.
pub const TOKEN_PREFIX: &str = "rpt_";

const TOKEN_BYTES: usize = 32;
const DAY_MICROS: i64 = 24 * 60 * 60 * 1_000_000;
const LONGEST_LIFETIME_DAYS: u32 = 36_500;
const LONGEST_LABEL: usize = 255;

/// A token to be made.
#[derive(Clone, Debug, Default)]
pub struct NewToken {
    /// Whom it stands for.
    pub user: String,
    /// What somebody calls it.
    pub label: String,
    /// For how many days it holds; for good where none is given.
    pub days: Option<u32>,
}

/// A token that was made, with its text, which is told this once.
pub struct MadeToken {
    /// What is known of it.
    pub token: AccessToken,
    /// What is to be brought as `Authorization: Bearer …`.
    pub text: String,
}

impl Accounts {
    /// Makes a token for a user.
    pub async fn create_token(
        &self,
        caller: &Caller,
        new: NewToken,
    ) -> Result<MadeToken, AccessError> {
        let NewToken { user, label, days } = new;
        if label.chars().count() > LONGEST_LABEL {
            return Err(AccessError::TooLong {
                field: "label",
                limit: LONGEST_LABEL,
            });
        }
        let created_at = self.now();
        let expires_at = days.map(|days| expiry(created_at, days)).transpose()?;
        let user = self.get_user(&user).await?.name;
        let text = draw_token(self.random());
        let token = AccessToken {
            id: TokenId::random(self.random()),
            user,
            label,
            digest: digest_of(&text),
            created_at,
            expires_at,
        };
        let subjects = vec![token_subject(&token.id), user_subject(&token.user)];
        let change = Change::TokenCreated {
            token: token.clone(),
        };
        self.commit(caller, "token.created", subjects, change)
            .await?;
        Ok(MadeToken { token, text })
    }

    /// Lists tokens, first those that were made first; of one user where one is named.
    pub async fn list_tokens(&self, user: Option<&str>) -> Result<Vec<AccessToken>, AccessError> {
        if let Some(user) = user {
            self.get_user(user).await?;
        }
        let mut tokens = self.store().list_tokens().await?;
        tokens.retain(|token| user.is_none_or(|user| token.user == user));
        Ok(tokens)
    }

    /// Revokes a token: it is not taken any more.
    pub async fn revoke_token(&self, caller: &Caller, id: &TokenId) -> Result<(), AccessError> {
        let tokens = self.store().list_tokens().await?;
        let known = tokens.into_iter().find(|token| token.id == *id);
        let known = known.ok_or_else(|| AccessError::NoToken { id: id.clone() })?;
        let subjects = vec![token_subject(id), user_subject(&known.user)];
        let change = Change::TokenRevoked { token: id.clone() };
        self.commit(caller, "token.revoked", subjects, change).await
    }
}

fn expiry(from: Timestamp, days: u32) -> Result<Timestamp, AccessError> {
    if days == 0 || days > LONGEST_LIFETIME_DAYS {
        return Err(AccessError::TokenLifetime);
    }
    let micros = from.as_micros() + i64::from(days) * DAY_MICROS;
    Ok(Timestamp::from_micros(micros))
}

fn draw_token(random: &dyn Random) -> String {
    let mut bytes = [0; TOKEN_BYTES];
    random.fill(&mut bytes);
    format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// By what a token is known. It has 256 random bits, so that a digest without salt and work tells nothing of it.
pub(crate) fn digest_of(text: &str) -> ObjectId {
    ObjectId::of(text.as_bytes())
}

/// What an event about a token names as its subject.
pub fn token_subject(id: &TokenId) -> String {
    format!("token:{id}")
}
