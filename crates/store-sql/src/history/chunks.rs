//! The copy of a long history: chunks of its points by step, numbered so that a rank tells the chunk.

use std::ops::Range;

use store::StoreError;

use super::points::{Place, Point, Points, by_step};
use crate::fault::{damaged, database_fault};
use crate::params;
use crate::several::Several;
use crate::sql::{Connection, Row};

/// Points of every chunk but the last: one takes less than the 2000 bytes that PostgreSQL keeps in a row, and two fit
/// on a page of SQLite.
pub(crate) const CHUNK_POINTS: u64 = 100;

/// Bits of a chunk's number that count the chunks of its history.
const ORDINAL_BITS: u32 = 24;

statements! {
    FIND_RANKED = "SELECT number, through_block, points, is_in_time_order FROM metric_history
        WHERE run = ?1 AND key = ?2";
    FIND_FIRST = "SELECT first_step, first_timestamp_ms FROM metric_chunk WHERE number = ?1";
    LIST_CHUNKS = "SELECT encoded FROM metric_chunk WHERE number >= ?1 AND number < ?2 ORDER BY number";
    LIST_WHOLE_CHUNKS = "SELECT number, first_step, first_timestamp_ms, encoded FROM metric_chunk
        WHERE number >= ?1 AND number < ?2 ORDER BY number";
}

const READ_CHUNKS: &str =
    "SELECT number, encoded FROM metric_chunk WHERE number IN (:numbers) ORDER BY number";

/// The copy of a history, as far as it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ranked {
    pub(super) number: i64,
    /// The last block whose points stand in it.
    pub(super) through_block: i64,
    /// How many points it has.
    pub(crate) points: u64,
    /// Whether its points are in the order of their times too.
    pub(crate) is_in_time_order: bool,
}

impl Ranked {
    pub(super) fn find(
        connection: &dyn Connection,
        run: i64,
        key: &str,
    ) -> Result<Option<Self>, StoreError> {
        connection
            .find(FIND_RANKED, params![run, key], |row| {
                Ok(Self {
                    number: row.get(0)?,
                    through_block: row.get(1)?,
                    points: row.get::<i64>(2)? as u64,
                    is_in_time_order: row.get(3)?,
                })
            })
            .map_err(database_fault("finding the history of a metric"))
    }

    /// How many chunks there are.
    pub(crate) fn chunks(&self) -> u64 {
        self.points.div_ceil(CHUNK_POINTS)
    }

    /// The number of a chunk's row.
    pub(super) fn row(&self, ordinal: u64) -> Result<i64, StoreError> {
        row_number(self.number, ordinal)
    }

    /// The points of chunks that follow each other.
    pub(crate) fn read_chunks(
        &self,
        connection: &dyn Connection,
        key: &str,
        ordinals: Range<u64>,
    ) -> Result<Points, StoreError> {
        let rows = params![self.row(ordinals.start)?, self.row(ordinals.end)?];
        let encoded: Vec<Vec<u8>> = connection
            .list(LIST_CHUNKS, rows, |row| row.get(0))
            .map_err(database_fault("reading the history of a metric"))?;
        if encoded.len() as u64 != ordinals.end.saturating_sub(ordinals.start) {
            return Err(missing());
        }
        let mut points = Points::default();
        for chunk in &encoded {
            points.add_encoded(chunk, key)?;
        }
        Ok(points)
    }

    /// The points of these ranks, which ascend.
    pub(crate) fn read_ranks(
        &self,
        connection: &dyn Connection,
        key: &str,
        ranks: &[u64],
    ) -> Result<Points, StoreError> {
        let mut ordinals: Vec<u64> = ranks.iter().map(|rank| rank / CHUNK_POINTS).collect();
        ordinals.dedup();
        let rows: Vec<i64> = ordinals
            .iter()
            .map(|ordinal| self.row(*ordinal))
            .collect::<Result<_, _>>()?;
        let mut chosen = Points::default();
        let mut ranks = ranks.iter().peekable();
        let mut found = 0;
        for some in Several::split(&rows) {
            let read = |row: &Row<'_>| row.get(1);
            let encoded: Vec<Vec<u8>> = Several::of(connection, some).list(READ_CHUNKS, read)?;
            for (ordinal, chunk) in ordinals[found..].iter().zip(&encoded) {
                let begin = chosen.items.len();
                chosen.add_encoded(chunk, key)?;
                let all = chosen.items.split_off(begin);
                while let Some(rank) = ranks.next_if(|rank| **rank / CHUNK_POINTS == *ordinal) {
                    let point = all.get((rank % CHUNK_POINTS) as usize);
                    chosen.items.push(*point.ok_or_else(missing)?);
                }
            }
            found += encoded.len();
        }
        if found != rows.len() {
            return Err(missing());
        }
        Ok(chosen)
    }

