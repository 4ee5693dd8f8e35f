//! Roles and rights.

use entities::{ANY_RESOURCE, Caller, Change, Holder, Permission, Resource, ResourceKind};
use store::{KnownRight, KnownRole, KnownUser, RoleMember, StoreError};

use crate::services::{role_subject, user_subject};
use crate::validation::{check_permission_of, check_right, check_role_name};
use crate::{AccessError, Accounts};

/// The one workspace that there is, in MLflow's word.
pub const WORKSPACE: &str = "default";

/// Longest description of a role, in characters.
const LONGEST_DESCRIPTION: usize = 1000;

impl Accounts {
    /// Makes a role.
    pub async fn create_role(
        &self,
        caller: &Caller,
        workspace: &str,
        name: &str,
        description: Option<String>,
    ) -> Result<KnownRole, AccessError> {
        check_role_name(name)?;
        if workspace != WORKSPACE {
            return Err(AccessError::OtherWorkspace {
                workspace: workspace.to_owned(),
            });
        }
        check_description(description.as_deref())?;
        let change = Change::RoleCreated {
            name: name.to_owned(),
            description,
        };
        let subjects = vec![role_subject(name)];
        self.commit(caller, "role.created", subjects, change)
            .await?;
        let roles = self.store().list_roles().await?;
        let made = roles.into_iter().find(|role| role.name == name);
        made.ok_or_else(|| AccessError::NoRoleNamed {
            name: name.to_owned(),
        })
    }

    /// Gets a role by its number.
    pub async fn get_role(&self, number: i64) -> Result<KnownRole, AccessError> {
        let found = self.store().find_role(number).await?;
        found.ok_or(AccessError::NoRole { role: number })
    }

    /// Lists roles, first those that were made first; what holds the rights of one user is among them, as in MLflow.
    pub async fn list_roles(&self) -> Result<Vec<KnownRole>, AccessError> {
        Ok(self.store().list_roles().await?)
    }

    /// Changes a role; what is none stays.
    pub async fn update_role(
        &self,
        caller: &Caller,
        number: i64,
        new_name: Option<String>,
        description: Option<String>,
    ) -> Result<KnownRole, AccessError> {
        if let Some(name) = &new_name {
            check_role_name(name)?;
        }
        check_description(description.as_deref())?;
        let role = self.get_real_role(number).await?;
        let change = Change::RoleUpdated {
            name: role.name.clone(),
            new_name,
            description,
        };
        let subjects = vec![role_subject(&role.name)];
        let updated = self.commit(caller, "role.updated", subjects, change).await;
        match updated {
            Err(AccessError::RoleExists { name }) => Err(AccessError::NewRoleNameTaken { name }),
            Err(error) => Err(error),
            Ok(()) => self.get_role(number).await,
        }
    }

    /// Deletes a role with its rights.
    pub async fn delete_role(&self, caller: &Caller, number: i64) -> Result<(), AccessError> {
        let role = self.get_real_role(number).await?;
        let subjects = vec![role_subject(&role.name)];
        let change = Change::RoleDeleted { name: role.name };
        self.commit(caller, "role.deleted", subjects, change).await
    }

    /// Gives a role a right.
    pub async fn grant_to_role(
        &self,
        caller: &Caller,
        number: i64,
        resource: Resource,
        permission: Permission,
    ) -> Result<KnownRight, AccessError> {
        check_right(&resource, permission)?;
        let role = self.get_real_role(number).await?;
        let change = Change::AccessGranted {
            holder: Holder::Role(role.name.clone()),
            resource: resource.clone(),
            permission,
        };
        let granted = self.commit(caller, "access.granted", on(&role, &resource), change);
        granted.await.map_err(|error| match error {
            AccessError::Store(StoreError::RightExists { resource }) => AccessError::RightExists {
                role: number,
                resource,
            },
            error => error,
        })?;
        let role = self.get_role(number).await?;
        let mut rights = role.rights.into_iter();
        let made = rights.find(|known| known.right.resource == resource);
        made.ok_or(AccessError::NoRole { role: number })
    }

    /// Gets a right of a role by its number.
    pub async fn get_right(&self, number: i64) -> Result<KnownRight, AccessError> {
        let found = self.store().find_right(number).await?;
        found.ok_or(AccessError::NoRight { right: number })
    }

