//! Telling webhooks while a server is under way.

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use webhooks::Deliverer;

/// Delivers until it is stopped.
pub(crate) struct Delivering {
    stopping: CancellationToken,
    task: JoinHandle<()>,
}

impl Delivering {
    pub(crate) fn start(deliverer: Deliverer) -> Self {
        let stopping = CancellationToken::new();
        let task = TaskTracker::new().spawn(deliverer.run(stopping.clone()));
        Self { stopping, task }
    }

    /// Ends it, after attempts under way, which are given some seconds. What is not told yet is told by the next server.
    pub(crate) async fn stop(self) {
        self.stopping.cancel();
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "telling webhooks in the background ended with a fault");
        }
    }
}
