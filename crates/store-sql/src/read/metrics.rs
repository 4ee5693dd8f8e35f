//! The history of a metric: pages of it by time, and samples of it by step.

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::sql::{self, Connection, Row};
use crate::{Backend, SqlStore};
use entities::{Metric, ObjectId, RunId};
use store::{Page, PageRequest, StoreError};

use super::find_row;
use crate::history::{
    CHUNK_POINTS, Effort, FEW_POINTS, History, Place, Plan, Points, plan_compaction,
    write_compaction,
};

/// Points that are written again in the background at most: some tens of milliseconds of everybody else's time. What
/// belongs before more of them is left to readers.
const LARGEST_REWRITING: u64 = 1 << 17;

statements! {
    FIND_RUN = "SELECT number FROM run WHERE id = ?1";
}

/// A history that can be read.
pub(super) struct MetricReader<'c> {
    connection: &'c dyn Connection,
    run: &'c RunId,
    key: &'c str,
    history: History,
}

impl<B: Backend> SqlStore<B> {
    /// Reads the history of a metric, with its copy brought up to date where it has to be.
    pub(super) async fn read_history<T: Send + 'static>(
        &self,
        run: RunId,
        key: String,
        work: impl Fn(&MetricReader<'_>) -> Result<T, StoreError> + Send + Sync + 'static,
    ) -> Result<T, StoreError> {
        let (run, key, work) = (Arc::new(run), Arc::new(key), Arc::new(work));
        let reading = {
            let (run, key, work) = (Arc::clone(&run), Arc::clone(&key), Arc::clone(&work));
            move |connection: &dyn Connection| {
                let number = get_run(connection, &run)?;
                let history = History::open(connection, number, &key)?;
                let read = |history| {
                    work(&MetricReader {
                        connection,
                        run: &run,
                        key: &key,
                        history,
                    })
                };
                history.map(read).transpose()
            }
        };
        if let Some(found) = self.read(reading.clone()).await? {
            return Ok(found);
        }
        match self.bring_up_to_date(&run, &key, u64::MAX).await {
            // What cannot be written now is read all the same.
            Err(error) if !is_for_now(&error) => return Err(error),
            _ => {}
        }
        if let Some(found) = self.read(reading).await? {
            return Ok(found);
        }
        self.read(move |connection| {
            let number = get_run(connection, &run)?;
            work(&MetricReader {
                connection,
                run: &run,
                key: &key,
                history: History::without_copy(connection, number, &key)?,
            })
        })
        .await
    }