    /// Says how much a right of a role gives.
    pub async fn update_right(
        &self,
        caller: &Caller,
        number: i64,
        permission: Permission,
    ) -> Result<KnownRight, AccessError> {
        let known = self.get_right(number).await?;
        check_permission_of(known.right.resource.kind, permission)?;
        let role = self.get_role(known.role).await?;
        let resource = known.right.resource;
        let subjects = on(&role, &resource);
        let change = Change::AccessSet {
            holder: self.holder_of(&role).await?,
            resource,
            permission,
        };
        self.commit(caller, "access.set", subjects, change).await?;
        self.get_right(number).await
    }

    /// Takes a right from a role.
    pub async fn remove_right(&self, caller: &Caller, number: i64) -> Result<(), AccessError> {
        let known = self.get_right(number).await?;
        let role = self.get_role(known.role).await?;
        let subjects = on(&role, &known.right.resource);
        let change = Change::AccessRevoked {
            holder: self.holder_of(&role).await?,
            resource: known.right.resource,
        };
        self.commit(caller, "access.revoked", subjects, change)
            .await
    }

    /// Gives a user a role.
    pub async fn assign_role(
        &self,
        caller: &Caller,
        user: &str,
        number: i64,
    ) -> Result<RoleMember, AccessError> {
        let user = self.get_user(user).await?;
        let role = self.get_real_role(number).await?;
        let subjects = vec![role_subject(&role.name), user_subject(&user.name)];
        let change = Change::RoleAssigned {
            role: role.name,
            user: user.name,
        };
        let assigned = self.commit(caller, "role.assigned", subjects, change);
        assigned.await.map_err(|error| match error {
            AccessError::Store(StoreError::RoleMemberExists { .. }) => AccessError::MemberExists {
                user: user.number,
                role: number,
            },
            error => error,
        })?;
        let members = self.store().list_members(number).await?;
        let made = members
            .into_iter()
            .find(|member| member.user == user.number);
        made.ok_or(AccessError::NoMember {
            user: user.number,
            role: number,
        })
    }

    /// Takes a role from a user.
    pub async fn unassign_role(
        &self,
        caller: &Caller,
        user: &str,
        number: i64,
    ) -> Result<(), AccessError> {
        let user = self.get_user(user).await?;
        let missing = || AccessError::NoMember {
            user: user.number,
            role: number,
        };
        let role = self.store().find_role(number).await?.ok_or_else(missing)?;
        if role.owner.is_some() {
            return Err(AccessError::OwnRole { role: number });
        }
        let subjects = vec![role_subject(&role.name), user_subject(&user.name)];
        let change = Change::RoleUnassigned {
            role: role.name,
            user: user.name.clone(),
        };
        let unassigned = self.commit(caller, "role.unassigned", subjects, change);
        unassigned.await.map_err(|error| match error {
            AccessError::Store(StoreError::NoRoleMember { .. }) => missing(),
            error => error,
        })
    }

    /// Who has a role, in the order in which it was given.
    pub async fn list_members(&self, number: i64) -> Result<Vec<RoleMember>, AccessError> {
        self.get_role(number).await?;
        Ok(self.store().list_members(number).await?)
    }

    /// Gives a user a right of their own.
    pub async fn grant_to_user(
        &self,
        caller: &Caller,
        user: &str,
        resource: Resource,
        permission: Permission,
    ) -> Result<(), AccessError> {
        check_of_user(resource.kind)?;
        check_right(&resource, permission)?;
        self.grant_anything_to_user(caller, user, resource, permission)
            .await
    }

    /// As `grant_to_user`, also that there is none: what clients older than MLflow 3.13 may say.
    pub async fn grant_anything_to_user(
        &self,
        caller: &Caller,
        user: &str,
        resource: Resource,
        permission: Permission,
    ) -> Result<(), AccessError> {
        let user = self.get_user(user).await?;
        let change = Change::AccessGranted {
            holder: Holder::User(user.name.clone()),
            resource: resource.clone(),
            permission,
        };
        let subjects = on_user(&user, &resource);
        let granted = self.commit(caller, "access.granted", subjects, change);
        granted.await.map_err(|error| match error {
            AccessError::Store(StoreError::RightExists { resource }) => {
                AccessError::UserRightExists {
                    user: user.name,
                    resource,
                }
            }
            error => error,
        })
    }

    /// Says how much a user's own right gives, which must be there.
    pub async fn set_of_user(
        &self,
        caller: &Caller,
        user: &str,
        resource: Resource,
        permission: Permission,
    ) -> Result<(), AccessError> {
        let known = self.get_user(user).await?;
        self.get_of_user(&known, &resource).await?;
        let subjects = on_user(&known, &resource);
        let change = Change::AccessSet {
            holder: Holder::User(known.name),
            resource,
            permission,
        };
        self.commit(caller, "access.set", subjects, change).await
    }

