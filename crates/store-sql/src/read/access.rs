//! Users, tokens, roles and rights, as callers see them.

use crate::params;
use crate::sql::{self, Connection, Row};
use async_trait::async_trait;
use entities::{AccessToken, ObjectId, PasswordHash, Resource};
use store::{AccessStore, KnownRight, KnownRole, KnownUser, Right, RoleMember, StoreError};

use super::{find_row, list_rows};
use crate::rows::{
    read_id, read_object, read_permission, read_resource_kind, read_time, read_time_if_any,
};
use crate::{Backend, SqlStore};

statements! {
    FIND_USER = "SELECT access_user.number, name, is_admin, created_at, digest, encoded
        FROM access_user JOIN access_password ON access_password.account = access_user.number
        WHERE name = ?1";
    LIST_USERS = "SELECT access_user.number, name, is_admin, created_at, digest, encoded
        FROM access_user JOIN access_password ON access_password.account = access_user.number
        ORDER BY access_user.number";
    FIND_TOKEN = "SELECT access_user.number, name, is_admin, access_user.created_at,
            access_password.digest, encoded,
            access_token.id, label, access_token.digest, access_token.created_at, expires_at
        FROM access_token
            JOIN access_user ON access_user.number = access_token.account
            JOIN access_password ON access_password.account = access_user.number
        WHERE access_token.digest = ?1";
    LIST_TOKENS = "SELECT name, access_token.id, label, digest, access_token.created_at, expires_at
        FROM access_token JOIN access_user ON access_user.number = access_token.account
        ORDER BY access_token.number";
    LIST_RIGHTS = "SELECT kind, pattern, permission
        FROM access_member JOIN access_right ON access_right.role = access_member.role
        WHERE access_member.account = ?1
        ORDER BY access_right.number";
    FIND_ROLE = "SELECT number, name, description, owner FROM access_role WHERE number = ?1";
    LIST_ROLES = "SELECT number, name, description, owner FROM access_role ORDER BY number";
    LIST_ROLES_OF_USER = "SELECT access_role.number, name, description, owner
        FROM access_member JOIN access_role ON access_role.number = access_member.role
        WHERE access_member.account = ?1
        ORDER BY access_member.number";
    LIST_RIGHTS_OF_ROLE = "SELECT number, role, kind, pattern, permission
        FROM access_right WHERE role = ?1 ORDER BY number";
    LIST_MEMBERS = "SELECT number, account, role FROM access_member WHERE role = ?1 ORDER BY number";
    FIND_RIGHT = "SELECT number, role, kind, pattern, permission FROM access_right WHERE number = ?1";
}

#[async_trait]
impl<B: Backend> AccessStore for SqlStore<B> {
    async fn find_user(&self, name: &str) -> Result<Option<KnownUser>, StoreError> {
        let name = name.to_owned();
        self.read(move |connection| find_row(connection, FIND_USER, [name.as_str()], read_user))
            .await
    }

    async fn list_users(&self) -> Result<Vec<KnownUser>, StoreError> {
        self.read(|connection| list_rows(connection, LIST_USERS, params![], read_user))
            .await
    }

    async fn find_token(
        &self,
        digest: &ObjectId,
    ) -> Result<Option<(AccessToken, KnownUser)>, StoreError> {
        let digest = *digest;
        self.read(move |connection| {
            find_row(connection, FIND_TOKEN, params![digest.as_bytes()], |row| {
                let user = read_user(row)?;
                Ok((read_token(row, user.name.clone(), 6)?, user))
            })
        })
        .await
    }

    async fn list_tokens(&self) -> Result<Vec<AccessToken>, StoreError> {
        self.read(|connection| {
            list_rows(connection, LIST_TOKENS, params![], |row| {
                read_token(row, row.get(0)?, 1)
            })
        })
        .await
    }

    async fn list_rights(&self, user: i64) -> Result<Vec<Right>, StoreError> {
        self.read(move |connection| {
            list_rows(connection, LIST_RIGHTS, [user], |row| read_right(row, 0))
        })
        .await
    }

    async fn find_role(&self, number: i64) -> Result<Option<KnownRole>, StoreError> {
        self.read(move |connection| {
            let found: Option<KnownRole> = find_row(connection, FIND_ROLE, [number], read_role)?;
            found.map(|role| with_rights(connection, role)).transpose()
        })
        .await
    }

    async fn list_roles(&self) -> Result<Vec<KnownRole>, StoreError> {
        self.read(|connection| {
            let found: Vec<_> = list_rows(connection, LIST_ROLES, params![], read_role)?;
            let roles = found.into_iter().map(|role| with_rights(connection, role));
            roles.collect()
        })
        .await
    }

    async fn list_roles_of_user(&self, user: i64) -> Result<Vec<KnownRole>, StoreError> {
        self.read(move |connection| {
            let found: Vec<_> = list_rows(connection, LIST_ROLES_OF_USER, [user], read_role)?;
            let roles = found.into_iter().map(|role| with_rights(connection, role));
            roles.collect()
        })
        .await
    }

    async fn list_members(&self, role: i64) -> Result<Vec<RoleMember>, StoreError> {
        self.read(move |connection| {
            list_rows(connection, LIST_MEMBERS, [role], |row| {
                Ok(RoleMember {
                    number: row.get(0)?,
                    user: row.get(1)?,
                    role: row.get(2)?,
                })
            })
        })
        .await
    }

    async fn find_right(&self, number: i64) -> Result<Option<KnownRight>, StoreError> {
        self.read(move |connection| find_row(connection, FIND_RIGHT, [number], read_known_right))
            .await
    }
}

fn with_rights(connection: &dyn Connection, mut role: KnownRole) -> Result<KnownRole, StoreError> {
    role.rights = list_rows(
        connection,
        LIST_RIGHTS_OF_ROLE,
        [role.number],
        read_known_right,
    )?;
    Ok(role)
}

fn read_user(row: &Row<'_>) -> sql::Result<KnownUser> {
    Ok(KnownUser {
        number: row.get(0)?,
        name: row.get(1)?,
        is_admin: row.get(2)?,
        created_at: read_time(row, 3)?,
        password: PasswordHash {
            digest: read_object(row, 4)?,
            encoded: row.get(5)?,
        },
    })
}

fn read_token(row: &Row<'_>, user: String, from: usize) -> sql::Result<AccessToken> {
    Ok(AccessToken {
        id: read_id(row, from)?,
        user,
        label: row.get(from + 1)?,
        digest: read_object(row, from + 2)?,
        created_at: read_time(row, from + 3)?,
        expires_at: read_time_if_any(row, from + 4)?,
    })
}

fn read_role(row: &Row<'_>) -> sql::Result<KnownRole> {
    Ok(KnownRole {
        number: row.get(0)?,
        name: row.get(1)?,
        description: row.get(2)?,
        owner: row.get(3)?,
        rights: Vec::new(),
    })
}

fn read_known_right(row: &Row<'_>) -> sql::Result<KnownRight> {
    Ok(KnownRight {
        number: row.get(0)?,
        role: row.get(1)?,
        right: read_right(row, 2)?,
    })
}

fn read_right(row: &Row<'_>, from: usize) -> sql::Result<Right> {
    Ok(Right {
        resource: Resource {
            kind: read_resource_kind(row, from)?,
            pattern: row.get(from + 1)?,
        },
        permission: read_permission(row, from + 2)?,
    })
}
