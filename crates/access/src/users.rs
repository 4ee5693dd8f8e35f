//! Users.

use entities::{Caller, Change, PasswordHash};
use store::{KnownRole, KnownUser};

use crate::services::user_subject;
use crate::validation::{check_password, check_user_name};
use crate::{AccessError, Accounts, Password};

/// A user to be made.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The name.
    pub name: String,
    /// The password.
    pub password: Password,
    /// Whether they may do everything.
    pub is_admin: bool,
}

impl Accounts {
    /// Makes a user.
    pub async fn create_user(
        &self,
        caller: &Caller,
        new: NewUser,
    ) -> Result<KnownUser, AccessError> {
        let NewUser {
            name,
            password,
            is_admin,
        } = new;
        check_user_name(&name)?;
        check_password(&password)?;
        // Before a hash is computed for nothing.
        if self.store().find_user(&name).await?.is_some() {
            return Err(AccessError::UserExists { name });
        }
        let password = self.hash(&password).await?;
        let change = Change::UserCreated {
            name: name.clone(),
            is_admin,
            password,
            at: self.now(),
        };
        let subjects = vec![user_subject(&name)];
        self.commit(caller, "user.created", subjects, change)
            .await?;
        self.get_user(&name).await
    }

    /// Gets a user.
    pub async fn get_user(&self, name: &str) -> Result<KnownUser, AccessError> {
        let found = self.store().find_user(name).await?;
        found.ok_or_else(|| AccessError::NoUser {
            name: name.to_owned(),
        })
    }

    /// Lists users, first those that were made first.
    pub async fn list_users(&self) -> Result<Vec<KnownUser>, AccessError> {
        Ok(self.store().list_users().await?)
    }

    /// Whether there is somebody who may do everything.
    pub async fn has_admin(&self) -> Result<bool, AccessError> {
        let users = self.store().list_users().await?;
        Ok(users.iter().any(|user| user.is_admin))
    }

    /// Gives a user another password, on behalf of somebody else.
    pub async fn set_password(
        &self,
        caller: &Caller,
        name: &str,
        password: &Password,
    ) -> Result<(), AccessError> {
        let user = self.get_user(name).await?;
        check_password(password)?;
        let password = self.hash(password).await?;
        let change = Change::UserPasswordSet {
            name: user.name,
            password,
            replaces: None,
            at: self.now(),
        };
        let subjects = vec![user_subject(name)];
        self.commit(caller, "user.password_set", subjects, change)
            .await
    }

    /// Gives a user another password, on their own behalf.
    ///
    /// *Errors*: where `current` is not their password, so that a session that somebody left open does not change it.
    pub async fn change_password(
        &self,
        caller: &Caller,
        name: &str,
        current: Option<&Password>,
        password: &Password,
    ) -> Result<(), AccessError> {
        let current = current.filter(|current| !current.as_str().is_empty());
        let current = current.ok_or(AccessError::NoCurrentPassword)?;
        let user = self.get_user(name).await?;
        self.begin_guess(name)?;
        let foreign = self.find_foreign_hash().await?;
        let is_right = self
            .hasher()
            .is_right(current, Some(&user.password), foreign.as_ref())
            .await?;
        if !is_right {
            return Err(AccessError::WrongCurrentPassword);
        }
        self.end_guesses(name);
        if current == password {
            return Err(AccessError::SamePassword);
        }
        self.set_password(caller, name, password).await
    }

    /// Says whether a user may do everything.
    pub async fn set_admin(
        &self,
        caller: &Caller,
        name: &str,
        is_admin: bool,
    ) -> Result<(), AccessError> {
        let user = self.get_user(name).await?;
        if !is_admin {
            self.check_other_admin(&user).await?;
        }
        let change = Change::UserAdminSet {
            name: user.name,
            is_admin,
            at: self.now(),
        };
        let subjects = vec![user_subject(name)];
        self.commit(caller, "user.admin_set", subjects, change)
            .await
    }

    /// Deletes a user, with tokens and rights.
    pub async fn delete_user(&self, caller: &Caller, name: &str) -> Result<(), AccessError> {
        if caller.user.as_deref() == Some(name) {
            return Err(AccessError::OwnAccount);
        }
        let user = self.get_user(name).await?;
        self.check_other_admin(&user).await?;
        let change = Change::UserDeleted { name: user.name };
        let subjects = vec![user_subject(name)];
        self.commit(caller, "user.deleted", subjects, change).await
    }

    /// The roles of a user; the rights that are theirs alone stand among them, as MLflow has it.
    pub async fn list_roles_of_user(
        &self,
        user: &KnownUser,
    ) -> Result<Vec<KnownRole>, AccessError> {
        Ok(self.store().list_roles_of_user(user.number).await?)
    }

    async fn check_other_admin(&self, user: &KnownUser) -> Result<(), AccessError> {
        let users = self.store().list_users().await?;
        let is_another = |other: &KnownUser| other.is_admin && other.number != user.number;
        if !user.is_admin || users.iter().any(is_another) {
            return Ok(());
        }
        Err(AccessError::LastAdmin {
            name: user.name.clone(),
        })
    }

    /// Whether a hash is that of a password.
    pub async fn is_hash_of(
        &self,
        hash: &PasswordHash,
        password: &Password,
    ) -> Result<bool, AccessError> {
        self.hasher().is_right(password, Some(hash), None).await
    }

    /// Draws a hash that nobody has the password of.
    pub async fn draw_hash(&self) -> Result<PasswordHash, AccessError> {
        let mut drawn = [0; 32];
        self.random().fill(&mut drawn);
        self.hash(&Password::new(hex::encode(drawn))).await
    }

    async fn hash(&self, password: &Password) -> Result<PasswordHash, AccessError> {
        self.hasher().hash(password, self.random()).await
    }
}
