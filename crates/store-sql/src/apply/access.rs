//! Changes of users, tokens, roles and rights.

use crate::params;
use entities::{
    ANY_RESOURCE, AccessToken, Change, ExperimentId, Holder, ObjectId, PasswordHash, Permission,
    Resource, Timestamp, TokenId, scorer_pattern,
};
use store::StoreError;

use super::Applier;

statements! {
    FIND_USER = "SELECT number FROM access_user WHERE name = ?1";
    ADD_USER = "INSERT INTO access_user (name, is_admin, created_at, updated_at, number)
        VALUES (?1, ?2, ?3, ?3, ?4)
        RETURNING number";
    FIND_PASSWORD = "SELECT digest FROM access_password WHERE account = ?1";
    SET_PASSWORD = "INSERT INTO access_password (account, digest, encoded) VALUES (?1, ?2, ?3)
        ON CONFLICT (account) DO UPDATE SET digest = excluded.digest, encoded = excluded.encoded";
    TOUCH_USER = "UPDATE access_user SET updated_at = ?2 WHERE number = ?1";
    SET_ADMIN = "UPDATE access_user SET is_admin = ?2, updated_at = ?3 WHERE number = ?1";
    DELETE_PASSWORD = "DELETE FROM access_password WHERE account = ?1";
    DELETE_TOKENS = "DELETE FROM access_token WHERE account = ?1";
    DELETE_MEMBERSHIPS = "DELETE FROM access_member WHERE account = ?1";
    DELETE_OWN_RIGHTS = "DELETE FROM access_right
        WHERE role IN (SELECT number FROM access_role WHERE owner = ?1)";
    DELETE_OWN_ROLE = "DELETE FROM access_role WHERE owner = ?1";
    DELETE_USER = "DELETE FROM access_user WHERE number = ?1";
    FIND_TOKEN = "SELECT number FROM access_token WHERE id = ?1";
    ADD_TOKEN = "INSERT INTO access_token (id, account, label, digest, created_at, expires_at, number)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
        RETURNING number";
    DELETE_TOKEN = "DELETE FROM access_token WHERE number = ?1";
    FIND_ROLE = "SELECT number FROM access_role WHERE name = ?1";
    FIND_OWN_ROLE = "SELECT number FROM access_role WHERE owner = ?1";
    ADD_ROLE = "INSERT INTO access_role (name, description, owner, number) VALUES (?1, ?2, ?3, ?4)
        RETURNING number";
    UPDATE_ROLE = "UPDATE access_role
        SET name = coalesce(?2, name), description = coalesce(?3, description)
        WHERE number = ?1";
    DELETE_RIGHTS = "DELETE FROM access_right WHERE role = ?1";
    DELETE_MEMBERS = "DELETE FROM access_member WHERE role = ?1";
    DELETE_ROLE = "DELETE FROM access_role WHERE number = ?1";
    FIND_MEMBER = "SELECT number FROM access_member WHERE account = ?1 AND role = ?2";
    ADD_MEMBER = "INSERT INTO access_member (account, role, number) VALUES (?1, ?2, ?3)
        RETURNING number";
    DELETE_MEMBER = "DELETE FROM access_member WHERE number = ?1";
    FIND_RIGHT = "SELECT number FROM access_right WHERE role = ?1 AND kind = ?2 AND pattern = ?3";
    ADD_RIGHT = "INSERT INTO access_right (role, kind, pattern, permission, number)
        VALUES (?1, ?2, ?3, ?4, ?5)
        RETURNING number";
    SET_RIGHT = "UPDATE access_right SET permission = ?2 WHERE number = ?1";
    DELETE_RIGHT = "DELETE FROM access_right WHERE number = ?1";
    DELETE_OWN_RIGHTS_TO_MODEL = "DELETE FROM access_right
        WHERE pattern = ?1 AND kind IN ('registered_model', 'prompt')
            AND role IN (SELECT number FROM access_role WHERE owner IS NOT NULL)";
    MOVE_OWN_RIGHTS_TO_MODEL = "UPDATE access_right SET pattern = ?2
        WHERE pattern = ?1 AND kind IN ('registered_model', 'prompt')
            AND role IN (SELECT number FROM access_role WHERE owner IS NOT NULL)";
    DELETE_OWN_RIGHTS_TO_EXPERIMENT = "DELETE FROM access_right
        WHERE pattern = ?1 AND kind = 'experiment'
            AND role IN (SELECT number FROM access_role WHERE owner IS NOT NULL)";
    DELETE_OWN_RIGHTS_TO_SCORER = "DELETE FROM access_right
        WHERE pattern = ?1 AND kind = 'scorer'
            AND role IN (SELECT number FROM access_role WHERE owner IS NOT NULL)";
}

