//! On whose behalf something is done.

use crate::{ANY_RESOURCE, Actor, Change, Holder, Permission, Resource, ResourceKind};

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
    /// not count, and to what is called as every one of its kind is.
    pub fn owning(&self, kind: ResourceKind, pattern: impl Into<String>) -> Option<Change> {
        let resource = Resource::new(kind, pattern);
        let user = self.user.as_ref()?;
        (resource.pattern != ANY_RESOURCE).then(|| Change::AccessSet {
            holder: Holder::User(user.clone()),
            resource,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_its_makers_but_never_everything() {
        let mut caller = Caller::local("ann");
        assert_eq!(caller.owning(ResourceKind::Experiment, "1"), None);
        caller.user = Some("ann".to_owned());
        assert!(caller.owning(ResourceKind::Experiment, "1").is_some());
        assert_eq!(caller.owning(ResourceKind::RegisteredModel, "*"), None);
    }
}
