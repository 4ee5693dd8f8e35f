//! What is done while a long command is under way: the ledger is signed, and histories that become long are put in order.

use std::sync::Arc;
use std::time::Duration;

use entities::Clock;
use store::Store;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracking::LedgerPublisher;

/// How long a committed event may wait for its signature while nobody waits for it.
const INTERVAL: Duration = Duration::from_secs(2);

/// Works until it is stopped.
pub(crate) struct Meanwhile {
    stopping: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Meanwhile {
    /// Signs where there is a publisher; orders the histories that are logged through this store.
    pub(crate) fn start(
        store: Arc<dyn Store>,
        publisher: Option<LedgerPublisher>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let stopping = CancellationToken::new();
        let tracker = TaskTracker::new();
        let mut tasks = vec![tracker.spawn(order_histories(store, stopping.clone()))];
        if let Some(publisher) = publisher {
            tasks.push(tracker.spawn(publish(publisher, clock, stopping.clone())));
        }
        Self { stopping, tasks }
    }

    /// Ends it, after a publication under way. A history that is being put in order is left to its readers.
    pub(crate) async fn stop(self) {
        self.stopping.cancel();
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::warn!(%error, "work in the background ended with a fault");
            }
        }
    }
}

async fn publish(publisher: LedgerPublisher, clock: Arc<dyn Clock>, stopping: CancellationToken) {
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
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
}

async fn order_histories(store: Arc<dyn Store>, stopping: CancellationToken) {
    loop {
        let ordered = tokio::select! {
            () = stopping.cancelled() => return,
            ordered = store.order_next_history() => ordered,
        };
        // Its next reader puts it in order, and is told the fault.
        if let Err(error) = ordered {
            tracing::info!(
                error = &error as &dyn std::error::Error,
                "the history of a metric could not be put in order"
            );
        }
    }
}