impl Applier<'_> {
    pub(super) fn apply_to_access(&self, change: &Change) -> Result<(), StoreError> {
        match change {
            Change::UserCreated {
                name,
                is_admin,
                password,
                at,
            } => self.create_user(name, *is_admin, password, *at),
            Change::UserPasswordSet {
                name,
                password,
                replaces,
                at,
            } => {
                let user = self.get_user(name)?;
                if let Some(replaced) = replaces {
                    self.check_password_is(name, user, replaced)?;
                }
                self.send(TOUCH_USER, params![user, at.as_micros()])?;
                self.set_password(user, password)
            }
            Change::UserAdminSet { name, is_admin, at } => {
                let user = self.get_user(name)?;
                self.send(SET_ADMIN, params![user, is_admin, at.as_micros()])
            }
            Change::UserDeleted { name } => self.delete_user(name),
            Change::TokenCreated { token } => self.create_token(token),
            Change::TokenRevoked { token } => {
                let number = self.find_token(token)?;
                let number = number.ok_or_else(|| StoreError::NoToken { id: token.clone() })?;
                self.send(DELETE_TOKEN, [number])
            }
            Change::RoleCreated { name, description } => {
                self.check_role_name_is_free(name)?;
                self.insert_new(ADD_ROLE, params![name, description, None::<i64>])
                    .map(drop)
            }
            Change::RoleUpdated {
                name,
                new_name,
                description,
            } => {
                let role = self.get_role(name)?;
                if let Some(new_name) = new_name.as_ref().filter(|new_name| *new_name != name) {
                    self.check_role_name_is_free(new_name)?;
                }
                self.send(UPDATE_ROLE, params![role, new_name, description])
            }
            Change::RoleDeleted { name } => {
                let role = self.get_role(name)?;
                for sql in [DELETE_RIGHTS, DELETE_MEMBERS, DELETE_ROLE] {
                    self.send(sql, [role])?;
                }
                Ok(())
            }
            Change::RoleAssigned { role, user } => {
                let (user_number, number) = (self.get_user(user)?, self.get_role(role)?);
                if self.find_member(user_number, number)?.is_some() {
                    return Err(StoreError::RoleMemberExists {
                        user: user.clone(),
                        role: role.clone(),
                    });
                }
                self.insert_new(ADD_MEMBER, params![user_number, number])
                    .map(drop)
            }
            Change::RoleUnassigned { role, user } => {
                let (user_number, number) = (self.get_user(user)?, self.get_role(role)?);
                let member = self.find_member(user_number, number)?;
                let member = member.ok_or_else(|| StoreError::NoRoleMember {
                    user: user.clone(),
                    role: role.clone(),
                })?;
                self.send(DELETE_MEMBER, [member])
            }
            Change::AccessGranted {
                holder,
                resource,
                permission,
            } => self.grant(holder, resource, *permission, false),
            Change::AccessSet {
                holder,
                resource,
                permission,
            } => self.grant(holder, resource, *permission, true),
            Change::AccessRevoked { holder, resource } => {
                let role = self.find_holder(holder)?;
                let right = role
                    .map(|role| self.find_right(role, resource))
                    .transpose()?;
                let right = right.flatten().ok_or_else(|| StoreError::NoRight {
                    resource: resource.clone(),
                })?;
                self.send(DELETE_RIGHT, [right])
            }
            _ => unreachable!("`apply` hands over changes of access only"),
        }
    }

    fn create_user(
        &self,
        name: &str,
        is_admin: bool,
        password: &PasswordHash,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        if self.find_user(name)?.is_some() {
            return Err(StoreError::UserNameTaken {
                name: name.to_owned(),
            });
        }
        let user = self.insert_new(ADD_USER, params![name, is_admin, at.as_micros()])?;
        self.set_password(user, password)
    }

    fn set_password(&self, user: i64, password: &PasswordHash) -> Result<(), StoreError> {
        let PasswordHash { digest, encoded } = password;
        self.send(SET_PASSWORD, params![user, digest.as_bytes(), encoded])
    }

    fn check_password_is(
        &self,
        name: &str,
        user: i64,
        expected: &ObjectId,
    ) -> Result<(), StoreError> {
        let digest: Option<[u8; 32]> = self.find(FIND_PASSWORD, [user], |row| row.get(0))?;
        if digest == Some(*expected.as_bytes()) {
            return Ok(());
        }
        Err(StoreError::PasswordReplaced {
            name: name.to_owned(),
        })
    }

    fn delete_user(&self, name: &str) -> Result<(), StoreError> {
        let user = self.get_user(name)?;
        for sql in [
            DELETE_PASSWORD,
            DELETE_TOKENS,
            DELETE_MEMBERSHIPS,
            DELETE_OWN_RIGHTS,
            DELETE_OWN_ROLE,
            DELETE_USER,
        ] {
            self.send(sql, [user])?;
        }
        Ok(())
    }

    fn create_token(&self, token: &AccessToken) -> Result<(), StoreError> {
        let AccessToken {
            id,
            user,
            label,
            digest,
            created_at,
            expires_at,
        } = token;
        let user = self.get_user(user)?;
        if self.find_token(id)?.is_some() {
            return Err(StoreError::Exists {
                subject: format!("token `{id}`"),
            });
        }
        let row = params![
            id.as_str(),
            user,
            label,
            digest.as_bytes(),
            created_at.as_micros(),
            expires_at.map(Timestamp::as_micros)
        ];
        self.insert_new(ADD_TOKEN, row).map(drop)
    }

    fn grant(
        &self,
        holder: &Holder,
        resource: &Resource,
        permission: Permission,
        replaces: bool,
    ) -> Result<(), StoreError> {
        let role = match self.find_holder(holder)? {
            Some(role) => role,
            None => self.make_own_role(holder)?,
        };
        match self.find_right(role, resource)? {
            Some(_) if !replaces => Err(StoreError::RightExists {
                resource: resource.clone(),
            }),
            Some(right) => self
                .execute(SET_RIGHT, params![right, permission.as_str()])
                .map(drop),
            None => {
                let Resource { kind, pattern } = resource;
                let row = params![role, kind.as_str(), pattern, permission.as_str()];
                self.insert_new(ADD_RIGHT, row).map(drop)
            }
        }
    }

    /// The role that holds a holder's rights; none for a user who has none yet.
    fn find_holder(&self, holder: &Holder) -> Result<Option<i64>, StoreError> {
        match holder {
            Holder::Role(name) => self.get_role(name).map(Some),
            Holder::User(name) => {
                let user = self.get_user(name)?;
                self.find(FIND_OWN_ROLE, [user], |row| row.get(0))
            }
        }
    }

    /// Makes what stands for a role with the rights of one user, as MLflow's clients see it.
    fn make_own_role(&self, holder: &Holder) -> Result<i64, StoreError> {
        let (Holder::User(name) | Holder::Role(name)) = holder;
        let user = self.get_user(name)?;
        let own = format!("__user_{user}__");
        let role = self.insert_new(ADD_ROLE, params![own, None::<String>, user])?;
        self.insert_new(ADD_MEMBER, params![user, role])?;
        Ok(role)
    }

    /// What users themselves hold to a name of the registry goes with it, or a model of that name made later would be
    /// theirs. What roles hold was said of the name, and stays.
    ///
    /// A right to all is none to what is called so.
    pub(super) fn forget_rights_to_model(&self, name: &str) -> Result<(), StoreError> {
        if name == ANY_RESOURCE {
            return Ok(());
        }
        self.send(DELETE_OWN_RIGHTS_TO_MODEL, [name])
    }

    pub(super) fn move_rights_to_model(&self, from: &str, to: &str) -> Result<(), StoreError> {
        if from == to {
            return Ok(());
        }
        self.forget_rights_to_model(to)?;
        if from == ANY_RESOURCE {
            return Ok(());
        }
        if to == ANY_RESOURCE {
            // Under that name a right to one would be a right to all.
            return self.forget_rights_to_model(from);
        }
        self.send(MOVE_OWN_RIGHTS_TO_MODEL, params![from, to])
    }

    pub(super) fn forget_rights_to_scorer(
        &self,
        experiment: &ExperimentId,
        name: &str,
    ) -> Result<(), StoreError> {
        let pattern = scorer_pattern(experiment, name);
        self.send(DELETE_OWN_RIGHTS_TO_SCORER, [pattern.as_str()])
    }

    pub(super) fn forget_rights_to_experiment(&self, id: &ExperimentId) -> Result<(), StoreError> {
        self.send(DELETE_OWN_RIGHTS_TO_EXPERIMENT, [id.as_str()])
    }

    fn check_role_name_is_free(&self, name: &str) -> Result<(), StoreError> {
        let taken: Option<i64> = self.find(FIND_ROLE, [name], |row| row.get(0))?;
        taken.map_or(Ok(()), |_| {
            Err(StoreError::RoleNameTaken {
                name: name.to_owned(),
            })
        })
    }

    fn find_user(&self, name: &str) -> Result<Option<i64>, StoreError> {
        self.find(FIND_USER, [name], |row| row.get(0))
    }

    fn get_user(&self, name: &str) -> Result<i64, StoreError> {
        self.find_user(name)?.ok_or_else(|| StoreError::NoUser {
            name: name.to_owned(),
        })
    }

    fn find_token(&self, id: &TokenId) -> Result<Option<i64>, StoreError> {
        self.find(FIND_TOKEN, [id.as_str()], |row| row.get(0))
    }

    fn get_role(&self, name: &str) -> Result<i64, StoreError> {
        self.find(FIND_ROLE, [name], |row| row.get(0))?
            .ok_or_else(|| StoreError::NoRole {
                name: name.to_owned(),
            })
    }

    fn find_member(&self, user: i64, role: i64) -> Result<Option<i64>, StoreError> {
        self.find(FIND_MEMBER, [user, role], |row| row.get(0))
    }

    fn find_right(&self, role: i64, resource: &Resource) -> Result<Option<i64>, StoreError> {
        let Resource { kind, pattern } = resource;
        self.find(FIND_RIGHT, params![role, kind.as_str(), pattern], |row| {
            row.get(0)
        })
    }
}
