//! Who somebody is, by what they bring.

use std::sync::{MutexGuard, PoisonError};

use entities::{Actor, Caller, Change, PasswordHash, TokenId};
use store::{KnownUser, StoreError};

use crate::password::is_foreign;
use crate::services::user_subject;
use crate::tokens::{TOKEN_PREFIX, digest_of};
use crate::{AccessError, Accounts, Password, Rights};

/// What somebody brings with a request.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// A name and a password.
    Password {
        /// The name.
        name: String,
        /// The password.
        password: Password,
    },
    /// A token. It is printed nowhere: it stands in a `Password`.
    Token(Password),
}

/// By what somebody was known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Means {
    /// By their password.
    Password,
    /// By a token.
    Token(TokenId),
}

/// Somebody who signed on.
#[derive(Clone, Debug)]
pub struct SignedOn {
    /// Who.
    pub user: KnownUser,
    /// How that is known.
    pub means: Means,
    /// What they may do.
    pub rights: Rights,
}

/// Why somebody did not sign on.
#[derive(Debug, thiserror::Error)]
pub enum SignOnError {
    /// There is no such user or token, or the password is another one: nobody is told which.
    #[error("what was brought with the request tells nobody that is known")]
    Unknown,
    /// The name was guessed at too often.
    #[error("too many wrong passwords; the next is looked at in {seconds} s")]
    TooManyGuesses {
        /// When the next is looked at.
        seconds: u64,
    },
    /// It could not be looked up.
    #[error(transparent)]
    Failed(AccessError),
}

impl From<StoreError> for SignOnError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<AccessError> for SignOnError {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::TooManyGuesses { seconds } => Self::TooManyGuesses { seconds },
            error => Self::Failed(error),
        }
    }
}

impl Accounts {
    /// Tells who somebody is.
    ///
    /// *Cost*: a look into the database, and of a password that was not verified of late one hash, whether or not there
    /// is such a user.
    pub async fn sign_on(&self, credentials: &Credentials) -> Result<SignedOn, SignOnError> {
        let (user, means) = match credentials {
            Credentials::Token(text) => self.find_by_token(text).await?,
            Credentials::Password { name, password } => {
                (self.check_password(name, password).await?, Means::Password)
            }
        };
        let rights = self.rights_of(&user).await?;
        Ok(SignedOn {
            user,
            means,
            rights,
        })
    }

    /// What a user may do.
    pub async fn rights_of(&self, user: &KnownUser) -> Result<Rights, AccessError> {
        // What was given to an administrator changes nothing.
        let given = if user.is_admin {
            Vec::new()
        } else {
            self.store().list_rights(user.number).await?
        };
        Ok(Rights::new(user.is_admin, given, self.default_permission()))
    }

    async fn find_by_token(&self, text: &Password) -> Result<(KnownUser, Means), SignOnError> {
        if !text.as_str().starts_with(TOKEN_PREFIX) {
            return Err(SignOnError::Unknown);
        }
        let found = self.store().find_token(&digest_of(text.as_str())).await?;
        let (token, user) = found.ok_or(SignOnError::Unknown)?;
        let now = self.now();
        if token.expires_at.is_some_and(|until| until <= now) {
            return Err(SignOnError::Unknown);
        }
        Ok((user, Means::Token(token.id)))
    }

    async fn check_password(
        &self,
        name: &str,
        password: &Password,
    ) -> Result<KnownUser, SignOnError> {
        let user = self.store().find_user(name).await?;
        let now = self.now();
        if let Some(user) = &user
            && lock(self.verified()).has(name, password, &user.password.digest, now)
        {
            return Ok(user.clone());
        }
        self.begin_guess(name)?;
        let hash = user.as_ref().map(|user| &user.password);
        let foreign = self.find_foreign_hash().await?;
        let is_right = self
            .hasher()
            .is_right(password, hash, foreign.as_ref())
            .await?;
        let Some(user) = user.filter(|_| is_right) else {
            return Err(SignOnError::Unknown);
        };
        self.end_guesses(name);
        let user = if is_foreign(&user.password) {
            self.renew_hash(user, password).await?
        } else {
            user
        };
        lock(self.verified()).note(name, password, &user.password.digest, now);
        Ok(user)
    }

    /// A hash that another program made, where somebody still has one.
    pub(crate) async fn find_foreign_hash(&self) -> Result<Option<PasswordHash>, AccessError> {
        let users = self.store().list_users().await?;
        let mut hashes = users.into_iter().map(|user| user.password);
        Ok(hashes.find(is_foreign))
    }

    /// Puts a hash of ours in place of the one that another program made of the same password.
    ///
    /// A password that was set meanwhile stays. Where nothing can be written now, the next sign-on tries again: the
    /// password was right.
    async fn renew_hash(
        &self,
        user: KnownUser,
        password: &Password,
    ) -> Result<KnownUser, AccessError> {
        let fresh = self.hasher().hash(password, self.random()).await?;
        let change = Change::UserPasswordSet {
            name: user.name.clone(),
            password: fresh.clone(),
            replaces: Some(user.password.digest),
            at: self.now(),
        };
        let caller = Caller {
            actor: Actor {
                id: format!("u:{}", user.name),
                auth: "password".to_owned(),
            },
            request: None,
            user: None,
        };
        let subjects = vec![user_subject(&user.name)];
        let renewed = self.commit(&caller, "user.password_rehashed", subjects, change);
        match renewed.await {
            Ok(()) => Ok(KnownUser {
                password: fresh,
                ..user
            }),
            Err(AccessError::Store(_)) => Ok(user),
            Err(error) => Err(error),
        }
    }

    /// Notes a guess at a user's password, before it is checked.
    pub(crate) fn begin_guess(&self, name: &str) -> Result<(), AccessError> {
        let begun = lock(self.guesses()).begin(name, self.now());
        begun.map_err(|seconds| AccessError::TooManyGuesses { seconds })
    }

    /// Notes that a user's password was right.
    pub(crate) fn end_guesses(&self, name: &str) {
        lock(self.guesses()).forget(name);
    }
}

fn lock<T>(mutex: &std::sync::Mutex<T>) -> MutexGuard<'_, T> {
    // What is in them holds whatever a thread that ended did.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
