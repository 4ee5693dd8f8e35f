//! Sequencing, integrating and signing while a command is under way.

use std::sync::Arc;
use std::time::Duration;

use entities::Clock;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracking::LedgerPublisher;

/// How long a committed event may wait for its signature while nobody waits for it.
const INTERVAL: Duration = Duration::from_secs(2);

/// Publishes again and again until it is stopped.
pub(crate) struct Publishing {
    stopping: CancellationToken,
    task: JoinHandle<()>,
}

impl Publishing {
    pub(crate) fn start(publisher: LedgerPublisher, clock: Arc<dyn Clock>) -> Self {
        let stopping = CancellationToken::new();
        let stopped = stopping.clone();
        let task = TaskTracker::new().spawn(async move {
            loop {
                tokio::select! {
                    () = stopped.cancelled() => return,
                    () = tokio::time::sleep(INTERVAL) => {}
                }
                // The last time, at the end of the command, tells the fault to its user.
                if let Err(error) = publisher.publish(clock.now()).await {
                    tracing::info!(
                        error = &error as &dyn std::error::Error,
                        "the ledger could not be signed"
                    );
                }
            }
        });
        Self { stopping, task }
    }

    /// Ends it, after a publication under way.
    pub(crate) async fn stop(self) {
        self.stopping.cancel();
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "signing in the background ended with a fault");
        }
    }
}
