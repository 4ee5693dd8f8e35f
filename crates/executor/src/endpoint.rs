//! The MLflow endpoint of a run, as the executor sees it.

use std::sync::Arc;

use async_trait::async_trait;
use entities::{ModelId, RunId};

use crate::ExecutorError;

/// Gives a value as it may be written down under a name.
pub type Mask = Arc<dyn Fn(&str, &str) -> String + Send + Sync>;

/// What an endpoint is for.
pub struct EndpointRequest {
    /// The run that the first `runs/create` is given.
    pub run: RunId,
    /// For a replay: the ids that the origin's command was given, in that order, to be handed out again.
    pub presented_runs: Vec<RunId>,
    /// For a replay: the ids of the origin's logged models, in that order.
    pub presented_models: Vec<ModelId>,
    /// What is kept of params, and of tags whose names say that they hold secrets.
    pub mask: Mask,
}

/// Opens endpoints.
#[async_trait]
pub trait EndpointFactory: Send + Sync {
    /// Opens one on loopback.
    async fn open(&self, request: EndpointRequest) -> Result<Box<dyn Endpoint>, ExecutorError>;
}

/// An open endpoint.
#[async_trait]
pub trait Endpoint: Send + Sync {
    /// Its URI, such as `http://127.0.0.1:40123`.
    fn uri(&self) -> &str;

    /// The bearer token that it asks for.
    fn token(&self) -> &str;

    /// Answers what was asked so far and closes.
    async fn close(self: Box<Self>);
}
