//! Which histories have become long since they were last put in order, as far as this process logged to them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use entities::{Change, MetricBlock, RunId};
use tokio::sync::Notify;

/// How many points are to be put in order: to read as many beside those that are takes two or three milliseconds.
const LONG: u64 = 8_192;

/// What a block counts for at least, as so many points: to find it takes about as long as to read them.
const LEAST_OF_BLOCK: u64 = 8;

/// Keys of a block at most: where points are of many keys, each history grows slowly, and to put one in order is to read
/// the points of all.
const LARGEST_KEY_COUNT: usize = 16;

/// Histories that are counted at most; those that have not become long are forgotten then, and left to their readers.
const LARGEST_COUNT: usize = 1 << 13;

/// One metric of one run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Series {
    pub(crate) run: RunId,
    pub(crate) key: String,
}

/// Points that are logged to one history at once.
#[derive(Debug)]
pub(crate) struct LoggedPoints {
    series: Series,
    points: u64,
}

/// What is not in order yet.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    counted: Mutex<Counted>,
    became_due: Notify,
}

#[derive(Debug, Default)]
struct Counted {
    all: BTreeMap<Series, Unordered>,
    /// Those of which there is too much, in the order in which they became so.
    due: VecDeque<Series>,
}

#[derive(Clone, Copy, Debug)]
struct Unordered {
    points: u64,
    /// From how many on there is too much.
    limit: u64,
    is_due: bool,
}

impl Counted {
    /// Counts points; tells whether there are too many now.
    fn add(&mut self, LoggedPoints { series, points }: LoggedPoints) -> bool {
        let Some(unordered) = self.all.get_mut(&series) else {
            if self.all.len() >= LARGEST_COUNT {
                self.all.retain(|_, unordered| unordered.is_due);
            }
            if self.all.len() >= LARGEST_COUNT {
                *self = Self::default();
            }
            let is_due = points >= LONG;
            if is_due {
                self.due.push_back(series.clone());
            }
            let first = Unordered {
                points,
                limit: LONG,
                is_due,
            };
            self.all.insert(series, first);
            return is_due;
        };
        unordered.points = unordered.points.saturating_add(points);
        if unordered.is_due || unordered.points < unordered.limit {
            return false;
        }
        unordered.is_due = true;
        self.due.push_back(series);
        true
    }
}

impl Backlog {
    /// What changes log, to be noted when they are written.
    pub(crate) fn count(changes: &[Change]) -> Vec<LoggedPoints> {
        let mut logged = Vec::new();
        for change in changes {
            let Change::MetricsLogged { run, encoded, .. } = change else {
                continue;
            };
            let Some(by_key) = count_by_key(encoded) else {
                continue;
            };
            logged.extend(by_key.into_iter().map(|(key, points)| LoggedPoints {
                series: Series {
                    run: run.clone(),
                    key: key.to_owned(),
                },
                points: points.max(LEAST_OF_BLOCK),
            }));
        }
        logged
    }

    pub(crate) fn note(&self, logged: Vec<LoggedPoints>) {
        if logged.is_empty() {
            return;
        }
        let mut counted = self.lock();
        for points in logged {
            if counted.add(points) {
                self.became_due.notify_one();
            }
        }
    }

    /// Waits for a history that is to be put in order; its points count from nothing then.
    pub(crate) async fn next(&self) -> Series {
        loop {
            if let Some(series) = self.take() {
                return series;
            }
            self.became_due.notified().await;
        }
    }

    fn take(&self) -> Option<Series> {
        let mut counted = self.lock();
        let series = counted.due.pop_front()?;
        if let Some(unordered) = counted.all.get_mut(&series) {
            unordered.points = 0;
            unordered.is_due = false;
        }
        if !counted.due.is_empty() {
            self.became_due.notify_one();
        }
        Some(series)
    }