    /// As `RunStore::order_next_history`.
    pub(super) async fn order_next(&self) -> Result<(), StoreError> {
        let series = self.backlog().next().await;
        let ordered = self
            .bring_up_to_date(&series.run, &series.key, LARGEST_REWRITING)
            .await;
        match ordered {
            Ok(is_costly) => {
                self.backlog().note_cost(&series, is_costly);
                Ok(())
            }
            // Its next reader sees to it, where there is one.
            Err(StoreError::NoRun { .. }) => Ok(()),
            Err(error) if is_for_now(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Brings the copy of a history up to date, unless more than so many points would be written again; tells whether that
    /// was costly, or would be.
    async fn bring_up_to_date(
        &self,
        run: &RunId,
        key: &str,
        most_rewritten: u64,
    ) -> Result<bool, StoreError> {
        let mut effort = Effort {
            most_points: FEW_POINTS,
            most_rewritten,
        };
        let (mut came, mut rewritten) = (0, 0);
        loop {
            let (run, key) = (run.clone(), key.to_owned());
            // Reading, sorting and encoding are done where nobody waits for them.
            let planned = self.read(move |connection| {
                let number = get_run(connection, &run)?;
                plan_compaction(connection, number, &run, &key, effort)
            });
            let compaction = match planned.await? {
                Plan::Nothing => return Ok(rewritten > came),
                Plan::TooMuch => return Ok(true),
                Plan::Work(compaction) => compaction,
            };
            let part = (compaction.came, compaction.rewritten);
            let is_complete = compaction.is_complete;
            let writing = self.write(move |connection| write_compaction(connection, &compaction));
            let is_written = writing.await?;
            if is_written {
                came += part.0;
                rewritten += part.1;
            }
            if !is_written || is_complete {
                return Ok(rewritten > came);
            }
            if part.1 > part.0 {
                // What is written again and again is so a few times only.
                let most = most_rewritten.max(FEW_POINTS);
                effort.most_points = effort.most_points.saturating_mul(2).min(most);
            }
        }
    }
}

/// Whether something cannot be written now, or not by this process, and nothing is wrong with it.
const fn is_for_now(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::ReadOnly | StoreError::Newer { .. } | StoreError::Busy | StoreError::DiskFull
    )
}

fn get_run(connection: &dyn Connection, run: &RunId) -> Result<i64, StoreError> {
    let number = find_row(connection, FIND_RUN, [run.as_str()], |row| row.get(0))?;
    number.ok_or_else(|| StoreError::NoRun { id: run.clone() })
}

impl MetricReader<'_> {
    /// A page of the points by time, step and value, each once.
    pub(super) fn list_page(&self, page: &PageRequest) -> Result<Page<Metric>, StoreError> {
        let after = match &page.token {
            Some(token) => Some(read_token(self.run, self.key, token)?),
            None => None,
        };
        let mut points = self.collect(after.as_ref(), page.limit.saturating_add(1))?;
        let has_more = points.items.len() > page.limit;
        points.items.truncate(page.limit);
        let next = match points.items.last() {
            Some(last) if has_more => Some(write_token(self.run, self.key, &Place::of(last))),
            _ => None,
        };
        let items = points.items.iter();
        Ok(Page {
            items: items.map(|point| points.metric(self.key, point)).collect(),
            next,
        })
    }

    /// At least as many points after a place as are wanted, in order, where there are as many.
    fn collect(&self, after: Option<&Place>, wanted: usize) -> Result<Points, StoreError> {
        let is_after = |place: Place| after.is_none_or(|after| place > *after);
        let mut points = Points::default();
        let mut ordinal = 0;
        if let Some(ranked) = &self.history.ranked {
            let is_seekable = self.history.is_in_time_order;
            if let (Some(after), true) = (after, is_seekable) {
                ordinal = ranked.chunk_after(self.connection, after)?;
            }
            while ordinal < ranked.chunks() && !(is_seekable && points.items.len() >= wanted) {
                let missing = (wanted - points.items.len().min(wanted)) as u64;
                let end = if is_seekable {
                    ranked
                        .chunks()
                        .min(ordinal + missing.div_ceil(CHUNK_POINTS) + 1)
                } else {
                    ranked.chunks()
                };
                let mut read = ranked.read_chunks(self.connection, self.key, ordinal..end)?;
                read.items.retain(|point| is_after(Place::of(point)));
                points.append(&read);
                ordinal = end;
            }
        }
        let mut tail = self.history.tail.clone();
        tail.items.retain(|point| is_after(Place::of(point)));
        points.append(&tail);
        if !self.history.is_in_time_order {
            points.sort_by_time();
        }
        Ok(points)
    }

    /// As `RunStore::sample_metric_points`.
    pub(super) fn sample(
        &self,
        steps: &RangeInclusive<i64>,
        limit: usize,
    ) -> Result<Vec<Metric>, StoreError> {
        let from = self.rank_of_step(*steps.start())?;
        let to = match steps.end().checked_add(1) {
            Some(after) => self.rank_of_step(after)?,
            None => self.history.length(),
        };
        let ranks = sample_ranks(to.saturating_sub(from), limit as u64);
        let ranks: Vec<u64> = ranks.into_iter().map(|rank| from + rank).collect();
        let in_copy = self.history.ranked_length();
        let split = ranks.partition_point(|rank| *rank < in_copy);
        let mut points = match &self.history.ranked {
            Some(ranked) => ranked.read_ranks(self.connection, self.key, &ranks[..split])?,
            None => Points::default(),
        };
        let mut tail = self.history.tail.clone();
        let places = ranks[split..].iter().map(|rank| (rank - in_copy) as usize);
        tail.items = places.map(|place| self.history.tail.items[place]).collect();
        points.append(&tail);
        let items = points.items.iter();
        Ok(items.map(|point| points.metric(self.key, point)).collect())
    }

    /// How many points have a smaller step.
    fn rank_of_step(&self, step: i64) -> Result<u64, StoreError> {
        let tail = &self.history.tail.items;
        let smaller = tail.partition_point(|point| point.step < step) as u64;
        match &self.history.ranked {
            Some(ranked) if smaller == 0 => ranked.rank_of_step(self.connection, self.key, step),
            Some(ranked) => Ok(ranked.points + smaller),
            None => Ok(smaller),
        }
    }
}

/// The first of each of `limit` even parts, and the last of all; all where there are no more.
///
/// *Source*: `_sample_rows_with_window_functions` of MLflow's `sqlalchemy_store.py`, whose parts are those of SQL's
/// `NTILE`: the first ones have one point more where they cannot all have as many.
fn sample_ranks(count: u64, limit: u64) -> Vec<u64> {
    if count <= limit {
        return (0..count).collect();
    }
    if limit == 0 {
        return Vec::new();
    }
    let (size, larger) = (count / limit, count % limit);
    let mut ranks: Vec<_> = (0..limit)
        .map(|part| part * size + part.min(larger))
        .collect();
    if let Some(end) = ranks.last_mut() {
        *end = count - 1;
    }
    ranks
}

/// Reads a value out of the two columns that it stands in.
pub(super) fn read_value(row: &Row<'_>, column: usize) -> sql::Result<f64> {
    if row.get(column + 1)? {
        Ok(f64::NAN)
    } else {
        row.get(column)
    }
}

fn write_token(run: &RunId, key: &str, place: &Place) -> String {
    let Place {
        timestamp_ms,
        step,
        value,
    } = place;
    let series = series_name(run, key);
    format!("{timestamp_ms},{step},{:016x},{series}", value.to_bits())
}

fn read_token(run: &RunId, key: &str, token: &str) -> Result<Place, StoreError> {
    let refuse = || StoreError::PageToken {
        token: token.to_owned(),
    };
    let parts: Vec<_> = token.split(',').collect();
    let [timestamp_ms, step, value, series] = parts.as_slice() else {
        return Err(refuse());
    };
    if *series != series_name(run, key) {
        return Err(refuse());
    }
    let bits = u64::from_str_radix(value, 16).map_err(|_| refuse())?;
    Ok(Place {
        timestamp_ms: timestamp_ms.parse().map_err(|_| refuse())?,
        step: step.parse().map_err(|_| refuse())?,
        value: f64::from_bits(bits),
    })
}

/// Ties a token to its run and key.
fn series_name(run: &RunId, key: &str) -> String {
    ObjectId::of(format!("{run}/{key}").as_bytes()).short()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_the_begin_of_each_part_and_the_end() {
        assert_eq!(sample_ranks(0, 3), [0; 0]);
        assert_eq!(sample_ranks(3, 3), [0, 1, 2]);
        // NTILE(3) over 10 rows has parts of 4, 3 and 3.
        assert_eq!(sample_ranks(10, 3), [0, 4, 9]);
        assert_eq!(sample_ranks(10, 1), [9]);
        assert_eq!(sample_ranks(7, 5), [0, 2, 4, 5, 6]);
        assert_eq!(sample_ranks(7, 0), [0; 0]);
    }
}
