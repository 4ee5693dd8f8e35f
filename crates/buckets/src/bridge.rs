//! Waiting for what is asynchronous, from wherever one is.

use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, sync_channel};

use tokio::runtime::{Builder, Runtime};
use tracing::Instrument as _;

/// Threads that talk to object stores: they wait for the network, and encrypt.
const THREADS: usize = 2;

/// For the life of the process: a runtime that is dropped inside of another stops with a fault.
static RUNTIME: OnceLock<Option<Runtime>> = OnceLock::new();

/// Waits for a future that runs on threads of this room; none where it ended with a fault of its own.
///
/// The action, as words of a message, names its span.
pub(crate) fn wait<T: Send + 'static>(
    action: &str,
    future: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    start(action, future)?.recv().ok()
}

/// Starts a future on threads of this room; its result comes by the receiver. None where there are no threads.
pub(crate) fn start<T: Send + 'static>(
    action: &str,
    future: impl Future<Output = T> + Send + 'static,
) -> Option<Receiver<T>> {
    let runtime = RUNTIME.get_or_init(|| {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(THREADS).thread_name("buckets");
        builder.enable_all().build().ok()
    });
    let (sender, receiver) = sync_channel(1);
    let span = tracing::info_span!(
        "object_store",
        otel.name = format!(
            "object_store.{}",
            action.split(' ').next().unwrap_or_default()
        ),
        otel.kind = "client",
    );
    let sending = async move {
        // Whoever waited may have gone.
        let _ = sender.send(future.await);
    };
    runtime.as_ref()?.spawn(sending.instrument(span));
    Some(receiver)
}