    /// How many points have a smaller step.
    pub(crate) fn rank_of_step(
        &self,
        connection: &dyn Connection,
        key: &str,
        step: i64,
    ) -> Result<u64, StoreError> {
        let below = self.count_chunks(connection, |first, _| first < step)?;
        let Some(last) = below.checked_sub(1) else {
            return Ok(0);
        };
        let points = self.read_chunks(connection, key, last..below)?;
        let smaller = points.items.partition_point(|point| point.step < step);
        Ok(last * CHUNK_POINTS + smaller as u64)
    }

    /// How many points stand before one; fewer, where a chunk begins with its step and its time.
    pub(super) fn rank_of(
        &self,
        connection: &dyn Connection,
        key: &str,
        point: &Point,
    ) -> Result<u64, StoreError> {
        let begin = (point.step, point.timestamp_ms);
        let below = self.count_chunks(connection, |step, time| (step, time) < begin)?;
        let Some(last) = below.checked_sub(1) else {
            return Ok(0);
        };
        let there = self.read_chunks(connection, key, last..below)?;
        let before = there
            .items
            .partition_point(|there| by_step(there, point).is_lt());
        Ok(last * CHUNK_POINTS + before as u64)
    }

    /// The chunk that the point after a place stands in, where points are in the order of their times.
    pub(crate) fn chunk_after(
        &self,
        connection: &dyn Connection,
        place: &Place,
    ) -> Result<u64, StoreError> {
        let begin = (place.timestamp_ms, place.step);
        let before = self.count_chunks(connection, |step, time| (time, step) < begin)?;
        Ok(before.saturating_sub(1))
    }

    /// How many chunks have a first point, by step and time, of which this holds: from some chunk on it must not.
    fn count_chunks(
        &self,
        connection: &dyn Connection,
        holds: impl Fn(i64, i64) -> bool,
    ) -> Result<u64, StoreError> {
        let (mut from, mut to) = (0, self.chunks());
        while from < to {
            let middle = from + (to - from) / 2;
            let row = self.row(middle)?;
            let first = connection
                .find(FIND_FIRST, [row], |row| Ok((row.get(0)?, row.get(1)?)))
                .map_err(database_fault("reading the history of a metric"))?;
            let (step, time) = first.ok_or_else(missing)?;
            if holds(step, time) {
                from = middle + 1;
            } else {
                to = middle;
            }
        }
        Ok(from)
    }
}

/// Some points that follow each other.
#[derive(Debug, PartialEq)]
pub(super) struct Chunk {
    pub(super) first_step: i64,
    pub(super) first_timestamp_ms: i64,
    pub(super) encoded: Vec<u8>,
}

/// Every chunk of a history with the number of its row, in order.
pub(super) fn list_chunks(
    connection: &dyn Connection,
    history: i64,
) -> Result<Vec<(i64, Chunk)>, StoreError> {
    let rows = params![row_number(history, 0)?, row_number(history + 1, 0)?];
    connection
        .list(LIST_WHOLE_CHUNKS, rows, |row| {
            let chunk = Chunk {
                first_step: row.get(1)?,
                first_timestamp_ms: row.get(2)?,
                encoded: row.get(3)?,
            };
            Ok((row.get(0)?, chunk))
        })
        .map_err(database_fault("reading the history of a metric"))
}

/// The number of the row that a chunk stands in.
pub(super) fn row_number(history: i64, ordinal: u64) -> Result<i64, StoreError> {
    let ordinal = i64::try_from(ordinal).ok();
    let ordinal = ordinal.filter(|ordinal| *ordinal < 1 << ORDINAL_BITS);
    history
        .checked_mul(1 << ORDINAL_BITS)
        .zip(ordinal)
        .and_then(|(base, ordinal)| base.checked_add(ordinal))
        .ok_or_else(|| StoreError::Query {
            message: "the history of a metric has more points than can be numbered".to_owned(),
        })
}

fn missing() -> StoreError {
    damaged("a part of the history of a metric is missing")
}
