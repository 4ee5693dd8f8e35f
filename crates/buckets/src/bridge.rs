//! Waiting for what is asynchronous, from wherever one is.

use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, sync_channel};

use tokio::runtime::{Builder, Runtime};

/// Threads that talk to object stores: they wait for the network, and encrypt.
const THREADS: usize = 2;

/// For the life of the process: a runtime that is dropped inside of another stops with a fault.
static RUNTIME: OnceLock<Option<Runtime>> = OnceLock::new();

/// Waits for a future that runs on threads of this room; none where it ended with a fault of its own.
pub(crate) fn wait<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    start(future)?.recv().ok()
}

/// Starts a future on threads of this room; its result comes by the receiver. None where there are no threads.
pub(crate) fn start<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
) -> Option<Receiver<T>> {
    let runtime = RUNTIME.get_or_init(|| {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(THREADS).thread_name("buckets");
        builder.enable_all().build().ok()
    });
    let (sender, receiver) = sync_channel(1);
    runtime.as_ref()?.spawn(async move {
        // Whoever waited may have gone.
        let _ = sender.send(future.await);
    });
    Some(receiver)
}
