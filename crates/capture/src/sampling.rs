//! CPU and memory of a process tree over time.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use entities::{Clock, Timestamp};

use crate::trace::{clock_ticks_per_second, list_descendants, page_size, read_stat};

/// CPU and memory of a process tree at one time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// When.
    pub at: Timestamp,
    /// CPU time used since the sample before, in percent of one processor.
    pub cpu_percent: f64,
    /// Resident memory of all processes; memory that several share counts for each.
    pub memory_bytes: u64,
}

/// A thread that takes samples until it is stopped.
#[derive(Debug)]
pub(crate) struct Sampler {
    stop: SyncSender<()>,
    thread: JoinHandle<Vec<Sample>>,
}

impl Sampler {
    /// Begins to sample the descendants of a process; itself it counts for what its ended children have used.
    pub(crate) fn start(
        root: u32,
        interval_ms: u64,
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = sync_channel(1);
        let interval = Duration::from_millis(interval_ms);
        let thread = std::thread::Builder::new()
            .name("sampler".to_owned())
            .spawn(move || sample_until(&stopped, root, interval, clock.as_ref()))?;
        Ok(Self { stop, thread })
    }

    /// Stops and returns the samples.
    pub(crate) fn stop(self) -> Vec<Sample> {
        drop(self.stop);
        self.thread.join().unwrap_or_default()
    }
}

fn sample_until(
    stopped: &Receiver<()>,
    root: u32,
    interval: Duration,
    clock: &dyn Clock,
) -> Vec<Sample> {
    let mut samples = Vec::new();
    let mut before = Measure::take(root);
    while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
        let now = Measure::take(root);
        // A tree that is gone has no memory; that would be no sample of the command.
        if now.memory_bytes > 0 {
            let cpu_percent = now.percent_since(&before);
            samples.push(Sample {
                at: clock.now(),
                cpu_percent,
                memory_bytes: now.memory_bytes,
            });
        }
        before = now;
    }
    samples
}

/// What a tree has used up to now.
struct Measure {
    at: Instant,
    cpu_ticks: u64,
    memory_bytes: u64,
}

impl Measure {
    fn take(root: u32) -> Self {
        let descendants = list_descendants(root);
        let stats: Vec<_> = descendants.into_iter().filter_map(read_stat).collect();
        let of_ended = read_stat(root).map_or(0, |stat| stat.cpu_ticks);
        Self {
            at: Instant::now(),
            cpu_ticks: stats.iter().map(|stat| stat.cpu_ticks).sum::<u64>() + of_ended,
            memory_bytes: stats.iter().map(|stat| stat.resident_pages).sum::<u64>() * page_size(),
        }
    }

    fn percent_since(&self, before: &Self) -> f64 {
        let seconds = self.at.duration_since(before.at).as_secs_f64();
        // A process whose parent ignores its children takes its time with it: never less than nothing.
        let ticks = self.cpu_ticks.saturating_sub(before.cpu_ticks);
        if seconds > 0.0 {
            ticks as f64 / clock_ticks_per_second() as f64 / seconds * 100.0
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(7)
        }
    }

    #[test]
    fn a_busy_child_shows_in_the_samples() {
        #[expect(
            clippy::disallowed_methods,
            reason = "a test of what watches processes starts one"
        )]
        let mut child = std::process::Command::new("sh")
            .args(["-c", "while :; do :; done"])
            .spawn()
            .unwrap();
        let sampler = Sampler::start(std::process::id(), 50, Arc::new(Fixed)).unwrap();
        std::thread::sleep(Duration::from_millis(600));
        let samples = sampler.stop();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(samples.len() >= 2, "{samples:?}");
        assert!(
            samples
                .iter()
                .all(|sample| sample.at == Timestamp::from_millis(7))
        );
        assert!(
            samples
                .iter()
                .any(|sample| sample.cpu_percent > 5.0 && sample.memory_bytes > 100_000)
        );
    }
}
