//! On whose behalf something is done.

use crate::Actor;

/// On whose behalf something is done; every event tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Who.
    pub actor: Actor,
    /// Id of the request, where there is one.
    pub request: Option<String>,
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
        }
    }

    /// The same caller, within a request.
    pub fn with_request(self, id: impl Into<String>) -> Self {
        Self {
            request: Some(id.into()),
            ..self
        }
    }
}