    /// Where more was written again than came, a history is left alone for twice as many points, so that all that is written
    /// of it is a few times what it has.
    pub(crate) fn note_cost(&self, series: &Series, is_costly: bool) {
        if let Some(unordered) = self.lock().all.get_mut(series) {
            unordered.limit = if is_costly {
                unordered.limit.saturating_mul(2)
            } else {
                LONG
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many points of each key a block has; nothing where there are many keys, or it cannot be read.
fn count_by_key(encoded: &[u8]) -> Option<BTreeMap<&str, u64>> {
    let mut by_key = BTreeMap::new();
    let read = MetricBlock::read(encoded, |point| {
        *by_key.entry(point.key).or_insert(0) += 1;
        (by_key.len() <= LARGEST_KEY_COUNT).then_some(())
    });
    read.is_ok().then_some(by_key)
}

#[cfg(test)]
mod tests {
    use entities::Metric;

    use super::*;

    fn log(backlog: &Backlog, run: &str, keys: &[&str], points: i64) {
        let all = (0..points).flat_map(|step| keys.iter().map(move |key| (*key, step)));
        let all = all.map(|(key, step)| Metric::new(key, 0.0, 0, step));
        let change = Change::metrics(run.parse().unwrap(), all.collect());
        backlog.note(Backlog::count(&[change]));
    }

    fn take_all(backlog: &Backlog) -> Vec<String> {
        let taken = std::iter::from_fn(|| backlog.take());
        taken
            .map(|Series { run, key }| format!("{run}/{key}"))
            .collect()
    }

    #[test]
    fn a_history_is_due_when_it_has_become_long_again() {
        let backlog = Backlog::default();
        log(&backlog, "a", &["m", "n"], 5_000);
        log(&backlog, "b", &["m"], 5_000);
        assert_eq!(take_all(&backlog), [""; 0]);
        log(&backlog, "a", &["m"], 5_000);
        assert_eq!(take_all(&backlog), ["a/m"]);
        log(&backlog, "a", &["m", "n"], 5_000);
        assert_eq!(take_all(&backlog), ["a/n"]);
        // Blocks of a point each are found one by one.
        for _ in 0..1023 {
            log(&backlog, "c", &["m"], 1);
        }
        assert_eq!(take_all(&backlog), [""; 0]);
        log(&backlog, "c", &["m"], 1);
        assert_eq!(take_all(&backlog), ["c/m"]);
    }

    #[test]
    fn a_history_that_is_written_again_and_again_is_so_ever_more_rarely() {
        let backlog = Backlog::default();
        let log_and_count = |rounds, is_costly| {
            let mut times = 0;
            for _ in 0..rounds {
                log(&backlog, "a", &["m"], 10_000);
                if let Some(series) = backlog.take() {
                    backlog.note_cost(&series, is_costly);
                    times += 1;
                }
            }
            times
        };
        // After the first, and 2, 4, 7, 14 and 27 more.
        assert_eq!(log_and_count(55, true), 6);
        // And after 53 more, once it follows what is there, each time.
        assert_eq!(log_and_count(63, false), 11);
    }

    #[test]
    fn points_of_many_keys_are_left_to_their_readers() {
        let backlog = Backlog::default();
        let keys: Vec<String> = (0..100).map(|key| format!("m{key}")).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        log(&backlog, "a", &keys, 10_000);
        assert_eq!(take_all(&backlog), [""; 0]);
        log(&backlog, "a", &keys[..3], 10_000);
        assert_eq!(take_all(&backlog), ["a/m0", "a/m1", "a/m2"]);
    }

    #[test]
    fn what_is_counted_does_not_grow_without_end() {
        let backlog = Backlog::default();
        log(&backlog, "a", &["m"], 5_000);
        log(&backlog, "b", &["m"], 10_000);
        for run in 2..LARGEST_COUNT + 10 {
            log(&backlog, &format!("r{run}"), &["m"], 1);
        }
        assert_eq!(backlog.lock().all.len(), 1 + 10);
        log(&backlog, "a", &["m"], 5_000);
        assert_eq!(take_all(&backlog), ["b/m"]);
        // Where nobody takes any, the long ones are forgotten too.
        for run in 0..LARGEST_COUNT + 10 {
            backlog.note(vec![LoggedPoints {
                series: Series {
                    run: format!("l{run}").parse().unwrap(),
                    key: "m".to_owned(),
                },
                points: LONG,
            }]);
        }
        let counted = backlog.lock();
        assert!(counted.all.len() <= LARGEST_COUNT && counted.due.len() <= LARGEST_COUNT);
    }

    #[tokio::test]
    async fn whoever_waits_is_told() {
        let backlog = Backlog::default();
        let wait = async { [backlog.next().await.key, backlog.next().await.key] };
        let logging = async { log(&backlog, "a", &["m", "n"], 10_000) };
        let (keys, ()) = tokio::join!(wait, logging);
        assert_eq!(keys, ["m", "n"]);
    }
}
