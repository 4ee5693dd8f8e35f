//! On whose behalf something is done.

use crate::{Actor, Change, Holder, Permission, Resource, ResourceKind};

/// On whose behalf something is done; every event tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Who.
    pub actor: Actor,
    /// Id of the request, where there is one.
    pub request: Option<String>,
    /// The user whose rights count, where rights do: all rights to what is made are theirs.
    pub user: Option<String>,
}

impl Caller {
    /// The owner of this process.
    pub fn local(user: &str) -> Self {
        Self {
            actor: Actor {
                id: format!("u:{user}"),
                auth: "local".to_owned(),
            },
            request: None,
            user: None,
        }
    }

    /// What gives the user all rights to something that is made, in the commit that makes it; nothing where rights do
    /// not count.
    pub fn owning(&self, kind: ResourceKind, pattern: impl Into<String>) -> Option<Change> {
        self.user.as_ref().map(|user| Change::AccessSet {
            holder: Holder::User(user.clone()),
            resource: Resource::new(kind, pattern),
            permission: Permission::Manage,
        })
    }

    /// The same caller, within a request.
    pub fn with_request(self, id: impl Into<String>) -> Self {
        Self {
            request: Some(id.into()),
            ..self
        }
    }
}
