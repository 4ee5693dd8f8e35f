//! The MLflow endpoint of a captured run: the server's router on a free port of this machine, for one run.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datasets::Datasets;
use entities::Random;
use executor::{Endpoint, EndpointFactory, EndpointRequest, ExecutorError};
use registry::Registry;
use server::{ArtifactOptions, OperationOptions, RunScope, Scope, ServerOptions, WebOptions};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use traces::Traces;
use tracking::Tracking;

/// How long an endpoint that is closed waits for requests under way. The command has ended by then, so whoever
/// still has a connection open is no part of the run.
const CLOSING_TIME: Duration = Duration::from_secs(5);

/// Opens endpoints on 127.0.0.1.
pub(crate) struct LoopbackEndpoints {
    pub(crate) tracking: Tracking,
    pub(crate) registry: Registry,
    pub(crate) traces: Traces,
    pub(crate) datasets: Datasets,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) user: String,
}

#[async_trait]
impl EndpointFactory for LoopbackEndpoints {
    async fn open(&self, request: EndpointRequest) -> Result<Box<dyn Endpoint>, ExecutorError> {
        let EndpointRequest {
            run,
            presented_runs,
            presented_models,
            mask,
        } = request;
        let failed = |source| ExecutorError::Endpoint { source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(failed)?;
        let uri = format!("http://{}", listener.local_addr().map_err(failed)?);
        let mut secret = [0; 32];
        self.random.fill(&mut secret);
        let token = hex::encode(secret);
        let scope = RunScope {
            run,
            token: token.clone(),
            presented_runs,
            presented_models,
            mask: Some(mask),
        };
        let options = ServerOptions {
            tracking: self.tracking.clone(),
            registry: self.registry.clone(),
            traces: self.traces.clone(),
            datasets: self.datasets.clone(),
            webhooks: None,
            accounts: None,
            random: Arc::clone(&self.random),
            web: WebOptions::default(),
            artifacts: ArtifactOptions::default(),
            operation: OperationOptions::default(),
            scope: Scope::Run(scope),
            user: self.user.clone(),
        };
        let closing = CancellationToken::new();
        let asked_to_close = closing.clone();
        let task = TaskTracker::new().spawn(async move {
            server::serve(listener, options, async move {
                asked_to_close.cancelled().await;
            })
            .await
        });
        Ok(Box::new(LoopbackEndpoint {
            uri,
            token,
            closing,
            task,
        }))
    }
}

struct LoopbackEndpoint {
    uri: String,
    token: String,
    closing: CancellationToken,
    task: JoinHandle<std::io::Result<()>>,
}

#[async_trait]
impl Endpoint for LoopbackEndpoint {
    fn uri(&self) -> &str {
        &self.uri
    }

    fn token(&self) -> &str {
        &self.token
    }

    async fn close(self: Box<Self>) {
        let Self {
            closing, mut task, ..
        } = *self;
        closing.cancel();
        match tokio::time::timeout(CLOSING_TIME, &mut task).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(%error, "the run's endpoint ended with a fault"),
            Ok(Err(error)) => tracing::warn!(%error, "the run's endpoint ended with a fault"),
            Err(_) => task.abort(),
        }
    }
}
