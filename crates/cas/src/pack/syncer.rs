//! Has the disk work while a large pack is being written.

use std::fs::File;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

/// A thread that syncs a file again and again. What it cannot do is left for the sync at the end.
#[derive(Debug)]
pub(super) struct Syncer {
    work: Option<(SyncSender<()>, JoinHandle<()>)>,
}

impl Syncer {
    pub(super) fn start(path: &Path) -> Self {
        // A descriptor that shares nothing with the writer's: a fault that it is told is told the writer too.
        let work = File::open(path).ok().and_then(|file| {
            let (sender, receiver) = sync_channel(1);
            let sync = move || receiver.into_iter().for_each(|()| drop(file.sync_data()));
            let thread = thread::Builder::new()
                .name("cas-sync".to_owned())
                .spawn(sync)
                .ok()?;
            Some((sender, thread))
        });
        Self { work }
    }

    /// Begins to sync what was written so far, unless that is under way.
    pub(super) fn begin(&self) {
        if let Some((sender, _)) = &self.work {
            // When the last sync is not through yet, the next one comes soon enough.
            let _: Result<(), _> = sender.try_send(());
        }
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        if let Some((sender, thread)) = self.work.take() {
            drop(sender);
            drop(thread.join());
        }
    }
}