    /// A user's own right to a resource.
    pub async fn get_of_user(
        &self,
        user: &KnownUser,
        resource: &Resource,
    ) -> Result<Permission, AccessError> {
        let own = self.list_own_rights(user).await?;
        let found = own
            .into_iter()
            .find(|known| known.right.resource == *resource);
        let found = found.ok_or_else(|| AccessError::NoUserRight {
            user: user.name.clone(),
            resource: resource.clone(),
        })?;
        Ok(found.right.permission)
    }

    /// What was given to a user alone.
    pub async fn list_own_rights(&self, user: &KnownUser) -> Result<Vec<KnownRight>, AccessError> {
        let roles = self.store().list_roles_of_user(user.number).await?;
        let own = roles
            .into_iter()
            .find(|role| role.owner == Some(user.number));
        Ok(own.map(|role| role.rights).unwrap_or_default())
    }

    /// Takes a right of their own from a user.
    pub async fn revoke_from_user(
        &self,
        caller: &Caller,
        user: &str,
        resource: Resource,
    ) -> Result<(), AccessError> {
        check_of_user(resource.kind)?;
        let user = self.get_user(user).await?;
        let subjects = on_user(&user, &resource);
        let change = Change::AccessRevoked {
            holder: Holder::User(user.name.clone()),
            resource: resource.clone(),
        };
        let revoked = self.commit(caller, "access.revoked", subjects, change);
        revoked.await.map_err(|error| match error {
            AccessError::Store(StoreError::NoRight { .. }) => AccessError::NoUserRight {
                user: user.name,
                resource,
            },
            error => error,
        })
    }

    /// How much a user may do with a resource.
    pub async fn find_permission(
        &self,
        user: &str,
        resource: &Resource,
    ) -> Result<Permission, AccessError> {
        let user = self.get_user(user).await?;
        check_of_user(resource.kind)?;
        if resource.pattern != ANY_RESOURCE && !resource.kind.has_single_rights() {
            return Err(AccessError::KindOfUser {
                kind: resource.kind,
            });
        }
        Ok(self.rights_of(&user).await?.to(resource))
    }

    /// A role that may be changed: not what holds the rights of one user.
    async fn get_real_role(&self, number: i64) -> Result<KnownRole, AccessError> {
        let role = self.get_role(number).await?;
        match role.owner {
            Some(_) => Err(AccessError::OwnRole { role: number }),
            None => Ok(role),
        }
    }

    async fn holder_of(&self, role: &KnownRole) -> Result<Holder, AccessError> {
        let Some(owner) = role.owner else {
            return Ok(Holder::Role(role.name.clone()));
        };
        let users = self.store().list_users().await?;
        let owner = users.into_iter().find(|user| user.number == owner);
        let owner = owner.ok_or(AccessError::NoRole { role: role.number })?;
        Ok(Holder::User(owner.name))
    }
}

fn check_of_user(kind: ResourceKind) -> Result<(), AccessError> {
    match kind {
        ResourceKind::Workspace => Err(AccessError::WorkspaceOfUser),
        _ => Ok(()),
    }
}

fn check_description(description: Option<&str>) -> Result<(), AccessError> {
    if description.is_some_and(|text| text.chars().count() > LONGEST_DESCRIPTION) {
        return Err(AccessError::TooLong {
            field: "description",
            limit: LONGEST_DESCRIPTION,
        });
    }
    Ok(())
}

/// What an event about a right names as its subjects.
fn on(role: &KnownRole, resource: &Resource) -> Vec<String> {
    let mut subjects = vec![role_subject(&role.name)];
    subjects.extend(resource_subject(resource));
    subjects
}

fn on_user(user: &KnownUser, resource: &Resource) -> Vec<String> {
    let mut subjects = vec![user_subject(&user.name)];
    subjects.extend(resource_subject(resource));
    subjects
}

/// What other events about a resource name as their subject; none for every one of a kind.
fn resource_subject(resource: &Resource) -> Option<String> {
    let Resource { kind, pattern } = resource;
    let noun = match kind {
        _ if pattern == ANY_RESOURCE => return None,
        ResourceKind::Experiment => "experiment",
        ResourceKind::RegisteredModel | ResourceKind::Prompt => "registered-model",
        _ => return None,
    };
    Some(format!("{noun}:{pattern}"))
}
