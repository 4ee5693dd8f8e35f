//! Taking over what clients wrote by themselves, while a server is under way.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Takes over what is noted until it is stopped.
pub(crate) struct TakingOverMeanwhile {
    stopping: CancellationToken,
    task: JoinHandle<()>,
}

impl TakingOverMeanwhile {
    pub(crate) fn start(taking_over: Arc<tracking::TakingOver>) -> Self {
        let stopping = CancellationToken::new();
        let stopped = stopping.clone();
        let task = TaskTracker::new().spawn(async move {
            taking_over.run(stopped.cancelled_owned()).await;
        });
        Self { stopping, task }
    }

    /// Ends it. What is not taken over yet stays noted for the next server.
    pub(crate) async fn stop(self) {
        self.stopping.cancel();
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "taking artifacts over in the background ended with a fault");
        }
    }
}
